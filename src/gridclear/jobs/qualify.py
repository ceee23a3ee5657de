"""Traffic-light qualification of marked active-power bids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridclear.errors import OptionError
from gridclear.jobs.any_subset import judge_any_subset
from gridclear.jobs.bids import Bids, resolve_bids
from gridclear.jobs.each import judge_each
from gridclear.jobs.flow import device_table, hunting_periods, status_of
from gridclear.jobs.lights import light_table
from gridclear.jobs.merit_order import judge_in_merit_order
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.search import Search
from gridclear.jobs.violations import base_violations
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.optimise.allotment import ALLOTMENTS
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.jobs.verdict import Verdict

GUARANTEES = ("each", "merit-order", "any-subset")
DEVICES = ("scheduled", "automatic")


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
    devices : DataFrame
        start, element_type, element, position: the setting that the lights rely on.
    violations : DataFrame
        Base violations, as in ``Flow``.
    """

    lights: pd.DataFrame
    devices: pd.DataFrame
    violations: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"lights": self.lights, "devices": self.devices, "violations": self.violations}


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
    guarantee : {"each"}
        ``each``: every bid alone is safe, from nothing to the accepted amount, all others idle.
    devices : {"scheduled"}
        ``scheduled``: taps and banks stay where the base state has them, settled regulators included.
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
        Unknown guarantee or devices.
    """
    if guarantee not in GUARANTEES:
        raise OptionError(f"guarantee is '{guarantee}'; it must be one of {', '.join(GUARANTEES)}")
    if devices not in DEVICES:
        raise OptionError(f"devices is '{devices}'; it must be one of {', '.join(DEVICES)}")
    if allotment not in ALLOTMENTS:
        raise OptionError(f"allotment is '{allotment}'; it must be one of {', '.join(ALLOTMENTS)}")
    if guarantee == "any-subset" and devices != "scheduled":
        raise OptionError(
            f"devices is '{devices}'; with any-subset it must be scheduled: a box cannot be promised while"
            " regulators move"
        )
    watch = Stopwatch()
    with watch.phase("compile"):
        network = compile_case(case) if compiled is None else compiled
        bids = resolve_bids(network)
    with watch.phase("base"):
        scenarios = Scenarios(network, threads)
        base = base_state(scenarios)
    with watch.phase("lights"):
        search = Search(scenarios, base, base.setting, reacts=devices == "automatic")
        verdict = _judge(search, bids, guarantee, allotment, progress)
    with watch.phase("tables"):
        options: dict[str, object] = {"guarantee": guarantee, "devices": devices}
        status = status_of(base)
        return Qualification(
            status="qualified" if status == "solved" else status,
            provenance=provenance("tlq", case, options, watch) | {"hunting": hunting_periods(case, base)},
            lights=light_table(network, base, bids, verdict),
            devices=device_table(network, base.positions),
            violations=base_violations(network, base),
        )


def _judge(
    search: Search, bids: Bids, guarantee: str, allotment: str, progress: Callable[[int, int], None] | None
) -> Verdict:
    """Verdicts under one guarantee."""
    if guarantee == "merit-order":
        return judge_in_merit_order(search, bids, progress)
    if guarantee == "any-subset":
        return judge_any_subset(search, bids, allotment, progress)
    return judge_each(search, bids, progress)
