"""The largest losses that any schedule can have: by the largest currents that its injections can be."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.circuit import Circuit

#: Settings of the sources that are gone through.
_MOST_SETTINGS = 1000


class MostLosses:
    """Bounds of one circuit.

    With J what the free nodes inject as currents, their voltages are W E + Z J, and the losses a form in E and
    J: each term is at most the product of the magnitudes.

    Parameters
    ----------
    circuit : Circuit
    """

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        free, whole = circuit.n_free, circuit.admittance.tocsc()
        self._known = not circuit.ratios
        if not self._known:
            return
        try:
            factors = splu(sparse.csc_matrix(whole[:free, :free]))
        except RuntimeError:
            self._known = False
            return
        impedance = factors.solve(np.eye(free, dtype=np.complex128))
        idle = -(impedance @ whole[:free, free:].toarray())
        active = 0.5 * (whole + whole.conj().T)
        inside, across = active[:free, :free], active[:free, free:].toarray()
        pushed = inside @ idle + across
        self._square = np.abs(0.5 * (impedance + impedance.conj().T))
        self._linear = impedance.conj().T @ pushed
        self._constant = (
            idle.conj().T @ pushed + across.conj().T @ idle + active[free:, free:].toarray()
        )
        self._voltages = _voltages(circuit)

    def at(self, power: Floats, lowest: Floats, highest: Floats) -> float:
        """Bound the losses, p.u.

        Parameters
        ----------
        power : (network's free node,)
            Largest apparent power that is injected.
        lowest, highest : (network's free node,)
            Voltages that are kept.

        Returns
        -------
        float
            Infinite where nothing bounds them.
        """
        if not self._known or self._voltages is None:
            return np.inf
        if (lowest[power > 0.0] <= 0.0).any():
            return np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            current = np.where(power > 0.0, power / lowest, 0.0)
        drawn = 0.0
        for bank in self._circuit.banks:
            steps = float(np.abs(bank.steps).max())
            current[bank.node] += abs(bank.admittance) * steps * highest[bank.node]
            drawn += max(bank.admittance.real, 0.0) * steps * float(highest[bank.node]) ** 2
        linear = 2.0 * (current @ np.abs(self._linear @ self._voltages))
        constant = np.einsum("as,ab,bs->s", self._voltages.conj(), self._constant, self._voltages).real
        most = float(current @ self._square @ current) + float((linear + constant).max()) + drawn
        return most if np.isfinite(most) else np.inf


def _voltages(circuit: Circuit) -> Complexes | None:
    """Voltages of the sources at every setting, (source, setting); None if there are too many."""
    devices = sorted({source.device for source in circuit.sources if source.device >= 0})
    lengths = {
        source.device: len(source.voltage) for source in circuit.sources if source.device >= 0
    }
    if np.prod([lengths[device] for device in devices], dtype=float) > _MOST_SETTINGS:
        return None
    settings: list[Ints] = [
        np.array(steps, dtype=np.int64) for steps in product(*(range(lengths[device]) for device in devices))
    ]
    return np.stack(
        [
            np.array(
                [
                    source.voltage[steps[devices.index(source.device)] if source.device >= 0 else 0]
                    for source in circuit.sources
                ]
            )
            for steps in settings
        ],
        axis=1,
    )
