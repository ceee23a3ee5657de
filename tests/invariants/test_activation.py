"""Activation of active power: held against a plain oracle, its books, and its proof."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from lights_support import START, STEP, bid, forecast, outage, shipped_case, tiny_case, tiny_net

import gridclear as gc
from oracle import market
from oracle.plain_grid import problem_of
from oracle.random_cases import random_case

ROOMY = gc.Limits(vm_min_pu=0.9, vm_max_pu=1.1, loading_percent=1000.0)


def random_market(seed: int, **options):
    """A random case with needs and bids of transmission, and its net."""
    case, net = random_case(seed, exclusive=seed % 3 == 0, **options)
    bids, need = market.random_need(case.active_bids, case.horizon.starts, np.random.default_rng(seed))
    return dataclasses.replace(case, active_bids=bids, active_need=need), net


def crowded_market(seed: int, **options):
    """A market on a roomy grid in which every bid stands three times: more than its element can do."""
    case, net = random_case(seed, **options)
    for table in ("line", "trafo"):
        net[table]["max_loading_percent"] = 1000.0
    rng, own = np.random.default_rng([seed, 3]), case.active_bids
    copies = [
        own.assign(
            bid=own["bid"] + mark,
            block=(own["block"] + mark).where(own["block"] != "", ""),
            price_eur_mwh=(own["price_eur_mwh"] + rng.uniform(0.0, 20.0)).round(1),
        )
        for mark in ("", " b", " c")
    ]
    bids, need = market.random_need(pd.concat(copies, ignore_index=True), case.horizon.starts, rng)
    made = gc.Case.from_pandapower(
        net, name=case.name, start=case.horizon.starts[0], periods=case.horizon.periods, limits=ROOMY,
        forecast=case.forecast, tap_changers=case.tap_changers, active_bids=bids,
    )  # fmt: skip
    return dataclasses.replace(made, active_need=need), net


def activation_differs(seed: int, points: int, market_of=random_market, **options) -> list[str]:
    case, net = market_of(seed, **options)
    losses, problem = seed % 2 == 1, problem_of(case, net)
    result = gc.activate(case, losses=losses, threads=1)
    check_books(case, result)
    return market.differences(problem, case.active_need, result.accepted, losses=losses, points=points)


def check_books(case: gc.Case, result: gc.Activation) -> None:
    """What the tables say of each other, recomputed row by row."""
    hours = case.horizon.hours
    for need in result.prices.itertuples():
        own = result.accepted[
            (result.accepted["start"] == need.start) & (result.accepted["direction"] == need.direction)
        ]
        taken = own[own["accepted_mw"] > 0.0]
        assert need.supplied_mw == pytest.approx(own["supplied_mw"].sum(), abs=1e-9)
        assert need.supplied_mw <= need.need_mw + 1e-6
        assert need.shortfall_mw == pytest.approx(max(need.need_mw - need.supplied_mw, 0.0), abs=1e-6)
        assert (need.state == "covered") == (need.shortfall_mw == 0.0)
        if len(taken):
            assert need.price_eur_mwh == taken["price_eur_mwh"].max()
            assert (taken["clearing_price_eur_mwh"] >= taken["price_eur_mwh"]).all()
            # What is paid is an energy with 6 digits.
            paid = taken["clearing_price_eur_mwh"] * (taken["accepted_mw"] * hours).round(6)
            np.testing.assert_allclose(taken["paid_eur"], paid, atol=0.005 + 1e-9)
        else:
            assert np.isnan(need.price_eur_mwh)
    accepted = result.accepted
    assert ((accepted["accepted_mw"] > 0.0) == accepted["outcome"].isin(["taken", "in-part"])).all()
    judged = accepted[accepted["safe_mw"].notna()]
    assert (judged["accepted_mw"] <= judged["safe_mw"] + 1e-9).all()
    assert (result.proof["losses_mw"].notna() == result.proof["mismatch_mva"].notna()).all()


@pytest.mark.parametrize("seed", range(15))
def test_activation_is_that_of_the_plain_oracle(seed):
    several = {"periods": 2, "bids": (3, 5)} if seed < 4 else {"periods": 1, "bids": (4, 8)}
    differs = activation_differs(seed, 5, **several)
    assert not differs, "\n".join(differs)


@pytest.mark.parametrize("seed", [4, 5, 6, 13])
def test_activation_of_elements_that_offer_more_often_than_they_can_act(seed):
    differs = activation_differs(seed, 5, crowded_market, periods=1, bids=(3, 5))
    assert not differs, "\n".join(differs)


@pytest.mark.study
@pytest.mark.parametrize("seed", range(40))
def test_study_of_crowded_activations(seed):
    differs = activation_differs(seed, 9, crowded_market)
    assert not differs, "\n".join(differs)


@pytest.mark.study
@pytest.mark.parametrize("seed", range(200))
def test_study_of_activations(seed):
    differs = activation_differs(seed, 9)
    assert not differs, "\n".join(differs)


def tiny_market(bids, need, **options) -> gc.Case:
    """The tiny net with bids (name, element, direction, MW, price and more) and needs (period, way, MW)."""
    rows = [bid(*own[:4], **own[5]) if len(own) > 5 else bid(*own[:4]) for own in bids]
    case = tiny_case(*rows, limits=ROOMY, **options)
    priced = case.active_bids.assign(price_eur_mwh=[float(own[4]) for own in bids])
    wanted = pd.DataFrame(
        [(START + period * STEP, way, p_mw) for period, way, p_mw in need],
        columns=["start", "direction", "p_mw"],
    )
    return dataclasses.replace(case, active_bids=priced, active_need=wanted)


def outcomes(result: gc.Activation) -> dict[str, tuple[float, str]]:
    rows = result.accepted
    return {
        f"{row.bid}{'' if row.start == START else ' later'}": (round(row.accepted_mw, 6), row.outcome)
        for row in rows.itertuples()
    }


def test_cheapest_first_and_the_dearest_taken_sets_the_price():
    bids = [("A", "park", "up", 1.0, 40), ("T", "", "up", 50.0, 60), ("B", "farm", "up", 1.0, 50)]
    result = gc.activate(tiny_market(bids, [(0, "up", 2.5)]))
    assert outcomes(result) == {"A": (1.0, "taken"), "T": (0.5, "in-part"), "B": (1.0, "taken")}
    assert result.status == "covered"
    assert result.prices["price_eur_mwh"].tolist() == [60.0]
    assert result.accepted["paid_eur"].tolist() == [15.0, 7.5, 15.0]


def test_indivisible_bid_that_is_too_large_is_passed_over():
    bids = [
        ("A", "park", "up", 1.0, 40),
        ("W", "farm", "up", 2.0, 50, {"min_p_mw": 2.0}),
        ("T", "", "up", 50.0, 60),
    ]
    result = gc.activate(tiny_market(bids, [(0, "up", 2.5)]))
    assert outcomes(result) == {"A": (1.0, "taken"), "W": (0.0, "too-large"), "T": (1.5, "in-part")}


@pytest.mark.parametrize("least", [0.0, 0.1])
def test_bid_of_what_is_left_is_taken_whole_whatever_sums_round(least):
    # 0.3 - 0.1 - 0.1 is less than 0.1 in the numbers of a computer.
    bids = [
        (name, "", "up", 0.1, price, {"min_p_mw": least})
        for name, price in zip("ABC", (1, 2, 3), strict=True)
    ]
    accepted = gc.activate(tiny_market(bids, [(0, "up", 0.3)])).accepted
    assert accepted["outcome"].tolist() == ["taken"] * 3
    assert accepted["accepted_mw"].tolist() == [0.1] * 3


@pytest.mark.parametrize("price", [1e20, 1e250])
def test_price_that_no_cents_can_pay_is_a_fault_of_the_case(price):
    case = tiny_market([("A", "", "up", 1.0, price)], [(0, "up", 0.5)])
    with pytest.raises(gc.CaseError, match="to the cent"):
        gc.activate(case)


def test_small_part_of_a_large_bid_is_taken():
    bids = [("T", "", "up", 10_000.0, 60), ("A", "park", "up", 5.0, 70)]
    result = gc.activate(tiny_market(bids, [(0, "up", 0.5)]))
    assert outcomes(result) == {"T": (0.5, "in-part"), "A": (0.0, "not-needed")}
    assert result.accepted["light"].tolist() == ["green", ""]


def test_bids_of_one_element_share_what_it_can_do():
    # A load sheds no more than it consumes; what it takes up in between it can shed once more.
    net = tiny_net()
    net.load["min_p_mw"] = 0.0
    name, most = "town", 1.0
    bids = [
        ("A", name, "up", 0.75 * most, 40),
        ("B", name, "up", 0.75 * most, 50),
        ("C", name, "up", 0.25 * most, 60, {"min_p_mw": 0.25 * most}),
        ("D", name, "down", 0.5 * most, 70),
        ("E", name, "up", 0.25 * most, 80),
    ]
    needs = [(0, "up", 5.0 * most), (0, "down", 5.0 * most)]
    result = gc.activate(tiny_market(bids, needs, net=net))
    assert outcomes(result) == {
        "A": (0.75 * most, "taken"),
        "B": (0.25 * most, "in-part"),
        "C": (0.0, "used-up"),
        "D": (0.5 * most, "taken"),
        "E": (0.25 * most, "taken"),
    }
    told = result.accepted["reason"].str.startswith("its element can do no more")
    assert told.tolist() == [False, True, True, False, False]


def test_block_covers_the_smallest_need_of_its_periods():
    block = [("K", "park", "up", 1.0, 40, {"period": period, "block": "k"}) for period in (0, 1)]
    later = ("B", "farm", "up", 1.0, 50, {"period": 1})
    result = gc.activate(tiny_market([*block, later], [(0, "up", 0.25), (1, "up", 0.75)], periods=2))
    found = outcomes(result)
    assert found["K"] == found["K later"] == (0.25, "in-part")
    assert found["B later"] == (0.5, "in-part")
    none = gc.activate(tiny_market([*block, later], [(1, "up", 0.75)], periods=2))
    assert outcomes(none)["K later"] == (0.0, "not-needed")
    assert outcomes(none)["B later"] == (0.75, "in-part")


def test_one_of_an_exclusive_group_also_in_transmission():
    bids = [("T", "", "up", 1.0, 40), ("U", "", "up", 1.0, 50), ("A", "park", "up", 1.0, 60)]
    case = tiny_market(bids, [(0, "up", 3.0)])
    case = dataclasses.replace(case, active_bids=case.active_bids.assign(exclusive=["g", "g", ""]))
    result = gc.activate(case)
    assert outcomes(result) == {"T": (1.0, "taken"), "U": (0.0, "excluded"), "A": (1.0, "taken")}
    assert result.status == "short"
    assert result.prices["shortfall_mw"].tolist() == [1.0]


def test_what_is_not_taken_leaves_its_room():
    tight = gc.Limits(vm_min_pu=0.9, vm_max_pu=1.03, loading_percent=1000.0)
    every = ("A", "park", "up", 30.0, 50)
    alone = dataclasses.replace(tiny_market([every], [(0, "up", 30.0)]), limits=tight)
    room = float(gc.activate(alone).accepted["accepted_mw"].iloc[0])
    assert 0.0 < room < 30.0
    whole = ("W", "park", "up", 0.9 * room, 40, {"min_p_mw": 0.9 * room})
    case = dataclasses.replace(tiny_market([whole, every], [(0, "up", 0.5 * room)]), limits=tight)
    accepted = gc.activate(case).accepted
    assert accepted["outcome"].tolist() == ["too-large", "in-part"]
    assert accepted["light"].tolist() == ["green", "yellow"]
    assert accepted["safe_mw"].iloc[1] == pytest.approx(room, rel=1e-6)
    assert accepted["accepted_mw"].iloc[1] == pytest.approx(0.5 * room)


def test_need_that_nobody_offers_to_is_stated():
    result = gc.activate(tiny_market([("A", "park", "up", 1.0, 40)], [(0, "up", 0.5), (0, "down", 0.7)]))
    assert result.prices["state"].tolist() == ["covered", "no-bids"]
    assert result.prices["shortfall_mw"].tolist() == [0.0, 0.7]
    assert np.isnan(result.prices["price_eur_mwh"].iloc[1])
    assert result.status == "short"


def test_without_need_or_bids_the_table_is_named():
    case = tiny_market([("A", "park", "up", 1.0, 40)], [(0, "up", 0.5)])
    for table in ("active_need", "active_bids"):
        bare = dataclasses.replace(case, **{table: case.table(table).iloc[:0]})
        with pytest.raises(gc.CaseError) as fault:
            gc.activate(bare)
        assert [issue.file for issue in fault.value.issues] == [table]
    for options in ({"guarantee": "some"}, {"devices": "none"}):
        with pytest.raises(gc.OptionError):
            gc.activate(case, **options)


def test_what_is_safe_alone_is_caught_together(grids):
    case = shipped_case(grids / "mv-rural")
    each = gc.activate(case, guarantee="each")
    assert each.status == "unconfirmed"
    assert set(each.proof.loc[~each.proof["confirmed"], "kind"]) == {"overvoltage"}
    for guarantee in ("merit-order", "any-subset"):
        assert gc.activate(case, guarantee=guarantee).proof["confirmed"].all()


def test_safe_amounts_of_the_box_are_those_of_the_lights(grids):
    case = shipped_case(grids / "mv-rural")
    lights = gc.qualify(case, guarantee="any-subset").lights
    accepted = gc.activate(case, guarantee="any-subset").accepted
    pd.testing.assert_series_equal(accepted["safe_mw"], lights["accepted_mw"], check_names=False)
    assert (accepted["light"] == lights["light"]).all()


@pytest.mark.parametrize("devices", ["automatic", "optimised"])
def test_devices_that_move_are_confirmed_too(devices, grids):
    case = shipped_case(grids / "mv-urban")
    result = gc.activate(case, devices=devices, losses=True)
    assert result.status in ("covered", "short")
    check_books(case, result)


def test_neither_threads_nor_the_order_of_rows_change_a_bit(grids):
    case = shipped_case(grids / "mv-rural")
    one, two = (gc.activate(case, losses=True, threads=threads) for threads in (1, 2))
    order = np.random.default_rng(0).permutation(len(case.active_bids))
    mixed = dataclasses.replace(
        case,
        active_bids=case.active_bids.iloc[order].reset_index(drop=True),
        active_need=case.active_need.iloc[::-1].reset_index(drop=True),
    )
    other = gc.activate(mixed, losses=True, threads=1)
    for name in one.tables:
        pd.testing.assert_frame_equal(one.tables[name], two.tables[name], check_exact=True)
    straight = one.accepted.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(straight, other.accepted, check_exact=True)
    pd.testing.assert_series_equal(one.prices["price_eur_mwh"], other.prices["price_eur_mwh"])


def test_period_without_base_state_takes_from_transmission_alone():
    bids = [
        ("A", "park", "up", 1.0, 40, {"period": period}) for period in (0, 1)
    ] + [("T", "", "up", 5.0, 60, {"period": period}) for period in (0, 1)]  # fmt: skip
    heavy = forecast(("mill", [2.0, 5000.0]))
    for guarantee in ("merit-order", "each", "any-subset"):
        case = tiny_market(bids, [(0, "up", 2.0), (1, "up", 2.0)], periods=2, forecast=heavy)
        result = gc.activate(case, guarantee=guarantee, losses=True)
        found = outcomes(result)
        assert result.status == "partial"
        assert found["A"] == (1.0, "taken")
        assert found["A later"] == (0.0, "red")
        assert found["T later"] == (2.0, "in-part")
        assert result.proof["confirmed"].tolist() == [True, False]
        assert result.proof["kind"].iloc[1] == "no-base"
        assert np.isnan(result.proof["losses_mw"].iloc[1])


def test_bid_without_supply_is_red_and_replaced():
    bids = [("F", "farm", "up", 1.0, 40), ("T", "", "up", 5.0, 60)]
    case = tiny_market(bids, [(0, "up", 1.0)], outages=outage("line", "BE", 0))
    accepted = gc.activate(case).accepted
    assert accepted["outcome"].tolist() == ["red", "in-part"]
    assert accepted["kind"].iloc[0] == "islanded"


def test_with_losses_transmission_sees_what_was_needed():
    bids = [("A", "park", "up", 3.0, 40), ("B", "farm", "down", 2.0, 50)]
    case = tiny_market(bids, [(0, "up", 1.25), (0, "down", 0.5)])
    before = gc.power_flow(case).exchange["p_mw"].iloc[0]
    result = gc.activate(case, losses=True)
    # The same powers in the grid's own elements.
    net = tiny_net()
    for row in result.accepted.itertuples():
        sign = 1.0 if row.direction == "up" else -1.0
        own = net.sgen["name"] == {"A": "park", "B": "farm"}[row.bid]
        net.sgen.loc[own, "p_mw"] += sign * row.accepted_mw
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    assert before - net.res_ext_grid["p_mw"].iloc[0] == pytest.approx(1.25 - 0.5, abs=1e-6)
    assert (result.accepted["accepted_mw"] - result.accepted["supplied_mw"]).abs().max() > 1e-3


def test_without_any_base_state_nothing_of_the_grid_is_taken():
    bids = [("A", "park", "up", 1.0, 40), ("T", "", "up", 0.5, 60)]
    case = tiny_market(bids, [(0, "up", 2.0)], forecast=forecast(("mill", [5000.0])))
    result = gc.activate(case, losses=True)
    assert result.status == "no-solution"
    assert result.accepted["accepted_mw"].tolist() == [0.0, 0.5]
    assert result.prices["shortfall_mw"].tolist() == [1.5]


def test_bid_of_nothing_is_not_needed():
    bids = [("A", "park", "up", 0.0, 40), ("B", "farm", "up", 1.0, 50)]
    result = gc.activate(tiny_market(bids, [(0, "up", 0.5)]))
    assert outcomes(result) == {"A": (0.0, "not-needed"), "B": (0.5, "in-part")}
    assert result.prices["price_eur_mwh"].tolist() == [50.0]


@pytest.mark.parametrize("name", ["mv-rural", "hv-mixed"])
def test_need_without_end_takes_what_the_lights_let_through(name, grids):
    case = shipped_case(grids / name)
    offered = case.active_bids.groupby(["start", "direction"], as_index=False)["p_mw"].sum()
    endless = dataclasses.replace(case, active_need=offered.assign(p_mw=offered["p_mw"] + 1.0))
    lights = gc.qualify(case, guarantee="merit-order", threads=1).lights
    accepted = gc.activate(endless, threads=1).accepted
    pd.testing.assert_series_equal(
        accepted["accepted_mw"], lights["accepted_mw"], check_exact=True, check_names=False
    )
    for column in ("light", "kind", "element", "value", "limit", "value_at_full", "reason"):
        pd.testing.assert_series_equal(accepted[column], lights[column], check_exact=True)
