"""Violations of constraints as linear functions of injections, at solved states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import sides
from gridclear.powerflow.cells import cell_weights, controls_of, some_states
from gridclear.powerflow.sensitivity import adjoint, forward, quantity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.sensitivity import Linearised

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
        sign, unit = sides(network, limits, numbers)
        bound = search.base.limits.numbered(topology)
        chunk = max(1, _MOST_NUMBERS // (len(cell) * (int(quantity.max()) + 3)))
        for begin in range(0, len(rows), chunk):
            part = some_states(states, slice(begin, begin + chunk))
            found = forward(part, limits, controls_of(cell, network.n_bus))
            vm = np.hypot(part.vr, part.vi)
            for state, row in enumerate(rows[begin : begin + chunk].tolist()):
                factor = sign / unit
                period = activations.period[row]
                over = factor * (found.value[state, quantity] - bound[period])
                weight = cell_weights(cell, network.structure.node_of_bus, vm[state])
                slope = factor[:, None] * (found.slope[state].T[quantity] * weight)
                yield row, Slopes(found.solved[state : state + 1], over[None], slope[None])


def slopes_of_one(
    search: Search, activations: Activations, setting: Ints, cell: Ints, constraint: Ints
) -> Slopes:
    """Linearise one constraint at every scenario."""
    compiled = search.scenarios.compiled
    count = len(activations)
    result = Slopes(np.zeros(count, dtype=bool), np.full(count, np.nan), np.full((count, len(cell)), np.nan))
    for topology, rows, states in search.scenarios.solved(activations, setting):
        network, limits = compiled.networks[topology], compiled.limits[topology]
        found: Linearised = adjoint(
            states, limits, controls_of(cell, network.n_bus), constraint[rows][:, None]
        )
        sign, unit = sides(network, limits, constraint[rows])
        bound = search.base.limits.numbered(topology)[activations.period[rows], constraint[rows]]
        vm = np.hypot(states.vr, states.vi)
        result.solved[rows] = found.solved
        result.over[rows] = sign / unit * (found.value[:, 0] - bound)
        weight = cell_weights(cell, network.structure.node_of_bus, vm)
        result.slope[rows] = (sign / unit)[:, None] * found.slope[:, 0] * weight
    return result
