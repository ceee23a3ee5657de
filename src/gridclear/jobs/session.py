"""One market session: every job that the case has the data for, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from gridclear.case.window import window
from gridclear.errors import CaseError, OptionError, SolverError
from gridclear.io.results import SUMMARY_FILE
from gridclear.jobs.activate import activate
from gridclear.jobs.binding import activated_case
from gridclear.jobs.clear import clear
from gridclear.jobs.congestion import congestion_forecast
from gridclear.jobs.flow import power_flow
from gridclear.jobs.needs import COVERED_MW
from gridclear.jobs.outlook import outlook
from gridclear.jobs.pq_map import pq_map
from gridclear.jobs.qualify import qualify
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.settle import settle
from gridclear.jobs.settle_activation import settle_activation
from gridclear.network.compiled import compile_case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridclear.case import Case
    from gridclear.io.tables import TableFormat
    from gridclear.jobs.activate import Activation
    from gridclear.jobs.clear import Clearing
    from gridclear.network.compiled import CompiledCase

#: Outcomes of a job that gave no result.
SKIPPED, REFUSED, SHORT = "skipped", "refused", "short"


@dataclass(frozen=True, eq=False)
class Session(Result):
    """The results of a market session.

    ``status`` is ``complete`` or ``partial`` (a job gave no complete answer, or was refused: ``jobs`` says
    which).

    Attributes
    ----------
    jobs : DataFrame
        job, status, complete, seconds, reason. ``status`` is the job's own; ``skipped`` (the case has no data
        for it), ``short`` (the TSO needs power and the case has no bids) or ``refused`` (the case holds what
        the job cannot represent, or its solver ended without an answer); then ``reason`` says why.
    parts : mapping of str to Result
        Results by job: ``flow``, ``outlook``, ``congestion``, ``tlq``, ``activate``, ``settle_activation``,
        ``pq_map``, ``clear``, ``settle``.
    """

    jobs: pd.DataFrame
    parts: Mapping[str, Result]

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name; those of the jobs are in ``parts``."""
        return {"jobs": self.jobs}

    @property
    def nested(self) -> Mapping[str, Result]:
        """Results by job."""
        return self.parts

    def write(self, folder: str | Path, format: TableFormat = "csv") -> None:  # noqa: A002  the contract's name
        """Save the result of every job in a folder of its name, then ``jobs`` and ``result.json``.

        Parameters
        ----------
        folder : path
        format : {"csv", "parquet"}

        Raises
        ------
        OSError
            A folder cannot be written.
        """
        # A session that is half written has no seal, nor has what an earlier one left behind.
        for place in ("", *(step.job for step in STEPS)):
            (Path(folder) / place / SUMMARY_FILE).unlink(missing_ok=True)
        for job, part in self.parts.items():
            part.write(Path(folder) / job, format)
        super().write(folder, format)


@dataclass(frozen=True)
class Terms:
    """Options of a session, as of ``run_session``."""

    guarantee: str
    devices: str
    algorithm: str
    pricing: str
    map_periods: int
    in_turn: bool
    bound: bool
    deadline_s: float | None
    threads: int | None


@dataclass(frozen=True, eq=False)
class Desk:
    """What a job of a session finds: the case, and the results of those before it."""

    case: Case
    compiled: CompiledCase
    terms: Terms
    done: Mapping[str, Result]


@dataclass(frozen=True)
class Step:
    """A job of a session.

    Attributes
    ----------
    job : str
    run : callable
    tables : tuple of tuple of str
        Of each of these groups one table at least must have rows.
    after : tuple of str
        Jobs whose results it needs.
    """

    job: str
    run: Callable[[Desk], Result]
    tables: tuple[tuple[str, ...], ...] = ()
    after: tuple[str, ...] = ()

    def lacks(self, desk: Desk) -> str:
        """Say what keeps the job from being done; "" if nothing does."""
        for group in self.tables:
            if all(desk.case.table(name).empty for name in group):
                return "the case has no rows in " + " or ".join(group)
        if self.job == "pq_map" and not desk.terms.map_periods:
            return "no map was asked for"
        missing = [job for job in self.after if job not in desk.done]
        return f"there is no result of {missing[0]}" if missing else ""


def _flow(desk: Desk) -> Result:
    return power_flow(desk.case, threads=desk.terms.threads)


def _outlook(desk: Desk) -> Result:
    return outlook(desk.case, compiled=desk.compiled)


def _congestion(desk: Desk) -> Result:
    return congestion_forecast(desk.case, threads=desk.terms.threads, compiled=desk.compiled)


def _tlq(desk: Desk) -> Result:
    terms = desk.terms
    return qualify(
        desk.case,
        guarantee=terms.guarantee,
        devices=terms.devices,
        threads=terms.threads,
        compiled=desk.compiled,
    )


def _activate(desk: Desk) -> Result:
    terms = desk.terms
    return activate(desk.case, devices=terms.devices, threads=terms.threads, compiled=desk.compiled)


def _pq_map(desk: Desk) -> Result:
    terms, whole = desk.terms, desk.case.horizon.periods
    if terms.map_periods >= whole:
        return pq_map(desk.case, threads=terms.threads, compiled=desk.compiled)
    # Nothing in a map joins periods: those of a part of the horizon are those of the whole.
    return pq_map(window(desk.case, 0, terms.map_periods), threads=terms.threads)


def _for_clearing(desk: Desk) -> tuple[Case, CompiledCase]:
    """Take the case that clearing and settlement start from."""
    if not desk.terms.in_turn or "activate" not in desk.done:
        return desk.case, desk.compiled
    case = activated_case(desk.case, desk.done)
    return case, compile_case(case)


def _clear(desk: Desk) -> Result:
    terms, (case, compiled) = desk.terms, _for_clearing(desk)
    return clear(
        case,
        algorithm=terms.algorithm,
        bound=terms.bound,
        deadline_s=terms.deadline_s,
        threads=terms.threads,
        compiled=compiled,
    )


def _settle(desk: Desk) -> Result:
    terms, (case, compiled) = desk.terms, _for_clearing(desk)
    return settle(
        case,
        cast("Clearing", desk.done["clear"]),
        pricing=terms.pricing,
        deadline_s=terms.deadline_s,
        threads=terms.threads,
        compiled=compiled,
    )


def _settle_activation(desk: Desk) -> Result:
    return settle_activation(desk.case, cast("Activation", desk.done["activate"]))


#: The jobs of a session, in their order.
STEPS = (
    Step("flow", _flow),
    Step("outlook", _outlook),
    Step("congestion", _congestion),
    Step("tlq", _tlq, (("active_bids",),)),
    Step("activate", _activate, (("active_need",), ("active_bids",))),
    Step("settle_activation", _settle_activation, after=("activate",)),
    Step("pq_map", _pq_map, (("reactive_bids", "tap_changers", "capacitor_banks"),)),
    Step("clear", _clear, (("reactive_profile", "reactive_bids"),)),
    Step("settle", _settle, after=("clear",)),
)


def run_session(
    case: Case,
    *,
    guarantee: str = "each",
    devices: str = "scheduled",
    algorithm: str = "successive",
    pricing: str | None = None,
    map_periods: int = 1,
    in_turn: bool = False,
    bound: bool = False,
    deadline_s: float | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Session:
    """Do every job that the case has the data for.

    Parameters
    ----------
    case : Case
        Not changed.
    guarantee, devices : str
        Of the lights, as in ``qualify``; ``devices`` of the activation, too.
    algorithm : str
        Of the clearing, as in ``clear``.
    pricing : str, optional
        As in ``settle``; the other terms of the settlement are those of the case.
    map_periods : int
        PQ maps are made of so many periods, from the first on; 0: of none. They take longer than the rest.
    in_turn : bool
        Whether clearing and settlement start from what the activation has taken, if that is confirmed; else
        from the forecast alone.
    bound : bool
        As in ``clear``: whether shares of the settlement can be decided.
    deadline_s : float, optional
        Seconds for each of the two clearings, with the request and without.
    threads : int, optional
        As in ``solve_batch``.
    progress : callable, optional
        Called with (jobs done, all).

    Returns
    -------
    Session
        A job that fails does not keep the others from being done.

    Raises
    ------
    CaseError
        The grid holds what gridclear does not represent.
    OptionError
        An option is none of those.
    """
    if map_periods < 0:
        raise OptionError(f"map_periods is {map_periods}; it must not be below 0")
    watch = Stopwatch()
    with watch.phase("compile"):
        compiled = compile_case(case)
    priced = case.settlement.pricing if pricing is None else pricing
    terms = Terms(guarantee, devices, algorithm, priced, map_periods, in_turn, bound, deadline_s, threads)
    done: dict[str, Result] = {}
    rows = []
    for number, step in enumerate(STEPS):
        with watch.phase(step.job):
            result, status, reason = _do(step, Desk(case, compiled, terms, dict(done)))
        if result is not None:
            done[step.job] = result
        complete = status != REFUSED if result is None else result.complete
        rows.append((step.job, status, complete, watch.seconds[step.job], reason))
        if progress is not None:
            progress(number + 1, len(STEPS))
    jobs = pd.DataFrame(rows, columns=["job", "status", "complete", "seconds", "reason"])
    return Session(
        status="complete" if jobs["complete"].all() else "partial",
        provenance=provenance("session", case, dict(vars(terms)), watch),
        jobs=jobs,
        parts=done,
    )


def _do(step: Step, desk: Desk) -> tuple[Result | None, str, str]:
    """Run a job, if it can be; its result, how it ended, and why there is none."""
    lacking = step.lacks(desk)
    if lacking:
        unmet = _unmet(desk) if step.job == "activate" else ""
        return None, (SHORT if unmet else SKIPPED), lacking + unmet
    try:
        result = step.run(desk)
    except CaseError as fault:
        return None, REFUSED, "; ".join(map(str, fault.issues))
    except SolverError as fault:
        return None, REFUSED, str(fault)
    return result, result.status, ""


def _unmet(desk: Desk) -> str:
    """Say what the TSO needs where there is no bid at all; "" if nothing."""
    need = desk.case.active_need["p_mw"]
    wanted = need[need > COVERED_MW]
    if wanted.empty or len(desk.case.active_bids):
        return ""
    return f": {wanted.sum() * desk.case.horizon.hours:.6g} MWh that the TSO needs are not covered"
