"""The program of one state, with what its answers are found to miss added as rows until they keep everything.

Limits follow the controls by their slopes, losses and some limits by their curvature, too; each bounds a column
of the program from below. ``optimise.planes`` says the same of programs of many periods.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.jit import allocating, kernel
from gridclear.powerflow.simplex import SOLVED, append, dot, solve_below

#: Missing room for rows; other codes are those of ``simplex``.
FULL = 9


class Surroundings(NamedTuple):
    """What bounds the answers of a program around a state.

    Attributes
    ----------
    control, given : (control,) int
        Columns whose difference is the control's value; -1 where nothing is given.
    at : (control,)
        Values at the state.
    target : (2,) int
        Columns of the largest distance beyond a limit, per cent, and of the losses, MW.
    over : (constraint,)
        Distance beyond each limit at the state, per cent; -inf where there is none.
    slope : (constraint, control)
    loss : (1,)
        MW at the state; NaN if nobody pays for them.
    loss_slope : (control,)
    loss_bend : (control, control)
    limit : (limit,) int
        Constraints that bend.
    bend : (limit, control, control)
    """

    control: np.ndarray
    given: np.ndarray
    at: np.ndarray
    target: np.ndarray
    over: np.ndarray
    slope: np.ndarray
    loss: np.ndarray
    loss_slope: np.ndarray
    loss_bend: np.ndarray
    limit: np.ndarray
    bend: np.ndarray


class Missed(NamedTuple):
    """What counts as missing.

    Attributes
    ----------
    worst : int
        Limits that are added at once.
    limit, bent : float
        Distance beyond a limit by its slope, and by which a plane of one that bends is missed, per cent.
    loss : float
        By which a plane of the losses is missed, MW.
    """

    worst: int
    limit: float
    bent: float
    loss: float


@kernel
def complete(t, around, watched, missed, most):
    """Solve a program, with limits and planes added until its answer keeps them all.

    Parameters
    ----------
    t : simplex.Tableau
    around : Surroundings
    watched : (constraint,) bool
        Limits that have a row; more of them are marked.
    missed : Missed
    most : int
        Programs.

    Returns
    -------
    int
        A code of ``simplex``, or ``FULL``: rows must have more room.
    """
    for _ in range(most):
        if len(t.rows) - t.size[0] < missed.worst + 1 + len(around.limit):
            return FULL
        code = solve_below(t, np.inf)
        if code != SOLVED or not _extend(t, around, watched, missed):
            return code
    return SOLVED


@allocating
def _extend(t, around, watched, missed):
    """Add the limits and planes that an answer misses; whether it misses any."""
    count, added = len(around.control), False
    change = np.empty(count)
    for own in range(count):
        value = t.at[around.control[own]]
        if around.given[own] >= 0:
            value -= t.at[around.given[own]]
        change[own] = value - around.at[own]
    broken, loss = t.at[around.target[0]], t.at[around.target[1]]
    rise = _times(around.slope, change)
    line = np.empty(count)
    for _ in range(missed.worst):
        chosen, most = -1, missed.limit
        for number in range(len(rise)):
            if not watched[number]:
                over = around.over[number] + rise[number] - broken
                if over > most:
                    chosen, most = number, over
        if chosen < 0:
            break
        watched[chosen] = True
        added = True
        line[:] = around.slope[chosen]
        _add(t, around, line, around.over[chosen] - dot(line, around.at), around.target[0])
    for place in range(len(around.limit)):
        number = around.limit[place]
        bent = _times(around.bend[place], change)
        half = 0.5 * dot(bent, change)
        over = around.over[number] + rise[number] + half
        if over > broken + missed.bent:
            added = True
            line[:] = around.slope[number] + bent
            # The plane touches the limit where the answer is.
            _add(t, around, line, over - dot(line, change) - dot(line, around.at), around.target[0])
    if around.loss[0] == around.loss[0]:
        bent = _times(around.loss_bend, change)
        lost = around.loss[0] + dot(around.loss_slope, change) + 0.5 * dot(bent, change)
        if lost > loss + missed.loss:
            added = True
            line[:] = around.loss_slope + bent
            _add(t, around, line, lost - dot(line, change) - dot(line, around.at), around.target[1])
    return added


@allocating
def _times(matrix, x):
    value = np.empty(len(matrix))
    for row in range(len(matrix)):
        value[row] = dot(matrix[row], x)
    return value


@allocating
def _add(t, around, slope, level, target):
    """Add the row ``level + slope · controls <= target``."""
    value = np.zeros(len(t.cost))
    for own in range(len(slope)):
        value[around.control[own]] += slope[own]
        if around.given[own] >= 0:
            value[around.given[own]] -= slope[own]
    value[target] -= 1.0
    append(t, value, -level)
