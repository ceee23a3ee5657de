"""Derivatives of quantities by controls at solved states, GROUP states side by side.

The power balance of the free nodes, F(x, u) = S_drawn - S = 0, makes the voltages x = (θ, ln V) a function of the
controls u: J dx = push with push = -∂F/∂u, and a quantity h(x, u) changes by h_x J⁻¹ push + h_u. Forward solves
with J once per control, adjoint with Jᵀ once per quantity (the two orders of the chain rule; H. W. Dommel &
W. F. Tinney, IEEE Trans. PAS-87, 1968, use the adjoint for the reduced gradient). What a slack node feeds in is
its F, so that it changes by F_x dx - push.

Quantities are numbered: voltage of node i → i, loading of branch k at its larger end → n + k, P, Q and |S| of
point e → n + m + 3e + (0, 1, 2), P and Q of all slack nodes together → n + m + 3·points + (0, 1).
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.batch import load_injections
from gridclear.powerflow.evaluate import at_voltage, balance
from gridclear.powerflow.gather import gather
from gridclear.powerflow.gradients import (
    feed,
    feed_back,
    measure_branch,
    measure_nodes,
    quantity_gradient,
    sum_slacks,
    times,
    times_conjugate,
    voltage,
)
from gridclear.powerflow.jacobian import (
    STRIDE,
    factorise_jacobian,
    fill_jacobian,
    substitute,
    substitute_transposed,
)
from gridclear.powerflow.jit import allocating, inner, kernel
from gridclear.powerflow.simd import GROUP, LANES, load_few, spread_few, store
from gridclear.powerflow.tiles import SIDE, tile_out

#: A controlled voltage this far (p.u.) from its set point has been given up; Newton keeps it to the last digits.
_GIVEN_UP = 1e-9


@kernel
def forward(
    structure,
    factors,
    sources,
    changes,
    measures,
    moves,
    vr,
    vi,
    work,
    room,
    first,
    last,
    proved,
    solved,
    value,
    slope,
):
    """Change of all quantities by each control, for states first … last - 1: at most LANES.

    Parameters
    ----------
    structure, factors, sources, changes, measures, moves
        See ``Structure`` and the classes of ``arrays``.
    vr, vi : (state, node)
        Voltages in p.u.
    work, room
    proved : float
        Mismatch in p.u. above which a state counts as unsolved.
    solved : (state,) bool, filled here
    value : (state, quantity), filled here
        The quantities themselves.
    slope : (state·control, quantity), filled here
    """
    n = len(factors.shunt)
    controls = len(moves.node)
    rows, good = np.empty(GROUP, dtype=np.int64), np.empty(GROUP, dtype=np.bool_)
    sr, si = _load_states(structure, factors, sources, changes, vr, vi, work, first, last)
    for begin in range(first, last, GROUP):
        group, count = (begin - first) // GROUP, min(GROUP, last - begin)
        _linearise(structure, factors, measures, moves, work, room, group, sr, si, proved, good)
        for lane in range(GROUP):
            rows[lane] = begin + min(lane, count - 1)
        _write(room.base, room, rows, value)
        for c in range(controls):
            _clear(room.x, 2 * n)
            _push(structure, moves, room, c)
            substitute(structure, work.jacobian, room.x)
            _respond(structure, factors, measures, moves, work, room, group, c)
            for lane in range(GROUP):
                rows[lane] = (begin + min(lane, count - 1)) * controls + c
            _write(room.line, room, rows, slope)
        for lane in range(count):
            s = begin + lane
            solved[s] = good[lane]
            if not good[lane]:
                value[s] = np.nan
                slope[s * controls : (s + 1) * controls] = np.nan


@kernel
def adjoint(
    structure,
    factors,
    sources,
    changes,
    measures,
    moves,
    vr,
    vi,
    work,
    room,
    first,
    last,
    proved,
    asked,
    solved,
    value,
    slope,
):
    """Change of some quantities by all controls, for states first … last - 1: at most LANES.

    Parameters
    ----------
    asked : (state, row) int
        Quantities; -1 for none.
    solved : (state,) bool, filled here
    value : (state, row), filled here
    slope : (state·row, control), filled here
        NaN where nothing is asked, as in ``value``.

    Others as in ``forward``.
    """
    n_asked = asked.shape[1]
    rows, good = np.empty(GROUP, dtype=np.int64), np.empty(GROUP, dtype=np.bool_)
    which = np.empty(GROUP, dtype=np.int64)
    sr, si = _load_states(structure, factors, sources, changes, vr, vi, work, first, last)
    for begin in range(first, last, GROUP):
        group, count = (begin - first) // GROUP, min(GROUP, last - begin)
        _linearise(structure, factors, measures, moves, work, room, group, sr, si, proved, good)
        for row in range(n_asked):
            for lane in range(GROUP):
                s = begin + min(lane, count - 1)
                which[lane] = asked[s, row]
                rows[lane] = s * n_asked + row
            _multipliers(structure, factors, measures, work, room, group, which)
            _pull(structure, moves, room, which)
            _write(room.line, room, rows, slope)
            for lane in range(count):
                wanted = good[lane] and which[lane] >= 0
                value[begin + lane, row] = room.base[which[lane], lane] if wanted else np.nan
                if not wanted:
                    slope[rows[lane]] = np.nan
        for lane in range(count):
            solved[begin + lane] = good[lane]


@allocating
def _load_states(structure, factors, sources, changes, vr, vi, work, first, last):
    """Injections, voltages, currents drawn and held voltages of a block; returns the first at the second.

    Spare lanes repeat the last state.
    """
    rows, mismatch = np.empty(LANES, dtype=np.int64), np.empty(LANES)
    for lane in range(LANES):
        rows[lane] = min(first + lane, last - 1)
    load_injections(sources, changes, rows, work)
    gather(vr, rows, work.vr)
    gather(vi, rows, work.vi)
    injection = work.injection
    sr, si = injection[0], injection[1]
    if injection.shape[0] > 2:
        at_voltage(injection, work.vr, work.vi, work.yr, work.yi)
        sr, si = work.yr, work.yi
    work.held[:] = 0.0
    nothing = np.zeros((2, 0), dtype=np.int64)
    balance(structure, factors, sr, si, work, mismatch, angles=False, ahead=nothing)
    for i in range(len(structure.diagonal)):
        if structure.is_pv[i] == 1:
            for lane in range(LANES):
                _hold(factors, injection, work, si, i, lane)
    return sr, si


@inner
def _hold(factors, injection, work, si, i, lane):
    """Find whether a voltage is held; if it was given up, its generators feed in their nearer limit."""
    a, b = work.vr[i, lane], work.vi[i, lane]
    if abs(np.hypot(a, b) - factors.set_voltage[i]) <= _GIVEN_UP:
        work.held[i, lane] = 1.0
        return
    spare = b * work.xr[i, lane] - a * work.xi[i, lane] - si[i, lane]
    low, high = factors.q_min[i], factors.q_max[i]
    injection[1, i, lane] += high if high - spare < spare - low else low


@allocating
def _linearise(structure, factors, measures, moves, work, room, group, sr, si, proved, good):
    """Factors of the Jacobian, quantities and their gradients, and pushes of all controls, of one group."""
    miss, total = np.empty(GROUP), spread_few(0.0)
    found = fill_jacobian(
        structure, factors.admittance, factors.shunt, work.injection, group, work.vr, work.vi, work.held,
        work.jacobian, work.step, work.spare_q,
    )  # fmt: skip
    factorise_jacobian(structure, work.jacobian, work.line)
    for i in range(len(structure.diagonal)):
        for part in range(4):
            total = total + load_few(work.jacobian, 4 * structure.diagonal[i] + part)
    # A pivot that is no number is in the sum; 0·∞ and 0·NaN are NaN.
    store(miss, 0, found + 0.0 * total)
    for lane in range(GROUP):
        good[lane] = miss[lane] <= proved
    measure_nodes(structure, measures, work, room, group, sr, si)
    for k in range(len(structure.from_node)):
        measure_branch(structure, factors.admittance, measures, work, room, group, k)
    n_free = len(structure.diagonal)
    for c in range(len(moves.node)):
        i = moves.node[c]
        if i >= 0:
            a, b = voltage(work, i, group)
            square, power, shunt = a * a + b * b, moves.power[c], moves.shunt[c]
            store(room.push, 2 * c, power.real - square * shunt.real)
            store(
                room.push, 2 * c + 1, _not_held(work, i, n_free, group) * (power.imag + square * shunt.imag)
            )
    for e in range(len(moves.branch)):
        k, y = moves.branch[e], moves.slope[e]
        f, t = structure.from_node[k], structure.to_node[k]
        a, b = voltage(work, f, group)
        c, d = voltage(work, t, group)
        loading = spread_few(0.0)
        for end in range(2):
            i = t if end else f
            re, im = times(y[2 * end], a, b)
            x, z = times(y[2 * end + 1], c, d)
            re, im = re + x, im + z
            loading = loading + load_few(room.ampere, 4 * k + 2 * end) * re
            loading = loading + load_few(room.ampere, 4 * k + 2 * end + 1) * im
            p, q = times_conjugate(work, i, group, re, im)
            store(room.turn, 5 * e + 2 * end, 0.0 - p)
            store(room.turn, 5 * e + 2 * end + 1, _not_held(work, i, n_free, group) * (0.0 - q))
        store(room.turn, 5 * e + 4, loading)


@inner
def _push(structure, moves, room, c):
    """Add what control c seems to inject to x; at slack nodes too."""
    x = room.x
    if moves.node[c] >= 0:
        _add(x, moves.node[c], room.push, 2 * c)
    for e in range(moves.start[c], moves.start[c + 1]):
        k = moves.branch[e]
        _add(x, structure.from_node[k], room.turn, 5 * e)
        _add(x, structure.to_node[k], room.turn, 5 * e + 2)


@inner
def _respond(structure, factors, measures, moves, work, room, group, c):
    """Change of all quantities by control c, whose (Δθ, ΔV/V) stand in x, at slack nodes its push."""
    n, m, n_free = len(work.vr), len(structure.from_node), len(structure.diagonal)
    x, slack, line = room.x, room.slack, room.line
    for s in range(2 * (n - n_free)):
        store(slack, s, 0.0 - load_few(x, 2 * n_free + s))
        store(x, 2 * n_free + s, spread_few(0.0))
    for i in range(n):
        store(line, i, load_few(room.base, i) * load_few(x, 2 * i + 1))
    for k in range(m):
        f, t = structure.from_node[k], structure.to_node[k]
        gradient = room.gradient
        change = load_few(gradient, 4 * k) * load_few(x, 2 * f)
        change = change + load_few(gradient, 4 * k + 1) * load_few(x, 2 * f + 1)
        change = change + load_few(gradient, 4 * k + 2) * load_few(x, 2 * t)
        store(line, n + k, change + load_few(gradient, 4 * k + 3) * load_few(x, 2 * t + 1))
        if f >= n_free:
            feed(factors.admittance[k, 1], work, group, f, t, x, slack, n_free)
        if t >= n_free:
            feed(factors.admittance[k, 2], work, group, t, f, x, slack, n_free)
    for e in range(moves.start[c], moves.start[c + 1]):
        at = n + moves.branch[e]
        store(line, at, load_few(line, at) + load_few(room.turn, 5 * e + 4))
    sum_slacks(measures, room, n, m, n_free, line)


@inner
def _multipliers(structure, factors, measures, work, room, group, which):
    """Change of each lane's quantity by P and Q at every node, into x."""
    n, n_free = len(work.vr), len(structure.diagonal)
    x, slack = room.x, room.slack
    _clear(x, 2 * n)
    _clear(slack, 2 * (n - n_free))
    for lane in range(GROUP):
        if which[lane] >= 0:
            quantity_gradient(structure, measures, room, which[lane], lane, n, n_free)
    for k in range(len(structure.from_node)):
        f, t = structure.from_node[k], structure.to_node[k]
        if f >= n_free:
            feed_back(factors.admittance[k, 1], work, group, f, t, x, slack, n_free)
        if t >= n_free:
            feed_back(factors.admittance[k, 2], work, group, t, f, x, slack, n_free)
    substitute_transposed(structure, work.jacobian, x)
    for s in range(2 * (n - n_free)):
        store(x, 2 * n_free + s, 0.0 - load_few(slack, s))


@inner
def _pull(structure, moves, room, which):
    """Change of each lane's quantity by every control, from the multipliers in x."""
    n = len(room.x)
    for c in range(len(moves.node)):
        total = spread_few(0.0)
        if moves.node[c] >= 0:
            total = total + _dot(room.x, moves.node[c], room.push, 2 * c)
        for e in range(moves.start[c], moves.start[c + 1]):
            k = moves.branch[e]
            total = total + _dot(room.x, structure.from_node[k], room.turn, 5 * e)
            total = total + _dot(room.x, structure.to_node[k], room.turn, 5 * e + 2)
        store(room.line, c, total)
        for e in range(moves.start[c], moves.start[c + 1]):
            for lane in range(GROUP):
                if which[lane] == n + moves.branch[e]:
                    room.line[c, lane] += room.turn[e, 4, lane]


@inner
def _not_held(work, i, n_free, group):
    return spread_few(1.0) - load_few(work.held, STRIDE * i + group) if i < n_free else spread_few(1.0)


@inner
def _clear(array, count):
    for i in range(count):
        store(array, i, spread_few(0.0))


@inner
def _add(x, i, more, at):
    store(x, 2 * i, load_few(x, 2 * i) + load_few(more, at))
    store(x, 2 * i + 1, load_few(x, 2 * i + 1) + load_few(more, at + 1))


@inner
def _dot(x, i, more, at):
    return load_few(x, 2 * i) * load_few(more, at) + load_few(x, 2 * i + 1) * load_few(more, at + 1)


@inner
def _write(line, room, rows, values):
    """Copy results into rows of ``values``: line[column, lane] → values[rows[lane], column]."""
    place, ones = room.place, room.ones
    columns = values.shape[1]
    if columns < SIDE:
        for lane in range(GROUP):
            for column in range(columns):
                values[rows[lane], column] = line[column, lane]
        return
    for lane in range(0, GROUP, SIDE):
        for column in range(0, columns - SIDE, SIDE):
            tile_out(line, place, ones, lane, column, rows, values)
        tile_out(line, place, ones, lane, columns - SIDE, rows, values)
