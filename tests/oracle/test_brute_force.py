"""The oracle against hand calculation.

The grid: external grid (bus A, 110 kV, 1.0 p.u.), transformer T (A-B), line BC to the load at C, line BD to
a generator at D that runs at nothing. No charging, no iron losses: A-B-C is one series impedance, for which

    V1² = (V2 + (P·R + Q·X) / V2)² + ((P·X - Q·R) / V2)²        (all p.u., load P + jQ at end 2)

has a closed form.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from .brute_force import Crossing, first_crossing, lights, verify_light
from .plain_grid import Problem, base_state, regulators, settle

T0 = pd.Timestamp("2024-05-01T10:00Z")
T1 = T0 + pd.Timedelta("15min")
SN = 1.0  # MVA
X_TRAFO = 0.10 * SN / 40.0
Z_BASE = 20.0**2 / SN
LINE = 5 * (0.2 + 0.3j) / Z_BASE
CAPACITY_MW = np.sqrt(3) * 20.0 * 0.3  # of line BC at 1.0 p.u.


@pytest.fixture(scope="module")
def built_net():
    net = pp.create_empty_network(sn_mva=SN)
    for name, kv in (("A", 110.0), ("B", 20.0), ("C", 20.0), ("D", 20.0)):
        pp.create_bus(net, vn_kv=kv, name=name)
    pp.create_ext_grid(net, 0, vm_pu=1.0, name="grid")
    pp.create_transformer_from_parameters(
        net, 0, 1, sn_mva=40.0, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.0, vk_percent=10.0, pfe_kw=0.0,
        i0_percent=0.0, tap_side="hv", tap_neutral=0, tap_min=-4, tap_max=4, tap_step_percent=1.5, tap_pos=0,
        tap_changer_type="Ratio", shift_degree=150.0, max_loading_percent=100.0, name="T",
    )  # fmt: skip
    for name, end in (("BC", 2), ("BD", 3)):
        pp.create_line_from_parameters(
            net, 1, end, length_km=5.0, r_ohm_per_km=0.2, x_ohm_per_km=0.3, c_nf_per_km=0.0, max_i_ka=0.3,
            name=name,
        )  # fmt: skip
    # an open line end and a phase shift (above): neither may change a voltage
    stub = pp.create_line_from_parameters(
        net,
        2,
        3,
        length_km=1.0,
        r_ohm_per_km=0.2,
        x_ohm_per_km=0.3,
        c_nf_per_km=0.0,
        max_i_ka=0.3,
        name="stub",
    )
    pp.create_switch(net, 3, stub, et="l", closed=False)
    pp.create_load(net, 2, p_mw=3.0, q_mvar=1.0, name="town")
    pp.create_sgen(net, 3, p_mw=0.0, q_mvar=0.0, name="park")
    return net


@pytest.fixture
def net(built_net):
    return copy.deepcopy(built_net)


def bids(*rows):
    columns = ["bid", "element_type", "element", "start", "direction", "p_mw", "min_p_mw", "block", "tan_phi"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"block": object, "element": object})


def bid(name, element_type, element, direction, p_mw, start=T0, min_p_mw=np.nan, block="", tan_phi=np.nan):
    return [name, element_type, element, start, direction, p_mw, min_p_mw, block, tan_phi]


def one(problem, row, points=4):
    problem = replace(problem, active_bids=bids(row))
    return first_crossing(
        problem, base_state(problem, row[3]), problem.active_bids.dropna(axis=1).loc[0].to_dict(), points
    )


def receiving_voltage(p, q, z, v1=1.0):
    """The upper root of V2⁴ + (2(PR + QX) - V1²)·V2² + (P² + Q²)|Z|² = 0."""
    b = 2 * (p * z.real + q * z.imag) - v1**2
    return np.sqrt((-b + np.sqrt(b**2 - 4 * (p**2 + q**2) * abs(z) ** 2)) / 2)


def load_at_voltage(v2, z, v1=1.0):
    """The active load, at unity power factor, that brings end 2 to v2 (the root nearer to nothing)."""
    # (v2 + p·r/v2)² + (p·x/v2)² = v1²
    a, b, c = abs(z) ** 2 / v2**2, 2 * z.real, v2**2 - v1**2
    return (-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a)


def load_at_current(i, z, v1=1.0):
    """The active load (unity power factor) that draws the current i: V1² = (V2 + I·R)² + (I·X)²."""
    return i * (np.sqrt(v1**2 - (i * z.imag) ** 2) - i * z.real)


@pytest.mark.parametrize("tap", [-2, 0, 3])
def test_base_voltage_is_the_closed_form(net, tap):
    # behind the ideal transformer of ratio 1 + 0.015·tap the source is lower, the impedance per cent stays
    net.trafo["tap_pos"] = tap
    ratio = 1 + 0.015 * tap
    base = base_state(Problem(net), T0)
    # the tap is on the high-voltage side, so the impedance seen from the low-voltage side stays
    expected = receiving_voltage(3.0, 1.0, 1j * X_TRAFO + LINE, 1.0 / ratio)
    assert base.net.res_bus["vm_pu"].loc[2] == pytest.approx(expected, abs=1e-9)
    assert base.net.res_ext_grid["p_mw"].loc[0] > 3.0


def test_forecast_is_scaled_and_a_bid_is_not(net):
    net.load["scaling"], net.line["max_i_ka"] = 0.5, 9.0
    forecast = pd.DataFrame(
        {
            "element_type": "load",
            "element": "town",
            "start": [T0, T1],
            "p_mw": [8.0, 2.0],
            "q_mvar": [np.nan, 0.0],
        }
    )
    problem = Problem(net, forecast=forecast)
    first, second = (base_state(problem, start).net.res_bus["vm_pu"].loc[2] for start in (T0, T1))
    assert first == pytest.approx(receiving_voltage(4.0, 0.5, 1j * X_TRAFO + LINE), abs=1e-9)
    assert second == pytest.approx(receiving_voltage(1.0, 0.0, 1j * X_TRAFO + LINE), abs=1e-9)
    net.load["q_mvar"] = 0.0
    crossing = one(Problem(net, vm_min_pu=0.97), bid("b", "load", "town", "down", 20.0))
    limit = load_at_voltage(0.97 - 1e-6, 1j * X_TRAFO + LINE)
    assert crossing.fraction == pytest.approx((limit - 1.5) / 20.0, abs=2e-5)
    assert crossing.broken == {("undervoltage", "bus", "C")}


def test_accepted_up_to_the_voltage_limit(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.line["max_i_ka"] = 9.0
    crossing = one(Problem(net, vm_max_pu=1.02), bid("b", "sgen", "park", "up", 20.0))
    expected = -load_at_voltage(1.02 + 1e-6, 1j * X_TRAFO + LINE)
    assert 0 < expected < 20
    assert crossing.fraction == pytest.approx(expected / 20.0, abs=2e-5)
    assert crossing.broken == {("overvoltage", "bus", "D")}


def test_limits_of_the_grid_come_before_the_defaults_and_negative_ones_are_none(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.bus["max_vm_pu"] = [np.nan, -1.0, np.nan, 1.01]
    net.line["max_i_ka"], net.line["max_loading_percent"] = 9.0, -1.0
    crossing = one(Problem(net, vm_max_pu=1.05), bid("b", "sgen", "park", "up", 20.0))
    assert crossing.fraction == pytest.approx(
        -load_at_voltage(1.01 + 1e-6, 1j * X_TRAFO + LINE) / 20.0, abs=2e-5
    )


def test_accepted_up_to_the_current_limit(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.line["max_i_ka"], net.line["max_loading_percent"] = 0.3, 80.0
    crossing = one(Problem(net, vm_min_pu=0.5), bid("b", "load", "town", "down", 20.0))
    expected = load_at_current(0.8 * CAPACITY_MW / SN, 1j * X_TRAFO + LINE)
    assert crossing.fraction == pytest.approx(expected / 20.0, abs=2e-5)
    assert crossing.broken == {("overload", "line", "BC")}


def test_tan_phi_moves_reactive_power_along(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.line["max_i_ka"] = 9.0
    row = bid("b", "load", "town", "down", 5.0, tan_phi=0.4)
    problem = Problem(net, vm_min_pu=receiving_voltage(4.0, 1.6, 1j * X_TRAFO + LINE))
    assert one(problem, row).fraction == pytest.approx(0.8, abs=1e-4)


def test_a_standing_violation_may_be_relieved_but_not_worsened(net):
    problem = Problem(net, vm_min_pu=0.995)
    assert base_state(problem, T0).violations() == {("undervoltage", "bus", "C")}
    assert one(problem, bid("b", "load", "town", "up", 2.0)) == Crossing(1.0, frozenset())
    worsened = one(problem, bid("b", "load", "town", "down", 2.0))
    # no more than the tolerance: 1e-6 p.u. over some 0.004 p.u. per MW
    assert worsened.fraction < 1e-3
    assert ("undervoltage", "bus", "C") in worsened.broken


def test_no_solution_is_a_reason_and_no_exception(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.line["max_i_ka"], net.trafo["max_loading_percent"] = 99.0, 1e6
    problem = Problem(net, vm_min_pu=0.0, loading_percent=1e6)
    z = 1j * X_TRAFO + LINE
    largest = (abs(z) - z.real) / (2 * z.imag**2)  # the nose of the curve at unity power factor
    crossing = one(problem, bid("b", "load", "town", "down", 2 * largest))
    assert crossing.broken == {("no-solution", "", "")}
    assert crossing.fraction == pytest.approx(0.5, abs=2e-3)
    net.load["p_mw"] = 1.1 * largest
    assert not base_state(problem, T0).solved
    assert one(problem, bid("b", "load", "town", "up", 1.0)) == Crossing(
        0.0, frozenset({("no-solution", "", "")})
    )


def test_outage_islands_its_bids_for_its_time_only(net):
    outages = pd.DataFrame(
        {"element_type": "line", "element": "BD", "start": [T0], "end": [T1], "state": "out"}
    )
    table = [bid("dark", "sgen", "park", "up", 1.0, T0), bid("lit", "sgen", "park", "up", 1.0, T1)]
    table = lights(Problem(net, active_bids=bids(*table), outages=outages), points=3)
    assert table["light"].tolist() == ["red", "green"]
    assert table["broken"].iloc[0] == {("islanded", "", "")}
    assert ("islanded", "bus", "D") in base_state(Problem(net, outages=outages), T0).violations()


def test_without_external_grid_there_is_no_solution(net):
    outages = pd.DataFrame(
        {"element_type": "ext_grid", "element": "grid", "start": [T0], "end": [T1], "state": "out"}
    )
    assert base_state(Problem(net, outages=outages), T0).violations() == {("no-solution", "", "")}


def test_exchange_of_a_connection_point_is_a_limit(net):
    net.load["p_mw"], net.load["q_mvar"] = 1.0, 0.0
    points = pd.DataFrame(
        {"connection_point": ["tso"], "element": ["grid"], "p_min_mw": [-2.0], "s_max_mva": [np.nan]}
    )
    crossing = one(Problem(net, connection_points=points, vm_max_pu=1.2), bid("b", "load", "town", "up", 5.0))
    # the surplus of 5·x - 1 MW leaves at A, less the losses of line BC (the transformer has none)
    surplus = 5.0 * crossing.fraction - 1.0
    losses = (surplus / receiving_voltage(-surplus, 0.0, 1j * X_TRAFO + LINE)) ** 2 * LINE.real
    assert surplus - losses == pytest.approx(2.0, abs=1e-4)
    assert crossing.broken == {("exchange", "ext_grid", "tso")}


def changer(element="T", vm_set_pu=1.0, deadband_pu=0.02, group="", position=np.nan, mode="automatic"):
    return {
        "element_type": "trafo", "element": element, "mode": mode, "position": position,
        "vm_set_pu": vm_set_pu, "deadband_pu": deadband_pu, "group": group,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("vm_set", "start", "expected"),
    [(1.0, 0, 0), (1.03, 0, -2), (1.03, 4, -2), (0.97, 0, 2), (1.2, 0, -4), (0.5, -1, 4)],
)
def test_regulator_moves_whole_taps_into_its_band(net, vm_set, start, expected):
    # without load, V_B = 1 / (1 + 0.015·tap): 1.0309 at -2 and 0.9709 at 2 lie in the band ±0.01, ±1 do not
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    problem = Problem(net, tap_changers=pd.DataFrame([changer(vm_set_pu=vm_set, position=start)]))
    assert base_state(problem, T0).devices["position"].tolist() == [expected]
    assert net.trafo["tap_pos"].tolist() == [0]  # the caller's net is left alone


def test_tap_on_the_low_voltage_side_moves_the_other_way(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.trafo["tap_side"] = "lv"
    problem = Problem(net, tap_changers=pd.DataFrame([changer(vm_set_pu=1.03)]))
    assert base_state(problem, T0).devices["position"].tolist() == [2]


def test_hunting_regulator_stays_at_the_nearer_tap(net):
    # 1 / 0.985 = 1.0152 and 1.0: the set-point lies between, nearer to the first, the band holds neither
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    problem = Problem(net, tap_changers=pd.DataFrame([changer(vm_set_pu=1.01, deadband_pu=0.002)]))
    assert base_state(problem, T0).devices["position"].tolist() == [-1]


def test_group_moves_together_on_the_mean_and_stops_at_the_end_of_one(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    pp.create_bus(net, vn_kv=20.0, name="E")
    net.trafo = pd.concat([net.trafo, net.trafo], ignore_index=True)
    net.trafo["name"], net.trafo["lv_bus"] = ["T", "U"], [1, 4]
    rows = [changer("T", 1.03, 0.02, "pair", 0), changer("U", 1.03, 0.02, "pair", 1)]
    problem = Problem(net, tap_changers=pd.DataFrame(rows))
    # mean of 1/(1 - 0.030) and 1/(1 - 0.015) is 1.0231, inside 1.02 … 1.04; one tap before it is 1.0076
    assert base_state(problem, T0).devices["position"].tolist() == [-2, -1]
    net.trafo["tap_min"] = [-4.0, 0.0]
    assert base_state(problem, T0).devices["position"].tolist() == [-1, 0]


def test_taps_stay_where_the_base_state_has_them(net):
    net.load["p_mw"], net.load["q_mvar"] = 0.0, 0.0
    net.line["max_i_ka"] = 9.0
    problem = Problem(net, tap_changers=pd.DataFrame([changer(vm_set_pu=1.0)]), vm_max_pu=1.02)
    crossing = one(problem, bid("b", "sgen", "park", "up", 20.0))
    assert crossing.fraction == pytest.approx(
        -load_at_voltage(1.02 + 1e-6, 1j * X_TRAFO + LINE) / 20.0, abs=2e-5
    )


def test_tap_that_pandapower_would_ignore_is_refused(net):
    net.trafo["tap_changer_type"] = None
    with pytest.raises(ValueError, match="tap_changer_type"):
        base_state(Problem(net, tap_changers=pd.DataFrame([changer(mode="fixed")])), T0)


def test_settle_without_regulators_is_one_power_flow(net):
    assert settle(net, regulators(Problem(net), net))


@pytest.fixture(scope="module")
def session(built_net):
    """Two periods, the second without the town's load; the park is stopped by its voltage, earlier then."""
    net = copy.deepcopy(built_net)
    net.line["max_i_ka"] = 9.0
    forecast = pd.DataFrame(
        {"element_type": "load", "element": "town", "start": [T0, T1], "p_mw": [6.0, 0.0]}
    )
    table = [
        bid("plain", "sgen", "park", "up", 14.0, T0),
        bid("whole", "sgen", "park", "up", 14.0, T1, min_p_mw=14.0),
        bid("linked", "sgen", "park", "up", 14.0, T0, block="k"),
        bid("linked", "sgen", "park", "up", 14.0, T1, block="k"),
        bid("tso", "", "", "up", 50.0, T1),
        bid("small", "sgen", "park", "up", 0.5, T1),
    ]
    return Problem(net, active_bids=bids(*table), forecast=forecast, vm_max_pu=1.02)


@pytest.fixture(scope="module")
def published(session):
    """The session's lights as they should be published, and the base states that they stand on."""
    table = lights(session, points=3)
    table["kind"], table["element_type"], table["element"] = "overvoltage", "bus", "D"
    table.loc[table["light"] == "green", ["kind", "element_type", "element"]] = ""
    return table.to_dict("records"), {start: base_state(session, start) for start in (T0, T1)}


def test_colours_smallest_amounts_and_blocks(published):
    table = pd.DataFrame(published[0])
    assert table["light"].tolist() == ["yellow", "red", "yellow", "yellow", "green", "green"]
    amounts = table["accepted_mw"].to_numpy()
    assert amounts[2] == amounts[3] < amounts[0] < 14.0
    assert amounts[1] == 0.0


def test_right_lights_pass_verification(session, published):
    records, bases = published
    assert [verify_light(session, light, bases[light["start"]]) for light in records] == [[]] * len(records)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (0, {"light": "green"}),
        (0, {"element": "C"}),
        (0, {"kind": "overload"}),
        (0, {"accepted_mw": 14.0, "light": "green"}),
        (0, {"share": 0.002}),
        (0, {"share": -0.002}),
        (0, {"accepted_mw": 0.0, "light": "red"}),
        (0, {"value_at_full": 1.5}),
        (1, {"accepted_mw": 1.0, "light": "yellow"}),
        (1, {"element": "C"}),
        (3, {"accepted_mw": 3.0}),
        (4, {"accepted_mw": 0.0, "light": "red"}),
        (5, {"accepted_mw": 0.0, "light": "red"}),
        (5, {"bid": "nobody"}),
    ],
)
def test_falsified_lights_are_caught(session, published, row, change):
    records, bases = published
    light = records[row] | change
    light["accepted_mw"] += light.get("share", 0.0) * light["offered_mw"]
    assert verify_light(session, light, bases[light["start"]])
