"""What a state says of all others of the same setting: quadratic in the controls, with proved errors.

With the devices where they stand, V = W E + Z J and J = conj(S/V). Around a state V' with injections S'

    J - J' = conj(D/V') - conj(S' d/V'^2) + conj(R),   |R| <= |S'| |d|^2/(|V'|^2 v) + |D| |d|/(|V'| v)

where d = V - V', D = S - S', and v is the least voltage that is kept. Without R that is linear, d1, and

    R = S' d1^2/V'^3 - D d1/V'^2 + E

is quadratic in the controls but for E, which is of third order. What E adds follows from bounds of |d| that
hold wherever the limits are kept. Where the quadratic form bends upwards, tangents bound it from below;
where it bends downwards, chords do. ``docs/bound.md`` has it in full.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import qr

from gridclear.optimise.bent import ROUNDING, Bent, Controls
from gridclear.optimise.lifted import kept_voltages, largest
from gridclear.optimise.spans import Group, highest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.network.network import Complexes, Floats
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.supports import State

    Spans = Callable[[Floats], tuple[Floats, Floats]]

#: Times that bounds of the voltages' distances are narrowed by themselves.
_NARROWED = 6
#: Terms of the series for distances by errors by distances.
_TERMS = 4
#: Part of a bound by which it must be above what it is mapped to: far above rounding errors.
_STRICTLY = 1e-6
#: Directions of the controls whose ranges are asked for.
_MOST_AXES = 24
#: Directions whose ranges are asked for besides: those of the most hollow chord, if it is as much of all, and
#: no other was asked for that is the same but for so much (a cosine).
_MOST_ASKED, _MUCH, _SAME = 8, 0.2, 0.99


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
    spans : callable, optional
        Takes weights of the controls, (row, control), and gives least and largest values of what they weigh.

    Attributes
    ----------
    known : bool
        Whether anything is known: not behind ratios, and not where nothing bounds the voltages.
    empty : bool
        Whether the ranges that were asked for say that there is no state at all.
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
        spans: Spans | None = None,
    ) -> None:
        circuit = own.circuit
        free = circuit.n_bus_node
        self._own, self._ranges = own, ranges
        self.source = state.setting.source
        self.voltage = state.voltage[:free]
        self.known, self.empty = not circuit.ratios, False
        if not self.known:
            return
        self._power = (own.injected + control @ own.change)[:free]
        self._change = own.change[:, :free]
        self._controls = Controls(control, largest(problem, number))
        self._spans = spans
        self._asked_axes: list[Floats] = []
        self._bent: dict[tuple[int, int], Bent] = {}
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
        self._narrow = None if spans is None else self._spanned(spans)
        if self.empty:
            self.known = False
            return
        self._bound_distances(np.abs(impedance))

    def _spanned(self, spans: Spans) -> Group | None:
        """Rows of the controls' changes by what moves the voltages most: slope, least, most."""
        unit = np.conj(self.voltage) / np.abs(self.voltage)
        moved = np.concatenate([(unit * self._moved).real, (unit * self._moved).imag], axis=1)
        # A few voltages that the others follow from most closely.
        order = qr(moved * self._controls.top[:, None], mode="r", pivoting=True)[1]
        axes = moved[:, order[:_MOST_AXES]].T
        axes = axes / (np.abs(axes) @ self._controls.top).max(initial=np.finfo(np.float64).tiny)
        at = axes @ self._controls.at
        low, high = spans(axes)
        self.empty = bool((low > high).any())
        rows = [
            (axis, float(least), float(most))
            for axis, least, most in zip(axes, low - at, high - at, strict=True)
            if np.isfinite(least) and np.isfinite(most)
        ]
        return Group.of(rows, self._controls.top) if rows else None

    def _bound_distances(self, impedance: Floats) -> None:
        """Bound |V - V'| wherever the limits are kept: by what contracts, then by what is affine."""
        size, least = np.abs(self.voltage), self._least
        change = self._most_change
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
            new = np.minimum(self._far, np.hypot(radial, self.tangential) * (1.0 + ROUNDING))
            done = bool((new > 0.95 * self._far).all())
            self._far = new
            if done:
                break

    def _asked(self, rest: Floats) -> list[Group]:
        """Rows of the controls' changes: by the ranges of the sources' powers, and by those of the axes.

        Apart: the powers nearly follow from the axes, and prices of both together would be far too large.
        """
        rows = []
        for source, ranges in zip(self._own.fed.tolist(), self._ranges, strict=True):
            for part, (low, high) in enumerate(ranges):
                if np.isfinite(low) and np.isfinite(high):
                    form = self._source_form(source, part)
                    at, slope = self._source_at(source, part), self._slope(form)
                    room = float(self._weight(form) @ rest)
                    rows.append((slope, low - at - room, high - at + room))
        groups = [] if self._narrow is None else [self._narrow]
        return groups + ([Group.of(rows, self._controls.top)] if rows else [])

    @cached_property
    def _groups(self) -> list[Group]:
        """Rows of the controls' changes, as narrow as they are known."""
        return self._asked(self._most_rest)

    def _highest(self, slope: Floats, groups: list[Group]) -> Floats:
        """Bound slopes · (u - u') from above, (row, control)."""
        return highest(slope, -self._controls.at, self._controls.top - self._controls.at, groups)

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
        found: Floats = np.abs(self._turned(form))
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

    @cached_property
    def _third(self) -> tuple[Floats, Floats]:
        """Bounds of |E|: a constant (node,), and what grows with the controls' distances (node, control).

        E = S' ((d - d1)(d + d1)/V'^3 - d^3/(V'^3 V)) - D ((d - d1)/V'^2 - d^2/(V'^2 V)), |d - d1| <= T |R|.
        """
        size, far, (fixed, growing) = np.abs(self.voltage), self._far, self._rest
        change = np.abs(self._change).T
        straight = np.abs(self._moved).T
        both = far + np.minimum(far + self._spread @ self._most_rest, straight @ self._controls.reach)
        bent = np.abs(self._power) / size**3
        by_rest = bent * both + self._most_change / size**2
        by_far, by_change = bent * far**2 / self._least, far**2 / (size**2 * self._least)
        beside, grown = self._spread @ fixed, self._spread @ growing
        constant = (by_rest + by_far) * beside
        steep = (by_rest + by_far)[:, None] * grown + by_far[:, None] * straight
        return constant, steep + by_change[:, None] * change

    @cached_property
    def _most_third(self) -> Floats:
        """Largest |E| of every node."""
        size, far, change = np.abs(self.voltage), self._far, self._most_change
        beside = self._spread @ self._most_rest
        both = far + np.minimum(far + beside, np.abs(self._moved).T @ self._controls.reach)
        bent = np.abs(self._power) / size**3
        found: Floats = (bent * both + change / size**2) * beside
        found += bent * far**3 / self._least + change * far**2 / (size**2 * self._least)
        return found

    def bent(self, form: Complexes, at: float) -> Bent:
        """State Re(h · V) by the controls.

        Parameters
        ----------
        form : (node,) complex
            Its weights h.
        at : float
            Its value in the state.
        """
        turned = self._turned(form)
        fixed, growing = self._third
        weight = np.abs(turned)
        bend = (self._moved * (turned * self._power / self.voltage**3)) @ self._moved.T
        bend = (bend - (self._change * (turned / self.voltage**2)) @ self._moved.T).real
        value, vector = np.linalg.eigh(0.5 * (bend + bend.T))
        axes = vector.T
        bent = Bent(
            controls=self._controls,
            at=at,
            slope=self._slope(form),
            value=value,
            axes=axes,
            low=-self._highest(-axes, self._groups),
            high=self._highest(axes, self._groups),
            error=float(weight @ self._most_third),
            fixed=float(weight @ fixed),
            growing=weight @ growing,
            size=float(self._controls.reach @ np.abs(bend) @ self._controls.reach),
        )
        if not self._ask(bent):
            return bent
        low, high = -self._highest(-axes, self._groups), self._highest(axes, self._groups)
        return replace(bent, low=low, high=high)

    def _ask(self, bent: Bent) -> bool:
        """Ask for the range of what has the most hollow chord; whether there is anything new."""
        hollow = bent.hollow
        worst = int(np.argmax(hollow))
        axis = bent.axes[worst]
        if self._spans is None or len(self._asked_axes) == _MOST_ASKED:
            return False
        if not _MUCH * hollow.sum() < hollow[worst] < np.inf:
            return False
        if any(abs(float(axis @ one)) > _SAME for one in self._asked_axes):
            return False
        self._asked_axes.append(axis)
        low, high = (float(end[0]) for end in self._spans(axis[None]))
        at = float(axis @ self._controls.at)
        if np.isfinite(low) and np.isfinite(high) and low <= high:
            self._groups.append(Group.of([(axis, low - at, high - at)], self._controls.top))
        return True

    def _turned(self, form: Complexes) -> Complexes:
        """Weights w of Re(w · R) in Re(h · d)."""
        return np.asarray(np.conj(form @ self._straight) + form @ self._crossed)

    def power(self, source: int, part: int) -> tuple[Complexes, float]:
        """Weights of the active (0) or reactive (1) power of a source, and its value in the state, p.u."""
        return self._source_form(source, part), self._source_at(source, part)

    def bent_power(self, source: int, part: int) -> Bent:
        """State the active (0) or reactive (1) power of a source by the controls."""
        if (source, part) not in self._bent:
            self._bent[source, part] = self.bent(*self.power(source, part))
        return self._bent[source, part]

    def span(self, source: int, part: int) -> tuple[float, float]:
        """Range of a source's active (0) or reactive (1) power, p.u."""
        form, at = self._source_form(source, part), self._source_at(source, part)
        slope, room = self._slope(form)[None], float(self._weight(form) @ self._most_rest)
        return (
            at - float(self._highest(-slope, self._groups)[0]) - room,
            at + float(self._highest(slope, self._groups)[0]) + room,
        )

    @cached_property
    def _most_change(self) -> Floats:
        """Largest |D| of every node: what some controls add, others take away again."""
        low, high = -self._controls.at, self._controls.top - self._controls.at
        sides = []
        for part in (self._change.real.T, self._change.imag.T):
            up, down = np.maximum(part, 0.0), np.minimum(part, 0.0)
            sides.append(np.maximum(up @ high + down @ low, -(up @ low + down @ high)))
        found: Floats = np.hypot(sides[0], sides[1])
        return found

    @cached_property
    def _most_rest(self) -> Floats:
        """Largest |R| of every node."""
        return self._largest(self._far)

    def _largest(self, far: Floats) -> Floats:
        size, change = np.abs(self.voltage), self._most_change
        found: Floats = (np.abs(self._power) * far / size + change) * far / (size * self._least)
        return found

    def magnitude(self, node: int, toward: complex) -> tuple[Complexes, float]:
        """Weights of the part of a voltage in a direction, and its value in the state, p.u."""
        form = np.zeros(len(self.voltage), dtype=np.complex128)
        form[node] = np.conj(toward) / abs(toward)
        return form, float((form[node] * self.voltage[node]).real)

    def current(self, row: int, voltage: Complexes) -> tuple[Complexes, float]:
        """Weights of the part of the current at an end of a branch in the direction that voltages give it.

        Returns also its value in the state, p.u.; the sources' voltages stand fast.
        """
        whole = self._own.circuit.current[[row]].toarray()[0]
        other = complex(whole @ voltage)
        unit = np.conj(other) / abs(other) if other else 1.0
        every = np.concatenate([self.voltage, self.source])
        return unit * whole[: len(self.voltage)], float((unit * (whole @ every)).real)
