"""Inverters that follow curves, in the scenarios of one topology and setting."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import NEWTON, Columns
from gridclear.powerflow.laid_out import like, limits_of, unsettle, write
from gridclear.powerflow.lanes import Lanes, Stretch, no_changes
from gridclear.powerflow.moves import Controls
from gridclear.powerflow.reacting import react
from gridclear.powerflow.sensitivity import Solved, adjoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Complexes, Floats, Ints, Network
    from gridclear.network.reactions import Reactions
    from gridclear.powerflow.arrays import Factors, LimitArrays, Output


class Followers:
    """Inverters that follow curves, in one topology and setting.

    Parameters
    ----------
    bus : (inverter,) of int
        Place in the bus table.
    network : Network
    limits : NodeLimits
    positions : (device,) of int
    factors : Factors
    threads : int or None

    Attributes
    ----------
    node : (inverter,) of int
        -1 on dead buses.
    """

    def __init__(
        self,
        bus: Ints,
        network: Network,
        limits: NodeLimits,
        positions: Ints,
        factors: Factors,
        threads: int | None,
    ) -> None:
        self.node = network.structure.node_of_bus[bus]
        self._bus, self._network, self._limits = bus, network, limits
        self._positions, self._factors, self._threads = positions, factors, threads

    def column(self, q: Floats) -> Columns:
        """Reactive powers of scenarios, (scenario, inverter) in p.u., in full whatever else is at the bus."""
        return Columns(1, np.ascontiguousarray(q), np.arange(len(q)), self.node, np.ones(len(self.node)))

    def follow(
        self,
        reactions: Reactions,
        p: Floats,
        start: Complexes,
        lanes_of: Callable[[Ints, Floats], Lanes],
        run: Callable[[Lanes, LimitArrays, Output], None],
        limits: LimitArrays,
        out: Output,
    ) -> Floats:
        """Solve scenarios with all inverters on their curves, see ``reacting.react``; fills ``out``.

        Parameters
        ----------
        reactions : Reactions
            With a row per scenario.
        p : (scenario, inverter)
            Active power injected in p.u.
        start : (scenario or 1, node)
            First guess of the voltages.
        lanes_of : callable
            Some of the scenarios, with reactive powers (row, inverter).
        run : callable
            Solves lanes, and looks at limits.
        limits : LimitArrays
        out : Output

        Returns
        -------
        (scenario, inverter)
            Reactive powers in p.u.
        """
        voltage = np.full((len(p), self._network.n_node), np.nan, dtype=np.complex128)

        def solve(rows: Ints, q: Floats) -> Floats:
            found = like(out, self._network, len(rows))
            run(lanes_of(rows, q), limits_of(limits, rows), found)
            write(out, rows, found)
            voltage[rows] = (found.node_r + 1j * found.node_i)[: len(rows), : self._network.n_node]
            voltage[rows[found.code > NEWTON]] = np.nan
            return self.vm(voltage[rows])

        def response(rows: Ints, q: Floats) -> Floats:
            return self.response(lanes_of(rows, q), voltage[rows])

        guess, works = np.broadcast_to(self.vm(start), p.shape), reactions.works & (self.node >= 0)
        q, unsettled = react(
            reactions, works, p, guess, solve, response, self.idle_response, self._network.s_base_mva
        )
        unsettle(out, np.flatnonzero(unsettled))
        return q

    def vm(self, voltage: Complexes) -> Floats:
        """Voltages at the inverters, given those of the nodes, (scenario, node) → (scenario, inverter)."""
        seen: Floats = np.where(self.node >= 0, np.abs(voltage[:, np.maximum(self.node, 0)]), 1.0)
        return seen

    @cached_property
    def idle(self) -> Complexes:
        """Voltages of the nodes without any injection, (1, node)."""
        voltage: Complexes = (self._factors.wr + 1j * self._factors.wi)[None]
        return voltage

    @cached_property
    def idle_response(self) -> Floats:
        """Response of the grid without any injection, (inverter, inverter)."""
        nothing = Columns(0, np.zeros((1, 1)), np.zeros(1, dtype=np.int64), np.full(1, -1), np.ones(1))
        response: Floats = self.response(Lanes(1, (nothing,), no_changes(1)), self.idle)[0]
        return response

    def response(self, lanes: Lanes, voltage: Complexes) -> Floats:
        """Change of the inverters' voltages by their reactive powers, (scenario, inverter of V, of Q).

        Parameters
        ----------
        lanes : Lanes
            Solved scenarios.
        voltage : (scenario, node)
        """
        stretch = Stretch(self._positions, self._factors, 0, lanes.count)
        states = Solved(self._network, (stretch,), lanes, voltage.real.copy(), voltage.imag.copy())
        asked = np.broadcast_to(self.node, (len(voltage), len(self.node)))
        found = adjoint(states, self._limits, Controls.of(q=self._bus), asked, threads=self._threads)
        return np.where(np.isfinite(found.slope), found.slope, 0.0)


class FollowerStore:
    """Followers of a case by topology and setting, made when first asked for.

    Parameters
    ----------
    compiled : CompiledCase
        With inverters on curves, if anything is asked for.
    threads : int or None
    """

    def __init__(self, compiled: CompiledCase, threads: int | None) -> None:
        self._compiled, self._threads = compiled, threads
        self._made: dict[tuple[int, bytes], Followers] = {}

    def at(self, topology: int, stretch: Stretch) -> Followers:
        """Inverters of a topology at the setting of a stretch."""
        key = (topology, stretch.positions.tobytes())
        if key not in self._made:
            reactions = self._compiled.reactions
            if reactions is None:
                raise ValueError("no inverter of this case follows a curve")
            self._made[key] = Followers(
                reactions.bus, self._compiled.networks[topology], self._compiled.limits[topology],
                stretch.positions, stretch.factors, self._threads,
            )  # fmt: skip
        return self._made[key]
