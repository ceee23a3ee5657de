"""Rows of capability curves where active power is decided: inside exactly what the curve allows."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.errors import CaseError
from gridclear.optimise.capability import _bounds, _Rating


def curve(seed):
    """A curve that bends outwards, from nothing to a rated power."""
    rng = np.random.default_rng(seed)
    at = np.concatenate([[0.0], np.sort(rng.uniform(0.1, 0.9, 3)), [1.0]])
    slopes = -np.sort(-rng.uniform(-0.5, 1.5, 4))
    high = np.concatenate([[0.2], 0.2 + np.cumsum(slopes * np.diff(at))])
    return at, -0.5 * high - 0.1, high


@pytest.mark.parametrize("seed", range(20))
def test_rows_keep_what_the_curve_allows_and_no_more(seed):
    rng = np.random.default_rng(100 + seed)
    at, least, most = curve(seed)
    p0 = float(rng.uniform(0.2, 0.8))
    q0 = float(np.interp(p0, at, 0.5 * (least + most)))
    span = (float(rng.uniform(0.0, p0)), float(rng.uniform(p0, 1.0)))
    rows = _bounds(_Rating("x", np.inf, np.nan, (at, least, most)), p0, q0, span)
    for _ in range(200):
        p, q = float(rng.uniform(*span)), float(rng.uniform(-1.5, 1.5))
        allowed = np.interp(p, at, least) <= q <= np.interp(p, at, most)
        kept = all(low <= a * (p - p0) + b * (q - q0) <= high for a, b, (low, high, _) in rows)
        assert allowed == kept


def test_a_forecast_outside_stays_possible():
    at, least, most = curve(1)
    rows = _bounds(_Rating("x", np.inf, np.nan, (at, least, most)), 0.5, 2.0, (0.3, 0.7))
    assert all(low <= 0.0 <= high for _, _, (low, high, _) in rows)


def test_a_curve_that_bends_inwards_is_refused():
    at, most = np.array([0.0, 0.5, 1.0]), np.array([0.5, 0.1, 0.5])
    with pytest.raises(CaseError, match="bends inwards"):
        _bounds(_Rating("x", np.inf, np.nan, (at, -most, most)), 0.5, 0.0, (0.2, 0.8))
