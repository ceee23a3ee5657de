"""The lifted program of one period alone: what every placing of the devices costs there at least.

With the rows between periods priced (all but those of the devices' moves), the program falls apart. A
program that pays for every device that does not stand where it is asked to is a lower bound there; by its
reduced costs it is one everywhere else, too, a number per device and step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from gridclear.optimise.highs import OPTIMAL, LostError, Plane, Solver
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


@dataclass(frozen=True, eq=False)
class Frame:
    """What the programs of one period share.

    Attributes
    ----------
    own : Period
    column : (own column,) of int
        Columns of all periods.
    place : (column,) of int
        Own column, -1 where there is none.
    cost : (own column,)
    base_mva : float
    """

    own: Period
    column: Ints
    place: Ints
    cost: Floats
    base_mva: float

    def full(self, x: Floats) -> Floats:
        """Put a solution among the columns of all periods."""
        found = np.zeros(len(self.place))
        found[self.column] = x
        return found


@dataclass(frozen=True, eq=False)
class Columns:
    """Ranges of columns, and which are whole: (column,)."""

    lower: Floats
    upper: Floats
    whole: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Balances:
    """Rows of a program: lower <= matrix · x <= upper."""

    matrix: sparse.csr_array
    lower: Floats
    upper: Floats


class Local:
    """A program of one period in the solver's memory, whose rows grow.

    Parameters
    ----------
    frame : Frame
    columns : Columns
    rows : Balances
        The last ones, as many as there are kinds, were added.
    cuts : list of Cut
    kinds : list of bool
        Whether an added row is a cut; in the order of the cuts.
    """

    def __init__(
        self, frame: Frame, columns: Columns, rows: Balances, cuts: list[Cut], kinds: list[bool]
    ) -> None:
        self.frame, self.columns, self.cuts = frame, columns, cuts
        self._kinds, self.first = kinds, len(rows.lower) - len(kinds)
        self._balances = rows.matrix[: self.first]
        program = Program()
        for run in np.split(np.arange(len(frame.column)), np.flatnonzero(np.diff(columns.whole)) + 1):
            if len(run):
                program.columns(
                    len(run), columns.lower[run], columns.upper[run], whole=bool(columns.whole[run[0]])
                )
        entries = rows.matrix.tocoo()
        program.entries(
            program.rows(len(rows.lower), rows.lower, rows.upper)[entries.coords[0]],
            entries.coords[1],
            entries.data,
        )
        self.solver = Solver(program, _TOLERANCE)
        self.solver.relax(whole=False)

    @property
    def n_row(self) -> int:
        """Rows, those that were added among them."""
        return self.first + len(self._kinds)

    def add(self, cuts: list[Cut]) -> None:
        """Take cuts into the program."""
        self.cuts = self.cuts + cuts
        self._add([cut.plane for cut in cuts], cut=True)

    def add_planes(self, planes: list[Plane]) -> None:
        """Take other rows into the program."""
        self._add(planes, cut=False)

    def _add(self, planes: list[Plane], *, cut: bool) -> None:
        place = self.frame.place
        self._kinds = self._kinds + [cut] * len(planes)
        self.solver.add([Plane(place[plane.column], plane.value, plane.upper) for plane in planes])

    def held(self, columns: Columns, stands: tuple[int, ...]) -> Local:
        """Copy the program with other ranges, without cuts that ask for nothing where the devices stand."""
        matrix, lower, upper = self.solver.rows()
        kept = np.array([cut.stands in ((), stands) for cut in self.cuts], dtype=bool)
        kinds = np.array(self._kinds, dtype=bool)
        added = np.ones(len(kinds), dtype=bool)
        added[kinds] = kept
        rows = np.concatenate([np.ones(self.first, dtype=bool), added])
        cuts = [cut for cut, keep in zip(self.cuts, kept.tolist(), strict=True) if keep]
        balances = Balances(matrix[rows], lower[rows], upper[rows])
        return Local(self.frame, columns, balances, cuts, kinds[added].tolist())

    def minimised(self, cost: Floats, *, primal: bool = False) -> Answer | None:
        """Solve without whole columns; None where the solver has lost its way."""
        try:
            return self.solver.minimise(cost, primal=primal)
        except LostError:
            return None

    def worth(self, dual: Floats) -> Weights:
        """Weigh the sources' powers by all rows but cuts, and limits by the duals of the cuts."""
        frame = self.frame
        own = frame.own
        power = np.zeros(len(own.circuit.sources), dtype=np.complex128)
        rows = dual[: self.first] @ self._balances
        for columns, turn in ((own.active, 1.0), (own.reactive, 1.0j)):
            mine = frame.place[columns]
            power[own.fed] += turn * frame.base_mva * (frame.cost[mine] - rows[mine])
        limits: dict[Quantity, float] = {}
        weighed = -dual[self.first :][np.array(self._kinds, dtype=bool)]
        for place in np.flatnonzero(weighed > _TINY).tolist():
            for quantity, weight in self.cuts[place].weights.limits.items():
                limits[quantity] = limits.get(quantity, 0.0) + float(weighed[place]) * weight
        return Weights(power, np.zeros(len(power)), limits)


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

    Attributes
    ----------
    local : Local
        Without the rows between periods.
    """

    def __init__(
        self, relaxation: Relaxation, number: int, own: Period, cost: Floats, placings: Placings
    ) -> None:
        base, apart = relaxation.lifted.program, ~relaxation.coupled
        column = np.flatnonzero(relaxation.labels == number)
        place = np.full(len(cost), -1, dtype=np.int64)
        place[column] = np.arange(len(column))
        self.frame = Frame(own, column, place, cost[column], relaxation.problem.compiled.s_base_mva)
        matrix = sparse.csr_array(relaxation.matrix[apart][:, column])
        mine = np.diff(matrix.indptr) > 0
        rows = Balances(matrix[mine], base.row_lower[apart][mine], base.row_upper[apart][mine])
        columns = Columns(base.lower[column], base.upper[column], base.whole[column])
        self.local = Local(self.frame, columns, rows, [], [])
        self.local.add_planes([plane for plane in relaxation.ranges if place[plane.column[0]] >= 0])
        self.local.add([cut for cut in relaxation.cuts if cut.period == number])
        self.steps: list[Ints] = []
        self._open: list[NDArray[np.bool_]] = []
        for device, standing, steps in zip(
            relaxation.problem.devices, relaxation.lifted.step, placings.steps, strict=True
        ):
            own_columns = place[standing[number][steps - device.lowest]]
            self.steps.append(own_columns)
            self._open.append(columns.upper[own_columns] > 0.0)

    def stands(self, place: tuple[int, ...]) -> tuple[int, ...]:
        """Give the columns of all periods that say that the devices stand at places."""
        return tuple(int(self.frame.column[own[at]]) for own, at in zip(self.steps, place, strict=True))

    def _asked(self, place: tuple[int, ...], penalty: float) -> Floats:
        """Costs with what is to be paid for devices that stand elsewhere."""
        cost = self.frame.cost.copy()
        for columns, own in zip(self.steps, place, strict=True):
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
        found = self.local.minimised(self._asked(place, penalty))
        if found is None or found.status != OPTIMAL or found.reduced is None or found.dual is None:
            return None
        tables = []
        for columns, open_, own in zip(self.steps, self._open, place, strict=True):
            reduced = found.reduced[columns]
            # Columns that no budget opens by then stay at zero: theirs say nothing.
            reduced = np.where(open_ & (np.abs(reduced) > _TINY), reduced, 0.0)
            table = reduced - np.minimum(reduced, 0.0).sum()
            table[np.arange(len(columns)) != own] -= penalty
            tables.append(table)
        return Sight(found.objective, tables, self.frame.full(found.x), self.local.worth(found.dual))
