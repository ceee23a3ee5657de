"""pandapower's JSON, read without running any code that the file names.

``pandapower.from_json`` imports the modules that a file names. Here the file is data: tables are taken
by a fixed list of names, their cells have to be plain scalars, and everything else is passed over.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from gridclear.case.cells import Faults, meant, quoted
from gridclear.case.grid_schema import AUXILIARY_TABLES, GRID_TABLES, UNSUPPORTED_TABLES
from gridclear.case.grid_tables import RawElements, RawGrid, raw_grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

    from gridclear.case.grid import Grid

#: The format that is written: that of pandapower 3.5.
_FORMAT_VERSION = "3.3.0"
_VERSION = "3.5.6"
_TABLES = (*GRID_TABLES, *UNSUPPORTED_TABLES, *AUXILIARY_TABLES)
#: Tables of a net that enter no power flow, and are known all the same.
_OTHERS = ("controller", "group", "measurement", "pwl_cost", "poly_cost", "characteristic", "std_types")


class _DoubledKeyError(ValueError):
    """A JSON object has the same key twice."""


class _Constant(str):
    """NaN or Infinity in the file: no JSON, and no number for any cell."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = next(key for key in keys if keys.count(key) > 1)
        raise _DoubledKeyError(f"the key {quoted(doubled)} is there twice")
    return found


def _parse(text: str, file: str, row: str, faults: Faults) -> Any:  # noqa: ANN401
    """Parse JSON strictly; None after a fault."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_Constant)
    except json.JSONDecodeError as error:
        faults.add(
            file,
            row or str(error.lineno),
            "",
            f"no JSON: {error.msg} (line {error.lineno})",
            "pandapower's JSON",
        )
    except _DoubledKeyError as error:
        faults.add(file, row, "", str(error), "each key once")
    except RecursionError:
        faults.add(file, row, "", "objects are nested too deeply", "pandapower's JSON")
    except ValueError as error:  # a whole number with thousands of digits
        faults.add(file, row, "", f"no JSON: {error}", "pandapower's JSON")
    return None


def read_pandapower_json(text: str, file: str, faults: Faults) -> RawGrid | None:
    """Read what ``pandapower.to_json(net)`` of pandapower 3 writes.

    Parameters
    ----------
    text : str
        Content of the file.
    file : str
        Name under which faults are reported.
    faults : Faults
        Takes what is found.

    Returns
    -------
    RawGrid or None
        None if it is no pandapower net at all.
    """
    content = _parse(text, file, "", faults)
    if content is None:
        return None
    net = (
        content.get("_object")
        if isinstance(content, dict) and content.get("_class") == "pandapowerNet"
        else None
    )
    if not isinstance(net, dict):
        faults.add(
            file,
            "",
            "",
            "the file holds no pandapower net",
            "the output of pandapower.to_json(net), pandapower 3",
        )
        return None
    tables: dict[str, RawElements] = {}
    for table in _TABLES:
        if table in net:
            elements = _read_table(net[table], file, table, faults)
            if elements is not None:
                tables[table] = elements
    _check_spelling(net, file, faults)
    if "bus" not in net:
        faults.add(file, "bus", "", "the table is missing", "the buses of the grid")
    return raw_grid(file, net, tables, faults)


def _check_spelling(net: Mapping[str, Any], file: str, faults: Faults) -> None:
    """Report a table of an unknown name that looks like one that is meant to count."""
    absent = [table for table in _TABLES if table not in net]
    for name, payload in net.items():
        is_table = isinstance(payload, dict) and payload.get("_class") == "DataFrame"
        if is_table and name not in _TABLES and name not in _OTHERS and not name.startswith(("res_", "_")):
            hint = meant(name, absent)
            if hint:
                faults.add(
                    file,
                    name,
                    "",
                    f"the table {quoted(name)} is unknown{hint}",
                    "pandapower's names of tables",
                )


def _read_table(payload: Any, file: str, table: str, faults: Faults) -> RawElements | None:  # noqa: ANN401
    if not (isinstance(payload, dict) and payload.get("_class") == "DataFrame"):
        faults.add(
            file, table, "", "the table is no DataFrame", "a DataFrame as pandapower.to_json writes it"
        )
        return None
    inner: Any = payload.get("_object")
    if isinstance(inner, str):
        before = len(faults.issues)
        inner = _parse(inner, file, table, faults)
        if len(faults.issues) > before:
            return None
    if not _is_split(inner):
        faults.add(
            file,
            table,
            "",
            "the table has no columns, index and data that fit together",
            'a DataFrame of orient "split"',
        )
        return None
    columns, rows = inner["columns"], inner["data"]
    if len(set(columns)) < len(columns):
        faults.add(file, table, "", "a column is there twice", "each column once")
        return None
    cells = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]
    return RawElements(inner["index"], dict(zip(columns, cells, strict=True)))


def _is_split(inner: Any) -> bool:  # noqa: ANN401
    if not (
        isinstance(inner, dict)
        and all(isinstance(inner.get(key), list) for key in ("columns", "index", "data"))
    ):
        return False
    columns, rows = inner["columns"], inner["data"]
    return (
        all(isinstance(name, str) for name in columns)
        and len(inner["index"]) == len(rows)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    )


def write_pandapower_json(grid: Grid) -> str:
    """Write a grid so that ``pandapower.from_json`` and :func:`read_pandapower_json` read it.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    str
        Numbers with all their digits (pandapower's own writer cuts them at 15 decimals).
    """
    content: dict[str, Any] = {
        table: _payload(frame) for table, frame in grid.tables.items() if len(frame) or table == "bus"
    }
    content |= {
        "version": _VERSION,
        "format_version": _FORMAT_VERSION,
        "name": grid.name,
        "f_hz": grid.f_hz,
        "sn_mva": grid.sn_mva,
    }
    net = {"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": content}
    return json.dumps(net, indent=1, allow_nan=False)


def _payload(frame: pd.DataFrame) -> dict[str, Any]:
    columns = {str(name): [_cell(cell) for cell in frame[name].tolist()] for name in frame.columns}
    data = [list(row) for row in zip(*columns.values(), strict=True)] if len(frame) else []
    split = {"columns": list(columns), "index": [int(index) for index in frame.index], "data": data}
    return {
        "_module": "pandas.core.frame",
        "_class": "DataFrame",
        "_object": json.dumps(split, allow_nan=False, separators=(",", ":")),
        "orient": "split",
        "dtype": {name: _dtype(frame[name].to_numpy()) for name in frame.columns},
        "is_multiindex": False,
        "is_multicolumn": False,
    }


def _dtype(values: np.ndarray) -> str:
    return {"b": "bool", "i": "int64", "f": "float64"}.get(values.dtype.kind, "object")


def _cell(cell: object) -> object:
    return None if isinstance(cell, float) and math.isnan(cell) else cell
