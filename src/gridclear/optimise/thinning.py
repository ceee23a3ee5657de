"""Fewer points of broken lines: the ends, and those without which the lines would be furthest off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints


def thinned(lines: Sequence[tuple[Floats, Floats]], count: int, worth: float) -> list[Ints]:
    """Choose points of several broken lines together.

    Parameters
    ----------
    lines : sequence of ((point,), (point,))
        Places, ascending, and values.
    count : int
        Points to choose at most, besides the ends.
    worth : float
        Distance from a chosen line that is none.

    Returns
    -------
    list of (chosen,) of int, by line
        Ascending; both ends are among them.

    Notes
    -----
    The least distance for which so many points are enough is bisected; how many a distance needs is a
    shortest path over the chords that keep it (H. Imai and M. Iri, J. Inf. Process. 9, 1986), with distances
    along the value.
    """
    off = [_chords(*line) for line in lines]
    every = [own[np.triu_indices(len(own), 2)] for own in off]
    distances = np.unique(np.concatenate([np.array([worth]), *(own[own > worth] for own in every)]))
    low, high = 0, len(distances) - 1
    while low < high:
        middle = (low + high) // 2
        if sum(_inner(_path(own, distances[middle])) for own in off) <= count:
            high = middle
        else:
            low = middle + 1
    return [_path(own, distances[low]) for own in off]


def _chords(place: Floats, value: Floats) -> Floats:
    """How far the points between two of a line lie from the chord, (from, to)."""
    count = len(place)
    found = np.zeros((count, count))
    for first in range(count - 2):
        run, rise = place[first + 1 :] - place[first], value[first + 1 :] - value[first]
        slope = np.divide(rise, run, out=np.zeros(len(run)), where=run > 0.0)
        off = np.abs(rise[None, :] - slope[:, None] * run[None, :])
        found[first, first + 1 :] = np.max(np.tril(off, -1), axis=1)
    return found


def _path(off: Floats, distance: float) -> Ints:
    """Fewest points of a line, from end to end, whose chords keep a distance."""
    count = len(off)
    steps, before = np.full(count, count), np.zeros(count, dtype=np.int64)
    steps[0] = 0
    for last in range(1, count):
        reached = np.where(off[:last, last] <= distance, steps[:last], count)
        before[last] = int(np.argmin(reached))
        steps[last] = reached[before[last]] + 1
    chosen = [count - 1]
    while chosen[-1] > 0:
        chosen.append(int(before[chosen[-1]]))
    return np.array(chosen[::-1], dtype=np.int64)


def _inner(path: Ints) -> int:
    """Points that are no ends."""
    return max(len(path) - 2, 0)
