"""The Jacobian of the power balance on the static pattern, for GROUP scenarios side by side.

It has the pattern of the admittance matrix, with a 2×2 block per entry, so it is factorised in the very slots
that the admittance factors use: block Doolittle, pivots inverted as blocks. Unknowns per node are (Δθ, ΔV/V);
A_ij = V_i (Y_ij V_j)* gives the block [[Im A, Re A], [-Re A, Im A]] (Tinney & Hart, IEEE Trans. PAS-86, 1967,
in the scaled polar form). A singular pivot makes its own lane infinite or NaN, and no other.
"""

from __future__ import annotations

from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import GROUP, LANES, larger, load_few, root, spread_few, store

#: Groups in a block: entry (node, lane) of a block is entry STRIDE·node + group of GROUP lanes.
STRIDE = LANES // GROUP


@inner
def fill_jacobian(structure, admittance, shunt, injection, group, vr, vi, held, jacobian, rhs, spare_q):
    """Jacobian of S_drawn(V) - S(V), and S(V) - S_drawn(V) as right-hand side.

    Parameters
    ----------
    admittance : (branch, 4) complex
    shunt : (node,) complex
    injection : (part, node, LANES)
        In p.u.; see ``arrays.Columns``.
    group : int
        Which GROUP of the block's lanes.
    vr, vi : (node, LANES)
    held : (free, LANES)
        1 where the voltage magnitude is held: the row of Q then says ΔV = 0.
    jacobian : (2·fill + free, 4, GROUP), filled here
    rhs : (free, 2, GROUP), filled here
    spare_q : (free, GROUP), filled here where ``structure.is_pv``
        Reactive power drawn beyond the injection.

    Returns
    -------
    vector
        Largest |S - S_drawn| per lane; only P counts where the voltage is held. Not a number if any is.
    """
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    zero, one = spread_few(0.0), spread_few(1.0)
    for slot in range(4 * (2 * fill + n_free)):
        store(jacobian, slot, zero)
    for i in range(n_free):
        # S_i starts with the shunt's own share, which counts in the block through A_ii as well.
        a, b = load_few(vr, STRIDE * i + group), load_few(vi, STRIDE * i + group)
        square = a * a + b * b
        re, im = square * shunt[i].real, 0.0 - square * shunt[i].imag
        store(rhs, 2 * i, re)
        store(rhs, 2 * i + 1, im)
        _add(jacobian, structure.diagonal[i], re, im)
    for k in range(len(structure.from_node)):
        f, t = structure.from_node[k], structure.to_node[k]
        a, b = load_few(vr, STRIDE * f + group), load_few(vi, STRIDE * f + group)
        c, d = load_few(vr, STRIDE * t + group), load_few(vi, STRIDE * t + group)
        if f < n_free:
            _couple(jacobian, rhs, f, structure.ff[k], admittance[k, 0], a, b, a, b)
            _couple(jacobian, rhs, f, structure.ft[k], admittance[k, 1], a, b, c, d)
        if t < n_free:
            _couple(jacobian, rhs, t, structure.tf[k], admittance[k, 2], c, d, a, b)
            _couple(jacobian, rhs, t, structure.tt[k], admittance[k, 3], c, d, c, d)
    worst, total = zero, zero
    for i in range(n_free):
        at = STRIDE * i + group
        slot = 4 * structure.diagonal[i]
        p, q = load_few(rhs, 2 * i), load_few(rhs, 2 * i + 1)
        fixed_p, fixed_q = load_few(injection[0], at), load_few(injection[1], at)
        slope_p, slope_q = zero, zero
        if injection.shape[0] > 2:
            a, b = load_few(vr, at), load_few(vi, at)
            square = a * a + b * b
            magnitude = root(square)
            current, impedance = magnitude * load_few(injection[2], at), square * load_few(injection[4], at)
            fixed_p, slope_p = fixed_p + current + impedance, current + 2.0 * impedance
            current, impedance = magnitude * load_few(injection[3], at), square * load_few(injection[5], at)
            fixed_q, slope_q = fixed_q + current + impedance, current + 2.0 * impedance
        free = one - load_few(held, at)
        # The diagonal block also carries the node's own power: ∂S/∂θ_i = j(S_i - A_ii), ∂S/∂ln V_i = S_i + A_ii.
        store(jacobian, slot, load_few(jacobian, slot) - q)
        store(jacobian, slot + 1, load_few(jacobian, slot + 1) + p - slope_p)
        store(jacobian, slot + 2, free * (load_few(jacobian, slot + 2) + p))
        store(jacobian, slot + 3, free * (load_few(jacobian, slot + 3) + q - slope_q) + (one - free))
        if structure.is_pv[i] == 1:
            store(spare_q, i, q - fixed_q)
        p, q = fixed_p - p, free * (fixed_q - q)
        store(rhs, 2 * i, p)
        store(rhs, 2 * i + 1, q)
        miss = p * p + q * q
        total = total + miss
        worst = larger(miss, worst)
        if structure.is_pv[i] == 1:
            for k in range(structure.l_start[i], structure.l_start[i + 1]):
                store(jacobian, 4 * k + 2, free * load_few(jacobian, 4 * k + 2))
                store(jacobian, 4 * k + 3, free * load_few(jacobian, 4 * k + 3))
            for k in range(fill + structure.u_start[i], fill + structure.u_start[i + 1]):
                store(jacobian, 4 * k + 2, free * load_few(jacobian, 4 * k + 2))
                store(jacobian, 4 * k + 3, free * load_few(jacobian, 4 * k + 3))
    # A NaN anywhere is in the sum, whatever the comparison made of it; 0·∞ and 0·NaN are NaN.
    return root(worst) + 0.0 * total


@inner
def _couple(jacobian, rhs, i, slot, y, a, b, c, d):
    """Add A = (a + jb)·(y (c + jd))* to node i's power and, between free nodes, to its block."""
    re, im = y.real * c - y.imag * d, y.real * d + y.imag * c
    re, im = a * re + b * im, b * re - a * im
    store(rhs, 2 * i, load_few(rhs, 2 * i) + re)
    store(rhs, 2 * i + 1, load_few(rhs, 2 * i + 1) + im)
    if slot >= 0:
        _add(jacobian, slot, re, im)


@inner
def _add(jacobian, slot, re, im):
    """Add A = re + j·im to a block: [∂P/∂θ, ∂P/∂ln V; ∂Q/∂θ, ∂Q/∂ln V] = [im, re; -re, im]."""
    store(jacobian, 4 * slot, load_few(jacobian, 4 * slot) + im)
    store(jacobian, 4 * slot + 1, load_few(jacobian, 4 * slot + 1) + re)
    store(jacobian, 4 * slot + 2, load_few(jacobian, 4 * slot + 2) - re)
    store(jacobian, 4 * slot + 3, load_few(jacobian, 4 * slot + 3) + im)


@inner
def factorise_jacobian(structure, jacobian, line):
    """Block Doolittle by rows in place; diagonal slots then hold inverted pivots.

    Parameters
    ----------
    jacobian : (2·fill + free, 4, GROUP)
    line : (node, 4, GROUP)
        Room.
    """
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    for i in range(n_free):
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            _copy(jacobian, k, line, structure.l_col[k])
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            _copy(jacobian, fill + k, line, structure.u_col[k])
        _copy(jacobian, structure.diagonal[i], line, i)
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            j = structure.l_col[k]
            at, d = 4 * j, 4 * structure.diagonal[j]
            r0, r1, r2, r3 = _block(line, at)
            d0, d1, d2, d3 = _block(jacobian, d)
            f0, f1 = r0 * d0 + r1 * d2, r0 * d1 + r1 * d3
            f2, f3 = r2 * d0 + r3 * d2, r2 * d1 + r3 * d3
            store(jacobian, 4 * k, f0)
            store(jacobian, 4 * k + 1, f1)
            store(jacobian, 4 * k + 2, f2)
            store(jacobian, 4 * k + 3, f3)
            for m in range(structure.u_start[j], structure.u_start[j + 1]):
                at = 4 * structure.u_col[m]
                u0, u1, u2, u3 = _block(jacobian, 4 * (fill + m))
                store(line, at, load_few(line, at) - (f0 * u0 + f1 * u2))
                store(line, at + 1, load_few(line, at + 1) - (f0 * u1 + f1 * u3))
                store(line, at + 2, load_few(line, at + 2) - (f2 * u0 + f3 * u2))
                store(line, at + 3, load_few(line, at + 3) - (f2 * u1 + f3 * u3))
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            _copy(line, structure.u_col[k], jacobian, fill + k)
        r0, r1, r2, r3 = _block(line, 4 * i)
        scale = 1.0 / (r0 * r3 - r1 * r2)
        d = 4 * structure.diagonal[i]
        store(jacobian, d, r3 * scale)
        store(jacobian, d + 1, 0.0 - r1 * scale)
        store(jacobian, d + 2, 0.0 - r2 * scale)
        store(jacobian, d + 3, r0 * scale)


@inner
def _block(array, at):
    return load_few(array, at), load_few(array, at + 1), load_few(array, at + 2), load_few(array, at + 3)


@inner
def _copy(source, i, target, j):
    for c in range(4):
        store(target, 4 * j + c, load_few(source, 4 * i + c))


@inner
def substitute(structure, jacobian, x):
    """Solve J x = rhs in place, with the factors: (free, 2, GROUP)."""
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    for i in range(n_free):
        p, q = load_few(x, 2 * i), load_few(x, 2 * i + 1)
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            j = structure.l_col[k]
            p, q = _less(jacobian, k, x, j, p, q)
        store(x, 2 * i, p)
        store(x, 2 * i + 1, q)
    for i in range(n_free - 1, -1, -1):
        p, q = load_few(x, 2 * i), load_few(x, 2 * i + 1)
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            j = structure.u_col[k]
            p, q = _less(jacobian, fill + k, x, j, p, q)
        d0, d1, d2, d3 = _block(jacobian, 4 * structure.diagonal[i])
        store(x, 2 * i, d0 * p + d1 * q)
        store(x, 2 * i + 1, d2 * p + d3 * q)


@inner
def _less(jacobian, slot, x, j, p, q):
    c, d = load_few(x, 2 * j), load_few(x, 2 * j + 1)
    f0, f1, f2, f3 = _block(jacobian, 4 * slot)
    return p - (f0 * c + f1 * d), q - (f2 * c + f3 * d)


@inner
def substitute_transposed(structure, jacobian, x):
    """Solve Jᵀ x = rhs in place, with the factors: (free, 2, GROUP).

    Jᵀ = Uᵀ Lᵀ, and rows of L and U are columns of their transposes: each node, once known, is taken from the
    right-hand sides of those that come after it.
    """
    n_free = len(structure.diagonal)
    fill = len(structure.l_col)
    for i in range(n_free):
        p, q = load_few(x, 2 * i), load_few(x, 2 * i + 1)
        d0, d1, d2, d3 = _block(jacobian, 4 * structure.diagonal[i])
        p, q = d0 * p + d2 * q, d1 * p + d3 * q
        store(x, 2 * i, p)
        store(x, 2 * i + 1, q)
        for k in range(structure.u_start[i], structure.u_start[i + 1]):
            _take(jacobian, fill + k, x, structure.u_col[k], p, q)
    for i in range(n_free - 1, -1, -1):
        p, q = load_few(x, 2 * i), load_few(x, 2 * i + 1)
        for k in range(structure.l_start[i], structure.l_start[i + 1]):
            _take(jacobian, k, x, structure.l_col[k], p, q)


@inner
def _take(jacobian, slot, x, j, p, q):
    f0, f1, f2, f3 = _block(jacobian, 4 * slot)
    store(x, 2 * j, load_few(x, 2 * j) - (f0 * p + f2 * q))
    store(x, 2 * j + 1, load_few(x, 2 * j + 1) - (f1 * p + f3 * q))
