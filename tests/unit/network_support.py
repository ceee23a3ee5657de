"""A compiled network against what runpp itself made of the same net: admittances, balance, voltages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
from powerflow_support import injections
from scipy import sparse

import gridclear as gc

if TYPE_CHECKING:
    from gridclear.network.network import Network


@dataclass(frozen=True)
class Comparison:
    """Largest differences between a compiled network and runpp.

    Attributes
    ----------
    admittance : float
        Of the bus admittance matrices, over the largest entry of the row.
    mismatch_mva : float
        Power that runpp's voltages leave unbalanced in the compiled network: P where a generator holds the
        voltage, P and Q at other nodes.
    set_point_pu : float
        Between runpp's voltages and what slacks and generators are to hold.
    """

    admittance: float
    mismatch_mva: float
    set_point_pu: float


def solve(net: pp.pandapowerNet) -> None:
    """Solve by runpp as exactly as the numbers allow; rounding keeps large grids from the tightest."""
    for tolerance in (1e-10, 1e-9, 1e-8):
        try:
            pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=tolerance, max_iteration=30)
        except pp.LoadflowNotConverged:
            continue
        return
    pp.runpp(net, calculate_voltage_angles=True, max_iteration=50)


def bus_admittance(network: Network) -> sparse.csr_array:
    """Admittance matrix (node, node) from branches, shunts and banks at the grid's own steps."""
    f, t = network.structure.from_node, network.structure.to_node
    y_ff, y_ft, y_tf, y_tt = network.admittance.T
    ground = network.shunt.copy()
    live = network.banks.node >= 0
    np.add.at(ground, network.banks.node[live], (network.banks.per_step * network.banks.initial)[live])
    node = np.arange(network.n_node)
    values = np.concatenate([y_ff, y_ft, y_tf, y_tt, ground])
    place = (np.concatenate([f, f, t, t, node]), np.concatenate([f, t, f, t, node]))
    return sparse.csr_array((values, place), shape=(network.n_node, network.n_node))


def compare(net: pp.pandapowerNet, network: Network, power: np.ndarray | None = None) -> Comparison:
    """Compare with the net that runpp has just solved.

    ``power`` is the complex injection (bus,) in MVA at runpp's voltages, without ``constant_power``; by
    default that of the element tables.
    """
    internal = net._ppc["internal"]
    # Branches stand in the same order on both sides: that says which node is which, inner points included.
    node = np.full(network.n_node, -1)
    node[network.structure.from_node] = internal["branch"][:, 0].real.astype(int)
    node[network.structure.to_node] = internal["branch"][:, 1].real.astype(int)
    live = network.structure.node_of_bus >= 0
    lookup = net._pd2ppc_lookups["bus"][net.bus.index.to_numpy()]
    alone = network.structure.node_of_bus[live]
    assert ((node[alone] == lookup[live]) | (node[alone] < 0)).all()
    node[alone] = lookup[live]
    assert sorted(node) == list(range(len(internal["V"])))

    mine, theirs = bus_admittance(network), sparse.csr_array(internal["Ybus"])[node][:, node]
    largest = abs(theirs).max(axis=1).toarray().ravel()
    difference = abs(mine - theirs).max(axis=1).toarray().ravel()

    v = internal["V"][node]
    bus_power = sum((part * sign for part, sign in zip(injections(net), (1, 1j), strict=True)))
    bus_power = (bus_power if power is None else power) + network.constant_power
    given = np.zeros(network.n_node, dtype=complex)
    np.add.at(given, network.structure.node_of_bus[live], bus_power[live])
    missing = (v * np.conj(theirs @ v) * net.sn_mva - given)[: network.n_free]
    held = network.structure.is_pv.astype(bool)
    wrong = np.concatenate([missing.real, missing.imag[~held]])
    free, slack = v[: network.n_free], v[network.n_free :]
    off = np.concatenate(
        [np.abs(free[held]) - network.set_voltage[held], np.abs(slack - network.slack_voltage)]
    )
    return Comparison(
        admittance=float((difference / np.where(largest > 0, largest, 1.0)).max()),
        mismatch_mva=float(np.abs(wrong).max(initial=0.0)),
        set_point_pu=float(np.abs(off).max(initial=0.0)),
    )


def assert_network_agrees(net: pp.pandapowerNet, power: np.ndarray | None = None) -> Network:
    """The compiled network has runpp's admittances, and runpp's solution balances it."""
    network = gc.compile_network(net)
    solve(net)
    found = compare(net, network, power)
    assert found.admittance <= 1e-12
    assert found.mismatch_mva <= 1e-6
    assert found.set_point_pu <= 1e-12
    return network
