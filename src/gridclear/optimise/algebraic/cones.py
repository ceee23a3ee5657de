"""Cones ``p² + q² <= a · b`` for a solver, whole or by planes that touch them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyomo.environ as pyo

from gridclear.optimise.algebraic.solvers import SOLVED, Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.optimise.algebraic.flows import Cone
    from gridclear.optimise.algebraic.solvers import ModelSolver
    from gridclear.optimise.algorithms import Deadline

#: Distance from a cone, relative to its size, that calls for another plane, and rounds of planes.
_FAR, _RELAXED_ROUNDS, _WHOLE_ROUNDS = 1e-5, 25, 4
#: Size below which a distance counts in absolute terms.
_SMALL = 1e-2


def state_cones(m: pyo.ConcreteModel, cones: Sequence[Cone], *, equal: bool) -> None:
    """State cones as they are; those of flows as equations, if asked for."""
    m.cones = pyo.ConstraintList()
    for cone in cones:
        left, right = cone.p**2 + cone.q**2, cone.a * cone.b
        m.cones.add(left == right if equal and cone.flow else left <= right)


def solve_by_planes(
    m: pyo.ConcreteModel, cones: Sequence[Cone], solver: ModelSolver, deadline: Deadline, gap: float
) -> Ended:
    """Solve with planes that touch the cones, added until the answer keeps them.

    Parameters
    ----------
    m : ConcreteModel
        Its present values are where the first planes touch.
    cones : sequence of Cone
    solver : ModelSolver
    deadline : Deadline
    gap : float

    Returns
    -------
    Ended
        Its bound holds for the model with whole cones, too.

    Notes
    -----
    ``b >= (p² + q²)/a`` is convex for a > 0; its tangent at (p₀, q₀, a₀) is
    ``b >= 2 (p₀ p + q₀ q)/a₀ - (p₀² + q₀²)/a₀² a`` (J. E. Kelley, "The cutting-plane method for solving convex
    programs", SIAM Journal 8(4), 1960). The whole variables are let loose until the relaxed answer keeps
    the cones.
    """
    m.planes = pyo.ConstraintList()
    for cone in cones:
        if cone.flow:
            _touch(m, cone)
    whole = [one for one in m.component_data_objects(pyo.Var) if not one.is_continuous() and not one.fixed]
    kinds = [one.domain for one in whole]
    for one in whole:
        one.domain = pyo.UnitInterval if one.is_binary() else pyo.Reals
    ended = _rounds(m, cones, solver, deadline, gap, _RELAXED_ROUNDS)
    if not whole or ended.state != SOLVED:
        return ended if not whole else Ended(ended.state, found=False, objective=float("nan"), bound=ended.bound)
    for one, kind in zip(whole, kinds, strict=True):
        one.domain = kind
    return _rounds(m, cones, solver, deadline, gap, _WHOLE_ROUNDS)


def _rounds(
    m: pyo.ConcreteModel,
    cones: Sequence[Cone],
    solver: ModelSolver,
    deadline: Deadline,
    gap: float,
    rounds: int,
) -> Ended:
    ended = solver.solve(m, seconds=deadline.left, gap=gap)
    for _ in range(rounds):
        if ended.state != SOLVED:
            break
        far = [cone for cone in cones if _distance(cone) > _FAR]
        if not far or deadline.passed:
            break
        for cone in far:
            _touch(m, cone)
        ended = solver.solve(m, seconds=deadline.left, gap=gap)
    return ended


def _distance(cone: Cone) -> float:
    """By how much b lies below (p² + q²)/a, relative to it."""
    p, q, a, b = (pyo.value(one) for one in (cone.p, cone.q, cone.a, cone.b))
    needed = (p * p + q * q) / max(a, _SMALL)
    return float(needed - b) / max(needed, _SMALL)


def _touch(m: pyo.ConcreteModel, cone: Cone) -> None:
    p, q, a = (float(pyo.value(one)) for one in (cone.p, cone.q, cone.a))
    a = max(a, _SMALL)
    if p or q:
        m.planes.add(cone.b >= (2.0 * p / a) * cone.p + (2.0 * q / a) * cone.q - ((p * p + q * q) / a**2) * cone.a)
