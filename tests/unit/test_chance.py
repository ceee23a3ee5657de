"""Probabilities from samples of the safe share: against closed forms, SciPy's tests and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, quantile_test

from gridclear.errors import OptionError
from gridclear.jobs.chance import safe_with_probability


def column(values):
    return np.asarray(values, dtype=float)[:, None]


def test_estimate_is_the_largest_share_safe_in_enough_samples():
    # 20 samples: 95 % are 19, so all but the lowest may have to be safe.
    shares = column(np.random.default_rng(1).permutation(np.arange(1, 21) / 20))
    for p, expected in ((0.95, 0.10), (0.94, 0.10), (0.951, 0.05), (0.9, 0.15), (0.5, 0.55), (0.05, 1.0)):
        chance = safe_with_probability(shares, p)
        assert chance.safe[0] == pytest.approx(expected, abs=1e-12)
        assert (shares >= chance.safe).mean() >= p


def test_whole_products_are_whole_in_spite_of_rounding():
    for count in (10, 20, 50, 100, 200, 1000):
        for percent in range(1, 100):
            if count * percent % 100 == 0:
                shares = column(np.arange(count))
                expected = count - count * percent // 100
                assert safe_with_probability(shares, percent / 100).safe[0] == expected


@pytest.mark.parametrize(("p", "count"), [(0.95, 200), (0.9, 100), (0.5, 30), (0.2, 80)])
def test_bounds_are_those_of_scipys_quantile_test(p, count):
    shares = column(np.random.default_rng(2).random(count))
    chance = safe_with_probability(shares, p, 0.9)
    interval = quantile_test(shares[:, 0], p=1.0 - p).confidence_interval(0.9)
    assert (chance.safe_low[0], chance.safe_high[0]) == pytest.approx(interval)


@pytest.mark.parametrize("hits", [0, 1, 17, 199, 200])
def test_probability_of_the_full_offer_is_clopper_and_pearsons(hits):
    shares = column(np.where(np.arange(200) < hits, 1.0, 0.999))
    chance = safe_with_probability(shares, 0.95, 0.9)
    interval = binomtest(hits, 200).proportion_ci(0.9, "exact")
    assert chance.full[0] == hits / 200
    assert (chance.full_low[0], chance.full_high[0]) == pytest.approx(interval)


def test_too_few_samples_bound_nothing():
    # The lowest of n samples is a lower bound once 0.95 ** n <= 0.025: from 72 on.
    for count, known in ((1, False), (71, False), (72, True)):
        chance = safe_with_probability(column(np.linspace(0.1, 0.9, count)), 0.95)
        assert np.isfinite(chance.safe[0])
        assert np.isfinite(chance.safe_low[0]) == known
    assert np.isnan(safe_with_probability(column(np.linspace(0, 1, 71)), 0.05).safe_high[0])
    assert np.isfinite(safe_with_probability(column(np.linspace(0, 1, 72)), 0.05).safe_high[0])


def test_uniform_shares_meet_their_closed_form():
    # P(S >= a) = 1 - a: the share that is safe with probability p is 1 - p.
    shares = np.random.default_rng(3).random((20_000, 5))
    for p in (0.95, 0.7, 0.1):
        chance = safe_with_probability(shares, p)
        np.testing.assert_allclose(chance.safe, 1.0 - p, atol=0.015)
        assert (chance.safe_low <= chance.safe).all()
        assert (chance.safe <= chance.safe_high).all()
        assert (chance.safe_high - chance.safe_low < 0.02).all()


@pytest.mark.parametrize(
    ("draw", "true", "full"),
    [
        (lambda rng, shape: rng.random(shape), 0.1, 0.0),
        # Jumps at both ends, as shares have them: nothing in 4 %, all in 60 %, uniform in between.
        (lambda rng, shape: np.clip((rng.random(shape) - 0.04) / 0.36, 0.0, 1.0), 0.06 / 0.36, 0.6),
        # Nothing in 10 % exactly: the share that is safe with 90 % is the upper end of a gap.
        (lambda rng, shape: np.where(rng.random(shape) < 0.1, 0.0, 0.5), 0.5, 0.0),
        (lambda rng, shape: np.where(rng.random(shape) < 0.2, 0.0, 1.0), 0.0, 0.8),
    ],
)
def test_intervals_hold_what_they_promise(draw, true, full):
    chance = safe_with_probability(draw(np.random.default_rng(4), (150, 20_000)), 0.9, 0.9)
    # Each end misses with at most 5 %; 20,000 trials see that within half a percent.
    assert (chance.safe_low > true + 1e-12).mean() <= 0.055
    assert (chance.safe_high < true - 1e-12).mean() <= 0.055
    assert (chance.full_low > full).mean() <= 0.055
    assert (chance.full_high < full).mean() <= 0.055


@pytest.mark.parametrize(
    ("p", "confidence", "count"), [(0.0, 0.95, 9), (1.0, 0.95, 9), (0.9, 1.0, 9), (0.9, 0.9, 0)]
)
def test_options_out_of_range(p, confidence, count):
    with pytest.raises(OptionError):
        safe_with_probability(np.ones((count, 2)), p, confidence)
