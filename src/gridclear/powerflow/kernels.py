"""Kernels on arrays: many scenarios side by side, real and imaginary parts apart.

A block is LANES scenarios; its arrays are [node, lane] so that each sparse step of a triangular solve is a few
vector instructions over lanes (``simd``). Every block is full (spare lanes repeat the last scenario), so each
lane's bits are the same whatever its neighbours are. Kernels return codes and never raise.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import inner, kernel
from gridclear.powerflow.simd import LANES, larger, load, spread, store

#: Codes of a scenario's outcome.
UNSOLVED, FIXED_POINT, NEWTON, NO_SOLUTION, BAD_INPUT = 0, 1, 2, 3, 4


@kernel
def factorise(structure, admittance, shunt, slack_voltage, lu, no_load):
    """Factors of the free nodes' admittance matrix, and the voltages without any injection.

    Doolittle by rows, without pivoting: L has a unit diagonal, the diagonal slots hold 1/U_ii.

    Parameters
    ----------
    admittance : (branch, 4) complex
    shunt : (node,) complex
    slack_voltage : (slack node,) complex
    lu : (2·fill + free,) complex, filled here
    no_load : (node,) complex, filled here
        w = -Y_LL⁻¹ Y_LS V_S, then the slack voltages.

    Returns
    -------
    int
        0, or 1 + the node whose pivot vanished.
    """
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    lu[:] = 0.0
    for i in range(n_free):
        lu[structure.diagonal[i]] = shunt[i]
    for b in range(len(structure.from_node)):
        if structure.ff[b] >= 0:
            lu[structure.ff[b]] += admittance[b, 0]
        if structure.ft[b] >= 0:
            lu[structure.ft[b]] += admittance[b, 1]
        if structure.tf[b] >= 0:
            lu[structure.tf[b]] += admittance[b, 2]
        if structure.tt[b] >= 0:
            lu[structure.tt[b]] += admittance[b, 3]
    row = np.empty(n_free, dtype=np.complex128)
    for i in range(n_free):
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            row[structure.l_col[k]] = lu[k]
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            row[structure.u_col[k]] = lu[fill + k]
        pivot = lu[structure.diagonal[i]]
        row[i] = pivot
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            j = structure.l_col[k]
            factor = row[j] * lu[structure.diagonal[j]]
            lu[k] = factor
            for m in range(structure.u_start[j], structure.u_start[j + 1]):
                row[structure.u_col[m]] -= factor * lu[fill + m]
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            lu[fill + k] = row[structure.u_col[k]]
        size = abs(row[i].real) + abs(row[i].imag)
        if not size > 0.0 or not np.isfinite(size):
            return 1 + i
        lu[structure.diagonal[i]] = 1.0 / row[i]
    for i in range(len(no_load)):
        no_load[i] = slack_voltage[i - n_free] if i >= n_free else 0.0
    for b in range(len(structure.from_node)):
        f, t = structure.from_node[b], structure.to_node[b]
        if f < n_free and t >= n_free:
            no_load[f] -= admittance[b, 1] * slack_voltage[t - n_free]
        if t < n_free and f >= n_free:
            no_load[t] -= admittance[b, 2] * slack_voltage[f - n_free]
    for i in range(n_free):
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            no_load[i] -= lu[k] * no_load[structure.l_col[k]]
    for i in range(n_free - 1, -1, -1):
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            no_load[i] -= lu[fill + k] * no_load[structure.u_col[k]]
        no_load[i] *= lu[structure.diagonal[i]]
    return 0


@inner
def load_injections(structure, lanes, first, last, sr, si):
    """Injections [node, lane] of scenarios first … last - 1 from base rows plus changes, in p.u.

    Parameters
    ----------
    lanes : Lanes
        Base rows by bus, and changes by node.
    sr, si : (node, LANES), filled here
        Spare lanes repeat the last scenario.
    """
    sr[:] = 0.0
    si[:] = 0.0
    for lane in range(LANES):
        s = min(first + lane, last - 1)
        p, q = lanes.p[lanes.row[s]], lanes.q[lanes.row[s]]
        for bus in range(len(structure.node_of_bus)):
            node = structure.node_of_bus[bus]
            if node >= 0:
                sr[node, lane] += p[bus] * lanes.unit
                si[node, lane] += q[bus] * lanes.unit
        for k in range(lanes.delta_start[s], lanes.delta_start[s + 1]):
            sr[lanes.delta_node[k], lane] += lanes.delta_p[k]
            si[lanes.delta_node[k], lane] += lanes.delta_q[k]


@inner
def fixed_point(
    structure, factors, sr, si, vr, vi, xr, xi, i2, state, tolerance, least, max_iterations, code
):
    """Current-injection fixed point V ← w + Y_LL⁻¹ conj(S/V) for one block.

    The step itself tells the mismatch: Y (V_new - w) = conj(S/V) holds exactly, so the power that V_new draws
    differs from S by |S/V|·|V_new - V| at each node. A lane that has met the tolerance is not moved again.

    Parameters
    ----------
    factors : Factors
    sr, si : (node, LANES)
        Injections in p.u.
    vr, vi : (node, LANES)
        Start on entry, solution on return.
    xr, xi, i2 : (node, LANES)
        Room to work in.
    tolerance : float
        Mismatch in p.u. at which a lane has arrived.
    least : float
        Squared current in p.u. that every node is taken to have at least: so that a step of voltage counts where
        hardly any power flows, too.
    state : (4, LANES)
        Room: 1 while a lane moves, its last and its latest squared mismatch; row 3: its number of iterations.
    code : (LANES,), filled here
        FIXED_POINT or UNSOLVED.

    """
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    slow = np.zeros(LANES, dtype=np.int64)
    for lane in range(LANES):
        code[lane], state[0, lane], state[1, lane] = UNSOLVED, 1.0, np.inf
    for iteration in range(1, max_iterations + 1):
        for i in range(n_free):
            a, b, p, q = load(vr, i), load(vi, i), load(sr, i), load(si, i)
            scale = 1.0 / (a * a + b * b)
            x, y = (p * a + q * b) * scale, (p * b - q * a) * scale
            store(i2, i, larger(x * x + y * y, spread(least)))
            for k in range(structure.l_start[i], structure.l_start[i + 1]):
                j = structure.l_col[k]
                fr, fi, c, d = factors.lur[k], factors.lui[k], load(xr, j), load(xi, j)
                x, y = x - (fr * c - fi * d), y - (fr * d + fi * c)
            store(xr, i, x)
            store(xi, i, y)
        moving = load(state, 0)
        worst = spread(0.0)
        for i in range(n_free - 1, -1, -1):
            x, y = load(xr, i), load(xi, i)
            for k in range(structure.u_start[i], structure.u_start[i + 1]):
                j = structure.u_col[k]
                fr, fi, c, d = factors.lur[fill + k], factors.lui[fill + k], load(xr, j), load(xi, j)
                x, y = x - (fr * c - fi * d), y - (fr * d + fi * c)
            fr, fi = factors.lur[2 * fill + i], factors.lui[2 * fill + i]
            x, y = fr * x - fi * y, fr * y + fi * x
            store(xr, i, x)
            store(xi, i, y)
            a, b = load(vr, i), load(vi, i)
            x, y = x + factors.wr[i] - a, y + factors.wi[i] - b
            worst = larger(load(i2, i) * (x * x + y * y), worst)
            store(vr, i, a + moving * x)
            store(vi, i, b + moving * y)
        store(state, 2, worst)
        going = False
        for lane in range(LANES):
            if state[0, lane] == 0.0:
                continue
            latest = state[2, lane]
            state[3, lane] = iteration
            if latest <= tolerance * tolerance:
                code[lane] = FIXED_POINT
                state[0, lane] = 0.0
                continue
            # A gain below two per step (four in the squares) twice in a row: Newton is the better tool.
            slow[lane] = slow[lane] + 1 if not latest * 4.0 < state[1, lane] else 0
            state[1, lane] = latest
            if slow[lane] >= 2:
                state[0, lane] = 0.0
            else:
                going = True
        if not going:
            return
