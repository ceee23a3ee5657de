"""Bids as activations: where they act, how much, and under which conditions of their owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import CaseError, Issue
from gridclear.network.outages import bus_positions, in_service
from gridclear.powerflow.scenarios import Activations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Bids:
    """Rows of ``active_bids``, ready to be activated.

    Attributes
    ----------
    offered : (row,)
        MW, not negative.
    activations : Activations
        Full activation of every row.
    marked : (row,) of bool
        Connected to this grid; the others are transmission's and are not qualified.
    connected : (row,) of bool
        Marked, in service and on a bus with supply in the row's period.
    least : (row,)
        Smallest amount in MW that the owner accepts.
    block : (row,) of int
        Rows with the same number are taken to the same share; -1: on its own.
    """

    offered: Floats
    activations: Activations
    marked: NDArray[np.bool_]
    connected: NDArray[np.bool_]
    least: Floats
    block: Ints

    def conditions(self, free: Floats) -> tuple[Floats, Ints]:
        """Apply blocks and smallest amounts to the safe shares.

        Parameters
        ----------
        free : (row,)
            Safe share of every row by itself.

        Returns
        -------
        share : (row,)
            Accepted share: the worst of the block; nothing where that is below any smallest amount of the
            block.
        decisive : (row,) of int
            Row that decided it: itself, or the block's worst.
        """
        rows = np.arange(len(free))
        free = np.where(self.marked, free, 1.0)
        share, decisive = free.copy(), rows.copy()
        in_block = np.flatnonzero(self.block >= 0)
        if len(in_block):
            order = in_block[
                np.lexsort((self.activations.period[in_block], free[in_block], self.block[in_block]))
            ]
            first = np.concatenate([[True], np.diff(self.block[order]) != 0])
            worst = order[first]
            decisive[order] = worst[np.cumsum(first) - 1]
            share = free[decisive]
            # A block that is safe in full needs nobody to decide: each row has a margin of its own.
            decisive = np.where(share >= 1.0, rows, decisive)
        below = share * self.offered < self.least * (1.0 - 1e-9)
        refused = np.zeros(len(free), dtype=bool)
        np.logical_or.at(refused, decisive, below)
        share = np.where(refused[decisive] | below, 0.0, share)
        return share, decisive


def resolve_bids(compiled: CompiledCase) -> Bids:
    """Find the bus, the sign and the state of every bid row.

    Parameters
    ----------
    compiled : CompiledCase

    Returns
    -------
    Bids

    Raises
    ------
    CaseError
        The case has no bids.
    """
    case = compiled.case
    rows = case.active_bids
    if not len(rows):
        raise CaseError(
            (Issue("active_bids", "", "", "the case has no active-power bids", "rows to qualify"),)
        )
    period = case.horizon.position(rows["start"])
    bus = np.zeros(len(rows), dtype=np.int64)
    works = np.zeros(len(rows), dtype=bool)
    marked = (rows["element"] != "").to_numpy()
    place = bus_positions(case.grid)
    for table in dict.fromkeys(rows["element_type"][marked]):
        mine = np.flatnonzero(marked & (rows["element_type"] == table).to_numpy())
        frame, lookup = case.grid.tables[table], case.grid.lookup(table)
        index = rows["element"].iloc[mine].map(lookup).to_numpy(dtype=np.int64)
        element = frame.index.get_indexer(pd.Index(index))
        bus[mine] = place.loc[frame["bus"].to_numpy()].to_numpy()[element]
        works[mine] = in_service(case, table)[period[mine], element]
    node = np.stack([network.structure.node_of_bus for network in compiled.networks])
    supplied = node[compiled.topology[period], bus] >= 0
    sign = np.where(rows["direction"] == "up", 1.0, -1.0)
    offered = rows["p_mw"].to_numpy(dtype=np.float64)
    p = sign * offered / compiled.s_base_mva
    q = p * np.nan_to_num(rows["tan_phi"].to_numpy(dtype=np.float64))
    return Bids(
        offered=offered,
        activations=Activations(period, bus, _power(compiled, rows, period, bus, p, q)),
        marked=marked,
        connected=marked & works & supplied,
        least=np.nan_to_num(rows["min_p_mw"].to_numpy(dtype=np.float64)),
        block=_blocks(rows),
    )


def _power(
    compiled: CompiledCase, rows: pd.DataFrame, period: Ints, bus: Ints, p: Floats, q: Floats
) -> Floats:
    """Change of injection by part: divided like the other power at its bus, but for gens, which never are."""
    shares = compiled.shares
    if shares is None:
        return np.stack([p, q], axis=1)
    cells = shares.at(period, bus)
    divided = np.stack([*cells.divide_p(p), *cells.divide_q(q)], axis=1)[:, [0, 3, 1, 4, 2, 5]]
    whole = np.stack([p, q, *[np.zeros(len(p))] * 4], axis=1)
    return np.where((rows["element_type"] == "gen").to_numpy()[:, None], whole, divided)


def _blocks(rows: pd.DataFrame) -> Ints:
    """Find the number of each row's block, -1 without."""
    names = rows["block"]
    number = {name: place for place, name in enumerate(dict.fromkeys(names[names != ""]))}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)
