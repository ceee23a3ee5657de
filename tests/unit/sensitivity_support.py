"""Grids for sensitivities, their solved states, and a dense model of the power flow to differentiate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp

from gridclear.network.limits import NodeLimits
from gridclear.powerflow.columns import injection_columns
from gridclear.powerflow.factors import branch_admittance, factors_at, node_shunt
from gridclear.powerflow.lanes import Lanes, Stretch, no_changes, no_limits, output, solve_lanes
from gridclear.powerflow.moves import Controls
from gridclear.powerflow.sensitivity import Solved

if TYPE_CHECKING:
    import gridclear as gc


def with_devices() -> pp.pandapowerNet:
    """Two slack nodes, one of two external grids; a mesh with a phase shifter, taps, banks, a dead bus."""
    net = pp.create_empty_network(sn_mva=10.0)
    a, b, c = (pp.create_bus(net, 110.0) for _ in range(3))
    mv, lv, end, dead = (pp.create_bus(net, kv) for kv in (20.0, 10.0, 10.0, 10.0))
    for bus, vm in ((a, 1.02), (a, 1.02), (c, 1.01)):
        pp.create_ext_grid(net, bus, vm_pu=vm)
    line = {"r_ohm_per_km": 0.12, "x_ohm_per_km": 0.39, "c_nf_per_km": 9.0, "max_i_ka": 0.5}
    for first, second, km in ((a, b, 30.0), (b, c, 40.0)):
        pp.create_line_from_parameters(net, first, second, km, **line)
    shift = {"tap_side": "hv", "tap_neutral": 0, "tap_min": -4, "tap_max": 4, "tap_pos": 1}
    pp.create_transformer_from_parameters(
        net, a, b, 40.0, 110.0, 110.0, vkr_percent=0.4, vk_percent=11.0, pfe_kw=20.0, i0_percent=0.1,
        tap_step_degree=1.5, tap_step_percent=np.nan, tap_changer_type="Ideal", **shift,
    )  # fmt: skip
    pp.create_transformer3w(net, b, mv, lv, "63/25/38 MVA 110/20/10 kV", tap_pos=2)
    net.trafo3w["tap_changer_type"] = "Ratio"
    pp.create_line_from_parameters(
        net, lv, end, 3.0, r_ohm_per_km=0.16, x_ohm_per_km=0.12, c_nf_per_km=300.0, max_i_ka=0.3
    )
    open_end = pp.create_line_from_parameters(
        net, lv, dead, 2.0, r_ohm_per_km=0.16, x_ohm_per_km=0.12, c_nf_per_km=300.0, max_i_ka=0.3
    )
    pp.create_switch(net, dead, open_end, et="l", closed=False)
    for bus, p, q in ((a, 1.0, 0.4), (b, 5.0, 1.0), (mv, 12.0, 3.0), (lv, 5.0, 1.0), (end, 2.0, 0.7)):
        pp.create_load(net, bus, p, q)
    pp.create_shunt(net, mv, q_mvar=-1.2, p_mw=0.02, step=2, max_step=3)
    pp.create_shunt(net, c, q_mvar=-5.0, step=1, max_step=2)
    pp.create_ward(net, lv, ps_mw=0.3, qs_mvar=0.1, pz_mw=0.2, qz_mvar=-0.1)
    return net


def limits_of(network: gc.Network) -> NodeLimits:
    """Ratings of the grid, and a connection point per external grid."""
    point = np.arange(len(network.slack))
    node = network.slack_node
    free = np.full(network.n_node, -1, dtype=np.int64)
    return NodeLimits(
        vm_min=np.full(network.n_node, 0.9),
        vm_max=np.full(network.n_node, 1.1),
        low_bus=free,
        high_bus=free,
        loading=np.ones(network.n_branch),
        per_rated=network.amperes_ka / network.rated_ka,
        point=point,
        point_node=node,
        point_share=np.array([1.0 / (node == k).sum() for k in node]),
        exchange=np.zeros((len(node), 5)),
        exchange_scale=1.0,
    )


def every_control(network: gc.Network) -> Controls:
    """P and Q at every bus, every tap changer and every bank."""
    buses = np.arange(network.n_bus)
    taps, banks = np.arange(len(network.taps.element)), np.arange(len(network.banks.element))
    return Controls.of(p=buses, q=buses, tap=taps, bank=banks)


def solved_states(
    network: gc.Network,
    p: np.ndarray,
    q: np.ndarray,
    profiles: tuple[gc.Profile, ...] = (),
    positions: np.ndarray | None = None,
    q_limit: float = np.inf,
) -> Solved:
    """States by the kernels; generators feed in at most ``q_limit`` p.u."""
    setting = network.positions if positions is None else np.asarray(positions)
    factors = factors_at(network, setting)
    factors = factors._replace(q_max=np.full(network.n_free, q_limit))
    columns = injection_columns(network, p, q, profiles)
    lanes = Lanes(len(p), columns, no_changes(len(p)))
    stretches = (Stretch(setting, factors, 0, len(p)),)
    out = output(network, len(p), nodes=True)
    solve_lanes(network, stretches, lanes, no_limits(network), out, threads=1, tolerance_mva=1e-10)
    return Solved(
        network, stretches, lanes, *(part[:, : network.n_node] for part in (out.node_r, out.node_i))
    )


def moved(network: gc.Network, positions: np.ndarray, kind: str, place: int, step: float) -> gc.Network:
    """Move a tap or a bank by a part of a step: on the parabola through three positions, or on a line."""
    if kind == "bank":
        shunt = network.shunt.copy()
        if network.banks.node[place] >= 0:
            shunt[network.banks.node[place]] += step * network.banks.per_step[place]
        return replace(network, shunt=shunt)
    if kind != "tap":
        return network
    table, at = network.taps.admittance[place], positions[place] - network.taps.lowest[place]
    if at in (0, len(table) - 1):
        other = 1 if at == 0 else at - 1
        between = table[at] + step * (other - at) * (table[other] - table[at])
    else:
        before, now, after = table[at - 1 : at + 2]
        between = now + step * (after - before) / 2 + step**2 * (after - 2 * now + before) / 2
    changed = table.copy()
    changed[at] = between
    tables = list(network.taps.admittance)
    tables[place] = changed
    return replace(network, taps=replace(network.taps, admittance=tuple(tables)))


class DenseModel:
    """Power flow in rectangular coordinates with dense real matrices, differentiated by complex steps.

    An analytic function of real arguments has f'(x) = Im f(x + jh)/h to the last digits for tiny h
    (W. Squire & G. Trapp, SIAM Review 40(1), 1998). Shares no code with the kernels.

    Parameters
    ----------
    states : Solved
    parts : (6, node)
        Injections in p.u.: P and Q of constant power, of constant current, of constant impedance.
    state : int
        Which of the states.
    """

    STEP = 1e-30

    def __init__(self, states: Solved, parts: np.ndarray, state: int) -> None:
        self.network, self.positions, self.parts = states.network, states.stretches[0].positions, parts
        self.limits = limits_of(self.network)
        self.e, self.f = states.vr[state].astype(complex), states.vi[state].astype(complex)
        self.end = np.zeros(self.network.n_branch, dtype=np.int64)
        self.end = np.argmax(self.loadings(self.e, self.f, self.admittance("", 0, 0.0)).real, axis=1)

    def slopes(self, controls: Controls) -> tuple[np.ndarray, np.ndarray]:
        """Values (quantity,), and slopes (control, quantity)."""
        free = self.network.n_free
        columns = []
        for unknown in range(2 * free):
            e, f = self.e.copy(), self.f.copy()
            (e if unknown < free else f)[unknown % free] += 1j * self.STEP
            columns.append(self.evaluate(e, f, "", 0, 0.0))
        rows = [
            self.evaluate(self.e, self.f, kind, place, 1j * self.STEP)
            for kind, place in zip(controls.kind, controls.place, strict=True)
        ]
        balance_x, quantity_x, balance_u, quantity_u = (
            np.array([pair[part].imag for pair in pairs]).T / self.STEP
            for pairs in (columns, rows)
            for part in (0, 1)
        )
        slopes = quantity_u - quantity_x @ np.linalg.solve(balance_x, balance_u)
        return self.evaluate(self.e, self.f, "", 0, 0.0)[1].real, slopes.T

    def admittance(self, kind: str, place: int, step: complex) -> tuple[np.ndarray, ...]:
        """Conductances and susceptances of branches and to ground, moved by a (complex) step of a control."""
        network = self.network
        y, ground = branch_admittance(network, self.positions), node_shunt(network, self.positions)
        g, b = y.real.astype(complex), y.imag.astype(complex)
        gs, bs = ground.real.astype(complex), ground.imag.astype(complex)
        if kind == "bank" and network.banks.node[place] >= 0:
            gs[network.banks.node[place]] += step * network.banks.per_step[place].real
            bs[network.banks.node[place]] += step * network.banks.per_step[place].imag
        if kind == "tap":
            table, own = network.taps.admittance[place], network.taps.branches[place]
            at = self.positions[place] - network.taps.lowest[place]
            near = np.arange(max(at - 1, 0), min(at + 2, len(table)))
            power = np.vander(near - at, increasing=True)
            slope = np.linalg.solve(power, table[near].reshape(len(near), -1))[1].reshape(-1, 4)
            g[own] += step * slope.real
            b[own] += step * slope.imag
        return g, b, gs, bs

    def currents(self, e: np.ndarray, f: np.ndarray, values: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """Real and imaginary parts of the currents at both ends: (branch, 2) each."""
        ends = np.stack([self.network.structure.from_node, self.network.structure.to_node], axis=1)[:, None]
        g, b = (part.reshape(-1, 2, 2) for part in values[:2])
        return [(g * e[ends] - b * f[ends]).sum(axis=2), (g * f[ends] + b * e[ends]).sum(axis=2)]

    def loadings(self, e: np.ndarray, f: np.ndarray, values: tuple[np.ndarray, ...]) -> np.ndarray:
        """Fraction of the rating at both ends."""
        re, im = self.currents(e, f, values)
        return np.sqrt(re**2 + im**2) * self.limits.per_rated

    def evaluate(
        self, e: np.ndarray, f: np.ndarray, kind: str, place: int, step: complex
    ) -> tuple[np.ndarray, np.ndarray]:
        """Balance of the free nodes, and the quantities."""
        network = self.network
        free, held = slice(network.n_free), network.structure.is_pv == 1
        values = self.admittance(kind, place, step)
        ire, iim = values[2] * e - values[3] * f, values[2] * f + values[3] * e
        for total, part in zip((ire, iim), self.currents(e, f, values), strict=True):
            np.add.at(total, network.structure.from_node, part[:, 0])
            np.add.at(total, network.structure.to_node, part[:, 1])
        vm = np.sqrt(e * e + f * f)
        p = e * ire + f * iim - self.parts[0] - vm * self.parts[2] - vm**2 * self.parts[4]
        q = f * ire - e * iim - self.parts[1] - vm * self.parts[3] - vm**2 * self.parts[5]
        if kind in ("p", "q") and network.structure.node_of_bus[place] >= 0:
            (p if kind == "p" else q)[network.structure.node_of_bus[place]] -= step
        second = np.where(held, vm[free] ** 2 - network.set_voltage**2, q[free])
        exchange = []
        for slack, share in zip(self.limits.point_node, self.limits.point_share, strict=True):
            exchange += [share * p[slack], share * q[slack], share * np.sqrt(p[slack] ** 2 + q[slack] ** 2)]
        total = [p[network.n_free :].sum(), q[network.n_free :].sum()]
        loading = self.loadings(e, f, values)[np.arange(network.n_branch), self.end]
        return np.concatenate([p[free], second]), np.concatenate([vm, loading, exchange, total])
