"""Dead bands of regulators as limits of voltages: where they hold, no tap changer moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.powerflow.regulators import can_move

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.base import BaseState
    from gridclear.powerflow.laid_out import PeriodLimits

#: Limits lie this far inside of the band: their own tolerance, and some more so that rounding moves no tap.
_INSIDE = 1.001 * TOLERANCE


@dataclass(frozen=True, eq=False)
class DeadBands:
    """Effective limits under which the regulators stay where the base state has them.

    Attributes
    ----------
    limits : PeriodLimits
        Those of the base state, tightened at the buses that regulators hold.
    regulator : tuple by topology, (period, constraint) of int
        Regulator that states the limit of a voltage, of 2 · node constraints; -1 for none.
    restless : (period,) of bool
        A regulator would act with nothing activated: it is hunting, or stands at the edge of its band.
    """

    limits: PeriodLimits
    regulator: tuple[Ints, ...]
    restless: NDArray[np.bool_]

    def holder(self, topology: int, period: Ints, constraint: Ints) -> Ints:
        """Regulator that states the limit of each constraint in its period, -1 for none."""
        voltages = self.regulator[topology].shape[1]
        found = self.regulator[topology][period, np.minimum(constraint, voltages - 1)]
        return np.where(constraint < voltages, found, -1)

    def edge(self, topology: int, period: Ints, constraint: Ints) -> Floats:
        """Limits as the dead bands have them, without what they are tightened by for the search."""
        limit = self.limits.numbered(topology)[period, constraint]
        held = self.holder(topology, period, constraint) >= 0
        lower = constraint < self.regulator[topology].shape[1] // 2
        return np.where(held, limit - np.where(lower, _INSIDE, -_INSIDE), limit)


def dead_bands(compiled: CompiledCase, base: BaseState) -> DeadBands:
    """Tighten the effective limits so that no regulator leaves its dead band where it could still move.

    Parameters
    ----------
    compiled : CompiledCase
    base : BaseState

    Returns
    -------
    DeadBands

    Notes
    -----
    A regulator acts on the mean voltage of its group. Each member's bus may use up the distance of the mean
    from the edge of the band: then the mean keeps it, whichever buses move. At the end of its range a
    regulator cannot act, and the voltage may leave the band on that side.
    """
    regulators = compiled.regulators
    vm_min = tuple(limit.copy() for limit in base.limits.vm_min)
    vm_max = tuple(limit.copy() for limit in base.limits.vm_max)
    holder = tuple(np.full((len(low), 2 * low.shape[1]), -1, dtype=np.int64) for low in vm_min)
    restless = np.zeros(len(base.solved), dtype=bool)
    for group in range(int(regulators.group.max(initial=-1)) + 1):
        own = np.flatnonzero(regulators.group == group)
        voltage = base.vm_pu[:, regulators.regulated[own]]
        live = ~np.isnan(voltage)
        mean = np.where(live, voltage, 0.0).sum(axis=1) / np.maximum(live.sum(axis=1), 1)
        for want, bounds in ((1, vm_min), (-1, vm_max)):
            acts = can_move(regulators, own, base.positions, np.full(len(mean), want)) & live.any(axis=1)
            bound = regulators.target[own[0]] - want * (regulators.half_band[own[0]] - _INSIDE)
            restless |= acts & (want * (bound - mean) > TOLERANCE)
            for member, regulator in enumerate(own.tolist()):
                for topology, network in enumerate(compiled.networks):
                    node = int(network.structure.node_of_bus[regulators.regulated[regulator]])
                    rows = np.flatnonzero(acts & live[:, member] & (compiled.topology == topology))
                    limit = bound + voltage[rows, member] - mean[rows]
                    tighter = want * (limit - bounds[topology][rows, node]) > 0.0
                    bounds[topology][rows[tighter], node] = limit[tighter]
                    column = node if want > 0 else node + vm_min[topology].shape[1]
                    holder[topology][rows[tighter], column] = regulator
    return DeadBands(replace(base.limits, vm_min=vm_min, vm_max=vm_max), holder, restless)
