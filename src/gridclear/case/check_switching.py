"""Planned switching: what it closes must not make a mesh or a node that no grid could run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import Faults
from gridclear.case.check_exchange import check_exchange
from gridclear.case.check_grid import check_set_points
from gridclear.case.check_mesh import check_phase_shifts

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet

_ON = ("in", "closed")


def check_switching(outages: Sheet, points: Sheet, grid: Grid, horizon: Horizon, faults: Faults) -> None:
    """Check meshes, set points and exchanges again in every state of the horizon that closes something.

    Parameters
    ----------
    outages, points : Sheet
        Planned switching; connection points.
    grid : Grid
    horizon : Horizon
    faults : Faults
        Takes what is found, at the last row that closes something then.
    """
    frame = outages.frame.assign(row=np.arange(len(outages.frame)))
    frame = frame[outages.good("element_type", "element", "start", "end", "state")]
    if not frame["state"].isin(_ON).any():
        return
    frame = frame.sort_values("start", kind="stable")
    moments = sorted({horizon.start, *frame["start"], *frame["end"]})
    known, seen = _joint_faults(grid, points), set()
    for moment in moments:
        now = frame[(frame["start"] <= moment) & (frame["end"] > moment)]
        closing = now[now["state"].isin(_ON)]
        rows = tuple(now["row"])
        if not horizon.start <= moment < horizon.end or not len(closing) or rows in seen:
            continue
        seen.add(rows)
        for element, what, expected in sorted(_joint_faults(switched(grid, now), points) - known):
            known.add((element, what, expected))
            row = outages.source.row(int(closing["row"].iloc[-1]))
            faults.add(outages.source.file, row, "state", f"{element}: {what}", expected)


def _joint_faults(grid: Grid, points: Sheet) -> set[tuple[str, str, str]]:
    found = Faults()
    check_phase_shifts(grid, "", found)
    check_set_points(grid, "", found)
    check_exchange(points, grid, "", found)
    return {(issue.row, issue.what, issue.expected) for issue in found.issues}


def switched(grid: Grid, changes: pd.DataFrame) -> Grid:
    """Give the grid as some rows of the planned switching leave it."""
    tables = {table: frame.copy() for table, frame in grid.tables.items() if len(frame)}
    for table, name, state in changes[["element_type", "element", "state"]].itertuples(index=False):
        index = grid.lookup(table).get(name) if table in tables else None
        if index is not None:
            tables[table].loc[index, "closed" if table == "switch" else "in_service"] = state in _ON
    return replace(grid, tables={**grid.tables, **tables})
