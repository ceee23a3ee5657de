"""One period around a state: how far the exchange can go any way in a plane, and what a place in it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import SolverError
from gridclear.optimise.highs import LostError, solved
from gridclear.optimise.lane import Lane
from gridclear.optimise.sheet import MISSED
from gridclear.optimise.singles import Single

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.linearise import Local, Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.planes import Planes
    from gridclear.optimise.problem import Plan
    from gridclear.optimise.weights import Weights

#: What a MVA of the way is worth, in times of a Mvar outside a band: what moves it at all is taken.
_WAY = 20.0
#: How far beyond what all controls could move by their slopes no exchange is looked for.
_BEYOND = 5.0
#: Searches until an answer lies on the planes that it was found with.
_MOST_SEARCHES = 8


@dataclass(frozen=True)
class Axis:
    """The active or the reactive exchange of a connection point.

    Attributes
    ----------
    point : int
        Row of the case's connection points.
    active : bool
    """

    point: int
    active: bool

    def value(self, local: Local) -> float:
        """Exchange in p.u."""
        return float((local.active if self.active else local.exchange)[self.point])

    def slope(self, local: Local) -> Floats:
        """Its change by each control, (control,)."""
        slope: Floats = (local.active_slope if self.active else local.exchange_slope)[:, self.point]
        return slope

    def bent(self, curvature: Curvature) -> Floats:
        """Its second derivatives, (control, control)."""
        bent: Floats = (curvature.active if self.active else curvature.exchange)[self.point]
        return bent


#: Both axes of a plane.
Axes = tuple[Axis, Axis]


@dataclass(frozen=True, eq=False)
class Aim:
    """What is asked of a plane: the farthest of a way, or the least cost of a place.

    Attributes
    ----------
    way : (2,) or None
        Unit vector.
    place : (2,) or None
        In p.u.
    beside : float
        How far along each axis is as good as the place itself: whole bids leave narrow gaps in what can be
        had to the last kW.
    """

    way: Floats | None = None
    place: Floats | None = None
    beside: float = 0.0


@dataclass(frozen=True, eq=False)
class Sight:
    """What a program says of an aim.

    Attributes
    ----------
    single : Single
    place : (2,)
        Exchanges in p.u. that the program expects.
    cost : float
        EUR, with all losses.
    price : (2,)
        EUR per MW or Mvar that the place asked for were farther along the axes.
    merit : float
        Aims in one: less is better.
    breaks : bool
        Whether a limit is broken by the program's own account.
    """

    single: Single
    place: Floats
    cost: float
    price: Floats
    merit: float
    breaks: bool


class Chart:
    """The program of one lane around its point, for any aim in a plane.

    Parameters
    ----------
    point : Point
        Of a problem with one period.
    bent : Curvature
        At a state near by.
    planes : Planes
        Of the point's problem; shared, so that limits once found are watched everywhere.
    weights : Weights
    model : Model
        Around the point; written on.
    axes : Axes
    """

    def __init__(
        self, point: Point, bent: Curvature, planes: Planes, weights: Weights, model: Model, axes: Axes
    ) -> None:
        local = point.local[0]
        if local is None:
            raise ValueError("a chart needs a point with a state")
        problem = point.problem
        self._local, self._problem, self._weights = local, problem, weights
        self._base = problem.compiled.s_base_mva
        self._slope = np.stack([axis.slope(local) for axis in axes])
        self._value = np.array([axis.value(local) for axis in axes])
        self._bend = np.stack([axis.bent(bent) for axis in axes])
        self._write(model)
        self._lane = Lane(point, model, bent, planes, weights)
        self._costs = self._lane.cost
        # Requests that hold come before all that is aimed at.
        self._costs[model.columns.short] *= MISSED

    def _write(self, model: Model) -> None:
        """Add both exchanges in MVA, and how far they miss a place."""
        program, given = model.program, model.columns.discharge[:, 0]
        lower, upper = program.lower[model.controls[0]], program.upper[model.controls[0]]
        reach = self._base * (1.0 + _BEYOND * np.abs(self._slope) @ (upper - lower))
        middle = self._base * self._value
        # Bounds that never bind: without them the solver takes rounding errors for a way without an end.
        self._at = program.columns(2, middle - reach, middle + reach)
        self._short = program.columns(4).reshape(2, 2)
        self._rows, self._asked = program.rows(2, 0.0, 0.0), program.rows(2, 0.0, 0.0)
        for axis, slope in enumerate(self._slope):
            stored = slope[len(slope) - len(given) :]
            column = np.concatenate([model.controls[0], given])
            value = self._base * np.concatenate([slope, -stored])
            program.entries(self._rows[axis], column, value)
        program.entries(self._rows, self._at, -1.0)
        program.entries(self._asked, self._at, 1.0)
        program.entries(self._asked, self._short[0], -1.0)
        program.entries(self._asked, self._short[1], 1.0)

    def held(self, aim: Aim, deadline: Deadline) -> Sight | None:
        """Follow an aim with all that is whole as the program has it, relaxed where it is free.

        Returns
        -------
        Sight or None
            None where the solver lost its way.

        Raises
        ------
        TimeOverError
        SolverError
        """
        self._face(aim)
        bent = np.zeros(2)
        try:
            for _ in range(2):
                answer = self._solve(bent, deadline)
                bent = self._bent(answer.x)
        except LostError:
            return None
        return self._sight(answer)

    def tried(self, aim: Aim, single: Single, deadline: Deadline) -> Sight | None:
        """Follow an aim with all that is whole as a decision has it; None as of ``held``.

        Raises
        ------
        TimeOverError
        SolverError
        """
        solver = self._lane.solver
        solver.hold(self._lane.model.start(self._plan(single)))
        found = self.held(aim, deadline)
        solver.release()
        return found

    def searched(self, aim: Aim, worth: float, known: Sight | None, deadline: Deadline) -> Sight | None:
        """Follow an aim with everything free, to within so many EUR, or MVA for a way.

        Where what is known is as good as if nothing were whole, or as what is found, it is given back.

        Returns
        -------
        Sight or None
            None where the solver lost its way.

        Raises
        ------
        TimeOverError
        SolverError
        """
        try:
            return self._searched(aim, worth, known, deadline)
        except LostError:
            self._lane.solver.release()
            return None

    def _searched(self, aim: Aim, worth: float, known: Sight | None, deadline: Deadline) -> Sight:
        self._face(aim)
        solver = self._lane.solver
        gap = worth if aim.way is None else worth * _WAY * self._weights.short
        relaxed = self._solve(np.zeros(2), deadline)
        if known is not None and known.merit - relaxed.objective <= gap:
            return known
        bent = self._bent(relaxed.x)
        limit = np.inf if known is None else known.merit - gap
        for _ in range(_MOST_SEARCHES):
            self._place(bent)
            answer = solver.search(self._lane.cost, gap=gap, limit=limit, seconds=deadline.left)
            if answer is None and known is not None:
                return known
            if answer is None:
                raise SolverError("the program has no solution")
            # What the search has found may lie below planes that are missing: is it as good with them?
            solver.hold(solved(answer).x)
            bent = self._bent(answer.x)
            found = self._solve(bent, deadline)
            solver.release()
            if found.objective - answer.objective <= gap:
                break
        sight = self._sight(found)
        return sight if known is None or sight.merit < known.merit else known

    def _plan(self, single: Single) -> Plan:
        return replace(self._problem.nothing(), share=single.share, steps=single.steps[:, None])

    def _face(self, aim: Aim) -> None:
        cost = self._costs.copy()
        if aim.way is not None:
            cost[self._at] = -_WAY * self._weights.short * aim.way
        else:
            cost[self._short] = self._weights.short
        place, beside = np.zeros(2), np.inf
        if aim.place is not None:
            place, beside = self._base * aim.place, self._base * aim.beside
        for row, value in zip(self._asked.tolist(), place.tolist(), strict=True):
            self._lane.solver.place(row, value, beside)
        self._lane.cost = cost

    def _place(self, bent: Floats) -> None:
        """Say how the exchanges follow from the controls."""
        offset = self._slope @ self._local.at - self._value - bent
        for row, value in zip(self._rows.tolist(), (self._base * offset).tolist(), strict=True):
            self._lane.solver.place(row, value)

    def _solve(self, bent: Floats, deadline: Deadline) -> Answer:
        self._place(bent)
        return self._lane.complete(deadline)

    def _change(self, x: Floats) -> Floats:
        return self._lane.model.values(x, 0) - self._local.at

    def _bent(self, x: Floats) -> Floats:
        """Exchanges that the slopes leave out, in p.u."""
        change = self._change(x)
        return 0.5 * (self._bend @ change) @ change

    def _sight(self, answer: Answer) -> Sight:
        model, x, problem = self._lane.model, answer.x, self._problem
        plan = model.plan(x)
        loss = problem.loss_price / self._base * float(x[model.columns.loss[0]])
        price = np.full(2, np.nan) if answer.dual is None else answer.dual[self._asked]
        return Sight(
            single=Single.of(plan),
            place=self._value + self._slope @ self._change(x) + self._bent(x),
            cost=sum(problem.costs(plan)) + loss,
            price=price,
            merit=answer.objective,
            breaks=bool(model.breaks(x).any()),
        )
