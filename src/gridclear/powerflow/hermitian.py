"""Factors on a static pattern, for planes: states, stationary weights, and least values of Hermitian forms.

All on the pattern of a symmetric structure in an order of elimination that stands, as ``factorise``, but of one
state at a time, and with what a plane asks for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.jit import allocating, kernel

#: Of ``least_value``.
DEFINITE, INDEFINITE = 0, 1
#: Of ``settle``: a voltage left the range of what has a meaning, or the sweeps did not come to rest.
SETTLED, COLLAPSED, RESTLESS = 0, 1, 2
#: Voltage below which there is no state, p.u.
_LOWEST = 0.1


class Pattern(NamedTuple):
    """Entries of the factors of matrices of one symmetric structure.

    A matrix is three arrays: its diagonal, what stands above it by rows, and below it what mirrors that, slot by
    slot.

    Attributes
    ----------
    start : (node + 1,) int
        Where the slots of every row begin.
    column : (slot,) int
        Ascending in each row.
    back_start : (node + 1,) int
    back, back_row : (slot,) int
        Slots of every column, and the rows that they stand in, ascending.
    """

    start: np.ndarray
    column: np.ndarray
    back_start: np.ndarray
    back: np.ndarray
    back_row: np.ndarray


class Factors(NamedTuple):
    """A matrix, or its factors.

    Attributes
    ----------
    pattern : Pattern
    diagonal : (node,) complex
    upper, lower : (slot,) complex
    """

    pattern: Pattern
    diagonal: np.ndarray
    upper: np.ndarray
    lower: np.ndarray


@kernel
def lay(pattern, diagonal, upper, lower):
    """Factors L U of a matrix, without pivoting; L has a unit diagonal, and 1/U_ii stands on the diagonal.

    Parameters
    ----------
    pattern : Pattern
    diagonal : (node,) complex, changed here
    upper, lower : (slot,) complex, changed here

    Returns
    -------
    int
        0, or 1 + the node whose pivot vanished.
    """
    n = len(diagonal)
    row = np.empty(n, dtype=np.complex128)
    for i in range(n):
        row[i] = diagonal[i]
        for k in range(pattern.start[i], pattern.start[i + 1]):
            row[pattern.column[k]] = upper[k]
        for k in range(pattern.back_start[i], pattern.back_start[i + 1]):
            row[pattern.back_row[k]] = lower[pattern.back[k]]
        for k in range(pattern.back_start[i], pattern.back_start[i + 1]):
            j = pattern.back_row[k]
            factor = row[j] * diagonal[j]
            lower[pattern.back[k]] = factor
            for m in range(pattern.start[j], pattern.start[j + 1]):
                row[pattern.column[m]] -= factor * upper[m]
        for k in range(pattern.start[i], pattern.start[i + 1]):
            upper[k] = row[pattern.column[k]]
        size = abs(row[i].real) + abs(row[i].imag)
        if not size > 0.0 or not np.isfinite(size):
            return 1 + i
        diagonal[i] = 1.0 / row[i]
    return 0


@allocating
def _substitute_back(pattern, inverse, upper, x):
    """Solve with what stands above the diagonal, of which the inverses are given."""
    for i in range(len(inverse) - 1, -1, -1):
        total = x[i]
        for k in range(pattern.start[i], pattern.start[i + 1]):
            total -= upper[k] * x[pattern.column[k]]
        x[i] = total * inverse[i]


@allocating
def _solve(pattern, diagonal, upper, lower, x):
    """Solve L U x = b; x holds b before."""
    for i in range(len(diagonal)):
        total = x[i]
        for k in range(pattern.back_start[i], pattern.back_start[i + 1]):
            total -= lower[pattern.back[k]] * x[pattern.back_row[k]]
        x[i] = total
    _substitute_back(pattern, diagonal, upper, x)


@allocating
def _solve_adjoint(pattern, diagonal, upper, lower, x):
    """Solve (L U)^H x = b; x holds b before."""
    n = len(diagonal)
    for i in range(n):
        x[i] *= np.conj(diagonal[i])
        for k in range(pattern.start[i], pattern.start[i + 1]):
            x[pattern.column[k]] -= np.conj(upper[k]) * x[i]
    for i in range(n - 1, -1, -1):
        for k in range(pattern.back_start[i], pattern.back_start[i + 1]):
            x[pattern.back_row[k]] -= np.conj(lower[pattern.back[k]]) * x[i]


@kernel
def settle(pattern, diagonal, upper, lower, given, power, sweeps, settled, voltage, current):
    """Solve the power flow by the fixed point V = V0 + Z conj(S/V).

    Parameters
    ----------
    pattern : Pattern
    diagonal, upper, lower
        Factors, from ``lay``.
    given : (node,) complex
        Currents that the sources alone give.
    power : (node,) complex
        Injected, p.u.
    sweeps : int
        At most.
    settled : float
        Largest change of a voltage that ends them, p.u.
    voltage, current : (node,) complex, filled here

    Returns
    -------
    int
        SETTLED, COLLAPSED or RESTLESS.
    """
    n = len(diagonal)
    idle, new = given.copy(), np.empty(n, dtype=np.complex128)
    _solve(pattern, diagonal, upper, lower, idle)
    voltage[:] = idle
    for _ in range(sweeps):
        for i in range(n):
            if not abs(voltage[i]) > _LOWEST:
                return COLLAPSED
            new[i] = np.conj(power[i] / voltage[i])
        _solve(pattern, diagonal, upper, lower, new)
        moved = 0.0
        for i in range(n):
            new[i] += idle[i]
            moved = max(moved, abs(new[i] - voltage[i]))
            voltage[i] = new[i]
        if moved < settled:
            for i in range(n):
                # Of numbers that are none, the largest change may be a number.
                if not abs(voltage[i]) > _LOWEST:
                    return COLLAPSED
                current[i] = np.conj(power[i] / voltage[i])
            return SETTLED
    return RESTLESS


@kernel
def stationary(pattern, diagonal, upper, lower, voltage, current, given, sweeps, settled, weight):
    """Solve w·I + Y^H (conj(w)·V) = -given for w, by the fixed point in conj(w)·V.

    Parameters
    ----------
    pattern : Pattern
    diagonal, upper, lower
        Factors of Y, from ``lay``.
    voltage, current, given : (node,) complex
    sweeps : int
        At most: a plane is as sound with any weights.
    settled : float
        Relative change that ends them.
    weight : (node,) complex, filled here
    """
    n = len(diagonal)
    turned, new = np.zeros(n, dtype=np.complex128), np.empty(n, dtype=np.complex128)
    for _ in range(sweeps):
        for i in range(n):
            new[i] = given[i] + np.conj(turned[i] / voltage[i]) * current[i]
        _solve_adjoint(pattern, diagonal, upper, lower, new)
        moved, largest = 0.0, 0.0
        for i in range(n):
            new[i] = -new[i]
            moved, largest = max(moved, abs(new[i] - turned[i])), max(largest, abs(new[i]))
            turned[i] = new[i]
        if not moved > settled * largest:
            break
    for i in range(n):
        weight[i] = np.conj(turned[i] / voltage[i])


@allocating
def _definite(pattern, diagonal, upper, less, inverse, factor):
    """Factors U^H D^-1 U of a Hermitian matrix less a number on its diagonal; whether all of D is positive."""
    n = len(diagonal)
    row = np.empty(n, dtype=np.complex128)
    for i in range(n):
        pivot = diagonal[i] - less
        for k in range(pattern.start[i], pattern.start[i + 1]):
            row[pattern.column[k]] = upper[k]
        for k in range(pattern.back_start[i], pattern.back_start[i + 1]):
            slot, j = pattern.back[k], pattern.back_row[k]
            own = np.conj(factor[slot]) * inverse[j]
            pivot -= (own * factor[slot]).real
            for m in range(slot + 1, pattern.start[j + 1]):
                row[pattern.column[m]] -= own * factor[m]
        if not pivot > 0.0 or not np.isfinite(pivot):
            return False
        inverse[i] = 1.0 / pivot
        for k in range(pattern.start[i], pattern.start[i + 1]):
            factor[k] = row[pattern.column[k]]
    return True


@allocating
def _solve_definite(pattern, inverse, factor, x):
    """Solve U^H D^-1 U x = b; x holds b before."""
    for i in range(len(inverse)):
        own = x[i] * inverse[i]
        for k in range(pattern.start[i], pattern.start[i + 1]):
            x[pattern.column[k]] -= np.conj(factor[k]) * own
    _substitute_back(pattern, inverse, factor, x)


@allocating
def _times(pattern, diagonal, upper, x, product):
    """Product of a Hermitian matrix and a vector, added."""
    for i in range(len(diagonal)):
        product[i] += diagonal[i] * x[i]
        for k in range(pattern.start[i], pattern.start[i + 1]):
            j = pattern.column[k]
            product[i] += upper[k] * x[j]
            product[j] += np.conj(upper[k]) * x[i]


@kernel
def least_value(pattern, slot, entry, part, least, figures):
    """Least value of a Hermitian form over the free nodes' voltages, as a form in those of the sources.

    Parameters
    ----------
    pattern : Pattern
        Of the free nodes.
    slot : (entry,) int
        Of the diagonal, then of what stands above it, then of what mirrors that, then of what stands between free
        nodes (row) and sources (column), by columns, then of what stands between sources, by columns; beyond for
        what mirrors the last but one. What mirrors is left out.
    entry : (entry,) complex
    part : float
        Of the largest number of the diagonal: by as much the form must be definite.
    least : (source, source) complex, filled here
    figures : (3,) filled here
        What is given away for it: squares of what the minimiser misses; the number that was taken off the
        diagonal; the size of what was added up.

    Returns
    -------
    int
        DEFINITE or INDEFINITE.
    """
    n, fill, sources = len(pattern.start) - 1, len(pattern.column), len(least)
    diagonal, upper = np.zeros(n), np.zeros(fill, dtype=np.complex128)
    across = np.zeros((sources, n), dtype=np.complex128)
    least[:] = 0.0
    for k in range(len(slot)):
        at = slot[k]
        if at < n:
            diagonal[at] += entry[k].real
            continue
        at -= n
        if at < fill:
            upper[at] += entry[k]
            continue
        at -= 2 * fill
        if at < 0:
            continue
        if at < sources * n:
            across[at // n, at % n] += entry[k]
            continue
        at -= sources * n
        if at < sources * sources:
            least[at % sources, at // sources] += entry[k]
    largest = 0.0
    for i in range(n):
        largest = max(largest, abs(diagonal[i]))
    spare = part * largest
    inverse, factor = np.empty(n), np.empty(fill, dtype=np.complex128)
    if not _definite(pattern, diagonal, upper, spare, inverse, factor):
        return INDEFINITE
    best, missed = np.empty((sources, n), dtype=np.complex128), across.copy()
    for s in range(sources):
        best[s] = across[s]
        _solve_definite(pattern, inverse, factor, best[s])
        for i in range(n):
            best[s, i] = -best[s, i]
        # Refined: the factors are those of a form that is a little smaller.
        _times(pattern, diagonal, upper, best[s], missed[s])
        _solve_definite(pattern, inverse, factor, missed[s])
        for i in range(n):
            best[s, i] -= missed[s, i]
            missed[s, i] = 0.0
        _times(pattern, diagonal, upper, best[s], missed[s])
    size, wide, square = 0.0, 0.0, 0.0
    for s in range(sources):
        for other in range(sources):
            size = max(size, abs(least[s, other]))
    # corner + across^H best + its adjoint + best^H (M best); ``missed`` is M best until here.
    added = np.zeros((sources, sources), dtype=np.complex128)
    for s in range(sources):
        for other in range(sources):
            twice, own = 0.0j, 0.0j
            for i in range(n):
                twice += np.conj(across[s, i]) * best[other, i]
                own += np.conj(best[s, i]) * missed[other, i]
            wide = max(wide, abs(twice))
            added[s, other] += twice + own
            added[other, s] += np.conj(twice)
    for s in range(sources):
        for i in range(n):
            away = missed[s, i] + across[s, i]
            square += away.real * away.real + away.imag * away.imag
        for other in range(sources):
            least[s, other] += added[s, other]
    figures[0], figures[1], figures[2] = square, spare, size + 3.0 * wide
    return DEFINITE
