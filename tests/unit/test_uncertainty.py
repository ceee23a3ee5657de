"""The forecast error of a case as samples, and the samples as one compiled case."""

from __future__ import annotations

import dataclasses

import case_support as support
import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from scipy.stats import kstest, spearmanr

from gridclear.case import Case
from gridclear.errors import CaseError, OptionError
from gridclear.jobs.uncertainty import forecast_samples
from gridclear.network.compiled import compile_case
from gridclear.network.samples import sampled_case

STARTS = pd.date_range("2016-06-19T10:00Z", periods=4, freq="15min")


def quantiles(*elements):
    """(table, name, {probability: p_mw}), p a quarter more from each period to the next."""
    return pd.DataFrame(
        [
            (table, name, start, q, p * (1.0 + 0.25 * number))
            for table, name, values in elements
            for number, start in enumerate(STARTS)
            for q, p in values.items()
        ],
        columns=["element_type", "element", "start", "probability", "p_mw"],
    )


def scenarios(*rows):
    """(scenario, table, name, p_mw, q_mvar), p a quarter more from each period to the next."""
    return pd.DataFrame(
        [
            (scenario, table, name, start, p * (1.0 + 0.25 * number), q)
            for scenario, table, name, p, q in rows
            for number, start in enumerate(STARTS)
        ],
        columns=["scenario", "element_type", "element", "start", "p_mw", "q_mvar"],
    )


def case_of(net=None, **tables):
    return Case.from_pandapower(
        support.tiny_net() if net is None else net, start=STARTS[0], periods=4, **tables
    )


QUANTILES = quantiles(
    ("sgen", "W1", {0.1: 1.0, 0.5: 2.0, 0.9: 2.4}),
    ("load", "L2", {0.25: 1.0, 0.75: 2.0}),
    ("sgen", "PV1", {0.05: 0.5, 0.5: 3.0, 0.95: 4.0}),
    ("load", "L1", {0.1: 1.5, 0.9: 2.5}),
)
SCENARIOS = scenarios(
    ("storm", "sgen", "W1", 3.0, np.nan),
    ("calm", "sgen", "W1", 0.1, np.nan),
    ("storm", "load", "L1", 2.5, 0.9),
    ("calm", "load", "L1", 1.5, np.nan),
)


def powers(samples, table):
    (own,) = [own for own in samples.elements if own.table == table]
    return own


def test_quantile_functions_are_met():
    samples = forecast_samples(case_of(forecast_quantiles=QUANTILES), samples=4000, seed=5)
    own = powers(samples, "sgen")
    assert own.element.tolist() == [0, 1]
    assert own.p_mw.shape == (4000, 4, 2)
    for period in range(4):
        factor = 1.0 + 0.25 * period
        wind = own.p_mw[:, period, 1] / factor
        # Knots by hand: the outer pieces go on to 1.0 - 0.1 * 2.5 = 0.75 and 2.4 + 0.1 * 1.0 = 2.5.
        cdf = lambda p: np.interp(p, [0.75, 1.0, 2.0, 2.4, 2.5], [0.0, 0.1, 0.5, 0.9, 1.0])  # noqa: E731
        assert kstest(wind, cdf).pvalue > 1e-3
        # 0.5 - 0.05 * 2.5 / 0.45 is above zero, the straight line of a steeper one would not be.
        assert own.p_mw[:, period, 0].min() >= 0.0


def test_outer_pieces_do_not_cross_zero():
    table = quantiles(
        ("sgen", "PV1", {0.4: 0.0, 0.6: 1.0}),
        ("sgen", "W1", {0.4: -1.0, 0.6: 0.0}),
        ("storage", "S1", {0.4: -1.0, 0.6: 1.0}),
    )
    samples = forecast_samples(case_of(forecast_quantiles=table), samples=2000)
    first = powers(samples, "sgen").p_mw[:, 0]
    assert first.min(axis=0)[0] == 0.0
    assert first.max(axis=0)[1] == 0.0
    assert (first[:, 0] == 0.0).mean() == pytest.approx(0.4, abs=0.04)
    assert first[:, 0].max() == pytest.approx(3.0, abs=0.05)
    both = powers(samples, "storage").p_mw[:, 0, 0]
    assert (both.min(), both.max()) == pytest.approx((-5.0, 5.0), abs=0.1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_errors_hang_together_within_a_table_and_over_the_horizon(correlation):
    case = case_of(forecast_quantiles=QUANTILES)
    samples = forecast_samples(case, samples=4000, correlation=correlation)
    sgen, load = powers(samples, "sgen").p_mw, powers(samples, "load").p_mw
    # Spearman's of a Gaussian copula.
    expected = 6.0 / np.pi * np.arcsin(correlation / 2.0)
    for own in (sgen, load):
        assert spearmanr(own[:, 0, 0], own[:, 0, 1]).statistic == pytest.approx(expected, abs=0.04)
        assert spearmanr(own[:, 0, 0], own[:, 3, 0]).statistic == pytest.approx(1.0)
    assert spearmanr(sgen[:, 0, 0], load[:, 0, 0]).statistic == pytest.approx(0.0, abs=0.05)


def test_draws_are_kept_apart_by_the_seed_alone():
    case = case_of(forecast_quantiles=QUANTILES)
    many, few = forecast_samples(case, samples=50, seed=3), forecast_samples(case, samples=20, seed=3)
    turned = case_of(forecast_quantiles=QUANTILES.sample(frac=1.0, random_state=1))
    net = support.tiny_net()
    net.sgen, net.load = net.sgen.iloc[::-1], net.load.iloc[::-1]
    regrouped = case_of(net, forecast_quantiles=QUANTILES)
    for other in (
        few,
        forecast_samples(turned, samples=50, seed=3),
        forecast_samples(regrouped, samples=50, seed=3),
    ):
        for one, two in zip(many.elements, other.elements, strict=True):
            assert (one.p_mw[: other.count] == two.p_mw).all()
            assert (one.q_mvar[: other.count] == two.q_mvar).all()
    assert not (forecast_samples(case, samples=50, seed=4).elements[0].p_mw == many.elements[0].p_mw).any()


def test_reactive_power_follows_only_where_it_comes_from_the_active():
    net = support.tiny_net()
    net.load["p_mw"], net.load["q_mvar"] = [2.0, 0.1], [0.4, 0.3]
    net.load["scaling"] = [0.0, 0.6]
    samples = forecast_samples(case_of(net, forecast_quantiles=QUANTILES), samples=10)
    load = powers(samples, "load")
    np.testing.assert_allclose(load.q_mvar[..., 0], 0.2 * load.p_mw[..., 0])
    assert (load.q_mvar[..., 1] == 0.3).all()


def test_scenarios_are_taken_as_they_are():
    case = case_of(forecast_scenarios=SCENARIOS.sample(frac=1.0, random_state=2))
    samples = forecast_samples(case)
    assert samples.count == 2
    calm, storm = powers(samples, "sgen").p_mw[:, :, 0]
    assert calm.tolist() == [0.1 * (1.0 + 0.25 * n) for n in range(4)]
    assert storm.tolist() == [3.0 * (1.0 + 0.25 * n) for n in range(4)]
    load = powers(samples, "load")
    assert load.element.tolist() == [0]
    np.testing.assert_allclose(load.q_mvar[0, :, 0], 0.2 * load.p_mw[0, :, 0])
    assert (load.q_mvar[1] == 0.9).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(CaseError, match="rows in forecast_quantiles or forecast_scenarios"):
        forecast_samples(case_of())
    with pytest.raises(OptionError, match="has 2 scenarios"):
        forecast_samples(case_of(forecast_scenarios=SCENARIOS), samples=200)
    case = case_of(forecast_quantiles=QUANTILES)
    for wrong in ({"samples": 0}, {"seed": -1}, {"correlation": 1.1}, {"correlation": float("nan")}):
        with pytest.raises(OptionError):
            forecast_samples(case, **wrong)


def with_forecast(case, samples, number):
    """The case whose forecast is one of the samples, through the table that a user would write."""
    rows = [
        (own.table, case.grid.labels(own.table).iloc[element], start, own.p_mw[number, period, k], q)
        for own in samples.elements
        for k, element in enumerate(own.element)
        for period, start in enumerate(case.horizon.starts)
        for q in [np.nan if own.table == "gen" else own.q_mvar[number, period, k]]
    ]
    table = pd.DataFrame(rows, columns=list(case.forecast.columns))
    replaced = set(zip(table["element_type"], table["element"], strict=True))
    kept = [
        key not in replaced
        for key in zip(case.forecast["element_type"], case.forecast["element"], strict=True)
    ]
    return dataclasses.replace(case, forecast=pd.concat([case.forecast[kept], table], ignore_index=True))


@pytest.mark.parametrize("dependent", [False, True])
def test_sampled_case_is_the_cases_of_the_samples(dependent):
    net = support.tiny_net()
    pp.create_ward(net, 3, 0.1, 0.05, 0.02, 0.01)
    if dependent:
        net.load["const_z_p_percent"], net.load["const_i_q_percent"] = [30.0, 60.0], [40.0, 10.0]
    forecast = pd.concat([quantiles(("load", "L1", {0.5: 1.9})), quantiles(("sgen", "W1", {0.5: 2.2}))])
    outages = pd.DataFrame(
        [
            ("line", "K45", STARTS[1], STARTS[3], "out"),
            ("switch", "Q2", STARTS[1], STARTS[3], "closed"),
            ("sgen", "W1", STARTS[2], STARTS[3], "out"),
            ("load", "L2", STARTS[3], STARTS[3] + pd.Timedelta("15min"), "out"),
        ],
        columns=["element_type", "element", "start", "end", "state"],
    )
    error = pd.concat(
        [
            QUANTILES[QUANTILES["element"] != "PV1"],
            quantiles(("gen", "G1", {0.1: 0.2, 0.9: 0.8}), ("storage", "S1", {0.1: -0.5, 0.9: 0.8})),
        ]
    )
    case = case_of(
        net, forecast=forecast.drop(columns="probability"), outages=outages, forecast_quantiles=error
    )
    compiled, samples = compile_case(case), forecast_samples(case, samples=3, seed=8)
    all_states = sampled_case(compiled, samples)
    assert (compiled.shares is not None) == dependent == (len(all_states.parts) == 6)
    for number in range(3):
        alone, states = compile_case(with_forecast(case, samples, number)), slice(4 * number, 4 * number + 4)
        assert (all_states.topology[states] == alone.topology).all()
        for ours, theirs in zip(all_states.parts, alone.parts, strict=True):
            assert np.abs(theirs - compiled.p).max() > 0.0
            np.testing.assert_allclose(ours[states], theirs, rtol=0, atol=1e-14)
        if dependent:
            for name in ("current_p", "current_q", "impedance_p", "impedance_q"):
                assert (getattr(all_states.shares, name)[states] == getattr(alone.shares, name)).all()
    again = sampled_case(compiled, samples.part(1, 3))
    assert all((one[4:] == two).all() for one, two in zip(all_states.parts, again.parts, strict=True))
