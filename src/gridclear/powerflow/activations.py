"""Changes of injection: one sparse row per scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints


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
        on the voltage also of constant current and of constant impedance.
    value : (change,)
        Change of injection in p.u.; changes of one cell add up.
    """

    period: Ints
    first: Ints
    cell: Ints
    value: Floats

    @classmethod
    def none(cls, period: Ints) -> Activations:
        """Nothing is changed in these periods."""
        return cls(
            period, np.zeros(len(period) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
        )

    @classmethod
    def dense(cls, period: Ints, cell: Ints, value: Floats) -> Activations:
        """Change the same cells in every scenario: value (scenario, cell)."""
        count, width = value.shape
        first = np.arange(count + 1, dtype=np.int64) * width
        return cls(period, first, np.tile(cell, count), np.ascontiguousarray(value).ravel())

    def __len__(self) -> int:
        """Count the scenarios."""
        return len(self.period)

    def part(self, rows: Ints | NDArray[np.bool_], share: Floats | float = 1.0) -> Activations:
        """Pick some of the scenarios, each with a share of its changes."""
        begin = self.first[:-1][rows]
        count = self.first[1:][rows] - begin
        first = np.concatenate([[0], np.cumsum(count)])
        place = np.repeat(begin - first[:-1], count) + np.arange(first[-1])
        factor = np.repeat(np.broadcast_to(share, len(count)), count)
        return Activations(self.period[rows], first, self.cell[place], self.value[place] * factor)

    def on_top_of(self, other: Activations) -> Activations:
        """Both changes of every scenario, those of ``other`` first."""
        own, below = np.diff(self.first), np.diff(other.first)
        first = other.first + self.first
        place = np.empty(first[-1], dtype=np.int64)
        place[_run(first[:-1], below)] = np.arange(other.first[-1])
        place[_run(first[:-1] + below, own)] = other.first[-1] + np.arange(self.first[-1])
        return Activations(
            self.period,
            first,
            np.concatenate([other.cell, self.cell])[place],
            np.concatenate([other.value, self.value])[place],
        )


def _run(begin: Ints, count: Ints) -> Ints:
    """begin[i], begin[i] + 1, … of every i, count[i] numbers each."""
    ahead = np.cumsum(count) - count
    return np.repeat(begin - ahead, count) + np.arange(count.sum())
