"""Small programs with whole columns: branch and bound over the dual simplex, which goes on where it stands."""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import kernel
from gridclear.powerflow.simplex import ABOVE, ASTRAY, SOLVED, dual_cost, solve_below

#: Distance from whole values that is none.
_WHOLE = 1e-7
#: Turns of one path that there is room for.
_DEEPEST = 64


@kernel
def search(t, whole, gap, limit, most, x):
    """Search the least cost with some columns whole: depth first, by the most fractional column.

    Parameters
    ----------
    t : Tableau
        Its bounds are given back as they were.
    whole : (whole,) int
        Columns.
    gap : float
        Cost by which the best answer may be missed.
    limit : float
        What costs as much or more is not looked for.
    most : int
        Programs.
    x : (column,)
        Filled with the best answer.

    Returns
    -------
    code : int
        ``SOLVED``; ``ABOVE``: nothing costs less than the limit; ``ASTRAY``: there is no saying.
    best : float
        Cost of the answer, infinite without one.
    bound : float
        No answer costs less.
    count : int
        Programs that were solved.
    """
    n, depth, count = len(t.cost), 0, 0
    best, bound = np.inf, np.inf
    low, high = t.low.copy(), t.high.copy()
    # One entry for every open turn of the path: column, its bounds before, and those of the other turn.
    column = np.empty(_DEEPEST, dtype=np.int64)
    other = np.zeros(_DEEPEST, dtype=np.bool_)
    turns = np.empty((_DEEPEST, 4))
    code = SOLVED
    while True:
        stop = min(limit, best - gap)
        ended = solve_below(t, stop)
        count += 1
        if ended == ASTRAY or count > most:
            code = ASTRAY
            break
        value = np.inf
        if ended == ABOVE:
            value = stop
        elif ended == SOLVED:
            value = dual_cost(t)
        chosen, worst = -1, _WHOLE
        if value < stop:
            for place in range(len(whole)):
                own = t.at[whole[place]]
                away = abs(own - np.rint(own))
                if away > worst:
                    chosen, worst = whole[place], away
        if chosen >= 0:
            if depth == _DEEPEST:
                code = ASTRAY
                break
            own, floor = t.at[chosen], np.floor(t.at[chosen])
            column[depth], other[depth] = chosen, True
            turns[depth, 0], turns[depth, 1] = t.low[chosen], t.high[chosen]
            if own - floor < 0.5:
                turns[depth, 2], turns[depth, 3] = floor + 1.0, t.high[chosen]
                t.high[chosen] = floor
            else:
                turns[depth, 2], turns[depth, 3] = t.low[chosen], floor
                t.low[chosen] = floor + 1.0
            depth += 1
            continue
        if value < stop:
            best = value
            x[:] = t.at[:n]
        bound = min(bound, value)
        while depth > 0:
            depth -= 1
            turned = column[depth]
            if other[depth]:
                t.low[turned], t.high[turned] = turns[depth, 2], turns[depth, 3]
                other[depth] = False
                depth += 1
                break
            t.low[turned], t.high[turned] = turns[depth, 0], turns[depth, 1]
        if depth == 0:
            break
    t.low[:] = low
    t.high[:] = high
    if code == SOLVED and not np.isfinite(best):
        code = ABOVE
    return code, best, bound, count
