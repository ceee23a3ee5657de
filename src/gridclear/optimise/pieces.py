"""The lifted program of one period alone: what every placing of the devices costs there at least.

With the rows between periods priced (all but those of the devices' moves), the program falls apart. A
program that pays for every device that does not stand where it is asked to is a lower bound there; by its
reduced costs it is one everywhere else, too, a number per device and step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import INFEASIBLE, OPTIMAL, LostError, Plane, Solver
from gridclear.optimise.program import Program
from gridclear.optimise.supports import Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.lifted import Period
    from gridclear.optimise.placings import Placings
    from gridclear.optimise.relaxation import Cut, Relaxation
    from gridclear.optimise.supports import Quantity

#: By which the solver may miss rows and reduced costs.
_TOLERANCE = 1e-7
#: Room for the solver's tolerances in ranges.
_SLACK = 1e-6
#: Seconds of a search for one placing.
_PATIENCE = 5.0
#: Reduced costs that are rounding errors.
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Sight:
    """What a period's program says of one placing.

    Attributes
    ----------
    least : float
        What it costs at least.
    tables : list by device of (place,)
        Of all others: ``least`` and these, summed up by where the devices stand.
    x : (column of all periods,)
        The solution; zero in other periods.
    worth : Weights
        Of the sources' powers and of limits in the optimum.
    """

    least: float
    tables: list[Floats]
    x: Floats
    worth: Weights


class Piece:
    """One period's program.

    Parameters
    ----------
    relaxation : Relaxation
    number : int
    own : Period
    cost : (column,)
        Folded costs of all columns.
    placings : Placings
        Whose steps are told apart.
    """

    def __init__(
        self, relaxation: Relaxation, number: int, own: Period, cost: Floats, placings: Placings
    ) -> None:
        base, local = relaxation.lifted.program, ~relaxation.coupled
        self._column = np.flatnonzero(relaxation.labels == number)
        self._place = np.full(len(cost), -1, dtype=np.int64)
        self._place[self._column] = np.arange(len(self._column))
        matrix = relaxation.matrix[local].tocoo()
        mine = np.zeros(matrix.shape[0], dtype=bool)
        inside = self._place[matrix.coords[1]] >= 0
        mine[matrix.coords[0][inside]] = True
        row = np.cumsum(mine) - 1
        program = Program()
        lower, upper, whole = base.lower, base.upper, base.whole
        for run in np.split(self._column, np.flatnonzero(np.diff(whole[self._column])) + 1):
            if len(run):
                program.columns(len(run), lower[run], upper[run], whole=bool(whole[run[0]]))
        program.rows(int(mine.sum()), base.row_lower[local][mine], base.row_upper[local][mine])
        program.entries(
            row[matrix.coords[0][inside]], self._place[matrix.coords[1][inside]], matrix.data[inside]
        )
        self._size = len(cost)
        self._cost = cost[self._column]
        self._own, self._matrix = own, program.matrix
        self._base = relaxation.problem.compiled.s_base_mva
        self.cuts: list[Cut] = []
        self._kinds: list[bool] = []
        # Costs that a schedule has at most here, where that is asked.
        self._costs = program.n_row
        mine = np.flatnonzero(self._cost)
        program.entries(program.rows(1), mine, self._cost[mine])
        self._rows = program.n_row
        self._solver = Solver(program, _TOLERANCE)
        self._solver.relax(whole=False)
        self._add_planes([plane for plane in relaxation.ranges if self._place[plane.column[0]] >= 0])
        self.add([cut for cut in relaxation.cuts if cut.period == number])
        self._steps: list[Ints] = []
        self._open: list[NDArray[np.bool_]] = []
        for device, columns, steps in zip(
            relaxation.problem.devices, relaxation.lifted.step, placings.steps, strict=True
        ):
            mine = columns[number][steps - device.lowest]
            self._steps.append(self._place[mine])
            self._open.append(upper[mine] > 0.0)

    def add(self, cuts: list[Cut]) -> None:
        """Take cuts of the period into the program."""
        self.cuts += cuts
        self._add([cut.plane for cut in cuts], cut=True)

    def _add_planes(self, planes: list[Plane]) -> None:
        """Take other rows of the period into the program."""
        self._add(planes, cut=False)

    def _add(self, planes: list[Plane], *, cut: bool) -> None:
        own = [Plane(self._place[plane.column], plane.value, plane.upper) for plane in planes]
        self._kinds += [cut] * len(own)
        self._solver.add(own)

    def _asked(self, place: tuple[int, ...], penalty: float) -> Floats:
        """Costs with what is to be paid for devices that stand elsewhere."""
        cost = self._cost.copy()
        for columns, own in zip(self._steps, place, strict=True):
            cost[np.delete(columns, own)] += penalty
        return cost

    def at(self, place: tuple[int, ...], penalty: float) -> Sight | None:
        """Look at one placing; None if the solver has no answer.

        Parameters
        ----------
        place : tuple by device of int
        penalty : float
            EUR per device that stands elsewhere.

        Notes
        -----
        For whole z the cost is at least that of the program, and the reduced costs of the step columns, less
        the penalties that z pays: reduced costs are those of a column at its lower bound if positive, and
        at its upper bound, one, if negative.
        """
        found = self._minimised(self._asked(place, penalty))
        if found is None or found.status != OPTIMAL or found.reduced is None or found.dual is None:
            return None
        tables = []
        for columns, open_, own in zip(self._steps, self._open, place, strict=True):
            reduced = found.reduced[columns]
            # Columns that no budget opens by then stay at zero: theirs say nothing.
            reduced = np.where(open_ & (np.abs(reduced) > _TINY), reduced, 0.0)
            table = reduced - np.minimum(reduced, 0.0).sum()
            table[np.arange(len(columns)) != own] -= penalty
            tables.append(table)
        x = np.zeros(self._size)
        x[self._column] = found.x
        return Sight(found.objective, tables, x, self._worth(found.dual))

    def _minimised(self, cost: Floats, *, primal: bool = False) -> Answer | None:
        """Solve without whole columns; None where the solver has lost its way."""
        try:
            return self._solver.minimise(cost, primal=primal)
        except LostError:
            return None

    def _worth(self, dual: Floats) -> Weights:
        """Weigh the sources' powers by all rows but cuts, and limits by the duals of the cuts."""
        own = self._own
        power = np.zeros(len(own.circuit.sources), dtype=np.complex128)
        rows = dual[: self._matrix.shape[0]] @ self._matrix
        for columns, turn in ((own.active, 1.0), (own.reactive, 1.0j)):
            mine = self._place[columns]
            power[own.fed] += turn * self._base * (self._cost[mine] - rows[mine])
        limits: dict[Quantity, float] = {}
        weighed = -dual[self._rows :][np.array(self._kinds, dtype=bool)]
        for place in np.flatnonzero(weighed > _TINY).tolist():
            for quantity, weight in self.cuts[place].weights.limits.items():
                limits[quantity] = limits.get(quantity, 0.0) + float(weighed[place]) * weight
        return Weights(power, np.zeros(len(power)), limits)

    def _stand(self, place: tuple[int, ...]) -> None:
        """Hold the devices at a placing."""
        for columns, own in zip(self._steps, place, strict=True):
            self._solver.fix(columns, (np.arange(len(columns)) == own).astype(np.float64))

    def spans(
        self, place: tuple[int, ...], column: Ints, weight: Floats, most: float
    ) -> tuple[Floats, Floats]:
        """Find the ranges of what columns are weighed to at one placing, where at most ``most`` is spent.

        Parameters
        ----------
        place : tuple by device of int
        column : (column,) of int
        weight : (row, column)
        most : float
            EUR.

        Returns
        -------
        least, most : (row,)
            Infinite where the solver has no answer; the least above the most where there is no solution.
        """
        own, ends = self._place[column], (np.full(len(weight), -np.inf), np.full(len(weight), np.inf))
        self._stand(place)
        self._solver.cap(self._costs, most)
        room = _SLACK * (1.0 + np.abs(weight).sum(axis=1))
        for number, one in enumerate(weight):
            for end, sign in ((0, 1.0), (1, -1.0)):
                aim = np.zeros(len(self._cost))
                aim[own] = sign * one
                found = self._minimised(aim, primal=True)
                if found is None:
                    continue
                if found.status == INFEASIBLE:
                    ends[0][:], ends[1][:] = np.inf, -np.inf
                elif found.status == OPTIMAL and len(found.x):
                    ends[end][number] = float(one @ found.x[own]) - sign * room[number]
            if ends[0][number] > ends[1][number]:
                break
        self._solver.cap(self._costs, np.inf)
        self._solver.release()
        return ends

    def whole_at(self, place: tuple[int, ...], worth: float) -> tuple[float, Floats]:
        """Find what a placing costs at least with all that is whole as such, and a solution (may be empty).

        Parameters
        ----------
        place : tuple by device of int
        worth : float
            EUR at which the search stops.
        """
        self._stand(place)
        self._solver.relax(whole=True)
        try:
            found = self._solver.minimise(self._cost, gap=(0.0, worth), seconds=_PATIENCE)
        except LostError:
            return -np.inf, np.zeros(0)
        finally:
            self._solver.relax(whole=False)
            self._solver.release()
        if found.status == INFEASIBLE:
            return np.inf, np.zeros(0)
        x = np.zeros(self._size if len(found.x) else 0)
        if len(found.x):
            x[self._column] = found.x
        return found.bound, x
