"""What a grid must keep, on top of its equations: limits and the profile.

Limits are soft, with the weights of the aims: |V| as v (linear: distances are those of v over twice the
limit), currents at both ends as P² + Q² <= L² v, powers of connection points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.network.limits import TOLERANCE, sides
from gridclear.optimise.algebraic.branches import FROM, TO
from gridclear.optimise.algebraic.decisions import missed
from gridclear.optimise.tangents import PERCENT

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algebraic.flows import Expression, Flows

#: Column of the apparent power among the limits of exchange, after those of P and Q.
_SIZE = 4


@dataclass(frozen=True, eq=False)
class Cone:
    """``p² + q² <= a · b`` with a, b not negative."""

    p: Expression
    q: Expression
    a: Expression
    b: Expression


@dataclass(frozen=True, eq=False)
class Row:
    """``left <= right``."""

    left: Expression
    right: Expression


class Limits:
    """Limits of one period; they are collected, not stated.

    Parameters
    ----------
    flows : Flows
        Its equations have been stated.

    Attributes
    ----------
    rows : list of Row
        Limits of voltages and of active and reactive powers.
    cones : list of Cone
        Limits of currents and of apparent powers.
    """

    def __init__(self, flows: Flows) -> None:
        self._flows, self._grid, self._m, self._problem = flows, flows.grid, flows.m, flows.problem
        self.rows: list[Row] = []
        self.cones: list[Cone] = []
        self._collect()

    def _collect(self) -> None:
        problem, grid = self._problem, self._grid
        compiled, t = problem.compiled, grid.period
        network, own = compiled.networks[grid.topology], compiled.limits[grid.topology]
        true, effective = own.numbered, problem.base.limits.numbered(grid.topology)[t]
        sign, unit = sides(network, own, np.arange(len(true)))
        with np.errstate(invalid="ignore"):
            sick = sign / unit * (effective - true) > TOLERANCE
        n, branches = len(self._flows.nodes), len(self._flows.branches)
        for c in np.flatnonzero(np.isfinite(effective)).tolist():
            targets = [(float(effective[c]), missed(self._m, "broken", t))]
            if sick[c]:
                targets.append((float(true[c]), missed(self._m, "uncured", t, c)))
            for level, excess in targets:
                if c < 2 * n:
                    # No voltage is below nothing: such a limit is always kept.
                    if level > 0.0:
                        over = float(sign[c]) * (self._flows.v(c % n) - level**2) * (0.5 / level)
                        self.rows.append(Row(PERCENT * over, excess))
                elif c < 2 * n + branches:
                    self._limit_current(c - 2 * n, level, excess, own.per_rated[c - 2 * n])
                else:
                    point, column = divmod(c - 2 * n - branches, 5)
                    self._limit_exchange(point, column, level, excess, float(sign[c]), float(unit[c]))

    def _limit_current(self, branch: int, level: float, excess: Expression, per_rated: Floats) -> None:
        """|I| at both ends: P² + Q² <= v · (L² + 2 L · excess), the excess at 1 p.u. of voltage."""
        level = max(level, TOLERANCE)
        for end, node in ((FROM, self._grid.from_node[branch]), (TO, self._grid.to_node[branch])):
            if per_rated[end] > 0.0:
                most = level / float(per_rated[end]) / self._flows.unit
                p, q = self._flows.ends[branch, end]
                self.cones.append(Cone(p, q, self._flows.v(node) + (2.0 / PERCENT / level) * excess, most**2))

    def _limit_exchange(
        self, point: int, column: int, level: float, excess: Expression, sign: float, unit: float
    ) -> None:
        p, q = exchange(self._flows, point)
        slack, scale = excess * (unit / PERCENT), 1.0 / self._flows.unit
        if column < _SIZE:
            self.rows.append(Row(sign * ((p, q)[column // 2] - level), slack))
            return
        level = max(level, TOLERANCE * unit)
        self.cones.append(Cone(p * scale, q * scale, 1.0 + 2.0 / level * slack, (level * scale) ** 2))


def exchange(flows: Flows, point: int) -> tuple[Expression, Expression]:
    """Power of a connection point in p.u.; ``point`` is a place among those that are fed."""
    own = flows.problem.compiled.limits[flows.grid.topology]
    node, share = int(own.point_node[point]), float(own.point_share[point]) * flows.unit
    return share * flows.block.source_p[node], share * flows.block.source_q[node]


def state_profile(flows: Flows) -> None:
    """State exchanges within their bands, or so many Mvar beside them."""
    problem, grid, m = flows.problem, flows.grid, flows.m
    requests, base = problem.requests, problem.compiled.s_base_mva
    points = problem.compiled.limits[grid.topology].point.tolist()
    flows.block.profile = pyo.ConstraintList()
    for r in np.flatnonzero(requests.period == grid.period).tolist():
        if int(requests.point[r]) not in points:
            continue
        q = exchange(flows, points.index(int(requests.point[r])))[1]
        away = base * (q - float(requests.q[r]))
        band = base * float(requests.tolerance[r])
        flows.block.profile.add(away <= band + missed(m, "over", r))
        flows.block.profile.add(away >= -band - missed(m, "under", r))
