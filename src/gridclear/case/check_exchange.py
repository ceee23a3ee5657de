"""Exchanges: what stands at the node of a connection point and would make its share of the power a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridclear.case.check_grid import elements_source
from gridclear.case.topology import Groups, join_bus_switches, live_buses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid
    from gridclear.case.sheets import Sheet

#: What holds the voltage of a bus beside an external grid, and then takes reactive power from it.
_MACHINES = (("gen", "bus"), ("dcline", "from_bus"), ("dcline", "to_bus"))


def check_exchange(points: Sheet, grid: Grid, file: str, faults: Faults) -> None:
    """Find connection points whose exchange is not that of their node, shared equally.

    Where a generator or an end of a dcline stands at the node of an external grid, ``runpp`` divides the
    reactive power by ranges that one of them need not have; external grids at one node share the active power
    by ``slack_weight`` and the reactive power equally.

    Parameters
    ----------
    points : Sheet
        The connection points; every external grid is one if there is no such table.
    grid : Grid
    file : str
        Where it came from.
    faults : Faults
        Takes what is found.
    """
    groups = Groups(live_buses(grid))
    join_bus_switches(grid, groups, only_without_impedance=True)
    known = grid.lookup("ext_grid")
    supply, source = grid.tables["ext_grid"], elements_source(grid, "ext_grid", file)
    named = {known.get(name) for name in points.frame["element"]} if points.given else set(supply.index)
    traded, first = dict[int, str](), dict[int, tuple[str, float]]()
    for row, node in at_work(grid, "ext_grid", "bus", groups):
        if supply.index[row] in named:
            traded.setdefault(node, source.row(row))
    for row, node in at_work(grid, "ext_grid", "bus", groups):
        weight = float(supply["slack_weight"].iloc[row])
        other, shared = first.setdefault(node, (source.row(row), weight))
        if node in traded and weight != shared:
            what = f"{weight:.12g}, but {other} at the same bus has {shared:.12g}"
            expected = "one slack_weight for all external grids of a bus, who then share its exchange equally"
            faults.add(file, source.row(row), "slack_weight", what, expected)
    expected = "a bus without a connection point, or an sgen"
    for table, column in _MACHINES:
        source = elements_source(grid, table, file)
        for row, node in at_work(grid, table, column, groups):
            if node in traded:
                what = f"it holds the voltage of {traded[node]}, a connection point, and feeds part of its Q"
                faults.add(file, source.row(row), column, what, expected)


def at_work(grid: Grid, table: str, column: str, groups: Groups) -> Iterator[tuple[int, int]]:
    """Rows in service at live buses, each with its node."""
    frame = grid.tables[table]
    cells = zip(frame[column].tolist(), frame["in_service"].tolist(), strict=True)
    for row, (bus, active) in enumerate(cells):
        if active and bus in groups:
            yield row, groups.root(bus)
