"""What can be moved: powers, taps and banks, and what a unit of each changes at a setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.powerflow.arrays import Moves

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gridclear.network.network import Complexes, Ints, Network

#: Kinds of control.
P, Q, TAP, BANK = "p", "q", "tap", "bank"


@dataclass(frozen=True, eq=False)
class Controls:
    """What can be moved.

    Attributes
    ----------
    kind : (control,) of str
        ``p`` or ``q``: power injected, per p.u.; ``tap``: per position; ``bank``: per step.
    place : (control,) of int
        Place in the bus table, number of the tap changer in ``network.taps``, or of the bank in
        ``network.banks``.
    """

    kind: NDArray[np.str_]
    place: Ints

    @classmethod
    def of(
        cls, *, p: ArrayLike = (), q: ArrayLike = (), tap: ArrayLike = (), bank: ArrayLike = ()
    ) -> Controls:
        """Take controls in this order, each kind by its places."""
        places = [np.asarray(part, dtype=np.int64).ravel() for part in (p, q, tap, bank)]
        kinds = np.repeat(np.array([P, Q, TAP, BANK]), [len(part) for part in places])
        return cls(kinds, np.concatenate(places))


def moves_of(network: Network, positions: Ints, controls: Controls) -> Moves:
    """Turn controls into changes of injections and admittances."""
    place = controls.place
    kinds = {
        P: network.n_bus,
        Q: network.n_bus,
        TAP: len(network.taps.element),
        BANK: len(network.banks.element),
    }
    for kind, at in zip(controls.kind, place, strict=True):
        if kind not in kinds or not 0 <= at < kinds[kind]:
            known = ", ".join(f"{name} 0 … {count - 1}" for name, count in kinds.items() if count)
            raise OptionError(f"there is no control {kind} {at}; this network has {known}")
    is_bank, is_power = controls.kind == BANK, (controls.kind == P) | (controls.kind == Q)
    node = np.full(len(place), -1, dtype=np.int64)
    node[is_power] = network.structure.node_of_bus[place[is_power]]
    node[is_bank] = network.banks.node[place[is_bank]]
    shunt = np.zeros(len(place), dtype=np.complex128)
    shunt[is_bank] = network.banks.per_step[place[is_bank]]
    branches = [
        network.taps.branches[at] if kind == TAP else np.zeros(0, dtype=np.int64)
        for kind, at in zip(controls.kind, place, strict=True)
    ]
    slopes = [_tap_slope(network, positions, at) for at in place[controls.kind == TAP]]
    return Moves(
        node=node,
        power=np.where(controls.kind == P, 1.0, np.where(controls.kind == Q, 1j, 0.0)),
        shunt=shunt,
        start=np.cumsum([0, *(len(own) for own in branches)], dtype=np.int64),
        branch=np.concatenate([np.zeros(0, dtype=np.int64), *branches]),
        slope=np.concatenate([np.zeros((0, 4), dtype=np.complex128), *slopes]),
    )


def _tap_slope(network: Network, positions: Ints, changer: int) -> Complexes:
    """Change of the branch admittances per position, (k, 4); zero where there is but one position."""
    taps = network.taps
    table, at = taps.admittance[changer], positions[changer] - taps.lowest[changer]
    above, below = min(at + 1, len(table) - 1), max(at - 1, 0)
    slope: Complexes = (table[above] - table[below]) / max(above - below, 1)
    return slope
