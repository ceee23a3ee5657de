"""Periods and stamps."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridclear.case.horizon import Horizon, make_horizon, parse_resolution, parse_stamp, resolution_text

START = pd.Timestamp("2016-06-19T10:00:00Z")
QUARTER = pd.Timedelta(minutes=15)


def test_starts_follow_one_another():
    horizon = Horizon(START, QUARTER, 28)
    assert len(horizon.starts) == 28
    assert horizon.starts[0] == START
    assert set(np.diff(horizon.starts.asi8)) == {QUARTER.value}
    assert str(horizon.starts.dtype) == "datetime64[ns, UTC]"
    assert horizon.end == pd.Timestamp("2016-06-19T17:00:00Z")
    assert horizon.hours == 0.25


def test_position_of_stamps():
    horizon = Horizon(START, QUARTER, 4)
    stamps = pd.DatetimeIndex(
        [
            "2016-06-19T10:45Z",
            "2016-06-19T10:07Z",
            "2016-06-19T11:00Z",
            "2016-06-19T09:45Z",
            None,
            "2016-06-19T10:00Z",
        ]
    )
    assert horizon.position(stamps).tolist() == [3, -1, -1, -1, -1, 0]
    assert horizon.position(pd.Series(stamps)).tolist() == [3, -1, -1, -1, -1, 0]


def test_days_of_92_and_100_quarter_hours():
    local = pd.date_range("2016-03-27", "2016-03-28", freq="15min", tz="Europe/Berlin", inclusive="left")
    assert len(local) == 92
    horizon = Horizon(local[0].tz_convert("UTC"), QUARTER, 92)
    assert horizon.position(local.tz_convert("UTC")).tolist() == list(range(92))


@pytest.mark.parametrize(
    "given_",
    [
        "2016-06-19T10:00:00",
        "2016-06-19",
        "now",
        "",
        None,
        3,
        float("nan"),
        pd.NaT,
        pd.Timestamp("2016-06-19"),
        "0001-01-01T00:00+23:00",
    ],
)
def test_stamps_that_are_refused(given_):
    assert parse_stamp(given_) is None


@pytest.mark.parametrize(
    "given_",
    [
        "2016-06-19T10:00:00Z",
        "2016-06-19 12:00+02:00",
        START,
        START.tz_convert("Europe/Lisbon"),
        datetime(2016, 6, 19, 10, tzinfo=UTC),
    ],
)
def test_stamps_that_are_read(given_):
    assert parse_stamp(given_) == START
    assert parse_stamp(given_).unit == "ns"


@pytest.mark.parametrize(
    "given_",
    ["15min", "PT", "P", "", "PT0S", "-PT15M", "P400D", "P1M", 15, None, "PT" + "9" * 30 + "S", pd.NaT],
)
def test_resolutions_that_are_refused(given_):
    assert parse_resolution(given_) is None


@given(st.integers(1, 366 * 86_400))
@settings(max_examples=30, deadline=None)
def test_resolution_reads_back(seconds):
    length = pd.Timedelta(seconds=seconds)
    assert parse_resolution(resolution_text(length)) == length
    assert parse_resolution(length.to_pytimedelta()) == length


def test_horizon_ends_within_the_calendar():
    assert make_horizon(pd.Timestamp("2262-01-01T00:00Z"), pd.Timedelta(days=366), 1) is None
    assert make_horizon(START, QUARTER, 4) == Horizon(START, QUARTER, 4)
