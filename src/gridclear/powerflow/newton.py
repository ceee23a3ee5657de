"""Newton's method for one scenario: polar, analytic Jacobian, block factors on the static pattern.

The Jacobian of power balance has the pattern of the admittance matrix, with a 2×2 block per entry, so it is
factorised in the very slots that the admittance factors use: block Doolittle, pivots inverted as blocks.
Unknowns per node are (Δθ, ΔV/V); A_ij = V_i (Y_ij V_j)* gives the block [[Im A, Re A], [-Re A, Im A]]
(Tinney & Hart, IEEE Trans. PAS-86, 1967, in the scaled polar form).
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import inner

#: A voltage below this (p.u.) or above it is no operating point that a grid can have.
LOWEST_VM, HIGHEST_VM = 0.1, 10.0
#: Largest step of an angle (rad) or of a relative voltage change in one iteration.
_LARGEST_STEP = 0.3


@inner
def newton(structure, admittance, shunt, set_voltage, sr, si, vr, vi, blocks, rhs, tolerance, max_iterations):
    """Solve the power flow of one scenario from the start in ``vr``, ``vi``.

    Parameters
    ----------
    admittance : (branch, 4) complex
    shunt : (node,) complex
    set_voltage : (free,)
        Voltage to hold where ``structure.is_pv``.
    sr, si : (node,)
        Injections in p.u.
    vr, vi : (node,)
        Start on entry, solution on return.
    blocks : (2·fill + free, 4)
        Room for the factors.
    rhs : (free, 2)
        Room for the right-hand side.

    Returns
    -------
    bool
        The mismatch has met the tolerance at a voltage that a grid can have.
    """
    n_free = len(structure.diagonal)
    for i in range(n_free):
        if structure.is_pv[i] == 1:
            scale = set_voltage[i] / np.sqrt(vr[i] * vr[i] + vi[i] * vi[i])
            vr[i] *= scale
            vi[i] *= scale
    for _ in range(max_iterations):
        worst = _fill(structure, admittance, shunt, sr, si, vr, vi, blocks, rhs)
        if not np.isfinite(worst):
            return False
        if worst <= tolerance:
            for i in range(n_free):
                vm = np.sqrt(vr[i] * vr[i] + vi[i] * vi[i])
                if vm < LOWEST_VM or vm > HIGHEST_VM:
                    return False
            return True
        if not _factorise_blocks(structure, blocks):
            return False
        _substitute(structure, blocks, rhs)
        largest = 0.0
        for i in range(n_free):
            largest = max(largest, abs(rhs[i, 0]), abs(rhs[i, 1]))
        if not np.isfinite(largest):
            return False
        damping = min(1.0, _LARGEST_STEP / largest) if largest > 0.0 else 1.0
        for i in range(n_free):
            turn = damping * rhs[i, 0]
            grow = 1.0 + damping * rhs[i, 1]
            c, s = np.cos(turn) * grow, np.sin(turn) * grow
            a, b = vr[i], vi[i]
            vr[i] = a * c - b * s
            vi[i] = a * s + b * c
    return False


@inner
def _fill(structure, admittance, shunt, sr, si, vr, vi, blocks, rhs):
    """Jacobian blocks and mismatch; returns the largest mismatch."""
    n_free = len(structure.diagonal)
    blocks[:] = 0.0
    for i in range(n_free):
        # S_i starts with the shunt's own share, which counts in the block through A_ii as well.
        power2 = vr[i] * vr[i] + vi[i] * vi[i]
        rhs[i, 0] = power2 * shunt[i].real
        rhs[i, 1] = -power2 * shunt[i].imag
        d = structure.diagonal[i]
        _add(blocks, d, power2 * shunt[i].real, -power2 * shunt[i].imag)
    for k in range(len(structure.from_node)):
        f, t = structure.from_node[k], structure.to_node[k]
        a, b, c, d = vr[f], vi[f], vr[t], vi[t]
        if f < n_free:
            re, im = _power(a, b, admittance[k, 0], a, b)
            rhs[f, 0] += re
            rhs[f, 1] += im
            _add(blocks, structure.ff[k], re, im)
            re, im = _power(a, b, admittance[k, 1], c, d)
            rhs[f, 0] += re
            rhs[f, 1] += im
            if structure.ft[k] >= 0:
                _add(blocks, structure.ft[k], re, im)
        if t < n_free:
            re, im = _power(c, d, admittance[k, 3], c, d)
            rhs[t, 0] += re
            rhs[t, 1] += im
            _add(blocks, structure.tt[k], re, im)
            re, im = _power(c, d, admittance[k, 2], a, b)
            rhs[t, 0] += re
            rhs[t, 1] += im
            if structure.tf[k] >= 0:
                _add(blocks, structure.tf[k], re, im)
    worst = 0.0
    fill = len(structure.l_col)
    for i in range(n_free):
        d = structure.diagonal[i]
        p, q = rhs[i, 0], rhs[i, 1]
        # The diagonal block also carries the node's own power: ∂S/∂θ_i = j(S_i - A_ii), ∂S/∂ln V_i = S_i + A_ii.
        blocks[d, 0] -= q
        blocks[d, 1] += p
        blocks[d, 2] += p
        blocks[d, 3] += q
        rhs[i, 0] = sr[i] - p
        rhs[i, 1] = si[i] - q
        if structure.is_pv[i] == 1:
            rhs[i, 1] = 0.0
            for k in range(structure.l_start[i], structure.l_start[i + 1]):
                blocks[k, 2] = 0.0
                blocks[k, 3] = 0.0
            for k in range(structure.u_start[i], structure.u_start[i + 1]):
                blocks[fill + k, 2] = 0.0
                blocks[fill + k, 3] = 0.0
            blocks[d, 2] = 0.0
            blocks[d, 3] = 1.0
        miss = np.sqrt(rhs[i, 0] * rhs[i, 0] + rhs[i, 1] * rhs[i, 1])
        if not miss <= worst:
            worst = miss
    return worst


@inner
def _power(a, b, y, c, d):
    """Give (a + jb)·((y)(c + jd))* as a pair of reals."""
    re = y.real * c - y.imag * d
    im = y.real * d + y.imag * c
    return a * re + b * im, b * re - a * im


@inner
def _add(blocks, slot, re, im):
    """Add A = re + j·im to a block: [∂P/∂θ, ∂P/∂ln V; ∂Q/∂θ, ∂Q/∂ln V] = [im, re; -re, im]."""
    blocks[slot, 0] += im
    blocks[slot, 1] += re
    blocks[slot, 2] -= re
    blocks[slot, 3] += im


@inner
def _copy(source, i, target, j):
    # By entry: numba compiles a slice assignment with all its error messages, which takes seconds.
    for c in range(4):
        target[j, c] = source[i, c]


@inner
def _factorise_blocks(structure, blocks):
    """Block Doolittle by rows in place; diagonal slots then hold inverted pivots. False if one is singular."""
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    row = np.empty((n_free, 4))
    for i in range(n_free):
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            _copy(blocks, k, row, structure.l_col[k])
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            _copy(blocks, fill + k, row, structure.u_col[k])
        _copy(blocks, structure.diagonal[i], row, i)
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            j = structure.l_col[k]
            d = structure.diagonal[j]
            a = row[j, 0] * blocks[d, 0] + row[j, 1] * blocks[d, 2]
            b = row[j, 0] * blocks[d, 1] + row[j, 1] * blocks[d, 3]
            c = row[j, 2] * blocks[d, 0] + row[j, 3] * blocks[d, 2]
            e = row[j, 2] * blocks[d, 1] + row[j, 3] * blocks[d, 3]
            blocks[k, 0], blocks[k, 1], blocks[k, 2], blocks[k, 3] = a, b, c, e
            for m in range(structure.u_start[j], structure.u_start[j + 1]):
                u = fill + m
                col = structure.u_col[m]
                row[col, 0] -= a * blocks[u, 0] + b * blocks[u, 2]
                row[col, 1] -= a * blocks[u, 1] + b * blocks[u, 3]
                row[col, 2] -= c * blocks[u, 0] + e * blocks[u, 2]
                row[col, 3] -= c * blocks[u, 1] + e * blocks[u, 3]
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            _copy(row, structure.u_col[k], blocks, fill + k)
        determinant = row[i, 0] * row[i, 3] - row[i, 1] * row[i, 2]
        if determinant == 0.0 or not np.isfinite(determinant):
            return False
        d = structure.diagonal[i]
        blocks[d, 0] = row[i, 3] / determinant
        blocks[d, 1] = -row[i, 1] / determinant
        blocks[d, 2] = -row[i, 2] / determinant
        blocks[d, 3] = row[i, 0] / determinant
    return True


@inner
def _substitute(structure, blocks, x):
    """Forward and backward substitution in place."""
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    for i in range(n_free):
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            j = structure.l_col[k]
            x0, x1 = x[j, 0], x[j, 1]
            x[i, 0] -= blocks[k, 0] * x0 + blocks[k, 1] * x1
            x[i, 1] -= blocks[k, 2] * x0 + blocks[k, 3] * x1
    for i in range(n_free - 1, -1, -1):
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            u = fill + k
            x0, x1 = x[structure.u_col[k], 0], x[structure.u_col[k], 1]
            x[i, 0] -= blocks[u, 0] * x0 + blocks[u, 1] * x1
            x[i, 1] -= blocks[u, 2] * x0 + blocks[u, 3] * x1
        d = structure.diagonal[i]
        x0, x1 = x[i, 0], x[i, 1]
        x[i, 0] = blocks[d, 0] * x0 + blocks[d, 1] * x1
        x[i, 1] = blocks[d, 2] * x0 + blocks[d, 3] * x1
