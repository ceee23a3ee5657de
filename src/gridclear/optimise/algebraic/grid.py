"""One period of a grid as branch flow models see it: branches, shunts, injections, ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gridclear.optimise.algebraic.branches import series_of, taps_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Complexes, Floats, Ints, Network
    from gridclear.optimise.algebraic.branches import Tap
    from gridclear.optimise.problem import Problem

    Flags = NDArray[np.bool_]

#: Voltages that are looked at: so much below and above the effective limits, else this range in p.u.
_BELOW, _ABOVE, _RANGE = 0.8, 1.2, (0.5, 1.5)
#: Currents that are looked at, in terms of the effective limit.
_CURRENT = 2.0


@dataclass(frozen=True, eq=False)
class Bank:
    """A decided bank: admittance to ground that every step adds; what stands at none is among the shunts."""

    node: int
    device: int
    per_step: complex


@dataclass(frozen=True, eq=False)
class Offered:
    """What one item's full share injects at a node: S · |V|^order."""

    item: int
    node: int
    order: int
    power: complex


@dataclass(frozen=True, eq=False)
class PeriodGrid:
    """A period's grid, powers and admittances in units of ``unit``.

    Attributes
    ----------
    period, topology : int
    n_free : int
        Nodes from here on are slacks.
    from_node, to_node : (branch,) of int
    z : (branch,) complex
        Series impedance.
    ratio : (branch,) complex
        Ideal transformer at the from end, at no step.
    ground : (branch, 2) complex
        Shunts at both ends of the series impedance.
    shunt : (node,) complex
    meshed : (branch,) of bool
        Branches whose angles matter: they close a loop, or a path between two slacks.
    taps, banks : tuples
    held : (node,)
        Voltage magnitude that is given: slacks, and generators with voltage control; else NaN.
    injection : (3, node) complex
        What is injected at constant power, at constant current and at constant impedance (at 1 p.u.).
    offered : tuple of Offered
    stored : (store,) of int
        Nodes of the storages, -1 where one has no supply.
    v0 : (node,) complex
        Voltages of the base state.
    ratio0 : (branch, 2) complex
        ρ at both ends in the base state.
    low, high : (node,)
        Bounds of |V|, beyond the limits.
    most : (branch,)
        Bound of the series current.
    """

    period: int
    topology: int
    n_free: int
    from_node: Ints
    to_node: Ints
    z: Complexes
    ratio: Complexes
    ground: Complexes
    shunt: Complexes
    meshed: Flags
    taps: tuple[Tap, ...]
    banks: tuple[Bank, ...]
    held: Floats
    injection: Complexes
    offered: tuple[Offered, ...]
    stored: Ints
    v0: Complexes
    ratio0: Complexes
    low: Floats
    high: Floats
    most: Floats

    @property
    def inner0(self) -> Complexes:
        """Voltages of the base state at both ends of the series impedances, (branch, 2)."""
        ends = np.stack([self.v0[self.from_node] / self.ratio, self.v0[self.to_node]], axis=1)
        return np.asarray(ends / self.ratio0)

    @property
    def flow0(self) -> Complexes:
        """Power of the base state into the series impedances, (branch,)."""
        inner = self.inner0
        return np.asarray(inner[:, 0] * np.conj((inner[:, 0] - inner[:, 1]) / self.z))

    @property
    def loops(self) -> tuple[Ints, ...]:
        """Nodes of every connected set of meshed branches."""
        closed = np.flatnonzero(self.meshed)
        shape = (len(self.held), len(self.held))
        links = sparse.coo_array(
            (np.ones(len(closed)), (self.from_node[closed], self.to_node[closed])), shape
        )
        count, label = connected_components(links, directed=False)
        touched = np.unique([self.from_node[closed], self.to_node[closed]])
        return tuple(own for one in range(count) if len(own := touched[label[touched] == one]))


def power_unit(problem: Problem) -> float:
    """Power of ten, in p.u., at which the powers of a problem are neither large nor small for a solver."""
    compiled = problem.compiled
    total = np.hypot(np.abs(compiled.p).sum(axis=1), np.abs(compiled.q).sum(axis=1)).max(initial=1e-3)
    return float(10.0 ** np.round(np.log10(max(total, 1e-3)) - 0.5))


def period_grids(problem: Problem, unit: float) -> tuple[PeriodGrid, ...]:
    """Take every period apart whose base state has a solution.

    Parameters
    ----------
    problem : Problem
    unit : float
        Unit of power in p.u.

    Returns
    -------
    tuple of PeriodGrid

    Raises
    ------
    CaseError
        A branch does not conduct alike in both directions; a decided tap changer does not act as an ideal
        transformer, or shifts the phase inside a mesh.
    """
    return tuple(
        _period_grid(problem, unit, period) for period in np.flatnonzero(problem.base.solved).tolist()
    )


def _period_grid(problem: Problem, unit: float, period: int) -> PeriodGrid:
    compiled = problem.compiled
    topology = int(compiled.topology[period])
    network = compiled.networks[topology]
    reference, base = problem.base.positions[period].copy(), problem.base.positions[period]
    for movable in problem.devices:
        reference[movable.device] = compiled.positions[movable.device]
    y = _at(network, reference)
    ratio, series = series_of(problem, network, y)
    ground = np.stack([y[:, 0] * np.abs(ratio) ** 2 - series, y[:, 3] - series], axis=1)
    meshed = _meshed(network)
    taps, ratio0 = taps_of(problem, network, y, _at(network, base), meshed)
    shunt, banks = _shunts(problem, network, reference, unit)
    low, high = _voltages(problem, topology, period)
    v0 = problem.base.nodes[topology][period]
    held = np.full(network.n_node, np.nan)
    generator = np.flatnonzero(network.structure.is_pv)
    held[generator] = network.set_voltage[generator]
    held[network.n_free :] = np.abs(network.slack_voltage)
    injection, offered, stored = _injections(problem, network, unit, period)
    z = unit / series
    outer = np.stack([high[network.structure.from_node] / np.abs(ratio), high[network.structure.to_node]])
    rated = _currents(problem, topology, period, np.abs(ratio)) / unit
    # What the shunts at its ends take flows beside the series impedance.
    rated += (np.abs(ground.T) / unit * outer).max(axis=0)
    return PeriodGrid(
        period=period,
        topology=topology,
        n_free=network.n_free,
        from_node=network.structure.from_node,
        to_node=network.structure.to_node,
        z=z,
        ratio=ratio,
        ground=np.asarray(ground / unit, dtype=np.complex128),
        shunt=shunt / unit,
        meshed=meshed,
        taps=taps,
        banks=banks,
        held=held,
        injection=injection,
        offered=offered,
        stored=stored,
        v0=v0,
        ratio0=ratio0,
        low=low,
        high=high,
        most=np.minimum(outer.sum(axis=0) / np.abs(z), rated),
    )


def _at(network: Network, positions: Ints) -> Complexes:
    """Admittances of the branches at given positions."""
    y, table = network.admittance.copy(), network.taps
    for changer, branches in enumerate(table.branches):
        y[branches] = table.admittance[changer][positions[changer] - table.lowest[changer]]
    return y


def _shunts(
    problem: Problem, network: Network, reference: Ints, unit: float
) -> tuple[Complexes, tuple[Bank, ...]]:
    shunt, first = network.shunt.copy(), len(network.taps.element)
    live = network.banks.node >= 0
    np.add.at(shunt, network.banks.node[live], (network.banks.per_step * reference[first:])[live])
    banks = [
        Bank(int(network.banks.node[bank]), number, complex(step * network.banks.per_step[bank] / unit))
        for number, movable in enumerate(problem.devices)
        for bank, step in zip((movable.device - first).tolist(), movable.step.tolist(), strict=True)
        if bank >= 0 and network.banks.node[bank] >= 0
    ]
    return shunt, tuple(banks)


def _injections(
    problem: Problem, network: Network, unit: float, period: int
) -> tuple[Complexes, tuple[Offered, ...], Ints]:
    compiled, node = problem.compiled, network.structure.node_of_bus
    live = node >= 0
    given = np.zeros((3, network.n_node), dtype=np.complex128)
    for number, part in enumerate(compiled.parts):
        np.add.at(given[number // 2], node[live], part[period, live] * _KIND[number % 2])
    rows = np.flatnonzero(problem.offers.period == period)
    own = problem.offers.activations.part(rows)
    item = np.repeat(problem.offers.item[rows], np.diff(own.first))
    part, bus = np.divmod(own.cell, network.n_bus)
    offered = tuple(
        Offered(int(one), int(node[at]), int(number) // 2, complex(value * _KIND[number % 2] / unit))
        for one, number, at, value in zip(item, part, bus, own.value, strict=True)
        if node[at] >= 0 and value != 0.0
    )
    scheduled = np.zeros(network.n_node)
    stored = node[problem.stores.bus]
    # The decided power of a storage takes the place of its schedule.
    fed = stored >= 0
    np.add.at(scheduled, stored[fed], problem.stores.scheduled[fed, period])
    given[0] += scheduled
    return given / unit, offered, stored


#: Factor of the parts of an injection: P, then Q.
_KIND = (1.0, 1.0j)


def _voltages(problem: Problem, topology: int, period: int) -> tuple[Floats, Floats]:
    limits, base = problem.base.limits, np.abs(problem.base.nodes[topology][period])
    low, high = limits.vm_min[topology][period], limits.vm_max[topology][period]
    return (
        np.minimum(np.where(np.isfinite(low), _BELOW * low, _RANGE[0]), _BELOW * base),
        np.maximum(np.where(np.isfinite(high), _ABOVE * high, _RANGE[1]), _ABOVE * base),
    )


def _currents(problem: Problem, topology: int, period: int, ratio: Floats) -> Floats:
    """Largest series currents that are looked at in p.u.; infinite without a limit."""
    limits = problem.compiled.limits[topology]
    loading = problem.base.limits.loading[topology][period]
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = loading[:, None] / limits.per_rated
    ends = np.where(np.isfinite(ends) & (limits.per_rated > 0.0), ends, np.inf)
    ends[:, 0] *= ratio
    return np.asarray(_CURRENT * ends.min(axis=1))


def _meshed(network: Network) -> Flags:
    """Branches that are left when ends that hang loose are taken away, all slacks being one."""
    merged = np.minimum(np.stack([network.structure.from_node, network.structure.to_node]), network.n_free)
    left = np.ones(merged.shape[1], dtype=bool)
    while True:
        degree = np.bincount(merged[:, left].ravel(), minlength=network.n_free + 1)
        loose = left & (degree[merged] == 1).any(axis=0)
        if not loose.any():
            return left
        left &= ~loose
