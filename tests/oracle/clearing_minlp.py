"""The optimum of a small clearing over everything that is decided, whole steps too, proved by SCIP.

Branch flows (`clearing_flows`) with their equations kept, taps and banks by whole positions, smallest amounts
and moves as they are: SCIP's bound holds for every schedule, its answer is one to its feasibility tolerance.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyscipopt

from .clearing_flows import FlowRows
from .clearing_grid import grids_of
from .clearing_market import FINE, add_market, add_steps
from .clearing_nlp import solve_continuous
from .quadratic import Quadratic

if TYPE_CHECKING:
    from .clearing_grid import Grid
    from .clearing_market import Market
    from .clearing_values import Clearing
    from .quadratic import Arrays

FEASIBLE = 1e-7
STATUS = {"optimal": "proved", "gaplimit": "proved", "timelimit": "time", "infeasible": "infeasible"}


@dataclass(frozen=True, eq=False)
class Optimum:
    """What SCIP found.

    ``status``: ``proved`` (to the gap), ``time``, ``infeasible``, or ``failed: `` and SCIP's own word.
    ``weighed``, ``bound``: what is minimised, EUR with what shortfall and uncured limits weigh, and its lower
    bound. Arrays as in `clearing_nlp.Continuous`.
    """

    status: str
    weighed: float
    bound: float
    cost_eur: float
    share: np.ndarray
    steps: np.ndarray
    charge_mw: np.ndarray
    discharge_mw: np.ndarray
    shortfall_mvar: np.ndarray
    uncured: float
    seconds: float

    @property
    def gap(self) -> float:
        """Of what is weighed."""
        return (self.weighed - self.bound) / max(abs(self.weighed), 1e-9)


def solve_global(clearing: Clearing, *, gap: float = 1e-4, seconds: float = 60.0) -> Optimum:
    """Clear with everything decided, to a gap that is a part of the cost with nothing whole."""
    began = time.perf_counter()
    model = Quadratic()
    market = add_market(model, clearing, whole=True)
    steps = add_steps(model, clearing, whole=True)
    grids = grids_of(clearing)
    flows = FlowRows(model, market, grids, steps).add()
    arrays = model.arrays()
    price = clearing.losses_eur_mwh * clearing.hours
    constant = price * sum(_forecast_mw(market, t, grid) for t, grid in enumerate(grids))
    scip, columns = scip_of(arrays)
    scip.addObjoffset(constant)
    scip.setRealParam("limits/absgap", gap * abs(solve_continuous(clearing, grids=grids).cost_eur))
    scip.setRealParam("limits/time", seconds)
    scip.setRealParam("numerics/feastol", FEASIBLE)
    scip.setIntParam("propagating/probing/maxprerounds", 0)  # does not end with such a tolerance
    scip.optimize()
    word, taken = str(scip.getStatus()), time.perf_counter() - began
    if not scip.getNSols():
        nothing = np.full(1, np.nan)
        return Optimum(STATUS.get(word, f"failed: {word}"), np.nan, float(scip.getDualbound()), np.nan,
                       *[nothing] * 5, np.nan, taken)  # fmt: skip
    best = scip.getBestSol()
    x = np.array([scip.getSolVal(best, column) for column in columns])
    penalties = np.concatenate([flows.short.ravel(), flows.uncured])
    weighed = float(arrays.cost @ x) + constant
    return Optimum(
        status=STATUS.get(word, f"failed: {word}"),
        weighed=weighed,
        bound=float(scip.getDualbound()),
        cost_eur=weighed - float(arrays.cost[penalties] @ x[penalties]),
        share=np.clip(x[market.share[clearing.offers.unit]], 0.0, 1.0),
        steps=np.round(x[steps]),
        charge_mw=x[market.charge],
        discharge_mw=x[market.discharge],
        shortfall_mvar=np.maximum(x[flows.short], 0.0),
        uncured=FINE * float(np.maximum(x[flows.uncured], 0.0).sum()),
        seconds=taken,
    )


def _forecast_mw(market: Market, period: int, grid: Grid) -> float:
    """What the forecast puts in, but for storages that are decided: losses are this and what is decided."""
    return float(grid.s.real.sum()) * grid.base_mva - sum(market.base_mw(period).values())


def scip_of(arrays: Arrays) -> tuple[pyscipopt.Model, list[pyscipopt.scip.Variable]]:
    """SCIP's model of a quadratic program, and its variables."""
    scip = pyscipopt.Model()
    scip.hideOutput()
    bounds = zip(
        arrays.low.tolist(), arrays.high.tolist(), arrays.whole.tolist(), arrays.cost.tolist(), strict=True
    )
    columns = [
        scip.addVar(
            lb=None if np.isinf(low) else low,
            ub=None if np.isinf(high) else high,
            vtype="I" if whole else "C",
            obj=cost,
        )
        for low, high, whole, cost in bounds
    ]
    terms: list[list[object]] = [[] for _ in arrays.row_low]
    for row, column, value in zip(*(part.tolist() for part in arrays.linear), strict=True):
        terms[row].append(value * columns[column])
    for row, one, other, value in zip(*(part.tolist() for part in arrays.product), strict=True):
        terms[row].append(value * columns[one] * columns[other])
    for row, (low, high) in enumerate(zip(arrays.row_low.tolist(), arrays.row_high.tolist(), strict=True)):
        total = pyscipopt.quicksum(terms[row])
        if low == high:
            scip.addCons(total == low)
            continue
        if np.isfinite(low):
            scip.addCons(total >= low)
        if np.isfinite(high):
            scip.addCons(total <= high)
    return scip, columns
