"""First crossings where automatic tap changers, or inverters on curves, react along the way."""

from __future__ import annotations

from itertools import count as count_from
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
    Marks = Callable[[Activations, Ints], tuple[Ints, Floats]]

#: A ray is looked at for changes of marks in so many equal parts.
_PARTS = 8
#: A change of marks is looked for within this part of a bracket on either side of where chords put it.
_AROUND = 0.04


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
        is the setting that counts there; and (scenario, place), numbers that are continuous along a ray as
        long as the setting is the same, and of which one begins or ceases to be above 0 where another mark
        changes.

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

    Marks are looked at in so many ``parts``; where they differ, changes are found to the ``resolution``:
    around where places pass 0 by their chords, and every fourth time in thirds. Where a curve bends the
    place bends, too, so that a chord is only roughly right.
    """
    count = len(units)
    known: dict[bytes, int] = {}
    settings: list[int] = []

    def mark(ray: Ints, share: Floats) -> tuple[Ints, Floats]:
        """Give marks numbers as they turn up; and places."""
        found, place = marks(units.part(ray, share), setting[ray])
        found = np.ascontiguousarray(found)
        for row in found:
            if row.tobytes() not in known:
                known[row.tobytes()] = len(known)
                settings.append(int(row[0]))
        return np.array([known[row.tobytes()] for row in found], dtype=np.int64), place

    shares = np.linspace(0.0, 1.0, parts + 1)
    ray = np.repeat(np.arange(count), len(shares))
    share = np.outer(most, shares)
    number, place = mark(ray, share.ravel())
    at, place = number.reshape(share.shape), place.reshape(*share.shape, place.shape[1])
    after = np.array(settings, dtype=np.int64)[at]
    moved = np.flatnonzero(((after != setting[:, None]) | (at != at[:, :1])).any(axis=1))
    ray = np.repeat(moved, parts)
    low, high = share[moved, :-1].ravel(), share[moved, 1:].ravel()
    at_low, at_high = at[moved, :-1].ravel(), at[moved, 1:].ravel()
    from_, to = (side[moved].reshape(len(ray), place.shape[2]) for side in (place[:, :-1], place[:, 1:]))
    ends = [(moved, share[moved, 0], share[moved, 0], at[moved, 0])]
    for number_of_cuts in count_from(1):
        open_ = at_low != at_high
        ray, low, high, at_low, at_high, from_, to = (
            x[open_] for x in (ray, low, high, at_low, at_high, from_, to)
        )
        narrow = high - low <= resolution
        # Where a piece ends and the next begins.
        ends.append((ray[narrow], low[narrow], high[narrow], at_high[narrow]))
        ray, low, high, at_low, at_high, from_, to = (
            x[~narrow] for x in (ray, low, high, at_low, at_high, from_, to)
        )
        if not len(ray):
            break
        part = _passing(from_, to)
        if not number_of_cuts % 4:
            part[:] = np.nan
        every, (told, column) = np.arange(len(ray)), np.nonzero(np.isfinite(part))
        width, inset = (high - low)[told], 0.4 * resolution
        centre = np.clip(low[told] + part[told, column] * width, low[told] + inset, high[told] - inset)
        around = np.maximum(_AROUND * width, 0.98 * inset)
        before = np.maximum(centre - around, low[told] + 0.02 * inset)
        behind = np.minimum(centre + around, high[told] - 0.02 * inset)
        rest = np.flatnonzero(~np.isfinite(part).any(axis=1))
        third = (high - low)[rest] / 3.0
        bracket = np.concatenate([told, told, rest, rest])
        cut = [before, behind, low[rest] + third, high[rest] - third]
        at_cut, place = mark(ray[bracket], np.concatenate(cut))
        # Each bracket falls into the parts between its cuts.
        whose, where = np.concatenate([every, bracket, every]), np.concatenate([low, *cut, high])
        order = np.lexsort((where, whose))
        marked = np.concatenate([at_low, at_cut, at_high])[order]
        places = np.concatenate([from_, place, to])[order]
        whose, where = whose[order], where[order]
        first = np.flatnonzero(whose[1:] == whose[:-1])
        ray, low, high = ray[whose[first]], where[first], where[first + 1]
        at_low, at_high = marked[first], marked[first + 1]
        from_, to = places[first], places[first + 1]
    of, stop, begin, at_begin = (np.concatenate(column) for column in zip(*ends, strict=True))
    order = np.lexsort((begin, of))
    of, stop, begin, at_begin = of[order], stop[order], begin[order], at_begin[order]
    # A piece ends where the next of its ray begins, the last one at the end.
    last = np.append(of[1:] != of[:-1], True) if len(of) else np.zeros(0, dtype=bool)
    end = np.where(last, most[of], np.append(stop[1:], 0.0)[: len(of)])
    return of, begin, np.maximum(end, begin), np.array(settings, dtype=np.int64)[at_begin]


def _passing(begin: Floats, end: Floats) -> Floats:
    """Part of the way at which numbers pass 0, NaN where they do not; (row, number)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((begin > 0.0) != (end > 0.0), begin / (begin - end), np.nan)
