"""Clearing by second-order cones: the AC equations relaxed to what is convex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.errors import CaseError, Issue
from gridclear.optimise.algebraic.branches import FROM
from gridclear.optimise.algebraic.cones import Lazy, solve_by_planes
from gridclear.optimise.algebraic.decisions import HULL, WHOLE
from gridclear.optimise.algebraic.limits import Cone
from gridclear.optimise.algebraic.model import Formulation, build, solution, solve_with_limits
from gridclear.optimise.algebraic.solvers import DIVISIBLE, LINEAR, ModelSolver

if TYPE_CHECKING:
    from gridclear.optimise.algebraic.decisions import Solution
    from gridclear.optimise.algebraic.flows import Expression, Flows
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Problem


@dataclass(frozen=True)
class Soc(Formulation):
    """Branch flow relaxed to second-order cones: a lower bound on the objective, and a plan that may be true.

    The equations of ``flows`` with

        P² + Q² <= u_from ℓ

    in place of the equality, and without the equation of the angles (Farivar and Low 2013; in other variables
    R. A. Jabr 2006). Every state of the AC equations is one of the model, so the objective is never above
    theirs, within the voltages and currents that ``Ac`` looks at. Where the relaxation is not tight, the
    model believes in currents that do not flow: that pays where reactive power is to be absorbed and offers
    are dearer than losses.

    Covers meshes and several slacks (angles are free: flows may go round in circles, which costs losses),
    three windings, outages by period, generators with voltage control. Refuses loads of constant current,
    whose power is not convex in v.

    Attributes
    ----------
    solver : str
        A solver that Pyomo knows: of convex quadratic programs, or, by planes that touch the cones, of linear
        ones.
    whole : bool
        False lets devices and least amounts be divisible: the bound is weaker and comes sooner; the plan is
        the nearest whole one.
    gap : float
        Relative gap of the search.
    """

    solver: str = "highs"
    whole: bool = True
    gap: float = 1e-4

    def solve(self, problem: Problem, deadline: Deadline) -> Solution:
        """Clear as in ``Formulation``; the solution's ``bound`` is one for the AC equations, too."""
        solver = ModelSolver(self.solver)
        wholes = WHOLE if self.whole and self.solver not in DIVISIBLE else HULL
        cones: list[Cone] = []
        m, flows, limits = build(problem, wholes, lambda own: _state(own, cones))
        if self.solver in LINEAR:
            cones += [cone for own in limits for cone in own.cones]
            rows = [row for own in limits for row in own.rows]
            ended = solve_by_planes(m, Lazy(cones, rows), solver, deadline, self.gap)
        else:
            m.cones = pyo.ConstraintList()
            for cone in cones:
                m.cones.add(cone.p**2 + cone.q**2 <= cone.a * cone.b)
            ended = solve_with_limits(m, limits, solver, deadline, self.gap)
        return solution(m, problem, flows, ended, deadline)


#: The algorithm with its defaults.
soc = Soc()


def _state(flows: Flows, cones: list[Cone]) -> Expression:
    block, ell = flows.block, flows.squared_currents()

    def refuse(node: int) -> Expression:
        topology = flows.grid.topology
        buses = flows.problem.compiled.networks[topology].structure.node_of_bus
        bus = flows.problem.compiled.case.grid.labels("bus").iloc[int(np.flatnonzero(buses == node)[0])]
        what = f"loads at bus {bus} are partly of constant current, which is not convex"
        raise CaseError((Issue("grid.json", f"bus {bus}", "const_i_p_percent", what, "another algorithm"),))

    lost = flows.state(lambda b: ell[b], refuse, lambda b: ell[b])
    cones += [Cone(block.p[b], block.q[b], flows.u(b, FROM), ell[b]) for b in flows.branches]
    return lost
