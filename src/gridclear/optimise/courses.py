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
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.pieces import Sight
    from gridclear.optimise.relaxation import Cut, Relaxation
    from gridclear.optimise.supports import State, Weights

    Offer = Callable[[Ints], float]
    Where = tuple[int, tuple[int, ...]]  # a period, and places by device

#: Costs that are rounding errors.
_TINY = 1e-10
#: Room for the solver's tolerances, as a part of the turnover.
_SLACK = 1e-5
#: Courses that are looked at, and solutions of one placing that are cut off.
_MOST_COURSES, _MOST_CUTS = 10_000, 6
#: Courses within which the bound has to rise by a part of the cost, or no more is tried.
_PATIENT, _RISE = 25, 1e-3
#: Times in a row that the budgets' prices move before a course is looked at closely.
_MOST_REPRICED = 10
#: Courses from one that is offered as a plan to the next.
_OFFERED = 10
#: Enclosures of one placing, each around what the lines of the one before have left.
_MOST_NARROWED = 5
#: Excess of a row, in its own scale, that counts.
_MISSED = 1e-7
#: Part of what was spare below which a placing is looked at as closely again.
_LESS = 0.7
#: Part of what a period may still rise by that is worth another cut.
_WORTH = 0.02
#: Worths at which a search for whole columns stops: the last of it takes longest.
_COARSE = 5.0


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
        best, offered, repriced, supposed = -np.inf, set[bytes](), 0, False
        aim, rising = Aim(cost, enough, len(self._pieces)), deque[float](maxlen=_PATIENT)
        # Something is known of all placings then.
        self._look_at([(number, self._place(number)) for number in self._pieces], aim, -np.inf, cuts=0)
        for trial in range(_MOST_COURSES):
            value, places = self.placings.cheapest()
            value += self._constant
            best = max(best, min(value, aim.eur) if supposed else value)
            if aim.met(best) or self._deadline.passed or value == -np.inf:
                break
            course = [(number, tuple(places[number].tolist())) for number in self._pieces]
            new = [one for one in course if one not in self._known]
            if (not new or trial % _OFFERED == _OFFERED - 1) and places.tobytes() not in offered:
                offered.add(places.tobytes())
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
            if not close or aim.out_of_reach(best, len(close)):
                if not aim.lower(best):
                    break
                self._whole.clear()
                continue
            supposed = True
            best = self._look_closely(close, aim, best)
        return best

    def _look_at(self, course: list[Where], aim: Aim, best: float, *, cuts: int) -> None:
        """Look at placings of a course."""
        for number, place in course:
            if self._deadline.passed:
                break
            self._look(number, place, aim.cost, aim.eur - best, cuts=cuts)

    def _look_closely(self, course: list[Where], aim: Aim, best: float) -> float:
        """Look at placings as closely as can be; the least cost of a course by then, the aim at most."""
        for number, place in course:
            if self._deadline.passed or best >= aim.eur:
                break
            self._look_whole(number, place, aim.cost, aim.eur - best)
            # What one period shows narrows the ranges of the next.
            best = max(best, min(self.placings.cheapest()[0] + self._constant, aim.eur))
        return best

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
        """Look at a placing, and cut off its solutions as long as that is worth it."""
        self._cut_off(number, place, cost, spare, cuts, narrow=False)
        (self._known if cuts else self._seen).add((number, place))

    def _cut_off(
        self, number: int, place: tuple[int, ...], cost: float, spare: float, cuts: int, *, narrow: bool
    ) -> float:
        """Cut off solutions of a placing as long as that is worth it; the cost of the last one.

        Planes come first. Where they gain nothing more, so do lines, all of one enclosure, around the state
        of the first solution.
        """
        piece, last = self._pieces[number], -np.inf
        worth = self._worth(cost, spare)
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
            found = self._solution(number, place, sight.x)
            if found is None:
                break
            control, state = found
            if self._missed(number, sight, state) <= worth:
                break
            if not lines and self._plane(number, sight.x, state, sight.worth):
                continue
            lines = True
            if around is None:
                most = float(self.placings.least[number][place]) + spare if narrow else np.inf
                around = self._around(number, place, control, state, most)
            found_lines = self._line(number, sight.x, control, state, sight.worth, around)
            # In narrow ranges, lines say more than planes ever do.
            if narrow and found_lines:
                continue
            if not self._plane(number, sight.x, state, sight.worth) and not found_lines:
                break
        return last

    def _worth(self, cost: float, spare: float) -> float:
        """EUR in one period that are worth another cut."""
        return _WORTH * min(max(spare, _RISE * abs(cost)), abs(cost)) / len(self._pieces)

    def _missed(self, number: int, sight: Sight, state: State) -> float:
        """EUR by which a solution is cheaper than its state, as its optimum weighs them."""
        own, relaxation = self._periods[number], self.relaxation
        if relaxation.limited.broken(number, own.circuit, state.voltage, state.steps):
            return np.inf
        power = own.circuit.powers(state.voltage)[own.fed]
        base, x = relaxation.problem.compiled.s_base_mva, sight.x
        away = power - (x[own.active] + 1j * x[own.reactive]) / base
        return float((sight.worth.power[own.fed].conj() * away).real.sum())

    def _solution(self, number: int, place: tuple[int, ...], x: Floats) -> tuple[Floats, State] | None:
        """Take the controls of a solution, and their state at a placing; None if there is none."""
        own, relaxation = self._periods[number], self.relaxation
        control = np.clip(x[own.control], 0.0, largest(relaxation.problem, number))
        steps = np.array(
            [steps[at] for steps, at in zip(self.placings.steps, place, strict=True)], dtype=np.float64
        )
        state = relaxation.stood(own, control, steps)
        return None if state is None else (control, state)

    def _around(
        self,
        number: int,
        place: tuple[int, ...],
        control: Floats,
        state: State,
        most: float,
    ) -> Conditional:
        """Rows around a state, which hold where a schedule spends no more than ``most`` in the period."""
        own, relaxation, piece = self._periods[number], self.relaxation, self._pieces[number]
        room = _SLACK * relaxation.point.turnover
        problem, ranges = relaxation.problem, relaxation.ranges_of(number, own)
        lowest = np.array([device.lowest for device in problem.devices], dtype=np.int64)
        steps = [own_steps[at] for own_steps, at in zip(self.placings.steps, place, strict=True)]
        enclosure = Enclosure(
            problem,
            number,
            own,
            state,
            control,
            ranges,
            None if most == np.inf else lambda axes: piece.spans(place, own.control, axes, most + room),
        )
        if enclosure.empty:
            self.placings.raise_to(number, place, most)
        return Conditional(
            relaxation, number, own, enclosure, np.array(steps) - lowest, largest(problem, number)
        )

    def _plane(self, number: int, x: Floats, state: State, worth: Weights | None) -> bool:
        """Cut off a solution by planes at its state; False if nothing does."""
        own = self._periods[number]
        cuts = self._cutter(number, own, state, x, worth, plain=not own.circuit.ratios)
        self._pieces[number].add(cuts)
        return bool(cuts)

    def _line(
        self,
        number: int,
        x: Floats,
        control: Floats,
        state: State,
        worth: Weights | None,
        around: Conditional,
    ) -> bool:
        """Cut off a solution by lines at its state; False if nothing does."""
        cuts = around.cuts(state, control, worth) if around.known else []
        cuts = [cut for cut in cuts if cut.plane.excess(x) > _MISSED]
        self._pieces[number].add(cuts)
        return bool(cuts)

    def _look_whole(self, number: int, place: tuple[int, ...], cost: float, spare: float) -> None:
        """Look at a placing as closely as can be: by narrow ranges, and with all that is whole as such.

        A schedule cheaper than the aim costs in this period at most what is known of the placing and what is
        spare at all.
        """
        piece = self._pieces[number]
        worth = self._worth(cost, spare)
        before = float(self.placings.least[number][place])
        known = -np.inf
        for _ in range(_MOST_NARROWED):
            # Of the program without whole columns: what these add comes last.
            reached = self._cut_off(number, place, cost, spare, _MOST_CUTS, narrow=True)
            if reached - known <= worth or self._deadline.passed:
                break
            known = reached
        last, around = -np.inf, None
        for _ in range(_MOST_CUTS):
            bound, x = piece.whole_at(place, _COARSE * worth)
            self.placings.raise_to(number, place, bound)
            if not len(x) or bound - last <= worth or self._deadline.passed:
                break
            found = self._solution(number, place, x)
            if found is None:
                break
            control, state = found
            if around is None:
                most = float(self.placings.least[number][place]) + spare
                around = self._around(number, place, control, state, most)
            if not self._line(number, x, control, state, None, around):
                break
            last = bound
        if self.placings.least[number][place] - before <= worth:
            self._whole[number, place] = spare


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
