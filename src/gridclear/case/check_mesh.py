"""Phase shifts: what transformers and external grids in one mesh turn has to fit together."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from gridclear.case.grid_tables import element_row
from gridclear.case.topology import (
    Groups,
    closed_branches,
    closed_bus_switches,
    join_bus_switches,
    live_buses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid

#: Vector groups turn in steps of 30 degree. Less than one step may be a phase shifter that states its angle
#: as ``shift_degree``; the angle of a tap changer does not count here, however large.
_VECTOR_GROUP_STEP = 30.0
_ROUNDING = 1e-6
_SHIFT_TO = {"hv_bus": "", "mv_bus": "shift_mv_degree", "lv_bus": "shift_lv_degree"}


class _Edge(NamedTuple):
    """A transformer between two zones: the voltage of ``head`` lags that of ``tail`` by ``shift`` degrees."""

    tail: int
    head: int
    shift: float
    called: str
    column: str


class _Step(NamedTuple):
    """How a zone was reached: its angle against zone ``start``, and the last edge on the way."""

    start: int
    angle: float
    origin: int
    called: str


def check_phase_shifts(grid: Grid, file: str, faults: Faults) -> None:
    """Find meshes of the normal topology around which the vector groups do not add up to nothing.

    A zone is what lines, impedances and closed switches join; transformers lead from zone to zone. Where two
    ways lead to one zone, they have to turn by the same angle. External grids and slack generators are
    compared with the transformers between them, if those turn at all.

    Parameters
    ----------
    grid : Grid
    file : str
        Where it came from.
    faults : Faults
        Takes what is found.
    """
    zones, edges = _zones(grid)
    around: dict[int, list[tuple[int, float, str]]] = {}
    for edge in edges:
        around.setdefault(edge.tail, []).append((edge.head, -edge.shift, edge.called))
        around.setdefault(edge.head, []).append((edge.tail, edge.shift, edge.called))
    reached = _walk(around)
    expected = "phase shifts that add up to 0 degree"
    for edge in edges:
        total = _turn(reached[edge.tail].angle - edge.shift - reached[edge.head].angle)
        if _is_off(total):
            others = _between(edge.tail, edge.head, reached, edge.called)
            what = f"the phase shifts around the mesh with {others} add up to {abs(total):g} degree"
            faults.add(file, edge.called, edge.column, what, expected)
    _check_sources(grid, zones, reached, file, faults)


def _zones(grid: Grid) -> tuple[Groups, list[_Edge]]:
    zones = Groups(live_buses(grid))
    branches = [
        (table, row, [end for end in ends if end[1] in zones]) for table, row, ends in closed_branches(grid)
    ]
    joints = closed_bus_switches(grid) + [
        (ends[0][1], ends[1][1]) for table, _, ends in branches if table == "line" and len(ends) == 2
    ]
    voltage = grid.tables["bus"]["vn_kv"].to_dict()
    for one, other in joints:
        # What joins two voltage levels has been reported; here it would put the blame on transformers.
        if one in zones and other in zones and math.isclose(voltage[one], voltage[other], rel_tol=1e-6):
            zones.join(one, other)
    for table, _, ends in branches:
        if table == "impedance" and len(ends) == 2:
            zones.join(ends[0][1], ends[1][1])
    edges = []
    for table, row, ends in branches:
        frame = grid.tables[table]
        if table == "trafo" and len(ends) == 2:
            tail, head = (zones.root(bus) for _, bus in ends)
            edges.append(_edge(frame, table, row, tail, head, "shift_degree"))
        elif table == "trafo3w":
            # The star point is a zone of its own; buses count from 0.
            edges += [
                _edge(frame, table, row, -1 - row, zones.root(bus), _SHIFT_TO[side]) for side, bus in ends
            ]
    # A shift that is NaN has been reported already.
    return zones, [edge for edge in edges if math.isfinite(edge.shift)]


def _edge(frame: pd.DataFrame, table: str, row: int, tail: int, head: int, column: str) -> _Edge:
    shift = float(frame[column].iloc[row]) if column else 0.0
    called = element_row(table, frame["name"].iloc[row], frame.index[row])
    return _Edge(tail, head, shift, called, column or "shift_mv_degree")


def _walk(around: Mapping[int, list[tuple[int, float, str]]]) -> dict[int, _Step]:
    """Reach every zone once, breadth first."""
    reached: dict[int, _Step] = {}
    for start in around:
        if start in reached:
            continue
        reached[start] = _Step(start, 0.0, start, "")
        waiting = deque([start])
        while waiting:
            zone = waiting.popleft()
            for other, turn, called in around[zone]:
                if other not in reached:
                    reached[other] = _Step(start, reached[zone].angle + turn, zone, called)
                    waiting.append(other)
    return reached


def _between(one: int, other: int, reached: Mapping[int, _Step], apart_from: str = "") -> str:
    """Name the transformers on the way from one zone to another."""
    back, forth = dict(_back(one, reached)), dict(_back(other, reached))
    apart = [
        called
        for way, rest in ((back, forth), (forth, back))
        for zone, called in way.items()
        if zone not in rest
    ]
    names = [called for called in dict.fromkeys(apart) if called != apart_from]
    return ", ".join(names) or "lines and switches"


def _back(zone: int, reached: Mapping[int, _Step]) -> Iterator[tuple[int, str]]:
    """Zones from ``zone`` back to the start, each with the transformer that reached it."""
    while reached[zone].origin != zone:
        yield zone, reached[zone].called
        zone = reached[zone].origin


def _check_sources(
    grid: Grid, zones: Groups, reached: Mapping[int, _Step], file: str, faults: Faults
) -> None:
    first: dict[int, tuple[str, float, int]] = {}
    for called, bus, degree, column in _sources(grid):
        if bus not in zones or zones.root(bus) not in reached:
            continue
        zone = zones.root(bus)
        other, angle, at = first.setdefault(reached[zone].start, (called, degree, zone))
        between = _turn(reached[zone].angle - reached[at].angle)
        if _is_off(between) and _is_off(degree - angle - between):
            way = _between(at, zone, reached)
            what = f"{degree:g} degree, but {way} and {other} make it {angle + between:g} degree"
            expected = "angles that differ by the phase shifts between the sources"
            faults.add(file, called, column, what, expected)


def _sources(grid: Grid) -> Iterator[tuple[str, int, float, str]]:
    """External grids with their angles, and slack generators, whose angle is 0: name, bus, angle, column."""
    supply, machine = grid.tables["ext_grid"], grid.tables["gen"]
    nodes = Groups(live_buses(grid))
    join_bus_switches(grid, nodes, only_without_impedance=True)
    held = set()
    for index, row in supply[supply["in_service"]].iterrows():
        yield element_row("ext_grid", row["name"], index), row["bus"], float(row["va_degree"]), "va_degree"
        held |= {nodes.root(row["bus"])} if row["bus"] in nodes else set()
    for index, row in machine[machine["in_service"] & machine["slack"]].iterrows():
        # At the node of an external grid, the angle of that one holds.
        if row["bus"] in nodes and nodes.root(row["bus"]) not in held:
            yield element_row("gen", row["name"], index), row["bus"], 0.0, "slack"


def _turn(angle: float) -> float:
    """Give the same angle from -180 to 180 degrees."""
    return (angle + 180.0) % 360.0 - 180.0


def _is_off(angle: float) -> bool:
    return abs(_turn(angle)) > _VECTOR_GROUP_STEP - _ROUNDING
