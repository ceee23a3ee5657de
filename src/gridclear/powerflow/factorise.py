"""Factors of an admittance matrix on its static pattern, and what follows without any injection."""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import kernel


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


@kernel
def scale(structure, lu, to_current, to_voltage):
    """Scale rows and columns so that what a hanging node takes from its stem, and gives to it, is just 1.

    With I' = C I and V = R u for diagonal C and R, the triangular solves of Y V = I become those of C Y R u = I'.
    A hanging node j has one entry L_pj and one U_jp; c_j = -c_p L_pj and r_j = -r_p U_jp/U_jj make both -1, so
    that a solve adds up currents towards the root and voltages away from it, as a sweep on a radial grid does.
    Other nodes keep c = r = 1.

    Parameters
    ----------
    lu : (2·fill + free,) complex, changed here
        From ``factorise``; scaled on return.
    to_current, to_voltage : (free,) complex, filled here
        C and R.

    Returns
    -------
    int
        0, or 1 + the node that nothing couples to its stem.
    """
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    to_current[:] = 1.0
    to_voltage[:] = 1.0
    for i in range(n_free - 1, -1, -1):
        for k in range(structure.hung_start[i], structure.hung_start[i + 1]):
            slot = structure.hung[k]
            j = structure.l_col[slot]
            above = lu[fill + structure.u_start[j]] * lu[structure.diagonal[j]]
            c, r = -lu[slot] * to_current[i], -above * to_voltage[i]
            size = abs(c) * abs(r)
            if not size > 0.0 or not np.isfinite(size):
                return 1 + j
            to_current[j], to_voltage[j] = c, r
    for i in range(n_free):
        c, r = to_current[i], to_voltage[i]
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            lu[k] *= c / to_current[structure.l_col[k]]
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            lu[fill + k] *= c * to_voltage[structure.u_col[k]]
        lu[structure.diagonal[i]] /= c * r
    return 0
