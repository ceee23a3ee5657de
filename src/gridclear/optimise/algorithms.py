"""How a clearing can be found: the algorithms by name, and what each takes and gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from gridclear.errors import OptionError

if TYPE_CHECKING:
    from gridclear.optimise.problem import Plan, Problem


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock.

    Attributes
    ----------
    at : float
        Seconds of ``time.monotonic``; infinite without a deadline.
    """

    at: float = float("inf")

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """So many seconds from now; never, if None."""
        return cls() if seconds is None else cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds that are left, not negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left <= 0.0


@dataclass(frozen=True, eq=False)
class Found:
    """What an algorithm found; it is judged by AC states of their own, whatever the algorithm believes.

    Attributes
    ----------
    plan : Plan
    complete : bool
        False where the deadline ended the search.
    """

    plan: Plan
    complete: bool


#: An algorithm: a problem and a deadline in, a plan out.
Algorithm = Callable[["Problem", Deadline], Found]

#: Algorithms that come with gridclear, and where they live: imported when asked for.
ALGORITHMS = {
    "successive": "gridclear.optimise.successive:successive",
    "lindistflow": "gridclear.optimise.algebraic.lindistflow:lindistflow",
    "soc": "gridclear.optimise.algebraic.soc:soc",
    "ac": "gridclear.optimise.algebraic.ac:ac",
    "relax-and-round": "gridclear.optimise.algebraic.relax_and_round:relax_and_round",
}


def find_algorithm(chosen: str | Algorithm) -> Algorithm:
    """Take an algorithm by its name, or as it is.

    Parameters
    ----------
    chosen : str or callable

    Returns
    -------
    Algorithm

    Raises
    ------
    OptionError
        None has that name.
    """
    if callable(chosen):
        return chosen
    if chosen not in ALGORITHMS:
        raise OptionError(f"algorithm is '{chosen}'; it must be one of {', '.join(ALGORITHMS)}")
    module, _, name = ALGORITHMS[chosen].partition(":")
    found: Algorithm = getattr(import_module(module), name)
    return found
