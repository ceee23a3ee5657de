"""Settlement: money that adds up to the cent, held against plain decimal arithmetic."""

from __future__ import annotations

import dataclasses
import math
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lights_support import shipped_case

import gridclear as gc
from gridclear.jobs.money import amounts, apportion
from gridclear.jobs.settlement import payments, share_out
from gridclear.optimise.algorithms import Found
from oracle import settlement as plain
from oracle.small_clearings import small_case

RANDOM = 10_000


@pytest.fixture(scope="module")
def cleared(grids):
    """Case, clearing and the clearing without the request."""
    case = shipped_case(grids / "mv-rural")
    return case, gc.clear(case, threads=1), gc.clear(case, request=False, threads=1)


def with_metered(case: gc.Case, clearing: gc.Clearing, factor) -> gc.Case:
    """The case with every accepted bid metered at factor(row number) times its schedule, NaN: no row."""
    rows = clearing.schedule[(clearing.schedule["q_mvar"].abs() > 1e-9) & (clearing.schedule["bid"] != "")]
    share = np.array([factor(number) for number in range(len(rows))])
    table = pd.DataFrame(
        {"bid": rows["bid"], "start": rows["start"], "p_mw": np.nan, "q_mvar": rows["q_mvar"] * share}
    )
    return dataclasses.replace(case, metered=table[~np.isnan(share)].reset_index(drop=True))


def test_random_settlements_are_those_of_plain_arithmetic():
    rng = np.random.default_rng(7)
    for _ in range(RANDOM):
        count, periods, points = (int(number) for number in rng.integers(1, (6, 4, 4)))
        scheduled = rng.uniform(0.0, 5.0, count).round(int(rng.integers(1, 7)))
        metered = (scheduled * rng.choice([np.nan, 1.0, 0.95, 0.5, -0.2, 1.3], count)).round(6)
        asked = rng.uniform(-5.0, 90.0, count).round(2)
        price = np.maximum(asked, float(rng.uniform(0.0, 90.0))) if rng.random() < 0.5 else asked
        penalty = np.full(count, float(rng.uniform(0.0, 200.0)))
        tolerance, hours = float(rng.choice([0.0, 0.05, 0.1])), float(rng.choice([0.25, 1.0, 1 / 12]))
        found = payments(scheduled, metered, price, penalty, tolerance, hours)
        unmetered = payments(scheduled, np.full(count, np.nan), price, penalty, tolerance, hours)
        for row in range(count):
            given_ = None if np.isnan(metered[row]) else float(metered[row])
            paid, beyond = plain.energies(float(scheduled[row]), given_, tolerance, hours)
            assert abs(found.energy[row] - paid) <= 5.0001e-7
            assert abs(found.beyond[row] - beyond) <= 5.0001e-7
            assert found.paid[row] == plain.money(float(price[row]), float(found.energy[row]))
            assert found.penalty[row] == plain.money(float(penalty[row]), float(found.beyond[row]))
            # Nobody is paid below what was asked.
            assert found.paid[row] >= plain.money(float(asked[row]), float(found.energy[row]))
        period = rng.integers(0, periods, count)
        other = rng.integers(0, 900, periods) * rng.integers(0, 2, periods)
        planned, final = other.copy(), other.copy()
        np.add.at(planned, period, unmetered.paid)
        np.add.at(final, period, found.paid - found.penalty)
        own = (planned * rng.uniform(-0.2, 1.5, periods)).round().astype(np.int64)
        own = np.abs(own) if rng.random() < 0.7 else own
        weights = rng.uniform(0.0, 3.0, (periods, points)) * rng.integers(0, 2, (periods, points))
        weights[weights.sum(axis=1) == 0.0] = 1.0
        shares = share_out(planned, own, final, weights)
        here = plain.shares(planned.tolist(), own.tolist(), final.tolist(), weights.tolist())
        assert (shares.service.tolist(), shares.dso.tolist()) == here
        assert (shares.service.sum(axis=1) == final).all()
        assert shares.in_range == (own.sum() <= planned.sum())
        as_planned = share_out(planned, own, planned, weights)
        assert as_planned.dso.sum() == min(own.sum(), planned.sum())
        assert ((as_planned.service - as_planned.dso).sum(axis=1) >= 0).all()
        if (np.minimum(own, planned) >= 0).all():
            for either in (shares, as_planned):
                tso = either.service - either.dso
                assert (np.abs(either.dso) <= np.abs(either.service)).all()
                assert (np.abs(tso) <= np.abs(either.service)).all()
                assert (either.dso * tso >= 0).all()


@given(st.integers(-(10**9), 10**9), st.lists(st.floats(0.0, 1e6), min_size=1, max_size=9))
def test_parts_add_up_and_are_next_to_their_proportion(total, weights):
    if sum(weights) == 0.0:
        with pytest.raises(ValueError, match="zero"):
            apportion(total, [Decimal(0)] * len(weights))
        return
    parts = apportion(total, [Decimal(repr(weight)) for weight in weights])
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / math.fsum(weights)) < 1.0 + 1e-6


@pytest.mark.parametrize(
    ("price", "energy", "expected"), [(0.01, 0.5, 1), (-0.01, 0.5, -1), (2.675, 1.0, 268), (1.005, 1.0, 101)]
)
def test_half_a_cent_goes_away_from_zero_as_written(price, energy, expected):
    assert amounts(np.array([price]), np.array([energy])).tolist() == [expected]


def test_more_than_can_be_paid_to_the_cent_is_refused():
    most = 5_629_499_534_213.12  # 2**49 cents
    assert amounts(np.array([most]), np.array([1.0])).tolist() == [2**49]
    for prices in ([1e20], [1e300], [-1e20], [0.6 * most, 0.6 * most], [0.6 * most, -0.6 * most]):
        with pytest.raises(gc.CaseError, match="to the cent"):
            amounts(np.array(prices), np.ones(len(prices)))


def cents(table: pd.DataFrame, column: str) -> list[Decimal]:
    """Amounts as a spreadsheet reads them; each must be written with two digits at most."""
    found = [Decimal(text) for text in table[column]]
    assert all(amount == amount.quantize(Decimal("0.01")) for amount in found)
    return found


@pytest.mark.parametrize("pricing", ["pay-as-bid", "pay-as-clear"])
def test_files_add_up_in_a_spreadsheet(cleared, pricing, tmp_path):
    case, clearing, own = cleared
    measured = with_metered(case, clearing, lambda row: (1.0, 0.97, 0.6, 1.4, -0.1)[row % 5])
    bill = gc.settle(
        measured, clearing, own=own, pricing=pricing, tolerance_percent=5.0, penalty_eur_mvarh=40.0
    )
    assert bill.status == "settled"
    bill.write(tmp_path)
    read = {name: pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in bill.tables}
    agents, periods, shares = read["agents"], read["periods"], read["shares"]
    dearest = {(row.start, row.direction): Decimal(row.price_eur) for row in read["prices"].itertuples()}
    asked = {
        (row.bid, f"{row.start:%Y-%m-%dT%H:%M:%SZ}", row.direction): Decimal(repr(row.price_eur_mvarh))
        for row in case.reactive_bids.itertuples()
    }
    for row in agents.itertuples():
        exact = Decimal(row.price_eur) * Decimal(row.energy)
        assert Decimal(row.paid_eur) == exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
        own_price = asked[row.bid, row.start, row.direction]
        price = own_price if pricing == "pay-as-bid" else dearest[row.start, row.direction]
        assert Decimal(row.price_eur) == price >= own_price
    paid, fined = cents(agents, "paid_eur"), cents(agents, "penalty_eur")
    for row in periods.itertuples():
        mine = [number for number, start in enumerate(agents["start"]) if start == row.start]
        assert sum((paid[k] for k in mine), Decimal(0)) == Decimal(row.paid_eur)
        assert sum((fined[k] for k in mine), Decimal(0)) == Decimal(row.penalty_eur)
        total = Decimal(row.paid_eur) - Decimal(row.penalty_eur)
        assert total + Decimal(row.moves_eur) + Decimal(row.losses_eur) == Decimal(row.service_eur)
        part = shares[shares["start"] == row.start]
        assert sum(cents(part, "service_eur")) == Decimal(row.service_eur)
    for row in shares.itertuples():
        assert Decimal(row.dso_share_eur) + Decimal(row.tso_share_eur) == Decimal(row.service_eur)
    for column in ("service_eur", "dso_share_eur", "tso_share_eur"):
        assert sum(cents(read["days"], column)) == sum(cents(shares, column))
    statements = read["statements"]
    assert sum(cents(statements, "paid_eur")) == sum(paid)
    assert sum(cents(statements, "amount_eur")) == sum(paid) - sum(fined)


def test_operator_bears_its_own_clearing_and_the_tso_the_rest(cleared):
    case, clearing, own = cleared
    bill = gc.settle(case, clearing, own=own)
    assert (bill.status, bill.decision) == ("scheduled", "gap-unknown")
    assert bill.shares["dso_share_eur"].sum() == pytest.approx(bill.periods["own_eur"].sum(), abs=1e-9)
    assert bill.periods["own_eur"].sum() == pytest.approx(own.cost_eur, abs=0.005 * 28 * 3)
    assert bill.periods["service_eur"].sum() == pytest.approx(clearing.cost_eur, abs=0.005 * 28 * 3)
    assert (bill.shares["tso_share_eur"] >= 0.0).all()
    alone = gc.settle(case, clearing, threads=1)
    pd.testing.assert_frame_equal(alone.shares, bill.shares, check_exact=True)


@pytest.mark.parametrize(
    ("bound", "own_bound", "expected"),
    [(80.0, 44.0, "decided"), (60.0, 20.0, "undecided"), (np.nan, 44.0, "gap-unknown")],
)
def test_what_lies_within_the_gaps_is_undecided(cleared, bound, own_bound, expected):
    case, clearing, own = cleared  # 89.67 and 44.12 EUR: 45.54 apart
    proved = dataclasses.replace(clearing, bound_eur=bound)
    bill = gc.settle(case, proved, own=dataclasses.replace(own, bound_eur=own_bound))
    assert bill.decision == expected
    assert set(bill.shares["decision"]) == {expected}


@pytest.mark.parametrize("seed", [2, 4])
def test_proved_bounds_decide(seed):
    case = small_case(seed)
    clearing = gc.clear(case, bound=True, threads=1)
    bill = gc.settle(case, clearing, threads=1)
    told = bill.provenance["own_clearing"]
    missed = clearing.cost_eur - clearing.bound_eur + told["cost_eur"] - told["bound_eur"]
    assert 0.0 <= missed < clearing.cost_eur - told["cost_eur"]
    assert bill.decision == "decided"
    # Whatever cheaper schedules there are, the TSO's request costs something.
    assert bill.shares["tso_share_eur"].sum() > 0.0


def test_own_clearing_that_costs_more_is_undecided_and_takes_all(cleared):
    case, clearing, own = cleared
    dearer = dataclasses.replace(
        own, cost_eur=900.0, bound_eur=899.0, costs=own.costs.assign(eur=own.costs["eur"] * 20.0)
    )
    bill = gc.settle(case, dataclasses.replace(clearing, bound_eur=89.0), own=dearer)
    assert bill.decision == "undecided"
    assert (bill.shares["dso_share_eur"] == bill.shares["service_eur"]).all()


def test_without_an_own_solution_nobody_knows_the_shares(cleared):
    case, clearing, own = cleared
    bill = gc.settle(case, clearing, own=dataclasses.replace(own, status="no-solution"))
    assert (bill.status, bill.decision) == ("partial", "no-own-clearing")
    assert bill.shares["dso_share_eur"].isna().all()
    assert bill.days["tso_share_eur"].isna().all()
    assert bill.shares["service_eur"].notna().all()


def test_accepted_bids_that_are_not_metered_are_named_and_paid_by_schedule(cleared):
    case, clearing, own = cleared
    measured = with_metered(case, clearing, lambda row: np.nan if row == 3 else 1.0)
    bill = gc.settle(measured, clearing, own=own)
    missing = bill.agents[bill.agents["state"] == "not-metered"]
    assert bill.status == "provisional"
    assert bill.provenance["not_metered"] == [
        f"{row.bid} {row.start:%Y-%m-%dT%H:%MZ}" for row in missing.itertuples()
    ]
    assert len(missing) == 1
    scheduled = gc.settle(case, clearing, own=own)
    pd.testing.assert_frame_equal(bill.shares, scheduled.shares, check_exact=True)


def test_metering_that_comes_in_parts_settles_what_was_cleared_in_between(cleared):
    case, clearing, own = cleared
    some, more = (
        with_metered(case, clearing, lambda row, every=every: np.nan if row % every else 0.5)
        for every in (2, 1)
    )
    agreed = dataclasses.replace(some, settlement=gc.SettlementTerms("pay-as-clear", 2.0))
    # Cleared when some of it was metered, by other terms than those that hold in the end.
    again = gc.clear(agreed, threads=1)
    late, at_once = (gc.settle(more, one, own=own) for one in (again, clearing))
    assert (late.status, gc.settle(agreed, again, own=own).status) == ("settled", "provisional")
    pd.testing.assert_frame_equal(late.agents, at_once.agents, check_exact=True)
    priced = dataclasses.replace(case, prices=gc.Prices(61.0))
    with pytest.raises(gc.OptionError, match="this case"):
        gc.settle(priced, clearing, own=own)


def a_little_of_all(problem, deadline):
    """A plan that moves every connection point, found at once."""
    offers, plan = problem.offers, problem.nothing()
    share = np.where(offers.least == 0.0, 0.01 * offers.most, 0.0)
    return Found(dataclasses.replace(plan, share=share), complete=not deadline.passed)


def nothing_at_all(problem, deadline):
    return Found(problem.nothing(), complete=not deadline.passed)


def test_several_points_bear_what_the_request_moves_there(grids):
    case = shipped_case(grids / "hv-mixed")
    # Only the money is looked at here: that the plans break limits does not matter.
    clearing, own = (
        dataclasses.replace(gc.clear(case, algorithm=plan, request=request), status="confirmed")
        for plan, request in ((a_little_of_all, True), (nothing_at_all, False))
    )
    bill = gc.settle(case, clearing, own=own)
    per_period = bill.shares.groupby("start")["service_eur"].sum().round(2)
    np.testing.assert_array_equal(per_period.to_numpy(), bill.periods["service_eur"].to_numpy())
    moved = (clearing.exchange["q_mvar"] - own.exchange["q_mvar"]).abs().to_numpy().reshape(-1, 3)
    part = bill.shares["service_eur"].to_numpy().reshape(-1, 3)
    expected = moved / moved.sum(axis=1, keepdims=True) * part.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(part, expected, atol=0.011)


def test_wrong_options_and_foreign_clearings_are_refused(cleared, grids):
    case, clearing, own = cleared
    for options in (
        {"pricing": "pay-as-you-like"},
        {"tolerance_percent": -1.0},
        {"tolerance_percent": 101.0},
        {"penalty_eur_mwh": math.nan},
        {"penalty_eur_mvarh": math.inf},
        {"own": clearing},
    ):
        with pytest.raises(gc.OptionError):
            gc.settle(case, clearing, **({"own": own} | options))
    with pytest.raises(gc.OptionError, match="request"):
        gc.settle(case, own, own=own)
    with pytest.raises(gc.OptionError, match="this case"):
        gc.settle(shipped_case(grids / "mv-urban"), clearing, own=own)
    unsolved = dataclasses.replace(clearing, status="no-solution")
    with pytest.raises(gc.GridclearError, match="nothing to settle"):
        gc.settle(case, unsolved, own=own)


def test_terms_of_the_case_hold_unless_an_argument_says_otherwise(cleared):
    case, clearing, own = cleared
    measured = with_metered(case, clearing, lambda row: (1.0, 0.97, 0.6, 1.4, -0.1)[row % 5])
    agreed = dataclasses.replace(measured, settlement=gc.SettlementTerms("pay-as-clear", 5.0, 0.0, 40.0))
    given = {"pricing": "pay-as-clear", "tolerance_percent": 5.0, "penalty_eur_mvarh": 40.0}
    told = gc.settle(measured, clearing, own=own, **given)
    read = gc.settle(agreed, clearing, own=own)
    plainly = gc.settle(measured, clearing, own=own)
    back = {"pricing": "pay-as-bid", "tolerance_percent": 0.0, "penalty_eur_mvarh": 0.0}
    for one, other in ((told, read), (plainly, gc.settle(agreed, clearing, own=own, **back))):
        for name, table in one.tables.items():
            pd.testing.assert_frame_equal(table, other.tables[name], check_exact=True)
    assert told.periods["penalty_eur"].sum() > plainly.periods["penalty_eur"].sum() == 0.0


def test_common_market_settles_both_products(grids):
    case = shipped_case(grids / "mv-rural")
    # A curve cannot be held while the active power is decided.
    straight = case.inverters[case.inverters["curve"] == ""]
    case = dataclasses.replace(case, inverters=straight)
    clearing = gc.clear(case, market="common", threads=1)
    own = gc.clear(case, market="common", request=False, threads=1)
    schedule = clearing.schedule[clearing.schedule["p_mw"].abs() > 1e-9]
    first = schedule.iloc[0]
    metered = pd.DataFrame(
        {"bid": [first["bid"]], "start": [first["start"]], "p_mw": [0.5 * first["p_mw"]], "q_mvar": [np.nan]}
    )
    case = dataclasses.replace(case, metered=metered)
    bill = gc.settle(case, clearing, own=own, penalty_eur_mwh=10.0)
    agents = bill.agents
    assert set(agents["product"]) == {"active", "reactive"}
    assert bill.status == "provisional"
    active = agents[agents["product"] == "active"]
    assert len(active) == len(schedule)
    prices = case.active_bids.set_index(["bid", "start", "direction"])["price_eur_mwh"]
    for row in active.itertuples():
        assert row.price_eur == prices[row.bid, row.start, row.direction]
    half = active[active["state"] == "metered"]
    assert len(half) == 1
    assert half["metered"].iloc[0] == pytest.approx(0.5 * abs(first["p_mw"]))
    assert half["energy"].iloc[0] == pytest.approx(0.5 * abs(first["p_mw"]) * 0.25, abs=1e-6)
    assert half["penalty_eur"].iloc[0] == pytest.approx(5.0 * abs(first["p_mw"]) * 0.25, abs=0.0051)
    # Bids that pay make both clearings gain; the request costs something all the same.
    assert bill.periods["planned_eur"].sum() < 0.0
    planned = gc.settle(dataclasses.replace(case, metered=metered.iloc[:0]), clearing, own=own)
    assert planned.shares["dso_share_eur"].sum() == pytest.approx(planned.periods["own_eur"].sum())
    assert (planned.shares["tso_share_eur"] >= 0.0).all()
    assert planned.shares["tso_share_eur"].sum() > 0.0


@pytest.mark.parametrize(
    ("measured_mvar", "absorb", "inject"),
    [(0.5, 0.4, 0.9), (0.7, 0.3, 1.0), (0.6, 0.4, 1.0), (-0.6, 0.4, -0.2), (1.2, -0.2, 1.0)],
)
def test_what_a_bid_misses_that_is_taken_both_ways_counts_once(cleared, measured_mvar, absorb, inject):
    case, clearing, own = cleared
    start = case.horizon.starts[0]
    pair = case.reactive_bids[case.reactive_bids["start"] == start].iloc[:1]
    name, price = pair["bid"].iloc[0], pair["price_eur_mvarh"].iloc[0]
    both = pd.concat([pair.assign(direction=way, q_mvar=2.0) for way in ("inject", "absorb")])
    others = case.reactive_bids[(case.reactive_bids["bid"] != name) | (case.reactive_bids["start"] != start)]
    row = {"start": start, "bid": name, "element_type": "sgen", "element": "x", "p_mw": 0.0}
    rows = [row | {"q_mvar": q, "cost_eur": abs(q) * price * 0.25} for q in (1.0, -0.4)]
    schedule = clearing.schedule[clearing.schedule["start"] != start]
    schedule = pd.concat([pd.DataFrame(rows), schedule], ignore_index=True)
    measured = pd.DataFrame({"bid": [name], "start": [start], "p_mw": [np.nan], "q_mvar": [measured_mvar]})
    case = dataclasses.replace(case, reactive_bids=pd.concat([others, both], ignore_index=True))
    of_case = {"market_hash": case.content_hash}
    as_cleared = {"provenance": clearing.provenance | of_case, "schedule": schedule}
    alone = dataclasses.replace(own, provenance=own.provenance | of_case)
    measured_case = dataclasses.replace(case, metered=measured)
    bill = gc.settle(
        measured_case, dataclasses.replace(clearing, **as_cleared), own=alone, penalty_eur_mvarh=100.0
    )
    mine = bill.agents[bill.agents["start"] == start].set_index("direction")
    # 0.6 Mvar were to come: what is away from that is fined, and no more.
    assert mine["scheduled"].to_dict() == {"absorb": 0.4, "inject": 1.0}
    assert mine["metered"].to_dict() == pytest.approx({"absorb": absorb, "inject": inject})
    away = abs(measured_mvar - 0.6)
    assert mine["beyond"].sum() == pytest.approx(away * 0.25, abs=1e-6)
    assert mine["penalty_eur"].sum() == pytest.approx(100.0 * away * 0.25, abs=0.011)
