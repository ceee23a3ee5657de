"""Inverters on curves: states and lights are those of ``runpp``, brought to the curves by another method."""

from __future__ import annotations

import functools

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

import gridclear as gc
from oracle import boxes, brute_force, plain_grid, sequential
from oracle.activation import Period, excess
from oracle.curves import ON_THE_CURVE_MVAR, wanted, with_reactions
from oracle.plain_grid import problem_of
from oracle.random_cases import curved_case

START = pd.Timestamp("2025-01-15T10:00Z")


@functools.cache
def small(seed):
    case, net = curved_case(seed, blocks=False, bids=(3, 4), periods=1)
    return case, problem_of(case, net)


def shares(found, mine):
    """Accepted shares of published lights and of the oracle's; less than a thousandth is no product."""
    offered = found["offered_mw"].to_numpy()
    share, sought = (one["accepted_mw"].to_numpy() / offered for one in (found, mine))
    return share, np.where(sought < 1e-3, 0.0, sought)


def lights_of(case, guarantee, **options):
    return gc.qualify(case, guarantee=guarantee, threads=1, **options).lights


@pytest.mark.parametrize("seed", [0, 4, 6, 7, 11, 15])
def test_base_states_are_those_of_the_oracle(seed):
    case, problem = small(seed)
    base = plain_grid.base_state(problem, START)
    assert np.abs(wanted(base.net) - base.net.sgen.loc[base.net["reactions"]["sgen"], "q_mvar"]).max() <= (
        ON_THE_CURVE_MVAR
    )
    flow = gc.power_flow(case, threads=1)
    assert flow.status == "solved"
    np.testing.assert_allclose(flow.buses["vm_pu"], base.net.res_bus["vm_pu"], rtol=0, atol=1e-9)
    power = base.net.res_ext_grid[["p_mw", "q_mvar"]].sum()
    np.testing.assert_allclose(flow.exchange[["p_mw", "q_mvar"]].sum(), power, rtol=0, atol=1e-7)


@pytest.mark.parametrize("seed", [0])
def test_lights_of_each_are_those_of_brute_force(seed):
    case, problem = small(seed)
    found, mine = lights_of(case, "each"), brute_force.lights(problem, points=6)
    np.testing.assert_allclose(*shares(found, mine), rtol=0, atol=sequential.AMOUNT)


@pytest.mark.parametrize("seed", [12])
def test_merit_order_is_that_of_the_sequential_oracle(seed):
    case, problem = small(seed)
    differs = sequential.differences(problem, lights_of(case, "merit-order"), points=6)
    differs = differs[differs["edge"] == ""]
    assert differs.empty, differs.to_string()


@pytest.mark.parametrize("seed", [9, 15])
def test_no_subset_breaks_anything(seed):
    case, problem = small(seed)
    worst = boxes.breaks(problem, lights_of(case, "any-subset"), random=10, most_corners=4, fast=False)
    assert worst is None or not worst.broken


@pytest.mark.study
@pytest.mark.parametrize("seed", range(30))
def test_study_of_lights_on_random_grids(seed):
    try:
        case, problem = small(seed)
    except ValueError as nothing:
        pytest.skip(str(nothing))
    found, mine = lights_of(case, "each"), brute_force.lights(problem)
    # A corner of a curve may make a limit break on a small part of the way, between the oracle's samples.
    far = np.abs(found["accepted_mw"] - mine["accepted_mw"]) > sequential.AMOUNT * found["offered_mw"]
    finer = brute_force.lights(problem, mine.index[far.to_numpy()], points=401)
    mine.loc[finer.index] = finer
    np.testing.assert_allclose(*shares(found, mine), rtol=0, atol=sequential.AMOUNT)
    judged = lights_of(case, "merit-order")
    differs = sequential.differences(problem, judged)
    if (only := differs.index[differs["edge"] == ""]).size:
        differs = sequential.differences(problem, judged, points=401, only=only.tolist())
    assert differs[differs["edge"] == ""].empty, differs.to_string()
    worst = boxes.breaks(problem, lights_of(case, "any-subset"), random=50, most_corners=6, fast=False)
    assert worst is None or not worst.broken


def feeder(curve, *, plants=(("PV", 4, 1.0),), p_mw=1.0, s_max_mva=2.4, direction="up", limits=None):
    """A line of five stations, plants (name, station, MW) on a curve, a bid of each; case and net."""
    net = pp.create_empty_network(sn_mva=1.0)
    buses = [pp.create_bus(net, 20.0, name=f"b{k}") for k in range(5)]
    pp.create_ext_grid(net, buses[0], vm_pu=1.01, name="grid")
    for k in range(4):
        pp.create_line_from_parameters(
            net, buses[k], buses[k + 1], 6.0, r_ohm_per_km=0.25, x_ohm_per_km=0.4, c_nf_per_km=200.0,
            max_i_ka=1.0, name=f"l{k}",
        )  # fmt: skip
        pp.create_load(net, buses[k + 1], 0.2, 0.1, name=f"L{k}")
    offers, inverters = [], []
    for name, station, now_mw in plants:
        pp.create_sgen(net, buses[station], now_mw, 0.0, sn_mva=3.0, name=name)
        inverters.append((name, s_max_mva, "C"))
        offers.append((f"B{name}", "sgen", name, START, direction, p_mw, 10.0))
    columns = ["bid", "element_type", "element", "start", "direction", "p_mw", "price_eur_mwh"]
    inverters = pd.DataFrame(inverters, columns=["element", "s_max_mva", "reaction"])
    curves = pd.DataFrame(curve, columns=["vm_pu", "p_pu", "q_pu"]).assign(curve="C")
    case = gc.Case.from_pandapower(
        net, start=START, periods=1, active_bids=pd.DataFrame(offers, columns=columns), inverters=inverters,
        reaction_curves=curves, limits=limits or gc.Limits(),
    )  # fmt: skip
    return case, with_reactions(net, inverters, curves)


#: Gives nothing up to half its rating, then takes ever more: the voltage peaks where it bends.
KNEE = [(np.nan, 0.0, 0.0), (np.nan, 0.6, 0.0), (np.nan, 0.62, -0.6), (np.nan, 1.0, -0.6)]


def test_a_peak_of_the_voltage_at_a_corner_of_the_curve_is_not_passed_over():
    wide = feeder(KNEE, limits=gc.Limits(vm_max_pu=2.0))
    problem, start = problem_of(*wide), plain_grid.base_state(problem_of(*wide), START)
    ray = brute_force.ray(problem, start, next(plain_grid.rows(problem.active_bids)))
    peak = max(ray(share)["value"].iloc[:5].max() for share in np.linspace(0.40, 0.48, 17))
    full = ray(1.0)["value"].iloc[:5].max()
    assert peak > full + 2e-3  # the full offer is lower than the way to it
    case, net = feeder(KNEE, limits=gc.Limits(vm_max_pu=round((3 * peak + full) / 4, 5)))
    found, mine = lights_of(case, "each"), brute_force.lights(problem_of(case, net), points=101)
    assert mine["light"].tolist() == ["yellow"] == found["light"].tolist()
    np.testing.assert_allclose(found["accepted_mw"], mine["accepted_mw"], rtol=0, atol=2e-3)


def test_boxes_stand_where_curves_bend_between_their_corners():
    # With both plants at the bend the voltage is highest; with either in full it is lower than with nothing.
    pair = {"plants": (("PV", 4, 0.6), ("PW", 3, 0.6)), "p_mw": 1.4}
    knee, limits = (0.6 * 2.4 - 0.6) / 1.4 - 1e-6, gc.Limits(vm_max_pu=1.037)
    case, net = feeder(KNEE, **pair, limits=limits)
    problem = problem_of(case, net)
    period = Period(problem, START)

    def over(*shares):
        return float(excess(period.state(dict(enumerate(shares)))).max())

    assert over(knee, knee) > 2000.0
    assert max(over(*corner) for corner in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))) < 1.0
    each, box = (lights_of(case, guarantee) for guarantee in ("each", "any-subset"))
    assert each["light"].tolist() == ["green", "green"]
    assert box["light"].tolist() == ["green", "yellow"]
    share = box["accepted_mw"].iloc[1] / 1.4
    assert over(knee, share) <= 1.0
    assert over(knee, share + 3e-3) > 1.0
    assert box[["kind", "element"]].iloc[1].tolist() == ["overvoltage", "b4"]
    apart = case.with_tables({"active_bids": case.active_bids.assign(exclusive="one of them")})
    assert lights_of(apart, "any-subset")["light"].tolist() == ["green", "green"]


def test_the_circle_of_the_rating_bounds_the_curve():
    droop = [(0.9, np.nan, 0.44), (0.92, np.nan, 0.0), (0.94, np.nan, -0.9)]
    case, net = feeder(droop, s_max_mva=1.2)
    base = plain_grid.base_state(problem_of(case, net), START)
    q_mvar = base.net.sgen["q_mvar"].iloc[0]
    assert q_mvar == pytest.approx(-np.sqrt(1.2**2 - 1.0), abs=1e-9)
    flow = gc.power_flow(case)
    np.testing.assert_allclose(flow.buses["vm_pu"], base.net.res_bus["vm_pu"], rtol=0, atol=1e-10)


def test_another_bid_moves_the_reactive_power_and_so_the_light():
    droop = [(0.98, np.nan, 0.4), (1.0, np.nan, 0.0), (1.02, np.nan, -0.4)]
    case, net = feeder(droop, direction="down", limits=gc.Limits(vm_min_pu=0.97))
    offer = case.active_bids.assign(bid="L", element_type="load", element="L3", direction="down", p_mw=6.0)
    case = case.with_tables({"active_bids": offer})
    found, mine = lights_of(case, "each"), brute_force.lights(problem_of(case, net))
    np.testing.assert_allclose(found["accepted_mw"], mine["accepted_mw"], rtol=0, atol=1e-3)
    still = case.with_tables({"inverters": case.inverters.iloc[:0]})
    assert found["accepted_mw"].iloc[0] > lights_of(still, "each")["accepted_mw"].iloc[0] + 0.1
    assert found["light"].tolist() == ["yellow"]


@pytest.mark.parametrize("guarantee", ["each", "merit-order", "any-subset"])
def test_the_order_of_inverters_and_threads_do_not_matter(guarantee):
    case, _ = small(7)
    one = lights_of(case, guarantee)
    other = gc.qualify(case, guarantee=guarantee, threads=2).lights
    pd.testing.assert_frame_equal(one, other)
    turned = case.with_tables({"inverters": case.inverters.iloc[::-1].reset_index(drop=True)})
    back = lights_of(turned, guarantee)
    np.testing.assert_allclose(back["accepted_mw"], one["accepted_mw"], rtol=1e-6)


def test_a_curve_that_gives_nothing_changes_nothing():
    case, _ = small(7)
    flat = case.with_tables({"reaction_curves": case.reaction_curves.assign(q_pu=0.0)})
    bare = case.with_tables({"inverters": case.inverters.iloc[:0]})
    for guarantee in ("each", "merit-order", "any-subset"):
        one, other = lights_of(flat, guarantee), lights_of(bare, guarantee)
        np.testing.assert_allclose(one["accepted_mw"], other["accepted_mw"], rtol=0, atol=1e-4)
