"""What every clearing has in common, in Pyomo: offers, devices with moves, storages, and the cost of it all.

Variables, for items i, devices d, storages s, periods t and requests r:

========================== =====================================================================
``share[i]``               0 … 1 of an offer; ``chosen[i]`` whether it is taken at all
``at[d, k, t]``            whether a device is at step k; ``steps[d, t]`` = Σ k · at[d, k, t]
``raised``, ``lowered``    moves into a period
``charge``, ``discharge``  power of a storage in p.u., ``energy`` at the end of the period
``lost[t]``                power lost, in the grid's unit, where a model bounds it from below
``penalty["over", r]``     EUR that the Mvar of an exchange above its band weigh, ``under`` those below
``penalty["broken", t]``   EUR of the per cent beyond the worst broken effective limit
``penalty["uncured", t,``  EUR of the per cent beyond a true limit that the base state breaks
``c]``
========================== =====================================================================

The aims stand in one objective in EUR, with the weights of ``optimise.weights``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyomo.environ as pyo

from gridclear.optimise.algebraic.branches import steps_of
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
    held = (problem.nothing() if plan is None else plan) if wholes == HELD else None
    _offers(m, problem, whole=wholes == WHOLE, held=held)
    _devices(m, problem, wholes, held)
    _stores(m, problem, whole=wholes == WHOLE, held=held)
    _capability(m, problem)
    _aims(m, problem)
    m.lost = pyo.Var(m.T, initialize=0.0)
    return m


def set_objective(m: pyo.ConcreteModel, problem: Problem, loss: dict[int, pyo.Expression]) -> None:
    """State the aims: ``loss`` is the power lost by period in p.u."""
    offers = problem.offers
    price = np.bincount(offers.item, weights=offers.cost, minlength=len(offers.most))
    m.cost = pyo.Expression(
        expr=pyo.quicksum(float(price[i]) * m.share[i] for i in m.share)
        + pyo.quicksum(problem.devices[d].cost * (m.raised[d, t] + m.lowered[d, t]) for d, t in m.raised)
        + problem.loss_price * pyo.quicksum(loss.values())
    )
    m.aims = pyo.Expression(expr=pyo.quicksum(m.penalty.values()))
    m.objective = pyo.Objective(expr=m.cost + m.aims)


def read_plan(m: pyo.ConcreteModel, problem: Problem) -> Plan:
    """Round what a solver left in the model to a plan that keeps the conditions on shares and ranges."""
    offers, stores = problem.offers, problem.stores
    share = np.array([pyo.value(m.share[i]) for i in m.share])
    share = np.where(share < _NOTHING, 0.0, np.minimum(share, offers.most))
    # Between nothing and the least there is a solver's rounding error only.
    share = np.where(share >= offers.least, share, np.where(share > 0.5 * offers.least, offers.least, 0.0))
    shape = (len(problem.devices), problem.periods)
    steps = np.array([pyo.value(m.steps[d, t]) for d, t in m.steps]).reshape(shape)
    net = np.array([pyo.value(m.charge[s, t] - m.discharge[s, t]) for s, t in m.charge])
    net = np.clip(net.reshape(stores.count, problem.periods), -stores.most_discharge, stores.most_charge)
    return Plan(
        share=share,
        steps=np.rint(steps).astype(np.int64),
        charge=np.maximum(net, 0.0),
        discharge=np.maximum(-net, 0.0),
    )


def _offers(m: pyo.ConcreteModel, problem: Problem, *, whole: bool, held: Plan | None) -> None:
    """``least · chosen <= share <= most · chosen``; of an exclusive group one at most is chosen.

    Divisible, that is ``0 <= share <= most`` and ``Σ share/most <= 1``.
    """
    offers = problem.offers
    asked = offers.asked
    low, high = np.zeros(len(asked)), offers.most.copy()
    if held is not None:
        taken = held.share > 0.0
        low, high = np.where(asked & taken, offers.least, low), np.where(asked & ~taken, 0.0, high)
    least, most, low, high = (values.tolist() for values in (offers.least, offers.most, low, high))
    m.share = pyo.Var(
        range(len(most)),
        bounds=lambda _, i: (low[i], high[i]),
        initialize=lambda _, i: 0.0 if held is None else float(held.share[i]),
    )
    places = np.flatnonzero(asked).tolist() if whole else []
    m.chosen = pyo.Var(places, domain=pyo.Binary, initialize=0.0)
    m.at_least = pyo.Constraint(places, rule=lambda m, i: m.share[i] >= least[i] * m.chosen[i])
    m.at_most = pyo.Constraint(places, rule=lambda m, i: m.share[i] <= most[i] * m.chosen[i])
    groups: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero((offers.exclusive >= 0) & (held is None)).tolist():
        item = int(offers.item[row])
        if most[item] > 0.0:
            groups.setdefault((int(offers.period[row]), int(offers.exclusive[row])), []).append(item)
    m.exclusive = pyo.Constraint(
        list(groups),
        rule=lambda m, *group: (
            pyo.quicksum(m.chosen[i] if whole else m.share[i] / most[i] for i in groups[group]) <= 1.0
        ),
    )


def _devices(m: pyo.ConcreteModel, problem: Problem, wholes: str, held: Plan | None) -> None:
    """One step at a time; changes are moves, and moves have budgets."""
    devices = range(len(problem.devices))
    reach = [steps_of(device, problem.periods) for device in problem.devices]
    m.steps = pyo.Var(devices, m.T, bounds=lambda _, d, __: (reach[d][0], reach[d][-1]), initialize=0.0)
    most = [len(own) - 1 for own in reach]
    m.raised = pyo.Var(devices, m.T, bounds=lambda _, d, __: (0.0, most[d]), initialize=0.0)
    m.lowered = pyo.Var(devices, m.T, bounds=lambda _, d, __: (0.0, most[d]), initialize=0.0)
    if held is not None:
        change = np.diff(held.steps, axis=1, prepend=0)
        for d, t in m.steps:
            m.steps[d, t].fix(int(held.steps[d, t]))
            m.raised[d, t].fix(max(int(change[d, t]), 0))
            m.lowered[d, t].fix(max(-int(change[d, t]), 0))
        return
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
    if wholes == SMOOTH:
        return
    places = [(d, k, t) for d in devices for t in m.T for k in reach[d]]
    domain = pyo.Binary if wholes == WHOLE else pyo.UnitInterval
    m.at = pyo.Var(places, domain=domain, initialize=lambda _, __, k, ___: float(k == 0))
    m.one_step = pyo.Constraint(
        devices, m.T, rule=lambda m, d, t: pyo.quicksum(m.at[d, k, t] for k in reach[d]) == 1.0
    )
    m.which_step = pyo.Constraint(
        devices,
        m.T,
        rule=lambda m, d, t: m.steps[d, t] == pyo.quicksum(k * m.at[d, k, t] for k in reach[d]),
    )


def _stores(m: pyo.ConcreteModel, problem: Problem, *, whole: bool, held: Plan | None) -> None:
    """Energy is kept; a storage never charges and discharges at once, or as parts of its time, divisible."""
    stores, hours = problem.stores, problem.compiled.case.horizon.hours
    numbers, places = range(stores.count), [(s, t) for s in range(stores.count) for t in m.T]
    most_in, most_out = stores.most_charge, stores.most_discharge
    start = (np.maximum(stores.scheduled, 0.0), np.maximum(-stores.scheduled, 0.0))
    if held is not None:
        charges = held.charge >= held.discharge
        most_in, most_out = np.where(charges, most_in, 0.0), np.where(charges, 0.0, most_out)
        start = (held.charge, held.discharge)
    for name, most, first in zip(("charge", "discharge"), (most_in, most_out), start, strict=True):
        bounds = {(s, t): (0.0, float(most[s, t])) for s, t in places}
        variable = pyo.Var(places, bounds=bounds, initialize={(s, t): float(first[s, t]) for s, t in places})
        setattr(m, name, variable)
    m.charges = pyo.Var(places if whole else [], domain=pyo.Binary, initialize=0.0)
    m.charging = pyo.Constraint(
        m.charges.index_set(), rule=lambda m, s, t: m.charge[s, t] <= float(most_in[s, t]) * m.charges[s, t]
    )
    m.discharging = pyo.Constraint(
        m.charges.index_set(),
        rule=lambda m, s, t: m.discharge[s, t] <= float(most_out[s, t]) * (1.0 - m.charges[s, t]),
    )
    both = [(s, t) for s, t in places if not whole and most_in[s, t] > 0.0 and most_out[s, t] > 0.0]
    m.part_of_time = pyo.Constraint(
        both,
        rule=lambda m, s, t: (
            m.charge[s, t] / float(most_in[s, t]) + m.discharge[s, t] / float(most_out[s, t]) <= 1.0
        ),
    )
    m.energy = pyo.Var(
        places,
        bounds=lambda _, s, __: (_finite(float(stores.low[s])), _finite(float(stores.high[s]))),
        initialize=lambda _, s, __: float(stores.start[s]),
    )
    m.balance_of_energy = pyo.Constraint(
        places,
        rule=lambda m, s, t: (
            m.energy[s, t]
            == (m.energy[s, t - 1] if t else float(stores.start[s]))
            + hours * float(stores.charging[s]) * m.charge[s, t]
            - hours / float(stores.discharging[s]) * m.discharge[s, t]
        ),
    )
    m.energy_left = pyo.Constraint(
        [s for s in numbers if np.isfinite(stores.end[s])],
        rule=lambda m, s: m.energy[s, problem.periods - 1] >= float(stores.end[s]),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _aims(m: pyo.ConcreteModel, problem: Problem) -> None:
    """Weigh what comes before the cost; a solver sees the weight in EUR, so that no cost is large."""
    weights = Weights.of(problem)
    m.penalty = pyo.Var(pyo.Any, dense=False, bounds=(0.0, None), initialize=0.0)
    m.weight = {
        "over": weights.short,
        "under": weights.short,
        "uncured": weights.uncured,
        "broken": weights.broken,
    }


def missed(m: pyo.ConcreteModel, aim: str, *key: int) -> pyo.Expression:
    """Miss an aim by so much: ``over`` or ``under`` in Mvar, ``broken`` or ``uncured`` in per cent."""
    return m.penalty[(aim, *key)] * (1.0 / m.weight[aim])


def _capability(m: pyo.ConcreteModel, problem: Problem) -> None:
    """State what inverters can do, as linear rows."""
    able = problem.capability
    every = [*m.share.values(), *m.charge.values(), *m.discharge.values()]
    first, place, value = able.matrix.indptr, able.matrix.indices, able.matrix.data

    def row(_: pyo.ConcreteModel, number: int) -> object:
        own = range(first[number], first[number + 1])
        low, high = _finite(able.low[number]), _finite(able.high[number])
        if not own or (low is None and high is None):
            return pyo.Constraint.Skip
        return low, pyo.quicksum(float(value[k]) * every[place[k]] for k in own), high

    m.capability = pyo.Constraint(range(len(able.low)), rule=row)
