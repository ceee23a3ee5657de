"""What a clearing needs of a case: what passes, and faults between several tables."""

from __future__ import annotations

import case_support as support
import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from gridclear.case import Case
from gridclear.case.needs import need_rows
from gridclear.errors import CaseError

STARTS = pd.date_range("2016-06-19T10:00Z", periods=4, freq="15min")


def case_of(net=None, **tables):
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return Case.from_pandapower(net or support.tiny_net(), start=STARTS[0], periods=4, **frames)


def faults(net=None, **tables):
    """File, row, column and sentence of every issue."""
    try:
        case_of(net, **tables)
    except CaseError as error:
        return [(issue.file, issue.row, issue.column, issue.what) for issue in error.issues]
    return []


def offer(element, direction, q_mvar, period=0, bid="R", table="sgen", block=""):
    return {
        "bid": bid,
        "element_type": table,
        "element": element,
        "start": STARTS[period],
        "direction": direction,
        "q_mvar": q_mvar,
        "price_eur_mvarh": 2.0,
        "block": block,
    }


def curve(*points, name="D"):
    return [dict(zip(("curve", "p_mw", "q_min_mvar", "q_max_mvar"), (name, *p), strict=True)) for p in points]


def forecast(table, element, p_mw, q_mvar=None):
    return pd.DataFrame(
        {"element_type": table, "element": element, "start": STARTS, "p_mw": p_mw, "q_mvar": q_mvar}
    )


# tiny net: PV1 3 MW, 0 Mvar; S1 charges with 0.2 MW; L2 1.5 MW, 0.3 Mvar, scaled by 0.6
@pytest.mark.parametrize(
    ("tables", "direction", "room_mvar"),
    [
        ({}, "inject", None),
        ({"inverters": [{"element": "PV1", "min_power_factor": 0.9}]}, "inject", None),
        ({"inverters": [{"element": "PV1", "s_max_mva": 3.5}]}, "inject", 3.5),
        ({"inverters": [{"element": "PV1", "s_max_mva": 3.5, "min_power_factor": 0.9}]}, "absorb", 3.5),
        ({"forecast": forecast("sgen", "PV1", 3.0, -0.5)}, "inject", None),
    ],
)
def test_a_reactive_bid_is_as_large_as_what_its_element_could_ever_give(tables, direction, room_mvar):
    if room_mvar is None:
        assert faults(reactive_bids=[offer("PV1", direction, 1e4)], **tables) == []
        return
    assert faults(reactive_bids=[offer("PV1", direction, room_mvar + 0.9e-6)], **tables) == []
    found = faults(reactive_bids=[offer("PV1", direction, room_mvar + 1.2e-6)], **tables)
    assert [fault[:3] for fault in found] == [("reactive_bids", "0", "q_mvar")]


@pytest.mark.parametrize(
    ("scaling", "q_mvar", "inject", "absorb"), [(1.0, -0.5, 2.5, 1.5), (0.5, 1.0, 1.5, 2.5)]
)
def test_the_forecast_of_the_period_counts_in_its_scaling(scaling, q_mvar, inject, absorb):
    net = support.tiny_net()
    net.sgen.loc[net.sgen["name"] == "PV1", "scaling"] = scaling
    tables = {
        "net": net,
        "inverters": [{"element": "PV1", "s_max_mva": 2.0}],
        "forecast": forecast("sgen", "PV1", 0.1, q_mvar),
    }
    for direction, room in (("inject", inject), ("absorb", absorb)):
        assert faults(reactive_bids=[offer("PV1", direction, room)], **tables) == []
        assert len(faults(reactive_bids=[offer("PV1", direction, room + 0.01)], **tables)) == 1


def test_storage_is_bound_by_both_its_tables_and_its_own_sign():
    net = support.tiny_net()
    net.storage["q_mvar"] = 0.25  # takes it: -0.25 injected
    tables = {"net": net, "storage": [{"element": "S1", "s_max_mva": 1.0}]}
    room = {"inject": 1.25, "absorb": 0.75}
    for direction, most in room.items():
        assert faults(reactive_bids=[offer("S1", direction, most, table="storage")], **tables) == []
        assert (
            len(faults(reactive_bids=[offer("S1", direction, most + 0.01, table="storage")], **tables)) == 1
        )
    points = curve((-1.0, -0.5, 0.5), (1.0, -0.5, 0.6))
    tables |= {"capability_curves": points, "inverters": [{"element": "S1", "curve": "D"}]}
    ((*_, what),) = faults(reactive_bids=[offer("S1", "inject", 0.86, table="storage")], **tables)
    assert what == "0.86 Mvar inject is more than storage 'S1' can do in that period"
    assert faults(reactive_bids=[offer("S1", "inject", 0.85, table="storage")], **tables) == []


def test_a_forecast_beyond_the_rating_leaves_only_the_way_back():
    tables = {
        "inverters": [{"element": "PV1", "s_max_mva": 2.0}],
        "forecast": forecast("sgen", "PV1", 0.1, 2.4),
    }
    assert faults(reactive_bids=[offer("PV1", "absorb", 4.4)], **tables) == []
    assert len(faults(reactive_bids=[offer("PV1", "inject", 0.1)], **tables)) == 1


def test_price_blocks_of_one_element_add_up():
    tables = {"inverters": [{"element": "PV1", "s_max_mva": 2.0}]}
    rows = [offer("PV1", "inject", 1.5, bid=bid) for bid in "AB"]
    assert faults(reactive_bids=rows, **tables) == []


def test_blocks_span_elements_periods_and_both_directions_of_different_elements():
    rows = [
        *(offer("PV1", "inject", 0.5, period, "A", block="b") for period in (1, 2)),
        offer("W1", "absorb", 0.5, 1, "B", block="b"),
        offer("W1", "inject", 0.5, 2, "B", block="b"),
        offer("L1", "inject", 0.2, 1, "C", "load", block="b"),
        # without a block, both ways and on several elements
        offer("W1", "absorb", 0.5, 1, "D"),
        offer("PV1", "inject", 0.5, 1, "D"),
        offer("PV1", "absorb", 0.5, 2, "D"),
    ]
    assert faults(reactive_bids=rows) == []


def test_one_element_under_two_names_is_one_element_of_a_block():
    net = support.tiny_net()
    net.sgen["origin_id"] = ["_pv", "_w"]
    rows = [offer(name, "inject", 0.5, n, block="b") for n, name in enumerate(("PV1", "_pv"))]
    assert faults(net, reactive_bids=rows) == []
    rows[1] |= {"start": STARTS[0], "direction": "absorb"}
    assert [fault[:3] for fault in faults(net, reactive_bids=rows)] == [("reactive_bids", "1", "direction")]


# ---------------------------------------------------------------------------------------------------- curves
def test_points_of_a_curve_may_stand_in_any_order():
    points = curve((3.0, -1.0, 1.0), (0.0, -2.0, 2.0))
    assert faults(capability_curves=points, inverters=[{"element": "PV1", "curve": "D"}]) == []


@pytest.mark.parametrize(
    ("storage", "what"),
    [
        ({"element": "S1"}, ""),
        (
            {"element": "S1", "p_min_mw": -1.0, "p_max_mw": 0.3, "e_start_mwh": 1.0, "p_mode": "optimised"},
            "the power of 'S1' is 1 MW at 2016-06-19T10:00:00Z, outside of curve 'D'",
        ),
    ],
)
def test_the_curve_of_a_storage_holds_where_it_is_to_run(storage, what):
    points = curve((-0.3, -1.0, 1.0), (-0.1, -1.0, 1.0))
    inverters = [{"element": "S1", "curve": "D"}]
    found = faults(capability_curves=points, inverters=inverters, storage=[storage])
    assert [fault[3] for fault in found] == ([what] if what else [])


def test_what_stands_still_needs_no_curve():
    net = support.tiny_net()
    net.sgen.loc[net.sgen["name"] == "PV1", "in_service"] = False
    points = curve((0.0, -1.0, 1.0), (1.0, -1.0, 1.0))
    inverters = [{"element": "PV1", "curve": "D"}]
    assert faults(net, capability_curves=points, inverters=inverters) == []
    assert len(faults(capability_curves=points, inverters=inverters)) == 1


def test_a_storage_has_one_rating():
    tables = {"storage": [{"element": "S1", "s_max_mva": 1.0}]}
    assert faults(inverters=[{"element": "S1", "s_max_mva": 1.0}], **tables) == []
    found = faults(
        inverters=[{"element": "PV1", "s_max_mva": 4.0}, {"element": "S1", "s_max_mva": 1.1}], **tables
    )
    assert found == [("inverters", "1", "s_max_mva", "1.1 differs from the 1 of table storage")]


def test_an_inverter_is_one_element():
    net = support.tiny_net()
    net.storage["name"] = "PV1"
    ((*place, what),) = faults(net, inverters=[{"element": "PV1", "s_max_mva": 4.0}])
    assert (place, what) == (["inverters", "0", "element"], "'PV1' names an sgen and a storage")


# --------------------------------------------------------------------------------------------------- storage
def reach_by_steps(least, most, e_min, e_max, e_start, charge, discharge, periods=4, hours=0.25, grid=2001):
    """Highest energy at the end of every path, step by step over many powers; None if there is no path."""
    powers = np.linspace(least, most, grid)
    gains = hours * np.where(powers > 0, charge * powers, powers / discharge)
    energies = np.array([e_start])
    for _ in range(periods):
        energies = (energies[:, None] + gains).ravel()
        energies = energies[(energies >= e_min - 1e-12) & (energies <= e_max + 1e-12)]
        if not len(energies):
            return None
        energies = np.unique(
            np.r_[energies.min(), energies.max(), np.linspace(energies.min(), energies.max(), 50)]
        )
    return energies.max()


@pytest.mark.parametrize(
    ("least", "most", "e_min", "e_max", "e_start"),
    [
        (-1.0, 1.0, 0.0, 2.0, 0.5),
        (-1.0, 0.4, 0.1, 0.9, 0.8),
        (-1.0, -0.2, 0.0, 2.0, 1.0),
        (0.1, 0.7, 0.0, 2.0, 1.0),
    ],
)
def test_the_end_level_that_is_just_in_reach_passes(least, most, e_min, e_max, e_start):
    highest = reach_by_steps(least, most, e_min, e_max, e_start, 0.9, 0.8)
    row = {
        "element": "S1",
        "p_min_mw": least,
        "p_max_mw": most,
        "e_min_mwh": e_min,
        "e_max_mwh": e_max,
        "e_start_mwh": e_start,
        "efficiency_charge": 0.9,
        "efficiency_discharge": 0.8,
        "p_mode": "optimised",
    }
    assert faults(storage=[row | {"e_end_min_mwh": highest - 1e-9}]) == []
    found = faults(storage=[row | {"e_end_min_mwh": highest + 1e-4}])
    assert [fault[:3] for fault in found] == [("storage", "0", "e_end_min_mwh")]


@pytest.mark.parametrize(("least", "most"), [(-1.0, -0.9), (0.9, 1.0)])
def test_a_storage_that_may_be_out_may_also_stand_still(least, most):
    row = {
        "element": "S1",
        "p_min_mw": least,
        "p_max_mw": most,
        "e_max_mwh": 1.0,
        "e_start_mwh": 0.5,
        "p_mode": "optimised",
    }
    assert len(faults(storage=[row])) == 1
    out = {"element_type": "storage", "element": "S1", "start": STARTS[0], "end": STARTS[1], "state": "out"}
    assert faults(storage=[row], outages=[out]) == []


def test_a_schedule_is_judged_only_where_the_start_is_known():
    row = {"element": "S1", "e_max_mwh": 1.0, "e_end_min_mwh": 0.9}
    plan = forecast("storage", "S1", [2.0, 2.0, -3.0, -0.2])
    assert faults(storage=[row], forecast=plan) == []
    assert faults(storage=[row | {"e_start_mwh": 0.0}], forecast=plan)[0][2] == "e_end_min_mwh"
    assert faults(storage=[row | {"e_start_mwh": 0.01}], forecast=plan)[0][2] == "e_max_mwh"
    plan = forecast("storage", "S1", [2.0, 2.0, -0.2, -0.2])
    assert faults(storage=[row | {"e_start_mwh": 0.0}], forecast=plan) == []


def test_sn_mva_of_the_grid_is_the_power_of_an_optimised_storage():
    net = support.tiny_net()
    row = {"element": "S1", "e_start_mwh": 1.0, "p_mode": "optimised"}
    assert [fault[2] for fault in faults(net, storage=[row])] == ["p_max_mw", "p_min_mw"]
    net.storage["sn_mva"] = 1.0
    assert faults(net, storage=[row]) == []
    assert faults(net, storage=[row | {"e_end_min_mwh": 2.01}])[0][2] == "e_end_min_mwh"


# ------------------------------------------------------------------------------------- devices and profile
def test_groups_that_can_move_one_step_or_whose_steps_differ_pass():
    rows = [
        {"element": "T1", "mode": "optimised", "position": 8, "tap_min": -8, "tap_max": 8, "group": "g"},
        {"element": "T2", "mode": "optimised", "position": 0, "tap_min": 0, "tap_max": 8, "group": "g"},
    ]
    assert [fault[2] for fault in faults(tap_changers=rows)] == ["group"]
    assert faults(tap_changers=[rows[0] | {"position": 7}, rows[1]]) == []
    assert faults(tap_changers=[row | {"mode": "fixed"} for row in rows]) == []
    assert faults(tap_changers=[row | {"group": ""} for row in rows]) == []
    net = support.tiny_net()
    net.trafo.loc[net.trafo["name"] == "T2", "tap_side"] = "lv"
    assert faults(net, tap_changers=rows) == []


def test_moves_of_groups_are_compared_with_their_defaults():
    rows = [
        {"element": "T1", "mode": "optimised", "group": "g", "cost_per_move_eur": 5.0, "moves_today": 0},
        {"element": "T2", "mode": "optimised", "group": "g", "cost_per_move_eur": 6.0},
    ]
    assert faults(tap_changers=rows) == []
    rows[1]["max_moves_day"] = 3
    assert [fault[1:3] for fault in faults(tap_changers=rows)] == [("1", "max_moves_day")]


def two_points():
    net = support.tiny_net()
    other = pp.create_bus(net, 110.0, name="HV2")
    pp.create_switch(net, 0, other, et="b", closed=True, name="Q3")
    pp.create_ext_grid(net, other, vm_pu=1.02, name="TSO2")
    net.bus.loc[other, ["min_vm_pu", "max_vm_pu"]] = 0.9, 1.1
    return net


def ask(point, period):
    return {"connection_point": point, "start": STARTS[period], "q_mvar": 0.5}


def test_a_profile_asks_one_point_of_a_node_at_a_time():
    rows = [ask("TSO", 0), ask("TSO2", 1), ask("TSO", 2), ask("TSO2", 2)]
    ((*place, what),) = faults(two_points(), reactive_profile=rows)
    assert place == ["reactive_profile", "3", "connection_point"]
    assert what == "'TSO2' stands at the node of 'TSO' of row 2 and shares its exchange"
    assert faults(two_points(), reactive_profile=rows[:3]) == []


def test_points_that_a_switch_parts_can_be_told_apart():
    apart = {"element_type": "switch", "element": "Q3", "start": STARTS[1], "end": STARTS[3], "state": "open"}
    rows = [ask(point, period) for period in range(4) for point in ("TSO", "TSO2")]
    points = [
        {"connection_point": "north", "element": "TSO"},
        {"connection_point": "south", "element": "TSO2"},
    ]
    found = faults(two_points(), reactive_profile=rows, outages=[apart])
    assert [fault[:3] for fault in found] == [("reactive_profile", row, "connection_point") for row in "17"]
    names = {"TSO": "north", "TSO2": "south"}
    rows = [row | {"connection_point": names[row["connection_point"]]} for row in rows]
    found = faults(two_points(), reactive_profile=rows, outages=[apart], connection_points=points)
    assert [fault[1] for fault in found] == ["1", "7"]


# ------------------------------------------------------------------------------------------ what jobs need
def test_a_job_says_which_tables_would_do():
    tables = ("reactive_bids", "reactive_profile", "tap_changers")
    with pytest.raises(CaseError) as caught:
        need_rows(case_of(), *tables)
    (issue,) = caught.value.issues
    assert (issue.file, issue.expected) == (
        "reactive_bids",
        "rows in reactive_bids or reactive_profile or tap_changers",
    )
    need_rows(case_of(tap_changers=[{"element": "T1", "mode": "optimised"}]), *tables)
