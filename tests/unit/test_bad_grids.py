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
from element_nets import ring, shunts, tabular

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
TAP2_NUMBERS = {
    name.replace("tap_", "tap2_"): meaning for name, meaning in TAP_NUMBERS.items()
    if name.startswith("tap_") and name != "tap_dependency_table"
}  # fmt: skip
OPTIONAL = {
    "bus": {"min_vm_pu": "the case's limit", "max_vm_pu": "the case's limit"},
    "load": {"sn_mva": "not known"},
    "sgen": {"sn_mva": "not known"},
    "gen": {"sn_mva": "not known", "min_q_mvar": "no limit", "max_q_mvar": "no limit", "slack": "false"},
    "storage": {"sn_mva": "not known", "soc_percent": "not known", "min_e_mwh": "0", "max_e_mwh": "none"},
    "shunt": {
        "vn_kv": "that of the bus", "id_characteristic_table": "none", "step_dependency_table": "false",
    },
    "dcline": {
        "max_p_mw": "not known", "min_q_from_mvar": "no limit", "min_q_to_mvar": "no limit",
        "max_q_from_mvar": "no limit", "max_q_to_mvar": "no limit",
    },
    "line": {"max_loading_percent": "the case's limit"},
    "trafo": {**TAP_NUMBERS, **TAP2_NUMBERS},
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
    pp.create_xward(net, 4, 0.1, 0.1, 0.1, 0.1, 1.0, 5.0, 1.0, name="XW")
    pp.create_dcline(net, 4, 5, 0.5, 1.0, 0.01, 1.0, 1.0, name="DC")
    second = {"side": "lv", "neutral": 0, "min": -5, "max": 5, "step_percent": 1.0, "step_degree": 0.0,
              "pos": 0, "changer_type": "Ratio"}  # fmt: skip
    for name, value in second.items():
        net.trafo[f"tap2_{name}"] = value
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
    for table, column in (("trafo", "tap"), ("trafo", "tap2"), ("trafo3w", "tap")):
        net[table][f"{column}_changer_type"] = None  # without positions there is none
    np.testing.assert_array_equal(voltages(net), expected)


@pytest.mark.parametrize("changer", ["tap", "tap2"])
@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("column", ["side", "neutral", "step_percent"])
def test_tap_that_moves_needs_all_its_cells(changer, column, position):
    net = every_kind()
    net.trafo[f"{changer}_pos"] = position
    row = spoil(net, "trafo", f"{changer}_{column}", None)
    assert places(net) == [(row, f"{changer}_{column}")]


@pytest.mark.parametrize("changer", ["tap", "tap2"])
def test_tap_off_its_neutral_needs_its_type(changer):
    net = every_kind()
    net.trafo[f"{changer}_pos"] = 2
    row = spoil(net, "trafo", f"{changer}_changer_type", None)
    assert places(net) == [(row, f"{changer}_changer_type")]


@pytest.mark.parametrize("changer", ["tap", "tap2"])
@pytest.mark.parametrize(
    ("column", "value"), [("pos", 0.5), ("pos", 12.0), ("min", -8.5), ("max", 8.5), ("min", 12.0)]
)
def test_positions_are_whole_and_in_their_range(changer, column, value):
    net = every_kind()
    row = spoil(net, "trafo", f"{changer}_{column}", value)
    assert places(net) == [(row, f"{changer}_{column}")]


@pytest.mark.parametrize("changer", ["tap", "tap2"])
@pytest.mark.parametrize("column", ["pos", "neutral"])
def test_ideal_phase_shifter_is_read_wherever_it_stands(changer, column):
    net = every_kind()
    net.trafo[f"{changer}_changer_type"] = "Ideal"
    row = spoil(net, "trafo", f"{changer}_{column}", math.nan)
    assert places(net) == [(row, f"{changer}_{column}")]


def test_symmetrical_tap_changer_turns_nothing_without_percent():
    net = every_kind()
    net.trafo[["tap_changer_type", "tap_step_degree", "tap_step_percent"]] = ["Symmetrical", 90.0, math.nan]
    assert places(net) == [(f"trafo '{name}'", "tap_step_percent") for name in ("T1", "T2")]


def test_tap_at_the_star_point_needs_an_angle():
    """runpp ignores one without."""
    net = every_kind()
    net.trafo3w[["tap_at_star_point", "tap_step_degree", "tap_pos"]] = [True, math.nan, 2]
    assert places(net) == [("trafo3w 'T3'", "tap_step_degree")]
    net.trafo3w["tap_step_degree"] = 0.0
    gc.compile_network(net)


@pytest.mark.parametrize(("percent", "degree"), [(1.2, 0.0), (1.2, math.nan), (math.nan, 1.0), (0.0, 1.0)])
def test_no_ideal_phase_shifter_at_the_star_point(percent, degree):
    """runpp divides by nothing, or turns it by half a turn."""
    net = every_kind()
    net.trafo3w[["tap_changer_type", "tap_step_percent", "tap_step_degree"]] = ["Ideal", percent, degree]
    gc.compile_network(net)
    net.trafo3w["tap_at_star_point"] = True
    assert places(net) == [("trafo3w 'T3'", "tap_at_star_point")]


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


def test_no_short_circuit_voltage():
    net = every_kind()
    net.trafo.loc[0, "vk_percent"] = 0.0
    net.trafo3w[["vk_mv_percent", "vkr_mv_percent"]] = 0.0
    assert sorted(places(net)) == [("trafo 'T1'", "vk_percent"), ("trafo3w 'T3'", "vk_mv_percent")]


@pytest.mark.parametrize(
    ("table", "zero", "column"),
    [("line", ["r_ohm_per_km", "x_ohm_per_km"], "x_ohm_per_km"), ("xward", ["r_ohm", "x_ohm"], "x_ohm"),
     ("impedance", ["rft_pu", "xft_pu"], "xft_pu"), ("impedance", ["rtf_pu", "xtf_pu"], "xtf_pu")],
)  # fmt: skip
def test_no_impedance(table, zero, column):
    net = every_kind()
    for name in zero:
        row = spoil(net, table, name, 0.0)
    assert places(net) == [(row, column)]


@pytest.mark.parametrize(("table", "end"), [("gen", ""), ("dcline", "_from"), ("dcline", "_to")])
def test_reactive_limits_the_wrong_way_round(table, end):
    net = every_kind()
    spoil(net, table, f"max_q{end}_mvar", -1.0)
    row = spoil(net, table, f"min_q{end}_mvar", 1.0)
    assert places(net) == [(row, f"min_q{end}_mvar")]


def test_iron_losses_on_no_side():
    net = every_kind()
    net.trafo3w["loss_side"] = "HV"
    assert places(net) == [("trafo3w 'T3'", "loss_side")]


# ------------------------------------------------------------------------------------------ tables of steps
def by_tables(*kinds):
    """The ring with transformers and shunts that follow tables."""
    net = ring()
    net.bus.loc[7, "in_service"] = False
    for kind in kinds:
        kind(net)
    net.shunt["max_step"] = 4
    return net


@pytest.mark.parametrize("value", [math.nan, None, math.inf, "x"], ids=str)
@pytest.mark.parametrize("table", ["trafo_characteristic_table", "shunt_characteristic_table"])
@pytest.mark.parametrize("column", ["id_characteristic", "step"])
def test_rows_of_a_table_need_their_number_and_step(table, column, value):
    net = by_tables(tabular, shunts)
    spoil_row(net, table, column, value)
    assert (f"{table} {net[table].index[-1]}", column) in places(net)


def spoil_row(net, table, column, value):
    frame = net[table] = net[table].astype({column: object})
    frame.loc[frame.index[-1], column] = value


@pytest.mark.parametrize(
    ("table", "user", "columns"),
    [("trafo_characteristic_table", "trafo 1", ["voltage_ratio", "angle_deg", "vk_percent", "vkr_percent"]),
     ("shunt_characteristic_table", "shunt 3", ["q_mvar", "p_mw"])],
)  # fmt: skip
def test_cells_of_a_table_are_numbers(table, user, columns):
    for column in columns:
        for value in (math.nan, math.inf, "x"):
            net = by_tables(tabular, shunts)
            spoil_row(net, table, column, value)
            place = (f"{table} {net[table].index[-1]}", column)
            expected = [(user, "id_characteristic_table")]
            assert places(net) == expected + [place] * (value in (math.inf, "x")), (column, value)


@pytest.mark.parametrize(
    ("column", "value"), [("voltage_ratio", 0.0), ("voltage_ratio", -1.0), ("vk_percent", 0.0),
                          ("vkr_percent", 50.0), ("vk_hv_percent", -4.0), ("vkr_lv_percent", 50.0)]
)  # fmt: skip
def test_cells_of_a_table_that_no_transformer_has(column, value):
    net = by_tables(tabular)
    net.trafo_characteristic_table.loc[3, column] = value
    assert places(net) == [("trafo_characteristic_table 3", column)]


def test_step_twice_in_a_table():
    net = by_tables(tabular)
    net.trafo_characteristic_table.loc[3, "step"] = net.trafo_characteristic_table["step"][2]
    (issue, other) = issues_of(net)
    assert (other.row, other.column) == ("trafo_characteristic_table 3", "step")
    assert (issue.row, issue.column) == ("trafo 0", "id_characteristic_table")


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
        lambda net, bus: pp.create_xward(net, bus, 0.1, 0.1, 0.1, 0.1, 1.0, 5.0, 1.0, name="X"),
        lambda net, bus: pp.create_dcline(net, bus, 4, 0.1, 0.0, 0.0, 1.0, 1.0, name="X"),
        lambda net, bus: pp.create_dcline(net, 4, bus, 0.1, 0.0, 0.0, 1.0, 1.0, name="X"),
    ],
    ids=["load", "sgen", "gen", "shunt", "ward", "xward", "dcline from", "dcline to"],
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
    for table in ("load", "sgen", "gen", "shunt", "ward", "xward", "dcline"):
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
    assert not case_issues(net)
    assert np.isfinite(voltages_of(net, [island])).all()


def test_slack_generators_alone_have_no_exchange():
    net = support.tiny_net()
    net.ext_grid["in_service"] = False
    pp.create_gen(net, 0, 0.1, vm_pu=1.02, slack=True, name="Own")
    assert [(issue.row, issue.column) for issue in case_issues(net)] == [("ext_grid", "")]
    assert np.isfinite(voltages(net)).all(), "a power flow alone does without"


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


# ------------------------------------------------------------------------------------------------ exchanges
@pytest.mark.parametrize(
    ("table", "column", "values"),
    [("gen", "bus", {"vm_pu": 1.02}), ("gen", "bus", {"vm_pu": 1.02, "slack": True}),
     ("dcline", "from_bus", {"to_bus": 4, "vm_from_pu": 1.02, "vm_to_pu": 1.0}),
     ("dcline", "to_bus", {"from_bus": 4, "vm_from_pu": 1.0, "vm_to_pu": 1.02})],
)  # fmt: skip
def test_nothing_else_holds_the_voltage_of_a_connection_point(table, column, values):
    net = support.tiny_net()
    bus, far = pp.create_bus(net, 110.0, name="HV2"), pp.create_bus(net, 110.0, name="HV3")
    pp.create_ext_grid(net, far, vm_pu=1.02, name="Other")
    pp.create_line(net, 0, far, 10.0, std_type="490-AL1/64-ST1A 110.0", name="Long")
    pp.create_switch(net, 0, bus, et="b", closed=True, name="Q3")
    values = {column: bus, "p_mw": 0.5, "name": "X", **values}
    if table == "gen":
        pp.create_gen(net, **values)
    else:
        pp.create_dcline(net, loss_percent=0.0, loss_mw=0.0, **values)
    gc.compile_network(net)
    (issue,) = case_issues(net)
    assert (issue.row, issue.column) == (f"{table} 'X'", column)
    assert "ext_grid 'TSO', a connection point" in issue.what
    elsewhere = pd.DataFrame({"connection_point": ["Other"], "element": ["Other"]})
    Case.from_pandapower(net, start="2026-06-21T10:00Z", periods=1, connection_points=elsewhere)
    net[table]["in_service"] = False
    assert not case_issues(net)


def test_external_grids_of_one_bus_have_one_weight():
    net = support.tiny_net()
    pp.create_ext_grid(net, 0, vm_pu=1.02, slack_weight=3.0, name="TSO2")
    gc.compile_network(net)
    (issue,) = case_issues(net)
    assert (issue.row, issue.column) == ("ext_grid 'TSO2'", "slack_weight")
    assert issue.what == "3, but ext_grid 'TSO' at the same bus has 1"
    net.ext_grid["slack_weight"] = 3.0
    assert not case_issues(net)


# ------------------------------------------------------------------------------------------------ switching
def closing(net, state="closed"):
    """What is wrong with a case that closes switch Q for a while."""
    columns = ["element_type", "element", "start", "end", "state"]
    times = [pd.Timestamp(f"2026-06-21T10:{minute}Z") for minute in (15, 30)]
    outages = pd.DataFrame([["switch", "Q", *times, state]], columns=columns)
    try:
        Case.from_pandapower(net, start="2026-06-21T10:00Z", periods=4, outages=outages)
    except CaseError as error:
        return [(issue.file, issue.row, issue.column, issue.what) for issue in error.issues]
    return []


@pytest.mark.parametrize(
    ("vm_pu", "fault"),
    [(1.03, "gen 'X': 1.03, but ext_grid 'TSO' at the same bus holds 1.02"),
     (1.02, "gen 'X': it holds the voltage of ext_grid 'TSO', a connection point, and feeds part of its Q")],
)  # fmt: skip
def test_planned_switching_may_not_join_what_holds_voltages(vm_pu, fault):
    net = support.tiny_net()
    bus = pp.create_bus(net, 110.0, name="HV2")
    pp.create_line(net, 0, bus, 10.0, std_type="490-AL1/64-ST1A 110.0", name="Long")
    pp.create_gen(net, bus, 0.5, vm_pu=vm_pu, name="X")
    pp.create_switch(net, 0, bus, et="b", closed=False, name="Q")
    assert not closing(net, "open")
    assert ("outages", "0", "state", fault) in closing(net)


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
