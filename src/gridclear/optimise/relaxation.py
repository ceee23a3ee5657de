"""The lifted program with its planes: solved, cut where states say so, and taken apart by periods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.forms import Forms
from gridclear.optimise.highs import Plane, Solver
from gridclear.optimise.labelled import coupled_rows
from gridclear.optimise.lifted import build_lifted, kept_voltages, largest
from gridclear.optimise.limited import Limited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.supports import State, Support, Weights

#: Weights of squared currents at the sources, in the order that they are tried: of all that a single line
#: would need, and of what limits need in it.
_GUARDS = ((1.02, 0.0), (1.02, 1.0), (1.5, 1.5), (4.0, 4.0))
#: Weights of the currents' distances from the plan's, by what a branch's impedance weighs.
_NEAR = (0.0, 0.003, 0.03, 0.3)
#: By which the solver may miss rows and reduced costs.
_TOLERANCE = 1e-7
#: Excess of a plane, in its own scale, that counts.
_MISSED = 1e-7
#: Largest number in a row, by those of the powers.
_LARGEST = 100.0
#: Costs that are rounding errors.
_TINY = 1e-10
#: Part of its width below which a range counts as narrower.
_NARROWER = 0.9


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane as a row of the program, and what it weighs, in the row's scale.

    ``stands``: columns that say where devices stand, without all of which it asks for nothing.
    """

    period: int
    plane: Plane
    weights: Weights
    stands: tuple[int, ...] = ()

    def broken_by(self, x: Floats) -> bool:
        """Whether a solution is beyond it by what counts."""
        return self.plane.excess(x) > _MISSED


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
        self.solver = Solver(program, _TOLERANCE)
        self.solver.relax(whole=False)
        self.cuts: list[Cut] = []
        #: Rows of the solver in their order behind the program's: a cut's, or None.
        self._rows: list[Cut | None] = []
        self.ranges: list[Plane] = []
        self._plans: dict[int, State | None] = {}
        self._far: dict[int, Floats | None] = {}
        self.place = {number: place for place, (number, _) in enumerate(self.periods)}
        self.closed: set[int] = set()
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
        """Leave out the rows that tie periods together."""
        solver = Solver(self._local, _TOLERANCE)
        solver.add([*(cut.plane for cut in self.cuts), *self.ranges])
        return solver

    def folded(self, dual: Floats) -> Floats:
        """Costs of the columns less what the duals of the rows that tie periods together say of them."""
        price = np.where(self.coupled, dual[: len(self.coupled)], 0.0)
        cost = np.asarray(self.cost - self.matrix.T @ price)
        return np.where(np.abs(cost) > _TINY, cost, 0.0)

    def narrow(self, number: int, place: int, ends: Mapping[tuple[int, int, int], float]) -> int:
        """Take ends of the ranges of a source's powers (period, P or Q, low or high); 1 if much is gained."""
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

    def ranges_of(self, number: int, own: Period) -> list[tuple[Floats, Floats]]:
        """Ranges of the active and reactive power of every source that is fed, in p.u."""
        open_ = (np.array([-np.inf, np.inf]), np.array([-np.inf, np.inf]))
        return [self._box.get((number, place), open_) for place in range(len(own.fed))]

    def weighed(self, dual: Floats) -> Mapping[int, Weights]:
        """Weights of the quantities in the program's optimum, by period: those of its planes together."""
        rows = dual[len(self.coupled) :]
        return self.weighed_by(rows[np.array([cut is not None for cut in self._rows], dtype=bool)])

    def weighed_by(self, dual: Floats) -> Mapping[int, Weights]:
        """Weights by period, by the duals of the cuts."""
        found: dict[int, Weights] = {}
        for place in np.flatnonzero(-dual > 1e-9).tolist():
            cut = self.cuts[place]
            own, more = found.get(cut.period), cut.weights.scaled(-float(dual[place]))
            found[cut.period] = more if own is None else own.plus(more)
        return found

    def plan_state(self, number: int, own: Period) -> State | None:
        """State of the plan."""
        if number not in self._plans:
            control, steps = self._planned(number), self.point.plan.steps[:, number]
            self._plans[number] = self.stood(own, control, steps.astype(np.float64))
        return self._plans[number]

    def _planned(self, number: int) -> Floats:
        """Take the controls of a period from the plan."""
        plan, problem = self.point.plan, self.problem
        share = plan.share[problem.offers.item[problem.offers.period == number]]
        return np.concatenate([share, plan.charge[:, number], plan.discharge[:, number]])

    def _distances(self, number: int, own: Period) -> Floats | None:
        """Largest distances of the currents from the plan's."""
        if number not in self._far:
            self._far[number] = None
            free, planned, plan = own.circuit.n_bus_node, self._planned(number), self.plan_state(number, own)
            if plan is not None:
                # From the plan, a control moves by its distance to one of its ends.
                most = np.maximum(planned, largest(self.problem, number) - planned)
                low, high = kept_voltages(self.problem, number, own.circuit)
                power = (own.injected + planned @ own.change)[:free]
                change = np.abs(own.change[:, :free]).T @ most
                extremes = self.lifted.extremes[id(own.circuit)]
                self._far[number] = extremes.distances(plan, power, change, low, high)
        return self._far[number]

    def state(self, x: Floats, number: int, own: Period) -> State | None:
        """State of a solution of the program."""
        steps = np.array(
            [
                x[columns[number]] @ np.arange(device.lowest, device.highest + 1)
                for columns, device in zip(self.lifted.step, self.problem.devices, strict=True)
            ]
        )
        return self.stood(own, x[own.control], steps)

    def stood(self, own: Period, control: Floats, steps: Floats) -> State | None:
        """State of controls, with the devices at steps that are given."""
        power = (own.injected + control @ own.change)[: own.circuit.n_bus_node]
        return self._forms[id(own.circuit)].state(power, steps)

    def guarded(
        self,
        number: int,
        own: Period,
        state: State,
        weights: Weights,
        guards: tuple[tuple[float, float], ...] = _GUARDS,
    ) -> Cut | None:
        """Cut at a state; squared currents at the sources keep the form definite where it would not be.

        Behind a source stands an impedance z = r + jx: reactive power that is wanted weighs x on the squared
        current, against r of the losses, and a limited square of a voltage weighs |z|².
        """
        impedance = own.circuit.behind
        turned = weights.power.real * impedance.real + weights.power.imag * impedance.imag
        limits = sum(weights.limits.values()) * np.abs(impedance) ** 2
        before: Floats | None = None
        for factor, more in guards:
            wanted = np.maximum(factor * (more * limits - turned), 0.0)
            more_current = np.maximum(wanted - weights.current, 0.0)
            if before is not None and np.array_equal(more_current, before):
                continue
            before = more_current
            power = weights.power + self._offset(number, own, more_current)
            added = replace(weights, power=power, current=weights.current + more_current)
            cut = self.cut(number, own, state, added)
            if cut is not None:
                return cut
        return None

    def nearer(self, number: int, own: Period, state: State, weights: Weights) -> Cut | None:
        """Cut as ``guarded``, kept definite by the currents' distances from the plan's where need be."""
        cut = self.guarded(number, own, state, weights)
        far = self._distances(number, own) if cut is None else None
        if far is None:
            return cut
        forms, through = self._forms[id(own.circuit)], own.circuit.through
        balance = forms.balance(state, weights)
        branches = own.circuit.network.n_branch
        ends = balance[own.circuit.near].reshape(2, branches)
        with np.errstate(divide="ignore"):
            impedance = -1.0 / through[:, 1]
        lost = (np.conj(ends.mean(axis=0)) * impedance).real
        for part in _NEAR:
            near = 1.05 * np.maximum(-lost, 0.0) + part * np.abs(balance).max() * np.abs(impedance)
            cut = self.guarded(number, own, state, replace(weights, near=near), _GUARDS[1:2])
            if cut is not None:
                return cut
        return None

    def _offset(self, number: int, own: Period, current: Floats) -> Complexes:
        """Weights of the sources' powers that, under the bounds of ``enclose``, offset those of currents."""
        offset = np.zeros(len(current), dtype=np.complex128)
        for place, source in enumerate(own.fed.tolist()):
            if current[source] > 0.0 and (number, place) in self._box:
                (low_p, high_p), (low_q, high_q) = self._box[number, place]
                per = 1.0 / abs(own.circuit.sources[source].voltage[self._at(number, own, source)]) ** 2
                offset[source] = current[source] * per * complex(low_p + high_p, low_q + high_q)
        return offset

    def _at(self, number: int, own: Period, source: int) -> int:
        """Place of the plan's step in the table of a source's voltages."""
        device = own.circuit.sources[source].device
        if device < 0:
            return 0
        return int(self.point.plan.steps[device, number]) - self.problem.devices[device].lowest

    def cut(self, number: int, own: Period, state: State, weights: Weights) -> Cut | None:
        """Row of the plane that touches at a state; None where there is none."""
        found = self._forms[id(own.circuit)].support(state, weights, self._plans[number] or state)
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
        biggest = max(float(np.abs(value).max(initial=0.0)) for _, value in terms)
        if len(weights.near):
            far = self._distances(number, own)
            constant -= np.inf if far is None else float(weights.near @ far**2)
        size = max(weights.size, biggest / _LARGEST, 1e-12)
        plane = plane_of([(column, -value / size) for column, value in terms], -constant / size)
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
        at = self._at(number, own, int(own.fed[place]))
        constant = -per[at] * (low_p * high_p + low_q * high_q)
        away = per - per[at]
        table = constant + np.where(away > 0.0, away * most, away * least)
        column = [own.current[place], own.active[place], own.reactive[place]]
        value = [1.0, -per[at] * (low_p + high_p) / base, -per[at] * (low_q + high_q) / base]
        if source.device >= 0:
            column += self.lifted.step[source.device][number].tolist()
            value += (-table).tolist()
            constant = 0.0
        size = max(1.0, *map(abs, value))
        self.add_planes([Plane(np.array(column), np.array(value) / size, constant / size)])


def plane_of(terms: list[tuple[Ints, Floats]], upper: float) -> Plane:
    """Take terms together, each column once."""
    column = np.concatenate([column for column, _ in terms])
    place, member = np.unique(column, return_inverse=True)
    value = np.concatenate([value for _, value in terms])
    total: Floats = np.bincount(member, weights=value, minlength=len(place)).astype(np.float64)
    return Plane(place, total, upper)


def _by_step(circuit: Circuit, least: Complexes, at: Complexes) -> dict[int, Floats]:
    """Change of the form in the sources' voltages by every device's step, from below.

    What two devices change together is at least -|S| (|a|² + |b|²), with a and b what each changes.
    """
    found: dict[int, Floats] = {}
    slope = at.conj() @ least
    for number, (mine, voltage) in circuit.moving.items():
        moved = voltage - at[mine, None]
        others = [other for device, (own, _) in circuit.moving.items() if device != number for other in own]
        across = np.abs(least[np.ix_(mine, others)]).sum(axis=1)
        linear = 2.0 * (slope[mine] @ moved).real
        square = (moved.conj() * (least[np.ix_(mine, mine)] @ moved)).sum(axis=0).real
        found[number] = linear + square - across @ np.abs(moved) ** 2
    return found
