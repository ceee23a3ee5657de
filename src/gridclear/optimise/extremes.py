"""How far the currents of any schedule's states can be from a plan's, and how large its losses can be.

``docs/bound.md`` derives both. With J what the free nodes inject as currents, their voltages are W E + Z J;
voltages that are kept bound J, and so everything that follows from it.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

if TYPE_CHECKING:
    from gridclear.network.network import Complexes, Floats
    from gridclear.optimise.circuit import Circuit
    from gridclear.optimise.supports import State

#: Settings of the sources that are gone through.
_MOST_SETTINGS = 1000
#: Sweeps for the distances of currents, and the factor that makes a guess of them a bound that is checked.
_MOST_SWEEPS, _WIDER = 200, 1.01
#: Part of a guess by which the check must be kept: far above rounding errors.
_STRICTLY = 1e-9


class Extremes:
    """Bounds of one circuit.

    Parameters
    ----------
    circuit : Circuit
    """

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        free, whole = circuit.n_free, circuit.admittance.tocsc()
        #: What is known at all: inner nodes of ratios would need a form for every step.
        self.known = not circuit.ratios
        if not self.known:
            return
        factors = splu(sparse.csc_matrix(whole[:free, :free]))
        impedance = factors.solve(np.eye(free, dtype=np.complex128))
        idle = -factors.solve(whole[:free, free:].toarray())
        active = 0.5 * (whole + whole.conj().T)
        inside, across = active[:free, :free], active[:free, free:].toarray()
        pushed = inside @ idle + across
        self._square = np.abs(0.5 * (impedance + impedance.conj().T))
        self._linear = impedance.conj().T @ pushed
        self._constant = idle.conj().T @ pushed + across.conj().T @ idle + active[free:, free:].toarray()
        self._impedance, self._idle = np.abs(impedance), np.abs(idle)
        ends = circuit.current[: circuit.network.n_branch]
        self._end = np.abs(ends[:, :free] @ impedance)
        self._end_idle = np.abs(ends[:, :free] @ idle + ends[:, free:].toarray())
        self._voltages = _voltages(circuit)

    def losses(self, power: Floats, lowest: Floats, highest: Floats) -> float:
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
        if not self.known or self._voltages is None or (lowest[power > 0.0] <= 0.0).any():
            return np.inf
        current = power / np.where(power > 0.0, lowest, 1.0)
        drawn = 0.0
        for bank in self._circuit.banks:
            steps = float(np.abs(bank.steps).max())
            current[bank.node] += abs(bank.admittance) * steps * highest[bank.node]
            drawn += max(bank.admittance.real, 0.0) * steps * float(highest[bank.node]) ** 2
        linear = 2.0 * (current @ np.abs(self._linear @ self._voltages))
        constant = np.einsum("as,ab,bs->s", self._voltages.conj(), self._constant, self._voltages).real
        most = float(current @ self._square @ current) + float((linear + constant).max()) + drawn
        return most if np.isfinite(most) else np.inf

    def distances(
        self, state: State, power: Complexes, change: Floats, lowest: Floats, highest: Floats
    ) -> Floats | None:
        """Bound how far the currents at the branches' from ends can be from a state's, p.u.

        Parameters
        ----------
        state : State
        power : (network's free node,) complex
            That is injected in the state.
        change : (network's free node,)
            Largest change of it.
        lowest, highest : (network's free node,)
            Voltages that are kept.

        Returns
        -------
        (branch,) or None
            None where nothing bounds them.

        Notes
        -----
        |S/V - S'/V'| <= |S - S'|/least + |S'|·|V - V'|/(least·|V'|), and |V - V'| follows from the currents:
        a positive bound that is mapped strictly below itself shows that the map contracts, and so it holds.
        """
        acts = (change > 0.0) | (np.abs(power) > 0.0)
        if not self.known or (lowest[acts] <= 0.0).any():
            return None
        least = np.where(acts, lowest, 1.0)
        voltage = np.abs(state.voltage[: len(power)])
        moved = np.array(
            [
                np.abs(source.voltage - at).max()
                for source, at in zip(self._circuit.sources, state.setting.source, strict=True)
            ]
        )
        own, turned = change / least, np.abs(power) / (least * voltage)
        for bank, steps in zip(self._circuit.banks, state.setting.bank.tolist(), strict=True):
            away = float(np.abs(bank.steps - steps).max())
            if away > 0.0 and not np.isfinite(highest[bank.node]):
                return None
            own[bank.node] += abs(bank.admittance) * away * highest[bank.node] if away > 0.0 else 0.0
            turned[bank.node] += abs(bank.admittance) * abs(steps)
        fixed = own + turned * (self._idle @ moved)
        found = fixed.copy()
        for _ in range(_MOST_SWEEPS):
            new = fixed + turned * (self._impedance @ found)
            if not (new > found * (1.0 + 1e-6)).any():
                break
            found = new
        found = _WIDER * found + 1e-9
        if not (fixed + turned * (self._impedance @ found) < (1.0 - _STRICTLY) * found).all():
            return None
        return np.asarray(self._end @ found + self._end_idle @ moved)


def _voltages(circuit: Circuit) -> Complexes | None:
    """Voltages of the sources at every setting, (source, setting); None if there are too many."""
    length = {source.device: len(source.voltage) for source in circuit.sources if source.device >= 0}
    if np.prod(list(length.values()), dtype=float) > _MOST_SETTINGS:
        return None
    settings: list[dict[int, int]] = [
        dict(zip(length, steps, strict=True)) for steps in product(*map(range, length.values()))
    ]
    return np.stack(
        [[source.voltage[steps.get(source.device, 0)] for source in circuit.sources] for steps in settings],
        axis=1,
    )
