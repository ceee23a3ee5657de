"""Market sessions one after the other, each going on from what the one before has decided."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import CaseError, Issue, OptionError
from gridclear.jobs.binding import binding_case, delivered_case
from gridclear.jobs.carried import Carried, carry_on, usable_clearing
from gridclear.jobs.flow import power_flow
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.session import run_session
from gridclear.network.injections import element_scaling
from gridclear.network.reactions import refuse_reactions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gridclear.case import Case
    from gridclear.jobs.session import Session


@dataclass(frozen=True, eq=False)
class Rolling(Result):
    """What sessions that go on from one another have decided.

    ``status`` is ``complete`` or ``partial`` (a session was not complete: ``sessions`` says which).

    Attributes
    ----------
    sessions : DataFrame
        start, periods, status, incomplete, seconds, cost_eur, confirmed, broken, broken_before; one row per
        session. ``incomplete`` names the jobs that gave no complete answer; ``cost_eur`` is that of its
        clearing (NaN without). ``broken`` counts the limits that the first period breaks as it is delivered,
        ``broken_before`` those that the session found broken there; ``confirmed``: the delivered period has
        a power flow.
    jobs : DataFrame
        session, job, status, complete, seconds, reason; as in ``Session.jobs``.
    taken : DataFrame
        session, start, product, bid, direction, element_type, element, amount, supplied_mw, price_eur, p_mw,
        q_mvar; what each session has taken of bids. ``amount`` is in the bid's direction, ``p_mw`` and
        ``q_mvar`` are changes of injection; ``product`` ``storage``: power that a clearing has decided.
    devices : DataFrame
        start, element_type, element, position, moves_today, energy_mwh; tap changers, banks and storages when
        the period that begins at ``start`` is over.
    exchange : DataFrame
        start, connection_point, p_mw, q_mvar; as delivered.
    violations : DataFrame
        start, kind, element_type, element, value, limit; as delivered.
    """

    sessions: pd.DataFrame
    jobs: pd.DataFrame
    taken: pd.DataFrame
    devices: pd.DataFrame
    exchange: pd.DataFrame
    violations: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        names = ("sessions", "jobs", "taken", "devices", "exchange", "violations")
        return {name: getattr(self, name) for name in names}


def roll(
    case: Case,
    *,
    sessions: int,
    periods: int = 28,
    guarantee: str = "each",
    devices: str = "scheduled",
    algorithm: str = "successive",
    pricing: str = "pay-as-bid",
    map_periods: int = 1,
    bound: bool = False,
    deadline_s: float | None = None,
    threads: int | None = None,
    each: Callable[[Case, Session], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Rolling:
    """Hold a session at the start of every period, each going on from the one before.

    Parameters
    ----------
    case : Case
        All periods of all sessions. Not changed.
    sessions : int
        How many; the first one begins with the case.
    periods : int
        Horizon of a session; towards the end of the case it shrinks.
    guarantee, devices, algorithm, pricing, map_periods, bound, deadline_s, threads
        Of every session, as in ``run_session``.
    each : callable, optional
        Called with the case and the result of every session. They are not kept.
    progress : callable, optional
        Called with (sessions held, all).

    Returns
    -------
    Rolling

    Raises
    ------
    CaseError
        The grid holds what gridclear does not represent, or bids are on what a session cannot go on from.
    OptionError
        More sessions than periods, or an option is none of those of ``run_session``.

    Notes
    -----
    What a session takes of bids is binding in all its periods if its power flows confirm it: it stands in the
    forecast of later sessions. Tap changers, banks and storages are decided anew but for the first period.
    """
    _check(case, sessions, periods)
    refuse_reactions(case, "nothing that sessions hand on")
    watch, carried = Stopwatch(), Carried.nothing()
    rows, jobs, delivered = [], [], []
    for number in range(sessions):
        began = time.perf_counter()
        length = min(periods, case.horizon.periods - number)
        with watch.phase("sessions"):
            own = binding_case(case, number, length, carried)
            session = run_session(
                own,
                guarantee=guarantee,
                devices=devices,
                algorithm=algorithm,
                pricing=pricing,
                map_periods=map_periods,
                in_turn=True,
                bound=bound,
                deadline_s=deadline_s,
                threads=threads,
            )
        with watch.phase("delivery"):
            carried = carry_on(own, session.parts, carried)
            there = power_flow(delivered_case(case, number, carried), threads=threads)
        start = own.horizon.start
        before = session.parts["flow"].tables["violations"]
        clearing = usable_clearing(session.parts)
        rows.append(
            {
                "start": start,
                "periods": length,
                "status": session.status,
                "incomplete": " ".join(session.jobs["job"][~session.jobs["complete"]]),
                "seconds": time.perf_counter() - began,
                "cost_eur": np.nan if clearing is None else clearing.cost_eur,
                "confirmed": there.status == "solved",
                "broken": len(there.violations),
                "broken_before": int((before["start"] == start).sum()),
            }
        )
        jobs.append(session.jobs.assign(session=start))
        delivered.append((there.exchange, there.violations, _devices(start, carried)))
        if each is not None:
            each(own, session)
        if progress is not None:
            progress(number + 1, sessions)
    table = pd.DataFrame(rows)
    options = {
        "sessions": sessions,
        "periods": periods,
        "guarantee": guarantee,
        "devices": devices,
        "algorithm": algorithm,
        "pricing": pricing,
        "map_periods": map_periods,
        "bound": bound,
        "deadline_s": deadline_s,
    }
    exchange, violations, positions = (_stacked(frames) for frames in zip(*delivered, strict=True))
    every = pd.concat(jobs, ignore_index=True)
    return Rolling(
        status="complete" if (table["status"] == "complete").all() else "partial",
        provenance=provenance("roll", case, options, watch),
        sessions=table,
        jobs=every[["session", *every.columns.drop("session")]],
        taken=carried.taken,
        devices=positions,
        exchange=exchange,
        violations=violations,
    )


def _stacked(frames: tuple[pd.DataFrame, ...]) -> pd.DataFrame:
    """Put tables below one another; empty ones would spoil the types of the others."""
    return pd.concat([frame for frame in frames if len(frame)] or [frames[0]], ignore_index=True)


def _devices(start: pd.Timestamp, carried: Carried) -> pd.DataFrame:
    """Rows as in ``Rolling.devices``."""
    rows = [
        (start, kind, name, position, carried.moves_today[kind, name], np.nan)
        for (kind, name), position in carried.positions.items()
    ]
    rows += [(start, "storage", name, np.nan, np.nan, mwh) for name, mwh in carried.energy_mwh.items()]
    columns = ["start", "element_type", "element", "position", "moves_today", "energy_mwh"]
    return pd.DataFrame(rows, columns=columns)


def _check(case: Case, sessions: int, periods: int) -> None:
    """Refuse what no session could go on from."""
    if not 1 <= sessions <= case.horizon.periods:
        raise OptionError(
            f"sessions is {sessions}; it must be from 1 to {case.horizon.periods}, the periods of the case"
        )
    if periods < 1:
        raise OptionError(f"periods is {periods}; it must be at least 1")
    issues = []
    lookup = case.grid.lookup("storage")
    decided = {lookup[name] for name in case.storage["element"][case.storage["p_mode"] == "optimised"]}
    for name in ("active_bids", "reactive_bids"):
        bids = case.table(name)
        pairs = bids[["element_type", "element"]].drop_duplicates()
        for table, element in zip(pairs["element_type"], pairs["element"], strict=True):
            if not element:
                continue
            index = case.grid.lookup(table)[element]
            if name == "active_bids" and table == "storage" and index in decided:
                what = f"the clearing decides the power of '{element}', and its bids would change it, too"
                expected = "p_mode scheduled, or no active bids of it"
                issues.append(Issue(name, element, "element", what, expected))
            scaling = element_scaling(case, table)[case.grid.tables[table].index.get_loc(index)]
            if scaling == 0.0:
                what = f"the scaling of {table} '{element}' is 0: no forecast of it can hold what is taken"
                issues.append(Issue(name, element, "element", what, "a scaling above 0"))
    if issues:
        raise CaseError(tuple(issues))
