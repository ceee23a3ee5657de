"""Nothing that a plan can be is cut off by the program behind a lower bound, nor cheaper than the bound.

Plans are drawn at random and judged by pandapower; those that keep, cure and deliver as well as the plan
whose bound is asked for are lifted into the program's columns. Its rows and planes may not cut them off,
whatever they cost, nor the ranges and closed steps if they cost no more than the plan.
"""

from __future__ import annotations

import numpy as np
import pytest
from algebraic_support import problem_of

from gridclear.jobs.cleared import device_moves, proof_of, schedule_table
from gridclear.optimise.algorithms import Deadline
from gridclear.optimise.bound import _RESERVE, _Search
from gridclear.optimise.circuit import circuits_of
from gridclear.optimise.linearise import assess
from gridclear.optimise.problem import Plan
from gridclear.optimise.reached import keep_all
from gridclear.optimise.successive import successive
from oracle.awkward_clearings import FEEDINGS, awkward_case
from oracle.clearing_judge import Judge
from oracle.clearing_problem import clearing_of
from oracle.lifted_states import balance_error, circuit_voltages, least_excess, lifted_columns

#: One of every feeding, and one whose devices are held back by a budget of the first day.
QUICK = (*range(len(FEEDINGS)), 15)
SEEDS = [*QUICK, *(pytest.param(seed, marks=pytest.mark.study) for seed in range(180) if seed not in QUICK)]
DRAWN, MOST_JUDGED = 120, 12
#: Solver's and power flow's own errors, in MW, Mvar, p.u. or in a plane's scale; and parts of the cost.
ROOM, MONEY = 3e-6, 1e-6
#: By which a request may be missed by more.
CLOSE = 1e-7


def drawn(problem, around, count, rng):
    """Plans around others: shares that keep least amounts, whole steps, storages that are used a little."""
    lowest = np.array([device.lowest for device in problem.devices])[:, None]
    highest = np.array([device.highest for device in problem.devices])[:, None]
    for number in range(count):
        plan = around[number % len(around)]
        size = rng.choice([0.0, 0.02, 0.2, 2.0])
        share = np.clip(plan.share + rng.normal(0.0, size, len(plan.share)), 0.0, problem.offers.most)
        share = np.where(share < problem.offers.least, rng.choice([0.0, 1.0]) * problem.offers.least, share)
        moved = rng.integers(-2, 3, plan.steps.shape) * (rng.random(plan.steps.shape) < rng.random())
        moved = np.where(rng.random() < 0.5, moved, np.repeat(moved[:, :1], moved.shape[1], axis=1))
        used = rng.uniform(-0.3, 0.3, plan.charge.shape) / problem.compiled.s_base_mva
        net = plan.charge - plan.discharge + used * (rng.random() < 0.5)
        yield Plan(
            share=np.minimum(share, problem.offers.most),
            steps=np.clip(plan.steps + moved, lowest, highest),
            charge=np.clip(net, 0.0, problem.stores.most_charge),
            discharge=np.clip(-net, 0.0, problem.stores.most_discharge),
        )


def beyond(judge, verdict):
    """What a verdict has beyond every true limit, where the forecast breaks it, else zero."""
    c = judge.clearing
    side, limit = c.limits["side"].to_numpy(float), c.limits["limit"].to_numpy(float)
    tolerance = c.limits["tolerance"].to_numpy(float)
    value = c.effective + side * verdict.over * tolerance
    sick = side * (c.effective - limit) > tolerance
    return np.where(sick, np.maximum(side * (value - limit), 0.0), 0.0) / tolerance


def as_good(judge, one, other):
    """Whether a verdict leaves no limit and no request worse off than another."""
    keeps = not one.faults and one.worst <= 1.0
    # In tolerances: what ``docs/bound.md`` grants a cure.
    overload = (judge.clearing.limits["kind"] == "overload").to_numpy()
    cured = (beyond(judge, one) <= beyond(judge, other) + np.where(overload, 1.0, 0.5)).all()
    closer = (one.shortfall_mvar <= other.shortfall_mvar + CLOSE).all()
    return bool(keeps and cured and closer)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_plan_is_cut_off(seed):
    awkward, rng = awkward_case(seed), np.random.default_rng(seed)
    problem = problem_of(awkward.case, awkward.market)
    judge = Judge(clearing_of(awkward.case, market=awkward.market))

    def judged(plan):
        return judge(schedule_table(problem, plan), device_moves(problem, plan))

    kept = [
        plan
        for plan in [problem.nothing(), *drawn(problem, [problem.nothing()], DRAWN, rng)]
        if proof_of(problem, plan, 1).confirmed
    ]
    # The dearest: most of what can be done is cheaper, and must not be below its bound.
    point = max((assess(problem, plan) for plan in kept), key=lambda one: one.cost)
    point_short = point.shortfall
    search_problem = keep_all(point)
    point = assess(search_problem, point.plan)
    own_verdict = judged(point.plan)
    search = _Search(point, circuits_of(point), Deadline())
    search.run()
    bound = search.best - _RESERVE * point.turnover
    assert bound <= point.cost
    best = successive(search_problem, Deadline()).plan
    rivals = [point.plan, best]
    for plan in drawn(problem, [best, point.plan, *kept], DRAWN, rng):
        proof = proof_of(problem, plan, 1)
        if proof.confirmed and (proof.shortfall <= point_short + CLOSE).all():
            rivals.append(plan)
    cuts = [cut.plane for cut in search.relaxation.cuts]
    worst, cheapest, count = 0.0, np.inf, 0
    for plan in rivals[: 2 + MOST_JUDGED]:
        verdict = judged(plan)
        if not as_good(judge, verdict, own_verdict):
            continue
        count += 1
        known = {}
        for number, own in search.relaxation.periods:
            voltage = circuit_voltages(own.circuit, judge.nets[number], plan.steps[:, number])
            values = lifted_columns(search.relaxation, number, own, plan, voltage)
            x = np.zeros(len(search.relaxation.cost))
            x[list(values)] = list(values.values())
            assert balance_error(own, voltage, x) <= 1e-6
            far = search.relaxation._distances(number, own)
            if far is not None:
                moved = voltage - search.relaxation.plan_state(number, own).voltage
                assert (np.abs(own.circuit.current @ moved)[: len(far)] <= far + 1e-9).all()
            known |= values
        cheaper = verdict.cost_eur <= point.cost
        planes = [*cuts, *(search.relaxation.ranges if cheaper else ())]
        worst = max(worst, least_excess(search.relaxation, known, planes))
        cheapest = min(cheapest, verdict.cost_eur)
        assert worst <= ROOM, f"{verdict.cost_eur} EUR against {point.cost}: {worst}"
        assert bound <= verdict.cost_eur + MONEY * abs(point.cost)
    print(
        f"{seed} {awkward.feeding}: {count} plans, {len(cuts)} planes,"
        f" {len(search.relaxation.ranges)} ranges, excess {worst:.1e};"
        f" bound {bound:.5f}, cheapest {cheapest:.5f}, plan {point.cost:.5f}"
    )
    assert count
