"""The grid of one period as a circuit whose admittances no device changes: taps are ratios, banks are loads.

A tap at a slack bus is a source of another voltage. A tap elsewhere gets an inner node: the voltage there is
the ratio times that of its bus, and the power that flows in is that of the bus. A bank draws power that grows
with the square of the voltage. What is left are nodes, sources, and admittances that stand fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from gridclear.powerflow.factors import branch_admittance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.movables import Movable
    from gridclear.network.network import Complexes, Floats, Ints, Network
    from gridclear.optimise.linearise import Point

#: Part of an admittance by which a table of positions may differ from an ideal ratio.
_IDEAL = 1e-10


class NotCoveredError(Exception):
    """The grid has something that the bound does not cover; the message says what."""


@dataclass(frozen=True, eq=False)
class Source:
    """A node of given voltage.

    Attributes
    ----------
    slack : int
        Slack node that feeds it.
    device : int
        Movable that sets its voltage, -1 if none does.
    voltage : (step,) complex
        By step of the device from its lowest; one voltage without a device.
    """

    slack: int
    device: int
    voltage: Complexes


@dataclass(frozen=True, eq=False)
class Ratio:
    """An inner node behind a tap: its voltage is a ratio times that of its bus's node.

    Attributes
    ----------
    node : int
    device : int
    ratio : (step,) complex
        By step of the device from its lowest.
    """

    node: int
    device: int
    ratio: Complexes


@dataclass(frozen=True, eq=False)
class Bank:
    """A shunt whose steps are decided.

    Attributes
    ----------
    node, device : int
    admittance : complex
        Of one step, in p.u.
    steps : (step,) of int
        That are switched on, by step of the device from its lowest.
    """

    node: int
    device: int
    admittance: complex
    steps: Ints


@dataclass(frozen=True, eq=False)
class Setting:
    """Where devices stand, whole or in between.

    Attributes
    ----------
    source : (source,) complex
        Voltages.
    ratio : (ratio,) complex
    bank : (bank,)
        Steps that are switched on.
    """

    source: Complexes
    ratio: Complexes
    bank: Floats


@dataclass(frozen=True, eq=False)
class Circuit:
    """One topology with the devices that are not decided where they stand.

    Nodes: those of the network that are free, the inner ones of ratios, the sources.

    Attributes
    ----------
    network : Network
    sources : tuple of Source
        The slack nodes in their order, then one per tap at a slack bus.
    ratios : tuple of Ratio
    banks : tuple of Bank
    lowest : (device,) of int
        Lowest step of every movable.
    admittance : (node, node) sparse complex
    current : (2 · branch, node) sparse complex
        What the branches take at their from ends, then at their to ends; behind the tap where one stands.
    scaling : tuple of (row of ``current``, device, factor by step)
        Ends in front of a tap: the squared current there is the factor times the one behind.
    near : (2 · branch,) of int
        Node of every row of ``current``.
    shunt : (node,) complex
        To ground, without the banks that are decided.
    through : (branch, 2) complex
        What the from end takes by the voltages of both ends.
    """

    network: Network
    sources: tuple[Source, ...]
    ratios: tuple[Ratio, ...]
    banks: tuple[Bank, ...]
    lowest: Ints
    admittance: sparse.csr_array
    current: sparse.csr_array
    scaling: tuple[tuple[int, int, Floats], ...]
    near: Ints
    shunt: Complexes
    through: Complexes

    @property
    def n_bus_node(self) -> int:
        """Free nodes of the network."""
        return self.network.n_free

    @property
    def n_free(self) -> int:
        """Free nodes, inner ones included."""
        return self.network.n_free + len(self.ratios)

    @cached_property
    def moving(self) -> Mapping[int, tuple[Ints, Complexes]]:
        """Sources that a device moves, by device, and their voltages (source, step)."""
        device = np.array([source.device for source in self.sources])
        found = {}
        for number in np.unique(device[device >= 0]).tolist():
            mine = np.flatnonzero(device == number)
            found[number] = mine, np.stack([self.sources[source].voltage for source in mine])
        return found

    @cached_property
    def behind(self) -> Complexes:
        """Impedance behind every source, zero where there is none."""
        own = self.admittance[self.n_free :].tocsr()[:, self.n_free :].diagonal()
        found: Complexes = np.divide(1.0, own, out=np.zeros_like(own), where=own != 0.0)
        return found

    def powers(self, voltage: Complexes) -> Complexes:
        """Powers that the sources give at voltages of all nodes, p.u."""
        given = voltage[self.n_free :]
        taken: Complexes = np.asarray(self.admittance[self.n_free :] @ voltage)
        return given * np.conj(taken)

    def setting(self, steps: Floats) -> Setting:
        """Take movables at so many steps away from their schedule, (device,); in between by interpolation."""

        def at(table: Complexes | Floats | Ints, device: int) -> complex:
            if device < 0:
                return complex(table[0])
            place = min(max(float(steps[device]) - float(self.lowest[device]), 0.0), len(table) - 1.0)
            low = min(int(place), len(table) - 2) if len(table) > 1 else 0
            high = min(low + 1, len(table) - 1)
            return complex(table[low] + (table[high] - table[low]) * (place - low))

        return Setting(
            source=np.array([at(source.voltage, source.device) for source in self.sources]),
            ratio=np.array([at(ratio.ratio, ratio.device) for ratio in self.ratios], dtype=np.complex128),
            bank=np.array([at(bank.steps, bank.device).real for bank in self.banks]),
        )


def build_circuit(network: Network, positions: Ints, devices: tuple[Movable, ...]) -> Circuit:
    """Take the movables out of a network.

    Parameters
    ----------
    network : Network
    positions : (tap changer + bank,) of int
        Scheduled ones of the movables; where the others stand.
    devices : tuple of Movable

    Returns
    -------
    Circuit

    Raises
    ------
    NotCoveredError
        A voltage is held by a generator, a tap changes more than a ratio, or a bank stands at a slack bus.
    """
    if network.structure.is_pv.any():
        raise NotCoveredError("a generator holds a voltage")
    free, slacks = network.n_free, network.n_node - network.n_free
    ends = [network.structure.from_node.copy(), network.structure.to_node.copy()]
    values = branch_admittance(network, positions)
    sources = [Source(free + s, -1, network.slack_voltage[s : s + 1]) for s in range(slacks)]
    ratios: list[Ratio] = []
    scaling: list[tuple[int, int, Floats]] = []
    placed: list[tuple[int, int, int]] = []  # end, branch, and number among the sources, or -1 - ratio
    for number, device in enumerate(devices):
        for member, step in zip(device.device.tolist(), device.step.tolist(), strict=True):
            if member >= len(network.taps.element):
                continue
            first = positions[member] - network.taps.lowest[member]
            rows = first + np.arange(device.lowest, device.highest + 1) * step
            for place, branch in enumerate(network.taps.branches[member].tolist()):
                table = network.taps.admittance[member][:, place]
                if not np.any(table[rows] != table[first]):
                    continue
                end, ratio = _ratio(table[rows], table[first])
                scaling.append((end * network.n_branch + branch, number, np.abs(ratio) ** 2))
                node = int(ends[end][branch])
                if node < free:
                    ratios.append(Ratio(node, number, ratio))
                    placed.append((end, branch, -len(ratios)))
                    continue
                voltage = ratio * network.slack_voltage[node - free]
                found = [
                    at
                    for at, source in enumerate(sources)
                    if source.device == number
                    and source.slack == node
                    and np.allclose(source.voltage, voltage, rtol=0.0, atol=1e-13)
                ]
                if not found:
                    found = [len(sources)]
                    sources.append(Source(node, number, voltage))
                placed.append((end, branch, found[0]))
    inner = len(ratios)
    for side in ends:
        side[side >= free] += inner
    for end, branch, number in placed:
        ends[end][branch] = free + inner + number if number >= 0 else free - 1 - number
    size = free + inner + len(sources)
    shunt = np.zeros(size, dtype=np.complex128)
    shunt[:free] = network.shunt[:free]
    shunt[free + inner : free + inner + slacks] = network.shunt[free:]
    banks = _banks(network, positions, devices, shunt, inner)
    near, far = ends
    row = np.concatenate([near, near, far, far, np.arange(size)])
    column = np.concatenate([near, far, near, far, np.arange(size)])
    value = np.concatenate([*values.T, shunt])
    branch = np.arange(network.n_branch)
    taken = sparse.coo_array(
        (
            np.concatenate([values[:, 0], values[:, 1], values[:, 3], values[:, 2]]),
            (
                np.concatenate([branch, branch, branch + network.n_branch, branch + network.n_branch]),
                np.concatenate([near, far, far, near]),
            ),
        ),
        (2 * network.n_branch, size),
    )
    return Circuit(
        network=network,
        sources=tuple(sources),
        ratios=tuple(ratios),
        banks=banks,
        lowest=np.array([device.lowest for device in devices], dtype=np.int64),
        admittance=sparse.csr_array(sparse.coo_array((value, (row, column)), (size, size))),
        current=sparse.csr_array(taken),
        scaling=tuple(scaling),
        near=np.concatenate([near, far]),
        shunt=shunt,
        through=values[:, :2],
    )


def circuits_of(point: Point) -> tuple[Circuit | None, ...]:
    """Circuits by period, each topology and setting of what is not decided once.

    Parameters
    ----------
    point : Point

    Returns
    -------
    tuple of Circuit or None
        None where the point has no state.

    Raises
    ------
    NotCoveredError
    """
    problem, compiled = point.problem, point.problem.compiled
    if compiled.p_current is not None:
        raise NotCoveredError("loads depend on the voltage")
    decided = np.concatenate([np.zeros(0, dtype=np.int64), *(one.device for one in problem.devices)])
    known: dict[tuple[int, bytes], Circuit] = {}
    found: list[Circuit | None] = []
    for number, local in enumerate(point.local):
        if local is None:
            found.append(None)
            continue
        topology, positions = int(compiled.topology[number]), problem.base.positions[number].copy()
        positions[decided] = compiled.positions[decided]
        key = (topology, positions.tobytes())
        if key not in known:
            known[key] = build_circuit(compiled.networks[topology], positions, problem.devices)
        found.append(known[key])
    return tuple(found)


def _ratio(table: Complexes, at: Complexes) -> tuple[int, Complexes]:
    """Find the end where a branch's admittances (step, 4) follow from ratios, and the ratios."""
    for end, (own, out, back, other) in enumerate(((0, 1, 2, 3), (3, 2, 1, 0))):
        ratio = table[:, back] / at[back]
        ideal = {
            own: np.abs(ratio) ** 2 * at[own],
            out: ratio.conj() * at[out],
            back: ratio * at[back],
            other: at[other] + 0.0 * ratio,
        }
        room = _IDEAL * np.abs(at).max()
        if all(np.abs(table[:, column] - value).max() <= room for column, value in ideal.items()):
            return end, ratio
    raise NotCoveredError("a tap changes more than a ratio")


def _banks(
    network: Network, positions: Ints, devices: tuple[Movable, ...], shunt: Complexes, inner: int
) -> tuple[Bank, ...]:
    """Collect the banks that are decided; the others are added to the shunts, in place."""
    banks, taps = network.banks, len(network.taps.element)
    found: list[Bank] = []
    for bank, node in enumerate(banks.node.tolist()):
        if node < 0:
            continue
        owner = [number for number, device in enumerate(devices) if taps + bank in device.device]
        if not owner:
            at = node if node < network.n_free else node + inner
            shunt[at] += banks.per_step[bank] * positions[taps + bank]
            continue
        if node >= network.n_free:
            raise NotCoveredError("a bank stands at a slack bus")
        device = devices[owner[0]]
        step = int(device.step[device.device.tolist().index(taps + bank)])
        steps = positions[taps + bank] + step * np.arange(device.lowest, device.highest + 1)
        found.append(Bank(node, owner[0], complex(banks.per_step[bank]), steps))
    return tuple(found)
