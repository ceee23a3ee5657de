"""Sensitivities against finite differences of the power flow and a dense model apart; adjoint against forward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest
from powerflow_support import injections
from sensitivity_support import DenseModel, every_control, limits_of, moved, solved_states, with_devices

import gridclear as gc
from gridclear.powerflow.sensitivity import Controls, adjoint, forward, quantity_count, quantity_of

if TYPE_CHECKING:
    from pathlib import Path

GRIDS = ["mv-rural", "hv-mixed", "devices", "case9", "case14", "voltage-dependent"]


@dataclass(frozen=True, eq=False)
class Example:
    """A grid with the injections of one state, MW and Mvar by bus."""

    network: gc.Network
    p: np.ndarray
    q: np.ndarray
    profiles: tuple[gc.Profile, ...] = ()

    def states(self, share: np.ndarray | None = None, positions: np.ndarray | None = None):
        """States in which every power is multiplied by a share: (state,)."""
        rows = np.ones(1) if share is None else share
        profiles = tuple(
            replace(profile, p_mw=rows[:, None] * profile.p_mw, q_mvar=rows[:, None] * profile.q_mvar)
            for profile in self.profiles
        )
        return solved_states(
            self.network, np.outer(rows, self.p), np.outer(rows, self.q), profiles, positions
        )

    def parts(self) -> np.ndarray:
        """Injections in p.u. by part and node, added up apart from the kernels."""
        network = self.network
        parts = np.zeros((6, network.n_node))
        node = network.structure.node_of_bus
        live = node >= 0
        constant = network.constant_power
        np.add.at(parts[0], node[live], (self.p + constant.real)[live])
        np.add.at(parts[1], node[live], (self.q + constant.imag)[live])
        for profile in self.profiles:
            at = node[[list(network.bus).index(bus) for bus in profile.bus]]
            np.add.at(parts[2 * profile.exponent], at, profile.sign * profile.p_mw[0])
            np.add.at(parts[2 * profile.exponent + 1], at, profile.sign * profile.q_mvar[0])
        return parts / network.s_base_mva


def example(name: str, grids: Path) -> Example:
    if name == "devices":
        net = with_devices()
    elif name in ("mv-rural", "hv-mixed"):
        net = pp.from_json(str(grids / name / "grid.json"))
    else:
        net = getattr(networks, "create_cigre_network_mv" if name == "voltage-dependent" else name)()
    network = gc.compile_network(net)
    p, q = injections(net)
    if name != "voltage-dependent":
        return Example(network, p, q)
    rest, profiles = np.ones(len(p)), []
    for exponent, share in ((1, 0.3), (2, 0.5)):
        rest -= share
        loads = -share * np.stack([p, q])[:, None]
        profiles.append(gc.Profile(network.bus, loads[0], loads[1], sign=-1.0, exponent=exponent))
    return Example(network, p * rest, q * rest, tuple(profiles))


@pytest.fixture(scope="module", params=GRIDS)
def grid(request: pytest.FixtureRequest, grids: Path) -> Example:
    return example(request.param, grids)


def by_kind(network: gc.Network, values: np.ndarray) -> list[np.ndarray]:
    """Quantities apart: voltages, loadings, exchanges and totals."""
    return np.split(values, [network.n_node, network.n_node + network.n_branch], axis=-1)


def assert_close(network: gc.Network, found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Equal up to ``tolerance`` of the largest slope of the same control and kind of quantity."""
    assert np.isfinite(found).all()
    for ours, theirs in zip(by_kind(network, found), by_kind(network, expected), strict=True):
        scale = np.abs(theirs).max(axis=-1, keepdims=True)
        assert (np.abs(ours - theirs) <= tolerance * scale + 1e-13).all(), np.max(np.abs(ours - theirs) / scale)


def test_forward_is_the_derivative_of_a_dense_model(grid: Example) -> None:
    states, controls = grid.states(), every_control(grid.network)
    found = forward(states, limits_of(grid.network), controls)
    assert found.solved.all()
    value, slopes = DenseModel(states, grid.parts(), 0).slopes(controls)
    np.testing.assert_allclose(found.value[0], value, rtol=1e-9, atol=1e-11)
    assert_close(grid.network, found.slope[0], slopes, 1e-10)
