"""One table of a case: raw as it came, and read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.cells import Cells, Faults, Flags, Source, meant
from gridclear.case.columns import numbers, texts, times
from gridclear.case.horizon import TIME_DTYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.attributes import Column, Table


@dataclass(frozen=True)
class RawTable:
    """A table as it came, nothing converted.

    Attributes
    ----------
    source : Source
        Its file and what its rows are called.
    columns : mapping of name → cells, each (row,)
    broken : (row,) of bool
        Rows whose cells cannot be told apart (too many or too few); they have been reported.
    """

    source: Source
    columns: Mapping[str, Cells]
    broken: Flags


@dataclass(frozen=True)
class Sheet:
    """A table that has been read.

    Attributes
    ----------
    table : Table
        Its attributes.
    source : Source
    frame : DataFrame
        All columns of the contract in their dtypes: text ``str`` ("" for empty), numbers float64 (NaN for
        empty), stamps UTC. Cells that are wrong are empty too.
    ok : mapping of column → (row,) of bool
        Where the cell can be relied on.
    given : bool
        False if the case does not have the table.
    """

    table: Table
    source: Source
    frame: pd.DataFrame
    ok: Mapping[str, Flags]
    given: bool

    def good(self, *columns: str) -> Flags:
        """Rows in which all these columns can be relied on, (row,)."""
        good = np.ones(len(self.frame), dtype=bool)
        for column in columns:
            good &= self.ok[column]
        return good

    def filled(self, column: str) -> Flags:
        """Rows in which the number is given and right, (row,)."""
        return self.ok[column] & self.frame[column].notna().to_numpy()


def raw_from_frame(frame: object, argument: str, faults: Faults) -> RawTable | None:
    """Take a DataFrame that was given in memory.

    Parameters
    ----------
    frame : DataFrame
    argument : str
        Name under which its faults are reported.
    faults : Faults

    Returns
    -------
    RawTable or None
        None if it is not a DataFrame. Nothing is shared with the caller's data that is ever written to.
    """
    if not isinstance(frame, pd.DataFrame):
        faults.add(argument, "", "", f"a {type(frame).__name__} was given", "a pandas DataFrame")
        return None
    columns: dict[str, Cells] = {}
    for place, name in enumerate(frame.columns):
        if str(name) in columns:
            faults.add(argument, "", str(name), "the column is there twice", "each column once")
        else:
            columns[str(name)] = frame.iloc[:, place]
    return RawTable(Source(argument, frame.index.tolist()), columns, np.zeros(len(frame), dtype=bool))


def empty_sheet(table: Table, file: str) -> Sheet:
    """Stand in for a table that the case does not have."""
    nothing = np.zeros(0, dtype=bool)
    frame = _empty_frame(table).copy()
    return Sheet(
        table, Source(file, ()), frame, {column.name: nothing for column in table.columns}, given=False
    )


def checked_sheet(table: Table, frame: pd.DataFrame) -> Sheet:
    """Take a table of a case that has passed every check."""
    sure = np.ones(len(frame), dtype=bool)
    rows = Source(table.name, frame.index.tolist())
    return Sheet(table, rows, frame, {column.name: sure for column in table.columns}, given=True)


def read_sheet(raw: RawTable, table: Table, faults: Faults) -> Sheet:
    """Convert every column of a table, whatever is wrong with the others.

    Parameters
    ----------
    raw : RawTable
    table : Table
    faults : Faults
        Takes what is found.

    Returns
    -------
    Sheet
    """
    known = {column.name for column in table.columns}
    for name in raw.columns:
        if name not in known:
            missing = known - set(raw.columns)
            what = f"the column is unknown{meant(name, sorted(missing) or sorted(known))}"
            faults.add(
                raw.source.file,
                "",
                name,
                what,
                "one of " + ", ".join(column.name for column in table.columns),
            )
    data: dict[str, object] = {}
    ok: dict[str, Flags] = {}
    size = len(raw.broken)
    for column in table.columns:
        cells = raw.columns.get(column.name)
        if cells is None:
            data[column.name] = _blank(column, size)
            ok[column.name] = np.full(size, not column.required) & ~raw.broken
            if column.required:
                faults.add(raw.source.file, "", column.name, "the column is missing", column.expectation)
        elif column.kind == "time":
            data[column.name], ok[column.name] = times(cells, column, raw.source, faults, raw.broken)
        elif column.kind == "text":
            data[column.name], ok[column.name] = texts(cells, column, raw.source, faults, raw.broken)
        else:
            data[column.name], ok[column.name] = numbers(cells, column, raw.source, faults, raw.broken)
    frame = pd.DataFrame(
        {
            name: pd.Series(values, dtype=object) if isinstance(values, list) else values
            for name, values in data.items()
        }
    )
    for column in table.columns:
        # A word that an empty cell stands for is written out; numbers keep their NaN.
        if column.choices and column.default in column.choices:
            frame.loc[frame[column.name] == "", column.name] = column.default
    return Sheet(table, raw.source, frame, ok, given=True)


@cache
def _empty_frame(table: Table) -> pd.DataFrame:
    return pd.DataFrame({column.name: _blank(column, 0) for column in table.columns})


def _blank(column: Column, size: int) -> pd.Series:
    if column.kind == "time":
        return pd.Series(pd.DatetimeIndex([pd.NaT] * size, tz="UTC").astype(TIME_DTYPE))
    if column.kind == "text":
        return pd.Series([""] * size, dtype=object)
    return pd.Series(np.full(size, np.nan))
