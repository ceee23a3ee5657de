"""One pass over a range of scenarios: load, solve, fall back, prove, scan, store. The kernel behind every job."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.evaluate import balance, load_limits, polar, value_of, worst_limit
from gridclear.powerflow.jit import inner, kernel
from gridclear.powerflow.kernels import (
    BAD_INPUT,
    FIXED_POINT,
    NEWTON,
    NO_SOLUTION,
    UNSOLVED,
    fixed_point,
    load_injections,
)
from gridclear.powerflow.newton import newton
from gridclear.powerflow.simd import LANES


class Factors(NamedTuple):
    """Values of one topology at one setting of taps and banks.

    Attributes
    ----------
    admittance : (branch, 4) complex
    shunt : (node,) complex
    lur, lui : (2·fill + free,)
        Factors of the free nodes' admittance matrix.
    wr, wi, w_angle : (node,)
        Voltages without injection, and their angles in degrees.
    set_voltage : (free,)
        Set points of voltage-controlled nodes.
    amperes_ka : (branch, 2)
        kA per p.u. of current.
    any_pv : bool
        There are voltage-controlled nodes: Newton from the start.
    """

    admittance: np.ndarray
    shunt: np.ndarray
    lur: np.ndarray
    lui: np.ndarray
    wr: np.ndarray
    wi: np.ndarray
    w_angle: np.ndarray
    set_voltage: np.ndarray
    amperes_ka: np.ndarray
    any_pv: bool


class Lanes(NamedTuple):
    """Injections of every scenario, as base rows plus changes, and where each starts.

    Attributes
    ----------
    p, q : (row, bus)
        Base injections.
    unit : float
        p.u. per unit of ``p`` and ``q``.
    row : (scenario,)
        Base row of each scenario.
    delta_start, delta_node, delta_p, delta_q : (scenario + 1,), (change,), ...
        Changes by node in p.u.
    start_r, start_i : (start, node)
        Starting voltages; with no rows, every scenario starts from the voltages without injection.
    start : (scenario,)
        Row of the starting voltages.
    """

    p: np.ndarray
    q: np.ndarray
    unit: float
    row: np.ndarray
    delta_start: np.ndarray
    delta_node: np.ndarray
    delta_p: np.ndarray
    delta_q: np.ndarray
    start_r: np.ndarray
    start_i: np.ndarray
    start: np.ndarray


class LimitArrays(NamedTuple):
    """Limits by row; see ``evaluate.worst_limit``. ``row`` and ``probe`` are per scenario; none: no scan."""

    vm_min: np.ndarray
    vm_max: np.ndarray
    loading: np.ndarray
    per_rated: np.ndarray
    point_node: np.ndarray
    point_share: np.ndarray
    exchange: np.ndarray
    exchange_scale: float
    row: np.ndarray
    probe: np.ndarray


class Output(NamedTuple):
    """What a pass fills; an array without rows is not asked for.

    Attributes
    ----------
    code : (scenario,) int
    mismatch : (scenario,)
        Proved mismatch in p.u.; NaN without solution.
    iterations : (scenario,) int
        Fixed-point iterations.
    vm, va : (scenario, bus)
        Magnitude in p.u. and angle in degrees.
    node_v : (scenario, node) complex
    current : (2, scenario, branch)
        kA at the from and the to ends.
    slack_power : (scenario, slack node) complex
        Power that each slack node feeds in, p.u.
    high, which, probed : (scenario,)
        Limit scan.
    """

    code: np.ndarray
    mismatch: np.ndarray
    iterations: np.ndarray
    vm: np.ndarray
    va: np.ndarray
    node_v: np.ndarray
    current: np.ndarray
    slack_power: np.ndarray
    high: np.ndarray
    which: np.ndarray
    probed: np.ndarray


@kernel
def run(structure, factors, lanes, limits, out, first, last, tolerance, least, confirmed, max_iterations):
    """Solve scenarios first … last - 1.

    Parameters
    ----------
    structure, factors, lanes, limits, out
        See the classes of this module.
    tolerance : float
        Mismatch in p.u. at which an iteration stops.
    least : float
        See ``fixed_point``.
    confirmed : float
        Mismatch in p.u., found anew from branch currents, above which nothing counts as solved.
    max_iterations : int
        Of the fixed point; Newton has its own.
    """
    n_free = len(structure.diagonal)
    n = len(factors.shunt)
    m = len(structure.from_node)
    sr, si = np.empty((n, LANES)), np.empty((n, LANES))
    vr, vi = np.empty((n, LANES)), np.empty((n, LANES))
    xr, xi, i2 = np.empty((n, LANES)), np.empty((n, LANES)), np.empty((n, LANES))
    current = np.empty((2 * m, LANES))
    state, found, mismatch = np.zeros((4, LANES)), np.empty((2, LANES)), np.empty((2, LANES))
    code = np.empty(LANES, dtype=np.int64)
    row = np.full(LANES, -1, dtype=np.int64)
    blocks, rhs = np.empty((2 * len(structure.l_col) + n_free, 4)), np.empty((n_free, 2))
    scan = len(limits.row) > 0
    lo, hi = np.empty((n if scan else 0, LANES)), np.empty((n if scan else 0, LANES))
    loading, exchange = np.empty((m if scan else 0, LANES)), np.empty((5 * len(limits.point_node), LANES))
    for begin in range(first, last, LANES):
        end = min(begin + LANES, last)
        load_injections(structure, lanes, begin, end, sr, si)
        _load_start(factors, lanes, begin, end, vr, vi)
        if factors.any_pv:
            code[:] = UNSOLVED
        else:
            fixed_point(
                structure, factors, sr, si, vr, vi, xr, xi, i2, state, tolerance, least, max_iterations, code
            )
        for lane in range(end - begin):
            if code[lane] == UNSOLVED:
                code[lane] = _fall_back(structure, factors, sr, si, vr, vi, lane, blocks, rhs, tolerance)
        balance(structure, factors.admittance, factors.shunt, sr, si, vr, vi, current, xr, xi, mismatch)
        for lane in range(end - begin):
            if code[lane] <= NEWTON and not mismatch[0, lane] <= confirmed:
                code[lane] = NO_SOLUTION if _finite(sr, si, lane) else BAD_INPUT
            out.code[begin + lane] = code[lane]
            out.iterations[begin + lane] = int(state[3, lane])
            out.mismatch[begin + lane] = mismatch[0, lane] if code[lane] <= NEWTON else np.nan
        if scan:
            same = True
            for lane in range(LANES):
                r = limits.row[min(begin + lane, last - 1)]
                same = same and r == row[lane]
                row[lane] = r
            if not same:
                load_limits(limits, row, lo, hi, loading, exchange)
            worst_limit(structure, limits, lo, hi, loading, exchange, current, sr, si, xr, xi, vr, vi, found)
            for lane in range(end - begin):
                s = begin + lane
                solved = code[lane] <= NEWTON
                out.high[s] = found[0, lane] if solved else np.nan
                out.which[s] = int(found[1, lane]) if solved else -1
                value = value_of(structure, limits, limits.probe[s], lane, current, sr, si, xr, xi, vr, vi)
                out.probed[s] = value if solved else np.nan
        _store(structure, factors, out, begin, end, code, vr, vi, current, xr, xi, sr, si, state)


@inner
def _load_start(factors, lanes, begin, end, vr, vi):
    for lane in range(LANES):
        s = min(begin + lane, end - 1)
        for i in range(len(factors.shunt)):
            if len(lanes.start_r) > 0:
                vr[i, lane] = lanes.start_r[lanes.start[s], i]
                vi[i, lane] = lanes.start_i[lanes.start[s], i]
            else:
                vr[i, lane] = factors.wr[i]
                vi[i, lane] = factors.wi[i]


@inner
def _finite(sr, si, lane):
    """Every injection of the lane is a number."""
    for i in range(len(sr)):  # noqa: SIM110  numba compiles no generator expressions
        if not (np.isfinite(sr[i, lane]) and np.isfinite(si[i, lane])):
            return False
    return True


@inner
def _fall_back(structure, factors, sr, si, vr, vi, lane, blocks, rhs, tolerance):
    """Newton from where the lane stands, then from the voltages without injection."""
    n = len(factors.shunt)
    pr, pi, ar, ai = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    if not _finite(sr, si, lane):
        return BAD_INPUT
    for attempt in range(2):
        for i in range(n):
            pr[i], pi[i] = sr[i, lane], si[i, lane]
            here = attempt == 0 and np.isfinite(vr[i, lane]) and np.isfinite(vi[i, lane])
            ar[i], ai[i] = (vr[i, lane], vi[i, lane]) if here else (factors.wr[i], factors.wi[i])
        if newton(
            structure,
            factors.admittance,
            factors.shunt,
            factors.set_voltage,
            pr,
            pi,
            ar,
            ai,
            blocks,
            rhs,
            tolerance,
            40,
        ):
            for i in range(n):
                vr[i, lane] = ar[i]
                vi[i, lane] = ai[i]
            return NEWTON
    return NO_SOLUTION


@inner
def _store(structure, factors, out, begin, end, code, vr, vi, current, cr, ci, sr, si, room):
    """Write what is asked for; scenarios without solution are NaN."""
    n_free, n, m = len(structure.diagonal), len(factors.shunt), len(structure.from_node)
    if len(out.slack_power) > 0:
        for lane in range(end - begin):
            for i in range(n_free, n):
                p = vr[i, lane] * cr[i, lane] + vi[i, lane] * ci[i, lane] - sr[i, lane]
                q = vi[i, lane] * cr[i, lane] - vr[i, lane] * ci[i, lane] - si[i, lane]
                out.slack_power[begin + lane, i - n_free] = complex(p, q)
    if len(out.node_v) > 0:
        for lane in range(end - begin):
            for node in range(n):
                out.node_v[begin + lane, node] = complex(vr[node, lane], vi[node, lane])
    if out.current.shape[1] > 0:
        for lane in range(end - begin):
            for k in range(m):
                out.current[0, begin + lane, k] = current[k, lane] * factors.amperes_ka[k, 0]
                out.current[1, begin + lane, k] = current[m + k, lane] * factors.amperes_ka[k, 1]
    if len(out.vm) > 0:
        # Magnitude and angle replace the currents drawn, which have served by now.
        polar(vr, vi, factors.wr, factors.wi, factors.w_angle, cr, ci, room)
        for lane in range(end - begin):
            for bus in range(len(structure.node_of_bus)):
                node = structure.node_of_bus[bus]
                out.vm[begin + lane, bus] = cr[node, lane] if node >= 0 else np.nan
                out.va[begin + lane, bus] = ci[node, lane] if node >= 0 else np.nan
    for lane in range(end - begin):
        if code[lane] > NEWTON:
            _blank(out, begin + lane)


@inner
def _blank(out, s):
    """No value of a scenario without solution is passed on."""
    nothing = complex(np.nan, np.nan)
    if len(out.vm) > 0:
        for bus in range(out.vm.shape[1]):
            out.vm[s, bus] = np.nan
            out.va[s, bus] = np.nan
    if len(out.node_v) > 0:
        for node in range(out.node_v.shape[1]):
            out.node_v[s, node] = nothing
    if out.current.shape[1] > 0:
        for k in range(out.current.shape[2]):
            out.current[0, s, k] = np.nan
            out.current[1, s, k] = np.nan
    if len(out.slack_power) > 0:
        for i in range(out.slack_power.shape[1]):
            out.slack_power[s, i] = nothing


#: Code → word, for results.
STATUS = {
    UNSOLVED: "unsolved",
    FIXED_POINT: "solved",
    NEWTON: "solved",
    NO_SOLUTION: "no-solution",
    BAD_INPUT: "bad-input",
}
