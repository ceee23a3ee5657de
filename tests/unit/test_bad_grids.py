"""No fault of a grid becomes a number: every cell that a power flow reads is either right or named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bad_grids import every_kind, issues_of, places, spoil, voltages

import gridclear as gc
from gridclear.case.grid_schema import GRID_TABLES

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
