"""How far units may be activated, on top of what already is: judged by power flows at the base's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.activations import Activations
from gridclear.powerflow.rays import Crossing, first_crossing

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
        at_nothing: Floats,
        progress: Callable[[int, int], None] | None = None,
    ) -> Crossing:
        """First crossing of every unit.

        Parameters
        ----------
        units : Activations
            Full activation of each, on the ground of what is activated already.
        at_nothing : (unit,)
            Violation without the unit.
        progress : callable, optional
        """

        def violation(ray: Ints, share: Floats) -> tuple[Floats, Ints]:
            return self.violation(units.part(ray, share))

        return first_crossing(violation, at_nothing, progress)

    def violation(self, activations: Activations) -> tuple[Floats, Ints]:
        """Worst violation of scenarios and its constraint; +inf and -1 without solution."""
        setting = self.base.setting[activations.period]
        scan = self.scenarios.scan(activations, setting, self.base.limits)
        return np.where(scan.solved, scan.high, np.inf), scan.which

    def confirm(self, activations: Activations, constraint: Ints) -> tuple[Floats, Floats]:
        """Worst violation of scenarios, +inf without solution, and the value of one constraint in each."""
        setting = self.base.setting[activations.period]
        scan = self.scenarios.scan(activations, setting, self.base.limits, constraint)
        return np.where(scan.solved, scan.high, np.inf), scan.probed
