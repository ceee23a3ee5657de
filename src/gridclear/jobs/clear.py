"""Clearing of reactive bids for the profile that the TSO settled on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from gridclear.case.needs import need_rows
from gridclear.errors import OptionError
from gridclear.jobs.agreed import market_hash
from gridclear.jobs.cleared import (
    binding_table,
    cost_table,
    device_moves,
    exchange_table,
    proof_of,
    schedule_table,
)
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.optimise.algorithms import Algorithm, Deadline, find_algorithm
from gridclear.optimise.bound import OPTIMAL_GAP, Bound, lower_bound
from gridclear.optimise.linearise import assess
from gridclear.optimise.offers import MARKETS
from gridclear.optimise.pricing import prices
from gridclear.optimise.problem import DEVICES, build_problem
from gridclear.optimise.rules import check_shape
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.cleared import Proof
    from gridclear.optimise.problem import Problem

#: The algorithm that is gridclear's own.
OWN = "successive"
#: EUR that a cost counts as, at least, where the gap is a share of it.
_LEAST_COST = 1.0


@dataclass(frozen=True, eq=False)
class Clearing(Result):
    """A schedule for every resource and device, confirmed by AC power flows.

    ``status`` says what was proved: ``optimal`` (everything is kept, and no schedule is cheaper by 0.5 % or
    more, 0.005 EUR where it costs less than one), ``confirmed`` (every limit and the profile are kept; how
    far the cost is from the least is not proved), ``closest`` (the same, with the closest profile that was
    found to be deliverable), ``deadline`` (the best confirmed schedule when time was over) or
    ``no-solution`` (no schedule was confirmed, or a period has no power flow even with the forecast alone:
    the tables hold what comes closest, for inspection only; ``provenance["proof"]`` says what it breaks).

    Attributes
    ----------
    schedule : DataFrame
        start, bid, element_type, element, p_mw, q_mvar, cost_eur: change of injection against the forecast;
        one row per bid row that may be taken, and per period of a storage whose power is decided.
    devices : DataFrame
        start, element_type, element, position, moves, energy_mwh: tap changers and banks with the steps made
        into the period, storages with the energy at its end.
    exchange : DataFrame
        start, connection_point, p_mw, q_mvar, requested_q_mvar, shortfall_mvar, price_eur_mvarh: what one
        more Mvar drawn from transmission would cost, whole steps held; NaN where the request is not met, for
        no price brings more.
    binding : DataFrame
        start, kind, element_type, element, value, limit, price_eur, relief_mvar: limits that bind, what one
        unit more (0.01 p.u. of voltage, 1 % of loading, 1 MW, Mvar or MVA) would save per period with what is
        delivered and cured as it is, and by how much it would bring the profile closer.
    costs : DataFrame
        start, part, eur: ``bids``, ``moves``, ``losses``.
    cost_eur, bound_eur, gap : float
        Their sum, a lower bound, and (cost - bound) / |cost|, where a cost below one EUR counts as one EUR:
        of nothing there are no shares. No schedule costs less than the bound that keeps every effective
        limit, brings what the base state breaks at least as far back as this one, and every request at least
        as close to its band. NaN if none was asked for or proved: the provenance says why.
    solved_s : float
        Seconds from the compiled case to the confirmed schedule, the bound excluded.
    """

    schedule: pd.DataFrame
    devices: pd.DataFrame
    exchange: pd.DataFrame
    binding: pd.DataFrame
    costs: pd.DataFrame
    cost_eur: float
    bound_eur: float
    gap: float
    solved_s: float

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {
            "schedule": self.schedule,
            "devices": self.devices,
            "exchange": self.exchange,
            "binding": self.binding,
            "costs": self.costs,
        }


def clear(
    case: Case,
    *,
    algorithm: str | Algorithm = OWN,
    devices: str = "optimised",
    market: str = "reactive",
    request: bool = True,
    deadline_s: float | None = None,
    bound: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    compiled: CompiledCase | None = None,
) -> Clearing:
    """Find the cheapest schedule that keeps the grid's limits and delivers the reactive profile.

    Parameters
    ----------
    case : Case
        Its ``reactive_profile`` is what is asked for. Not changed.
    algorithm : str or callable
        ``successive``, or another of ``optimise.algorithms.ALGORITHMS``, or a function of your own that
        takes a ``Problem`` and a ``Deadline`` and gives a ``Found``. All are judged by the same power flows.
    devices : {"optimised", "scheduled"}
        Whether all tap changers and banks but the fixed ones are decided, or only those of the mode
        ``optimised`` while automatic changers stay where the base state has settled them.
    market : {"reactive", "common"}
        Whether active bids may be taken, too.
    request : bool
        Whether the profile is asked for. Without it, the schedule is what the grid needs for its own sake: it
        cures what the forecast breaks and saves losses.
    deadline_s : float, optional
        Seconds after which the best schedule so far is given.
    bound : bool
        Whether a lower bound on the cost is to be proved, too, which takes much longer than the schedule:
        without it nothing is ``optimal``.
    threads : int, optional
        As in ``solve_batch``; the result does not depend on it.
    progress : callable, optional
        Called with (done, all) stages: the base states, the schedule, its confirmation, and the bound where
        one is asked for.
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    Clearing

    Raises
    ------
    CaseError
        The case has nothing that could be cleared, or holds what gridclear does not represent.
    OptionError
        An option is none of those, or an algorithm gave what is no plan.
    SolverError
        A solver ended in a way that is no answer.

    Notes
    -----
    In order of importance: no limit is broken that the forecast keeps, nor worsened; those that the forecast
    breaks are cured as far as the resources can; the profile is met; the cost is least.

    There is no ``executor``: every search starts from what the one before has found, so that nothing could be
    shared out among workers.
    """
    chosen = find_algorithm(algorithm)
    for name, value, known in (("devices", devices, tuple(DEVICES)), ("market", market, tuple(MARKETS))):
        if value not in known:
            raise OptionError(f"{name} is '{value}'; it must be one of {', '.join(known)}")
    if deadline_s is not None and not deadline_s > 0.0:
        raise OptionError(f"deadline_s is {deadline_s}; it must be a number of seconds above zero")
    need_rows(case, "reactive_profile", "reactive_bids")
    deadline, watch = Deadline.after(deadline_s), Stopwatch()
    stages = 4 if bound else 3
    tell = progress or _silent
    with watch.phase("compile"):
        compiled = compile_case(case) if compiled is None else compiled
        compiled = compiled if request else _without_request(compiled)
    with watch.phase("base"):
        scenarios = Scenarios(compiled, threads)
        base = base_state(scenarios)
        problem = build_problem(
            scenarios, base, devices=devices, market=market, losses_eur_mwh=case.prices.losses_eur_mwh
        )
    tell(1, stages)
    with watch.phase("solve"), threadpool_limits(limits=1, user_api="blas"):
        found = chosen(problem, deadline)
        check_shape(problem, found.plan)
    tell(2, stages)
    with watch.phase("confirm"):
        point = assess(problem, found.plan)
        proof = proof_of(problem, found.plan, threads)
        priced = prices(point) if proof.confirmed else None
    tell(3, stages)
    proved = Bound(-np.inf, "no schedule is confirmed" if bound else "not asked for", 0.0)
    with watch.phase("bound"):
        if bound and proof.confirmed:
            proved = lower_bound(point, deadline)
        if proved.rival is not None and algorithm == OWN:
            # What the bound came across is cheaper and as good; another's answer stays as it is.
            rival = proof_of(problem, proved.rival, threads)
            if rival.confirmed:
                found, proof = replace(found, plan=proved.rival), rival
                point = assess(problem, found.plan)
                priced = prices(point)
    if bound:
        tell(4, stages)
    with watch.phase("tables"):
        costs = cost_table(point)
        cost = float(costs["eur"].sum())
        least = proved.eur if np.isfinite(proved.eur) else float("nan")
        gap = (cost - least) / max(abs(cost), _LEAST_COST)
        seconds = watch.seconds["base"] + watch.seconds["solve"] + watch.seconds["confirm"]
        scalars = {"cost_eur": cost, "bound_eur": least, "gap": gap, "solved_s": seconds}
        return Clearing(
            status=_status(problem, proof, gap, complete=found.complete),
            provenance=provenance(
                "clear", case, _options(algorithm, devices, market, request=request, bound=bound), watch
            )
            | {
                "market_hash": market_hash(case),
                "proof": proof.words(compiled.s_base_mva),
                "bound": {"reason": proved.reason, "seconds": proved.seconds},
                **scalars,
            },
            schedule=schedule_table(problem, found.plan),
            devices=device_moves(problem, found.plan),
            exchange=exchange_table(point, proof, priced),
            binding=binding_table(point, priced),
            costs=costs,
            **scalars,
        )


def _silent(done: int, every: int) -> None:
    """Tell nobody."""


def _without_request(compiled: CompiledCase) -> CompiledCase:
    """Take the same case without a profile: no network hangs on it."""
    case = compiled.case
    return replace(compiled, case=replace(case, reactive_profile=case.reactive_profile.iloc[:0]))


def _options(
    algorithm: str | Algorithm, devices: str, market: str, *, request: bool, bound: bool
) -> dict[str, object]:
    name = algorithm if isinstance(algorithm, str) else getattr(algorithm, "__name__", repr(algorithm))
    return {"algorithm": name, "devices": devices, "market": market, "request": request, "bound": bound}


def _status(problem: Problem, proof: Proof, gap: float, *, complete: bool) -> str:
    if not (proof.confirmed and problem.base.solved.all()):
        return "no-solution"
    if gap < OPTIMAL_GAP and proof.delivers(problem):
        return "optimal"
    if not complete:
        return "deadline"
    return "confirmed" if proof.delivers(problem) else "closest"
