"""Prices of a clearing that cannot deliver everything, against what Ipopt saves when a limit is wider."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridclear as gc
from oracle.clearing_nlp import solve_continuous
from oracle.clearing_plans import as_decided, shares_of, steps_of
from oracle.clearing_problem import clearing_of
from oracle.small_clearings import small_case

BINDING = (1, 11, 22)  # limits stop the profile there, or make it dearer
WIDER_PU = 1e-5
SLACK_MVAR = 1e-6  # of what is held: the last digit would be as dear as the profile itself
SAME, SAME_EUR = 0.05, 0.05  # of a price, and EUR per 0.01 p.u.
HOURS = 0.25


def out_of_reach(seed: int) -> gc.Case:
    """A small case whose profile asks for far too much in every second period."""
    case = small_case(seed)
    profile = case.reactive_profile
    return replace(
        case, reactive_profile=profile.assign(q_mvar=profile["q_mvar"] - 4.0 * (profile.index % 2 == 0))
    )


@pytest.mark.parametrize("seed", [*BINDING, 2, 5])
def test_what_cannot_be_delivered_has_no_price_and_the_rest_none_of_a_search(seed):
    case = out_of_reach(seed)
    exchange = gc.clear(case).exchange
    missed = exchange["shortfall_mvar"] > 0.0
    assert missed.any()
    assert (exchange["price_eur_mvarh"].isna() == missed).all()
    # What the dearest bid costs, with some losses; a search weighs a Mvar 50 times as much.
    dearest = case.reactive_bids["price_eur_mvarh"].max()
    assert (exchange["price_eur_mvarh"][~missed].abs() <= 1.5 * dearest).all()


@pytest.mark.parametrize("seed", BINDING)
def test_a_limit_is_worth_what_ipopt_saves_when_it_is_wider(seed):
    case = out_of_reach(seed)
    ours = gc.clear(case)
    clearing = clearing_of(case)
    short = ours.exchange["shortfall_mvar"].to_numpy()[None, :]
    held = replace(clearing, tolerance=clearing.tolerance + short + SLACK_MVAR)
    steps = steps_of(clearing, ours.devices)
    least, most = as_decided(clearing, shares_of(clearing, ours.schedule))
    limits = clearing.limits

    def cost(effective):
        answer = solve_continuous(replace(held, effective=effective), steps, least=least, most=most)
        assert answer.status == "solved"
        assert answer.shortfall_mvar.max() <= 1e-6
        return answer.cost_eur

    before = cost(clearing.effective)
    voltages = ours.binding[ours.binding["element_type"] == "bus"]
    assert len(voltages)
    for row in voltages.itertuples():
        side = 1 if row.kind == "overvoltage" else -1
        number = np.flatnonzero((limits["element"] == row.element) & (limits["side"] == side))
        wider = clearing.effective.copy()
        wider[clearing.starts.get_loc(row.start), number] += side * WIDER_PU
        saved = (before - cost(wider)) / WIDER_PU * 0.01
        print(f"seed {seed}, {row.start}: {row.price_eur:.3f} EUR per 0.01 p.u., Ipopt {saved:.3f}")
        assert abs(row.price_eur - saved) <= SAME * saved + SAME_EUR
