"""From voltages to what is asked for: currents, mismatch, exchange, the worst limit. Kernels on arrays.

The mismatch found here sums branch currents node by node and shares nothing with the factors that the
voltages came from: it is the proof of every state that is published.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.gather import gather
from gridclear.powerflow.jit import inner
from gridclear.powerflow.magnitude import magnitude_of
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

#: Tangent of half the angle up to which the series of ``angles`` is exact to the last digits: 15°.
_STEEPEST = 0.1316
#: Rows that go through all strips before the next: their lines of memory are still near for the last of them.
_TOGETHER = 64


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
def balance(structure, factors, sr, si, vr, vi, magnitude, current, cr, ci, held, mismatch):
    """Branch currents and the power mismatch of the free nodes.

    Parameters
    ----------
    sr, si, vr, vi : (node, LANES)
        Injections at these voltages, and voltages in p.u.
    magnitude : (node, LANES), filled here
        Of the voltages.
    current : (2·branch, LANES), filled here
        Magnitudes at the from ends, then at the to ends, in p.u. Roots cost next to nothing here: the unit
        that draws them is idle while the multipliers are busy.
    cr, ci : (node, LANES), filled here
        Current drawn by branches and shunts at each node.
    held : (free, LANES)
        1 where a lane holds the voltage magnitude: there only P counts. Read where ``structure.is_pv``.
    mismatch : (2, LANES), filled here
        Row 0: largest |S_drawn - S| over free nodes in p.u.; NaN if any is NaN. Row 1: room to work in.
    """
    admittance, shunt = factors.admittance, factors.shunt
    for i in range(len(shunt)):
        g, b = shunt[i].real, shunt[i].imag
        for at in range(STRIPS * i, STRIPS * (i + 1)):
            x, y = load_part(vr, at), load_part(vi, at)
            store(cr, at, g * x - b * y)
            store(ci, at, fused(spread_part(g), y, b * x))
    m = len(structure.from_node)
    for k in range(m):
        ff, ft, tf, tt = admittance[k, 0], admittance[k, 1], admittance[k, 2], admittance[k, 3]
        for part in range(STRIPS):
            f, t = STRIPS * structure.from_node[k] + part, STRIPS * structure.to_node[k] + part
            a, b, c, d = load_part(vr, f), load_part(vi, f), load_part(vr, t), load_part(vi, t)
            x = ff.real * a - ff.imag * b + ft.real * c - ft.imag * d
            y = fused(spread_part(ff.real), b, ff.imag * a) + ft.real * d + ft.imag * c
            store(cr, f, load_part(cr, f) + x)
            store(ci, f, load_part(ci, f) + y)
            store(current, STRIPS * k + part, magnitude_of(x * x + y * y))
            x = tf.real * a - tf.imag * b + tt.real * c - tt.imag * d
            y = fused(spread_part(tf.real), b, tf.imag * a) + tt.real * d + tt.imag * c
            store(cr, t, load_part(cr, t) + x)
            store(ci, t, load_part(ci, t) + y)
            store(current, STRIPS * (m + k) + part, magnitude_of(x * x + y * y))
    n_free = len(structure.diagonal)
    for part in range(2 * STRIPS):
        store(mismatch, part, spread_part(0.0))
    for first in range(0, n_free, _TOGETHER):
        for part in range(STRIPS):
            worst, total = load_part(mismatch, part), load_part(mismatch, STRIPS + part)
            for i in range(first, min(first + _TOGETHER, n_free)):
                at = STRIPS * i + part
                a, b, x, y = load_part(vr, at), load_part(vi, at), load_part(cr, at), load_part(ci, at)
                store(magnitude, at, magnitude_of(a * a + b * b))
                p = a * x + b * y - load_part(sr, at)
                q = b * x - a * y - load_part(si, at)
                miss = p * p + q * q
                if structure.is_pv[i] == 1:
                    miss = p * p + (1.0 - load_part(held, at)) * (q * q)
                total = total + miss
                worst = larger(miss, worst)
            store(mismatch, part, worst)
            store(mismatch, STRIPS + part, total)
    for part in range(STRIPS):
        total = load_part(mismatch, STRIPS + part)
        for i in range(n_free, len(shunt)):
            at = STRIPS * i + part
            a, b = load_part(vr, at), load_part(vi, at)
            store(magnitude, at, magnitude_of(a * a + b * b))
            # What is injected at a slack node changes no voltage, but must be a number.
            total = total + 0.0 * (load_part(sr, at) + load_part(si, at))
        store(mismatch, part, root(load_part(mismatch, part)))
        store(mismatch, STRIPS + part, total)
    for lane in range(LANES):
        # A NaN anywhere is in the sum, whatever the comparison made of it.
        if not np.isfinite(mismatch[1, lane]):
            mismatch[0, lane] = np.nan


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


@inner
def angles(vr, vi, vm, w_unit, w_angle, va, room):
    """Angles in degrees.

    The angle is taken against the voltage without injection, so that it is small: with u = tan(θ/2) = y/(|V| + x),
    θ = 2·(u - u³/3 + u⁵/5 …). A lane with an angle beyond 15° takes the library's arctangent.

    Parameters
    ----------
    vr, vi : (node, LANES)
        Voltages in p.u.; rows behind those of the nodes are passed over.
    vm : (node, LANES)
        Their magnitudes.
    w_unit, w_angle : (node,)
        Voltages without injection divided by their magnitude, and their angles in degrees.
    va : (node, LANES), filled here
    room : (row, LANES)
        Room; row 0 is used.
    """
    degree = 180.0 / np.pi
    half_turn, turn = spread_part(180.0), spread_part(360.0)
    for part in range(STRIPS):
        store(room, part, spread_part(0.0))
    for first in range(0, len(w_unit), _TOGETHER):
        for part in range(STRIPS):
            steep = load_part(room, part)
            for i in range(first, min(first + _TOGETHER, len(w_unit))):
                at = STRIPS * i + part
                a, b = load_part(vr, at), load_part(vi, at)
                c, s = w_unit[i].real, w_unit[i].imag
                u = (b * c - a * s) / (load_part(vm, at) + (a * c + b * s))
                t = u * u
                steep = larger(t, steep)
                series = spread_part(1.0 / 17.0)
                for k in range(15, 0, -2):
                    series = 1.0 / k - t * series
                angle = 2.0 * degree * u * series + w_angle[i]
                angle = where_above(angle, half_turn, angle - turn, angle)
                store(va, at, where_above(0.0 - half_turn, angle, angle + turn, angle))
            store(room, part, steep)
    for lane in range(LANES):
        if room[0, lane] > _STEEPEST * _STEEPEST:
            for i in range(len(w_unit)):
                va[i, lane] = np.arctan2(vi[i, lane], vr[i, lane]) * degree
