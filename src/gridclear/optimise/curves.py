"""Cost curves of a map: marks, settings with their samples, and what is published of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.sheet import Drawn, Sheet
    from gridclear.optimise.singles import Single


@dataclass(frozen=True, eq=False)
class Mark:
    """A decision that an AC state has confirmed.

    Attributes
    ----------
    single : Single
    q : float
        Exchange at the connection point in p.u.
    cost : float
        EUR, with all losses.
    price : float
        EUR per Mvar.
    """

    single: Single
    q: float
    cost: float
    price: float


@dataclass(frozen=True, eq=False)
class Sample(Mark):
    """A mark with its state.

    Attributes
    ----------
    point : Point
        Of one lane.
    """

    point: Point

    @property
    def mark(self) -> Mark:
        """The mark alone."""
        return Mark(self.single, self.q, self.cost, self.price)


def sample_of(drawn: Drawn, price: float, point: Point) -> Sample:
    """Take a decision with the state that it has been found to have."""
    local, place = point.local[0], int(point.problem.requests.point[0])
    if local is None:
        raise ValueError("a sample needs a state")
    return Sample(drawn.single, float(local.exchange[place]), point.cost, price, point)


@dataclass(eq=False)
class Branch:
    """One setting of all that is whole: its samples, ascending, and programs around some of them."""

    sheets: list[Sheet]
    bent: Curvature
    samples: list[Sample] = field(default_factory=list)
    _line: tuple[Floats, Floats] | None = None

    def line(self) -> tuple[Floats, Floats]:
        """Exchanges and costs of the samples."""
        if self._line is None:
            q = np.array([sample.q for sample in self.samples])
            self._line = q, np.array([sample.cost for sample in self.samples])
        return self._line

    def add(self, sample: Sample, apart: float) -> None:
        """Add a sample, unless there is one as near as makes no difference."""
        if all(abs(other.q - sample.q) > apart for other in self.samples):
            self._line = None
            self.samples.append(sample)
            self.samples.sort(key=lambda sample: sample.q)

    def reaches(self, q: float) -> bool:
        """Whether an exchange is between the ends of what is known."""
        return bool(self.samples) and self.samples[0].q < q < self.samples[-1].q

    def nearest(self, q: float) -> Sheet:
        """Sheet that lies nearest to an exchange."""
        return min(self.sheets, key=lambda sheet: abs(sheet.exchange - q))


@dataclass(frozen=True, eq=False)
class Trace:
    """A map.

    Attributes
    ----------
    runs : tuple of tuple of Mark
        Ascending; between neighbours of one run every exchange can be had at the cost of the line between.
    gaps : tuple of (low, high)
        In p.u.: open ranges that no whole steps reach.
    complete : bool
        False where settings were left aside, or a program's answers could not be confirmed.
    lost : int
        Programs on which the solver lost its way; a map with any is not complete.
    """

    runs: tuple[tuple[Mark, ...], ...]
    gaps: tuple[tuple[float, float], ...]
    complete: bool
    lost: int

    @property
    def empty(self) -> bool:
        """Nothing can be had."""
        return not self.runs
