"""Regions of P and Q by Ipopt: how far a way goes, what a place costs; whole decisions held or free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .clearing_judge import exchange_limits
from .clearing_nlp import solve_continuous
from .pq_extremes import ANSWERS, MET_MVAR, along

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
    found = along(problem, period, problem.alone(period), point, way, whole)
    if found.status not in ANSWERS:
        return Reached(found.status, np.nan, np.nan)
    return Reached(found.status, found.p_mw, found.q_mvar)


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
    rows = [row for row, own in enumerate(exchange_limits(alone)) if own == (point, "p")]
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
