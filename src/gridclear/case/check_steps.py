"""Steps of shunts, and the tables of taps and steps: pandapower guesses what they leave out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gridclear.case.cells import Source, say
from gridclear.case.check_grid import elements_source
from gridclear.case.grid_schema import AUXILIARY_TABLES

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid

_PAIRS = ("hv", "mv", "lv")
#: Elements that may point to a table of their steps: the flag, the table, and what each row must hold.
_CHARACTERISTICS = {
    "trafo": ("tap_dependency_table", "trafo_characteristic_table",
              ("voltage_ratio", "angle_deg", "vk_percent", "vkr_percent")),
    "trafo3w": ("tap_dependency_table", "trafo_characteristic_table",
                ("voltage_ratio", "angle_deg", "vk_hv_percent", "vkr_hv_percent", "vk_mv_percent",
                 "vkr_mv_percent", "vk_lv_percent", "vkr_lv_percent")),
    "shunt": ("step_dependency_table", "shunt_characteristic_table", ("p_mw", "q_mvar")),
}  # fmt: skip


def check_steps(grid: Grid, file: str, faults: Faults) -> None:
    """Check the steps of shunts, and that the tables of taps and steps hold what is taken from them.

    Parameters
    ----------
    grid : Grid
    file : str
        Where it came from.
    faults : Faults
        Takes what is found.
    """
    _check_shunts(grid, file, faults)
    for characteristics in AUXILIARY_TABLES:
        if characteristics in grid.tables:
            _check_rows(grid.tables[characteristics], characteristics, file, faults)
    for table in _CHARACTERISTICS:
        if len(grid.tables[table]):
            _check_use(grid, table, file, faults)


def _check_shunts(grid: Grid, file: str, faults: Faults) -> None:
    step, most = grid.tables["shunt"]["step"].to_numpy(), grid.tables["shunt"]["max_step"].to_numpy()
    what = say("step = {:g} is above max_step = {}", step, most)
    source = elements_source(grid, "shunt", file)
    faults.rows(source, (step > most) & (most >= 0), "step", what, "step <= max_step")


def _check_rows(frame: pd.DataFrame, table: str, file: str, faults: Faults) -> None:
    """Check each row of a table by itself, and that no other contradicts it."""
    source = Source(file, [f"{table} {index}" for index in frame.index])
    keys = frame[["id_characteristic", "step"]]
    number, step = (keys[column].to_numpy() for column in keys)
    what = say("id_characteristic {:g} has step {:g} twice", number, step)
    known = keys.notna().all(axis=1) & (keys["id_characteristic"] >= 0)
    doubled = keys.duplicated() & known
    faults.rows(source, doubled.to_numpy(), "step", what, "each step once")
    if table != "trafo_characteristic_table":
        return
    for pair in ("", *(f"_{side}" for side in _PAIRS)):
        whole, real = frame[f"vk{pair}_percent"].to_numpy(), frame[f"vkr{pair}_percent"].to_numpy()
        zero = say("the impedance is zero")
        faults.rows(source, whole == 0, f"vk{pair}_percent", zero, "a number other than 0")
        what = say(f"{{:g}} is above vk{pair}_percent = {{:g}}", real, whole)
        above = (np.abs(real) > np.abs(whole)) & (whole != 0)
        faults.rows(source, above, f"vkr{pair}_percent", what, f"vkr{pair}_percent <= vk{pair}_percent")


def _check_use(grid: Grid, table: str, file: str, faults: Faults) -> None:
    """Check that an element finds every step that it has or can be moved to."""
    flag, characteristics, needed = _CHARACTERISTICS[table]
    frame, source = grid.tables[table], elements_source(grid, table, file)
    uses = frame[flag].to_numpy(dtype=bool)
    numbers = frame["id_characteristic_table"].to_numpy()
    column, expected = "id_characteristic_table", f"an id_characteristic of {characteristics}"
    faults.rows(source, uses & np.isnan(numbers), column, say("the cell is empty"), expected)
    uses &= ~np.isnan(numbers)
    if characteristics not in grid.tables:
        faults.rows(source, uses, column, say(f"the grid has no {characteristics}"), f"a {characteristics}")
        return
    known = _known_steps(grid.tables[characteristics], needed)
    wanted = [_wanted_steps(table, row) for row in frame.itertuples()]
    missing = [steps - known.get(number, set()) for steps, number in zip(wanted, numbers, strict=True)]
    first = [min(steps, default=np.nan) for steps in missing]
    what = say(f"{characteristics} has no complete row {{:g}} for step {{:g}}", numbers, first)
    expected = f"rows with {', '.join(needed)} for every step"
    wrong = uses & np.array([bool(steps) for steps in missing])
    faults.rows(source, wrong, column, what, expected)


def _known_steps(table: pd.DataFrame, needed: tuple[str, ...]) -> dict[float, set[float]]:
    """Find the steps of which each characteristic states all that is needed."""
    complete = table[table[list(needed)].notna().all(axis=1)]
    known: dict[float, set[float]] = {}
    for number, step in zip(complete["id_characteristic"].tolist(), complete["step"].tolist(), strict=True):
        known.setdefault(float(number), set()).add(step)
    return known


def _wanted_steps(table: str, row: Any) -> set[float]:  # noqa: ANN401  a row of a table that pandas names
    if table == "shunt":
        return {float(row.step)}
    low, high = row.tap_min, row.tap_max
    reach = range(int(low), int(high) + 1) if math.isfinite(low) and math.isfinite(high) else ()
    return {step for step in (float(row.tap_pos), *map(float, reach)) if math.isfinite(step)}
