"""The bound by courses of the devices: what placings cost is looked at where a cheap course goes through.

Every course costs at least what the tables of ``placings`` say, and these say at least what the programs of
single periods (``pieces``) have shown. The cheapest course is found, its placings are looked at, their tables
rise, and so on, until the cheapest course has been looked at everywhere.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gridclear.optimise.aims import Aim
from gridclear.optimise.closely import Closely, missed, settled
from gridclear.optimise.conditional import Conditional
from gridclear.optimise.labelled import COMMON
from gridclear.optimise.pieces import Piece
from gridclear.optimise.placings import Placings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.relaxation import Cut, Relaxation
    from gridclear.optimise.supports import State, Weights

    Offer = Callable[[Ints], float]
    Where = tuple[int, tuple[int, ...]]  # a period, and places by device

#: Costs that are rounding errors.
_TINY = 1e-10
#: Courses that are looked at, and solutions of one placing that are cut off.
_MOST_COURSES, _MOST_CUTS = 100_000, 6
#: Courses within which the bound has to rise by a part of the cost, or no more is tried.
_PATIENT, _RISE = 25, 1e-3
#: Times in a row that the budgets' prices move before a course is looked at closely.
_MOST_REPRICED = 10
#: A close look that gained no more than so many worths of a cut is the last one, until less is spare.
_LITTLE = 5.0
#: Gains of close looks that are remembered, by period.
_REMEMBERED = 4
#: Courses from one that is offered as a plan to the next.
_OFFERED = 10
#: Part of what was spare below which a placing is looked at as closely again.
_LESS = 0.7
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
    deadline : Deadline
        Looked at between programs.

    Attributes
    ----------
    placings : Placings
    """

    def __init__(self, relaxation: Relaxation, dual: Floats, cutter: Cutter, deadline: Deadline) -> None:
        self.relaxation, self._cutter, self._deadline = relaxation, cutter, deadline
        problem = relaxation.problem
        self.placings = Placings(problem.devices, problem.periods)
        price = np.where(_priced(relaxation), dual[: len(relaxation.coupled)], 0.0)
        cost = np.asarray(relaxation.cost - relaxation.matrix.T @ price)
        cost = np.where(np.abs(cost) > _TINY, cost, 0.0)
        self._constant = _constant(relaxation, price, cost)
        self._pieces = {
            number: Piece(relaxation, number, own, cost, self.placings) for number, own in relaxation.periods
        }
        self._periods = dict(relaxation.periods)
        for number in range(problem.periods):
            if number not in self._pieces:
                self.placings.learn(number, 0.0, [np.zeros(len(steps)) for steps in self.placings.steps])
        #: Placings that were looked at, and those whose solutions were cut off.
        self._seen: set[Where] = set()
        self._known: set[Where] = set()
        #: Those that were looked at closely.
        self._close: dict[Where, Closely] = {}
        #: Courses that were offered as plans, and how many were found since the last one.
        self._offered: set[bytes] = set()
        self._since = 0
        #: EUR that the last close looks at placings of a period gained.
        self._gains: dict[int, deque[float]] = {}
        #: What was spare when a placing was looked at as closely as could be.
        self._whole: dict[Where, float] = {}

    def search(self, cost: float, enough: float, offer: Offer) -> float:
        """Raise the least cost of a course; that is the bound.

        Parameters
        ----------
        cost : float
            The plan's.
        enough : float
            Part of the cost by which the bound may be below it.
        offer : callable
            Takes the steps of a cheap course, (device, period), and gives the cost of the best plan by now.

        Notes
        -----
        What is to be proved is an aim: that no schedule costs less. So rows may suppose one that does, which
        leaves it little to spend in any one period; what they prove ends at the aim.
        """
        best, repriced, supposed = -np.inf, 0, False
        aim, rising = Aim(cost, enough, len(self._pieces)), deque[float](maxlen=_PATIENT)
        # Something is known of all placings then.
        self._look_at([(number, self._place(number)) for number in self._pieces], aim, -np.inf, cuts=0)
        for _ in range(_MOST_COURSES):
            value, places = self.placings.cheapest()
            value += self._constant
            best = max(best, min(value, aim.eur) if supposed else value)
            if aim.met(best) or self._deadline.passed or value == -np.inf:
                break
            course = [(number, tuple(places[number].tolist())) for number in self._pieces]
            new = [one for one in course if one not in self._known]
            if self._worth_offering(places, known=not new):
                aim.take(self._tried(places, offer))
            if new:
                repriced = 0
                unseen = [one for one in new if one not in self._seen]
                if not unseen and self._tired(rising, best, aim.cost):
                    break
                # First without cuts where that was never done: many placings cost too much by then.
                self._look_at(unseen or new, aim, best, cuts=0 if unseen else _MOST_CUTS)
                continue
            repriced += 1
            if repriced < _MOST_REPRICED and self.placings.reprice(places, aim.cost - value):
                continue
            repriced = 0
            close = [one for one in course if _LESS * self._whole.get(one, np.inf) > aim.eur - best]
            if not close or aim.out_of_reach(best, 1):
                if not aim.lower(best):
                    break
                self._whole.clear()
                continue
            supposed = True
            # What one placing shows may lead the course elsewhere.
            self._look_whole(*max(close, key=self._promise), aim.cost, aim.eur - best)
        return best

    def _look_at(self, course: list[Where], aim: Aim, best: float, *, cuts: int) -> None:
        """Look at placings of a course."""
        for number, place in course:
            if self._deadline.passed:
                break
            self._look(number, place, aim.cost, aim.eur - best, cuts=cuts)

    def _worth_offering(self, places: Ints, *, known: bool) -> bool:
        """Whether a course is new as a plan: the first that is known everywhere, then one of so many."""
        self._since += 1
        if self._since <= _OFFERED and (self._offered or not known):
            return False
        new = places.tobytes() not in self._offered
        if new:
            self._offered.add(places.tobytes())
            self._since = 0
        return new

    def _promise(self, where: Where) -> float:
        """EUR that a close look at a placing is to gain: as much as others of its period did on average."""
        gains = self._gains.get(where[0])
        return float(np.mean(gains)) if gains else np.inf

    @staticmethod
    def _tired(rising: deque[float], best: float, cost: float) -> bool:
        """Whether the bound has hardly risen since as many courses were looked at as are remembered."""
        tired = len(rising) == rising.maxlen and best - rising[0] < _RISE * abs(cost)
        rising.append(best)
        return tired

    def _tried(self, places: Ints, offer: Offer) -> float:
        """Offer a course as a plan, if the budgets let it be; the cost of the best plan by now."""
        if any((own > 0.0).any() for own in self.placings.excess(places)):
            return np.inf
        return offer(np.stack([own[places[:, axis]] for axis, own in enumerate(self.placings.steps)]))

    def _place(self, number: int) -> tuple[int, ...]:
        """Where the plan stands."""
        steps = self.relaxation.point.plan.steps[:, number]
        return tuple(
            int(np.flatnonzero(own == step)[0])
            for own, step in zip(self.placings.steps, steps.tolist(), strict=True)
        )

    def _look(self, number: int, place: tuple[int, ...], cost: float, spare: float, *, cuts: int) -> None:
        """Look at a placing, and cut off its solutions as long as that is worth it.

        Planes come first. Where they gain nothing more, so do lines, all of one enclosure, around the state
        of the first solution.
        """
        (self._known if cuts else self._seen).add((number, place))
        piece, last = self._pieces[number], -np.inf
        own, steps, worth = self._periods[number], self._steps(place), self._worth(cost, spare)
        # Where more than what is spare is known of a placing, no course goes through it any more.
        enough = float(self.placings.least[number][place]) + spare
        enough = enough if np.isfinite(enough) else np.inf
        around: Conditional | None = None
        lines = False
        for trial in range(cuts + 1):
            sight = piece.at(place, abs(cost))
            if sight is None:
                break
            self.placings.learn(number, sight.least, sight.tables)
            gained, last = sight.least - last, sight.least
            if last > enough or trial == cuts or self._deadline.passed:
                break
            if trial and gained < worth:
                if lines:
                    break
                lines = True
            found = settled(self.relaxation, number, own, sight.x, steps)
            if found is None:
                break
            control, state = found
            if missed(self.relaxation, number, own, sight.x, sight.worth, state) <= worth:
                break
            if not lines and self._plane(number, sight.x, state, sight.worth):
                continue
            lines = True
            if around is None:
                around = Conditional.around(self.relaxation, number, own, piece.stands(place), state, control)
            found_lines = around.cut_off(sight.x, state, control, around.weighed(state, sight.worth))
            piece.local.add(found_lines)
            if not self._plane(number, sight.x, state, sight.worth) and not found_lines:
                break

    def _worth(self, cost: float, spare: float) -> float:
        """EUR in one period that are worth another cut."""
        return _WORTH * min(max(spare, _RISE * abs(cost)), abs(cost)) / len(self._pieces)

    def _plane(self, number: int, x: Floats, state: State, worth: Weights) -> bool:
        """Cut off a solution by planes at its state; False if nothing does."""
        own = self._periods[number]
        cuts = self._cutter(number, own, state, x, worth, plain=not own.circuit.ratios)
        self._pieces[number].local.add(cuts)
        return bool(cuts)

    def _look_whole(self, number: int, place: tuple[int, ...], cost: float, spare: float) -> None:
        """Look at a placing as closely as can be.

        A schedule cheaper than the aim costs in this period at most what is known of the placing and what is
        spare at all.
        """
        where, worth = (number, place), self._worth(cost, spare)
        before = float(self.placings.least[number][place])
        if where not in self._close:
            piece, steps = self._pieces[number], self._steps(place)
            self._close[where] = Closely(self.relaxation, number, piece, place, steps, before, self._deadline)
        least = self._close[where].look(before + spare, worth)
        self.placings.raise_to(number, place, least)
        self._gains.setdefault(number, deque(maxlen=_REMEMBERED)).append(min(least - before, spare))
        if least - before <= _LITTLE * worth:
            self._whole[where] = spare

    def _steps(self, place: tuple[int, ...]) -> Floats:
        """Where devices stand at places among the steps that are told apart."""
        steps = [own[at] for own, at in zip(self.placings.steps, place, strict=True)]
        return np.array(steps, dtype=np.float64)


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
