"""``solve_batch`` as a tool of its own: profiles, voltage-dependent elements, outputs, limits, files."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pytest
from powerflow_support import injections

import gridclear as gc

if TYPE_CHECKING:
    from pathlib import Path

SCENARIOS = 70


@pytest.fixture(scope="module")
def net() -> pp.pandapowerNet:
    return networks.mv_oberrhein()


@pytest.fixture(scope="module")
def network(net: pp.pandapowerNet) -> gc.Network:
    return gc.compile_network(net)


def profiles_of(net: pp.pandapowerNet, shares: np.ndarray) -> list[gc.Profile]:
    return [
        gc.Profile(
            net[table].bus.to_numpy(),
            net[table].p_mw.to_numpy() * net[table].scaling.to_numpy() * shares,
            net[table].q_mvar.to_numpy() * net[table].scaling.to_numpy() * shares,
            sign=sign,
        )
        for table, sign in (("load", -1.0), ("sgen", 1.0))
    ]


def test_profiles_by_element_are_the_same_as_injections_by_bus(
    net: pp.pandapowerNet, network: gc.Network
) -> None:
    shares = np.random.default_rng(3).uniform(0.2, 1.2, (SCENARIOS, 1))
    p, q = injections(net)
    by_bus = gc.solve_batch(network, p * shares, q * shares)
    by_element = gc.solve_batch(network, profiles=profiles_of(net, shares))
    np.testing.assert_allclose(by_element.vm_pu, by_bus.vm_pu, rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_element.slack_mva, by_bus.slack_mva, rtol=0, atol=1e-9)
    both = gc.solve_batch(network, p * shares * 0.0, q * shares * 0.0, profiles=profiles_of(net, shares))
    assert both.vm_pu.tobytes() == by_element.vm_pu.tobytes()


@pytest.mark.parametrize("name", ["mv_oberrhein", "case9"])
def test_constant_current_and_impedance_are_pandapowers(name: str) -> None:
    net = getattr(networks, name)()
    loads = net.load
    shares = {0: 0.2, 1: 0.3, 2: 0.5}
    loads["const_i_p_percent"] = loads["const_i_q_percent"] = 100 * shares[1]
    loads["const_z_p_percent"] = loads["const_z_q_percent"] = 100 * shares[2]
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10, max_iteration=50)
    plain = getattr(networks, name)()
    plain.load["in_service"] = False
    p, q = injections(plain)
    scaled_p, scaled_q = loads.p_mw * loads.scaling, loads.q_mvar * loads.scaling
    states = gc.solve_batch(
        gc.compile_network(plain),
        np.tile(p, (3, 1)),
        np.tile(q, (3, 1)),
        profiles=[
            gc.Profile(
                loads.bus,
                np.tile(share * scaled_p, (3, 1)),
                np.tile(share * scaled_q, (3, 1)),
                sign=-1.0,
                exponent=exponent,
            )
            for exponent, share in shares.items()
        ],
    )
    assert states.solved.all()
    np.testing.assert_allclose(states.vm_pu[1], net.res_bus.vm_pu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(states.va_degree[2], net.res_bus.va_degree, rtol=0, atol=1e-6)
    np.testing.assert_allclose(states.slack_p_mw[0].sum(), net.res_ext_grid.p_mw.sum(), atol=1e-6)


def test_only_what_is_asked_for_is_there(net: pp.pandapowerNet, network: gc.Network) -> None:
    p, q = injections(net)
    whole = gc.solve_batch(network, p[None], q[None], outputs=("voltages", "currents", "slack", "limits"))
    bare = gc.solve_batch(network, p[None], q[None], outputs=())
    assert bare.vm_pu.shape == (0, network.n_bus)
    assert bare.i_from_ka.shape == (0, network.n_branch)
    assert len(bare.over) == len(bare.slack_p_mw) == 0
    assert bare.mismatch_mva.tobytes() == whole.mismatch_mva.tobytes()
    assert (whole.vm_pu > 0).any()


def test_the_limit_scan_finds_the_worst_of_all_limits(net: pp.pandapowerNet, network: gc.Network) -> None:
    shares = np.linspace(0.1, 2.0, SCENARIOS)[:, None]
    p, q = injections(net)
    band = {"vm_min_pu": 0.98, "vm_max_pu": 1.02, "loading_percent": 60.0}
    bare = copy.deepcopy(net)
    bare.bus = bare.bus.drop(columns=["min_vm_pu", "max_vm_pu"], errors="ignore")
    bare.line = bare.line.drop(columns=["max_loading_percent"], errors="ignore")
    bare.trafo = bare.trafo.drop(columns=["max_loading_percent"], errors="ignore")
    network = gc.compile_network(bare)
    limits = gc.grid_limits(network, **band)
    states = gc.solve_batch(
        network, p * shares, q * shares, outputs=("voltages", "currents", "limits"), limits=limits
    )
    loading = np.maximum(states.i_from_ka / network.rated_ka[:, 0], states.i_to_ka / network.rated_ka[:, 1])
    worst = np.max(
        [
            np.nanmax(0.98 - states.vm_pu, axis=1),
            np.nanmax(states.vm_pu - 1.02, axis=1),
            (loading - 0.6).max(axis=1),
        ],
        axis=0,
    )
    np.testing.assert_allclose(states.over, worst, rtol=0, atol=1e-12)
    kinds = {gc.describe(network, limits, int(c)).kind for c in states.constraint}
    assert len(kinds) > 1
    assert states.solved.all()
    with pytest.raises(gc.OptionError, match="-1 is no constraint"):
        gc.describe(network, limits, -1)
    for row, constraint in enumerate(states.constraint):
        named = gc.describe(network, limits, int(constraint))
        if named.element_type == "bus":
            vm = states.vm_pu[row, np.flatnonzero(network.bus == int(named.element))[0]]
            over = 0.98 - vm if named.kind == "undervoltage" else vm - 1.02
        else:
            labels = network.labels
            same = (labels.element_type == named.element_type) & (labels.element == int(named.element))
            over = loading[row, same].max() - 0.6
        assert over == pytest.approx(states.over[row], abs=1e-12)


def test_a_batch_may_lie_on_disk(net: pp.pandapowerNet, network: gc.Network, tmp_path: Path) -> None:
    shares = np.random.default_rng(5).uniform(0.2, 1.2, (SCENARIOS, 1))
    p, q = (part * shares for part in injections(net))
    for name, values in (("p", p), ("q", q)):
        np.save(tmp_path / f"{name}.npy", values)
    p_disk, q_disk = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("p", "q"))
    outputs = ("voltages", "limits")
    out = gc.States.room(network, SCENARIOS, outputs, tmp_path)
    filled = gc.solve_batch(network, p_disk, q_disk, outputs=outputs, out=out)
    assert filled is out
    expected = gc.solve_batch(network, p, q, outputs=outputs)
    del out, filled
    assert np.load(tmp_path / "vm_pu.npy").tobytes() == expected.vm_pu.tobytes()
    assert np.load(tmp_path / "over.npy").tobytes() == expected.over.tobytes()
    assert not (tmp_path / "i_from_ka.npy").exists()


def test_what_does_not_fit_is_refused(net: pp.pandapowerNet, network: gc.Network) -> None:
    p, q = injections(net)
    one = np.zeros((1, 1))
    bus = int(net.bus.index[0])
    with pytest.raises(gc.OptionError, match="give p_mw and q_mvar"):
        gc.solve_batch(network)
    with pytest.raises(gc.OptionError, match="give p_mw and q_mvar"):
        gc.solve_batch(network, p[None])
    with pytest.raises(gc.OptionError, match="there is no bus 99999"):
        gc.solve_batch(network, profiles=[gc.Profile([99999], one)])
    with pytest.raises(gc.OptionError, match="exponent is 3"):
        gc.solve_batch(network, profiles=[gc.Profile([bus], one, exponent=3)])
    with pytest.raises(gc.OptionError, match="with 2 elements"):
        gc.solve_batch(network, profiles=[gc.Profile([bus, bus], one)])
    with pytest.raises(gc.OptionError, match="numbers of scenarios differ"):
        gc.solve_batch(network, p[None], q[None], profiles=[gc.Profile([bus], np.zeros((2, 1)))])
    with pytest.raises(gc.OptionError, match="outputs has 'loadings'"):
        gc.solve_batch(network, p[None], q[None], outputs=("loadings",))
    with pytest.raises(gc.OptionError, match="out does not fit 1 scenarios"):
        gc.solve_batch(network, p[None], q[None], out=gc.States.room(network, 2, ("voltages",)))


def test_progress_is_told_in_whole(network: gc.Network) -> None:
    told: list[tuple[int, int]] = []
    count = 3000
    nothing = np.zeros((count, network.n_bus))
    for threads in (1, 3):
        told.clear()
        gc.solve_batch(
            network, nothing, nothing, outputs=(), threads=threads, progress=lambda *now: told.append(now)
        )
        assert told[-1] == (count, count)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
