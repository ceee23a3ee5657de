"""How far units may be activated, on top of what already is: judged by power flows at the base's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.activations import Activations
from gridclear.powerflow.rays import Crossing, Glance, first_crossing, glance

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.base import BaseState
    from gridclear.powerflow.scenarios import Scenarios


@dataclass(frozen=True, eq=False)
class Search:
    """Looks for the first crossing of many units at once.

    Parameters
    ----------
    scenarios : Scenarios
    base : BaseState
        Its effective limits count, at its settings.
    """

    scenarios: Scenarios
    base: BaseState

    def at_nothing(self) -> Floats:
        """Violation of the base state, by period."""
        periods = np.arange(len(self.base.solved), dtype=np.int64)
        return self.scenarios.scan(Activations.none(periods), self.base.setting, self.base.limits).high

    def crossing(
        self,
        units: Activations,
        below: Activations,
        at_nothing: Floats,
        progress: Callable[[int, int], None] | None = None,
    ) -> Crossing:
        """First crossing of every unit.

        Parameters
        ----------
        units : Activations
            Full activation of each.
        below : Activations
            What is activated already, by unit.
        at_nothing : (unit,)
            Violation without the unit.
        progress : callable, optional
        """
        return first_crossing(self._violation(units, below), at_nothing, progress)

    def glance(self, units: Activations, below: Activations) -> Glance:
        """Tell units that are safe in full or not at all; arguments as in ``crossing``."""
        return glance(self._violation(units, below), len(units))

    def confirm(self, activations: Activations, constraint: Ints) -> tuple[Floats, Floats]:
        """Worst violation of scenarios, +inf without solution, and the value of one constraint in each."""
        setting = self.base.setting[activations.period]
        scan = self.scenarios.scan(activations, setting, self.base.limits, constraint)
        return np.where(scan.solved, scan.high, np.inf), scan.probed

    def _violation(
        self, units: Activations, below: Activations
    ) -> Callable[[Ints, Floats], tuple[Floats, Ints]]:
        def violation(ray: Ints, share: Floats) -> tuple[Floats, Ints]:
            lanes = units.part(ray, share).on_top_of(below.part(ray))
            scan = self.scenarios.scan(lanes, self.base.setting[lanes.period], self.base.limits)
            return np.where(scan.solved, scan.high, np.inf), scan.which

        return violation
