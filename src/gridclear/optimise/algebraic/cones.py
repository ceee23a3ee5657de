"""Cones ``p² + q² <= a · b`` and limits for solvers of linear programs: planes that are added when missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.optimise.algebraic.linear import Forms, Variables, eliminate, forms
from gridclear.optimise.algebraic.solvers import SOLVED, Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algebraic.flows import Expression
    from gridclear.optimise.algebraic.limits import Cone, Row
    from gridclear.optimise.algebraic.solvers import ModelSolver
    from gridclear.optimise.algorithms import Deadline

#: Distance from a cone, relative to its size, that calls for another plane, and the size of small ones.
_FAR, _SMALL = 1e-5, 1e-2
#: Violation of a row that calls for it: limits stand in per cent.
_MISSED = 1e-6
#: What is read: cones, those of the totals, rows, totals.
_CONE, _SUMMED, _ROW, _TOTAL = "cone", "summed", "row", "total"
#: Rounds of planes with whole variables let loose, and with whole ones.
_LOOSE_ROUNDS, _WHOLE_ROUNDS = 25, 4


@dataclass(frozen=True, eq=False)
class Total:
    """``target >= rest + Σ weight · (p² + q²)/a`` of cones, their b aside."""

    target: Expression
    rest: Expression
    cones: tuple[Cone, ...]
    weight: Floats


@dataclass(frozen=True, eq=False)
class Lazy:
    """What is stated by planes only.

    Attributes
    ----------
    cones : sequence of Cone
    rows : sequence of Row
        Stated only when an answer breaks them.
    totals : sequence of Total
    """

    cones: Sequence[Cone] = ()
    rows: Sequence[Row] = ()
    totals: Sequence[Total] = ()


def solve_by_planes(
    m: pyo.ConcreteModel,
    lazy: Lazy,
    solver: ModelSolver,
    deadline: Deadline,
    gap: float,
    states: Sequence[pyo.Block] = (),
) -> Ended:
    """Solve with planes that are added until the answer keeps all that is lazy.

    Parameters
    ----------
    m : ConcreteModel
        Its present values are where the first planes touch the totals.
    lazy : Lazy
    solver : ModelSolver
    deadline : Deadline
    gap : float
    states : sequence of Block
        Blocks whose equations determine their variables, which are put out of the program: what is left
        of them are the planes and their ``profile``.

    Returns
    -------
    Ended
        Its bound holds for the model with all that is lazy, too.

    Notes
    -----
    ``b >= (p² + q²)/a`` is convex for a > 0; its tangent at (p₀, q₀, a₀) is
    ``b >= 2 (p₀ p + q₀ q)/a₀ - (p₀² + q₀²)/a₀² a`` (J. E. Kelley, "The cutting-plane method for solving
    convex programs", SIAM Journal 8(4), 1960). Whole variables are let loose until the answer keeps all.
    """
    planes = _Planes(m, lazy, states)
    planes.add(first=True)
    whole = [one for one in m.component_data_objects(pyo.Var) if not one.is_continuous() and not one.fixed]
    kinds = [one.domain for one in whole]
    for one in whole:
        one.domain = pyo.UnitInterval
    ended = _rounds(m, planes, solver, deadline, gap, _LOOSE_ROUNDS)
    if not whole:
        return ended
    for one, kind in zip(whole, kinds, strict=True):
        one.domain = kind
    if ended.state != SOLVED or deadline.passed:
        return Ended(ended.state, found=False, objective=float("nan"), bound=ended.bound)
    return _rounds(m, planes, solver, deadline, gap, _WHOLE_ROUNDS)


def _rounds(
    m: pyo.ConcreteModel,
    planes: _Planes,
    solver: ModelSolver,
    deadline: Deadline,
    gap: float,
    rounds: int,
) -> Ended:
    ended = solver.solve(m, seconds=deadline.left, gap=gap)
    for _ in range(rounds):
        if ended.state != SOLVED or deadline.passed or not planes.add():
            break
        before = ended.objective
        ended = solver.solve(m, seconds=deadline.left, gap=gap)
        if ended.found and abs(ended.objective - before) <= gap * abs(ended.objective):
            break
    return ended


class _Planes:
    """Evaluates everything at the model's values at once, and adds what is missed."""

    def __init__(self, m: pyo.ConcreteModel, lazy: Lazy, states: Sequence[pyo.Block]) -> None:
        m.planes = pyo.ConstraintList()
        self._m, self._lazy = m, lazy
        self._variables = Variables()
        summed = [cone for total in lazy.totals for cone in total.cones]
        read = {
            (group, name): forms((getattr(cone, name) for cone in cones), self._variables)
            for group, cones, names in ((_CONE, lazy.cones, "pqab"), (_SUMMED, summed, "pqa"))
            for name in names
        }
        read[_ROW, ""] = forms((row.left - row.right for row in lazy.rows), self._variables)
        read[_TOTAL, ""] = forms((total.rest - total.target for total in lazy.totals), self._variables)
        self._states = None
        if states:
            profile = [row for block in states for row in block.profile.values()]
            kept = forms((row.body for row in profile), self._variables)
            self._states = eliminate(states, self._variables)
            read = {key: self._states.without(form) for key, form in read.items()}
            kept = self._states.without(kept)
            for number, row in enumerate(profile):
                m.planes.add((row.lower, self._row(kept, number), row.upper))
            for block in states:
                block.deactivate()
        self._read = read
        self._stated = np.zeros(len(lazy.rows), dtype=bool)

    def add(self, *, first: bool = False) -> bool:
        """Add what the model's values miss; say whether there was anything."""
        if self._states is not None and not first:
            self._states.settle(self._variables)
        x = self._variables.values
        before = len(self._m.planes)
        if not first:
            rows = self._read[_ROW, ""]
            for number in np.flatnonzero((rows.at(x) > _MISSED) & ~self._stated).tolist():
                self._stated[number] = True
                self._m.planes.add(self._row(rows, number) <= 0.0)
            p, q, a, b = (self._read[_CONE, name].at(x) for name in "pqab")
            needed = (p * p + q * q) / np.maximum(a, _SMALL)
            for number in np.flatnonzero(needed - b > _FAR * np.maximum(needed, _SMALL)).tolist():
                left = self._tangent(_CONE, [number], np.ones(1), x)
                self._m.planes.add(left <= self._row(self._read[_CONE, "b"], number))
        self._add_totals(x, first=first)
        return len(self._m.planes) > before

    def _add_totals(self, x: Floats, *, first: bool) -> None:
        p, q, a = (self._read[_SUMMED, name].at(x) for name in "pqa")
        squares = (p * p + q * q) / np.maximum(a, _SMALL)
        lacking, end = self._read[_TOTAL, ""].at(x), 0
        for number, (total, short) in enumerate(zip(self._lazy.totals, lacking.tolist(), strict=True)):
            own = list(range(end, end + len(total.weight)))
            end += len(total.weight)
            needed = float(total.weight @ squares[own])
            if first or short + needed > _FAR * max(needed, _SMALL * _SMALL):
                rest = self._row(self._read[_TOTAL, ""], number)
                self._m.planes.add(rest + self._tangent(_SUMMED, own, total.weight, x) <= 0.0)

    def _tangent(self, group: str, own: list[int], weight: Floats, x: Floats) -> Expression:
        """Tangent of Σ weight · (p² + q²)/a."""
        p, q, a = (self._read[group, name] for name in "pqa")
        at_p, at_q = p.at(x)[own], q.at(x)[own]
        at_a = np.maximum(a.at(x)[own], _SMALL)
        along = (
            (p, 2.0 * weight * at_p / at_a),
            (q, 2.0 * weight * at_q / at_a),
            (a, -weight * (at_p**2 + at_q**2) / at_a**2),
        )
        count = len(self._variables.all)
        value, level = np.zeros(count), 0.0
        for form, factor in along:
            value[: form.matrix.shape[1]] += factor @ form.matrix[own]
            level += float(factor @ form.level[own])
        return self._expression(np.flatnonzero(value), value[np.flatnonzero(value)], level)

    def _row(self, form: Forms, number: int) -> Expression:
        own = slice(form.matrix.indptr[number], form.matrix.indptr[number + 1])
        return self._expression(
            form.matrix.indices[own].astype(np.int64), form.matrix.data[own], float(form.level[number])
        )

    def _expression(self, column: Ints, value: Floats, level: float) -> Expression:
        return level + pyo.quicksum(
            factor * self._variables.all[k] for k, factor in zip(column.tolist(), value.tolist(), strict=True)
        )
