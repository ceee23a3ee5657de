"""Which buses are connected in the normal topology."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
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


def unsupplied_buses(grid: Grid) -> list[int]:
    """Buses in service without a path to an external grid or a slack generator, in the normal topology.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    list of int
        Indices of buses, ascending. A path runs over lines, transformers and impedances in service whose
        switches are closed, over closed bus-bus switches, and over buses in service.
    """
    bus = grid.tables["bus"]
    live = bus.index[bus["in_service"].to_numpy(dtype=bool)].tolist()
    groups = Groups(live)
    join_bus_switches(grid, groups)
    open_ends = _open_ends(grid)
    for table, (columns, letter) in BRANCHES.items():
        frame = grid.tables[table]
        ends = [frame[column].tolist() for column in columns]
        for index, active, *buses in zip(
            frame.index.tolist(), frame["in_service"].tolist(), *ends, strict=True
        ):
            if active:
                closed = [end for end in buses if (letter, index, end) not in open_ends]
                for end in closed[1:]:
                    groups.join(closed[0], end)
    supply, machine = grid.tables["ext_grid"], grid.tables["gen"]
    slack = machine["bus"][machine["in_service"] & machine["slack"]]
    known = set(live)
    fed = [*supply["bus"][supply["in_service"]].tolist(), *slack.tolist()]
    sources = {groups.root(b) for b in fed if b in known}
    return [b for b in live if groups.root(b) not in sources]


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
    switch = grid.tables["switch"]
    closed = (switch["et"] == "b") & switch["closed"]
    joined = switch[closed & ~(switch["z_ohm"] > 0)] if only_without_impedance else switch[closed]
    for one, other in zip(joined["bus"].tolist(), joined["element"].tolist(), strict=True):
        groups.join(one, other)


def _open_ends(grid: Grid) -> set[tuple[str, int, int]]:
    """Letter, index and bus of every branch end that a switch opens."""
    switch = grid.tables["switch"]
    opened = switch[~switch["closed"]]
    return set(zip(opened["et"].tolist(), opened["element"].tolist(), opened["bus"].tolist(), strict=True))
