"""What the power flows say of every unit of bids."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations


@dataclass(frozen=True, eq=False)
class Verdict:
    """Verdicts by unit; arrays are filled by the job.

    Attributes
    ----------
    searched : (unit,) of bool
        There is a state to judge it from, and somebody wants to know.
    free : (unit,)
        Safe share by the grid alone.
    share : (unit,)
        Accepted share, after blocks and smallest amounts.
    decisive : (unit,) of int
        Unit that decided the share.
    excluded_by : (unit,) of int
        Item of its exclusive group that is accepted in its place, -1 for none.
    which : (unit,) of int
        Constraint that stops it, or has the least margin; -1: no solution.
    value, value_at_full : (unit,)
        Value of the constraint at the accepted share and at the full offer, in the kernels' unit.
    confirmed : (unit,) of bool
        The accepted share passed a power flow of its own.
    """

    searched: NDArray[np.bool_]
    free: Floats
    share: Floats
    decisive: Ints
    excluded_by: Ints
    which: Ints
    value: Floats
    value_at_full: Floats
    confirmed: NDArray[np.bool_]

    @classmethod
    def empty(cls, bids: Bids, solved: NDArray[np.bool_]) -> Verdict:
        """Nothing judged yet; ``solved`` (period,) says where there is a base state."""
        units = len(bids.item)
        return cls(
            searched=bids.supplied & solved[bids.activations.period],
            free=np.zeros(units),
            share=np.zeros(units),
            decisive=np.arange(units),
            excluded_by=np.full(units, -1, dtype=np.int64),
            which=np.full(units, -1, dtype=np.int64),
            value=np.full(units, np.nan),
            value_at_full=np.full(units, np.nan),
            confirmed=np.zeros(units, dtype=bool),
        )

    def copy(self) -> Verdict:
        """Arrays of its own."""
        return Verdict(*(getattr(self, one.name).copy() for one in fields(self)))

    def confirm(self, search: Search, units: Ints, own: Activations, setting: Ints) -> Floats:
        """Solve units at their accepted shares and at their full offers, ``own``; in place.

        Returns the worst violation of every unit at its accepted share, +inf without solution.
        """
        which = self.which[units]
        rows = np.arange(len(units))
        over, self.value[units] = search.confirm(own.part(rows, self.share[units]), setting, which)
        self.confirmed[units] = over <= TOLERANCE
        self.value_at_full[units] = self.value[units]
        less = np.flatnonzero(self.share[units] < 1.0)
        _, self.value_at_full[units[less]] = search.confirm(own.part(less), setting[less], which[less])
        return over
