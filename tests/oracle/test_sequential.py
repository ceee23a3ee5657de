"""The oracle of the guarantee merit-order, by hand: what is accepted fills `ROOM` MW in order of price."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest

from . import brute_force
from .activation import items_of
from .lossless import T0, T1, loads, lossless_net, offer, problem, published
from .plain_grid import Problem
from .sequential import EXCLUSIVE, differences, lights

EXCHANGE = frozenset({("exchange", "ext_grid", "grid")})


def judged(of):
    return lights(of, points=3)  # nothing bends in the lossless grid


def accepted(of):
    return judged(of)["accepted_mw"].to_numpy()


def test_the_cheaper_bid_comes_first():
    found = judged(problem(offer("a", 1.5, 50.0), offer("b", 1.6, 40.0)))
    assert found["accepted_mw"].to_numpy() == pytest.approx([0.4, 1.6], abs=1e-4)
    assert found["light"].tolist() == ["yellow", "green"]
    assert found["broken"].tolist() == [EXCHANGE, frozenset()]


def test_names_decide_between_equal_prices():
    assert accepted(problem(offer("b", 1.5), offer("a", 1.5))) == pytest.approx([0.5, 1.5], abs=1e-4)


def test_down_makes_room_for_what_comes_later():
    bids = [offer("a", 2.5, 10.0), offer("d", 1.0, 20.0, direction="down"), offer("c", 1.5, 30.0)]
    assert accepted(problem(*bids)) == pytest.approx([2.0, 1.0, 1.0], abs=1e-4)


def test_what_is_too_little_leaves_its_room():
    bids = [offer("a", 1.5, 10.0), offer("b", 1.5, 20.0, min_p_mw=0.6), offer("c", 1.5, 30.0)]
    found = judged(problem(*bids))
    assert found["accepted_mw"].to_numpy() == pytest.approx([1.5, 0.0, 0.5], abs=1e-4)
    assert found["reach"].iloc[1] == pytest.approx(0.5 / 1.5, abs=1e-4)
    assert found["light"].iloc[1] == "red"


@pytest.mark.parametrize(("left", "expected"), [(0.0008, 0.0), (0.0013, 0.0013)])
def test_less_than_a_thousandth_is_nothing(left, expected):
    found = accepted(problem(offer("a", 2.0 - left, 10.0), offer("b", 1.0, 20.0)))
    assert found[1] == pytest.approx(expected, abs=5e-5)


def test_a_block_takes_its_worst_period_and_its_mean_price():
    bids = [
        offer("k", 2.0, 10.0, block="x"),
        offer("k", 1.0, 70.0, start=T1, block="x"),
        offer("a", 1.0, 29.0),
        offer("z", 1.0, 31.0, start=T1),
    ]
    of = problem(*bids, forecast=loads(3.0, 2.0))
    assert [item.price for item in items_of(of)] == [29.0, 30.0, 31.0]
    # T0: a takes 1 of 2, 1 of 2 MW is left: half of the block; T1: 1 MW of room, half is for the block
    assert accepted(of) == pytest.approx([1.0, 0.5, 1.0, 0.5], abs=1e-4)


def test_rows_of_a_block_in_one_period_move_together():
    bids = [offer("a", 1.5, block="x"), offer("b", 2.5, element="park", block="x")]
    assert accepted(problem(*bids)) == pytest.approx([0.75, 1.25], abs=1e-4)


def test_both_directions_of_a_block_are_judged_alone():
    bids = [offer("s", 4.0, block="x"), offer("s", 4.0, block="x", direction="down"), offer("t", 3.0, 60.0)]
    found = accepted(problem(*bids, p_max_mw=4.0))
    assert found == pytest.approx([1.0, 1.0, 2.0], abs=1e-4)


def test_one_of_a_group():
    bids = [offer("a", 0.5, 30.0, exclusive="g"), offer("b", 0.5, 20.0, exclusive="g"),
            offer("b", 0.5, 40.0, exclusive="g", start=T1)]  # fmt: skip
    found = judged(problem(*bids))
    assert found["light"].tolist() == ["red", "green", "green"]
    assert found["broken"].iloc[0] == {EXCLUSIVE}


def test_a_member_that_was_red_does_not_shut_out():
    bids = [offer("a", 2.5, 30.0, exclusive="g", min_p_mw=2.5), offer("b", 0.5, 40.0, exclusive="g")]
    assert accepted(problem(*bids)) == pytest.approx([0.0, 0.5])


def test_a_bid_on_a_lost_island_is_red():
    out = pd.DataFrame({"element_type": ["line"], "element": ["BC"], "start": [T0], "end": [T1],
                        "state": ["out"]})  # fmt: skip
    found = judged(problem(offer("a", 0.5, element="park"), offer("b", 0.5), outages=out))
    assert found["light"].tolist() == ["red", "green"]
    assert found["broken"].iloc[0] == {brute_force.ISLANDED}


def test_one_bid_alone_is_what_brute_force_finds():
    """Voltage, losses and reactive power too: the two oracles share the base state only."""
    net = copy.deepcopy(lossless_net())
    net.line["r_ohm_per_km"], net.line["length_km"] = 0.4, 8.0
    bids = pd.DataFrame([offer("a", 6.0, element="park") | {"tan_phi": 0.3}])
    of = Problem(net, active_bids=bids, vm_max_pu=1.02)
    mine, other = lights(of), brute_force.lights(of)
    assert other["light"].tolist() == ["yellow"]
    assert mine["accepted_mw"].to_numpy() == pytest.approx(other["accepted_mw"].to_numpy(), abs=1e-3)
    assert mine["broken"].tolist() == other["broken"].tolist() == [{("overvoltage", "bus", "C")}]


# ---- what is published


BIDS = [offer("a", 1.0, 10.0), offer("b", 2.0, 20.0), offer("c", 1.0, 30.0)]


def test_the_right_lights_have_no_differences():
    of = problem(*BIDS)
    right = published(of, 1.0, 0.99999, 0.0)
    assert differences(of, right, witness=True, points=3).empty
    assert differences(of, right, follow=False, points=3).empty


def test_following_judges_every_light_by_itself():
    of = problem(*BIDS)
    wrong = published(of, 0.5, 1.5, 0.0)
    assert differences(of, wrong, points=3)["bid"].tolist() == ["a"]
    assert differences(of, wrong, follow=False, points=3)["bid"].tolist() == ["a", "b"]


def test_some_items_alone_are_judged_on_top_of_what_is_published():
    of = problem(*BIDS)
    wrong = published(of, 0.5, 0.5, 0.5)
    assert differences(of, wrong, points=3, only=[2])["found"].str[:15].to_dict() == {2: "green 1.000000 "}
    with pytest.raises(ValueError, match="published"):
        differences(of, wrong, follow=False, only=[2])


def test_an_amount_beyond_the_limit_is_told():
    of = problem(*BIDS)
    found = differences(of, published(of, 1.0, 1.1, 0.0), points=3)
    assert found.loc[1, "what"] == "amount"
    assert found.loc[1, "edge"] == ""
    assert found.loc[1, "note"].startswith("1e+04 tolerances")


def test_a_witness_that_does_not_stop_the_bid_is_told():
    of = problem(*BIDS)
    wrong = published(of, 1.0, 1.0, 0.0).assign(kind=["", "overload", "exchange"])
    assert differences(of, wrong, witness=True, points=3)["what"].to_dict() == {1: "witness"}
    assert differences(of, wrong, points=3).empty


@pytest.mark.parametrize(("off", "excused"), [(1e-6, True), (1e-4, False)])
def test_only_at_a_threshold_may_a_light_fall_to_either_side(off, excused):
    """The grid allows 0.5 and its tolerance, 1e-5 MW of 2: the smallest amount is just above that."""
    of = problem(offer("a", 1.0, 10.0), offer("b", 2.0, 20.0, min_p_mw=1.00001 + 2.0 * off))
    assert judged(of)["light"].tolist() == ["green", "red"]
    found = differences(of, published(of, 1.0, 1.00001), points=3)
    assert found["what"].tolist() == ["light"]
    assert (found["edge"] != "").tolist() == [excused]


@pytest.mark.parametrize(("share", "excused"), [(0.35, True), (0.1, False), (0.6, False)])
def test_on_a_flat_limit_any_share_may_be_published_that_leaves_next_to_nothing(share, excused):
    """The first bid leaves 5e-8 of 1e-5 MW of tolerance: half of the second bid, and 0.2 but for 3e-8 MW."""
    of = problem(offer("a", 2.0 + 1e-5 - 5e-8, 10.0), offer("b", 1e-7, 20.0))
    right = judged(of)
    assert right["accepted_mw"].iloc[1] == pytest.approx(0.5e-7, abs=0.02e-7)
    found = differences(of, published(of, right["accepted_mw"].iloc[0], share * 1e-7), points=3)
    assert found["what"].tolist() == ["amount"]
    assert (found["edge"] != "").tolist() == [excused]


def test_equal_prices_of_a_block_are_its_price():
    rows = [offer("k", 1.4978674061129742, 50.0, start=start, block="x") for start in (T0, T1)]
    items = items_of(problem(*rows, offer("m", 1.0, 50.0), forecast=loads(3.0, 3.0)))
    assert [item.name[0] for item in items] == ["k", "m"]


def test_lights_in_another_order_are_refused():
    of = problem(*BIDS)
    with pytest.raises(ValueError, match="order"):
        differences(of, published(of, 1.0, 1.0, 0.0).iloc[::-1])


def test_row_order_is_of_no_consequence():
    first = judged(problem(*BIDS)).set_index("bid")["accepted_mw"]
    again = judged(problem(*BIDS[::-1])).set_index("bid")["accepted_mw"]
    assert np.array_equal(first.sort_index(), again.sort_index())
