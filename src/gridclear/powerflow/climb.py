"""Rays one after another, each from where those before it ended: searched whole, without the interpreter.

Tracks stand side by side: each is a list of rays on a ground of its own. A ray is hunted at the least share
that counts, looked at in full, and its first crossing is closed in on (``brackets``); what is safe of it is
taken, and the next one begins there. The samples of all tracks in a round are solved together. A ray is not
judged by other samples for what stands beside it, so what is found does not depend on how tracks are put
together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.batch import run
from gridclear.powerflow.brackets import (
    begin_ray,
    is_wide,
    move,
    new_brackets,
    new_samples,
    over_of,
    peak_of,
    remember,
    stand_at,
    trials_below,
    trials_inside,
)
from gridclear.powerflow.jit import inner, kernel
from gridclear.powerflow.simd import LANES, rounded

#: Most samples of a track in one round.
MOST = 8
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
    part, node, bus : (change,) int; value : (change,)
        Full activation in p.u., as of ``arrays.Changes``, and the bus of each change.
    least : (ray,)
        Smallest share that is taken.
    """

    first: np.ndarray
    start: np.ndarray
    part: np.ndarray
    node: np.ndarray
    bus: np.ndarray
    value: np.ndarray
    least: np.ndarray


class _Tracks(NamedTuple):
    """Where each track stands: its ray, what is asked of it next, where a parabola of it may peak."""

    ray: np.ndarray
    stage: np.ndarray
    peak: np.ndarray


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
    ground : (part, track, bus)
        Injections in p.u. besides; moved here by what is taken.
    period : (track,) int
    safe, which : (ray,), filled here
        See ``rays.Crossing``.
    aim : brackets.Aim
    """
    count, trial = np.zeros(len(period), dtype=np.int64), np.zeros((len(period), MOST))
    brackets, samples = new_brackets(len(period)), new_samples(len(period))
    tracks = _Tracks(rays.first[:-1].copy(), np.full(len(period), _HUNT), np.zeros(len(period)))
    for t in range(len(period)):
        if rays.first[t] == rays.first[t + 1]:
            tracks.stage[t] = _DONE
    while True:
        lanes = _plan(tracks, brackets, samples, rays, aim, count, trial)
        if lanes == 0:
            return
        _load(tracks, brackets, rays, count, trial, period, own_sources, sources, changes, starts, limits)
        run(
            structure, factors, sources, changes, starts, limits, out, work, 0, lanes, tolerance, proved,
            max_iterations,
        )  # fmt: skip
        lane = 0
        for t in range(len(period)):
            if tracks.stage[t] == _HUNT:
                _after_hunt(tracks, brackets, samples, rays, aim, t, count[t], lane, out, safe, which)
            elif tracks.stage[t] != _DONE:
                for j in range(count[t]):
                    remember(samples, limits, out, t, trial[t, j], lane + j)
                _close_in(tracks, brackets, samples, rays, aim, t, ground, safe, which)
            lane += count[t]


@inner
def _plan(tracks, brackets, samples, rays, aim, count, trial):
    """Choose the next samples of every track; returns how many there are of all."""
    wanted, hunters = 0, 0
    for t in range(len(count)):
        stage, n = tracks.stage[t], 0
        if stage == _HUNT:
            n = 1 + int(np.isnan(brackets.nothing[t]))
            hunters += 1
        elif stage == _LOOK:
            n = 4
            for j in range(n):
                trial[t, j] = 0.25 * (j + 1)
        elif stage == _PEAK:
            n = 1
            trial[t, 0] = tracks.peak[t]
        elif stage == _NARROW:
            n = trials_inside(brackets, samples, aim, t, trial)
        elif stage == _RECHECK:
            n = trials_below(brackets, t, trial, n)
        count[t] = n
        wanted += n
    # Blocks are solved whole: room that is left shows more of the rays that may be nothing, one by one.
    more = (-wanted) % LANES // max(hunters, 1)
    for t in range(len(count)):
        if tracks.stage[t] == _HUNT:
            unknown = int(np.isnan(brackets.nothing[t]))
            n = min(count[t] + more, MOST, rays.first[t + 1] - tracks.ray[t] + unknown)
            wanted += n - count[t]
            count[t] = n
            for j in range(n):
                trial[t, j] = 0.0 if j < unknown else aim.least
    return wanted


@inner
def _load(tracks, brackets, rays, count, trial, period, own_sources, sources, changes, starts, limits):
    """Write the samples as scenarios."""
    lane, entry = 0, 0
    changes.start[0] = 0
    for t in range(len(count)):
        hunts, unknown = tracks.stage[t] == _HUNT, int(np.isnan(brackets.nothing[t]))
        probe = brackets.which[t] if tracks.stage[t] in (_NARROW, _RECHECK) else -1
        for j in range(count[t]):
            ray = tracks.ray[t] + (max(j - unknown, 0) if hunts else 0)
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
def _after_hunt(tracks, brackets, samples, rays, aim, t, count, lane, out, safe, which):
    """Pass over rays that break something at once; the first that does not is looked at."""
    begin = lane
    if np.isnan(brackets.nothing[t]):
        stand_at(brackets, aim, t, over_of(out, lane))
        begin += 1
    for hunted in range(begin, lane + count):
        over = over_of(out, hunted)
        if over <= brackets.limit[t]:
            begin_ray(brackets, samples, aim, t, over)
            tracks.stage[t] = _LOOK
            return
        safe[tracks.ray[t]], which[tracks.ray[t]] = 0.0, out.which[hunted]
        _go_on(tracks, rays, t)


@inner
def _close_in(tracks, brackets, samples, rays, aim, t, ground, safe, which):
    """Move the bracket by the samples of a round, and choose what comes next."""
    stage, count = tracks.stage[t], samples.seen[t]
    if stage == _LOOK:
        brackets.which[t] = samples.which[t, count - 1]
    elif stage == _NARROW:
        brackets.rounds[t] += 1
    move(brackets, samples, t)
    crossed = np.isfinite(brackets.high[t])
    if stage == _LOOK and not crossed:
        middle, end = samples.over[t, count - 3], samples.over[t, count - 1]
        tracks.peak[t] = peak_of(brackets.nothing[t], middle, end)
        if tracks.peak[t] > 0.0:
            tracks.stage[t] = _PEAK
            return
    if is_wide(brackets, samples, aim, t):
        tracks.stage[t] = _NARROW
    elif crossed and brackets.low[t] >= aim.least and not brackets.checked[t]:
        tracks.stage[t] = _RECHECK
    else:
        _finish(tracks, brackets, rays, aim, t, ground, safe, which)


@inner
def _finish(tracks, brackets, rays, aim, t, ground, safe, which):
    """Write the crossing of a ray, take what is safe of it, and begin with the next.

    What is taken adds up to the same bits as outside; so the next ray begins with a power flow of its own.
    """
    ray = tracks.ray[t]
    share = 1.0 if np.isinf(brackets.high[t]) else brackets.low[t]
    safe[ray], which[ray] = share if share >= aim.least else 0.0, brackets.which[t]
    if safe[ray] > 0.0 and share >= rays.least[ray]:
        for k in range(rays.start[ray], rays.start[ray + 1]):
            ground[rays.part[k], t, rays.bus[k]] += rounded(rays.value[k] * share)
        brackets.nothing[t] = np.nan
    _go_on(tracks, rays, t)


@inner
def _go_on(tracks, rays, t):
    tracks.ray[t] += 1
    tracks.stage[t] = _HUNT if tracks.ray[t] < rays.first[t + 1] else _DONE
