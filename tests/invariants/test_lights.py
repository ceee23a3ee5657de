"""Traffic lights: right by pandapower alone, and true to what the rules promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lights_support import (
    SHIPPED,
    START,
    STEP,
    bid,
    forecast,
    outage,
    regulator,
    shipped_case,
    shipped_lights,
    shipped_problem,
    stratified,
    tiny_case,
    tiny_net,
)

import gridclear as gc
from oracle import brute_force, plain_grid
from oracle.plain_grid import problem_of

WIDE = gc.Limits(vm_min_pu=0.05, vm_max_pu=2.0, loading_percent=1e6)
RESOLUTION = 1e-5


def assert_right(case, net, lights):
    """Every light stands up to pandapower."""
    problem = problem_of(case, net)
    bases = {start: plain_grid.base_state(problem, start) for start in case.horizon.starts}
    faults = {
        (row["bid"], row["start"]): found
        for row in lights.to_dict("records")
        if (found := brute_force.verify_light(problem, row, bases[row["start"]]))
    }
    assert not faults


def by_bid(lights):
    return lights.sort_values(["bid", "start"], kind="stable").reset_index(drop=True)


# ---- shipped grids against the oracle


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("name", SHIPPED)
def test_sampled_lights_stand_up_to_runpp(name, part, grids):
    problem, lights = shipped_problem(grids / name), shipped_lights(grids / name).lights
    rng = np.random.default_rng([11, part, SHIPPED.index(name)])
    green = lights["light"] == "green"
    picked = stratified(lights[~green], 4, rng) + stratified(lights[green], 2, rng)
    bases, faults = {}, {}
    for row in lights.loc[picked].to_dict("records"):
        start = row["start"]
        if start not in bases:
            bases[start] = plain_grid.base_state(problem, start)
        found = brute_force.verify_light(problem, row, bases[start])
        if found:
            faults[row["bid"], start] = found
    assert not faults


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("name", SHIPPED)
def test_sampled_colours_are_the_oracles(name, part, grids):
    problem, lights = shipped_problem(grids / name), shipped_lights(grids / name).lights
    rng = np.random.default_rng([12, part, SHIPPED.index(name)])
    judged = (problem.active_bids["block"] == "") & (problem.active_bids["element"] != "")
    picked = stratified(lights[judged.to_numpy()], 3, rng)
    found = brute_force.lights(problem, pd.Index(picked), points=4)
    mine = lights.loc[picked]
    assert mine["light"].tolist() == found["light"].tolist()
    assert (abs(mine["accepted_mw"] - found["accepted_mw"]) <= 1e-3 * mine["offered_mw"]).all()


# ---- what the shipped cases promise


@pytest.mark.parametrize("name", SHIPPED)
def test_all_colours_and_base_violations(name, grids):
    result = shipped_lights(grids / name)
    assert set(result.lights["light"]) == {"green", "yellow", "red"}
    assert set(result.violations["kind"]) & {"undervoltage", "overvoltage", "overload", "exchange"}
    assert result.status == "qualified"


def test_voltage_and_current_are_both_among_the_reasons(grids):
    lights = pd.concat([shipped_lights(grids / name).lights for name in SHIPPED])
    kinds = set(lights.loc[lights["light"] != "green", "kind"])
    assert {"undervoltage", "overvoltage", "overload"} <= kinds


@pytest.mark.parametrize("name", SHIPPED)
def test_outages_change_lights(name, grids):
    case = shipped_case(grids / name)
    normal = gc.qualify(dataclasses.replace(case, outages=case.outages.iloc[:0])).lights
    lights = shipped_lights(grids / name).lights
    changed = (normal["light"] != lights["light"]).to_numpy()
    begin, end = case.outages["start"].min(), case.outages["end"].max()
    within = ((lights["start"] >= begin) & (lights["start"] < end)).to_numpy()
    assert (changed & within).any()
    alone = (case.active_bids["block"] == "").to_numpy()
    assert not (changed & alone & ~within).any(), "an outage acts in its own periods"
    lost = (lights["kind"] == "islanded").to_numpy()
    assert lost.any()
    assert not (normal["kind"] == "islanded").any()
    assert (lights.loc[lost, "light"] == "red").all()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_bid_row_has_its_light_and_its_witness(name, grids):
    bids, lights = shipped_case(grids / name).active_bids, shipped_lights(grids / name).lights
    pd.testing.assert_index_equal(lights.index, pd.RangeIndex(len(bids)))
    for column in ("start", "bid"):
        assert lights[column].tolist() == bids[column].tolist()
    assert lights["offered_mw"].tolist() == bids["p_mw"].tolist()
    accepted, offered = lights["accepted_mw"], lights["offered_mw"]
    assert ((lights["light"] == "green") == (accepted == offered)).all()
    assert ((lights["light"] == "red") == (accepted == 0.0)).all()
    assert ((lights["light"] == "yellow") == ((accepted > 0.0) & (accepted < offered))).all()
    marked = (bids["element"] != "").to_numpy()
    assert (lights.loc[marked, "kind"] != "").all()
    assert (lights.loc[marked, "element"] != "").all()
    assert (lights["reason"] != "").all()
    assert (lights.loc[~marked, ["light", "kind"]] == ["green", ""]).all(axis=None)
    grid = marked & ~lights["kind"].isin(["islanded", "no-solution"]).to_numpy()
    assert np.isfinite(lights.loc[grid, ["value", "limit"]].to_numpy()).all()
    least = bids["min_p_mw"].fillna(0.0).to_numpy()
    assert ((accepted == 0.0) | (accepted >= least * (1.0 - 1e-9))).all()


@pytest.mark.parametrize("name", SHIPPED)
def test_witness_tells_the_value_that_decides(name, grids):
    """At the accepted amount the value keeps the limit. A current or an undervoltage, once broken, stays
    broken up to the full offer; an overvoltage may have come back by then.
    """
    case, lights = shipped_case(grids / name), shipped_lights(grids / name).lights
    alone = (case.active_bids["block"] == "").to_numpy()
    judged = lights[alone & lights["kind"].isin(["undervoltage", "overvoltage", "overload"]).to_numpy()]
    sign = np.where(judged["kind"] == "undervoltage", -1.0, 1.0)
    slack = np.where(judged["kind"] == "overload", 1.1e-4, 1.1e-6)
    assert (sign * (judged["value"] - judged["limit"]) <= slack).all()
    stopped = ((judged["light"] != "green") & (judged["kind"] != "overvoltage")).to_numpy()
    assert stopped.any()
    over = (sign * (judged["value_at_full"] - judged["limit"]))[stopped]
    assert (over.isna() | (over > -slack[stopped])).all()


# ---- no solution


@pytest.mark.parametrize("limits", [None, WIDE])
def test_offer_beyond_any_solution_is_never_green(limits):
    net = tiny_net()
    case = tiny_case(bid("B1", "village", "down", 400.0), limits=limits)
    (light,) = gc.qualify(case).lights.to_dict("records")
    assert light["light"] == "yellow"
    assert np.isnan(light["value_at_full"])
    assert light["kind"] in (("no-solution",) if limits else ("undervoltage", "overload"))
    pp.create_load(net, 3, 400.0)
    assert not plain_grid.solve(net), "the full offer must have no solution"
    if limits is None:
        assert_right(case, tiny_net(), pd.DataFrame([light]))
    else:
        net.load.loc[net.load.index[-1], "p_mw"] = 0.999 * light["accepted_mw"]
        assert plain_grid.solve(net)
        net.load.loc[net.load.index[-1], "p_mw"] = 1.002 * light["accepted_mw"]
        assert not plain_grid.solve(net)


def test_period_without_base_solution_is_red_and_leaves_the_others_alone():
    rows = [bid("B1", "park", "up", 12.0, period=t) for t in range(3)]
    rows += [bid("B2", "mill", "down", 1.0, period=t) for t in range(3)]
    good = gc.qualify(tiny_case(*rows, periods=3, forecast=forecast(("village", [0.8, 0.8, 0.5]))))
    bad = gc.qualify(tiny_case(*rows, periods=3, forecast=forecast(("village", [0.8, 500.0, 0.5]))))
    assert good.status == "qualified"
    assert bad.status == "partial"
    hit = (bad.lights["start"] == START + STEP).to_numpy()
    assert (bad.lights.loc[hit, "light"] == "red").all()
    assert (bad.lights.loc[hit, "kind"] == "no-solution").all()
    assert (bad.lights.loc[hit, "accepted_mw"] == 0.0).all()
    pd.testing.assert_frame_equal(bad.lights[~hit], good.lights[~hit], check_exact=True)
    assert set(good.lights.loc[~hit, "light"]) == {"green", "yellow"}
    lost = bad.violations[bad.violations["kind"] == "no-solution"]
    assert lost["start"].tolist() == [START + STEP]


def test_no_period_has_a_base_solution():
    case = tiny_case(
        bid("B1", "park", "up", 1.0), bid("T1", "", "up", 1.0), forecast=forecast(("village", [500.0]))
    )
    result = gc.qualify(case)
    assert result.status == "no-solution"
    assert result.lights["light"].tolist() == ["red", "green"]
    assert result.lights["kind"].tolist() == ["no-solution", ""]


# ---- determinism


@pytest.mark.parametrize("name", SHIPPED)
def test_lights_do_not_depend_on_threads_or_on_the_order_of_bids(name, grids):
    case, lights = shipped_case(grids / name), shipped_lights(grids / name).lights
    threaded = gc.qualify(case, threads=2).lights
    pd.testing.assert_frame_equal(threaded, lights, check_exact=True)
    shuffled = case.active_bids.sample(frac=1.0, random_state=5).reset_index(drop=True)
    again = gc.qualify(dataclasses.replace(case, active_bids=shuffled), threads=2).lights
    pd.testing.assert_frame_equal(by_bid(again), by_bid(lights), check_exact=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_bid_more_or_less_leaves_the_others_alone(name, grids):
    case, lights = shipped_case(grids / name), shipped_lights(grids / name).lights
    names = np.array(sorted(set(case.active_bids["bid"])))
    gone = np.random.default_rng(3).choice(names, len(names) // 4, replace=False)
    keep = ~case.active_bids["bid"].isin(gone)
    blocks = case.active_bids.loc[~keep, "block"]
    keep &= ~case.active_bids["block"].isin(blocks[blocks != ""])
    fewer = dataclasses.replace(case, active_bids=case.active_bids[keep].reset_index(drop=True))
    left = lights[keep.to_numpy()].reset_index(drop=True)
    pd.testing.assert_frame_equal(gc.qualify(fewer).lights, left, check_exact=True)


# ---- limits

OFFERS = [
    ("park", "up", 12.0), ("park", "down", 3.0), ("village", "down", 9.0), ("mill", "down", 12.0),
    ("mill", "up", 2.0), ("farm", "up", 14.0), ("town", "down", 1.0),
]  # fmt: skip
TIGHTER = st.tuples(st.floats(0.0, 0.05), st.floats(0.0, 0.04), st.floats(0.0, 70.0))


@settings(max_examples=7, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    tighter=TIGHTER,
    village=st.floats(-3.0, 6.0),
    mill=st.floats(0.0, 8.0),
    tan_phi=st.sampled_from([np.nan, 0.3, -0.3]),
)
def test_tighter_limits_never_enlarge_what_is_accepted(tighter, village, mill, tan_phi):
    """With base violations, too: the worse of limit and base value never widens when a limit tightens."""
    rows = [bid(f"B{k}", *offer, tan_phi=tan_phi) for k, offer in enumerate(OFFERS)]
    load = forecast(("village", [village]), ("mill", [mill]))
    wide = gc.qualify(tiny_case(*rows, forecast=load)).lights
    low, high, loading = tighter
    limits = gc.Limits(vm_min_pu=0.95 + low, vm_max_pu=1.05 - high, loading_percent=100.0 - loading)
    tight = gc.qualify(tiny_case(*rows, forecast=load, limits=limits)).lights
    offered = wide["offered_mw"]
    assert (tight["accepted_mw"] <= wide["accepted_mw"] + 2.0 * RESOLUTION * offered).all()
    for lights in (wide, tight):
        assert ((lights["accepted_mw"] >= 0.0) & (lights["accepted_mw"] <= offered)).all()


@pytest.mark.parametrize(("element", "direction"), [("park", "up"), ("village", "down")])
def test_tighter_limits_do_bite(element, direction):
    """The other half of the property above: without it, constant lights would pass."""
    row = bid("B1", element, direction, 30.0, tan_phi=0.1)
    amounts = [
        gc.qualify(tiny_case(row, limits=gc.Limits(1.0 - wide, 1.0 + wide, 1e4))).lights["accepted_mw"][0]
        for wide in (0.12, 0.08, 0.05)
    ]
    assert amounts[0] > amounts[1] > amounts[2] > 0.0


def test_base_violation_may_stay_but_not_grow():
    limits = gc.Limits(0.99, 1.05, 100.0)
    load = forecast(("village", [9.0]))
    case = tiny_case(
        bid("worse", "village", "down", 1.0), bid("better", "park", "up", 1.0), limits=limits, forecast=load
    )
    result = gc.qualify(case)
    assert "undervoltage" in set(result.violations["kind"])
    # what the tolerance of the voltage lets through is next to nothing
    assert result.lights["accepted_mw"][0] <= 1e-3
    assert result.lights["light"][1] == "green"
    assert result.lights["kind"][0] == "undervoltage"
    assert result.lights["limit"][0] < 0.99
    assert_right(case, tiny_net(), result.lights)


# ---- conditions of the owner


def test_block_shares_the_fraction_of_its_worst_period():
    rows = [bid("B1", "park", "up", p, period=t, block="all") for t, p in enumerate((4.0, 12.0, 16.0))]
    rows += [bid("free", "park", "up", p, period=t) for t, p in enumerate((4.0, 12.0, 16.0))]
    case = tiny_case(*rows, periods=3)
    lights = gc.qualify(case).lights
    block, alone = lights[lights["bid"] == "B1"], lights[lights["bid"] == "free"]
    assert alone["light"].tolist() == ["green", "yellow", "yellow"]
    fractions = alone["accepted_mw"].to_numpy() / alone["offered_mw"].to_numpy()
    np.testing.assert_allclose(
        block["accepted_mw"].to_numpy() / block["offered_mw"].to_numpy(), fractions.min(), rtol=1e-12
    )
    assert (block["light"] == "yellow").all()
    for column in ("kind", "element_type", "element", "limit", "value_at_full"):
        assert (block[column] == alone[column].iloc[2]).all(), column
    assert_right(case, tiny_net(), lights)


def test_block_with_an_islanded_period_is_red_for_that():
    rows = [bid("B1", "park", "up", 1.0, period=t, block="all") for t in range(3)]
    rows += [bid("free", "park", "up", 1.0, period=t) for t in range(3)]
    case = tiny_case(*rows, periods=3, outages=outage("line", "CD", 1))
    lights = gc.qualify(case).lights
    assert (lights.loc[:2, "light"] == "red").all()
    assert (lights.loc[:2, "kind"] == "islanded").all()
    assert (lights.loc[:2, "element"] == "park").all()
    assert (lights.loc[:2, "reason"] != "").all()
    assert lights.loc[3:, "light"].tolist() == ["green", "red", "green"]
    assert_right(case, tiny_net(), lights)


def test_element_out_of_service_is_islanded():
    case = tiny_case(bid("B1", "park", "up", 1.0), outages=outage("sgen", "park", 0))
    lights = gc.qualify(case).lights
    assert lights[["light", "kind"]].to_numpy().tolist() == [["red", "islanded"]]
    assert_right(case, tiny_net(), lights)


def test_smallest_amount_turns_a_small_yellow_red():
    offered = 12.0
    free = gc.qualify(tiny_case(bid("B1", "park", "up", offered))).lights["accepted_mw"][0]
    assert 0.0 < free < offered
    case = tiny_case(
        bid("above", "park", "up", offered, min_p_mw=free + 0.01),
        bid("below", "park", "up", offered, min_p_mw=free - 0.01),
        bid("whole", "park", "up", offered, min_p_mw=offered),
        bid("green", "park", "up", 1.0, min_p_mw=1.0),
    )
    lights = gc.qualify(case).lights
    assert lights["light"].tolist() == ["red", "yellow", "red", "green"]
    assert lights["accepted_mw"].tolist() == [0.0, free, 0.0, 1.0]
    assert (lights["kind"] != "").all()
    assert "below the smallest amount" in lights["reason"][0]
    assert_right(case, tiny_net(), lights)


def test_smallest_amount_of_one_period_turns_its_block_red():
    case = tiny_case(
        bid("B1", "park", "up", 12.0, block="all"),
        bid("B1", "park", "up", 12.0, period=1, min_p_mw=11.9, block="all"),
        periods=2,
    )
    lights = gc.qualify(case).lights
    assert lights["light"].tolist() == ["red", "red"]
    assert (lights["kind"] != "").all()
    assert_right(case, tiny_net(), lights)


def test_block_does_not_depend_on_the_order_of_its_periods():
    rows = [bid("B1", "park", "up", 12.0, period=t, block="all") for t in range(3)]
    load = forecast(("village", [0.8, 0.8, 0.8]))
    forth = gc.qualify(tiny_case(*rows, periods=3, forecast=load)).lights
    back = gc.qualify(tiny_case(*rows[::-1], periods=3, forecast=load)).lights
    pd.testing.assert_frame_equal(by_bid(back), by_bid(forth), check_exact=True)


def test_bids_at_transmission_are_green():
    case = tiny_case(bid("T1", "", "up", 500.0), bid("B1", "park", "up", 400.0))
    lights = gc.qualify(case).lights
    assert lights["light"].tolist() == ["green", "yellow"]
    assert lights["accepted_mw"][0] == 500.0
    assert lights["kind"][0] == ""


@pytest.mark.parametrize(
    ("element", "direction", "p_mw"), [("mill", "down", 9.0), ("park", "up", 12.0), ("village", "down", 9.0)]
)
def test_smaller_offers_below_the_accepted_amount_are_green(element, direction, p_mw):
    """Safe means from nothing to the accepted amount: every smaller offer must be safe in full."""
    rows = [bid(f"B{k:02d}", element, direction, p_mw * k / 30, tan_phi=-0.6) for k in range(1, 31)]
    case = tiny_case(
        *rows,
        limits=gc.Limits(0.98, 1.06, 150.0),
        forecast=forecast(("mill", [5.0]), ("village", [1.0])),
        tap_changers=regulator(1.02, 0.02),
    )
    lights = gc.qualify(case).lights
    accepted = lights["accepted_mw"].iloc[-1]
    below = lights["offered_mw"] <= accepted
    assert (lights.loc[below, "light"] == "green").all()
    slack = 2.0 * RESOLUTION * lights["offered_mw"] + RESOLUTION * p_mw
    assert ((lights["accepted_mw"] - accepted).abs()[~below] <= slack[~below]).all()


def test_devices_that_cannot_be_judged_are_refused():
    with pytest.raises(gc.OptionError, match="scheduled"):
        gc.qualify(tiny_case(bid("B1", "park", "up", 1.0)), devices="none")
