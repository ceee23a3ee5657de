"""The maps of some connection points and periods of a problem, each on its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from gridclear.optimise.highs import TimeOverError
from gridclear.optimise.linearise import assess
from gridclear.optimise.problem import Requests, build_problem
from gridclear.optimise.singles import Singles
from gridclear.optimise.tracing import Tracer
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curves import Trace

#: How a map ended: all settings that matter are in it; some may not be; no decision keeps all limits; the
#: connection point is not fed; the period has no state; time was over.
MAPPED, PARTIAL, EMPTY, UNFED, NO_STATE, NO_TIME = (
    "mapped",
    "partial",
    "empty",
    "not-fed",
    "no-solution",
    "deadline",
)


@dataclass(frozen=True)
class MapChoice:
    """What a map is to be of.

    Attributes
    ----------
    devices : {"optimised", "scheduled", "fixed"}
        As in ``clear``; ``fixed``: none is decided.
    points : int
        Of a curve, besides the ends of its runs.
    others : float or None
        How far the exchange at other connection points may go from the base state's, in p.u.; None: freely.
    most_moves : int or None
        Steps of every device away from its scheduled position.
    """

    devices: str
    points: int
    others: float | None
    most_moves: int | None


def map_singles(compiled: CompiledCase, choice: MapChoice, market: str = "reactive") -> Singles:
    """Solve a case's base state and state its periods, each alone.

    Parameters
    ----------
    compiled : CompiledCase
    choice : MapChoice
    market : {"reactive", "common"}
        Whether active bids may be taken, too.

    Returns
    -------
    Singles

    Raises
    ------
    CaseError
        An element's capability cannot be represented.
    """
    scenarios = Scenarios(compiled, 1)
    problem = build_problem(
        scenarios,
        base_state(scenarios),
        devices="optimised" if choice.devices == "fixed" else choice.devices,
        market=market,
        losses_eur_mwh=compiled.case.prices.losses_eur_mwh,
        linked=False,
    )
    # What the base state breaks is not to be worsened; to cure it is the operator's own affair.
    problem = replace(problem, cures=False)
    if choice.devices == "fixed":
        problem = replace(problem, devices=())
    return Singles(problem, choice.most_moves)


def base_exchange(singles: Singles) -> Complexes:
    """Exchange of the base state in p.u., (period, point); NaN where a point is not fed or without state."""
    problem = singles.problem
    compiled = problem.compiled
    shape = (problem.periods, len(compiled.case.connection_points))
    found = np.full(shape, np.nan, dtype=np.complex128)
    for topology, limits in enumerate(compiled.limits):
        rows = np.flatnonzero(compiled.topology == topology)
        found[rows[:, None], limits.point] = problem.base.exchange[topology][rows]
    return found


def base_costs(singles: Singles) -> Floats:
    """EUR for the losses of the base state, (period,); NaN without one."""
    idle = replace(singles.problem, devices=())
    point = assess(idle, idle.nothing())
    losses = [np.nan if local is None else local.loss for local in point.local]
    return idle.loss_price * np.array(losses)


def trace_maps(
    singles: Singles, choice: MapChoice, wanted: Sequence[tuple[int, int]], deadline: Deadline
) -> Iterator[tuple[str, Trace | None]]:
    """Trace maps one after the other.

    Parameters
    ----------
    singles : Singles
    choice : MapChoice
    wanted : sequence of (period, point)
    deadline : Deadline

    Yields
    ------
    state : str
        One of the words of this module.
    trace : Trace or None
        None where there is nothing.

    Raises
    ------
    SolverError
        A program ended in a way that is no answer.
    """

    def trace(period: int, points: tuple[int, ...], exchange: Complexes) -> Trace | None:
        requests = held(exchange, points, choice.others, moved=points)
        return Tracer(singles, period, requests, choice.points, deadline).trace()

    yield from map_each(singles, [(period, (point,)) for period, point in wanted], deadline, trace)


class Found(Protocol):
    """What can be had of one map."""

    @property
    def empty(self) -> bool:
        """Nothing can be had."""
        ...

    @property
    def complete(self) -> bool:
        """Nothing may be missing."""
        ...

    @property
    def lost(self) -> int:
        """Programs on which the solver lost its way."""
        ...


_Found = TypeVar("_Found", bound=Found)


def map_each(
    singles: Singles,
    wanted: Sequence[tuple[int, tuple[int, ...]]],
    deadline: Deadline,
    find: Callable[[int, tuple[int, ...], Complexes], _Found | None],
) -> Iterator[tuple[str, _Found | None]]:
    """Find one map after the other, and say how each ended.

    Parameters
    ----------
    singles : Singles
    wanted : sequence of (period, points)
    deadline : Deadline
    find : callable
        Of period, points, and the exchange of all points in the base state; None without a state to start
        from, TimeOverError where time is over.

    Yields
    ------
    state : str
        One of the words of this module.
    found
        None where there is nothing.
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
            try:
                found = find(period, points, exchange[period])
            except TimeOverError:
                yield NO_TIME, None
                continue
            if found is None:
                yield NO_STATE, None
            elif found.empty and not found.lost:
                yield EMPTY, None
            else:
                yield (MAPPED if found.complete else PARTIAL), found


def held(
    exchange: Complexes, points: Sequence[int], others: float | None, moved: Sequence[int] = ()
) -> Requests:
    """Ask for the exchanges that are moved, then for those of all but some points to hold.

    Parameters
    ----------
    exchange : (point,) complex
        Of the base state in p.u.; NaN where a point is not fed.
    points : sequence of int
        That need not hold.
    others : float or None
        How far the others may go, in p.u.; None: freely.
    moved : sequence of int
        Points that are asked for exactly, whose requests come first.

    Returns
    -------
    Requests
        Of one lane.
    """
    fed = np.flatnonzero(~np.isnan(exchange))
    kept = fed[:0] if others is None else np.setdiff1d(fed, points)
    place: Ints = np.array([*moved, *kept], dtype=np.int64)
    tolerance = np.full(len(place), 0.0 if others is None else others)
    tolerance[: len(moved)] = 0.0
    return Requests(place, np.zeros(len(place), dtype=np.int64), exchange.imag[place], tolerance)
