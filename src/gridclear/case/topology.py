"""Which buses are connected in the normal topology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gridclear.case.grid import Grid

Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

#: Two-ended elements: their bus columns and the letter by which a switch names them.
BRANCHES = {
    "line": (("from_bus", "to_bus"), "l"),
    "trafo": (("hv_bus", "lv_bus"), "t"),
    "trafo3w": (("hv_bus", "mv_bus", "lv_bus"), "t3"),
    "impedance": (("from_bus", "to_bus"), ""),
}


class Groups:
    """Sets of buses that are joined step by step (union-find with path halving)."""

    def __init__(self, buses: list[int]) -> None:
        self._parent = {bus: bus for bus in buses}

    def __contains__(self, bus: int) -> bool:
        """Whether the bus is in one of the sets."""
        return bus in self._parent

    def root(self, bus: int) -> int:
        """One bus that stands for the whole set.

        Raises
        ------
        KeyError
            The bus is unknown.
        """
        parent = self._parent
        while parent[bus] != bus:
            parent[bus] = parent[parent[bus]]
            bus = parent[bus]
        return bus

    def join(self, one: int, other: int) -> None:
        """Make one set of two; buses that are unknown are left alone."""
        if one in self._parent and other in self._parent:
            self._parent[self.root(one)] = self.root(other)


class ClosedBranch(NamedTuple):
    """A branch in service, with what its switches leave connected.

    Attributes
    ----------
    table : str
    row : int
        Place in its table.
    ends : list of (str, int)
        Bus column and bus of each end that no switch opens.
    """

    table: str
    row: int
    ends: list[tuple[str, int]]


def closed_branches(grid: Grid) -> Iterator[ClosedBranch]:
    """Go through the lines, transformers and impedances in service, in the normal topology.

    Parameters
    ----------
    grid : Grid

    Yields
    ------
    ClosedBranch
    """
    open_ends = _open_ends(grid)
    for table, (columns, letter) in BRANCHES.items():
        frame = grid.tables[table]
        cells = [frame[column].tolist() for column in columns]
        for row, (index, active, *buses) in enumerate(
            zip(frame.index.tolist(), frame["in_service"].tolist(), *cells, strict=True)
        ):
            if active:
                ends = [
                    (column, bus)
                    for column, bus in zip(columns, buses, strict=True)
                    if (letter, index, bus) not in open_ends
                ]
                yield ClosedBranch(table, row, ends)


def live_buses(grid: Grid) -> list[int]:
    """List the buses in service.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    list of int
        Indices.
    """
    bus = grid.tables["bus"]
    return bus.index[bus["in_service"].to_numpy(dtype=bool)].tolist()


def source_buses(grid: Grid, tables: Collection[str] = ("ext_grid", "gen")) -> list[int]:
    """List the buses in service of external grids and slack generators in service.

    Parameters
    ----------
    grid : Grid
    tables : collection of str
        Which of the two count.

    Returns
    -------
    list of int
    """
    supply, machine, live = grid.tables["ext_grid"], grid.tables["gen"], set(live_buses(grid))
    active = {"ext_grid": supply["in_service"], "gen": machine["in_service"] & machine["slack"]}
    return [bus for table in tables for bus in grid.tables[table]["bus"][active[table]] if bus in live]


def unsupplied_buses(grid: Grid) -> list[int]:
    """Buses in service without a path to an external grid or a slack generator, in the normal topology.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    list of int
        Indices of buses, ascending. A path runs over lines, transformers and impedances in service whose
        switches are closed, over closed bus-bus switches, and over buses in service. A generator that is
        slack supplies as an external grid does.
    """
    live = live_buses(grid)
    groups = Groups(live)
    join_bus_switches(grid, groups)
    for branch in closed_branches(grid):
        buses = [bus for _, bus in branch.ends]
        for bus in buses[1:]:
            groups.join(buses[0], bus)
    sources = {groups.root(bus) for bus in source_buses(grid)}
    return [bus for bus in live if groups.root(bus) not in sources]


def join_bus_switches(grid: Grid, groups: Groups, *, only_without_impedance: bool = False) -> None:
    """Join the buses on both sides of every closed bus-bus switch.

    Parameters
    ----------
    grid : Grid
    groups : Groups
        Is changed.
    only_without_impedance : bool
        Leave out switches with ``z_ohm`` > 0, whose two buses have voltages of their own.
    """
    for one, other in closed_bus_switches(grid, only_without_impedance=only_without_impedance):
        groups.join(one, other)


def closed_bus_switches(grid: Grid, *, only_without_impedance: bool = False) -> list[tuple[int, int]]:
    """List the two buses of every closed bus-bus switch.

    Parameters
    ----------
    grid : Grid
    only_without_impedance : bool
        Leave out switches with ``z_ohm`` > 0.

    Returns
    -------
    list of (int, int)
    """
    switch = grid.tables["switch"]
    closed = (switch["et"] == "b") & switch["closed"]
    joined = switch[closed & ~(switch["z_ohm"] > 0)] if only_without_impedance else switch[closed]
    return list(zip(joined["bus"].tolist(), joined["element"].tolist(), strict=True))


def _open_ends(grid: Grid) -> set[tuple[str, int, int]]:
    """Letter, index and bus of every branch end that a switch opens."""
    switch = grid.tables["switch"]
    opened = switch[~switch["closed"]]
    return set(zip(opened["et"].tolist(), opened["element"].tolist(), opened["bus"].tolist(), strict=True))
