"""The lifted program with its planes: solved, cut where states say so, and taken apart by periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import OPTIMAL, Plane, Solver
from gridclear.optimise.lifted import build_lifted, coupled_rows
from gridclear.optimise.limited import Limited
from gridclear.optimise.supports import Forms, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Complexes, Floats
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.supports import Quantity, State, Support

#: Weights of squared currents at the sources, by what a single line would need, in the order that they are tried.
_GUARDS = (1.02, 1.5, 4.0)
#: Room for the solver's tolerances, in p.u. and as a part of the cost.
_SLACK = 1e-6
#: Part of its width below which a range counts as narrower.
_NARROWER = 0.9


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane as a row of the program, and what it weighs, in the row's scale."""

    period: int
    plane: Plane
    weights: Weights


class Relaxation:
    """Program, planes, and states of its solutions.

    Parameters
    ----------
    point : Point
        The plan that is to be bounded.
    circuits : tuple of Circuit or None
        By period.
    """

    def __init__(self, point: Point, circuits: tuple[Circuit | None, ...]) -> None:
        self.point, self.problem = point, point.problem
        self.lifted = build_lifted(point, circuits)
        self._forms = {id(circuit): Forms(circuit) for circuit in circuits if circuit is not None}
        self.limited = Limited(point, self.lifted)
        program = self.lifted.program
        self.cost, self.labels = program.cost, program.labels
        self.coupled = coupled_rows(program)
        self.matrix = program.matrix
        self._local = program.only(~self.coupled)
        self.solver = Solver(program)
        self.solver.relax(whole=False)
        self.cuts: list[Cut] = []
        #: Rows of the solver in their order behind the program's: a cut's, or None.
        self._rows: list[Cut | None] = []
        self.ranges: list[Plane] = []
        self._box = dict(self.lifted.box)
        for (number, place), box in self._box.items():
            self.enclose(number, place, box)

    @property
    def periods(self) -> list[tuple[int, Period]]:
        """Periods that are counted, with their numbers."""
        return [(number, own) for number, own in enumerate(self.lifted.periods) if own is not None]

    def add(self, cuts: list[Cut]) -> None:
        """Take cuts into the program."""
        self.cuts += cuts
        self._rows += cuts
        self.solver.add([cut.plane for cut in cuts])

    def add_planes(self, planes: list[Plane]) -> None:
        """Take other rows into the program."""
        self.ranges += planes
        self._rows += [None] * len(planes)
        self.solver.add(planes)

    def apart(self) -> Solver:
        """The program without the rows that tie periods together, with all planes."""
        solver = Solver(self._local)
        solver.add([*(cut.plane for cut in self.cuts), *self.ranges])
        return solver

    def folded(self, dual: Floats) -> Floats:
        """Costs of the columns less what the duals of the rows that tie periods together say of them."""
        price = np.where(self.coupled, dual[: len(self.coupled)], 0.0)
        return np.asarray(self.cost - self.matrix.T @ price)

    def tightened(self, answer: Answer) -> int:
        """Narrow the ranges of the sources' powers, by what costs no more than the plan; how many.

        Parameters
        ----------
        answer : Answer
            Of the program without whole steps, with its duals.

        Notes
        -----
        A schedule that costs no more than the plan costs, by folded costs, at most the plan's less the
        program's optimum above the least in any one period.
        """
        if answer.dual is None:
            return 0
        cost, spare = self.folded(answer.dual), self.point.cost - answer.objective
        solver = self.apart()
        least = solver.minimise(cost)
        if least.status != OPTIMAL or not len(least.x):
            return 0
        spare += _SLACK * abs(self.point.cost)
        rows = []
        for number, _ in self.periods:
            mine = np.flatnonzero((self.labels == number) & (cost != 0.0))
            rows.append(Plane(mine, cost[mine], float(cost[mine] @ least.x[mine]) + max(spare, 0.0)))
        solver.add(rows)
        base, count = self.problem.compiled.s_base_mva, 0
        places = max((len(own.fed) for _, own in self.periods), default=0)
        for place in range(places):
            ends: dict[tuple[int, int, int], float] = {}
            for part in range(2):
                for side, sign in ((0, 1.0), (1, -1.0)):
                    aim = np.zeros(len(cost))
                    columns = {
                        number: (own.active, own.reactive)[part][place]
                        for number, own in self.periods
                        if place < len(own.fed)
                    }
                    aim[list(columns.values())] = sign
                    found = solver.minimise(aim)
                    if found.status != OPTIMAL or not len(found.x):
                        continue
                    for number, column in columns.items():
                        ends[number, part, side] = float(found.x[column]) / base - sign * _SLACK
            for number, own in self.periods:
                if place < len(own.fed):
                    count += self._narrow(number, place, ends)
        return count

    def _narrow(self, number: int, place: int, ends: Mapping[tuple[int, int, int], float]) -> int:
        open_ = (np.array([-np.inf, np.inf]), np.array([-np.inf, np.inf]))
        old = self._box.get((number, place), open_)
        new = []
        for part in range(2):
            low = max(float(old[part][0]), ends.get((number, part, 0), -np.inf))
            high = min(float(old[part][1]), ends.get((number, part, 1), np.inf))
            new.append(np.array([low, max(low, high)]))
        width = sum(float(part[1] - part[0]) for part in new)
        if not width < _NARROWER * sum(float(part[1] - part[0]) for part in old):
            return 0
        self._box[number, place] = (new[0], new[1])
        self.enclose(number, place, (new[0], new[1]))
        return 1

    def weighed(self, dual: Floats) -> Mapping[int, Weights]:
        """Weights of the quantities in the program's optimum, by period: those of its planes together."""
        found: dict[int, Weights] = {}
        for cut, value in zip(self._rows, -dual[len(self.coupled) :], strict=True):
            if cut is None or value <= 1e-9:
                continue
            own, more = found.get(cut.period), cut.weights.scaled(float(value))
            found[cut.period] = more if own is None else _sum(own, more)
        return found

    def plan_state(self, number: int, own: Period) -> State | None:
        """State of the plan."""
        plan, problem = self.point.plan, self.problem
        share = plan.share[problem.offers.item[problem.offers.period == number]]
        control = np.concatenate([share, plan.charge[:, number], plan.discharge[:, number]])
        return self._state(own, control, plan.steps[:, number].astype(np.float64))

    def state(self, x: Floats, number: int, own: Period) -> State | None:
        """State of a solution of the program."""
        steps = np.array(
            [
                x[columns[number]] @ np.arange(device.lowest, device.highest + 1)
                for columns, device in zip(self.lifted.step, self.problem.devices, strict=True)
            ]
        )
        return self._state(own, x[own.control], steps)

    def _state(self, own: Period, control: Floats, steps: Floats) -> State | None:
        power = (own.injected + control @ own.change)[: own.circuit.n_bus_node]
        return self._forms[id(own.circuit)].state(power, steps)

    def guarded(self, number: int, own: Period, state: State, weights: Weights) -> Cut | None:
        """Cut at a state; where reactive power is wanted, squared currents at the sources keep it definite."""
        free = own.circuit.n_free
        given = 1.0 / own.circuit.admittance[free:].tocsr()[:, free:].diagonal()[own.fed]
        wanted = np.zeros(len(weights.power))
        price = weights.power[own.fed]
        wanted[own.fed] = np.maximum(-(price.real * given.real + price.imag * given.imag), 0.0)
        for factor in _GUARDS if wanted.any() else (0.0,):
            current = np.maximum(factor * wanted, weights.current)
            cut = self.cut(number, own, state, Weights(weights.power, current, weights.limits))
            if cut is not None:
                return cut
        return None

    def cut(self, number: int, own: Period, state: State, weights: Weights) -> Cut | None:
        """Row of the plane that touches at a state; None where there is none."""
        found = self._forms[id(own.circuit)].support(state, weights)
        return None if found is None else self._row(number, own, state, found)

    def _row(self, number: int, own: Period, state: State, found: Support) -> Cut:
        circuit, weights = own.circuit, found.weights
        base, free = self.problem.compiled.s_base_mva, circuit.n_bus_node
        turned = found.balance.conj()
        steps = self.lifted.step
        price = weights.power[own.fed]
        terms = [
            (own.active, price.real / base),
            (own.reactive, price.imag / base),
            (own.current, weights.current[own.fed]),
            (own.control, (own.change[:, :free] @ turned).real),
        ]
        for bank, taken in zip(circuit.banks, found.bank.tolist(), strict=True):
            drawn = float((turned[bank.node] * np.conj(bank.admittance)).real)
            terms.append((own.square[bank.node, bank.device], -drawn * (bank.steps - taken)))
        for ratio, table in zip(circuit.ratios, found.ratio, strict=True):
            terms.append((own.square[ratio.node, ratio.device], table))
        constant = -float((turned @ own.injected[:free]).real) - found.room
        constant += float((state.setting.source.conj() @ found.least @ state.setting.source).real)
        for device, table in _by_step(circuit, found.least, state.setting.source).items():
            terms.append((steps[device][number], -table))
        for quantity, weight in weights.limits.items():
            ceiling = self.limited.ceiling(number, circuit, quantity)
            constant -= weight * ceiling.constant
            terms.append((ceiling.column, weight * ceiling.value))
        size = max(weights.size, 1e-12)
        column = np.concatenate([column for column, _ in terms])
        value = np.concatenate([value for _, value in terms]) / size
        place, member = np.unique(column, return_inverse=True)
        plane = Plane(place, -np.bincount(member, weights=value, minlength=len(place)), -constant / size)
        return Cut(number, plane, weights.scaled(1.0 / size))

    def enclose(self, number: int, place: int, box: tuple[Floats, Floats]) -> None:
        """Bound the squared current of a source from above, by ranges of its powers in p.u.

        |S|² lies below the chords of P² and Q² over their ranges, and the current is that over |E|².
        """
        own = self.lifted.periods[number]
        if own is None or not all(np.isfinite(part).all() for part in box):
            return
        source = own.circuit.sources[int(own.fed[place])]
        base = self.problem.compiled.s_base_mva
        (low_p, high_p), (low_q, high_q) = box
        most = max(low_p**2, high_p**2) + max(low_q**2, high_q**2)
        least = sum(
            0.0 if low <= 0.0 <= high else min(low**2, high**2)
            for low, high in ((low_p, high_p), (low_q, high_q))
        )
        per = 1.0 / np.abs(source.voltage) ** 2
        at = 0
        if source.device >= 0:
            device = self.problem.devices[source.device]
            at = int(self.point.plan.steps[source.device, number]) - device.lowest
        constant = -per[at] * (low_p * high_p + low_q * high_q)
        away = per - per[at]
        table = constant + np.where(away > 0.0, away * most, away * least)
        column = [own.current[place], own.active[place], own.reactive[place]]
        value = [1.0, -per[at] * (low_p + high_p) / base, -per[at] * (low_q + high_q) / base]
        if source.device < 0:
            self.add_planes([Plane(np.array(column), np.array(value), constant)])
            return
        steps = self.lifted.step[source.device][number]
        self.add_planes([Plane(np.concatenate([column, steps]), np.concatenate([value, -table]), 0.0)])


def _by_step(circuit: Circuit, least: Complexes, at: Complexes) -> dict[int, Floats]:
    """Change of the form in the sources' voltages by every device's step, from below.

    What two devices change together is at least -|S| (|a|² + |b|²), with a and b what each changes.
    """
    device = np.array([source.device for source in circuit.sources])
    found: dict[int, Floats] = {}
    for number in np.unique(device[device >= 0]).tolist():
        mine = np.flatnonzero(device == number)
        moved = np.stack([circuit.sources[source].voltage for source in mine]) - at[mine, None]
        others = np.flatnonzero((device >= 0) & (device != number))
        across = np.abs(least[np.ix_(mine, others)]).sum(axis=1)
        linear = 2.0 * ((at.conj() @ least)[mine] @ moved).real
        square = np.einsum("as,ab,bs->s", moved.conj(), least[np.ix_(mine, mine)], moved).real
        found[number] = linear + square - across @ np.abs(moved) ** 2
    return found


def _sum(one: Weights, other: Weights) -> Weights:
    limits: dict[Quantity, float] = dict(one.limits)
    for quantity, weight in other.limits.items():
        limits[quantity] = limits.get(quantity, 0.0) + weight
    return Weights(one.power + other.power, one.current + other.current, limits)
