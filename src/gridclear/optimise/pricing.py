"""What the last program says of prices: of the profile, and of the limits that bind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver
from gridclear.optimise.model import HELD, build_model
from gridclear.optimise.reached import keep_delivery
from gridclear.optimise.tangents import BROKEN, PERCENT, limit_tangents, loss_tangents
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.tangents import Tangents

#: Distance to a limit, normalised, at which it binds.
_BINDS = 1e-5
#: Shares by which offers may move in the program that gives the prices: its duals hold around the point.
_RADIUS = 0.05
#: Mvar of shortfall and per cent of a cure by which what was reached may be missed: held to the last digit,
#: it would be as dear as the aim itself.
_MISSED_MVAR, _MISSED_PERCENT = 1e-6, 1e-5


@dataclass(frozen=True, eq=False)
class Prices:
    """Duals at a point, with whole steps, the cure and what is delivered of the profile held.

    Attributes
    ----------
    request : (request,)
        EUR per Mvar and hour that the exchange asked for were larger.
    period, constraint : (limit,) of int
        Limits that bind.
    value : (limit,)
        EUR per p.u. of voltage, per unit of loading, per p.u. of power that the limit were wider; not
        negative.
    relief : (limit,)
        Mvar of shortfall that the same would spare.
    """

    request: Floats
    period: Ints
    constraint: Ints
    value: Floats
    relief: Floats


def prices(point: Point) -> Prices:
    """Solve the program around a point once more, for its duals.

    Parameters
    ----------
    point : Point

    Returns
    -------
    Prices

    Raises
    ------
    SolverError
        The program has no answer.
    """
    problem, weights = point.problem, Weights.of(point.problem)
    tangents = [
        tangent
        for period, local in enumerate(point.local)
        if local is not None
        for tangent in limit_tangents(local, period, np.flatnonzero(local.over > -_BINDS))
    ]
    slack = _MISSED_MVAR / problem.compiled.s_base_mva
    kept = build_model(replace(point, problem=keep_delivery(point, slack)), HELD, _RADIUS)
    dual = _duals(point, kept, tangents, weights.cost(kept))
    model = build_model(point, HELD, _RADIUS)
    short = np.zeros(model.program.n_column)
    short[model.columns.short.ravel()] = 1.0
    short[model.columns.broken] = weights.broken
    relief, first = _duals(point, model, tangents, short), model.program.n_row
    every = [(own.period, own.target, constraint) for own in tangents for constraint in own.constraint]
    limits = [row for row, (_, target, _) in enumerate(every) if target == BROKEN]
    rows = np.array(limits, dtype=np.int64)
    hours = problem.compiled.case.horizon.hours
    return Prices(
        request=dual[kept.profile] / hours,
        period=np.array([every[row][0] for row in limits], dtype=np.int64),
        constraint=np.array([every[row][2] for row in limits], dtype=np.int64),
        value=np.maximum(-dual[first + rows], 0.0) * PERCENT,
        relief=np.maximum(-relief[first + rows], 0.0) * PERCENT,
    )


def _duals(point: Point, model: Model, tangents: Sequence[Tangents], cost: Floats) -> Floats:
    """Duals of a program's own rows and of the tangents of limits; zero where it has none."""
    solver = Solver(model.program)
    solver.add(model.planes([*tangents, *loss_tangents(point)]))
    left = {
        column: PERCENT * max(float(local.beyond[constraint]), 0.0) + _MISSED_PERCENT
        for (period, constraint), column in model.columns.uncured.items()
        if (local := point.local[period]) is not None
    }
    solver.fix(np.array(list(left), dtype=np.int64), np.array(list(left.values())))
    dual = solver.minimise(cost).dual
    rows = model.program.n_row + sum(len(own) for own in tangents)
    return np.zeros(rows) if dual is None else dual[:rows]
