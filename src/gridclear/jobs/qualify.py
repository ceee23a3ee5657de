"""Traffic-light qualification of marked active-power bids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gridclear.errors import OptionError
from gridclear.jobs.any_subset import judge_any_subset
from gridclear.jobs.bids import Bids, resolve_bids
from gridclear.jobs.dead_bands import DeadBands, dead_bands
from gridclear.jobs.each import judge_each
from gridclear.jobs.flow import device_table, restless_periods, status_of
from gridclear.jobs.lights import accepted_shares, light_table
from gridclear.jobs.merit_order import judge_in_merit_order
from gridclear.jobs.optimised import optimised_setting
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.search import Search
from gridclear.jobs.summary import constraint_table, cost_table
from gridclear.jobs.violations import base_violations
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.optimise.allotment import ALLOTMENTS
from gridclear.powerflow.base import base_state
from gridclear.powerflow.lanes import TOLERANCE_MVA
from gridclear.powerflow.scenarios import EXACT_MVA, Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.verdict import Verdict

GUARANTEES = ("each", "merit-order", "any-subset")
DEVICES = ("scheduled", "automatic", "optimised")


@dataclass(frozen=True, eq=False)
class Qualification(Result):
    """Lights of the marked bids.

    ``status`` is ``qualified``, ``partial`` (some periods have no base solution: their bids are red) or
    ``no-solution`` (none has one).

    Attributes
    ----------
    lights : DataFrame
        start, bid, light, offered_mw, accepted_mw, price_eur_mwh, kind, element_type, element, value, limit,
        value_at_full, reason; one row per bid row of the case, in its order.
    constraints : DataFrame
        kind, element_type, element, yellow, red, periods, held_back_mwh: what stops bids, the worst first.
    costs : DataFrame
        start, direction, offered_mw, each_mw, accepted_mw, cost_mw: what the guarantee lets through beside
        what is safe bid by bid.
    devices : DataFrame
        start, element_type, element, position: the setting that the lights rely on.
    violations : DataFrame
        Base violations, as in ``Flow``.
    """

    lights: pd.DataFrame
    constraints: pd.DataFrame
    costs: pd.DataFrame
    devices: pd.DataFrame
    violations: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {
            "lights": self.lights,
            "constraints": self.constraints,
            "costs": self.costs,
            "devices": self.devices,
            "violations": self.violations,
        }


def qualify(
    case: Case,
    *,
    guarantee: str = "each",
    allotment: str = "merit-order",
    devices: str = "scheduled",
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    compiled: CompiledCase | None = None,
) -> Qualification:
    """Say of every marked bid how many MW may be activated without hurting the grid.

    Parameters
    ----------
    case : Case
        Not changed.
    guarantee : {"each", "merit-order", "any-subset"}
        ``each``: every bid alone is safe, from nothing to the accepted amount, all others idle.
        ``merit-order``: every bid is safe on top of the cheaper ones that were accepted before it.
        ``any-subset``: whatever part of the accepted amounts is activated is safe.
    allotment : {"merit-order", "pro-rata", "most-mw"}
        Who gets the room that ``any-subset`` leaves: the cheapest first, all the same share, or whoever makes
        the sum of megawatts largest.
    devices : {"scheduled", "automatic", "optimised"}
        ``scheduled``: taps and banks stay where the base state has them, settled regulators included.
        ``automatic``: regulators react to an activation; an amount is safe only if it is before they do and
        after they have settled; with ``any-subset`` none has to act, whatever part is activated.
        ``optimised``: what the case lets the operator re-set is re-set once per period, within its moves, so
        that more passes; ``devices`` of the result says how.
    threads : int, optional
        As in ``solve_batch``; the lights do not depend on it.
    progress : callable, optional
        Called with (bid rows done, all).
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    Qualification
        Every light with its witness, every accepted amount confirmed by an AC power flow.

    Raises
    ------
    CaseError
        The case has no ``active_bids``, or holds what gridclear does not represent.
    OptionError
        Unknown guarantee, allotment or devices.
    """
    if guarantee not in GUARANTEES:
        raise OptionError(f"guarantee is '{guarantee}'; it must be one of {', '.join(GUARANTEES)}")
    if devices not in DEVICES:
        raise OptionError(f"devices is '{devices}'; it must be one of {', '.join(DEVICES)}")
    if allotment not in ALLOTMENTS:
        raise OptionError(f"allotment is '{allotment}'; it must be one of {', '.join(ALLOTMENTS)}")
    watch = Stopwatch()
    with watch.phase("compile"):
        network = compile_case(case) if compiled is None else compiled
        bids = resolve_bids(network)
    with watch.phase("base"):
        # Bids begin where others ended: to the last digit, not to the tolerance of one state.
        tolerance_mva = EXACT_MVA if guarantee == "merit-order" else TOLERANCE_MVA
        scenarios = Scenarios(network, threads, tolerance_mva=tolerance_mva)
        base = base_state(scenarios)
    with watch.phase("lights"):
        search = Search(scenarios, base, base.setting, reacts=devices == "automatic")
        if devices == "optimised":
            search = replace(search, setting=optimised_setting(search, bids))
        each = judge_each(replace(search, scenarios=scenarios.at(TOLERANCE_MVA)), bids, progress)
        bands = dead_bands(network, base) if search.reacts and guarantee == "any-subset" else None
        verdict = judge(search, bids, each, guarantee, allotment, bands, progress)
    with watch.phase("tables"):
        options: dict[str, object] = {
            "guarantee": guarantee,
            "allotment": allotment,
            "devices": devices,
        }
        lights = light_table(network, base, bids, verdict, bands)
        status = status_of(base)
        return Qualification(
            status="qualified" if status == "solved" else status,
            provenance=provenance("tlq", case, options, watch) | restless_periods(case, base),
            lights=lights,
            constraints=constraint_table(lights, hours=case.horizon.hours),
            costs=cost_table(case, bids, accepted_shares(bids, each), accepted_shares(bids, verdict)),
            devices=device_table(network, scenarios.positions(search.setting)),
            violations=base_violations(network, base),
        )


def judge(
    search: Search,
    bids: Bids,
    each: Verdict,
    guarantee: str,
    allotment: str,
    bands: DeadBands | None,
    progress: Callable[[int, int], None] | None,
) -> Verdict:
    """Judge under one guarantee.

    Parameters
    ----------
    search : Search
    bids : Bids
    each : Verdict
        Of every item by itself.
    guarantee, allotment : str
        As of ``qualify``.
    bands : DeadBands or None
        Inside which regulators have to rest, for ``any-subset`` where they react.
    progress : callable, optional

    Returns
    -------
    Verdict
    """
    if guarantee == "merit-order":
        return judge_in_merit_order(search, bids, progress)
    if bands is not None:
        # Where no regulator acts, the state before is the state after.
        still = replace(search, base=replace(search.base, limits=bands.limits), reacts=False)
        alone = judge_each(still, bids)
        return judge_any_subset(still, bids, alone, allotment, progress, at_rest=True)
    if guarantee == "any-subset":
        return judge_any_subset(search, bids, each, allotment, progress)
    return each
