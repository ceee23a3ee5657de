"""Clearing by linear branch flow equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.optimise.algebraic.branches import FROM
from gridclear.optimise.algebraic.cones import Lazy, Total, solve_by_planes
from gridclear.optimise.algebraic.decisions import WHOLE
from gridclear.optimise.algebraic.limits import Cone
from gridclear.optimise.algebraic.model import Formulation, build, solution
from gridclear.optimise.algebraic.solvers import ModelSolver

if TYPE_CHECKING:
    from gridclear.optimise.algebraic.decisions import Solution
    from gridclear.optimise.algebraic.flows import Expression, Flows
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Problem


@dataclass(frozen=True)
class LinDistFlow(Formulation):
    """Linear branch flow: a mixed-integer linear program, by default for HiGHS.

    In the equations of ``flows`` the squared current is linear around the base state (index 0),

        ℓ = (2 P₀ P + 2 Q₀ Q - ℓ₀ u) / u₀,

    which is the simplified DistFlow of Baran and Wu (1989), there with ℓ = 0, at a working point. Where
    branches close a loop or join slacks the angles are linear, too: with θ their change from the base state,

        θ_from - θ_to = Im(w / w₀),   w = u - z* S.

    Losses are paid for, and currents limited, by planes that touch ``(P² + Q²)/u``. Devices and least amounts
    are whole.

    Covers meshes, several slacks, three windings, outages by period, generators with voltage control
    (without reactive limits, as in the power flow), loads that depend on the voltage (|V| linear). The
    plan may break limits by what the linear model does not see. Refuses decided tap changers that shift
    the phase inside a mesh.

    Attributes
    ----------
    solver : str
        A solver of mixed-integer linear programs that Pyomo knows.
    gap : float
        Relative gap of its search.
    """

    solver: str = "highs"
    gap: float = 1e-3

    def solve(self, problem: Problem, deadline: Deadline) -> Solution:
        """Clear, and say what the model believes: as in ``Formulation``."""
        solver = ModelSolver(self.solver)
        totals: list[Total] = []
        m, flows, limits = build(problem, WHOLE, lambda own: _state(own, totals), linear=True)
        lazy = Lazy(
            cones=[cone for own in limits for cone in own.cones],
            rows=[row for own in limits for row in own.rows],
            totals=totals,
        )
        ended = solve_by_planes(m, lazy, solver, deadline, self.gap, states=[own.block for own in flows])
        return solution(m, problem, flows, ended, deadline)


#: The algorithm with its defaults.
lindistflow = LinDistFlow()


def _state(flows: Flows, totals: list[Total]) -> Expression:
    block, grid = flows.block, flows.grid
    inner, flow = np.abs(grid.inner0[:, FROM]) ** 2, grid.flow0
    ell = np.abs(flow) ** 2 / inner

    def current(b: int) -> Expression:
        p, q = 2.0 * flow[b].real / inner[b], 2.0 * flow[b].imag / inner[b]
        return float(p) * block.p[b] + float(q) * block.q[b] - float(ell[b] / inner[b]) * flows.u(b, FROM)

    def magnitude(node: int) -> Expression:
        size = float(np.abs(grid.v0[node]))
        return 0.5 * size + (0.5 / size) * flows.v(node)

    # Where resistance is negative, as in equivalents of three windings, a plane from below says nothing.
    convex = [b for b in flows.branches if grid.z[b].real > 0.0]
    rest = flows.state(current, magnitude, lambda b: 0.0 if grid.z[b].real > 0.0 else current(b))
    lost = flows.m.lost[grid.period]
    cones = tuple(Cone(block.p[b], block.q[b], flows.u(b, FROM), 0.0) for b in convex)
    totals.append(Total(lost, rest, cones, grid.z[convex].real))
    _angles(flows, inner)
    return lost


def _angles(flows: Flows, inner: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    """Linear angles where branches close a loop."""
    block, grid = flows.block, flows.grid
    closed = np.flatnonzero(grid.meshed).tolist()
    nodes = np.unique([grid.from_node[closed], grid.to_node[closed]]).tolist()
    block.angle = pyo.Var([i for i in nodes if i < grid.n_free], initialize=0.0)

    def theta(node: int) -> Expression:
        return block.angle[node] if node < grid.n_free else 0.0

    def rule(block: pyo.Block, b: int) -> object:
        z, w = grid.z[b], inner[b] - np.conj(grid.z[b]) * grid.flow0[b]
        real = flows.u(b, FROM) - float(z.real) * block.p[b] - float(z.imag) * block.q[b]
        imaginary = float(z.imag) * block.p[b] - float(z.real) * block.q[b]
        turn = np.conj(w) / abs(w) ** 2
        change = float(turn.imag) * real + float(turn.real) * imaginary
        return theta(int(grid.from_node[b])) - theta(int(grid.to_node[b])) == change

    for loop in grid.loops:
        if (loop < grid.n_free).all():
            block.angle[int(loop[0])].fix(0.0)
    block.loop = pyo.Constraint(closed, rule=rule)
