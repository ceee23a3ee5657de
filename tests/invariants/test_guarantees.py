"""Lights of bids that are activated together: what they promise, held against oracles written apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from lights_support import SHIPPED, bid, outage, shipped_case, shipped_problem, tiny_case, tiny_net

import gridclear as gc
from oracle import best_box, boxes, sequential
from oracle.plain_grid import problem_of
from oracle.random_cases import random_case

ALLOTMENTS = ("merit-order", "pro-rata", "most-mw")
#: Tolerances by which an oracle's own rounding may pass the edge.
EDGE = 1.001
#: Of the megawatts of the best safe box.
NOT_TIMID = 0.97


def merit_order_differs(seed: int) -> pd.DataFrame:
    case, net = random_case(seed, exclusive=seed % 3 == 0)
    lights = gc.qualify(case, guarantee="merit-order", threads=1).lights
    found = sequential.differences(problem_of(case, net), lights, follow=True)
    return found[found["edge"] == ""]


def worst_of_box(seed: int, allotment: str, points: int) -> float:
    case, net = random_case(seed, exclusive=seed % 3 == 0)
    lights = gc.qualify(case, guarantee="any-subset", allotment=allotment, threads=1).lights
    worst = boxes.breaks(problem_of(case, net), lights, random=points, fast=True)
    return 0.0 if worst is None else worst.over


def part_of_best_box(seed: int) -> float:
    case, net = random_case(seed, periods=1, blocks=False, bids=(3, 8))
    lights = gc.qualify(case, guarantee="any-subset", allotment="most-mw", threads=1).lights
    problem, start = problem_of(case, net), case.horizon.starts[0]
    best = best_box.best_box(problem, start)
    return best_box.published_mw(problem, lights, start) / best.mw if best.mw > 0.0 else 1.0


@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_merit_order_is_that_of_the_sequential_oracle(seed):
    differs = merit_order_differs(seed)
    assert differs.empty, differs.to_string()


@pytest.mark.parametrize("allotment", ALLOTMENTS)
@pytest.mark.parametrize("seed", [1, 2, 6])
def test_no_subset_breaks_anything(seed, allotment):
    assert worst_of_box(seed, allotment, 500) <= EDGE


@pytest.mark.parametrize("seed", [2, 3, 9])
def test_box_is_not_timid(seed):
    assert part_of_best_box(seed) >= NOT_TIMID


@pytest.mark.study
@pytest.mark.parametrize("seed", range(200))
def test_study_of_merit_order(seed):
    differs = merit_order_differs(seed)
    assert differs.empty, differs.to_string()


@pytest.mark.study
@pytest.mark.parametrize("seed", range(200))
def test_study_of_subsets(seed):
    assert worst_of_box(seed, ALLOTMENTS[seed % 3], 10_000) <= EDGE


@pytest.mark.study
@pytest.mark.parametrize("seed", range(60))
def test_study_of_best_boxes(seed):
    assert part_of_best_box(seed) >= NOT_TIMID


@pytest.mark.study
@pytest.mark.parametrize("allotment", ALLOTMENTS)
@pytest.mark.parametrize("name", SHIPPED)
def test_study_of_shipped_boxes(name, allotment, grids):
    lights = gc.qualify(shipped_case(grids / name), guarantee="any-subset", allotment=allotment).lights
    worst = boxes.breaks(shipped_problem(grids / name), lights, random=10_000, fast=True)
    assert worst is None or worst.over <= EDGE


@pytest.mark.parametrize("name", SHIPPED)
def test_boxes_of_shipped_cases_are_safe(name, grids):
    case = shipped_case(grids / name)
    lights = gc.qualify(case, guarantee="any-subset").lights
    starts = [case.horizon.starts[3], case.horizon.starts[17]]
    worst = boxes.breaks(shipped_problem(grids / name), lights, random=300, fast=True, starts=starts)
    assert worst is None or worst.over <= EDGE


@pytest.mark.parametrize("guarantee", ["merit-order", "any-subset"])
def test_neither_threads_nor_the_order_of_rows_change_a_bit(guarantee, grids):
    case = shipped_case(grids / "mv-rural")
    one = gc.qualify(case, guarantee=guarantee, threads=1).lights
    two = gc.qualify(case, guarantee=guarantee, threads=2).lights
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    order = np.random.default_rng(0).permutation(len(case.active_bids))
    mixed = dataclasses.replace(case, active_bids=case.active_bids.iloc[order].reset_index(drop=True))
    other = gc.qualify(mixed, guarantee=guarantee, threads=1).lights
    pd.testing.assert_frame_equal(one.iloc[order].reset_index(drop=True), other, check_exact=True)


def test_what_two_bids_break_together_is_let_through_once():
    # Each lifts the voltage at D to 1.03, alone; together they pass it.
    limits = gc.Limits(vm_min_pu=0.9, vm_max_pu=1.03, loading_percent=1000.0)
    bids = (bid("A", "park", "up", 3.0), bid("B", "park", "up", 3.0))
    case = tiny_case(*bids, limits=limits)
    each = gc.qualify(case, guarantee="each").lights["accepted_mw"]
    alone = float(each.iloc[0])
    assert alone > 0.0
    for guarantee in ("merit-order", "any-subset"):
        found = gc.qualify(case, guarantee=guarantee).lights["accepted_mw"]
        assert found.sum() == pytest.approx(alone, rel=1e-3)
        # Equal prices: the name decides.
        assert found.iloc[0] == pytest.approx(alone, rel=1e-3)
    shared = gc.qualify(case, guarantee="any-subset", allotment="pro-rata").lights["accepted_mw"]
    assert shared.iloc[0] == pytest.approx(shared.iloc[1])
    assert shared.sum() == pytest.approx(alone, rel=1e-3)


def test_exclusive_bids_need_room_for_one_of_them_only():
    limits = gc.Limits(vm_min_pu=0.9, vm_max_pu=1.03, loading_percent=1000.0)
    case = tiny_case(bid("A", "park", "up", 3.0), bid("B", "park", "up", 3.0), limits=limits)
    group = case.active_bids.assign(exclusive="one of them")
    case = dataclasses.replace(case, active_bids=group)
    each = gc.qualify(case, guarantee="each").lights["accepted_mw"]
    for allotment in ALLOTMENTS:
        found = gc.qualify(case, guarantee="any-subset", allotment=allotment).lights["accepted_mw"]
        np.testing.assert_allclose(found, each, rtol=1e-3)
    chain = gc.qualify(case, guarantee="merit-order").lights
    assert chain["accepted_mw"].iloc[0] == pytest.approx(each.iloc[0], rel=1e-4)
    assert chain["light"].iloc[1] == "red"
    assert chain["kind"].iloc[1] == "exclusive"
    assert "'A'" in chain["reason"].iloc[1]


@pytest.mark.parametrize("guarantee", ["merit-order", "any-subset"])
def test_block_keeps_one_share_and_islanded_bids_are_red(guarantee):
    limits = gc.Limits(vm_min_pu=0.9, vm_max_pu=1.03, loading_percent=1000.0)
    bids = (
        bid("A", "park", "up", 3.0, period=0, block="b"),
        bid("A", "park", "up", 1.0, period=1, block="b"),
        bid("C", "farm", "up", 1.0, period=1),
    )
    case = tiny_case(*bids, periods=2, limits=limits, outages=outage("line", "BE", 1))
    lights = gc.qualify(case, guarantee=guarantee).lights
    shares = lights["accepted_mw"] / lights["offered_mw"]
    assert shares.iloc[0] == pytest.approx(shares.iloc[1])
    assert 0.0 < shares.iloc[0] < 1.0
    assert lights["light"].iloc[2] == "red"
    assert lights["kind"].iloc[2] == "islanded"


def test_rows_of_a_block_in_one_period_act_together():
    # Up here and as much down next to it: nothing happens to the grid, whatever the limit.
    limits = gc.Limits(vm_min_pu=0.9, vm_max_pu=1.021, loading_percent=1000.0)
    both = (bid("A", "park", "up", 2.0, block="b"), bid("B", "farm", "up", 2.0, block="b"))
    case = tiny_case(*both, limits=limits)
    lights = gc.qualify(case, guarantee="each").lights
    oracle = sequential.lights(problem_of(case, tiny_net()))
    np.testing.assert_allclose(lights["accepted_mw"], oracle["accepted_mw"], atol=2e-3)
    assert lights["accepted_mw"].iloc[0] == lights["accepted_mw"].iloc[1]


def test_transmission_stays_green_and_touches_nothing():
    case = tiny_case(bid("T", "", "up", 500.0), bid("A", "park", "up", 0.5))
    for guarantee in ("each", "merit-order", "any-subset"):
        assert set(gc.qualify(case, guarantee=guarantee).lights["light"]) == {"green"}


def test_costs_and_ranking_add_up_to_the_lights(grids):
    case = shipped_case(grids / "mv-rural")
    each, together = gc.qualify(case), gc.qualify(case, guarantee="any-subset")
    marked = (case.active_bids["element"] != "").to_numpy()
    costs = together.costs
    assert costs["each_mw"].sum() == pytest.approx(each.lights.loc[marked, "accepted_mw"].sum())
    assert costs["accepted_mw"].sum() == pytest.approx(together.lights.loc[marked, "accepted_mw"].sum())
    np.testing.assert_allclose(costs["cost_mw"], costs["each_mw"] - costs["accepted_mw"])
    # Nothing that is safe in any company is unsafe alone.
    assert (costs["cost_mw"] > -1e-6).all()
    held = together.lights["offered_mw"] - together.lights["accepted_mw"]
    ranking = together.constraints
    assert ranking["held_back_mwh"].sum() == pytest.approx(held.sum() * case.horizon.hours)
    assert ranking["held_back_mwh"].is_monotonic_decreasing
    assert ranking["red"].sum() == (together.lights["light"] == "red").sum()
    assert (each.costs["cost_mw"] == 0.0).all()
