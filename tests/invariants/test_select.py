"""The TSO's choice on maps against plain enumeration over every pair of straight parts."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest

import gridclear as gc
from gridclear.jobs.pq_map import PQMap

HOURS = 0.25
START = pd.Timestamp("2026-06-21T10:00Z")


def made_map(seed: int) -> PQMap:
    """A map of two points, each of some runs with jumps and gaps between them."""
    rng = np.random.default_rng(seed)
    ranges, costs = [], []
    for point in ("A", "B"):
        q, rows = float(rng.uniform(-3, -1)), []
        for run in range(int(rng.integers(1, 4))):
            for _ in range(int(rng.integers(1, 4))):
                rows.append((START, point, len(rows), run, 0.0, q, float(rng.uniform(0, 9)), 0.0))
                q += float(rng.uniform(0.2, 1.0))
            q += float(rng.choice([1e-5, 0.4]))
        columns = [
            "start",
            "connection_point",
            "point",
            "run",
            "p_mw",
            "q_mvar",
            "cost_eur",
            "price_eur_mvarh",
        ]
        costs.append(pd.DataFrame(rows, columns=columns))
        ends = costs[-1]["q_mvar"].iloc[[0, -1]].tolist()
        ranges.append((START, point, 0.0, *ends, float(rng.uniform(*ends)), "mapped", 0))
    columns = ["start", "connection_point", "p_mw", "q_min_mvar", "q_max_mvar", "q_forecast_mvar", "state"]
    return PQMap(
        status="mapped",
        provenance={"hours": HOURS},
        ranges=pd.DataFrame(ranges, columns=[*columns, "base_violations"]),
        costs=pd.concat(costs, ignore_index=True),
        gaps=pd.DataFrame(),
        dispatch=pd.DataFrame(),
    )


def parts(pq: PQMap, point: str) -> list[tuple[float, float, float, float]]:
    found = []
    for _, run in pq.costs[pq.costs["connection_point"] == point].groupby("run"):
        marks = list(zip(run["q_mvar"], run["cost_eur"], strict=True))
        found += [(a[0], b[0], a[1], b[1]) for a, b in pairwise(marks)] or [
            (*2 * [marks[0][0]], *2 * [marks[0][1]])
        ]
    return found


def plain_least(pq: PQMap, need: float, price: float, most: float) -> tuple[float, float]:
    """Least miss, then least cost, over the corners of every pair of parts."""
    total = need + float(pq.ranges["q_forecast_mvar"].sum())
    best = (np.inf, np.inf)
    for a, b in product(parts(pq, "A"), parts(pq, "B")):
        # Corners of (q_a, q_b, resource): each at an end, or what balances the others.
        for q_a, q_b in {
            *product(a[:2], b[:2]),
            *((q, total - q - r) for q in a[:2] for r in (-most, 0.0, most)),
            *((total - q - r, q) for q in b[:2] for r in (-most, 0.0, most)),
        }:
            if not (a[0] - 1e-9 <= q_a <= a[1] + 1e-9 and b[0] - 1e-9 <= q_b <= b[1] + 1e-9):
                continue
            r = float(np.clip(total - q_a - q_b, -most, most))
            missed = round(abs(total - q_a - q_b - r), 9)
            cost = sum(
                c0 + (c1 - c0) * (q - low) / (high - low) if high > low else c0
                for q, (low, high, c0, c1) in ((q_a, a), (q_b, b))
            )
            best = min(best, (missed, cost + abs(r) * price * HOURS))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_the_choice_is_that_of_enumeration(seed):
    rng = np.random.default_rng(1000 + seed)
    pq, need = made_map(seed), float(rng.uniform(-4, 4))
    price, most = float(rng.uniform(0, 20)), float(rng.choice([0.0, 0.5]))
    resources = pd.DataFrame(
        {"resource": ["own"], "q_min_mvar": [-most], "q_max_mvar": [most], "price_eur_mvarh": [price]}
    )
    choice = gc.select(pq, pd.DataFrame({"start": [START], "q_mvar": [need]}), resources)
    missed, cost = plain_least(pq, need, price, most)
    row = choice.periods.iloc[0]
    assert abs(row["need_mvar"] - row["met_mvar"]) == pytest.approx(missed, abs=1e-6)
    assert choice.status == ("short" if missed > 1e-6 else "chosen")
    assert row["maps_eur"] + row["resources_eur"] == pytest.approx(cost, abs=1e-5)
    reached = choice.profile["q_mvar"].sum() + choice.resources["q_mvar"].sum()
    assert reached - pq.ranges["q_forecast_mvar"].sum() == pytest.approx(row["met_mvar"], abs=1e-6)


def test_what_cannot_be_read_is_refused():
    pq = made_map(1)
    need = pd.DataFrame({"start": [START], "q_mvar": [1.0]})
    with pytest.raises(gc.OptionError, match="lacks q_mvar"):
        gc.select(pq, need.drop(columns="q_mvar"))
    with pytest.raises(gc.OptionError, match="not finite"):
        gc.select(pq, need.assign(q_mvar=np.nan))
    with pytest.raises(gc.OptionError, match="no map"):
        gc.select(pq, need.assign(start=START + pd.Timedelta("1h")))
    bad = {"resource": ["own"], "q_min_mvar": [1.0], "q_max_mvar": [0.0], "price_eur_mvarh": [1.0]}
    with pytest.raises(gc.OptionError, match="below its start"):
        gc.select(pq, need, pd.DataFrame(bad))
