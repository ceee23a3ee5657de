"""Worst points of a box that are no corners: where curves of inverters bend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.corners import scattered
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.corners import Corners, Cut, Key
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints

#: Points per period from which climbs to any limit begin.
_STARTS = 32
#: Constraints of a period, the nearest, that are climbed to for themselves, and from how many points besides
#: their worst corner.
_MOST_AIMED, _STARTS_EACH = 24, 4
#: How often units are moved, and by how much a limit has to come nearer for it.
_MOVES, _NEARER = 6, 1e-9
#: Points this near to a limit are moved on, unit by unit: to the best of a grid that closes in so many times.
_NEAR, _GRID, _ZOOMS, _SWEEPS = 2e-4, 9, 7, 3
#: What a point without solution counts as.
_LOST = 1e6
#: Rays that are looked at in one go.
_AT_ONCE = 4096


def ends_of_climbs(
    search: Search,
    bids: Bids,
    corners: Corners,
    periods: Sequence[int],
    cuts: Sequence[Mapping[Key, Cut]],
    share: Floats,
    seed: int,
    more: Mapping[int, tuple[list[int], Floats]] | None = None,
) -> tuple[list[int], list[Floats]]:
    """Climb in some periods to where limits are nearest in the box: periods, and shares where climbs end.

    ``more`` are constraints to climb to, and points (climb, column) to begin at, by period.
    """
    at: list[int] = []
    starts: list[Floats] = []
    aims: list[int] = []
    for t in periods:
        aim, begun = _starts_of_climbs(corners, t, cuts[t], share, np.random.default_rng([seed, t]))
        if more is not None:
            aim, begun = aim + more[t][0], np.vstack([begun, more[t][1]])
        at += [t] * len(begun)
        starts += list(begun)
        aims += aim
    unit = np.full((len(at), max(map(len, corners.members))), -1)
    x = np.zeros(unit.shape)
    for row, (t, start) in enumerate(zip(at, starts, strict=True)):
        unit[row, : len(start)], x[row, : len(start)] = corners.members[t], start
    x = _climbed(search, bids, unit, share, x, np.array(aims, dtype=np.int64))
    return at, [own[: len(corners.members[t])] for t, own in zip(at, x, strict=True)]


def _starts_of_climbs(
    corners: Corners, period: int, cuts: Mapping[Key, Cut], share: Floats, rng: np.random.Generator
) -> tuple[list[int], Floats]:
    """Choose the constraints of a period's climbs, -1 for any, and where they begin: (climb, column)."""
    own = share[corners.members[period]]

    def drawn(count: int) -> Floats:
        part = scattered(rng, count, len(own))
        # From everything, from nothing, and from random points.
        part[0], part[1] = 1.0, 0.0
        return corners.one_of_each(period, part * own, rng)

    aims, starts = [-1] * _STARTS, [drawn(_STARTS)]
    nearest: dict[int, Cut] = {}
    for cut in sorted(cuts.values(), key=lambda cut: np.nan_to_num(-cut.over, nan=np.inf)):
        nearest.setdefault(cut.constraint, cut)
    for constraint, cut in list(nearest.items())[:_MOST_AIMED]:
        starts += [corners.corner(period, cut, share)[None], drawn(_STARTS_EACH)]
        aims += [constraint] * (1 + _STARTS_EACH)
    return aims, np.vstack(starts)


def _climbed(search: Search, bids: Bids, unit: Ints, share: Floats, x: Floats, constraint: Ints) -> Floats:
    """Climb from points of a box to where a limit is nearest.

    Each unit may go to nothing, to its full share or to where an inverter goes from one piece of its curve to
    another on the way: between these, limits hardly bend. All units that bring a limit nearer by themselves
    move together, or where that does not, the best one alone.

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
    constraint : (point,) of int
        Limit that each of them climbs to, -1: any. A peak of one limit may lie behind what brings another one
        nearer.

    Returns
    -------
    (point, column)
    """
    x, going = x.copy(), np.arange(len(x))
    over = _violation(search, bids, unit, x, constraint)
    for _ in range(_MOVES):
        if not len(going):
            break
        better, to = _moves(search, bids, unit[going], share, x[going], over[going], constraint[going])
        alone = better == better.max(axis=1, keepdims=True)
        alone &= np.cumsum(alone, axis=1) == 1
        moved, now = x[going], over[going]
        for chosen in (
            _one_of_each(bids, unit[going], better) & (better > _NEARER),
            alone & (better > _NEARER),
        ):
            trial = np.where(chosen, to, x[going])
            tried = _violation(search, bids, unit[going], trial, constraint[going])
            nearer = tried > now + _NEARER
            moved[nearer], now[nearer] = trial[nearer], tried[nearer]
        on = now > over[going]
        x[going], over[going] = moved, now
        going = going[on]
    near = np.flatnonzero(over > -_NEAR)
    x[near] = _polished(search, bids, unit[near], share, x[near], over[near], constraint[near])
    return x


def _polished(
    search: Search, bids: Bids, unit: Ints, share: Floats, x: Floats, over: Floats, constraint: Ints
) -> Floats:
    """Move one unit after the other to where a limit is nearest, which may be between all bends."""
    x, over, steps = x.copy(), over.copy(), np.linspace(-1.0, 1.0, _GRID)
    for _ in range(_SWEEPS):
        before = over.copy()
        for column in range(x.shape[1]):
            most = np.where(unit[:, column] >= 0, share[unit[:, column]], 0.0)
            rows = np.flatnonzero((most > 0.0) & _free(bids, unit, x)[:, column])
            middle, reach = 0.5 * most[rows], 0.5 * most[rows]
            each, every = np.arange(len(rows)), np.repeat(rows, _GRID)
            for _ in range(_ZOOMS):
                asked = np.clip(middle[:, None] + reach[:, None] * steps, 0.0, most[rows, None])
                points = x[every]
                points[:, column] = asked.ravel()
                found = _violation(search, bids, unit[every], points, constraint[every]).reshape(asked.shape)
                best = found.argmax(axis=1)
                middle, reach = asked[each, best], 2.0 * reach / (_GRID - 1)
                nearer = found[each, best] > over[rows] + _NEARER
                x[rows[nearer], column] = middle[nearer]
                over[rows[nearer]] = found[each, best][nearer]
        if (over <= before + _NEARER).all():
            break
    return x


def _moves(
    search: Search, bids: Bids, unit: Ints, share: Floats, x: Floats, over: Floats, constraint: Ints
) -> tuple[Floats, Floats]:
    """How much nearer each unit by itself brings a limit, and its share there: (point, column)."""
    better, to = np.full(x.shape, -np.inf), x.copy()
    point, column = np.nonzero((unit >= 0) & (share[unit] > 0.0) & _free(bids, unit, x))
    for begin in range(0, len(point), _AT_ONCE):
        rows, columns = point[begin : begin + _AT_ONCE], column[begin : begin + _AT_ONCE]
        own, others = unit[rows, columns], x[rows]
        others[np.arange(len(rows)), columns] = 0.0
        rays = bids.activations.part(own, share[own]).on(*_ground(bids, unit[rows], others))
        part, worst = _worst(search, rays, search.setting[rays.period], constraint[rows])
        better[rows, columns], to[rows, columns] = worst - over[rows], part * share[own]
    return better, to


def _groups(bids: Bids, unit: Ints) -> Ints:
    """Exclusive group of every unit, those of none apart: (point, column)."""
    return np.where((unit >= 0) & (bids.exclusive[unit] >= 0), bids.exclusive[unit], -2 - unit)


def _free(bids: Bids, unit: Ints, x: Floats) -> NDArray[np.bool_]:
    """Whether no other unit of the exclusive group of each is on: (point, column)."""
    if (bids.exclusive < 0).all():
        return np.ones(x.shape, dtype=bool)
    group = _groups(bids, unit)
    same = group[:, :, None] == group[:, None, :]
    same[:, np.arange(x.shape[1]), np.arange(x.shape[1])] = False
    free: NDArray[np.bool_] = ~(same & (x > 0.0)[:, None, :]).any(axis=2)
    return free


def _one_of_each(bids: Bids, unit: Ints, better: Floats) -> NDArray[np.bool_]:
    """Of each exclusive group the unit that brings a limit nearest, and all that are in none."""
    if (bids.exclusive < 0).all():
        return np.ones(better.shape, dtype=bool)
    group = _groups(bids, unit)
    ahead = better[:, None, :] > better[:, :, None]
    place = np.arange(better.shape[1])
    ahead |= (better[:, None, :] == better[:, :, None]) & (place[None, :] < place[:, None])
    chosen: NDArray[np.bool_] = ~((group[:, :, None] == group[:, None, :]) & ahead).any(axis=2)
    return chosen


def _ground(bids: Bids, unit: Ints, x: Floats) -> tuple[Ints, Floats]:
    """Add up the changes of units at shares: cells, and (point, cell)."""
    cells = np.unique(bids.activations.cell)
    point, column = np.nonzero(x)
    own = bids.activations.part(unit[point, column], x[point, column])
    value = np.zeros((len(x), len(cells)))
    np.add.at(value, (np.repeat(point, np.diff(own.first)), np.searchsorted(cells, own.cell)), own.value)
    return cells, value


def _violation(search: Search, bids: Bids, unit: Ints, x: Floats, constraint: Ints) -> Floats:
    """Violation of points' constraints."""
    states = Activations.dense(bids.activations.period[unit[:, 0]], *_ground(bids, unit, x))
    return np.minimum(search.excess(states, search.setting[states.period], constraint), _LOST)


def _worst(search: Search, rays: Activations, setting: Ints, constraint: Ints) -> tuple[Floats, Floats]:
    """Share of each ray with the highest violation, of its ends and where it bends; and that violation."""
    every = np.arange(len(rays))
    bent, at = search.curve_bends(rays, setting)
    ray = np.concatenate([every, every, bent])
    share = np.concatenate([np.zeros(len(rays)), np.ones(len(rays)), at])
    over = np.minimum(search.excess(rays.part(ray, share), setting[ray], constraint[ray]), _LOST)
    by_ray = np.lexsort((-over, ray))
    first = by_ray[np.searchsorted(ray[by_ray], every)]
    return share[first], over[first]
