"""Solve, confirm, correct: programs around AC states, until the states say that nothing is left to gain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import SolverError
from gridclear.optimise.algorithms import Found
from gridclear.optimise.curvature import Curvature, curvatures
from gridclear.optimise.highs import Solver
from gridclear.optimise.linearise import Local, Point, assess
from gridclear.optimise.model import (
    BROKEN,
    FREE,
    HELD,
    LOSS,
    PERCENT,
    Model,
    Tangent,
    build_model,
    limit_planes,
    limit_tangents,
    loss_tangents,
)
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.problem import Plan, Problem

#: Gain, as a share of the cost, below which a plan is settled.
_SETTLED = 1e-6
#: Share of all that is weighed at which a search of whole steps stops.
_SEARCHED = 1e-4
_MOST_ROUNDS, _MOST_SEARCHES = 15, 4
#: Programs until the limits and planes that are missing are found.
_MOST_PROGRAMS = 25
#: Limits of a period that are added at once, and the distance in per cent that counts.
_WORST, _NOTHING = 3, 1e-7
#: MW of losses that a plane may miss.
_LOSS_MW = 1e-5
#: Per cent by which a plane of a limit that bends may be missed.
_BENT = 1e-4
#: Limits of a period whose curvature is looked at.
_MOST_CURVED = 12
#: Searches of one program with planes added in between.
_MOST_REPEATS = 4


@dataclass(frozen=True, eq=False)
class Choice:
    """A plan that a program found, and the program's word on it."""

    plan: Plan
    model: Model
    answer: Answer


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
    """
    return Successive(problem, deadline).run()


class Successive:
    """One clearing by successive programs."""

    def __init__(self, problem: Problem, deadline: Deadline, gap: float = 5e-4) -> None:
        self.problem, self.weights = problem, Weights.of(problem)
        self._gap, self._deadline = gap, deadline
        self._memory: list[Tangent] = []
        self._watched: list[set[int]] = [set() for _ in range(problem.periods)]

    def run(self) -> Found:
        """Search and settle in turn until a search promises nothing more."""
        best = point = self._assess(self.problem.nothing())
        for number in range(_MOST_SEARCHES):
            if self._deadline.passed:
                return Found(best.plan, complete=False)
            choice = self._search(point)
            promised, reached = choice.answer.objective, self.weights.merit(best)
            if number and promised > reached - self._material(best):
                break
            point = self._settle(self._assess(choice.plan))
            settled = self.weights.merit(point)
            if settled < reached:
                best = point
            # The program that chose the whole steps was right about them: it has nothing more to say.
            if abs(settled - promised) <= self._material(point):
                break
        return Found(best.plan, complete=True)

    def _material(self, point: Point) -> float:
        """EUR of merit that are worth another search."""
        return self._gap * abs(point.cost) + _SEARCHED * abs(self.weights.merit(point))

    def _assess(self, plan: Plan) -> Point:
        point = assess(self.problem, plan)
        self._remember(point)
        return point

    def _curvatures(self, point: Point) -> tuple[Curvature | None, ...]:
        """Curvatures at a point, also those of the limits that matter there."""
        limits = []
        for period, local in enumerate(point.local):
            near = np.zeros(0, dtype=np.int64)
            if local is not None:
                near = self._looked_at(period, local)
                near = near[np.argsort(-np.maximum(local.over, local.beyond)[near], kind="stable")]
            limits.append(near[:_MOST_CURVED])
        return curvatures(point, limits)

    def _search(self, point: Point) -> Choice:
        """Decide everything: linearise where the relaxed program ends, then search the whole steps."""
        curvature = self._curvatures(point)
        for _ in range(2):
            choice = self._choose(point, curvature, FREE, 1.0, whole=False)
            point = _moved(point, curvature, choice)
        return self._choose(point, curvature, FREE, 1.0, whole=True)

    def _settle(self, point: Point) -> Point:
        """Correct a plan until its AC states agree with the program; whole steps stay."""
        radius, weights = 1.0, self.weights
        curvature = self._curvatures(point)
        for _ in range(_MOST_ROUNDS):
            choice = self._choose(point, curvature, HELD, radius, whole=False)
            gain = weights.merit(point) - choice.answer.objective
            if gain <= _SETTLED * abs(weights.merit(point)) or self._deadline.passed:
                break
            trial = self._assess(choice.plan)
            if trial.solved.all() and weights.merit(trial) < weights.merit(point):
                point = trial
            else:
                radius /= 4.0
        return point

    def _choose(
        self,
        point: Point,
        curvature: tuple[Curvature | None, ...],
        freedom: str,
        radius: float,
        *,
        whole: bool,
    ) -> Choice:
        """Solve the program around a point, with limits and planes added until its answer keeps them all."""
        model = build_model(point, freedom, radius)
        cost = self.weights.cost(model)
        solver = Solver(model.program)
        solver.relax(whole=False)
        watched = [
            tangent
            for period, local in enumerate(point.local)
            if local is not None
            for tangent in limit_tangents(local, period, self._looked_at(period, local))
        ]
        solver.add(model.planes([*loss_tangents(point), *watched, *self._sound(point)]))
        for _ in range(_MOST_PROGRAMS):
            answer = self._answer(solver.minimise(cost, seconds=self._deadline.left))
            missing = self._missing(point, curvature, model, answer)
            if not missing:
                break
            solver.add(model.planes(missing))
        if not whole:
            return Choice(model.plan(answer.x), model, answer)
        solver.relax(whole=True)
        for _ in range(_MOST_REPEATS):
            absolute = 0.5 * self._gap * max(abs(float(model.program.cost @ answer.x)), 1.0)
            gap = (_SEARCHED, absolute)
            answer = self._answer(solver.minimise(cost, gap=gap, seconds=self._deadline.left))
            missing = self._missing(point, curvature, model, answer)
            planes = model.planes(missing)
            # What the answer would cost more if it kept what it misses.
            lacking = sum(
                max(0.0, plane.excess(answer.x)) * float(cost[plane.column[-1]]) for plane in planes
            )
            if lacking <= absolute + _SEARCHED * abs(answer.objective):
                break
            solver.add(planes)
        return Choice(model.plan(answer.x), model, answer)

    def _looked_at(self, period: int, local: Local) -> Ints:
        """Find the limits of a period that are watched, or broken by the base state."""
        return np.union1d(np.array(sorted(self._watched[period]), dtype=np.int64), local.sick)

    @staticmethod
    def _answer(answer: Answer) -> Answer:
        if not len(answer.x):
            raise SolverError(f"the program is {answer.status}")
        return answer

    def _missing(
        self, point: Point, curvature: tuple[Curvature | None, ...], model: Model, answer: Answer
    ) -> list[Tangent]:
        """Find the limits that an answer breaks by the point's slopes, and planes that it lies below."""
        found: list[Tangent] = []
        base, x = self.problem.compiled.s_base_mva, answer.x
        for period, (local, second) in enumerate(zip(point.local, curvature, strict=True)):
            if local is None or second is None:
                continue
            change = model.values(x, period) - local.at
            over = PERCENT * (local.over + change @ local.slope) - x[model.columns.broken[period]]
            over[sorted(self._watched[period])] = -np.inf
            worst = np.argsort(-over)[:_WORST]
            worst = worst[over[worst] > _NOTHING]
            if len(worst):
                self._watched[period] |= set(worst.tolist())
                found += limit_tangents(local, period, worst)
            for constraint, curved in second.limits.items():
                found += _bent_limit(local, period, constraint, change, curved, model, x)
            bent = second.loss @ change
            loss = base * float(local.loss + change @ local.loss_slope + 0.5 * change @ bent)
            if self.problem.loss_price > 0.0 and loss > x[model.columns.loss[period]] + _LOSS_MW:
                slope = base * (local.loss_slope + bent)
                found.append(Tangent.through(period, LOSS, -1, loss, slope, local.at + change))
        return found

    def _remember(self, point: Point) -> None:
        """Keep what is convex: losses, and loadings that are near their limits."""
        self._memory += loss_tangents(point)
        compiled = self.problem.compiled
        for period, local in enumerate(point.local):
            if local is not None:
                network = compiled.networks[compiled.topology[period]]
                branch = 2 * network.n_node + np.arange(network.n_branch)
                near = branch[np.maximum(local.over, local.beyond)[branch] > 0.0]
                self._memory += limit_tangents(local, period, near)

    def _sound(self, point: Point) -> list[Tangent]:
        """Lower the remembered planes that lie above a point's own values."""
        base, found = self.problem.compiled.s_base_mva, []
        for tangent in self._memory:
            local = point.local[tangent.period]
            if local is None:
                continue
            if tangent.target == LOSS:
                own = base * local.loss
            else:
                over = local.over if tangent.target == BROKEN else local.beyond
                own = PERCENT * float(over[tangent.constraint])
            above = tangent.level + float(tangent.slope @ local.at) - own
            found.append(replace(tangent, level=tangent.level - max(above, 0.0)))
        return found


def _bent_limit(
    local: Local, period: int, constraint: int, change: Floats, curved: Floats, model: Model, x: Floats
) -> list[Tangent]:
    """Planes at an answer of a limit that bends, where the answer lies below them."""
    bent = curved @ change
    slope = local.slope[:, constraint] + bent
    rise = float(change @ (slope - 0.5 * bent))
    planes = limit_planes(local, period, constraint, rise, slope, local.at + change)
    return [
        tangent
        for tangent, plane in zip(planes, model.planes(planes), strict=True)
        if plane.excess(x) > _BENT
    ]


def _moved(point: Point, curvature: tuple[Curvature | None, ...], choice: Choice) -> Point:
    """Take a point to a program's answer, by its slopes and curvature."""
    moved: list[Local | None] = []
    for period, (local, second) in enumerate(zip(point.local, curvature, strict=True)):
        if local is None or second is None:
            moved.append(None)
            continue
        change = choice.model.values(choice.answer.x, period) - local.at
        bent, traded = second.loss @ change, second.exchange @ change
        rise, slope = change @ local.slope, local.slope.copy()
        for constraint, curved in second.limits.items():
            turned = curved @ change
            rise[constraint] += 0.5 * float(turned @ change)
            slope[:, constraint] += turned
        moved.append(
            replace(
                local,
                at=local.at + change,
                over=local.over + rise,
                beyond=local.beyond + rise,
                slope=slope,
                loss=float(local.loss + change @ local.loss_slope + 0.5 * change @ bent),
                loss_slope=local.loss_slope + bent,
                exchange=local.exchange + change @ local.exchange_slope + 0.5 * traded @ change,
                exchange_slope=local.exchange_slope + traded.T,
            )
        )
    return Point(point.problem, choice.plan, tuple(moved))
