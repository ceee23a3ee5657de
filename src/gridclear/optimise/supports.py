"""States of circuits, what planes weigh of them, and the planes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Complexes, Floats
    from gridclear.optimise.circuit import Setting
    from gridclear.powerflow.hermitian import Factors

VOLTAGE, CURRENT = "voltage", "current"


class Quantity(NamedTuple):
    """A square that is limited from above: sign · |V|² of a node, or |I|² of an end.

    Attributes
    ----------
    kind : {"voltage", "current"}
    place : int
        Node, or row of ``Circuit.current``.
    sign : int
        -1 for a limit from below.
    """

    kind: str
    place: int
    sign: int


@dataclass(frozen=True, eq=False)
class Weights:
    """What a plane bounds: weights of quantities, in EUR per p.u.

    Attributes
    ----------
    power : (source,) complex
        Of active power in the real part, of reactive power in the imaginary part, from each source.
    current : (source,)
        Of the squared currents of the sources; not negative.
    limits : mapping of Quantity to float
        Not negative.
    near : (branch,)
        Of the squared distances of the currents at the from ends from a plan's; not negative. Empty: none.
    """

    power: Complexes
    current: Floats
    limits: Mapping[Quantity, float] = field(default_factory=dict)
    near: Floats = field(default_factory=lambda: np.zeros(0))

    def scaled(self, factor: float) -> Weights:
        """All of them times a factor."""
        return Weights(
            self.power * factor,
            self.current * factor,
            {quantity: weight * factor for quantity, weight in self.limits.items()},
            self.near * factor,
        )

    def plus(self, other: Weights) -> Weights:
        """Both together."""
        limits = dict(self.limits)
        for quantity, weight in other.limits.items():
            limits[quantity] = limits.get(quantity, 0.0) + weight
        near = self.near if not len(other.near) else other.near
        if len(self.near) and len(other.near):
            near = self.near + other.near
        return Weights(self.power + other.power, self.current + other.current, limits, near)

    @property
    def key(self) -> tuple[object, ...]:
        """What is weighed, and which way."""
        turns = tuple(
            (at, complex(np.sign(one.real), np.sign(one.imag))) for at, one in enumerate(self.power)
        )
        return (*turns, *sorted(self.limits))

    @property
    def size(self) -> float:
        """Largest weight of a power."""
        return float(np.abs(self.power).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class State:
    """An AC state of a circuit.

    Attributes
    ----------
    setting : Setting
    voltage : (node,) complex
    current : (network's free node,) complex
        That is injected, with banks and ratios in the circuit.
    factors : Factors
        Of the admittances between the network's free nodes.
    steps : (device,)
        Where the devices stand, in between where a program has them so.
    """

    setting: Setting
    voltage: Complexes
    current: Complexes
    factors: Factors
    steps: Floats


@dataclass(frozen=True, eq=False)
class Support:
    """A plane: the weighted quantities, and what stands below, add up to at least ``least``.

    Of every state of the circuit, at every setting of its devices: weights · quantities + Re(conj(balance) ·
    injections) - Re(conj(balance · admittance)) · (steps - ``bank``) · |V|² of every bank + ``ratio`` · |V|²
    of every ratio >= E^H · ``least`` · E - ``room`` with the sources' voltages E.

    Attributes
    ----------
    weights : Weights
    balance : (network's free node,) complex
    bank : (bank,)
        Steps that stand in the form.
    ratio : tuple of (step,), by ratio
    least : (source, source) complex
        Hermitian.
    room : float
        For rounding errors.
    """

    weights: Weights
    balance: Complexes
    bank: Floats
    ratio: tuple[Floats, ...]
    least: Complexes
    room: float
