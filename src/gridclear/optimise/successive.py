"""Solve, confirm, correct: programs around AC states, until the states say that nothing is left to gain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import SolverError
from gridclear.network.limits import TOLERANCE, sides
from gridclear.optimise.algorithms import Found
from gridclear.optimise.curvature import Curvature, curvatures
from gridclear.optimise.highs import TIME_LIMIT, Solver
from gridclear.optimise.linearise import Local, Point, assess
from gridclear.optimise.model import EVERYWHERE, FREE, HELD, Model, build_model
from gridclear.optimise.planes import Planes
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.problem import Plan, Problem

#: Gain, as a share of what is weighed, below which a plan is settled.
_SETTLED = 1e-6
#: Shares of the cost, and of the other aims as they are weighed, at which a search of whole steps stops.
_COST, _AIMS = 4e-4, 2e-3
#: MVA of shortfall that is none.
_MISSED_MVA = 2e-6
#: MVA of shortfall that a second stage is for.
_SHORT_MVA = 1e-5
#: Share of the time left that a search of whole steps may take: the rest is for settling what it found.
_PATIENCE = 0.8
#: Steps that devices may go from a settled plan in one search.
_REACH = 2
_MOST_ROUNDS, _MOST_SEARCHES = 15, 6
#: Programs until the limits and planes that are missing are found.
_MOST_PROGRAMS = 25
#: Limits of a period whose curvature is looked at.
_MOST_CURVED = 12


class _TimeOverError(Exception):
    """The deadline passed inside a program."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A plan that a program found, and the program's word on it: its answer, and how low any could be."""

    plan: Plan
    model: Model
    answer: Answer
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
    The first stage weighs all aims at once. Where it leaves limits uncured or requests unmet, a second one
    takes what was reached for granted and looks at the cost alone, which is small beside those weights.
    """
    point = Stage(problem, deadline).run(problem.nothing())
    short = float(np.nansum(point.shortfall)) * problem.compiled.s_base_mva
    if (point.uncured > TOLERANCE or short > _SHORT_MVA) and not deadline.passed:
        point = Stage(_kept(point), deadline).run(point.plan, first=False)
    return Found(point.plan, complete=not deadline.passed)


def _kept(point: Point) -> Problem:
    """State the problem in which what a point has reached must be kept: as limits, and as bands."""
    problem, compiled = point.problem, point.problem.compiled
    limits = [own.copy() for own in problem.limits]
    for period, local in enumerate(point.local):
        if local is not None and len(local.sick):
            topology = int(compiled.topology[period])
            sign, unit = sides(compiled.networks[topology], compiled.limits[topology], local.sick)
            true = compiled.limits[topology].numbered[local.sick]
            # What counts as kept elsewhere counts as kept here.
            reached = np.maximum(local.beyond[local.sick], 0.0) + 0.5 * TOLERANCE
            limits[topology][period, local.sick] = true + sign * unit * reached
    requests = problem.requests
    wider = requests.tolerance + np.nan_to_num(point.shortfall)
    return replace(problem, limits=tuple(limits), cures=False, requests=replace(requests, tolerance=wider))


class Stage:
    """One problem by successive programs."""

    def __init__(self, problem: Problem, deadline: Deadline) -> None:
        self.problem, self.weights = problem, Weights.of(problem)
        self._deadline, self._planes = deadline, Planes(problem)
        self._tried: set[bytes] = set()

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
                choice = self._search(best, relaxed=first and not number)
                if choice is None:
                    break
                point = self._settle(self._assess(choice.plan))
                if self.weights.merit(point) < self.weights.merit(best):
                    best = point
                # No whole steps promise more, or those that do were tried and have not kept it.
                left = self.weights.merit(best) - choice.bound
                if left <= self._material(best) or self._known(choice.plan):
                    break
        except _TimeOverError:
            pass
        return best

    def _known(self, plan: Plan) -> bool:
        """Tell whether the whole steps of a plan were found before."""
        key = plan.steps.tobytes() + (plan.share > 0.0).tobytes() + (plan.discharge > 0.0).tobytes()
        known = key in self._tried
        self._tried.add(key)
        return known

    def _material(self, point: Point) -> float:
        """EUR of merit that are worth another search."""
        return 2.0 * self._worth(point.cost, self.weights.merit(point))

    @staticmethod
    def _worth(cost: float, merit: float) -> float:
        return _COST * max(abs(cost), 1.0) + _AIMS * max(merit - cost, 0.0)

    def _assess(self, plan: Plan) -> Point:
        point = assess(self.problem, plan)
        self._planes.remember(point)
        return point

    def _curvatures(self, point: Point) -> tuple[Curvature | None, ...]:
        """Curvatures at a point, also those of the limits that matter there."""
        limits = []
        for period, local in enumerate(point.local):
            near = np.zeros(0, dtype=np.int64)
            if local is not None:
                near = self._planes.watched(period, local)
                near = near[np.argsort(-np.maximum(local.over, local.beyond)[near], kind="stable")]
            limits.append(near[:_MOST_CURVED])
        return curvatures(point, limits)

    def _search(self, point: Point, *, relaxed: bool) -> Choice | None:
        """Decide everything, around the point or where the relaxed program ends; None: nothing to gain."""
        curvature, start = self._curvatures(point), None if relaxed else point.plan
        for _ in range(2 * relaxed):
            model, solver, cost = self._program(point, FREE, 1.0)
            answer = self._complete(point, curvature, model, solver, cost)
            point = _moved(point, curvature, Choice(model.plan(answer.x), model, answer, answer.bound))
        return self._choose(point, curvature, start)

    def _settle(self, point: Point) -> Point:
        """Correct a plan until its AC states agree with the program; whole steps stay."""
        radius, weights = 1.0, self.weights
        curvature = self._curvatures(point)
        for _ in range(_MOST_ROUNDS):
            if self._deadline.passed:
                break
            model, solver, cost = self._program(point, HELD, radius)
            answer = self._complete(point, curvature, model, solver, cost)
            merit = weights.merit(point)
            least = _SETTLED * abs(merit) + _MISSED_MVA * weights.short
            if merit - answer.objective <= least:
                break
            trial = self._assess(model.plan(answer.x))
            gain = merit - weights.merit(trial)
            if trial.solved[point.solved].all() and gain > 0.0:
                point = trial
                if gain <= least:
                    break
            else:
                radius /= 4.0
        return point

    def _program(
        self, point: Point, freedom: str, radius: float, reach: int = EVERYWHERE
    ) -> tuple[Model, Solver, Floats]:
        """Write the program around a point, relaxed, with the planes that are known and its costs."""
        model = build_model(point, freedom, radius, reach)
        solver = Solver(model.program)
        solver.relax(whole=False)
        solver.add(model.planes(self._planes.at(point)))
        return model, solver, self.weights.cost(model)

    def _complete(
        self,
        point: Point,
        curvature: tuple[Curvature | None, ...],
        model: Model,
        solver: Solver,
        cost: Floats,
    ) -> Answer:
        """Solve a linear program, with limits and planes added until its answer keeps them all."""
        for _ in range(_MOST_PROGRAMS):
            answer = solver.minimise(cost, seconds=self._deadline.left)
            if answer.status == TIME_LIMIT:
                raise _TimeOverError
            answer = _sane(answer)
            missing = self._planes.missing(point, curvature, model, answer.x)
            if not missing:
                break
            solver.add(model.planes(missing))
        return answer

    def _choose(
        self, point: Point, curvature: tuple[Curvature | None, ...], start: Plan | None
    ) -> Choice | None:
        """Search the whole steps of the program around a point; what they are held at is completed.

        None where the relaxed program already promises no more than the plan to start from.
        """
        # Far from a state that keeps its limits, what the program says of them is worth little.
        reach = EVERYWHERE if start is None else _REACH
        model, solver, cost = self._program(point, FREE, 1.0, reach)
        answer = self._complete(point, curvature, model, solver, cost)
        worth = self._worth(float(model.program.cost @ answer.x), answer.objective)
        if start is not None and self.weights.merit(point) - answer.objective <= 2.0 * worth:
            return None
        solver.relax(whole=True)
        if start is not None:
            solver.start(model.start(start))
        found = solver.minimise(cost, gap=(0.0, worth), seconds=_PATIENCE * self._deadline.left)
        if found.status == TIME_LIMIT and not len(found.x):
            raise _TimeOverError
        solver.hold(_sane(found).x)
        solver.relax(whole=False)
        held = self._complete(point, curvature, model, solver, cost)
        return Choice(model.plan(held.x), model, held, found.bound)


def _sane(answer: Answer) -> Answer:
    if not len(answer.x):
        raise SolverError(f"the program is {answer.status}")
    return answer


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
