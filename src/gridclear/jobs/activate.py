"""The TSO's activation of active-power bids: merit order with the lights of the grid in the loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.needs import need_rows
from gridclear.errors import OptionError
from gridclear.jobs.activated import NO_BASE, accepted_table, confirm_together, price_table
from gridclear.jobs.agreed import market_hash
from gridclear.jobs.bids import resolve_bids
from gridclear.jobs.dead_bands import dead_bands
from gridclear.jobs.each import judge_each
from gridclear.jobs.flow import device_table, restless_periods, status_of
from gridclear.jobs.headroom import Headroom
from gridclear.jobs.lights import accepted_shares, light_table
from gridclear.jobs.merit_order import judge_and_take, take_known
from gridclear.jobs.needs import DIRECTIONS, Needs
from gridclear.jobs.optimised import optimised_setting
from gridclear.jobs.qualify import DEVICES, GUARANTEES, judge
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.search import Search
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.powerflow.base import base_state
from gridclear.powerflow.lanes import TOLERANCE_MVA
from gridclear.powerflow.scenarios import EXACT_MVA, Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.bids import Bids
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Activation(Result):
    """What the TSO activates.

    ``status`` is ``covered`` (all needs are), ``short`` (bids do not suffice somewhere: see ``prices``),
    ``partial`` (some periods have no base solution: no bid of this grid is taken there), ``unconfirmed``
    (with all that is taken, a power flow breaks a limit: see ``proof``; bids that are safe one by one need
    not be together) or ``no-solution`` (no period has a base solution).

    Attributes
    ----------
    accepted : DataFrame
        start, bid, direction, light, offered_mw, safe_mw, accepted_mw, supplied_mw, price_eur_mwh,
        clearing_price_eur_mwh, paid_eur, outcome, kind, element_type, element, value, limit, value_at_full,
        reason; one row per bid row of the case, in its order. ``safe_mw``: what the grid allows at its turn.
        ``supplied_mw``: what it covers of the need. ``outcome``: ``taken``, ``in-part``, ``not-needed`` (the
        need is covered at its turn; it is then not qualified by the guarantee ``merit-order``, and has no
        light), ``too-large`` (its least amount is more than is needed), ``used-up`` (its element can do no
        more with what is taken of it), ``red``, ``excluded`` (another one of its exclusive group is taken).
    prices : DataFrame
        start, direction, need_mw, accepted_mw, supplied_mw, shortfall_mw, price_eur_mwh, state; one row per
        need. The price is that of the dearest row taken, NaN if none is. ``state``: ``covered``, ``short`` or
        ``no-bids``.
    proof : DataFrame
        start, confirmed, mismatch_mva, losses_mw, kind, element_type, element, value, limit: one power flow
        per period with everything that is taken, its change of losses, and its tightest constraint.
    devices : DataFrame
        start, element_type, element, position: with everything taken.
    """

    accepted: pd.DataFrame
    prices: pd.DataFrame
    proof: pd.DataFrame
    devices: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {name: getattr(self, name) for name in ("accepted", "prices", "proof", "devices")}


def activate(
    case: Case,
    *,
    guarantee: str = "merit-order",
    devices: str = "scheduled",
    losses: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    compiled: CompiledCase | None = None,
) -> Activation:
    """Cover the TSO's need from the cheapest bids that the grid bears.

    Parameters
    ----------
    case : Case
        Its ``active_need`` is to be covered from its ``active_bids``. Not changed.
    guarantee : {"merit-order", "each", "any-subset"}
        How a bid of this grid is qualified before it is taken. ``merit-order``: on top of what has been taken
        before it. ``each``, ``any-subset``: as in ``qualify``, before anything is taken.
    devices : {"scheduled", "automatic", "optimised"}
        As in ``qualify``.
    losses : bool
        Whether a bid covers what the exchange with transmission changes by, losses that it causes or saves
        counted, or what it injects.
    threads : int, optional
        As in ``solve_batch``; the result does not depend on it.
    progress : callable, optional
        Called with (bid rows done, all).
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    Activation

    Raises
    ------
    CaseError
        The case has no ``active_need`` or no ``active_bids``, or holds what gridclear does not represent.
    OptionError
        Unknown guarantee or devices.

    Notes
    -----
    Both directions stand in one list, the cheapest first, a block at the mean price of its megawatts, equal
    prices by name. At its turn each bid is taken as far as it is safe, its element can do it beside what has
    been taken of it, and it covers no more than what is still needed in each of its periods; if that is less
    than its least amount it is passed over, for good.
    """
    if guarantee not in GUARANTEES:
        raise OptionError(f"guarantee is '{guarantee}'; it must be one of {', '.join(GUARANTEES)}")
    if devices not in DEVICES:
        raise OptionError(f"devices is '{devices}'; it must be one of {', '.join(DEVICES)}")
    need_rows(case, "active_need")
    watch = Stopwatch()
    with watch.phase("compile"):
        network = compile_case(case) if compiled is None else compiled
        bids = resolve_bids(network)
    with watch.phase("base"):
        chained = guarantee == "merit-order" or losses
        scenarios = Scenarios(network, threads, tolerance_mva=EXACT_MVA if chained else TOLERANCE_MVA)
        base = base_state(scenarios)
    with watch.phase("market"):
        search = Search(scenarios, base, base.setting, reacts=devices == "automatic")
        if devices == "optimised":
            search = replace(search, setting=optimised_setting(search, bids))
        headroom = Headroom(case, bids)
        needs = Needs(search, bids, _ways(case, bids), _need(case), headroom, losses=losses)
        bands = dead_bands(network, base) if search.reacts and guarantee == "any-subset" else None
        if guarantee == "merit-order":
            verdict, taken = judge_and_take(search, bids, needs, progress)
        else:
            each = judge_each(search, bids, progress)
            verdict = judge(search, bids, each, guarantee, "merit-order", bands, progress)
            taken = take_known(search, bids, accepted_shares(bids, verdict), needs)
    with watch.phase("confirm"):
        proof = confirm_together(search, bids, verdict, taken, threads)
    with watch.phase("tables"):
        lights = light_table(network, base, bids, verdict, bands)
        prices = price_table(case, bids, taken, needs)
        options: dict[str, object] = {"guarantee": guarantee, "devices": devices, "losses": losses}
        return Activation(
            status=_status(status_of(base), proof, prices),
            provenance=provenance("activate", case, options, watch)
            | {"market_hash": market_hash(case)}
            | restless_periods(case, base),
            accepted=accepted_table(case, bids, base.solved, lights, verdict, taken, needs, prices),
            prices=prices,
            proof=proof,
            devices=device_table(network, scenarios.positions(taken.setting)),
        )


def _ways(case: Case, bids: Bids) -> Ints:
    """Find the place of each unit's direction in ``DIRECTIONS``."""
    ways = np.zeros(len(bids.item), dtype=np.int64)
    ways[bids.unit] = case.active_bids["direction"].map(DIRECTIONS.index).to_numpy(dtype=np.int64)
    return ways


def _need(case: Case) -> Floats:
    """Need in MW, (period, direction)."""
    rows = case.active_need
    need = np.zeros((case.horizon.periods, len(DIRECTIONS)))
    way = rows["direction"].map(DIRECTIONS.index).to_numpy(dtype=np.int64)
    need[case.horizon.position(rows["start"]), way] = rows["p_mw"].to_numpy(dtype=np.float64)
    return need


def _status(base: str, proof: pd.DataFrame, prices: pd.DataFrame) -> str:
    """Say what was reached, the gravest first."""
    if base == "no-solution":
        return base
    if not (proof["confirmed"] | (proof["kind"] == NO_BASE)).all():
        return "unconfirmed"
    if base == "partial":
        return base
    return "covered" if (prices["state"] == "covered").all() else "short"
