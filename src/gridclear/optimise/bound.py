"""A proved lower bound on the cost of every schedule that keeps, cures and delivers as well as a plan.

``docs/bound.md`` says why it holds. Nothing here can make it wrong, only weak: which planes are added, and
where, is a matter of taste.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.circuit import NotCoveredError, circuits_of
from gridclear.optimise.courses import Courses
from gridclear.optimise.highs import INFEASIBLE, OPTIMAL, LostError, TimeOverError
from gridclear.optimise.limited import priced_weights
from gridclear.optimise.linearise import assess
from gridclear.optimise.placings import MOST_PLACINGS, count_placings
from gridclear.optimise.pricing import prices
from gridclear.optimise.probing import parts_of, probed, tightened
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.reached import keep_all
from gridclear.optimise.relaxation import Relaxation
from gridclear.optimise.successive import Stage
from gridclear.optimise.supports import VOLTAGE, Quantity, Weights
from gridclear.optimise.weights import Weights as Merits
from gridclear.optimise.weights import broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.probing import Probe
    from gridclear.optimise.problem import Plan
    from gridclear.optimise.relaxation import Cut
    from gridclear.optimise.supports import State

#: Gap below which a schedule counts as optimal, and below which nothing more is tried.
OPTIMAL_GAP, _ENOUGH = 5e-3, 2.5e-3
#: Part of the turnover that is kept back for the solver's tolerances.
_RESERVE = 1e-5
#: Part of the turnover by which a bound may be above the cost, for the solver's tolerances.
_CONTRADICTED = 1e-4
_MOST_ROUNDS, _MOST_PROBES, _MOST_SEARCHES = 6, 2, 4
#: Rounds that are enough where placings of the devices are looked at one by one.
_FEW_ROUNDS = 1
#: Gain of a round, as a part of the cost, that is worth another.
_GAIN = 2e-3
#: Limits of a period that are looked at in a round.
_WORST = 2
#: Times that a direction is weighed as much as can be in one period.
_MOST_TRIES = 3
#: Price of losses in the planes where losses cost nothing, EUR per p.u.
_LEAST_PRICE = 1e-3
#: Doublings of a weight while the form stays definite, and halvings until it is.
_DOUBLINGS = 24
#: Weight of a quantity, by that of the losses, beyond which no more is gained.
_STEEPEST = 4096.0
#: Part of the mean cost of a period by which the program may misjudge a source's power; and p.u. by which it
#: may misjudge the square of a voltage.
_MISJUDGED, _SQUARE = 1e-3, 1e-3
#: EUR per p.u. of power at least, where neither losses nor offers cost anything.
_LEAST_WORTH = 1e-6


@dataclass(frozen=True)
class Bound:
    """What was proved.

    Attributes
    ----------
    eur : float
        No schedule costs less that keeps every effective limit, brings every limit that the base state breaks
        at least as far back as the plan, and every request at least as close to its band; -inf where nothing
        was proved.
    reason : str
        Why nothing was proved, or why no more was tried; empty where the search came to its end.
    seconds : float
    rival : Plan or None
        A cheaper plan that was found on the way, of which the bound holds as well: it keeps and cures every
        limit, and delivers every request, at least as well.
    """

    eur: float
    reason: str
    seconds: float
    rival: Plan | None = None


def lower_bound(point: Point, deadline: Deadline) -> Bound:
    """Prove a lower bound for a plan that keeps its limits.

    Parameters
    ----------
    point : Point
        The plan and its states.
    deadline : Deadline

    Returns
    -------
    Bound

    Raises
    ------
    SolverError
        A program ended in a way that is no answer.
    """
    start = time.monotonic()
    # From here on, what the plan reaches is what is to be kept.
    point = assess(keep_all(point), point.plan)
    try:
        search = _Search(point, circuits_of(point), deadline)
    except NotCoveredError as what:
        return Bound(-np.inf, str(what), time.monotonic() - start)
    search.run()
    best = point if search.rival is None else search.rival
    eur, reason = search.best - _RESERVE * point.turnover, search.reason
    if search.best > best.cost + _CONTRADICTED * point.turnover:
        # The plan is a solution of every program: this cannot be.
        eur, reason = -np.inf, "the programs contradict the plan"
    rival = None if search.rival is None else search.rival.plan
    return Bound(min(eur, best.cost), reason, time.monotonic() - start, rival)


class _Search:
    """One bound by planes and programs."""

    def __init__(self, point: Point, circuits: tuple[Circuit | None, ...], deadline: Deadline) -> None:
        self.point, self.deadline = point, deadline
        self.price = point.problem.loss_price
        self.relaxation = Relaxation(point, circuits)
        self.best, self.reason = -np.inf, ""
        #: A plan that is cheaper, and keeps, cures and delivers as well.
        self.rival: Point | None = None
        count = max(1, len(self.relaxation.periods))
        worth = max(self.price, point.problem.offers.dearest, _LEAST_WORTH)
        #: p.u. of a source's power that matter: at the price of losses, or at that of the dearest offers.
        self._matter = _MISJUDGED * abs(point.cost) / count / worth
        self._weights: dict[int, Weights] = {}
        self._priced: dict[int, Weights] = {}
        self._all = [number for number, _ in self.relaxation.periods]
        self._sizes: dict[tuple[object, ...], float] = {}
        self._tries: dict[tuple[int, tuple[object, ...]], int] = {}

    def run(self) -> None:
        """Solve, cut, and take apart, until the bound is close enough."""
        self._begin()
        problem = self.point.problem
        placings = count_placings(problem.devices, problem.periods) if problem.devices else 0
        told_apart = 0 < placings <= MOST_PLACINGS
        answer = self._rounds(_FEW_ROUNDS if told_apart else _MOST_ROUNDS)
        if answer is None or self._close() or self._late():
            return
        if told_apart and answer.dual is not None:
            courses = Courses(self.relaxation, answer.dual, self._cutter, self.deadline)
            self.best = max(self.best, courses.search(self.point.cost, _ENOUGH, self._offered))
            self._late()
            return
        answer = self._probes(answer)
        for _ in range(_MOST_SEARCHES):
            if answer is None or self._close() or self._late():
                return
            answer = self._searched()

    def _cutter(
        self, number: int, own: Period, state: State, x: Floats, weights: Weights | None, *, plain: bool
    ) -> list[Cut]:
        """Cut off what a solution has in one period, by the plainest only where limits have rows."""
        self._tries.clear()
        return self._cuts(number, own, state, x, weights, plain=plain)

    def _offered(self, steps: Ints) -> float:
        """Settle a plan with its devices at steps; the cost of the best one that is as good as the plan."""
        best = self.point if self.rival is None else self.rival
        problem = self.point.problem
        stage = Stage(problem, Merits.of(problem), self.deadline)
        try:
            found = stage.settled(assess(problem, replace(self.point.plan, steps=steps)))
        except (TimeOverError, LostError):
            return best.cost
        short = float(np.nansum(found.shortfall)) * problem.compiled.s_base_mva
        if short <= DELIVERED_MVA and not broken(found).any() and found.cost < best.cost:
            self.rival = best = found
        return best.cost

    def _close(self) -> bool:
        return self.best >= self.point.cost - _ENOUGH * abs(self.point.cost)

    def _late(self) -> bool:
        if self.deadline.passed:
            self.reason = "deadline"
        return self.deadline.passed

    def _begin(self) -> None:
        """Planes at the plan's states: of the losses, and of every source's powers."""
        cuts: list[Cut] = []
        priced = prices(self.point)
        for number, own in self.relaxation.periods:
            state = self.relaxation.plan_state(number, own)
            if state is None:
                continue
            losses = self._losses(own)
            self._priced[number] = losses.plus(
                priced_weights(self.point, priced, number, own.circuit, state.voltage)
            )
            self._weights[number] = self._priced[number]
            cuts += self._tried(number, own, state, [losses, self._priced[number]])
            for place in range(len(own.fed)):
                # Where one source feeds alone, its active power follows from the losses.
                for turn in (1.0j, -1.0j) if len(own.fed) == 1 else (1.0, -1.0, 1.0j, -1.0j):
                    cuts += self._steepest(number, own, state, self._power(own, int(own.fed[place]), turn))
        self.relaxation.add(cuts)

    def _again(self) -> None:
        """Planes at the plan's states once more, where ranges have become narrower."""
        cuts: list[Cut] = []
        for number, own in self.relaxation.periods:
            if (state := self.relaxation.plan_state(number, own)) is not None:
                cuts += self._tried(number, own, state, [self._priced[number]])
        self.relaxation.add(cuts)

    def _losses(self, own: Period) -> Weights:
        count = len(own.circuit.sources)
        return Weights(np.full(count, complex(max(self.price, _LEAST_PRICE))), np.zeros(count))

    @staticmethod
    def _power(own: Period, source: int, turn: complex) -> Weights:
        """Weigh the power of one source."""
        power = np.zeros(len(own.circuit.sources), dtype=np.complex128)
        power[source] = turn
        return Weights(power, np.zeros(len(power)))

    @staticmethod
    def _square(own: Period, weights: Mapping[Quantity, float]) -> Weights:
        """Weigh squares."""
        count = len(own.circuit.sources)
        return Weights(np.zeros(count, dtype=np.complex128), np.zeros(count), weights)

    def _tried(self, number: int, own: Period, state: State, weights: list[Weights]) -> list[Cut]:
        if self.deadline.passed:
            return []
        found = [self.relaxation.nearer(number, own, state, one) for one in weights]
        return [cut for cut in found if cut is not None]

    def _steepest(self, number: int, own: Period, state: State, direction: Weights) -> list[Cut]:
        """Cuts that weigh something about as much as the losses can bear beside it, more and less."""
        losses, key = self._losses(own), direction.key
        price = max(self.price, _LEAST_PRICE)
        size = self._sizes.get(key, 0.0)
        if size <= 0.0:
            size = price
            for _ in range(0 if self.deadline.passed else _DOUBLINGS):
                found = self.relaxation.guarded(number, own, state, losses.plus(direction.scaled(size)))
                if found is None:
                    size *= 0.25
                    if size < price:
                        break
                elif 4.0 * size > _STEEPEST * price:
                    break
                else:
                    size *= 4.0
            self._sizes[key] = size
        # Beyond what the losses bear, the distances of currents help.
        parts = (2.0, 0.5)
        return self._tried(number, own, state, [losses.plus(direction.scaled(part * size)) for part in parts])

    def _rounds(self, most: int) -> Answer | None:
        """Solve without whole steps and cut, until a round gains nothing."""
        answer = self._solved()
        for _ in range(most):
            if answer is None or self._close() or self._late():
                break
            before = answer.objective
            self._cut(answer.x)
            parts = parts_of(self.relaxation, answer)
            if parts is not None and tightened(self.relaxation, parts, self.deadline):
                self._again()
            answer = self._solved()
            if answer is not None and answer.objective - before < _GAIN * abs(self.point.cost):
                break
        return answer

    def _probes(self, answer: Answer | None) -> Answer | None:
        """Ask what every step of the devices costs in every period, and cut where that is too little."""
        for _ in range(_MOST_PROBES):
            if answer is None or self._close() or self._late():
                break
            parts = parts_of(self.relaxation, answer)
            if parts is None:
                break
            before = answer.objective
            if tightened(self.relaxation, parts, self.deadline):
                self._again()
            for probe in probed(self.relaxation, parts, self.deadline):
                if self._late():
                    break
                self._cut(probe.x, probe)
            answer = self._solved()
            if answer is None:
                break
            self._cut(answer.x)
            if answer.objective - before < 0.1 * _ENOUGH * abs(self.point.cost):
                break
        return answer

    def _solved(self) -> Answer | None:
        """Solve without whole steps."""
        relaxation = self.relaxation
        answer = relaxation.solver.minimise(relaxation.cost, seconds=self.deadline.left)
        if answer.status != OPTIMAL or not len(answer.x):
            self.reason = "deadline" if self.deadline.passed else f"the program is {answer.status}"
            if answer.status == INFEASIBLE:
                self.best = np.inf
            return None
        self.best = max(self.best, answer.objective)
        if answer.dual is not None:
            self._weights.update(relaxation.weighed(answer.dual))
        return answer

    def _searched(self) -> Answer | None:
        """Solve with whole steps, and cut at the answer."""
        relaxation = self.relaxation
        self._tries.clear()
        relaxation.solver.relax(whole=True)
        answer = relaxation.solver.minimise(
            relaxation.cost, gap=(0.5 * _ENOUGH, 0.0), seconds=min(self.deadline.left, 60.0)
        )
        relaxation.solver.relax(whole=False)
        if answer.status == INFEASIBLE:
            self.best = np.inf
        self.best = max(self.best, answer.bound)
        if not len(answer.x) or not self._cut(answer.x):
            return None
        return answer

    def _cut(self, x: Floats, probe: Probe | None = None) -> int:
        """Add cuts where a solution's states say that it is too good; of a probe the plainest; how many."""
        weights = self._weights if probe is None else probe.weights
        periods = self._all if probe is None else probe.periods
        cuts: list[Cut] = []
        for number, own in self.relaxation.periods:
            state = self.relaxation.state(x, number, own) if number in periods else None
            if state is not None:
                cuts += self._cuts(number, own, state, x, weights.get(number), plain=probe is not None)
        self.relaxation.add(cuts)
        return len(cuts)

    def _cuts(
        self, number: int, own: Period, state: State, x: Floats, weights: Weights | None, *, plain: bool
    ) -> list[Cut]:
        """Cut off what a solution has in one period, by its state."""
        found = self._tried(number, own, state, [self._losses(own) if weights is None else weights])
        if not plain:
            found += self._tried(number, own, state, [self._priced.get(number, self._losses(own))])
        broken = self.relaxation.limited.broken(number, own.circuit, state.voltage, state.steps)
        wanted = [self._square(own, {quantity: 1.0}) for quantity in broken[:_WORST]]
        if not plain:
            wanted += self._misjudged(own, state, x)
        for direction in wanted:
            key = (number, direction.key)
            self._tries[key] = self._tries.get(key, 0) + 1
            if self._tries[key] <= _MOST_TRIES:
                found += self._steepest(number, own, state, direction)
        return [cut for cut in found if cut.broken_by(x)]

    def _misjudged(self, own: Period, state: State, x: Floats) -> list[Weights]:
        """Directions in which a solution has the sources' powers, or squares, other than its state."""
        base = self.point.problem.compiled.s_base_mva
        power = base * own.circuit.powers(state.voltage)[own.fed]
        away = (x[own.active] - power.real) + 1j * (x[own.reactive] - power.imag)
        found: list[Weights] = []
        for place, source in enumerate(own.fed.tolist()):
            for turn, distance in ((1.0, away[place].real), (1.0j, away[place].imag)):
                if abs(distance) > self._matter * base:
                    found.append(self._power(own, source, -turn * np.sign(distance)))
        for (node, _), squared in own.square.items():
            distance = float(x[squared].sum()) - abs(state.voltage[node]) ** 2
            if abs(distance) > _SQUARE:
                quantity = Quantity(VOLTAGE, node, int(-np.sign(distance)))
                found.append(self._square(own, {quantity: 1.0}))
        return found
