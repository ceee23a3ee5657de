"""Offers in order under linear limits, each as large as those before it let it be."""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import inner, kernel
from gridclear.powerflow.simd import rounded


@kernel
def fill(first, period, column, group, most, least, press, reach, room, taken, share):
    """Give every item the largest share that its rows have room for, and take that from them.

    Parameters
    ----------
    first : (item + 1,) int
        Where the units of each item begin; items in the order in which they are served.
    period, column : (unit,) int
        Where each unit stands in ``press``.
    group : (unit,) int
        Of units with the same number only one is ever active, so that the largest counts; -1: any.
    most : (unit,)
        Largest share.
    least : (item,)
        Smallest share that is not nothing.
    press : (period, row, column)
        What a full unit adds to each row, not negative.
    reach : (period, row, column)
        Share up to which a unit presses on a row; without periods: everywhere.
    room : (period, row), changed here
        What may be added.
    taken : (group, row), changed here
        What the largest of each group adds.
    share : (item,), filled here
        Zero where that is less than the least, or where the item has no unit.
    """
    for i in range(len(share)):
        begin, end = first[i], first[i + 1]
        smallest = np.inf
        for unit in range(begin, end):
            free = _free(begin, end, unit, period, column, group, most, press, reach, room, taken)
            smallest = min(smallest, most[unit], free)
        share[i] = smallest if smallest >= least[i] and begin < end else 0.0
        for unit in range(begin, end):
            t, g = period[unit], group[unit]
            for row in range(press.shape[1]):
                used = rounded(press[t, row, column[unit]] * _within(reach, t, row, column[unit], share[i]))
                if g >= 0:
                    before = taken[g, row]
                    taken[g, row] = max(before, used)
                    used = taken[g, row] - before
                room[t, row] -= used


@inner
def _within(reach, t, row, column, share):
    """Part of a share with which a unit presses."""
    return min(share, reach[t, row, column]) if len(reach) else share


@inner
def _free(begin, end, unit, period, column, group, most, press, reach, room, taken):
    """Share of a unit that every row has room for; units of one item in one period press together."""
    t, g = period[unit], group[unit]
    least = np.inf
    for row in range(press.shape[1]):
        own, whole = 0.0, 0.0
        for other in range(begin, end):
            if period[other] == t:
                pressing = press[t, row, column[other]]
                own += pressing
                whole += pressing * _within(reach, t, row, column[other], most[other])
        if own > 0.0:
            space = room[t, row] + (taken[g, row] if g >= 0 else 0.0)
            # Who presses no further is not stopped by a row that has room for all that it presses.
            if len(reach) == 0 or whole > space:
                least = min(least, max(space, 0.0) / own)
    return least
