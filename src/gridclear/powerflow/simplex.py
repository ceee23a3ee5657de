"""Small linear programs whose rows are dense, kept from one answer to the next: dual simplex on a dictionary.

Least cost · x subject to low <= x <= high and low <= A x <= high. Every row has a variable of its own, its
value; a dictionary writes the basic variables as combinations of the others, which lie at one of their bounds:
basic = table · nonbasic (V. Chvátal, Linear Programming, 1983, ch. 2 and 8). There is no right-hand side, so
bounds move, rows are added and costs change without a new factorisation; a basis stays dual feasible as long
as every nonbasic variable lies at the bound that its reduced cost asks for. Ratio tests flip variables between
their bounds (I. Maros, Computational Techniques of the Simplex Method, 2003, ch. 10). Every optimum is held
against the rows and costs as they were given; what has drifted is factorised anew, once.

The kernels live in this layer because numba does; they know nothing of grids.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.jit import allocating, kernel
from gridclear.powerflow.rows import add_row, eliminate, times

#: How a program ended: solved; no solution; no solution at less than was asked for; the method lost its way;
#: and within the method: a reduced cost asks for a bound that is infinite.
SOLVED, NO_POINT, ABOVE, ASTRAY, _UNDUAL = 0, 1, 2, 3, 4

#: Distance from a bound, beside that part of the bound itself, and reduced cost that are none.
_NEAR = 1e-9
#: The same of what rounding leaves beyond a bound.
_WITHIN = 10.0 * _NEAR
#: Part of the largest cost that is rounding.
_ROUNDING = 1e-13
#: Smallest entry that is divided by, as a part of its row's largest and by itself.
_PIVOT_PART, _PIVOT = 1e-8, 1e-10
#: Part by which an optimum may miss the rows and costs as they were given.
_DRIFT = 1e-9


class Tableau(NamedTuple):
    """A program and its dictionary. Variables: the columns, then the rows.

    Attributes
    ----------
    rows : (room, column)
        Coefficients.
    low, high : (column + room,)
    cost : (column,)
    table : (room, column)
    reduced : (column,)
        Reduced costs of the nonbasic variables.
    head, tail : (room,), (column,) int
        Basic variable of each row and nonbasic variable of each column of the table.
    at : (column + room,)
        Values.
    size : (2,) int
        Rows in use, pivots so far.
    """

    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    cost: np.ndarray
    table: np.ndarray
    reduced: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    at: np.ndarray
    size: np.ndarray


@kernel
def solve(t):
    """Solve a program from the dictionary that it has; one of the codes.

    Parameters
    ----------
    t : Tableau
        ``at`` is the answer, ``reduced`` its prices.
    """
    return solve_below(t, np.inf)


@kernel
def start_over(t):
    """Set up the dictionary whose basic variables are the rows."""
    n, m = len(t.cost), t.size[0]
    for column in range(n):
        t.tail[column] = column
    for row in range(m):
        t.head[row] = n + row
        t.table[row] = t.rows[row]


@kernel
def extend(t, value, upper):
    """Add rows ``value · x <= upper``, (row, column) and (row,); there must be room."""
    for row in range(len(upper)):
        append(t, value[row], upper[row])


@allocating
def append(t, value, upper):
    """Add a row ``value · x <= upper``; there must be room."""
    n, m = len(t.cost), t.size[0]
    t.rows[m] = value
    t.low[n + m], t.high[n + m] = -np.inf, upper
    line = t.table[m]
    for column in range(n):
        variable = t.tail[column]
        line[column] = value[variable] if variable < n else 0.0
    for row in range(m):
        variable = t.head[row]
        if variable < n and value[variable] != 0.0:
            add_row(line, value[variable], t.table, row)
    t.head[m] = n + m
    t.size[0] = m + 1


@allocating
def solve_below(t, stop):
    """Solve a program, or learn that it costs no less than so much."""
    for attempt in range(3):
        code = _dual_simplex(t, stop)
        if code in (NO_POINT, ABOVE):
            # Drift must not rule anything out.
            if _is_true(t):
                return code
        elif code == SOLVED and _is_true(t):
            return code
        if code == _UNDUAL or attempt == 1:
            if not _begin(t):
                return ASTRAY
        elif not _factorise(t):
            return ASTRAY
    return ASTRAY


@allocating
def _begin(t):
    """Start over, with all columns basic whose reduced cost would ask for a bound that they do not have."""
    start_over(t)
    n, m = len(t.cost), t.size[0]
    t.reduced[:] = t.cost
    for column in range(n):
        price = t.reduced[column]
        if (price > 0.0 and np.isinf(t.low[column])) or (price < 0.0 and np.isinf(t.high[column])):
            best, row = _PIVOT, -1
            for place in range(m):
                if t.head[place] >= n and abs(t.table[place, column]) > best:
                    best, row = abs(t.table[place, column]), place
            if row < 0:
                return False
            _pivot(t, row, column)
    return True


@allocating
def _factorise(t):
    """Work the dictionary of the present basis out from the rows as they were given."""
    n, m = len(t.cost), t.size[0]
    basic = np.zeros(n + m, dtype=np.bool_)
    for row in range(m):
        basic[t.head[row]] = True
    start_over(t)
    for column in range(n):
        if not basic[column]:
            continue
        best, row = _PIVOT, -1
        for place in range(m):
            own = t.head[place]
            if own >= n and not basic[own] and abs(t.table[place, column]) > best:
                best, row = abs(t.table[place, column]), place
        if row < 0:
            return False
        _pivot(t, row, column)
    return True


@allocating
def _pivot(t, row, column):
    """Let a basic and a nonbasic variable change places."""
    eliminate(t.table, t.reduced, t.size[0], row, column)
    variable = t.head[row]
    t.head[row] = t.tail[column]
    t.tail[column] = variable
    t.size[1] += 1


@allocating
def _price(t):
    """Work the reduced costs out."""
    n, m = len(t.cost), t.size[0]
    for column in range(n):
        variable = t.tail[column]
        t.reduced[column] = t.cost[variable] if variable < n else 0.0
    for row in range(m):
        variable = t.head[row]
        if variable < n and t.cost[variable] != 0.0:
            add_row(t.reduced, t.cost[variable], t.table, row)


@allocating
def dual_cost(t):
    """Cost of the dictionary's solution; a lower bound while it is not feasible."""
    value = 0.0
    for column in range(len(t.cost)):
        if t.reduced[column] != 0.0:
            value += t.reduced[column] * t.at[t.tail[column]]
    return value


@allocating
def _stand(t):
    """Put every nonbasic variable at the bound that its reduced cost asks for; whether there is one."""
    rounding = _ROUNDING * np.abs(t.cost).max()
    for column in range(len(t.cost)):
        variable, price = t.tail[column], t.reduced[column]
        low, high, own = t.low[variable], t.high[variable], t.at[t.tail[column]]
        if low == high or (price > _NEAR and low > -np.inf):
            own = low
        elif price < -_NEAR and high < np.inf:
            own = high
        elif abs(price) > _NEAR + rounding:
            return False
        elif low > -np.inf and (own <= low or high == np.inf or own - low <= high - own):
            own = low
        elif high < np.inf:
            own = high
        else:
            own = 0.0
        t.at[variable] = own
    return True


@allocating
def _set_basic(t):
    """Work the values of the basic variables out."""
    n, m = len(t.cost), t.size[0]
    value, basic = np.empty(n), np.empty(m)
    for column in range(n):
        value[column] = t.at[t.tail[column]]
    times(t.table, m, value, basic)
    for row in range(m):
        t.at[t.head[row]] = basic[row]


@allocating
def _dual_simplex(t, stop):
    n, m = len(t.cost), t.size[0]
    _price(t)
    if not _stand(t):
        return _UNDUAL
    _set_basic(t)
    ratio = np.empty(n)
    for _ in range(50 + 10 * (n + m)):
        if dual_cost(t) >= stop:
            return ABOVE
        row, short = _leaving(t)
        if row < 0:
            return SOLVED
        column = _entering(t, row, short, ratio)
        if column == -1:
            # Flips have moved it: what is left of it may be nothing, or no more than values are kept within.
            again, short = _leaving(t)
            if again == row:
                own = t.head[row]
                bound = t.low[own] if short > 0.0 else t.high[own]
                if abs(short) > _WITHIN * (1.0 + abs(bound)):
                    return NO_POINT
                t.at[own] = bound
            continue
        if column == -2:
            return ASTRAY
        leaving, entering = t.head[row], t.tail[column]
        bound = t.low[leaving] if short > 0.0 else t.high[leaving]
        step = (bound - t.at[leaving]) / t.table[row, column]
        for place in range(m):
            t.at[t.head[place]] += t.table[place, column] * step
        t.at[entering] += step
        t.at[leaving] = bound
        _pivot(t, row, column)
    return ASTRAY


@allocating
def _leaving(t):
    """Find the basic variable farthest beyond a bound, and what it is short of it (negative: above)."""
    row, worst, short = -1, 0.0, 0.0
    for place in range(t.size[0]):
        variable = t.head[place]
        own, low, high = t.at[variable], t.low[variable], t.high[variable]
        if own < low:
            away = low - own
            if away > worst and away > _NEAR * (1.0 + abs(low)):
                row, worst, short = place, away, away
        elif own > high:
            away = own - high
            if away > worst and away > _NEAR * (1.0 + abs(high)):
                row, worst, short = place, away, -away
    return row, short


@allocating
def _entering(t, row, short, ratio):
    """Find who enters for a row; who is passed on the way goes to his other bound.

    -1: nobody makes up for what is short; -2: whoever would is too small to divide by.
    """
    n, line, m = len(t.cost), t.table[row], t.size[0]
    sign = 1.0 if short > 0.0 else -1.0
    largest = 0.0
    for column in range(n):
        largest = max(largest, abs(line[column]))
    least = max(_PIVOT, _PIVOT_PART * largest)
    small = 0.0
    for column in range(n):
        ratio[column] = np.inf
        variable = t.tail[column]
        low, high = t.low[variable], t.high[variable]
        slope = sign * line[column]
        if low == high or abs(slope) <= _ROUNDING * largest:
            continue
        # Up from the lower bound, down from the upper one; a free variable either way.
        free = low == -np.inf and high == np.inf
        up = free or t.at[variable] <= low
        down = free or not up
        if (slope > 0.0 and up) or (slope < 0.0 and down):
            if abs(slope) >= least:
                ratio[column] = abs(t.reduced[column] / slope)
            else:
                small += abs(slope) * (high - low)
    left = abs(short)
    while True:
        chosen, lowest = -1, np.inf
        for column in range(n):
            if ratio[column] < lowest:
                chosen, lowest = column, ratio[column]
        if chosen < 0:
            return -2 if small >= left else -1
        size = abs(line[chosen])
        for column in range(n):
            if ratio[column] <= lowest + 1e-12 * (1.0 + lowest) and abs(line[column]) > size:
                chosen, size = column, abs(line[column])
        variable = t.tail[chosen]
        span = t.high[variable] - t.low[variable]
        left -= size * span
        if not left > 0.0:
            return chosen
        ratio[chosen] = np.inf
        step = span if t.at[variable] <= t.low[variable] else -span
        t.at[variable] = t.high[variable] if step > 0.0 else t.low[variable]
        for place in range(m):
            t.at[t.head[place]] += t.table[place, chosen] * step


@allocating
def _is_true(t):
    """Hold values and prices against the rows and costs as they were given, and keep the basic ones within."""
    n, m = len(t.cost), t.size[0]
    _set_basic(t)
    left, own, value = t.cost.copy(), np.empty(m), t.at[:n]
    largest = 1.0 + np.abs(value).max()
    times(t.rows, m, value, own)
    for row in range(m):
        if not abs(own[row] - t.at[n + row]) <= _DRIFT * largest:
            return False
    for column in range(n):
        variable, price = t.tail[column], t.reduced[column]
        if variable < n:
            left[variable] -= price
        elif price != 0.0:
            add_row(left, -price, t.rows, variable - n)
    for row in range(m):
        variable = t.head[row]
        now, low, high = t.at[variable], t.low[variable], t.high[variable]
        if low - _WITHIN * (1.0 + abs(low)) <= now <= high + _WITHIN * (1.0 + abs(high)):
            t.at[variable] = min(max(now, low), high)
    return np.abs(left).max() <= _DRIFT * (1.0 + np.abs(t.cost).max())
