"""Violations of constraints as linear functions of injections, at solved states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.cells import cell_weights, controls_of, some_states
from gridclear.powerflow.sensitivity import adjoint, forward, quantity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gridclear.jobs.search import Search
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.sensitivity import Linearised, Solved

#: Numbers that one pass of forward sensitivities may hold.
_MOST_NUMBERS = 2**25


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes of violations at some states.

    Attributes
    ----------
    solved : (state,) of bool
    over : (state, constraint) or (state,)
        Violations, normalised as in ``evaluate.worst_limit``; -inf where there is no limit.
    slope : (state, constraint, cell) or (state, cell)
        Their change per unit of injection in each cell.
    """

    solved: NDArray[np.bool_]
    over: Floats
    slope: Floats


def slopes_of_all(
    search: Search, activations: Activations, setting: Ints, cell: Ints
) -> Iterator[tuple[int, Slopes]]:
    """Linearise every constraint at every scenario; (scenario, Slopes of one state) in any order."""
    compiled = search.scenarios.compiled
    for topology, rows, states in search.scenarios.solved(activations, setting):
        network, limits = compiled.networks[topology], compiled.limits[topology]
        numbers = np.arange(2 * network.n_node + network.n_branch + limits.exchange.size)
        quantity = quantity_of(network, limits, numbers)
        moved = _Moved(compiled, topology, cell)
        chunk = max(1, _MOST_NUMBERS // (moved.count * (int(quantity.max()) + 3)))
        for begin in range(0, len(rows), chunk):
            part = some_states(states, slice(begin, begin + chunk))
            found = forward(part, limits, moved.controls)
            own = rows[begin : begin + chunk]
            slope = moved.slopes(part, found.slope.transpose(0, 2, 1), activations.part(own))
            period = activations.period[own][:, None]
            over, factor = search.violations_of(topology, period, numbers, found.value[:, quantity])
            for state, row in enumerate(own.tolist()):
                gain = factor[:, None] * slope[state][quantity]
                yield row, Slopes(found.solved[state : state + 1], over[state : state + 1], gain[None])


def slopes_of_one(
    search: Search, activations: Activations, setting: Ints, cell: Ints, constraint: Ints
) -> Slopes:
    """Linearise one constraint at every scenario."""
    compiled = search.scenarios.compiled
    count = len(activations)
    result = Slopes(np.zeros(count, dtype=bool), np.full(count, np.nan), np.full((count, len(cell)), np.nan))
    for topology, rows, states in search.scenarios.solved(activations, setting):
        limits, moved = compiled.limits[topology], _Moved(compiled, topology, cell)
        asked = np.hstack([constraint[rows][:, None], np.tile(moved.node, (len(rows), 1))])
        found: Linearised = adjoint(states, limits, moved.controls, asked)
        slope = moved.slopes(states, found.slope, activations.part(rows), np.arange(1, asked.shape[1]))
        result.solved[rows] = found.solved
        asked_in = (activations.period[rows], constraint[rows])
        result.over[rows], factor = search.violations_of(topology, *asked_in, found.value[:, 0])
        result.slope[rows] = factor[:, None] * slope[:, 0]
    return result


class _Moved:
    """What moves with cells: the injections that they are, and what inverters on their curves do then.

    Parameters
    ----------
    compiled : CompiledCase
    topology : int
    cell : (cell,) of int

    Attributes
    ----------
    controls : Controls
        Of the cells that inject, then of the reactive power of every inverter.
    node : (inverter,) of int
        Where the inverters are, -1 on dead buses: as constraints these numbers ask for the voltages there.
    """

    def __init__(self, compiled: CompiledCase, topology: int, cell: Ints) -> None:
        network, self._reactions = compiled.networks[topology], compiled.reactions
        self._cell, self._buses = cell, network.structure.node_of_bus
        self.node, q = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self._injects = np.ones(len(cell), dtype=bool)
        if self._reactions is not None:
            self._injects = cell < self._reactions.first_cell
            self.node, q = self._buses[self._reactions.bus], network.n_bus + self._reactions.bus
        self.controls = controls_of(np.concatenate([cell[self._injects], q]), network.n_bus)

    @property
    def count(self) -> int:
        """Number of controls."""
        return len(self.controls.kind)

    def slopes(
        self, states: Solved, slope: Floats, activations: Activations, voltages: Ints | None = None
    ) -> Floats:
        """Change of quantities by the cells, with what the inverters then do.

        Parameters
        ----------
        states : Solved
        slope : (state, quantity, control)
            With the reactive power of every inverter given.
        activations : Activations
            Of the states.
        voltages : (inverter,) of int, optional
            Quantities that are the inverters' voltages; by default those with the numbers of the nodes.

        Returns
        -------
        (state, quantity, cell)

        Notes
        -----
        Where Q = f(V, P), dQ = (1 - f_V·dV/dQ)⁻¹ (f_V·dV/dcell + f_P·dP/dcell).
        """
        reactions, vm = self._reactions, np.hypot(states.vr, states.vi)
        if reactions is None:
            return slope * cell_weights(self._cell, self._buses, vm)[:, None, :]
        direct = np.flatnonzero(self._injects)
        found = np.zeros((*slope.shape[:2], len(self._cell)))
        weight = cell_weights(self._cell[direct], self._buses, vm)
        found[:, :, direct] = slope[:, :, : len(direct)] * weight[:, None, :]
        dead = self.node < 0
        where = np.where(dead, 0, self.node) if voltages is None else voltages
        by_q = slope[:, :, len(direct) :]
        _, more = activations.split(reactions.first_cell, len(reactions))
        works = reactions.works[activations.period] & ~dead
        p = reactions.p[activations.period] + more
        answer = reactions.reactive(works, p, np.where(dead, 1.0, vm[:, np.maximum(self.node, 0)]))
        own = np.where(dead[:, None], 0.0, by_q[:, where])
        jacobian = np.eye(len(reactions)) - answer.by_vm[:, :, None] * own
        push = answer.by_vm[:, :, None] * np.where(dead[:, None], 0.0, found[:, where])
        inverter = self._cell[~self._injects] - reactions.first_cell
        push[:, inverter, np.flatnonzero(~self._injects)] += answer.by_p[:, inverter]
        good = np.isfinite(jacobian).all(axis=(1, 2)) & np.isfinite(push).all(axis=(1, 2))
        found[~good] = np.nan
        moved = np.linalg.solve(jacobian[good], push[good])
        found[good] += by_q[good] @ moved
        return found
