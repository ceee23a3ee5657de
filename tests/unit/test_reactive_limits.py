"""Generators that run out of reactive power, against runpp(enforce_q_lims=True)."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest
from powerflow_support import injections

import gridclear as gc


def with_limits(name: str, share: float) -> pp.pandapowerNet:
    """A net whose generators may feed in and take only a share of what each of them would."""
    net = getattr(networks, name)()
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9)
    q = net.res_gen.q_mvar
    net.gen["min_q_mvar"] = np.minimum(share * q, -0.1)
    net.gen["max_q_mvar"] = np.maximum(share * q, 0.1)
    return net


# With limits this tight, runpp finds no state of the larger published cases.
@pytest.mark.parametrize(
    ("name", "share"),
    [(name, share) for name in ("case9", "case14", "case30", "case57") for share in (0.5, 0.8, 2.0)]
    + [("case39", 2.0), ("case118", 2.0)],
)
def test_limits_are_enforced_as_by_runpp(name: str, share: float) -> None:
    net = with_limits(name, share)
    p, q = injections(net)
    network = gc.compile_network(net)
    held = gc.solve_batch(network, p[None], q[None])
    limited = gc.solve_batch(network, p[None], q[None], reactive_limits=True)
    pp.runpp(net, calculate_voltage_angles=True, enforce_q_lims=True, tolerance_mva=1e-9)
    np.testing.assert_allclose(limited.vm_pu[0], net.res_bus.vm_pu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(limited.va_degree[0], net.res_bus.va_degree, rtol=0, atol=1e-6)
    if share < 1.0:
        assert np.abs(limited.vm_pu[0] - held.vm_pu[0]).max() > 1e-4


def test_each_scenario_meets_its_own_limits() -> None:
    net = with_limits("case14", 0.8)
    p, q = injections(net)
    shares = np.linspace(0.3, 1.1, 50)
    states = gc.solve_batch(
        gc.compile_network(net), p * shares[:, None], q * shares[:, None], reactive_limits=True, threads=1
    )
    assert states.solved.all()
    loads = net.load[["p_mw", "q_mvar"]].copy()
    gens = net.gen.p_mw.copy()
    for scenario in (0, 20, 49):
        net.load[["p_mw", "q_mvar"]] = loads * shares[scenario]
        net.gen["p_mw"] = gens * shares[scenario]
        pp.runpp(net, calculate_voltage_angles=True, enforce_q_lims=True, tolerance_mva=1e-9)
        np.testing.assert_allclose(states.vm_pu[scenario], net.res_bus.vm_pu, rtol=0, atol=1e-8)
