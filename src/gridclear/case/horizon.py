"""The periods of a market session."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

#: One unit of time for every stamp, so that tables from pandas 2 and 3 are the same.
TIME_DTYPE = "datetime64[ns, UTC]"
#: More periods than 30 years of 5-minute sessions are a slip of the pen, not a horizon.
MOST_PERIODS = 3_200_000

_ISO_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.ASCII)


@dataclass(frozen=True)
class Horizon:
    """Equal periods that follow one another without a gap.

    Attributes
    ----------
    start : Timestamp
        Start of the first period, UTC.
    resolution : Timedelta
        Length of every period.
    periods : int
        Number of periods, at least 1.
    """

    start: pd.Timestamp
    resolution: pd.Timedelta
    periods: int

    @cached_property
    def starts(self) -> pd.DatetimeIndex:
        """Start of each period, (periods,), UTC."""
        step = pd.Timedelta(self.resolution).value
        first = pd.Timestamp(self.start).as_unit("ns").value
        stamps = first + step * np.arange(self.periods, dtype=np.int64)
        return pd.DatetimeIndex(pd.to_datetime(stamps, utc=True), name="start")

    @property
    def end(self) -> pd.Timestamp:
        """End of the last period, UTC; it is outside the horizon."""
        return self.start + self.resolution * self.periods

    @property
    def hours(self) -> float:
        """Length of one period in hours."""
        return self.resolution.total_seconds() / 3600.0

    def position(self, stamps: pd.Series | pd.DatetimeIndex) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Find the period that starts at each stamp.

        Parameters
        ----------
        stamps : Series or DatetimeIndex of UTC time stamps, (n,)

        Returns
        -------
        (n,) of int64
            0 to ``periods - 1``, or -1 where the stamp is not the start of a period or is missing.
        """
        moments = pd.DatetimeIndex(stamps).as_unit("ns")
        away = moments.asi8 - pd.Timestamp(self.start).as_unit("ns").value
        number, rest = np.divmod(away, self.resolution.value)
        inside = (rest == 0) & (number >= 0) & (number < self.periods) & ~np.asarray(moments.isna())
        return np.where(inside, number, -1).astype(np.int64)


def make_horizon(start: pd.Timestamp, resolution: pd.Timedelta, periods: int) -> Horizon | None:
    """Make a horizon, if it ends before pandas' calendar does (the year 2262).

    Parameters
    ----------
    start, resolution, periods
        See :class:`Horizon`.

    Returns
    -------
    Horizon or None
    """
    end = int(start.as_unit("ns").value) + int(resolution.as_unit("ns").value) * periods
    return Horizon(start, resolution, periods) if end <= pd.Timestamp.max.value else None


def parse_stamp(given: object) -> pd.Timestamp | None:
    """Read a time stamp that says its offset from UTC.

    Parameters
    ----------
    given : str or datetime
        ISO 8601 text such as ``2016-06-19T10:00:00Z``, or a time-zone aware datetime.

    Returns
    -------
    Timestamp or None
        The moment in UTC; None if it is no time stamp, has no offset, or is out of pandas' range.
    """
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            return None
        stamp = pd.Timestamp(moment)
        return None if pd.isna(stamp) else stamp.tz_convert(UTC).as_unit("ns")
    except (ValueError, OverflowError):
        return None


def parse_resolution(given: object) -> pd.Timedelta | None:
    """Read the length of a period.

    Parameters
    ----------
    given : str or timedelta
        ISO 8601 duration in whole days, hours, minutes, seconds (``PT15M``), or a timedelta.

    Returns
    -------
    Timedelta or None
        None if it is not a duration of at least one second and at most 366 days.
    """
    if isinstance(given, timedelta):
        length = pd.Timedelta(given)
    else:
        match = _ISO_DURATION.fullmatch(given) if isinstance(given, str) and len(given) < 40 else None
        if match is None:
            return None
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        length = pd.Timedelta(seconds=min(total, 366 * 86_400 + 1))
    if pd.isna(length) or not pd.Timedelta(seconds=1) <= length <= pd.Timedelta(days=366):
        return None
    return length.as_unit("ns")


def resolution_text(length: pd.Timedelta) -> str:
    """Write the length of a period as :func:`parse_resolution` reads it, such as ``PT15M``.

    Parameters
    ----------
    length : Timedelta

    Returns
    -------
    str
    """
    hours, rest = divmod(int(length.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    return "PT" + "".join(f"{number}{letter}" for number, letter in parts if number)


def stamp_text(stamp: pd.Timestamp) -> str:
    """Write a stamp in UTC as the tables hold it, such as ``2016-06-19T10:00:00Z``.

    Parameters
    ----------
    stamp : Timestamp

    Returns
    -------
    str
    """
    return stamp.strftime("%Y-%m-%dT%H:%M:%SZ")
