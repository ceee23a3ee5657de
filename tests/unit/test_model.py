"""A program around another state is the one that would be written there anew."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.network.compiled import compile_case
from gridclear.optimise.maps import MapChoice, base_exchange, map_singles
from gridclear.optimise.model import FREE, HELD, build_model
from gridclear.optimise.problem import Requests
from gridclear.optimise.singles import Single
from gridclear.optimise.states import States
from oracle.small_maps import small_map


@pytest.mark.parametrize("whole", [HELD, FREE])
@pytest.mark.parametrize("seed", range(3))
def test_a_program_around_another_state_is_the_one_written_there(seed, whole):
    singles = map_singles(compile_case(small_map(seed)), MapChoice("optimised", 41, None, None))
    q = base_exchange(singles)[0, 0].imag
    one = np.zeros(1, dtype=np.int64)
    states = States(singles, 0, Requests(one, one, np.array([q]), np.zeros(1)))
    nothing = singles.nothing(0)
    # All shares that may be divided; what is whole stays as it is.
    half = Single(np.where(states.problem.offers.asked, 0.0, 0.5), nothing.steps)
    start, other = states.of([nothing, half])
    assert start is not None
    assert other is not None
    moved, anew = build_model(start, whole, 1.0).around(other), build_model(other, whole, 1.0)
    for name in ("lower", "upper", "cost", "whole", "row_lower", "row_upper"):
        assert np.array_equal(getattr(moved.program, name), getattr(anew.program, name)), name
    assert (moved.program.matrix != anew.program.matrix).nnz == 0
    assert np.array_equal(moved.profile, anew.profile)
    kept = build_model(start, whole, 1.0).program
    assert (kept.matrix != moved.program.matrix).nnz > 0 or not len(nothing.share)
