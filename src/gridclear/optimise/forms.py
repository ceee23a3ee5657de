"""Planes that no state of a circuit lies below: a Lagrangian of the power balance at its least value.

``docs/bound.md`` derives them. The power that flows into the circuit at node i is S_i = V_i · conj((Y V)_i),
so that every sum of weights times powers, squared currents and squared voltages is a Hermitian form in V.
Where the form is positive definite on the free nodes, its least value over all V is a form in the sources'
voltages alone. With weights that make it stationary at a state, the plane touches what it bounds there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.topology import rows_of_l, starts
from gridclear.optimise.supports import CURRENT, State, Support
from gridclear.powerflow.hermitian import (
    DEFINITE,
    SETTLED,
    Factors,
    Pattern,
    lay,
    least_value,
    settle,
    stationary,
)

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit, Setting
    from gridclear.optimise.supports import Weights

#: Part of the form's largest number by which it must be positive definite: far above rounding errors.
_DEFINITE = 1e-12
#: Rounding errors of a form's value, by the size of what is added up.
_ROUNDING = 1e-14
#: Sweeps for a state and for the weights of its power balance, and the relative changes that end them: a
#: plane is as sound with any weights, and misses its state by the square of their error.
_MOST_SWEEPS, _SETTLED, _STATIONARY = 60, 1e-11, 1e-8
#: Weights of the inner voltages of ratios, by the size of the form there, in the order that they are tried.
_STIFF = (0.0, 0.01, 0.1, 1.0)


@dataclass(frozen=True, eq=False)
class _Slots:
    """Where the entries of matrices of one structure go.

    Attributes
    ----------
    pattern : Pattern
        Of the free nodes.
    key : (slot,) of int
        row · free + column of what stands above the diagonal, ascending.
    free, size : int
        Free nodes, and all.
    """

    pattern: Pattern
    key: Ints
    free: int
    size: int

    @classmethod
    def of(cls, row: Ints, column: Ints, free: int, size: int) -> _Slots:
        # By columns of what stands above the diagonal: rows of the factor below it.
        rows = rows_of_l(free, row, column)
        count = np.array([len(own) for own in rows], dtype=np.int64)
        at = np.repeat(np.arange(free, dtype=np.int64), count)
        upper = np.array([one for own in rows for one in own], dtype=np.int64)
        key = np.sort(upper * free + at)
        back = np.searchsorted(key, upper * free + at)
        pattern = Pattern(starts(upper, free), key % free, starts(at, free), back, upper)
        return cls(pattern, key, free, size)

    @property
    def count(self) -> int:
        """Slots: the diagonal, what is above, what is below, columns of sources twice, and the rest."""
        sources = self.size - self.free
        return self.free + 2 * len(self.key) + sources * self.size + 1

    def place(self, row: Ints, column: Ints) -> Ints:
        """Slots of entries, as in ``count``; the last one takes what mirrors the sources' columns."""
        free, fill, sources = self.free, len(self.key), self.size - self.free
        above = np.searchsorted(self.key, np.minimum(row, column) * free + np.maximum(row, column))
        inside = np.where(row == column, row, free + above + np.where(row > column, fill, 0))
        columns = free + 2 * fill + (column - free) * free + row
        corner = free + 2 * fill + sources * free + (column - free) * sources + row - free
        outside = np.where(row < free, columns, np.where(column < free, self.count - 1, corner))
        return np.where((row < free) & (column < free), inside, outside)

    def filled(self, slot: Ints, value: Complexes) -> tuple[Factors, Complexes]:
        """Add up a matrix between free nodes, and the sources' columns there (node, source)."""
        free, fill, data = self.free, len(self.key), _summed(slot, value, self.count)
        parts = np.split(data, [free, free + fill, free + 2 * fill])
        across = parts[3][: (self.size - free) * free].reshape(self.size - free, free).T
        return Factors(self.pattern, parts[0], parts[1], parts[2]), across


class Forms:
    """States of a circuit, and planes that touch them.

    Parameters
    ----------
    circuit : Circuit
    """

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        size, free, buses = circuit.admittance.shape[0], circuit.n_free, circuit.n_bus_node
        entries = circuit.admittance.tocoo()
        nodes = np.arange(size)
        # Every diagonal has an entry of its own, which banks and limits add to.
        self._row = np.concatenate([entries.coords[0], nodes]).astype(np.int64)
        self._column = np.concatenate([entries.coords[1], nodes]).astype(np.int64)
        self._value = np.concatenate([entries.data, np.zeros(size)])
        self._diagonal = len(entries.data) + nodes
        self._squares = self._source_squares()
        outer = np.array([ratio.node for ratio in circuit.ratios], dtype=np.int64)
        inner = buses + np.arange(len(outer))
        row = np.concatenate([self._row, self._column, self._squares[1], outer, inner])
        column = np.concatenate([self._column, self._row, self._squares[2], inner, outer])
        self._slots = _Slots.of(row, column, free, size)
        self._own = self._slots.place(self._row, self._column)
        self._turned = self._slots.place(self._column, self._row)
        self._square = self._slots.place(self._squares[1], self._squares[2])
        # Inner nodes of ratios go with their buses' nodes.
        self._joined = np.concatenate(
            [
                np.arange(buses),
                [ratio.node for ratio in circuit.ratios],
                np.arange(buses, buses + size - free),
            ]
        ).astype(np.int64)
        row, column = self._joined[self._row], self._joined[self._column]
        self._flow = _Slots.of(row, column, buses, buses + size - free)
        self._flowing = self._flow.place(row, column)
        self._ends = circuit.current
        branches = circuit.network.n_branch
        # Both nodes of every branch, as its from end sees them.
        self._near_node = np.stack([circuit.near[:branches], circuit.near[branches:]], axis=1)
        self._near_value = circuit.through

    def _source_squares(self) -> tuple[Ints, Ints, Ints, Complexes]:
        """Entries of the squared currents of the sources: source, row, column, value."""
        given = self.circuit.admittance[self.circuit.n_free :]
        parts = []
        for source in range(len(self.circuit.sources)):
            begin, end = given.indptr[source], given.indptr[source + 1]
            node, value = given.indices[begin:end].astype(np.int64), given.data[begin:end]
            row, column = np.repeat(node, len(node)), np.tile(node, len(node))
            parts.append((np.full(len(row), source), row, column, np.outer(value.conj(), value).ravel()))
        source_, row_, column_, value_ = (np.concatenate(part) for part in zip(*parts, strict=True))
        return source_, row_, column_, value_

    def state(self, power: Complexes, steps: Floats) -> State | None:
        """Solve the power flow.

        Parameters
        ----------
        power : (network's free node,) complex
            Injected, in p.u.
        steps : (device,)

        Returns
        -------
        State or None
            None where no state is found.
        """
        circuit = self.circuit
        setting = circuit.setting(steps)
        buses = circuit.n_bus_node
        value = self._shunted(setting)
        factor = self._factor(setting)
        value = factor[self._row].conj() * value * factor[self._column]
        factors, across = self._flow.filled(self._flowing, value)
        if lay(*factors):
            return None
        voltage, current = np.empty((2, buses), dtype=np.complex128)
        given = -across @ setting.source
        if settle(*factors, given, power, _MOST_SWEEPS, _SETTLED, voltage, current) != SETTLED:
            return None
        every = factor * np.concatenate([voltage, setting.source])[self._joined]
        return State(setting, every, current, factors, steps)

    def _shunted(self, setting: Setting) -> Complexes:
        """Entries of the admittances with the banks at their steps."""
        value: Complexes = self._value.copy()
        for bank, steps in zip(self.circuit.banks, setting.bank.tolist(), strict=True):
            value[self._diagonal[bank.node]] += steps * bank.admittance
        return value

    def _factor(self, setting: Setting) -> Complexes:
        """Factors that make each node's voltage from its bus's."""
        ones = np.ones(len(setting.source), dtype=np.complex128)
        return np.concatenate([np.ones(self.circuit.n_bus_node), setting.ratio, ones])

    def support(self, state: State, weights: Weights, plan: State) -> Support | None:
        """Find the plane that touches at a state.

        Parameters
        ----------
        state : State
            The plane is sound whatever it is.
        weights : Weights
        plan : State
            From which the distances of currents count.

        Returns
        -------
        Support or None
            None where the form is not positive definite.
        """
        circuit, setting = self.circuit, state.setting
        value = self._shunted(setting)
        slot, square, slope = self._limited(state.voltage, weights)
        if len(weights.near):
            where, more, pull = self._near(state.voltage, weights.near, plan.voltage)
            slot, square, slope = np.concatenate([slot, where]), np.concatenate([square, more]), slope + pull
        taken, row, column, own = self._squares
        drawn = weights.current[taken] * own
        slot = np.concatenate([slot, self._square])
        square = np.concatenate([square, drawn])
        slope = slope + _summed(row, drawn * state.voltage[column], len(slope))
        balance = self._balance(state, value, weights.power, slope)
        if not np.isfinite(balance).all():
            return None
        every = np.concatenate([balance, [balance[ratio.node] for ratio in circuit.ratios], weights.power])
        half = 0.5 * every[self._row] * value
        slot = np.concatenate([self._own, self._turned, slot])
        entry = np.concatenate([half, half.conj(), square])
        if not circuit.ratios:
            return self._least(slot, entry, Support(weights, balance, setting.bank, (), entry[:0], 0.0))
        for at, own_half in zip((self._row, self._column), (half, half.conj()), strict=True):
            other = self._column if at is self._row else self._row
            np.add.at(slope, at, own_half * state.voltage[other])
        for stiff in _STIFF:
            where, tied, tables = self._tied(state.voltage, slope, value, every, stiff)
            part = Support(weights, balance, setting.bank, tables, entry[:0], 0.0)
            found = self._least(np.concatenate([slot, where]), np.concatenate([entry, tied]), part)
            if found is not None:
                return found
        return None

    def balance(self, state: State, weights: Weights) -> Complexes:
        """Weights of the power balance at every node, the sources' own behind the free ones."""
        value = self._shunted(state.setting)
        _, _, slope = self._limited(state.voltage, weights)
        found = self._balance(state, value, weights.power, slope)
        return np.concatenate([found, [found[one.node] for one in self.circuit.ratios], weights.power])

    def _limited(self, voltage: Complexes, weights: Weights) -> tuple[Ints, Complexes, Complexes]:
        """Slots and entries of the limited squares, and their slope: the form times the voltages."""
        slope = np.zeros(len(voltage), dtype=np.complex128)
        row, column, value = [], [], []
        for (kind, place, sign), weight in weights.limits.items():
            node, factor = np.array([place]), np.ones(1, dtype=np.complex128)
            if kind == CURRENT:
                begin, end = self._ends.indptr[place], self._ends.indptr[place + 1]
                node, factor = self._ends.indices[begin:end].astype(np.int64), self._ends.data[begin:end]
            slope[node] += sign * weight * factor.conj() * (factor @ voltage[node])
            row.append(np.repeat(node, len(node)))
            column.append(np.tile(node, len(node)))
            value.append(sign * weight * np.outer(factor.conj(), factor).ravel())
        if not row:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.complex128), slope
        slot = self._slots.place(np.concatenate(row), np.concatenate(column))
        return slot, np.concatenate(value), slope

    def _near(self, voltage: Complexes, weight: Floats, plan: Complexes) -> tuple[Ints, Complexes, Complexes]:
        """As ``_limited``, of distances of currents: the plan's are shares of the first source's voltage."""
        reference = self.circuit.n_free
        own = np.flatnonzero(weight)
        node, value = self._near_node[own], self._near_value[own].copy()
        node = np.concatenate([node, np.full((len(own), 1), reference)], axis=1)
        share = (value * plan[node[:, :2]]).sum(axis=1) / plan[reference]
        value = np.concatenate([value, -share[:, None]], axis=1)
        slope = np.zeros(len(voltage), dtype=np.complex128)
        away = weight[own] * (value * voltage[node]).sum(axis=1)
        np.add.at(slope, node, value.conj() * away[:, None])
        row, column = np.repeat(node, 3, axis=1), np.tile(node, (1, 3))
        entry = weight[own, None] * np.repeat(value.conj(), 3, axis=1) * np.tile(value, (1, 3))
        return self._slots.place(row.ravel(), column.ravel()), entry.ravel().astype(np.complex128), slope

    def _balance(self, state: State, value: Complexes, power: Complexes, slope: Complexes) -> Complexes:
        """Weights of the power balance that make the form stationary at a state, where devices stand.

        With w the weights and I = Y V, the gradient is w·I + Y^H (conj(w)·V) + 2 · slope: a fixed point in
        conj(w)·V with the factors of Y, as the power flow's.
        """
        buses, free = self.circuit.n_bus_node, self.circuit.n_free
        factor = self._factor(state.setting)
        given = 2.0 * slope
        # What the sources' weights add: Y^H of their columns.
        mine = np.flatnonzero(self._row >= free)
        source = self._row[mine] - free
        pushed = value[mine].conj() * power[source].conj() * state.voltage[self._row[mine]]
        np.add.at(given, self._column[mine], pushed)
        total = np.zeros(buses, dtype=np.complex128)
        np.add.at(total, self._joined[:free], (factor.conj() * given)[:free])
        weight = np.empty(buses, dtype=np.complex128)
        at = state.voltage[:buses]
        stationary(*state.factors, at, state.current, total, _MOST_SWEEPS, _STATIONARY, weight)
        return weight

    def _tied(
        self, voltage: Complexes, slope: Complexes, value: Complexes, every: Complexes, stiff: float
    ) -> tuple[Ints, Complexes, tuple[Floats, ...]]:
        """Tie inner nodes to their buses so that the form is stationary there; what that costs by step."""
        buses = self.circuit.n_bus_node
        row, column, tied = [], [], []
        tables: list[Floats] = []
        for number, ratio in enumerate(self.circuit.ratios):
            outer, inner = ratio.node, buses + number
            v, m, g = voltage[outer], voltage[inner], slope[inner]
            diagonal = (self._row == inner) & (self._column == inner)
            own = stiff * abs(complex((every[inner] * value[diagonal]).sum()))
            cross = np.conj((-g - own * m) / v)
            far = float((2.0 * np.real(np.conj(m) * g) + own * abs(m) ** 2) / abs(v) ** 2)
            row += [outer, outer, inner, inner]
            column += [outer, inner, outer, inner]
            tied += [far, cross, np.conj(cross), own]
            tables.append(far + 2.0 * np.real(cross * ratio.ratio) + own * np.abs(ratio.ratio) ** 2)
        slot = self._slots.place(np.array(row), np.array(column))
        return slot, np.array(tied, dtype=np.complex128), tuple(tables)

    def _least(self, slot: Ints, entry: Complexes, part: Support) -> Support | None:
        """Least value of a form over all voltages of free nodes, as a form in the sources'; None if none."""
        sources = len(self.circuit.sources)
        least, figures = np.empty((sources, sources), dtype=np.complex128), np.empty(3)
        if least_value(self._slots.pattern, slot, entry, _DEFINITE, least, figures) != DEFINITE:
            return None
        missed, spare, added = figures.tolist()
        size = sum(float(np.abs(source.voltage).max()) ** 2 for source in self.circuit.sources)
        room = size * (missed / spare + _ROUNDING * added)
        return Support(
            part.weights, part.balance, part.bank, part.ratio, 0.5 * (least + least.conj().T), room
        )


def _summed(place: Ints, value: Complexes, count: int) -> Complexes:
    """Add up values by their places."""
    found: Complexes = np.bincount(place, value.real, count) + 1j * np.bincount(place, value.imag, count)
    return found
