"""Market sessions one after the other, each going on from what the one before has decided."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridclear.errors import CaseError, Issue, OptionError
from gridclear.jobs.agreed import agreed_terms
from gridclear.jobs.binding import binding_case, delivered_case, needs_table
from gridclear.jobs.carried import carry_on
from gridclear.jobs.delivery import Delivery, carried_from, delivery_of, stacked
from gridclear.jobs.flow import power_flow
from gridclear.jobs.ledger import amounts_by_day, ledger_of, owed_table
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.session import run_session
from gridclear.network.injections import element_scaling
from gridclear.network.reactions import refuse_reactions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.session import Session


@dataclass(frozen=True, eq=False)
class Rolling(Result):
    """What sessions that go on from one another have decided.

    ``status`` is ``complete`` or ``partial`` (a session was not complete: ``sessions`` says which).

    Attributes
    ----------
    sessions : DataFrame
        start, periods, status, incomplete, seconds, cost_eur, moves_eur, losses_eur, confirmed, broken,
        broken_before; one row per session. ``incomplete`` names the jobs that gave no complete answer;
        ``cost_eur`` is that of its clearing, ``moves_eur`` and ``losses_eur`` the parts of it in the first
        period (NaN without). ``broken`` counts the limits that the first period breaks as it is delivered,
        ``broken_before`` those that the session found broken there; ``confirmed``: the delivered period has
        a power flow.
    jobs : DataFrame
        session, job, status, complete, seconds, reason; as in ``Session.jobs``.
    taken : DataFrame
        session, start, product, bid, direction, element_type, element, amount, supplied_mw, price_eur, p_mw,
        q_mvar; what each session has taken of bids. ``amount`` is in the bid's direction, ``p_mw`` and
        ``q_mvar`` are changes of injection; ``product`` ``storage``: power that a clearing has decided.
    needs : DataFrame
        start, direction, need_mw, supplied_mw, shortfall_mw; needs of the TSO in the delivered periods, and
        what all sessions together have supplied of them.
    ledger : DataFrame
        start, session, product, bid, direction, scheduled, energy, price_eur, paid_eur; what bids are
        paid, as scheduled, in the delivered periods, by the session that has taken them.
    owed : DataFrame
        start, active_eur, reactive_eur, moves_eur, losses_eur, total_eur; sums of the ledger by delivered
        period, moves and losses by the session that begins there (NaN without a clearing).
    statements : DataFrame
        day, bid, product, energy, paid_eur; sums of the ledger by UTC day.
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
    needs: pd.DataFrame
    ledger: pd.DataFrame
    owed: pd.DataFrame
    statements: pd.DataFrame
    devices: pd.DataFrame
    exchange: pd.DataFrame
    violations: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        names = (
            "sessions",
            "jobs",
            "taken",
            "needs",
            "ledger",
            "owed",
            "statements",
            "devices",
            "exchange",
            "violations",
        )
        return {name: getattr(self, name) for name in names}


def roll(
    case: Case,
    *,
    sessions: int,
    periods: int = 28,
    guarantee: str = "each",
    devices: str = "scheduled",
    algorithm: str = "successive",
    pricing: str | None = None,
    map_periods: int = 1,
    bound: bool = False,
    deadline_s: float | None = None,
    threads: int | None = None,
    each: Callable[[Case, Session, Delivery], None] | None = None,
    earlier: Callable[[pd.Timestamp], Delivery | None] | None = None,
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
        Called with the case of every session that is held, its result, and what it leaves. They are not kept.
    earlier : callable, optional
        Called with the start of a session, the first one first: gives what an earlier run has left of it, or
        None. As long as that was left by the same case with the same options and versions, the session is
        not held again.
    progress : callable, optional
        Called with (sessions held, all).

    Returns
    -------
    Rolling

    Raises
    ------
    CaseError
        The grid holds what gridclear does not represent, or bids are on what a session cannot go on from.
        What ``earlier`` raises goes through, too.
    OptionError
        More sessions than periods, or an option is none of those of ``run_session``.

    Notes
    -----
    What a session takes of bids is binding in all its periods if its power flows confirm it: it stands in the
    forecast of later sessions. Tap changers, banks and storages are decided anew but for the first period.
    """
    _check(case, sessions, periods)
    refuse_reactions(case, "nothing that sessions hand on")
    watch, terms = Stopwatch(), agreed_terms(case.settlement, {"pricing": pricing})
    options = {
        "periods": periods,
        "guarantee": guarantee,
        "devices": devices,
        "algorithm": algorithm,
        "pricing": terms.pricing,
        "map_periods": map_periods,
        "bound": bound,
        "deadline_s": deadline_s,
    }
    origin = provenance("delivery", case, options, watch)
    horizons = [(number, min(periods, case.horizon.periods - number)) for number in range(sessions)]
    deliveries: list[Delivery] = []
    for number, length in horizons:
        start = case.horizon.starts[number]
        left = None if earlier is None else earlier(start)
        if left is None or not left.is_of(_after(deliveries, origin), start, length):
            break
        deliveries.append(left)
    there_already = len(deliveries)
    for number, length in horizons[there_already:]:
        began, before = time.perf_counter(), carried_from(deliveries)
        with watch.phase("sessions"):
            own = binding_case(case, number, length, before)
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
            carried = carry_on(own, session.parts, before)
            there = power_flow(delivered_case(case, number, carried), threads=threads)
        seconds = time.perf_counter() - began
        deliveries.append(
            delivery_of(own, session, terms, before, there, carried, _after(deliveries, origin), seconds)
        )
        if each is not None:
            each(own, session, deliveries[-1])
        if progress is not None:
            progress(number + 1, sessions)
    rows = stacked([one.session for one in deliveries])
    taken = carried_from(deliveries).taken
    ledger = ledger_of([one.owed for one in deliveries], rows["start"])
    return Rolling(
        status="complete" if (rows["status"] == "complete").all() else "partial",
        provenance=provenance("roll", case, {"sessions": sessions, **options}, watch)
        | {"taken_over": there_already},
        sessions=rows,
        jobs=stacked([one.jobs for one in deliveries]),
        taken=taken,
        needs=needs_table(case, taken, rows["start"]),
        ledger=ledger,
        owed=owed_table(rows, ledger),
        statements=amounts_by_day(ledger),
        devices=stacked([one.devices for one in deliveries]),
        exchange=stacked([one.exchange for one in deliveries]),
        violations=stacked([one.violations for one in deliveries]),
    )


def _after(deliveries: list[Delivery], origin: Mapping[str, object]) -> dict[str, object]:
    """Provenance of what the session after these leaves."""
    return {**origin, "follows": deliveries[-1].mark if deliveries else ""}


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
