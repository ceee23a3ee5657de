"""The regions of some connection points and periods of a problem, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridclear.optimise.charts import Axis
from gridclear.optimise.maps import held, map_each
from gridclear.optimise.region import Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridclear.network.network import Complexes
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.charts import Axes
    from gridclear.optimise.region import Region
    from gridclear.optimise.singles import Singles


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

    def survey(period: int, points: tuple[int, ...], exchange: Complexes) -> Region | None:
        requests = held(exchange, points, others)
        return Survey(singles, period, axes_of(points), requests, lattice, deadline).region()

    yield from map_each(singles, wanted, deadline, survey)
