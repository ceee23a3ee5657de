"""Settings of whole steps that beat a curve: one search over all that is whole and where on the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import solved
from gridclear.optimise.sheet import MISSED, Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.planes import Planes
    from gridclear.optimise.sheet import Drawn
    from gridclear.optimise.weights import Weights

#: Searches until an answer lies on the planes and on the exchange that it was found with.
_MOST_SEARCHES = 12


@dataclass(frozen=True)
class Segment:
    """A range of exchanges and what costs there are to beat, straight in between.

    Attributes
    ----------
    low, high : float
        In p.u.
    cost_low, cost_high : float
        EUR.
    """

    low: float
    high: float
    cost_low: float
    cost_high: float


class Rivals(Sheet):
    """The program of one lane around its point, with everything free and its exchange on some segments.

    Parameters
    ----------
    point, bent, planes, weights, model
        As in ``Sheet``; the model has everything free, and is written on.
    segments : sequence of Segment
    """

    def __init__(
        self,
        point: Point,
        bent: Curvature,
        planes: Planes,
        weights: Weights,
        model: Model,
        segments: Sequence[Segment],
    ) -> None:
        base = point.problem.compiled.s_base_mva
        program, count = model.program, len(segments)
        low, high, cost, end = (
            np.array([getattr(one, name) for one in segments])
            for name in ("low", "high", "cost_low", "cost_high")
        )
        width = base * (high - low)
        on = program.columns(count, 0.0, 1.0, -cost, whole=True)
        along = program.columns(count, 0.0, width, -(end - cost) / width)
        program.entries(program.rows(1, 1.0, 1.0), on, 1.0)
        inside = program.rows(count, upper=0.0)
        program.entries(inside, along, 1.0)
        program.entries(inside, on, -width)
        program.entries(model.profile[0], along, -1.0)
        program.entries(model.profile[0], on, -base * low)
        super().__init__(point, bent, planes, weights, model)
        # No reward for reaching beyond a curve makes up for missing it.
        self._lane.cost[model.columns.short[:, 0]] *= MISSED

    def best(self, worth: float, deadline: Deadline) -> Drawn | None:
        """Find what beats the costs by most, to within so many EUR.

        Returns
        -------
        Drawn or None
            None: nothing beats them by more than that.

        Raises
        ------
        TimeOverError
        SolverError
        """
        bent, solver = 0.0, self._lane.solver
        if self._solve(0.0, deadline).objective >= -worth:
            return None
        for _ in range(_MOST_SEARCHES):
            self._place(-bent)
            answer = solver.search(self._lane.cost, gap=worth, limit=-worth, seconds=deadline.left)
            if answer is None:
                return None
            # What the search has found lies below planes that are missing: with them, is it still as good?
            solver.hold(solved(answer).x)
            bent = self._bent(answer.x)
            held = self._solve(-bent, deadline)
            solver.release()
            if held.objective - answer.objective <= worth:
                break
        return self._drawn(held) if held.objective < -worth else None
