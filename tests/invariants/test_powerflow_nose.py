"""Loading rays to the nose and beyond: solved on the upper branch below it, ``no-solution`` above it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest

import gridclear as gc
from oracle import nose
from oracle.against_runpp import injections

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = ("mv_oberrhein", "create_cigre_network_mv", "case33bw", "case9", "case14")
SHIPPED = ("mv-rural", "hv-mixed")


@pytest.mark.parametrize("name", PUBLISHED + SHIPPED)
def test_solved_up_to_the_nose_on_the_upper_branch_and_not_beyond(name: str, grids: Path) -> None:
    net = pp.from_json(str(grids / name / "grid.json")) if name in SHIPPED else getattr(networks, name)()
    p, q = injections(net)
    network = gc.compile_network(net)
    found = nose.find(copy.deepcopy(net))
    assert found.predicted == pytest.approx(found.solvable, rel=1e-4), "the reference is no nose"
    below = np.linspace(0.0, 0.999, 300) * found.solvable
    near = np.linspace(0.999, 1.001, 101) * found.predicted
    beyond = np.concatenate([np.linspace(1.001, 1.1, 100), np.linspace(1.1, 3.0, 300)]) * found.predicted
    ray = np.concatenate([below, near, beyond])
    states = gc.solve_batch(network, np.outer(ray, p), np.outer(ray, q))
    status = dict(zip(("below", "near", "beyond"), np.split(states.status, [300, 401]), strict=True))
    assert (status["below"] == "solved").all(), below[status["below"] != "solved"] / found.predicted
    assert (status["beyond"] == "no-solution").all(), (
        beyond[status["beyond"] != "no-solution"] / found.predicted
    )
    assert set(status["near"]) <= {"solved", "no-solution"}
    assert ray[states.solved].max() == pytest.approx(found.predicted, rel=1e-3)
    assert np.isnan(states.vm_pu[~states.solved]).all()
    assert (states.mismatch_mva[states.solved] <= 1e-6).all()
    # On the upper branch. The closer the nose, the more a mismatch of 1e-6 MVA moves the voltages.
    clear = found.factors < 0.9999 * found.predicted
    ray = found.factors[clear]
    states = gc.solve_batch(network, np.outer(ray, p), np.outer(ray, q))
    np.testing.assert_allclose(states.vm_pu, found.vm_pu[clear], rtol=0, atol=1e-5)
