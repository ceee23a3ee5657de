"""Random profiles for the shipped cases, half out of reach: each has an answer that pandapower judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridclear as gc
from oracle.clearing_judge import judge

SEEDS = range(10)
TOLERANCE_MVAR = 0.1
QUICK = [("mv-rural", 1)]
EVERY = [(name, seed) for name in ("mv-rural", "mv-urban", "hv-mixed") for seed in SEEDS]


def profiled(case: gc.Case, seed: int) -> gc.Case:
    """A case with a profile that wanders around its own exchange; of odd seeds beyond all that is offered."""
    rng = np.random.default_rng([20261128, seed])
    own = gc.power_flow(case).exchange
    bids = case.reactive_bids
    inject, absorb = (
        bids[bids["direction"] == direction]
        .groupby("start")["q_mvar"]
        .sum()
        .reindex(case.horizon.starts, fill_value=0.0)
        .to_numpy()
        for direction in ("inject", "absorb")
    )
    points = len(case.connection_points)
    times = np.arange(case.horizon.periods)
    reach = 2.0 if seed % 2 else 0.6
    asked = own.copy()
    for point in range(points):
        way = np.interp(times, np.arange(0, times[-1] + 8, 7), rng.uniform(-reach, reach, times[-1] // 7 + 2))
        change = way * np.where(way > 0.0, absorb, inject) / points
        asked.loc[point::points, "q_mvar"] += change
    profile = asked[["connection_point", "start", "q_mvar"]].assign(tolerance_mvar=TOLERANCE_MVAR)
    return replace(case, reactive_profile=profile.round({"q_mvar": 3}))


@pytest.mark.parametrize(
    ("name", "seed"),
    [pytest.param(*one, marks=[] if one in QUICK else [pytest.mark.study]) for one in EVERY],
)
def test_every_profile_has_an_answer(grids, name, seed):
    case = profiled(gc.read_case(grids / name), seed)
    clearing = gc.clear(case)
    verdict = judge(case, clearing.schedule, clearing.devices)
    print(
        f"{name} {seed}: {clearing.status}, {clearing.cost_eur:.3f} EUR,"
        f" {clearing.exchange['shortfall_mvar'].sum():.3f} Mvar short, {clearing.solved_s:.1f} s"
    )
    assert clearing.status in ("optimal", "confirmed", "closest")
    assert not verdict.faults
    assert verdict.worst <= 1.0  # tolerances beyond an effective limit
    assert abs(verdict.cost_eur - clearing.cost_eur) <= 1e-4
    assert (clearing.status == "closest") == (verdict.shortfall_mvar.max() > 1e-5)
