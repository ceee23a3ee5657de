"""Jobs whose inverters follow curves: each holds by ``runpp`` with the curves in it, or refuses the case."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from lights_support import START, bid, forecast, regulator, tiny_case, tiny_net

import gridclear as gc
from gridclear.cli import main
from gridclear.jobs.bids import resolve_bids
from gridclear.jobs.probable import sampled_shares
from gridclear.network.compiled import compile_case
from gridclear.network.samples import ElementSamples, Samples
from oracle import brute_force, market, plain_grid
from oracle.curves import with_reactions
from oracle.plain_grid import problem_of
from oracle.random_cases import curved_case
from oracle.reaction import EDGE, Reaction

INVERTERS = pd.DataFrame(
    [("park", 14.0, "V"), ("farm", 14.0, "P")], columns=["element", "s_max_mva", "reaction"]
)
CURVES = pd.DataFrame(
    [
        ("V", 0.96, np.nan, 0.3), ("V", 0.995, np.nan, 0.0),
        ("V", 1.01, np.nan, 0.0), ("V", 1.04, np.nan, -0.3),
        ("P", np.nan, 0.0, 0.0), ("P", np.nan, 0.3, 0.0), ("P", np.nan, 1.0, -0.3),
    ],
    columns=["curve", "vm_pu", "p_pu", "q_pu"],
)  # fmt: skip
TIGHT = gc.Limits(vm_min_pu=0.99, vm_max_pu=1.035, loading_percent=60.0)
RESOURCES = [("load", "mill"), ("sgen", "park"), ("sgen", "farm")]


def curved(*bids, **options):
    """The tiny grid with two inverters on curves, and the oracle's problem of the same."""
    case = tiny_case(*bids, inverters=INVERTERS, reaction_curves=CURVES, **options)
    return case, problem_of(case, with_reactions(tiny_net(), INVERTERS, CURVES))


def row_of(table, element, direction, p_mw):
    return {"element_type": table, "element": element, "direction": direction, "p_mw": p_mw}


@pytest.mark.parametrize(
    ("element", "direction", "p_mw", "vm_set"),
    [("park", "up", 12.0, 1.0), ("farm", "up", 12.0, 1.02), ("mill", "down", 9.0, 1.0)],
)
@pytest.mark.parametrize("guarantee", ["each", "merit-order"])
def test_amounts_are_safe_before_and_after_regulators_react(guarantee, element, direction, p_mw, vm_set):
    case, problem = curved(
        bid("A", element, direction, p_mw),
        limits=gc.Limits(0.97, 1.03, 1000.0),
        tap_changers=regulator(vm_set),
    )
    light = gc.qualify(case, guarantee=guarantee, devices="automatic").lights.iloc[0]
    table = "load" if element == "mill" else "sgen"
    oracle = Reaction(problem, START, (table, element), p_mw if direction == "up" else -p_mw)
    accepted = light["accepted_mw"] / p_mw
    assert 0.0 < accepted < 1.0
    assert [share for share in np.linspace(0.0, accepted, 15) if oracle.broken(share)] == []
    assert any(oracle.broken(accepted + step) for step in (5e-4, 1e-3, 2e-3))


def test_positions_are_reset_so_that_more_passes():
    tap = pd.DataFrame({"element_type": ["trafo"], "element": ["T"], "mode": ["optimised"]})
    case, problem = curved(
        bid("A", "park", "up", 12.0), limits=gc.Limits(0.95, 1.015, 1000.0), tap_changers=tap
    )
    still, reset = gc.qualify(case), gc.qualify(case, devices="optimised")
    before, after = (result.lights["accepted_mw"].iloc[0] for result in (still, reset))
    assert before + 0.5 < after < 12.0
    base = plain_grid.base_state(problem, START)
    net = copy.deepcopy(base.net)
    net.trafo["tap_pos"] = reset.devices["position"].iloc[0]
    assert plain_grid.solve(net)
    ray = brute_force.ray(problem, dataclasses.replace(base, net=net), row_of("sgen", "park", "up", 12.0))
    assert not brute_force.broken_by(ray(after / 12.0), EDGE)
    assert brute_force.broken_by(ray(after / 12.0 + 1e-3), EDGE)


@pytest.mark.parametrize("seed", [0, 7, 12])
def test_activation_is_that_of_the_plain_oracle(seed):
    case, net = curved_case(seed, blocks=False, bids=(3, 4), periods=1)
    bids, need = market.random_need(case.active_bids, case.horizon.starts, np.random.default_rng(seed))
    case = dataclasses.replace(case, active_bids=bids, active_need=need)
    result = gc.activate(case, losses=seed == 7, threads=1)
    assert result.proof["confirmed"].all()
    problem = problem_of(case, net)
    differs = market.differences(problem, need, result.accepted, losses=seed == 7, points=5)
    assert not differs, "\n".join(differs)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_largest_products_are_those_of_the_oracle(direction):
    case, problem = curved(limits=TIGHT)
    products = gc.prequalify(case, p_max_mw=11.0, directions=[direction], resources=RESOURCES).products
    base = plain_grid.base_state(problem, START)
    for row in products.itertuples():
        asked = row_of(row.element_type, row.element, direction, 11.0)
        crossing = brute_force.first_crossing(problem, base, asked, points=8)
        assert row.largest_mw == pytest.approx(11.0 * crossing.fraction, abs=22.0 * brute_force.RESOLUTION)
        assert 0.0 < row.largest_mw < 11.0
        assert (row.kind, row.limit_element_type, row.limit_element) in crossing.broken


def test_corners_of_envelopes_break_nothing_and_wider_ones_do():
    case, problem = curved(limits=TIGHT)
    ranges = gc.operating_envelopes(case, p_max_mw=9.0, resources=RESOURCES).envelopes
    base = plain_grid.base_state(problem, START)
    low, high, plan = (ranges[name].to_numpy() for name in ("low_mw", "high_mw", "p_mw"))

    def broken(injections):
        net = copy.deepcopy(base.net)
        for (table, element), p_mw in zip(RESOURCES, injections, strict=True):
            own = plain_grid.find(net, table, element)
            net[table].loc[own, "p_mw"] = p_mw if table == "sgen" else -p_mw
        assert plain_grid.solve(net)
        state = base.constraints.assign(value=plain_grid.measure(problem, net)["value"])
        return brute_force.broken_by(state, EDGE)

    assert ranges[["element_type", "element"]].apply(tuple, axis=1).tolist() == RESOURCES
    rng = np.random.default_rng(3)
    inner = [np.where(sides, high, low) for sides in itertools.product([False, True], repeat=3)]
    inner += list(low + rng.random((20, 3)) * (high - low))
    assert [x for x in inner if broken(x)] == []
    wider = [
        np.where(sides, high + 0.02 * (high - plan), low - 0.02 * (plan - low))
        for sides in itertools.product([False, True], repeat=3)
    ]
    assert any(broken(x) for x in wider)


def test_needed_amounts_cure_and_less_does_not():
    heavy = forecast(("mill", [12.0]), ("village", [6.0]))
    case, problem = curved(
        limits=gc.Limits(vm_min_pu=0.985, vm_max_pu=1.1, loading_percent=1000.0), forecast=heavy
    )
    cures = gc.congestion_forecast(case, threads=1).cures
    assert {"farm", "mill"} <= set(cures["resource"])
    base = plain_grid.base_state(problem, START)

    def over(row, share):
        """Tolerances by which the limit of a row is still broken, its own and not that of the base state."""
        need = row_of(row.resource_type, row.resource, row.direction, row.needed_mw)
        state = brute_force.ray(problem, base, need)(share)
        own = state[
            (state[["kind", "element_type", "element"]] == [row.kind, row.element_type, row.element]).all(
                axis=1
            )
        ]
        return float((row.limit - own["value"].iloc[0]) / 1e-6)

    for row in cures.merge(
        gc.power_flow(case).violations, on=["kind", "element_type", "element"]
    ).itertuples():
        assert row.kind == "undervoltage"
        assert over(row, 1.0) <= 1.001
        assert over(row, 0.999) > 1.0


def test_shares_under_samples_are_those_of_cases_with_such_forecasts():
    offers = [bid("A", "park", "up", 12.0), bid("B", "farm", "up", 12.0), bid("C", "mill", "down", 9.0)]
    case, _ = curved(*offers, limits=TIGHT)
    p_mw = np.array([0.5, 3.0, 6.0])
    place = case.grid.tables["sgen"].index.get_loc(case.grid.lookup("sgen")["farm"])
    drawn = Samples(3, (ElementSamples("sgen", np.array([place]), p_mw[:, None, None], np.zeros((3, 1, 1))),))
    compiled = compile_case(case)
    shares, unsolved = sampled_shares(compiled, resolve_bids(compiled), drawn, 1, None)
    assert unsolved == 0
    for own, power in zip(shares, p_mw, strict=True):
        foreseen = forecast(("farm", [power])).assign(element_type="sgen")
        alone = gc.qualify(case.with_tables({"forecast": foreseen})).lights
        np.testing.assert_allclose(own, alone["accepted_mw"] / alone["offered_mw"], rtol=0, atol=2e-5)
    assert np.ptp(shares, axis=0).max() > 0.05


def market_case():
    """A case with data for every job of a session."""
    reactive = pd.DataFrame(
        {
            "bid": ["R"], "element_type": ["load"], "element": ["mill"], "start": [START],
            "direction": ["inject"], "q_mvar": [1.0], "price_eur_mvarh": [1.0],
        }
    )  # fmt: skip
    profile = pd.DataFrame({"connection_point": ["grid"], "start": [START], "q_mvar": [0.0]})
    need = pd.DataFrame({"start": [START], "direction": ["up"], "p_mw": [1.0]})
    return curved(
        bid("A", "park", "up", 2.0), limits=gc.Limits(0.9, 1.1, 1000.0), reactive_bids=reactive,
        reactive_profile=profile, active_need=need,
    )[0]  # fmt: skip


@pytest.mark.parametrize("in_turn", [False, True])
def test_a_session_says_which_jobs_know_no_curves(in_turn):
    session = gc.run_session(market_case(), in_turn=in_turn)
    jobs = session.jobs.set_index("job")
    refused = jobs.index[jobs["status"] == "refused"].tolist()
    assert refused == ["outlook", "pq_map", "clear"]
    assert jobs.loc[refused, "reason"].str.contains("the inverter follows curve 'V'").all()
    assert jobs.loc[["flow", "congestion", "tlq", "activate"], "complete"].all()
    assert session.status == "partial"


@pytest.mark.parametrize("command", ["clear", "pq-map", "settle"])
def test_commands_that_know_no_curves_name_the_inverters(command, tmp_path):
    gc.write_case(market_case(), tmp_path / "case")
    done = CliRunner().invoke(main, [command, str(tmp_path / "case")])
    assert done.exit_code == 1
    assert "the inverter follows curve 'V'" in done.stderr
    assert "the inverter follows curve 'P'" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize("algorithm", ["successive", "lindistflow", "ac"])
def test_no_algorithm_clears_what_it_does_not_represent(algorithm):
    with pytest.raises(gc.CaseError, match="the inverter follows curve 'V'"):
        gc.clear(market_case(), algorithm=algorithm)


def test_no_region_is_drawn_of_what_is_not_represented():
    with pytest.raises(gc.CaseError, match="the inverter follows curve 'V'"):
        gc.pq_map(market_case(), area=True)
