"""P–Q regions: every place on pandapower's net, and dispatches drawn at random against the boundary."""

from __future__ import annotations

import numpy as np
import pytest

import gridclear as gc
from oracle.plain_grid import stamps
from oracle.pq_problem import map_problem
from oracle.region_judge import RegionJudge, beyond_hull, drawn
from oracle.small_areas import small_area

OUTSIDE = 0.005  # of the larger side of a region
QUICK = (4,)
DRAWN = 400


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed in QUICK else [pytest.mark.study]) for seed in range(12)]
)
def test_a_region_holds_what_can_be_had(seed):
    case = small_area(seed)
    problem = map_problem(case, market="common")
    pq = gc.pq_map(case, area=True, lattice=4)
    verdict = RegionJudge(problem)(pq)
    assert not verdict.faults
    assert verdict.points > 0
    for (start, _), area in pq.area.groupby(["start", "connection_point"]):
        corner = area[["p_mw", "q_mvar"]].to_numpy()
        period = list(problem.clearing.starts).index(stamps(area["start"]).iloc[0])
        found = drawn(problem, period, count=DRAWN, seed=seed)
        point = problem.points.index(area["connection_point"].iloc[0])
        assert len(found.place)
        beyond = beyond_hull(corner, found.place[:, point]).max()
        assert beyond <= OUTSIDE * np.ptp(corner, axis=0).max(), (start, beyond)
