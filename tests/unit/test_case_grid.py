"""The grid: taken from a net, labels, hash."""

from __future__ import annotations

import copy
import pickle

import case_support as support
import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pandas as pd
import pytest

from gridclear.case import Grid, Limits
from gridclear.case.cells import Faults
from gridclear.case.check import check_power_flow
from gridclear.case.check_grid import check_grid
from gridclear.case.topology import unsupplied_buses
from gridclear.errors import CaseError


def issues_of(net):
    grid, faults = Grid.from_pandapower(net), Faults()
    check_grid(grid, "net", Limits(), faults)
    check_power_flow(grid, "net", faults)
    return faults.issues


def test_tables_have_fixed_types():
    grid = Grid.from_pandapower(support.tiny_net())
    line = grid.tables["line"]
    assert line["from_bus"].dtype == np.int64
    assert line["parallel"].dtype == np.int64
    assert line["length_km"].dtype == np.float64
    assert line["in_service"].dtype == np.bool_
    assert line["name"].dtype == object
    assert grid.tables["line"]["type"].tolist() == ["cs"] * 4
    assert grid.tables["ward"].empty
    assert "qs_mvar" in grid.tables["ward"]
    assert (grid.name, grid.sn_mva, grid.f_hz) == ("tiny", 1.0, 50.0)


def test_net_is_left_alone():
    net = support.tiny_net()
    before = copy.deepcopy(net)
    grid = Grid.from_pandapower(net)
    grid.tables["load"].loc[:, "p_mw"] = 99.0
    assert pp.toolbox.nets_equal(net, before)


def test_order_of_rows_is_kept_and_does_not_matter_to_the_hash():
    net = support.tiny_net()
    shuffled = support.tiny_net()
    for table in ("bus", "line", "load", "trafo"):
        shuffled[table] = shuffled[table].sample(frac=1.0, random_state=3)
    one, other = Grid.from_pandapower(net), Grid.from_pandapower(shuffled)
    assert other.tables["line"].index.tolist() == shuffled.line.index.tolist() != [0, 1, 2, 3]
    assert other.labels("line").loc[2] == one.labels("line").loc[2] == "K45"
    assert one.content_hash == other.content_hash


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("load", "p_mw", 2.0 + 1e-15),
        ("line", "name", "K14"),
        ("bus", "min_vm_pu", 0.91),
        ("switch", "closed", False),
    ],
)
def test_hash_sees_every_cell(table, column, value):
    net = support.tiny_net()
    one = Grid.from_pandapower(net).content_hash
    net[table].loc[net[table].index[0], column] = value
    assert Grid.from_pandapower(net).content_hash != one


def test_labels_fall_back_to_origin_id_and_index():
    net = support.tiny_net()
    net.load["name"] = [None, "L"]
    pp.create_load(net, 3, 0.1, name="L")
    pp.create_load(net, 3, 0.1, name=7)
    net.load["origin_id"] = [None, "_a", "_b", None]
    grid = Grid.from_pandapower(net)
    assert grid.labels("load").tolist() == ["load 0", "_a", "_b", "7"]
    assert grid.labels("load").index.tolist() == [0, 1, 2, 3]
    assert grid.lookup("load") == {"load 0": 0, "_a": 1, "_b": 2, "7": 3}
    assert not issues_of(net)


def test_origin_id_names_an_element_beside_its_name():
    net = support.tiny_net()
    net.load["origin_id"] = ["_a", "_b"]
    grid = Grid.from_pandapower(net)
    assert grid.labels("load").tolist() == ["L1", "L2"]
    assert grid.lookup("load") == {"L1": 0, "L2": 1, "_a": 0, "_b": 1}


def test_a_text_that_means_two_elements_means_none():
    net = support.tiny_net()
    net.load["origin_id"] = ["L2", "_b"]
    assert Grid.from_pandapower(net).lookup("load") == {"L1": 0, "_b": 1}


def test_wrong_cells_are_all_named():
    net = support.tiny_net()
    net.load["p_mw"] = net.load["p_mw"].astype(object)
    net.load.loc[0, "p_mw"] = "2.0"
    net.line.loc[1, "length_km"] = np.inf
    net.line = net.line.drop(columns="max_i_ka")
    net.bus["in_service"] = net.bus["in_service"].astype(object)
    net.bus.loc[2, "in_service"] = "yes"
    with pytest.raises(CaseError) as caught:
        Grid.from_pandapower(net)
    assert {(i.file, i.row, i.column) for i in caught.value.issues} == {
        ("net", "load 'L1'", "p_mw"),
        ("net", "line 'K34'", "length_km"),
        ("net", "line", "max_i_ka"),
        ("net", "bus 'MV2'", "in_service"),
    }


@pytest.mark.parametrize("given", [None, 3, {}, {"bus": 3}, pd.DataFrame()])
def test_something_that_is_no_net(given):
    with pytest.raises(CaseError, match="a pandapower net"):
        Grid.from_pandapower(given)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tap_phase_shifter", "tap_changer_type"),
        ("tap2_phase_shifter", "tap2_changer_type"),
        ("tap_dependent_impedance", "tap_dependency_table"),
    ],
)
def test_tap_columns_of_pandapower_2_are_refused(old, new):
    net = support.tiny_net()
    net.trafo = net.trafo.drop(columns=new, errors="ignore").assign(**{old: True})
    with pytest.raises(CaseError) as caught:
        Grid.from_pandapower(net)
    assert [(i.row, i.column) for i in caught.value.issues] == [("trafo", new)]


def test_options_that_change_the_model_are_refused():
    net = support.tiny_net()
    pp.set_user_pf_options(net, trafo_model="pi", max_iteration=30, trafo3w_losses="hv")
    with pytest.raises(CaseError) as caught:
        Grid.from_pandapower(net)
    assert [i.what for i in caught.value.issues] == ["the net asks runpp for trafo_model = 'pi'"]


def test_old_format_is_refused():
    net = support.tiny_net()
    net["format_version"] = "2.14.0"
    with pytest.raises(CaseError, match="convert=True"):
        Grid.from_pandapower(net)


@pytest.mark.parametrize("table", ["svc", "ssc", "tcsc"])
def test_elements_that_cannot_be_represented(table):
    net = support.tiny_net()
    create = {
        "svc": lambda: pp.create_svc(net, 3, 1, -10, 1.0, 90, name="X"),
        "ssc": lambda: pp.create_ssc(net, 3, 0, 0.1, 1.0, name="X"),
        "tcsc": lambda: pp.create_tcsc(net, 3, 4, 1, -10, 1.0, 140, name="X"),
    }
    create[table]()
    with pytest.raises(CaseError) as caught:
        Grid.from_pandapower(net)
    assert [(i.row, i.what) for i in caught.value.issues] == [
        (f"{table} 'X'", f"an element of table '{table}' is in service")
    ]
    net[table]["in_service"] = False
    assert table not in Grid.from_pandapower(net).tables


@pytest.mark.parametrize(
    "make",
    [networks.create_cigre_network_lv, networks.simple_mv_open_ring_net],
)
def test_ordinary_grids_have_no_issue(make):
    assert [str(issue) for issue in issues_of(make())] == []


def test_band_without_width_at_the_slack_is_ordinary():
    net = support.tiny_net()
    net.bus.loc[[0, 4], ["min_vm_pu", "max_vm_pu"]] = 1.0
    assert [(issue.row, issue.column) for issue in issues_of(net)] == [("bus 'N4'", "min_vm_pu")]


def test_three_winding_transformers_are_checked_on_every_side():
    net = support.tiny_net()
    hv, mv, lv = (pp.create_bus(net, kv, name=f"B{kv:g}") for kv in (110.0, 20.0, 10.0))
    pp.create_transformer3w(net, hv, mv, lv, std_type="63/25/38 MVA 110/20/10 kV", name="T3")
    pp.create_line(net, mv, 3, 1.0, std_type="NA2XS2Y 1x240 RM/25 12/20 kV", name="K")
    assert not issues_of(net)
    net.trafo3w.loc[0, ["vn_lv_kv", "vkr_mv_percent", "mv_bus"]] = [20.0, 30.0, 55]
    found = {(issue.row, issue.column) for issue in issues_of(net)}
    assert found == {
        ("trafo3w 'T3'", "vn_lv_kv"), ("trafo3w 'T3'", "vkr_mv_percent"), ("trafo3w 'T3'", "mv_bus"),
    }  # fmt: skip


def test_supply_is_what_pandapower_finds():
    net = support.oberrhein()
    rng = np.random.default_rng(5)
    net.line.loc[rng.choice(net.line.index, 25, replace=False), "in_service"] = False
    net.switch.loc[rng.choice(net.switch.index, 25, replace=False), "closed"] = False
    net.bus.loc[rng.choice(net.bus.index, 10, replace=False), "in_service"] = False
    unsupplied = set(unsupplied_buses(Grid.from_pandapower(net)))
    by_pandapower = set(pp.topology.unsupplied_buses(net)) & set(net.bus.index[net.bus.in_service])
    assert len(unsupplied) > 10
    assert unsupplied == by_pandapower


def test_set_points_may_differ_across_a_switch_with_impedance():
    net = support.tiny_net()
    pp.create_gen(net, 4, 0.1, vm_pu=1.02, name="G2")
    pp.create_switch(net, 3, 4, et="b", closed=True, z_ohm=0.1, name="Qz")
    assert not issues_of(net)
    net.switch["z_ohm"] = 0.0
    assert [(issue.row, issue.column) for issue in issues_of(net)] == [("gen 'G2'", "vm_pu")]


def test_slack_angles_at_one_bus_have_to_agree():
    net = support.tiny_net()
    pp.create_ext_grid(net, 0, vm_pu=1.02, va_degree=5.0, name="TSO2")
    assert [(issue.row, issue.column) for issue in issues_of(net)] == [("ext_grid 'TSO2'", "va_degree")]


def test_grid_survives_pickling():
    grid = Grid.from_pandapower(support.tiny_net())
    again = pickle.loads(pickle.dumps(grid))  # noqa: S301  our own bytes
    assert again.content_hash == grid.content_hash
