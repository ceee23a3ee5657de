"""Rays one after another, each from where those before it ended: searched whole, without the interpreter.

Tracks stand side by side: each is a list of rays on a ground of its own. A ray is hunted at the least share
that counts, looked at in full, and its first crossing is closed in on by the constraint that breaks there: its
value is probed wherever the ray is sampled, and a parabola through the samples next to the bracket tells where
it meets its limit, whatever other constraint rests at its own. What is safe of a ray is taken, and the next
one begins there. All samples of a round are solved together; a ray is not given more or other samples for
what stands beside it, so what is found does not depend on how tracks are put together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.arrays import NEWTON
from gridclear.powerflow.batch import run
from gridclear.powerflow.jit import inner, kernel
from gridclear.powerflow.simd import LANES

#: Most samples of a track in one round.
MOST = 8
#: Rays stop this much before the tolerance, and may begin this much behind there: rounding must not break at
#: the beginning of a ray what held at the end of the one before.
RESERVE, ROUNDING = 2e-9, 2e-12
#: So little of a limit may be left by a ray: what is left would go to whoever comes next. And how long that
#: is tried: to this width of the bracket, in so many rounds.
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
#: What is asked next of a track.
_HUNT, _LOOK, _PEAK, _NARROW, _RECHECK, _DONE = range(6)


class Rays(NamedTuple):
    """Rays of tracks.

    Attributes
    ----------
    first : (track + 1,) int
        Where the rays of each track begin.
    start : (ray + 1,) int
        Where the changes of each ray begin.
    part, node : (change,) int; value : (change,)
        Full activation in p.u., as of ``arrays.Changes``.
    least : (ray,)
        Smallest share that is taken.
    """

    first: np.ndarray
    start: np.ndarray
    part: np.ndarray
    node: np.ndarray
    value: np.ndarray
    least: np.ndarray


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


class _State(NamedTuple):
    """Where each track stands: its ray, and the bracket of the first crossing there."""

    ray: np.ndarray
    stage: np.ndarray
    rounds: np.ndarray
    rechecks: np.ndarray
    checked: np.ndarray
    which: np.ndarray
    nothing: np.ndarray
    limit: np.ndarray
    low: np.ndarray
    over_low: np.ndarray
    high: np.ndarray
    over_high: np.ndarray
    width: np.ndarray
    peak: np.ndarray


class _Samples(NamedTuple):
    """Samples of each track's ray, (track, sample): violation and its constraint, and that of a probed one."""

    count: np.ndarray
    share: np.ndarray
    over: np.ndarray
    which: np.ndarray
    probe: np.ndarray
    probed: np.ndarray


@kernel
def climb(
    structure,
    factors,
    sources,
    own_sources,
    changes,
    starts,
    limits,
    out,
    work,
    rays,
    ground,
    period,
    safe,
    which,
    aim,
    tolerance,
    proved,
    max_iterations,
):
    """Search all rays of tracks, and take of each what is safe before the next.

    Parameters
    ----------
    structure, factors, sources, changes, starts, limits, out, work, tolerance, proved, max_iterations
        As of ``batch.run``, with room for MOST scenarios per track in whole blocks; rows and changes are
        filled here.
    own_sources : int
        So many of the sources have a row per period; those behind them are the ground's, a row per track.
    rays : Rays
    ground : (part, track, node)
        Injections in p.u. besides; moved here by what is taken.
    period : (track,) int
    safe, which : (ray,), filled here
        See ``rays.Crossing``.
    aim : Aim
    """
    tracks = len(period)
    state, samples = _begin(tracks, rays)
    count, trial = np.zeros(tracks, dtype=np.int64), np.zeros((tracks, MOST))
    while True:
        lanes = _plan(state, samples, rays, aim, count, trial)
        if lanes == 0:
            return
        _load(state, rays, count, trial, period, own_sources, sources, changes, starts, limits)
        run(
            structure, factors, sources, changes, starts, limits, out, work, 0, lanes, tolerance, proved,
            max_iterations,
        )  # fmt: skip
        lane = 0
        for t in range(tracks):
            if state.stage[t] == _HUNT:
                _after_hunt(state, samples, rays, aim, t, count[t], lane, out, safe, which)
            elif state.stage[t] != _DONE:
                for j in range(count[t]):
                    _remember(state, samples, limits, out, t, trial[t, j], lane + j)
                _close_in(state, samples, rays, aim, t, ground, safe, which)
            lane += count[t]


@inner
def _begin(tracks, rays):
    """State of tracks whose first rays are hunted; what holds without any is not known yet."""
    state = _State(
        ray=rays.first[:-1].copy(),
        stage=np.full(tracks, _HUNT),
        rounds=np.zeros(tracks, dtype=np.int64),
        rechecks=np.zeros(tracks, dtype=np.int64),
        checked=np.zeros(tracks, dtype=np.int64),
        which=np.full(tracks, -1),
        nothing=np.full(tracks, np.nan),
        limit=np.zeros(tracks),
        low=np.zeros(tracks),
        over_low=np.zeros(tracks),
        high=np.zeros(tracks),
        over_high=np.zeros(tracks),
        width=np.zeros(tracks),
        peak=np.zeros(tracks),
    )
    samples = _Samples(
        count=np.zeros(tracks, dtype=np.int64),
        share=np.zeros((tracks, _KEPT)),
        over=np.zeros((tracks, _KEPT)),
        which=np.zeros((tracks, _KEPT), dtype=np.int64),
        probe=np.zeros((tracks, _KEPT), dtype=np.int64),
        probed=np.zeros((tracks, _KEPT)),
    )
    for t in range(tracks):
        if rays.first[t] == rays.first[t + 1]:
            state.stage[t] = _DONE
    return state, samples


@inner
def _plan(state, samples, rays, aim, count, trial):
    """Choose the next samples of every track; returns how many there are of all."""
    wanted, hunters = 0, 0
    for t in range(len(count)):
        stage, n = state.stage[t], 0
        if stage == _HUNT:
            n = 1 + np.isnan(state.nothing[t])
            hunters += 1
        elif stage == _LOOK:
            n = 4
            for j in range(n):
                trial[t, j] = 0.25 * (j + 1)
        elif stage == _PEAK:
            n = 1
            trial[t, 0] = state.peak[t]
        elif stage == _NARROW:
            n = _trials(state, samples, aim, t, trial)
        elif stage == _RECHECK:
            n = _below(state, t, trial, 0)
        count[t] = n
        wanted += n
    # Blocks are solved whole: room that is left shows more of the rays that may be nothing, one by one.
    spare = (-wanted) % LANES
    for t in range(len(count)):
        if state.stage[t] == _HUNT and wanted > 0:
            unknown = int(np.isnan(state.nothing[t]))
            n = min(count[t] + spare // hunters, MOST, rays.first[t + 1] - state.ray[t] + unknown)
            wanted += n - count[t]
            count[t] = n
            for j in range(n):
                trial[t, j] = 0.0 if j < unknown else aim.least
    return wanted


@inner
def _load(state, rays, count, trial, period, own_sources, sources, changes, starts, limits):
    """Write the samples as scenarios."""
    lane, entry = 0, 0
    changes.start[0] = 0
    for t in range(len(count)):
        hunts, unknown = state.stage[t] == _HUNT, int(np.isnan(state.nothing[t]))
        probe = state.which[t] if state.stage[t] in (_NARROW, _RECHECK) else -1
        for j in range(count[t]):
            ray = state.ray[t] + (max(j - unknown, 0) if hunts else 0)
            for k in range(rays.start[ray], rays.start[ray + 1]):
                changes.part[entry], changes.node[entry] = rays.part[k], rays.node[k]
                changes.value[entry] = rays.value[k] * trial[t, j]
                entry += 1
            changes.start[lane + 1] = entry
            for source in range(len(sources.part)):
                sources.row[source, lane] = period[t] if source < own_sources else t
            starts.row[lane], limits.row[lane], limits.probe[lane] = period[t], period[t], probe
            lane += 1


@inner
def _after_hunt(state, samples, rays, aim, t, count, lane, out, safe, which):
    """Pass over rays that break something at once; the first that does not is looked at."""
    begin = 0
    if np.isnan(state.nothing[t]):
        _stand_at(state, aim, t, _over(out, lane))
        begin = 1
    for j in range(begin, count):
        over = _over(out, lane + j)
        ray = state.ray[t]
        if over <= state.limit[t]:
            state.stage[t] = _LOOK
            state.rounds[t], state.rechecks[t], state.checked[t] = 0, 0, 0
            state.low[t], state.over_low[t] = aim.least, over
            state.high[t], state.over_high[t], state.width[t] = np.inf, np.nan, np.inf
            samples.count[t] = 0
            return
        safe[ray], which[ray] = 0.0, out.which[lane + j]
        _go_on(state, rays, t)


@inner
def _close_in(state, samples, rays, aim, t, ground, safe, which):
    """Move the bracket by the samples of a round, and choose what comes next."""
    stage = state.stage[t]
    last = (samples.count[t] - 1) % _KEPT
    if stage == _LOOK:
        state.which[t] = samples.which[t, last]
    elif stage == _NARROW:
        state.rounds[t] += 1
    before = state.low[t]
    _bracket(state, samples, t)
    low, high = state.low[t], state.high[t]
    if stage == _LOOK and np.isinf(high):
        middle = samples.over[t, (samples.count[t] - 3) % _KEPT]
        state.peak[t] = _peak(state.nothing[t], middle, samples.over[t, last])
        if state.peak[t] > 0.0:
            state.stage[t] = _PEAK
            return
    if stage in (_NARROW, _RECHECK) and high < before and state.rechecks[t] < _RECHECKS:
        # What was thought safe is not: the search begins anew.
        state.rechecks[t] += 1
        state.rounds[t], state.checked[t], state.width[t] = 0, 0, np.inf
    if _is_wide(state, samples, aim, t):
        state.stage[t] = _NARROW
    elif np.isfinite(high) and low >= aim.least and state.checked[t] == 0:
        state.stage[t] = _RECHECK
    else:
        _finish(state, rays, aim, t, ground, safe, which)


@inner
def _is_wide(state, samples, aim, t):
    """Whether the bracket is to be closed further."""
    high = state.high[t]
    width = high - state.low[t]
    if not (np.isfinite(high) and high > aim.least):
        return False
    if width > aim.resolution:
        return state.rounds[t] < _ROUNDS
    # The constraint that breaks has something left, whatever rests at its limit besides.
    left = state.limit[t] - _value_at_low(state, samples, t)
    finite = np.isfinite(state.over_high[t])
    return finite and left > _CRUMB and width > _FINEST and state.rounds[t] < _FINE_ROUNDS


@inner
def _finish(state, rays, aim, t, ground, safe, which):
    """Write the crossing of a ray, take what is safe of it, and begin with the next."""
    ray = state.ray[t]
    share = 1.0 if np.isinf(state.high[t]) else state.low[t]
    if share < aim.least:
        share = 0.0
    safe[ray], which[ray] = share, state.which[t]
    if share > 0.0 and share >= rays.least[ray]:
        for k in range(rays.start[ray], rays.start[ray + 1]):
            ground[rays.part[k], t, rays.node[k]] += rays.value[k] * share
        _stand_at(state, aim, t, state.over_low[t])
    _go_on(state, rays, t)


@inner
def _stand_at(state, aim, t, over):
    """Rays begin at a state with this violation."""
    state.nothing[t] = over
    state.limit[t] = min(max(over + ROUNDING, aim.bound - RESERVE), aim.bound)


@inner
def _go_on(state, rays, t):
    state.ray[t] += 1
    state.stage[t] = _HUNT if state.ray[t] < rays.first[t + 1] else _DONE


@inner
def _over(out, lane):
    """Violation of a scenario, infinite without solution."""
    return out.high[lane] if out.code[lane] <= NEWTON else np.inf


@inner
def _remember(state, samples, limits, out, t, share, lane):
    place, probe = samples.count[t] % _KEPT, limits.probe[lane]
    samples.share[t, place], samples.over[t, place] = share, _over(out, lane)
    samples.which[t, place], samples.probe[t, place] = out.which[lane], probe
    samples.probed[t, place] = _violation(limits, limits.row[lane], probe, out.probed[lane])
    samples.count[t] += 1


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
def _bracket(state, samples, t):
    """Move the bracket to the first sample that is broken and the last one below it."""
    kept = min(samples.count[t], _KEPT)
    for k in range(kept):
        share, over = samples.share[t, k], samples.over[t, k]
        if share < state.high[t] and not over <= state.limit[t]:
            state.high[t], state.over_high[t], state.which[t] = share, over, samples.which[t, k]
    if not state.low[t] < state.high[t]:
        state.low[t], state.over_low[t] = 0.0, state.nothing[t]
    for k in range(kept):
        share = samples.share[t, k]
        if state.low[t] < share < state.high[t]:
            state.low[t], state.over_low[t] = share, samples.over[t, k]


@inner
def _known(samples, t, k, constraint):
    """Violation of a constraint in a sample, NaN where it was not looked at."""
    if samples.which[t, k] == constraint:
        return samples.over[t, k]
    return samples.probed[t, k] if samples.probe[t, k] == constraint else np.nan


@inner
def _value_at_low(state, samples, t):
    """Violation at the low end: of the constraint that breaks at the high end where it is known."""
    for k in range(min(samples.count[t], _KEPT)):
        if samples.share[t, k] == state.low[t]:
            known = _known(samples, t, k, state.which[t])
            if not np.isnan(known):
                return known
    return state.over_low[t]


@inner
def _trials(state, samples, aim, t, trial):
    """Next samples inside the bracket: around the root of what breaks; in quarters where that is not known."""
    a, b = state.low[t], state.high[t]
    push, n = 0.4 * aim.resolution, 0
    root, error, slope = _root(state, samples, aim, t)
    stuck = not b - a < 0.5 * state.width[t]
    state.width[t] = b - a
    if np.isnan(root):
        for j in range(3):
            trial[t, j] = a + 0.25 * (j + 1) * (b - a)
        n = 3
    else:
        fine = min(0.5 * _CRUMB / abs(slope), push) if slope != 0.0 else push
        least = min(0.5 * fine, 0.1 * (b - a))
        trial[t, 0], trial[t, 1] = root - max(error, push), root - fine
        trial[t, 2], trial[t, 3] = root + fine, root + max(error, push)
        for j in range(4):
            trial[t, j] = min(max(trial[t, j], a + least), b - least)
        n = 4
        if stuck:
            trial[t, n] = 0.5 * (a + b)
            n += 1
    if b - a <= _CLOSE and state.checked[t] == 0:
        n = _below(state, t, trial, n)
    return n


@inner
def _below(state, t, trial, n):
    """Look again at the part that is thought safe."""
    for j in range(3):
        trial[t, n + j] = 0.25 * (j + 1) * state.low[t]
    state.checked[t] = 1
    return n + 3


@inner
def _root(state, samples, aim, t):
    """Where the constraint that breaks meets its limit: share, error to be expected and slope; NaN: unknown.

    By a parabola through the three samples nearest to the bracket's middle, a chord through two of them, or
    the bracket's own; samples so near to one another that rounding would turn the line are passed over.
    """
    a, b, limit, constraint = state.low[t], state.high[t], state.limit[t], state.which[t]
    if constraint < 0 or not np.isfinite(state.over_high[t]):
        return np.nan, np.nan, np.nan
    x, y = np.full(3, np.nan), np.full(3, np.nan)
    middle, found = 0.5 * (a + b), 0
    for i in range(3):
        nearest = np.inf
        for k in range(min(samples.count[t], _KEPT)):
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
        slope = (state.over_high[t] - state.over_low[t]) / (b - a)
        return a + (limit - state.over_low[t]) / slope, 0.25 * (b - a), slope
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
def _peak(start, middle, end):
    """Share of a parabola's peak where it comes near the limit inside (0, 1); 0 elsewhere."""
    bend = 2.0 * (start - 2.0 * middle + end)
    slope = -3.0 * start + 4.0 * middle - end
    if not bend < 0.0:
        return 0.0
    peak = -slope / (2.0 * bend)
    near = 0.0 < peak < 1.0 and start + slope * peak / 2.0 > -_NEAR
    return peak if near else 0.0
