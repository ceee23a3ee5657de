"""Reactive bids against their elements: nobody can offer more than the element can ever give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import quoted, say
from gridclear.case.check_bids import first_rows, named_rows
from gridclear.case.check_offers import TOLERANCE_MW, Limit, element_places, planned_power
from gridclear.case.check_tables import codes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet

#: Grid tables whose reactive power can be bid, with the sign of an injection in their own.
_SIGNS = {"load": -1.0, "sgen": 1.0, "storage": -1.0}
#: Tables that state the capability of an element, by its grid table.
_STATED_IN = {"sgen": ("inverters",), "storage": ("storage", "inverters")}


def check_reactive(sheets: Mapping[str, Sheet], grid: Grid, horizon: Horizon, faults: Faults) -> None:
    """Check reactive bids: their elements, their blocks, and, each by itself, their size.

    A bid is too large if it passes what the apparent power or the curve of its inverter allows at any active
    power. The band of the power factor moves with the active power: it is left to the clearing.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    horizon : Horizon
    faults : Faults
        Takes what is found.
    """
    bids = sheets["reactive_bids"]
    if not len(bids.frame):
        return
    of_gen = bids.ok["element_type"] & (bids.frame["element_type"] == "gen").to_numpy()
    what = say("{} is a gen: it holds its voltage, so its reactive power is not free", bids.frame["element"])
    faults.rows(bids.source, of_gen, "element", what, "a load, sgen or storage")
    _check_blocks(bids, grid, faults)
    for table in _STATED_IN:
        _check_size(sheets, grid, table, horizon, faults)


def _check_blocks(bids: Sheet, grid: Grid, faults: Faults) -> None:
    """Find blocks in which a bid changes its element, or an element takes back what it gives."""
    element = np.full(len(bids.frame), -1)
    for number, table in enumerate(_SIGNS):
        place = element_places(bids, grid, table)
        element = np.where(place >= 0, number + len(_SIGNS) * place, element)
    linked = named_rows(bids, "block") & (element >= 0)
    names, directions = bids.frame["element"], bids.frame["direction"].to_numpy()
    of_bid = first_rows(codes_of(bids, ("block", "bid")), linked & bids.ok["bid"])

    def moved(row: int) -> str:
        there = int(of_bid[row])
        return f"row {bids.source.row(there)} of the same bid and block is on {quoted(names.iloc[there])}"

    expected = "one element per bid of a block"
    faults.rows(bids.source, element != element[of_bid], "element", moved, expected)
    placed = codes_of(bids, ("block", "start")) * (element.max() + 1) + element
    of_element = first_rows(placed, linked & bids.good("start", "direction"))

    def turned(row: int) -> str:
        there = bids.source.row(int(of_element[row]))
        return f"it takes back what row {there} of the same block, element and period gives"

    expected = "one direction per element and period of a block"
    faults.rows(bids.source, directions != directions[of_element], "direction", turned, expected)


def _check_size(
    sheets: Mapping[str, Sheet], grid: Grid, table: str, horizon: Horizon, faults: Faults
) -> None:
    """Find bids beyond what their element could ever inject or absorb."""
    bids = sheets["reactive_bids"]
    element, position = element_places(bids, grid, table), horizon.position(bids.frame["start"])
    good = bids.good("start", "direction", "q_mvar") & (element >= 0) & (position >= 0)
    rows = np.flatnonzero(good)
    mine = element[rows]
    planned, end, room = (np.full(len(good), np.nan) for _ in range(3))
    own = planned_power(sheets["forecast"], grid, table, horizon, mine, position[rows], "q_mvar")[0]
    planned[rows] = _SIGNS[table] * own
    least, most = _reach(sheets, grid, table)
    injects = (bids.frame["direction"] == "inject").to_numpy()
    end[rows] = np.where(injects[rows], most.mw[mine], least.mw[mine])
    room = np.maximum(np.where(injects, end - planned, planned - end), 0.0)
    offered = bids.frame["q_mvar"].to_numpy()

    def what(row: int) -> str:
        verb, name = bids.frame["direction"].iloc[row], quoted(bids.frame["element"].iloc[row])
        return f"{offered[row]:.12g} Mvar {verb} is more than {table} {name} can do in that period"

    def expected(row: int) -> str:
        stated = (most if injects[row] else least).source[element[row]]
        way = f"injects {planned[row]:.12g} Mvar and ends at {end[row]:.12g} Mvar ({stated})"
        return f"q_mvar <= {room[row]:.12g}: it {way}"

    faults.rows(bids.source, offered > room + TOLERANCE_MW, "q_mvar", what, expected)


def _reach(sheets: Mapping[str, Sheet], grid: Grid, table: str) -> tuple[Limit, Limit]:
    """Least and most reactive power that elements of a table could ever inject, in Mvar."""
    size = len(grid.tables[table])
    least, most = np.full(size, -np.inf), np.full(size, np.inf)
    by_least, by_most = (np.full(size, "", dtype=object) for _ in range(2))

    def take(element: int, low: float, high: float, source: str) -> None:
        if low > least[element]:
            least[element], by_least[element] = low, source
        if high < most[element]:
            most[element], by_most[element] = high, source

    for name in _STATED_IN[table]:
        sheet, place = sheets[name], element_places(sheets[name], grid, table)
        for row in np.flatnonzero((place >= 0) & sheet.filled("s_max_mva")).tolist():
            apparent = float(sheet.frame["s_max_mva"].iloc[row])
            take(place[row], -apparent, apparent, f"s_max_mva of table {name}")
    inverters, ends = sheets["inverters"], _curve_ends(sheets["capability_curves"])
    place = element_places(inverters, grid, table)
    for row in np.flatnonzero((place >= 0) & named_rows(inverters, "curve")).tolist():
        curve = inverters.frame["curve"].iloc[row]
        if curve in ends:
            take(place[row], *ends[curve], f"curve {quoted(curve)}")
    return Limit(least, by_least), Limit(most, by_most)


def _curve_ends(curves: Sheet) -> dict[str, tuple[float, float]]:
    """Least and most reactive power of each curve without a fault."""
    spoilt = ~curves.good("p_mw", "q_min_mvar", "q_max_mvar")
    right = curves.frame[~curves.frame["curve"].isin(curves.frame["curve"][spoilt])]
    return {
        str(curve): (float(points["q_min_mvar"].min()), float(points["q_max_mvar"].max()))
        for curve, points in right.groupby("curve")
    }
