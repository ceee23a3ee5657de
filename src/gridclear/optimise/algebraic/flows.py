"""The branch flow equations in Pyomo.

With v = |V|², the power S = P + jQ that enters the series impedance z = r + jx of a branch, ℓ = |I|² in it,
and u the squared voltages at its two ends, behind the ideal transformers (u = v/|t|²):

    u_to = u_from - 2 (r P + x Q) + |z|² ℓ
    Σ of what branches and shunts draw at a node = injections of elements, offers, storages and sources
    P² + Q² = u_from ℓ                                                                   (flow)
    arg(V_from/t_from) - arg(V_to/t_to) = arg(u_from - z* S)      where branches close a loop     (angle)

The first two are stated here, with a branch drawing S + y_f* u_from at its from end and
-(S - z ℓ) + y_t* u_to at its to end. What becomes of (flow) and (angle) makes the models (M. E. Baran and
F. F. Wu, "Optimal sizing of capacitors placed on a radial distribution system", IEEE Trans. Power Delivery
4(1), 1989; M. Farivar and S. H. Low, "Branch flow model: relaxations and convexification", IEEE Trans. Power
Systems 28(3), 2013).

A tap changer at step k divides u by ρ_k². With one variable ``at[k]`` per position this is linear: v is
the sum of parts w_k that are nothing unless at[k] = 1, and u = Σ w_k/ρ_k². A bank draws Σ k w_k per step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from gridclear.errors import CaseError, Issue
from gridclear.optimise.algebraic.branches import FROM, TO, steps_of
from gridclear.optimise.algebraic.decisions import HELD, SMOOTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Floats
    from gridclear.optimise.algebraic.branches import Tap
    from gridclear.optimise.algebraic.grid import PeriodGrid
    from gridclear.optimise.problem import Problem

#: A Pyomo expression, or a number.
Expression = Any
#: Ratios by step that differ from a straight line by less are one.
_STRAIGHT = 1e-9


class Flows:
    """States the grid of one period on a model of the decisions.

    Parameters
    ----------
    m : ConcreteModel
        From ``decision_model``.
    block : Block
        Where the period's variables and equations go.
    problem : Problem
    grid : PeriodGrid
    unit : float
        As in ``period_grids``.
    wholes : str
        As in ``decision_model``.

    linear : bool
        Whether positions times squared voltages are linear around the base state: ``v at[k]`` becomes
        ``v₀ at[k] + (v - v₀)`` at the base state's step, without the last term at others.

    Attributes
    ----------
    ends : dict of (branch, end) to (p, q)
        What branches draw at their nodes, after ``state``.
    """

    def __init__(
        self,
        m: pyo.ConcreteModel,
        block: pyo.Block,
        problem: Problem,
        grid: PeriodGrid,
        unit: float,
        wholes: str,
        *,
        linear: bool,
    ) -> None:
        self.m, self.block, self.problem, self.grid, self.unit = m, block, problem, grid, unit
        self.wholes, self.linear = wholes, linear
        self.nodes, self.branches = range(len(grid.held)), range(len(grid.z))
        self.ends: dict[tuple[int, int], tuple[Expression, Expression]] = {}
        #: Share that the wholes of the devices make of a squared voltage: (device, node) → parts by step.
        self._parts: dict[tuple[int, int], dict[int, Expression]] = {}
        self._variables()
        self._inner = self._inner_voltages()

    def v(self, node: int) -> Expression:
        """Squared voltage of a node."""
        held = self.grid.held[node]
        return self.block.v[node] if np.isnan(held) else float(held**2)

    def u(self, branch: int, end: int) -> Expression:
        """Squared voltage at an end of a series impedance."""
        return self._inner[branch, end]

    def _variables(self) -> None:
        block, grid = self.block, self.grid
        free = np.flatnonzero(np.isnan(grid.held)).tolist()
        block.v = pyo.Var(
            free,
            bounds=lambda _, i: (float(grid.low[i] ** 2), float(grid.high[i] ** 2)),
            initialize=lambda _, i: float(abs(grid.v0[i]) ** 2),
        )
        flow = grid.flow0
        widest = grid.high[grid.from_node] / np.abs(grid.ratio)
        for tap in grid.taps:
            if tap.end == FROM:
                widest[tap.branch] /= np.abs(tap.ratio).min()
        power = widest * grid.most
        for name, start in (("p", flow.real), ("q", flow.imag)):
            variable = pyo.Var(
                self.branches,
                bounds=lambda _, b: (-float(power[b]), float(power[b])),
                initialize=dict(enumerate(start.tolist())),
            )
            setattr(block, name, variable)
        slack = range(grid.n_free, len(grid.held))
        block.source_p = pyo.Var(slack, initialize=0.0)
        block.source_q = pyo.Var(slack, initialize=0.0)
        generators = [i for i in range(grid.n_free) if not np.isnan(grid.held[i])]
        block.generator_q = pyo.Var(generators, initialize=0.0)
        block.part = pyo.Var(pyo.Any, dense=False, bounds=(0.0, None), initialize=0.0)
        block.parts = pyo.ConstraintList()
        block.inner = pyo.Var(pyo.Any, dense=False, initialize=1.0)
        block.transform = pyo.ConstraintList()

    def _range(self, node: int) -> tuple[float, float]:
        """Bounds of a node's squared voltage."""
        held = self.grid.held[node]
        if not np.isnan(held):
            return float(held**2), float(held**2)
        return float(self.grid.low[node] ** 2), float(self.grid.high[node] ** 2)

    def parts(self, device: int, node: int) -> dict[int, Expression]:
        """Parts of a node's squared voltage by step: that of the device's step is all of it."""
        key = (device, node)
        if key not in self._parts:
            steps, t = steps_of(self.problem.devices[device], self.problem.periods), self.grid.period
            if self.linear or not np.isnan(self.grid.held[node]):
                square, base = float(abs(self.grid.v0[node]) ** 2), self._base_step(device, steps)
                self._parts[key] = {k: square * self.m.at[device, k, t] for k in steps}
                self._parts[key][base] += self.v(node) - square
            else:
                self._parts[key] = self._new_parts(device, node, steps)
        return self._parts[key]

    def _new_parts(self, device: int, node: int, steps: range) -> dict[int, Expression]:
        block, (low, high) = self.block, self._range(node)
        found = {}
        for k in steps:
            part, at = block.part[device, node, k], self.m.at[device, k, self.grid.period]
            block.parts.add(part <= high * at)
            block.parts.add(part >= low * at)
            part.set_value(float(abs(self.grid.v0[node]) ** 2) if k == 0 else 0.0)
            found[k] = part
        block.parts.add(pyo.quicksum(found.values()) == self.v(node))
        return found

    def _base_step(self, device: int, steps: range) -> int:
        """Step of the base state, or the nearest that the device can be at."""
        movable, problem = self.problem.devices[device], self.problem
        away = (
            problem.base.positions[self.grid.period, movable.device[0]]
            - problem.compiled.positions[movable.device[0]]
        )
        return min(max(int(away * movable.step[0]), steps[0]), steps[-1])

    def stepped(self, device: int, node: int) -> Expression:
        """Step of a device times a node's squared voltage."""
        t = self.grid.period
        if self.wholes in (HELD, SMOOTH):
            step = self.m.steps[device, t]
            return (step.value if self.wholes == HELD else step) * self.v(node)
        return pyo.quicksum(k * part for k, part in self.parts(device, node).items() if k)

    def ratio(self, tap: Tap) -> Expression:
        """Size of ρ of a tap changer, straight in the step or one number per position."""
        size, t = np.abs(tap.ratio), self.grid.period
        steps = steps_of(self.problem.devices[tap.device], self.problem.periods)
        if self.wholes == HELD:
            return float(size[round(self.m.steps[tap.device, t].value) - steps[0]])
        if self.wholes == SMOOTH:
            level, slope = self._straight(tap, size, np.array(steps))
            return level + slope * self.m.steps[tap.device, t]
        return pyo.quicksum(float(size[k - steps[0]]) * self.m.at[tap.device, k, t] for k in steps)

    def _straight(self, tap: Tap, size: Floats, steps: Floats) -> tuple[float, float]:
        """Coefficients of ρ = a + b · step."""
        slope = float(size[-1] - size[0]) / max(int(steps[-1] - steps[0]), 1)
        level = float(size[0] - slope * steps[0])
        if np.abs(level + slope * steps - size).max() > _STRAIGHT:
            what = f"the ratio of tap changer {tap.device} is not proportional to its position"
            raise CaseError(
                (Issue("tap_changers", "", "mode", what, "a model that decides whole positions"),)
            )
        return level, slope

    def _inner_voltages(self) -> dict[tuple[int, int], Expression]:
        grid, block = self.grid, self.block
        found: dict[tuple[int, int], Expression] = {}
        for b in self.branches:
            found[b, FROM] = self.v(grid.from_node[b]) * float(1.0 / abs(grid.ratio[b]) ** 2)
            found[b, TO] = self.v(grid.to_node[b])
        for tap in grid.taps:
            key = tap.branch, tap.end
            node = int((grid.from_node if tap.end == FROM else grid.to_node)[tap.branch])
            fixed = 1.0 / abs(grid.ratio[tap.branch]) ** 2 if tap.end == FROM else 1.0
            size = np.abs(tap.ratio) ** 2
            (low, high), start = self._range(node), abs(grid.inner0[key]) ** 2
            inner = block.inner[key]
            if not self.linear:
                inner.setlb(low * fixed / size.max())
                inner.setub(high * fixed / size.min())
            inner.set_value(float(start))
            if self.wholes in (HELD, SMOOTH):
                block.transform.add(self.ratio(tap) ** 2 * inner == fixed * self.v(node))
            else:
                steps = steps_of(self.problem.devices[tap.device], self.problem.periods)
                block.transform.add(
                    inner
                    == pyo.quicksum(
                        float(fixed / size[k - steps[0]]) * part
                        for k, part in self.parts(tap.device, node).items()
                    )
                )
            found[key] = inner
        return found

    def squared_currents(self) -> pyo.Var:
        """Give the block variables ``ell``."""
        grid, most = self.grid, (self.grid.most**2).tolist()
        start = np.abs(grid.flow0 / grid.inner0[:, FROM]) ** 2
        # Where the flow equations hold, the lower bound follows; a local solver is better off without it.
        low = None if self.wholes in (HELD, SMOOTH) else 0.0
        self.block.ell = pyo.Var(
            self.branches, bounds=lambda _, b: (low, most[b]), initialize=dict(enumerate(start.tolist()))
        )
        return self.block.ell

    def state(
        self,
        current: Callable[[int], Expression],
        magnitude: Callable[[int], Expression],
        paid: Callable[[int], Expression],
    ) -> Expression:
        """State voltage drops and balances.

        Parameters
        ----------
        current : callable
            Squared series current of a branch in the equations.
        magnitude : callable
            |V| of a node, asked for where anything is injected at constant current.
        paid : callable
            Squared series current of a branch in the losses that are paid for.

        Returns
        -------
        Expression
            Power lost, in the grid's unit.
        """
        block, grid = self.block, self.grid
        z, ground = grid.z, grid.ground
        ell = [current(b) for b in self.branches]
        block.drop = pyo.Constraint(
            self.branches,
            rule=lambda block, b: (
                self.u(b, TO)
                == self.u(b, FROM)
                - 2.0 * (float(z[b].real) * block.p[b] + float(z[b].imag) * block.q[b])
                + float(abs(z[b]) ** 2) * ell[b]
            ),
        )
        drawn: list[list[tuple[Expression, Expression]]] = [[] for _ in self.nodes]
        lost: list[Expression] = []
        for b in self.branches:
            own = block.p[b], block.q[b]
            far = own[0] - float(z[b].real) * ell[b], own[1] - float(z[b].imag) * ell[b]
            for end, sign, (p, q) in ((FROM, 1.0, own), (TO, -1.0, far)):
                y, u = ground[b, end], self.u(b, end)
                self.ends[b, end] = sign * p + float(y.real) * u, sign * q - float(y.imag) * u
                drawn[(grid.from_node if end == FROM else grid.to_node)[b]].append(self.ends[b, end])
                lost.append(float(y.real) * u)
            lost.append(float(z[b].real) * paid(b))
        for i in self.nodes:
            y = grid.shunt[i]
            if y:
                drawn[i].append((float(y.real) * self.v(i), -float(y.imag) * self.v(i)))
                lost.append(float(y.real) * self.v(i))
        for bank in grid.banks:
            y, stepped = bank.per_step, self.stepped(bank.device, bank.node)
            drawn[bank.node].append((float(y.real) * stepped, -float(y.imag) * stepped))
            lost.append(float(y.real) * stepped)
        given = self._injections(magnitude)
        block.balance_p = pyo.Constraint(
            self.nodes, rule=lambda _, i: pyo.quicksum(p for p, _ in drawn[i]) == given[i][0]
        )
        block.balance_q = pyo.Constraint(
            self.nodes, rule=lambda _, i: pyo.quicksum(q for _, q in drawn[i]) == given[i][1]
        )
        return pyo.quicksum(lost)

    def _injections(self, magnitude: Callable[[int], Expression]) -> list[tuple[Expression, Expression]]:
        """Active and reactive power that is put in at every node."""
        m, block, grid, t = self.m, self.block, self.grid, self.grid.period
        p: list[list[Expression]] = [[] for _ in self.nodes]
        q: list[list[Expression]] = [[] for _ in self.nodes]
        terms = [(i, order, 1.0, grid.injection[order, i]) for order in range(3) for i in self.nodes]
        terms += [(one.node, one.order, m.share[one.item], one.power) for one in grid.offered]
        for node, order, share, power in terms:
            if power == 0.0:
                continue
            voltage = 1.0 if order == 0 else magnitude(node) if order == 1 else self.v(node)
            for into, value in ((p, power.real), (q, power.imag)):
                if value:
                    into[node].append(float(value) * share * voltage)
        for store, node in enumerate(grid.stored.tolist()):
            if node >= 0:
                p[node].append((m.discharge[store, t] - m.charge[store, t]) / self.unit)
        for i in block.source_p:
            p[i].append(block.source_p[i])
            q[i].append(block.source_q[i])
        for i in block.generator_q:
            q[i].append(block.generator_q[i])
        return [(pyo.quicksum(p[i]), pyo.quicksum(q[i])) for i in self.nodes]
