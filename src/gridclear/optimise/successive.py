"""Solve, confirm, correct: programs around AC states, until the states say that nothing is left to gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.algorithms import Found
from gridclear.optimise.around import Around
from gridclear.optimise.curvature import Curvature, curvatures
from gridclear.optimise.devices import Parted
from gridclear.optimise.highs import TimeOverError, solved
from gridclear.optimise.linearise import assess
from gridclear.optimise.model import EVERYWHERE, FREE, HELD, build_model
from gridclear.optimise.neighbours import Placed
from gridclear.optimise.planes import Planes
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.reached import keep_cure, keep_delivery, keep_sum
from gridclear.optimise.start import at_rest, lawful_start
from gridclear.optimise.tangents import PERCENT
from gridclear.optimise.weights import Weights, broken, uncured

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.problem import Plan, Problem

#: Gain, as a share of what is weighed, below which a plan is settled.
_SETTLED = 1e-6
#: Shares of the cost, of the other aims as they are weighed, and of the cure where it is looked at alone, at
#: which a search of whole steps stops.
_COST, _AIMS, _CURE = 4e-4, 2e-4, 2e-3
#: Part of what a program promises below which its next one goes less far.
_RATIO = 0.1
#: Distance of shares below which nothing is mended any more.
_LEAST_RADIUS = 1e-5
#: Distance beyond a limit, normalised, that is not even rounding of a program.
_ROUGH = 1e-9
#: MVA of shortfall that is none.
_MISSED_MVA = 2e-6
#: Share of the time left that a search of whole steps may take: the rest is for settling what it found.
_PATIENCE = 0.8
#: Steps that devices may go from a settled plan in one search.
_REACH = 2
_MOST_ROUNDS, _MOST_SEARCHES = 15, 6
#: Programs around a placing until its worth is known well enough, and rounds of looking beside a course.
_FEW_ROUNDS, _MOST_POLISHED = 4, 10
#: Whole columns of a program that is searched at once; larger ones take their devices first.
_MOST_WHOLE = 300
#: How much more such a search may miss.
_COARSER = 2.5
#: Limits of a period whose curvature is looked at.
_MOST_CURVED = 12


@dataclass(frozen=True, eq=False)
class Choice:
    """A plan that a program found, and how low the program says any could be weighed."""

    plan: Plan
    bound: float


def successive(problem: Problem, deadline: Deadline) -> Found:
    """Clear by successive programs, each confirmed and corrected by AC states.

    Parameters
    ----------
    problem : Problem
    deadline : Deadline

    Returns
    -------
    Found

    Raises
    ------
    SolverError
        A program ended in a way that is no answer.

    Notes
    -----
    The first stage weighs all aims at once, which is enough where it serves the first two in full. What is
    left of one of them is then looked at alone, and what was reached is taken for granted by the stage of
    the next aim: the cure before the profile, the profile before the cost.
    """
    weights = Weights.of(problem)
    try:
        start = lawful_start(problem, deadline)
    except TimeOverError:
        return Found(problem.nothing(), complete=False)
    after = weights
    stage = Stage(problem, weights, deadline)
    point = stage.run(start)
    if point.uncured > TOLERANCE:
        cured = Stage(problem, weights.of_cure(), deadline).run(point.plan, first=False)
        after = weights.of_profile()
        # A program that is searched in parts falls apart only where no sum joins the periods.
        stage = Stage(keep_cure(cured) if stage.large else keep_sum(cured), after, deadline)
        point = stage.run(cured.plan)
    if float(np.nansum(point.shortfall)) * problem.compiled.s_base_mva > DELIVERED_MVA:
        # From nearby, what was met is met again.
        last = Stage(keep_delivery(point), after, deadline, Planes(problem, stage.planes))
        point = last.run(point.plan, first=False)
    if broken(point).any() or not point.solved[problem.base.solved].all():
        # Time for not even one plan that keeps the limits, perhaps: regulators have kept them by themselves.
        plans = [point.plan, *at_rest(problem, start)]
        point = min(
            (assess(problem, plan) for plan in plans),
            key=lambda one: (-int(one.solved.sum()), weights.merit(one)),
        )
    return Found(point.plan, complete=not deadline.passed)


class Stage:
    """One problem by successive programs."""

    def __init__(
        self, problem: Problem, weights: Weights, deadline: Deadline, planes: Planes | None = None
    ) -> None:
        self.problem, self.weights = problem, weights
        self._deadline, self.planes = deadline, Planes(problem) if planes is None else planes
        self.large = problem.whole > _MOST_WHOLE
        self._tried: set[bytes] = set()
        self._placed: Placed | None = None
        #: EUR per per cent that may be left uncured, where its sum is to be kept.
        self._price = 0.0
        self._bent: tuple[bytes, tuple[Curvature | None, ...]] | None = None

    def run(self, plan: Plan, *, first: bool = True) -> Point:
        """Search and settle in turn until a search promises nothing more.

        Parameters
        ----------
        plan : Plan
            To start from.
        first : bool
            Whether the plan says nothing of where to search.

        Returns
        -------
        Point
            The best one.
        """
        best = self._assess(plan)
        if not best.solved.any():
            return best
        try:
            for number in range(_MOST_SEARCHES):
                if self._deadline.passed:
                    break
                choice = self._search(best, relaxed=first and not number)
                if choice is None:
                    break
                before, point = best, self.settled(self._assess(choice.plan))
                gained = self.weights.merit(best) - self.weights.merit(point)
                best, other = (point, best) if gained > 0.0 else (best, point)
                material = self._material(best)
                if self._is_hard(best):
                    # Programs misjudge other placings by as much as matters where little is left to gain.
                    best = self._polished(best, other)
                    gained = self.weights.merit(before) - self.weights.merit(best)
                # No whole steps promise more, or those that do were tried and have not kept it.
                if self.weights.merit(best) - choice.bound <= material or self._known(choice.plan):
                    break
                # From nearby, it has led to what is as good, in whichever direction.
                if (number or not first) and abs(gained) <= material:
                    break
        except TimeOverError:
            pass
        return best

    def _polished(self, point: Point, other: Point) -> Point:
        """Look for better courses of the devices through what AC states say of single placings.

        Parameters
        ----------
        point, other : Point
            The best one, and one more from which placings may be taken.
        """
        if self.large or not self.problem.alone:
            return point
        if self._placed is None:
            self._placed = Placed(self.problem, self.weights)
        placed, weights = self._placed, self.weights
        for one in (point, other):
            placed.learn(one, self._price)
        try:
            for _ in range(_MOST_POLISHED):
                if (near := placed.beside(point)) is not None:
                    periods, lanes = near
                    planes = self.planes.lanes(lanes.problem, periods)
                    stage = Stage(lanes.problem, weights.with_cures(self._price), self._deadline, planes)
                    placed.learn(stage.settled(lanes, _FEW_ROUNDS), self._price, periods)
                found = self.settled(placed.course(point, self._deadline))
                placed.learn(found, self._price)
                gained = weights.merit(point) - weights.merit(found)
                # Less is what rounding of limits that bind is worth.
                if gained <= _SETTLED * abs(weights.merit(point)) + _MISSED_MVA * weights.short:
                    break
                point = found
        except TimeOverError:
            pass
        return point

    def _is_hard(self, point: Point) -> bool:
        """Tell whether not all aims can be served in full: in this stage, or in the one before."""
        if self.weights.short == 0.0:
            return False
        short = float(np.nansum(point.shortfall)) * self.problem.compiled.s_base_mva
        return self.problem.left is not None or point.uncured > TOLERANCE or short > DELIVERED_MVA

    def _known(self, plan: Plan) -> bool:
        """Tell whether the whole steps of a plan were found before."""
        key = plan.steps.tobytes() + (plan.share > 0.0).tobytes() + (plan.discharge > 0.0).tobytes()
        known = key in self._tried
        self._tried.add(key)
        return known

    def _material(self, point: Point) -> float:
        """EUR of merit that are worth another search."""
        return 2.0 * self._worth(point.cost, self.weights.merit(point))

    def _worth(self, cost: float, merit: float) -> float:
        """EUR at which a search stops."""
        share = _CURE if self.large or self.weights.short == 0.0 else _AIMS
        worth = _COST * max(abs(cost), 1.0) + share * max(merit - cost, 0.0)
        return _COARSER * worth if self.large else worth

    def _assess(self, plan: Plan) -> Point:
        point = assess(self.problem, plan)
        self.planes.remember(point)
        return point

    def _curvatures(self, point: Point) -> tuple[Curvature | None, ...]:
        """Curvatures at a point, or at one with the same steps, also those of the limits that matter."""
        limits = []
        for period, local in enumerate(point.local):
            near = np.zeros(0, dtype=np.int64)
            if local is not None:
                near = self.planes.watched(period)
                near = near[np.argsort(-np.maximum(local.over, local.beyond)[near], kind="stable")]
            limits.append(near[:_MOST_CURVED])
        key = point.plan.steps.tobytes()
        if self._bent is None or self._bent[0] != key or not _covered(limits, self._bent[1]):
            self._bent = key, curvatures(point, limits)
        return self._bent[1]

    def _search(self, point: Point, *, relaxed: bool) -> Choice | None:
        """Decide everything, around the point or where the relaxed program ends; None: nothing to gain."""
        curvature, start = self._curvatures(point), None if relaxed else point.plan
        for _ in range(2 * relaxed):
            around = self._around(point, curvature, build_model(point, FREE, 1.0))
            point = around.moved(around.complete(self._deadline))
        return self._choose(point, curvature, start)

    def settled(self, point: Point, rounds: int = _MOST_ROUNDS) -> Point:
        """Correct a plan until its AC states agree with the program; whole steps stay.

        Each part of the horizon is taken as soon as its own states have gained, whatever those of others say.
        """
        parts, weights = self.problem.parts, self.weights
        count = int(parts.max()) + 1
        radius = np.ones(self.problem.periods)
        curvature = self._curvatures(point)
        for _ in range(rounds):
            if self._deadline.passed:
                break
            around = self._around(point, curvature, build_model(point, HELD, radius))
            answer = around.complete(self._deadline)
            model, x = around.model, answer.x
            # A sum that joins the parts has a price, by which each of them is judged alone.
            self._price, merits = around.price(answer), weights.merits(point)
            left = PERCENT * uncured(point)
            promised = _summed(parts, merits - around.spent(x) + self._price * (left - model.uncured(x)))
            missed = _MISSED_MVA * weights.short
            least = _SETTLED * np.abs(_summed(parts, merits)) + missed / count
            beyond = _worst(parts, point)
            rough = beyond > _ROUGH
            # Little in every part is too much only if it is so in all of them together.
            if np.maximum(promised, 0.0).sum() <= least.sum() and not rough.any():
                break
            trial = self._assess(model.plan(x))
            gain = merits - weights.merits(trial) + self._price * (left - PERCENT * uncured(trial))
            gained = _summed(parts, np.where(point.solved & ~trial.solved, -np.inf, gain))
            # Smaller steps mend what bends away from the program's limits, not what it breaks itself.
            bends = np.bincount(parts, (broken(trial) > 0.0) & ~model.breaks(x)) > 0
            # What lies beyond a limit by no more than is tolerated still comes back to it: prices need that.
            lands = rough & (gained > -least - missed) & (_worst(parts, trial) < beyond)
            point = point.mixed(trial, ((gained > 0.0) | lands)[parts])
            near = np.bincount(parts, radius < _LEAST_RADIUS) > 0
            ended = (promised <= least) | ((gained > 0.0) & (gained <= least) & ~bends) | near
            little = np.maximum(gained, 0.0).sum() <= least.sum()
            if ended.all() or (little and (ended | (gained > 0.0)).all() and not bends.any()):
                break
            radius[(~ended & (gained <= np.maximum(least, _RATIO * promised)))[parts]] /= 4.0
        return point

    def _around(self, point: Point, curvature: tuple[Curvature | None, ...], model: Model) -> Around:
        return Around(point, model, curvature, self.planes, self.weights)

    def _choose(
        self, point: Point, curvature: tuple[Curvature | None, ...], start: Plan | None
    ) -> Choice | None:
        """Search the whole steps of the program around a point; what they are held at is completed.

        None where the relaxed program already promises no more than the plan to start from.
        """
        # Far from a state that keeps its limits, what the program says of them is worth little.
        reach = EVERYWHERE if start is None else _REACH
        around = self._around(point, curvature, build_model(point, FREE, 1.0, reach))
        model, solver, cost = around.model, around.solver, around.cost
        answer = around.complete(self._deadline)
        worth = self._worth(float(model.program.cost @ answer.x), answer.objective)
        if start is not None and self.weights.merit(point) - answer.objective <= 2.0 * worth:
            return None
        if self.large:
            x, bound = Parted(self.problem, model, solver, cost, worth, self._deadline).search(answer)
        else:
            solver.relax(whole=True)
            known = None if start is None else model.start(start)
            seconds = _PATIENCE * self._deadline.left
            found = solved(solver.minimise(cost, gap=(0.0, worth), seconds=seconds, start=known))
            x, bound = found.x, found.bound
        solver.hold(x)
        solver.relax(whole=False)
        held = around.complete(self._deadline)
        return Choice(model.plan(held.x), bound)


def _summed(parts: Ints, values: Floats) -> Floats:
    """Sum values of periods by part."""
    return np.bincount(parts, weights=values).astype(np.float64)


def _worst(parts: Ints, point: Point) -> Floats:
    """Largest distance beyond an effective limit in every part, tolerated or not."""
    found = np.zeros(int(parts.max()) + 1)
    np.maximum.at(found, parts, [local.over.max(initial=0.0) if local else 0.0 for local in point.local])
    return found


def _covered(limits: list[Ints], known: tuple[Curvature | None, ...]) -> bool:
    """Tell whether curvatures hold all limits that are wanted."""
    return all(
        second is not None and set(wanted.tolist()) <= set(second.limit.tolist())
        for wanted, second in zip(limits, known, strict=True)
        if len(wanted)
    )
