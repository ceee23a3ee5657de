"""The oracles of PQ maps against each other and against runpp; forged maps are found out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

import gridclear as gc
from oracle.pq_dispatches import Shares, dispatches
from oracle.pq_exact import PlainMap, against_exact, all_pieces, between, plain_map
from oracle.pq_extremes import ANSWERS, cheapest, extreme, farthest, least_of_all, parts, pieces
from oracle.pq_judge import KEY, MapJudge, completeness
from oracle.pq_problem import map_problem
from oracle.pq_states import HeldStates
from oracle.small_maps import no_map, small_map

# Seeds: one period with gaps, and one with few settings; several periods; two connection points.
GAPPED, SHORT, BLOCKED, DOUBLE = 2, 17, 0, 27
SAME_MVAR = 2e-4  # what the tolerances of limits are worth
SAME_EUR = 1e-3


@cache
def problem_of(seed):
    return map_problem(small_map(seed))


@pytest.fixture(scope="module")
def problem():
    return problem_of(GAPPED)


@pytest.fixture(scope="module")
def found(problem):
    return all_pieces(problem)


@pytest.fixture(scope="module")
def true_map(problem, found):
    return plain_map(problem, found, 5)


@pytest.fixture(scope="module")
def few(problem, found):
    """A true map of a few points, too few for its lines to hold."""
    return plain_map(problem, found, 3, jumps=False)


@pytest.fixture(scope="module")
def drawn(problem):
    return dispatches(problem, 0, count=1500, seed=5)


def as_map(problem, drawn, keep):
    """Some dispatches as if they were the points of a map: all true, though neither complete nor cheap."""
    t, offers = drawn.period, problem.clearing.offers
    order = keep[np.argsort(drawn.q_mvar[keep, 0])]
    start, name = problem.clearing.starts[t], problem.points[0]
    key = {"start": start, "connection_point": name}
    lines = []
    for number, d in enumerate(order):
        rows = offers.table.loc[drawn.rows].assign(
            q_mvar=offers.q_mvar[drawn.rows] * drawn.share[d], p_mw=0.0
        )
        lines += [
            {**key, "point": number, **row}
            for row in rows[["bid", "element_type", "element", "p_mw", "q_mvar"]].to_dict("records")
            if row["q_mvar"]
        ]
        lines += [
            {
                **key,
                "point": number,
                "bid": "",
                "element_type": device.table,
                "element": member,
                "position": at,
            }
            for device, step in zip(problem.clearing.devices, drawn.steps[d], strict=True)
            for member, at in zip(device.names, device.position(int(step)), strict=True)
        ]
    q = drawn.q_mvar[order, 0]
    ends = {"q_min_mvar": q[0], "q_max_mvar": q[-1]}
    forecast = {"p_mw": problem.p_mw[0, t], "q_forecast_mvar": problem.q_mvar[0, t]}
    costs = {"p_mw": drawn.p_mw[order, 0], "q_mvar": q, "cost_eur": drawn.cost_eur[order]}
    return PlainMap(
        pd.DataFrame([{**key, **ends, **forecast}]),
        pd.DataFrame({**key, "point": np.arange(len(q)), **costs, "price_eur_mvarh": 0.0}),
        pd.DataFrame(columns=[*KEY, "q_from_mvar", "q_to_mvar"]),
        pd.DataFrame(lines).reindex(
            columns=[*KEY, "point", "bid", "element_type", "element", "p_mw", "q_mvar", "position"]
        ),
    )


def assert_runpp_agrees(problem, period, count):
    drawn = dispatches(problem, period, count=400, seed=3)
    keep = np.random.default_rng(0).permutation(len(drawn.cost_eur))[:count]
    verdict = MapJudge(problem)(as_map(problem, drawn, keep))
    assert not verdict.faults
    assert verdict.points == len(keep) > 0
    assert (verdict.q_mvar, verdict.cost_eur) <= (1e-6, 1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_batch_states_are_those_of_runpp(seed):
    problem = problem_of(seed)
    assert_runpp_agrees(problem, len(problem.clearing.starts) - 1, 10)


@pytest.mark.parametrize(
    "name", ["mv-urban", *(pytest.param(n, marks=pytest.mark.study) for n in ("mv-rural", "hv-mixed"))]
)
def test_batch_states_of_shipped_cases_are_those_of_runpp(grids, name):
    problem = map_problem(gc.read_case(grids / name))
    for period in (0, 13):
        assert_runpp_agrees(problem, period, 10)


def breaks_overvoltage(clearing):
    high = (clearing.limits["kind"] == "overvoltage").to_numpy()
    return (clearing.base[:, high] > clearing.limits["limit"].to_numpy()[high]).any()


def test_small_maps_have_what_they_are_made_for():
    problems = {seed: problem_of(seed) for seed in range(8)}
    assert {len(problem.points) for problem in problems.values()} == {1, 2}
    assert {len(problem.clearing.starts) for problem in problems.values()} == {1, 2, 3}
    assert any(len(device.names) > 1 for p in problems.values() for device in p.clearing.devices)
    assert any(problem.clearing.base_steps.any() for problem in problems.values())
    assert any(breaks_overvoltage(problem.clearing) for problem in problems.values())
    assert all((problem.clearing.offers.least == 1.0).any() for problem in problems.values())


def test_a_map_counts_every_row_of_a_block_by_itself():
    offers = problem_of(BLOCKED).clearing.offers
    assert small_map(BLOCKED).reactive_bids["block"].ne("").sum() > 1
    assert len(np.unique(offers.unit)) == len(offers.unit)


def test_scheduled_devices_are_fewer():
    case = next(c for c in map(small_map, range(12)) if (c.tap_changers["mode"] == "automatic").any())
    assert [d.table for d in map_problem(case).clearing.devices] == ["trafo", "shunt"]
    assert [d.table for d in map_problem(case, devices="scheduled").clearing.devices] == ["shunt"]


def test_dispatches_keep_their_rules(problem, drawn):
    assert Shares(problem, 0).allowed(drawn.share).all()
    for device, steps in enumerate(problem.step_ranges(0)):
        assert 1 < len(set(drawn.steps[:, device])) <= len(steps)
        assert set(drawn.steps[:, device]) <= set(steps.tolist())
    assert len(np.unique(drawn.share[:, problem.clearing.offers.least[drawn.rows] == 1.0])) == 2


def test_no_dispatch_lies_outside_of_what_enumeration_finds(found, drawn):
    q = drawn.q_mvar[:, 0]
    union = np.array(parts(found[0, 0]))
    assert len(union) > 1
    away = np.maximum(np.maximum(union[:, 0] - q[:, None], q[:, None] - union[:, 1]), 0.0).min(axis=1)
    assert away.max() <= SAME_MVAR
    # and they reach both of its ends
    assert q.min() <= union[0, 0] + 0.02 * np.ptp(union)
    assert q.max() >= union[-1, 1] - 0.02 * np.ptp(union)


def test_no_dispatch_is_cheaper_than_enumeration_finds(problem, found, drawn):
    order = np.lexsort((drawn.cost_eur, np.round(drawn.q_mvar[:, 0], 1)))
    first = order[np.unique(np.round(drawn.q_mvar[order, 0], 1), return_index=True)[1]][:25]
    for d in first:
        best = cheapest(problem, 0, 0, drawn.q_mvar[d, 0], found[0, 0])
        assert best is not None
        assert best.cost_eur <= drawn.cost_eur[d] + SAME_EUR


def test_branching_finds_what_enumeration_finds():
    problem = problem_of(SHORT)
    found = pieces(problem, 0, 0)
    union = parts(found)
    for sign, end in ((-1.0, union[0][0]), (1.0, union[-1][1])):
        assert farthest(problem, 0, 0, sign).q_mvar == pytest.approx(end, abs=2e-5)
    for q in (union[0][0] + 0.01, sum(union[1]) / 2.0, union[-1][1] - 0.01):
        best = cheapest(problem, 0, 0, q, found)
        assert least_of_all(problem, 0, 0, q).cost_eur == pytest.approx(best.cost_eur, abs=2e-5)
    assert least_of_all(problem, 0, 0, (union[0][1] + union[1][0]) / 2.0) is None


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_divisible_devices_reach_at_least_as_far_as_whole_ones(problem, found, sign):
    free = extreme(problem, 0, 0, sign)
    whole = max(sign * end for part in parts(found[0, 0]) for end in part)
    assert free.status in ANSWERS
    assert sign * free.q_mvar >= whole - SAME_MVAR


def test_a_true_map_is_not_blamed(problem, found, true_map, drawn):
    verdict = MapJudge(problem)(true_map)
    assert not verdict.faults
    assert verdict.over <= 1.0
    listed = completeness(problem, true_map, drawn)
    assert len(listed) == len(drawn.cost_eur)
    assert listed["beyond_mvar"].max() <= SAME_MVAR
    q = true_map.costs["q_mvar"].to_numpy()[::4]
    exact = against_exact(problem, true_map, 0, 0, found[0, 0], q)
    assert exact["over_eur"].abs().max() <= SAME_EUR


def first(table, chosen):
    return table.index[chosen(table)][0]


def changed(name, column, change, chosen=lambda table: table.index == len(table) // 2):
    """A lie in one cell: the first row that is chosen."""

    def lie(few):
        table = getattr(few, name).copy()
        at = first(table, chosen)
        table.loc[at, column] = change(table.loc[at, column])
        return replace(few, **{name: table})

    return lie


def is_whole(dispatch):
    return dispatch["q_mvar"].abs() > 0.8


LIES = {
    "cost": changed("costs", "cost_eur", lambda v: v + 1e-4),
    "q": changed("costs", "q_mvar", lambda v: v + 5e-5),
    "p": changed("costs", "p_mw", lambda v: v + 5e-5),
    "number": changed("costs", "price_eur_mvarh", lambda _: np.nan),
    "order": changed("costs", "point", lambda _: -1),
    "forecast": changed("ranges", "q_forecast_mvar", lambda v: v + 1e-3),
    "end": changed("ranges", "q_max_mvar", lambda v: v + 1e-2),
    "inside": changed("gaps", "q_to_mvar", lambda v: v + 0.5),
    "gap": changed("gaps", "q_to_mvar", lambda v: v - 1.0),
    "position": changed("dispatch", "position", lambda v: v + 0.5, lambda table: table["bid"] == ""),
    "minimum": changed("dispatch", "q_mvar", lambda v: 0.9 * v, is_whole),
    "amount": changed("dispatch", "q_mvar", lambda v: 10.0 * v, is_whole),
    "unknown": changed("dispatch", "bid", lambda _: "nobody's", is_whole),
}


@pytest.mark.parametrize("rule", LIES)
def test_a_forged_map_is_found_out(problem, few, rule):
    assert rule in MapJudge(problem)(LIES[rule](few)).rules


def test_only_forged_maps_are_found_out(problem, few):
    assert not MapJudge(problem)(few).faults


def test_a_point_beyond_a_limit_is_found_out(problem, drawn):
    """The same dispatches in the grid of tighter limits."""
    low = problem.clearing.limits["kind"] == "undervoltage"
    tight = problem.clearing.effective + np.where(low, 0.01, 0.0)
    strict = replace(problem, clearing=replace(problem.clearing, effective=tight))
    verdict = MapJudge(strict)(as_map(problem, drawn, np.arange(5)))
    assert verdict.rules == {"limit"}
    assert verdict.over > 1.0


def test_a_map_that_leaves_something_out_is_found_out(problem, true_map, drawn):
    width = np.ptp(true_map.costs["q_mvar"])
    short = replace(true_map, ranges=true_map.ranges.assign(
        q_max_mvar=true_map.ranges["q_max_mvar"] - 0.05 * width))  # fmt: skip
    dear = replace(true_map, costs=true_map.costs.assign(cost_eur=true_map.costs["cost_eur"] + 0.2))
    none = replace(true_map, ranges=true_map.ranges.iloc[:0], costs=true_map.costs.iloc[:0])
    fair = completeness(problem, true_map, drawn)
    assert completeness(problem, short, drawn)["beyond_width"].max() > 0.01
    assert completeness(problem, dear, drawn)["saving_eur"].max() > fair["saving_eur"].max() + 0.1
    assert np.isinf(completeness(problem, none, drawn)["beyond_mvar"]).all()


def test_a_gap_that_is_painted_over_is_found_out(problem, found, few):
    painted = replace(few, gaps=few.gaps.iloc[:0], costs=few.costs.assign(run=0))
    widest = few.gaps.assign(width=few.gaps["q_to_mvar"] - few.gaps["q_from_mvar"])
    row = widest.sort_values("width").iloc[-1]
    q = np.linspace(row["q_from_mvar"], row["q_to_mvar"], 5)[1:-1]
    said = against_exact(problem, painted, 0, 0, found[0, 0], q)
    assert said["curve_eur"].notna().all()
    assert said["exact_eur"].isna().all()
    halves = between(problem, painted, most=10**6)
    assert halves["cost_eur"].isna().sum() > between(problem, few, most=10**6)["cost_eur"].isna().sum()


def test_other_points_stay_in_their_band():
    free, held = problem_of(DOUBLE), map_problem(small_map(DOUBLE), others_mvar=0.05)
    for sign in (-1.0, 1.0):
        one, other = extreme(free, 0, 0, sign), extreme(held, 0, 0, sign)
        assert {one.status, other.status} <= set(ANSWERS)
        assert sign * other.q_mvar <= sign * one.q_mvar + SAME_MVAR
    some = pieces(held, 0, 0)
    assert 0 < len(some) < len(pieces(free, 0, 0))
    for piece in some:
        share = piece.high.share[held.alone(0).offers.live]
        state = HeldStates(held, 0, piece.whole.steps)(share[None])
        assert abs(state.q_mvar[0, 1] - held.q_mvar[1, 0]) <= 0.05 + SAME_MVAR
    everything = dispatches(free, 0, count=600, seed=1)
    inside = completeness(held, as_map(free, everything, np.arange(3)), everything)
    assert 0 < (inside["connection_point"] == held.points[0]).sum() < len(everything.cost_eur)


def test_where_nothing_is_feasible_nothing_is_found():
    problem = map_problem(no_map())
    assert not len(dispatches(problem, 0, count=600, seed=1).cost_eur)
    assert not pieces(problem, 0, 0)
    assert len(pieces(map_problem(no_map(), devices="scheduled"), 0, 0))
