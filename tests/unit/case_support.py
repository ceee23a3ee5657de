"""A tiny good case, and the ways of breaking it."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path

import pandapower as pp
import pandapower.networks as networks
import pandas as pd

BASE = Path(__file__).parents[1] / "cases" / "bad" / "base"


@functools.cache
def _tiny_net():
    """Six buses, two transformers side by side, a ring that is open at one end."""
    net = pp.create_empty_network(name="tiny")
    hv = pp.create_bus(net, 110.0, name="HV")
    mv1, mv2, n3, n4, n5 = (pp.create_bus(net, 20.0, name=name) for name in ("MV1", "MV2", "N3", "N4", "N5"))
    pp.create_ext_grid(net, hv, vm_pu=1.02, name="TSO")
    for name, bus in (("T1", mv1), ("T2", mv2)):
        pp.create_transformer(net, hv, bus, std_type="25 MVA 110/20 kV", name=name)
    for name, one, other in (("K13", mv1, n3), ("K34", n3, n4), ("K45", n4, n5), ("K25", mv2, n5)):
        pp.create_line(net, one, other, 2.0, std_type="NA2XS2Y 1x240 RM/25 12/20 kV", name=name)
    pp.create_switch(net, mv1, mv2, et="b", closed=True, name="Q1")
    pp.create_switch(net, n5, 3, et="l", closed=False, name="Q2")
    pp.create_load(net, n3, 2.0, 0.4, name="L1")
    pp.create_load(net, n4, 1.5, 0.3, name="L2", scaling=0.6)
    pp.create_sgen(net, n4, 3.0, name="PV1")
    pp.create_sgen(net, n5, 2.5, name="W1")
    pp.create_gen(net, n3, 0.5, vm_pu=1.01, name="G1")
    pp.create_storage(net, n5, 0.2, max_e_mwh=2.0, name="S1")
    pp.create_shunt(net, mv1, q_mvar=-1.0, step=1, max_step=3, name="C1")
    net.bus["min_vm_pu"] = [0.9, 0.96, 0.96, float("nan"), 0.96, 0.96]
    net.bus["max_vm_pu"] = 1.06
    return net


def tiny_net():
    return copy.deepcopy(_tiny_net())


@functools.cache
def _oberrhein():
    # networks.mv_oberrhein() solves a power flow first, which costs seconds and changes nothing here.
    return pp.from_json(str(Path(networks.__file__).parent / "mv_oberrhein.json"))


def oberrhein():
    return copy.deepcopy(_oberrhein())


@functools.cache
def _base_files():
    files = {path.name: path.read_text(encoding="utf-8") for path in BASE.iterdir()}
    return files | {"grid.json": pp.to_json(_tiny_net())}


def base_files():
    """File name → text of the good case folder."""
    return dict(_base_files())


def write_files(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return folder


def edit_grid(text, edits):
    """Change cells of a grid in pandapower's JSON: table, name of the element, column, value."""
    content = json.loads(text)
    for table, element, column, value in edits:
        payload = content["_object"][table]
        split = json.loads(payload["_object"])
        if column not in split["columns"]:
            split["columns"].append(column)
            for row in split["data"]:
                row.append(None)
        names = [row[split["columns"].index("name")] for row in split["data"]]
        assert names.count(element) == 1
        split["data"][names.index(element)][split["columns"].index(column)] = (
            None if value == "NaN" else value
        )
        payload["_object"] = json.dumps(split)
    return json.dumps(content)


def base_tables():
    """The same tables as DataFrames, as somebody would hold them in memory."""
    return {
        path.stem: pd.read_csv(path, dtype={"bid": str}, keep_default_na=False, na_values={"element": []})
        for path in sorted(BASE.glob("*.csv"))
    }
