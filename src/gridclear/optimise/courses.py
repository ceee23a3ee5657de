"""The bound by courses of the devices: what placings cost is looked at where a cheap course goes through.

Every course costs at least what the tables of ``placings`` say, and these say at least what the programs of
single periods (``pieces``) have shown. The cheapest course is found, its placings are looked at, their tables
rise, and so on, until the cheapest course has been looked at everywhere.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gridclear.optimise.conditional import Conditional
from gridclear.optimise.enclosures import Enclosure
from gridclear.optimise.labelled import COMMON
from gridclear.optimise.lifted import largest
from gridclear.optimise.pieces import Piece
from gridclear.optimise.placings import Placings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.highs import Plane
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.relaxation import Cut, Relaxation
    from gridclear.optimise.supports import State, Weights

    Offer = Callable[[Ints], float]

#: Costs that are rounding errors.
_TINY = 1e-10
#: Room for the solver's tolerances, as a part of the turnover.
_SLACK = 1e-5
#: Courses that are looked at, and solutions of one placing that are cut off.
_MOST_COURSES, _MOST_CUTS = 400, 6
#: Courses within which the bound has to rise by a part of the cost, or no more is tried.
_PATIENT, _RISE = 25, 1e-3
#: Courses from one that is offered as a plan to the next.
_OFFERED = 10
#: Times that the controls' ranges are narrowed, and part of their width below which they count as narrower.
_MOST_NARROWED, _NARROWER = 5, 0.9
#: Excess of a row, in its own scale, that counts.
_MISSED = 1e-7
#: Part of what a period may still rise by that is worth another cut.
_WORTH = 0.02


class Cutter(Protocol):
    """Finds cuts that a solution breaks."""

    def __call__(
        self, number: int, own: Period, state: State, x: Floats, weights: Weights | None, *, plain: bool
    ) -> list[Cut]:
        """Cut off what a solution has in a period, by its state and the weights of its optimum."""


class Courses:
    """What courses of the devices cost at least.

    Parameters
    ----------
    relaxation : Relaxation
    dual : (row,)
        Prices of the rows between periods: any are sound.
    cutter : Cutter

    Attributes
    ----------
    placings : Placings
    """

    def __init__(self, relaxation: Relaxation, dual: Floats, cutter: Cutter) -> None:
        self.relaxation, self._cutter = relaxation, cutter
        problem = relaxation.problem
        self.placings = Placings(problem.devices, problem.periods)
        price = np.where(_priced(relaxation), dual[: len(relaxation.coupled)], 0.0)
        cost = np.asarray(relaxation.cost - relaxation.matrix.T @ price)
        cost = np.where(np.abs(cost) > _TINY, cost, 0.0)
        self._constant = _constant(relaxation, price, cost)
        self._pieces = {
            number: Piece(relaxation, number, cost, self.placings) for number, _ in relaxation.periods
        }
        self._periods = dict(relaxation.periods)
        for number in range(problem.periods):
            if number not in self._pieces:
                self.placings.learn(number, 0.0, [np.zeros(len(steps)) for steps in self.placings.steps])
        self._known: set[tuple[int, tuple[int, ...]]] = set()
        self._whole: set[tuple[int, tuple[int, ...]]] = set()

    def search(self, cost: float, enough: float, offer: Offer, deadline: Deadline) -> float:
        """Raise the least cost of a course; that is the bound.

        Parameters
        ----------
        cost : float
            The plan's.
        enough : float
            Part of the cost by which the bound may be below it.
        offer : callable
            Takes the steps of a cheap course, (device, period), and gives the cost of the best plan by now.
        deadline : Deadline
        """
        best, offered, rising = -np.inf, set[bytes](), deque[float](maxlen=_PATIENT)
        for number in self._pieces:
            # Without cuts: something is known of all placings, and this one is looked at when its turn comes.
            self._look(number, self._place(number), cost, np.inf, cuts=0)
        for trial in range(_MOST_COURSES):
            value, places = self.placings.cheapest()
            value += self._constant
            best = max(best, value)
            if best >= cost - enough * abs(cost) or deadline.passed or value == -np.inf:
                break
            if len(rising) == _PATIENT and best - rising[0] < _RISE * abs(cost):
                break
            rising.append(best)
            course = [(number, tuple(places[number].tolist())) for number in self._pieces]
            new = [one for one in course if one not in self._known]
            within = all((own <= 0.0).all() for own in self.placings.excess(places))
            if within and (not new or trial % _OFFERED == 0) and places.tobytes() not in offered:
                offered.add(places.tobytes())
                steps = [own[places[:, axis]] for axis, own in enumerate(self.placings.steps)]
                cost = min(cost, offer(np.stack(steps)))
            for number, place in new:
                if deadline.passed:
                    break
                self._look(number, place, cost, cost - best, cuts=_MOST_CUTS)
            if new or self.placings.reprice(places, cost - value):
                continue
            new = [one for one in course if one not in self._whole]
            for number, place in new:
                if deadline.passed:
                    break
                self._look_whole(number, place, cost, cost - best)
            if not new:
                break
        return best

    def _place(self, number: int) -> tuple[int, ...]:
        """Where the plan stands."""
        steps = self.relaxation.point.plan.steps[:, number]
        return tuple(
            int(np.flatnonzero(own == step)[0])
            for own, step in zip(self.placings.steps, steps.tolist(), strict=True)
        )

    def _look(self, number: int, place: tuple[int, ...], cost: float, spare: float, *, cuts: int) -> None:
        """Look at a placing, and cut off its solutions as long as that is worth it."""
        piece, before = self._pieces[number], float(self.placings.least[number][place])
        last = -np.inf
        for trial in range(cuts + 1):
            sight = piece.at(place, abs(cost))
            if sight is None:
                break
            self.placings.learn(number, sight.least, sight.tables)
            if sight.least - before > spare or trial == cuts:
                break
            if trial and sight.least - last < _WORTH * min(spare, abs(cost)) / len(self._pieces):
                break
            last = sight.least
            if not self._cut(number, place, sight.x, piece.weighed(sight.dual)):
                break
        if cuts:
            self._known.add((number, place))

    def _cut(
        self,
        number: int,
        place: tuple[int, ...],
        x: Floats,
        weights: Weights | None,
        reach: tuple[Floats, Floats] | None = None,
    ) -> bool:
        """Cut off a solution of a placing, by its state there; False if nothing does."""
        piece, own, relaxation = self._pieces[number], self._periods[number], self.relaxation
        most = largest(relaxation.problem, number)
        low, high = (np.zeros(len(most)), most) if reach is None else reach
        control = np.clip(x[own.control], low, high)
        steps = np.array(
            [steps[at] for steps, at in zip(self.placings.steps, place, strict=True)], dtype=np.float64
        )
        state = relaxation.stood(own, control, steps)
        if state is None:
            return False
        planes: list[Plane] = []
        ranges = relaxation.ranges_of(number, own)
        enclosure = Enclosure(relaxation.problem, number, own, state, control, ranges, reach)
        cuts = self._cutter(number, own, state, x, weights, plain=enclosure.known)
        if enclosure.known:
            lowest = np.array([device.lowest for device in relaxation.problem.devices], dtype=np.int64)
            at = steps.astype(np.int64) - lowest
            around = Conditional(relaxation, number, own, enclosure, at, most)
            planes = [plane for plane in around.planes(state) if plane.excess(x) > _MISSED]
        piece.add(cuts)
        piece.add_planes(planes)
        return bool(cuts or planes)

    def _look_whole(self, number: int, place: tuple[int, ...], cost: float, spare: float) -> None:
        """Look at a placing as closely as can be: by narrow ranges, and with all that is whole as such."""
        piece = self._pieces[number]
        worth = _WORTH * min(spare, abs(cost)) / len(self._pieces)
        before = float(self.placings.least[number][place])
        if not self._narrowed(number, place, cost, spare):
            self.placings.raise_to(number, place, np.inf)
            return
        last = -np.inf
        for _ in range(_MOST_CUTS):
            bound, x = piece.whole_at(place, worth)
            self.placings.raise_to(number, place, bound)
            if not len(x) or bound - last <= worth or not self._cut(number, place, x, None):
                break
            last = bound
        if self.placings.least[number][place] - before <= worth:
            self._whole.add((number, place))

    def _narrowed(self, number: int, place: tuple[int, ...], cost: float, spare: float) -> bool:
        """Cut off solutions by lines that hold where a schedule is no dearer than the plan; False: none is.

        Such a schedule costs in this period at most what is known of the placing and what is spare at all.
        """
        piece, own = self._pieces[number], self._periods[number]
        full = largest(self.relaxation.problem, number)
        width = full.sum()
        for _ in range(_MOST_NARROWED):
            most = float(self.placings.least[number][place]) + spare + _SLACK * self.relaxation.point.turnover
            reach = piece.ranges(place, own.control, most)
            if reach is None:
                return False
            low, high = np.clip(reach[0], 0.0, full), np.clip(reach[1], 0.0, full)
            sight = piece.at(place, abs(cost))
            if sight is None:
                return True
            self.placings.learn(number, sight.least, sight.tables)
            narrower = float((high - low).sum())
            self._cut(number, place, sight.x, piece.weighed(sight.dual), (low, np.maximum(low, high)))
            if narrower > _NARROWER * width:
                break
            width = narrower
        return True


def _priced(relaxation: Relaxation) -> NDArray[np.bool_]:
    """Rows between periods that are priced: all but those of the devices' moves."""
    pattern = relaxation.matrix.copy()
    pattern.data = np.ones(len(pattern.data))
    step = np.zeros(pattern.shape[1])
    for columns in relaxation.lifted.step:
        step[columns.ravel()] = 1.0
    moving = relaxation.coupled & (pattern @ step > 0.0)
    moves = (pattern[moving].sum(axis=0) > 0.0) & (relaxation.labels == COMMON)
    found: NDArray[np.bool_] = relaxation.coupled & ~moving & ~(pattern @ moves.astype(np.float64) > 0.0)
    return found


def _constant(relaxation: Relaxation, price: Floats, cost: Floats) -> float:
    """Bound what the priced rows, and columns of no period but those of moves, cost."""
    program = relaxation.lifted.program
    up, down = price > 0.0, price < 0.0
    found = float(price[up] @ program.row_lower[up] + price[down] @ program.row_upper[down])
    pattern = relaxation.matrix.copy()
    pattern.data = np.ones(len(pattern.data))
    mine = (relaxation.labels == COMMON) & (pattern.T @ _priced(relaxation).astype(np.float64) > 0.0)
    lower, upper = program.lower[mine], program.upper[mine]
    own = cost[mine]
    least = np.where(own > 0.0, own * lower, 0.0)
    return found + float((least + np.where(own < 0.0, own * np.where(own < 0.0, upper, 0.0), 0.0)).sum())
