"""AC states of decisions of one period, many at once, and what bends there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.curvature import curvatures
from gridclear.optimise.linearise import Cells, Point, assess
from gridclear.optimise.problem import Requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Ints
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Local
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.singles import Single, Singles

#: Part of the tolerance of limits that states may use, so that solving them anew finds them kept; and per
#: cent by which programs may miss limits that bend, which is less.
KEPT, BENT_PERCENT = 0.3, 1e-5
#: Limits whose curvature is looked at, and the distance to a limit, normalised, within which it may matter.
_MOST_CURVED, _NEAR = 12, 0.05


class States:
    """Solves decisions of one period.

    Parameters
    ----------
    singles : Singles
    period : int
    requests : Requests
        Of one lane.

    Attributes
    ----------
    problem : Problem
        Of one lane.
    """

    def __init__(self, singles: Singles, period: int, requests: Requests) -> None:
        self._singles, self._period, self._requests = singles, period, requests
        self._stated: dict[int, tuple[Problem, Cells]] = {}
        self.problem, _ = self._lanes(1)

    def of(self, singles: Sequence[Single]) -> list[Point | None]:
        """Solve decisions; points of one lane each, None without a state."""
        return self._apart(singles, self._solved(singles)) if singles else []

    def anchors(self, singles: Sequence[Single]) -> list[tuple[Point, Curvature] | None]:
        """Solve decisions, with what bends there."""
        if not singles:
            return []
        every = self._solved(singles)
        limits = [np.zeros(0, dtype=np.int64) if local is None else _near(local) for local in every.local]
        bent = (
            curvatures(every, limits, self._lanes(len(singles))[1])
            if every.solved.any()
            else (None,) * len(singles)
        )
        return [
            None if point is None or curvature is None else (point, curvature)
            for point, curvature in zip(self._apart(singles, every), bent, strict=True)
        ]

    def _lanes(self, count: int) -> tuple[Problem, Cells]:
        """State the period so many times over; what was stated before is kept, with its working memory."""
        if count in self._stated:
            return self._stated[count]
        own = self._requests
        requests = Requests(
            np.tile(own.point, count),
            np.repeat(np.arange(count), len(own.q)),
            np.tile(own.q, count),
            np.tile(own.tolerance, count),
        )
        problem = self._singles.lanes(np.full(count, self._period), requests)
        self._stated[count] = problem, Cells(problem, np.arange(count), alike=True)
        return self._stated[count]

    def _solved(self, singles: Sequence[Single]) -> Point:
        problem, cells = self._lanes(len(singles))
        return assess(problem, self._singles.plan(problem, singles), cells)

    def _apart(self, singles: Sequence[Single], every: Point) -> list[Point | None]:
        """Take the lanes of a point apart."""
        found: list[Point | None] = []
        nothing = self.problem.nothing()
        for single, local in zip(singles, every.local, strict=True):
            plan = replace(nothing, share=single.share, steps=single.steps[:, None])
            own = None if local is None else replace(local, offers=np.arange(len(local.offers)))
            found.append(None if own is None else Point(self.problem, plan, (own,)))
        return found


def over_of(point: Point) -> float:
    """Largest distance beyond a limit, normalised."""
    local = point.local[0]
    return np.inf if local is None else float(local.over.max(initial=-np.inf))


def _near(local: Local) -> Ints:
    """Limits that may come to bind."""
    near = np.argsort(-local.over)[:_MOST_CURVED]
    return near[local.over[near] > -_NEAR]
