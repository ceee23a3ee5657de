"""Every kind of element of a balanced grid, as the network holds it, against runpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from element_nets import (
    KINDS,
    constant_powers,
    dcline,
    generators,
    ideal_degrees,
    impedances,
    ring,
    second_changer,
    shunts,
    slack_generators,
    symmetrical,
    tabular,
    tap_table,
    three_windings,
    xward,
)
from network_support import assert_network_agrees
from pandapower.pypower.makeBdc import makeBdc
from powerflow_support import assert_agrees, injections

import gridclear as gc

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("add", KINDS, ids=lambda add: add.__name__)
def test_every_kind_of_element_is_runpps(add: Callable[[pp.pandapowerNet], None]) -> None:
    net = ring()
    add(net)
    network = assert_network_agrees(net)
    ppci = net._ppc["internal"]
    _, _, _, at_from, _ = makeBdc(ppci["bus"], ppci["branch"])
    np.testing.assert_allclose(-network.susceptance * network.shift, at_from.real, rtol=1e-12, atol=1e-15)
    tap = np.where(ppci["branch"][:, 8].real == 0, 1.0, ppci["branch"][:, 8].real)
    np.testing.assert_allclose(network.susceptance, 1 / (ppci["branch"][:, 3].real * tap), rtol=1e-12)
    assert_agrees(net)


def test_all_kinds_together_are_runpps() -> None:
    net = ring(100.0)
    for add in (xward, constant_powers, impedances, shunts, symmetrical, second_changer):
        add(net)
    assert_network_agrees(net)
    assert_agrees(net)


@pytest.mark.parametrize("side", ["hv", "mv", "lv"])
@pytest.mark.parametrize("at_star_point", [False, True])
@pytest.mark.parametrize("tables", [False, True])
def test_three_windings_are_runpps(side: str, at_star_point: bool, tables: bool) -> None:
    net = three_windings()
    net.trafo3w["tap_side"] = side
    net.trafo3w["tap_at_star_point"] = at_star_point
    net.trafo3w["tap_step_degree"] = 0.0
    if tables:
        net["trafo_characteristic_table"] = tap_table(1, -10, 10)
        net.trafo3w["tap_dependency_table"] = True
        net.trafo3w["id_characteristic_table"] = pd.array([0], dtype="Int64")
    assert_network_agrees(net)
    assert_agrees(net)


def test_losses_of_three_windings_stand_where_the_column_says() -> None:
    for side in ("hv", "mv", "lv"):
        net = three_windings()
        net.trafo3w["loss_side"] = side
        assert_network_agrees(net)


@pytest.mark.parametrize(
    "add", [ideal_degrees, symmetrical, second_changer, tabular], ids=lambda add: add.__name__
)
def test_every_position_is_runpps(add: Callable[[pp.pandapowerNet], None]) -> None:
    net = ring()
    add(net)
    network = gc.compile_network(net)
    p, q = injections(net)
    assert network.taps.element.tolist() == [0, 1]
    for positions in ((-9, 9), (0, 0), (5, -3), (4, 4)):
        states = gc.solve_batch(network, p[None], q[None], positions=[*positions], threads=1)
        net.trafo["tap_pos"] = list(positions)
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
        np.testing.assert_allclose(states.vm_pu[0], net.res_bus.vm_pu, rtol=0, atol=1e-8)
        turn = (states.va_degree[0] - net.res_bus.va_degree + 180.0) % 360.0 - 180.0
        assert np.nanmax(np.abs(turn)) <= 1e-6


def test_transformers_that_share_a_table_keep_their_own_positions() -> None:
    """runpp gives both the row of one of them; with a table each, it agrees."""
    net = ring()
    tabular(net)
    net["trafo_characteristic_table"] = tap_table(1, -9, 9)
    net.trafo["id_characteristic_table"] = pd.array([0, 0], dtype="Int64")
    shared = gc.compile_network(net)
    own = net.trafo_characteristic_table.assign(id_characteristic=1)
    net["trafo_characteristic_table"] = pd.concat([net.trafo_characteristic_table, own], ignore_index=True)
    net.trafo["id_characteristic_table"] = pd.array([0, 1], dtype="Int64")
    apart = assert_network_agrees(net)
    np.testing.assert_array_equal(shared.admittance, apart.admittance)


@pytest.mark.parametrize("column", ["tap_min", "tap_max"])
def test_a_tap_without_a_range_stays_where_it_is(column: str) -> None:
    net = ring()
    net.trafo[column] = net.trafo[column].astype(float)
    net.trafo.loc[1, column] = np.nan
    network = assert_network_agrees(net)
    assert network.taps.element.tolist() == [0]


@pytest.mark.parametrize(("column", "value"), [("tap_pos", 0.5), ("tap_pos", 12.0), ("tap_min", -8.5)])
def test_a_tap_that_cannot_move_in_whole_positions_is_refused(column: str, value: float) -> None:
    net = ring()
    net.trafo[column] = net.trafo[column].astype(float)
    net.trafo.loc[1, column] = value
    with pytest.raises(gc.CaseError) as caught:
        gc.compile_network(net)
    assert [(issue.row, issue.column) for issue in caught.value.issues] == [("trafo 1", column)]


def test_direction_is_that_of_the_voltage() -> None:
    net = ring()
    net.trafo["tap_side"] = ["hv", "lv"]
    assert gc.compile_network(net).taps.direction.tolist() == [-1, 1]
    net.trafo["tap_step_percent"] *= -1
    assert gc.compile_network(net).taps.direction.tolist() == [1, -1]
    ideal_degrees(net)
    assert gc.compile_network(net).taps.direction.tolist() == [0, 0]
    tabular(net)
    assert gc.compile_network(net).taps.direction.tolist() == [-1, 1]
    net = three_windings()
    for side, direction in (("hv", -1), ("mv", 1), ("lv", 0)):
        net.trafo3w["tap_side"] = side
        assert gc.compile_network(net).taps.direction[2] == direction


def test_shunts_with_a_table_are_no_banks() -> None:
    net = ring()
    shunts(net)
    assert gc.compile_network(net).banks.element.tolist() == [0, 2]


def test_reactive_limits_are_sums_by_node() -> None:
    net = ring()
    generators(net)
    dcline(net)
    net.dcline = net.dcline.iloc[:1].assign(from_bus=3, to_bus=4, vm_from_pu=1.0)
    xward(net)
    network = assert_network_agrees(net)
    node = network.structure.node_of_bus
    limits = {bus: (network.q_min[node[bus]] * 10.0, network.q_max[node[bus]] * 10.0) for bus in (2, 3, 4, 5)}
    assert limits[2] == (0.0, 0.0)
    assert limits[3] == pytest.approx((-0.4 - 0.1 - 1.0, 0.9 + 0.2 + 2.0))
    assert limits[4] == (-np.inf, np.inf)
    assert limits[5] == (-np.inf, pytest.approx(0.3))
    held = network.structure.is_pv.astype(bool)
    assert np.isinf(network.q_min[held]).sum() == 4  # buses 4 and 5, two extended wards
    assert not network.q_min[~held].any()
    assert not network.q_max[~held].any()


def test_a_branch_without_reactance_has_the_susceptance_of_its_resistance() -> None:
    net = ring()
    net.line["x_ohm_per_km"] = 0.0
    network = gc.compile_network(net)
    line = network.labels.element_type == "line"
    ohm = net.line.r_ohm_per_km * net.line.length_km
    np.testing.assert_allclose(network.susceptance[line], 20.0**2 / 10.0 / ohm, rtol=1e-12)


def test_branches_of_extended_wards_have_their_names() -> None:
    net = ring()
    xward(net)
    labels = gc.compile_network(net).labels
    mine = labels.element_type == "xward"
    assert labels.element[mine].tolist() == [0, 1]
    assert labels.sides[mine].tolist() == [["bus", ""], ["bus", ""]]


def test_constant_powers_keep_the_ends_of_dclines_apart() -> None:
    net = ring()
    dcline(net)
    constant_powers(net)
    network = gc.compile_network(net)
    pp.runpp(net, calculate_voltage_angles=True)
    ends = np.zeros(8)
    np.subtract.at(ends, net.dcline.from_bus, net.res_dcline.p_from_mw)
    np.subtract.at(ends, net.dcline.to_bus, net.res_dcline.p_to_mw)
    np.testing.assert_allclose(network.dc_power, ends, atol=1e-12)
    others = np.zeros(8, dtype=complex)
    for table, sign in (("motor", -1), ("asymmetric_load", -1), ("asymmetric_sgen", 1)):
        result = net[f"res_{table}"]
        np.add.at(others, net[table].bus, sign * (result.p_mw + 1j * result.q_mvar))
    others[6] -= 0.2 + 0.1j
    np.testing.assert_allclose(network.constant_power - network.dc_power, others, atol=1e-12)


def test_set_points_that_disagree_are_refused_by_name() -> None:
    net = ring()
    generators(net)
    net.gen.loc[1, "vm_pu"] = 1.01
    with pytest.raises(gc.CaseError, match=r"gen 1 \[vm_pu\]: 1.01, but gen 0 at the same bus holds 1;"):
        gc.compile_network(net)
    net = ring()
    xward(net)
    dcline(net)
    assert_network_agrees(net)  # an extended ward holds the voltage of a point of its own
    net.dcline.loc[1, "vm_to_pu"] = 0.99
    pp.create_gen(net, 6, 0.5, vm_pu=0.995)
    with pytest.raises(gc.CaseError, match=r"dcline 1 \[vm_to_pu\]: 0.99, but gen 0 at the same bus holds 0"):
        gc.compile_network(net)


@pytest.mark.parametrize("add", KINDS, ids=lambda add: add.__name__)
def test_a_case_of_every_kind_has_runpps_base_state(add: Callable[[pp.pandapowerNet], None]) -> None:
    net = ring()
    net.bus.loc[7, "in_service"] = False
    add(net)
    net.gen = net.gen[net.gen.bus != 0]  # beside a connection point a case has no generator
    if "tap2_side" in net.trafo:
        net.trafo.loc[1, "tap2_step_percent"] = 0.0
    if len(net.shunt):
        net.shunt["max_step"] = 4
    case = gc.Case.from_pandapower(net, start="2026-06-21T11:00Z")
    flow = gc.power_flow(case)
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    live = net.res_bus[net.bus.in_service & net.res_bus.vm_pu.notna()]
    np.testing.assert_allclose(flow.buses.vm_pu, live.vm_pu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(flow.buses.va_degree, live.va_degree, rtol=0, atol=1e-6)
    np.testing.assert_allclose(flow.exchange.p_mw, net.res_ext_grid.p_mw, rtol=0, atol=1e-6)
    np.testing.assert_allclose(flow.exchange.q_mvar, net.res_ext_grid.q_mvar, rtol=0, atol=1e-6)


def test_a_step_that_the_table_lacks_is_an_issue() -> None:
    net = ring()
    net.bus.loc[7, "in_service"] = False
    tabular(net)
    shunts(net)
    net.shunt = net.shunt.assign(max_step=4, name=["C0", "C1", "C2", "C3"])
    net.trafo["name"] = ["T0", "T1"]
    table = net.trafo_characteristic_table
    net["trafo_characteristic_table"] = table[(table.id_characteristic == 0) | (table.step != 7)]
    net.shunt.loc[1, "step"] = 4
    net.shunt.loc[3, "id_characteristic_table"] = 9
    with pytest.raises(gc.CaseError) as caught:
        gc.Case.from_pandapower(net, start="2026-06-21T11:00Z")
    assert [(issue.row, issue.what.partition("_table ")[2]) for issue in caught.value.issues] == [
        ("shunt 'C1'", "has no complete row 0 for step 4"),
        ("shunt 'C3'", "has no complete row 9 for step 3"),
        ("trafo 'T1'", "has no complete row 1 for step 7"),
    ]
    assert {issue.column for issue in caught.value.issues} == {"id_characteristic_table"}


@pytest.mark.parametrize("add", [tabular, shunts], ids=lambda add: add.__name__)
def test_a_table_that_is_missing_is_named(add: Callable[[pp.pandapowerNet], None]) -> None:
    net = ring()
    add(net)
    characteristics = {"tabular": "trafo_characteristic_table", "shunts": "shunt_characteristic_table"}
    net.pop(characteristics[add.__name__])
    with pytest.raises(gc.CaseError) as caught:
        gc.compile_network(net)
    users = {"tabular": ["trafo 0", "trafo 1"], "shunts": ["shunt 1", "shunt 3"]}
    assert [issue.row for issue in caught.value.issues] == users[add.__name__]
    assert {(issue.column, issue.what) for issue in caught.value.issues} == {
        ("id_characteristic_table", f"the grid has no {characteristics[add.__name__]}")
    }


def test_a_regulator_that_cannot_move_its_voltage_is_an_issue() -> None:
    net = ring()
    net.bus.loc[7, "in_service"] = False
    tabular(net)
    net.trafo_characteristic_table["voltage_ratio"] = 1.0
    net.trafo["name"] = ["T0", "T1"]
    changer = {"element_type": "trafo", "element": "T1", "mode": "automatic", "vm_set_pu": 1.0}
    changers = pd.DataFrame([{**changer, "deadband_pu": 0.02}])
    case = gc.Case.from_pandapower(net, start="2026-06-21T11:00Z", tap_changers=changers)
    with pytest.raises(gc.CaseError, match="does not move the voltage"):
        gc.power_flow(case)


def test_a_bank_with_a_table_is_an_issue() -> None:
    net = ring()
    net.bus.loc[7, "in_service"] = False
    shunts(net)
    net.shunt = net.shunt.assign(max_step=4, name=["C0", "C1", "C2", "C3"])
    banks = pd.DataFrame({"element": ["C0", "C1"]})
    with pytest.raises(gc.CaseError, match="the steps of 'C1' come from a table"):
        gc.Case.from_pandapower(net, start="2026-06-21T11:00Z", capacitor_banks=banks)


@pytest.mark.parametrize("add", [xward, dcline], ids=lambda add: add.__name__)
def test_what_runpp_refuses_for_lack_of_a_slack_is_refused(add: Callable[[pp.pandapowerNet], None]) -> None:
    net = ring()
    add(net)
    net.ext_grid["in_service"] = False
    with pytest.raises(gc.CaseError, match="net:ext_grid: no ext_grid is in service: the grid has no slack"):
        gc.compile_network(net)


def test_slack_generators_alone_are_runpps() -> None:
    net = ring()
    slack_generators(net)
    net.ext_grid["in_service"] = False
    assert assert_network_agrees(net).slack_table.tolist() == ["gen", "gen"]
    assert_agrees(net)
