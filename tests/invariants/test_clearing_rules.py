"""What a clearing does where something is wrong: with a plan, with time, or with the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridclear as gc
from gridclear.optimise.algorithms import Found
from oracle.small_clearings import small_case

STORED, UNSTORED = 24, 23  # small cases with and without a storage whose power is decided


@pytest.fixture(scope="module")
def case():
    return small_case(STORED)


def spoilt(change):
    """An algorithm that gives the plan of nothing with a change."""
    return lambda problem, _: Found(change(problem, problem.nothing()), complete=True)


def with_share(value):
    return lambda problem, plan: replace(plan, share=np.full(len(problem.offers.most), value))


def with_steps(steps):
    return lambda _, plan: replace(plan, steps=plan.steps + steps)


def with_moves(problem, plan):
    """Every device to one end of its range, and back to the schedule."""
    steps = plan.steps.copy()
    steps[:, 0] = [device.highest or device.lowest for device in problem.devices]
    return replace(plan, steps=steps)


def with_storage(charge, discharge):
    return lambda _, plan: replace(plan, charge=plan.charge + charge, discharge=plan.discharge + discharge)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (with_share(1.5), "a share is not 0 … 1 of what is offered"),
        (with_share(-0.5), "a share is not 0 … 1 of what is offered"),
        (with_share(0.01), "an offer is taken below its least amount"),
        (with_moves, "a device moves more often than it may"),
        (with_storage(100.0, 0.0), "a storage leaves its powers"),
        (with_storage(0.1, 0.1), "a storage charges and discharges at once"),
        (with_storage(0.0, 0.9), "a storage ends below its least energy"),
    ],
)
def test_a_rule_that_an_algorithm_breaks_is_named_and_nothing_is_confirmed(case, change, rule):
    if "moves more" in rule:
        limited = case.tap_changers.assign(max_moves=1), case.capacitor_banks.assign(max_moves=1)
        case = replace(case, tap_changers=limited[0], capacitor_banks=limited[1])
    clearing = gc.clear(case, algorithm=spoilt(change))
    assert clearing.status == "no-solution"
    assert rule in clearing.provenance["proof"]["broken_rules"]


@pytest.mark.parametrize(
    "change",
    [
        lambda _, plan: replace(plan, share=plan.share[1:]),
        lambda _, plan: replace(plan, charge=np.full_like(plan.charge, np.nan)),
        lambda _, plan: replace(plan, steps=plan.steps + 0.5),
        with_steps(100),
    ],
)
def test_what_is_no_plan_is_refused(case, change):
    with pytest.raises(gc.OptionError, match="the algorithm's"):
        gc.clear(case, algorithm=spoilt(change))


def test_no_time_gives_the_best_confirmed_schedule_so_far():
    clearing = gc.clear(small_case(UNSTORED), deadline_s=1e-6)
    assert clearing.status == "deadline"
    assert clearing.provenance["proof"]["worst_violation"] <= 1e-6


def test_no_time_leaves_regulators_where_they_keep_the_limits(grids):
    case = gc.read_case(grids / "hv-mixed")
    clearing = gc.clear(case, deadline_s=1e-6)
    assert clearing.status == "deadline"
    rest = gc.power_flow(case).devices
    moved = clearing.devices.merge(rest, on=["start", "element_type", "element"], suffixes=("", "_base"))
    assert (moved["position"] == moved["position_base"]).all()
    assert moved["moves"].sum() > 0  # the schedule alone breaks a limit


@pytest.mark.parametrize(("bound", "stages"), [(False, 3), (True, 4)])
def test_progress_counts_the_stages_to_the_last(bound, stages):
    told = []
    gc.clear(small_case(UNSTORED), bound=bound, progress=lambda *now: told.append(now))
    assert told == [(done, stages) for done in range(1, stages + 1)]


def test_a_storage_that_must_charge_does(case):
    must = replace(case, storage=case.storage.assign(p_min_mw=0.2))
    clearing = gc.clear(must)
    assert clearing.status == "confirmed"
    charged = clearing.schedule[clearing.schedule["element_type"] == "storage"]["p_mw"]
    assert (charged <= -0.2 + 1e-9).all()


def unasked(seed):
    """A small case in which any exchange will do, and losses cost nothing."""
    case = small_case(seed)
    profile = case.reactive_profile.assign(tolerance_mvar=1e3)
    return replace(case, reactive_profile=profile, prices=replace(case.prices, losses_eur_mwh=0.0))


@pytest.mark.parametrize("seed", [7, STORED])
def test_a_storage_whose_schedule_ends_too_low_charges_though_nothing_is_gained(seed):
    case = unasked(seed)
    clearing = gc.clear(case)
    assert clearing.status == "confirmed"
    own = clearing.devices[clearing.devices["element_type"] == "storage"]
    due = case.storage["e_end_min_mwh"].item()
    assert due > case.storage["e_start_mwh"].item()  # the schedule leaves it as it is
    assert own["energy_mwh"].iloc[-1] >= due - 1e-6
    assert (clearing.schedule["q_mvar"] == 0.0).all()


def test_a_cost_of_nothing_that_the_bound_reaches_is_optimal():
    clearing = gc.clear(unasked(3), bound=True)
    assert (clearing.cost_eur, clearing.bound_eur, clearing.gap) == (0.0, 0.0, 0.0)
    assert clearing.status == "optimal"


@pytest.mark.parametrize("periods", [slice(0, 1), slice(None)])
def test_a_period_without_any_power_flow_is_no_solution_and_no_traceback(case, periods):
    lost = case.horizon.starts[periods]
    forecast = case.forecast.copy()
    forecast.loc[forecast["start"].isin(lost) & (forecast["element_type"] == "load"), "p_mw"] *= 1e4
    clearing = gc.clear(replace(case, forecast=forecast))
    assert clearing.status == "no-solution"
    assert len(clearing.exchange) == len(case.horizon.starts)
