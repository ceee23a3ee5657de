"""From a problem to a solution by one of the models: the frame that they share."""

from __future__ import annotations

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
from gridclear.optimise.algebraic.rounding import nearest_plan
from gridclear.optimise.algebraic.solvers import SOLVED

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats
    from gridclear.optimise.algebraic.flows import Expression
    from gridclear.optimise.algebraic.solvers import Ended
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Plan, Problem


def build(
    problem: Problem,
    wholes: str,
    physics: Callable[[Flows], Expression],
    plan: Plan | None = None,
    *,
    linear: bool = False,
) -> tuple[pyo.ConcreteModel, list[Flows]]:
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
        Without its limits but the profile.
    list of Flows
        One per period that has a grid: those whose base state has a solution.
    """
    m = decision_model(problem, wholes, plan)
    unit = power_unit(problem)
    grids = period_grids(problem, unit)
    m.grid = pyo.Block([grid.period for grid in grids])
    flows, lost = [], {}
    for grid in grids:
        own = Flows(m, m.grid[grid.period], problem, grid, unit, wholes, linear=linear)
        lost[grid.period] = unit * physics(own)
        own.limit()
        flows.append(own)
    set_objective(m, problem, lost)
    return m, flows


def state_limits(m: pyo.ConcreteModel, flows: list[Flows]) -> None:
    """State limits as they are, cones as quadratic constraints."""
    m.limits = pyo.ConstraintList()
    for own in flows:
        for row in own.limits:
            m.limits.add(row.left <= row.right)
        for cone in own.currents:
            m.limits.add(cone.p**2 + cone.q**2 <= cone.a * cone.b)


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
