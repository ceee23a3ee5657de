"""Rules on tap changers and capacitor banks, with their grid elements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gridclear.case.cells import Faults, quoted
from gridclear.case.check_taps import check_taps, is_nothing
from gridclear.case.schema import TAPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.grid import Grid
    from gridclear.case.sheets import Sheet

_TAP_COLUMNS = (
    "tap_pos", "tap_min", "tap_max", "tap_changer_type", "tap_side", "tap_step_percent",
    "tap_dependency_table",
)  # fmt: skip
_USED = {
    "trafo": _TAP_COLUMNS,
    "trafo3w": _TAP_COLUMNS,
    "shunt": ("q_mvar", "step", "max_step", "step_dependency_table"),
}


def check_devices(sheets: Mapping[str, Sheet], grid: Grid, file: str, faults: Faults) -> None:
    """Check tap changers and capacitor banks.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    file : str
        Where the grid came from.
    faults : Faults
        Takes what is found.
    """
    changers = sheets["tap_changers"]
    for table in TAPPED:
        good = changers.good("element_type", "element")
        of_table = np.flatnonzero(good & (changers.frame["element_type"] == table).to_numpy()).tolist()
        names, known = changers.frame["element"].tolist(), grid.lookup(table)
        rows = {known[names[row]]: row for row in of_table if names[row] in known}
        check_taps(grid, table, file, faults, set(rows))
        elements = {row: _element(grid, table, index) for index, row in rows.items()}
        for row, element in elements.items():
            _check_tap_row(changers, row, element, faults)
        _check_group_steps(changers, elements, faults)
    _check_banks(sheets["capacitor_banks"], grid, faults)


def _element(grid: Grid, table: str, index: int) -> Mapping[str, Any]:
    frame = grid.tables[table]
    row = frame.index.get_loc(index)
    return {column: frame[column].to_numpy()[row] for column in _USED[table]}


def _check_tap_row(sheet: Sheet, row: int, element: Mapping[str, Any], faults: Faults) -> None:
    """One row of tap_changers against its transformer."""
    given = {name: float(sheet.frame[name].iloc[row]) for name in ("position", "tap_min", "tap_max")}
    own = {
        "position": float(element["tap_pos"]),
        "tap_min": float(element["tap_min"]),
        "tap_max": float(element["tap_max"]),
    }
    used = {name: own[name] if math.isnan(value) else value for name, value in given.items()}
    file, line = sheet.source.file, sheet.source.row(row)
    for name in ("tap_min", "tap_max"):
        if not sheet.ok[name][row]:
            return
        if math.isnan(used[name]):
            faults.add(file, line, name, "neither the row nor the grid gives it", "a whole number")
        elif used[name] != round(used[name]):
            faults.add(file, line, name, f"the grid gives {used[name]:g}", "a whole number")
    if given["tap_min"] < own["tap_min"]:
        faults.add(
            file,
            line,
            "tap_min",
            f"{given['tap_min']:g} is below the grid's {own['tap_min']:g}",
            "a part of the grid's range",
        )
    if given["tap_max"] > own["tap_max"]:
        faults.add(
            file,
            line,
            "tap_max",
            f"{given['tap_max']:g} is above the grid's {own['tap_max']:g}",
            "a part of the grid's range",
        )
    position = used["position"]
    if sheet.ok["position"][row] and math.isfinite(position):
        if position < used["tap_min"] or position > used["tap_max"]:
            what = f"position {position:g} is outside {used['tap_min']:g} to {used['tap_max']:g}"
            faults.add(file, line, "position", what, "a position within the range")
        elif position != round(position):
            faults.add(file, line, "position", f"the grid gives {position:g}", "a whole number")
    automatic = sheet.ok["mode"][row] and sheet.frame["mode"].iloc[row] == "automatic"
    by_steps = automatic and not element["tap_dependency_table"]
    if by_steps and (
        element["tap_changer_type"] == "Ideal" or is_nothing(float(element["tap_step_percent"]))
    ):
        what = "the tap changer shifts the phase only, so it cannot hold a voltage"
        faults.add(file, line, "mode", what, "fixed or optimised, or a tap changer with tap_step_percent")


def _check_group_steps(sheet: Sheet, elements: Mapping[int, Mapping[str, Any]], faults: Faults) -> None:
    """Find groups whose members can all move, but not one step together.

    Members whose steps may move the voltage in different directions are left alone: what one step of the
    group is, the model of the network says.
    """
    usable = sheet.good("mode", "position", "tap_min", "tap_max", "group")
    usable &= ((sheet.frame["group"] != "") & (sheet.frame["mode"] != "fixed")).to_numpy()
    members: dict[str, list[int]] = {}
    for row in elements:
        if usable[row]:
            members.setdefault(sheet.frame["group"].iloc[row], []).append(row)
    for group, rows in members.items():
        ways = {
            (own["tap_side"], own["tap_step_percent"] > 0, bool(own["tap_dependency_table"]))
            for own in (elements[row] for row in rows)
        }
        spans = [_steps(sheet, row, elements[row]) for row in rows]
        stuck = max(low for low, _ in spans) >= 0 >= min(high for _, high in spans)
        if len(ways) == 1 and stuck and all(low < high for low, high in spans):
            what = f"no step is left that all of group {quoted(group)} can make from where they stand"
            expected = "positions and ranges that leave one"
            faults.add(sheet.source.file, sheet.source.row(rows[0]), "group", what, expected)


def _steps(sheet: Sheet, row: int, element: Mapping[str, Any]) -> tuple[float, float]:
    """Count the steps down (negative) and up that a tap changer can make from its position."""
    position, low, high = (
        float(element[own]) if math.isnan(sheet.frame[name].iloc[row]) else float(sheet.frame[name].iloc[row])
        for name, own in (("position", "tap_pos"), ("tap_min", "tap_min"), ("tap_max", "tap_max"))
    )
    return low - position, high - position


def _check_banks(sheet: Sheet, grid: Grid, faults: Faults) -> None:
    known = grid.lookup("shunt")
    for row, name in enumerate(sheet.frame["element"].tolist()):
        if not (sheet.ok["element"][row] and name in known):
            continue
        element = _element(grid, "shunt", known[name])
        file, line = sheet.source.file, sheet.source.row(row)
        given, position = float(sheet.frame["max_step"].iloc[row]), float(sheet.frame["position"].iloc[row])
        most = float(element["max_step"]) if math.isnan(given) else given
        step = float(element["step"]) if math.isnan(position) else position
        if not sheet.ok["max_step"][row] or not sheet.ok["position"][row]:
            continue
        if most < 1:
            faults.add(
                file,
                line,
                "max_step",
                f"{quoted(name)} has no steps",
                "a whole number >= 1, here or in the grid",
            )
        elif math.isnan(position) and step != round(step):
            faults.add(file, line, "position", f"the grid gives step {step:g}", "a whole number")
        elif step > most and not (math.isfinite(given) and math.isfinite(position)):
            faults.add(
                file,
                line,
                "position",
                f"position {step:g} is above max_step = {most:g}",
                "a position from 0 to max_step",
            )
        if element["step_dependency_table"]:
            what = f"the steps of {quoted(name)} come from a table"
            faults.add(file, line, "element", what, "a shunt of equal steps: not supported yet")
        elif element["q_mvar"] == 0:
            faults.add(
                file,
                line,
                "element",
                f"a step of {quoted(name)} changes nothing (q_mvar = 0)",
                "a shunt with q_mvar",
            )
