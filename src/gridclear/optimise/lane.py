"""The program of one lane around its point: small and dense, asked often, completed by kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.around import MOST_PROGRAMS
from gridclear.optimise.dense import Dense
from gridclear.optimise.highs import solved
from gridclear.optimise.tangents import PERCENT
from gridclear.powerflow.completing import Surroundings

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.linearise import Local, Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.planes import Planes
    from gridclear.optimise.weights import Weights


class Lane:
    """A program around a point of one period, with the planes that are known and its aims weighed.

    Parameters
    ----------
    point : Point
        With a state; nothing is to be cured there.
    model : Model
        Built around it.
    bent : Curvature
        At the point, or at one with the same steps.
    planes : Planes
        Of the point's problem; remembers which limits are to be watched.
    weights : Weights
    remembered : bool
        Whether it is given the planes that other points have left, too.

    Attributes
    ----------
    model : Model
    solver : Dense
        Whole columns are relaxed, but in its searches.
    cost : (column,)
    """

    def __init__(
        self,
        point: Point,
        model: Model,
        bent: Curvature,
        planes: Planes,
        weights: Weights,
        *,
        remembered: bool = True,
    ) -> None:
        local = point.local[0]
        if local is None or len(local.sick):
            raise ValueError("a lane needs a point with a state, of which nothing is to be cured")
        self.model = model
        self._point, self._bent, self._planes = point, bent, planes
        self._around = _surroundings(point, local, model, bent)
        self.solver = Dense(model.program)
        self.solver.add(model.rows(planes.at(point) if remembered else planes.touching(point)))
        self.cost = weights.cost(model)

    def complete(self, deadline: Deadline) -> Answer:
        """Solve the program, with limits and planes added until its answer keeps them all.

        Raises
        ------
        TimeOverError
        SolverError
        """
        watched, missed = self._planes.mask(0), self._planes.missed
        answer = self.solver.complete(
            self.cost, self._around, watched, missed, MOST_PROGRAMS, seconds=deadline.left
        )
        return solved(self._asked_elsewhere(deadline) if answer is None else answer)

    def _asked_elsewhere(self, deadline: Deadline) -> Answer:
        """Do the same step by step, so that another solver can help where the kernels are lost."""
        for _ in range(MOST_PROGRAMS):
            answer = solved(self.solver.minimise(self.cost, seconds=deadline.left))
            missing = self._planes.missing(self._point, (self._bent,), self.model, answer.x)
            self.solver.add(self.model.rows(missing))
            if not missing:
                break
        return answer


def _surroundings(point: Point, local: Local, model: Model, bent: Curvature) -> Surroundings:
    """Write out what bounds a program's answers, in the units of its columns."""
    base, own = point.problem.compiled.s_base_mva, model.columns
    control, given = model.controls[0], np.full(len(local.at), -1, dtype=np.int64)
    stores = len(own.charge)
    given[len(given) - stores :] = own.discharge[:, 0]
    paid = point.problem.loss_price > 0.0
    target: Floats = np.array([own.broken[0], own.loss[0]], dtype=np.int64)
    return Surroundings(
        control=control,
        given=given,
        at=local.at,
        target=target,
        percent=PERCENT,
        over=local.over,
        slope=local.slope,
        loss=np.array([base * local.loss if paid else np.nan]),
        loss_slope=base * local.loss_slope,
        loss_bend=base * bent.loss,
        limit=bent.limit,
        bend=bent.limits,
        size=bent.size,
    )
