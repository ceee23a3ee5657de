"""The whole plan that is nearest to a divisible one, and keeps every condition on plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.errors import SolverError
from gridclear.optimise.algebraic.decisions import WHOLE, decision_model, read_plan
from gridclear.optimise.algebraic.solvers import ModelSolver

if TYPE_CHECKING:
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Plan, Problem

#: What a move weighs beside a step away from where it should be.
_MOVE = 0.1
#: What reactive power of a period that is missing weighs, beside a share of the largest offer.
_TOTAL = 10.0
_GAP = 1e-3


def nearest_plan(
    relaxed: pyo.ConcreteModel, problem: Problem, deadline: Deadline, solver: str = "highs"
) -> Plan:
    """Round what a solver left in a model of divisible decisions.

    Parameters
    ----------
    relaxed : ConcreteModel
    problem : Problem
    deadline : Deadline
    solver : str
        A solver of mixed-integer linear programs that Pyomo knows.

    Returns
    -------
    Plan
        Least sum of distances: of shares and of what they give together in a period, of steps, of powers of
        storages; few moves before many. It keeps budgets of moves, least amounts, exclusive groups,
        capability and energy, but knows no grid.

    Raises
    ------
    OptionError
        The solver is not there.
    SolverError
        It has no answer.
    """
    m = decision_model(problem, WHOLE)
    m.away = pyo.Var(pyo.Any, dense=False, bounds=(0.0, None))
    m.distances = pyo.ConstraintList()
    for name in ("share", "steps", "charge", "discharge"):
        aim, own = getattr(relaxed, name), getattr(m, name)
        for key in own:
            at = float(pyo.value(aim[key]))
            m.distances.add(own[key] - at <= m.away[name, key])
            m.distances.add(at - own[key] <= m.away[name, key])
    for t in m.T:
        # What the offers of a period give together matters more than who gives it.
        rows = np.flatnonzero(problem.offers.period == t)
        size = np.abs(problem.offers.q[rows]).max(initial=0.0)
        if size > 0.0:
            parts = zip(
                (problem.offers.q[rows] / size).tolist(), problem.offers.item[rows].tolist(), strict=True
            )
            change = pyo.quicksum(part * (m.share[i] - pyo.value(relaxed.share[i])) for part, i in parts)
            m.distances.add(change <= m.away["total", t] / _TOTAL)
            m.distances.add(-change <= m.away["total", t] / _TOTAL)
    m.objective = pyo.Objective(
        expr=pyo.quicksum(m.away.values())
        + _MOVE * pyo.quicksum(m.raised[key] + m.lowered[key] for key in m.raised)
    )
    ended = ModelSolver(solver).solve(m, seconds=deadline.left, gap=_GAP)
    if not ended.found:
        raise SolverError(f"no whole plan was found in time ({ended.state})")
    return read_plan(m, problem)
