"""Storage: energies that it can keep and reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import quoted
from gridclear.case.check_offers import element_places, planned_by_period, storage_limits
from gridclear.case.check_tables import RISING
from gridclear.case.horizon import stamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults, Flags, Floats
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet

_TOLERANCE_MWH = 1e-6
_ENERGIES = ("e_min_mwh", "e_max_mwh", "e_start_mwh", "e_end_min_mwh")

#: Takes the column, what is wrong and what would be right.
_Tell = Callable[[str, str, str], None]


@dataclass(frozen=True)
class _Store:
    """Energies in MWh, e_start NaN where it is unknown, and efficiencies."""

    name: str
    e_min: float
    e_max: float
    e_start: float
    e_end_min: float
    charge: float
    discharge: float

    def gain(self, p_mw: Floats, hours: float) -> Floats:
        """MWh that periods of a power bring, charging positive."""
        return energy_gain(p_mw, hours, self.charge, self.discharge)


def energy_gain(p_mw: Floats, hours: float, charge: float, discharge: float) -> Floats:
    """MWh that periods of a power bring a storage.

    Parameters
    ----------
    p_mw : array
        Charging is positive.
    hours : float
        Length of a period.
    charge, discharge : float
        Efficiencies.
    """
    gain: Floats = hours * np.where(p_mw > 0.0, charge * p_mw, p_mw / discharge)
    return gain


def check_storage(sheets: Mapping[str, Sheet], grid: Grid, horizon: Horizon, faults: Faults) -> None:
    """Check what storages are to do against the energy that they hold.

    One whose active power is ``optimised`` has to be able to stay within its energies and to reach its end
    level. The forecast of one that is ``scheduled`` has to do so where ``e_start_mwh`` is given.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    horizon : Horizon
    faults : Faults
        Takes what is found.
    """
    sheet, frame = sheets["storage"], sheets["storage"].frame
    place = element_places(sheet, grid, "storage")
    columns = (*_ENERGIES, "p_min_mw", "p_max_mw", "s_max_mva", "efficiency_charge", "efficiency_discharge")
    good = sheet.good(*columns, "p_mode") & (place >= 0)
    for least, most in RISING["storage"]:  # columns that contradict each other have been reported
        good &= ~(frame[least] > frame[most]).to_numpy()
    rows = np.flatnonzero(good).tolist()
    low, high = power_range(sheets, grid)
    planned = planned_by_period(sheets["forecast"], grid, "storage", horizon, place[rows])
    optimised, idle = optimised_storage(sheet, grid), _may_be_idle(sheets["outages"], grid)
    for row, p_mw in zip(rows, planned, strict=True):
        stated = [float(frame[column].iloc[row]) for column in (*_ENERGIES, *columns[-2:])]
        defaults = (0.0, math.inf, math.nan, -math.inf, 1.0, 1.0)
        used = (d if math.isnan(value) else value for value, d in zip(stated, defaults, strict=True))
        store = _Store(str(frame["element"].iloc[row]), *used)
        element = int(place[row])

        def tell(column: str, what: str, expected: str, row: int = row) -> None:
            faults.add(sheet.source.file, sheet.source.row(row), column, what, expected)

        if optimised[element]:
            power = float(low[element]), float(high[element])
            _check_reach(store, power, horizon, tell, idles=bool(idle[element]))
        elif not idle[element]:
            _check_schedule(store, p_mw, horizon, tell)


def power_range(sheets: Mapping[str, Sheet], grid: Grid) -> tuple[Floats, Floats]:
    """Least and most power of storages in MW, charging positive, (element,) each; NaN where none is stated.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    """
    low, high = (limit.mw for limit in storage_limits(sheets["storage"], grid))
    for name in ("storage", "inverters"):
        apparent = rated_storage(sheets[name], grid)
        low, high = np.fmax(low, -apparent), np.fmin(high, apparent)
    return low, high


def rated_storage(sheet: Sheet, grid: Grid) -> Floats:
    """Apparent power of storages in MVA by one table, (element,); NaN where it states none."""
    place = element_places(sheet, grid, "storage")
    rows = sheet.filled("s_max_mva") & (place >= 0)
    rated = np.full(len(grid.tables["storage"]), np.nan)
    rated[place[rows]] = sheet.frame["s_max_mva"].to_numpy()[rows]
    return rated


def optimised_storage(sheet: Sheet, grid: Grid) -> Flags:
    """Storages whose active power is to be decided, (element,)."""
    rows = sheet.ok["p_mode"] & (sheet.frame["p_mode"] == "optimised").to_numpy()
    place = element_places(sheet, grid, "storage")
    found = np.zeros(len(grid.tables["storage"]), dtype=bool)
    found[place[rows & (place >= 0)]] = True
    return found


def _may_be_idle(outages: Sheet, grid: Grid) -> Flags:
    """Storages that are out of service in some period, or may be, (element,)."""
    idle = ~grid.tables["storage"]["in_service"].to_numpy(dtype=bool)
    place = element_places(outages, grid, "storage")
    idle[place[place >= 0]] = True
    return idle


def _check_reach(
    store: _Store, power: tuple[float, float], horizon: Horizon, tell: _Tell, *, idles: bool
) -> None:
    """Follow the lowest and the highest energy that can be reached with a least and a most power in MW."""
    least, most = power
    if math.isnan(store.e_start):
        what = "the energy at the start is unknown, but the active power is to be optimised"
        tell("e_start_mwh", what, "a number, or p_mode = scheduled")
        return
    for column, end in (("p_min_mw", least), ("p_max_mw", most)):
        if math.isnan(end):
            what = "neither the row nor the grid says it, but the active power is to be optimised"
            tell(column, what, "a number, here or as s_max_mva, or sn_mva of the grid")
    if least > most:
        what = f"no power is left: at least {least:.12g} MW, at most {most:.12g} MW"
        tell("p_min_mw", what, "limits of p and s_max_mva that some power keeps")
        return
    if math.isnan(least + most):
        return
    if idles:
        least, most = min(least, 0.0), max(most, 0.0)
    down, up = (float(gain) for gain in store.gain(np.array([least, most]), horizon.hours))
    low = high = store.e_start
    for period in range(horizon.periods):
        low, high = max(low + down, store.e_min), min(high + up, store.e_max)
        if high < store.e_min - _TOLERANCE_MWH or low > store.e_max + _TOLERANCE_MWH:
            column, bound = ("p_max_mw", "e_min_mwh") if high < store.e_min else ("p_min_mw", "e_max_mwh")
            when = stamp_text(horizon.starts[period] + horizon.resolution)
            what = f"whatever it does, the energy passes {bound} by {when}"
            tell(column, what, "powers between which the energy can be kept")
            return
    if high < store.e_end_min - _TOLERANCE_MWH:
        what = f"{store.e_end_min:.12g} is out of reach: charging all the time ends at {high:.12g} MWh"
        tell("e_end_min_mwh", what, f"e_end_min_mwh <= {high:.12g}")


def _check_schedule(store: _Store, p_mw: Floats, horizon: Horizon, tell: _Tell) -> None:
    """Follow the energy that the forecast makes of the one at the start."""
    if math.isnan(store.e_start):
        return
    energy = store.e_start + np.cumsum(store.gain(p_mw, horizon.hours))
    expected = "a forecast that the energy allows, or no e_start_mwh"
    for column, bound, beyond in (
        ("e_min_mwh", store.e_min, store.e_min - energy),
        ("e_max_mwh", store.e_max, energy - store.e_max),
    ):
        if (beyond > _TOLERANCE_MWH).any():
            period = int((beyond > _TOLERANCE_MWH).argmax())
            when = stamp_text(horizon.starts[period] + horizon.resolution)
            what = (
                f"the forecast of {quoted(store.name)} leads to {energy[period]:.12g} MWh by {when},"
                f" beyond {bound:.12g}"
            )
            tell(column, what, expected)
            return
    if energy[-1] < store.e_end_min - _TOLERANCE_MWH:
        what = f"the forecast of {quoted(store.name)} ends at {energy[-1]:.12g} MWh"
        tell("e_end_min_mwh", what, f"e_end_min_mwh <= {energy[-1]:.12g}, or another forecast")
