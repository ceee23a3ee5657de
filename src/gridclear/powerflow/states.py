"""Solved scenarios, as users see them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import open_memmap

from gridclear.errors import OptionError
from gridclear.powerflow.arrays import NEWTON, STATUS, Output
from gridclear.powerflow.workspace import padded_rows

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
    output : Output
        The same memory as the kernels see it, rows padded.
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
    output: Output = field(repr=False)

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

        def on_disk(name: str, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
            path = Path("" if folder is None else folder) / f"{name}.npy"
            return np.asarray(open_memmap(path, mode="w+", dtype=kind, shape=shape))

        def floats(name: str, wanted: int, width: int) -> Floats:
            if folder is None or 0 in (wanted, width):
                return padded_rows(wanted, width)
            return on_disk(name, (wanted, width), np.float64)

        def line(name: str, kind: type[np.generic], wanted: int) -> NDArray[Any]:
            return on_disk(name, (wanted,), kind) if folder is not None and wanted else np.empty(wanted, kind)

        def rows(output: str) -> int:
            return count if output in outputs else 0

        slacks, scanned = network.n_node - network.n_free, rows("limits")
        over, constraint = line("over", np.float64, scanned), line("constraint", np.int64, scanned)
        nothing = np.zeros((0, 0))
        output = Output(
            code=line("code", np.int64, count),
            mismatch=line("mismatch_mva", np.float64, count),
            iterations=line("iterations", np.int64, count),
            vm=floats("vm_pu", rows("voltages"), network.n_bus),
            va=floats("va_degree", rows("voltages"), network.n_bus),
            node_r=nothing,
            node_i=nothing,
            i_from=floats("i_from_ka", rows("currents"), network.n_branch),
            i_to=floats("i_to_ka", rows("currents"), network.n_branch),
            slack_p=floats("slack_p_mw", rows("slack"), slacks),
            slack_q=floats("slack_q_mvar", rows("slack"), slacks),
            high=over if scanned else np.empty(count),
            which=constraint if scanned else np.empty(count, dtype=np.int64),
            probed=np.empty(count),
        )
        return cls(
            code=output.code,
            mismatch_mva=output.mismatch,
            iterations=output.iterations,
            vm_pu=output.vm[:, : network.n_bus],
            va_degree=output.va[:, : network.n_bus],
            i_from_ka=output.i_from[:, : network.n_branch],
            i_to_ka=output.i_to[:, : network.n_branch],
            slack_p_mw=output.slack_p[:, :slacks],
            slack_q_mvar=output.slack_q[:, :slacks],
            over=over,
            constraint=constraint,
            output=output,
        )

    def fits(self, network: Network, count: int, outputs: Collection[str]) -> bool:
        """Whether every array has the shape that it has in ``room`` for so many scenarios."""
        one = States.room(network, 1, outputs)
        shapes = {
            array.name: getattr(one, array.name).shape for array in fields(self) if array.name != "output"
        }
        return all(
            getattr(self, name).shape == (count * rows, *columns) for name, (rows, *columns) in shapes.items()
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
