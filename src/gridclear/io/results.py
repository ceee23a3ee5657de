"""Result folders: one file per table, and ``result.json`` that says what they are.

``result.json`` is written last and names every table with its rows, the kind of every column and the SHA-256
of its file. A folder whose files do not add up to their ``result.json`` was left by an interrupted write or
changed afterwards, and `read_result` refuses it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import CaseError, Issue, OptionError
from gridclear.io.files import write_together

if TYPE_CHECKING:
    from gridclear.io.tables import TableFormat

SUMMARY_FILE = "result.json"
_TWIN = ((".csv", ".parquet"), (".parquet", ".csv"))
_TABLE_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class StoredResult:
    """What a result folder holds.

    Attributes
    ----------
    tables : mapping of str to DataFrame
        The tables by name; ``start`` and every other time is a UTC time stamp.
    status : str
        How the job ended.
    provenance : mapping of str to object
        Versions, options, content hash of the case, seconds per phase, as JSON knows them.
    """

    tables: Mapping[str, pd.DataFrame]
    status: str
    provenance: Mapping[str, object]


def write_result(
    folder: Path | str,
    tables: Mapping[str, pd.DataFrame],
    status: str,
    provenance: Mapping[str, object],
    format: TableFormat = "csv",  # noqa: A002
) -> Path:
    """Write the tables of a result and ``result.json``; each file appears whole or not at all.

    Everything is rendered before the first file is touched, so a table that cannot be written leaves the
    folder as it was. The same table in the other format, left by an earlier run, is removed.

    Parameters
    ----------
    folder : path
        Where to write; made with its parents if it is not there.
    tables : mapping of str to DataFrame
        Table by name (lower-case letters, digits and ``_``). The index is not written. Times must be
        time-zone aware; they are written in UTC, ISO 8601, ending in ``Z``. Floating-point numbers are
        written with all their digits; an empty field is NaN in a number and "" in a text.
    status : str
        How the job ended.
    provenance : mapping of str to object
        Anything that `jsonable` understands.
    format : {"csv", "parquet"}
        Parquet needs the extra ``parquet``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OptionError
        For an unknown format, Parquet without pyarrow, or a folder that is a file.
    ValueError
        For a table name that is no plain name, or a time without a time zone.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        msg = f"cannot write to '{folder}': it is a file; name a folder"
        raise OptionError(msg)
    files: dict[str, bytes] = {}
    described: dict[str, object] = {}
    for name, table in tables.items():
        file, content = _render(name, table, format)
        files[file] = content
        described[name] = {
            "file": file,
            "rows": len(table),
            "sha256": hashlib.sha256(content).hexdigest(),
            "columns": {str(column): _kind(table[column]) for column in table.columns},
        }
    summary = {"status": status, "tables": described, "provenance": jsonable(provenance)}
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    files[SUMMARY_FILE] = text.encode()
    twins = [name.replace(suffix, twin) for name in files for suffix, twin in _TWIN if name.endswith(suffix)]
    folder.mkdir(parents=True, exist_ok=True)
    write_together(folder, files, seal=SUMMARY_FILE, stale=twins)
    return folder


def read_result(folder: Path | str) -> StoredResult:
    """Read a result folder back, exactly as it was written.

    Parameters
    ----------
    folder : path
        A folder that `write_result` made.

    Returns
    -------
    StoredResult

    Raises
    ------
    CaseError
        If ``result.json`` is missing or unreadable, or a file is missing or is not the one it describes.
    """
    folder = Path(folder)
    try:
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        described = {
            str(name): (str(entry["file"]), str(entry["sha256"]), dict(entry["columns"]))
            for name, entry in summary["tables"].items()
        }
        status, provenance = str(summary["status"]), dict(summary["provenance"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        what = f"'{folder}' cannot be read as a result ({type(fault).__name__})"
        raise CaseError((Issue(SUMMARY_FILE, "", "", what, "a folder that a job has written"),)) from fault
    tables: dict[str, pd.DataFrame] = {}
    issues: list[Issue] = []
    for name, (file, digest, columns) in described.items():
        # No path from an identifier: the file must lie in this very folder, under its plain name.
        path = folder / PurePath(file).name
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != digest:
            issues.append(
                Issue(file, "", "", "is not the file that result.json describes", "an unchanged result")
            )
            continue
        tables[name] = _parse(content, columns, is_parquet=file.endswith(".parquet"))
    if issues:
        raise CaseError(tuple(sorted(issues)))
    return StoredResult(tables, status, provenance)


def jsonable(value: object) -> object:
    """Turn a value into what JSON knows: NaN and infinities to None, times to ISO 8601 (UTC with ``Z``).

    Parameters
    ----------
    value : object
        None, bool, numbers (NumPy's too), text, times, time spans (to seconds), paths, and mappings,
        sequences, sets and arrays of those.

    Raises
    ------
    TypeError
        For anything else: a result must not be stored as the accident of its ``repr``.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | pd.Index | pd.Series):
        return [jsonable(entry) for entry in value.tolist()]
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted((jsonable(entry) for entry in value), key=str)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        stamp = pd.Timestamp(value)
        return (
            stamp.isoformat()
            if stamp.tz is None
            else stamp.tz_convert("UTC").isoformat().replace("+00:00", "Z")
        )
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, PurePath):
        return str(value)
    msg = f"{type(value).__name__} has no place in a result's provenance"
    raise TypeError(msg)


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Rows of a table as JSON objects, one per row, columns in their order.

    Parameters
    ----------
    table : DataFrame
        Any result table; times become ISO 8601 with ``Z``, NaN becomes None.
    """
    columns = {str(name): jsonable(table[name]) for name in table.columns}
    rows = zip(*(column for column in columns.values() if isinstance(column, list)), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _kind(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
        return "time"
    if pd.api.types.is_bool_dtype(column.dtype):
        return "flag"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "whole"
    return "number" if pd.api.types.is_float_dtype(column.dtype) else "text"


def _render(name: str, table: pd.DataFrame, format_: str) -> tuple[str, bytes]:
    """Name and content of the file of one table."""
    if not _TABLE_NAME.fullmatch(name):
        msg = f"'{name}' is no name for a table"
        raise ValueError(msg)
    plain = {str(label): _plain(table[label]) for label in table.columns}
    frame = pd.DataFrame(plain, columns=list(plain)).reset_index(drop=True)
    if format_ == "csv":
        for label in frame.columns:
            if _kind(frame[label]) == "time":
                frame[label] = _stamps(frame[label])
        return f"{name}.csv", frame.to_csv(index=False, lineterminator="\n").encode()
    if format_ == "parquet":
        buffer = io.BytesIO()
        try:
            frame.to_parquet(buffer, engine="pyarrow", index=False)
        except ImportError as fault:
            msg = "Parquet needs pyarrow, which is missing: pip install 'gridclear[parquet]', or write CSV"
            raise OptionError(msg) from fault
        return f"{name}.parquet", buffer.getvalue()
    msg = f"unknown format '{format_}': 'csv' or 'parquet'"
    raise OptionError(msg)


def _plain(column: pd.Series) -> pd.Series:
    """Bring a column to one of the five kinds: times to UTC, a missing text to ""."""
    kind = _kind(column)
    if kind == "time":
        if not isinstance(column.dtype, pd.DatetimeTZDtype):
            msg = f"the times of '{column.name}' have no time zone"
            raise ValueError(msg)
        in_utc: pd.Series = column.dt.tz_convert("UTC")
        return in_utc
    return column.where(column.notna(), "").astype(str).astype(object) if kind == "text" else column


def _stamps(column: pd.Series) -> pd.Series:
    """UTC times as text; the fraction of a second is written only where there is one."""
    whole = bool((column.dropna() == column.dropna().dt.floor("s")).all())
    texts: pd.Series = column.dt.strftime("%Y-%m-%dT%H:%M:%SZ" if whole else "%Y-%m-%dT%H:%M:%S.%fZ")
    return texts.fillna("")


def _parse(content: bytes, columns: Mapping[str, str], *, is_parquet: bool) -> pd.DataFrame:
    if is_parquet:
        return pd.read_parquet(io.BytesIO(content), engine="pyarrow")
    # Everything as text first: no parser may take the bid "007" for a number or "NA" for a gap.
    frame = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    for label, kind in columns.items():
        if kind == "time":
            frame[label] = pd.to_datetime(frame[label].replace("", None), utc=True, format="ISO8601")
        elif kind == "number":
            frame[label] = [float(text) if text else math.nan for text in frame[label]]
            frame[label] = frame[label].astype(float)
        elif kind == "whole":
            frame[label] = frame[label].astype(np.int64)
        elif kind == "flag":
            frame[label] = frame[label] == "True"
    return frame
