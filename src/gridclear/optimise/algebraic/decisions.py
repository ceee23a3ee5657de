"""What every clearing has in common, in Pyomo: offers, devices with moves, storages, and the cost of it all.

Variables, for items i, devices d, storages s, periods t and requests r:

========================== =====================================================================
``share[i]``               0 … 1 of an offer; ``chosen[i]`` whether it is taken at all
``at[d, k, t]``            whether a device is at step k; ``steps[d, t]`` = Σ k · at[d, k, t]
``raised``, ``lowered``    moves into a period
``charge``, ``discharge``  power of a storage in p.u., ``energy`` at the end of the period
``over``, ``under``        Mvar by which an exchange lies above and below its band
``broken[t]``              per cent beyond the worst broken effective limit
``lost[t]``                power lost, in the grid's unit, where a model bounds it from below
``uncured[t, c]``          per cent beyond a true limit that the base state breaks
========================== =====================================================================

The aims stand in one objective in EUR, with the weights of ``optimise.weights``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.optimise.algebraic.grid import steps_of
from gridclear.optimise.problem import Plan
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.problem import Problem

#: Shares below this are a solver's rounding error of nothing.
_NOTHING = 1e-7
#: What becomes of decisions that are whole: decided whole, one fraction per position, a fractional step,
#: or as a given plan has them.
WHOLE, HULL, SMOOTH, HELD = "whole", "hull", "smooth", "held"


@dataclass(frozen=True, eq=False)
class Solution:
    """What a model says; AC power flows say whether it is true.

    Attributes
    ----------
    plan : Plan
    objective, bound : float
        EUR with all aims weighed, and the solver's lower bound of it: -inf where it gives none.
    vm : tuple of (period, (node,))
        Voltage magnitudes of every period that has a grid in the model.
    complete : bool
        False where time ended the search.
    """

    plan: Plan
    objective: float
    bound: float
    vm: tuple[tuple[int, Floats], ...]
    complete: bool


def decision_model(problem: Problem, wholes: str, plan: Plan | None = None) -> pyo.ConcreteModel:
    """State the decisions and their conditions.

    Parameters
    ----------
    problem : Problem
    wholes : {"whole", "hull", "smooth", "held"}
        Devices and what is taken at all are decided whole; as fractions, one for every position of a device;
        as fractions, devices by fractional steps without ``at``; or held as in ``plan``.
    plan : Plan, optional
        Take nothing and leave the devices, if not given.

    Returns
    -------
    ConcreteModel
        Without grid and objective.
    """
    m = pyo.ConcreteModel()
    m.T = pyo.Set(initialize=range(problem.periods))
    yes_or_no = pyo.Binary if wholes == WHOLE else pyo.UnitInterval
    _offers(m, problem, yes_or_no)
    _devices(m, problem, yes_or_no, positions=wholes in (WHOLE, HULL))
    _stores(m, problem, yes_or_no)
    _capability(m, problem)
    requests = range(len(problem.requests.q))
    m.over = pyo.Var(requests, bounds=(0.0, None), initialize=0.0)
    m.under = pyo.Var(requests, bounds=(0.0, None), initialize=0.0)
    m.broken = pyo.Var(m.T, bounds=(0.0, None), initialize=0.0)
    m.lost = pyo.Var(m.T, initialize=0.0)
    m.uncured = pyo.Var(pyo.Any, dense=False, bounds=(0.0, None), initialize=0.0)
    if wholes == HELD:
        _hold(m, problem, problem.nothing() if plan is None else plan)
    return m


def set_objective(m: pyo.ConcreteModel, problem: Problem, loss: dict[int, pyo.Expression]) -> None:
    """State the aims: ``loss`` is the power lost by period in p.u."""
    offers, weights = problem.offers, Weights.of(problem)
    price = np.bincount(offers.item, weights=offers.cost, minlength=len(offers.most))
    m.cost = pyo.Expression(
        expr=pyo.quicksum(float(price[i]) * m.share[i] for i in m.share)
        + pyo.quicksum(problem.devices[d].cost * (m.raised[d, t] + m.lowered[d, t]) for d, t in m.raised)
        + problem.loss_price * pyo.quicksum(loss.values())
    )
    m.aims = pyo.Expression(
        expr=weights.short * pyo.quicksum(m.over[r] + m.under[r] for r in m.over)
        + weights.uncured * pyo.quicksum(m.uncured.values())
        + weights.broken * pyo.quicksum(m.broken.values())
    )
    m.objective = pyo.Objective(expr=m.cost + m.aims)


def read_plan(m: pyo.ConcreteModel, problem: Problem) -> Plan:
    """Round what a solver left in the model to a plan that keeps the conditions on shares and ranges."""
    offers, stores = problem.offers, problem.stores
    share = np.array([pyo.value(m.share[i]) for i in m.share])
    share = np.where(share < _NOTHING, 0.0, np.clip(share, 0.0, offers.most))
    for i in m.chosen:
        taken = pyo.value(m.chosen[i]) > 0.5 and offers.most[i] >= offers.least[i]
        share[i] = np.clip(share[i], offers.least[i], offers.most[i]) if taken else 0.0
    shape = (len(problem.devices), problem.periods)
    steps = np.array([pyo.value(m.steps[d, t]) for d, t in m.steps]).reshape(shape)
    net = np.array([pyo.value(m.charge[s, t] - m.discharge[s, t]) for s, t in m.charge])
    net = np.clip(
        net.reshape(stores.count, problem.periods), -stores.most_discharge, stores.most_charge
    )
    return Plan(
        share=share,
        steps=np.rint(steps).astype(np.int64),
        charge=np.maximum(net, 0.0),
        discharge=np.maximum(-net, 0.0),
    )


def _offers(m: pyo.ConcreteModel, problem: Problem, yes_or_no: pyo.Set) -> None:
    """``least · chosen <= share <= most · chosen``; of an exclusive group one at most is chosen."""
    offers = problem.offers
    least, most = offers.least.tolist(), offers.most.tolist()
    m.share = pyo.Var(range(len(most)), bounds=lambda _, i: (0.0, most[i]), initialize=0.0)
    asked = offers.least > 0.0
    asked[offers.item[offers.exclusive >= 0]] = True
    m.chosen = pyo.Var(np.flatnonzero(asked).tolist(), domain=yes_or_no, initialize=0.0)
    m.at_least = pyo.Constraint(m.chosen.index_set(), rule=lambda m, i: m.share[i] >= least[i] * m.chosen[i])
    m.at_most = pyo.Constraint(m.chosen.index_set(), rule=lambda m, i: m.share[i] <= most[i] * m.chosen[i])
    groups: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero(offers.exclusive >= 0).tolist():
        key = (int(offers.period[row]), int(offers.exclusive[row]))
        groups.setdefault(key, []).append(int(offers.item[row]))
    m.exclusive = pyo.Constraint(
        list(groups), rule=lambda m, t, g: pyo.quicksum(m.chosen[i] for i in groups[t, g]) <= 1.0
    )


def _devices(m: pyo.ConcreteModel, problem: Problem, yes_or_no: pyo.Set, *, positions: bool) -> None:
    """One step at a time; changes are moves, and moves have budgets."""
    devices = range(len(problem.devices))
    reach = [steps_of(device, problem.periods) for device in problem.devices]
    m.steps = pyo.Var(devices, m.T, bounds=lambda _, d, t: (reach[d][0], reach[d][-1]), initialize=0.0)
    if positions:
        places = [(d, k, t) for d in devices for t in m.T for k in reach[d]]
        m.at = pyo.Var(places, domain=yes_or_no, initialize=lambda _, d, k, t: float(k == 0))
        m.one_step = pyo.Constraint(
            devices, m.T, rule=lambda m, d, t: pyo.quicksum(m.at[d, k, t] for k in reach[d]) == 1.0
        )
        m.which_step = pyo.Constraint(
            devices,
            m.T,
            rule=lambda m, d, t: m.steps[d, t] == pyo.quicksum(k * m.at[d, k, t] for k in reach[d]),
        )
    m.raised = pyo.Var(devices, m.T, bounds=(0.0, None), initialize=0.0)
    m.lowered = pyo.Var(devices, m.T, bounds=(0.0, None), initialize=0.0)
    m.moves = pyo.Constraint(
        devices,
        m.T,
        rule=lambda m, d, t: (
            m.steps[d, t] - (m.steps[d, t - 1] if t else 0) == m.raised[d, t] - m.lowered[d, t]
        ),
    )
    budgets = [(d, *budget) for d in devices for budget in problem.devices[d].budgets]
    m.budget = pyo.Constraint(
        budgets,
        rule=lambda m, d, begin, end, most: (
            pyo.quicksum(m.raised[d, t] + m.lowered[d, t] for t in range(begin, end)) <= most
        ),
    )


def _stores(m: pyo.ConcreteModel, problem: Problem, yes_or_no: pyo.Set) -> None:
    """Energy is kept; a storage never charges and discharges at once."""
    stores, hours = problem.stores, problem.compiled.case.horizon.hours
    S = range(stores.count)  # noqa: N806  sets have capitals in algebra
    most_in, most_out = stores.most_charge.tolist(), stores.most_discharge.tolist()
    scheduled = stores.scheduled

    def start(charges: bool) -> dict[tuple[int, int], float]:  # noqa: FBT001
        power = np.maximum(scheduled if charges else -scheduled, 0.0)
        return {(s, t): float(power[s, t]) for s in S for t in m.T}

    m.charge = pyo.Var(S, m.T, bounds=lambda _, s, t: (0.0, most_in[s][t]), initialize=start(True))  # noqa: FBT003
    m.discharge = pyo.Var(S, m.T, bounds=lambda _, s, t: (0.0, most_out[s][t]), initialize=start(False))  # noqa: FBT003
    m.charges = pyo.Var(S, m.T, domain=yes_or_no, initialize=0.0)
    m.energy = pyo.Var(
        S,
        m.T,
        bounds=lambda _, s, t: (_finite(stores.low[s]), _finite(stores.high[s])),
        initialize=lambda _, s, t: float(stores.start[s]),
    )
    m.charging = pyo.Constraint(
        S, m.T, rule=lambda m, s, t: m.charge[s, t] <= most_in[s][t] * m.charges[s, t]
    )
    m.discharging = pyo.Constraint(
        S, m.T, rule=lambda m, s, t: m.discharge[s, t] <= most_out[s][t] * (1.0 - m.charges[s, t])
    )
    m.balance_of_energy = pyo.Constraint(
        S,
        m.T,
        rule=lambda m, s, t: (
            m.energy[s, t]
            == (m.energy[s, t - 1] if t else float(stores.start[s]))
            + hours * float(stores.charging[s]) * m.charge[s, t]
            - hours / float(stores.discharging[s]) * m.discharge[s, t]
        ),
    )
    ends = [s for s in S if np.isfinite(stores.end[s])]
    m.energy_left = pyo.Constraint(
        ends, rule=lambda m, s: m.energy[s, problem.periods - 1] >= float(stores.end[s])
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _capability(m: pyo.ConcreteModel, problem: Problem) -> None:
    """What inverters can do, as linear rows."""
    able = problem.capability
    every = [*m.share.values(), *m.charge.values(), *m.discharge.values()]
    first, place, value = able.matrix.indptr, able.matrix.indices, able.matrix.data

    def row(_: pyo.ConcreteModel, number: int) -> object:
        own = range(first[number], first[number + 1])
        low, high = _finite(able.low[number]), _finite(able.high[number])
        if not len(own) or (low is None and high is None):
            return pyo.Constraint.Skip
        return low, pyo.quicksum(float(value[k]) * every[place[k]] for k in own), high

    m.capability = pyo.Constraint(range(len(able.low)), rule=row)


def _hold(m: pyo.ConcreteModel, problem: Problem, plan: Plan) -> None:
    """Hold what is whole as a plan has it; shares within what is taken stay free."""
    for i in m.chosen:
        m.chosen[i].fix(float(plan.share[i] > 0.0))
    for d, t in m.steps:
        m.steps[d, t].fix(int(plan.steps[d, t]))
    for s, t in m.charges:
        m.charges[s, t].fix(float(plan.charge[s, t] >= plan.discharge[s, t]))
    start = dict(enumerate(plan.share.tolist()))
    m.share.set_values(start)
