"""Worst points of a box that are no corners: where curves of inverters bend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations

#: How often all units are gone through.
_SWEEPS = 2


def climbed(search: Search, bids: Bids, unit: Ints, share: Floats, x: Floats, seed: int) -> Floats:
    """Climb from points of a box to where a limit is nearest, one unit after the other.

    Each unit in turn goes to nothing, to its full share or to where an inverter goes from one piece of its
    curve to another on the way, whichever is worst beside the others: between these, limits hardly bend.

    Parameters
    ----------
    search : Search
    bids : Bids
    unit : (point, column) of int
        Units of each point, all of one period; -1 beyond.
    share : (unit,)
        The box.
    x : (point, column)
        Where the points begin.
    seed : int
        Of the order in which units are gone through, for each point another.

    Returns
    -------
    (point, column)
    """
    x, rng = x.copy(), np.random.default_rng(seed)
    period = bids.activations.period[unit[:, 0]]
    movable = (unit >= 0) & (share[unit] > 0.0)
    for _ in range(_SWEEPS):
        order = np.argsort(rng.random(unit.shape) + ~movable, axis=1)
        for column in order.T[: int(movable.sum(axis=1).max(initial=0))]:
            rows = np.flatnonzero(movable[np.arange(len(x)), column])
            rows = rows[_is_free(bids, unit[rows], x[rows], column[rows])]
            own = unit[rows, column[rows]]
            x[rows, column[rows]] = 0.0
            rays = bids.activations.part(own, share[own])
            rays = rays.on(*_ground(bids, unit[rows], x[rows]))
            x[rows, column[rows]] = share[own] * _worst(search, rays, search.setting[period[rows]])
    return x


def dearest(gain: Floats, x: Floats, over: float) -> Floats:
    """Keep the slopes of as many units, dearest first, as can take back what a point is over; others are 0.

    Where curves bend, more of a unit presses no further, so that a line through all slopes would claim too
    much; and those who come later in merit order make way for those before.
    """
    pressing = np.maximum(gain, 0.0) * x
    behind = np.cumsum(pressing[::-1])[::-1] - pressing
    kept: Floats = np.where((pressing > 0.0) & (behind < over), gain, 0.0)
    return kept


def _is_free(bids: Bids, unit: Ints, x: Floats, column: Ints) -> Ints:
    """Rows in which no other unit of the exclusive group of the one in ``column`` is on."""
    group = np.where(unit >= 0, bids.exclusive[unit], -1)
    every = np.arange(len(x))
    mine = group[every, column]
    others = (group == mine[:, None]) & (mine[:, None] >= 0) & (x > 0.0)
    others[every, column] = False
    return np.flatnonzero(~others.any(axis=1))


def _ground(bids: Bids, unit: Ints, x: Floats) -> tuple[Ints, Floats]:
    """Add up the changes of units at shares: cells, and (point, cell)."""
    cells = np.unique(bids.activations.cell)
    point, column = np.nonzero(x)
    own = bids.activations.part(unit[point, column], x[point, column])
    value = np.zeros((len(x), len(cells)))
    np.add.at(value, (np.repeat(point, np.diff(own.first)), np.searchsorted(cells, own.cell)), own.value)
    return cells, value


def _worst(search: Search, rays: Activations, setting: Ints) -> Floats:
    """Share of each ray at which the violation is highest, of its ends and where it bends."""
    every = np.arange(len(rays))
    bent, at = search.curve_bends(rays, setting)
    ray = np.concatenate([every, every, bent])
    share = np.concatenate([np.zeros(len(rays)), np.ones(len(rays)), at])
    over, _ = search.violation(rays.part(ray, share), setting[ray])
    by_ray = np.lexsort((-over, ray))
    first = by_ray[np.searchsorted(ray[by_ray], every)]
    worst: Floats = share[first]
    return worst
