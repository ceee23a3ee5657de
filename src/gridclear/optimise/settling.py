"""Decisions for aims in a plane, corrected around their own AC states until both agree."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.charts import Chart
from gridclear.optimise.linearise import Point
from gridclear.optimise.model import HELD, build_model
from gridclear.optimise.planes import Planes
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.singles import Single
from gridclear.optimise.states import BENT_PERCENT, KEPT, over_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.charts import Aim, Axes, Sight
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.model import Model
    from gridclear.optimise.states import States
    from gridclear.optimise.weights import Weights

#: Programs around a decision's own state until it is what its program says, and how far shares may go in each
#: of them: where limits bend, programs that may go anywhere find their ends in turns.
_RADIUS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
#: Programs after which what bends is looked at where a decision is.
_BENDS = 2
#: Part of the distance that a limit was broken by which it is held tighter still in the next program but one;
#: the largest such distance, normalised, and the largest with which a decision is taken as it is.
_EASED, _MOST_EASED, _HARDLY = 0.5, 1e-2, 5e-4
#: States of broken limits that all programs learn from.
_MOST_LEARNT = 40
#: Programs in a row that may see no way to keep every limit.
_MOST_BROKEN = 2
#: Parts of the extent by which a state may lie beside what its program said.
BESIDE = 2e-4
#: MW of losses that programs may leave out: states say what they are.
LOSS_MW = 1e-3
#: EUR, as a share of what is paid, by which a program's cost may be off.
_AGREES = 1e-3


@dataclass(frozen=True, eq=False)
class Spot:
    """A decision that an AC state has confirmed.

    Attributes
    ----------
    single : Single
    place : (2,)
        Exchanges in p.u.
    cost : float
        EUR, with all losses.
    price : (2,)
        EUR per MVA farther along each axis; NaN where the least cost was not what was asked for.
    """

    single: Single
    place: Floats
    cost: float
    price: Floats


@dataclass(frozen=True, eq=False)
class Stand(Spot):
    """A spot with its state."""

    point: Point

    @property
    def spot(self) -> Spot:
        """The spot alone."""
        return Spot(self.single, self.place, self.cost, self.price)


@dataclass(eq=False)
class _Course:
    """A decision on its way: what is remembered of its states, for it alone."""

    planes: Planes
    bent: Curvature
    margin: Floats = field(default_factory=lambda: np.zeros(1))
    broken: int = 0


class Settler:
    """Corrects decisions of one period.

    Parameters
    ----------
    states : States
    axes : Axes
    bent : Curvature
        At any of the period's states.
    planes : Planes
        What all programs know; learns from the worst that is seen.
    weights : Weights
    deadline : Deadline

    Attributes
    ----------
    size : float
        Extent of the plane that differences are measured by, in p.u.
    lost : int
        Programs on which the solver lost its way: their decisions stay uncorrected.
    """

    def __init__(
        self,
        states: States,
        axes: Axes,
        bent: Curvature,
        planes: Planes,
        weights: Weights,
        deadline: Deadline,
    ) -> None:
        self._states, self._axes, self._bent = states, axes, bent
        self._planes, self._weights, self._deadline = planes, weights, deadline
        self._base = states.problem.compiled.s_base_mva
        self._learnt = self.lost = 0
        self._models: dict[bytes, Model] = {}
        self.size = 0.0

    def settled(self, aims: Sequence[Aim], sights: dict[int, Sight]) -> dict[int, tuple[Stand | None, Point]]:
        """Correct decisions around their own states until both agree.

        Parameters
        ----------
        aims : sequence of Aim
        sights : mapping of row to Sight
            First decisions for some of the aims.

        Returns
        -------
        mapping of row to (Stand or None, Point)
            The last state of each, too; rows without any are left out.

        Raises
        ------
        TimeOverError
        SolverError
        """
        found: dict[int, tuple[Stand | None, Point]] = {}
        courses = {
            row: _Course(
                Planes(self._states.problem, self._planes, loss_mw=LOSS_MW, bent_percent=BENT_PERCENT),
                self._bent,
            )
            for row in sights
        }
        for number, radius in enumerate(_RADIUS):
            rows = list(sights)
            solved = self._states.of([sights[row].single for row in rows])
            left = {}
            for row, point in zip(rows, solved, strict=True):
                if point is None:
                    continue
                sight, course = sights[row], courses[row]
                hardly = course.margin.max(initial=0.0) <= _HARDLY
                if hardly and self._agree(aims[row], sight, point):
                    found[row] = self._stand(sight, point), point
                    continue
                found[row] = None, point
                course.broken = course.broken + 1 if sight.breaks else 0
                if course.broken <= _MOST_BROKEN:
                    left[row] = point
            if not left:
                break
            if number == _BENDS:
                self._look_at_bends([courses[row] for row in left], [sights[row].single for row in left])
            corrected = {
                row: self._corrected(courses[row], point, radius).held(aims[row], self._deadline)
                for row, point in left.items()
            }
            sights = {row: sight for row, sight in corrected.items() if sight is not None}
            self.lost += len(corrected) - len(sights)
        return found

    def keeps(self, point: Point) -> bool:
        """Whether a state keeps every limit, and what is asked of other connection points."""
        if over_of(point) > KEPT * TOLERANCE:
            return False
        return bool((point.shortfall * self._base <= DELIVERED_MVA).all())

    def _look_at_bends(self, courses: Sequence[_Course], singles: Sequence[Single]) -> None:
        for course, anchor in zip(courses, self._states.anchors(singles), strict=True):
            if anchor is not None:
                course.bent = anchor[1]

    def _corrected(self, course: _Course, point: Point, radius: float) -> Chart:
        """Chart around a state with all that is whole as it has it."""
        course.planes.remember(point)
        if self._learnt < _MOST_LEARNT and over_of(point) > _MOST_EASED:
            self._learnt += 1
            self._planes.remember(point)
        eased, course.margin = _eased(point, course.margin)
        model = self._held(eased) if radius >= 1.0 else build_model(eased, HELD, radius)
        return Chart(eased, course.bent, course.planes, self._weights, model, self._axes)

    def _held(self, point: Point) -> Model:
        """Write the program with all that is whole as a point has it: the same around every such point."""
        single = Single.of(point.plan)
        key = single.key(self._states.problem.offers.asked)
        if key not in self._models:
            self._models[key] = build_model(point, HELD, 1.0)
        return self._models[key].around(point)

    def _agree(self, aim: Aim, sight: Sight, point: Point) -> bool:
        """Whether a state keeps every limit and is what its program expected."""
        if not self.keeps(point):
            return False
        away = place_of(self._axes, point) - sight.place
        if aim.way is not None:
            return bool(np.abs(aim.way @ away) <= BESIDE * self.size)
        near = max(BESIDE * self.size, DELIVERED_MVA / self._base)
        off = abs(point.cost - sight.cost)
        return bool(np.abs(away).max() <= near and off <= _AGREES * (1e-2 + point.turnover))

    def _stand(self, sight: Sight, point: Point) -> Stand:
        return Stand(sight.single, place_of(self._axes, point), point.cost, sight.price, point)


def place_of(axes: Axes, point: Point) -> Floats:
    """Both exchanges of a state, in p.u."""
    local = point.local[0]
    if local is None:
        raise ValueError("a place needs a state")
    return np.array([axis.value(local) for axis in axes])


def _eased(point: Point, margin: Floats) -> tuple[Point, Floats]:
    """Hold limits that a state has broken a little tighter: they bend, and would be broken again."""
    local = point.local[0]
    if local is None:
        raise ValueError("there is nothing to ease without a state")
    own = np.maximum(np.maximum(local.over, 0.0), _EASED * margin)
    if own.max(initial=0.0) > _MOST_EASED:
        own = np.zeros(len(own))
    return Point(point.problem, point.plan, (replace(local, over=local.over + own),)), own
