"""The program of one state, with what its answers are found to miss added as rows until they keep everything.

Limits follow the controls by their slopes, losses and some limits by their curvature, too; each bounds a column
of the program from below. ``optimise.planes`` says the same of programs of many periods.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridclear.powerflow.jit import allocating, kernel
from gridclear.powerflow.rows import add_row, dot, times
from gridclear.powerflow.simplex import SOLVED, append, solve_below

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
    percent : float
        Per cent in the unit of distances beyond limits.
    over : (constraint,)
        Distance beyond each limit at the state; -inf where there is none.
    slope : (control, constraint)
    loss : (1,)
        MW at the state; NaN if nobody pays for them.
    loss_slope : (control,)
    loss_bend : (control, control)
    limit : (limit,) int
        Constraints that bend.
    bend : (limit, control, control)
    size : (limit,)
        Norm of each, which no eigenvalue exceeds.
    """

    control: np.ndarray
    given: np.ndarray
    at: np.ndarray
    target: np.ndarray
    percent: float
    over: np.ndarray
    slope: np.ndarray
    loss: np.ndarray
    loss_slope: np.ndarray
    loss_bend: np.ndarray
    limit: np.ndarray
    bend: np.ndarray
    size: np.ndarray


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
    broken, loss, percent = t.at[around.target[0]], t.at[around.target[1]], around.percent
    over, line, bent = around.over.copy(), np.empty(count), np.empty(count)
    for own in range(count):
        if change[own] != 0.0:
            add_row(over, change[own], around.slope, own)
    for _ in range(missed.worst):
        chosen, most = -1, missed.limit
        for number in range(len(over)):
            if not watched[number] and percent * over[number] - broken > most:
                chosen, most = number, percent * over[number] - broken
        if chosen < 0:
            break
        watched[chosen] = True
        added = True
        for own in range(count):
            line[own] = percent * around.slope[own, chosen]
        _add(t, around, line, percent * around.over[chosen] - dot(line, around.at), around.target[0])
    square = dot(change, change)
    for place in range(len(around.limit)):
        near = over[around.limit[place]]
        if percent * (near + 0.5 * around.size[place] * square) <= broken + missed.bent:
            continue
        times(around.bend[place], count, change, bent)
        beyond = percent * (near + 0.5 * dot(bent, change))
        if beyond > broken + missed.bent:
            added = True
            for own in range(count):
                line[own] = percent * (around.slope[own, around.limit[place]] + bent[own])
            # The plane touches the limit where the answer is.
            _add(t, around, line, beyond - dot(line, change) - dot(line, around.at), around.target[0])
    if around.loss[0] == around.loss[0]:
        times(around.loss_bend, count, change, bent)
        lost = around.loss[0] + dot(around.loss_slope, change) + 0.5 * dot(bent, change)
        if lost > loss + missed.loss:
            added = True
            for own in range(count):
                line[own] = around.loss_slope[own] + bent[own]
            _add(t, around, line, lost - dot(line, change) - dot(line, around.at), around.target[1])
    return added


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
