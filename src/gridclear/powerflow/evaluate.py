"""From voltages to what is asked for: currents, mismatch, exchange, the worst limit. Kernels on arrays.

The mismatch found here sums branch currents node by node and shares nothing with the factors that the
voltages came from: it is the proof of every state that is published.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import LANES, larger, load, root, spread, store, where_above

#: Tangent of half the angle up to which the series of ``polar`` is exact to the last digits: 30°.
_STEEPEST = 0.27


@inner
def balance(structure, admittance, shunt, sr, si, vr, vi, current, cr, ci, mismatch):
    """Branch currents and the power mismatch of the free nodes.

    Parameters
    ----------
    admittance : (branch, 4) complex
    shunt : (node,) complex
    sr, si, vr, vi : (node, LANES)
        Injections and voltages in p.u.
    current : (2·branch, LANES), filled here
        Magnitudes of current at the from ends, then at the to ends, in p.u.
    cr, ci : (node, LANES), filled here
        Current drawn by branches and shunts at each node.
    mismatch : (2, LANES), filled here
        Row 0: largest |S_drawn - S| over free nodes in p.u.; NaN if any is NaN. At voltage-controlled nodes only P
        counts. Row 1: room to work in.
    """
    n_free = len(structure.diagonal)
    for i in range(len(shunt)):
        g, b = shunt[i].real, shunt[i].imag
        x, y = load(vr, i), load(vi, i)
        store(cr, i, g * x - b * y)
        store(ci, i, g * y + b * x)
    m = len(structure.from_node)
    for k in range(m):
        f, t = structure.from_node[k], structure.to_node[k]
        a, b, c, d = load(vr, f), load(vi, f), load(vr, t), load(vi, t)
        yf, yt = admittance[k, 0], admittance[k, 1]
        x = yf.real * a - yf.imag * b + yt.real * c - yt.imag * d
        y = yf.real * b + yf.imag * a + yt.real * d + yt.imag * c
        store(cr, f, load(cr, f) + x)
        store(ci, f, load(ci, f) + y)
        store(current, k, root(x * x + y * y))
        yf, yt = admittance[k, 2], admittance[k, 3]
        x = yf.real * a - yf.imag * b + yt.real * c - yt.imag * d
        y = yf.real * b + yf.imag * a + yt.real * d + yt.imag * c
        store(cr, t, load(cr, t) + x)
        store(ci, t, load(ci, t) + y)
        store(current, m + k, root(x * x + y * y))
    worst, total = spread(0.0), spread(0.0)
    for i in range(n_free):
        a, b, x, y = load(vr, i), load(vi, i), load(cr, i), load(ci, i)
        p = a * x + b * y - load(sr, i)
        q = b * x - a * y - load(si, i)
        miss = p * p + q * q if structure.is_pv[i] == 0 else p * p
        total = total + miss
        worst = larger(miss, worst)
    store(mismatch, 0, root(worst))
    store(mismatch, 1, total)
    for lane in range(LANES):
        # A NaN anywhere is in the sum, whatever the comparison made of it.
        if not np.isfinite(mismatch[1, lane]):
            mismatch[0, lane] = np.nan


@inner
def load_limits(limits, row, lo, hi, loading, exchange):
    """Limits of a block's lanes, (constraint, LANES), from rows of the limit tables.

    Parameters
    ----------
    limits : LimitArrays
    row : (LANES,) int
    lo, hi : (node, LANES); loading : (branch, LANES); exchange : (5·point, LANES), filled here
    """
    for lane in range(LANES):
        r = row[lane]
        for i in range(lo.shape[0]):
            lo[i, lane] = limits.vm_min[r, i]
            hi[i, lane] = limits.vm_max[r, i]
        for k in range(loading.shape[0]):
            loading[k, lane] = limits.loading[r, k]
        for e in range(len(limits.point_node)):
            for j in range(5):
                exchange[5 * e + j, lane] = limits.exchange[r, e, j]


@inner
def worst_limit(structure, limits, lo, hi, loading, exchange, current, sr, si, cr, ci, vr, vi, found):
    """Find the worst normalised violation of each lane, and the constraint that has it.

    A violation is value minus limit, in p.u. of voltage, as a fraction of the rated current, or in units of
    ``limits.exchange_scale``: the same number is equally bad for each kind. Constraints are numbered: lower
    voltage of node i → i, upper → n + i, loading of branch k → 2n + k, exchange limit j of point e → 2n + m + 5e + j.
    Of equal violations the first that is met is named.

    Parameters
    ----------
    lo, hi, loading, exchange
        From ``load_limits``.
    current, sr, si, cr, ci, vr, vi
        From ``balance``.
    found : (2, LANES), filled here
        Worst violation, and its constraint as a float.
    """
    n = lo.shape[0]
    m = len(structure.from_node)
    high, which = spread(-np.inf), spread(-1.0)
    for i in range(n):
        a, b = load(vr, i), load(vi, i)
        vm = root(a * a + b * b)
        below = load(lo, i) - vm
        which = where_above(below, high, spread(1.0 * i), which)
        high = larger(below, high)
        above = vm - load(hi, i)
        which = where_above(above, high, spread(1.0 * (n + i)), which)
        high = larger(above, high)
    for k in range(m):
        at_from = load(current, k) * limits.per_rated[k, 0]
        over = larger(load(current, m + k) * limits.per_rated[k, 1], at_from) - load(loading, k)
        which = where_above(over, high, spread(1.0 * (2 * n + k)), which)
        high = larger(over, high)
    unit = 1.0 / limits.exchange_scale
    for e in range(len(limits.point_node)):
        i = limits.point_node[e]
        share = limits.point_share[e]
        a, b, x, y = load(vr, i), load(vi, i), load(cr, i), load(ci, i)
        p = (a * x + b * y - load(sr, i)) * share
        q = (b * x - a * y - load(si, i)) * share
        for j in range(5):
            limit = load(exchange, 5 * e + j)
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
            which = where_above(over, high, spread(1.0 * (2 * n + m + 5 * e + j)), which)
            high = larger(over, high)
    store(found, 0, high)
    store(found, 1, which)


@inner
def value_of(structure, limits, constraint, lane, current, sr, si, cr, ci, vr, vi):
    """Value of one constraint in one lane, in its own unit: p.u. of voltage, fraction of rating, p.u. of power.

    Numbering as in ``worst_limit``; NaN for -1.
    """
    n = len(cr)
    m = len(structure.from_node)
    if constraint < 0:
        return np.nan
    if constraint < 2 * n:
        i = constraint % n
        return np.sqrt(vr[i, lane] * vr[i, lane] + vi[i, lane] * vi[i, lane])
    if constraint < 2 * n + m:
        k = constraint - 2 * n
        return max(current[k, lane] * limits.per_rated[k, 0], current[m + k, lane] * limits.per_rated[k, 1])
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
def polar(vr, vi, wr, wi, w_angle, vm, va, room):
    """Magnitudes in p.u. and angles in degrees.

    The angle is taken against the voltage without injection, so that it is small: with u = tan(θ/2) = y/(|V| + x),
    θ = 2·(u - u³/3 + u⁵/5 …). A lane with an angle beyond 30° takes the library's arctangent.

    Parameters
    ----------
    vr, vi : (node, LANES)
        Voltages in p.u.
    wr, wi, w_angle : (node,)
        Voltages without injection, and their angles in degrees.
    vm, va : (node, LANES), filled here
    room : (row, LANES)
        Room; row 0 is used.
    """
    degree = 180.0 / np.pi
    steep = spread(0.0)
    half_turn, turn = spread(180.0), spread(360.0)
    for i in range(len(vr)):
        a, b = load(vr, i), load(vi, i)
        magnitude = root(a * a + b * b)
        store(vm, i, magnitude)
        size = np.sqrt(wr[i] * wr[i] + wi[i] * wi[i])
        c, s = wr[i] / size, wi[i] / size
        u = (b * c - a * s) / (magnitude + (a * c + b * s))
        t = u * u
        steep = larger(t, steep)
        series = spread(1.0 / 27.0)
        for k in range(25, 0, -2):
            series = 1.0 / k - t * series
        angle = 2.0 * degree * u * series + w_angle[i]
        angle = where_above(angle, half_turn, angle - turn, angle)
        store(va, i, where_above(0.0 - half_turn, angle, angle + turn, angle))
    store(room, 0, steep)
    for lane in range(LANES):
        if room[0, lane] > _STEEPEST * _STEEPEST:
            for i in range(len(vr)):
                va[i, lane] = np.arctan2(vi[i, lane], vr[i, lane]) * degree
