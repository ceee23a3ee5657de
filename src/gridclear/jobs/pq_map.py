"""PQ maps: what reactive power a connection point can give or take in every period, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from threadpoolctl import threadpool_limits

from gridclear.case.needs import need_rows
from gridclear.errors import CaseError, Issue, OptionError
from gridclear.jobs.mapped import (
    confirm,
    cost_rows,
    dispatch_rows,
    gap_rows,
    programs_lost,
    range_rows,
)
from gridclear.jobs.region import Asked, survey
from gridclear.jobs.region_tables import Regions
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.tasks import shared_out
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.optimise.algorithms import Deadline
from gridclear.optimise.maps import MAPPED, NO_TIME, MapChoice, map_singles, trace_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from gridclear.case import Case
    from gridclear.optimise.curves import Trace
    from gridclear.optimise.singles import Singles

#: What may be decided about devices.
MAP_DEVICES = ("optimised", "scheduled", "fixed")


@dataclass(frozen=True, eq=False)
class PQMap(Result):
    """Reactive power available per connection point and period, and its least cost.

    ``status`` is ``mapped`` (every map holds all settings of whole steps that were found to matter),
    ``partial`` (some map has another state: see ``ranges``) or ``deadline`` (time was over before some were
    begun or ended).

    The map of a period knows nothing of the others: whether one period's choice can follow on another's,
    within the moves of devices and blocks of bids, is for ``clear`` to say, unless
    ``provenance["jointly_deliverable"]`` is true.

    Attributes
    ----------
    ranges : DataFrame
        start, connection_point, p_mw, q_min_mvar, q_max_mvar, q_forecast_mvar, state, base_violations: P
        and Q of the base state, the ends of what can be had (NaN if nothing), and how many limits the
        forecast itself breaks, which the map keeps from getting worse. ``state`` is ``mapped``, ``partial``
        (a setting may be missing), ``empty`` (no decision keeps all limits), ``not-fed``, ``no-solution``
        (the forecast has no power flow) or ``deadline``.
    costs : DataFrame
        start, connection_point, point, run, p_mw, q_mvar, cost_eur, price_eur_mvarh: the least cost of every
        exchange, beyond that of the base state, for bids, moves from the scheduled positions and losses.
        Between neighbours of one run, which have the same whole steps, every exchange can be had at no more
        than the straight line between their costs; runs meet at one exchange, or a gap lies between them.
    gaps : DataFrame
        start, connection_point, q_from_mvar, q_to_mvar: open ranges that no setting of whole steps reaches.
    dispatch : DataFrame
        start, connection_point, point, bid, element_type, element, p_mw, q_mvar, position: what every point
        rests on: the bids that it takes, as change of injection, and the devices that it moves.
    regions : Regions
        What ``area`` and ``joint`` ask for.
    """

    ranges: pd.DataFrame
    costs: pd.DataFrame
    gaps: pd.DataFrame
    dispatch: pd.DataFrame
    regions: Regions = field(default_factory=Regions.none)

    @property
    def area(self) -> pd.DataFrame:
        """P–Q region of every connection point and period: its corners in order, as in ``Regions.area``."""
        return self.regions.area

    @property
    def lattice(self) -> pd.DataFrame:
        """Least cost at places inside of the P–Q regions, as in ``Regions.lattice``."""
        return self.regions.lattice

    @property
    def joint(self) -> pd.DataFrame:
        """Q of two connection points against each other, as in ``Regions.joint``."""
        return self.regions.joint

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name; those of regions only if there are any."""
        own = {"ranges": self.ranges, "costs": self.costs, "gaps": self.gaps, "dispatch": self.dispatch}
        if self.regions.states.empty:
            return own
        return own | {
            "regions": self.regions.states,
            "area": self.area,
            "lattice": self.lattice,
            "joint": self.joint,
            "region_dispatch": self.regions.dispatch,
        }


def pq_map(
    case: Case,
    *,
    connection_points: Sequence[str] | None = None,
    starts: Sequence[pd.Timestamp] | None = None,
    devices: str = "optimised",
    points: int = 41,
    others_mvar: float | None = None,
    max_moves: int | None = None,
    area: bool = False,
    joint: tuple[str, str] | None = None,
    lattice: int = 6,
    deadline_s: float | None = None,
    threads: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
    compiled: CompiledCase | None = None,
) -> PQMap:
    """Map the reactive power of connection points: range, least cost of every exchange, gaps, dispatch.

    Parameters
    ----------
    case : Case
        Its ``reactive_bids``, tap changers and banks are what moves. Not changed.
    connection_points : sequence of str, optional
        Names; all of the case if None.
    starts : sequence of Timestamp, optional
        Starts of the periods that are wanted; all of the horizon if None.
    devices : {"optimised", "scheduled", "fixed"}
        Which tap changers and banks are decided: as in ``clear``, or none.
    points : int
        Points of a curve, besides the ends of its runs: fewer where the lines between them lie within
        0.05 % of the span of costs already.
    others_mvar : float, optional
        How far the exchange at the other connection points may go from the base state's; freely, if None.
    max_moves : int, optional
        Steps that every device may go from its scheduled position, besides its own budget.
    area : bool
        Map the P–Q region of every connection point, too: there active bids are taken beside reactive ones.
    joint : (str, str), optional
        Map the Q of these two connection points against each other, too, by reactive bids alone.
    lattice : int
        Places of a region along each axis at which the least cost is found.
    deadline_s : float, optional
        Seconds after which what there is so far is given.
    threads : int, optional
        As in ``solve_batch``, for the confirmation; the result does not depend on it.
    executor : concurrent.futures.Executor, optional
        Whose workers share the maps, one task per connection point and period; a pool of processes, for
        threads would wait for each other. None: here, one after the other.
    progress : callable, optional
        Called with (done, all) maps.
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    PQMap

    Raises
    ------
    CaseError
        The case has nothing that moves reactive power, no connection point of that name, or holds what
        gridclear does not represent.
    OptionError
        An option is none of those.
    SolverError
        A solver ended in a way that is no answer.

    Notes
    -----
    Limits as in the base state's rule: none is broken that the forecast keeps, none worsened that it breaks.
    For every setting of whole steps that matters the cost is a convex function of the exchange, traced by
    linear programs around AC states; the map is the least of them. Settings are found by mixed-integer
    programs at the ends, inside every run and inside every gap. Every point is confirmed by an AC power flow
    of its own.
    """
    rows = _checked(case, connection_points, devices, points, others_mvar, max_moves, deadline_s)
    pair = _pair(case, joint, lattice)
    periods = _periods(case, starts)
    deadline, watch = Deadline.after(deadline_s), Stopwatch()
    with watch.phase("compile"):
        compiled = compile_case(case) if compiled is None else compiled
        others = None if others_mvar is None else others_mvar / compiled.s_base_mva
        choice = MapChoice(devices, points, others, max_moves)
        singles = map_singles(compiled, choice)
    wanted = [(period, point) for period in periods for point in rows]
    asked = _asked(periods, rows if area else [], pair, lattice)
    count = len(wanted) + sum(len(one.wanted) for one in asked)
    ticks = iter(range(1, count + 1))

    def done() -> None:
        if progress is not None:
            progress(next(ticks), count)

    with watch.phase("solve"), threadpool_limits(limits=1, user_api="blas"):
        found: list[tuple[str, Trace | None]] = []
        for one in _traced(singles, choice, wanted, deadline, executor):
            found.append(one)
            done()
    with watch.phase("regions"), threadpool_limits(limits=1, user_api="blas"):
        surveyed = [
            survey(
                singles if one.market == "reactive" else map_singles(compiled, choice, one.market),
                choice, one, deadline, executor, done, threads,
            )
            for one in asked
        ]  # fmt: skip
    with watch.phase("confirm"):
        mapped = confirm(singles, wanted, found, threads)
    with watch.phase("tables"):
        options = {
            "connection_points": connection_points if connection_points is None else list(connection_points),
            "starts": starts if starts is None else [str(start) for start in starts],
            "devices": devices,
            "points": points,
            "others_mvar": others_mvar,
            "max_moves": max_moves,
            "area": area,
            "joint": joint if joint is None else list(joint),
            "lattice": lattice,
        }
        return PQMap(
            status=_status([*mapped.state, *(state for one in surveyed for state in one.state)]),
            provenance=provenance("pq-map", case, options, watch)
            | {
                "hours": case.horizon.hours,
                "others": "free" if others_mvar is None else f"within {others_mvar:g} Mvar of the base state",
                "jointly_deliverable": _jointly(case, singles),
                "mismatch_mva": mapped.mismatch_mva,
                "unconfirmed_points": mapped.dropped + sum(one.dropped for one in surveyed),
                "lost_programs": programs_lost(found) + sum(one.lost for one in surveyed),
            },
            ranges=range_rows(singles, mapped),
            costs=cost_rows(singles, mapped),
            gaps=gap_rows(singles, mapped),
            dispatch=dispatch_rows(singles, mapped),
            regions=Regions.together([one.regions for one in surveyed]),
        )


def _checked(
    case: Case,
    names: Sequence[str] | None,
    devices: str,
    points: int,
    others_mvar: float | None,
    max_moves: int | None,
    deadline_s: float | None,
) -> list[int]:
    """Refuse what cannot be mapped; rows of the connection points."""
    if devices not in MAP_DEVICES:
        raise OptionError(f"devices is '{devices}'; it must be one of {', '.join(MAP_DEVICES)}")
    if points < 2:
        raise OptionError(f"points is {points}; it must be at least 2")
    if others_mvar is not None and not others_mvar >= 0.0:
        raise OptionError(f"others_mvar is {others_mvar}; it must be a number of Mvar, not negative")
    if max_moves is not None and max_moves < 0:
        raise OptionError(f"max_moves is {max_moves}; it must not be negative")
    if deadline_s is not None and not deadline_s > 0.0:
        raise OptionError(f"deadline_s is {deadline_s}; it must be a number of seconds above zero")
    need_rows(case, "reactive_bids", "tap_changers", "capacitor_banks")
    need_rows(case, "connection_points")
    known = case.connection_points["connection_point"].tolist()
    asked = known if names is None else list(names)
    issues = [
        Issue("connection_points", str(name), "connection_point", "no such point", ", ".join(known))
        for name in asked
        if name not in known
    ]
    if issues:
        raise CaseError(tuple(issues))
    return [known.index(name) for name in dict.fromkeys(asked)]


def _periods(case: Case, starts: Sequence[pd.Timestamp] | None) -> list[int]:
    """Places of periods in the horizon, in its order."""
    known = case.horizon.starts
    if starts is None:
        return list(range(case.horizon.periods))
    place = known.get_indexer(pd.DatetimeIndex(list(starts)))
    if (place < 0).any():
        strange = ", ".join(str(start) for start, at in zip(starts, place, strict=True) if at < 0)
        raise OptionError(f"starts holds {strange}; the horizon goes from {known[0]} to {known[-1]}")
    return sorted(set(place.tolist()))


def _traced(
    singles: Singles,
    choice: MapChoice,
    wanted: Sequence[tuple[int, int]],
    deadline: Deadline,
    executor: Executor | None,
) -> Iterator[tuple[str, Trace | None]]:
    """Trace maps in order, here or by an executor's workers."""
    if executor is None:
        yield from trace_maps(singles, choice, wanted, deadline)
    else:
        # Periods of one point are alike: neighbours in one task share the problem.
        yield from shared_out(partial(_task, singles.problem.compiled, choice), wanted, deadline, executor)


def _task(
    compiled: CompiledCase, choice: MapChoice, wanted: Sequence[tuple[int, int]], deadline: Deadline
) -> list[tuple[str, Trace | None]]:
    """Trace maps in a process of its own."""
    return list(trace_maps(map_singles(compiled, choice), choice, wanted, deadline))


def _asked(
    periods: Sequence[int], points: Sequence[int], pair: tuple[int, int] | None, lattice: int
) -> list[Asked]:
    """Regions that are wanted, by market: active bids move P, which a joint map of Q leaves aside."""
    area = tuple((period, (point,)) for period in periods for point in points)
    joint = () if pair is None else tuple((period, pair) for period in periods)
    every = [Asked("common", area, lattice), Asked("reactive", joint, lattice)]
    return [one for one in every if one.wanted]


def _pair(case: Case, joint: tuple[str, str] | None, lattice: int) -> tuple[int, int] | None:
    """Refuse what is no region; rows of the points of a joint map."""
    if lattice < 1:
        raise OptionError(f"lattice is {lattice}; it must be at least 1")
    if joint is None:
        return None
    known = case.connection_points["connection_point"].tolist()
    if len(joint) != 2 or joint[0] == joint[1] or any(name not in known for name in joint):
        names = ", ".join(map(str, joint))
        raise OptionError(f"joint is {names}; it must be two different ones of {', '.join(known)}")
    return known.index(joint[0]), known.index(joint[1])


def _status(states: Sequence[str]) -> str:
    if NO_TIME in states:
        return "deadline"
    return "mapped" if all(state == MAPPED for state in states) else "partial"


def _jointly(case: Case, singles: Singles) -> bool:
    """Whether any choice of points, one per period, can be delivered one after another."""
    return not singles.problem.devices and not (case.reactive_bids["block"] != "").any()
