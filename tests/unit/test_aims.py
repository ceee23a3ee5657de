"""The aim of a bound: what it is near, when it is out of reach, and how it comes down."""

from __future__ import annotations

import pytest

from gridclear.optimise.aims import Aim

ENOUGH = 0.01


@pytest.mark.parametrize("cost", [1000.0, -1000.0])
def test_an_aim_lies_below_the_cost_by_less_than_is_enough(cost):
    aim = Aim(cost, ENOUGH, periods=4)
    assert cost - ENOUGH * abs(cost) < aim.eur < cost
    assert aim.met(cost - ENOUGH * abs(cost))
    assert not aim.met(cost - 1.01 * ENOUGH * abs(cost))


def test_a_cheaper_plan_takes_the_aim_down_and_a_dearer_one_leaves_it():
    aim = Aim(1000.0, ENOUGH, periods=4)
    high = aim.eur
    aim.take(1100.0)
    assert (aim.cost, aim.eur) == (1000.0, high)
    aim.take(900.0)
    assert aim.cost == 900.0
    assert 891.0 < aim.eur < 900.0


def test_a_bound_that_rises_slowly_is_noticed_after_enough_placings():
    aim = Aim(1000.0, ENOUGH, periods=4)
    # The first look back is at nothing.
    assert not aim.out_of_reach(500.0, looking=8)
    assert not aim.out_of_reach(500.0, looking=7)
    assert aim.out_of_reach(500.0, looking=1)
    assert not aim.out_of_reach(900.0, looking=8)
    assert aim.out_of_reach(901.0, looking=8)


def test_an_aim_comes_down_until_it_is_next_to_the_bound_and_is_met_there():
    aim, last = Aim(1000.0, ENOUGH, periods=4), 1000.0
    while aim.lower(900.0):
        assert 900.0 < aim.eur < last
        last = aim.eur
    assert aim.eur < last
    assert last < 990.0
    assert aim.met(max(aim.eur, 900.0))


def test_a_lower_aim_is_met_by_less():
    aim = Aim(1000.0, ENOUGH, periods=4)
    assert aim.lower(800.0)
    assert aim.eur == pytest.approx(950.0)
    assert aim.met(950.0)
    assert not aim.met(949.0)


def test_an_aim_of_a_plan_that_costs_nothing_has_an_end():
    aim = Aim(0.0, ENOUGH, periods=1)
    assert -ENOUGH < aim.eur < 0.0
    assert sum(1 for _ in range(100) if aim.lower(-1.0)) < 10
