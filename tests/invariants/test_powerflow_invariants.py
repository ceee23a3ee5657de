"""What holds for the power flow of every grid, whatever its numbers are."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import gridclear as gc
from oracle.against_runpp import injections
from oracle.kirchhoff import residuals
from oracle.net_tables import renumbered
from oracle.random_grids import Kinds, random_grid

SEEDS = st.integers(0, 10_000)
few = settings(
    max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)
#: Tight enough that two ways of computing meet in the last digits.
TIGHT_MVA = 1e-12


def solve(net: pp.pandapowerNet) -> gc.States:
    p, q = injections(net)
    states = gc.solve_batch(gc.compile_network(net), p[None], q[None], threads=1, tolerance_mva=TIGHT_MVA)
    assume(states.solved[0])
    return states


@few
@given(SEEDS)
def test_numbers_and_order_of_rows_do_not_matter(seed: int) -> None:
    net = random_grid(seed)
    other = renumbered(net, np.random.default_rng(seed))
    place = net.bus.index.get_indexer([other.original["bus"][bus] for bus in other.bus.index])
    one, two = solve(net), solve(other)
    np.testing.assert_allclose(two.v_pu, one.v_pu[:, place], rtol=0, atol=1e-12)


@few
@given(SEEDS, st.sampled_from([0.01, 1.0, 7.0, 1000.0]))
def test_the_power_base_does_not_matter(seed: int, base: float) -> None:
    net = random_grid(seed)
    one = solve(net)
    net["sn_mva"] = base
    two = solve(net)
    np.testing.assert_allclose(two.vm_pu, one.vm_pu, rtol=0, atol=1e-9)
    np.testing.assert_allclose(two.i_from_ka, one.i_from_ka, rtol=0, atol=1e-9)
    np.testing.assert_allclose(two.i_to_ka, one.i_to_ka, rtol=0, atol=1e-9)
    np.testing.assert_allclose(two.slack_mva, one.slack_mva, rtol=0, atol=1e-6)


@few
@given(SEEDS)
def test_kirchhoff_holds_at_every_bus_in_physical_units(seed: int) -> None:
    kinds = Kinds(three_windings=False, xward=False, second_tap=False, characteristics=False)
    net = random_grid(seed, kinds)
    net.switch["z_ohm"] = 0.0
    for table in ("motor", "asymmetric_load", "asymmetric_sgen"):
        net[table]["in_service"] = False
    p, q = injections(net)
    states = gc.solve_batch(gc.compile_network(net), p[None], q[None])
    assume(states.solved[0])
    missing = residuals(net, states.v_pu[0], p, q)
    assume(missing)
    bus = max(missing, key=lambda bus: abs(missing[bus]))
    assert abs(missing[bus]) <= 1e-6, f"{missing[bus]} MVA at the node of bus {bus}"


def batch(count: int, seed: int = 4) -> tuple[gc.Network, np.ndarray, np.ndarray]:
    """A meshed grid and ``count`` scenarios, some easy, some heavy, some beyond the nose."""
    net = random_grid(seed)
    p, q = injections(net)
    share = np.random.default_rng(count).choice([0.2, 1.0, 4.0, 1e3], (count, 1))
    share = share * np.random.default_rng(count + 1).uniform(0.5, 1.5, (count, len(p)))
    return gc.compile_network(net), p * share, q * share


def bits(states: gc.States, rows: slice | np.ndarray = slice(None)) -> list[bytes]:
    fields = ("code", "mismatch_mva", "iterations", "vm_pu", "va_degree", "i_from_ka", "i_to_ka", "slack_mva")
    return [np.ascontiguousarray(getattr(states, field)[rows]).tobytes() for field in fields]


@pytest.mark.parametrize("count", [1, 31, 33, 1025, 2049])
@pytest.mark.parametrize("seed", [4, 8])
def test_bits_do_not_depend_on_threads_or_on_the_place_in_the_batch(count: int, seed: int) -> None:
    network, p, q = batch(count, seed)
    whole = gc.solve_batch(network, p, q, threads=1)
    assert bits(gc.solve_batch(network, p, q, threads=2)) == bits(whole)
    assert bits(gc.solve_batch(network, p, q, threads=4)) == bits(whole)
    for first, last in ((0, 1), (count - 1, count), (count // 3, count // 3 + 40), (0, count // 2)):
        part = gc.solve_batch(network, p[first:last], q[first:last])
        assert bits(part) == bits(whole, slice(first, last))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("seed", [4, 8])
def test_a_spoilt_scenario_leaves_the_others_as_they_are(bad: float, seed: int) -> None:
    network, p, q = batch(70, seed)
    whole = gc.solve_batch(network, p, q)
    node = network.structure.node_of_bus
    free = int(np.flatnonzero((node >= 0) & (node < network.n_free) & (p != 0.0).any(axis=0))[-1])
    rows = np.array([0, 17, 33, 69])
    p[rows[:2], free], p[rows[2:], free] = bad, -bad
    spoilt = gc.solve_batch(network, p, q)
    others = np.setdiff1d(np.arange(70), rows)
    assert bits(spoilt, others) == bits(whole, others)
    assert not spoilt.solved[rows].any()
    assert np.isnan(spoilt.vm_pu[rows]).all()
    assert set(spoilt.status[rows]) <= ({"no-solution", "bad-input"} if np.isfinite(bad) else {"bad-input"})


@pytest.mark.parametrize("voltage_control", [True, False])
@pytest.mark.parametrize("bus", range(3))
def test_an_injection_that_is_no_number_is_bad_input_at_every_bus(bus: int, *, voltage_control: bool) -> None:
    net = pp.create_empty_network()
    slack, middle, end = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, slack)
    for one, other in ((slack, middle), (middle, end)):
        pp.create_line(net, one, other, 1.0, "NA2XS2Y 1x150 RM/25 12/20 kV")
    if voltage_control:
        pp.create_gen(net, end, p_mw=1.0, vm_pu=1.0)
    network = gc.compile_network(net)
    for spoilt in (0, 1):
        powers = np.zeros((2, 2, 3))
        powers[spoilt, 0, bus] = np.nan
        states = gc.solve_batch(network, *powers)
        assert states.status.tolist() == ["bad-input", "solved"]
        assert np.isfinite(states.slack_mva[states.solved]).all()
