"""How far units may be activated, on top of what already is: judged by power flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.reaction import in_pieces
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.rays import Crossing, first_crossing
from gridclear.powerflow.regulators import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.base import BaseState
    from gridclear.powerflow.scenarios import Scenarios


@dataclass(frozen=True, eq=False)
class Search:
    """Judges activations against the effective limits of a base state.

    Parameters
    ----------
    scenarios : Scenarios
    base : BaseState
        Its effective limits count.
    setting : (period,) of int
        Where the devices stand before anything is activated.
    reacts : bool
        Automatic tap changers react: a state counts before they do and after they have settled.
    """

    scenarios: Scenarios
    base: BaseState
    setting: Ints
    reacts: bool

    def at_nothing(self) -> tuple[Floats, Ints]:
        """Worst violation before anything is activated, and its constraint, by period."""
        periods = np.arange(len(self.setting), dtype=np.int64)
        return self.violation(Activations.none(periods), self.setting)

    def crossing(
        self,
        units: Activations,
        setting: Ints,
        at_nothing: Floats,
        progress: Callable[[int, int], None] | None = None,
    ) -> Crossing:
        """First crossing of every unit.

        Parameters
        ----------
        units : Activations
            Full activation of each, on the ground of what is activated already.
        setting : (unit,) of int
            Where the devices stand before.
        at_nothing : (unit,)
            Violation without the unit.
        progress : callable, optional
        """

        def violation(ray: Ints, share: Floats) -> tuple[Floats, Ints]:
            return self.violation(units.part(ray, share), setting[ray])

        if not self.bends:
            return first_crossing(violation, at_nothing, progress)
        found = first_crossing(violation, at_nothing, chained=True)
        if self._curved:
            found = in_pieces(units, setting, found, self.violation, self._pieces)
        if self.reacts:
            found = in_pieces(units, setting, found, self.violation, self._settled_pieces)
        return found

    @property
    def bends(self) -> bool:
        """Whether something reacts along a ray, so that violations may jump or have corners there."""
        return self.reacts or self._curved

    @property
    def _curved(self) -> bool:
        return self.scenarios.compiled.reactions is not None

    def _pieces(self, activations: Activations, setting: Ints) -> Ints:
        """Tell pieces of rays apart by setting and by the pieces of the curves: (scenario, 1 + inverter)."""
        return np.hstack([setting[:, None], self.scenarios.pieces(activations, setting)])

    def _settled_pieces(self, activations: Activations, setting: Ints) -> Ints:
        """Tell pieces apart likewise after the devices have reacted."""
        return self._pieces(activations, self.settled(activations, setting))

    def violation(self, activations: Activations, setting: Ints) -> tuple[Floats, Ints]:
        """Find the worst violation of scenarios and its constraint; +inf and -1 without solution."""
        scan = self.scenarios.scan(activations, setting, self.base.limits)
        return np.where(scan.solved, scan.high, np.inf), scan.which

    def settled(self, activations: Activations, setting: Ints) -> Ints:
        """Find the settings of scenarios after the devices have reacted, if they do."""
        return settle(self.scenarios, activations, setting).setting if self.reacts else setting

    def confirm(self, activations: Activations, setting: Ints, constraint: Ints) -> tuple[Floats, Floats]:
        """Worst violation of scenarios, +inf without solution, and the value of one constraint in each.

        Where devices react, of the states before and after the one that is worse.
        """
        worst = np.full(len(activations), -np.inf)
        value = np.full(len(activations), np.nan)
        for positions in [setting, self.settled(activations, setting)][: 1 + self.reacts]:
            scan = self.scenarios.scan(activations, positions, self.base.limits, constraint)
            over = np.where(scan.solved, scan.high, np.inf)
            value = np.where(over > worst, scan.probed, value)
            worst = np.maximum(worst, over)
        return worst, value
