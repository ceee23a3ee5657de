"""pandapower nets from plain rows, and the same net under other numbers.

`create_line` and its like take milliseconds each, a table made in one go takes them once.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

BUS_COLUMNS = ("bus", "from_bus", "to_bus", "hv_bus", "mv_bus", "lv_bus")
SWITCHED = {"l": "line", "t": "trafo", "t3": "trafo3w", "b": "bus"}


def from_rows(rows: dict[str, list[dict[str, Any]]], *, f_hz: float, sn_mva: float) -> pp.pandapowerNet:
    """Tables of dtypes as pandapower has them; what a row does not state is what pandapower would write."""
    net = _empty(f_hz, sn_mva)
    for table, records in rows.items():
        frame = pd.DataFrame(records)
        for column, dtype in net[table].dtypes.items():
            if column not in frame:
                frame[column] = _missing(str(column), dtype, len(frame))
            elif dtype == np.dtype(bool):
                frame[column] = frame[column].eq(True)
            elif str(column).startswith("const_"):
                frame[column] = frame[column].fillna(0.0)
            if dtype != np.dtype(object):
                frame[column] = frame[column].astype(dtype)
        net[table] = frame
    return net


def renumbered(net: pp.pandapowerNet, rng: np.random.Generator) -> pp.pandapowerNet:
    """The same grid with other indices for all elements and other orders of all tables.

    ``net.original`` of the copy maps table → {new index: old index}.
    """
    tables = [name for name in net if isinstance(net[name], pd.DataFrame) and len(net[name])]
    tables = [name for name in tables if name == "bus" or set(BUS_COLUMNS) & set(net[name].columns)]
    tables = [name for name in tables if not name.startswith(("res_", "_"))]
    new = {
        name: dict(zip(net[name].index, rng.choice(9 * len(net[name]) + 5, len(net[name]),
                                                   replace=False).tolist(),
                       strict=True))
        for name in tables
    }  # fmt: skip
    copied = _empty(net.f_hz, net.sn_mva)
    for name in tables:
        frame = net[name].copy()
        for column in set(BUS_COLUMNS) & set(frame.columns):
            frame[column] = frame[column].map(new["bus"]).astype(net[name][column].dtype)
        if name == "switch":
            frame["element"] = [
                new[SWITCHED[et]][element] for et, element in zip(frame["et"], frame["element"], strict=True)
            ]
        frame.index = pd.Index([new[name][index] for index in frame.index], dtype=np.int64)
        copied[name] = frame.iloc[rng.permutation(len(frame))]
    if "trafo_characteristic_table" in net:
        copied["trafo_characteristic_table"] = net["trafo_characteristic_table"].copy()
    copied["original"] = {name: {n: o for o, n in numbers.items()} for name, numbers in new.items()}
    return copied


@cache
def _template() -> pp.pandapowerNet:
    return pp.create_empty_network()


def _empty(f_hz: float, sn_mva: float) -> pp.pandapowerNet:
    """An empty net; making one from nothing takes pandapower longer than solving a small grid."""
    net = copy.deepcopy(_template())
    net["f_hz"], net["sn_mva"] = f_hz, sn_mva
    return net


def _missing(column: str, dtype: np.dtype, size: int) -> pd.Series:
    """What pandapower writes if a column is not given."""
    if dtype == np.dtype(bool):
        return pd.Series([False] * size)
    if dtype.kind == "f":
        return pd.Series([0.0 if column.startswith("const_") else np.nan] * size)
    return pd.Series([None] * size, dtype=object if dtype == np.dtype(object) else dtype)
