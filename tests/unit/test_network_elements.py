"""Every kind of element of a balanced grid, as the network holds it, against runpp."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from network_support import assert_network_agrees
from pandapower.pypower.makeBdc import makeBdc
from powerflow_support import assert_agrees, injections

import gridclear as gc

if TYPE_CHECKING:
    from collections.abc import Callable

CABLE = "NA2XS2Y 1x185 RM/25 12/20 kV"


def ring(sn_mva: float = 10.0) -> pp.pandapowerNet:
    return copy.deepcopy(_ring(sn_mva))


@functools.cache
def _ring(sn_mva: float) -> pp.pandapowerNet:
    """A 110 kV source, two transformers side by side, a ring of six 20 kV buses (1 … 6), a dead bus (7)."""
    net = pp.create_empty_network(sn_mva=sn_mva)
    pp.create_bus(net, 110.0)
    for _ in range(7):
        pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02, va_degree=15.0)
    for position in (-2, 1):
        pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV", tap_pos=position)
    net.trafo["tap_changer_type"] = "Ratio"
    for one, other in ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1)):
        pp.create_line(net, one, other, 2.0 + 0.3 * one, CABLE)
    for bus in range(2, 7):
        pp.create_load(net, bus, 0.6 + 0.2 * bus, 0.3, scaling=0.9)
    pp.create_load(net, 7, 5.0, 5.0)
    return net


def three_windings() -> pp.pandapowerNet:
    net = ring()
    pp.create_bus(net, 10.0)
    pp.create_transformer3w(net, 0, 1, 8, "63/25/38 MVA 110/20/10 kV", tap_pos=3)
    net.trafo3w["tap_changer_type"] = "Ratio"
    net.trafo["shift_degree"] = 0.0
    net.trafo3w[["shift_mv_degree", "shift_lv_degree"]] = 0.0
    pp.create_load(net, 8, 4.0, 1.0)
    return net


def xward(net: pp.pandapowerNet) -> None:
    pp.create_xward(net, 3, 0.4, 0.1, 0.2, -0.1, 0.8, 4.0, 1.01)
    pp.create_xward(net, 5, -0.4, 0.1, 0.0, 0.3, 0.0, 9.0, 0.99)
    pp.create_xward(net, 4, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, in_service=False)
    pp.create_xward(net, 7, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0)


def dcline(net: pp.pandapowerNet) -> None:
    pp.create_dcline(net, 2, 5, 1.5, 2.0, 0.03, 1.01, 1.0, max_q_from_mvar=2.0, min_q_from_mvar=-1.0)
    pp.create_dcline(net, 4, 6, -0.7, 1.0, 0.01, 1.005, 0.995)
    pp.create_dcline(net, 3, 6, 4.0, 1.0, 0.01, 1.0, 0.995, in_service=False)


def constant_powers(net: pp.pandapowerNet) -> None:
    pp.create_motor(
        net, 3, pn_mech_mw=0.7, cos_phi=0.87, efficiency_percent=94, loading_percent=80, scaling=0.9
    )
    pp.create_motor(net, 4, pn_mech_mw=0.7, cos_phi=0.87, efficiency_percent=94, in_service=False)
    pp.create_asymmetric_load(net, 4, 0.1, 0.2, 0.3, 0.02, 0.01, 0.03, scaling=0.8)
    pp.create_asymmetric_sgen(net, 5, 0.2, 0.1, 0.15, 0.01, 0.02, -0.05)
    pp.create_ward(net, 6, 0.2, 0.1, 0.3, -0.2)
    pp.create_sgen(net, 6, 0.8, 0.1, scaling=0.5)
    pp.create_storage(net, 2, 0.3, 2.0, q_mvar=0.1)


def impedances(net: pp.pandapowerNet) -> None:
    pp.create_impedance(net, 2, 5, rft_pu=0.02, xft_pu=0.3, rtf_pu=0.03, xtf_pu=0.2, sn_mva=5.0,
                        gf_pu=0.001, bf_pu=0.02, gt_pu=0.003, bt_pu=-0.01)  # fmt: skip
    pp.create_impedance(net, 3, 6, rft_pu=-0.2, xft_pu=-0.9, sn_mva=25.0)
    pp.create_impedance(net, 3, 4, rft_pu=0.1, xft_pu=0.1, sn_mva=25.0, in_service=False)


def negative_equivalents(net: pp.pandapowerNet) -> None:
    net.line.loc[2, ["r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km"]] = [-0.1, 0.6, -150.0]
    net.line.loc[4, "x_ohm_per_km"] = -0.05
    pp.create_bus(net, 20.0)
    pp.create_transformer_from_parameters(net, 0, 8, 40.0, 110.0, 20.0, 0.4, 12.0, 10.0, -0.2)
    pp.create_transformer_from_parameters(net, 8, 1, 40.0, 20.0, 20.0, -0.3, -2.0, 0.0, 0.0)
    net.trafo.loc[[2, 3], "shift_degree"] = [150.0, 0.0]


def switches(net: pp.pandapowerNet) -> None:
    pp.create_bus(net, 20.0)
    pp.create_bus(net, 20.0)
    pp.create_switch(net, 3, 8, et="b", z_ohm=0.4)
    pp.create_switch(net, 4, 9, et="b", z_ohm=0.0)
    pp.create_switch(net, 8, 9, et="b", z_ohm=0.2, closed=False)
    pp.create_load(net, 8, 0.4, 0.2)
    pp.create_load(net, 9, 0.3, 0.2)
    pp.create_switch(net, 5, 4, et="l", closed=False)
    pp.create_switch(net, 0, 1, et="t", closed=False)


def generators(net: pp.pandapowerNet) -> None:
    pp.create_gen(net, 3, 0.8, vm_pu=1.0, min_q_mvar=-0.4, max_q_mvar=0.9)
    pp.create_gen(net, 3, 0.5, vm_pu=1.0, min_q_mvar=-0.1, max_q_mvar=0.2, scaling=0.5)
    pp.create_gen(net, 5, 0.5, vm_pu=1.01, max_q_mvar=0.3, controllable=False)
    pp.create_gen(net, 6, 0.5, vm_pu=1.2, in_service=False)
    pp.create_gen(net, 0, 3.0, vm_pu=1.02)
    pp.create_gen(net, 7, 0.5, vm_pu=1.01)


def slack_generators(net: pp.pandapowerNet) -> None:
    pp.create_gen(net, 4, 0.8, vm_pu=1.0, slack=True)
    pp.create_gen(net, 4, 0.3, vm_pu=1.0)
    pp.create_gen(net, 0, 3.0, vm_pu=1.02, slack=True)
    net.trafo["shift_degree"] = 0.0


def shunts(net: pp.pandapowerNet) -> None:
    pp.create_shunt(net, 2, q_mvar=-0.4, p_mw=0.01, step=2, max_step=3, vn_kv=21.0)
    pp.create_shunt(net, 3, q_mvar=-0.4, step=2, max_step=3)
    pp.create_shunt(net, 4, q_mvar=0.2, in_service=False)
    pp.create_shunt(net, 5, q_mvar=-0.1, step=3, max_step=4)
    table = {"id_characteristic": [0] * 3 + [1], "step": [1, 2, 3, 3],
             "q_mvar": [-0.3, -0.5, -0.6, -0.9], "p_mw": [0.0, 0.02, 0.03, 0.01]}  # fmt: skip
    net["shunt_characteristic_table"] = pd.DataFrame(table)
    net.shunt["id_characteristic_table"] = pd.array([None, 0, None, 1], dtype="Int64")
    net.shunt["step_dependency_table"] = [False, True, False, True]


def ideal_degrees(net: pp.pandapowerNet) -> None:
    net.trafo["tap_changer_type"] = "Ideal"
    net.trafo["tap_step_percent"] = np.nan
    net.trafo["tap_step_degree"] = 1.3


def ideal_percent(net: pp.pandapowerNet) -> None:
    net.trafo["tap_changer_type"] = ["Ideal", "Ratio"]


def symmetrical(net: pp.pandapowerNet) -> None:
    net.trafo["tap_changer_type"] = "Symmetrical"
    net.trafo["tap_step_degree"] = [60.0, 90.0]
    net.trafo["tap_side"] = ["hv", "lv"]


def second_changer(net: pp.pandapowerNet) -> None:
    for name, value in (
        ("side", "lv"), ("neutral", 0), ("min", -5), ("max", 5), ("step_percent", [1.1, np.nan]),
        ("step_degree", [0.0, 0.7]), ("pos", [3, -2]), ("changer_type", ["Ratio", "Ideal"]),
    ):  # fmt: skip
        net.trafo[f"tap2_{name}"] = value


def tap_table(ids: int, low: int, high: int) -> pd.DataFrame:
    """A table in which nothing is linear, with columns for two and for three windings."""
    rows = []
    for number in range(ids):
        for step in range(low, high + 1):
            z = 12.0 + 0.2 * step + number
            rows.append({
                "id_characteristic": number, "step": step, "voltage_ratio": 1 + 0.015 * step + 1e-4 * step**2,
                "angle_deg": 0.4 * step + 0.1 * number, "vk_percent": z, "vkr_percent": 0.4,
                "vk_hv_percent": z, "vkr_hv_percent": 0.3, "vk_mv_percent": z / 2, "vkr_mv_percent": 0.3,
                "vk_lv_percent": z / 3, "vkr_lv_percent": 0.3,
            })  # fmt: skip
    return pd.DataFrame(rows)


def tabular(net: pp.pandapowerNet) -> None:
    """Two transformers with a table each, on different sides."""
    net["trafo_characteristic_table"] = tap_table(2, -9, 9)
    net.trafo["tap_changer_type"] = "Tabular"
    net.trafo["tap_dependency_table"] = True
    net.trafo["id_characteristic_table"] = pd.array([0, 1], dtype="Int64")
    net.trafo["tap_side"] = ["hv", "lv"]


KINDS = [
    xward, dcline, constant_powers, impedances, negative_equivalents, switches, generators, slack_generators,
    shunts, ideal_degrees, ideal_percent, symmetrical, second_changer, tabular,
]  # fmt: skip


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


@pytest.mark.parametrize(
    ("column", "value"), [("tap_pos", 0.5), ("tap_pos", 12.0), ("tap_max", np.nan), ("tap_min", -8.5)]
)
def test_a_tap_that_cannot_move_in_whole_positions_stays_where_it_is(column: str, value: float) -> None:
    net = ring()
    net.trafo[column] = net.trafo[column].astype(float)
    net.trafo.loc[1, column] = value
    network = assert_network_agrees(net)
    assert network.taps.element.tolist() == [0]
    assert_agrees(net)


def test_a_table_without_every_position_makes_no_tap_changer() -> None:
    net = ring()
    tabular(net)
    table = net.trafo_characteristic_table
    net["trafo_characteristic_table"] = table[(table.id_characteristic == 0) | (table.step < 9)]
    assert assert_network_agrees(net).taps.element.tolist() == [0]


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
    with pytest.raises(gc.CaseError, match="different setpoints"):
        gc.compile_network(net)


@pytest.mark.parametrize("add", KINDS, ids=lambda add: add.__name__)
def test_a_case_of_every_kind_has_runpps_base_state(add: Callable[[pp.pandapowerNet], None]) -> None:
    net = ring()
    net.bus.loc[7, "in_service"] = False
    add(net)
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
    if not len(net.gen):
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
    for table in ("trafo_characteristic_table", "shunt_characteristic_table"):
        net.pop(table, None)
    with pytest.raises(gc.CaseError, match="and the table is missing"):
        gc.compile_network(net)


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
    with pytest.raises(gc.CaseError, match="No reference bus"):
        gc.compile_network(net)
