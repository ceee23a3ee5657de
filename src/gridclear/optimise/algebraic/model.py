"""From a problem to a solution by one of the models: the frame that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.optimise.algebraic.decisions import (
    HULL,
    SMOOTH,
    Solution,
    decision_model,
    read_plan,
    set_objective,
)
from gridclear.optimise.algebraic.flows import Flows
from gridclear.optimise.algebraic.grid import period_grids, power_unit
from gridclear.optimise.algebraic.limits import Limits, state_profile
from gridclear.optimise.algebraic.rounding import nearest_plan
from gridclear.optimise.algebraic.solvers import SOLVED
from gridclear.optimise.algorithms import Found
from gridclear.optimise.tangents import PERCENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats
    from gridclear.optimise.algebraic.flows import Expression
    from gridclear.optimise.algebraic.limits import Cone, Row
    from gridclear.optimise.algebraic.solvers import Ended, ModelSolver
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Plan, Problem


class Formulation(ABC):
    """A model of the grid that clears: an algorithm that also says what it believes."""

    def __call__(self, problem: Problem, deadline: Deadline) -> Found:
        """Clear."""
        found = self.solve(problem, deadline)
        return Found(found.plan, found.complete)

    @abstractmethod
    def solve(self, problem: Problem, deadline: Deadline) -> Solution:
        """Clear, and say what the model believes.

        Parameters
        ----------
        problem : Problem
        deadline : Deadline

        Returns
        -------
        Solution

        Raises
        ------
        CaseError
            The grid is not one that the model covers.
        OptionError
            The solver is not there, or not one for this program.
        SolverError
            It ended in a way that is no answer.
        """


#: Per cent from a limit at which it is stated from the start, and by which an answer may break one.
_NEAR, _MISSED = 0.5, 1e-6


def build(
    problem: Problem,
    wholes: str,
    physics: Callable[[Flows], Expression],
    plan: Plan | None = None,
    *,
    linear: bool = False,
) -> tuple[pyo.ConcreteModel, list[Flows], list[Limits]]:
    """State a clearing.

    Parameters
    ----------
    problem : Problem
    wholes : str
        As in ``decision_model``.
    physics : callable
        States a period's grid by ``Flows.state``, with what the model adds, and gives the power lost in the
        grid's unit.
    plan : Plan, optional
        As in ``decision_model``.
    linear : bool
        As in ``Flows``.

    Returns
    -------
    ConcreteModel
        Without limits.
    list of Flows
        One per period that has a grid: those whose base state has a solution.
    list of Limits
        In the same order.
    """
    m = decision_model(problem, wholes, plan)
    unit = power_unit(problem)
    grids = period_grids(problem, unit)
    m.grid = pyo.Block([grid.period for grid in grids])
    flows, limits, lost = [], [], {}
    for grid in grids:
        own = Flows(m, m.grid[grid.period], problem, grid, unit, wholes, linear=linear)
        lost[grid.period] = unit * physics(own)
        state_profile(own)
        limits.append(Limits(own))
        flows.append(own)
    set_objective(m, problem, lost)
    return m, flows, limits


def solve_with_limits(
    m: pyo.ConcreteModel, limits: list[Limits], solver: ModelSolver, deadline: Deadline, gap: float
) -> Ended:
    """Solve with those limits that matter: near ones from the start, others when an answer breaks them.

    Parameters
    ----------
    m : ConcreteModel
    limits : list of Limits
        Stated as they are, those of currents as quadratic constraints.
    solver : ModelSolver
    deadline : Deadline
    gap : float

    Returns
    -------
    Ended
    """
    m.limits = pyo.ConstraintList()
    rows = [row for own in limits for row in own.rows]
    cones = [cone for own in limits for cone in own.cones]
    stated = _state_broken(m, rows, cones, set(), near=True)
    ended = solver.solve(m, seconds=deadline.left, gap=gap)
    while ended.state == SOLVED and not deadline.passed:
        found = _state_broken(m, rows, cones, stated, near=False)
        if not found:
            break
        stated |= found
        ended = solver.solve(m, seconds=deadline.left, gap=gap)
    return ended


def _state_broken(
    m: pyo.ConcreteModel, rows: list[Row], cones: list[Cone], stated: set[int], *, near: bool
) -> set[int]:
    """State the limits that the model's values break, or come near to; give their numbers."""
    found = set()
    for number, row in enumerate(rows):
        over = pyo.value(row.left) - pyo.value(row.right)
        if number not in stated and over > (-_NEAR if near else _MISSED):
            m.limits.add(row.left <= row.right)
            found.add(number)
    for number, cone in enumerate(cones, start=len(rows)):
        p, q, most = pyo.value(cone.p), pyo.value(cone.q), pyo.value(cone.a) * pyo.value(cone.b)
        over = 0.5 * PERCENT * ((p * p + q * q) / most - 1.0)
        if number not in stated and over > (-_NEAR if near else _MISSED):
            m.limits.add(cone.p**2 + cone.q**2 <= cone.a * cone.b)
            found.add(number)
    return found


def solution(
    m: pyo.ConcreteModel, problem: Problem, flows: list[Flows], ended: Ended, deadline: Deadline
) -> Solution:
    """Read what a solver left in a model; nothing is taken where it found nothing in its time."""
    if not ended.found:
        return Solution(problem.nothing(), float("nan"), ended.bound, (), complete=False)

    def magnitudes(own: Flows) -> Floats:
        return np.sqrt([pyo.value(own.v(node)) for node in own.nodes])

    divisible = bool(flows) and flows[0].wholes in (HULL, SMOOTH)
    return Solution(
        plan=nearest_plan(m, problem, deadline) if divisible else read_plan(m, problem),
        objective=ended.objective,
        bound=ended.bound,
        vm=tuple((own.grid.period, magnitudes(own)) for own in flows),
        complete=ended.state == SOLVED,
    )
