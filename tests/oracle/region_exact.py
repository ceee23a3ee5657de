"""Regions of P and Q by Ipopt: how far a way goes, what a place costs; whole decisions held or free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .clearing_grid import loadings
from .clearing_market import add_market, add_steps, point_nodes
from .clearing_nlp import STATUS, WATCHED_PERCENT, ipopt, solve_continuous
from .clearing_states import StateRows
from .pq_extremes import ANSWERS, MET_MVAR
from .quadratic import Quadratic

if TYPE_CHECKING:
    from .pq_extremes import Whole
    from .pq_problem import MapProblem

_OPTIONS: dict[str, object] = {"ipopt.max_iter": 500}


@dataclass(frozen=True, eq=False)
class Reached:
    """Where an optimum lies, NaN where there is none."""

    status: str
    p_mw: float
    q_mvar: float


def farthest(
    problem: MapProblem, period: int, point: int, way: np.ndarray, whole: Whole | None = None
) -> Reached:
    """Largest ``way · (P, Q)`` of a connection point with one infeed; other points are free."""
    alone = problem.alone(period)
    grid = problem.grids[period]
    held = grid if whole is None else grid.held(whole.steps)
    least, most = (None, None) if whole is None else (whole.least, whole.most)
    watched = alone.base > WATCHED_PERCENT
    while True:
        model = Quadratic()
        market = add_market(model, alone, least, most)
        columns = add_steps(model, alone, whole=False) if whole is None else None
        states = StateRows(model, market, [held], columns).add(watched)
        arrays = model.arrays()
        mine = np.isin(grid.ref, point_nodes(alone, 0, grid.node)[point])
        own_p, own_q = (part[0][: len(grid.ref)][mine] for part in (states.p, states.q))
        cost, high = np.zeros(len(arrays.cost)), arrays.high.copy()
        cost[own_p], cost[own_q], high[states.short] = -way[0], -way[1], 0.0
        arrays = replace(arrays, cost=cost, high=high)
        solver = ipopt(arrays, _OPTIONS)
        answer = solver(
            x0=arrays.start, lbx=arrays.low, ubx=arrays.high, lbg=arrays.row_low, ubg=arrays.row_high
        )
        word = str(solver.stats()["return_status"])
        status, x = STATUS.get(word, f"failed: {word}"), np.asarray(answer["x"]).ravel()
        made = x[columns[0]] if columns is not None else whole.steps.astype(float)
        loaded = loadings(held, x[states.e[0]] + 1j * x[states.f[0]], made, len(alone.limits))
        missed = ~watched[0] & (loaded > alone.effective[0] + 1e-4)
        if status not in ANSWERS or not missed.any():
            break
        watched[0] |= loaded > WATCHED_PERCENT
    if status not in ANSWERS:
        return Reached(status, np.nan, np.nan)
    return Reached(status, *(float(x[own].sum()) * grid.base_mva for own in (own_p, own_q)))


def least_at(
    problem: MapProblem, period: int, point: int, place: tuple[float, float], whole: Whole | None = None
) -> float:
    """Least cost of a place in EUR, NaN where it cannot be had."""
    alone = problem.alone(period)
    profile, tolerance = alone.profile.copy(), alone.tolerance.copy()
    profile[point, 0], tolerance[point, 0] = place[1], 0.0
    # The active exchange is a limit from both sides.
    limits = alone.limits.copy()
    base, effective = alone.base.copy(), alone.effective.copy()
    rows = [row for row, own in enumerate(_exchanges(alone)) if own == (point, "p")]
    if len(rows) != 2:
        raise ValueError("the connection point needs both limits of its active power")
    side = limits["side"].to_numpy(dtype=float)
    for row in (np.flatnonzero(limits["kind"] == "exchange")[rows]).tolist():
        limits.loc[limits.index[row], "limit"] = place[0]
        effective[0, row], base[0, row] = place[0] + side[row] * MET_MVAR, place[0]
    alone = replace(
        alone, profile=profile, tolerance=tolerance, limits=limits, base=base, effective=effective
    )
    least, most = (None, None) if whole is None else (whole.least, whole.most)
    steps = None if whole is None else whole.steps[None]
    found = solve_continuous(
        alone, steps, least=least, most=most, grids=[problem.grids[period]], options=_OPTIONS
    )
    if found.status not in ANSWERS or found.shortfall_mvar.max() > 1e-4:
        return np.nan
    return float(found.cost_eur - problem.losses_mw[period] * problem.loss_price)


def _exchanges(alone: object) -> list[tuple[int, str]]:
    """Point and quantity of every exchange limit, in the order of the limits."""
    table = alone.problem.connection_points
    columns = ("p_max_mw", "p_min_mw", "q_max_mvar", "q_min_mvar", "s_max_mva")
    return [
        (k, column[0])
        for k, name in enumerate(alone.points)
        for column in columns
        if column in table and table.loc[table["connection_point"] == name, column].notna().any()
    ]
