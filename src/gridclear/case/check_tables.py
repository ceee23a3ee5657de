"""Rules that a table keeps by itself: keys, pairs of columns, and how it lies in the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.case.cells import Faults, Flags, is_empty, quoted, say
from gridclear.case.horizon import Horizon, resolution_text, stamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.sheets import Sheet

Codes = np.ndarray[Any, np.dtype[np.int64]]

#: Pairs of columns of which the first may not exceed the second.
RISING = {
    "connection_points": (("p_min_mw", "p_max_mw"), ("q_min_mvar", "q_max_mvar")),
    "tap_changers": (("tap_min", "tap_max"), ("moves_today", "max_moves_day")),
    "storage": (
        ("p_min_mw", "p_max_mw"),
        ("e_min_mwh", "e_max_mwh"),
        ("e_min_mwh", "e_start_mwh"),
        ("e_start_mwh", "e_max_mwh"),
        ("e_end_min_mwh", "e_max_mwh"),
    ),
    "capacitor_banks": (("position", "max_step"), ("moves_today", "max_moves_day")),
    "capability_curves": (("q_min_mvar", "q_max_mvar"),),
    "active_bids": (("min_p_mw", "p_mw"),),
    "reactive_bids": (("min_q_mvar", "q_mvar"),),
}


def check_tables(sheets: Mapping[str, Sheet], horizon: Horizon | None, faults: Faults) -> None:
    """Check every table without looking at the grid.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    horizon : Horizon or None
        None if it could not be read: stamps are then not compared with it.
    faults : Faults
        Takes what is found.
    """
    for name, sheet in sheets.items():
        if not len(sheet.frame):
            continue
        if sheet.table.key:
            _check_key(sheet, sheet.table.key, faults)
        for low, high in RISING.get(name, ()):
            _check_rising(sheet, low, high, faults)
        if horizon is not None and "start" in sheet.ok and name != "outages":
            _check_stamps(sheet, horizon, faults)
            if sheet.table.ordered == "complete":
                _check_complete(sheet, horizon, faults)
    _check_key(sheets["connection_points"], ("element",), faults)
    _check_apparent(sheets["connection_points"], faults)
    _check_bid_elements(sheets["active_bids"], faults)
    _check_automatic(sheets["tap_changers"], faults)
    _check_groups(sheets["tap_changers"], faults)
    _check_intervals(sheets["outages"], horizon, faults)


def codes_of(sheet: Sheet, columns: tuple[str, ...]) -> Codes:
    """Give each distinct combination of some columns a number, (row,)."""
    codes: Codes = np.zeros(len(sheet.frame), dtype=np.int64)
    for column in columns:
        values = sheet.frame[column]
        given = pd.DatetimeIndex(values).asi8 if column in ("start", "end") else values
        part, uniques = pd.factorize(given)
        codes = np.asarray(pd.factorize(codes * (len(uniques) + 1) + part)[0], dtype=np.int64)
    return codes


def _check_key(sheet: Sheet, key: tuple[str, ...], faults: Faults) -> None:
    good = np.flatnonzero(sheet.good(*key))
    if len(good) <= 1:
        return
    codes = codes_of(sheet, key)[good]
    doubled = pd.Series(codes).duplicated().to_numpy()
    if not doubled.any():
        return
    rows = good.tolist()
    first = dict(zip(codes[::-1].tolist(), rows[::-1], strict=True))
    earlier = {row: first[code] for row, code in zip(rows, codes.tolist(), strict=True)}
    where = np.zeros(len(sheet.frame), dtype=bool)
    where[good[doubled]] = True
    shown = [column for column in key if column != "element_type"]

    def what(row: int) -> str:
        cells = (cell for column in shown if not is_empty(cell := sheet.frame[column].iloc[row]))
        named = ", ".join(
            stamp_text(cell) if isinstance(cell, pd.Timestamp) else quoted(cell) for cell in cells
        )
        return f"{named} is there twice, first in row {sheet.source.row(earlier[row])}"

    faults.rows(sheet.source, where, shown[0], what, "one row per " + ", ".join(key))


def _check_rising(sheet: Sheet, low: str, high: str, faults: Faults) -> None:
    below, above = sheet.frame[low].to_numpy(), sheet.frame[high].to_numpy()
    wrong = sheet.filled(low) & sheet.filled(high) & (below > above)
    what = say(f"{low} = {{:.12g}} is above {high} = {{:.12g}}", below, above)
    faults.rows(sheet.source, wrong, low, what, f"{low} <= {high}")


def _check_apparent(sheet: Sheet, faults: Faults) -> None:
    """Find points whose least exchange, P and Q together, is above their apparent power."""
    right = sheet.filled("s_max_mva")
    least = []
    for low, high in RISING["connection_points"]:
        below, above = (sheet.frame[column].to_numpy() for column in (low, high))
        right &= sheet.good(low, high) & ~(below > above)
        least.append(np.fmax(np.fmax(below, -above), 0.0))
    apparent, most = np.hypot(*least), sheet.frame["s_max_mva"].to_numpy()
    what = say("{:.12g} is below the {:.12g} MVA that the least P and Q make", most, apparent)
    faults.rows(sheet.source, right & (apparent > most), "s_max_mva", what, "limits that leave an exchange")


def _check_stamps(sheet: Sheet, horizon: Horizon, faults: Faults) -> None:
    stamps = pd.DatetimeIndex(sheet.frame["start"])
    wrong = sheet.ok["start"] & (horizon.position(stamps) < 0)
    if not wrong.any():
        return
    outside = np.asarray((stamps < horizon.start) | (stamps >= horizon.end), dtype=bool)
    every = f"every {resolution_text(horizon.resolution)}"
    expected = (
        f"the start of a period: {stamp_text(horizon.start)}, then {every}, before {stamp_text(horizon.end)}"
    )
    what = say("{:%Y-%m-%dT%H:%M:%SZ} is outside the horizon", stamps)
    faults.rows(sheet.source, wrong & outside, "start", what, expected)
    what = say("{:%Y-%m-%dT%H:%M:%SZ} is not the start of a period", stamps)
    faults.rows(sheet.source, wrong & ~outside, "start", what, expected)


def _check_complete(sheet: Sheet, horizon: Horizon, faults: Faults) -> None:
    """Each element has each period (once: that is the key), later periods in later rows.

    Rows with other faults count as far as they say which element and period they are for.
    """
    named = (sheet.frame["element"] != "").to_numpy()
    position = horizon.position(sheet.frame["start"])
    rows = np.flatnonzero(named & (position >= 0))
    element = codes_of(sheet, ("element_type", "element"))
    order = rows[np.argsort(element[rows], kind="stable")]
    code, place = element[order], position[order]
    back = np.zeros(len(sheet.frame), dtype=bool)
    back[order[1:][(code[1:] == code[:-1]) & (place[1:] < place[:-1])]] = True
    what = say("{}: the stamp is earlier than that of its row before", sheet.frame["element"])
    faults.rows(sheet.source, back, "start", what, "the stamps of an element in ascending order")
    # A wrong stamp has been reported; the period that it was meant for is not reported again as a gap.
    lost = np.bincount(element[named & (position < 0)], minlength=1)
    _check_gaps(sheet, horizon, rows[np.lexsort((position[rows], element[rows]))], element, lost, faults)


def _check_gaps(
    sheet: Sheet, horizon: Horizon, rows: Codes, element: Codes, lost: Codes, faults: Faults
) -> None:
    """Name the first gap of each element.

    ``rows`` is sorted by element and period; ``lost`` counts the rows without a right stamp by element.
    """
    position = horizon.position(sheet.frame["start"])
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = (element[rows][1:] != element[rows][:-1]) | (position[rows][1:] != position[rows][:-1])
    rows = rows[fresh]
    first = np.flatnonzero(np.r_[True, element[rows][1:] != element[rows][:-1]]) if len(rows) else rows
    bounds = np.r_[first, len(rows)]
    what: dict[int, str] = {}
    for number in np.flatnonzero(np.diff(bounds) < horizon.periods).tolist():
        mine = rows[bounds[number] : bounds[number + 1]]
        missing = horizon.periods - len(mine)
        code = int(element[mine[0]])
        if missing > (int(lost[code]) if code < len(lost) else 0):
            late = np.flatnonzero(position[mine] != np.arange(len(mine)))
            gap = int(late[0]) if len(late) else len(mine)
            name = quoted(sheet.frame["element"].iloc[mine[0]])
            what[int(mine[min(gap, len(mine) - 1)])] = (
                f"{name} has no row for {missing} of {horizon.periods} periods,"
                f" the first is {stamp_text(horizon.start + horizon.resolution * gap)}"
            )
    where = np.zeros(len(sheet.frame), dtype=bool)
    where[list(what)] = True
    faults.rows(sheet.source, where, "start", lambda row: what[row], "a row for every period")


def _check_bid_elements(sheet: Sheet, faults: Faults) -> None:
    kind, name = sheet.frame["element_type"], sheet.frame["element"]
    has_kind, has_name = (kind != "").to_numpy(), (name != "").to_numpy()
    good = sheet.good("element", "element_type")
    what = say("element {} is given without its element_type", name)
    expected = sheet.table.column("element_type").expectation
    faults.rows(sheet.source, good & has_name & ~has_kind, "element_type", what, expected)
    what = say("element_type {} is given without an element", kind)
    expected = "the name of the element, or both cells empty for a bid connected to transmission"
    faults.rows(sheet.source, good & has_kind & ~has_name, "element", what, expected)


def _check_automatic(sheet: Sheet, faults: Faults) -> None:
    automatic = sheet.ok["mode"] & (sheet.frame["mode"] == "automatic").to_numpy()
    for column in ("vm_set_pu", "deadband_pu"):
        lacking = automatic & sheet.ok[column] & sheet.frame[column].isna().to_numpy()
        expected = sheet.table.column(column).expectation
        faults.rows(sheet.source, lacking, column, say("an automatic tap changer has none"), expected)


def _check_groups(sheet: Sheet, faults: Faults) -> None:
    """Compare the rows of a group: transformers that move together have one regulator and one count."""
    grouped = sheet.ok["group"] & (sheet.frame["group"] != "").to_numpy()
    groups = sheet.frame["group"].tolist()
    for column in ("mode", "vm_set_pu", "deadband_pu", "max_moves", "max_moves_day", "moves_today"):
        stated = sheet.frame[column]
        cells = (stated.fillna(0.0) if column == "moves_today" else stated).astype(object)
        values = cells.where(cells.notna(), "nothing").tolist()
        first: dict[str, int] = {}
        for row in np.flatnonzero(grouped & sheet.ok[column]).tolist():
            other = first.setdefault(groups[row], row)
            if values[other] != values[row]:
                what = f"{values[row]} differs from {values[other]} of the same group {quoted(groups[row])}"
                faults.add(sheet.source.file, sheet.source.row(row), column, what, "one setting per group")


def _check_intervals(sheet: Sheet, horizon: Horizon | None, faults: Faults) -> None:
    start, end = pd.DatetimeIndex(sheet.frame["start"]), pd.DatetimeIndex(sheet.frame["end"])
    good = sheet.good("start", "end")
    empty = good & np.asarray(end <= start, dtype=bool)
    what = say("the end {:%Y-%m-%dT%H:%M:%SZ} is not after the start", end)
    faults.rows(sheet.source, empty, "end", what, "end > start")
    for column, stamps in (("start", start), ("end", end)):
        if horizon is not None:
            within = np.asarray((stamps > horizon.start) & (stamps < horizon.end), dtype=bool)
            split = sheet.ok[column] & within & (horizon.position(stamps) < 0)
            what = say("{:%Y-%m-%dT%H:%M:%SZ} is in the middle of a period", stamps)
            faults.rows(sheet.source, split, column, what, "a moment at which a period starts or ends")
    _check_states(sheet, faults)
    _check_contradictions(sheet, good & ~empty, faults)


def _check_states(sheet: Sheet, faults: Faults) -> None:
    kind, state = sheet.frame["element_type"], sheet.frame["state"]
    is_switch, of_switch = (kind == "switch").to_numpy(), state.isin(["open", "closed"]).to_numpy()
    wrong = sheet.good("element_type", "state") & (is_switch != of_switch)
    what = say("{} is no state of a {}", state, kind)
    expected = "open or closed for a switch, out or in for anything else"
    faults.rows(sheet.source, wrong, "state", what, expected)


def _check_contradictions(sheet: Sheet, good: Flags, faults: Faults) -> None:
    usable = np.flatnonzero(good & sheet.good("element_type", "element", "state"))
    starts, ends = (pd.DatetimeIndex(sheet.frame[column]).asi8 for column in ("start", "end"))
    states = sheet.frame["state"].tolist()
    element = codes_of(sheet, ("element_type", "element"))
    latest: dict[tuple[int, str], tuple[int, int]] = {}  # (element, state) → (until, row)
    for row in usable[np.lexsort((usable, starts[usable], element[usable]))].tolist():
        mine, begin, until = int(element[row]), int(starts[row]), int(ends[row])
        for state in ("out", "in", "open", "closed"):
            held, other = latest.get((mine, state), (begin, row))
            if state != states[row] and held > begin:
                there = sheet.source.row(other)
                what = f"{states[row]!r} while row {there} says {state!r} for the same element and time"
                faults.add(sheet.source.file, sheet.source.row(row), "state", what, "one state at a time")
        latest[mine, states[row]] = max(latest.get((mine, states[row]), (until, row)), (until, row))
