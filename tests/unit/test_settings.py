"""Scenarios of many settings in one pass: numbers of settings, and the bits of every state and slope."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.network.compiled import compile_case
from gridclear.optimise.linearise import assess
from gridclear.optimise.maps import MapChoice, base_exchange, held, map_singles
from gridclear.optimise.singles import Single
from gridclear.optimise.states import States
from gridclear.powerflow.settings import Settings
from oracle.small_maps import small_map


def test_numbers_stay_and_equal_rows_share_one():
    settings = Settings(2)
    first = settings.number(np.array([[3, 1], [0, 0], [3, 1]]))
    assert first.tolist() == [0, 1, 0]
    assert settings.number(np.array([[-7, 2], [0, 0]])).tolist() == [2, 1]
    assert settings.positions(np.array([2, 0])).tolist() == [[-7, 2], [3, 1]]
    assert not len(settings.number(np.zeros((0, 2), dtype=np.int64)))
    assert Settings(0).number(np.zeros((3, 0), dtype=np.int64)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_all_scenarios_once_by_topology_setting_and_period(seed):
    rng = np.random.default_rng(seed)
    settings, count = Settings(1), int(rng.integers(0, 40))
    number = settings.number(rng.integers(-2, 3, (count, 1)))
    topology_of, period = rng.integers(0, 2, 6), rng.integers(0, 6, count)
    groups = settings.groups(topology_of[period], period, number)
    assert sorted(row for _, rows, _ in groups for row in rows) == list(range(count))
    for topology, rows, stretches in groups:
        assert (topology_of[period[rows]] == topology).all()
        assert [first for _, first, _ in stretches] == [0, *(last for *_, last in stretches[:-1])]
        assert stretches[-1][2] == len(rows)
        for positions, first, last in stretches:
            own = rows[first:last]
            assert (settings.positions(number[own]) == positions).all()
            assert (np.diff(period[own]) >= 0).all()
        assert len({positions.tobytes() for positions, *_ in stretches}) == len(stretches)


@pytest.mark.parametrize("seed", [0, 3])
def test_states_and_slopes_have_the_bits_that_they_have_alone(seed):
    singles = map_singles(compile_case(small_map(seed)), MapChoice("optimised", 5, None, None))
    requests = held(base_exchange(singles)[0], (0,), None, moved=(0,))
    states, rng = States(singles, 0, requests), np.random.default_rng(seed)
    nothing, devices = singles.nothing(0), states.problem.devices
    asked = []
    for _ in range(12):
        steps = [rng.integers(device.lowest, device.highest + 1) for device in devices]
        asked.append(Single(rng.random(len(nothing.share)), np.array(steps, dtype=np.int64)))
    assert len({single.steps.tobytes() for single in asked}) > 3
    together = states.of(asked)
    for single, one in zip(asked, together, strict=True):
        (alone,) = States(singles, 0, requests).of([single])
        assert (one is None) == (alone is None)
        if one is None or alone is None:
            continue
        own, other = one.local[0], alone.local[0]
        for name in ("over", "beyond", "exchange", "active", "loss", "at"):
            assert np.array_equal(getattr(own, name), getattr(other, name), equal_nan=True), name
        for name in ("slope", "exchange_slope", "loss_slope"):
            # Products of matrices of other sizes are added up in another order.
            np.testing.assert_allclose(getattr(own, name), getattr(other, name), rtol=1e-12, atol=1e-14)


def test_slopes_are_the_differences_of_states():
    """Of every control, at another setting than the scheduled one."""
    singles = map_singles(compile_case(small_map(0)), MapChoice("optimised", 5, None, None))
    requests = held(base_exchange(singles)[0], (0,), None, moved=(0,))
    states, nothing, step = States(singles, 0, requests), singles.nothing(0), 1e-2
    steps = np.array([device.highest for device in states.problem.devices], dtype=np.int64)
    share = np.full(len(nothing.share), 0.5)
    (point,) = states.of([Single(share, steps)])
    assert point is not None
    local = point.local[0]
    assert local is not None
    for control in range(len(share)):
        ends = []
        for sign in (-1.0, 1.0):
            moved = share.copy()
            moved[control] += sign * step
            plan = singles.plan(states.problem, [Single(moved, steps)])
            ends.append(assess(states.problem, plan).local[0])
        low, high = ends
        assert low is not None
        assert high is not None
        live = np.isfinite(local.over)
        slope = (high.over[live] - low.over[live]) / (2.0 * step)
        np.testing.assert_allclose(local.slope[control][live], slope, rtol=1e-4, atol=1e-6)
        loss = (high.loss - low.loss) / (2.0 * step)
        assert local.loss_slope[control] == pytest.approx(loss, rel=1e-4, abs=1e-6)
