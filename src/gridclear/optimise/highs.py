"""HiGHS: programs in, answers with a named status out. Nothing else imports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy import sparse

from gridclear.errors import SolverError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.program import Program

OPTIMAL, INFEASIBLE, UNBOUNDED, TIME_LIMIT = "optimal", "infeasible", "unbounded", "time-limit"

_STATUS = {
    highspy.HighsModelStatus.kOptimal: OPTIMAL,
    highspy.HighsModelStatus.kInfeasible: INFEASIBLE,
    highspy.HighsModelStatus.kUnbounded: UNBOUNDED,
    highspy.HighsModelStatus.kUnboundedOrInfeasible: INFEASIBLE,
    highspy.HighsModelStatus.kTimeLimit: TIME_LIMIT,
}
#: The solver has lost its way: not an answer.
_LOST = (
    highspy.HighsModelStatus.kUnknown,
    highspy.HighsModelStatus.kNotset,
    highspy.HighsModelStatus.kSolveError,
)
_FEASIBLE = highspy.SolutionStatus.kSolutionStatusFeasible
_SEED = 1
#: The solver's simplex methods, by its numbers.
_DUAL, _PRIMAL = 1, 4


@dataclass(frozen=True, eq=False)
class Plane:
    """A row ``value · x[column] <= upper``."""

    column: Ints
    value: Floats
    upper: float

    def excess(self, x: Floats) -> float:
        """By how much a solution is beyond it."""
        return float(self.value @ x[self.column]) - self.upper


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows ``value · x[column] <= upper`` over the same columns: (row, column) and (row,)."""

    column: Ints
    value: Floats
    upper: Floats

    def planes(self) -> list[Plane]:
        """Give them one by one."""
        return [
            Plane(self.column, value, upper)
            for value, upper in zip(self.value, self.upper.tolist(), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Answer:
    """What the solver found.

    Attributes
    ----------
    status : str
        ``optimal`` (within the gap that was asked for), ``infeasible``, ``unbounded`` or ``time-limit``.
    x : (column,)
        A solution; empty if there is none.
    objective, bound : float
        Cost of ``x``, NaN without it, and a lower bound on every solution's, -inf if there is none.
    dual : (row,) or None
        Change of the cost per unit of each row's bound; linear programs only.
    reduced : (column,) or None
        The same of each column's bound.
    """

    status: str
    x: Floats
    objective: float
    bound: float
    dual: Floats | None = None
    reduced: Floats | None = None


class TimeOverError(Exception):
    """The time limit passed before a program had its answer."""


class LostError(SolverError):
    """The solver lost its way, and lost it again from scratch: whether the program has an answer is open."""


def solved(answer: Answer) -> Answer:
    """Take a program's answer.

    Raises
    ------
    TimeOverError
        Time was over before there was one.
    SolverError
        There is none.
    """
    if answer.status == TIME_LIMIT and not (len(answer.x) and answer.dual is None):
        raise TimeOverError
    if not len(answer.x):
        raise SolverError(f"the program is {answer.status}")
    return answer


class QuietHighs(highspy.Highs):
    """A solver that writes nothing to the terminal, the header that comes with its callbacks included."""

    def enableCallbacks(self) -> None:  # noqa: N802 - the solver's own name
        """Turn output off before the first of it."""
        self.setOptionValue("output_flag", False)  # noqa: FBT003 - its own signature
        super().enableCallbacks()


class Solver:
    """One program in the solver's memory; costs and bounds can be changed between solutions.

    Parameters
    ----------
    program : Program
    tolerance : float
        By which rows and reduced costs may be missed.

    Raises
    ------
    SolverError
        The program holds NaN, or the solver refuses it.
    """

    def __init__(self, program: Program, tolerance: float = 1e-9) -> None:
        self._whole = np.flatnonzero(program.whole)
        self._bounds = program.lower[self._whole], program.upper[self._whole]
        self._search = len(self._whole) > 0
        self._count = program.n_column
        self._solver = QuietHighs()
        for option, value in (
            ("threads", 1),
            ("random_seed", _SEED),
            # Dense rows, few columns: there is little to presolve, and it costs half of a search.
            ("presolve", "off"),
            # A search within the search, which takes long at the root and finds what the others find.
            ("mip_heuristic_run_root_reduced_cost", False),
            # A quarter of a search of few columns, for what its root finds as well.
            ("mip_heuristic_run_feasibility_jump", False),
            ("primal_feasibility_tolerance", tolerance),
            ("dual_feasibility_tolerance", tolerance),
            ("mip_feasibility_tolerance", tolerance),
        ):
            self._check(self._solver.setOptionValue(option, value), f"option {option}")
        self._check(self._solver.passModel(_model(program)), "the program")

    def minimise(
        self,
        cost: Floats,
        *,
        seconds: float = np.inf,
        gap: tuple[float, float] = (0.0, 1e-9),
        start: Floats | None = None,
        primal: bool = False,
    ) -> Answer:
        """Solve.

        Parameters
        ----------
        cost : (column,)
            Replaces the program's.
        seconds : float
            Time limit.
        gap : (relative, absolute)
            At which a mixed-integer search stops.
        start : (column,), optional
            A solution whose whole columns, rounded, a mixed-integer search begins with.
        primal : bool
            Of a linear program, nothing but the costs has changed: what is feasible is a start.

        Returns
        -------
        Answer

        Raises
        ------
        LostError
            The solver lost its way on a program, and lost it again from scratch.
        SolverError
            The solver refuses the program or ended in another way that is no answer, or what it gave is not
            finite.
        """
        solver = self._solver
        columns = np.arange(self._count, dtype=np.int32)
        self._check(solver.changeColsCost(self._count, columns, _finite(cost, "costs")), "costs")
        # The clock of an instance runs on over its solutions.
        limit = solver.getRunTime() + seconds if np.isfinite(seconds) else float("inf")
        for option, value in (("time_limit", limit), ("mip_rel_gap", gap[0]), ("mip_abs_gap", gap[1])):
            self._check(solver.setOptionValue(option, value), f"option {option}")
        column = self._whole.astype(np.int32)
        if start is not None and self._search:
            # Last of all: every other change makes the solver forget it.
            status = solver.setSolution(len(column), column, np.rint(start[column]))
            self._check(status, "a solution to start from")
        self._check(solver.setOptionValue("simplex_strategy", _PRIMAL if primal else _DUAL), "a strategy")
        status = solver.run()
        for strategy in (_DUAL, _PRIMAL):
            if not self._is_lost():
                break
            # The last solution was a bad start, or the duals on the way grew too large for the dual simplex.
            self._check(solver.clearSolver(), "a fresh start")
            self._check(solver.setOptionValue("simplex_strategy", strategy), "a strategy")
            status = solver.run()
        if self._is_lost():
            word = solver.modelStatusToString(solver.getModelStatus())
            raise LostError(f"the solver has no solution and says '{word}', from scratch, too")
        self._check(status, "the run")
        return self._answer()

    def _is_lost(self) -> bool:
        """Whether the last run ended without an answer; an optimum whose solution breaks rows is none."""
        model = self._solver.getModelStatus()
        if model == highspy.HighsModelStatus.kOptimal:
            return self._solver.getInfo().primal_solution_status != _FEASIBLE
        return model in _LOST

    def add(self, planes: Sequence[Plane]) -> None:
        """Add rows ``value · x[column] <= upper``."""
        if not planes:
            return
        start = np.cumsum([0, *(len(plane.column) for plane in planes[:-1])]).astype(np.int32)
        column = np.concatenate([plane.column for plane in planes]).astype(np.int32)
        value = _finite(np.concatenate([plane.value for plane in planes]), "rows")
        upper = _finite(np.array([plane.upper for plane in planes]), "rows")
        lower = np.full(len(planes), -np.inf)
        status = self._solver.addRows(len(planes), lower, upper, len(value), start, column, value)
        self._check(status, "rows")

    def relax(self, *, whole: bool) -> None:
        """Let whole columns take whole values only, or any."""
        column = self._whole.astype(np.int32)
        kind = highspy.HighsVarType.kInteger if whole else highspy.HighsVarType.kContinuous
        kinds = np.full(len(column), kind.value, dtype=np.uint8)
        if len(column):
            self._check(self._solver.changeColsIntegrality(len(column), column, kinds), "kinds of columns")
        self._search = whole and len(column) > 0

    def hold(self, x: Floats) -> None:
        """Hold whole columns at the values, rounded, that they have in a solution."""
        self.fix(self._whole, np.rint(x[self._whole]))

    def release(self) -> None:
        """Give whole columns their own bounds back."""
        self._bound(self._whole.astype(np.int64), *self._bounds)

    def fix(self, column: Ints, value: Floats) -> None:
        """Hold columns at values."""
        self._bound(column, value, value)

    def _bound(self, column: Ints, lower: Floats, upper: Floats) -> None:
        if len(column):
            status = self._solver.changeColsBounds(len(column), column.astype(np.int32), lower, upper)
            self._check(status, "bounds")

    def place(self, row: int, value: float, beside: float = 0.0) -> None:
        """Move a row to a value that it has to take, or that it may lie beside."""
        status = self._solver.changeRowBounds(row, value - beside, value + beside)
        self._check(status, "bounds of a row")

    def cap(self, row: int, upper: float) -> None:
        """Let a row take all values up to one."""
        self._check(self._solver.changeRowBounds(row, -np.inf, upper), "bounds of a row")

    def rows(self) -> tuple[sparse.csr_array, Floats, Floats]:
        """Give all rows, those that were added among them: coefficients, lower and upper bounds."""
        lp = self._solver.getLp()
        own, shape = lp.a_matrix_, (lp.num_row_, lp.num_col_)
        arrays = np.array(own.value_), np.array(own.index_), np.array(own.start_)
        by_row = own.format_ == highspy.MatrixFormat.kRowwise
        matrix = sparse.csr_array(arrays, shape) if by_row else sparse.csc_array(arrays, shape).tocsr()
        return matrix, np.array(lp.row_lower_), np.array(lp.row_upper_)

    def _answer(self) -> Answer:
        solver = self._solver
        model = solver.getModelStatus()
        if model not in _STATUS:
            raise SolverError(f"the solver ended with '{solver.modelStatusToString(model)}'")
        status, info = _STATUS[model], solver.getInfo()
        found = info.primal_solution_status == _FEASIBLE
        if not found or status in (INFEASIBLE, UNBOUNDED):
            return Answer(status, np.zeros(0), np.nan, -np.inf)
        solution = solver.getSolution()
        x = _finite(np.array(solution.col_value), "the solution")
        objective = float(info.objective_function_value)
        if self._search:
            return Answer(status, x, objective, float(info.mip_dual_bound))
        duals = (np.array(solution.row_dual), np.array(solution.col_dual)) if solution.dual_valid else ()
        return Answer(status, x, objective, objective if status == OPTIMAL else -np.inf, *duals)

    @staticmethod
    def _check(status: highspy.HighsStatus, what: str) -> None:
        if status == highspy.HighsStatus.kError:
            raise SolverError(f"the solver refuses {what}")


def _model(program: Program) -> highspy.HighsLp:
    matrix = program.matrix
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = program.n_column, program.n_row
    lp.col_cost_ = _finite(program.cost, "costs")
    lp.col_lower_, lp.col_upper_ = _number(program.lower), _number(program.upper)
    lp.row_lower_, lp.row_upper_ = _number(program.row_lower), _number(program.row_upper)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
    lp.a_matrix_.value_ = _finite(matrix.data, "coefficients")
    if program.whole.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(whole)] for whole in program.whole]
    return lp


def _finite(values: Floats, what: str) -> Floats:
    if not np.isfinite(values).all():
        raise SolverError(f"{what} of the program are not finite")
    return np.ascontiguousarray(values, dtype=np.float64)


def _number(values: Floats) -> Floats:
    if np.isnan(values).any():
        raise SolverError("bounds of the program are NaN")
    return values
