"""First crossings where automatic tap changers, or inverters on curves, react along the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.brackets import ROUNDING
from gridclear.powerflow.rays import LEAST, RESOLUTION, Crossing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations

    Stretch = Callable[[Activations, Floats, Floats, Ints], Crossing]
    Violation = Callable[[Activations, Ints], tuple[Floats, Ints]]
    Marks = Callable[[Activations, Ints], Ints]

#: A ray is looked at for changes of marks in so many equal parts.
_PARTS = 8


def reacting_crossing(
    units: Activations, setting: Ints, stretch: Stretch, violation: Violation, marks: Sequence[Marks]
) -> Crossing:
    """Find first crossings where a state counts before and after whatever reacts.

    Parameters
    ----------
    units : Activations
        Full activation of each.
    setting : (unit,) of int
        Where the devices stand before.
    stretch : callable
        First crossings on stretches of rays, from a share of each to another, at settings; as shares of the
        stretches.
    violation : callable
        Violation of scenarios at settings.
    marks : sequence of callable
        Each tells pieces of a ray apart, given scenarios and settings: (scenario, mark), of which the first
        is the setting that counts there.

    Returns
    -------
    Crossing
    """
    nothing = np.zeros(len(units))
    crossing = stretch(units, nothing, nothing + 1.0, setting)
    for tell_apart in marks:
        crossing = _in_pieces(units, setting, crossing, stretch, violation, tell_apart)
    return Crossing(np.where(crossing.safe < LEAST, 0.0, crossing.safe), crossing.which)


def _in_pieces(
    units: Activations,
    setting: Ints,
    crossing: Crossing,
    stretch: Stretch,
    violation: Violation,
    marks: Marks,
) -> Crossing:
    """Bring crossings forward to where a state breaks a limit, piece by piece.

    After devices have reacted the violation is a sawtooth along the ray: it jumps wherever a regulator moves.
    And it has a corner wherever an inverter goes from one piece of its curve to the next. So every share at
    which a mark changes is bracketed, and each piece between two of them is searched at its own setting, its
    beginning included.
    """
    ray, begin, end, at = _pieces(units, setting, crossing.safe, marks)
    if not len(ray):
        return crossing
    over, constraint = violation(units.part(ray, begin), at)
    broken = ~(over <= TOLERANCE + ROUNDING)
    inside = np.flatnonzero(~broken)
    found = stretch(units.part(ray[inside]), begin[inside], end[inside], at[inside])
    # What is broken where a piece begins was not where the one before it ended.
    reached = np.where(np.diff(ray, prepend=-1) == 0, np.roll(end, 1), begin)
    stops = constraint.copy()
    reached[inside] = begin[inside] + found.safe * (end - begin)[inside]
    stops[inside] = found.which
    stopped = broken.copy()
    stopped[inside] = found.safe < 1.0
    # Pieces come in order: the first that stops its ray counts.
    first = np.full(len(units), len(ray))
    np.minimum.at(first, ray[stopped], np.flatnonzero(stopped))
    hit = first < len(ray)
    safe, which = crossing.safe.copy(), crossing.which.copy()
    safe[hit], which[hit] = reached[first[hit]], stops[first[hit]]
    return Crossing(safe, which)


def bends(
    units: Activations, setting: Ints, marks: Marks, parts: int, resolution: float
) -> tuple[Ints, Floats]:
    """Find where marks change along rays: each ray and the last share before; arguments as of ``_pieces``."""
    ray, _, end, _ = _pieces(units, setting, np.ones(len(units)), marks, parts, resolution)
    goes_on = np.flatnonzero(ray[1:] == ray[:-1])
    return ray[goes_on], end[goes_on]


def _pieces(
    units: Activations,
    setting: Ints,
    most: Floats,
    marks: Marks,
    parts: int = _PARTS,
    resolution: float = RESOLUTION,
) -> tuple[Ints, Floats, Floats, Ints]:
    """Cut [0, most] into pieces of the same marks each; units along which nothing changes have none.

    Marks are looked at in so many ``parts``; where they differ, changes are found to the ``resolution``.
    """
    count = len(units)
    known: dict[bytes, int] = {}
    settings: list[int] = []

    def mark(ray: Ints, share: Floats) -> Ints:
        """Give marks numbers as they turn up."""
        found = np.ascontiguousarray(marks(units.part(ray, share), setting[ray]))
        for row in found:
            if row.tobytes() not in known:
                known[row.tobytes()] = len(known)
                settings.append(int(row[0]))
        return np.array([known[row.tobytes()] for row in found], dtype=np.int64)

    shares = np.linspace(0.0, 1.0, parts + 1)
    ray = np.repeat(np.arange(count), len(shares))
    share = np.outer(most, shares)
    at = mark(ray, share.ravel()).reshape(share.shape)
    after = np.array(settings, dtype=np.int64)[at]
    moved = np.flatnonzero(((after != setting[:, None]) | (at != at[:, :1])).any(axis=1))
    ray = np.repeat(moved, parts)
    low, high = share[moved, :-1].ravel(), share[moved, 1:].ravel()
    at_low, at_high = at[moved, :-1].ravel(), at[moved, 1:].ravel()
    ends = [(moved, share[moved, 0], share[moved, 0], at[moved, 0])]
    while True:
        open_ = at_low != at_high
        ray, low, high, at_low, at_high = (x[open_] for x in (ray, low, high, at_low, at_high))
        narrow = high - low <= resolution
        # Where a piece ends and the next begins.
        ends.append((ray[narrow], low[narrow], high[narrow], at_high[narrow]))
        ray, low, high, at_low, at_high = (x[~narrow] for x in (ray, low, high, at_low, at_high))
        if not len(ray):
            break
        middle = 0.5 * (low + high)
        between = mark(ray, middle)
        ray, low, high = np.tile(ray, 2), np.concatenate([low, middle]), np.concatenate([middle, high])
        at_low, at_high = np.concatenate([at_low, between]), np.concatenate([between, at_high])
    of, stop, begin, at_begin = (np.concatenate(column) for column in zip(*ends, strict=True))
    order = np.lexsort((begin, of))
    of, stop, begin, at_begin = of[order], stop[order], begin[order], at_begin[order]
    # A piece ends where the next of its ray begins, the last one at the end.
    last = np.append(of[1:] != of[:-1], True) if len(of) else np.zeros(0, dtype=bool)
    end = np.where(last, most[of], np.append(stop[1:], 0.0)[: len(of)])
    return of, begin, np.maximum(end, begin), np.array(settings, dtype=np.int64)[at_begin]
