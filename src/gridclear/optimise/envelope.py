"""The least of several broken lines, each over a range of its own, and what none of them reaches."""

from __future__ import annotations

from dataclasses import dataclass
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
    found: list[Piece] = []
    for low, high in zip(every[:-1].tolist(), every[1:].tolist(), strict=True):
        covers = [place[0] <= low + seam and place[-1] >= high - seam for place, _ in lines]
        lively = np.flatnonzero(covers)
        ends = np.array([np.interp([low, high], *lines[line]) for line in lively.tolist()]).reshape(
            len(lively), 2
        )
        for piece in _least(lively, ends, low, high, found[-1] if found else None, worth):
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


def _least(
    lively: NDArray[np.int64], ends: Floats, low: float, high: float, last: Piece | None, worth: float
) -> list[Piece]:
    """Walk over straight lines from low to high, (line, 2), and take the least one everywhere."""
    if not len(lively):
        return []
    at, found = 0.0, []
    now = int(np.lexsort((ends[:, 1], ends[:, 0]))[0])
    if last is not None and last.line in lively:
        own = int(np.flatnonzero(lively == last.line)[0])
        now = own if ends[own, 0] - ends[now, 0] <= worth else now
    while at < 1.0:
        ahead = ends[now] - ends
        gain = ahead[:, 1] - ahead[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = np.where((gain > 0.0) & (ahead[:, 1] > worth), -ahead[:, 0] / gain, np.inf)
        crossing = np.where(crossing > at, crossing, np.where(np.isfinite(crossing), at, np.inf))
        crossing[now] = np.inf
        following = int(np.lexsort((-gain, crossing))[0])
        until = min(float(crossing[following]), 1.0)
        if until > at:
            found.append(Piece(int(lively[now]), low + at * (high - low), low + until * (high - low)))
        if until >= 1.0:
            break
        at, now = until, following
    return found
