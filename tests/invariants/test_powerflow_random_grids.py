"""Random grids against pandapower and power-grid-model: every voltage, current and slack power."""

from __future__ import annotations

import numpy as np
import pytest

import gridclear as gc
from oracle import power_grid_model_states
from oracle.against_runpp import agreement, injections, reference_grid
from oracle.random_grids import TODAY, Kinds

#: What power-grid-model can represent.
LINEAR = Kinds(voltage_control=False, asymmetric=False, xward=False)


@pytest.mark.parametrize("seed", range(20))
def test_random_grids_agree_with_runpp(seed: int) -> None:
    assert disagreement(seed) == ""


@pytest.mark.parametrize("seed", range(8))
def test_random_grids_agree_with_power_grid_model(seed: int) -> None:
    assert disagreement_with_power_grid_model(seed) == ""


@pytest.mark.study
@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_a_thousand_random_grids_agree_with_runpp(first: int) -> None:
    found = {seed: disagreement(seed) for seed in range(first, first + 100)}
    assert not report(found), report(found)


@pytest.mark.study
@pytest.mark.parametrize("first", range(0, 500, 100))
def test_five_hundred_random_grids_agree_with_power_grid_model(first: int) -> None:
    found = {seed: disagreement_with_power_grid_model(seed) for seed in range(first, first + 100)}
    assert not report(found), report(found)


def disagreement(seed: int, kinds: Kinds = TODAY) -> str:
    """What is wrong, or nothing; a refusal is wrong too, for runpp has solved the grid."""
    net = reference_grid(seed, kinds)
    try:
        return "\n".join(map(str, agreement(net)))
    except gc.CaseError as error:
        return f"refused: {error}"


def disagreement_with_power_grid_model(seed: int) -> str:
    net = reference_grid(seed, LINEAR)
    vm, va = power_grid_model_states.solve(net)
    p, q = injections(net)
    states = gc.solve_batch(gc.compile_network(net), p[None], q[None], threads=1)
    turn = (states.va_degree[0] - va + 180.0) % 360.0 - 180.0
    wrong = []
    for name, actual, expected, difference, allowed in (
        ("vm_pu", states.vm_pu[0], vm, states.vm_pu[0] - vm, 1e-8),
        ("va_degree", states.va_degree[0], va, turn, 1e-6),
    ):
        off = np.where(np.isnan(actual) != np.isnan(expected), np.inf, np.nan_to_num(np.abs(difference)))
        k = int(off.argmax())
        if off[k] > allowed:
            wrong.append(
                f"{name} of bus {net.bus.index[k]}: {actual[k]!r}, expected {expected[k]!r}, by {off[k]:.3e}"
            )
    return "\n".join(wrong)


def report(found: dict[int, str]) -> str:
    return "\n".join(f"seed {seed}:\n{text}" for seed, text in found.items() if text)
