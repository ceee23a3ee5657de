"""Boxes of few items: growth against corners, by the three allotments, on limits that can be reckoned."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

import gridclear.jobs.few as few_module
from gridclear.jobs.corners import AIM
from gridclear.jobs.few import Few
from gridclear.jobs.grown import Growth

#: How near boxes are found, as shares.
NEAR = 2e-5


class Reckoned:
    """A search whose limits are functions of the shares: each cell is one unit's share."""

    def __init__(self, *limits):
        self.limits = limits
        self.setting = np.zeros(1, dtype=np.int64)

    def violation(self, lanes, _setting):
        x = lanes.ground.value
        over = np.stack([limit(x) for limit in self.limits], axis=1)
        return over.max(axis=1), over.argmax(axis=1)

    def slopes(self, _search, lanes, _setting, _cells):
        for row, x in enumerate(lanes.ground.value):
            over = np.array([limit(x[None])[0] for limit in self.limits])
            step = 1e-6 * np.eye(len(x))
            slope = np.array([(limit(x + step) - limit(x[None])) / 1e-6 for limit in self.limits])
            yield row, SimpleNamespace(solved=np.array([True]), over=over[None], slope=slope[None])


def corners_of(count, exclusive=()):
    """Points of one period with a unit per item."""

    def allowed(_period, x):
        return x[(x[:, list(exclusive)] > 0.0).sum(axis=1) <= 1] if exclusive else x

    def one_of_each(_period, x, _rng):
        if exclusive:
            x[:, list(exclusive)[1:]] = 0.0
        return x

    power = sparse.eye_array(count, format="csr")
    return SimpleNamespace(
        members=[np.arange(count)], cells=np.arange(count), power=[power], allowed=allowed,
        one_of_each=one_of_each, power_of=lambda _period, x: x,
    )  # fmt: skip


def growth(monkeypatch, *limits, size, least=None, top=None, exclusive=()):
    count, search = len(size), Reckoned(*limits)
    monkeypatch.setattr(few_module, "slopes_of_all", search.slopes)
    few = Few(search, corners_of(count, exclusive), np.arange(count), np.array([0]))
    top = np.ones(count) if top is None else np.array(top)
    least = np.full(count, 1e-3) if least is None else np.array(least)
    return few, Growth(few, top, least, np.array(size, dtype=float))


def shared(*weights):
    """One limit that all press on: the weighted sum of shares up to one."""
    return lambda x: AIM + x @ np.array(weights) - 1.0


def test_what_is_safe_in_full_is_taken_in_full(monkeypatch):
    _, grow = growth(monkeypatch, shared(0.4, 0.5), size=[1.0, 1.0], top=[1.0, 0.9])
    for allotment in ("merit-order", "pro-rata", "most-mw"):
        np.testing.assert_array_equal(grow.grown(allotment, thorough=True), [1.0, 0.9])


def test_room_goes_as_the_allotment_says(monkeypatch):
    _, grow = growth(monkeypatch, shared(0.8, 0.4, 0.4), size=[1.0, 1.0, 4.0])
    expected = {"merit-order": [1.0, 0.5, 0.0], "pro-rata": [0.625] * 3, "most-mw": [0.25, 1.0, 1.0]}
    for allotment, box in expected.items():
        np.testing.assert_allclose(grow.grown(allotment, thorough=True), box, atol=NEAR)


def test_what_presses_on_nothing_goes_on(monkeypatch):
    _, grow = growth(monkeypatch, shared(1.0, 1.0, 0.0), size=[1.0, 1.0, 1.0])
    np.testing.assert_allclose(grow.grown("pro-rata", thorough=True), [0.5, 0.5, 1.0], atol=NEAR)


def test_relief_is_not_counted_on(monkeypatch):
    # The second relieves what the first presses on, but it may rest.
    _, grow = growth(monkeypatch, shared(2.0, -2.0), size=[1.0, 1.0])
    for allotment in ("merit-order", "pro-rata", "most-mw"):
        np.testing.assert_allclose(grow.grown(allotment, thorough=True), [0.5, 1.0], atol=NEAR)


def test_less_than_the_least_is_nothing(monkeypatch):
    _, grow = growth(monkeypatch, shared(0.8, 0.8), size=[1.0, 1.0], least=[1e-3, 0.5])
    np.testing.assert_allclose(grow.grown("merit-order", thorough=True), [1.0, 0.0], atol=NEAR)
    _, grow = growth(monkeypatch, shared(0.8, 0.8), size=[1.0, 1.0], least=[1e-3, 0.9])
    np.testing.assert_allclose(grow.grown("pro-rata", thorough=True), [1.0, 0.0], atol=NEAR)
    _, grow = growth(monkeypatch, shared(0.8, 0.8), size=[1.0, 4.0], least=[1e-3, 0.5], top=[1.0, 0.4])
    np.testing.assert_allclose(grow.grown("most-mw", thorough=True), [1.0, 0.0], atol=NEAR)


def test_of_exclusive_items_the_largest_needs_room(monkeypatch):
    _, grow = growth(monkeypatch, shared(1.0, 1.0, 1.0), size=[1.0, 1.0, 1.0], exclusive=(0, 1))
    np.testing.assert_allclose(grow.grown("most-mw", thorough=True), [1.0, 1.0, 0.0], atol=NEAR)


def test_programs_find_what_orders_do_not(monkeypatch):
    # Two limits that cross: the most is where both bind, with no side at an end of its range.
    limits = shared(1.2, 0.6, 0.1), shared(0.5, 1.3, 0.6), shared(0.3, 0.4, 1.4)
    _, grow = growth(monkeypatch, *limits, size=[1.0, 1.0, 1.0])
    weights = np.array([[1.2, 0.6, 0.1], [0.5, 1.3, 0.6], [0.3, 0.4, 1.4]])
    best = float(np.linalg.solve(weights, np.ones(3)).sum())
    without = float(grow.grown("most-mw", thorough=False).sum())
    assert without < 0.999 * best
    assert grow.grown("most-mw", thorough=True).sum() == pytest.approx(best, rel=1e-4)


def test_a_point_that_was_learned_stops_boxes_that_hold_it(monkeypatch):
    # Only a narrow peak between the corners breaks the limit.
    def peak(x):
        return AIM + 0.5 - 1e3 * ((x - np.array([0.5, 0.6])) ** 2).sum(axis=1)

    few, grow = growth(monkeypatch, peak, size=[1.0, 1.0])
    few._parts[0] = few._parts[0][:4]
    np.testing.assert_array_equal(grow.grown("most-mw", thorough=True), [1.0, 1.0])
    few.learn(0, np.array([[0.5, 0.6]]))
    box = grow.grown("most-mw", thorough=True)
    # One side ends where the other's peak is far enough.
    np.testing.assert_allclose(np.sort(box), [0.6 - np.sqrt(0.5e-3), 1.0], atol=1e-3)
    assert few.worst(box[None])[0] <= AIM
    stops = few.stops(box, np.ones(2), 1e-3)
    assert [period for period, _, _ in stops] == [0]
    assert peak(stops[0][1][None])[0] > AIM


def test_points_far_from_limits_in_full_count_where_they_break(monkeypatch):
    # In full only the corner of both is near its limit; where that ends, the first alone breaks another one.
    def one(x):
        return AIM + np.where(x[:, 1] > 0.0, -1.0, 1e-2 - 20.0 * (x[:, 0] - 0.95) ** 2)

    def both(x):
        return AIM + x[:, 0] * x[:, 1] - 0.9

    few, _ = growth(monkeypatch, one, both, size=[1.0, 1.0])
    part = few.furthest(lambda _, part: part[:, None] * np.ones((1, 2)), 1)
    assert part[0] == pytest.approx(0.95 - np.sqrt(5e-4), abs=NEAR)


def test_points_without_solution_stop_growth(monkeypatch):
    _, grow = growth(monkeypatch, lambda x: np.where(x.sum(axis=1) > 1.2, np.inf, -1.0), size=[1.0, 1.0])
    box = grow.grown("most-mw", thorough=True)
    assert box.sum() == pytest.approx(1.2, abs=1e-4)
