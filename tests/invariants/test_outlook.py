"""Forecast by technology against plain sums; short circuits against the formula of a single infeed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from lights_support import START, STEP, forecast, shipped_case, tiny_net

import gridclear as gc


def with_data(net, s_max=1000.0, s_min=800.0):
    net.ext_grid["s_sc_max_mva"], net.ext_grid["rx_max"] = s_max, 0.1
    net.ext_grid["s_sc_min_mva"], net.ext_grid["rx_min"] = s_min, 0.1
    net.sgen["k"], net.sgen["sn_mva"] = 0.0, 2.0
    net.line["endtemp_degree"] = 80.0
    return net


def test_short_circuit_power_at_the_point_is_that_of_the_external_grid():
    faults = gc.outlook(gc.Case.from_pandapower(with_data(tiny_net()), start=START, periods=2)).short_circuit
    assert faults["state"].tolist() == ["computed"] * 4
    for row in faults.itertuples():
        power = 1000.0 if row.case == "max" else 800.0
        assert row.skss_mva == pytest.approx(power, rel=1e-9)
        assert row.ikss_ka == pytest.approx(power / (math.sqrt(3.0) * 110.0), rel=1e-9)


def test_converters_behind_the_point_add_their_current():
    net = with_data(tiny_net())
    net.sgen["k"] = 1.5
    own = gc.outlook(gc.Case.from_pandapower(net, start=START, periods=1)).short_circuit.set_index("case")
    assert 1000.0 < own.loc["max", "skss_mva"] <= 1000.0 + 2 * 1.1 * 1.5 * 2.0
    assert own.loc["min", "skss_mva"] == pytest.approx(800.0, rel=1e-9)


@pytest.mark.parametrize(
    ("table", "column", "kinds"),
    [
        ("ext_grid", "s_sc_max_mva", {"max"}),
        ("ext_grid", "rx_min", {"min"}),
        ("sgen", "k", {"max"}),
        ("line", "endtemp_degree", {"min"}),
    ],
)
def test_missing_data_is_named_and_gives_no_number(table, column, kinds):
    net = with_data(tiny_net())
    net[table].loc[0, column] = np.nan
    faults = gc.outlook(gc.Case.from_pandapower(net, start=START, periods=1)).short_circuit
    lacking = faults[faults["state"] == "no-data"]
    assert set(lacking["case"]) == kinds
    assert lacking["skss_mva"].isna().all()
    assert lacking["ikss_ka"].isna().all()
    assert set(lacking["reason"]) == {f"the grid states no {column} of {table}"}


def test_shipped_grid_states_no_short_circuit_data(grids):
    faults = gc.outlook(shipped_case(grids / "mv-rural")).short_circuit
    assert set(faults["reason"]) == {
        "the grid states no s_sc_max_mva of ext_grid",
        "the grid states no s_sc_min_mva of ext_grid",
    }


def test_technologies_are_sums_of_what_works():
    net = tiny_net()
    net.sgen["type"] = ["PV", "wind"]
    net.sgen["scaling"] = 0.5
    outages = pd.DataFrame(
        {"element_type": ["sgen"], "element": ["park"], "start": [START + STEP], "end": [START + 2 * STEP],
         "state": ["out"]}
    )  # fmt: skip
    case = gc.Case.from_pandapower(
        net, start=START, periods=2, outages=outages, forecast=forecast(("town", [1.5, 2.5]))
    )
    table = gc.outlook(case).technologies
    found = {
        (row.start, row.element_type, row.technology): (row.elements, row.p_mw, row.q_mvar)
        for row in table.itertuples()
    }
    assert set(table["connection_point"]) == {"grid"}
    assert found[START, "load", ""] == (3, pytest.approx(1.5 + 0.8 + 2.0), pytest.approx(1.0))
    assert found[START + STEP, "load", ""] == (3, pytest.approx(2.5 + 0.8 + 2.0), pytest.approx(1.0))
    assert found[START, "sgen", "PV"] == (1, pytest.approx(0.75), 0.0)
    assert (START + STEP, "sgen", "PV") not in found
    assert found[START + STEP, "sgen", "wind"] == (1, pytest.approx(0.25), 0.0)


def test_what_is_cut_off_has_no_point_and_a_mesh_names_all_of_its(grids):
    outages = pd.DataFrame(
        {
            "element_type": ["line"],
            "element": ["BE"],
            "start": [START],
            "end": [START + STEP],
            "state": ["out"],
        }
    )
    table = gc.outlook(
        gc.Case.from_pandapower(tiny_net(), start=START, periods=1, outages=outages)
    ).technologies
    alone = table[table["connection_point"] == ""]
    assert alone.set_index("element_type")["p_mw"].to_dict() == {"load": 2.0, "sgen": 0.5}
    case = shipped_case(grids / "hv-mixed")
    table = gc.outlook(case).technologies
    names = case.connection_points["connection_point"].tolist()
    assert " + ".join(names) in set(table["connection_point"])
    flow = gc.power_flow(case, threads=1)
    drawn = flow.exchange.groupby("start")["p_mw"].sum()
    signed = table["p_mw"] * np.where(table["element_type"].isin(["load", "storage"]), 1.0, -1.0)
    net_load = signed[table["connection_point"] != ""].groupby(table["start"]).sum()
    assert ((drawn - net_load) > 0.0).all()  # what is over are losses
    assert ((drawn - net_load) < 0.1 * table.groupby("start")["p_mw"].sum()).all()
