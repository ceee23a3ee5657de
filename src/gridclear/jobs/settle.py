"""Settlement of a clearing: what bids are paid, and what the operator and the TSO bear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridclear.errors import OptionError, SolverError
from gridclear.jobs.agreed import agreed_terms, check_origin
from gridclear.jobs.bill import bill_of, point_weights
from gridclear.jobs.clear import Clearing, clear
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.settled import (
    NO_OWN,
    agents_table,
    days_table,
    metering_state,
    periods_table,
    prices_table,
    shares_table,
    statements_table,
    unmetered,
)
from gridclear.jobs.settlement import share_out
from gridclear.optimise.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.network.compiled import CompiledCase


@dataclass(frozen=True, eq=False)
class Settlement(Result):
    """Who gets and who bears what, to the cent.

    ``status`` is ``settled`` (every accepted bid is metered), ``provisional`` (some are not: ``provenance``
    names them, and they are paid by schedule until they are), ``scheduled`` (nothing is metered: the bill is
    that of the schedule) or ``partial`` (the operator's own clearing has no solution: nobody's share is
    known).

    Attributes
    ----------
    shares : DataFrame
        start, connection_point, service_eur, dso_share_eur, tso_share_eur, decision; ``decision`` as below.
    agents : DataFrame
        start, bid, product, direction, scheduled, metered, energy, beyond, price_eur, paid_eur, penalty_eur,
        state: accepted bids, amounts in their direction. MW and MWh where ``product`` is ``active``, Mvar and
        Mvarh where it is ``reactive``. ``energy`` is paid, ``beyond`` lies beyond the tolerance. ``state``:
        ``metered`` or ``not-metered``.
    periods : DataFrame
        start, paid_eur, penalty_eur, moves_eur, losses_eur, service_eur, planned_eur, own_eur: the cost of
        the service, the same by schedule, and that of the clearing without the request.
    prices : DataFrame
        start, product, direction, price_eur: of the dearest accepted bid, which ``pay-as-clear`` pays to all.
    statements : DataFrame
        day, bid, product, energy, paid_eur, penalty_eur, amount_eur: of every agent by UTC day.
    days : DataFrame
        day, connection_point, service_eur, dso_share_eur, tso_share_eur.
    decision : str
        ``decided``; ``undecided`` (the clearings differ by no more than their two gaps, or the one without
        the request costs more); ``gap-unknown`` (one of them has no bound); ``no-own-clearing``.
    """

    shares: pd.DataFrame
    agents: pd.DataFrame
    periods: pd.DataFrame
    prices: pd.DataFrame
    statements: pd.DataFrame
    days: pd.DataFrame
    decision: str

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        names = ("shares", "agents", "periods", "prices", "statements", "days")
        return {name: getattr(self, name) for name in names}


def settle(
    case: Case,
    clearing: Clearing,
    *,
    pricing: str | None = None,
    tolerance_percent: float | None = None,
    penalty_eur_mwh: float | None = None,
    penalty_eur_mvarh: float | None = None,
    own: Clearing | None = None,
    deadline_s: float | None = None,
    threads: int | None = None,
    compiled: CompiledCase | None = None,
) -> Settlement:
    """Settle a clearing: the operator bears what it would have cost without the request, the TSO the rest.

    Parameters
    ----------
    case : Case
        That was cleared; its ``metered`` and its ``settlement`` may be other ones by now. Not changed.
    clearing : Clearing
    pricing : {"pay-as-bid", "pay-as-clear"}, optional
        What accepted bids are paid: their own price, or that of the dearest accepted bid of the same period,
        product and direction. The clearing without the request is priced alike. This and the next three are
        by default what the case says in its ``settlement``.
    tolerance_percent : float, optional
        Of the scheduled amount, from 0 to 100: what is metered within it counts as delivered.
    penalty_eur_mwh, penalty_eur_mvarh : float, optional
        Price of what is metered beyond the tolerance, too little or too much.
    own : Clearing, optional
        The clearing without the TSO's request. By default it is done with the options of ``clearing``.
    deadline_s : float, optional
        Seconds for it.
    threads : int, optional
        As in ``solve_batch``.
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    Settlement

    Raises
    ------
    OptionError
        An option is none of those, or a clearing is not of this case.
    SolverError
        The clearing has no confirmed schedule: there is nothing to settle.
    """
    terms = agreed_terms(
        case.settlement,
        {
            "pricing": pricing,
            "tolerance_percent": tolerance_percent,
            "penalty_eur_mwh": penalty_eur_mwh,
            "penalty_eur_mvarh": penalty_eur_mvarh,
        },
    )
    for name, one, request in (("clearing", clearing, True), ("own", own, False)):
        if one is not None:
            _check_clearing(case, name, one, request=request)
    if clearing.status == "no-solution":
        raise SolverError("the clearing has no confirmed schedule: there is nothing to settle")
    watch = Stopwatch()
    with watch.phase("own"):
        own = _own_clearing(case, clearing, deadline_s, threads, compiled) if own is None else own
    with watch.phase("money"):
        bill, own_bill = bill_of(case, clearing, terms), bill_of(case, own, terms)
        weights = point_weights(case, clearing, own)
        shares = share_out(bill.planned_cost, own_bill.planned_cost, bill.final_cost, weights)
        decision = _decision(clearing, own, in_range=shares.in_range)
    with watch.phase("tables"):
        agents, parts = agents_table(case, bill), shares_table(case, shares, decision)
        products = ("reactive", "active") if _options(clearing)["market"] == "common" else ("reactive",)
        return Settlement(
            status="partial" if decision == NO_OWN else metering_state(case, agents, products),
            provenance=provenance("settle", case, dict(vars(terms)), watch)
            | {
                "not_metered": unmetered(agents),
                "clearing": _summary(clearing),
                "own_clearing": _summary(own),
                "decision": decision,
            },
            shares=parts,
            agents=agents,
            periods=periods_table(case, bill, own_bill, decision),
            prices=prices_table(case, bill),
            statements=statements_table(agents),
            days=days_table(parts),
            decision=decision,
        )


def _check_clearing(case: Case, name: str, clearing: Clearing, *, request: bool) -> None:
    """Refuse a clearing of another case, or one with the request for one without."""
    check_origin(case, name, clearing)
    if _options(clearing)["request"] is not request:
        raise OptionError(f"{name} must be a clearing with request={request}")


def _own_clearing(
    case: Case,
    clearing: Clearing,
    deadline_s: float | None,
    threads: int | None,
    compiled: CompiledCase | None,
) -> Clearing:
    """Clear without the request, by the options of the clearing with it."""
    options = _options(clearing)
    if options["algorithm"] not in ALGORITHMS:
        name = options["algorithm"]
        raise OptionError(f"own is needed: the clearing was made by '{name}', which has to make it, too")
    return clear(
        case,
        algorithm=str(options["algorithm"]),
        devices=str(options["devices"]),
        market=str(options["market"]),
        request=False,
        bound=bool(options["bound"]),
        deadline_s=deadline_s,
        threads=threads,
        compiled=compiled,
    )


def _options(clearing: Clearing) -> dict[str, object]:
    options = clearing.provenance["options"]
    return dict(options) if isinstance(options, dict) else {}


def _summary(clearing: Clearing) -> dict[str, object]:
    """Pick what tells how good a clearing is."""
    return {name: getattr(clearing, name) for name in ("status", "cost_eur", "bound_eur", "gap")}


def _decision(clearing: Clearing, own: Clearing, *, in_range: bool) -> str:
    """Say whether the difference of two clearings means anything beside what they may still miss."""
    if own.status == "no-solution":
        return NO_OWN
    missed = [one.cost_eur - one.bound_eur for one in (clearing, own)]
    if not all(map(math.isfinite, missed)):
        return "gap-unknown"
    apart = clearing.cost_eur - own.cost_eur
    return "decided" if in_range and apart > sum(missed) else "undecided"
