"""What the last program says of prices: of the profile, and of the limits that bind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver
from gridclear.optimise.model import BROKEN, HELD, PERCENT, build_model, limit_tangents, loss_tangents
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Point

#: Distance to a limit, normalised, at which it binds.
_BINDS = 1e-5
#: Shares by which offers may move in the program that gives the prices: its duals hold around the point.
_RADIUS = 0.05


@dataclass(frozen=True, eq=False)
class Prices:
    """Duals at a point, whole steps held.

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
    model = build_model(point, HELD, _RADIUS)
    tangents = [
        tangent
        for period, local in enumerate(point.local)
        if local is not None
        for tangent in limit_tangents(local, period, np.flatnonzero(local.over > -_BINDS))
    ]
    solver, first = Solver(model.program), model.program.n_row
    solver.add(model.planes([*tangents, *loss_tangents(point)]))
    cost = weights.cost(model)
    dual = solver.minimise(cost).dual
    short = np.zeros(len(cost))
    short[model.columns.short.ravel()] = 1.0
    short[model.columns.broken] = weights.broken
    relief = solver.minimise(short).dual
    nothing = np.zeros(first + len(tangents))
    dual, relief = (nothing if found is None else found for found in (dual, relief))
    limits = [row for row, tangent in enumerate(tangents) if tangent.target == BROKEN]
    rows = np.array(limits, dtype=np.int64)
    hours = problem.compiled.case.horizon.hours
    return Prices(
        request=dual[model.profile] / hours,
        period=np.array([tangents[row].period for row in limits], dtype=np.int64),
        constraint=np.array([tangents[row].constraint for row in limits], dtype=np.int64),
        value=np.maximum(-dual[first + rows], 0.0) * PERCENT,
        relief=np.maximum(-relief[first + rows], 0.0) * PERCENT,
    )
