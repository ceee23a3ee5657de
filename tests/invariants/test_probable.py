"""Safe amounts under forecast error: in each sample what ``qualify`` says of the case with that forecast."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from lights_support import START, STEP, bid, outage, regulator, shipped_case, tiny_case

import gridclear as gc
from gridclear.jobs import probable
from gridclear.jobs.bids import resolve_bids
from gridclear.jobs.uncertainty import forecast_samples
from gridclear.network.compiled import compile_case

TIGHT = gc.Limits(vm_min_pu=0.99, vm_max_pu=1.04, loading_percent=60.0)


def quantiles(periods, *elements):
    """(table, element, {probability: p_mw}), the same in every period."""
    return pd.DataFrame(
        [
            (table, name, START + period * STEP, q, p)
            for table, name, values in elements
            for period in range(periods)
            for q, p in values.items()
        ],
        columns=["element_type", "element", "start", "probability", "p_mw"],
    )


def uncertain_case(*bids, periods=1, error=None, **tables):
    case = tiny_case(*bids, periods=periods, **tables)
    error = error or (
        ("sgen", "park", {0.1: 0.5, 0.5: 1.5, 0.9: 4.0}),
        ("sgen", "farm", {0.1: 0.1, 0.9: 2.0}),
        ("load", "mill", {0.2: 1.5, 0.8: 4.0}),
    )
    return dataclasses.replace(case, forecast_quantiles=quantiles(periods, *error))


def every_kind_of_case():
    return uncertain_case(
        bid("in part", "park", "up", 9.0, tan_phi=0.1),
        bid("in part", "park", "up", 9.0, period=1),
        bid("least", "farm", "up", 8.0, min_p_mw=5.0),
        bid("block", "village", "down", 9.0, block="B"),
        bid("block", "village", "down", 6.0, period=1, block="B"),
        bid("other block", "town", "down", 7.0, block="C"),
        bid("island", "mill", "down", 1.0, period=1),
        bid("transmission", "", "up", 50.0),
        bid("relief", "park", "down", 1.0, period=1),
        periods=2,
        limits=TIGHT,
        tap_changers=regulator(1.01),
        outages=outage("line", "BE", 1),
    )


def with_forecast(case, samples, number):
    """The case whose forecast is one of the samples; elements that are not sampled keep theirs."""
    rows = [
        (
            own.table,
            case.grid.labels(own.table).iloc[element],
            start,
            own.p_mw[number, period, k],
            own.q_mvar[number, period, k],
        )
        for own in samples.elements
        for k, element in enumerate(own.element)
        for period, start in enumerate(case.horizon.starts)
    ]
    table = pd.DataFrame(rows, columns=list(case.forecast.columns))
    keys = ["element_type", "element"]
    kept = ~pd.MultiIndex.from_frame(case.forecast[keys]).isin(pd.MultiIndex.from_frame(table[keys]))
    return dataclasses.replace(case, forecast=pd.concat([case.forecast[kept], table], ignore_index=True))


def oracle_shares(case, samples):
    """Accepted share (sample, row), one ``qualify`` per sample."""
    shares = []
    for number in range(samples.count):
        lights = gc.qualify(with_forecast(case, samples, number), guarantee="each", threads=1).lights
        shares.append((lights["accepted_mw"] / lights["offered_mw"]).to_numpy())
    return np.array(shares)


def shares_of(case, samples):
    compiled = compile_case(case)
    return probable.sampled_shares(compiled, resolve_bids(compiled), samples, 1, None)


def test_shares_are_those_of_the_case_with_that_forecast():
    case = every_kind_of_case()
    samples = forecast_samples(case, samples=25, seed=2)
    shares, unsolved = shares_of(case, samples)
    expected = oracle_shares(case, samples)
    assert unsolved == 0
    np.testing.assert_allclose(shares, expected, rtol=0, atol=2e-5)
    # The case has what it is there for.
    seen = ["".join(sorted({*np.select([row >= 1.0, row > 0.0], ["g", "y"], "r")})) for row in expected.T]
    assert seen == ["y", "y", "gry", "y", "y", "gy", "r", "g", "g"]
    np.testing.assert_allclose(expected[:, 3], expected[:, 4])
    assert (shares[:, 3] == shares[:, 4]).all()


@pytest.mark.parametrize("name", ["mv-rural", "hv-mixed"])
def test_shipped_cases_agree_sample_by_sample(name, grids):
    case = shipped_case(grids / name)
    case = dataclasses.replace(case, active_bids=case.active_bids.iloc[::7].reset_index(drop=True))
    states = [
        case.forecast.drop(columns="q_mvar").assign(scenario=label, p_mw=case.forecast["p_mw"] * factor)
        for label, factor in (("a", 0.4), ("b", 1.0), ("c", 1.5))
    ]
    error = pd.concat(states, ignore_index=True).assign(q_mvar=np.nan)
    case = dataclasses.replace(case, forecast_scenarios=error[case.forecast_scenarios.columns])
    samples = forecast_samples(case)
    shares, _ = shares_of(case, samples)
    np.testing.assert_allclose(shares, oracle_shares(case, samples), rtol=0, atol=2e-5)
    assert (np.abs(shares[0] - shares[2]) > 0.01).any()


def test_table_says_what_the_samples_say():
    case = every_kind_of_case()
    result = gc.probable_lights(case, probability=0.8, samples=40, seed=2)
    table, shares = result.probable, oracle_shares(case, forecast_samples(case, samples=40, seed=2))
    assert result.status == "qualified"
    assert result.provenance["options"]["samples"] == 40
    assert table["bid"].tolist() == case.active_bids["bid"].tolist()
    assert table["start"].tolist() == case.active_bids["start"].tolist()
    assert (table["samples"] == 40).all()
    # 32 of 40 samples have to be safe: the ninth from below.
    safe = np.sort(shares, axis=0)[8] * table["offered_mw"]
    np.testing.assert_allclose(table["safe_mw"], safe, rtol=0, atol=1e-3)
    assert (table["probability_full"] == (shares >= 1.0).mean(axis=0)).all()
    ends = table[["safe_low_mw", "safe_mw", "safe_high_mw"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0.0).all()
    assert (np.diff(ends, axis=1) > 0.0).any(axis=0).all()
    ends = table[["probability_full_low", "probability_full", "probability_full_high"]].to_numpy()
    assert (np.diff(ends, axis=1) >= 0.0).all()


def test_what_no_forecast_touches_is_certain():
    table = gc.probable_lights(every_kind_of_case(), samples=3).probable.set_index("bid")
    columns = ["safe_mw", "safe_low_mw", "safe_high_mw"]
    assert (table.loc["transmission", columns] == 50.0).all()
    assert (table.loc["island", columns] == 0.0).all()
    for name, full in (("transmission", 1.0), ("island", 0.0)):
        assert table.loc[name, "probability_full_low"] == full == table.loc[name, "probability_full_high"]
    # Three samples bound nothing else at 95 %.
    assert table.loc["relief", "safe_low_mw"] != table.loc["relief", "safe_low_mw"]


def test_samples_without_base_solution_are_unsafe():
    case = uncertain_case(
        bid("relief", "mill", "up", 0.1), error=(("load", "mill", {0.3: 1.0, 0.31: 500.0, 0.9: 500.0}),)
    )
    result = gc.probable_lights(case, samples=60, probability=0.5)
    lost = result.provenance["unsolved"]
    assert result.status == "partial"
    assert 30 < lost < 60
    (row,) = result.probable.to_dict("records")
    assert row["safe_mw"] == 0.0
    assert row["probability_full"] == pytest.approx(1.0 - lost / 60)
    none = uncertain_case(
        bid("relief", "mill", "up", 0.1), error=(("load", "mill", {0.1: 500.0, 0.9: 500.0}),)
    )
    assert gc.probable_lights(none, samples=5).status == "no-solution"


def test_no_order_of_rows_and_no_number_of_threads_or_parts_changes_a_bit(monkeypatch):
    case = every_kind_of_case()
    first = gc.probable_lights(case, samples=30, threads=1).probable
    pd.testing.assert_frame_equal(gc.probable_lights(case, samples=30, threads=2).probable, first)
    turned = dataclasses.replace(
        case,
        active_bids=case.active_bids.iloc[::-1].reset_index(drop=True),
        forecast_quantiles=case.forecast_quantiles.sample(frac=1.0, random_state=3).reset_index(drop=True),
    )
    other = gc.probable_lights(turned, samples=30).probable
    pd.testing.assert_frame_equal(other.iloc[::-1].reset_index(drop=True), first)
    monkeypatch.setattr(probable, "_ROOM", 100)
    done = []
    parts = gc.probable_lights(case, samples=30, progress=lambda now, all_: done.append((now, all_)))
    assert done == [(10, 30), (20, 30), (30, 30)]
    pd.testing.assert_frame_equal(parts.probable, first)


def test_more_probability_is_fewer_megawatts(tmp_path):
    case = every_kind_of_case()
    by_p = [gc.probable_lights(case, samples=40, probability=p).probable["safe_mw"] for p in (0.99, 0.9, 0.5)]
    assert (by_p[0] <= by_p[1]).all()
    assert (by_p[1] <= by_p[2]).all()
    assert by_p[0].sum() < by_p[1].sum() < by_p[2].sum()
    gc.probable_lights(case, samples=40).write(tmp_path)
    assert len(pd.read_csv(tmp_path / "probable.csv")) == len(case.active_bids)


def test_certain_forecast_is_the_lights_of_the_forecast():
    forecast = {"park": 1.5, "farm": 0.5}
    case = uncertain_case(
        bid("in part", "park", "up", 20.0),
        limits=TIGHT,
        error=tuple(("sgen", name, {0.1: p, 0.9: p}) for name, p in forecast.items()),
    )
    (row,) = gc.probable_lights(case, samples=80).probable.to_dict("records")
    (light,) = gc.qualify(case).lights.to_dict("records")
    assert light["light"] == "yellow"
    assert row["safe_low_mw"] == row["safe_mw"] == row["safe_high_mw"] == pytest.approx(light["accepted_mw"])


@pytest.mark.parametrize("option", [{"probability": 1.0}, {"confidence": 0.0}, {"samples": 0}])
def test_options_are_checked_before_the_work(option):
    with pytest.raises(gc.OptionError):
        gc.probable_lights(every_kind_of_case(), **option)
