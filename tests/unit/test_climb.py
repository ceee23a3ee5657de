"""Tracks of rays against samples of every ray, each solved by itself on what was taken before it."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest

from gridclear.jobs.bids import Bids, resolve_bids
from gridclear.jobs.search import Search
from gridclear.network.compiled import compile_case
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.base import base_state
from gridclear.powerflow.rays import LEAST, RESOLUTION, ROUNDING, Crossing
from gridclear.powerflow.scenarios import EXACT_MVA, Scenarios
from oracle.random_cases import random_case

TOLERANCE = 1e-6
#: What a power flow repeats to, and what a ray keeps off the tolerance so that others can begin at its end.
NOISE, RESERVE = 1e-12, 2e-9
SEEDS = (1, 2, 3, 4, 5, 8)


class Asked(NamedTuple):
    search: Search
    bids: Bids
    units: np.ndarray
    first: np.ndarray
    setting: np.ndarray

    def climb(self, first, least, threads=1):
        compiled = self.search.scenarios.compiled
        scenarios = Scenarios(compiled, threads, tolerance_mva=EXACT_MVA)
        base = base_state(scenarios)
        begin = Activations.none(self.bids.activations.period[self.units[first[:-1]]])
        setting = base.setting[begin.period]
        rays = self.bids.activations.part(self.units)
        return scenarios.climb(begin, rays, first, setting, base.limits, least)

    def violation(self, ray, before, share):
        """Worst violations of a ray at shares of it, on top of the cells ``before``."""
        own = self.bids.activations.part(np.full(len(share), self.units[ray]), share)
        cells = np.arange(len(before))
        state = own.on(cells, np.broadcast_to(before, (len(share), len(before))))
        return self.search.violation(state, self.search.setting[own.period])


@functools.cache
def asked(seed: int) -> Asked:
    """All units of a random case that can be searched, a track for each period."""
    compiled = compile_case(random_case(seed, blocks=False)[0])
    scenarios = Scenarios(compiled, 1, tolerance_mva=EXACT_MVA)
    base = base_state(scenarios)
    bids = resolve_bids(compiled)
    period = bids.activations.period
    units = np.flatnonzero(bids.supplied & base.solved[period])
    units = units[np.argsort(period[units], kind="stable")]
    first = np.append(np.flatnonzero(np.diff(period[units], prepend=-1)), len(units))
    return Asked(Search(scenarios, base, base.setting, reacts=False), bids, units, first, base.setting)


def taken_before(of: Asked, found: Crossing, least: np.ndarray) -> np.ndarray:
    """Cells with what was taken before every ray, (ray, cell)."""
    cells = len(of.search.scenarios.compiled.parts) * of.search.scenarios.compiled.p.shape[1]
    before = np.zeros((len(of.units), cells))
    for low, high in zip(of.first[:-1], of.first[1:], strict=True):
        for ray in range(low + 1, high):
            share = found.safe[ray - 1] if found.safe[ray - 1] >= least[ray - 1] else 0.0
            own = of.bids.activations.part(of.units[[ray - 1]], share)
            before[ray] = before[ray - 1]
            np.add.at(before[ray], own.cell, own.value)
    return before


@pytest.mark.parametrize("seed", SEEDS)
def test_every_ray_ends_where_samples_say(seed):
    of = asked(seed)
    least = np.random.default_rng(seed).choice([LEAST, 0.4], len(of.units))
    found = of.climb(of.first, least)
    before = taken_before(of, found, least)
    for ray, safe in enumerate(found.safe.tolist()):
        nothing = of.violation(ray, before[ray], np.zeros(1))[0][0]
        limit = np.clip(nothing + ROUNDING, TOLERANCE - RESERVE, TOLERANCE)
        over, which = of.violation(ray, before[ray], np.linspace(0.0, max(safe, LEAST), 33))
        if safe == 0.0:
            assert over[-1] > limit
            assert found.which[ray] == which[-1]
        else:
            assert (over <= limit + NOISE).all()
        if 0.0 < safe < 1.0:
            beyond, which = of.violation(ray, before[ray], np.array([safe + RESOLUTION]))
            assert beyond[0] > limit - NOISE
            assert found.which[ray] == which[0]
            assert not left_over(of, ray, before[ray], safe, limit)
        if safe == 1.0:
            assert found.which[ray] == which[-1]


def left_over(of: Asked, ray: int, before: np.ndarray, safe: float, limit: float) -> bool:
    """Whether more of a ray that is stopped would be safe than rounding explains."""
    over, which = of.violation(ray, before, safe + RESOLUTION * np.array([0.5, 1.0]))
    slope = (over[1] - over[0]) / (0.5 * RESOLUTION)
    if not np.isfinite(slope) or which[0] != which[1]:
        return False
    return bool(of.violation(ray, before, np.array([safe + 3.0 * NOISE / slope]))[0][0] <= limit)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_left_for_the_same_bid_once_more(seed):
    of = asked(seed)
    twice = Asked(of.search, of.bids, np.repeat(of.units, 2), 2 * of.first, of.setting)
    found = twice.climb(twice.first, np.full(len(twice.units), LEAST))
    stopped = (found.safe[::2] > 0.0) & (found.safe[::2] < 1.0)
    assert (found.safe[1::2][stopped] == 0.0).all()


def test_some_rays_of_the_random_cases_are_stopped():
    # Else the two tests above look at nothing.
    stopped = [of.climb(of.first, np.full(len(of.units), LEAST)).safe for of in map(asked, SEEDS)]
    every = np.concatenate(stopped)
    assert ((every > 0.0) & (every < 1.0)).sum() >= 10
    assert (every == 0.0).sum() >= 10
    assert (every == 1.0).sum() >= 10


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_what_is_not_taken_moves_nothing(seed):
    of = asked(seed)
    alone = np.arange(len(of.units) + 1)
    single = of.climb(alone, np.full(len(of.units), LEAST))
    together = of.climb(of.first, np.full(len(of.units), np.inf))
    np.testing.assert_array_equal(single.safe, together.safe)
    np.testing.assert_array_equal(single.which, together.which)


def test_tracks_are_the_same_bits_side_by_side_and_one_by_one():
    of = asked(2)
    least = np.full(len(of.units), LEAST)
    whole = of.climb(of.first, least, threads=2)
    for low, high in zip(of.first[:-1], of.first[1:], strict=True):
        part = Asked(of.search, of.bids, of.units[low:high], np.array([0, high - low]), of.setting)
        found = part.climb(part.first, least[low:high])
        np.testing.assert_array_equal(found.safe, whole.safe[low:high])
        np.testing.assert_array_equal(found.which, whole.which[low:high])


def test_no_rays_no_crossings():
    of = asked(1)
    nobody = Asked(of.search, of.bids, of.units[:0], np.zeros(1, dtype=np.int64), of.setting)
    assert len(nobody.climb(nobody.first, np.zeros(0)).safe) == 0
