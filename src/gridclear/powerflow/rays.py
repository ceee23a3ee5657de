"""How far along its ray an activation stays inside the limits: many rays at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gridclear.network.limits import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints

#: Less than this share of an offer is nothing: slivers within tolerances are no product.
LEAST = 1e-3
#: Width of the bracket, as a share of the offer, at which a crossing counts as found.
RESOLUTION = 1e-5
#: A fitted parabola that comes this near to a limit between samples is followed up by a power flow.
_NEAR = 1e-4
#: A ray that comes this near to a limit at a sample is looked at more closely.
_CLOSE = 2e-3
#: Shares of the safe part at which it is looked at again, and how often.
_BETWEEN = (0.25, 0.5, 0.75)
_RECHECKS = 4
#: Rounds of the search; bisection alone needs 17 from [0, 1] to ``RESOLUTION``.
_ROUNDS = 60


class Violation(Protocol):
    """Worst violation and its constraint at a share of the offer; +inf and -1 where there is no solution."""

    def __call__(self, ray: Ints, share: Floats) -> tuple[Floats, Ints]:
        """(ray,), (ray,) → (ray,), (ray,)."""
        ...


@dataclass(frozen=True)
class Crossing:
    """Where each ray leaves the safe set.

    Attributes
    ----------
    safe : (ray,)
        Largest share up to which the ray is safe; 1 where it never leaves.
    which : (ray,)
        Constraint that is broken just beyond; at safe = 1 the one with the least margin; -1 for no solution.
    over_at_full : (ray,)
        Worst violation at the full offer; +inf without solution.
    """

    safe: Floats
    which: Ints
    over_at_full: Floats


def first_crossing(
    violation: Violation, at_nothing: Floats, progress: Callable[[int, int], None] | None = None
) -> Crossing:
    """First crossing of every ray, from nothing to the full offer.

    Parameters
    ----------
    violation : Violation
        Evaluated in bulk.
    at_nothing : (ray,)
        Violation at share 0; by the definition of the effective limits not above the tolerance.
    progress : callable, optional
        Called with (rays that are done, all).

    Returns
    -------
    Crossing

    Notes
    -----
    Lower voltages and currents are convex along a ray, an upper voltage is concave: it can pass its limit and
    come back. So every ray is looked at in the middle, too, and where a parabola through the samples comes
    near the limit between them, at its peak. The bracket that then holds the first crossing is closed by
    false position from both sides, with bisection where that does not halve it in two rounds. Last, the part
    found safe is sampled between nothing and its end; what breaks there becomes the new, nearer crossing.
    """
    count = len(at_nothing)
    rays = np.arange(count)
    samples = [_Sample(np.zeros(count), at_nothing, np.full(count, -1, dtype=np.int64))]
    samples.extend(
        _Sample(np.full(count, share), *violation(rays, np.full(count, share))) for share in (0.5, 1.0)
    )
    low, high = _bracket(samples)
    which = np.where(np.isinf(high.share), samples[-1].which, high.which)
    peaks = _peaks(samples)
    suspect = np.flatnonzero(np.isinf(high.share) & (peaks > 0.0))
    if len(suspect):
        over, constraint = violation(suspect, peaks[suspect])
        beyond = ~(over <= TOLERANCE)
        hit = suspect[beyond]
        before = peaks[hit] > samples[1].share[hit]
        low.share[hit] = np.where(before, samples[1].share[hit], 0.0)
        low.over[hit] = np.where(before, samples[1].over[hit], samples[0].over[hit])
        high.share[hit], high.over[hit] = peaks[hit], over[beyond]
        which[hit] = constraint[beyond]
    open_ = _above_least(violation, low, high, which, np.flatnonzero(np.isfinite(high.share)))
    if progress is not None:
        progress(count - len(open_), count)
    _close(
        violation,
        low,
        high,
        which,
        open_,
        lambda left: None if progress is None else progress(count - left, count),
    )
    near = np.isfinite(high.share) | (_nearest(samples) > -_CLOSE)
    _recheck(violation, low, high, which, np.flatnonzero(near & (high.share > LEAST)))
    if progress is not None:
        progress(count, count)
    safe = np.where(np.isinf(high.share), 1.0, np.where(low.share < LEAST, 0.0, low.share))
    return Crossing(safe, which, samples[-1].over)


@dataclass(frozen=True)
class Glance:
    """What a few samples of each ray say.

    Attributes
    ----------
    decided : (ray,) of bool
        Safe in full, or not at all; the others need ``first_crossing``.
    crossing : Crossing
        Of the decided rays.
    at_nothing : (ray,)
        Violation at share 0.
    """

    decided: NDArray[np.bool_]
    crossing: Crossing
    at_nothing: Floats


def glance(violation: Violation, count: int) -> Glance:
    """Tell the rays that are safe in full or not at all from six samples of each, in one evaluation.

    Parameters
    ----------
    violation : Violation
    count : int
        Number of rays.

    Returns
    -------
    Glance
    """
    shares = (0.0, LEAST, *_BETWEEN, 1.0)
    over, constraint = violation(np.tile(np.arange(count), len(shares)), np.repeat(shares, count))
    samples = [
        _Sample(np.full(count, share), *row)
        for share, *row in zip(shares, over.reshape(-1, count), constraint.reshape(-1, count), strict=True)
    ]
    nothing, least, *_, full = samples
    broken = np.array([~(sample.over <= TOLERANCE) for sample in samples])
    red = broken[:2].any(axis=0)
    green = ~broken.any(axis=0) & (_peaks([nothing, samples[3], full]) == 0.0)
    crossing = Crossing(np.where(green, 1.0, 0.0), np.where(red, least.which, full.which), full.over)
    return Glance(red | green, crossing, nothing.over)


def _above_least(violation: Violation, low: _Sample, high: _Sample, which: Ints, rays: Ints) -> Ints:
    """Look at the least share of rays with a crossing, in place; those that pass it are still open."""
    over, constraint = violation(rays, np.full(len(rays), LEAST))
    broken = ~(over <= TOLERANCE)
    hit, rest = rays[broken], rays[~broken]
    high.share[hit], high.over[hit], which[hit] = LEAST, over[broken], constraint[broken]
    low.share[hit] = 0.0
    behind = rest[low.share[rest] < LEAST]
    low.share[behind], low.over[behind] = LEAST, over[~broken][low.share[rest] < LEAST]
    return rest


@dataclass
class _Sample:
    """A share per ray, with the violation there; arrays are changed in place by the search."""

    share: Floats
    over: Floats
    which: Ints


def _bracket(samples: list[_Sample]) -> tuple[_Sample, _Sample]:
    """Last safe sample before the first broken one, and that one (share inf where none is broken)."""
    count = len(samples[0].share)
    low = _Sample(np.zeros(count), samples[0].over.copy(), samples[0].which.copy())
    high = _Sample(np.full(count, np.inf), np.full(count, np.nan), np.full(count, -1, dtype=np.int64))
    for sample in samples:
        searching = np.isinf(high.share)
        broken = searching & ~(sample.over <= TOLERANCE)
        fine = searching & ~broken
        high.share[broken], high.over[broken], high.which[broken] = (
            sample.share[broken],
            sample.over[broken],
            sample.which[broken],
        )
        low.share[fine], low.over[fine], low.which[fine] = (
            sample.share[fine],
            sample.over[fine],
            sample.which[fine],
        )
    return low, high


def _peaks(samples: list[_Sample]) -> Floats:
    """Share of a parabola's peak where it comes near the limit inside (0, 1); 0 elsewhere."""
    start, middle, end = (sample.over for sample in samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = 2.0 * (start - 2.0 * middle + end)
        slope = -3.0 * start + 4.0 * middle - end
        peak = -slope / (2.0 * bend)
        top = start + slope * peak / 2.0
    near = (bend < 0.0) & (peak > 0.0) & (peak < 1.0) & (top > -_NEAR)
    return np.where(near, peak, 0.0)


def _nearest(samples: list[_Sample]) -> Floats:
    """Worst violation over the samples of each ray."""
    worst: Floats = np.max([sample.over for sample in samples], axis=0)
    return worst


def _recheck(violation: Violation, low: _Sample, high: _Sample, which: Ints, rays: Ints) -> None:
    """Sample what was found safe; where something breaks there, close in on that instead, in place."""
    for round_ in range(_RECHECKS):
        end = np.where(np.isinf(high.share[rays]), 1.0, low.share[rays])
        rays, end = rays[end >= LEAST], end[end >= LEAST]
        below, at_below = np.zeros(len(rays)), np.full(len(rays), -np.inf)
        open_ = np.zeros(len(rays), dtype=bool)
        for part in _BETWEEN:
            # A ray that is safe in full has been looked at in its middle.
            asked = np.flatnonzero((end < 1.0) | (part != 0.5)) if round_ == 0 else np.arange(len(rays))
            over, constraint = np.full(len(rays), -np.inf), np.full(len(rays), -1, dtype=np.int64)
            over[asked], constraint[asked] = violation(rays[asked], (part * end)[asked])
            broken = ~(over <= TOLERANCE) & ~open_
            hit = rays[broken]
            high.share[hit], high.over[hit], which[hit] = (
                (part * end)[broken],
                over[broken],
                constraint[broken],
            )
            low.share[hit], low.over[hit] = below[broken], at_below[broken]
            open_ |= broken
            seen = ~open_ & np.isfinite(over)
            below, at_below = np.where(seen, part * end, below), np.where(seen, over, at_below)
        rays = rays[open_]
        if not len(rays):
            return
        _close(violation, low, high, which, rays, lambda _: None)


def _close(
    violation: Violation, low: _Sample, high: _Sample, which: Ints, open_: Ints, done: Callable[[int], None]
) -> None:
    """Narrow every open bracket to ``RESOLUTION``, in place."""
    width_before = np.full(len(low.share), np.inf)
    side = np.zeros(len(low.share), dtype=bool)
    for round_ in range(_ROUNDS):
        open_ = open_[high.share[open_] - low.share[open_] > RESOLUTION]
        if not len(open_):
            return
        a, b = low.share[open_], high.share[open_]
        trial = _trial(a, b, low.over[open_], high.over[open_], side[open_])
        if round_ % 2 == 1:
            stuck = ~(b - a < 0.5 * width_before[open_])
            trial = np.where(stuck, 0.5 * (a + b), trial)
            width_before[open_] = b - a
        over, constraint = violation(open_, trial)
        fine = over <= TOLERANCE
        low.share[open_[fine]], low.over[open_[fine]] = trial[fine], over[fine]
        high.share[open_[~fine]], high.over[open_[~fine]] = trial[~fine], over[~fine]
        which[open_[~fine]] = constraint[~fine]
        side[open_] = fine
        done(len(open_))


def _trial(a: Floats, b: Floats, at_a: Floats, at_b: Floats, beyond: NDArray[np.bool_]) -> Floats:
    """Next share: the chord's root, pushed a little to the side that was not hit last; else the middle."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = a + (b - a) * (TOLERANCE - at_a) / (at_b - at_a)
    push = 0.4 * RESOLUTION
    trial = np.clip(root + np.where(beyond, push, -push), a + push, b - push)
    return np.where(np.isfinite(trial), trial, 0.5 * (a + b))
