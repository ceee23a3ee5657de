"""From voltages to what is asked for: currents, mismatch, exchange, the worst limit. Kernels on arrays.

The mismatch found here sums branch currents node by node and shares nothing with the factors that the
voltages came from: it is the proof of every state that is published.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.gather import ask_for, gather
from gridclear.powerflow.jit import inner
from gridclear.powerflow.polar import SMALL, magnitude_of, root_and_inverse, small_angle
from gridclear.powerflow.simd import (
    LANES,
    STRIPS,
    fused,
    larger,
    load,
    load_part,
    root,
    spread_part,
    store,
    where_above,
)

#: Degrees that a small angle beyond may take past half a turn.
_NEARLY_TURNED = 165.0
#: Degrees of a radian.
_DEGREE = 180.0 / np.pi


@inner
def at_voltage(injection, vr, vi, sr, si):
    """Sum the parts of a block's injections at its voltages.

    Parameters
    ----------
    injection : (6, node, LANES)
        See ``arrays.Columns``.
    vr, vi : (node, LANES)
    sr, si : (node, LANES), filled here
    """
    for i in range(injection.shape[1]):
        a, b = load(vr, i), load(vi, i)
        square = a * a + b * b
        vm = root(square)
        p = vm * load(injection[2], i) + square * load(injection[4], i)
        q = vm * load(injection[3], i) + square * load(injection[5], i)
        store(sr, i, load(injection[0], i) + p)
        store(si, i, load(injection[1], i) + q)


@inner
def balance(structure, factors, sr, si, work, mismatch, angles, ahead):
    """Branch currents, the power mismatch of the free nodes, and what voltages are in polar form.

    Node by node in the order of elimination: a branch is taken at the first of its ends, when the voltages
    that it needs are at hand, and what it draws at the other waits for that.

    Parameters
    ----------
    sr, si : (node, LANES)
        Injections at these voltages, in p.u.
    work : Workspace
        vr, vi: voltages in p.u. held: read where ``structure.is_pv``. Filled here: magnitude; current, in p.u.;
        xr, xi, current drawn by branches and shunts at each node; va, if asked for. far_r, far_i and lane are
        used.
    mismatch : (LANES,), filled here
        Largest |S_drawn - S| over free nodes in p.u.; NaN if any is NaN.
    angles : bool
        Angles are asked for.
    ahead : (2, source) int
        What is read next; see ``look_ahead``.
    """
    n_free, n = len(structure.diagonal), len(factors.shunt)
    vr, vi = work.vr, work.vi
    worst_of, sum_of, turned = work.lane[0], work.lane[1], work.lane[2]
    for part in range(STRIPS):
        store(worst_of, part, spread_part(0.0))
        store(sum_of, part, spread_part(0.0))
        store(turned, part, spread_part(-1.0))
    for i in range(n):
        ask_for(ahead, i, n)
        for part in range(STRIPS):
            at = STRIPS * i + part
            a, b = load_part(vr, at), load_part(vi, at)
            x, y = _drawn(structure, factors, work, i, part, a, b)
            store(work.xr, at, x)
            store(work.xi, at, y)
            vm, inverse = root_and_inverse(a * a + b * b)
            store(work.magnitude, at, vm)
            if angles:
                # Against the voltage without injection, so that it is small.
                c, s = factors.w_unit[i].real, factors.w_unit[i].imag
                store(turned, part, larger(0.0 - (a * c + b * s) * inverse, load_part(turned, part)))
                store(work.va, at, _degrees((b * c - a * s) * inverse, factors.w_angle[i]))
            if i < n_free:
                p = a * x + (b * y - load_part(sr, at))
                q = b * x - (a * y + load_part(si, at))
                miss = p * p + q * q
                if structure.is_pv[i] == 1:
                    miss = p * p + (1.0 - load_part(work.held, at)) * (q * q)
                store(worst_of, part, larger(miss, load_part(worst_of, part)))
            else:
                # What is injected at a slack node changes no voltage, but must be a number.
                miss = 0.0 * (load_part(sr, at) + load_part(si, at))
            store(sum_of, part, load_part(sum_of, part) + miss)
    for part in range(STRIPS):
        store(mismatch, part, root(load_part(worst_of, part)))
    for lane in range(LANES):
        # A NaN anywhere is in the sum, whatever the comparison made of it.
        if not np.isfinite(sum_of[lane]):
            mismatch[lane] = np.nan
        if angles and not -turned[lane] >= SMALL:
            for i in range(n):
                work.va[i, lane] = np.arctan2(vi[i, lane], vr[i, lane]) * _DEGREE


@inner
def _drawn(structure, factors, work, i, part, a, b):
    """Sum the currents that shunts and branches draw at node i of voltage a + jb."""
    m, shunt = len(structure.from_node), factors.shunt[i]
    x, y = _product(shunt, a, b)
    for e in range(structure.up_start[i], structure.up_start[i + 1]):
        k = structure.up[e]
        # Of 0 and 1, this end.
        end = 0 if structure.from_node[k] == i else 1
        other = STRIPS * (structure.to_node[k] if end == 0 else structure.from_node[k]) + part
        c, d = load_part(work.vr, other), load_part(work.vi, other)
        own, across = factors.admittance[k, 3 * end], factors.admittance[k, 1 + end]
        p, q = _branch_current(own, a, b, across, c, d)
        x, y = x + p, y + q
        store(work.current, STRIPS * (m * end + k) + part, magnitude_of(p * p + q * q))
        own, across = factors.admittance[k, 3 - 3 * end], factors.admittance[k, 2 - end]
        p, q = _branch_current(own, c, d, across, a, b)
        store(work.far_r, STRIPS * k + part, p)
        store(work.far_i, STRIPS * k + part, q)
        store(work.current, STRIPS * (m * (1 - end) + k) + part, magnitude_of(p * p + q * q))
    for e in range(structure.down_start[i], structure.down_start[i + 1]):
        at = STRIPS * structure.down[e] + part
        x, y = x + load_part(work.far_r, at), y + load_part(work.far_i, at)
    return x, y


@inner
def _branch_current(own, a, b, across, c, d):
    """Find the current into a branch at an end of voltage a + jb, the other having c + jd."""
    x, y = _product(own, a, b)
    return x + across.real * c - across.imag * d, y + across.real * d + across.imag * c


@inner
def _product(factor, x, y):
    return factor.real * x - factor.imag * y, fused(spread_part(factor.real), y, factor.imag * x)


@inner
def _degrees(sine, first):
    """Angle of a given sine beyond another, in degrees between -180 and 180."""
    angle = _DEGREE * small_angle(sine) + first
    if abs(first) > _NEARLY_TURNED:
        half_turn, turn = spread_part(180.0), spread_part(360.0)
        angle = where_above(angle, half_turn, angle - turn, angle)
        angle = where_above(0.0 - half_turn, angle, angle + turn, angle)
    return angle


@inner
def load_limits(limits, row, work):
    """Limits of a block's lanes, (constraint, LANES), from rows of the limit tables.

    Parameters
    ----------
    limits : LimitArrays
    row : (LANES,) int
    work : Workspace
        low, high, loading and exchange are filled.
    """
    gather(limits.vm_min, row, work.low)
    gather(limits.vm_max, row, work.high)
    gather(limits.loading, row, work.loading)
    for lane in range(LANES):
        for e in range(len(limits.point_node)):
            for j in range(5):
                work.exchange[5 * e + j, lane] = limits.exchange[row[lane], e, j]


@inner
def worst_limit(structure, limits, work, sr, si, vr, vi, found):
    """Find the worst normalised violation of each lane, and the constraint that has it.

    A violation is value minus limit, in p.u. of voltage, as a fraction of the rated current, or in units of
    ``limits.exchange_scale``: the same number is equally bad for each kind. Constraints are numbered: lower
    voltage of node i → i, upper → n + i, loading of branch k → 2n + k, exchange limit j of point e → 2n + m + 5e + j.
    Of equal violations the first that is met is named.

    Parameters
    ----------
    work : Workspace
        low, high, loading and exchange from ``load_limits``; magnitude, current, xr and xi (current drawn)
        from ``balance``.
    sr, si, vr, vi : (node, LANES)
        As in ``balance``.
    found : (2, LANES), filled here
        Worst violation, and its constraint as a float.
    """
    n = work.low.shape[0]
    m = len(structure.from_node)
    cr, ci, exchange = work.xr, work.xi, work.exchange
    unit = 1.0 / limits.exchange_scale
    for part in range(STRIPS):
        high, which = spread_part(-np.inf), spread_part(-1.0)
        for i in range(n):
            at = STRIPS * i + part
            vm = load_part(work.magnitude, at)
            below = load_part(work.low, at) - vm
            which = where_above(below, high, spread_part(1.0 * i), which)
            high = larger(below, high)
            above = vm - load_part(work.high, at)
            which = where_above(above, high, spread_part(1.0 * (n + i)), which)
            high = larger(above, high)
        for k in range(m):
            at_from = load_part(work.current, STRIPS * k + part) * limits.per_rated[k, 0]
            at_to = load_part(work.current, STRIPS * (m + k) + part) * limits.per_rated[k, 1]
            over = larger(at_to, at_from) - load_part(work.loading, STRIPS * k + part)
            which = where_above(over, high, spread_part(1.0 * (2 * n + k)), which)
            high = larger(over, high)
        for e in range(len(limits.point_node)):
            i = limits.point_node[e]
            share = limits.point_share[e]
            at = STRIPS * i + part
            a, b, x, y = load_part(vr, at), load_part(vi, at), load_part(cr, at), load_part(ci, at)
            p = (a * x + b * y - load_part(sr, at)) * share
            q = (b * x - a * y - load_part(si, at)) * share
            for j in range(5):
                limit = load_part(exchange, STRIPS * (5 * e + j) + part)
                if j == 0:
                    over = limit - p
                elif j == 1:
                    over = p - limit
                elif j == 2:
                    over = limit - q
                elif j == 3:
                    over = q - limit
                else:
                    over = root(p * p + q * q) - limit
                over = over * unit
                which = where_above(over, high, spread_part(1.0 * (2 * n + m + 5 * e + j)), which)
                high = larger(over, high)
        store(found, part, high)
        store(found, STRIPS + part, which)


@inner
def value_of(structure, limits, work, constraint, lane, sr, si, vr, vi):
    """Value of one constraint in one lane, in its own unit: p.u. of voltage, fraction of rating, p.u. of power.

    Numbering as in ``worst_limit``; NaN for -1.
    """
    n = work.low.shape[0]
    m = len(structure.from_node)
    cr, ci = work.xr, work.xi
    if constraint < 0:
        return np.nan
    if constraint < 2 * n:
        i = constraint % n
        return work.magnitude[i, lane]
    if constraint < 2 * n + m:
        k = constraint - 2 * n
        at_from = work.current[k, lane] * limits.per_rated[k, 0]
        return max(at_from, work.current[m + k, lane] * limits.per_rated[k, 1])
    e, j = (constraint - 2 * n - m) // 5, (constraint - 2 * n - m) % 5
    i = limits.point_node[e]
    p = (vr[i, lane] * cr[i, lane] + vi[i, lane] * ci[i, lane] - sr[i, lane]) * limits.point_share[e]
    q = (vi[i, lane] * cr[i, lane] - vr[i, lane] * ci[i, lane] - si[i, lane]) * limits.point_share[e]
    if j < 2:
        return p
    if j < 4:
        return q
    return np.sqrt(p * p + q * q)
