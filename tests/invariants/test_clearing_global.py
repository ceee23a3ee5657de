"""The clearing of small cases against the optimum that SCIP proves, whole steps and all."""

from __future__ import annotations

import pytest

import gridclear as gc
from oracle.clearing_judge import Judge
from oracle.clearing_market import weighed_eur
from oracle.clearing_minlp import solve_global
from oracle.clearing_plans import devices_of, schedule_of
from oracle.clearing_problem import clearing_of
from oracle.small_clearings import small_case

SAME = 1e-3  # of the cost
SURE = 1e-4  # of the cost: what SCIP's tolerances may be worth
QUICK = (2, 3, 4, 16, 23, 39, 46, 48)
STUDY = [seed for seed in range(60) if seed not in QUICK]


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(seed, marks=pytest.mark.study) for seed in STUDY)])
def test_cost_is_the_least_that_there_is(seed):
    case = small_case(seed)
    ours = gc.clear(case)
    clearing = clearing_of(case)
    judge = Judge(clearing)
    best = solve_global(clearing, seconds=120.0)
    amounts = best.charge_mw, best.discharge_mw
    verdicts = (
        judge(ours.schedule, ours.devices),
        judge(schedule_of(clearing, best.share, *amounts), devices_of(clearing, best.steps, *amounts)),
    )
    reached, theirs = (
        weighed_eur(clearing, v.cost_eur, float(v.shortfall_mvar.sum()), v.cure) for v in verdicts
    )
    print(
        f"seed {seed}: gridclear {reached:.5f} EUR ({ours.status}), SCIP {theirs:.5f} EUR ({best.status}), "
        f"none below {best.bound:.5f} EUR, in {best.seconds:.1f} s"
    )
    cost = verdicts[0].cost_eur
    assert best.status == "proved"
    for verdict in verdicts:
        assert verdict.worst <= 1.0
        assert not verdict.rules
    # The bound is one: neither answer is below it. And gridclear's is no more above it than asked for.
    assert min(reached, theirs) >= best.bound - SURE * cost
    assert reached <= best.bound + SAME * cost
