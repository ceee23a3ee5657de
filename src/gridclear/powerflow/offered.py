"""Rows of a table of bids as changes of injection: where each acts, whether it can, and how much it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.network.outages import bus_positions, in_service
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints


def places(
    compiled: CompiledCase, rows: pd.DataFrame, period: Ints
) -> tuple[Ints, NDArray[np.bool_], NDArray[np.bool_]]:
    """Find where every row of a table of bids acts.

    Parameters
    ----------
    compiled : CompiledCase
    rows : DataFrame
        ``active_bids`` or ``reactive_bids``.
    period : (row,) of int

    Returns
    -------
    bus : (row,) of int
        Place in the bus table.
    connected : (row,) of bool
        The element is in service and on a bus with supply in the row's period.
    marked : (row,) of bool
        The row names an element; the others are transmission's.
    """
    case = compiled.case
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
    return bus, works & (node[compiled.topology[period], bus] >= 0), marked


def divided_power(
    compiled: CompiledCase, rows: pd.DataFrame, period: Ints, bus: Ints, p: Floats, q: Floats
) -> Floats:
    """Divide changes of injection like the other power at their bus, but for gens, which never are.

    Parameters
    ----------
    compiled : CompiledCase
    rows : DataFrame
        With the column ``element_type``.
    period, bus : (row,) of int
    p, q : (row,)
        Change in p.u.

    Returns
    -------
    (row, part)
        By the parts of ``Activations``.
    """
    shares = compiled.shares
    if shares is None:
        return np.stack([p, q], axis=1)
    cells = shares.at(period, bus)
    divided = np.stack([*cells.divide_p(p), *cells.divide_q(q)], axis=1)[:, [0, 3, 1, 4, 2, 5]]
    whole = np.stack([p, q, *[np.zeros(len(p))] * 4], axis=1)
    return np.where((rows["element_type"] == "gen").to_numpy()[:, None], whole, divided)


def full_activations(
    compiled: CompiledCase, period: Ints, unit: Ints, bus: Ints, power: Floats, owner: Ints | None = None
) -> Activations:
    """Collect the changes of every unit.

    Parameters
    ----------
    compiled : CompiledCase
    period : (unit,) of int
    unit : (row,) of int
        Ascending.
    bus : (row,) of int
    power : (row, part)
        As of ``divided_power``.
    owner : (row,) of int, optional
        Number of the reacting inverter whose active power it is, -1 without.
    """
    reactions, n_bus, parts = compiled.reactions, compiled.networks[0].n_bus, power.shape[1]
    cells = np.arange(parts) * n_bus + bus[:, None]
    if reactions is not None and owner is not None:
        p = np.where(owner >= 0, power[:, ::2].sum(axis=1), 0.0)
        power = np.hstack([power, p[:, None]])
        cells = np.hstack([cells, reactions.first_cell + owner[:, None]])
    place, part = np.nonzero(power)
    return Activations(
        period=period,
        first=np.searchsorted(unit[place], np.arange(len(period) + 1)).astype(np.int64),
        cell=cells[place, part],
        value=power[place, part],
    )


def canonical_order(rows: pd.DataFrame) -> Ints:
    """Order of the rows by their key: bid, start, direction (up or inject first)."""
    keys = (rows["direction"].isin(("down", "absorb")), rows["start"].array.asi8, sorted_codes(rows["bid"]))
    return np.lexsort([np.asarray(key) for key in keys])


def sorted_codes(names: pd.Series) -> Ints:
    """Numbers that sort like the names."""
    codes: Ints = pd.factorize(names, sort=True)[0].astype(np.int64)
    return codes
