"""Storages whose active power the clearing decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import CaseError, Issue
from gridclear.network.injections import element_powers
from gridclear.network.outages import bus_positions, in_service

if TYPE_CHECKING:
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Stores:
    """Storages with ``p_mode`` ``optimised``; powers in p.u. as they charge, energies in p.u. hours.

    Attributes
    ----------
    element : tuple of str
    bus : (store,) of int
        Place in the bus table.
    scheduled : (store, period)
        Charging power of the forecast, which the decided one replaces.
    most_charge, most_discharge : (store, period)
        Zero where the storage has no supply.
    start, low, high, end : (store,)
        Energy at the start, its range, and the least at the end.
    charging, discharging : (store,)
        Efficiencies.
    """

    element: tuple[str, ...]
    bus: Ints
    scheduled: Floats
    most_charge: Floats
    most_discharge: Floats
    start: Floats
    low: Floats
    high: Floats
    end: Floats
    charging: Floats
    discharging: Floats

    @property
    def count(self) -> int:
        """Number of storages."""
        return len(self.element)

    def columns(self, key: tuple[str, str], period: int, first: int, periods: int) -> Ints:
        """Columns of charging and discharging of an element in a period; none if it is not decided."""
        if key[0] != "storage" or key[1] not in self.element:
            return np.zeros(0, dtype=np.int64)
        own = first + self.element.index(key[1]) * periods + period
        return np.array([own, own + self.count * periods], dtype=np.int64)

    def reach(self, key: tuple[str, str], period: int) -> Floats:
        """Largest charging and discharging power of an element in a period; none if it is not decided."""
        if key[0] != "storage" or key[1] not in self.element:
            return np.zeros(0)
        own = self.element.index(key[1])
        return np.array([self.most_charge[own, period], self.most_discharge[own, period]])


def resolve_stores(compiled: CompiledCase) -> Stores:
    """Find the storages that are to be decided.

    Parameters
    ----------
    compiled : CompiledCase

    Returns
    -------
    Stores

    Raises
    ------
    CaseError
        A storage states no range of power, or no energy at the start.
    """
    case, base = compiled.case, compiled.s_base_mva
    rows = case.storage[case.storage["p_mode"] == "optimised"]
    needed = ("p_min_mw", "p_max_mw", "e_start_mwh", "e_max_mwh")
    issues = [
        Issue("storage", str(row["element"]), column, "is empty, and p_mode is optimised", "a number")
        for _, row in rows.iterrows()
        for column in needed
        if np.isnan(row[column])
    ]
    if issues:
        raise CaseError(tuple(issues))
    frame = case.grid.tables["storage"]
    lookup = case.grid.lookup("storage")
    place = frame.index.get_indexer(pd.Index([lookup[name] for name in rows["element"]]))
    bus = bus_positions(case.grid).loc[frame["bus"]].to_numpy()[place].astype(np.int64)
    nodes = np.stack([network.structure.node_of_bus for network in compiled.networks])
    works = (in_service(case, "storage")[:, place] & (nodes[compiled.topology][:, bus] >= 0)).T
    p = element_powers(case, "storage")[0][:, place].T / base

    def number(column: str, default: float) -> Floats:
        values = rows[column].to_numpy(dtype=np.float64)
        return np.where(np.isnan(values), default, values)

    low, high = number("p_min_mw", 0.0) / base, number("p_max_mw", 0.0) / base
    return Stores(
        element=tuple(rows["element"]),
        bus=bus,
        scheduled=np.where(works, p, 0.0),
        most_charge=np.where(works, np.maximum(high, 0.0)[:, None], 0.0),
        most_discharge=np.where(works, np.maximum(-low, 0.0)[:, None], 0.0),
        start=number("e_start_mwh", 0.0) / base,
        low=number("e_min_mwh", 0.0) / base,
        high=number("e_max_mwh", np.inf) / base,
        end=number("e_end_min_mwh", -np.inf) / base,
        charging=number("efficiency_charge", 1.0),
        discharging=number("efficiency_discharge", 1.0),
    )
