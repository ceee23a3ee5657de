"""Settlement of an activation: every row by plain decimals, sums to the cent."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from lights_support import shipped_case

import gridclear as gc
from gridclear.errors import SolverError
from oracle import settlement as plain

SHARES = (1.0, 0.97, 0.6, 1.4, -0.1, math.nan)


@pytest.fixture(scope="module")
def activated(grids):
    case = shipped_case(grids / "mv-rural")
    return case, gc.activate(case, threads=1)


def with_metered(case, activation, shares):
    """The case with accepted rows metered at these shares of what was activated, in turn; NaN: no row."""
    rows = activation.accepted[activation.accepted["accepted_mw"] > 0.0]
    share = np.resize(np.array(shares), len(rows))
    signed = np.where(rows["direction"] == "up", 1.0, -1.0) * rows["accepted_mw"] * share
    table = pd.DataFrame({"bid": rows["bid"], "start": rows["start"], "p_mw": signed, "q_mvar": np.nan})
    return dataclasses.replace(case, metered=table[~np.isnan(share)].reset_index(drop=True))


def cents(column):
    found = [Decimal(text) for text in column]
    assert all(amount == amount.quantize(Decimal("0.01")) for amount in found)
    return found


def test_every_row_is_paid_by_the_written_rule_and_files_add_up(activated, tmp_path):
    case, activation = activated
    measured = with_metered(case, activation, SHARES)
    bill = gc.settle_activation(measured, activation, tolerance_percent=5.0, penalty_eur_mwh=31.7)
    accepted = activation.accepted[activation.accepted["accepted_mw"] > 0.0]
    assert len(bill.agents) == len(accepted) > 100
    known = accepted.set_index(["start", "bid", "direction"])
    metered = measured.metered.set_index(["start", "bid"])["p_mw"]
    for row in bill.agents.itertuples():
        mine = known.loc[row.start, row.bid, row.direction]
        power = metered.get((row.start, row.bid))
        power = None if power is None else power * (1.0 if row.direction == "up" else -1.0)
        paid, beyond = plain.energies(mine["accepted_mw"], power, 0.05, 0.25)
        assert (row.scheduled, row.price_eur) == (mine["accepted_mw"], mine["clearing_price_eur_mwh"])
        assert (row.state == "not-metered") == (power is None)
        assert row.energy == pytest.approx(paid, abs=0.51e-6)
        assert row.beyond == pytest.approx(beyond, abs=0.51e-6)
        assert round(row.paid_eur * 100) == plain.money(row.price_eur, row.energy)
        assert round(row.penalty_eur * 100) == plain.money(31.7, row.beyond)
    assert bill.status == "provisional"
    assert len(bill.provenance["not_metered"]) == (bill.agents["state"] == "not-metered").sum() > 0
    bill.write(tmp_path)
    read = {name: pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in bill.tables}
    for column in ("paid_eur", "penalty_eur"):
        sums = {name: sum(cents(table[column]), Decimal(0)) for name, table in read.items()}
        assert len(set(sums.values())) == 1, sums
        assert sums["agents"] > 0
    for name in ("periods", "statements"):
        paid, fined, amount = (cents(read[name][c]) for c in ("paid_eur", "penalty_eur", "amount_eur"))
        assert [a - b for a, b in zip(paid, fined, strict=True)] == amount


def test_unmetered_is_paid_what_the_activation_says(activated):
    case, activation = activated
    bill = gc.settle_activation(case, activation)
    assert bill.status == "scheduled"
    keys = ["start", "bid", "direction"]
    paid = bill.agents.set_index(keys)["paid_eur"].sort_index()
    accepted = activation.accepted[activation.accepted["accepted_mw"] > 0.0]
    expected = accepted.set_index(keys)["paid_eur"].sort_index()
    pd.testing.assert_series_equal(paid, expected, check_exact=True)
    whole = gc.settle_activation(with_metered(case, activation, (1.0,)), activation)
    assert whole.status == "settled"
    pd.testing.assert_frame_equal(whole.statements, bill.statements, check_exact=True)
    assert (whole.agents["penalty_eur"] == 0.0).all()


def test_metering_of_another_product_is_none_of_this_one(activated):
    case, activation = activated
    some = case.reactive_bids.iloc[:1]
    rows = pd.DataFrame({"bid": some["bid"], "start": some["start"], "p_mw": np.nan, "q_mvar": 0.1})
    measured = dataclasses.replace(case, metered=rows)
    assert gc.settle_activation(measured, activation).status == "scheduled"
    clearing, own = (gc.clear(case, request=request, threads=1) for request in (True, False))
    assert gc.settle(with_metered(case, activation, (1.0,)), clearing, own=own).status == "scheduled"


def test_terms_of_the_case_hold_unless_an_argument_says_otherwise(activated):
    case, activation = activated
    measured = with_metered(case, activation, (0.8,))
    agreed = dataclasses.replace(measured, settlement=gc.SettlementTerms(penalty_eur_mwh=50.0))
    told = gc.settle_activation(measured, activation, penalty_eur_mwh=50.0)
    read = gc.settle_activation(agreed, activation)
    assert read.agents["penalty_eur"].sum() > 0.0
    pd.testing.assert_frame_equal(read.agents, told.agents, check_exact=True)
    lenient = gc.settle_activation(agreed, activation, tolerance_percent=20.0)
    assert lenient.agents["penalty_eur"].sum() == 0.0
    assert (lenient.agents["energy"] == (lenient.agents["scheduled"] * 0.25).round(6)).all()


def test_what_is_not_confirmed_or_not_of_this_case_is_not_settled(activated, grids):
    case, activation = activated
    for status in ("unconfirmed", "no-solution"):
        with pytest.raises(SolverError, match="nothing to settle"):
            gc.settle_activation(case, dataclasses.replace(activation, status=status))
    with pytest.raises(gc.OptionError, match="of this case"):
        gc.settle_activation(shipped_case(grids / "mv-urban"), activation)
    for options in ({"tolerance_percent": -1.0}, {"penalty_eur_mwh": math.inf}):
        with pytest.raises(gc.OptionError):
            gc.settle_activation(case, activation, **options)
