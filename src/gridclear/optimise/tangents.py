"""Planes that bound what follows from the controls: losses, and distances beyond limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Local, Point

#: Limits stand in the program in per cent, so that the solver's absolute tolerance is far below ours.
PERCENT = 100.0
#: What a tangent bounds besides uncured limits, which go by the constraint's number.
LOSS, BROKEN = -2, -1


@dataclass(frozen=True, eq=False)
class Tangents:
    """Planes ``target >= level + slope · controls`` of one target in a period.

    Attributes
    ----------
    period : int
    target : int
        ``LOSS`` in MW; ``BROKEN``: largest distance beyond an effective limit in per cent; or a constraint
        that the base state breaks: its distance beyond the true limit in per cent.
    constraint : (plane,) of int
        Where each comes from, -1 for losses.
    level : (plane,)
    slope : (plane, control)
    """

    period: int
    target: int
    constraint: Ints
    level: Floats
    slope: Floats

    @classmethod
    def through(
        cls, period: int, target: int, constraint: Ints, value: Floats, slope: Floats, at: Floats
    ) -> Tangents:
        """Touch values at values of the controls."""
        return cls(period, target, constraint, value - slope @ at, slope)

    def part(self, chosen: NDArray[np.bool_]) -> Tangents:
        """Take some of the planes."""
        return replace(
            self, constraint=self.constraint[chosen], level=self.level[chosen], slope=self.slope[chosen]
        )

    def __len__(self) -> int:
        """Count the planes."""
        return len(self.level)


def loss_tangents(point: Point) -> list[Tangents]:
    """Planes that touch the losses at a point."""
    return [
        loss_plane(point, local, period, 0.0, local.loss_slope, local.at)
        for period, local in enumerate(point.local)
        if local is not None
    ]


def loss_plane(point: Point, local: Local, period: int, rise: float, slope: Floats, at: Floats) -> Tangents:
    """Plane of losses that have risen since a point, with the slope that they have there."""
    base, source = point.problem.compiled.s_base_mva, np.full(1, -1, dtype=np.int64)
    value = np.array([base * (local.loss + rise)])
    return Tangents.through(period, LOSS, source, value, base * slope[None], at)


def limit_tangents(local: Local, period: int, constraints: Ints) -> list[Tangents]:
    """Planes of limits at a point: the effective one, and the true one where the base state breaks it."""
    return limit_planes(
        local, period, constraints, np.zeros(len(constraints)), local.slope[:, constraints].T, local.at
    )


def limit_planes(
    local: Local, period: int, constraints: Ints, rise: Floats, slope: Floats, at: Floats
) -> list[Tangents]:
    """Planes of limits whose distances, (limit,), have risen since a point, with their slopes there."""
    if not len(constraints):
        return []
    slope = PERCENT * slope
    value = PERCENT * (local.over[constraints] + rise)
    found = [Tangents.through(period, BROKEN, constraints, value, slope, at)]
    for place in np.flatnonzero(np.isin(constraints, local.sick)).tolist() if len(local.sick) else []:
        one, number = slice(place, place + 1), int(constraints[place])
        value = PERCENT * (local.beyond[constraints[one]] + rise[one])
        found.append(Tangents.through(period, number, constraints[one], value, slope[one], at))
    return found
