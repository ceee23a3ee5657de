"""Clearing by the full AC equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.errors import OptionError
from gridclear.optimise.algebraic.branches import FROM
from gridclear.optimise.algebraic.decisions import HELD, SMOOTH, WHOLE
from gridclear.optimise.algebraic.model import Formulation, build, solution, solve_with_limits
from gridclear.optimise.algebraic.solvers import DIVISIBLE, LINEAR, ModelSolver

if TYPE_CHECKING:
    from gridclear.optimise.algebraic.decisions import Solution
    from gridclear.optimise.algebraic.flows import Expression, Flows
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Plan, Problem


@dataclass(frozen=True)
class Ac(Formulation):
    """Full AC equations: a nonconvex program, by default with whole decisions for SCIP.

    The equations of ``flows`` with both that they leave open:

        P² + Q² = u_from ℓ

    and, where branches close a loop or join slacks, with voltages V = e + jf of their nodes,

        V_from V_to* = t ρ_from ρ_to (u_from - z* S),   v = e² + f²,

    which implies the first one there. In radial grids angles follow from the rest (M. Farivar and S. H. Low,
    2013; R. A. Jabr, "Radial distribution load flow using conic programming", IEEE Trans. Power Systems
    21(3), 2006).

    Covers meshes, several slacks, three windings, outages by period, generators with voltage control
    (without reactive limits, as in the power flow), loads that depend on the voltage. Voltages are looked at
    from 0.8 of the lower to 1.2 of the upper effective limit, currents up to twice the effective limit.
    Refuses decided tap changers that shift the phase inside a mesh, and with ``whole=False`` those whose
    ratio is not straight in the position.

    Attributes
    ----------
    solver : str
        A solver of nonconvex quadratic programs that Pyomo knows.
    whole : bool
        False lets devices and least amounts be divisible, as a solver without whole variables needs; the
        plan is the nearest whole one, and its voltages are not those of the solution.
    gap : float
        Relative gap of a global search.
    """

    solver: str = "scip_direct"
    whole: bool = True
    gap: float = 1e-4

    def solve(self, problem: Problem, deadline: Deadline, held: Plan | None = None) -> Solution:
        """Clear as in ``Formulation``.

        Parameters
        ----------
        problem : Problem
        deadline : Deadline
        held : Plan, optional
            Devices, and what is taken at all, are held as in this plan.

        Returns
        -------
        Solution
        """
        if self.solver in LINEAR:
            raise OptionError(f"solver is '{self.solver}'; the AC equations need one of nonconvex programs")
        wholes = HELD if held is not None else WHOLE if self.whole else SMOOTH
        if wholes == WHOLE and self.solver in DIVISIBLE:
            raise OptionError(
                f"solver is '{self.solver}', which knows no whole variables; "
                "give whole=False, or take 'scip_direct'"
            )
        solver = ModelSolver(self.solver)
        m, flows, limits = build(problem, wholes, _state, held)
        ended = solve_with_limits(m, limits, solver, deadline, self.gap)
        return solution(m, problem, flows, ended, deadline)


#: The algorithm with its defaults.
ac = Ac()


def _state(flows: Flows) -> Expression:
    block, grid = flows.block, flows.grid
    block.vm = pyo.Var(pyo.Any, dense=False, initialize=1.0)
    block.magnitude = pyo.ConstraintList()
    known: dict[int, Expression] = {}

    def magnitude(node: int) -> Expression:
        if not np.isnan(grid.held[node]):
            return float(grid.held[node])
        if node not in known:
            known[node] = block.vm[node]
            known[node].setlb(float(grid.low[node]))
            known[node].setub(float(grid.high[node]))
            known[node].set_value(float(abs(grid.v0[node])))
            block.magnitude.add(known[node] ** 2 == flows.v(node))
        return known[node]

    ell = flows.squared_currents()
    lost = flows.state(lambda b: ell[b], magnitude, lambda b: ell[b])
    # In a loop it follows from the angles: a global search likes to know, a local one does not.
    block.flow = pyo.Constraint(
        [b for b in flows.branches if flows.wholes == WHOLE or not grid.meshed[b]],
        rule=lambda block, b: block.p[b] ** 2 + block.q[b] ** 2 == flows.u(b, FROM) * block.ell[b],
    )
    _angles(flows)
    return lost


def _angles(flows: Flows) -> None:
    """Rectangular voltages where branches close a loop."""
    block, grid = flows.block, flows.grid
    closed = np.flatnonzero(grid.meshed).tolist()
    nodes = np.unique([grid.from_node[closed], grid.to_node[closed]]).tolist()
    block.e = pyo.Var(nodes)
    block.f = pyo.Var(nodes)
    for node in nodes:
        for part, value in ((block.e[node], grid.v0[node].real), (block.f[node], grid.v0[node].imag)):
            part.setlb(-float(grid.high[node]))
            part.setub(float(grid.high[node]))
            part.set_value(float(value))
            if node >= grid.n_free:
                part.fix()
    for loop in grid.loops:
        if (loop >= grid.n_free).any():
            continue
        # Nothing but differences of angles counts there.
        node = int(loop[0])
        turned = grid.v0[loop] * np.conj(grid.v0[node]) / abs(grid.v0[node])
        block.e.set_values(dict(zip(loop.tolist(), turned.real.tolist(), strict=True)))
        block.f.set_values(dict(zip(loop.tolist(), turned.imag.tolist(), strict=True)))
        block.e[node].setlb(0.0)
        block.f[node].fix(0.0)
    block.square = pyo.Constraint(
        [node for node in nodes if node < grid.n_free],
        rule=lambda block, i: block.e[i] ** 2 + block.f[i] ** 2 == flows.v(i),
    )
    steps: dict[int, Expression] = dict.fromkeys(closed, 1.0)
    for tap in grid.taps:
        if tap.branch in steps:
            steps[tap.branch] = steps[tap.branch] * flows.ratio(tap)

    def product(b: int) -> tuple[Expression, Expression]:
        """T ρ (u - z* S)."""
        z, t = grid.z[b], grid.ratio[b]
        real = flows.u(b, FROM) - float(z.real) * block.p[b] - float(z.imag) * block.q[b]
        imaginary = float(z.imag) * block.p[b] - float(z.real) * block.q[b]
        return (
            steps[b] * (float(t.real) * real - float(t.imag) * imaginary),
            steps[b] * (float(t.imag) * real + float(t.real) * imaginary),
        )

    block.real = pyo.Constraint(
        closed,
        rule=lambda block, b: (
            block.e[grid.from_node[b]] * block.e[grid.to_node[b]]
            + block.f[grid.from_node[b]] * block.f[grid.to_node[b]]
            == product(b)[0]
        ),
    )
    block.imaginary = pyo.Constraint(
        closed,
        rule=lambda block, b: (
            block.f[grid.from_node[b]] * block.e[grid.to_node[b]]
            - block.e[grid.from_node[b]] * block.f[grid.to_node[b]]
            == product(b)[1]
        ),
    )
