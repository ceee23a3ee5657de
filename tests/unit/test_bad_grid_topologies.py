"""Meshes, islands, sources and planned switching that no grid could run are named."""

from __future__ import annotations

import math

import case_support as support
import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from bad_grids import case_issues, every_kind, issues_of, places, voltages

import gridclear as gc
from gridclear.case import Case
from gridclear.errors import CaseError


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


def test_slack_generator_behind_a_transformer_that_turns():
    """The angle of a slack gen is 0."""
    net = support.tiny_net()
    pp.create_gen(net, 5, 0.1, vm_pu=1.0, slack=True, name="Own")
    (issue,) = issues_of(net)
    assert (issue.row, issue.column) == ("gen 'Own'", "slack")
    assert "trafo 'T1' and ext_grid 'TSO' make it -150 degree" in issue.what
    net.ext_grid["va_degree"] = 150.0
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
def planned(net, state, start="10:15", end="10:30"):
    """What is wrong with a case that switches Q for a while."""
    columns = ["element_type", "element", "start", "end", "state"]
    times = [pd.Timestamp(f"2026-06-21T{moment}Z") for moment in (start, end)]
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
    assert not planned(net, "open")
    assert ("outages", "0", "state", fault) in planned(net, "closed")


def test_planned_switching_may_not_close_a_mesh_that_turns():
    net = two_ways(150, 0)
    pp.create_switch(net, 2, 2, et="t", closed=False, name="Q")
    net.bus["name"] = ["HV", "MV", "LV"]

    (fault,) = planned(net, "closed")
    assert fault[:3] == ("outages", "0", "state")
    assert "trafo 'C': the phase shifts around the mesh with trafo 'A', trafo 'B' add up to 150" in fault[3]
    assert planned(net, "closed", "09:00", "12:00") == [fault]
    assert not planned(net, "open")
    assert not planned(net, "closed", "09:00", "10:00"), "before the horizon"
    net.trafo["shift_degree"] = [150.0, 150.0, 0.0]
    assert not planned(net, "closed")
