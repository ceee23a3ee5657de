"""One piece of work: load, solve, fall back, prove, scan, store. The kernels behind every job."""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.arrays import FIXED_POINT, NEWTON, NO_SOLUTION, UNSOLVED
from gridclear.powerflow.evaluate import at_voltage, balance, load_limits, value_of, worst_limit
from gridclear.powerflow.fixed_point import approach, fixed_point
from gridclear.powerflow.gather import gather, gather_at, look_ahead, scatter
from gridclear.powerflow.jit import inner, kernel
from gridclear.powerflow.newton import newton
from gridclear.powerflow.simd import LANES, drain, load, spread, store


@inner
def load_injections(sources, changes, rows, work):
    """Add up the injections of the scenarios of a block.

    Parameters
    ----------
    sources : Sources
    changes : Changes
    rows : (LANES,) int
        Scenarios.
    work : Workspace
        injection is filled, columns, row and fed are used.
    """
    own, fed = work.row, work.fed
    fed[:] = False
    for source in range(len(sources.part)):
        for lane in range(LANES):
            own[lane] = sources.row[source, rows[lane]]
        width, first = sources.width[source], sources.first[source]
        gather_at(sources.address[source], width, own, work.columns)
        part = sources.part[source]
        target = work.injection[part]
        for column in range(width):
            node = sources.node[first + column]
            if node >= 0:
                more = load(work.columns, column) * sources.factor[first + column]
                if fed[part, node]:
                    more = load(target, node) + more
                store(target, node, more)
                fed[part, node] = True
    for part in range(fed.shape[0]):
        for node in range(fed.shape[1]):
            if not fed[part, node]:
                store(work.injection[part], node, spread(0.0))
    if len(changes.node) > 0:
        for lane in range(LANES):
            for k in range(changes.start[rows[lane]], changes.start[rows[lane] + 1]):
                work.injection[changes.part[k], changes.node[k], lane] += changes.value[k]


@kernel
def run(
    structure,
    factors,
    sources,
    changes,
    starts,
    limits,
    out,
    work,
    first,
    last,
    tolerance,
    proved,
    max_iterations,
):
    """Solve scenarios first … last - 1.

    Parameters
    ----------
    structure, factors, sources, changes, starts, limits, out, work
        See ``Structure`` and the classes of ``arrays``.
    tolerance : float
        Mismatch in p.u. at which an iteration stops.
    proved : float
        Mismatch in p.u., found anew from branch currents, above which nothing counts as solved.
    max_iterations : int
        Of the fixed point; Newton has its own.
    """
    rows, code, sweeps = np.empty(LANES, np.int64), np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    unsolved, waiting = np.empty(last - first, dtype=np.int64), 0
    limit_row, mismatch = np.full(LANES, -1, dtype=np.int64), np.empty(LANES)
    found, ahead = np.empty((2, LANES)), np.zeros((2, len(sources.part)), np.int64)
    injection = work.injection
    sr, si, angles = injection[0], injection[1], len(out.va) > 0
    if injection.shape[0] > 2:
        # What depends on the voltage is added up there.
        sr, si = work.yr, work.yi
    for block in range((last - first + LANES - 1) // LANES):
        begin = first + block * LANES
        count = min(LANES, last - begin)
        for lane in range(LANES):
            rows[lane] = begin + min(lane, count - 1)
        code[:] = UNSOLVED
        if not factors.any_pv:
            load_injections(sources, changes, rows, work)
            look_ahead(sources, begin + LANES if begin + LANES < last else -1, ahead)
            sweeps[:] = 0
            given = len(starts.vr) > 0 or injection.shape[0] > 2
            if given:
                _load_start(factors, starts, rows, work)
            if injection.shape[0] == 2:
                approach(structure, factors, injection, given, work, tolerance, max_iterations, sweeps)
                _balance(structure, factors, injection, sr, si, work, mismatch, angles, ahead)
                _arrive(mismatch, tolerance, code)
            if not _all(code, FIXED_POINT):
                ahead[1] = 0
                fixed_point(
                    structure, factors, injection, work, tolerance, proved, max_iterations, code, sweeps
                )
                _balance(structure, factors, injection, sr, si, work, mismatch, angles, ahead)
            _finish(
                structure, factors, limits, out, work, rows, count, code, sweeps, mismatch, proved, limit_row,
                sr, si, found,
            )  # fmt: skip
        for lane in range(count):
            if code[lane] == UNSOLVED:
                unsolved[waiting] = rows[lane]
                waiting += 1
    ahead[1] = 0
    for begin in range(0, waiting, LANES):
        count = min(LANES, waiting - begin)
        for lane in range(LANES):
            rows[lane] = unsolved[begin + min(lane, count - 1)]
        load_injections(sources, changes, rows, work)
        newton(
            structure, factors, injection, work.vr, work.vi, work, rows, count, starts, tolerance,
            proved, code, sweeps,
        )  # fmt: skip
        _balance(structure, factors, injection, sr, si, work, mismatch, angles, ahead)
        _finish(
            structure, factors, limits, out, work, rows, count, code, sweeps, mismatch, proved, limit_row,
            sr, si, found,
        )  # fmt: skip
    drain()


@inner
def _load_start(factors, starts, rows, work):
    if len(starts.vr) > 0:
        from_rows = work.row
        for lane in range(LANES):
            from_rows[lane] = starts.row[rows[lane]]
        gather(starts.vr, from_rows, work.vr)
        gather(starts.vi, from_rows, work.vi)
        return
    for i in range(len(factors.wr)):
        store(work.vr, i, spread(factors.wr[i]))
        store(work.vi, i, spread(factors.wi[i]))


@inner
def _arrive(mismatch, tolerance, code):
    for lane in range(LANES):
        code[lane] = FIXED_POINT if mismatch[lane] <= tolerance else UNSOLVED


@inner
def _all(code, value):
    for lane in range(LANES):  # noqa: SIM110  numba compiles no generator expressions
        if code[lane] != value:
            return False
    return True


@inner
def _balance(structure, factors, injection, sr, si, work, mismatch, angles, ahead):
    """Currents and mismatch at the voltages in the workspace; fills sr, si where they depend on the voltage."""
    if injection.shape[0] > 2:
        at_voltage(injection, work.vr, work.vi, sr, si)
    balance(structure, factors, sr, si, work, mismatch, angles, ahead)


@inner
def _finish(
    structure,
    factors,
    limits,
    out,
    work,
    rows,
    count,
    code,
    sweeps,
    mismatch,
    proved,
    limit_row,
    sr,
    si,
    found,
):
    """Scan and store a block; what is not proved is left unsolved by the fixed point, lost by Newton."""
    for lane in range(count):
        if code[lane] <= NEWTON and not mismatch[lane] <= proved:
            code[lane] = UNSOLVED if code[lane] <= FIXED_POINT else NO_SOLUTION
        out.code[rows[lane]] = code[lane]
        out.iterations[rows[lane]] = sweeps[lane]
        out.mismatch[rows[lane]] = mismatch[lane] if _solved(code[lane]) else np.nan
    if len(limits.row) > 0:
        _scan(structure, limits, out, work, rows, count, sr, si, found, limit_row)
    _store(structure, factors, out, work, rows, sr, si)
    for lane in range(count):
        if not _solved(code[lane]):
            _blank(out, rows[lane])


@inner
def _solved(code):
    return code in (FIXED_POINT, NEWTON)


@inner
def _scan(structure, limits, out, work, rows, count, sr, si, found, limit_row):
    same = True
    for lane in range(LANES):
        row = limits.row[rows[lane]]
        same = same and row == limit_row[lane]
        limit_row[lane] = row
    if not same:
        load_limits(limits, limit_row, work)
    worst_limit(structure, limits, work, sr, si, work.vr, work.vi, found)
    for lane in range(count):
        s = rows[lane]
        out.high[s] = found[0, lane]
        out.which[s] = int(found[1, lane])
        out.probed[s] = value_of(structure, limits, work, limits.probe[s], lane, sr, si, work.vr, work.vi)


@inner
def _store(structure, factors, out, work, rows, sr, si):
    """Write what is asked for; spare lanes write the same numbers once more."""
    n_free, n = len(structure.diagonal), len(factors.shunt)
    vr, vi = work.vr, work.vi
    if len(out.slack_p) > 0:
        for i in range(n_free, n):
            a, b, x, y = load(vr, i), load(vi, i), load(work.xr, i), load(work.xi, i)
            store(work.yr, i, a * x + b * y - load(sr, i))
            store(work.yi, i, b * x - a * y - load(si, i))
        scatter(work.yr, work.slack_row, work.ones, rows, out.slack_p)
        scatter(work.yi, work.slack_row, work.ones, rows, out.slack_q)
    if len(out.node_r) > 0:
        scatter(vr, work.node_row, work.ones, rows, out.node_r)
        scatter(vi, work.node_row, work.ones, rows, out.node_i)
    if len(out.i_from) > 0:
        scatter(work.current, work.from_row, work.from_ka, rows, out.i_from)
        scatter(work.current, work.to_row, work.to_ka, rows, out.i_to)
    if len(out.vm) > 0:
        scatter(work.magnitude, work.bus_row, work.ones, rows, out.vm)
        scatter(work.va, work.bus_row, work.ones, rows, out.va)


@inner
def _blank(out, s):
    """No value of a scenario without solution is passed on."""
    out.high[s], out.which[s], out.probed[s] = np.nan, -1, np.nan
    for values in (out.vm, out.va, out.node_r, out.node_i, out.i_from, out.i_to, out.slack_p, out.slack_q):
        if len(values) > 0:
            for column in range(values.shape[1]):
                values[s, column] = np.nan
