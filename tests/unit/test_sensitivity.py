"""Sensitivities against a dense model and finite differences of the power flow; adjoint against forward."""

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
from gridclear.powerflow.arrays import LimitArrays
from gridclear.powerflow.lanes import output, solve_lanes
from gridclear.powerflow.moves import Controls
from gridclear.powerflow.sensitivity import adjoint, forward, quantity_count, quantity_of

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


def assert_close(found: np.ndarray, expected: np.ndarray, cuts: list[int], tolerance: float) -> None:
    """Equal up to ``tolerance`` of the control's largest slope of each kind of quantity; NaN where NaN."""
    for ours, theirs in zip(np.split(found, cuts, -1), np.split(expected, cuts, -1), strict=True):
        scale = np.nanmax(np.abs(theirs), axis=-1, keepdims=True)
        off = np.abs(ours - theirs) - tolerance * scale
        assert (np.isnan(ours) == np.isnan(theirs)).all()
        assert np.nanmax(off) <= 1e-12 + tolerance * 1e-5


def test_forward_is_the_derivative_of_a_dense_model(grid: Example) -> None:
    states, controls = grid.states(), every_control(grid.network)
    found = forward(states, limits_of(grid.network), controls)
    assert found.solved.all()
    value, slopes = DenseModel(states, grid.parts(), 0).slopes(controls)
    np.testing.assert_allclose(found.value[0], value, rtol=1e-9, atol=1e-11)
    nodes, branches = grid.network.n_node, grid.network.n_branch
    assert_close(found.slope[0], slopes, [nodes, nodes + branches], 1e-10)


def solved_quantities(grid: Example, kind: str, place: int, step: float, end: np.ndarray) -> np.ndarray:
    """Bus voltages, loadings at given ends, exchanges and totals by ``solve_batch``, one control moved."""
    network, limits = grid.network, limits_of(grid.network)
    p, q = grid.p.copy(), grid.q.copy()
    if kind in ("p", "q"):
        (p if kind == "p" else q)[place] += step * network.s_base_mva
    states = gc.solve_batch(
        moved(network, network.positions, kind, place, step), p[None], q[None], profiles=grid.profiles,
        threads=1, tolerance_mva=1e-10,
    )  # fmt: skip
    assert states.solved.all()
    current = np.stack([states.i_from_ka[0], states.i_to_ka[0]], axis=1) / network.rated_ka
    slack = states.slack_mva[0] / network.s_base_mva
    point = slack[limits.point_node - network.n_free] * limits.point_share
    exchange = np.stack([point.real, point.imag, np.abs(point)], axis=1).ravel()
    total = [slack.sum().real, slack.sum().imag]
    return np.concatenate([states.vm_pu[0], current[np.arange(network.n_branch), end], exchange, total])


def test_forward_is_the_slope_of_solved_power_flows(grid: Example) -> None:
    network, controls = grid.network, every_control(grid.network)
    states = grid.states()
    slopes = forward(states, limits_of(network), controls).slope[0]
    end = DenseModel(states, grid.parts(), 0).end
    node = network.structure.node_of_bus
    powers = np.random.default_rng(3).choice(2 * network.n_bus, 8, replace=False)
    for c in [*powers, *np.flatnonzero(np.isin(controls.kind, ["tap", "bank"]))]:
        kind, place = controls.kind[c], controls.place[c]
        step = 7e-4 * np.abs(grid.p).max() / network.s_base_mva if kind in ("p", "q") else 1e-2
        values = [solved_quantities(grid, kind, place, k * step, end) for k in (-2, -1, 1, 2)]
        # Central difference of the fourth order.
        expected = (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * step)
        found = np.r_[np.where(node >= 0, slopes[c, node], np.nan), slopes[c, network.n_node :]]
        assert_close(found, expected, [network.n_bus, network.n_bus + network.n_branch], 1e-5)


def test_adjoint_is_forward(grid: Example) -> None:
    network, controls = grid.network, every_control(grid.network)
    states, limits = grid.states(np.linspace(0.3, 1.1, 11)), limits_of(network)
    last = 2 * network.n_node + network.n_branch + 5 * len(limits.point_node) + 1
    # Every constraint in some state, in no order.
    rows = -(-(last + 1) // 11)
    constraint = np.resize(np.random.default_rng(5).permutation(last + 1), (11, rows))
    quantity = quantity_of(network, limits, constraint)
    assert set(quantity.ravel()) == set(range(quantity_count(network, limits)))
    full = forward(states, limits, controls)
    found = adjoint(states, limits, controls, constraint)
    assert full.solved.all()
    assert found.solved.all()
    np.testing.assert_array_equal(found.value, np.take_along_axis(full.value, quantity, axis=1))
    expected = np.take_along_axis(full.slope, quantity[:, None], axis=2).transpose(0, 2, 1)
    scale = np.abs(expected).max(axis=2, keepdims=True)
    assert (np.abs(found.slope - expected) <= 1e-12 * np.maximum(scale, 1.0)).all()


def test_constraints_are_those_of_the_limit_scan(grids: Path) -> None:
    """Values by ``value_of`` of the kernels: the probe of the scan, for every constraint."""
    grid = example("devices", grids)
    network, limits = grid.network, limits_of(grid.network)
    n, m, points = network.n_node, network.n_branch, len(limits.point_node)
    constraint = np.arange(2 * n + m + 5 * points)
    states = grid.states(np.ones(len(constraint)))
    count = len(constraint)
    scan = LimitArrays(
        vm_min=limits.vm_min[None], vm_max=limits.vm_max[None], loading=limits.loading[None],
        per_rated=limits.per_rated, point_node=limits.point_node, point_share=limits.point_share,
        exchange=limits.exchange[None], exchange_scale=1.0, row=np.zeros(count, dtype=np.int64),
        probe=constraint,
    )  # fmt: skip
    out = output(network, count)
    solve_lanes(network, states.stretches, states.lanes, scan, out, threads=1, tolerance_mva=1e-10)
    value = adjoint(states, limits, Controls.of(), constraint[:, None]).value
    np.testing.assert_allclose(value[:, 0], out.probed, rtol=1e-13, atol=1e-13)


def test_bits_do_not_depend_on_threads_or_neighbours(grids: Path) -> None:
    grid = example("devices", grids)
    network, limits, controls = grid.network, limits_of(grid.network), every_control(grid.network)
    share = np.random.default_rng(1).uniform(0.1, 1.2, 530)
    constraint = np.random.default_rng(2).integers(-1, 2 * network.n_node + network.n_branch, (530, 9))
    states, few = grid.states(share), np.arange(100, 119)
    for whole, threaded, alone in (
        (
            forward(states, limits, controls, threads=1),
            forward(states, limits, controls, threads=2),
            forward(grid.states(share[few]), limits, controls, threads=2),
        ),
        (
            adjoint(states, limits, controls, constraint, threads=1),
            adjoint(states, limits, controls, constraint, threads=2),
            adjoint(grid.states(share[few]), limits, controls, constraint[few], threads=2),
        ),
    ):
        assert whole.slope.tobytes() == threaded.slope.tobytes()
        assert whole.value.tobytes() == threaded.value.tobytes()
        assert whole.slope[few].tobytes() == alone.slope.tobytes()
        assert whole.value[few].tobytes() == alone.value.tobytes()


def test_states_that_are_none_are_blank_and_touch_no_other(grids: Path) -> None:
    grid = example("devices", grids)
    limits, controls = limits_of(grid.network), every_control(grid.network)
    good = grid.states(np.linspace(0.5, 1.0, 10))
    vr, vi = good.vr.copy(), good.vi.copy()
    vr[2] = vi[2] = np.nan
    vr[5, 3] += 1e-5
    spoilt = replace(good, vr=vr, vi=vi)
    fine = np.setdiff1d(np.arange(10), [2, 5])
    for before, after in (
        (forward(good, limits, controls), forward(spoilt, limits, controls)),
        (
            adjoint(good, limits, controls, np.tile([0, 5], (10, 1))),
            adjoint(spoilt, limits, controls, np.tile([0, 5], (10, 1))),
        ),
    ):
        assert before.solved.all()
        assert np.flatnonzero(~after.solved).tolist() == [2, 5]
        assert np.isnan(after.slope[[2, 5]]).all()
        assert np.isnan(after.value[[2, 5]]).all()
        assert before.slope[fine].tobytes() == after.slope[fine].tobytes()


def test_states_of_another_setting_are_no_states(grids: Path) -> None:
    grid = example("devices", grids)
    states = grid.states()
    other = grid.states(positions=grid.network.positions + 1)
    limits, controls = limits_of(grid.network), every_control(grid.network)
    found = forward(replace(other, vr=states.vr, vi=states.vi), limits, controls)
    assert not found.solved.any()
    assert np.isnan(found.slope).all()
    (own,), (strange,) = states.stretches, other.stretches
    for mixed in (own._replace(factors=strange.factors), own._replace(positions=strange.positions)):
        with pytest.raises(gc.OptionError, match="factors are not those of positions"):
            forward(replace(states, stretches=(mixed,)), limits, controls)


def test_no_states_no_controls_and_no_free_node(grids: Path) -> None:
    grid = example("devices", grids)
    limits, controls = limits_of(grid.network), every_control(grid.network)
    assert forward(grid.states(np.zeros(0)), limits, controls).slope.size == 0
    assert forward(grid.states(), limits, Controls.of()).value.shape == (
        1,
        quantity_count(grid.network, limits),
    )
    net = pp.create_empty_network()
    pp.create_ext_grid(net, pp.create_bus(net, 20.0), vm_pu=1.03)
    alone = Example(gc.compile_network(net), np.array([-2.0]), np.zeros(1))
    found = forward(alone.states(), limits_of(alone.network), Controls.of(p=[0], q=[0]))
    np.testing.assert_allclose(found.value, [[1.03, 2.0, 0.0, 2.0, 2.0, 0.0]], atol=1e-12)
    expected = [[0.0, -1.0, 0.0, -1.0, -1.0, 0.0], [0.0, 0.0, -1.0, 0.0, 0.0, -1.0]]
    np.testing.assert_allclose(found.slope[0], expected, atol=1e-12)


def test_what_is_not_asked_for_is_no_number(grids: Path) -> None:
    grid = example("devices", grids)
    found = adjoint(grid.states(), limits_of(grid.network), every_control(grid.network), [[-1, 0]])
    assert np.isnan(found.slope[0, 0]).all()
    assert np.isnan(found.value[0, 0])
    assert np.isfinite(found.slope[0, 1]).all()


def test_taps_at_the_ends_of_their_ranges_have_one_sided_slopes(grids: Path) -> None:
    grid = example("devices", grids)
    network = grid.network
    banks = network.banks.initial
    for ends in (network.taps.lowest, network.taps.highest):
        states = grid.states(positions=np.concatenate([ends, banks]))
        controls = every_control(network)
        found = forward(states, limits_of(network), controls).slope[0]
        slopes = DenseModel(states, grid.parts(), 0).slopes(controls)[1]
        assert_close(found, slopes, [network.n_node, network.n_node + network.n_branch], 1e-10)
        assert np.abs(found[controls.kind == "tap"]).max() > 1e-3


def two_buses(power: float) -> Example:
    """A line without capacitance and a bus without supply."""
    net = pp.create_empty_network(sn_mva=2.0)
    a, b, _ = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, a)
    pp.create_line_from_parameters(
        net, a, b, 10.0, r_ohm_per_km=0.2, x_ohm_per_km=0.4, c_nf_per_km=0.0, max_i_ka=0.1
    )
    pp.create_load(net, b, power, 0.0)
    return Example(gc.compile_network(net), *injections(net))


def test_without_current_a_loading_has_no_slope_and_the_rest_has() -> None:
    grid = two_buses(0.0)
    network, limits = grid.network, limits_of(grid.network)
    found = forward(grid.states(), limits, Controls.of(p=[1], q=[1]))
    assert found.solved.all()
    node = network.structure.node_of_bus[1]
    # At no load dV = (R dP + X dQ)/V, with R and X per 20²/2 ohms.
    np.testing.assert_allclose(found.slope[0, :, node], [2.0 / 200.0, 4.0 / 200.0], rtol=1e-12)
    assert (found.slope[0, :, network.n_node] == 0.0).all()
    assert (found.slope[0, :, network.n_node + 3] == 0.0).all()
    np.testing.assert_allclose(found.slope[0, :, -2:], [[-1.0, 0.0], [0.0, -1.0]], atol=1e-12)


def test_a_dead_bus_moves_nothing_and_a_slack_bus_the_exchange_alone() -> None:
    grid = two_buses(1.5)
    found = forward(grid.states(), limits_of(grid.network), Controls.of(p=[2, 0], q=[2])).slope[0]
    assert (found[[0, 2]] == 0.0).all()
    expected = np.zeros(found.shape[1])
    # P, |S| and the total.
    state = forward(grid.states(), limits_of(grid.network), Controls.of()).value[0]
    expected[[-5, -2]] = -1.0
    expected[-3] = -state[-5] / state[-3]
    np.testing.assert_allclose(found[1], expected, atol=1e-14)


def test_a_generator_at_its_reactive_limit_holds_no_voltage(grids: Path) -> None:
    grid = example("case9", grids)
    network, limits = grid.network, limits_of(grid.network)
    # One of the two generators would feed in more, the other less.
    q_limit = 5.0 / network.s_base_mva
    states = solved_states(network, grid.p[None], grid.q[None], q_limit=q_limit)
    pv = np.flatnonzero(network.structure.is_pv == 1)
    off = np.abs(np.hypot(states.vr, states.vi)[0, pv] - network.set_voltage[pv])
    assert sorted(off > 1e-3) == [False, True]
    controls = every_control(network)
    found = forward(states, limits, controls)
    assert found.solved.all()
    lost, kept = pv[np.argmax(off)], pv[np.argmin(off)]
    assert (found.slope[0, :, kept] == 0.0).all()
    step = 1e-3
    for c in np.flatnonzero(controls.kind == "q"):
        near = []
        for k in (-2, -1, 1, 2):
            q = grid.q.copy()
            q[controls.place[c]] += k * step * network.s_base_mva
            moved_states = solved_states(network, grid.p[None], q[None], q_limit=q_limit)
            near.append(np.hypot(moved_states.vr[0], moved_states.vi[0]))
        expected = (near[0] - 8.0 * near[1] + 8.0 * near[2] - near[3]) / (12.0 * step)
        np.testing.assert_allclose(found.slope[0, c, : network.n_node], expected, rtol=1e-7, atol=1e-9)
    at_lost = (controls.kind == "q") & (network.structure.node_of_bus[controls.place] == lost)
    assert found.slope[0, at_lost, lost] > 1e-2


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        (Controls.of(p=[3]), "no control p 3; this network has p 0 … 2, q 0 … 2$"),
        (Controls.of(tap=[0]), "no control tap 0"),
        (Controls.of(bank=[-1]), "no control bank -1"),
        (Controls(np.array(["v"]), np.array([0])), "no control v 0"),
    ],
)
def test_controls_that_do_not_exist_are_refused(controls: Controls, words: str) -> None:
    grid = two_buses(1.0)
    with pytest.raises(gc.OptionError, match=words):
        forward(grid.states(), limits_of(grid.network), controls)


def test_constraints_and_shapes_that_do_not_fit_are_refused() -> None:
    grid = two_buses(1.0)
    states, limits, controls = grid.states(), limits_of(grid.network), Controls.of(p=[1])
    for number in (-2, 2 * 2 + 1 + 5 + 2):
        with pytest.raises(gc.OptionError, match="-1 … 11"):
            adjoint(states, limits, controls, [[number]])
    for constraint in ([0], [[0], [0]]):
        with pytest.raises(gc.OptionError, match="with 1 states"):
            adjoint(states, limits, controls, constraint)
    for voltages in (states.vr[:, :1], np.ones((2, 2))):
        with pytest.raises(gc.OptionError, match="state, node"):
            forward(replace(states, vr=voltages), limits, controls)
