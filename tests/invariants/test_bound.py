"""The lower bound of a clearing: below every schedule of its kind, however dear the plan it is for."""

from __future__ import annotations

from dataclasses import replace

import pytest

import gridclear as gc
from gridclear.optimise.successive import successive
from oracle.small_clearings import small_case

SEEDS = range(40)
QUICK = (0, 3, 4)
MET_MVAR = 1e-5


def dear(problem, deadline):
    """Take the dearest offers: a plan that is far from the least cost."""
    cost = problem.offers.cost
    return successive(
        replace(problem, offers=replace(problem.offers, cost=1.1 * cost.max() - cost)), deadline
    )


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed in QUICK else [pytest.mark.study]) for seed in SEEDS]
)
def test_no_better_schedule_is_below_the_bound_of_a_dear_one(seed):
    case = small_case(seed)
    best, worse = gc.clear(case, bound=True), gc.clear(case, algorithm=dear, bound=True)
    for clearing in (best, worse):
        assert "contradict" not in clearing.provenance["bound"]["reason"]
    print(f"{seed}: {best.cost_eur} EUR, gap {best.gap}; dear {worse.cost_eur} EUR, bound {worse.bound_eur}")
    assert not best.bound_eur > best.cost_eur
    short = [clearing.exchange["shortfall_mvar"].max() for clearing in (best, worse)]
    if worse.status != "no-solution" and short[0] <= short[1] + MET_MVAR:
        assert not worse.bound_eur > best.cost_eur * (1.0 + 1e-6)


def test_a_case_that_is_not_covered_has_no_bound_and_says_why():
    case = small_case(0)
    case.grid.tables["load"]["const_z_p_percent"] = 50.0
    clearing = gc.clear(case, bound=True)
    assert clearing.bound_eur != clearing.bound_eur  # NaN
    assert "voltage" in clearing.provenance["bound"]["reason"]
