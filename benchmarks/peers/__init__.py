"""The solvers that are compared: one file each, one `Solver` each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.year import States, Year


class Solver(Protocol):
    """A peer that is set up for one year: grid read, structure known, nothing solved yet."""

    def injections(self) -> None:
        """Turn the element profiles into what the solver takes. Timed."""

    def solve(self) -> None:
        """Solve all scenarios and their branch currents. Timed."""

    def polar(self) -> None:
        """Bring bus voltages to magnitude and angle, where the solver has not. Timed."""

    def states(self) -> States:
        """Return the last solution in the common form. Not timed."""


@dataclass(frozen=True)
class Peer:
    """A way to solve a batch.

    Parameters
    ----------
    name : str
        Name in the tables.
    make : callable
        ``make(year, tolerance)`` → `Solver`; raises `MissingPeerError` where it is not installed.
    tolerances : tuple of float
        Settings of the peer's own stopping rule, loosest first.
    loop : bool
        Too slow for the whole year: only some steps are run and the time is extrapolated.
    """

    name: str
    make: Callable[[Year, float], Solver]
    tolerances: tuple[float, ...]
    loop: bool = False
