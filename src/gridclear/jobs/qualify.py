"""Traffic-light qualification of marked active-power bids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.jobs.bids import Bids, resolve_bids
from gridclear.jobs.flow import device_table, hunting_periods, status_of
from gridclear.jobs.lights import Verdict, light_table
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.jobs.violations import base_violations
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.base import BaseState, base_state
from gridclear.powerflow.rays import first_crossing
from gridclear.powerflow.scenarios import Activations, Scan, Scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from gridclear.case import Case
    from gridclear.network.network import Floats, Ints

GUARANTEES = ("each",)
DEVICES = ("scheduled",)


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
    watch = Stopwatch()
    with watch.phase("compile"):
        network = compile_case(case) if compiled is None else compiled
        bids = resolve_bids(network)
    with watch.phase("base"):
        scenarios = Scenarios(network, threads)
        base = base_state(scenarios)
    with watch.phase("lights"):
        verdict = _judge(scenarios, base, bids, progress)
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
    scenarios: Scenarios,
    base: BaseState,
    bids: Bids,
    progress: Callable[[int, int], None] | None,
) -> Verdict:
    """Largest safe share of every ray, then what bid conditions leave of it, confirmed and with witnesses."""
    period = bids.activations.period
    rays = np.flatnonzero(bids.connected & base.solved[period])
    violation = _Violation(scenarios, base, bids.activations.part(rays))
    crossing = first_crossing(violation, violation.at_nothing(), progress)
    verdict = Verdict.empty(len(bids.offered))
    verdict.searched[rays] = True
    verdict.free[rays], verdict.which[rays] = crossing.safe, crossing.which
    verdict.share[:], verdict.decisive[:] = bids.conditions(verdict.free)

    # In full: the last sample of the search was the power flow at the accepted amount.
    full = verdict.share[rays] >= 1.0
    verdict.confirmed[rays[full]] = crossing.over_at_full[full] <= TOLERANCE
    verdict.over[rays[full]] = crossing.over_at_full[full]
    # Less than in full: a power flow of its own at the accepted amount, and one at the full offer for the
    # witness.
    less = np.flatnonzero(~full)
    over, value = violation.confirm(less, verdict.share[rays[less]], crossing.which[less])
    verdict.confirmed[rays[less]] = over <= TOLERANCE
    verdict.value[rays[less]] = value
    _, verdict.value_at_full[rays[less]] = violation.confirm(less, np.ones(len(less)), crossing.which[less])
    return verdict


class _Violation:
    """Worst violation along the rays of the bids; see ``rays.Violation``."""

    def __init__(self, scenarios: Scenarios, base: BaseState, activations: Activations) -> None:
        self._scenarios, self._base, self._activations = scenarios, base, activations
        self._setting = base.setting[activations.period]

    def at_nothing(self) -> Floats:
        """Violation of the base state, by ray."""
        periods = np.arange(len(self._base.solved), dtype=np.int64)
        scan = self._scenarios.scan(Activations.none(periods), self._base.setting, self._base.limits)
        return scan.high[self._activations.period]

    def __call__(self, ray: Ints, share: Floats) -> tuple[Floats, Ints]:
        scan = self._scan(ray, share, None)
        return np.where(scan.solved, scan.high, np.inf), scan.which

    def confirm(self, ray: Ints, share: Floats, constraint: Ints) -> tuple[Floats, Floats]:
        """Worst violation at the accepted shares, and one constraint's value there."""
        scan = self._scan(ray, share, constraint)
        return np.where(scan.solved, scan.high, np.inf), scan.probed

    def _scan(self, ray: Ints, share: Floats, probe: Ints | None) -> Scan:
        part = self._activations.part(ray, share)
        return self._scenarios.scan(part, self._setting[ray], self._base.limits, probe)
