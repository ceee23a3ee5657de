"""PQ maps point by point by pandapower's own optimal power flow: bids are plants, devices stay as they are.

``runopp`` moves no taps and no banks, and does not converge where a transformer turns the phase by 150°: so
shifts are taken out, which changes nothing where no loop leads through two of them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
from pandapower.optimal_powerflow import OPFNotConverged

if TYPE_CHECKING:
    from tests.oracle.clearing_values import Clearing
    from tests.oracle.pq_problem import MapProblem

#: Per unit and MVA that nothing reaches.
_WIDE_PU, _WIDE_MVA = 0.5, 1e3
#: Where pandapower has the limits.
COLUMNS = {"overvoltage": "max_vm_pu", "undervoltage": "min_vm_pu", "overload": "max_loading_percent"}


class RunoppMap:
    """The map of one connection point with a single external grid, in one period.

    Parameters
    ----------
    problem : MapProblem
    period, point : int
    """

    def __init__(self, problem: MapProblem, period: int, point: int) -> None:
        alone = problem.alone(period)
        (self._grid,) = alone.points[problem.points[point]]
        self._loss_price = problem.loss_price
        self._net = _net_of(alone)

    def extreme(self, sign: float) -> float:
        """Least (-1) or largest (1) Q in Mvar; NaN where it does not converge."""
        return self._solved(copy.deepcopy(self._net), p_eur=0.0, q_eur=-sign, bids=False)

    def at(self, q_mvar: float) -> float:
        """Q of the least cost where it is held; NaN where it does not converge."""
        net = copy.deepcopy(self._net)
        net.ext_grid.loc[self._grid, ["min_q_mvar", "max_q_mvar"]] = q_mvar
        return self._solved(net, p_eur=self._loss_price, q_eur=0.0, bids=True)

    def _solved(self, net: pp.pandapowerNet, *, p_eur: float, q_eur: float, bids: bool) -> float:
        if not bids:
            net.poly_cost = net.poly_cost.iloc[:0]
        pp.create_poly_cost(net, self._grid, "ext_grid", cp1_eur_per_mw=p_eur, cq1_eur_per_mvar=q_eur)
        try:
            pp.runopp(net)
        except OPFNotConverged:
            return np.nan
        return float(net.res_ext_grid.at[self._grid, "q_mvar"])


def _net_of(alone: Clearing) -> pp.pandapowerNet:
    """Make the period's net, with a plant for every offer, and with its limits."""
    net = copy.deepcopy(alone.bases[0].net)
    net.trafo["shift_degree"] = 0.0
    for table in ("load", "sgen", "storage"):
        net[table]["controllable"] = False
    offers = alone.offers
    for row in np.flatnonzero(offers.live & (offers.q_mvar != 0.0)):
        q = float(offers.q_mvar[row])
        plant = pp.create_sgen(
            net, int(offers.bus[row]), p_mw=0.0, q_mvar=0.0, controllable=True, min_p_mw=0.0, max_p_mw=0.0,
            min_q_mvar=min(q, 0.0), max_q_mvar=max(q, 0.0),
        )  # fmt: skip
        cost = float(offers.cost_eur[row]) / q
        pp.create_poly_cost(net, plant, "sgen", cp1_eur_per_mw=0.0, cq1_eur_per_mvar=cost)
    net.ext_grid["controllable"] = True
    for column in ("p_mw", "q_mvar"):
        net.ext_grid[f"min_{column}"], net.ext_grid[f"max_{column}"] = -_WIDE_MVA, _WIDE_MVA
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 1.0 - _WIDE_PU, 1.0 + _WIDE_PU
    place = {
        table: {str(name): at for at, name in net[table]["name"].items()}
        for table in ("bus", "line", "trafo", "trafo3w")
    }
    for row in alone.limits.itertuples():
        if row.kind in COLUMNS:
            at = place[row.element_type][str(row.element)]
            net[row.element_type].loc[at, COLUMNS[row.kind]] = row.limit
    return net
