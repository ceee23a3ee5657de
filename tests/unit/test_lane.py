"""The program of one lane: its kernels add the rows that ``Planes.missing`` would add."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridclear.network.compiled import compile_case
from gridclear.optimise.algorithms import Deadline
from gridclear.optimise.dense import Dense
from gridclear.optimise.maps import MapChoice, base_exchange, held, map_singles
from gridclear.optimise.model import FREE, build_model
from gridclear.optimise.planes import Planes
from gridclear.optimise.sheet import Sheet
from gridclear.optimise.states import States
from gridclear.optimise.weights import Weights
from oracle.small_maps import small_map


@pytest.fixture(scope="module", params=[0, 4])
def anchor(request):
    """A state of a small map, with what bends there."""
    return anchor_of(small_map(request.param))


def anchor_of(case):
    """The state of a case's first period with nothing taken, with what bends there."""
    singles = map_singles(compile_case(case), MapChoice("optimised", 5, None, None))
    requests = held(base_exchange(singles)[0], (0,), None, moved=(0,))
    found = States(singles, 0, requests).anchors([singles.nothing(0)])[0]
    assert found is not None
    return found


def asked(anchor, whole, exchanges):
    """What programs around a state say of exchanges, and which limits they have come to watch."""
    point, bent = anchor
    planes = Planes(point.problem)
    planes.remember(point)
    model = None if whole else build_model(point, FREE, 1.0)
    sheet = Sheet(point, bent, planes, Weights.of(point.problem), model)
    deadline = Deadline.after(None)
    drawn = [sheet.extreme(sign, deadline) for sign in (-1, 1)]
    low, high = (end.q for end in drawn)
    drawn += [sheet.at(low + part * (high - low), deadline) for part in exchanges]
    return drawn, planes.watched(0)


@pytest.mark.parametrize("whole", [True, False])
def test_kernels_add_what_is_missing(anchor, whole, monkeypatch):
    exchanges = np.linspace(0.05, 0.95, 7).tolist()
    drawn, watched = asked(anchor, whole, exchanges)
    monkeypatch.setattr(Dense, "complete", lambda *_, **__: None)
    expected, known = asked(anchor, whole, exchanges)
    assert len(known)
    assert set(watched) == set(known)
    for one, other in zip(drawn, expected, strict=True):
        assert one.q == pytest.approx(other.q, abs=1e-6)
        # Planes of losses and limits may be missed by what is nothing, wherever rounds begin.
        assert one.cost == pytest.approx(other.cost, rel=1e-4, abs=1e-3)
        assert one.short == pytest.approx(other.short, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 3])
def test_no_price_shortens_the_range(seed):
    """What the last Mvar costs in losses, or in what is moved aside for it, is no reason to stop before."""
    case, ends = small_map(seed), []
    for price in (0.0, 1e5):
        point, bent = anchor_of(replace(case, prices=replace(case.prices, losses_eur_mwh=price)))
        sheet = Sheet(point, bent, Planes(point.problem), Weights.of(point.problem))
        drawn = [sheet.farthest(sign, Deadline.after(None)) for sign in (-1, 1)]
        ends.append([end.q for end in drawn])
    assert ends[0] == pytest.approx(ends[1], abs=1e-3 * abs(ends[0][1] - ends[0][0]))
