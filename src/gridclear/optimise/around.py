"""The program around a point, with what its answers are found to miss added until they keep everything."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver, solved
from gridclear.optimise.linearise import Local, Point

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.model import Model
    from gridclear.optimise.planes import Planes
    from gridclear.optimise.weights import Weights

#: Programs until the limits and planes that are missing are found.
MOST_PROGRAMS = 25


class Around:
    """A program around a point, relaxed, with the planes that are known and its aims weighed.

    Parameters
    ----------
    point : Point
    model : Model
        Built around it.
    curvature : tuple of Curvature or None, by period
        At the point.
    planes : Planes
        Of the point's problem; remembers which limits are to be watched.
    weights : Weights

    Attributes
    ----------
    model : Model
    solver : Solver
    cost : (column,)
    """

    def __init__(
        self,
        point: Point,
        model: Model,
        curvature: tuple[Curvature | None, ...],
        planes: Planes,
        weights: Weights,
    ) -> None:
        self.point, self.model = point, model
        self._curvature, self._planes = curvature, planes
        self.solver = Solver(self.model.program)
        self.solver.relax(whole=False)
        self.solver.add(self.model.planes(planes.at(point)))
        self.cost = weights.cost(self.model)

    def complete(self, deadline: Deadline) -> Answer:
        """Solve the program, with limits and planes added until its answer keeps them all.

        Raises
        ------
        TimeOverError
        SolverError
        """
        for _ in range(MOST_PROGRAMS):
            answer = solved(self.solver.minimise(self.cost, seconds=deadline.left))
            if not self.extend(answer):
                break
        return answer

    def extend(self, answer: Answer) -> bool:
        """Add the limits and planes that an answer misses; whether it misses any."""
        missing = self._planes.missing(self.point, self._curvature, self.model, answer.x)
        self.solver.add(self.model.planes(missing))
        return bool(missing)

    def spent(self, x: Floats) -> Floats:
        """Weigh an answer by period, EUR, but for what joins periods: moves, and sums."""
        cost, own, problem = self.cost.copy(), self.model.columns, self.point.problem
        cost[own.raised], cost[own.lowered], cost[own.excess] = 0.0, 0.0, 0.0
        found = np.bincount(self.model.period_of_columns(problem), cost * x, problem.periods)
        return found.astype(np.float64)

    def price(self, answer: Answer) -> float:
        """EUR that one per cent more that may be left uncured would save."""
        if answer.dual is None or not len(self.model.left):
            return 0.0
        return max(0.0, -float(answer.dual[self.model.left[0]]))

    def moved(self, answer: Answer) -> Point:
        """Take the point to an answer, by its slopes and curvature."""
        moved: list[Local | None] = []
        for period, (local, second) in enumerate(zip(self.point.local, self._curvature, strict=True)):
            if local is None or second is None:
                moved.append(None)
                continue
            change = self.model.values(answer.x, period) - local.at
            bent, traded, carried = (part @ change for part in (second.loss, second.exchange, second.active))
            rise, slope = change @ local.slope, local.slope.copy()
            for constraint, curved in zip(second.limit.tolist(), second.limits, strict=True):
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
                    active=local.active + change @ local.active_slope + 0.5 * carried @ change,
                    active_slope=local.active_slope + carried.T,
                )
            )
        return Point(self.point.problem, self.model.plan(answer.x), tuple(moved))
