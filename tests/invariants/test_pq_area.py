"""P–Q regions against pandapower, random dispatches and Ipopt, all of them apart from the engine."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import gridclear as gc
from gridclear.optimise.dense import Dense
from gridclear.optimise.highs import LostError
from oracle.plain_grid import stamps
from oracle.pq_extremes import ANSWERS
from oracle.pq_judge import MapJudge
from oracle.pq_problem import map_problem
from oracle.region_exact import farthest, least_at
from oracle.region_judge import RegionJudge, beyond_hull, drawn
from oracle.small_areas import small_area

OUTSIDE = 0.005  # of the width of a region
DEARER = 0.005  # of the span of its costs
QUICK = (0, 4)  # few whole decisions; limits that the forecast breaks
DOUBLE = 3  # two connection points


def some(values, quick):
    """Those that are not quick are for the long run."""
    return [pytest.param(one, marks=[] if one in quick else [pytest.mark.study]) for one in values]


@cache
def small(seed, divisible=False):
    case = small_area(seed, divisible=divisible)
    pq = gc.pq_map(case, area=True, lattice=4, points=3, starts=case.horizon.starts[:1])
    return map_problem(case, market="common"), pq


def corners(pq, start, point):
    own = pq.area[(stamps(pq.area["start"]) == start) & (pq.area["connection_point"] == point)]
    return own[["p_mw", "q_mvar"]].to_numpy()


def assert_encloses(problem, pq, *, count, seed, period):
    found = drawn(problem, period, count=count, seed=seed)
    assert len(found.cost_eur) >= 10
    for k, name in enumerate(problem.points):
        corner = corners(pq, problem.clearing.starts[period], name)
        width = np.ptp(corner, axis=0).max()
        assert beyond_hull(corner, found.place[:, k]).max() <= OUTSIDE * width


@pytest.mark.parametrize("seed", some(range(20), QUICK))
def test_every_place_stands_before_pandapower(seed):
    problem, pq = small(seed)
    verdict = RegionJudge(problem)(pq)
    assert verdict.points >= len(pq.area)
    assert not verdict.faults
    assert verdict.over <= 1.0  # tolerances beyond an effective limit


@pytest.mark.parametrize("seed", some(range(20), QUICK))
def test_no_dispatch_lies_outside(seed):
    problem, pq = small(seed)
    assert_encloses(problem, pq, count=1000, seed=seed, period=0)


@pytest.mark.parametrize("seed", some(range(20), QUICK))
def test_the_boundary_goes_round_and_little_is_open(seed):
    _, pq = small(seed)
    assert (pq.regions.states["state"] == "mapped").all()
    assert (pq.regions.states["open_percent"] < 0.5).all()
    for row in pq.regions.states.itertuples():
        corner = corners(pq, row.start, row.connection_point)
        x, y = corner.T
        shoelace = 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        assert shoelace == pytest.approx(row.size)
        assert shoelace > 0.0  # counter-clockwise
        inside = pq.lattice[
            (pq.lattice["start"] == row.start) & (pq.lattice["connection_point"] == row.connection_point)
        ]
        had = inside[inside["state"] == "had"]
        away = np.hypot(had["p_mw"] - had["asked_p_mw"], had["q_mvar"] - had["asked_q_mvar"])
        assert (away <= 0.006 * np.ptp(corner, axis=0).max()).all()


@pytest.mark.parametrize("seed", some(range(8), (1,)))
def test_a_divisible_region_is_that_of_ipopt(seed):
    """Devices at their schedule, no least amounts: one continuous program says how far a way goes."""
    problem, pq = small(seed, divisible=True)
    t, k = 0, 0
    corner = corners(pq, problem.clearing.starts[t], problem.points[k])
    width = np.ptp(corner, axis=0).max()
    for angle in np.linspace(0.3, 0.3 + 2.0 * np.pi, 5, endpoint=False):
        way = np.array([np.cos(angle), np.sin(angle)])
        exact = farthest(problem, t, k, way)
        assert exact.status in ANSWERS
        reached = way @ [exact.p_mw, exact.q_mvar]
        assert abs((corner @ way).max() - reached) <= OUTSIDE * width


@pytest.mark.parametrize("seed", some(range(8), (1,)))
def test_costs_of_a_divisible_region_are_those_of_ipopt(seed):
    problem, pq = small(seed, divisible=True)
    t, k = 0, 0
    start, name = problem.clearing.starts[t], problem.points[k]
    own = pq.lattice[(stamps(pq.lattice["start"]) == start) & (pq.lattice["connection_point"] == name)]
    span = np.ptp(pq.lattice["cost_eur"])
    assert (own["state"] == "had").all()
    for row in own.iloc[:: max(1, len(own) // 3)].itertuples():
        exact = least_at(problem, t, k, (row.p_mw, row.q_mvar))
        assert row.cost_eur <= exact + DEARER * span
        assert row.cost_eur >= exact - 1e-3 * span


def test_other_points_keep_their_band():
    case = small_area(DOUBLE)
    name, starts = case.connection_points["connection_point"].iloc[0], case.horizon.starts[:1]
    pq = gc.pq_map(
        case, area=True, lattice=2, points=3, others_mvar=0.2, connection_points=[name], starts=starts
    )
    problem = map_problem(case, market="common", others_mvar=0.2)
    verdict = RegionJudge(problem)(pq)
    assert not verdict.faults
    free = gc.pq_map(case, area=True, lattice=2, points=3, connection_points=[name], starts=starts)
    assert pq.regions.states["size"].iloc[0] < free.regions.states["size"].iloc[0]


def test_a_joint_map_stands_before_pandapower_and_encloses_what_is_drawn():
    case = small_area(DOUBLE)
    pair = tuple(case.connection_points["connection_point"])
    pq = gc.pq_map(case, joint=pair, lattice=3, points=3, starts=case.horizon.starts[:1])
    problem = map_problem(case)
    verdict = RegionJudge(problem)(pq)
    assert verdict.points == pq.joint["q_mvar"].notna().sum() > 3
    assert not verdict.faults
    assert not len(pq.area)
    corner = pq.joint.loc[pq.joint["place"] == "boundary", ["q_mvar", "other_q_mvar"]].to_numpy()
    found = drawn(problem, 0, count=1000, seed=1)
    outside = beyond_hull(corner, found.place[:, :, 1])
    assert outside.max() <= OUTSIDE * np.ptp(corner, axis=0).max()


@pytest.mark.study
@pytest.mark.parametrize("name", ["mv-rural", "mv-urban", "hv-mixed"])
def test_a_period_of_a_shipped_case(grids, name):
    case = gc.read_case(grids / name)
    period = 13
    pq = gc.pq_map(case, area=True, lattice=3, points=3, starts=case.horizon.starts[[period]])
    problem = map_problem(case, market="common")
    verdict = RegionJudge(problem)(pq)
    assert not verdict.faults
    assert verdict.over <= 1.0
    assert_encloses(problem, pq, count=300, seed=3, period=period)


@pytest.mark.parametrize("market", ["common", "reactive"])
def test_programs_that_are_lost_cost_what_they_were_for(monkeypatch, market):
    case = small_area(QUICK[0])
    area = market == "common"
    asked = {name: getattr(Dense, name) for name in ("complete", "search")}
    calls, lost = [], []

    def mapped(is_lost):
        calls.clear()
        lost.clear()

        def losing(ask):
            def answer(self, *arguments, **options):
                calls.append(None)
                if is_lost(len(calls)):
                    lost.append(None)
                    raise LostError("lost")
                return ask(self, *arguments, **options)

            return answer

        for name, ask in asked.items():
            monkeypatch.setattr(Dense, name, losing(ask))
        pq = gc.pq_map(case, area=area, lattice=2, points=3, starts=case.horizon.starts[:1])
        states = pq.regions.states["state"] if area else pq.ranges["state"]
        assert pq.provenance["lost_programs"] == len(lost)
        return pq, set(states)

    _, states = mapped(lambda _: False)
    assert states == {"mapped"}
    every = len(calls)
    pq, states = mapped(lambda number: number == every - 1)
    assert (pq.status, states, len(lost)) == ("partial", {"partial"}, 1)
    assert len(pq.area if area else pq.costs) > 3
    assert not (RegionJudge if area else MapJudge)(map_problem(case, market=market))(pq).faults
    pq, states = mapped(lambda _: True)
    assert (pq.status, states) == ("partial", {"partial"})
    assert len(pq.area if area else pq.costs) == int(area)  # no program is needed for the forecast itself


def test_bad_options_are_refused():
    case = small_area(DOUBLE)
    with pytest.raises(gc.OptionError, match="lattice is 0"):
        gc.pq_map(case, area=True, lattice=0)
    with pytest.raises(gc.OptionError, match="joint is P, P"):
        gc.pq_map(case, joint=("P", "P"))
    with pytest.raises(gc.OptionError, match="joint is P, nowhere"):
        gc.pq_map(case, joint=("P", "nowhere"))


def test_without_being_asked_for_there_is_no_region():
    case = small_area(0)
    pq = gc.pq_map(case, points=3, starts=case.horizon.starts[:1])
    assert not len(pq.area)
    assert "area" not in pq.tables
