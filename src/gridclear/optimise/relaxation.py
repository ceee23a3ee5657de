"""The lifted program with its planes: solved, cut where states say so, and taken apart by periods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import OPTIMAL, Plane, Solver
from gridclear.optimise.lifted import build_lifted, coupled_rows, kept_voltages, largest
from gridclear.optimise.limited import Limited
from gridclear.optimise.supports import Forms, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.supports import State, Support

#: Weights of squared currents at the sources, in the order that they are tried: of all that a single line
#: would need, and of what limits need in it.
_GUARDS = ((1.02, 0.0), (1.02, 1.0), (1.5, 1.5), (4.0, 4.0))
#: Weights of the currents' distances from the plan's, by what a branch's impedance weighs.
_NEAR = (0.0, 0.003, 0.03, 0.3)
#: Room for the solver's tolerances, in p.u. and as a part of the cost.
_SLACK = 1e-6
#: By which the solver may miss rows and reduced costs.
_TOLERANCE = 1e-7
#: Largest number in a row, by those of the powers.
_LARGEST = 100.0
#: Costs that are rounding errors.
_TINY = 1e-10
#: Part of its width below which a range counts as narrower.
_NARROWER = 0.9


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane as a row of the program, and what it weighs, in the row's scale."""

    period: int
    plane: Plane
    weights: Weights


@dataclass(frozen=True, eq=False)
class Parts:
    """The program taken apart by periods.

    Attributes
    ----------
    solver : Solver
        Without the rows that tie periods together, but with ``rows``.
    cost : (column,)
        Folded costs.
    spare : float
        EUR that a schedule no dearer than the plan may be above the least in any one period.
    least : mapping of period to float
        Least folded costs.
    rows : tuple of Plane
        Folded costs of every period: no more than the least and what is spare.
    """

    solver: Solver
    cost: Floats
    spare: float
    least: Mapping[int, float]
    rows: tuple[Plane, ...]

    @property
    def slack(self) -> float:
        """EUR for the solver's tolerances."""
        return 1e-3 * self.spare


@dataclass(frozen=True, eq=False)
class Probe:
    """A solution with a device at one step in every period where that is not ruled out.

    Attributes
    ----------
    x : (column,)
    periods : tuple of int
        Where it is not.
    weights : mapping of period to Weights
        Of the quantities in the optimum.
    """

    x: Floats
    periods: tuple[int, ...]
    weights: Mapping[int, Weights]


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
        self._place = {number: place for place, (number, _) in enumerate(self.periods)}
        self._closed: set[int] = set()
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
        """Build the program without the rows that tie periods together, with all planes."""
        solver = Solver(self._local, _TOLERANCE)
        solver.add([*(cut.plane for cut in self.cuts), *self.ranges])
        return solver

    def folded(self, dual: Floats) -> Floats:
        """Costs of the columns less what the duals of the rows that tie periods together say of them."""
        price = np.where(self.coupled, dual[: len(self.coupled)], 0.0)
        cost = np.asarray(self.cost - self.matrix.T @ price)
        return np.where(np.abs(cost) > _TINY, cost, 0.0)

    def parts(self, answer: Answer) -> Parts | None:
        """Take a program's optimum apart by periods; None if its duals do not say how.

        Parameters
        ----------
        answer : Answer
            Of the program without whole steps.

        Notes
        -----
        A schedule that costs no more than the plan costs, by folded costs, at most the plan's less the
        program's optimum above the least in any one period.
        """
        if answer.dual is None:
            return None
        cost, solver = self.folded(answer.dual), self.apart()
        found = solver.minimise(cost)
        if found.status != OPTIMAL or not len(found.x):
            return None
        spare = max(self.point.cost - answer.objective, 0.0) + _SLACK * abs(self.point.cost)
        least = {}
        rows = []
        for number, _ in self.periods:
            mine = np.flatnonzero((self.labels == number) & (cost != 0.0))
            least[number] = float(cost[mine] @ found.x[mine])
            rows.append(Plane(mine, cost[mine], least[number] + spare))
        solver.add(rows)
        return Parts(solver, cost, spare, least, tuple(rows))

    def tightened(self, parts: Parts) -> int:
        """Narrow the ranges of the sources' powers, by what costs no more than the plan; how many."""
        base, count = self.problem.compiled.s_base_mva, 0
        places = max((len(own.fed) for _, own in self.periods), default=0)
        for place in range(places):
            ends: dict[tuple[int, int, int], float] = {}
            for part in range(2):
                columns = {
                    number: (own.active, own.reactive)[part][place]
                    for number, own in self.periods
                    if place < len(own.fed)
                }
                for side, sign in ((0, 1.0), (1, -1.0)):
                    aim = np.zeros(len(parts.cost))
                    aim[list(columns.values())] = sign
                    found = parts.solver.minimise(aim)
                    if found.status != OPTIMAL or not len(found.x):
                        continue
                    for number, column in columns.items():
                        ends[number, part, side] = float(found.x[column]) / base - sign * _SLACK
            for number, own in self.periods:
                if place < len(own.fed):
                    count += self._narrow(number, place, ends)
        return count

    def probed(self, parts: Parts) -> list[Probe]:
        """Find what every step of every device costs at least in every period, and rule out what is too dear.

        Returns the solutions of the programs that have every period at one step: cuts there make the next
        probe say more.
        """
        rows: list[Plane] = []
        probes: list[Probe] = []
        reward = 4.0 * parts.spare
        for columns in self.lifted.step:
            dear = np.full(columns.shape, np.inf)
            for place in range(columns.shape[1]):
                open_ = [number for number, _ in self.periods if columns[number, place] not in self._closed]
                if not open_:
                    continue
                aim = parts.cost.copy()
                aim[columns[open_, place]] -= reward
                found = parts.solver.minimise(aim)
                if found.status != OPTIMAL or not len(found.x):
                    dear[open_, place] = -np.inf
                    continue
                for number in open_:
                    mine = parts.rows[self._place[number]].column
                    value = float(parts.cost[mine] @ found.x[mine])
                    taken = float(found.x[columns[number, place]])
                    dear[number, place] = value + reward * (1.0 - taken) - parts.least[number] - parts.slack
                worth = [number for number in open_ if dear[number, place] < parts.spare]
                if worth and found.dual is not None:
                    first = int((~self.coupled).sum())
                    weights = self._weighed(found.dual[first : first + len(self.cuts)])
                    probes.append(Probe(found.x, tuple(worth), weights))
            for number, _ in self.periods:
                out = np.flatnonzero(dear[number] > parts.spare)
                shut = [int(column) for column in columns[number, out] if int(column) not in self._closed]
                rows += [Plane(np.array([column]), np.ones(1), 0.0) for column in shut]
                self._closed.update(shut)
                rest = np.flatnonzero((dear[number] <= parts.spare) & (dear[number] > parts.slack))
                if len(rest):
                    own = parts.rows[self._place[number]]
                    rows.append(
                        _plane(
                            [(own.column, -own.value), (columns[number, rest], dear[number, rest])],
                            -parts.least[number],
                        )
                    )
        self.add_planes(rows)
        return probes

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
        rows = dual[len(self.coupled) :]
        return self._weighed(rows[np.array([cut is not None for cut in self._rows], dtype=bool)])

    def _weighed(self, dual: Floats) -> Mapping[int, Weights]:
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
            self._plans[number] = self._state(own, control, steps.astype(np.float64))
        return self._plans[number]

    def _planned(self, number: int) -> Floats:
        """Read the controls of a period in the plan."""
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
        return self._state(own, x[own.control], steps)

    def _state(self, own: Period, control: Floats, steps: Floats) -> State | None:
        power = (own.injected + control @ own.change)[: own.circuit.n_bus_node]
        return self._forms[id(own.circuit)].state(power, steps)

    def guarded(self, number: int, own: Period, state: State, weights: Weights) -> Cut | None:
        """Cut at a state; squared currents at the sources keep the form definite where it would not be.

        Behind a source stands an impedance z = r + jx: reactive power that is wanted weighs x on the squared
        current, against r of the losses, and a limited square of a voltage weighs |z|².
        """
        impedance = own.circuit.behind
        turned = weights.power.real * impedance.real + weights.power.imag * impedance.imag
        limits = sum(weights.limits.values()) * np.abs(impedance) ** 2
        for factor, more in _GUARDS:
            wanted = np.maximum(factor * (more * limits - turned), 0.0)
            if (factor, more) != _GUARDS[0] and not wanted.any():
                break
            more_current = np.maximum(wanted - weights.current, 0.0)
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
            cut = self.guarded(number, own, state, replace(weights, near=near))
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
        plane = _plane([(column, -value / size) for column, value in terms], -constant / size)
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


def _plane(terms: list[tuple[Ints, Floats]], upper: float) -> Plane:
    """Take terms together, each column once."""
    column = np.concatenate([column for column, _ in terms])
    place, member = np.unique(column, return_inverse=True)
    value = np.concatenate([value for _, value in terms])
    total = np.bincount(member, weights=value, minlength=len(place))
    return Plane(place.astype(np.int64), total.astype(np.float64), upper)


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
