"""A proved lower bound on the cost of every schedule that keeps, cures and delivers as well as a plan.

``docs/bound.md`` says why it holds. Nothing here can make it wrong, only weak: which planes are added, and
where, is a matter of taste.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import SolverError
from gridclear.optimise.circuit import NotCoveredError, build_circuit
from gridclear.optimise.highs import OPTIMAL, Plane
from gridclear.optimise.relaxation import Relaxation
from gridclear.optimise.supports import VOLTAGE, Quantity, Weights

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.relaxation import Cut
    from gridclear.optimise.supports import State

#: Gap below which a schedule counts as optimal, and below which nothing more is tried.
OPTIMAL_GAP, _ENOUGH = 5e-3, 1e-3
#: Part of the cost that is kept back for the solver's tolerances.
_RESERVE = 1e-6
_MOST_ROUNDS, _MOST_SEARCHES = 12, 4
#: Gain of a round, as a part of the cost, that is worth another.
_GAIN = 1e-5
#: Excess of a plane, in its own scale, that counts.
_MISSED = 1e-7
#: Normalised distance beyond a limit that counts, and limits of a period that are looked at in a round.
_BEYOND, _WORST = 1e-6, 2
#: Doublings of a weight while the form stays definite, and halvings until it is.
_DOUBLINGS = 24
#: Weight of a quantity, by that of the losses, beyond which no more is gained.
_STEEPEST = 30.0
#: Mvar or MW by which the program may misjudge a source.
_MISJUDGED = 1e-4


@dataclass(frozen=True)
class Bound:
    """What was proved.

    Attributes
    ----------
    eur : float
        No schedule costs less that keeps every effective limit, cures what the base state breaks at least as
        far as the plan, and delivers the profile at least as closely; -inf where nothing was proved.
    reason : str
        Why nothing was proved, or why no more was tried; empty where the search came to its end.
    seconds : float
    """

    eur: float
    reason: str
    seconds: float


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
    try:
        circuits = _circuits(point)
    except NotCoveredError as what:
        return Bound(-np.inf, str(what), time.monotonic() - start)
    search = _Search(point, circuits, deadline)
    search.run()
    eur = min(search.best, point.cost) - _RESERVE * abs(point.cost) if search.best > -np.inf else -np.inf
    return Bound(eur, search.reason, time.monotonic() - start)


def _circuits(point: Point) -> tuple[Circuit | None, ...]:
    """Circuits by period, each topology and setting of what is not decided once."""
    problem, compiled = point.problem, point.problem.compiled
    if compiled.p_current is not None:
        raise NotCoveredError("loads depend on the voltage")
    decided = np.concatenate([np.zeros(0, dtype=np.int64), *(one.device for one in problem.devices)])
    known: dict[tuple[int, bytes], Circuit] = {}
    found: list[Circuit | None] = []
    for number, local in enumerate(point.local):
        if local is None:
            found.append(None)
            continue
        topology, positions = int(compiled.topology[number]), problem.base.positions[number].copy()
        positions[decided] = compiled.positions[decided]
        key = (topology, positions.tobytes())
        if key not in known:
            known[key] = build_circuit(compiled.networks[topology], positions, problem.devices)
        found.append(known[key])
    return tuple(found)


class _Search:
    """One bound by planes and programs."""

    def __init__(self, point: Point, circuits: tuple[Circuit | None, ...], deadline: Deadline) -> None:
        self.point, self.deadline = point, deadline
        self.price = point.problem.loss_price
        self.relaxation = Relaxation(point, circuits)
        self.best, self.reason = -np.inf, ""
        self._weights: dict[int, Weights] = {}

    def run(self) -> None:
        """Solve, cut, and take apart, until the bound is close enough."""
        self._begin()
        answer = self._rounds()
        for _ in range(_MOST_SEARCHES):
            if answer is None or self._close() or self._late():
                return
            answer = self._searched()

    def _close(self) -> bool:
        return self.best >= self.point.cost - _ENOUGH * abs(self.point.cost)

    def _late(self) -> bool:
        if self.deadline.passed:
            self.reason = "deadline"
        return self.deadline.passed

    def _begin(self) -> None:
        """Planes at the plan's states: of the losses, and of every source's powers."""
        cuts: list[Cut] = []
        for number, own in self.relaxation.periods:
            state = self.relaxation.plan_state(number, own)
            if state is None:
                continue
            cuts += self._tried(number, own, state, [self._losses(own)])
            for place in range(len(own.fed)):
                for turn in (1.0, -1.0, 1.0j, -1.0j):
                    cuts += self._steepest(number, own, state, own.fed[place], turn)
        self.relaxation.add(cuts)

    def _losses(self, own: Period) -> Weights:
        count = len(own.circuit.sources)
        return Weights(np.full(count, complex(max(self.price, 1e-3))), np.zeros(count))

    def _tried(self, number: int, own: Period, state: State, weights: list[Weights]) -> list[Cut]:
        found = [self.relaxation.guarded(number, own, state, one) for one in weights]
        return [cut for cut in found if cut is not None]

    def _steepest(
        self, number: int, own: Period, state: State, target: Quantity | int, turn: complex = 1.0
    ) -> list[Cut]:
        """Cuts that weigh one quantity, or one source's power, as much as the losses can bear."""
        losses = self._losses(own)

        def weigh(size: float) -> Weights:
            if isinstance(target, tuple):
                return Weights(losses.power, losses.current, {target: size})
            power = losses.power.copy()
            power[target] += size * turn
            return Weights(power, losses.current)

        size, best = self.price if self.price > 0.0 else 1e-3, None
        for _ in range(_DOUBLINGS):
            cut = self.relaxation.guarded(number, own, state, weigh(size))
            if cut is None:
                if best is not None:
                    break
                size /= 4.0
                continue
            if best is not None and size >= _STEEPEST * max(self.price, 1e-3):
                break
            best, size = size, 2.0 * size
        if best is None:
            return []
        return self._tried(number, own, state, [weigh(best), weigh(0.25 * best)])

    def _rounds(self) -> Answer | None:
        """Solve without whole steps and cut, until a round gains nothing."""
        before, answer = -np.inf, None
        for _ in range(_MOST_ROUNDS):
            answer = self.relaxation.solver.minimise(self.relaxation.cost, seconds=self.deadline.left)
            if answer.status != OPTIMAL or not len(answer.x):
                self.reason = f"the program is {answer.status}"
                return None
            self.best = max(self.best, answer.objective)
            print("lp", answer.objective, len(self.relaxation.cuts), time.process_time())
            if answer.dual is not None:
                self._weights.update(self.relaxation.weighed(answer.dual))
            count = self._cut(answer.x) + self.relaxation.tightened(answer)
            gained = answer.objective - before
            before = answer.objective
            if not count or gained < _GAIN * abs(self.point.cost) or self._close() or self._late():
                break
        return answer

    def _searched(self) -> Answer | None:
        """Solve with whole steps, and cut at the answer."""
        relaxation = self.relaxation
        relaxation.solver.relax(whole=True)
        t=time.monotonic()
        answer = relaxation.solver.minimise(
            relaxation.cost, gap=(0.5 * _ENOUGH, 0.0), seconds=min(self.deadline.left, 60.0)
        )
        relaxation.solver.relax(whole=False)
        if answer.bound > -np.inf:
            self.best = max(self.best, answer.bound)
        print("mip", answer.status, answer.objective, answer.bound, time.monotonic()-t)
        if not len(answer.x) or not self._cut(answer.x):
            return None
        return answer

    def _cut(self, x: Floats) -> int:
        """Add cuts where a solution's states say that it is too good; how many."""
        cuts: list[Cut] = []
        for number, own in self.relaxation.periods:
            state = self.relaxation.state(x, number, own)
            if state is None:
                continue
            weights = [self._losses(own)]
            if number in self._weights:
                weights.append(self._weights[number])
            found = self._tried(number, own, state, weights)
            broken = self.relaxation.limited.broken(number, own.circuit, state.voltage, state.steps, _BEYOND)
            for quantity in broken[:_WORST]:
                found += self._steepest(number, own, state, quantity)
            found += self._misjudged(number, own, state, x)
            cuts += [cut for cut in found if cut.plane.excess(x) > _MISSED]
        self.relaxation.add(cuts)
        return len(cuts)

    def _misjudged(self, number: int, own: Period, state: State, x: Floats) -> list[Cut]:
        """Cuts for the powers of sources that a solution has other than its state."""
        free, base = own.circuit.n_free, self.point.problem.compiled.s_base_mva
        taken = own.circuit.admittance[free:] @ state.voltage
        power = base * (state.voltage[free:] * np.conj(taken))[own.fed]
        away = (x[own.active] - power.real) + 1j * (x[own.reactive] - power.imag)
        found: list[Cut] = []
        for place, source in enumerate(own.fed.tolist()):
            for turn, distance in ((1.0, away[place].real), (1.0j, away[place].imag)):
                if abs(distance) > _MISJUDGED * base:
                    found += self._steepest(number, own, state, source, -turn * np.sign(distance))
        for (node, _), squared in own.square.items():
            distance = float(x[squared].sum()) - abs(state.voltage[node]) ** 2
            if abs(distance) > _MISJUDGED:
                found += self._steepest(number, own, state, Quantity(VOLTAGE, node, int(-np.sign(distance))))
        return found
