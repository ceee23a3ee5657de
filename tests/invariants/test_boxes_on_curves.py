"""Boxes with inverters on curves: no point breaks anything, and they are hardly smaller than the best box.

Points are solved by the oracle's own Newton method, which takes the curves into its mismatch, and the worst
of them by ``runpp`` with Broyden's method around it. From the worst points of a box the oracle climbs on, so
that what is worst where a curve bends is found, too.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

import gridclear as gc
from oracle import best_box, boxes
from oracle.plain_grid import problem_of
from oracle.random_cases import curved_case

ALLOTMENTS = ("merit-order", "pro-rata", "most-mw")
#: Tolerances by which an oracle's own rounding may pass the edge.
EDGE = 1.001
#: Of the megawatts of the best safe box.
NOT_TIMID = 0.97


@functools.cache
def made(seed, *, bent):
    """A case of one period with up to eight bids; it is left out where it has no plant, or no state."""
    try:
        case, net = curved_case(seed, blocks=False, bids=(3, 8), periods=1, bent=bent)
    except ValueError as nothing:
        pytest.skip(str(nothing))
    return case, problem_of(case, net)


def boxed(case, allotment):
    return gc.qualify(case, guarantee="any-subset", allotment=allotment, threads=1)


def worst_of_box(seed, *, bent, points):
    case, problem = made(seed, bent=bent)
    lights = boxed(case, ALLOTMENTS[seed % 3]).lights
    worst = boxes.breaks(problem, lights, random=points, climb=True)
    return 0.0 if worst is None else worst.over


def part_of_best_box(seed, *, bent):
    case, problem = made(seed, bent=bent)
    lights = boxed(case, "most-mw").lights
    start = case.horizon.starts[0]
    published = best_box.published_mw(problem, lights, start)
    # A box that is safe at its corners alone is the larger one, and the sooner found.
    for bends in (False, True):
        best = best_box.best_box(problem, start, bends=bends)
        if published >= NOT_TIMID * best.mw:
            break
    return published / best.mw if best.mw > 0.0 else 1.0


@pytest.mark.parametrize(
    ("seed", "bent"), [(2, False), (4, False), (2, True), (4, True), (10, True), (24, True)]
)
def test_no_point_of_a_box_breaks_anything(seed, bent):
    assert worst_of_box(seed, bent=bent, points=500) <= EDGE


@pytest.mark.parametrize(("seed", "bent"), [(2, False), (0, True), (10, True), (12, True)])
def test_boxes_are_not_timid(seed, bent):
    assert part_of_best_box(seed, bent=bent) >= NOT_TIMID


@pytest.mark.parametrize("seed", [4, 10])
def test_no_allotment_gets_more_than_the_most(seed):
    case, problem = made(seed, bent=True)
    mw = [
        best_box.published_mw(problem, boxed(case, allotment).lights, case.horizon.starts[0])
        for allotment in ALLOTMENTS
    ]
    assert mw[-1] >= (1.0 - 1e-3) * max(mw)


def test_what_stops_a_bid_is_at_its_limit():
    lights = boxed(made(4, bent=True)[0], "most-mw").lights
    stopped = lights[lights["light"] == "yellow"]
    assert len(stopped) > 0
    np.testing.assert_allclose(stopped["value"], stopped["limit"], rtol=1e-4)
    beyond = np.where(stopped["kind"] == "undervoltage", -1.0, 1.0) * (
        stopped["value_at_full"] - stopped["limit"]
    )
    assert (beyond > 0.0).all()


@pytest.mark.study
@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_study_of_points_of_boxes(seed, bent):
    assert worst_of_box(seed, bent=bent, points=10_000) <= EDGE


@pytest.mark.study
@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_study_of_best_boxes(seed, bent):
    assert part_of_best_box(seed, bent=bent) >= NOT_TIMID
