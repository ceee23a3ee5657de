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
    Greedy, the furthest point first, as D. H. Douglas and T. K. Peucker have it (Cartographica 10, 1973), but
    with distances along the value.
    """
    chosen = [sorted({0, len(place) - 1}) for place, _ in lines]
    for _ in range(count):
        off = [_furthest(line, own) for line, own in zip(lines, chosen, strict=True)]
        worst = max(range(len(off)), key=lambda number: off[number][0], default=-1)
        if worst < 0 or off[worst][0] <= worth:
            break
        chosen[worst] = sorted([*chosen[worst], off[worst][1]])
    return [np.array(own, dtype=np.int64) for own in chosen]


def _furthest(line: tuple[Floats, Floats], chosen: Sequence[int]) -> tuple[float, int]:
    """Distance and number of the point that is furthest from the chosen ones' line."""
    place, value = line
    off = np.abs(value - np.interp(place, place[chosen], value[chosen]))
    furthest = int(np.argmax(off))
    return float(off[furthest]), furthest
