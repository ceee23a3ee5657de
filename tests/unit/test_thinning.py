"""Points of broken lines that are kept: the ends always, the others as far as they matter."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gridclear.optimise.thinning import thinned


def lines(seed):
    rng = np.random.default_rng(seed)
    return [
        (np.sort(rng.uniform(0, 9, size)), rng.uniform(0, 5, size))
        for size in rng.integers(1, 30, 4).tolist()
    ]


def distance(own, kept):
    return max(
        np.abs(value - np.interp(place, place[chosen], value[chosen])).max()
        for chosen, (place, value) in zip(kept, own, strict=True)
    )


@pytest.mark.parametrize("seed", range(20))
def test_what_is_kept_is_as_near_as_asked_or_as_many_as_may_be(seed):
    own, count, worth = lines(seed), 10, 0.8
    kept = thinned(own, count, worth)
    inner = sum(max(len(chosen) - 2, 0) for chosen in kept)
    assert inner <= count
    for chosen, (place, _) in zip(kept, own, strict=True):
        assert chosen[0] == 0
        assert chosen[-1] == len(place) - 1
        assert (np.diff(chosen) > 0).all() or len(place) == 1
    if distance(own, kept) <= worth and inner > 0:
        assert distance(own, thinned(own, inner - 1, worth)) > worth


@pytest.mark.parametrize("seed", range(8))
def test_no_other_choice_of_as_many_is_nearer(seed):
    rng = np.random.default_rng(seed)
    own = [(np.sort(rng.uniform(0, 9, size)), rng.uniform(0, 5, size)) for size in (6, 5)]
    every = [(line, point) for line, (place, _) in enumerate(own) for point in range(1, len(place) - 1)]
    best = min(
        distance(
            own,
            [
                np.array([0, *(point for line, point in some if line == number), len(place) - 1])
                for number, (place, _) in enumerate(own)
            ],
        )
        for size in range(4)
        for some in combinations(every, size)
    )
    assert distance(own, thinned(own, 3, 0.0)) == pytest.approx(best)


def test_straight_lines_keep_their_ends_alone():
    place = np.linspace(0.0, 1.0, 11)
    assert thinned([(place, 2.0 * place)], 5, 1e-9)[0].tolist() == [0, 10]


def test_without_bounds_everything_that_matters_is_kept():
    place = np.linspace(-1.0, 1.0, 21)
    assert len(thinned([(place, place**2)], 100, 0.0)[0]) == 21
