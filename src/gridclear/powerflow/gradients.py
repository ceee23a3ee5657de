"""Quantities at a state and their gradients by the voltages; numbered as in ``sensitivity_kernels``."""

from __future__ import annotations

from gridclear.powerflow.jacobian import STRIDE
from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import larger, load_few, root, spread_few, store, where_above

#: Loading, and p.u. of an exchange, below which a magnitude is no more than rounding: its slope is then zero.
_NOTHING = 1e-9


@inner
def measure_nodes(structure, measures, work, room, group, sr, si):
    """Voltages, and what slack nodes feed in."""
    n, m, n_free = len(work.vr), len(structure.from_node), len(structure.diagonal)
    for i in range(n):
        a, b = voltage(work, i, group)
        store(room.base, i, root(a * a + b * b))
    for s in range(n - n_free):
        at = STRIDE * (n_free + s) + group
        p, q = times_conjugate(work, n_free + s, group, load_few(work.xr, at), load_few(work.xi, at))
        store(room.slack, 2 * s, p - load_few(sr, at))
        store(room.slack, 2 * s + 1, q - load_few(si, at))
    zero, nothing = spread_few(0.0), spread_few(_NOTHING)
    for e in range(len(measures.point_node)):
        s = measures.point_node[e] - n_free
        p, q = load_few(room.slack, 2 * s), load_few(room.slack, 2 * s + 1)
        size = root(p * p + q * q)
        # The size itself first: it is the sum of P·P/|S| and Q·Q/|S|.
        store(room.unit, 2 * e, where_above(size, zero, p / size, zero))
        store(room.unit, 2 * e + 1, where_above(size, zero, q / size, zero))
    sum_slacks(measures, room, n, m, n_free, room.base)
    for e in range(len(measures.point_node)):
        size = load_few(room.base, n + m + 3 * e + 2)
        for part in range(2):
            unit = load_few(room.unit, 2 * e + part)
            store(room.unit, 2 * e + part, where_above(size, nothing, unit, zero))


@inner
def measure_branch(structure, admittance, measures, work, room, group, k):
    """Take a branch's loading at its larger end, and its derivatives; zero below rounding."""
    f, t, y = structure.from_node[k], structure.to_node[k], admittance[k]
    rated_f, rated_t = measures.per_rated[k, 0], measures.per_rated[k, 1]
    a, b = voltage(work, f, group)
    c, d = voltage(work, t, group)
    # Parts that the two voltages have in the current of each end.
    ffr, ffi = times(y[0], a, b)
    ftr, fti = times(y[1], c, d)
    tfr, tfi = times(y[2], a, b)
    ttr, tti = times(y[3], c, d)
    fr, fi, tr, ti = ffr + ftr, ffi + fti, tfr + ttr, tfi + tti
    at_from, at_to = (fr * fr + fi * fi) * (rated_f * rated_f), (tr * tr + ti * ti) * (rated_t * rated_t)
    zero, nothing = spread_few(0.0), spread_few(_NOTHING)
    loading = root(larger(at_to, at_from))
    scale_f = where_above(loading, nothing, (rated_f * rated_f) / loading, zero)
    scale_t = where_above(loading, nothing, (rated_t * rated_t) / loading, zero)
    scale_f = where_above(at_to, at_from, zero, scale_f)
    scale_t = where_above(at_to, at_from, scale_t, zero)
    fr, fi, tr, ti = scale_f * fr, scale_f * fi, scale_t * tr, scale_t * ti
    store(room.base, len(work.vr) + k, loading)
    store(room.ampere, 4 * k, fr)
    store(room.ampere, 4 * k + 1, fi)
    store(room.ampere, 4 * k + 2, tr)
    store(room.ampere, 4 * k + 3, ti)
    store(room.gradient, 4 * k, fi * ffr - fr * ffi + (ti * tfr - tr * tfi))
    store(room.gradient, 4 * k + 1, fr * ffr + fi * ffi + (tr * tfr + ti * tfi))
    store(room.gradient, 4 * k + 2, fi * ftr - fr * fti + (ti * ttr - tr * tti))
    store(room.gradient, 4 * k + 3, fr * ftr + fi * fti + (tr * ttr + ti * tti))


@inner
def sum_slacks(measures, room, n, m, n_free, line):
    """P, Q and |S| of connection points and P and Q of all slack nodes; |S| = P·P/|S| + Q·Q/|S|."""
    at = n + m
    for e in range(len(measures.point_node)):
        s, share = measures.point_node[e] - n_free, measures.point_share[e]
        p, q = share * load_few(room.slack, 2 * s), share * load_few(room.slack, 2 * s + 1)
        store(line, at, p)
        store(line, at + 1, q)
        store(line, at + 2, p * load_few(room.unit, 2 * e) + q * load_few(room.unit, 2 * e + 1))
        at += 3
    p, q = spread_few(0.0), spread_few(0.0)
    for s in range(n - n_free):
        p, q = p + load_few(room.slack, 2 * s), q + load_few(room.slack, 2 * s + 1)
    store(line, at, p)
    store(line, at + 1, q)


@inner
def feed(y, work, group, i, j, x, slack, n_free):
    """Change of what slack node i feeds in by the voltage of its neighbour j."""
    re, im = _coupling(y, work, group, i, j)
    angle, size, s = load_few(x, 2 * j), load_few(x, 2 * j + 1), i - n_free
    store(slack, 2 * s, load_few(slack, 2 * s) + (im * angle + re * size))
    store(slack, 2 * s + 1, load_few(slack, 2 * s + 1) + (im * size - re * angle))


@inner
def feed_back(y, work, group, i, j, x, slack, n_free):
    """Transpose of ``feed``."""
    re, im = _coupling(y, work, group, i, j)
    s = i - n_free
    p, q = load_few(slack, 2 * s), load_few(slack, 2 * s + 1)
    store(x, 2 * j, load_few(x, 2 * j) + (im * p - re * q))
    store(x, 2 * j + 1, load_few(x, 2 * j + 1) + (re * p + im * q))


@inner
def quantity_gradient(structure, measures, room, quantity, lane, n, n_free):
    """Gradient of one quantity by the voltages, or its weights of slack nodes, in one lane."""
    m, points = len(structure.from_node), len(measures.point_node)
    if quantity < n:
        room.x[quantity, 1, lane] = room.base[quantity, lane]
        return
    if quantity < n + m:
        k = quantity - n
        f, t = structure.from_node[k], structure.to_node[k]
        for part in range(2):
            room.x[f, part, lane] += room.gradient[k, part, lane]
            room.x[t, part, lane] += room.gradient[k, 2 + part, lane]
        return
    e, kind = (quantity - n - m) // 3, (quantity - n - m) % 3
    if e == points:
        for s in range(n - n_free):
            room.slack[s, kind, lane] = 1.0
        return
    s, share = measures.point_node[e] - n_free, measures.point_share[e]
    if kind < 2:
        room.slack[s, kind, lane] = share
        return
    for part in range(2):
        room.slack[s, part, lane] = share * room.unit[e, part, lane]


@inner
def _coupling(y, work, group, i, j):
    """A_ij = V_i (y V_j)*."""
    c, d = voltage(work, j, group)
    re, im = times(y, c, d)
    return times_conjugate(work, i, group, re, im)


@inner
def voltage(work, i, group):
    """Voltage of a node in one group of lanes."""
    return load_few(work.vr, STRIDE * i + group), load_few(work.vi, STRIDE * i + group)


@inner
def times(y, a, b):
    """Product y·(a + jb)."""
    return y.real * a - y.imag * b, y.real * b + y.imag * a


@inner
def times_conjugate(work, i, group, re, im):
    """V_i·(re + j·im)*."""
    a, b = voltage(work, i, group)
    return a * re + b * im, b * re - a * im
