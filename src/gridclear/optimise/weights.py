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

    def of_profile(self) -> Weights:
        """Weights where the cure is kept as a sum, and no more is asked for."""
        return replace(self, uncured=0.0)

    def with_cures(self, price: float) -> Weights:
        """Weights by which cures are worth so many EUR per per cent more."""
        return replace(self, uncured=self.uncured + price)

    def merit(self, point: Point) -> float:
        """Weigh a point's aims, EUR: less is better."""
        moves = point.problem.costs(point.plan)[1]
        return float(self.merits(point).sum()) + moves + self.broken * PERCENT * excess(point)

    def merits(self, point: Point) -> Floats:
        """Weigh the aims of every period, (period,), EUR; what joins periods is left out: moves, and sums."""
        problem, base = point.problem, point.problem.compiled.s_base_mva
        offers, requests, periods = problem.offers, problem.requests, problem.periods
        paid = offers.cost * point.plan.share[offers.item]
        missed = base * np.nan_to_num(point.shortfall)
        lost, beyond = np.array([own.loss if own else 0.0 for own in point.local]), broken(point)
        found: Floats = (
            np.bincount(offers.period, weights=paid, minlength=periods)
            + problem.loss_price * lost
            + self.broken * PERCENT * beyond
            + self.breaks * (beyond > 0.0)
            + self.uncured * PERCENT * uncured(point)
            + self.short * np.bincount(requests.period, weights=missed, minlength=periods)
        )
        return found

    def cost(self, model: Model) -> Floats:
        """Costs of the program's columns with the aims weighed."""
        own, cost = model.columns, model.program.cost
        cost[own.short.ravel()] = self.short
        cost[list(own.uncured.values())] = self.uncured
        cost[own.broken] = cost[own.excess] = self.broken
        return cost


def broken(point: Point) -> Floats:
    """Worst distance beyond an effective limit in every period, normalised; rounding is none."""
    worst = np.array([local.over.max(initial=0.0) if local else 0.0 for local in point.local])
    return np.maximum(worst - _KEPT, 0.0)


def uncured(point: Point) -> Floats:
    """Sum in every period of what is still beyond the true limits, of those that the base state breaks."""
    return np.array(
        [np.maximum(local.beyond[local.sick], 0.0).sum() if local else 0.0 for local in point.local]
    )


def excess(point: Point) -> float:
    """Take what is left uncured beyond the sum that is to be kept, normalised; rounding is none."""
    left = point.problem.left
    return 0.0 if left is None else max(0.0, point.uncured - left - TOLERANCE)
