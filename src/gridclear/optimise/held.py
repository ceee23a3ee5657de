"""The lifted program of one period with the devices where they stand, in a part of the controls' ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import INFEASIBLE, OPTIMAL, LostError, Plane
from gridclear.optimise.pieces import Columns

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.pieces import Local, Piece
    from gridclear.optimise.relaxation import Cut
    from gridclear.optimise.supports import Weights

#: Room for the solver's tolerances in ranges.
_SLACK = 1e-6
#: Seconds of a search for whole columns.
_PATIENCE = 5.0


class Held:
    """One period's program with the devices at a placing.

    Parameters
    ----------
    local : Local
        With the devices' columns fixed.
    stands : tuple by device of int
        Columns of all periods that say where they stand.
    costs : int
        Row that counts what is spent.
    least : float
        What it costs at least.

    Attributes
    ----------
    least : float
    """

    def __init__(self, local: Local, stands: tuple[int, ...], costs: int, least: float) -> None:
        self._local, self._stands, self._costs, self.least = local, stands, costs, least

    @classmethod
    def at(cls, piece: Piece, place: tuple[int, ...], least: float) -> Held:
        """Hold the devices of a piece at places among the steps that are told apart."""
        frame, free = piece.frame, piece.local.columns
        lower, upper = free.lower.copy(), free.upper.copy()
        for columns, own in zip(piece.steps, place, strict=True):
            # Steps that are not told apart are out of reach.
            lower[columns] = upper[columns] = np.arange(len(columns)) == own
        stands = piece.stands(place)
        local = piece.local.held(Columns(lower, upper, free.whole), stands)
        mine = np.flatnonzero(frame.cost)
        costs = local.n_row
        local.add_planes([Plane(frame.column[mine], frame.cost[mine], 0.0)])
        local.solver.cap(costs, np.inf)
        return cls(local, stands, costs, least)

    def parted(self, axis: Floats, middle: float) -> tuple[Held, Held]:
        """Part the ranges of the controls in two, where ``axis`` · u is below and above the middle."""
        local, control = self._local, self._local.frame.own.control
        halves = []
        for sign in (1.0, -1.0):
            half = local.held(local.columns, self._stands)
            half.add_planes([Plane(control, sign * axis, sign * middle)])
            halves.append(Held(half, self._stands, self._costs, self.least))
        return halves[0], halves[1]

    def add(self, cuts: list[Cut]) -> None:
        """Take cuts into the program."""
        self._local.add(cuts)

    def cheapest(self) -> tuple[float, Floats, Weights | None]:
        """Find the least cost without whole columns, a solution, and what it weighs.

        Where there is no solution, the least is infinite; where the solver has no answer, -inf. ``x`` is
        empty then, and nothing is weighed.
        """
        local = self._local
        found = local.minimised(local.frame.cost)
        if found is not None and found.status == INFEASIBLE:
            return np.inf, np.zeros(0), None
        if found is None or found.status != OPTIMAL or found.dual is None:
            return -np.inf, np.zeros(0), None
        return found.objective, local.frame.full(found.x), local.worth(found.dual)

    def spans(self, weight: Floats, most: float) -> tuple[Floats, Floats]:
        """Find the ranges of what the controls are weighed to, where at most ``most`` is spent.

        Parameters
        ----------
        weight : (row, control)
        most : float
            EUR.

        Returns
        -------
        least, most : (row,)
            Infinite where the solver has no answer; the least above the most where there is no solution.
        """
        local = self._local
        own = local.frame.place[local.frame.own.control]
        ends = (np.full(len(weight), -np.inf), np.full(len(weight), np.inf))
        local.solver.cap(self._costs, most)
        room = _SLACK * (1.0 + np.abs(weight).sum(axis=1))
        for number, one in enumerate(weight):
            for end, sign in ((0, 1.0), (1, -1.0)):
                aim = np.zeros(len(local.frame.cost))
                aim[own] = sign * one
                found = local.minimised(aim, primal=True)
                if found is None:
                    continue
                if found.status == INFEASIBLE:
                    ends[0][:], ends[1][:] = np.inf, -np.inf
                elif found.status == OPTIMAL and len(found.x):
                    ends[end][number] = float(one @ found.x[own]) - sign * room[number]
            if ends[0][number] > ends[1][number]:
                break
        local.solver.cap(self._costs, np.inf)
        return ends

    def whole(self, worth: float) -> tuple[float, Floats]:
        """Find the least cost with all that is whole as such, and a solution (may be empty).

        Parameters
        ----------
        worth : float
            EUR at which the search stops.
        """
        local = self._local
        local.solver.relax(whole=True)
        try:
            found = local.solver.minimise(local.frame.cost, gap=(0.0, worth), seconds=_PATIENCE)
        except LostError:
            return -np.inf, np.zeros(0)
        finally:
            local.solver.relax(whole=False)
        if found.status == INFEASIBLE:
            return np.inf, np.zeros(0)
        return found.bound, local.frame.full(found.x) if len(found.x) else found.x
