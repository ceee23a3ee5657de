"""Rows that hold where all devices of a period stand at given steps, and ask for nothing elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.relaxation import plane_of
from gridclear.optimise.supports import VOLTAGE

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.enclosures import Enclosure, Line
    from gridclear.optimise.highs import Plane
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.relaxation import Relaxation
    from gridclear.optimise.supports import Quantity, State

#: Limits of a state that are looked at.
_WORST = 6


class Conditional:
    """Rows around a state of one period.

    Parameters
    ----------
    relaxation : Relaxation
    number : int
        Period.
    own : Period
    enclosure : Enclosure
    place : (device,) of int
        Steps, from the lowest.
    most : (control,)
        Largest values of the controls.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        number: int,
        own: Period,
        enclosure: Enclosure,
        place: Ints,
        most: Floats,
    ) -> None:
        self._relaxation, self._number, self._own, self._enclosure = relaxation, number, own, enclosure
        self._place, self._most = place, most
        self._stands = np.array(
            [columns[number, at] for columns, at in zip(relaxation.lifted.step, place.tolist(), strict=True)],
            dtype=np.int64,
        )

    def planes(self, state: State) -> list[Plane]:
        """Rows of the sources' powers, and of the limits that the state breaks."""
        found = self._sources()
        broken = self._relaxation.limited.broken(self._number, self._own.circuit, state.voltage, state.steps)
        return found + [one for quantity in broken[:_WORST] for one in self._limit(quantity)]

    def _row(self, line: Line, sign: float, upper: float, extra: list[tuple[Ints, Floats]]) -> list[Plane]:
        """Row sign · line + extra <= upper, as far as the line's error lets it be said."""
        slope = sign * line.slope - line.spread
        # With the devices elsewhere, nothing is asked for.
        room = float(np.maximum(slope, 0.0) @ self._most)
        return self._void(
            [(self._own.control, slope), *extra], upper - sign * line.constant + line.error, room
        )

    def _void(self, terms: list[tuple[Ints, Floats]], upper: float, most: float) -> list[Plane]:
        """Row that holds where the devices stand; ``most`` is the largest value of its left side anywhere."""
        if not np.isfinite(most):
            return []
        more = max(most - upper, 0.0)
        if more == 0.0:
            return []
        count = len(self._stands)
        return [plane_of([*terms, (self._stands, np.full(count, more))], upper + count * more)]

    def _sources(self) -> list[Plane]:
        own, base = self._own, self._relaxation.problem.compiled.s_base_mva
        found: list[Plane] = []
        for place, (source, ranges) in enumerate(
            zip(own.fed.tolist(), self._relaxation.ranges_of(self._number, own), strict=True)
        ):
            for part, columns in enumerate((own.active, own.reactive)):
                line, (low, high) = self._enclosure.power(source, part), ranges[part]
                for sign, end in ((1.0, -low), (-1.0, high)):
                    # sign · line <= sign · power: rows over the controls and the power's column.
                    slope = sign * line.slope - line.spread
                    most = float(np.maximum(slope, 0.0) @ self._most) + float(end)
                    terms = [(own.control, slope), (columns[[place]], np.array([-sign / base]))]
                    found += self._void(terms, line.error - sign * line.constant, most)
            found += self._current(place, source, ranges)
        return found

    def _current(self, place: int, source: int, ranges: tuple[Floats, Floats]) -> list[Plane]:
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
        return self._void(terms, upper, most)

    def _limit(self, quantity: Quantity) -> list[Plane]:
        kind, place, sign = quantity
        enclosure = self._enclosure
        if kind == VOLTAGE:
            line = enclosure.magnitude(place)
            if sign > 0:
                return self._row(line, 1.0, float(enclosure.high[place]), [])
            inside = float(enclosure.low[place] ** 2 - enclosure.tangential[place] ** 2)
            return self._row(line, -1.0, -np.sqrt(max(inside, 0.0)), [])
        ceiling = self._relaxation.limited.ceiling(self._number, self._own.circuit, quantity)
        most = ceiling.constant
        if len(ceiling.column):
            mine = np.isin(ceiling.column, self._stands)
            most += float(ceiling.value[mine].sum())
        return self._row(enclosure.current(place), 1.0, float(np.sqrt(most)), [])
