"""The clearing of a shipped case, judged by pandapower alone."""

from __future__ import annotations

from pathlib import Path

import gridclear as gc
from oracle.clearing_judge import judge

GRIDS = Path(__file__).parents[2] / "grids"


def test_schedule_of_a_shipped_case_stands_before_an_independent_judge() -> None:
    case = gc.read_case(GRIDS / "mv-rural")
    clearing = gc.clear(case)
    verdict = judge(case, clearing.schedule, clearing.devices)
    assert clearing.status == "confirmed"
    assert not verdict.faults
    assert verdict.worst <= 1.0  # tolerances beyond an effective limit
    assert verdict.shortfall_mvar.max() <= 1e-5
    assert abs(verdict.cost_eur - clearing.cost_eur) <= 1e-4
