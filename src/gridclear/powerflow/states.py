"""Solved scenarios, as users see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap

from gridclear.errors import OptionError
from gridclear.powerflow.arrays import NEWTON, STATUS, Output

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from gridclear.network.network import Complexes, Floats, Ints, Network

#: What can be asked for.
OUTPUTS = ("voltages", "currents", "slack", "limits")


@dataclass(frozen=True, eq=False)
class States:
    """Solved scenarios. Rows without solution are NaN in every array but ``code`` and ``iterations``.

    Arrays that were not asked for have no rows.

    Attributes
    ----------
    code : (scenario,) int
        Outcome; ``status`` says it in words.
    mismatch_mva : (scenario,)
        Largest nodal power mismatch, found anew from branch currents.
    iterations : (scenario,) int
        Sweeps of the fixed point, or Newton's steps.
    vm_pu, va_degree : (scenario, bus)
        Bus voltages in the order of the grid's bus table; NaN at dead buses.
    i_from_ka, i_to_ka : (scenario, branch)
        Currents at both ends in the order of ``Network.labels``.
    slack_p_mw, slack_q_mvar : (scenario, slack node)
        Power that each slack node feeds into the grid.
    over : (scenario,)
        Worst violation of the limits: p.u. of voltage, or fraction of the rated current; negative is margin.
    constraint : (scenario,) int
        Which limit that is, -1 without solution; ``describe`` names it.
    """

    code: Ints
    mismatch_mva: Floats
    iterations: Ints
    vm_pu: Floats
    va_degree: Floats
    i_from_ka: Floats
    i_to_ka: Floats
    slack_p_mw: Floats
    slack_q_mvar: Floats
    over: Floats
    constraint: Ints

    @classmethod
    def room(
        cls, network: Network, count: int, outputs: Collection[str], folder: str | Path | None = None
    ) -> States:
        """Make empty arrays for ``solve_batch(..., out=...)``, on disk if they do not fit into memory.

        Parameters
        ----------
        network : Network
        count : int
            Number of scenarios.
        outputs : collection of {"voltages", "currents", "slack", "limits"}
        folder : path, optional
            Existing folder for one ``.npy`` file per array, memory-mapped; in memory if not given.

        Raises
        ------
        OptionError
            An output that there is none of.
        """
        unknown = sorted(set(outputs) - set(OUTPUTS))
        if unknown:
            raise OptionError(f"outputs has '{unknown[0]}'; it must be some of {', '.join(OUTPUTS)}")

        def array(name: str, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
            if folder is None or 0 in shape:
                return np.empty(shape, dtype=kind)
            file = open_memmap(Path(folder) / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
            return np.asarray(file)

        def floats(name: str, *shape: int) -> Floats:
            return array(name, shape, np.float64)

        def ints(name: str, *shape: int) -> Ints:
            return array(name, shape, np.int64)

        def rows(output: str) -> int:
            return count if output in outputs else 0

        slacks = network.n_node - network.n_free
        return cls(
            code=ints("code", count),
            mismatch_mva=floats("mismatch_mva", count),
            iterations=ints("iterations", count),
            vm_pu=floats("vm_pu", rows("voltages"), network.n_bus),
            va_degree=floats("va_degree", rows("voltages"), network.n_bus),
            i_from_ka=floats("i_from_ka", rows("currents"), network.n_branch),
            i_to_ka=floats("i_to_ka", rows("currents"), network.n_branch),
            slack_p_mw=floats("slack_p_mw", rows("slack"), slacks),
            slack_q_mvar=floats("slack_q_mvar", rows("slack"), slacks),
            over=floats("over", rows("limits")),
            constraint=ints("constraint", rows("limits")),
        )

    def fits(self, other: States) -> bool:
        """Whether every array has the shape and the kind of the other's."""
        return all(
            (mine.shape, mine.dtype) == (its.shape, its.dtype)
            for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)
        )

    @property
    def status(self) -> NDArray[np.str_]:
        """``solved``, ``no-solution`` or ``bad-input`` per scenario."""
        words = np.array([STATUS[code] for code in range(len(STATUS))])
        return words[self.code]

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Scenarios with a proved state."""
        return self.code <= NEWTON

    @property
    def v_pu(self) -> Complexes:
        """Voltages as phasors (scenario, bus)."""
        angle = np.deg2rad(self.va_degree)
        return np.asarray(self.vm_pu * (np.cos(angle) + 1j * np.sin(angle)), dtype=np.complex128)

    @property
    def slack_mva(self) -> Complexes:
        """Power that each slack node feeds in, (scenario, slack node)."""
        return self.slack_p_mw + 1j * self.slack_q_mvar

    def as_output(self) -> Output:
        """Give the same arrays to the kernels, which fill them in per unit of power."""
        count, nothing = len(self.code), np.zeros((0, 0))
        scanned = len(self.over) > 0
        return Output(
            code=self.code,
            mismatch=self.mismatch_mva,
            iterations=self.iterations,
            vm=self.vm_pu,
            va=self.va_degree,
            node_r=nothing,
            node_i=nothing,
            i_from=self.i_from_ka,
            i_to=self.i_to_ka,
            slack_p=self.slack_p_mw,
            slack_q=self.slack_q_mvar,
            high=self.over if scanned else np.empty(count),
            which=self.constraint if scanned else np.empty(count, dtype=np.int64),
            probed=np.empty(count),
        )
