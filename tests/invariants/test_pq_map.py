"""PQ maps against pandapower, random dispatches, enumeration and Ipopt, all of them apart from the engine."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import gridclear as gc
from gridclear.optimise.tracing import Tracer
from oracle.plain_grid import stamps
from oracle.pq_dispatches import dispatches
from oracle.pq_exact import against_exact, all_pieces, between, whole_of
from oracle.pq_extremes import ANSWERS, extreme, farthest, least_cost, least_of_all, parts
from oracle.pq_judge import MapJudge, completeness, curve_of
from oracle.pq_problem import map_problem
from oracle.small_maps import no_map, small_map

OUTSIDE = 0.005  # of the width of a set
DEARER = 0.005  # of the span of a curve's costs
REACHED = 0.001  # of the width, between ends of ranges
SELDOM = 14  # every so many periods of a shipped case are looked at in the short run
HAIR_MVAR = 1.5e-4  # between runs that meet
LIMIT_MVAR = 3e-4  # what the tolerances of limits are worth
QUICK = (4, 13, 14, 17, 25, 27)  # gaps, groups, broken limits, regulators that have moved, two points
DOUBLE, GROUPED = 27, 14
SHIPPED = ("mv-rural", "mv-urban", "hv-mixed")
DRAWN = 20_000  # feasible dispatches of a shipped case
QUOTA = 100  # of a small one, few of whose draws are feasible
ROUNDS = 20  # of draws for it
FEW = 30  # verified points in the short run


def some(values, quick):
    """Those that are not quick are for the long run."""
    return [pytest.param(one, marks=[] if one in quick else [pytest.mark.study]) for one in values]


@cache
def small(seed):
    """The problem of a small case, its pieces, and its published map."""
    case = small_map(seed)
    problem = map_problem(case)
    return problem, all_pieces(problem), gc.pq_map(case)


@cache
def shipped(folder, every=1):
    case = gc.read_case(folder)
    return case, map_problem(case), gc.pq_map(case, starts=case.horizon.starts[::every])


def keys(problem):
    return [(t, k) for t in range(len(problem.clearing.starts)) for k in range(len(problem.points))]


def assert_complete(problem, pq, *, count, seed, every=1, settings=64):
    """``count`` feasible dispatches or more, as many in each ``every``-th period."""
    periods = range(0, len(problem.clearing.starts), every)
    feasible, unsolved, worst = 0, 0, np.zeros(3)
    for number, t in enumerate(periods):
        for again in range(ROUNDS):
            drawn = dispatches(
                problem, t, count=3 * count // len(periods), seed=seed + 1000 * again, settings=settings
            )
            listed = completeness(problem, pq, drawn)
            feasible, unsolved = feasible + len(drawn.cost_eur), unsolved + drawn.unsolved
            columns = ["beyond_width", "beside_span", "beside_cost"]
            worst = np.fmax(worst, listed[columns].max().to_numpy())
            for column, most in (("beyond_width", OUTSIDE), ("beside_span", DEARER)):
                wrong = listed[listed[column] > most]
                assert not len(wrong), f"{len(wrong)} of {len(listed)}:\n{wrong.nlargest(3, column).T}"
            if feasible * len(periods) >= count * (number + 1):
                break
    assert feasible >= count
    print(
        f"{feasible} feasible dispatches, {unsolved} without a state: at most {worst[0]:.2e} of the width "
        f"outside, cheaper than the curve by {worst[1]:.2e} of its span, {worst[2]:.2e} of the cost there"
    )


@pytest.mark.parametrize("seed", some(range(40), QUICK))
def test_every_point_stands_before_pandapower(seed):
    problem, _, pq = small(seed)
    verdict = MapJudge(problem)(pq, most=FEW)
    print(f"{verdict.points} points: q {verdict.q_mvar:.1e} Mvar, cost {verdict.cost_eur:.1e} EUR")
    assert not verdict.faults
    assert verdict.over <= 1.0  # tolerances beyond an effective limit


@pytest.mark.parametrize("seed", some(range(40), QUICK))
def test_no_dispatch_lies_outside_or_is_cheaper(seed):
    problem, _, pq = small(seed)
    assert_complete(problem, pq, count=QUOTA, seed=seed)


@pytest.mark.parametrize("seed", some(range(40), QUICK))
def test_the_set_is_that_of_enumeration(seed):
    """Ends of the range, and every part between gaps."""
    problem, found, pq = small(seed)
    for t, k in keys(problem):
        curve = curve_of(pq, problem.clearing.starts[t], problem.points[k])
        union = np.array(parts(found[t, k]))
        assert (curve is None) == (len(union) == 0)
        if curve is None:
            continue
        ends = np.array([union[0, 0], union[-1, 1]])
        close = REACHED * np.ptp(ends) + LIMIT_MVAR
        assert np.abs(curve.parts[[0, -1], [0, 1]] - ends).max() <= close
        # On a fine lattice: what is published can be had, what can be had is published.
        q = np.linspace(*ends, 2001)
        away = np.maximum(np.maximum(union[:, 0] - q[:, None], q[:, None] - union[:, 1]), 0.0).min(axis=1)
        assert away[curve.beyond(q) == 0.0].max(initial=0.0) <= close
        assert curve.beyond(q)[away == 0.0].max(initial=0.0) <= OUTSIDE * np.ptp(ends) + LIMIT_MVAR


@pytest.mark.parametrize("seed", some(range(40), QUICK))
def test_the_curve_is_the_exact_least_cost(seed):
    """Nowhere below it, for that nobody can deliver; hardly above it."""
    problem, found, pq = small(seed)
    rng = np.random.default_rng(seed)
    t, k = keys(problem)[int(rng.integers(0, len(keys(problem))))]
    curve = curve_of(pq, problem.clearing.starts[t], problem.points[k])
    if curve is None:
        assert not found[t, k]
        return
    halves = (curve.q_mvar[1:] + curve.q_mvar[:-1])[np.diff(curve.q_mvar) > HAIR_MVAR] / 2.0
    q = np.concatenate(
        [rng.choice(halves, min(4, len(halves)), replace=False), rng.uniform(*curve.parts.T).ravel()[:4]]
    )
    inside = against_exact(problem, pq, t, k, found[t, k], q[curve.beyond(q) == 0.0])
    print(inside.to_string())
    near = 1e-3 * curve.span
    assert inside["exact_eur"].notna().all()
    assert (inside["over_eur"] >= -near).all()
    assert (inside["over_span"] <= DEARER).all()


@pytest.mark.parametrize("seed", some(range(40), (13,)))
def test_scheduled_devices_move_none_that_is_automatic(seed):
    case = small_map(seed)
    problem = map_problem(case, devices="scheduled")
    pq = gc.pq_map(case, devices="scheduled")
    assert not MapJudge(problem)(pq, most=FEW).faults
    assert_complete(problem, pq, count=QUOTA, seed=seed)


@pytest.mark.parametrize("others_mvar", [0.02, 0.3])
def test_other_points_keep_their_band(others_mvar):
    case = small_map(DOUBLE)
    problem = map_problem(case, others_mvar=others_mvar)
    pq = gc.pq_map(case, others_mvar=others_mvar)
    assert not MapJudge(problem)(pq, most=FEW).faults
    for t, found in ((t, pieces) for (t, k), pieces in all_pieces(problem, range(1)).items() if k == 0):
        curve, union = curve_of(pq, problem.clearing.starts[t], problem.points[0]), parts(found)
        ends = np.array([union[0][0], union[-1][1]])
        close = REACHED * np.ptp(ends) + LIMIT_MVAR
        assert np.abs(curve.parts[[0, -1], [0, 1]] - ends).max() <= close
    assert_complete(problem, pq, count=QUOTA, seed=1)


def test_one_connection_point_is_mapped_as_among_all():
    case = small_map(DOUBLE)
    every = gc.pq_map(case)
    name = case.connection_points["connection_point"].iloc[1]
    alone = gc.pq_map(case, connection_points=[name])
    for table in ("ranges", "costs", "gaps", "dispatch"):
        one, other = getattr(alone, table), getattr(every, table)
        same = other[other["connection_point"] == name].reset_index(drop=True)
        assert one.reset_index(drop=True).equals(same), table


def test_where_nothing_is_feasible_nothing_is_published():
    case = no_map()
    pq = gc.pq_map(case)
    problem = map_problem(case)
    assert curve_of(pq, problem.clearing.starts[0], problem.points[0]) is None
    assert not len(pq.costs)
    assert not MapJudge(problem)(pq).faults
    assert len(gc.pq_map(case, devices="scheduled").costs)


def test_the_forecast_costs_nothing():
    """Where no regulator has left its schedule."""
    problem, _, pq = small(GROUPED)
    assert not problem.clearing.base_steps.any()
    for row in pq.ranges.itertuples():
        curve = curve_of(pq, row.start, row.connection_point)
        assert curve.cost_at(np.array([row.q_forecast_mvar]))[0] <= DEARER * curve.span


@pytest.mark.parametrize("name", some(SHIPPED, ("mv-rural",)))
def test_points_of_a_shipped_case_stand_before_pandapower(grids, name):
    _, problem, pq = shipped(grids / name, SELDOM)
    verdict = MapJudge(problem)(pq, most=FEW)
    print(f"{verdict.points} points: q {verdict.q_mvar:.1e} Mvar, cost {verdict.cost_eur:.1e} EUR")
    assert not verdict.faults
    assert verdict.over <= 1.0


@pytest.mark.study
@pytest.mark.parametrize("name", SHIPPED)
def test_all_points_of_a_shipped_case_stand_before_pandapower(grids, name):
    _, problem, pq = shipped(grids / name)
    verdict = MapJudge(problem)(pq)
    assert not verdict.faults
    assert verdict.over <= 1.0


def test_few_dispatches_of_a_shipped_case_show_nothing_amiss(grids):
    _, problem, pq = shipped(grids / "mv-rural", SELDOM)
    assert_complete(problem, pq, count=200, seed=1, every=SELDOM, settings=16)


@pytest.mark.study
@pytest.mark.parametrize("name", SHIPPED)
def test_no_dispatch_of_a_shipped_case_lies_outside_or_is_cheaper(grids, name):
    _, problem, pq = shipped(grids / name)
    assert_complete(problem, pq, count=DRAWN, seed=20261128)


@pytest.mark.parametrize("name", some(SHIPPED, ("mv-rural",)))
def test_ends_of_a_shipped_range_are_those_of_ipopt(grids, name):
    """With the whole decisions of the published end; and no further than with all of them divisible."""
    _, problem, pq = shipped(grids / name, SELDOM)
    dispatch = pq.dispatch.assign(start=stamps(pq.dispatch["start"]))
    costs = pq.costs.assign(start=stamps(pq.costs["start"]))
    for t, k in [(t, k) for t, k in keys(problem) if t % SELDOM == 0]:
        start, point = problem.clearing.starts[t], problem.points[k]
        own = costs[(costs["start"] == start) & (costs["connection_point"] == point)].sort_values("point")
        width = np.ptp(own["q_mvar"])
        for sign, row in ((-1.0, next(own.itertuples())), (1.0, next(own.iloc[::-1].itertuples()))):
            held = extreme(problem, t, k, sign, whole_of(problem, dispatch, row))
            free = extreme(problem, t, k, sign)
            assert {held.status, free.status} <= set(ANSWERS)
            assert sign * row.q_mvar >= sign * held.q_mvar - REACHED * width
            assert sign * row.q_mvar <= sign * free.q_mvar + REACHED * width


def divisible(folder):
    """A case with devices at their schedule and without least amounts: one continuous program says all."""
    case = gc.read_case(folder)
    return replace(
        case,
        tap_changers=case.tap_changers.assign(mode="fixed"),
        capacitor_banks=case.capacitor_banks.assign(mode="fixed"),
        reactive_bids=case.reactive_bids.assign(min_q_mvar=np.nan),
    )


def assert_as_ipopt(problem, pq, wanted):
    """Ends and costs of maps without whole decisions."""
    assert not len(pq.gaps)
    for t, k in wanted:
        curve = curve_of(pq, problem.clearing.starts[t], problem.points[k])
        for sign, end in ((-1.0, curve.parts[0, 0]), (1.0, curve.parts[-1, 1])):
            assert abs(extreme(problem, t, k, sign).q_mvar - end) <= REACHED * curve.width
        q = curve.parts[0, 0] + curve.width * np.array([0.13, 0.52, 0.91])
        exact = np.array([least_cost(problem, t, k, float(one)).cost_eur for one in q])
        assert (curve.cost_at(q) >= exact - 1e-4 * curve.span).all()
        assert (curve.cost_at(q) <= exact + DEARER * curve.span).all()


def test_a_map_with_limits_that_bend_is_that_of_ipopt(grids):
    """A branch is broken in the forecast: the last Mvar take much of all others, and bend."""
    case, period = divisible(grids / "hv-mixed"), 23
    name = case.connection_points["connection_point"].iloc[0]
    pq = gc.pq_map(case, starts=[case.horizon.starts[period]], connection_points=[name])
    assert pq.ranges["state"].tolist() == ["mapped"]
    assert_as_ipopt(map_problem(case), pq, [(period, 0)])


@pytest.mark.study
@pytest.mark.parametrize("name", SHIPPED)
def test_a_divisible_map_is_that_of_ipopt(grids, name):
    case = divisible(grids / name)
    problem, pq = map_problem(case), gc.pq_map(case)
    assert_as_ipopt(problem, pq, keys(problem)[::3])


@pytest.mark.study
@pytest.mark.parametrize("name", SHIPPED)
def test_what_lies_between_points_of_a_shipped_case_can_be_had(grids, name):
    """Most of it with the whole decisions of a neighbour, and then at no more than the line says."""
    _, problem, pq = shipped(grids / name)
    halves = between(problem, pq, most=300)
    proved = halves.dropna()
    print(f"{len(proved)} of {len(halves)} halves are had with a neighbour's whole decisions")
    assert len(proved) >= 0.9 * len(halves)
    span = max(np.ptp(pq.costs["cost_eur"]), 1.0)
    assert (proved["cost_eur"] <= proved["line_eur"] + 1e-4 * span).all()


@pytest.mark.study
@pytest.mark.parametrize(("name", "period"), [("mv-rural", 0), ("mv-rural", 13), ("hv-mixed", 0)])
def test_ends_and_costs_of_a_shipped_case_are_the_exact_ones(grids, name, period):
    """All settings of the devices, all ways to take what has a least amount."""
    _, problem, pq = shipped(grids / name)
    curve = curve_of(pq, problem.clearing.starts[period], problem.points[0])
    for sign, end in ((-1.0, curve.parts[0, 0]), (1.0, curve.parts[-1, 1])):
        assert abs(farthest(problem, period, 0, sign).q_mvar - end) <= REACHED * curve.width
    for q in curve.parts[0, 0] + curve.width * np.array([0.07, 0.35, 0.61, 0.96]):
        exact = least_of_all(problem, period, 0, float(q))
        said = float(curve.cost_at(np.array([q]))[0])
        print(f"{name} {period}: {q:.3f} Mvar for {said:.4f} EUR, least {exact.cost_eur:.4f} EUR")
        assert exact.cost_eur - 1e-3 * curve.span <= said <= exact.cost_eur + DEARER * curve.span


@pytest.mark.parametrize(("endless", "state"), [([], "mapped"), ([0], "mapped"), ([1], "partial")])
def test_a_map_is_whole_if_its_last_pass_came_to_an_end(monkeypatch, endless, state):
    own, passes = Tracer._look_for_rivals, []

    def looked(self, straight, beaten):
        passes.append(beaten)
        return own(self, straight, beaten) and len(passes) - 1 not in endless

    monkeypatch.setattr(Tracer, "_look_for_rivals", looked)
    case = small_map(17)
    name, starts = case.connection_points["connection_point"].iloc[0], case.horizon.starts[:1]
    pq = gc.pq_map(case, points=3, starts=starts, connection_points=[name])
    assert passes == sorted(passes, reverse=True)
    assert len(passes) == 2
    assert pq.ranges["state"].tolist() == [state]
