"""Tables of a case folder: CSV and Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from gridclear.case.cells import Cells, Faults, Flags, Source, quoted
from gridclear.case.schema import TABLES
from gridclear.case.sheets import RawTable, raw_from_frame
from gridclear.errors import OptionError
from gridclear.io.files import LARGEST_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gridclear.case.attributes import Table

TableFormat = Literal["csv", "parquet"]
#: Separators that spreadsheets write where the comma is the decimal sign.
_OTHER_SEPARATORS = (";", "\t", "|")
#: More rows than 1,000 bids in each quarter-hour of a year have.
_MOST_ROWS = 50_000_000
#: Whole numbers below this are written without ``.0`` or exponent.
_WHOLE = 1e15
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_TWO_HALVES = re.compile(r"\d+")


def read_bytes(path: Path, faults: Faults) -> bytes | None:
    """Read a file of bounded size; None after a fault."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        faults.add(path.name, "", "", f"the file cannot be read: {error.strerror}", "a readable file")
        return None
    if len(data) > LARGEST_FILE:
        what = f"the file is larger than {LARGEST_FILE} bytes"
        faults.add(path.name, "", "", what, "a file of at most that size")
        return None
    return data


def read_text(path: Path, faults: Faults) -> str | None:
    """Read a text in UTF-8, with or without byte order mark; None after a fault."""
    data = read_bytes(path, faults)
    if data is None:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add(path.name, str(line), "", f"byte {data[error.start]:#04x} is no UTF-8", "a text in UTF-8")
        return None


def read_table(folder: Path, table: Table, faults: Faults) -> RawTable | None:
    """Read one table of a case folder, nothing converted.

    Parameters
    ----------
    folder : Path
    table : Table
    faults : Faults
        Takes what is found.

    Returns
    -------
    RawTable or None
        None if the folder does not have it, or if it cannot be read. Parquet goes before CSV.
    """
    for suffix, read in ((".parquet", _read_parquet), (".csv", read_csv)):
        path = folder / f"{table.name}{suffix}"
        if path.is_file():
            return read(path, table, faults)
        if path.exists():
            faults.add(path.name, "", "", "it is no file", "a file")
    return None


def read_csv(path: Path, table: Table, faults: Faults) -> RawTable | None:
    """Read a CSV file: every cell as text, every row with its line number.

    Parameters, result: see :func:`read_table`.
    """
    content = read_text(path, faults)
    if content is None:
        return None
    first = content.replace("\r", "\n").partition("\n")[0]
    other = next((sign for sign in _OTHER_SEPARATORS if "," not in first and sign in first), None)
    if other is not None:
        what = f"the cells are separated by {quoted(other)}"
        faults.add(path.name, "1", "", what, "cells separated by commas")
        return None
    header, columns, lines = _split_plain(content)
    ragged = np.zeros(len(lines), dtype=bool)
    if not header:
        rows, lines = _split_quoted(path.name, content, faults)
        if not rows:
            faults.add(path.name, "", "", "the file has no header", "the header " + _header(table))
            return None
        header, lines = rows[0], lines[1:]
        ragged = np.array([len(row) != len(header) for row in rows[1:]], dtype=bool)
        columns = _pad(path.name, header, rows[1:], lines, ragged, faults)
    named: dict[str, Cells] = {}
    for name, cells in zip(header, columns, strict=True):
        if name in named:
            faults.add(path.name, "1", name, "the column is there twice", "each column once")
        else:
            named[name] = cells
    return RawTable(Source(path.name, lines), named, ragged)


def _split_plain(content: str) -> tuple[list[str], list[list[str]], Sequence[int]]:
    """Split a text without quotation marks, gaps and ragged rows: header, columns, lines; else no header.

    The whole text is split at once: a table of bids has 10⁵ cells and more, and start-up time counts.
    """
    text = content.replace("\r\n", "\n").removesuffix("\n")
    lines = text.split("\n")
    commas = lines[0].count(",")
    if '"' in text or "\r" in text or "" in lines or any(line.count(",") != commas for line in lines):
        return [], [], ()
    width = commas + 1
    cells = text.replace("\n", ",").split(",")
    return cells[:width], [cells[width + place :: width] for place in range(width)], range(2, len(lines) + 1)


def _split_quoted(file: str, content: str, faults: Faults) -> tuple[list[list[str]], list[int]]:
    """Rows (header first) and their line numbers, up to the first fault of the format."""
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    line = 1
    try:
        for row in reader:
            if row:
                lines.append(line)
                rows.append(row)
            line = reader.line_num + 1
    except csv.Error as error:
        faults.add(
            file, str(line), "", f"no CSV: {error}", "cells separated by commas, quotation marks in pairs"
        )
    return rows, lines


def _pad(
    file: str, header: list[str], rows: list[list[str]], lines: list[int], ragged: Flags, faults: Faults
) -> list[list[str]]:
    """Columns; rows with too few or too many cells are reported, and brought to the width of the header."""
    width = len(header)
    if ragged.any():
        expected = f"{width} cells, as in the header"
        faults.rows(Source(file, lines), ragged, "", lambda row: _why_ragged(rows[row], width), expected)
        rows = [(row + [""] * (width - len(row)))[:width] for row in rows]
    return [list(cells) for cells in zip(*rows, strict=True)] if rows else [[] for _ in header]


def _header(table: Table) -> str:
    return ",".join(column.name for column in table.columns)


def _why_ragged(row: list[str], width: int) -> str:
    halves = [
        f"{a},{b}"
        for a, b in itertools.pairwise(row)
        if _TWO_HALVES.fullmatch(a) and _TWO_HALVES.fullmatch(b)
    ]
    hint = f"; {quoted(halves[0])} may be a decimal comma" if len(row) > width and halves else ""
    return f"the row has {len(row)} cell{'s' if len(row) != 1 else ''}{hint}"


def _read_parquet(path: Path, table: Table, faults: Faults) -> RawTable | None:
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        faults.add(
            path.name,
            "",
            "",
            "reading Parquet needs pyarrow",
            f"gridclear[parquet] installed, or {table.name}.csv",
        )
        return None
    if path.stat().st_size > LARGEST_FILE:
        faults.add(
            path.name, "", "", f"the file is larger than {LARGEST_FILE} bytes", "a file of at most that size"
        )
        return None
    try:
        with parquet.ParquetFile(path) as stored:
            if stored.metadata.num_rows > _MOST_ROWS:
                faults.add(
                    path.name, "", "", f"it has {stored.metadata.num_rows} rows", f"at most {_MOST_ROWS}"
                )
                return None
            content = stored.read()
        # Column by column: what the file says about pandas is not followed.
        names = [str(name) for name in content.column_names]
        frame = pd.DataFrame({place: content.column(place).to_pandas() for place in range(len(names))})
    except (pa.ArrowException, OSError, ValueError) as error:
        faults.add(path.name, "", "", f"no Parquet: {str(error).splitlines()[0][:120]}", "a Parquet file")
        return None
    frame.columns = pd.Index(names)
    return raw_from_frame(frame, path.name, faults)


def table_bytes(frame: pd.DataFrame, name: str, file_format: TableFormat) -> bytes:
    """Render a table of a case; columns without any content are left out unless they are required.

    Parameters
    ----------
    frame : DataFrame
        All columns of the schema.
    name : str
        Name of the table.
    file_format : {"csv", "parquet"}

    Returns
    -------
    bytes
        Numbers with all their digits, stamps in UTC.

    Raises
    ------
    OptionError
        Parquet needs pyarrow, which is not installed.
    """
    columns = [
        column.name for column in TABLES[name].columns if column.required or _has_content(frame[column.name])
    ]
    if file_format == "csv":
        return _csv_text(frame[columns]).encode("utf-8")
    target = io.BytesIO()
    try:
        frame[columns].to_parquet(target, index=False, engine="pyarrow")
    except ImportError as error:
        raise OptionError("format 'parquet' needs pyarrow: install gridclear[parquet]") from error
    return target.getvalue()


def _has_content(cells: pd.Series) -> bool:
    return bool((cells.notna() & (cells != "")).any())


def _csv_text(frame: pd.DataFrame) -> str:
    rows = zip(*(_as_text(frame[name]) for name in frame.columns), strict=True)
    return "".join(",".join(row) + "\n" for row in ([str(name) for name in frame.columns], *rows))


def _as_text(cells: pd.Series) -> list[str]:
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        codes, uniques = pd.factorize(cells)
        words = [stamp_text(stamp) for stamp in pd.DatetimeIndex(uniques)]
        return [words[code] for code in codes]
    if cells.dtype == object:
        return [_quoted_cell(text) for text in cells.tolist()]
    return ["" if math.isnan(value) else _shortest(value) for value in cells.tolist()]


def _quoted_cell(text: str) -> str:
    """Quote a cell where it has to be; Python's own writer leaves a carriage return bare."""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def stamp_text(stamp: pd.Timestamp) -> str:
    """Write a UTC stamp in ISO 8601 with a Z."""
    return stamp.isoformat().replace("+00:00", "Z")


def _shortest(value: float) -> str:
    """Write the shortest text that reads back as the same float."""
    return repr(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)
