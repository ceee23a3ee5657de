"""Rules on tap changers and capacitor banks, with their grid elements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gridclear.case.cells import Faults, meant, quoted
from gridclear.case.check_grid import elements_source
from gridclear.case.schema import TAPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from gridclear.case.grid import Grid
    from gridclear.case.sheets import Sheet

#: Tap changer types that pandapower 3 knows; any other text makes it ignore the tap in silence.
_TYPES = ("Ratio", "Symmetrical", "Ideal", "Tabular")
_TAP_COLUMNS = (
    "tap_pos", "tap_min", "tap_max", "tap_changer_type", "tap_step_percent", "tap_dependency_table",
)  # fmt: skip
_USED = {
    "trafo": _TAP_COLUMNS,
    "trafo3w": _TAP_COLUMNS,
    "shunt": ("q_mvar", "step", "max_step", "step_dependency_table"),
}
_SIDES = {"trafo": ("hv", "lv"), "trafo3w": ("hv", "mv", "lv")}


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
        for prefix in ("tap", "tap2"):
            if f"{prefix}_pos" in grid.tables[table]:
                _check_tap_data(grid, table, prefix, set(rows) if prefix == "tap" else set(), file, faults)
        for index, row in rows.items():
            _check_tap_row(changers, row, _element(grid, table, index), faults)
    _check_banks(sheets["capacitor_banks"], grid, faults)


def _element(grid: Grid, table: str, index: int) -> Mapping[str, Any]:
    frame = grid.tables[table]
    row = frame.index.get_loc(index)
    return {column: frame[column].to_numpy()[row] for column in _USED[table]}


def _check_tap_data(
    grid: Grid, table: str, prefix: str, set_by_case: set[int], file: str, faults: Faults
) -> None:
    """Tap data of the grid, where they count: pandapower ignores a tap that it does not understand."""
    frame, source = grid.tables[table], elements_source(grid, table, file)
    wanted = [f"{prefix}_{name}" for name in ("pos", "neutral", "min", "max", "step_percent", "step_degree")]
    numbers = {name: _numbers(frame, name) for name in wanted}
    kinds, sides = _words(frame, f"{prefix}_changer_type"), _words(frame, f"{prefix}_side")
    # A table says itself what each position does.
    tabled = frame["tap_dependency_table"].to_numpy(dtype=bool) & (prefix == "tap")
    for row, index in enumerate(frame.index.tolist()):
        position, neutral, least, most, percent, degree = (float(numbers[name][row]) for name in wanted)
        kind, side, called = kinds[row], sides[row], source.row(row)
        steps = not (_is_nothing(percent) and _is_nothing(degree))
        # A position alone, without neutral and steps, is what a transformer without tap changer may carry.
        moved = math.isfinite(position) and position != neutral and (math.isfinite(neutral) or steps)
        by_table = bool(tabled[row]) and math.isfinite(position)
        counts = index in set_by_case or moved or by_table

        def fault(column: str, what: str, expected: str, called: str = called) -> None:
            faults.add(file, called, f"{prefix}_{column}", what, expected)

        if kind not in _TYPES and (kind or (counts and not by_table)):
            shown = (
                f"{quoted(kind)} is unknown{meant(kind, _TYPES)}"
                if kind
                else "the type is empty, so the tap would be ignored"
            )
            fault("changer_type", shown, "one of " + ", ".join(_TYPES))
        elif kind == "Tabular" and counts and not by_table:
            fault("changer_type", "'Tabular' needs a table of its positions", "tap_dependency_table = true")
        if side not in _SIDES[table] and (side or counts):
            shown = (
                f"{quoted(side)} is unknown{meant(side, _SIDES[table])}"
                if side
                else "the side is empty, so the tap would be ignored"
            )
            fault("side", shown, "one of " + ", ".join(_SIDES[table]))
        if counts and not by_table and not math.isfinite(neutral):
            fault("neutral", "the neutral position is empty (NaN)", "a position")
        if index in set_by_case and not math.isfinite(position):
            fault("pos", "the position is empty (NaN)", "a position")
        if counts and not by_table and not steps:
            fault(
                "step_percent", "a step changes nothing", "tap_step_percent or tap_step_degree other than 0"
            )
        if kind == "Ideal" and not _is_nothing(percent) and not _is_nothing(degree):
            fault(
                "step_degree",
                "an ideal phase shifter has a step in per cent and in degrees",
                "one of the two",
            )
        if least > most:
            fault(
                "min",
                f"{prefix}_min = {least:g} is above {prefix}_max = {most:g}",
                f"{prefix}_min <= {prefix}_max",
            )
        elif position < least or position > most:
            fault(
                "pos",
                f"position {position:g} is outside {least:g} to {most:g}",
                f"{prefix}_min <= {prefix}_pos <= {prefix}_max",
            )


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    if column not in frame or frame[column].dtype == object:
        return np.full(len(frame), np.nan)
    return frame[column].to_numpy(dtype=np.float64)


def _words(frame: pd.DataFrame, column: str) -> list[str]:
    return (
        [word if isinstance(word, str) else "" for word in frame[column]]
        if column in frame
        else [""] * len(frame)
    )


def _is_nothing(step: float) -> bool:
    return math.isnan(step) or step == 0.0


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
        element["tap_changer_type"] == "Ideal" or _is_nothing(float(element["tap_step_percent"]))
    ):
        what = "the tap changer shifts the phase only, so it cannot hold a voltage"
        faults.add(file, line, "mode", what, "fixed or optimised, or a tap changer with tap_step_percent")


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
