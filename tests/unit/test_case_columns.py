"""Cells of a column: what is read, what is refused, and under which row."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridclear.case.attributes import Column
from gridclear.case.cells import MOST_ROWS_PER_FAULT, Faults, Guess, Source, as_text
from gridclear.case.columns import numbers, texts, times

NEED = Column("p_mw", "number", "", required=True, unit="MW")
MAYBE = Column("q_mvar", "number", "", unit="Mvar")
NAME = Column("element", "text", "", required=True)
WHEN = Column("start", "time", "", required=True)


def read(reader, cells, column):
    size = len(cells)
    faults = Faults()
    values, ok = reader(
        cells, column, Source("t.csv", range(2, size + 2)), faults, np.zeros(size, dtype=bool)
    )
    return values, ok, faults.issues


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_numbers_read_back_bit_for_bit(values):
    found, ok, issues = read(numbers, [repr(value) for value in values], NEED)
    assert not issues
    assert ok.all()
    assert found.tobytes() == np.array(values).tobytes()


@pytest.mark.parametrize(
    "cell",
    [
        "abc",
        "1,5",
        "nan",
        "inf",
        "1_000",
        "0x10",
        "1e999",
        "--1",
        "1 2",
        "٣",
        True,
        date(2016, 1, 1),
        [1],
        10**400,
        np.inf,
    ],
)
def test_cells_that_are_no_number(cell):
    values, ok, issues = read(numbers, ["1.5", cell], MAYBE)
    assert ok.tolist() == [True, False]
    assert math.isnan(values[1])
    assert [(issue.row, issue.column) for issue in issues] == [("3", "q_mvar")]
    assert "finite number in Mvar" in issues[0].expected


@pytest.mark.parametrize(
    "cells", [["1", "", "2.5"], [1, None, 2.5], pd.Series([1, np.nan, 2.5]), pd.Series([1, pd.NA, "2.5"]),
              pd.Series([Decimal(1), None, Decimal("2.5")]), [" 1 ", "", "+2.5"]]
)  # fmt: skip
def test_empty_cells_are_missing_where_the_column_is_required(cells):
    values, ok, issues = read(numbers, cells, MAYBE)
    assert not issues
    assert ok.all()
    assert values[[0, 2]].tolist() == [1.0, 2.5]
    assert math.isnan(values[1])
    _, ok, issues = read(numbers, cells, NEED)
    assert [(issue.row, issue.what) for issue in issues] == [("3", "the cell is empty")]
    assert ok.tolist() == [True, False, True]


def test_ranges_are_kept():
    column = Column("x", "number", "", low=0, high=1, above=True)
    values, ok, issues = read(numbers, ["0", "0.5", "1", "1.01", "-3"], column)
    assert ok.tolist() == [False, True, True, False, False]
    assert [issue.row for issue in issues] == ["2", "5", "6"]
    assert issues[0].expected == "a finite number > 0 and <= 1"
    assert values.tolist() == [0, 0.5, 1, 1.01, -3]


def test_whole_numbers():
    _, ok, issues = read(numbers, ["3", "3.0", "3.5", "-2"], Column("tap", "whole", ""))
    assert ok.tolist() == [True, True, False, True]
    assert issues[0].what == "3.5 is not allowed"


def test_a_fault_in_every_row_is_counted_not_listed():
    _, _, issues = read(numbers, ["x"] * (MOST_ROWS_PER_FAULT + 7), NEED)
    assert len(issues) == MOST_ROWS_PER_FAULT + 1
    assert issues[-1].what.startswith("7 further rows")


def test_ids_stay_texts():
    values, _, issues = read(texts, ["NA", "007", "nan", "None", " x "], NAME)
    assert values == ["NA", "007", "nan", "None", " x "]
    assert not issues
    assert [as_text(cell) for cell in (None, np.nan, pd.NA, 7, 7.0, 7.5, "7")] == [
        "",
        "",
        "",
        "7",
        "7",
        "7.5",
        "7",
    ]


def test_time_columns():
    cells = ["2016-06-19T10:00:00Z", "2016-06-19T12:00:00+02:00", "2016-06-19T10:00:00", "", "soon"]
    values, ok, issues = read(times, cells, WHEN)
    assert ok.tolist() == [True, True, False, False, False]
    assert values[0] == values[1] == pd.Timestamp("2016-06-19T10:00Z")
    assert [issue.row for issue in issues] == ["4", "5", "6"]
    assert [issue.what for issue in issues] == [
        "'2016-06-19T10:00:00' has no offset from UTC", "the cell is empty", "'soon' is not a time stamp",
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_time_columns_of_frames(unit):
    aware = (
        pd.Series(pd.to_datetime(["2016-06-19T10:00Z", None])).dt.tz_convert("Europe/Lisbon").dt.as_unit(unit)
    )
    values, ok, issues = read(times, aware, WHEN)
    assert ok.tolist() == [True, False]
    assert str(values.dtype) == "datetime64[ns, UTC]"
    assert [issue.what for issue in issues] == ["the cell is empty"]
    naive = pd.Series(pd.to_datetime(["2016-06-19T10:00"])).dt.as_unit(unit)
    _, ok, issues = read(times, naive, WHEN)
    assert not ok.any()
    assert "has no offset" in issues[0].what


def test_stamps_out_of_range_are_named():
    late = pd.Series(np.array(["3016-06-19T10:00"], dtype="datetime64[us]")).dt.tz_localize("UTC")
    for cells in (late, ["3016-06-19T10:00Z"], ["0001-01-01T00:00+14:00"]):
        _, ok, issues = read(times, cells, WHEN)
        assert not ok.any()
        assert "out of range" in issues[0].what


def test_hints_are_bounded():
    guess = Guess(["forecast", "outages"], most=2)
    assert guess("forcast") == " (did you mean 'forecast'?)"
    assert guess("x") == ""
    assert guess("outage") == ""
    assert guess("forcast") == " (did you mean 'forecast'?)"
