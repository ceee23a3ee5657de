"""What a state says of all others of the same setting: affine in the controls, with proved errors.

With the devices where they stand, V = W E + Z J and J = conj(S/V). Around a state V' with injections S'

    J - J' = conj(D/V') - conj(S' d/V'^2) + conj(R),   |R| <= |S'| |d|^2/(|V'|^2 v) + |D| |d|/(|V'| v)

where d = V - V', D = S - S', and v is the least voltage that is kept. Without R that is linear, and what R
adds follows from bounds of |d| that hold wherever the limits are kept. Close to the state both |d| and |D|
are small: of one factor of every product the largest value is taken, the other is bounded by distances of
the controls, which chords bound from above. So the errors are affine in the controls, too, and next to
nothing at the state itself. ``docs/bound.md`` has it in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.lifted import kept_voltages, largest

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.supports import State

#: Times that bounds of the voltages' distances are narrowed by themselves.
_NARROWED = 6
#: Terms of the series for distances by errors by distances.
_TERMS = 4
#: Part of a bound by which it must be above what it is mapped to: far above rounding errors.
_STRICTLY = 1e-6
#: Rounding errors of what is affine, by its size: far above what they are.
_ROUNDING = 1e-10
#: Factors of the prices that requests have in the ranges of what is affine.
_PRICES = (1.0, 0.5)


@dataclass(frozen=True, eq=False)
class Line:
    """A number that is ``constant`` + ``slope`` · u, up or down by ``error`` + ``spread`` · u at most.

    Attributes
    ----------
    constant : float
    slope : (control,)
    error : float
    spread : (control,)
    """

    constant: float
    slope: Floats
    error: float
    spread: Floats


class Enclosure:
    """Lines around a state, of one period with its devices where they stand.

    Parameters
    ----------
    problem : Problem
    number : int
        Period.
    own : Period
    state : State
        With all devices at whole steps.
    control : (control,)
        Of the state.
    ranges : list of ((2,), (2,))
        Of the active and reactive power of every source that is fed, in p.u.; infinite where there are none.
    reach : ((control,), (control,)), optional
        Least and largest values of the controls, if not all that they can take; the state's are among them.

    Attributes
    ----------
    known : bool
        Whether anything is known: not behind ratios, and not where nothing bounds the voltages.
    tangential : (node,)
        Largest distance of every voltage from the state's direction, p.u.
    """

    def __init__(
        self,
        problem: Problem,
        number: int,
        own: Period,
        state: State,
        control: Floats,
        ranges: list[tuple[Floats, Floats]],
        reach: tuple[Floats, Floats] | None = None,
    ) -> None:
        circuit = own.circuit
        free = circuit.n_bus_node
        self._own, self._control, self._ranges = own, control, ranges
        self.source = state.setting.source
        self.voltage = state.voltage[:free]
        self.known = not circuit.ratios
        if not self.known:
            return
        self._power = (own.injected + control @ own.change)[:free]
        self._change = own.change[:, :free]
        most = largest(problem, number)
        self._lowest, self._top = (np.zeros(len(most)), most) if reach is None else reach
        self.low, self.high = kept_voltages(problem, number, circuit)
        acts = (np.abs(self._power) > 0.0) | (np.abs(self._change).max(axis=0, initial=0.0) > 0.0)
        if (self.low[acts] <= 0.0).any():
            self.known = False
            return
        self._least = np.where(acts, self.low, 1.0)
        admittance = circuit.admittance.toarray()
        for bank, steps in zip(circuit.banks, state.setting.bank.tolist(), strict=True):
            admittance[bank.node, bank.node] += steps * bank.admittance
        self._given = admittance[free:]
        impedance = np.linalg.inv(admittance[:free, :free])
        turned = impedance * np.conj(self._power / self.voltage**2)
        inner = np.linalg.inv(np.eye(free) - turned @ turned.conj())
        # d = straight · c + crossed · conj(c) with c = conj(D/V') + conj(R).
        self._straight = inner @ impedance
        self._crossed = -inner @ (turned @ impedance.conj())
        per_control = np.conj(self._change / self.voltage)
        self._moved = per_control @ self._straight.T + per_control.conj() @ self._crossed.T
        self._spread = np.abs(self._straight) + np.abs(self._crossed)
        self.tangential = np.full(free, np.inf)
        self._bound_distances(np.abs(impedance))

    def _bound_distances(self, impedance: Floats) -> None:
        """Bound |V - V'| wherever the limits are kept: by what contracts, then by what is affine."""
        size, least = np.abs(self.voltage), self._least
        change = np.abs(self._change).T @ self._reach
        own, pull = change / least, np.abs(self._power) / (least * size)
        # A positive bound that is mapped strictly below itself: the map contracts, and the bound holds.
        slack = own + _STRICTLY * max(float(own.max(initial=0.0)), 1.0)
        bound = np.linalg.solve(np.eye(len(own)) - pull[:, None] * impedance, slack)
        if not ((bound > 0.0).all() and (own + pull * (impedance @ bound) < bound).all()):
            self.known = False
            return
        self._far = impedance @ bound
        unit = np.conj(self.voltage) / size
        moved = unit * self._moved
        for _ in range(_NARROWED):
            rest = self._largest(self._far)
            rows = self._asked(rest)
            room = np.abs(unit[:, None] * self._straight + np.conj(unit[:, None] * self._crossed)) @ rest
            side = np.abs(-1j * unit[:, None] * self._straight + np.conj(-1j * unit[:, None] * self._crossed))
            beside = side @ rest
            out, across = moved.real.T, moved.imag.T
            high = np.minimum(self._highest(out, rows) + room, self.high - size)
            tangent = np.maximum(self._highest(across, rows), self._highest(-across, rows)) + beside
            self.tangential = np.minimum(self.tangential, tangent)
            inside = np.sqrt(np.maximum(self.low**2 - self.tangential**2, 0.0)) - size
            low = np.maximum(-self._highest(-out, rows) - room, inside)
            radial = np.maximum(np.abs(high), np.abs(low))
            new = np.minimum(self._far, np.hypot(radial, self.tangential) * (1.0 + _ROUNDING))
            done = bool((new > 0.95 * self._far).all())
            self._far = new
            if done:
                break

    def _asked(self, rest: Floats) -> list[tuple[Floats, float, float]]:
        """Rows of the controls' changes that the ranges of the sources' powers leave: slope, least, most."""
        rows = []
        for source, ranges in zip(self._own.fed.tolist(), self._ranges, strict=True):
            for part, (low, high) in enumerate(ranges):
                if np.isfinite(low) and np.isfinite(high):
                    form = self._source_form(source, part)
                    at, slope = self._source_at(source, part), self._slope(form)
                    room = float(self._weight(form) @ rest)
                    rows.append((slope, low - at - room, high - at + room))
        return rows

    def _highest(self, slope: Floats, rows: list[tuple[Floats, float, float]]) -> Floats:
        """Bound slopes · (u - u') from above, (row, control), by the controls' ranges and rows at a price."""
        low, high = self._lowest - self._control, self._top - self._control
        best: Floats = np.maximum(slope * low, slope * high).sum(axis=1)
        if not rows:
            return best
        matrix = np.array([own for own, _, _ in rows])
        least, most = (np.array([row[side] for row in rows]) for side in (1, 2))
        width = high - low
        # Any prices are sound; those that leave least of the slopes are near the best.
        price = np.linalg.lstsq((matrix * width).T, (slope * width).T, rcond=None)[0].T
        for factor in _PRICES:
            own = factor * price
            left = slope - own @ matrix
            value = np.maximum(left * low, left * high).sum(axis=1)
            best = np.minimum(best, value + np.maximum(own * least, own * most).sum(axis=1))
        return np.asarray(best)

    def _source_form(self, source: int, part: int) -> Complexes:
        """Weights h of Re(h · (V - V')): the change of a source's active or reactive power."""
        free = len(self.voltage)
        form: Complexes = np.conj(self.source[source]) * self._given[source, :free]
        return form if part == 0 else 1j * form

    def _source_at(self, source: int, part: int) -> float:
        taken = self._given[source] @ np.concatenate([self.voltage, self.source])
        power = complex(self.source[source] * np.conj(taken))
        return power.imag if part else power.real

    def _slope(self, form: Complexes) -> Floats:
        return np.asarray((self._moved @ form).real)

    def _weight(self, form: Complexes) -> Floats:
        """Largest change of Re(h · d) per |R| at every node."""
        found: Floats = np.abs(form @ self._straight + np.conj(form @ self._crossed))
        return found

    @cached_property
    def _rest(self) -> tuple[Floats, Floats]:
        """Bounds of |R|: a constant (node,), and what grows with the controls' distances (node, control).

        |d| <= c + T |R| with c by the controls, and |R| <= a |d| + b |D|: a few terms of the series in T a,
        and what is left of it by the largest |d|.
        """
        size, far = np.abs(self.voltage), self._far
        by_far = np.abs(self._power) * far / (size**2 * self._least)
        by_change = far / (size * self._least)
        change = np.abs(self._change).T
        grown = np.abs(self._moved).T + self._spread @ (by_change[:, None] * change)
        step = self._spread * by_far
        total, term, left = grown.copy(), grown, far
        for _ in range(_TERMS):
            term = step @ term
            total += term
            left = step @ left
        left = step @ left
        return by_far * left, by_far[:, None] * total + by_change[:, None] * change

    def line(self, form: Complexes, at: float) -> Line:
        """Give Re(h · V) as a line, by weights and by its value in the state."""
        slope, weight = self._slope(form), self._weight(form)
        fixed, growing = self._rest
        steep = weight @ growing
        # Distances of controls lie below their chords.
        width = self._top - self._lowest
        with np.errstate(divide="ignore", invalid="ignore"):
            tilt = np.where(width > 0.0, (self._lowest + self._top - 2.0 * self._control) / width, 0.0)
        at_nothing = self._control - self._lowest - tilt * self._lowest
        rounding = _ROUNDING * (abs(at) + float((np.abs(slope) + steep) @ self._top))
        return Line(
            constant=at - float(slope @ self._control),
            slope=slope,
            error=float(weight @ fixed + steep @ at_nothing) + rounding,
            spread=steep * tilt,
        )

    def power(self, source: int, part: int) -> Line:
        """Active (0) or reactive (1) power of a source, p.u."""
        return self.line(self._source_form(source, part), self._source_at(source, part))

    def span(self, source: int, part: int) -> tuple[float, float]:
        """Range of a source's active (0) or reactive (1) power, p.u."""
        form, at = self._source_form(source, part), self._source_at(source, part)
        slope, room = self._slope(form)[None], float(self._weight(form) @ self._most_rest)
        rows = self._asked(self._most_rest)
        return (
            at - float(self._highest(-slope, rows)[0]) - room,
            at + float(self._highest(slope, rows)[0]) + room,
        )

    @property
    def _reach(self) -> Floats:
        """Largest distances of the controls from the state's."""
        return np.maximum(self._control - self._lowest, self._top - self._control)

    @cached_property
    def _most_rest(self) -> Floats:
        """Largest |R| of every node."""
        return self._largest(self._far)

    def _largest(self, far: Floats) -> Floats:
        size, change = np.abs(self.voltage), np.abs(self._change).T @ self._reach
        found: Floats = (np.abs(self._power) * far / size + change) * far / (size * self._least)
        return found

    def magnitude(self, node: int) -> Line:
        """Part of a voltage in the direction that it has in the state, p.u."""
        form = np.zeros(len(self.voltage), dtype=np.complex128)
        form[node] = np.conj(self.voltage[node]) / abs(self.voltage[node])
        return self.line(form, abs(self.voltage[node]))

    def current(self, row: int) -> Line:
        """Part of the current at an end of a branch in the direction that it has in the state, p.u."""
        whole = self._own.circuit.current[[row]].toarray()[0]
        at = complex(whole @ np.concatenate([self.voltage, self.source]))
        unit = np.conj(at) / abs(at) if at else 1.0
        return self.line(unit * whole[: len(self.voltage)], abs(at))
