"""Any subset with regulators: inside the box none of them acts, held against loops of runpp."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from lights_support import (
    SHIPPED,
    START,
    bid,
    forecast,
    regulator,
    shipped_case,
    shipped_problem,
    tiny_case,
    tiny_net,
)

import gridclear as gc
from oracle import best_box, walks
from oracle.plain_grid import problem_of
from oracle.random_cases import START as RANDOM_START
from oracle.random_cases import random_case

ALLOTMENTS = ("merit-order", "pro-rata", "most-mw")
#: Tolerances by which an oracle's own rounding may pass the edge.
EDGE = 1.001
#: Of the megawatts of the best safe box.
NOT_TIMID = 0.97
#: p.u. to which power flows of two tools agree.
ROUNDING_PU = 1e-8
#: No limit but the dead band.
WIDE = gc.Limits(vm_min_pu=0.8, vm_max_pu=1.2, loading_percent=1000.0)
#: Reactive power that moves along is what regulators feel.
TAN_PHI = 0.6


def boxed(case: gc.Case, devices: str = "automatic", allotment: str = "merit-order") -> gc.Qualification:
    return gc.qualify(case, guarantee="any-subset", allotment=allotment, devices=devices, threads=1)


def assert_at_rest(case: gc.Case, net: pp.pandapowerNet, lights: pd.DataFrame, random: int) -> None:
    problem = problem_of(case, net)
    for start in case.horizon.starts:
        found = walks.walk(problem, lights, start, random=random)
        assert found.moves == 0, start
        assert max(found.before, found.after) <= EDGE, start


def part_of_best_box(seed: int) -> float:
    """Against the best box that stays within the dead bands, where taps could move."""
    case, net = random_case(seed, periods=1, blocks=False, bids=(3, 8), regulated=True)
    problem = problem_of(case, net)
    edges = {}
    for held, way in walks.movable(problem, RANDOM_START):
        bus = net.bus["name"].loc[net.trafo["lv_bus"].loc[held.trafos[0]]]
        key = ("undervoltage" if way > 0 else "overvoltage", "bus", str(bus))
        # Nearer by what two solvers may differ.
        edge = held.vm_set_pu - way * (held.half_band_pu - ROUNDING_PU)
        edges[key] = way * max(way * edge, way * edges.get(key, edge))
    best = best_box.best_box(problem, RANDOM_START, edges=edges)
    mw = best_box.published_mw(problem, boxed(case, allotment="most-mw").lights, RANDOM_START)
    return mw / best.mw if best.mw > 0.0 else 1.0


def tiny(*offers: tuple[object, ...], vm_set: float, band: float, **cells: object) -> gc.Case:
    """The tiny grid with no limit that binds, its transformer regulated; ``cells`` of its row."""
    return tiny_case(*offers, limits=WIDE, tap_changers=regulator(vm_set, band).assign(**cells))


def voltage_at_b(element: str = "", p_mw: float = 0.0) -> float:
    """Voltage that the regulator sees, at position 0, with an injection at the bus of a load or sgen."""
    net = tiny_net()
    if element:
        table = "sgen" if element in ("park", "farm") else "load"
        bus = net[table].loc[net[table]["name"] == element, "bus"].iloc[0]
        pp.create_sgen(net, bus, p_mw, p_mw * TAN_PHI)
    pp.runpp(net, calculate_voltage_angles=True)
    return float(net.res_bus["vm_pu"].iloc[1])


UP, DOWN = bid("A", "park", "up", 8.0, tan_phi=TAN_PHI), bid("B", "mill", "down", 8.0, tan_phi=TAN_PHI)


@pytest.mark.parametrize("seed", [0, 4, 7, 9, 11])
def test_bids_come_and_go_and_no_regulator_acts(seed):
    case, net = random_case(seed, exclusive=seed % 3 == 0, regulated=True)
    found = boxed(case, allotment=ALLOTMENTS[seed % 3])
    assert_at_rest(case, net, found.lights, random=2)
    stopped = found.lights[found.lights["light"] != "green"]
    assert stopped["reason"].str.contains("would act").any()


def test_walks_find_what_a_frozen_box_lets_through():
    case, net = random_case(9, exclusive=True, regulated=True)
    found = [
        walks.walk(problem_of(case, net), boxed(case, "scheduled").lights, start, random=2)
        for start in case.horizon.starts
    ]
    assert sum(one.moves for one in found) > 0


@pytest.mark.parametrize("seed", [8, 21])
def test_box_at_rest_is_not_timid(seed):
    assert part_of_best_box(seed) >= NOT_TIMID


@pytest.mark.parametrize(("offer", "element", "sign"), [(UP, "park", 1.0), (DOWN, "mill", -1.0)])
def test_the_dead_band_ends_the_box_and_is_named(offer, element, sign):
    edge = 0.4 * voltage_at_b() + 0.6 * voltage_at_b(element, sign * 8.0)
    light = boxed(tiny(offer, vm_set=edge - sign * 0.01, band=0.02)).lights.iloc[0]
    assert light["light"] == "yellow"
    assert light["kind"] == ("overvoltage" if sign > 0.0 else "undervoltage")
    assert (light["element_type"], light["element"]) == ("bus", "B")
    assert light["limit"] == pytest.approx(edge, abs=1e-9)
    assert light["reason"].endswith("beyond this limit the regulator of trafo 'T' would act")
    assert sign * (light["value_at_full"] - edge) > 1e-4
    # The last part of a tolerance is left to rounding; a thousandth more makes the regulator act.
    left = sign * (edge - voltage_at_b(element, sign * light["accepted_mw"]))
    assert 0.0 < left < 2e-6
    assert sign * (edge - voltage_at_b(element, sign * (light["accepted_mw"] + 8e-3))) < 0.0


def test_bands_are_shared_by_bids_of_both_directions():
    base = voltage_at_b()
    up = voltage_at_b("park", 8.0) - base
    case = tiny(UP, DOWN, bid("C", "farm", "up", 8.0, tan_phi=TAN_PHI), vm_set=base, band=2.2 * up)
    lights = boxed(case).lights
    # A has room for itself, B for itself on the other side; what A leaves is a tenth.
    assert lights["light"].tolist()[0] == "green"
    assert 0.05 < lights["accepted_mw"].iloc[2] / 8.0 < 0.2
    assert_at_rest(case, tiny_net(), lights, random=3)


def test_wide_bands_change_nothing(grids):
    rural = shipped_case(grids / "mv-rural")
    rural = dataclasses.replace(rural, tap_changers=rural.tap_changers.assign(deadband_pu=0.3))
    for case in (tiny(UP, DOWN, vm_set=1.0, band=0.3), rural):
        frozen, free = boxed(case, "scheduled").lights, boxed(case).lights
        same = ["bid", "light", "accepted_mw"]
        pd.testing.assert_frame_equal(free[same], frozen[same], check_exact=True)
        assert not free.loc[free["light"] != "green", "reason"].str.contains("regulator").any()


@pytest.mark.parametrize("end", [{"tap_max": 0}, {"tap_min": 0}, {"tap_min": 0, "tap_max": 0}])
def test_a_regulator_at_the_end_of_its_range_holds_nothing_back_there(end):
    base = voltage_at_b()
    # A higher position lowers the voltage: at tap_max = 0 nothing can be done against a high one.
    case = tiny(UP, DOWN, vm_set=base, band=1e-4, **end)
    lights = boxed(case).lights.set_index("bid")
    assert (lights.loc["A", "light"] == "green") == ("tap_max" in end)
    assert (lights.loc["B", "light"] == "green") == ("tap_min" in end)
    assert_at_rest(case, tiny_net(), lights.reset_index(), random=2)


def test_outside_of_the_band_at_the_end_of_the_range_is_rest():
    base = voltage_at_b()
    # Far too high, and no tap left: only what would bring it below the band counts.
    case = tiny(UP, DOWN, vm_set=base - 0.1, band=0.02, tap_max=0)
    assert boxed(case).lights["light"].tolist() == ["green", "green"]


@pytest.mark.parametrize("offers", [(UP, DOWN), (UP,), (DOWN,)])
def test_nothing_is_promised_where_a_regulator_finds_no_rest(offers):
    # Half a tap above the set point, and as much below it one tap further: no whole tap is in the band.
    case = tiny(*offers, vm_set=voltage_at_b() - 0.006, band=0.002)
    found = boxed(case)
    assert len(found.provenance["hunting"]) == 1
    assert (found.lights["light"] == "red").all()
    assert (found.lights["accepted_mw"] == 0.0).all()
    assert found.lights["reason"].str.startswith("the regulator of trafo 'T' acts with nothing").all()
    assert (found.lights["element"] == "B").all()


def test_a_period_without_rest_does_not_touch_the_others():
    offers = [bid("A", "park", "up", 2.0, period=period) for period in (0, 1)]
    block = [bid("B", "farm", "up", 0.2, period=period, block="b") for period in (0, 1)]
    # With the town at 8 MW the voltage at B is 1.0153 p.u. and stays; with 1 MW no tap puts it in the band.
    case = tiny_case(
        *offers, *block, periods=2, limits=WIDE, tap_changers=regulator(1.0153, 0.002),
        forecast=forecast(("town", [1.0, 8.0])),
    )  # fmt: skip
    found = boxed(case)
    assert found.provenance["hunting"] == [START.isoformat()]
    lights = found.lights.set_index(["bid", "start"])
    later = START + pd.Timedelta("15min")
    assert lights.loc[("A", START), "accepted_mw"] == 0.0
    assert lights.loc[("A", later), "accepted_mw"] > 0.0
    assert (lights.loc["B", "accepted_mw"] == 0.0).all()
    assert "decided by 2024-05-01T10:00Z of its block" in lights.loc[("B", later), "reason"]
    walked = walks.walk(problem_of(case, tiny_net()), found.lights, later, random=2)
    assert walked.moves == 0
    assert walked.changes > 0


def two_bars() -> pp.pandapowerNet:
    """Two transformers of one group on bars of their own, 0.3 % apart, each with a town and a park."""
    net = pp.create_empty_network(name="two bars", sn_mva=10.0)
    hv = pp.create_bus(net, 110.0, name="A")
    pp.create_ext_grid(net, hv, vm_pu=1.02, name="grid")
    for k, load in ((1, 3.0), (2, 9.0)):
        bar = pp.create_bus(net, 20.0, name=f"B{k}")
        pp.create_transformer(net, hv, bar, "25 MVA 110/20 kV", name=f"T{k}", tap_pos=0)
        pp.create_load(net, bar, load, 0.5 * load, name=f"town {k}")
        pp.create_sgen(net, bar, 1.0, name=f"park {k}")
    net.trafo["tap_changer_type"] = "Ratio"
    net.sgen["min_p_mw"] = -100.0
    return net


def test_a_group_acts_on_the_mean_of_its_bars():
    net = two_bars()
    pp.runpp(net, calculate_voltage_angles=True)
    first, second = net.res_bus["vm_pu"].iloc[1:3]
    mean, apart = 0.5 * (first + second), 0.5 * (first - second)
    assert apart > 0.005
    # Each bar by itself is outside of this band from the start.
    group = pd.concat([regulator(mean, apart)] * 2, ignore_index=True).assign(element=["T1", "T2"], group="G")
    offers = [(f"P{k}", "sgen", f"park {k}", START, "up", 20.0, 50.0, np.nan, "", TAN_PHI) for k in (1, 2)]
    case = tiny_case(*offers, net=net, limits=WIDE, tap_changers=group)
    for allotment in ALLOTMENTS:
        found = boxed(case, allotment=allotment)
        assert found.provenance["hunting"] == []
        assert (found.devices["position"] == 0).all()
        assert found.lights["accepted_mw"].sum() > 1.0
        assert "regulator of trafo 'T1' and trafo 'T2'" in found.lights["reason"].iloc[1]
        assert_at_rest(case, net, found.lights, random=3)


@pytest.mark.parametrize("name", SHIPPED)
def test_boxes_of_shipped_cases_rest(name, grids):
    case = shipped_case(grids / name)
    lights = gc.qualify(case, guarantee="any-subset", devices="automatic").lights
    found = walks.walk(shipped_problem(grids / name), lights, case.horizon.starts[3], random=1)
    assert found.moves == 0
    assert max(found.before, found.after) <= EDGE


@pytest.mark.study
@pytest.mark.parametrize("seed", range(100))
def test_study_of_boxes_at_rest(seed):
    case, net = random_case(seed, exclusive=seed % 3 == 0, regulated=True)
    assert_at_rest(case, net, boxed(case, allotment=ALLOTMENTS[seed % 3]).lights, random=20)


@pytest.mark.study
@pytest.mark.parametrize("seed", range(60))
def test_study_of_best_boxes_at_rest(seed):
    assert part_of_best_box(seed) >= NOT_TIMID
