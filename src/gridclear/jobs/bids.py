"""Bids as activations: what moves together, where it acts, and under which conditions of its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.needs import need_rows
from gridclear.network.reactions import reacting_inverters
from gridclear.powerflow.offered import (
    canonical_order,
    divided_power,
    full_activations,
    places,
    sorted_codes,
)
from gridclear.powerflow.rays import LEAST

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations


@dataclass(frozen=True, eq=False)
class Bids:
    """Rows of ``active_bids``, gathered into units and items.

    A unit is what can only move together within one period and direction: the rows of a block there, else one
    row. An item is what is accepted at one share: a block, else one row. Items are numbered in merit order,
    units by item, period and direction; neither depends on the order of the rows.

    Attributes
    ----------
    offered : (row,)
        MW, not negative.
    unit : (row,) of int
        Unit of every row.
    connected : (row,) of bool
        Marked, in service and on a bus with supply in the row's period.
    least : (row,)
        Smallest amount in MW that the owner accepts.
    activations : Activations
        Full activation of every unit.
    item : (unit,) of int
        Ascending.
    marked : (unit,) of bool
        Connected to this grid; the others are transmission's and are not qualified.
    supplied : (unit,) of bool
        Marked, and all of its rows connected.
    exclusive : (unit,) of int
        Units with the same number are never activated together in one period; -1: with any.
    least_share : (item,)
        Smallest share that every owner of the item accepts.
    """

    offered: Floats
    unit: Ints
    connected: NDArray[np.bool_]
    least: Floats
    activations: Activations
    item: Ints
    marked: NDArray[np.bool_]
    supplied: NDArray[np.bool_]
    exclusive: Ints
    least_share: Floats

    @property
    def offered_of_unit(self) -> Floats:
        """MW of every unit at its full share."""
        return np.bincount(self.unit, weights=self.offered, minlength=len(self.item)).astype(np.float64)

    @property
    def part_of_unit(self) -> Floats:
        """Part of its unit's megawatts that every row offers, 0 where it offers nothing."""
        whole = self.offered_of_unit[self.unit]
        return np.divide(self.offered, whole, out=np.zeros(len(whole)), where=self.offered > 0.0)

    def conditions(self, free: Floats) -> tuple[Floats, Ints]:
        """Apply blocks and smallest amounts to the safe shares.

        Parameters
        ----------
        free : (unit,)
            Safe share of every unit by itself.

        Returns
        -------
        share : (unit,)
            Accepted share: that of the item's worst unit; nothing where that is below a smallest amount.
        decisive : (unit,) of int
            Unit that decided it: itself, or the item's worst.
        """
        units, free = np.arange(len(free)), np.where(self.marked, free, 1.0)
        order = np.lexsort((units, free, self.item))
        worst = order[np.flatnonzero(np.diff(self.item[order], prepend=-1))]
        share = self.enough(np.arange(len(worst)), free[worst])[self.item]
        # An item that is safe in full needs nobody to decide: each unit has a margin of its own.
        decisive = np.where(free[worst][self.item] >= 1.0, units, worst[self.item])
        return share, decisive.astype(np.int64)

    @property
    def smallest_share(self) -> Floats:
        """Smallest share of every item that is not nothing: to its owners, and at all."""
        return np.maximum(self.least_share * (1.0 - 1e-9), LEAST)

    def enough(self, item: Ints, share: Floats) -> Floats:
        """Take a share of each item for nothing where its owners would not accept so little."""
        return np.where(share < self.smallest_share[item], 0.0, share)


def resolve_bids(compiled: CompiledCase) -> Bids:
    """Find the bus, the sign and the state of every bid row, and what moves together.

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
    need_rows(case, "active_bids")
    period = case.horizon.position(rows["start"])
    bus, connected, marked = places(compiled, rows, period)
    sign = np.where(rows["direction"] == "up", 1.0, -1.0)
    offered = rows["p_mw"].to_numpy(dtype=np.float64)
    least = np.nan_to_num(rows["min_p_mw"].to_numpy(dtype=np.float64))
    p = sign * offered / compiled.s_base_mva
    q = p * np.nan_to_num(rows["tan_phi"].to_numpy(dtype=np.float64))
    power = np.where(marked[:, None], divided_power(compiled, rows, period, bus, p, q), 0.0)

    order = canonical_order(rows)
    item = _items(rows, order)
    # Units: rows of an item in one period and direction; transmission's are apart from ours.
    keys = np.stack([item, period, -sign.astype(np.int64), marked.astype(np.int64)], axis=1)
    _, first, unit = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    unit = unit.ravel()
    units = len(first)
    by_unit = order[np.argsort(unit[order], kind="stable")]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(least > 0.0, least / offered, 0.0)
    least_share = np.zeros(int(item.max()) + 1)
    np.maximum.at(least_share, item, share)
    lost = np.bincount(unit, weights=~connected, minlength=units) > 0
    return Bids(
        offered=offered,
        unit=unit,
        connected=connected,
        least=least,
        activations=full_activations(
            compiled,
            period[first],
            unit[by_unit],
            bus[by_unit],
            power[by_unit],
            reacting_inverters(case, rows)[by_unit],
        ),
        item=item[first],
        marked=marked[first],
        supplied=marked[first] & ~lost,
        exclusive=_exclusive(rows)[first],
        least_share=least_share,
    )


def _items(rows: pd.DataFrame, order: Ints) -> Ints:
    """Item of every row, numbered in merit order.

    Cheapest first, a block at the mean price of its megawatts; ties by the smallest key of a row.
    """
    count = len(rows)
    block = rows["block"].to_numpy(dtype=object)
    key = np.empty(count, dtype=np.int64)
    key[order] = np.arange(count)
    alone = block == ""
    label = np.where(alone, key, count + sorted_codes(rows["block"]))
    _, group = np.unique(label, return_inverse=True)
    groups = int(group.max()) + 1
    weight = np.maximum(rows["p_mw"].to_numpy(dtype=np.float64), 1e-12)[order]
    price = rows["price_eur_mwh"].to_numpy(dtype=np.float64)[order]
    # Sums in the order of the keys: the same bits whatever the order of the rows.
    total = np.bincount(group[order], weights=weight, minlength=groups)
    mean = np.bincount(group[order], weights=weight * price, minlength=groups) / total
    single = np.bincount(group, minlength=groups) == 1
    mean[group[order][single[group[order]]]] = price[single[group[order]]]
    # Equal prices of a block's rows are that price, whatever rounding makes of their mean.
    mean = np.round(mean, 9)
    smallest = np.full(groups, count, dtype=np.int64)
    np.minimum.at(smallest, group, key)
    rank = np.empty(groups, dtype=np.int64)
    rank[np.lexsort((smallest, mean))] = np.arange(groups)
    return rank[group]


def _exclusive(rows: pd.DataFrame) -> Ints:
    """Find the number of each row's exclusive group, -1 without."""
    if "exclusive" not in rows:
        return np.full(len(rows), -1, dtype=np.int64)
    return np.where(rows["exclusive"] == "", -1, sorted_codes(rows["exclusive"]))
