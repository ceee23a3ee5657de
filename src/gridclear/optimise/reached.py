"""What a plan has reached, as something that must be kept: the problem of the next aim."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE, sides

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.linearise import Local, Point
    from gridclear.optimise.problem import Problem

#: Fraction of a rated current by which a cure may be missed for the sake of the profile.
_SAME_CURRENT = 1e-4


def keep_cure(point: Point, current: float = _SAME_CURRENT) -> Problem:
    """State the problem in which the cure that a point has reached must be kept.

    Parameters
    ----------
    point : Point
    current : float
        Fraction of a rated current by which each cure may be missed.

    Returns
    -------
    Problem
        What the base state breaks is limited to what the point has left of it, and is no more to be cured.
    """
    problem, compiled = point.problem, point.problem.compiled
    limits = [own.copy() for own in problem.limits]
    for period, local in enumerate(point.local):
        if local is not None and len(local.sick):
            topology = int(compiled.topology[period])
            sign, unit = sides(compiled.networks[topology], compiled.limits[topology], local.sick)
            true = compiled.limits[topology].numbered[local.sick]
            reached = np.maximum(local.beyond[local.sick], 0.0)
            reached += _slack(local, compiled.networks[topology].n_node, current)
            limits[topology][period, local.sick] = true + sign * unit * reached
    return replace(problem, limits=tuple(limits), cures=False)


def keep_all(point: Point) -> Problem:
    """State the problem in which all that a point has reached must be kept, within the tolerance of limits.

    Parameters
    ----------
    point : Point

    Returns
    -------
    Problem
        What may be missed for the sake of the profile was missed on the way to the point, and is not missed
        once more.
    """
    return replace(keep_cure(point, TOLERANCE), requests=keep_delivery(point).requests)


def keep_sum(point: Point) -> Problem:
    """State the problem in which the horizon stays as well cured in sum as a point has it.

    Parameters
    ----------
    point : Point

    Returns
    -------
    Problem
        The sum is missed by no more than what all limits together may be missed by in ``keep_cure``: which
        of them is cured at the expense of which is no aim, and to hold each would cost the profile.
    """
    compiled, left = point.problem.compiled, point.uncured
    for period, local in enumerate(point.local):
        if local is not None:
            nodes = compiled.networks[int(compiled.topology[period])].n_node
            left += float(_slack(local, nodes, _SAME_CURRENT).sum())
    return replace(point.problem, left=left)


def _slack(local: Local, nodes: int, current: float) -> Floats:
    """Distances by which the cure of every limit may be missed.

    The best cure is flat: the last of it would cost the profile out of all proportion.
    """
    return np.where(local.sick >= 2 * nodes, current, 0.5 * TOLERANCE)


def keep_delivery(point: Point, slack: float = 0.0) -> Problem:
    """State the problem in which the profile that a point has reached must be kept.

    Parameters
    ----------
    point : Point
    slack : float
        By how much it may be missed, in p.u.

    Returns
    -------
    Problem
        Bands are as wide as the point needs them.
    """
    problem, requests = point.problem, point.problem.requests
    wider = requests.tolerance + np.nan_to_num(point.shortfall) + slack
    return replace(problem, requests=replace(requests, tolerance=wider))
