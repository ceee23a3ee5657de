"""The oracles of the guarantee any-subset: by hand, against runpp, and against a dense scan."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from .activation import Period, excess, items_of, starts_of
from .best_box import Search, best_box, published_mw
from .boxes import breaks, climbed, corners, random_points, units_in
from .fast_states import FastStates
from .lossless import T0, T1, lossless_net, offer, problem, published
from .plain_grid import NO_SOLUTION, problem_of
from .random_cases import curved_case, random_case

EXCHANGE = ("exchange", "ext_grid", "grid")
THREE = [offer(name, 1.0, element=element) for name, element in (("a", "town"), ("b", "park"), ("c", "town"))]


@cache
def random_problem(seed, bids):
    case, net = random_case(seed, bids=bids, blocks=False, periods=1)
    return problem_of(case, net)


# ---- published boxes


@pytest.mark.parametrize("fast", [True, False])
def test_the_worst_corner_is_found(fast):
    of = problem(*THREE)
    worst = breaks(of, published(of, 1.0, 1.0, 1.0), random=0, fast=fast)
    assert worst.key == EXCHANGE
    assert worst.shares == {0: 1.0, 1: 1.0, 2: 1.0}
    assert (worst.value, worst.effective) == pytest.approx((0.0, 1.0), abs=1e-9)
    assert worst.over == pytest.approx(1e5, rel=1e-6)
    assert worst.broken


def test_a_box_within_the_limit_holds():
    of = problem(*THREE)
    worst = breaks(of, published(of, 1.0, 0.4, 0.6), random=100)
    assert worst.over == pytest.approx(0.0, abs=1e-3)
    assert not worst.broken
    assert breaks(of, published(of, 1.0, 0.4, 0.60003)).broken
    assert breaks(of, published(of, 0.0, 0.0, 0.0)) is None


def test_what_another_bid_relieves_does_not_count():
    of = problem(offer("a", 2.5), offer("d", 1.0, direction="down"))
    assert breaks(of, published(of, 2.5, 1.0), random=0).shares == {0: 1.0, 1: 0.0}


@pytest.mark.parametrize(("group", "broken"), [("g", False), ("", True)])
def test_a_group_cuts_the_box(group, broken):
    of = problem(offer("a", 1.5, exclusive=group), offer("b", 1.5, exclusive=group), offer("c", 0.5))
    assert breaks(of, published(of, 1.5, 1.5, 0.5), random=200).broken == broken


def test_periods_are_boxes_of_their_own():
    of = problem(offer("a", 1.5), offer("b", 1.5, start=T1))
    assert not breaks(of, published(of, 1.5, 1.5), random=0).broken


def test_many_units_are_aimed_at():
    """No combination is tried but those that aim at a constraint."""
    bids = [offer(f"b{k:02d}", 0.15, direction="up" if k % 2 else "down") for k in range(28)]
    of = problem(*bids)
    worst = breaks(of, published(of, *[0.15] * 28), random=0)
    assert worst.key == EXCHANGE
    assert worst.shares == {k: float(k % 2) for k in range(28)}


def test_a_point_without_solution_is_the_worst_of_all():
    of = problem(offer("a", 1.0), offer("b", 1e5))
    worst = breaks(of, published(of, 1.0, 1e5), random=0)
    assert worst.key == NO_SOLUTION
    assert worst.over == np.inf


def test_corners_and_random_points_keep_to_groups():
    of = problem(*[offer(name, 1.0, exclusive=group) for name, group in ("ag", "bg", "ch", "dg", "e")[:4]],
                 offer("e", 1.0))  # fmt: skip
    units = units_in(of, Period(of, T0))
    assert len(corners(units)) == 4 * 2 * 2
    points = random_points(units, 500, np.random.default_rng(1))
    member = [k for k, unit in enumerate(units) if "g" in unit.groups]
    assert ((points[:, member] > 0.0).sum(axis=1) <= 1).all()
    assert (points[:, member] > 0.0).any(axis=0).all()


# ---- fast states


@pytest.mark.parametrize("seed", [0, 2])  # meshed, two transformers; radial with an exchange limit
def test_fast_states_are_those_of_runpp(seed):
    of = random_problem(seed, (6, 8))
    period = Period(of, min(starts_of(of).values()))
    units = units_in(of, period)
    states = FastStates(period, units)
    for x in random_points(units, 4, np.random.default_rng(seed)):
        shares = {row: share for unit, share in zip(units, x, strict=True) for row in unit.rows}
        expected = excess(period.state(shares)).to_numpy()
        # in tolerances: 1e-3 of 1e-6 p.u., of 1e-4 % or of 1e-5 MVA, and rounding of what is large
        assert np.allclose(states.over(x)[0], expected, rtol=1e-7, atol=2e-3)


@pytest.mark.parametrize("bent", [False, True])
def test_fast_states_follow_curves_as_runpp_does(bent):
    of = problem_of(*curved_case(0, blocks=False, bids=(3, 8), periods=1, bent=bent))
    period = Period(of, min(starts_of(of).values()))
    units = units_in(of, period)
    states = FastStates(period, units)
    for x in random_points(units, 4, np.random.default_rng(0)):
        shares = {row: share for unit, share in zip(units, x, strict=True) for row in unit.rows}
        expected = excess(period.state(shares)).to_numpy()
        assert np.allclose(states.over(x)[0], expected, rtol=1e-7, atol=1e-2)


def test_points_climb_to_where_a_limit_is_nearest_inside_a_box():
    """What is furthest beyond at a third of either unit is found from the corners."""

    class Peaked:
        units = units_in(of := problem(offer("a", 1.0), offer("b", 1.0)), Period(of, T0))

        def over(self, x):
            far = np.abs(np.asarray(x) - [0.3, 0.15]).sum(axis=1)
            return np.stack([1.0 - far, far - 5.0, np.full(len(far), np.nan)], axis=1)

    box = np.array([0.9, 0.5])
    found = climbed(Peaked(), box, corners(Peaked.units) * box)
    assert found[0] == pytest.approx([0.3, 0.15], abs=2e-3)
    assert ((found >= 0.0) & (found <= box)).all()


def test_loads_that_depend_on_the_voltage_are_refused():
    of = problem(offer("a", 1.0))
    period = Period(of, T0)
    period.base.net.load["const_z_p_percent"] = 10.0
    with pytest.raises(NotImplementedError, match="constant power"):
        FastStates(period, units_in(of, period))
    assert not lossless_net().load["const_z_p_percent"].any()


# ---- the best box


def best_mw(*offers, **options):
    return best_box(problem(*offers, **options), T0).mw


def test_the_best_box_fills_the_room():
    assert best_mw(*THREE) == pytest.approx(2.0, abs=1e-4)
    assert best_mw(*THREE, room=3.5) == 3.0


def test_the_best_box_of_whole_bids_is_a_knapsack():
    sizes = (1.5, 1.0, 0.8, 0.3)
    bids = [offer(f"b{k}", p_mw, min_p_mw=p_mw) for k, p_mw in enumerate(sizes)]
    assert best_mw(*bids, room=1.9) == pytest.approx(1.8)
    assert best_mw(*bids, room=2.0) == pytest.approx(1.8)
    assert best_mw(*bids, room=2.2) == pytest.approx(2.1)


def test_up_and_down_do_not_make_room_for_each_other():
    assert best_mw(offer("a", 2.5), offer("d", 1.0, direction="down")) == pytest.approx(3.0, abs=1e-4)


def test_a_group_adds_up_in_the_best_box():
    assert best_mw(offer("a", 1.5, exclusive="g"), offer("b", 1.5, exclusive="g")) == pytest.approx(3.0)


def test_published_mw_are_those_of_the_period():
    of = problem(offer("a", 1.5), offer("b", 1.5, start=T1), offer("c", 1.0))
    assert published_mw(of, published(of, 1.5, 0.7, 0.25), T0) == pytest.approx(1.75)


def test_two_bids_against_a_dense_scan():
    """The scan finds no better box, and one nearly as good. Both sides end between nothing and the whole."""
    of = random_problem(24, (2, 2))
    start = min(starts_of(of).values())
    box = best_box(of, start)
    period = Period(of, start)
    search = Search(of, period, units_in(of, period), np.random.default_rng(0))
    step = 1.0 / 40
    sides = np.array([[i * step, j * step] for i in range(41) for j in range(41)])
    sides = np.where((sides == 0.0) | (sides >= search.least), sides, 0.0)
    safe = [search.mw @ one for one in sides if search.worst(one) <= 0.0]
    assert 0.0 < max(safe) <= box.mw + 1e-9
    assert box.mw <= max(safe) + step * search.mw.sum()
    assert set(box.shares) <= {item.name for item in items_of(of)}
