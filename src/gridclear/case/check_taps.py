"""Tap data of the grid: pandapower ignores a tap that it does not understand, and reads NaN as a position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridclear.case.cells import Faults, meant, quoted
from gridclear.case.check_grid import elements_source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pandas as pd

    from gridclear.case.grid import Grid

#: Tap changer types that pandapower 3 knows; any other text makes it ignore the tap in silence.
_TYPES = ("Ratio", "Symmetrical", "Ideal", "Tabular")
_SIDES = {"trafo": ("hv", "lv"), "trafo3w": ("hv", "mv", "lv")}
_STEP = "tap_step_percent (of an ideal phase shifter: or tap_step_degree) other than 0"
_NUMBERS = ("pos", "neutral", "min", "max", "step_percent", "step_degree")


@dataclass(frozen=True)
class _Tap:
    """Cells of one tap changer; NaN and empty texts where there is nothing."""

    kind: str
    side: str
    pos: float
    neutral: float
    min: float
    max: float
    step_percent: float
    step_degree: float
    by_table: bool
    at_star_point: bool

    @property
    def has_steps(self) -> bool:
        return not (is_nothing(self.step_percent) and is_nothing(self.step_degree))

    @property
    def is_moved(self) -> bool:
        """Off its neutral; a position alone is what a transformer without tap changer may carry."""
        away = math.isfinite(self.pos) and self.pos != self.neutral
        return away and (math.isfinite(self.neutral) or self.has_steps)

    @property
    def can_move(self) -> bool:
        """Whether there are positions to choose from."""
        return bool(self.kind) and math.isfinite(self.pos) and self.min < self.max

    @property
    def reach(self) -> float:
        """Largest change of the winding's voltage, in per cent, at any position; NaN if it is not known."""
        last = self.pos if math.isnan(self.min) or math.isnan(self.max) else self.max
        first = last if math.isnan(self.min) else self.min
        return max(abs(first - self.neutral), abs(last - self.neutral)) * abs(self.step_percent)


def check_taps(grid: Grid, table: str, file: str, faults: Faults, set_by_case: Collection[int] = ()) -> None:
    """Check the tap data of transformers where they count.

    They count where the tap stands off its neutral position or can be moved there.

    Parameters
    ----------
    grid : Grid
    table : {"trafo", "trafo3w"}
    file : str
        Where the grid came from.
    faults : Faults
        Takes what is found.
    set_by_case : collection of int
        Indices of the transformers that the case moves.
    """
    frame, source = grid.tables[table], elements_source(grid, table, file)
    for prefix in ("tap", "tap2"):
        if f"{prefix}_pos" not in frame:
            continue
        columns: list[Any] = [_words(frame, f"{prefix}_{name}") for name in ("changer_type", "side")]
        columns += [_numbers(frame, f"{prefix}_{name}") for name in _NUMBERS]
        # A table says itself what each position of the first changer does.
        for flag in ("tap_dependency_table", "tap_at_star_point"):
            columns.append(
                (frame[flag] & (prefix == "tap")).tolist() if flag in frame else [False] * len(frame)
            )
        moved = set_by_case if prefix == "tap" else ()
        for row, cells in enumerate(zip(frame.index.tolist(), *columns, strict=True)):
            tap = _Tap(*cells[1:])
            for column, what, expected in _tap_faults(tap, _SIDES[table], set_by_case=cells[0] in moved):
                faults.add(file, source.row(row), f"{prefix}_{column}", what, expected)


def _tap_faults(tap: _Tap, sides: tuple[str, ...], *, set_by_case: bool) -> Iterator[tuple[str, str, str]]:
    """Column, what is wrong, what would be right."""
    counts = set_by_case or tap.is_moved or tap.can_move
    by_steps = not (tap.by_table and math.isfinite(tap.pos))
    # pandapower turns by NaN where an ideal phase shifter leaves a cell empty, wherever it stands.
    is_read = counts or tap.by_table or (tap.kind == "Ideal" and tap.side in sides)
    if tap.kind not in _TYPES and (tap.kind or (counts and by_steps)):
        empty = "the type is empty, so the tap would be ignored"
        shown = f"{quoted(tap.kind)} is unknown{meant(tap.kind, _TYPES)}" if tap.kind else empty
        yield "changer_type", shown, "one of " + ", ".join(_TYPES)
    elif tap.kind == "Tabular" and counts and by_steps:
        yield "changer_type", "'Tabular' needs a table of its positions", "tap_dependency_table = true"
    if tap.side not in sides and (tap.side or is_read):
        empty = "the side is empty, so the tap would be ignored"
        shown = f"{quoted(tap.side)} is unknown{meant(tap.side, sides)}" if tap.side else empty
        yield "side", shown, "one of " + ", ".join(sides)
    if is_read and by_steps and not math.isfinite(tap.neutral):
        yield "neutral", "the neutral position is empty (NaN)", "a position"
    if is_read and not math.isfinite(tap.pos):
        yield "pos", "the position is empty (NaN)", "a position"
    if is_read and by_steps:
        yield from _step_faults(tap)
    for name in ("pos", "min", "max"):
        position = getattr(tap, name)
        if math.isfinite(position) and position != round(position):
            yield name, f"position {position:g} is between two taps", "a whole number"
    if tap.min > tap.max:
        yield "min", f"tap_min = {tap.min:g} is above tap_max = {tap.max:g}", "tap_min <= tap_max"
    elif tap.pos < tap.min or tap.pos > tap.max:
        what = f"position {tap.pos:g} is outside {tap.min:g} to {tap.max:g}"
        yield "pos", what, "tap_min <= tap_pos <= tap_max"


def _step_faults(tap: _Tap) -> Iterator[tuple[str, str, str]]:
    if not tap.has_steps or (tap.kind in ("Ratio", "Symmetrical") and is_nothing(tap.step_percent)):
        yield "step_percent", "a step changes nothing", _STEP
    if tap.kind == "Ideal" and not is_nothing(tap.step_percent) and not is_nothing(tap.step_degree):
        yield "step_degree", "an ideal phase shifter has a step in per cent and in degrees", "one of the two"
    # At a star point pandapower turns an ideal phase shifter by half a turn, and loses a step without angle.
    if tap.at_star_point and tap.kind == "Ideal":
        yield "at_star_point", "an ideal phase shifter cannot stand at the star point", "false"
    elif tap.at_star_point and math.isnan(tap.step_degree):
        what = "the angle is empty (NaN), so the tap at the star point would be ignored"
        yield "step_degree", what, "0, or the angle of a step"
    # Half a turn is a chord of 200 %; at -100 % nothing is left of a winding's voltage.
    most = 200.0 if tap.kind == "Ideal" else 100.0
    if tap.reach >= most:
        what = f"{tap.step_percent:g} % per step is {tap.reach:g} % at the last position"
        yield "step_percent", what, f"less than {most:g} % at every position"


def _numbers(frame: pd.DataFrame, column: str) -> list[float]:
    if column not in frame or frame[column].dtype == object:
        return [math.nan] * len(frame)
    return frame[column].astype(float).tolist()


def _words(frame: pd.DataFrame, column: str) -> list[str]:
    if column not in frame:
        return [""] * len(frame)
    return [word if isinstance(word, str) else "" for word in frame[column]]


def is_nothing(step: float) -> bool:
    """Whether a step changes nothing: NaN or 0."""
    return math.isnan(step) or step == 0.0
