"""Planned switching: what it closes must not make a mesh that no grid could run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import Faults
from gridclear.case.check_mesh import check_phase_shifts

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet

_ON = ("in", "closed")


def check_switching(outages: Sheet, grid: Grid, horizon: Horizon, faults: Faults) -> None:
    """Check the phase shifts again in every state of the horizon in which something is closed.

    Parameters
    ----------
    outages : Sheet
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
    known, seen = _mesh_faults(grid), set()
    for moment in moments:
        now = frame[(frame["start"] <= moment) & (frame["end"] > moment)]
        closing = now[now["state"].isin(_ON)]
        rows = tuple(now["row"])
        if not horizon.start <= moment < horizon.end or not len(closing) or rows in seen:
            continue
        seen.add(rows)
        for element, what, expected in sorted(_mesh_faults(_switched(grid, now)) - known):
            known.add((element, what, expected))
            row = outages.source.row(int(closing["row"].iloc[-1]))
            faults.add(outages.source.file, row, "state", f"{element}: {what}", expected)


def _mesh_faults(grid: Grid) -> set[tuple[str, str, str]]:
    found = Faults()
    check_phase_shifts(grid, "", found)
    return {(issue.row, issue.what, issue.expected) for issue in found.issues}


def _switched(grid: Grid, changes: pd.DataFrame) -> Grid:
    tables = {table: frame.copy() for table, frame in grid.tables.items() if len(frame)}
    for table, name, state in changes[["element_type", "element", "state"]].itertuples(index=False):
        index = grid.lookup(table).get(name) if table in tables else None
        if index is not None:
            tables[table].loc[index, "closed" if table == "switch" else "in_service"] = state in _ON
    return replace(grid, tables={**grid.tables, **tables})
