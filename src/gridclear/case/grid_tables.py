"""Raw element tables → typed element tables."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from gridclear.case.cells import Cells, Faults, Flags, Source, as_list, as_text, is_empty, quoted
from gridclear.case.grid_schema import AUXILIARY_TABLES, GRID_TABLES, UNSUPPORTED_TABLES, GridColumn

#: pandapower writes this generation of its format since version 3.0.
FORMAT_GENERATION = 3
#: Options of runpp, which a net can carry, that change what is computed; gridclear follows the defaults.
_MODEL_OPTIONS: Mapping[str, object] = {
    "trafo_model": "t",
    "trafo3w_losses": "hv",
    "switch_rx_ratio": 2,
    "consider_line_temperature": False,
    "tdpf": False,
    "distributed_slack": False,
    "enforce_p_lims": False,
    "enforce_q_lims": False,
    "neglect_open_switch_branches": False,
    "check_connectivity": True,
    "voltage_depend_loads": True,
}
#: Columns of pandapower 2 that pandapower 3 obeys where the new one is missing.
_OLD_TAP_COLUMNS = {
    "tap_phase_shifter": "tap_changer_type",
    "tap2_phase_shifter": "tap2_changer_type",
    "tap_dependent_impedance": "tap_dependency_table",
}
_LARGEST_INDEX = 2**31 - 1
_ORIGIN_ID = GridColumn("origin_id", "text", empty=True)


@dataclass(frozen=True)
class RawElements:
    """One element table as it came.

    Attributes
    ----------
    index : list
        pandapower's index, as it came.
    columns : mapping of name → cells
    """

    index: list[Any]
    columns: Mapping[str, Cells]


@dataclass(frozen=True)
class RawGrid:
    """A grid as it came.

    Attributes
    ----------
    file : str
        ``grid.json``, or ``net`` for a net in memory.
    name : str
    tables : mapping of table name → RawElements
    sn_mva, f_hz : float
    """

    file: str
    name: str
    tables: Mapping[str, RawElements]
    sn_mva: float
    f_hz: float


def raw_grid_from_net(net: Any, argument: str, faults: Faults) -> RawGrid:  # noqa: ANN401
    """Take the tables of a pandapower net without changing it.

    Parameters
    ----------
    net : pandapowerNet
    argument : str
        Name under which its faults are reported.
    faults : Faults

    Returns
    -------
    RawGrid
    """
    tables: dict[str, RawElements] = {}
    if not (isinstance(net, Mapping) and isinstance(net.get("bus"), pd.DataFrame)):
        faults.add(argument, "", "", f"a {type(net).__name__} was given", "a pandapower net")
        return RawGrid(argument, "", tables, 1.0, 50.0)
    for table in (*GRID_TABLES, *UNSUPPORTED_TABLES, *AUXILIARY_TABLES):
        frame = net.get(table)
        if isinstance(frame, pd.DataFrame):
            # A net of pandapower has thirty tables, most of them empty: they cost nothing.
            names = frame.columns if len(frame) else ()
            columns = {str(name): frame.iloc[:, place] for place, name in enumerate(names)}
            tables[table] = RawElements(frame.index.tolist(), columns)
    return raw_grid(argument, net, tables, faults)


def raw_grid(
    file: str, scalars: Mapping[str, Any], tables: Mapping[str, RawElements], faults: Faults
) -> RawGrid:
    """Put element tables and the scalars of a net together.

    Parameters
    ----------
    file : str
    scalars : mapping
        ``name``, ``sn_mva``, ``f_hz``, ``format_version`` or ``version``.
    tables : mapping of table name → RawElements
    faults : Faults

    Returns
    -------
    RawGrid
    """
    version = scalars.get("format_version", scalars.get("version"))
    match = re.match(r"(\d+)\.", str(version))
    if match is None or int(match.group(1)) != FORMAT_GENERATION:
        faults.add(
            file,
            "",
            "format_version",
            f"the format version is {quoted(version)}",
            "3.x: read the net with pandapower 3, from_json(..., convert=True), and save it again",
        )
    options = scalars.get("user_pf_options")
    for name, value in _MODEL_OPTIONS.items():
        asked = options.get(name, value) if isinstance(options, Mapping) else value
        if asked != value:
            what = f"the net asks runpp for {name} = {quoted(asked)}"
            faults.add(file, "", "user_pf_options", what, f"pandapower's default, {value!r}")
    base = _positive_scalar(file, "sn_mva", scalars.get("sn_mva", 1.0), faults)
    frequency = _positive_scalar(file, "f_hz", scalars.get("f_hz", 50.0), faults)
    return RawGrid(file, as_text(scalars.get("name")), tables, base, frequency)


def _positive_scalar(file: str, name: str, value: object, faults: Faults) -> float:
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        number = _number(value)
        if math.isfinite(number) and number > 0:
            return number
    faults.add(file, "", name, f"{quoted(value)} is not allowed", "a finite number > 0")
    return 1.0


def read_grid_tables(raw: RawGrid, faults: Faults) -> dict[str, pd.DataFrame]:
    """Convert every column of every element table, whatever is wrong with the others.

    Parameters
    ----------
    raw : RawGrid
    faults : Faults
        Takes what is found.

    Returns
    -------
    dict of table name → DataFrame
        Wrong cells hold NaN, -1 (bus), False or None.
    """
    tables: dict[str, pd.DataFrame] = {}
    for table, schema in GRID_TABLES.items():
        elements = raw.tables.get(table)
        if elements is None or not elements.index:
            tables[table] = _no_elements(table).copy()
        else:
            tables[table] = _read_elements(raw.file, table, elements, schema, faults)
    for table in ("trafo", "trafo3w"):
        columns = raw.tables[table].columns if table in raw.tables else {}
        for old, new in _OLD_TAP_COLUMNS.items():
            if new not in columns and old in columns and _obeyed(old, columns[old]):
                faults.add(raw.file, table, new, f"the column is missing, {old} is there", f"{new} instead")
    for table in UNSUPPORTED_TABLES:
        if table in raw.tables:
            _refuse_in_service(raw.file, table, raw.tables[table], faults)
    for table, schema in AUXILIARY_TABLES.items():
        if table in raw.tables and raw.tables[table].index:
            tables[table] = _read_elements(raw.file, table, raw.tables[table], schema, faults)
    return tables


def _obeyed(column: str, cells: Cells) -> bool:
    # A phase shifter that is none is a tap changer of ratio; an impedance that is not dependent is nothing.
    return column != "tap_dependent_impedance" or any(cell is True or cell == 1 for cell in as_list(cells))


@cache
def _no_elements(table: str) -> pd.DataFrame:
    frame = pd.DataFrame({column.name: _absent(column, 0) for column in GRID_TABLES[table]})
    frame.index = pd.Index([], dtype=np.int64)
    return frame


def element_row(table: str, name: object, index: object) -> str:
    """How an element is called in an issue: ``trafo 'T1'``, or ``trafo 3`` without a name."""
    text = as_text(name)
    return f"{table} '{text}'" if text else f"{table} {index}"


def _element_rows(table: str, elements: RawElements) -> list[str]:
    names = as_list(elements.columns["name"]) if "name" in elements.columns else [None] * len(elements.index)
    return [element_row(table, name, index) for name, index in zip(names, elements.index, strict=True)]


def _refuse_in_service(file: str, table: str, elements: RawElements, faults: Faults) -> None:
    size = len(elements.index)
    in_service = (
        as_list(elements.columns["in_service"]) if "in_service" in elements.columns else [True] * size
    )
    source = Source(file, _element_rows(table, elements))
    active = np.array([is_empty(flag) or bool(flag) for flag in in_service], dtype=bool)
    faults.rows(
        source,
        active,
        "",
        lambda _: f"an element of table '{table}' is in service",
        "none: gridclear cannot represent it yet",
    )


def _read_elements(
    file: str, table: str, elements: RawElements, schema: tuple[GridColumn, ...], faults: Faults
) -> pd.DataFrame:
    source = Source(file, _element_rows(table, elements))
    index, usable = _read_index(source, elements.index, faults)
    data: dict[str, object] = {}
    for column in schema:
        cells = elements.columns.get(column.name)
        if cells is not None:
            data[column.name] = _READERS[column.kind](cells, column, source, faults)
        else:
            if not column.empty and column.default is None:
                faults.add(file, table, column.name, "the column is missing", column.expectation)
            data[column.name] = _absent(column, len(elements.index))
    for name, cells in elements.columns.items():
        if name not in data:
            values = _read_text(cells, _ORIGIN_ID, source, faults) if name == "origin_id" else _plain(cells)
            if values is not None:
                data[name] = values
    frame = pd.DataFrame(data, index=pd.RangeIndex(len(index)))
    frame.index = pd.Index(index, dtype=np.int64)
    return frame[usable]


def _read_index(source: Source, given: list[Any], faults: Faults) -> tuple[list[int], Flags]:
    right = np.array(
        [
            isinstance(i, int | np.integer) and not isinstance(i, bool) and 0 <= i <= _LARGEST_INDEX
            for i in given
        ],
        dtype=bool,
    )
    faults.rows(
        source, ~right, "index", lambda row: f"{quoted(given[row])} is not an index", "a whole number >= 0"
    )
    index = [
        int(i) if ok else -1 - place for place, (i, ok) in enumerate(zip(given, right.tolist(), strict=True))
    ]
    doubled = pd.Index(index, dtype=np.int64).duplicated()
    faults.rows(
        source, doubled, "index", lambda row: f"the index {index[row]} is there twice", "each index once"
    )
    return index, right & ~doubled


def _absent(column: GridColumn, size: int) -> object:
    if column.kind == "text":
        return pd.Series([None] * size, dtype=object)
    if column.kind == "flag":
        return np.full(size, bool(column.default))
    if column.kind in ("bus", "whole"):
        return np.full(size, -1 if column.default is None else int(column.default), dtype=np.int64)
    return np.full(size, np.nan if column.default is None else float(column.default))


def _read_number(cells: Cells, column: GridColumn, source: Source, faults: Faults) -> np.ndarray:
    if isinstance(cells, pd.Series) and cells.dtype == np.float64:
        values = cells.to_numpy(copy=True)
        empty = np.isnan(values)
        wrong = np.isinf(values)
    else:
        given = as_list(cells)
        if set(map(type, given)) <= {float, type(None)}:
            values = np.array(given, dtype=np.float64)  # None becomes NaN
            empty = np.isnan(values)
        else:
            empty = np.array([is_empty(cell) for cell in given], dtype=bool)
            values = np.array([_number(cell) for cell in given], dtype=np.float64)
        wrong = ~np.isfinite(values) & ~empty
    outside = ((values <= column.low) if column.above else (values < column.low)) | (values > column.high)
    wrong |= outside & ~empty
    if column.kind in ("bus", "whole"):
        wrong |= ~empty & ((values != np.round(values)) | (values > _LARGEST_INDEX))
    if wrong.any():
        shown = as_list(cells)
        faults.rows(
            source, wrong, column.name, lambda row: f"{quoted(shown[row])} is not allowed", column.expectation
        )
    if not column.empty and empty.any():
        faults.rows(source, empty, column.name, lambda _: "the cell is empty (NaN)", column.expectation)
    return np.where(wrong & ~outside, np.nan, values)


def _number(cell: object) -> float:
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, int | float | np.integer | np.floating):
        return math.nan
    try:
        return float(cell)
    except OverflowError:
        return math.inf


def _read_whole(cells: Cells, column: GridColumn, source: Source, faults: Faults) -> np.ndarray:
    values = _read_number(cells, column, source, faults)
    right = (values >= 0) & (values <= _LARGEST_INDEX) & (values == np.round(values))
    return np.where(right, values, -1.0).astype(np.int64)


def _read_flag(cells: Cells, column: GridColumn, source: Source, faults: Faults) -> np.ndarray:
    given = as_list(cells)
    if set(map(type, given)) <= {bool}:
        return np.array(given, dtype=bool)
    right = [isinstance(cell, bool | np.bool_) or _is_zero_or_one(cell) for cell in given]
    empty = [column.empty and is_empty(cell) for cell in given]
    wrong = np.array([not (a or b) for a, b in zip(right, empty, strict=True)], dtype=bool)
    faults.rows(
        source, wrong, column.name, lambda row: f"{quoted(given[row])} is not allowed", column.expectation
    )
    return np.array(
        [bool(cell) if ok else bool(column.default) for cell, ok in zip(given, right, strict=True)],
        dtype=bool,
    )


def _is_zero_or_one(cell: object) -> bool:
    """Accept 0 and 1 as flags: some writers put flags into number columns."""
    return isinstance(cell, int | float | np.integer | np.floating) and cell in (0, 1)


def _read_text(cells: Cells, column: GridColumn, source: Source, faults: Faults) -> pd.Series:
    given = as_list(cells)
    plain = set(map(type, given)) <= {str, type(None)}
    values = [cell or None for cell in given] if plain else [_text(cell) for cell in given]
    if not column.empty:
        empty = np.array([not value for value in values], dtype=bool)
        faults.rows(source, empty, column.name, lambda _: "the cell is empty", column.expectation)
    return pd.Series(values, dtype=object)


def _text(cell: object) -> str | None:
    if isinstance(cell, dict | list):  # GeoJSON, which pandapower keeps as text or as an object
        return json.dumps(cell, sort_keys=True)
    return as_text(cell) or None


def _plain(cells: Cells) -> np.ndarray | pd.Series | None:
    """Keep a column that the schema does not know: flags, numbers or texts; None for anything else."""
    given = as_list(cells)
    if set(map(type, given)) == {float}:
        return np.array(given, dtype=np.float64)
    given = [None if is_empty(cell) else cell for cell in given]
    present = [cell for cell in given if cell is not None]
    if all(isinstance(cell, bool | np.bool_) for cell in present) and len(present) == len(given) and given:
        return np.array(given, dtype=bool)
    if all(
        isinstance(c, int | float | np.integer | np.floating) and not isinstance(c, bool) for c in present
    ):
        return np.array([math.nan if cell is None else _number(cell) for cell in given], dtype=np.float64)
    if all(isinstance(cell, str | int | float | np.integer | np.floating | np.bool_) for cell in present):
        return pd.Series([None if cell is None else as_text(cell) for cell in given], dtype=object)
    return None


_READERS = {
    "bus": _read_whole,
    "whole": _read_whole,
    "number": _read_number,
    "flag": _read_flag,
    "text": _read_text,
}
