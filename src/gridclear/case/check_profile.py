"""The reactive profile: what is asked of two connection points at one node cannot be told apart."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd

from gridclear.case.cells import quoted
from gridclear.case.check_exchange import at_work
from gridclear.case.check_switching import switched
from gridclear.case.topology import Groups, join_bus_switches, live_buses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet


def check_profile(sheets: Mapping[str, Sheet], grid: Grid, horizon: Horizon, faults: Faults) -> None:
    """Find rows of the profile for two connection points that stand at one node in that period.

    External grids at one node share its reactive power equally: two rows would ask the same thing twice.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    horizon : Horizon
    faults : Faults
        Takes what is found.
    """
    sheet, outages = sheets["reactive_profile"], sheets["outages"]
    known, supply = grid.lookup("ext_grid"), grid.tables["ext_grid"]
    points = sheets["connection_points"].frame
    elements = dict(zip(points["connection_point"], points["element"], strict=True))
    names = sheet.frame["connection_point"]
    # Without the table the name of a point is that of its external grid.
    given = sheets["connection_points"].given
    index = [known.get(elements.get(name, "" if given else name), -1) for name in names]
    if len(set(index) - {-1}) < 2:
        return
    changes = outages.frame[outages.good("element_type", "element", "start", "end", "state")]
    moments = sorted({horizon.start, *changes["start"], *changes["end"]})
    inside = [moment for moment in moments if horizon.start <= moment < horizon.end]
    starts, good = pd.DatetimeIndex(sheet.frame["start"]), sheet.good("connection_point", "start")
    for moment, after in pairwise([*inside, horizon.end]):
        now = changes[(changes["start"] <= moment) & (changes["end"] > moment)]
        state = switched(grid, now)
        groups = Groups(live_buses(state))
        join_bus_switches(state, groups, only_without_impedance=True)
        node = {int(supply.index[row]): at for row, at in at_work(state, "ext_grid", "bus", groups)}
        first: dict[tuple[pd.Timestamp, int], int] = {}
        for row in (good & (starts >= moment) & (starts < after)).nonzero()[0].tolist():
            if index[row] in node:
                other = first.setdefault((starts[row], node[index[row]]), row)
                if index[other] != index[row]:
                    there = f"{quoted(names.iloc[other])} of row {sheet.source.row(other)}"
                    what = f"{quoted(names.iloc[row])} stands at the node of {there} and shares its exchange"
                    expected = "a profile for one of the connection points of a node"
                    faults.add(sheet.source.file, sheet.source.row(row), "connection_point", what, expected)
