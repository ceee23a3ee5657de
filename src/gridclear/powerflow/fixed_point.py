"""The current-injection fixed point on a block of scenarios: I ← conj(S/V), V ← w + Y_LL⁻¹ I.

A block is LANES scenarios; its arrays are [node, lane], real and imaginary parts apart, so that each sparse
step of a triangular solve is a few vector instructions over lanes (``simd``). Every block is full (spare lanes
repeat the last scenario) and a lane that has arrived is not moved again, so each lane's bits are the same
whatever its neighbours are. Kernels return codes and never raise.

What is carried from sweep to sweep is the current. Y (V - w) = I holds exactly after each solve, so that the
power which V draws differs from S by |V|·|conj(S/V) - I| at each node: the next current tells the mismatch.

Sweeps are first made in single precision (``approach``), at less than half the price, as long as they help.
One solve in double precision from the current that they found mostly arrives; whether it has is judged by the
balance of branch currents, and ``fixed_point`` goes on where it has not. How far single precision came decides
how many sweeps follow, never how exact the answer is.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.arrays import FIXED_POINT, UNSOLVED
from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import (
    HAS_ESTIMATES,
    LANES,
    SWEPT,
    estimated_reciprocal,
    larger,
    load,
    load_like,
    narrow,
    reciprocal_root,
    root,
    spread,
    spread_single,
    spread_swept,
    store,
    store_like,
    where_above,
    widen,
)

#: A gain below two per sweep (four in squares): single precision has no more to give, or Newton is the better tool.
_SLOW = 4.0


@inner
def approach(structure, factors, injection, given, work, tolerance, max_iterations, sweeps):
    """Sweep in single precision until a solve in double precision should arrive, and do that.

    Parameters
    ----------
    structure, factors
        See ``Structure`` and ``Factors``.
    injection : (2, node, LANES)
        In p.u., constant power only; see ``arrays.Columns``.
    given : bool
        vr, vi of the workspace hold the start on entry; else it is the voltages without injection.
    work : Workspace
        vr, vi: on return the voltages that were found, and still the start in lanes where that came to nothing.
        ar, ai, br, bi, hr, hi, yr, yi, size, lane and lane_single are used.
    tolerance : float
        Mismatch in p.u. that is wanted.
    max_iterations : int
    sweeps : (LANES,) int, filled here
    """
    n_free = len(structure.diagonal)
    ar, ai, br, bi, hr, hi = work.ar, work.ai, work.br, work.bi, work.hr, work.hi
    moving, worst_of, first, last = work.lane_single[0], work.lane_single[1], work.lane[0], work.lane[1]
    moving[:], first[:], last[:] = 1.0, 0.0, 0.0
    squared = tolerance * tolerance
    for i in range(n_free):
        p, q = narrow(load(injection[0], i)), narrow(load(injection[1], i))
        p, q = _times(factors.turn_single[i], p, q)
        start = factors.start_single[i]
        a, b = spread_single(start.real), spread_single(start.imag)
        if given:
            a, b = narrow(load(work.vr, i)), narrow(load(work.vi, i))
            a, b = _times(factors.from_voltage_single[i], a, b)
        x, y = _single_current(p, q, a, b)
        store(hr, i, p)
        store(hi, i, q)
        store(ar, i, x)
        store(ai, i, y)
        _forward(structure, factors.lur_single, factors.lui_single, br, bi, i, 0, x, y)
    for iteration in range(max_iterations):
        if iteration > 0:
            for i in range(n_free):
                _forward(
                    structure, factors.lur_single, factors.lui_single, br, bi, i, 0, load(ar, i), load(ai, i)
                )
        still, half = load(moving, 0), spread_single(np.float32(0.5))
        worst = spread_single(np.float32(0.0))
        for i in range(n_free - 1, -1, -1):
            x, y = _back(structure, factors.lur_single, factors.lui_single, br, bi, i, 0, still)
            start = factors.start_single[i]
            a, b = x + start.real, y + start.imag
            x, y = _single_current(load(hr, i), load(hi, i), a, b)
            c, d = load(ar, i), load(ai, i)
            p, q = x - c, y - d
            worst = larger(p * p + q * q, worst)
            store(ar, i, where_above(still, half, x, c))
            store(ai, i, where_above(still, half, y, d))
        store(worst_of, 0, worst)
        going = False
        for lane in range(LANES):
            if moving[lane] == 0.0:
                continue
            latest = float(worst_of[lane])
            sweeps[lane] = iteration + 1
            if iteration == 0:
                first[lane] = latest
            elif _SLOW * latest * latest <= squared * last[lane] or not latest * _SLOW < last[lane]:
                # Another gain like the last would arrive, or there is none to be had.
                moving[lane] = 0.0
            last[lane] = latest
            going = going or moving[lane] != 0.0
        if not going:
            break
    all_learnt = True
    for lane in range(LANES):
        # A lane that grew, or met a NaN, has learnt nothing.
        work.size[0, lane] = 1.0 if last[lane] <= first[lane] else 0.0
        all_learnt = all_learnt and last[lane] <= first[lane]
    if not given:
        # Slack nodes keep these voltages, and lanes that have learnt nothing.
        for i in range(n_free if all_learnt else 0, len(factors.wr)):
            store(work.vr, i, spread(factors.wr[i]))
            store(work.vi, i, spread(factors.wi[i]))
    _solve(structure, factors, work, all_learnt)


@inner
def _solve(structure, factors, work, all_lanes):
    """Voltages of the currents in work.ar, work.ai, in all lanes or in those that row 0 of work.size marks."""
    n_free = len(structure.diagonal)
    yr, yi = work.yr, work.yi
    for i in range(n_free):
        x, y = widen(load(work.ar, i)), widen(load(work.ai, i))
        _forward(structure, factors.lur, factors.lui, yr, yi, i, 0, x, y)
    learnt, half = load(work.size, 0), spread(0.5)
    for i in range(n_free - 1, -1, -1):
        x, y = _back(structure, factors.lur, factors.lui, yr, yi, i, 0, half)
        x, y = _times(factors.to_voltage[i], x, y)
        x, y = x + factors.wr[i], y + factors.wi[i]
        if not all_lanes:
            x = where_above(learnt, half, x, load(work.vr, i))
            y = where_above(learnt, half, y, load(work.vi, i))
        store(work.vr, i, x)
        store(work.vi, i, y)


@inner
def fixed_point(structure, factors, injection, work, tolerance, proved, max_iterations, code, sweeps):
    """Sweep until the mismatch of every lane has met the tolerance, or shrinks too slowly.

    Parameters
    ----------
    structure, factors
        See ``Structure`` and ``Factors``.
    injection : (part, node, LANES)
        In p.u.; see ``arrays.Columns``.
    work : Workspace
        vr, vi hold the start on entry, the solution on return; xr, xi, yr, yi and lane are used.
    tolerance : float
        Mismatch in p.u. at which a lane has arrived.
    proved : float
        Mismatch in p.u. that will do where rounding keeps the sweeps from coming nearer.
    max_iterations : int
    code : (LANES,)
        Lanes with FIXED_POINT on entry are not moved; on return FIXED_POINT or UNSOLVED.
    sweeps : (LANES,) int
        Is increased by the sweeps made.
    """
    vr, vi, xr, xi, yr, yi = work.vr, work.vi, work.xr, work.xi, work.yr, work.yi
    moving, worst_of, last, slow = work.lane[0], work.lane[1], work.lane[2], work.lane[3]
    last[:], slow[:] = np.inf, 0.0
    for lane in range(LANES):
        moving[lane] = 1.0 if code[lane] == UNSOLVED else 0.0
    for part in range(LANES // SWEPT):
        _sweep(
            structure, factors, injection, part, vr, vi, xr, xi, yr, yi, moving, worst_of, last, slow,
            tolerance, proved, max_iterations, code, sweeps,
        )  # fmt: skip


@inner
def _sweep(
    structure, factors, injection, part, vr, vi, xr, xi, yr, yi, moving, worst_of, last, slow, tolerance,
    proved, max_iterations, code, sweeps,
):  # fmt: skip
    """Sweep over one strip; arguments as in ``fixed_point``."""
    n_free, half = len(structure.diagonal), spread_swept(0.5)
    for i in range(n_free):
        a, b = load_like(vr, i, part, half), load_like(vi, i, part, half)
        _, x, y = _current(injection, i, part, a, b)
        store_like(xr, i, part, x)
        store_like(xi, i, part, y)
    for _ in range(max_iterations):
        for i in range(n_free):
            x, y = load_like(xr, i, part, half), load_like(xi, i, part, half)
            x, y = _times(factors.to_current[i], x, y)
            _forward(structure, factors.lur, factors.lui, yr, yi, i, part, x, y)
        still, worst = load_like(moving, 0, part, half), spread_swept(0.0)
        for i in range(n_free - 1, -1, -1):
            x, y = _back(structure, factors.lur, factors.lui, yr, yi, i, part, half)
            x, y = _times(factors.to_voltage[i], x, y)
            a, b = x + factors.wr[i], y + factors.wi[i]
            square, x, y = _current(injection, i, part, a, b)
            c, d = load_like(xr, i, part, half), load_like(xi, i, part, half)
            p, q = x - c, y - d
            worst = larger(square * (p * p + q * q), worst)
            store_like(xr, i, part, where_above(still, half, x, c))
            store_like(xi, i, part, where_above(still, half, y, d))
            store_like(vr, i, part, where_above(still, half, a, load_like(vr, i, part, half)))
            store_like(vi, i, part, where_above(still, half, b, load_like(vi, i, part, half)))
        store(worst_of, part, worst)
        going = False
        for lane in range(SWEPT * part, SWEPT * (part + 1)):
            if moving[lane] == 0.0:
                continue
            latest = worst_of[lane]
            sweeps[lane] += 1
            slow[lane] = slow[lane] + 1.0 if not latest * _SLOW < last[lane] else 0.0
            last[lane] = latest
            if latest <= tolerance * tolerance:
                code[lane], moving[lane] = FIXED_POINT, 0.0
            elif slow[lane] >= 2.0:
                code[lane] = FIXED_POINT if latest <= proved * proved else UNSOLVED
                moving[lane] = 0.0
            else:
                going = True
        if not going:
            return


@inner
def _forward(structure, lur, lui, yr, yi, i, part, x, y):
    """One step of the forward substitution: the current x + jy of node i, and all that comes from below."""
    for k in range(structure.hung_start[i], structure.hung_start[i + 1]):
        j = structure.l_col[structure.hung[k]]
        x, y = x + load_like(yr, j, part, x), y + load_like(yi, j, part, x)
    for k in range(structure.rest_start[i], structure.rest_start[i + 1]):
        slot = structure.rest[k]
        j = structure.l_col[slot]
        x, y = _less(x, y, lur[slot], lui[slot], load_like(yr, j, part, x), load_like(yi, j, part, x))
    store_like(yr, i, part, x)
    store_like(yi, i, part, y)


@inner
def _back(structure, lur, lui, yr, yi, i, part, like):
    """One step of the backward substitution; returns node i's scaled voltage beyond that without injection."""
    fill = len(structure.l_col)
    x, y = load_like(yr, i, part, like), load_like(yi, i, part, like)
    fr, fi = lur[2 * fill + i], lui[2 * fill + i]
    stem = structure.stem[i]
    if stem >= 0:
        c, d = load_like(yr, stem, part, like), load_like(yi, stem, part, like)
        x, y = (c + fr * x) - fi * y, (d + fr * y) + fi * x
    else:
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            j = structure.u_col[k]
            x, y = _less(
                x, y, lur[fill + k], lui[fill + k], load_like(yr, j, part, like), load_like(yi, j, part, like)
            )
        x, y = fr * x - fi * y, fr * y + fi * x
    store_like(yr, i, part, x)
    store_like(yi, i, part, y)
    return x, y


@inner
def _times(factor, x, y):
    """Factor times x + jy."""
    return factor.real * x - factor.imag * y, factor.real * y + factor.imag * x


@inner
def _less(x, y, fr, fi, c, d):
    """Take (fr + jfi)·(c + jd) from x + jy, in the order that needs four fused steps."""
    return (x - fr * c) + fi * d, (y - fr * d) - fi * c


@inner
def _current(injection, i, part, a, b):
    """|V|² and conj(S/V) of node i at V = a + jb."""
    p, q = load_like(injection[0], i, part, a), load_like(injection[1], i, part, a)
    square = a * a + b * b
    if injection.shape[0] > 2:
        magnitude = root(square)
        p = p + magnitude * load_like(injection[2], i, part, a) + square * load_like(injection[4], i, part, a)
        q = q + magnitude * load_like(injection[3], i, part, a) + square * load_like(injection[5], i, part, a)
    scale = 1.0 / square
    return square, (p * a + q * b) * scale, (p * b - q * a) * scale


@inner
def _single_current(p, q, a, b):
    """conj(S/V) at V = a + jb, in single precision."""
    scale = _single_reciprocal(a * a + b * b)
    return (p * a + q * b) * scale, (p * b - q * a) * scale


if HAS_ESTIMATES:

    @inner
    def _single_reciprocal(a):
        """1/a in single precision: an estimate and a step of Newton."""
        rough = estimated_reciprocal(a)
        return rough * (np.float32(2.0) - a * rough)

else:

    @inner
    def _single_reciprocal(a):
        """1/a in single precision, by the processor's estimate of the root."""
        rough = reciprocal_root(a)
        return rough * rough
