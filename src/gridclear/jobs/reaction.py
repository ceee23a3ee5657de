"""First crossings where automatic tap changers react along the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.brackets import ROUNDING
from gridclear.powerflow.rays import LEAST, RESOLUTION, Crossing

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations

    Climb = Callable[[Activations, Activations, Ints], Crossing]
    Violation = Callable[[Activations, Ints], tuple[Floats, Ints]]
    Settle = Callable[[Activations, Ints], Ints]

#: A ray is looked at for moves of regulators in so many equal parts.
_PARTS = 8


def reacting_crossing(
    units: Activations, setting: Ints, climb: Climb, violation: Violation, settle: Settle
) -> Crossing:
    """Find the largest shares that are safe before regulators react and after they have settled.

    Parameters
    ----------
    units : Activations
        Full activation of each.
    setting : (unit,) of int
        Where the devices stand before.
    climb, violation, settle : callable
        First crossings of rays from where they begin, at settings; violation of scenarios at settings;
        settings that scenarios settle at.

    Returns
    -------
    Crossing

    Notes
    -----
    After the reaction the violation is a sawtooth along the ray: it jumps wherever a regulator moves. So
    every share at which the settled setting changes is bracketed, and each piece between two of them is
    searched at its own setting, its beginning included.
    """
    count = len(units)
    crossing = climb(units.part(np.arange(count), 0.0), units, setting)
    safe, which = crossing.safe.copy(), crossing.which.copy()
    ray, begin, end, at = _pieces(units, setting, safe, settle)
    if not len(ray):
        return crossing
    over, constraint = violation(units.part(ray, begin), at)
    broken = ~(over <= TOLERANCE + ROUNDING)
    inside = np.flatnonzero(~broken)
    of, low, length = ray[inside], begin[inside], (end - begin)[inside]
    found = climb(units.part(of, low), units.part(of, length), at[inside])
    reached, stops = begin.copy(), constraint.copy()
    reached[inside] = low + found.safe * length
    stops[inside] = found.which
    stopped = broken.copy()
    stopped[inside] = found.safe < 1.0
    # Pieces come in order: the first that stops its ray counts.
    first = np.full(count, len(ray))
    np.minimum.at(first, ray[stopped], np.flatnonzero(stopped))
    hit = first < len(ray)
    safe[hit], which[hit] = reached[first[hit]], stops[first[hit]]
    return Crossing(np.where(safe < LEAST, 0.0, safe), which)


def _pieces(
    units: Activations, setting: Ints, most: Floats, settle: Settle
) -> tuple[Ints, Floats, Floats, Ints]:
    """Cut [0, most] into pieces of one settled setting each; units along which nothing moves have none."""
    count = len(units)
    shares = np.linspace(0.0, 1.0, _PARTS + 1)
    ray = np.repeat(np.arange(count), len(shares))
    share = np.outer(most, shares)
    at = settle(units.part(ray, share.ravel()), setting[ray]).reshape(count, -1)
    moved = np.flatnonzero((at != setting[:, None]).any(axis=1))
    ray = np.repeat(moved, _PARTS)
    low, high = share[moved, :-1].ravel(), share[moved, 1:].ravel()
    at_low, at_high = at[moved, :-1].ravel(), at[moved, 1:].ravel()
    ends = [(moved, share[moved, 0], share[moved, 0], at[moved, 0])]
    while True:
        open_ = at_low != at_high
        ray, low, high, at_low, at_high = (x[open_] for x in (ray, low, high, at_low, at_high))
        narrow = high - low <= RESOLUTION
        # Where a piece ends and the next begins.
        ends.append((ray[narrow], low[narrow], high[narrow], at_high[narrow]))
        ray, low, high, at_low, at_high = (x[~narrow] for x in (ray, low, high, at_low, at_high))
        if not len(ray):
            break
        middle = 0.5 * (low + high)
        between = settle(units.part(ray, middle), setting[ray])
        ray, low, high = np.tile(ray, 2), np.concatenate([low, middle]), np.concatenate([middle, high])
        at_low, at_high = np.concatenate([at_low, between]), np.concatenate([between, at_high])
    of, stop, begin, at_begin = (np.concatenate(column) for column in zip(*ends, strict=True))
    order = np.lexsort((begin, of))
    of, stop, begin, at_begin = of[order], stop[order], begin[order], at_begin[order]
    # A piece ends where the next of its ray begins, the last one at the end.
    last = np.append(of[1:] != of[:-1], True) if len(of) else np.zeros(0, dtype=bool)
    end = np.where(last, most[of], np.append(stop[1:], 0.0)[: len(of)])
    return of, begin, np.maximum(end, begin), at_begin
