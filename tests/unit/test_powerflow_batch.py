"""Batches: states with names, proofs, and bits that do not depend on how the work is shared."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest
from pandapower.pypower.makeYbus import makeYbus
from powerflow_support import injections

import gridclear as gc

Batch = tuple[pp.pandapowerNet, gc.Network, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def oberrhein() -> Batch:
    net = networks.mv_oberrhein()
    p, q = injections(net)
    rng = np.random.default_rng(7)
    share = rng.uniform(0.2, 1.4, (3000, len(p)))
    return net, gc.compile_network(net), p * share, q * share


def same_bits(a: gc.States, b: gc.States, rows: np.ndarray | slice = slice(None)) -> bool:
    pairs = (
        (a.vm_pu[rows], b.vm_pu),
        (a.va_degree[rows], b.va_degree),
        (a.i_from_ka[rows], b.i_from_ka),
        (a.mismatch_mva[rows], b.mismatch_mva),
    )
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


def test_bits_do_not_depend_on_threads_order_or_neighbours(oberrhein: Batch) -> None:
    _, network, p, q = oberrhein
    whole = gc.solve_batch(network, p, q, threads=1)
    assert same_bits(whole, gc.solve_batch(network, p, q, threads=2))
    shuffled = np.random.default_rng(1).permutation(len(p))
    assert same_bits(whole, gc.solve_batch(network, p[shuffled], q[shuffled], threads=2), shuffled)
    alone = np.array([17])
    assert same_bits(whole, gc.solve_batch(network, p[alone], q[alone]), alone)


def test_mismatch_is_that_of_an_independent_balance(oberrhein: Batch) -> None:
    net, network, p, q = oberrhein
    pp.runpp(net, calculate_voltage_angles=True)
    internal = net._ppc["internal"]
    admittance = makeYbus(internal["baseMVA"], internal["bus"], internal["branch"])[0]
    lookup = net._pd2ppc_lookups["bus"][net.bus.index]
    states = gc.solve_batch(network, p[:200], q[:200])
    for row in range(0, 200, 20):
        voltage = np.empty(admittance.shape[0], dtype=complex)
        voltage[lookup] = states.v_pu[row]
        inner = np.setdiff1d(np.arange(len(voltage)), lookup)
        # Open line ends are nodes without injection: their voltage follows from the others.
        if len(inner):
            outer = np.setdiff1d(np.arange(len(voltage)), inner)
            block = admittance[np.ix_(inner, inner)].toarray()
            voltage[inner] = np.linalg.solve(block, -admittance[np.ix_(inner, outer)] @ voltage[outer])
        drawn = voltage * np.conj(admittance @ voltage) * internal["baseMVA"]
        wanted = np.zeros(len(voltage), dtype=complex)
        np.add.at(wanted, lookup, p[row] + 1j * q[row])
        slack = internal["ref"]
        miss = np.abs(drawn - wanted)
        miss[slack] = 0.0
        assert miss.max() <= 1e-6


def test_one_bad_scenario_does_not_touch_the_others(oberrhein: Batch) -> None:
    _, network, p, q = oberrhein
    good = gc.solve_batch(network, p[:64], q[:64])
    spoiled_p, spoiled_q = p[:64].copy(), q[:64].copy()
    spoiled_p[3, 5] = np.nan
    spoiled_q[9, 7] = np.inf
    spoiled_p[20] *= 1e4
    states = gc.solve_batch(network, spoiled_p, spoiled_q)
    assert states.status[3] == states.status[9] == "bad-input"
    assert states.status[20] == "no-solution"
    lost = np.isin(np.arange(64), [3, 9, 20])
    assert np.isnan(states.v_pu[lost]).all()
    assert np.isnan(states.mismatch_mva[lost]).all()
    assert (states.status[~lost] == "solved").all()
    assert states.vm_pu[~lost].tobytes() == good.vm_pu[~lost].tobytes()


def two_buses() -> pp.pandapowerNet:
    net = pp.create_empty_network()
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    pp.create_line_from_parameters(
        net, a, b, 10.0, r_ohm_per_km=0.2, x_ohm_per_km=0.4, c_nf_per_km=0.0, max_i_ka=1.0
    )
    pp.create_load(net, b, 1.0, 0.0)
    return net


def test_to_the_nose_and_not_beyond() -> None:
    # Closed form of two buses: |V|⁴ + (2(RP + XQ) - E²)|V|² + |Z|²|S|² = 0 has a real root up to the nose;
    # with Q = 0 and E = 1 that is P ≤ (sqrt(R² + X²) - R) / (2 X²) in per unit (T. Van Cutsem, Voltage
    # Stability, 1998, ch. 2).
    net = two_buses()
    network = gc.compile_network(net)
    r, x = 2.0 / 400.0, 4.0 / 400.0
    nose_mw = (np.hypot(r, x) - r) / (2.0 * x**2)
    loads = nose_mw * np.array([0.3, 0.9, 0.99, 0.9999, 1.0001, 1.01, 1.5, 10.0])
    p = np.column_stack([np.zeros(len(loads)), -loads])
    states = gc.solve_batch(network, p, np.zeros_like(p), threads=1)
    assert states.status.tolist() == ["solved"] * 4 + ["no-solution"] * 4
    for load, vm in zip(loads[:4], states.vm_pu[:4, 1], strict=True):
        b = 2.0 * r * load - 1.0
        upper = np.sqrt((-b + np.sqrt(b**2 - 4.0 * (r**2 + x**2) * load**2)) / 2.0)
        assert vm == pytest.approx(upper, abs=1e-6)
    assert (states.code[:4] == [1, 1, 2, 2]).any()


def test_no_scenarios_and_one_without_load() -> None:
    network = gc.compile_network(two_buses())
    assert len(gc.solve_batch(network, np.zeros((0, 2)), np.zeros((0, 2))).code) == 0
    states = gc.solve_batch(network, np.zeros((1, 2)), np.zeros((1, 2)))
    np.testing.assert_allclose(states.vm_pu[0], [1.0, 1.0], atol=1e-12)


@pytest.mark.parametrize(
    ("p_shape", "q_shape"), [((3, 5), (3, 5)), ((3, 2), (2, 2)), ((2,), (2,))], ids=["buses", "rows", "flat"]
)
def test_shapes_that_do_not_fit_are_refused(p_shape: tuple[int, ...], q_shape: tuple[int, ...]) -> None:
    network = gc.compile_network(two_buses())
    with pytest.raises(gc.OptionError, match="scenario, bus"):
        gc.solve_batch(network, np.zeros(p_shape), np.zeros(q_shape))


def test_options_out_of_range_are_refused(oberrhein: Batch) -> None:
    _, network, p, q = oberrhein
    with pytest.raises(gc.OptionError, match="tolerance_mva"):
        gc.solve_batch(network, p[:1], q[:1], tolerance_mva=1e-3)
    with pytest.raises(gc.OptionError, match="threads"):
        gc.solve_batch(network, p[:1], q[:1], threads=0)
    with pytest.raises(gc.OptionError, match="positions"):
        gc.solve_batch(network, p[:1], q[:1], positions=[99] * len(network.positions))
