"""How far units may be activated, on top of what already is: judged by power flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.reaction import bends, reacting_crossing
from gridclear.network.limits import sides
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.rays import FINE, Crossing, bound_from, first_crossing
from gridclear.powerflow.regulators import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.base import BaseState
    from gridclear.powerflow.scenarios import Scenarios

#: Parts in which a ray is looked at for bends of curves where rays are many, and how near they are found.
_BEND_PARTS, _BEND = 2, 1e-7


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
        if self.bends:
            return self.bent_crossing(units, setting)

        def violation(ray: Ints, share: Floats) -> tuple[Floats, Ints]:
            return self.violation(units.part(ray, share), setting[ray])

        return first_crossing(violation, at_nothing, progress)

    def bent_crossing(self, units: Activations, setting: Ints) -> Crossing:
        """Find the first crossings where something reacts; ``units`` and ``setting`` as in ``crossing``."""
        stretch = self._along if self.curved else self._climbed
        marks = [self._curve_pieces] * self.curved + [self._settled_pieces] * self.reacts
        return reacting_crossing(units, setting, stretch, self.violation, marks)

    def _climbed(self, units: Activations, begin: Floats, end: Floats, setting: Ints) -> Crossing:
        """Search stretches of rays along which nothing reacts, in compiled code."""
        every = np.arange(len(units))
        start, way = units.part(every, begin), units.part(every, end - begin)
        return self.climb(start, way, np.arange(len(units) + 1), setting, np.full(len(units), np.inf))

    def _along(self, units: Activations, begin: Floats, end: Floats, setting: Ints) -> Crossing:
        """Search stretches of rays along which inverters stay on their curves."""

        def violation(ray: Ints, share: Floats) -> tuple[Floats, Ints]:
            return self.violation(units.part(ray, begin[ray] + share * (end - begin)[ray]), setting[ray])

        every = np.arange(len(units))
        nothing, _ = violation(every, np.zeros(len(units)))
        return first_crossing(violation, nothing, bound=bound_from(nothing), resolution=FINE)

    def curve_bends(self, rays: Activations, setting: Ints) -> tuple[Ints, Floats]:
        """Find where inverters go from one piece of their curves to another: rays, and shares just before."""
        return bends(rays, setting, self._curve_pieces, _BEND_PARTS, _BEND)

    def _curve_pieces(self, activations: Activations, setting: Ints) -> tuple[Ints, Floats]:
        """Tell pieces of rays apart by setting and by the pieces of the curves: (scenario, 1 + inverter).

        And where on its piece each is, so that the next one can be told beforehand.
        """
        piece, place = self.scenarios.pieces(activations, setting)
        return np.hstack([setting[:, None], piece]), place

    def _settled_pieces(self, activations: Activations, setting: Ints) -> tuple[Ints, Floats]:
        """Tell pieces apart likewise after the devices have reacted."""
        return self._curve_pieces(activations, self.settled(activations, setting))

    @property
    def bends(self) -> bool:
        """Whether something reacts along a ray, so that violations may jump or have corners there."""
        return self.reacts or self.curved

    @property
    def curved(self) -> bool:
        """Whether any inverter follows a curve."""
        return self.scenarios.compiled.reactions is not None

    def climb(
        self, begin: Activations, rays: Activations, first: Ints, setting: Ints, least: Floats
    ) -> Crossing:
        """Search tracks of rays as ``Scenarios.climb``, at the effective limits; nothing reacts."""
        return self.scenarios.climb(begin, rays, first, setting, self.base.limits, least)

    def violation(self, activations: Activations, setting: Ints) -> tuple[Floats, Ints]:
        """Find the worst violation of scenarios and its constraint; +inf and -1 without solution."""
        scan = self.scenarios.scan(activations, setting, self.base.limits)
        return np.where(scan.solved, scan.high, np.inf), scan.which

    def excess(self, activations: Activations, setting: Ints, constraint: Ints) -> Floats:
        """Find the violation of a constraint in each scenario, of the worst for -1; +inf without solution."""
        scan = self.scenarios.scan(activations, setting, self.base.limits, constraint)
        found = scan.high.copy()
        topology = self.scenarios.compiled.topology[activations.period]
        for number in np.unique(topology[constraint >= 0]).tolist():
            rows = np.flatnonzero((topology == number) & (constraint >= 0))
            asked = (activations.period[rows], constraint[rows])
            found[rows], _ = self.violations_of(number, *asked, scan.probed[rows])
        return np.where(scan.solved, found, np.inf)

    def violations_of(
        self, topology: int, period: Ints, constraint: Ints, value: Floats
    ) -> tuple[Floats, Floats]:
        """Violations of constraints in periods at values in the kernels' units, and their change by these.

        ``period`` and ``constraint`` are broadcast to the shape of ``value``.
        """
        compiled = self.scenarios.compiled
        sign, unit = sides(compiled.networks[topology], compiled.limits[topology], constraint)
        factor: Floats = sign / unit
        return factor * (value - self.base.limits.of(topology, period, constraint)), factor

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
