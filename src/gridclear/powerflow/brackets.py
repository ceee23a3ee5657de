"""The first crossing of a ray, closed in on: samples that are remembered, and where to look next.

A bracket is closed by the constraint that breaks at its high end: its value is probed wherever the ray is
sampled from then on, and a parabola through the samples next to the bracket tells where it meets its limit,
whatever other constraint rests at its own. The part below is looked at again before it counts as safe.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.arrays import NEWTON
from gridclear.powerflow.jit import allocating, inner

#: Rays that follow one another stop this much before the tolerance, and may begin this much behind there:
#: rounding must not break at the beginning of a ray what held at the end of the one before.
RESERVE, ROUNDING = 2e-9, 2e-12
#: What a power flow repeats to: so much of its limit may be left by a ray, as what is left would go to whoever
#: comes next. And how long that is tried: to this width of the bracket, in so many rounds.
_CRUMB, _FINEST, _FINE_ROUNDS = 1e-13, 1e-13, 8
#: Rounds until a bracket is as wide as is asked for; quartering alone needs 9.
_ROUNDS = 60
#: A parabola that comes this near to a limit between samples is followed up.
_NEAR = 1e-4
#: A bracket of this width is near its end: the part below it is looked at again.
_CLOSE = 0.02
#: How often what breaks there may begin the search anew.
_RECHECKS = 4
#: Samples that are remembered of a ray.
_KEPT = 48


class Aim(NamedTuple):
    """What counts as a crossing.

    Attributes
    ----------
    bound : float
        Violation that is none yet.
    least : float
        Less than this share is nothing.
    resolution : float
        Width of the bracket at which a crossing is found.
    """

    bound: float
    least: float
    resolution: float


class Brackets(NamedTuple):
    """The ray that each track is on, (track,): where it begins, and what holds its first crossing.

    Attributes
    ----------
    nothing, limit : (track,)
        Violation where the ray begins, NaN: not known yet; and what it may be along the ray.
    low, over_low, high, over_high : (track,)
        Shares that are safe and broken, and the violation there; high is infinite before anything breaks.
    which : (track,) int
        Constraint that is broken at the high end, or has the least margin at the full share.
    width : (track,)
        Of the bracket a round ago.
    rounds, rechecks : (track,) int
        Rounds of closing in, and how often it began anew.
    checked : (track,) bool
        The part below was looked at again.
    """

    nothing: np.ndarray
    limit: np.ndarray
    low: np.ndarray
    over_low: np.ndarray
    high: np.ndarray
    over_high: np.ndarray
    which: np.ndarray
    width: np.ndarray
    rounds: np.ndarray
    rechecks: np.ndarray
    checked: np.ndarray


class Samples(NamedTuple):
    """Latest samples of the ray that each track is on, (track, sample); ``seen`` (track,) counts all there were.

    Besides the worst violation and its constraint, that of a constraint that was probed.
    """

    seen: np.ndarray
    share: np.ndarray
    over: np.ndarray
    which: np.ndarray
    probe: np.ndarray
    probed: np.ndarray


@allocating
def new_brackets(tracks):
    """Nothing is known of any track."""
    return Brackets(
        nothing=np.full(tracks, np.nan),
        limit=np.zeros(tracks),
        low=np.zeros(tracks),
        over_low=np.zeros(tracks),
        high=np.zeros(tracks),
        over_high=np.zeros(tracks),
        which=np.full(tracks, -1),
        width=np.zeros(tracks),
        rounds=np.zeros(tracks, dtype=np.int64),
        rechecks=np.zeros(tracks, dtype=np.int64),
        checked=np.zeros(tracks, dtype=np.bool_),
    )


@allocating
def new_samples(tracks):
    """Room for the samples of tracks."""
    return Samples(
        seen=np.zeros(tracks, dtype=np.int64),
        share=np.zeros((tracks, _KEPT)),
        over=np.zeros((tracks, _KEPT)),
        which=np.zeros((tracks, _KEPT), dtype=np.int64),
        probe=np.zeros((tracks, _KEPT), dtype=np.int64),
        probed=np.zeros((tracks, _KEPT)),
    )


@inner
def stand_at(brackets, aim, t, over):
    """Rays of a track begin at a state with this violation."""
    brackets.nothing[t] = over
    brackets.limit[t] = min(max(over + ROUNDING, aim.bound - RESERVE), aim.bound)


@inner
def begin_ray(brackets, samples, aim, t, over):
    """Begin with a ray that is safe at the least share, with this violation there."""
    brackets.low[t], brackets.over_low[t] = aim.least, over
    brackets.high[t], brackets.over_high[t], brackets.width[t] = np.inf, np.nan, np.inf
    brackets.rounds[t], brackets.rechecks[t], brackets.checked[t] = 0, 0, False
    brackets.which[t], samples.seen[t] = -1, 0


@inner
def over_of(out, lane):
    """Violation of a scenario, infinite without solution."""
    return out.high[lane] if out.code[lane] <= NEWTON else np.inf


@inner
def remember(samples, limits, out, t, share, lane):
    """Keep what a scenario has told of a share."""
    place, probe = samples.seen[t] % _KEPT, limits.probe[lane]
    samples.share[t, place], samples.over[t, place] = share, over_of(out, lane)
    samples.which[t, place], samples.probe[t, place] = out.which[lane], probe
    samples.probed[t, place] = _violation(limits, limits.row[lane], probe, out.probed[lane])
    samples.seen[t] += 1


@inner
def _violation(limits, row, constraint, value):
    """Violation of one constraint at a value, as ``evaluate.worst_limit`` finds it; NaN for -1."""
    n, m = limits.vm_min.shape[1], limits.loading.shape[1]
    if constraint < 0:
        return np.nan
    if constraint < n:
        return limits.vm_min[row, constraint] - value
    if constraint < 2 * n:
        return value - limits.vm_max[row, constraint - n]
    if constraint < 2 * n + m:
        return value - limits.loading[row, constraint - 2 * n]
    e, j = (constraint - 2 * n - m) // 5, (constraint - 2 * n - m) % 5
    over = value - limits.exchange[row, e, j]
    return (-over if j in (0, 2) else over) / limits.exchange_scale


@inner
def move(brackets, samples, t):
    """Move the bracket to the first sample that is broken and the last one below it."""
    before = brackets.low[t]
    kept = min(samples.seen[t], _KEPT)
    for k in range(kept):
        share, over = samples.share[t, k], samples.over[t, k]
        if share < brackets.high[t] and not over <= brackets.limit[t]:
            brackets.high[t], brackets.over_high[t], brackets.which[t] = share, over, samples.which[t, k]
    if not brackets.low[t] < brackets.high[t]:
        brackets.low[t], brackets.over_low[t] = 0.0, brackets.nothing[t]
    for k in range(kept):
        share = samples.share[t, k]
        if brackets.low[t] < share < brackets.high[t]:
            brackets.low[t], brackets.over_low[t] = share, samples.over[t, k]
    if brackets.high[t] < before and brackets.rechecks[t] < _RECHECKS:
        # What was thought safe is not: the search begins anew.
        brackets.rechecks[t] += 1
        brackets.rounds[t], brackets.checked[t], brackets.width[t] = 0, False, np.inf


@inner
def _known(samples, t, k, constraint):
    """Violation of a constraint in a sample, NaN where it was not looked at."""
    if samples.which[t, k] == constraint:
        return samples.over[t, k]
    return samples.probed[t, k] if samples.probe[t, k] == constraint else np.nan


@inner
def _value_at_low(brackets, samples, t):
    """Violation at the low end: of the constraint that breaks at the high end where it is known."""
    for k in range(min(samples.seen[t], _KEPT)):
        if samples.share[t, k] == brackets.low[t]:
            known = _known(samples, t, k, brackets.which[t])
            if not np.isnan(known):
                return known
    return brackets.over_low[t]


@inner
def is_wide(brackets, samples, aim, t):
    """Whether the bracket is to be closed further."""
    high = brackets.high[t]
    width = high - brackets.low[t]
    if not (np.isfinite(high) and high > aim.least):
        return False
    if width > aim.resolution:
        return brackets.rounds[t] < _ROUNDS
    # The constraint that breaks has something left, whatever rests at its limit besides.
    left = brackets.limit[t] - _value_at_low(brackets, samples, t)
    finite = np.isfinite(brackets.over_high[t])
    return finite and left > _CRUMB and width > _FINEST and brackets.rounds[t] < _FINE_ROUNDS


@inner
def trials_inside(brackets, samples, aim, t, trial):
    """Next samples of a bracket, into ``trial[t]``; returns how many they are, at most eight.

    Around the root of what breaks, or in quarters where that is not known; in the middle, too, where the last
    round has not halved the bracket; and below it once it is near its end.
    """
    a, b = brackets.low[t], brackets.high[t]
    push, n = 0.4 * aim.resolution, 0
    root, error, slope = _root(brackets, samples, aim, t)
    stuck = not b - a < 0.5 * brackets.width[t]
    brackets.width[t] = b - a
    if np.isnan(root):
        for j in range(3):
            trial[t, j] = a + 0.25 * (j + 1) * (b - a)
        n = 3
    else:
        fine = min(0.5 * _CRUMB / abs(slope), push) if slope != 0.0 else push
        far, inset = max(error, push), min(0.5 * fine, 0.1 * (b - a))
        trial[t, 0], trial[t, 1], trial[t, 2], trial[t, 3] = root - far, root - fine, root + fine, root + far
        for j in range(4):
            trial[t, j] = min(max(trial[t, j], a + inset), b - inset)
        n = 4
        if stuck:
            trial[t, n] = 0.5 * (a + b)
            n += 1
    if b - a <= _CLOSE and not brackets.checked[t]:
        n = trials_below(brackets, t, trial, n)
    return n


@inner
def trials_below(brackets, t, trial, n):
    """Add samples of the part that is thought safe, behind the first ``n``; returns how many there are then."""
    for j in range(3):
        trial[t, n + j] = 0.25 * (j + 1) * brackets.low[t]
    brackets.checked[t] = True
    return n + 3


@allocating
def _root(brackets, samples, aim, t):
    """Where the constraint that breaks meets its limit: share, error to be expected and slope; NaN: unknown.

    By a parabola through the three samples nearest to the bracket's middle, a chord through two of them, or
    the bracket's own; samples so near to one another that rounding would turn the line are passed over.
    """
    a, b, limit, constraint = brackets.low[t], brackets.high[t], brackets.limit[t], brackets.which[t]
    if constraint < 0 or not np.isfinite(brackets.over_high[t]):
        return np.nan, np.nan, np.nan
    x, y = np.full(3, np.nan), np.full(3, np.nan)
    middle, found = 0.5 * (a + b), 0
    for i in range(3):
        nearest = np.inf
        for k in range(min(samples.seen[t], _KEPT)):
            share, value = samples.share[t, k], _known(samples, t, k, constraint)
            apart = True
            for other in range(i):
                apart = apart and abs(share - x[other]) > 0.1 * aim.resolution
            if apart and np.isfinite(value) and abs(share - middle) < nearest:
                nearest, x[i], y[i] = abs(share - middle), share, value - limit
        if np.isinf(nearest):
            break
        found += 1
    if found < 2:
        slope = (brackets.over_high[t] - brackets.over_low[t]) / (b - a)
        return a + (limit - brackets.over_low[t]) / slope, 0.25 * (b - a), slope
    slope = (y[1] - y[0]) / (x[1] - x[0])
    chord = x[0] - y[0] / slope
    if found == 2:
        return (chord if np.isfinite(chord) else np.nan), 0.03 * (b - a), slope
    bend = ((y[2] - y[1]) / (x[2] - x[1]) - slope) / (x[2] - x[0])
    root, rise = chord, slope
    for _ in range(6):
        rise = slope + bend * (2.0 * root - x[0] - x[1])
        root -= (y[0] + (root - x[0]) * (slope + bend * (root - x[1]))) / rise
    if not a <= root <= b:
        root, rise = chord, slope
    if not np.isfinite(root):
        return np.nan, np.nan, np.nan
    return root, min(0.1 * abs(root - chord), 0.25 * (b - a)), rise


@inner
def peak_of(start, middle, end):
    """Share of a parabola's peak where it comes near the limit inside (0, 1); 0 elsewhere."""
    bend = 2.0 * (start - 2.0 * middle + end)
    slope = -3.0 * start + 4.0 * middle - end
    if not bend < 0.0:
        return 0.0
    peak = -slope / (2.0 * bend)
    near = 0.0 < peak < 1.0 and start + slope * peak / 2.0 > -_NEAR
    return peak if near else 0.0
