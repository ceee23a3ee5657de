"""How far along its ray an activation stays inside the limits: many rays at once, each by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.brackets import RESERVE, ROUNDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints

#: Less than this share of an offer is nothing: slivers within tolerances are no product.
LEAST = 1e-3
#: Width of the bracket, as a share of the offer, at which a crossing counts as found; and where rays follow
#: one another: what is left of a limit would go to whoever comes next.
RESOLUTION, FINE = 1e-5, 1e-10
#: A fitted parabola that comes this near to a limit between samples is followed up by a power flow.
_NEAR = 1e-4
#: A ray that comes this near to a limit at a sample is looked at more closely.
_CLOSE = 2e-3
#: Shares of the safe part at which it is looked at again, and how often.
_BETWEEN = (0.25, 0.5, 0.75)
_RECHECKS = 4
#: Trials per ray while a bracket is closed; bisection alone needs 17 from [0, 1] to ``RESOLUTION``.
_ROUNDS = 60
#: First samples of a ray.
_LOOKS = (0.5, 1.0)
#: What is asked next of a ray.
_LOOK, _SECOND, _NARROW, _RECHECK, _DONE = range(5)


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
        Largest share up to which the ray is safe; 1 where it never leaves, 0 where that is below ``LEAST``.
    which : (ray,)
        Constraint that is broken just beyond; at safe = 1 the one with the least margin; -1 for no solution.
    """

    safe: Floats
    which: Ints


def first_crossing(
    violation: Violation,
    at_nothing: Floats,
    progress: Callable[[int, int], None] | None = None,
    *,
    bound: Floats | float = TOLERANCE,
    resolution: float = RESOLUTION,
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
    bound : (ray,) or float
        Violation that is none yet.
    resolution : float
        Width of the bracket at which a crossing is found.

    Returns
    -------
    Crossing
    """
    tracer = _Tracer(at_nothing, np.broadcast_to(bound, at_nothing.shape), resolution)
    while True:
        ray, share = tracer.ask()
        if not len(ray):
            return tracer.crossing()
        tracer.tell(*violation(ray, share))
        if progress is not None:
            progress(tracer.decided, len(at_nothing))


def bound_from(at_nothing: Floats) -> Floats:
    """Violations that are none yet for rays that begin where others ended, with these violations there."""
    bound: Floats = np.clip(at_nothing + ROUNDING, TOLERANCE - RESERVE, TOLERANCE)
    return bound


class _Tracer:
    """Searches rays for their first crossings; it asks for violations and is told them.

    Lower voltages and currents are convex along a ray, an upper voltage is concave: it can pass its limit and
    come back. So every ray is looked at in the middle, too, and where a parabola through the samples comes
    near the limit between them, at its peak. The bracket that then holds the first crossing is closed around
    the chord's root, with bisection where that does not halve it in two rounds. Last, the part found safe is
    sampled between nothing and its end; what breaks there becomes the new, nearer crossing.

    Parameters
    ----------
    at_nothing, bound : (ray,)
        As of ``first_crossing``.
    resolution : float
    """

    def __init__(self, at_nothing: Floats, bound: Floats, resolution: float) -> None:
        count = len(at_nothing)
        self._bound, self._resolution = bound, resolution
        self._stage = np.full(count, _LOOK)
        self._low, self._high = np.zeros(count), np.full(count, np.inf)
        self._nothing, self._over_low, self._over_high = at_nothing, at_nothing.copy(), np.full(count, np.nan)
        self._top, self._peak = np.full(count, -np.inf), np.zeros(count)
        self._which = np.full(count, -1, dtype=np.int64)
        self._width, self._beyond = np.full(count, np.inf), np.zeros(count, dtype=bool)
        self._rounds, self._rechecks = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self._asked: list[tuple[int, Ints, Floats]] = []

    @property
    def decided(self) -> int:
        """Count the rays whose crossing is known."""
        return int((self._stage == _DONE).sum())

    def crossing(self) -> Crossing:
        """Crossings of all rays, once they are done."""
        safe = np.where(np.isinf(self._high), 1.0, np.where(self._low < LEAST, 0.0, self._low))
        return Crossing(safe, self._which)

    def ask(self) -> tuple[Ints, Floats]:
        """Rays and shares at which the violation is wanted next; empty if there are none."""
        self._asked = []
        for stage, shares in (
            (_LOOK, self._look),
            (_SECOND, self._second),
            (_NARROW, self._trials),
            (_RECHECK, self._between),
        ):
            rays = np.flatnonzero(self._stage == stage)
            if len(rays):
                self._asked.append((stage, rays, shares(rays)))
        if not self._asked:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        ray = np.concatenate([np.repeat(rays, shares.shape[1]) for _, rays, shares in self._asked])
        return ray, np.concatenate([shares.ravel() for _, _, shares in self._asked])

    def tell(self, over: Floats, which: Ints) -> None:
        """Take the violations that were asked for."""
        begin = 0
        for stage, rays, shares in self._asked:
            end = begin + shares.size
            cells = (over[begin:end].reshape(shares.shape), which[begin:end].reshape(shares.shape))
            begin = end
            if stage == _LOOK:
                self._after_look(rays, shares, *cells)
                continue
            broken = self._insert(rays, shares, *cells)
            if stage == _SECOND:
                self._go_on(rays)
            elif stage == _NARROW:
                self._beyond[rays] = ~broken[:, -1]
                self._rounds[rays] += 1
                self._go_on(rays)
            else:
                self._rechecks[rays] += 1
                again = broken.any(axis=1)
                self._rounds[rays], self._width[rays] = 0, np.inf
                self._stage[rays] = _DONE
                self._go_on(rays[again])

    def _insert(self, rays: Ints, shares: Floats, over: Floats, which: Ints) -> NDArray[np.bool_]:
        """Move the brackets by samples in ascending order; says which of them are broken."""
        broken = ~(over <= self._bound[rays][:, None])
        some, first = broken.any(axis=1), broken.argmax(axis=1)
        hit, row, at = rays[some], np.flatnonzero(some), first[some]
        share = shares[row, at]
        # In front of the first broken sample: the sample before it, or the low end if that is nearer.
        low, over_low = np.where(at == 0, 0.0, shares[row, at - 1]), over[row, at - 1]
        over_low = np.where(at == 0, self._nothing[hit], over_low)
        kept = (self._low[hit] < share) & (self._low[hit] > low)
        self._low[hit] = np.where(kept, self._low[hit], low)
        self._over_low[hit] = np.where(kept, self._over_low[hit], over_low)
        self._high[hit], self._over_high[hit] = share, over[row, at]
        self._which[hit] = which[row, at]
        fine = np.flatnonzero(~some & (shares[:, -1] > self._low[rays]) & (shares[:, -1] < self._high[rays]))
        self._low[rays[fine]], self._over_low[rays[fine]] = shares[fine, -1], over[fine, -1]
        return broken

    def _look(self, rays: Ints) -> Floats:
        return np.broadcast_to(np.array(_LOOKS), (len(rays), len(_LOOKS)))

    def _after_look(self, rays: Ints, shares: Floats, over: Floats, which: Ints) -> None:
        """Ask for a second sample where the first ones leave something open: the least share, or a peak."""
        self._insert(rays, shares, over, which)
        safe = np.isinf(self._high[rays])
        self._which[rays[safe]] = which[safe, -1]
        self._top[rays] = np.maximum(self._nothing[rays], over.max(axis=1))
        peak = _peaks(self._nothing[rays], over[:, 0], over[:, 1])
        self._peak[rays] = np.where(safe, peak, LEAST)
        self._go_on(rays[self._peak[rays] == 0.0])
        self._stage[rays[self._peak[rays] > 0.0]] = _SECOND

    def _second(self, rays: Ints) -> Floats:
        share: Floats = self._peak[rays][:, None]
        return share

    def _trials(self, rays: Ints) -> Floats:
        """Next shares inside the bracket: around the chord's root; the middle where that is not known."""
        a, b = self._low[rays], self._high[rays]
        with np.errstate(divide="ignore", invalid="ignore"):
            root = a + (b - a) * (self._bound[rays] - self._over_low[rays]) / (
                self._over_high[rays] - self._over_low[rays]
            )
        middle, push = 0.5 * (a + b), np.full(len(rays), 0.4 * self._resolution)
        root = np.where(np.isfinite(root) & np.isfinite(self._over_high[rays]), root, middle)
        # Pushed a little to the side that was not hit last.
        trial = root + np.where(self._beyond[rays], push, -push)
        every_second = self._rounds[rays] % 2 == 1
        stuck = every_second & ~(b - a < 0.5 * self._width[rays])
        self._width[rays] = np.where(every_second, b - a, self._width[rays])
        single: Floats = np.clip(np.where(stuck, middle, trial), a + push, b - push)
        return single[:, None]

    def _between(self, rays: Ints) -> Floats:
        end = np.where(np.isinf(self._high[rays]), 1.0, self._low[rays])
        shares: Floats = end[:, None] * np.array(_BETWEEN)
        return shares

    def _go_on(self, rays: Ints) -> None:
        """Choose what comes next for rays whose brackets have moved."""
        low, high = self._low[rays], self._high[rays]
        crossed = np.isfinite(high)
        wide = (high - low > self._resolution) & (self._rounds[rays] < _ROUNDS)
        wide &= crossed & (high > LEAST)
        # What is safe in full was sampled there when it was looked at closely.
        near = crossed | (self._top[rays] > -_CLOSE)
        check = near & (low >= LEAST) & (self._rechecks[rays] < _RECHECKS)
        self._stage[rays] = np.select([wide, check], [_NARROW, _RECHECK], _DONE)


def _peaks(start: Floats, middle: Floats, end: Floats) -> Floats:
    """Share of a parabola's peak where it comes near the limit inside (0, 1); 0 elsewhere."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = 2.0 * (start - 2.0 * middle + end)
        slope = -3.0 * start + 4.0 * middle - end
        peak = -slope / (2.0 * bend)
        top = start + slope * peak / 2.0
    near = (bend < 0.0) & (peak > 0.0) & (peak < 1.0) & (top > -_NEAR)
    return np.where(near, peak, 0.0)
