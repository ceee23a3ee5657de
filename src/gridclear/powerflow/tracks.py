"""Tracks of rays: cut into pieces of work, and from changes by bus to what the kernel ``climb`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.arrays import Changes, Columns, Starts
from gridclear.powerflow.brackets import Aim
from gridclear.powerflow.climb import MOST, Rays, climb
from gridclear.powerflow.lanes import MAX_ITERATIONS, PROVED_MVA, Lanes, changes_by_node, output
from gridclear.powerflow.rays import LEAST, RESOLUTION, Crossing
from gridclear.powerflow.simd import LANES

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints, Network
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.arrays import Factors, LimitArrays, Workspace

#: Tracks in one piece of work: more fill the blocks better, fewer keep more threads busy.
_FEWEST, _MOST_TRACKS = 4, 128


def pieces_of(groups: list[tuple[int, Factors, Ints]], threads: int) -> list[tuple[int, Factors, Ints]]:
    """Cut groups of tracks, (topology, factors, tracks), into pieces for so many threads (≥ 1)."""
    total = sum(len(tracks) for _, _, tracks in groups)
    size = min(max(-(-total // threads), _FEWEST), _MOST_TRACKS)
    return [
        (topology, factors, part)
        for topology, factors, tracks in groups
        for part in np.array_split(tracks, -(-len(tracks) // size))
    ]


def climb_tracks(
    network: Network,
    factors: Factors,
    parts: tuple[Floats, ...],
    starts: Starts,
    limits: LimitArrays,
    begin: Activations,
    rays: Activations,
    first: Ints,
    least: Floats,
    *,
    tolerance_mva: float,
    kept: list[Workspace],
) -> Crossing:
    """Search the rays of tracks of one topology and setting; see ``Scenarios.climb``.

    Parameters
    ----------
    parts : tuple of (period, bus)
        Injections of the periods in p.u.
    starts : Starts
        With a row per period.
    limits : LimitArrays
        With a row per period.
    begin, rays, first, least
        As of ``Scenarios.climb``.
    tolerance_mva : float
    kept : list of Workspace
        Room of earlier calls; what is taken is put back.
    """
    nodes, tracks = network.structure.node_of_bus, len(begin)
    ground = _ground(begin, len(parts), len(nodes))
    count = -(-tracks * MOST // LANES) * LANES
    row = np.zeros(count, dtype=np.int64)
    ones = np.ones(len(nodes))
    own, above = (
        tuple(Columns(part, values, row, nodes, ones) for part, values in enumerate(every))
        for every in (parts, ground)
    )
    change = changes_by_node(rays, nodes)
    entries = count * int(np.diff(change.start).max(initial=0))
    lanes = Lanes(
        count=count,
        columns=own + above,
        changes=Changes(
            np.zeros(count + 1, dtype=np.int64),
            np.zeros(entries, dtype=np.int64),
            np.zeros(entries, dtype=np.int64),
            np.zeros(entries),
        ),
        starts=starts._replace(row=row.copy()),
    )
    limits = limits._replace(row=row.copy(), probe=row.copy())
    try:
        room = kept.pop()
    except IndexError:
        room = lanes.room(network, points=len(limits.point_node), scan=True)
    found = Crossing(np.zeros(len(rays)), np.full(len(rays), -1, dtype=np.int64))
    climb(
        network.structure, factors, lanes.sources, len(own), lanes.changes, lanes.starts, limits,
        output(network, count), room,
        Rays(
            first, change.start, change.part, change.node, rays.cell % len(nodes), change.value, least,
        ),
        ground, begin.period, found.safe, found.which, Aim(TOLERANCE, LEAST, RESOLUTION),
        tolerance_mva / network.s_base_mva, PROVED_MVA / network.s_base_mva, MAX_ITERATIONS,
    )  # fmt: skip
    kept.append(room)
    return found


def _ground(begin: Activations, parts: int, n_bus: int) -> Floats:
    """Add up changes of injection by bus, (part, track, bus)."""
    ground, tracks = np.zeros((parts, len(begin), n_bus)), np.arange(len(begin))
    part, bus = np.divmod(begin.cell, n_bus)
    np.add.at(ground, (part, np.repeat(tracks, np.diff(begin.first)), bus), begin.value)
    if begin.ground is not None:
        part, bus = np.divmod(begin.ground.cell, n_bus)
        ground[part, tracks[:, None], bus] += begin.ground.value
    return ground
