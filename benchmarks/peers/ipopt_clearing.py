"""The continuous clearing in full, by CasADi and its Ipopt: devices between their steps, nothing whole.

The grids and their base states are given as pandapower has them, and cost nothing here; what counts is the
time to state the program with its derivatives, and to solve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.oracle.clearing_grid import grids_of

from benchmarks.registry import MissingPeerError

try:
    from tests.oracle.clearing_nlp import solve_continuous
except ImportError:  # an extra
    solve_continuous = None

if TYPE_CHECKING:
    import numpy as np
    from tests.oracle.clearing_grid import Grid
    from tests.oracle.clearing_nlp import Continuous
    from tests.oracle.clearing_values import Clearing


@dataclass(frozen=True, eq=False)
class IpoptClearing:
    """One clearing for Ipopt.

    Parameters
    ----------
    clearing : Clearing
    grids : list of Grid
    """

    clearing: Clearing
    grids: list[Grid]

    @classmethod
    def of(cls, clearing: Clearing) -> IpoptClearing:
        """Take the grids out of a clearing.

        Raises
        ------
        MissingPeerError
            CasADi is not installed.
        """
        if solve_continuous is None:
            raise MissingPeerError("pip install 'gridclear[bench]'")
        return cls(clearing, grids_of(clearing))

    def solve(
        self,
        steps: np.ndarray | None = None,
        least: np.ndarray | None = None,
        most: np.ndarray | None = None,
    ) -> Continuous:
        """Clear with devices at given steps or free, and with bounds of the shares."""
        return solve_continuous(self.clearing, steps, least=least, most=most, grids=self.grids)
