"""Planes that programs are given: what states have shown, and what an answer lies below."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.tangents import (
    BROKEN,
    LOSS,
    PERCENT,
    Tangents,
    limit_planes,
    limit_tangents,
    loss_plane,
    loss_tangents,
)
from gridclear.powerflow.completing import Missed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Local, Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.problem import Problem

#: Limits of a period that are added at once, and the distance in per cent that counts.
_WORST, _NOTHING = 3, 1e-7
#: MW of losses that planes may miss, unless said otherwise.
_LOSS_MW = 1e-5
#: Per cent by which a plane of a limit that bends may be missed, unless said otherwise.
_BENT = 1e-4


class Planes:
    """The limits that are watched, and the planes that are remembered, of one problem.

    Parameters
    ----------
    problem : Problem
    before : Planes, optional
        Of the same clearing with other aims: what was watched there will be near again.
    loss_mw : float
        Losses that an answer may lie below the planes.
    bent_percent : float
        By which an answer may miss a plane of a limit that bends.

    Attributes
    ----------
    missed : completing.Missed
        What counts as missing.
    """

    def __init__(
        self,
        problem: Problem,
        before: Planes | None = None,
        *,
        loss_mw: float = _LOSS_MW,
        bent_percent: float = _BENT,
    ) -> None:
        self._problem = problem
        self.missed = Missed(_WORST, _NOTHING, bent_percent, loss_mw)
        self._memory: list[Tangents] = []
        limits = [problem.limits[topology].shape[1] for topology in problem.compiled.topology.tolist()]
        self._watched = [
            np.zeros(count, dtype=bool) if before is None else before.mask(period).copy()
            for period, count in enumerate(limits)
        ]

    def lanes(self, problem: Problem, periods: Ints) -> Planes:
        """Watch the same limits in a problem whose periods are some of these, each as often as wanted."""
        part = Planes(problem)
        part._watched = [self._watched[period].copy() for period in periods.tolist()]
        return part

    def mask(self, period: int) -> NDArray[np.bool_]:
        """Which limits of a period are watched, (constraint,); kernels mark more of them."""
        return self._watched[period]

    def watched(self, period: int) -> Ints:
        """Find the limits of a period that are watched, those that are to be cured among them."""
        return np.flatnonzero(self._watched[period])

    def remember(self, point: Point) -> None:
        """Keep what is convex: losses, and loadings that are near their limits; watch what is to be cured."""
        self._memory += loss_tangents(point)
        compiled = self._problem.compiled
        for period, local in enumerate(point.local):
            if local is not None:
                self._watched[period][local.sick] = True
                network = compiled.networks[compiled.topology[period]]
                branch = 2 * network.n_node + np.arange(network.n_branch)
                near = branch[np.maximum(local.over, local.beyond)[branch] > 0.0]
                self._memory += limit_tangents(local, period, near)

    def at(self, point: Point) -> list[Tangents]:
        """Planes of a program around a point: those that touch it, and the remembered ones."""
        return self.touching(point) + self._sound(point)

    def touching(self, point: Point) -> list[Tangents]:
        """Planes that touch a point: its losses, and the limits that are watched."""
        found = loss_tangents(point)
        for period, local in enumerate(point.local):
            if local is not None:
                found += limit_tangents(local, period, self.watched(period))
        return found

    def _sound(self, point: Point) -> list[Tangents]:
        """Lower the remembered planes that lie above a point's own values."""
        base, found = self._problem.compiled.s_base_mva, []
        for tangent in self._memory:
            local = point.local[tangent.period]
            if local is None:
                continue
            if tangent.target == LOSS:
                own = np.array([base * local.loss])
            else:
                over = local.over if tangent.target == BROKEN else local.beyond
                own = PERCENT * over[tangent.constraint]
            above = np.maximum(tangent.level + tangent.slope @ local.at - own, 0.0)
            found.append(replace(tangent, level=tangent.level - above) if above.any() else tangent)
        return found

    def missing(
        self, point: Point, curvature: tuple[Curvature | None, ...], model: Model, x: Floats
    ) -> list[Tangents]:
        """Find the limits that an answer breaks by the point's slopes, and planes that it lies below."""
        found: list[Tangents] = []
        base = self._problem.compiled.s_base_mva
        for period, (local, second) in enumerate(zip(point.local, curvature, strict=True)):
            if local is None or second is None:
                continue
            change = model.values(x, period) - local.at
            over = PERCENT * (local.over + change @ local.slope) - x[model.columns.broken[period]]
            over[self._watched[period]] = -np.inf
            worst = np.flatnonzero(over > _NOTHING)
            if len(worst):
                worst = worst[np.argsort(-over[worst])[:_WORST]]
                self._watched[period][worst] = True
                found += limit_tangents(local, period, worst)
            near = _near_bent(local, second, change, float(x[model.columns.broken[period]]))
            planes = _bent_limits(local, period, second, near, change)
            for own, rows in zip(planes, model.rows(planes), strict=True):
                beyond = rows.value @ x[rows.column] - rows.upper > self.missed.bent
                if beyond.any():
                    found.append(own.part(beyond))
            bent = second.loss @ change
            rise = float(change @ local.loss_slope + 0.5 * change @ bent)
            lost = base * (local.loss + rise)
            if self._problem.loss_price > 0.0 and lost > x[model.columns.loss[period]] + self.missed.loss:
                slope = local.loss_slope + bent
                found.append(loss_plane(point, local, period, rise, slope, local.at + change))
        return found


def _near_bent(local: Local, second: Curvature, change: Floats, broken: float) -> Ints:
    """Find which limits that bend an answer may break, all of them at once: most are far away."""
    rise = local.slope[:, second.limit].T @ change + 0.5 * (second.limits @ change) @ change
    near = PERCENT * (local.over[second.limit] + rise) > broken
    if len(local.sick):
        near |= np.isin(second.limit, local.sick)
    return np.flatnonzero(near)


def _bent_limits(local: Local, period: int, second: Curvature, near: Ints, change: Floats) -> list[Tangents]:
    """Planes of limits that bend where a change of the controls leads."""
    constraints, bent = second.limit[near], second.limits[near] @ change
    slope = local.slope[:, constraints].T + bent
    return limit_planes(local, period, constraints, (slope - 0.5 * bent) @ change, slope, local.at + change)
