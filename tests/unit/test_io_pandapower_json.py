"""pandapower's JSON: read as data, written so that pandapower finds the same power flow."""

from __future__ import annotations

import json
import subprocess
import sys

import case_support as support
import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pandas as pd
import pytest

from gridclear.case import Grid
from gridclear.case.cells import Faults
from gridclear.case.grid import read_grid
from gridclear.io.pandapower_json import read_pandapower_json, write_pandapower_json


def read(text):
    faults = Faults()
    raw = read_pandapower_json(text, "grid.json", faults)
    return (None if raw is None else read_grid(raw, faults)), faults.issues


def sentences(text):
    return [f"{issue.row}: {issue.what}" for issue in read(text)[1]]


def changed(change):
    """The tiny grid in JSON after ``change`` of its content."""
    content = json.loads(support.base_files()["grid.json"])
    change(content["_object"])
    return json.dumps(content)


def many_elements():
    """Every table that gridclear represents, in one net."""
    net = support.tiny_net()
    hv, mv, lv = (pp.create_bus(net, kv, name=f"B{kv:g}") for kv in (110.0, 20.0, 10.0))
    pp.create_line(net, 0, hv, 5.0, std_type="149-AL1/24-ST1A 110.0", name="K110", max_loading_percent=80.0)
    pp.create_transformer3w(net, hv, mv, lv, std_type="63/25/38 MVA 110/20/10 kV", name="T3", tap_pos=-3)
    pp.create_impedance(net, mv, 3, 0.01, 0.02, 10.0, name="Z")
    pp.create_ward(net, lv, 0.1, 0.05, 0.02, 0.01, name="W")
    pp.create_motor(net, lv, 0.3, 0.9, name="M", efficiency_percent=95.0)
    pp.create_asymmetric_load(net, lv, p_a_mw=0.01, p_b_mw=0.02, p_c_mw=0.03, name="AL")
    pp.create_asymmetric_sgen(net, lv, p_a_mw=0.01, q_b_mvar=0.02, name="AS")
    pp.create_switch(net, 3, 4, et="b", closed=True, z_ohm=0.05, name="Qz")
    pp.create_xward(net, lv, 0.1, 0.05, 0.02, 0.01, 0.2, 1.5, 1.01, name="XW")
    pp.create_dcline(net, mv, 4, 0.2, 1.0, 0.01, 1.0, 1.01, max_q_to_mvar=2.0, name="DC")
    pp.create_shunt(net, lv, q_mvar=-0.1, step=2, max_step=2, name="C2")
    net["shunt_characteristic_table"] = pd.DataFrame(
        {"id_characteristic": [4, 4], "step": [1, 2], "q_mvar": [-0.1, -0.25], "p_mw": [0.0, 0.01]}
    )
    net.shunt["id_characteristic_table"] = pd.array([None, 4], dtype="Int64")
    net.shunt["step_dependency_table"] = [False, True]
    z = {f"vk{r}_{side}_percent": 0.3 if r else 11.0 for r in ("", "r") for side in ("hv", "mv", "lv")}
    steps = {"id_characteristic": 2, "step": range(-10, 11), "voltage_ratio": np.linspace(0.86, 1.13, 21)}
    net["trafo_characteristic_table"] = pd.DataFrame({**steps, "angle_deg": 1.5, **z})
    net.trafo3w["id_characteristic_table"] = pd.array([2], dtype="Int64")
    net.trafo3w["tap_dependency_table"] = True
    net.trafo3w["tap_changer_type"] = "Tabular"
    for name, value in (
        ("side", "lv"),
        ("neutral", 0),
        ("step_percent", 0.5),
        ("pos", 2),
        ("changer_type", "Ratio"),
    ):
        net.trafo[f"tap2_{name}"] = value
    net.trafo.loc[0, ["tap_pos", "tap_step_degree"]] = [-2.0, 5.0]
    net.load["p_mw"] = [1.23456789012345678e-7, 1 / 3]
    net.load["zone_of_somebody"] = ["a", None]
    return net


@pytest.mark.parametrize(
    "make", [many_elements, lambda: networks.create_cigre_network_mv(with_der="pv_wind")]
)
def test_written_grid_has_the_same_power_flow_in_pandapower(make, tmp_path):
    net = make()
    (tmp_path / "grid.json").write_text(write_pandapower_json(Grid.from_pandapower(net)))
    again = pp.from_json(str(tmp_path / "grid.json"))
    for each in (net, again):
        pp.runpp(each, calculate_voltage_angles=True, numba=False)
    for table in ("res_bus", "res_line", "res_trafo", "res_trafo3w", "res_ext_grid"):
        np.testing.assert_array_equal(net[table].to_numpy(), again[table].to_numpy(), err_msg=table)


def test_grid_reads_back_exactly():
    grid = Grid.from_pandapower(many_elements())
    again, issues = read(write_pandapower_json(grid))
    assert not issues
    assert list(again.tables) == list(grid.tables)
    for table, frame in grid.tables.items():
        pd.testing.assert_frame_equal(again.tables[table], frame, check_exact=True)
    assert again.content_hash == grid.content_hash
    assert (again.name, again.sn_mva, again.f_hz) == (grid.name, grid.sn_mva, grid.f_hz)


def test_what_pandapower_writes_is_read():
    net = support.tiny_net()
    pp.runpp(net, numba=False)
    pp.control.ContinuousTapControl(net, 0, 1.0)
    grid, issues = read(pp.to_json(net))
    assert not issues
    assert grid.content_hash == Grid.from_pandapower(net).content_hash
    assert "controller" not in grid.tables


TRACE = """
import pathlib, sys
modules = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(modules))
(modules / "trap.py").write_text("import pathlib\\npathlib.Path(__file__).with_name('sprung').touch()")
from gridclear.io import check_case
for folder in sys.argv[2:]:
    check_case(folder)
assert "trap" not in sys.modules
assert "pandapower" not in sys.modules
assert not (modules / "sprung").exists()
import trap  # the trap works: had the module been imported, there would be a trace
assert (modules / "sprung").exists()
"""
TRAPS = {
    "table": {"_module": "trap", "_class": "DataFrame", "_object": '{"columns":[],"index":[],"data":[]}'},
    "function": {"_module": "trap", "_class": "function", "_object": "run"},
    "cell": {
        "_module": "pandas.core.frame",
        "_class": "DataFrame",
        "orient": "split",
        "_object": json.dumps(
            {
                "columns": ["name"],
                "index": [0],
                "data": [[{"_module": "trap", "_class": "Trap", "_object": "x"}]],
            }
        ),
    },
}


def test_no_module_that_the_file_names_is_imported(tmp_path):
    folders = [str(support.write_files(tmp_path / "good", support.base_files()))]
    for trap, payload in TRAPS.items():
        for name in ("load", "controller", "anything"):

            def change(net, name=name, payload=payload):
                net[name] = payload

            files = support.base_files() | {"grid.json": changed(change)}
            folders.append(str(support.write_files(tmp_path / f"{trap}-{name}", files)))
    (tmp_path / "modules").mkdir()
    command = [sys.executable, "-c", TRACE, str(tmp_path / "modules"), *folders]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "1: no JSON: Expecting value"),
        ("{", "1: no JSON"),
        ("[]", ": the file holds no pandapower net"),
        ('{"_class": "pandapowerNet", "_object": []}', ": the file holds no pandapower net"),
        ('{"a": 1, "b": 2, "a": 3}', ": the key 'a' is there twice"),
        ("[" * 100_000, ": objects are nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", ": no JSON: Exceeds the limit"),
    ],
    ids=["empty", "cut", "list", "empty net", "doubled key", "deep", "digits"],
)
def test_files_that_are_no_net(text, what):
    found = sentences(text)
    assert len(found) == 1
    assert found[0].startswith(what)


def split_of(net, table):
    return json.loads(net[table]["_object"])


def put(net, table, split):
    net[table]["_object"] = json.dumps(split) if isinstance(split, dict) else split


def test_tables_that_cannot_be_taken_apart():
    def change(net):
        put(net, "load", split_of(net, "load") | {"data": [[1]]})
        put(net, "sgen", "{")
        put(net, "line", '{"columns":["a","a"],"index":[0],"data":[[1,1]]}')
        put(net, "trafo", '{"columns":[1],"index":[0],"data":[[1]]}')
        put(net, "gen", '{"columns":["a"],"columns":["b"],"index":[],"data":[]}')
        net["storage"] = "pandas"
        net["shunt"]["_object"] = 5

    assert sentences(changed(change)) == [
        "load: the table has no columns, index and data that fit together",
        "sgen: no JSON: Expecting property name enclosed in double quotes (line 1)",
        "gen: the key 'columns' is there twice",
        "storage: the table is no DataFrame",
        "shunt: the table has no columns, index and data that fit together",
        "line: a column is there twice",
        "trafo: the table has no columns, index and data that fit together",
    ]


def test_cells_that_cannot_be_right():
    def change(net):
        load = split_of(net, "load")
        at = {name: place for place, name in enumerate(load["columns"])}
        load["data"][0][at["p_mw"]] = "2.0"
        load["data"][1][at["bus"]] = 3.5
        load["data"][1][at["in_service"]] = None
        load["data"][0][at["name"]] = {"a": 1}
        load["index"] = [0, 0]
        text = json.dumps(load).replace("0.3", "NaN", 1)
        put(net, "load", text)
        sgen = split_of(net, "sgen")
        sgen["index"] = ["x", -1]
        put(net, "sgen", json.dumps(sgen).replace("3.0", "1e999"))
        net["sn_mva"] = "1"
        net["f_hz"] = float("nan")
        net["format_version"] = "2.14"

    found = read(changed(change))[1]
    assert {(issue.row, issue.column) for issue in found} == {
        ("", "format_version"), ("", "sn_mva"), ("", "f_hz"),
        ("load '{'a': 1}'", "p_mw"), ("load 'L2'", "bus"), ("load 'L2'", "in_service"),
        ("load 'L2'", "q_mvar"), ("load 'L2'", "index"), ("sgen 'PV1'", "index"), ("sgen 'W1'", "index"),
        ("sgen 'PV1'", "p_mw"),
    }  # fmt: skip


def test_missing_and_misspelt_tables():
    def change(net):
        net["loads"] = net.pop("load")
        del net["bus"]

    found = sentences(changed(change))
    assert "bus: the table is missing" in found
    assert "loads: the table 'loads' is unknown (did you mean 'load'?)" in found


def test_other_columns_are_kept_if_they_are_plain():
    net = support.tiny_net()
    net.load["owner"] = ["A", None]
    net.load["year"] = [2001, 2002]
    net.load["thing"] = [{"a": 1}, [2]]
    net.load["smart"] = [True, False]
    net.bus["geo"] = [{"type": "Point", "coordinates": [1.5, 2.5]}] + [None] * 5
    for grid in (Grid.from_pandapower(net), read(pp.to_json(net))[0]):
        load = grid.tables["load"]
        assert load["owner"].tolist() == ["A", None]
        assert load["year"].tolist() == [2001.0, 2002.0]
        assert load["smart"].tolist() == [True, False]
        assert "thing" not in load
        assert json.loads(grid.tables["bus"]["geo"].iloc[0])["coordinates"] == [1.5, 2.5]
