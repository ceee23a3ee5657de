"""The largest safe box of one period, by search: what the guarantee ``any-subset`` can reach at best.

A box inside a safe box is safe. The search climbs on the corners' power flows: linear programs on how each
corner's excess changes with the sides of the box, every step drawn back to where the box is safe, from many
starts (sides raised one after the other in many orders, all together, at random), until neither a program
nor a trade between two sides gains anything. Indivisible bids and smallest amounts: all combinations of
which of them are taken.

Where inverters follow curves, a box can be worst between its corners. Points at which the best box turns out
to break something (`boxes.climbed`) then belong to all boxes that hold them, and it is searched again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq, linprog

from .activation import LEAST_SHARE, NAME, Period, Unit, items_of
from .boxes import EDGE, climbed, corners, published_box, random_points, units_in
from .fast_states import FastStates

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from .plain_grid import Key, Problem

INNER_POINTS = 32  # of each box that are tried beside its corners
GAIN = 1e-5  # of all that is offered: less is no gain
CLIMBED_FROM, MOST_CLIMBED = 500, 40  # random points from which a best box is climbed, and constraints
FAR = 1e9  # tolerances, in the place of "no solution"
SEARCHES = 12  # with points between the corners that the one before has brought to light


@dataclass(frozen=True)
class Box:
    """A safe box: the share of every item in the period, and the sum of MW over its units."""

    shares: dict[NAME, float]
    mw: float


def best_box(
    problem: Problem,
    start: pd.Timestamp,
    *,
    seed: int = 0,
    most_units: int = 8,
    bends: bool = False,
    edges: Mapping[Key, float] | None = None,
) -> Box:
    """Search the best safe box of a period (the links of its blocks to other periods are left out).

    Without ``bends`` a box counts as safe with its corners and some random points, so that with curves the
    best one may be too large. ``edges``: values beyond which a constraint is broken, whatever its limit and
    tolerance and the base state say, if they are nearer.
    """
    period = Period(problem, start)
    period.base = replace(period.base, constraints=_within(period.base.constraints, edges or {}))
    units = units_in(problem, period)
    if len(units) > most_units:
        raise ValueError(f"{len(units)} units are too many for an exhaustive search")
    if not units:
        return Box({}, 0.0)
    search = Search(problem, period, units, np.random.default_rng(seed))
    sides = search.best()
    for _ in range(SEARCHES if bends else 0):
        if not search.learns(sides):
            break
        sides = search.best()
    return Box(dict(zip(search.names, sides.tolist(), strict=True)), float(search.mw @ sides))


def _within(constraints: pd.DataFrame, edges: Mapping[Key, float]) -> pd.DataFrame:
    """Constraints with effective limits so near that the edges are not passed."""
    found = constraints.copy()
    for key, edge in edges.items():
        named = zip(found["kind"], found["element_type"], found["element"], strict=True)
        mine = np.array([one == key for one in named])
        limit = edge - found["side"] * found["tolerance"]
        nearer = mine & (found["side"] * (limit - found["effective"]) < 0.0)
        found.loc[nearer, "effective"] = limit[nearer]
    return found


def published_mw(problem: Problem, lights: pd.DataFrame, start: pd.Timestamp) -> float:
    """MW that ``tlq.lights`` accepts in a period, of the units that `best_box` searches."""
    units = units_in(problem, Period(problem, start))
    return float(published_box(problem, lights, units) @ [unit.p_mw for unit in units])


class Search:
    """Sides of a box (one per item) and the power flows of its corners."""

    def __init__(self, problem: Problem, period: Period, units: list[Unit], rng: np.random.Generator) -> None:
        items = [item for item in items_of(problem) if any(unit.item == item.name for unit in units)]
        self.names = [item.name for item in items]
        self.least = np.array([max(item.least, LEAST_SHARE) for item in items])
        self.side = np.array([self.names.index(unit.item) for unit in units])
        self.mw = np.bincount(self.side, [unit.p_mw for unit in units], len(items))
        self.states, self.rng = FastStates(period, units), rng
        inner = random_points(units, INNER_POINTS, rng)
        self.corners = np.unique(np.concatenate([corners(units), inner]), axis=0)
        self.points = np.zeros((0, len(units)))  # shares that are looked at in every box that holds them

    def over(self, sides: np.ndarray) -> np.ndarray:
        """Excess at all corners of one box and at the points that it holds, (corner, constraint)."""
        return self.states.over(self.tried(sides[None])[0])

    def tried(self, sides: np.ndarray) -> np.ndarray:
        """Shares at which boxes are looked at: their corners, and points; (box, corner, unit)."""
        box = sides[:, None, self.side]
        return np.concatenate([self.corners * box, np.minimum(self.points, box)], axis=1)

    def learns(self, sides: np.ndarray) -> bool:
        """Look for what a box breaks between its corners, and keep the points that do."""
        box = sides[self.side]
        more = random_points(self.states.units, CLIMBED_FROM, self.rng)
        points = np.concatenate([self.corners, more]) * box
        found = climbed(self.states, box, points, most=MOST_CLIMBED)
        broken = found[self.states.over(found).max(axis=1) > EDGE]
        self.points = np.concatenate([self.points, broken])
        return len(broken) > 0

    def worst(self, sides: np.ndarray) -> float:
        """Largest excess of a box, less one tolerance: safe up to zero."""
        return min(float(self.over(sides).max()), FAR) - 1.0

    def towards(self, safe: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The furthest safe box on the way from a safe one to a larger one."""
        if self.worst(target) <= 0.0:
            return target

        def at(part: float) -> float:
            return self.worst(safe + part * (target - safe))

        if at(1e-6) > 0.0:
            return safe
        part = float(brentq(at, 1e-6, 1.0, xtol=1e-7, rtol=1e-12))
        for back in (0.0, 1e-6, 1e-5, 1e-4):
            if part > back and at(part - back) <= 0.0:
                return safe + (part - back) * (target - safe)
        return safe

    def raised(self, sides: np.ndarray, top: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Each side as far as it goes, one after the other."""
        for k in order:
            target = sides.copy()
            target[k] = top[k]
            sides = self.towards(sides, target)
        return sides

    def climbed(self, sides: np.ndarray, low: np.ndarray, top: np.ndarray) -> np.ndarray:
        """Linear programs until they gain nothing, then trades, then again."""
        reach = 0.3
        while True:
            here = self.over(sides)
            while reach > 1e-3:
                target = self.program(sides, here, low, top, reach)
                there = self.towards(low, target)
                if self.mw @ (there - sides) <= GAIN * self.mw.sum():
                    reach /= 4.0
                    continue
                sides, here = there, self.over(there)
            sides = self.raised(sides, top, np.argsort(-self.mw))
            traded = self.traded(sides, low, top)
            if traded is None:
                return sides
            sides, reach = traded, 0.1

    def program(
        self, sides: np.ndarray, here: np.ndarray, low: np.ndarray, top: np.ndarray, reach: float
    ) -> np.ndarray:
        """The best box within reach, with the excess of each corner linear in the sides."""
        count = len(sides)
        step = np.where(sides > 0.5, -1e-4, 1e-4)
        moved = self.tried(sides + np.diag(step)).transpose(1, 0, 2)
        there = self.states.over(moved.reshape(-1, len(self.side))).reshape(*moved.shape[:2], -1)
        with np.errstate(invalid="ignore"):
            slopes = (there - here[:, None, :]) / step[:, None]
        # per constraint, the corners that are nearest to their limits with all that may still be added
        ahead = here + np.maximum(slopes, 0.0).sum(axis=1) * reach
        slopes = slopes.transpose(0, 2, 1)
        told = np.isfinite(here) & np.isfinite(slopes).all(axis=2) & (ahead > 1.0)
        bounds = [
            (max(lowest - side, -reach), min(highest - side, reach))
            for side, lowest, highest in zip(sides, low, top, strict=True)
        ]
        if not told.any():
            return sides + np.array([highest for _, highest in bounds])
        scale = np.maximum(np.abs(slopes[told]).max(axis=1), 1.0)
        found = linprog(
            -self.mw,
            A_ub=slopes[told] / scale[:, None],
            b_ub=np.maximum(1.0 - here[told], 0.0) / scale,
            bounds=bounds,
        )
        return sides + (found.x if found.status == 0 else np.zeros(count))

    def traded(self, sides: np.ndarray, low: np.ndarray, top: np.ndarray) -> np.ndarray | None:
        """A better box with one side lower and another higher, if there is one."""
        for give, take in permutations(range(len(sides)), 2):
            for part in (0.3, 0.03):
                given = part * (sides[give] - low[give])
                taken = 1.02 * given * self.mw[give] / self.mw[take]
                if given * self.mw[give] <= GAIN * self.mw.sum() or sides[take] + taken > top[take]:
                    continue
                other = sides.copy()
                other[give] -= given
                other[take] += taken
                if self.worst(other) <= 0.0:
                    return other
        return None

    def best_between(self, low: np.ndarray, top: np.ndarray, starts: int) -> np.ndarray:
        """The best box that holds the safe box ``low`` and is held by ``top``."""
        if self.worst(top) <= 0.0:
            return top
        orders = [np.argsort(-self.mw), np.argsort(self.mw)]
        orders += [self.rng.permutation(len(low)) for _ in range(starts)]
        begun = [self.raised(low, top, order) for order in orders[: starts + 1]]
        begun.append(self.towards(low, top))
        begun += [
            self.towards(low, low + self.rng.random(len(low)) * (top - low)) for _ in range(starts // 2)
        ]
        found = [self.climbed(sides, low, top) for sides in begun]
        return max(found, key=lambda sides: float(self.mw @ sides))

    def best(self) -> np.ndarray:
        """The best box that the smallest amounts of all items allow."""
        count = len(self.mw)
        nothing, whole = np.zeros(count), np.ones(count)
        free = self.best_between(nothing, whole, starts=4)
        if self.allowed(free).all():
            return free
        best = np.where(self.allowed(free), free, 0.0)
        alone = np.array([self.towards(nothing, np.eye(count)[k])[k] for k in range(count)])
        choosy = np.flatnonzero(self.least > LEAST_SHARE)
        for taken in product((True, False), repeat=len(choosy)):
            low, top = nothing.copy(), whole.copy()
            low[choosy], top[choosy] = np.where(taken, self.least[choosy], 0.0), np.where(taken, 1.0, 0.0)
            hoped = self.mw @ np.minimum(top, alone)
            if (low > alone + 1e-9).any() or hoped <= self.mw @ best or self.worst(low) > 0.0:
                continue
            found = self.best_between(low, top, starts=1)
            found = np.where(self.allowed(found), found, 0.0)
            best = max(best, found, key=lambda sides: float(self.mw @ sides))
        return best

    def allowed(self, sides: np.ndarray) -> np.ndarray:
        """Which sides are nothing or at least the smallest share of their items."""
        return (sides == 0.0) | (sides >= self.least - 1e-9)
