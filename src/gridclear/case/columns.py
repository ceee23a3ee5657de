"""Raw cells of one column → typed values, with every fault named by row and column."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.case.cells import (
    Cells,
    Faults,
    Flags,
    Floats,
    Guess,
    Source,
    as_list,
    as_text,
    is_empty,
    quoted,
)
from gridclear.case.horizon import parse_stamp

if TYPE_CHECKING:
    from gridclear.case.attributes import Column

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


# ---------------------------------------------------------------------------------------------------- numbers
def numbers(
    cells: Cells, column: Column, source: Source, faults: Faults, skip: Flags
) -> tuple[Floats, Flags]:
    """Read a column of numbers.

    Parameters
    ----------
    cells : list or Series, (row,)
    column : Column
        Says whether cells may be empty, the range, and whether the numbers have to be whole.
    source : Source
    faults : Faults
        Takes what is found.
    skip : (row,) of bool
        Rows that are known to be broken: read if possible, never reported.

    Returns
    -------
    values : (row,) of float64
        NaN where the cell is empty or wrong.
    ok : (row,) of bool
        Where the cell holds what it may hold (an empty optional cell does).
    """
    values, empty, wrong = _read_numbers(cells)
    ok = ~wrong & ~skip
    if wrong.any():
        given = as_list(cells)
        faults.rows(
            source, wrong & ~skip, column.name, lambda row: _why_no_number(given[row]), column.expectation
        )
    if column.required and empty.any():
        faults.rows(source, empty & ~skip, column.name, lambda _: "the cell is empty", column.expectation)
        ok &= ~empty
    filled = ok & ~empty
    outside = filled & ((values <= column.low) if column.above else (values < column.low))
    outside |= filled & ((values >= column.high) if column.below else (values > column.high))
    if column.kind == "whole":
        outside |= filled & (values != np.round(values))
    if outside.any():
        faults.rows(
            source, outside, column.name, lambda row: f"{values[row]:.12g} is not allowed", column.expectation
        )
    return np.where(wrong, np.nan, values), ok & ~outside


def _read_numbers(cells: Cells) -> tuple[Floats, Flags, Flags]:
    """Values, where empty, where wrong."""
    if (
        isinstance(cells, pd.Series)
        and pd.api.types.is_numeric_dtype(cells)
        and not pd.api.types.is_bool_dtype(cells)
    ):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        return values, np.isnan(values), np.isinf(values)
    given = as_list(cells)
    values = np.full(len(given), np.nan)
    if _all_plain_text(given):
        try:
            # Two loops: a test in the comprehension would slow down the column that has no gap.
            values = np.array(
                [float(cell) for cell in given]
                if "" not in given
                else [float(cell) if cell else math.nan for cell in given],
                dtype=np.float64,
            )
        except ValueError:
            pass
        else:
            empty = np.array([not cell for cell in given], dtype=bool)
            return values, empty, ~np.isfinite(values) & ~empty
    empty = np.zeros(len(given), dtype=bool)
    for row, cell in enumerate(given):
        if is_empty(cell):
            empty[row] = True
        elif isinstance(cell, str):
            values[row] = float(cell) if _NUMBER.fullmatch(cell.strip()) else math.nan
        elif isinstance(cell, int | float | Decimal | np.integer | np.floating) and not isinstance(
            cell, bool
        ):
            values[row] = _as_float(cell)
    return values, empty, ~np.isfinite(values) & ~empty


def _all_plain_text(given: list[Any]) -> bool:
    """Whether float() may be trusted: it also reads "1_000" and digits of other scripts."""
    try:
        joined = "".join(given)
    except TypeError:
        return False
    return joined.isascii() and "_" not in joined


def _as_float(cell: Any) -> float:  # noqa: ANN401
    try:
        return float(cell)
    except OverflowError:
        return math.inf


def _why_no_number(cell: object) -> str:
    if isinstance(cell, str) and _DECIMAL_COMMA.fullmatch(cell.strip()):
        return f"{quoted(cell)} has a decimal comma"
    text = str(cell).strip().lower().lstrip("+-")
    if text in ("nan", "inf", "infinity"):
        return f"{quoted(cell)} is not finite"
    return f"{quoted(cell)} is not a {'finite ' if _NUMBER.fullmatch(text) else ''}number"


# ------------------------------------------------------------------------------------------------------ texts
def texts(
    cells: Cells, column: Column, source: Source, faults: Faults, skip: Flags
) -> tuple[list[str], Flags]:
    """Read a column of texts.

    Parameters and second result as for :func:`numbers`; empty optional cells become ``""``.

    Returns
    -------
    values : list of str, (row,)
    ok : (row,) of bool
    """
    given = as_list(cells)
    values: list[str] = given if _is_text(given) else [as_text(cell) for cell in given]
    ok = ~skip
    found = set(values)
    if column.required and "" in found:
        empty = np.array([not value for value in values], dtype=bool)
        faults.rows(source, empty & ~skip, column.name, lambda _: "the cell is empty", column.expectation)
        ok = ok & ~empty
    unknown = found - set(column.choices) - {""} if column.choices else set()
    if unknown:
        wrong = np.array([value in unknown for value in values], dtype=bool)
        guess = Guess(column.choices)
        faults.rows(
            source,
            wrong & ~skip,
            column.name,
            lambda row: f"{quoted(values[row])} is unknown{guess(values[row])}",
            column.expectation,
        )
        ok = ok & ~wrong
    return values, ok


def _is_text(given: list[Any]) -> bool:
    try:
        "".join(given)
    except TypeError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------ times
def times(
    cells: Cells, column: Column, source: Source, faults: Faults, skip: Flags
) -> tuple[pd.DatetimeIndex, Flags]:
    """Read a column of time stamps.

    Parameters and second result as for :func:`numbers`; a stamp without offset from UTC is a fault.

    Returns
    -------
    values : DatetimeIndex, (row,), UTC
        NaT where the cell is empty or wrong.
    ok : (row,) of bool
    """
    index = _as_utc(cells) if isinstance(cells, pd.Series) else None
    if index is not None:
        empty = np.asarray(index.isna(), dtype=bool)
        faults.rows(source, empty & ~skip, column.name, lambda _: "the cell is empty", column.expectation)
        return index, ~empty & ~skip
    given = as_list(cells)
    keys = (
        given
        if _is_text(given)
        else [cell if isinstance(cell, str | datetime) else str(cell) for cell in given]
    )
    stamps = {key: parse_stamp(key) for key in set(keys)}
    read = {key: pd.NaT.value if stamp is None else stamp.value for key, stamp in stamps.items()}
    values = np.array([read[key] for key in keys], dtype=np.int64)
    index = pd.DatetimeIndex(pd.to_datetime(values, utc=True))
    wrong = values == pd.NaT.value
    faults.rows(source, wrong & ~skip, column.name, lambda row: _why_no_stamp(given[row]), column.expectation)
    return index, ~wrong & ~skip


def _as_utc(cells: pd.Series) -> pd.DatetimeIndex | None:
    """Convert a column of aware stamps at once; None where cell by cell is the way."""
    if not isinstance(cells.dtype, pd.DatetimeTZDtype):
        return None
    try:
        return pd.DatetimeIndex(cells.dt.tz_convert("UTC").dt.as_unit("ns"))
    except pd.errors.OutOfBoundsDatetime:
        return None


def _why_no_stamp(cell: object) -> str:
    if is_empty(cell):
        return "the cell is empty"
    try:
        moment = datetime.fromisoformat(cell) if isinstance(cell, str) else cell
    except ValueError:
        return f"{quoted(cell)} is not a time stamp"
    if not isinstance(moment, datetime):
        return f"{quoted(cell)} is not a time stamp"
    if moment.tzinfo is None:
        return f"{quoted(cell)} has no offset from UTC"
    return f"{quoted(cell)} is out of range"
