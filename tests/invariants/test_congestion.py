"""Congestion forecast: amounts that cure a limit, held against pandapower."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from lights_support import SHIPPED, bid, forecast, shipped_case, shipped_problem, tiny_case

import gridclear as gc
from oracle.activation import Period

LIMIT = ["start", "kind", "element_type", "element"]


def period_of(problem, cures: pd.DataFrame) -> Period:
    """Offers of the needed amounts of these cures, one row each, at the power factors of the bids."""
    bids = problem.active_bids
    factor = dict(zip(zip(bids["element_type"], bids["element"], strict=True), bids["tan_phi"], strict=True))
    pairs = zip(cures["resource_type"], cures["resource"], strict=True)
    table = pd.DataFrame(
        {
            "bid": [f"C{number}" for number in range(len(cures))],
            "element_type": cures["resource_type"].to_numpy(),
            "element": cures["resource"].to_numpy(),
            "start": cures["start"].to_numpy(),
            "direction": cures["direction"].to_numpy(),
            "p_mw": cures["needed_mw"].to_numpy(),
            "tan_phi": [factor[pair] for pair in pairs],
        }
    )
    start = cures["start"].iloc[0]
    table["start"] = start
    return Period(dataclasses.replace(problem, active_bids=table), start)


def beyond(period: Period, row: int, share: float, limit: tuple[str, str, str]) -> float:
    """Tolerances by which a limit is still broken with a share of one row."""
    state = period.state({row: share})
    own = state[(state[["kind", "element_type", "element"]] == list(limit)).all(axis=1)]
    return float((own["side"] * (own["value"] - own["limit"]) / own["tolerance"]).max())


@pytest.mark.parametrize("name", SHIPPED)
def test_needed_amounts_cure_and_less_does_not(name, grids):
    case, problem = shipped_case(grids / name), shipped_problem(grids / name)
    cures = gc.congestion_forecast(case, threads=1).cures
    rng = np.random.default_rng(0)
    for start in rng.permutation(cures["start"].unique())[:2]:
        own = cures[cures["start"] == start].sample(4, random_state=0).reset_index(drop=True)
        period = period_of(problem, own)
        for row in own.itertuples():
            limit = (row.kind, row.element_type, row.element)
            assert beyond(period, row.Index, 1.0, limit) <= 1.001
            assert beyond(period, row.Index, 0.999, limit) > 1.0


def test_nobody_else_needs_less(grids):
    case, problem = shipped_case(grids / "mv-rural"), shipped_problem(grids / "mv-rural")
    cures = gc.congestion_forecast(case, threads=1).cures
    first = cures[(cures[LIMIT] == cures[LIMIT].iloc[3]).all(axis=1)]
    marked = case.active_bids[case.active_bids["element"] != ""]
    every = set(zip(marked["element_type"], marked["element"], strict=True))
    others = sorted(every - set(zip(first["resource_type"], first["resource"], strict=True)))
    offered = pd.DataFrame(
        [(*pair, direction) for pair in others for direction in ("up", "down")],
        columns=["resource_type", "resource", "direction"],
    ).assign(start=first["start"].iloc[0], needed_mw=0.95 * first["needed_mw"].max())
    period = period_of(problem, offered)
    limit = tuple(first[LIMIT[1:]].iloc[0])
    for row in offered.index:
        if period.stopped[row] is None:
            assert beyond(period, row, 1.0, limit) > 1.0


def test_every_broken_limit_is_listed_as_in_the_flow(grids):
    case = shipped_case(grids / "mv-urban")
    found, flow = gc.congestion_forecast(case), gc.power_flow(case)
    pd.testing.assert_frame_equal(found.limits, flow.violations)
    broken = found.limits[~found.limits["kind"].isin(["islanded", "no-solution"])]
    assert set(map(tuple, found.cures[LIMIT].to_numpy())) <= set(map(tuple, broken[LIMIT].to_numpy()))


def test_nothing_broken_needs_no_cure():
    case = tiny_case(bid("A", "park", "up", 0.5), limits=gc.Limits(0.9, 1.1, 1000.0))
    found = gc.congestion_forecast(case)
    assert found.status == "solved"
    assert found.limits.empty
    assert found.cures.empty


def test_without_a_base_state_there_is_nothing_to_cure():
    heavy = forecast(("mill", [5000.0, 5000.0]))
    case = tiny_case(bid("A", "park", "up", 0.5), periods=2, forecast=heavy)
    found = gc.congestion_forecast(case)
    assert found.status == "no-solution"
    assert set(found.limits["kind"]) == {"no-solution"}
    assert found.cures.empty
