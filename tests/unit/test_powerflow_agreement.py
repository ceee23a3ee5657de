"""The power flow against pandapower's runpp: element models, taps, topology, voltage control."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest
from powerflow_support import assert_agrees, injections

import gridclear as gc

if TYPE_CHECKING:
    from pathlib import Path

RADIAL = [
    "create_cigre_network_mv",
    "mv_oberrhein",
    "case33bw",
    "create_kerber_landnetz_freileitung_1",
    "lv_schutterwald",
]
CONTROLLED = ["case9", "case14", "case30", "case39", "case57", "create_cigre_network_hv", "example_simple"]


@pytest.mark.parametrize("name", RADIAL + CONTROLLED)
def test_published_networks_agree_with_runpp(name: str) -> None:
    assert_agrees(getattr(networks, name)())


@pytest.mark.parametrize("folder", ["mv-rural", "mv-urban", "hv-mixed"])
def test_shipped_grids_agree_with_runpp(folder: str, grids: Path) -> None:
    assert_agrees(pp.from_json(str(grids / folder / "grid.json")))


def three_windings() -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=10.0)
    hv = pp.create_bus(net, 110.0)
    mv = pp.create_bus(net, 20.0)
    lv = pp.create_bus(net, 10.0)
    pp.create_ext_grid(net, hv, vm_pu=1.01, va_degree=20.0)
    pp.create_transformer3w(net, hv, mv, lv, "63/25/38 MVA 110/20/10 kV", tap_pos=2)
    net.trafo3w["tap_changer_type"] = "Ratio"
    pp.create_load(net, mv, 12.0, 3.0)
    pp.create_load(net, lv, 5.0, 1.0, scaling=0.7)
    pp.create_shunt(net, mv, q_mvar=-1.2, step=2, max_step=3)
    pp.create_ward(net, lv, ps_mw=0.3, qs_mvar=0.1, pz_mw=0.2, qz_mvar=-0.1)
    return net


def test_three_winding_transformer_shunt_and_ward_agree() -> None:
    net = three_windings()
    states = assert_agrees(net)
    network = gc.compile_network(net)
    trafo = np.flatnonzero(network.labels.element_type == "trafo3w")
    loading = np.maximum(
        states.i_from_ka[0] / network.rated_ka[:, 0], states.i_to_ka[0] / network.rated_ka[:, 1]
    )[trafo].max()
    assert loading * 100 == pytest.approx(net.res_trafo3w.loading_percent.iloc[0], abs=1e-6)


def meshed() -> pp.pandapowerNet:
    """Parallel transformers at different taps, parallel lines, an open line end, an impedance, a dead bus."""
    net = pp.create_empty_network(sn_mva=25.0)
    buses = [pp.create_bus(net, 110.0), *(pp.create_bus(net, 20.0) for _ in range(6))]
    pp.create_ext_grid(net, buses[0], vm_pu=1.02)
    for position in (-2, 3):
        pp.create_transformer(net, buses[0], buses[1], "25 MVA 110/20 kV", tap_pos=position)
    net.trafo["tap_changer_type"] = "Ratio"
    net.trafo["parallel"] = [1, 2]
    for first, second in ((1, 2), (2, 3), (3, 4), (4, 1), (4, 5)):
        pp.create_line(
            net, buses[first], buses[second], 3.0, "NA2XS2Y 1x185 RM/25 12/20 kV", parallel=1 + first % 2
        )
    pp.create_impedance(net, buses[2], buses[4], rft_pu=0.02, xft_pu=0.05, sn_mva=10.0)
    pp.create_switch(net, buses[4], 4, et="l", closed=False)
    for bus in buses[2:5]:
        pp.create_load(net, bus, 2.0, 0.5)
    pp.create_sgen(net, buses[3], 5.0, -0.5)
    pp.create_storage(net, buses[2], p_mw=0.4, max_e_mwh=1.0)
    return net


def test_meshed_grid_with_an_open_end_and_dead_buses_agrees() -> None:
    net = meshed()
    states = assert_agrees(net)
    assert np.isnan(states.vm_pu[0][5:]).all()


@pytest.mark.parametrize("positions", [(-9, 9), (0, 0), (4, -3)])
def test_every_tap_position_is_pandapowers(positions: tuple[int, int]) -> None:
    net = meshed()
    network = gc.compile_network(net)
    p, q = injections(net)
    states = gc.solve_batch(network, p[None], q[None], positions=[*positions], threads=1)
    net.trafo["tap_pos"] = list(positions)
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    np.testing.assert_allclose(states.vm_pu[0], net.res_bus.vm_pu.to_numpy(), rtol=0, atol=1e-8)


def test_bank_steps_are_pandapowers() -> None:
    net = three_windings()
    network = gc.compile_network(net)
    p, q = injections(net)
    taps = network.taps.initial.tolist()
    for step in (0, 1, 3):
        states = gc.solve_batch(network, p[None], q[None], positions=[*taps, step], threads=1)
        net.shunt["step"] = step
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
        np.testing.assert_allclose(states.vm_pu[0], net.res_bus.vm_pu.to_numpy(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("seed", range(12))
def test_random_grids_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net = pp.create_empty_network(sn_mva=float(rng.choice([1.0, 100.0])))
    hv = pp.create_bus(net, 110.0)
    buses = [pp.create_bus(net, 20.0) for _ in range(int(rng.integers(4, 30)))]
    pp.create_ext_grid(net, hv, vm_pu=float(rng.uniform(0.98, 1.05)))
    pp.create_transformer(net, hv, buses[0], "25 MVA 110/20 kV", tap_pos=int(rng.integers(-9, 10)))
    net.trafo["tap_changer_type"] = "Ratio"
    for k in range(1, len(buses)):
        pp.create_line(
            net, buses[int(rng.integers(0, k))], buses[k], float(rng.uniform(0.2, 3.0)),
            "NA2XS2Y 1x150 RM/25 12/20 kV", parallel=int(rng.integers(1, 3)),
        )  # fmt: skip
    for _ in range(int(rng.integers(0, 4))):
        a, b = rng.choice(len(buses), 2, replace=False)
        pp.create_line(net, buses[a], buses[b], 1.5, "NA2XS2Y 1x150 RM/25 12/20 kV")
    for line in rng.choice(len(net.line), 2, replace=False):
        pp.create_switch(net, net.line.from_bus.iloc[line], line, et="l", closed=bool(rng.random() < 0.5))
    for bus in buses:
        pp.create_load(
            net,
            bus,
            float(rng.uniform(0, 0.6)),
            float(rng.uniform(-0.1, 0.2)),
            scaling=float(rng.uniform(0.5, 1)),
        )
        if rng.random() < 0.4:
            pp.create_sgen(net, bus, float(rng.uniform(0, 1.0)))
    assert_agrees(net)


def test_the_inputs_are_not_changed() -> None:
    net = meshed()
    before = {table: net[table].copy() for table in ("bus", "line", "trafo", "switch", "shunt", "load")}
    gc.compile_network(net)
    for table, frame in before.items():
        assert net[table].equals(frame), table
