"""gridclear: ``compile_network`` once, ``solve_batch`` per run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

import gridclear
from benchmarks.peers import Peer, Solver
from benchmarks.registry import MissingPeerError
from benchmarks.year import States

if TYPE_CHECKING:
    from benchmarks.year import Floats, Year

TOLERANCES = tuple(10.0**-k for k in range(6, 11))  # MVA; solve_batch takes no looser one


class GridclearBatch:
    """gridclear set up for one year."""

    def __init__(self, year: Year, tolerance: float, *, threads: int) -> None:
        try:
            self._solve = gridclear.solve_batch
            self._network = gridclear.compile_network(year.net)
        except ImportError as fault:
            raise MissingPeerError(str(fault)) from fault
        self._profiles = tuple(
            gridclear.Profile(
                year.net.bus.index.to_numpy()[e.bus],
                e.p_mw,
                e.q_mvar,
                sign=e.sign,
            )
            for e in year.elements
        )
        self._tolerance, self._threads = tolerance, threads
        # Made once, like the injections: a user who solves again and again writes to the same arrays.
        self._room = gridclear.States.room(self._network, year.scenarios, ("voltages", "currents", "slack"))
        nothing = np.zeros((0, len(year.net.bus)))
        self._voltages: tuple[Floats, Floats] = (nothing, nothing)
        self._result: gridclear.States | None = None

    def injections(self) -> None:
        """Nothing to do: the kernel adds the profiles up."""

    def solve(self) -> None:
        """One batch call."""
        self._result = self._solve(
            self._network,
            profiles=self._profiles,
            threads=self._threads,
            tolerance_mva=self._tolerance,
            out=self._room,
        )

    def polar(self) -> None:
        """Ask for magnitudes and angles; the solver itself leaves phasors."""
        found = self._found()
        self._voltages = found.vm_pu, found.va_degree

    def states(self) -> States:
        """Take the arrays as they are: they come in the common order."""
        found = self._found()
        return States(*self._voltages, found.i_from_ka, found.i_to_ka)

    def _found(self) -> gridclear.States:
        if self._result is None:
            raise RuntimeError("nothing has been solved yet")
        return self._result


def _make(year: Year, tolerance: float, *, threads: int) -> Solver:
    return GridclearBatch(year, tolerance, threads=threads)


PEERS = (
    Peer("gridclear, 1 thread", partial(_make, threads=1), TOLERANCES),
    Peer("gridclear, 2 threads", partial(_make, threads=2), TOLERANCES),
)
