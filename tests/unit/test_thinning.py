"""Points of broken lines that are kept: the ends always, the others as far as they matter."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.optimise.thinning import thinned


def lines(seed):
    rng = np.random.default_rng(seed)
    return [
        (np.sort(rng.uniform(0, 9, size)), rng.uniform(0, 5, size))
        for size in rng.integers(1, 30, 4).tolist()
    ]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_kept_is_as_near_as_asked_or_as_many_as_may_be(seed):
    own, count, worth = lines(seed), 10, 0.8
    kept = thinned(own, count, worth)
    inner = sum(
        len(set(chosen.tolist()) - {0, len(place) - 1}) for chosen, (place, _) in zip(kept, own, strict=True)
    )
    off = max(
        np.abs(value - np.interp(place, place[chosen], value[chosen])).max()
        for chosen, (place, value) in zip(kept, own, strict=True)
    )
    assert inner <= count
    assert off <= worth or inner == count
    for chosen, (place, _) in zip(kept, own, strict=True):
        assert chosen[0] == 0
        assert chosen[-1] == len(place) - 1
        assert (np.diff(chosen) > 0).all() or len(place) == 1


def test_straight_lines_keep_their_ends_alone():
    place = np.linspace(0.0, 1.0, 11)
    assert thinned([(place, 2.0 * place)], 5, 1e-9)[0].tolist() == [0, 10]


def test_without_bounds_everything_that_matters_is_kept():
    place = np.linspace(-1.0, 1.0, 21)
    assert len(thinned([(place, place**2)], 100, 0.0)[0]) == 21
