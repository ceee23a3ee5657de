"""Where a search starts from: nothing is taken, and storages do what their rules ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver, solved
from gridclear.optimise.linearise import assess
from gridclear.optimise.model import FREE, build_model
from gridclear.optimise.rules import broken_rules

if TYPE_CHECKING:
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Plan, Problem

#: Shares and p.u. of power, summed up, that a start may be away from the one that takes least.
_AWAY = 1e-3


def lawful_start(problem: Problem, deadline: Deadline) -> Plan:
    """Take nothing, unless a rule asks for more: a storage's schedule may leave its powers or energies.

    Parameters
    ----------
    problem : Problem
    deadline : Deadline

    Returns
    -------
    Plan
        ``problem.nothing()`` where that keeps every rule; else the plan without moves that keeps them, takes
        least, and stays closest to the storages' schedules.

    Raises
    ------
    TimeOverError
    SolverError
        No plan keeps every rule.
    """
    nothing = problem.nothing()
    if not broken_rules(problem, nothing):
        return nothing
    model = build_model(assess(problem, nothing), FREE, 1.0, reach=0)
    program, own, scheduled = model.program, model.columns, problem.stores.scheduled.ravel()
    more, less = (program.columns(len(scheduled)) for _ in range(2))
    change = program.rows(len(scheduled), scheduled, scheduled)
    for columns, sign in (
        (own.charge.ravel(), 1.0),
        (own.discharge.ravel(), -1.0),
        (more, -1.0),
        (less, 1.0),
    ):
        program.entries(change, columns, sign)
    away = np.zeros(program.n_column)
    away[np.concatenate([own.share, more, less])] = 1.0
    answer = Solver(program).minimise(away, gap=(0.0, _AWAY), seconds=deadline.left)
    return model.plan(solved(answer).x)


def at_rest(problem: Problem, plan: Plan) -> list[Plan]:
    """Leave a plan's devices where the base state has them, whose limits are kept there.

    Parameters
    ----------
    problem : Problem
    plan : Plan

    Returns
    -------
    list of Plan
        That one; empty where regulators move more often than they may.
    """
    steps = plan.steps.copy()
    for row, device in enumerate(problem.devices):
        # Of a group that its regulators have parted, the first one leads.
        first = device.device[0]
        away = problem.base.positions[:, first] - problem.compiled.positions[first]
        steps[row] = np.clip(away // device.step[0], device.lowest, device.highest)
    rested = replace(plan, steps=steps)
    return [] if broken_rules(problem, rested) else [rested]
