"""Rows that hold where all devices of a period stand at given steps, and ask for nothing elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.enclosures import Enclosure
from gridclear.optimise.lifted import largest
from gridclear.optimise.relaxation import Cut, plane_of
from gridclear.optimise.supports import VOLTAGE, Weights

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.bent import Bent, Line
    from gridclear.optimise.enclosures import Spans
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.relaxation import Relaxation
    from gridclear.optimise.supports import Quantity, State

#: Limits of a state that are looked at.
_WORST = 6
#: Largest number in a row. Rows around states that hardly exist have larger ones: they say nothing, and spoil
#: programs.
_LARGEST = 1e7


@dataclass(frozen=True, eq=False)
class Weighed:
    """Powers and limits, weighed: what is ``bent`` and the terms are together no larger than ``upper``.

    ``more`` is the largest value of the terms anywhere.
    """

    bent: Bent
    terms: list[tuple[Ints, Floats]]
    upper: float
    more: float
    weights: Weights


class Conditional:
    """Rows around a state of one period.

    Parameters
    ----------
    relaxation : Relaxation
    number : int
        Period.
    own : Period
    enclosure : Enclosure
    stands : tuple by device of int
        Columns that say that the devices stand there.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        number: int,
        own: Period,
        enclosure: Enclosure,
        stands: tuple[int, ...],
    ) -> None:
        self._relaxation, self._number, self._own, self._enclosure = relaxation, number, own, enclosure
        self._stands, self._most = stands, largest(relaxation.problem, number)

    @classmethod
    def around(
        cls,
        relaxation: Relaxation,
        number: int,
        own: Period,
        stands: tuple[int, ...],
        state: State,
        control: Floats,
        spans: Spans | None = None,
    ) -> Conditional:
        """Enclose a state with its controls; ``spans`` as of ``Enclosure``."""
        ranges = relaxation.ranges_of(number, own)
        enclosure = Enclosure(relaxation.problem, number, own, state, control, ranges, spans)
        return cls(relaxation, number, own, enclosure, stands)

    @property
    def empty(self) -> bool:
        """Whether no state is in the ranges that were asked for."""
        return self._enclosure.empty

    def cut_off(self, x: Floats, state: State, control: Floats, weighed: Weighed | None) -> list[Cut]:
        """Rows that a solution breaks; the others as of ``cuts``."""
        return [one for one in self.cuts(state, control, weighed) if one.broken_by(x)]

    def cuts(self, state: State, control: Floats, weighed: Weighed | None) -> list[Cut]:
        """Rows of the sources' powers, of the limits that a state breaks, and of what an optimum weighs.

        Parameters
        ----------
        state : State
            Where the rows are as close as can be.
        control : (control,)
            Of the state.
        weighed : Weighed, optional
            What the optimum that led there weighs: together it bends less than one by one.
        """
        if not self._enclosure.known:
            return []
        broken = self._relaxation.limited.broken(self._number, self._own.circuit, state.voltage, state.steps)
        found = self._sources(control)
        for quantity in broken[:_WORST]:
            form, at, most = self._limit(quantity, state)
            weights = Weights(*self._nothing(), {quantity: 0.5 / abs(most)}) if most else None
            if weights is not None:
                line = self._enclosure.bent(form, at).below(control)
                found += self._row(line, most, [], weights)
        if weighed is not None:
            line = weighed.bent.below(control)
            found += self._row(line, weighed.upper, weighed.terms, weighed.weights, weighed.more)
        return found

    def _nothing(self) -> tuple[Complexes, Floats]:
        """Weights of no power and no current."""
        count = len(self._own.circuit.sources)
        return np.zeros(count, dtype=np.complex128), np.zeros(count)

    def _row(
        self, line: Line, upper: float, terms: list[tuple[Ints, Floats]], weights: Weights, more: float = 0.0
    ) -> list[Cut]:
        """Row line + terms <= upper where the devices stand; ``more`` is what terms are at most anywhere."""
        # With the devices elsewhere, nothing is asked for.
        most = float(np.maximum(line.slope, 0.0) @ self._most) + more
        return self._void([(self._own.control, line.slope), *terms], upper - line.constant, most, weights)

    def weighed(self, state: State, worth: Weights) -> Weighed | None:
        """Sum up powers and limits as they are weighed, limits as a state has them; None if nothing is."""
        own, base, enclosure = self._own, self._relaxation.problem.compiled.s_base_mva, self._enclosure
        if not enclosure.known:
            return None
        form = np.zeros(own.circuit.n_bus_node, dtype=np.complex128)
        at, upper, more = 0.0, 0.0, 0.0
        terms: list[tuple[Ints, Floats]] = []
        for place, (source, ranges) in enumerate(
            zip(own.fed.tolist(), self._relaxation.ranges_of(self._number, own), strict=True)
        ):
            weight = complex(worth.power[source])
            for part, (columns, price) in enumerate(((own.active, weight.real), (own.reactive, weight.imag))):
                if price:
                    one, value = enclosure.power(source, part)
                    form, at = form + price * one, at + price * value
                    terms.append((columns[[place]], np.array([-price / base])))
                    more += float(np.max(-price * ranges[part]))
        for quantity, weighed in worth.limits.items():
            one, value, most = self._limit(quantity, state)
            # Weights are those of squares.
            price = 2.0 * weighed * abs(most)
            form, at, upper = form + price * one, at + price * value, upper + price * most
        size = float(np.abs(worth.power).max(initial=0.0))
        if not terms or not np.isfinite(more) or not size:
            return None
        scaled = [(column, value / size) for column, value in terms]
        bent = enclosure.bent(form / size, at / size)
        return Weighed(bent, scaled, upper / size, more / size, worth.scaled(1.0 / size))

    def _void(
        self, terms: list[tuple[Ints, Floats]], upper: float, most: float, weights: Weights
    ) -> list[Cut]:
        """Row that holds where the devices stand; ``most`` is the largest value of its left side anywhere."""
        if not np.isfinite(most):
            return []
        more = max(most - upper, 0.0)
        if more == 0.0:
            return []
        count = len(self._stands)
        standing = (np.array(self._stands, dtype=np.int64), np.full(count, more))
        plane = plane_of([*terms, standing], upper + count * more)
        if not np.abs(plane.value).max(initial=0.0) <= _LARGEST:
            return []
        return [Cut(self._number, plane, weights, self._stands)]

    def _sources(self, control: Floats) -> list[Cut]:
        own, base = self._own, self._relaxation.problem.compiled.s_base_mva
        found: list[Cut] = []
        for place, (source, ranges) in enumerate(
            zip(own.fed.tolist(), self._relaxation.ranges_of(self._number, own), strict=True)
        ):
            for part, columns in enumerate((own.active, own.reactive)):
                bent = self._enclosure.bent_power(source, part)
                low, high = ranges[part]
                for one, sign, end in ((bent, 1.0, -low), (bent.negative, -1.0, high)):
                    # sign · line <= sign · power: rows over the controls and the power's column.
                    line = one.below(control)
                    power, current = self._nothing()
                    power[source] = sign * (1.0j if part else 1.0)
                    terms = [(columns[[place]], np.array([-sign / base]))]
                    found += self._row(line, 0.0, terms, Weights(power, current), float(end))
            found += self._current(place, source, ranges)
        return found

    def _current(self, place: int, source: int, ranges: tuple[Floats, Floats]) -> list[Cut]:
        """Bound the squared current of a source by chords over its ranges at these steps."""
        own, base = self._own, self._relaxation.problem.compiled.s_base_mva
        if not all(np.isfinite(part).all() for part in ranges):
            return []
        spans = []
        for part in range(2):
            low, high = self._enclosure.span(source, part)
            low = max(low, float(ranges[part][0]))
            spans.append((low, max(low, min(high, float(ranges[part][1])))))
        per = 1.0 / abs(complex(self._enclosure.source[source])) ** 2
        largest = 1.0 / np.abs(own.circuit.sources[source].voltage).min() ** 2
        most = largest * sum(float(np.abs(part).max()) ** 2 for part in ranges)
        terms = [(own.current[[place]], np.ones(1))]
        upper = 0.0
        for part, columns in enumerate((own.active, own.reactive)):
            low, high = spans[part]
            slope = per * (low + high)
            terms.append((columns[[place]], np.array([-slope / base])))
            most += float(np.max(-slope * ranges[part]))
            upper -= per * low * high
        return self._void(terms, upper, most, Weights(*self._nothing()))

    def _limit(self, quantity: Quantity, state: State) -> tuple[Complexes, float, float]:
        """Weights of what is limited, its value in the state of the enclosure, and its largest one."""
        kind, place, sign = quantity
        enclosure = self._enclosure
        if kind == VOLTAGE and sign > 0:
            return *enclosure.magnitude(place, complex(state.voltage[place])), float(enclosure.high[place])
        if kind == VOLTAGE:
            form, at = enclosure.magnitude(place, complex(enclosure.voltage[place]))
            inside = float(enclosure.low[place] ** 2 - enclosure.tangential[place] ** 2)
            return -form, -at, -np.sqrt(max(inside, 0.0))
        ceiling = self._relaxation.limited.ceiling(self._number, self._own.circuit, quantity)
        most = ceiling.constant
        if len(ceiling.column):
            mine = np.isin(ceiling.column, self._stands)
            most += float(ceiling.value[mine].sum())
        return *enclosure.current(place, state.voltage), float(np.sqrt(most))
