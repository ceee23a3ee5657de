"""Rules on the forecast error: scenarios that are whole, quantiles that rise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.cells import quoted
from gridclear.case.check_tables import Codes, codes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults, Flags
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet


def check_uncertainty(
    sheets: Mapping[str, Sheet], grid: Grid | None, horizon: Horizon | None, faults: Faults
) -> None:
    """Check the tables of the forecast error.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid, horizon
        None if they could not be read: what hangs on them is left unchecked.
    faults : Faults
        Takes what is found.
    """
    scenarios, quantiles = sheets["forecast_scenarios"], sheets["forecast_quantiles"]
    if len(scenarios.frame) and len(quantiles.frame):
        what = f"the forecast error is in {scenarios.source.file}, too"
        faults.add(quantiles.source.file, "", "", what, "scenarios or quantiles, not both")
    for sheet in (scenarios, quantiles):
        if grid is not None and len(sheet.frame):
            _check_names(sheet, grid, faults)
    _check_rising(quantiles, faults)
    if horizon is not None:
        _check_scenarios(scenarios, horizon, faults)
        _check_quantiles(quantiles, horizon, faults)


def _check_names(sheet: Sheet, grid: Grid, faults: Faults) -> None:
    """One element under two names would have two errors."""
    names = sheet.frame[["element_type", "element"]][sheet.good("element_type", "element")].drop_duplicates()
    first: dict[tuple[str, int], str] = {}
    for row, kind, name in zip(names.index, names["element_type"], names["element"], strict=True):
        index = grid.lookup(kind).get(name) if kind in grid.tables else None
        if index is not None and (other := first.setdefault((kind, index), name)) != name:
            what = f"{quoted(name)} and {quoted(other)} are the same {kind}"
            faults.add(sheet.source.file, sheet.source.row(row), "element", what, "one name per element")


def _check_rising(sheet: Sheet, faults: Faults) -> None:
    probabilities, powers = (sheet.frame[column].to_numpy() for column in ("probability", "p_mw"))
    good = np.flatnonzero(sheet.good("element_type", "element", "start", "probability", "p_mw"))
    cell = codes_of(sheet, ("element_type", "element", "start"))[good]
    probability, power = probabilities[good], powers[good]
    order = np.lexsort((probability, cell))
    falls = (cell[order][1:] == cell[order][:-1]) & (power[order][1:] < power[order][:-1])
    lower = dict(zip(good[order[1:][falls]].tolist(), good[order[:-1][falls]].tolist(), strict=True))

    def what(row: int) -> str:
        return (
            f"{powers[row]:.12g} is below the {powers[lower[row]]:.12g}"
            f" of probability {probabilities[lower[row]]:.12g}"
        )

    where = np.zeros(len(sheet.frame), dtype=bool)
    where[list(lower)] = True
    faults.rows(sheet.source, where, "p_mw", what, "a p_mw that does not fall as the probability rises")


def _check_scenarios(sheet: Sheet, horizon: Horizon, faults: Faults) -> None:
    names = pd.Index(sheet.frame["scenario"][sheet.ok["scenario"]].unique())
    scenario = names.get_indexer(pd.Index(sheet.frame["scenario"]))
    period = horizon.position(sheet.frame["start"])
    good = sheet.ok["scenario"] & (period >= 0)
    lacking = _lacking(sheet, good, scenario * horizon.periods + period, len(names) * horizon.periods, 1)

    def what(row: int) -> str:
        first, period = divmod(int(lacking[row][0]), horizon.periods)
        return (
            f"{quoted(sheet.frame['element'].iloc[row])} has no row for {len(lacking[row])} of"
            f" {len(names)} scenarios x {horizon.periods} periods, the first is {quoted(names[first])} at"
            f" {_utc(horizon, period)}"
        )

    where = np.zeros(len(sheet.frame), dtype=bool)
    where[list(lacking)] = True
    faults.rows(sheet.source, where, "scenario", what, "a row for every scenario and period")


def _check_quantiles(sheet: Sheet, horizon: Horizon, faults: Faults) -> None:
    period = horizon.position(sheet.frame["start"])
    good = sheet.ok["probability"] & (period >= 0)
    lacking = _lacking(sheet, good, period, horizon.periods, 2)

    def what(row: int) -> str:
        return (
            f"{quoted(sheet.frame['element'].iloc[row])} has fewer than two quantiles for"
            f" {len(lacking[row])} of {horizon.periods} periods, the first is"
            f" {_utc(horizon, int(lacking[row][0]))}"
        )

    where = np.zeros(len(sheet.frame), dtype=bool)
    where[list(lacking)] = True
    faults.rows(sheet.source, where, "probability", what, "at least two quantiles for every period")


def _lacking(sheet: Sheet, good: Flags, cell: Codes, cells: int, least: int) -> dict[int, Codes]:
    """First row of each element that has fewer than ``least`` rows in some cell → those cells.

    An element of which a row has another fault is passed over: what that row was meant for is not known.
    """
    named = sheet.good("element_type", "element")
    element = codes_of(sheet, ("element_type", "element"))
    spoilt = np.unique(element[~(named & good)])
    rows = np.flatnonzero(~np.isin(element, spoilt))
    order = rows[np.argsort(element[rows], kind="stable")]
    found: dict[int, Codes] = {}
    for mine in np.split(order, np.flatnonzero(np.diff(element[order])) + 1):
        few = np.flatnonzero(np.bincount(cell[mine], minlength=cells) < least)
        if len(mine) and len(few):
            found[int(mine[0])] = few
    return found


def _utc(horizon: Horizon, period: int) -> str:
    return f"{horizon.starts[period]:%Y-%m-%dT%H:%M:%SZ}"
