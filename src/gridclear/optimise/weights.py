"""The aims of a clearing in one currency: what each weighs beside the cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.tangents import PERCENT

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.problem import Problem

#: Weights of the aims: dearest offers that a Mvar outside its band is worth, Mvar that a per cent left
#: beyond a true limit is worth, and those per cent that one per cent beyond an effective limit is worth.
_SHORT, _UNCURED, _BROKEN = 50.0, 10.0, 1000.0
#: Mvar that all cures of a case are worth together, at most.
_ALL_CURES = 1e5
#: Distance beyond an effective limit, normalised, that states of a kept limit may show.
_KEPT = 0.1 * TOLERANCE


@dataclass(frozen=True, eq=False)
class Weights:
    """EUR per Mvar outside a band, per per cent uncured, per per cent broken, and for breaking at all."""

    short: float
    uncured: float
    broken: float
    breaks: float

    @classmethod
    def of(cls, problem: Problem) -> Weights:
        """Weights above every price of the problem."""
        offers, base = problem.offers, problem.compiled.s_base_mva
        size = np.maximum(np.abs(offers.p), np.abs(offers.q)) * base
        short = _SHORT * max(offers.dearest / base, 1.0)
        # More than the profile and all cures together could be worth.
        breaks = short * (base * float(np.abs(problem.requests.q).sum() + size.sum()) + _ALL_CURES)
        return cls(short, _UNCURED * short, _BROKEN * _UNCURED * short, breaks)

    def of_cure(self) -> Weights:
        """Weights that leave the profile aside."""
        return replace(self, short=0.0)

    def merit(self, point: Point) -> float:
        """Weigh a point's aims, EUR: less is better."""
        base = point.problem.compiled.s_base_mva
        short, beyond = float(np.nansum(point.shortfall)) * base, broken(point)
        return (
            point.cost
            + self.broken * PERCENT * beyond
            + self.breaks * (beyond > 0.0)
            + self.uncured * PERCENT * point.uncured
            + self.short * short
        )

    def cost(self, model: Model) -> Floats:
        """Costs of the program's columns with the aims weighed."""
        own, cost = model.columns, model.program.cost
        cost[own.short.ravel()] = self.short
        cost[list(own.uncured.values())] = self.uncured
        cost[own.broken] = self.broken
        return cost


def broken(point: Point) -> float:
    """Sum over the periods of the worst distance beyond an effective limit, normalised."""
    worst = [float(local.over.max(initial=0.0)) for local in point.local if local is not None]
    return sum(max(0.0, distance - _KEPT) for distance in worst)
