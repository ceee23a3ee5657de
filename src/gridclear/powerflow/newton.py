"""Newton's method for scenarios that the fixed point does not reach, and for held voltages, GROUP at a time.

Polar, analytic Jacobian (``jacobian``), steps damped so that no angle or relative voltage moves too far at
once. A scenario counts as without solution only when two different starts have led nowhere.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.arrays import BAD_INPUT, NEWTON, NO_SOLUTION, UNSOLVED
from gridclear.powerflow.jacobian import STRIDE, factorise_jacobian, fill_jacobian, substitute
from gridclear.powerflow.jit import allocating, inner
from gridclear.powerflow.simd import GROUP, LANES, larger, load_few, spread_few, store, where_above

#: A voltage below this (p.u.) or above it is no operating point that a grid can have.
LOWEST_VM, HIGHEST_VM = 0.1, 10.0
#: Largest step of an angle (rad) or of a relative voltage change in one iteration.
_LARGEST_STEP = 0.3
#: Steps from one start.
_MAX_STEPS = 40
#: Power beyond a reactive limit, p.u. of the tolerance, at which a generator gives up its voltage.
_OVER_LIMIT = 10.0


@allocating
def newton(
    structure, factors, injection, vr, vi, work, rows, count, starts, tolerance, proved, code, iterations
):
    """Solve the first ``count`` scenarios of a block from two starts.

    Parameters
    ----------
    structure, factors
        See ``Structure`` and ``Factors``.
    injection : (part, node, LANES)
        In p.u.; see ``arrays.Columns``. Where a reactive limit is reached, it is changed to that limit.
    vr, vi : (node, LANES), filled here
    work : Workspace
        jacobian, line, step, spare_q, angle, held and xr are used.
    rows : (LANES,) int
        Scenarios, for their rows of ``starts``.
    starts : Starts
    tolerance : float
        Mismatch in p.u. that every node should meet.
    proved : float
        Mismatch in p.u. that will do where rounding keeps the iteration from coming nearer.
    code : (LANES,), filled here
        NEWTON, NO_SOLUTION or BAD_INPUT.
    iterations : (LANES,), filled here
    """
    n_free = len(structure.diagonal)
    first_q = work.xr
    for i in range(n_free):
        for lane in range(count):
            first_q[i, lane] = injection[1, i, lane]
    for lane in range(len(code)):
        iterations[lane] = 0
        code[lane] = UNSOLVED if lane < count and _finite(injection, lane) else BAD_INPUT
    for attempt in range(2):
        # Where voltages are held, those without injection say little: there the angles of a DC power flow come
        # first; elsewhere the given start, or the voltages without injection.
        use_dc = (attempt == 0) == factors.any_pv
        for lane in range(count):
            if code[lane] == UNSOLVED:
                for i in range(n_free):
                    injection[1, i, lane] = first_q[i, lane]
                _start(structure, factors, injection, vr, vi, work, lane, rows[lane], starts, use_dc)
        for group in range((count + GROUP - 1) // GROUP):
            _iterate(structure, factors, injection, group, vr, vi, work, tolerance, proved, code, iterations)
    for lane in range(count):
        if code[lane] == UNSOLVED:
            code[lane] = NO_SOLUTION
    # Spare lanes repeat the last scenario, like everywhere.
    for lane in range(count, LANES):
        code[lane] = code[count - 1]
        for i in range(len(vr)):
            vr[i, lane], vi[i, lane] = vr[i, count - 1], vi[i, count - 1]
        for i in range(n_free):
            injection[1, i, lane], work.held[i, lane] = injection[1, i, count - 1], work.held[i, count - 1]


@inner
def _finite(injection, lane):
    """Every injection of the lane is a number."""
    for part in range(injection.shape[0]):
        for i in range(injection.shape[1]):
            if not np.isfinite(injection[part, i, lane]):
                return False
    return True


@inner
def _start(structure, factors, injection, vr, vi, work, lane, row, starts, use_dc):
    """Put one lane at its start, held voltages at their set points."""
    n_free = len(structure.diagonal)
    n = len(factors.shunt)
    for i in range(n):
        vr[i, lane], vi[i, lane] = factors.wr[i], factors.wi[i]
    if use_dc and len(factors.dc) > 0:
        _dc_angles(structure, factors, injection, work, lane)
        for i in range(n_free):
            vr[i, lane], vi[i, lane] = np.cos(work.angle[i]), np.sin(work.angle[i])
    elif not use_dc and len(starts.vr) > 0:
        for i in range(n):
            vr[i, lane], vi[i, lane] = starts.vr[starts.row[row], i], starts.vi[starts.row[row], i]
    for i in range(n_free):
        work.held[i, lane] = 1.0 if structure.is_pv[i] == 1 else 0.0
        if structure.is_pv[i] == 1:
            size = np.hypot(vr[i, lane], vi[i, lane])
            scale = factors.set_voltage[i] / size if size > 0.0 else 1.0
            vr[i, lane] *= scale
            vi[i, lane] *= scale


@inner
def _dc_angles(structure, factors, injection, work, lane):
    """Angles of the DC power flow, B θ = P: Stott, Jardim & Alsaç, IEEE Trans. Power Systems 24(3), 2009."""
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    angle = work.angle
    for i in range(n_free):
        angle[i] = injection[0, i, lane] + factors.dc_shift[i]
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            angle[i] -= factors.dc[k] * angle[structure.l_col[k]]
    for i in range(n_free - 1, -1, -1):
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            angle[i] -= factors.dc[fill + k] * angle[structure.u_col[k]]
        angle[i] *= factors.dc[2 * fill + i]
    for i in range(n_free):
        angle[i] += factors.dc_angle[i]


@allocating
def _iterate(structure, factors, injection, group, vr, vi, work, tolerance, proved, code, iterations):
    """Newton's steps on one group until each of its lanes has arrived or failed; arrived lanes get NEWTON."""
    n_free = len(structure.diagonal)
    begin = GROUP * group
    worst, moving, damping, largest = np.empty(GROUP), np.zeros(GROUP), np.ones(GROUP), np.empty(GROUP)
    last = np.full(GROUP, np.inf)
    for lane in range(GROUP):
        moving[lane] = 1.0 if code[begin + lane] == UNSOLVED else 0.0
    steps = 0
    while steps < _MAX_STEPS:
        miss = fill_jacobian(
            structure, factors.admittance, factors.shunt, injection, group, vr, vi, work.held,
            work.jacobian, work.step, work.spare_q,
        )  # fmt: skip
        store(worst, 0, miss)
        going = False
        for lane in range(GROUP):
            if moving[lane] == 0.0:
                continue
            settled = worst[lane] <= proved and worst[lane] > 0.5 * last[lane]
            last[lane] = worst[lane]
            if not np.isfinite(worst[lane]):
                moving[lane] = 0.0
            elif worst[lane] <= tolerance or settled:
                if _give_up_voltages(structure, factors, injection, work, begin, lane, tolerance):
                    steps = 0
                    going = True
                    continue
                moving[lane] = 0.0
                if _plausible(vr, vi, n_free, begin + lane):
                    code[begin + lane] = NEWTON
            else:
                going = True
        if not going:
            return
        factorise_jacobian(structure, work.jacobian, work.line)
        substitute(structure, work.jacobian, work.step)
        longest = spread_few(0.0)
        for k in range(2 * n_free):
            part = load_few(work.step, k)
            longest = larger(larger(part, 0.0 - part), longest)
        store(largest, 0, longest)
        for lane in range(GROUP):
            damping[lane] = _LARGEST_STEP / largest[lane] if largest[lane] > _LARGEST_STEP else 1.0
            iterations[begin + lane] += int(moving[lane])
        shorten, active = load_few(damping, 0), load_few(moving, 0)
        for i in range(n_free):
            at = STRIDE * i + group
            # A turn by 2·atan(Δθ/2) keeps the magnitude and differs from Δθ in the third order.
            half, grow = 0.5 * shorten * load_few(work.step, 2 * i), shorten * load_few(work.step, 2 * i + 1)
            scale = (1.0 + grow) / (1.0 + half * half)
            c, s = (1.0 - half * half) * scale, 2.0 * half * scale
            a, b = load_few(vr, at), load_few(vi, at)
            store(vr, at, where_above(active, 0.5 * active, a * c - b * s, a))
            store(vi, at, where_above(active, 0.5 * active, a * s + b * c, b))
        steps += 1


@inner
def _plausible(vr, vi, n_free, lane):
    """Every voltage of the lane is one that a grid can have."""
    for i in range(n_free):
        vm = np.hypot(vr[i, lane], vi[i, lane])
        if not (vm >= LOWEST_VM and vm <= HIGHEST_VM):
            return False
    return True


@inner
def _give_up_voltages(structure, factors, injection, work, begin, lane, tolerance):
    """Free the voltage of every node of a solved lane whose reactive power is beyond a limit; True if any.

    What a held node draws beyond its fixed injection is what its generators feed in. All violators are fixed
    at their limits at once and stay so, as pandapower does (``enforce_q_lims``).
    """
    anything = False
    for i in range(len(structure.diagonal)):
        if structure.is_pv[i] == 1 and work.held[i, begin + lane] == 1.0:
            q, over = work.spare_q[i, lane], _OVER_LIMIT * tolerance
            if q > factors.q_max[i] + over or q < factors.q_min[i] - over:
                injection[1, i, begin + lane] += (
                    factors.q_max[i] if q > factors.q_max[i] else factors.q_min[i]
                )
                work.held[i, begin + lane] = 0.0
                anything = True
    return anything
