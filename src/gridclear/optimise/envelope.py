"""The least of several broken lines, each over a range of its own, and what none of them reaches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.network.network import Floats


@dataclass(frozen=True)
class Piece:
    """A range in which one line is the least.

    Attributes
    ----------
    line : int
    low, high : float
        Ends of the range.
    """

    line: int
    low: float
    high: float


def pieces(lines: Sequence[tuple[Floats, Floats]], seam: float, worth: float) -> list[Piece]:
    """Find the least line everywhere.

    Parameters
    ----------
    lines : sequence of ((place,), (place,))
        Places, ascending, and values; straight between them, nothing outside.
    seam : float
        Distance between places that is none.
    worth : float
        Difference of values that is none: a line goes on until another is lower by more.

    Returns
    -------
    list of Piece
        Ascending, apart but for their ends; what lies between two that do not touch is reached by no line.
    """
    every = np.unique(np.concatenate([np.zeros(0), *(place for place, _ in lines)]))
    every = every[np.diff(every, prepend=-np.inf) > seam]
    value = np.array([np.interp(every, *line) for line in lines]).reshape(len(lines), len(every))
    first, final = (np.array([place[end] for place, _ in lines])[:, None] for end in (0, -1))
    covers = (first <= every[:-1] + seam) & (final >= every[1:] - seam)
    low_end, high_end = (np.where(covers, end, np.inf) for end in (value[:, :-1], value[:, 1:]))
    # Whoever is not beaten at either end is not beaten in between, for all are straight there.
    goes_on = covers & _unbeaten(low_end, worth) & _unbeaten(high_end, worth)
    found: list[Piece] = []
    for number, (low, high) in enumerate(pairwise(every.tolist())):
        last = found[-1] if found else None
        if last is not None and low - last.high <= seam and goes_on[last.line, number]:
            found[-1] = Piece(last.line, last.low, high)
            continue
        lively = np.flatnonzero(covers[:, number])
        for piece in _least(lively, value[lively, number : number + 2], low, high, last, worth):
            last = found[-1] if found else None
            if last is not None and last.line == piece.line and piece.low - last.high <= seam:
                found[-1] = Piece(last.line, last.low, piece.high)
            else:
                found.append(piece)
    # A range of one place alone stands where nothing else is.
    for line, (place, _) in enumerate(lines):
        alone = place[-1] - place[0] <= seam
        if alone and not any(piece.low - seam <= place[0] <= piece.high + seam for piece in found):
            found.append(Piece(line, float(place[0]), float(place[-1])))
    return sorted(found, key=lambda piece: piece.low)


def _unbeaten(value: Floats, worth: float) -> NDArray[np.bool_]:
    """Lines, (line, ·), that no other is below by more."""
    unbeaten: NDArray[np.bool_] = value <= value.min(axis=0, initial=np.inf) + worth
    return unbeaten


def _least(
    lively: NDArray[np.int64], ends: Floats, low: float, high: float, last: Piece | None, worth: float
) -> list[Piece]:
    """Walk over straight lines from low to high, (line, 2), and take the least one everywhere."""
    if not len(lively):
        return []
    at, found = 0.0, []
    # They are few: plain numbers are quicker than arrays of them.
    own: list[tuple[float, float]] = [(begin, end) for begin, end in ends.tolist()]
    known: list[int] = lively.tolist()
    now = min(range(len(own)), key=own.__getitem__)
    if last is not None and last.line in known:
        before = known.index(last.line)
        now = before if own[before][0] - own[now][0] <= worth else now
    while at < 1.0:
        until, following = _overtaken(own, now, at, worth)
        if until > at:
            found.append(Piece(known[now], low + at * (high - low), low + until * (high - low)))
        if until >= 1.0:
            break
        at, now = until, following
    return found


def _overtaken(ends: Sequence[tuple[float, float]], now: int, at: float, worth: float) -> tuple[float, int]:
    """Find where a line is first crossed by one that ends lower by more, and by which: the steepest."""
    until, following, most = 1.0, now, 0.0
    begin, end = ends[now]
    for number, (other_begin, other_end) in enumerate(ends):
        gain = (end - other_end) - (begin - other_begin)
        if gain > 0.0 and end - other_end > worth:
            crossing = max((other_begin - begin) / gain, at)
            if crossing < until or (crossing == until < 1.0 and gain > most):
                until, following, most = crossing, number, gain
    return until, following
