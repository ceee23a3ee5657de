"""No fault of a grid becomes a number: every cell that a power flow reads is either right or named."""

from __future__ import annotations

import copy
import functools
import math

import case_support as support
import numpy as np
import pandapower as pp
import pandas as pd
import pytest

import gridclear as gc
from gridclear.case import Case
from gridclear.case.grid_schema import GRID_TABLES
from gridclear.errors import CaseError

#: Columns of pandapower's tables that no balanced power flow reads.
UNREAD = {
    "sgen": {"min_q_mvar", "max_q_mvar", "controllable", "id_q_capability_characteristic",
             "reactive_capability_curve", "curve_style", "current_source"},
    "gen": {"controllable", "id_q_capability_characteristic", "reactive_capability_curve", "curve_style"},
    "motor": {"cos_phi_n", "efficiency_n_percent", "lrc_pu", "vn_kv", "rx"},
    "asymmetric_load": {"sn_a_mva", "sn_b_mva", "sn_c_mva", "sn_mva"},
    "asymmetric_sgen": {"sn_a_mva", "sn_b_mva", "sn_c_mva", "sn_mva", "current_source"},
    "ext_grid": {"controllable"},
    "trafo": {"vector_group", "oltc"},
}  # fmt: skip
#: Cells that may be empty, and what that means.
TAP_NUMBERS = {
    "tap_neutral": "no tap changer, if the others are empty too",
    "tap_min": "the position is fixed",
    "tap_max": "the position is fixed",
    "tap_step_percent": "no change of voltage per step",
    "tap_step_degree": "no turn per step",
    "tap_pos": "no tap changer",
    "id_characteristic_table": "no characteristic",
    "tap_dependency_table": "false",
    "max_loading_percent": "the case's limit",
}
OPTIONAL = {
    "bus": {"min_vm_pu": "the case's limit", "max_vm_pu": "the case's limit"},
    "load": {"sn_mva": "not known"},
    "sgen": {"sn_mva": "not known"},
    "gen": {"sn_mva": "not known", "min_q_mvar": "no limit", "max_q_mvar": "no limit", "slack": "false"},
    "storage": {"sn_mva": "not known", "soc_percent": "not known", "min_e_mwh": "0", "max_e_mwh": "none"},
    "shunt": {
        "vn_kv": "that of the bus", "id_characteristic_table": "none", "step_dependency_table": "false",
    },
    "line": {"max_loading_percent": "the case's limit"},
    "trafo": TAP_NUMBERS,
    "trafo3w": {**TAP_NUMBERS, "tap_at_star_point": "false"},
    "switch": {"in_ka": "not known"},
}  # fmt: skip


def needed(table):
    """Columns of a table whose cells may not be empty, texts apart."""
    read = [column.name for column in GRID_TABLES[table] if column.kind != "text"]
    return [name for name in read if name not in OPTIONAL.get(table, {})]


@functools.cache
def _every_kind():
    """One element of each kind; the transformers side by side have fitting vector groups."""
    net = support.tiny_net()
    n6, n7, n10 = (
        pp.create_bus(net, kv, name=name) for name, kv in (("N6", 20.0), ("N7", 20.0), ("N10", 10.0))
    )
    pp.create_transformer3w(net, 0, n6, n10, std_type="63/25/38 MVA 110/20/10 kV", name="T3")
    net.trafo3w["shift_mv_degree"] = 150.0
    net.trafo3w["tap_changer_type"] = "Ratio"
    pp.create_impedance(net, 3, n6, 0.01, 0.02, 10.0, name="Z1")
    pp.create_switch(net, n6, n7, et="b", closed=True, z_ohm=0.1, name="Qz")
    pp.create_ward(net, 4, 0.1, 0.1, 0.1, 0.1, name="WD")
    pp.create_motor(net, 4, 0.1, 0.9, name="M")
    pp.create_asymmetric_load(net, 4, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, name="AL")
    pp.create_asymmetric_sgen(net, 4, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, name="AS")
    return net


def every_kind():
    return copy.deepcopy(_every_kind())


def spoil(net, table, column, value):
    """Put a value into the last cell of a column; give the element's name in issues."""
    frame = net[table]
    frame[column] = frame[column].astype(object)
    frame.loc[frame.index[-1], column] = value
    return f"{table} '{frame['name'].iloc[-1]}'"


def issues_of(net):
    """What ``compile_network`` refuses, after a look that a case refuses it too."""
    with pytest.raises(CaseError) as caught:
        gc.compile_network(net)
    assert set(caught.value.issues) <= set(case_issues(net))
    return caught.value.issues


def case_issues(net):
    try:
        Case.from_pandapower(net, start="2026-06-21T10:00Z", periods=1)
    except CaseError as error:
        return error.issues
    return ()


def places(net):
    return [(issue.row, issue.column) for issue in issues_of(net)]


def voltages(net):
    network = gc.compile_network(net)
    nothing = np.zeros((1, network.n_bus))
    states = gc.solve_batch(network, nothing, nothing, threads=1)
    assert states.status[0] == "solved"
    return states.vm_pu[0] * np.exp(1j * np.deg2rad(states.va_degree[0]))


def test_every_column_of_pandapower_has_been_judged():
    net = every_kind()
    for table, schema in GRID_TABLES.items():
        assert len(net[table]), table
        assert set(net[table].columns) - {column.name for column in schema} == UNREAD.get(table, set()), table


@pytest.mark.parametrize("value", [math.nan, None, math.inf, "x"], ids=str)
@pytest.mark.parametrize("table", GRID_TABLES)
def test_cells_that_have_to_be_there(table, value):
    net = every_kind()
    spoilt = [(spoil(net, table, column, value), column) for column in needed(table)]
    assert spoilt
    assert set(spoilt) <= set(places(net))


@pytest.mark.parametrize("value", [math.inf, "x"], ids=str)
@pytest.mark.parametrize("table", OPTIONAL)
def test_cells_that_may_be_empty_may_not_be_nonsense(table, value):
    net = every_kind()
    for column in OPTIONAL[table]:
        net[table][column] = net[table].get(column, math.nan)
    spoilt = [(spoil(net, table, column, value), column) for column in OPTIONAL[table]]
    assert set(spoilt) <= set(places(net))


def test_empty_cells_mean_what_is_written_above():
    net = every_kind()
    net.shunt["vn_kv"] = 20.0
    expected = voltages(net)
    for table, columns in (*OPTIONAL.items(), *UNREAD.items()):
        for column in columns:
            net[table][column] = None
    for table in ("trafo", "trafo3w"):
        net[table]["tap_changer_type"] = None  # without positions there is none
    np.testing.assert_array_equal(voltages(net), expected)


@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("column", ["tap_side", "tap_neutral", "tap_step_percent"])
def test_tap_that_moves_needs_all_its_cells(column, position):
    net = every_kind()
    net.trafo["tap_pos"] = position
    row = spoil(net, "trafo", column, None)
    assert places(net) == [(row, column)]


def test_tap_off_its_neutral_needs_its_type():
    net = every_kind()
    net.trafo["tap_pos"] = 2
    row = spoil(net, "trafo", "tap_changer_type", None)
    assert places(net) == [(row, "tap_changer_type")]


@pytest.mark.parametrize("column", ["tap_pos", "tap_neutral"])
def test_ideal_phase_shifter_is_read_wherever_it_stands(column):
    net = every_kind()
    net.trafo["tap_changer_type"] = "Ideal"
    row = spoil(net, "trafo", column, math.nan)
    assert places(net) == [(row, column)]


@pytest.mark.parametrize("pair", ["hv", "mv", "lv"])
def test_more_resistance_than_impedance_in_every_pair_of_windings(pair):
    net = every_kind()
    net.trafo3w[f"vkr_{pair}_percent"] = 20.0
    assert places(net) == [("trafo3w 'T3'", f"vkr_{pair}_percent")]


def test_winding_without_reactance():
    net = every_kind()
    net.trafo3w[["sn_hv_mva", "sn_mv_mva", "sn_lv_mva"]] = 25.0
    net.trafo3w[["vk_hv_percent", "vk_mv_percent", "vk_lv_percent"]] = [6.0, 4.0, 10.0]
    net.trafo3w[["vkr_hv_percent", "vkr_mv_percent", "vkr_lv_percent"]] = [0.6, 0.4, 1.0]
    issues = issues_of(net)
    assert [(i.row, i.column) for i in issues] == [("trafo3w 'T3'", "vk_hv_percent")]
    assert "from the mv winding" in issues[0].what
    net.trafo3w["vk_lv_percent"] = 11.0  # a negative reactance to the star point is ordinary
    assert np.isfinite(gc.compile_network(net).admittance).all()


def test_iron_losses_on_no_side():
    net = every_kind()
    net.trafo3w["loss_side"] = "HV"
    assert places(net) == [("trafo3w 'T3'", "loss_side")]


# --------------------------------------------------------------------------------------------------- meshes
def test_phase_shifts_around_a_mesh_of_three_windings():
    net = every_kind()
    net.trafo3w["shift_mv_degree"] = 0.0
    issues = issues_of(net)
    assert [(i.row, i.column) for i in issues] == [("trafo3w 'T3'", "shift_mv_degree")]
    assert "the mesh with trafo 'T1' add up to 150 degree" in issues[0].what


def two_ways(first, second, *, middle=0.0):
    """A 110 kV bus and a 10 kV bus, joined directly and over a 20 kV bus."""
    net = pp.create_empty_network()
    hv, mv, lv = (pp.create_bus(net, kv) for kv in (110.0, 20.0, 10.0))
    pp.create_ext_grid(net, hv, name="TSO")
    pp.create_transformer(net, hv, mv, "25 MVA 110/20 kV", name="A")
    pp.create_transformer(net, hv, lv, "25 MVA 110/10 kV", name="B")
    pp.create_transformer_from_parameters(
        net, mv, lv, 25, 20, 10, 0.3, 8, 10, 0.1, shift_degree=middle, name="C"
    )
    net.trafo.loc[[0, 1], "shift_degree"] = [first, second]
    net.trafo["tap_changer_type"] = "Ratio"
    net.trafo.loc[2, "tap_changer_type"] = None
    return net


@pytest.mark.parametrize(
    ("first", "second", "middle"),
    [(150, 150, 0), (150, 0, 210), (-30, 330, 0), (330, 180, 210), (150, 155, 0)],
)
def test_phase_shifts_that_fit(first, second, middle):
    assert gc.compile_network(two_ways(first, second, middle=middle)).n_node == 3


@pytest.mark.parametrize(
    ("first", "second", "middle", "total"),
    [(150, 0, 0, 150), (150, 150, 330, 30), (30, -30, 0, 60), (0, 180, 0, 180), (0, 35, 0, 35)],
)
def test_phase_shifts_that_do_not_fit(first, second, middle, total):
    (issue,) = issues_of(two_ways(first, second, middle=middle))
    assert (issue.row, issue.column) == ("trafo 'C'", "shift_degree")
    assert f"the mesh with trafo 'A', trafo 'B' add up to {total} degree" in issue.what


def test_mesh_that_is_open_turns_nothing():
    net = two_ways(150, 0)
    pp.create_switch(net, 2, 2, et="t", closed=False, name="Q")
    assert gc.compile_network(net).n_node >= 3
    net.switch["closed"] = True
    assert places(net) == [("trafo 'C'", "shift_degree")]


def test_phase_shifting_tap_changer_may_turn_far():
    net = two_ways(150, 150)
    columns = [
        "tap_changer_type",
        "tap_side",
        "tap_pos",
        "tap_neutral",
        "tap_min",
        "tap_max",
        "tap_step_degree",
    ]
    net.trafo.loc[2, columns] = ["Ideal", "hv", 10, 0, -10, 10, 4.0]
    net.trafo.loc[2, "tap_step_percent"] = math.nan
    assert gc.compile_network(net).n_node == 3


def test_transformer_beside_a_line_may_not_turn():
    net = support.tiny_net()
    pp.create_transformer_from_parameters(
        net, 3, 4, 10, 20, 20, 0.3, 8, 5, 0.1, shift_degree=30.0, name="Regulator"
    )  # fmt: skip
    (issue,) = issues_of(net)
    assert (issue.row, issue.column) == ("trafo 'Regulator'", "shift_degree")
    assert "lines and switches" in issue.what


def test_external_grids_at_both_sides_of_a_transformer():
    net = support.tiny_net()
    pp.create_ext_grid(net, 5, vm_pu=1.0, va_degree=0.0, name="Neighbour")
    (issue,) = issues_of(net)
    assert (issue.row, issue.column) == ("ext_grid 'Neighbour'", "va_degree")
    assert "trafo 'T1' and ext_grid 'TSO' make it -150 degree" in issue.what
    for angle in (-150.0, -146.0, 210.0):
        net.ext_grid.loc[1, "va_degree"] = angle
        gc.compile_network(net)


def test_external_grids_of_one_level_may_stand_far_apart():
    net = support.tiny_net()
    far = pp.create_bus(net, 110.0, name="Far")
    pp.create_line(net, 0, far, 100.0, std_type="490-AL1/64-ST1A 110.0", name="Long")
    pp.create_ext_grid(net, far, vm_pu=1.0, va_degree=-40.0, name="Neighbour")
    gc.compile_network(net)


# -------------------------------------------------------------------------------------------------- islands
@pytest.mark.parametrize(
    "create",
    [
        lambda net, bus: pp.create_load(net, bus, 0.1, name="X"),
        lambda net, bus: pp.create_sgen(net, bus, 0.1, name="X"),
        lambda net, bus: pp.create_gen(net, bus, 0.1, vm_pu=1.0, name="X"),
        lambda net, bus: pp.create_shunt(net, bus, 0.1, name="X"),
        lambda net, bus: pp.create_ward(net, bus, 0.1, 0.1, 0.1, 0.1, name="X"),
    ],
    ids=["load", "sgen", "gen", "shunt", "ward"],
)
def test_island_without_slack(create):
    net = support.tiny_net()
    one, other = (pp.create_bus(net, 20.0, name=name) for name in ("I1", "I2"))
    pp.create_line(net, one, other, 1.0, std_type="NA2XS2Y 1x240 RM/25 12/20 kV", name="K")
    assert not case_issues(net), "nothing hangs on it"
    create(net, other)
    (issue,) = case_issues(net)
    assert (issue.row, issue.column) == ("bus 'I2'", "")
    assert "'X' has no path to an ext_grid" in issue.what
    assert np.isnan(voltages_of(net, [one, other])).all(), "a power flow alone leaves it dead, as runpp does"
    for table in ("load", "sgen", "gen", "shunt", "ward"):
        net[table].loc[net[table]["name"] == "X", "in_service"] = False
    assert not case_issues(net)


def voltages_of(net, buses):
    return voltages(net)[net.bus.index.get_indexer(buses)]


def test_slack_generator_supplies_its_island():
    net = support.tiny_net()
    island = pp.create_bus(net, 20.0, name="I1")
    pp.create_load(net, island, 0.1, name="X")
    assert [issue.row for issue in case_issues(net)] == ["bus 'I1'"]
    pp.create_gen(net, island, 0.1, vm_pu=1.0, slack=True, name="Own")
    assert [(issue.row, issue.column) for issue in case_issues(net)] == [("gen 'Own'", "slack")]
    assert np.isfinite(voltages_of(net, [island])).all()


def test_no_slack_at_all():
    net = support.tiny_net()
    net.ext_grid["in_service"] = False
    assert places(net) == [("ext_grid", "")]


@pytest.mark.parametrize(("column", "value"), [("vm_pu", 1.03), ("va_degree", 2.0)])
def test_two_slacks_at_one_node(column, value):
    net = support.tiny_net()
    pp.create_ext_grid(net, 0, vm_pu=1.02, name="TSO2")
    gc.compile_network(net)
    net.ext_grid.loc[1, column] = value
    assert places(net) == [("ext_grid 'TSO2'", column)]


# ------------------------------------------------------------------------------------------------ switching
def test_planned_switching_may_not_close_a_mesh_that_turns():
    net = two_ways(150, 0)
    pp.create_switch(net, 2, 2, et="t", closed=False, name="Q")
    net.bus["name"] = ["HV", "MV", "LV"]

    def found(state, start, end):
        columns = ["element_type", "element", "start", "end", "state"]
        times = [pd.Timestamp(f"2026-06-21T{moment}Z") for moment in (start, end)]
        outages = pd.DataFrame([["switch", "Q", *times, state]], columns=columns)
        try:
            Case.from_pandapower(net, start="2026-06-21T10:00Z", periods=4, outages=outages)
        except CaseError as error:
            return [(issue.file, issue.row, issue.column, issue.what) for issue in error.issues]
        return []

    (fault,) = found("closed", "10:15", "10:30")
    assert fault[:3] == ("outages", "0", "state")
    assert "trafo 'C': the phase shifts around the mesh with trafo 'A', trafo 'B' add up to 150" in fault[3]
    assert found("closed", "09:00", "12:00") == [fault]
    assert not found("open", "10:15", "10:30")
    assert not found("closed", "09:00", "10:00"), "before the horizon"
    net.trafo["shift_degree"] = [150.0, 150.0, 0.0]
    assert not found("closed", "10:15", "10:30")
