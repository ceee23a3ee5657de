"""The regions of some connection points and periods of a problem, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.charts import Axis
from gridclear.optimise.highs import TimeOverError
from gridclear.optimise.maps import EMPTY, MAPPED, NO_STATE, NO_TIME, PARTIAL, UNFED, base_exchange
from gridclear.optimise.problem import Requests
from gridclear.optimise.region import Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridclear.network.network import Complexes
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.charts import Axes
    from gridclear.optimise.region import Region
    from gridclear.optimise.singles import Singles

#: What a region is of: P and Q of one connection point, or Q of two.
AREA, JOINT = "area", "joint"


def axes_of(points: Sequence[int]) -> Axes:
    """Axes of a region: P and Q of one connection point, or Q of two."""
    if len(points) == 1:
        return Axis(points[0], active=True), Axis(points[0], active=False)
    return Axis(points[0], active=False), Axis(points[1], active=False)


def survey_regions(
    singles: Singles,
    wanted: Sequence[tuple[int, tuple[int, ...]]],
    others: float | None,
    lattice: int,
    deadline: Deadline,
) -> Iterator[tuple[str, Region | None]]:
    """Survey regions one after the other.

    Parameters
    ----------
    singles : Singles
    wanted : sequence of (period, points)
        Points as in ``axes_of``.
    others : float or None
        How far the reactive exchange at other connection points may go from the base state's, in p.u.;
        None: freely.
    lattice : int
        Places along each axis.
    deadline : Deadline

    Yields
    ------
    state : str
        As of ``trace_maps``.
    region : Region or None
        None where there is nothing.

    Raises
    ------
    SolverError
        A program ended in a way that is no answer.
    """
    exchange = base_exchange(singles)
    for period, points in wanted:
        if not singles.problem.base.solved[period]:
            yield NO_STATE, None
        elif np.isnan(exchange[period, list(points)]).any():
            yield UNFED, None
        elif deadline.passed:
            yield NO_TIME, None
        else:
            requests = _held(exchange[period], points, others)
            yield _surveyed(Survey(singles, period, axes_of(points), requests, lattice, deadline))


def _surveyed(survey: Survey) -> tuple[str, Region | None]:
    try:
        region = survey.region()
    except TimeOverError:
        return NO_TIME, None
    if region is None:
        return NO_STATE, None
    if not region.boundary:
        return EMPTY, None
    return (MAPPED if region.complete else PARTIAL), region


def _held(exchange: Complexes, points: Sequence[int], others: float | None) -> Requests:
    """Ask of the other connection points to hold."""
    fed = np.flatnonzero(~np.isnan(exchange))
    place = np.setdiff1d(fed, points) if others is not None else fed[:0]
    tolerance = np.full(len(place), 0.0 if others is None else others)
    return Requests(place, np.zeros(len(place), dtype=np.int64), exchange.imag[place], tolerance)
