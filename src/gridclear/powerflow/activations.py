"""Changes of injection: one sparse row per scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Ground:
    """Changes of the same cells in every scenario.

    Attributes
    ----------
    cell : (cell,) of int
        As in ``Activations``, ascending, each once.
    value : (scenario, cell)
        In p.u.
    """

    cell: Ints
    value: Floats


@dataclass(frozen=True, eq=False)
class Activations:
    """Scenarios as a period each and changes of injection there.

    Attributes
    ----------
    period : (scenario,) of int
    first : (scenario + 1,) of int
        Where the changes of each scenario begin among all.
    cell : (change,) of int
        part · buses + place in the bus table. Parts are P and Q of constant power, and where anything depends
        on the voltage also of constant current and of constant impedance. Cells behind all of these say
        whose active power it is, see ``Reactions.first_cell``.
    value : (change,)
        Change of injection in p.u.; changes of one cell add up.
    ground : Ground or None
        What is changed besides, in cells that all scenarios share.
    """

    period: Ints
    first: Ints
    cell: Ints
    value: Floats
    ground: Ground | None = None

    @classmethod
    def none(cls, period: Ints) -> Activations:
        """Nothing is changed in these periods."""
        return cls(
            period, np.zeros(len(period) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        )

    @classmethod
    def dense(cls, period: Ints, cell: Ints, value: Floats) -> Activations:
        """Change the same cells in every scenario: value (scenario, cell)."""
        return replace(cls.none(period), ground=Ground(cell, value))

    def __len__(self) -> int:
        """Count the scenarios."""
        return len(self.period)

    def part(self, rows: Ints | NDArray[np.bool_], share: Floats | float = 1.0) -> Activations:
        """Pick some of the scenarios, each with a share of its own changes and all of its ground."""
        begin = self.first[:-1][rows]
        count = self.first[1:][rows] - begin
        first = np.concatenate([[0], np.cumsum(count)])
        place = np.repeat(begin - first[:-1], count) + np.arange(first[-1])
        factor = np.repeat(np.broadcast_to(share, len(count)), count)
        ground = None if self.ground is None else Ground(self.ground.cell, self.ground.value[rows])
        return Activations(self.period[rows], first, self.cell[place], self.value[place] * factor, ground)

    def split(self, begin: int, count: int) -> tuple[Activations, Floats]:
        """Take the cells from ``begin`` on out, and add them up: (scenario, count)."""
        taken = np.zeros((len(self), count))
        row = np.repeat(np.arange(len(self)), np.diff(self.first))
        own = self.cell >= begin
        np.add.at(taken, (row[own], self.cell[own] - begin), self.value[own])
        ground = self.ground
        if ground is not None:
            mine = ground.cell >= begin
            taken[:, ground.cell[mine] - begin] += ground.value[:, mine]
            ground = Ground(ground.cell[~mine], np.ascontiguousarray(ground.value[:, ~mine]))
        first = np.concatenate([[0], np.cumsum(np.bincount(row[~own], minlength=len(self)))])
        left = Activations(self.period, first.astype(np.int64), self.cell[~own], self.value[~own], ground)
        return left, taken

    def on(self, cell: Ints, value: Floats) -> Activations:
        """Take the same changes on another ground: cells, and their values (scenario, cell)."""
        return replace(self, ground=Ground(cell, value))
