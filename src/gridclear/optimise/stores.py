"""Storages whose active power the clearing decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.check_storage import power_range
from gridclear.case.schema import TABLES
from gridclear.case.sheets import checked_sheet
from gridclear.network.injections import element_powers
from gridclear.powerflow.offered import places

if TYPE_CHECKING:
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Stores:
    """Storages with ``p_mode`` ``optimised``; powers in p.u. as they charge, energies in p.u. hours.

    Attributes
    ----------
    element : tuple of str
    index : (store,) of int
        pandapower index in table ``storage``.
    bus : (store,) of int
        Place in the bus table.
    scheduled : (store, period)
        Charging power of the forecast, which the decided one replaces.
    least_charge, least_discharge, most_charge, most_discharge : (store, period)
        Zero where the storage has no supply.
    start, low, high, end : (store,)
        Energy at the start, its range, and the least at the end.
    charging, discharging : (store,)
        Efficiencies.
    """

    element: tuple[str, ...]
    index: Ints
    bus: Ints
    scheduled: Floats
    least_charge: Floats
    least_discharge: Floats
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

    def number(self, kind: str, index: int) -> int:
        """Find the number of an element of the grid among the storages that are decided, else -1."""
        found = np.flatnonzero(self.index == index) if kind == "storage" else self.index[:0]
        return int(found[0]) if len(found) else -1

    def columns(self, store: int, period: int) -> Ints:
        """Columns of charging and discharging of a storage in a period; none if its number is -1."""
        count, periods = self.scheduled.shape
        own = store * periods + period
        return np.array([own, own + count * periods] if store >= 0 else [], dtype=np.int64)

    def reach(self, store: int, period: int) -> Floats:
        """Largest charging and discharging power of a storage in a period; none if its number is -1."""
        most = (self.most_charge, self.most_discharge) if store >= 0 else ()
        return np.array([power[store, period] for power in most])

    def energy(self, charge: Floats, discharge: Floats, hours: float) -> Floats:
        """Energy at the end of every period of so many hours, (store, period)."""
        gained = self.charging[:, None] * charge - discharge / self.discharging[:, None]
        return np.asarray(self.start[:, None] + hours * np.cumsum(gained, axis=1))


def resolve_stores(compiled: CompiledCase, mode: str | None = "optimised") -> Stores:
    """Find the storages that are to be decided.

    Parameters
    ----------
    compiled : CompiledCase
    mode : str or None
        Their ``p_mode``; None: no storage is.

    Returns
    -------
    Stores
    """
    case, base = compiled.case, compiled.s_base_mva
    rows = case.storage[case.storage["p_mode"] == mode].assign(element_type="storage")
    count, periods = len(rows), len(compiled.topology)
    lookup, frame = case.grid.lookup("storage"), case.grid.tables["storage"]
    index = np.array([lookup[name] for name in rows["element"]], dtype=np.int64)
    place = frame.index.get_indexer(pd.Index(index))
    every = rows.iloc[np.arange(count).repeat(periods)]
    bus, connected, _ = places(compiled, every, np.tile(np.arange(periods), count))
    works = connected.reshape(count, periods)
    p = element_powers(case, "storage")[0][:, place].T / base
    sheets = {name: checked_sheet(TABLES[name], case.table(name)) for name in ("storage", "inverters")}
    low, high = (end[place] / base for end in power_range(sheets, case.grid))

    def number(column: str, default: float) -> Floats:
        values = rows[column].to_numpy(dtype=np.float64)
        return np.where(np.isnan(values), default, values)

    return Stores(
        element=tuple(rows["element"]),
        index=index,
        bus=bus.reshape(count, periods)[:, 0],
        scheduled=np.where(works, p, 0.0),
        least_charge=np.where(works, np.maximum(low, 0.0)[:, None], 0.0),
        least_discharge=np.where(works, np.maximum(-high, 0.0)[:, None], 0.0),
        most_charge=np.where(works, np.maximum(high, 0.0)[:, None], 0.0),
        most_discharge=np.where(works, np.maximum(-low, 0.0)[:, None], 0.0),
        start=number("e_start_mwh", 0.0) / base,
        low=number("e_min_mwh", 0.0) / base,
        high=number("e_max_mwh", np.inf) / base,
        end=number("e_end_min_mwh", -np.inf) / base,
        charging=number("efficiency_charge", 1.0),
        discharging=number("efficiency_discharge", 1.0),
    )
