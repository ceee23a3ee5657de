"""Small dense programs, asked again and again: solved by kernels, and by HiGHS where those are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import SolverError
from gridclear.optimise.highs import INFEASIBLE, OPTIMAL, TIME_LIMIT, Answer, Solver
from gridclear.optimise.program import Program
from gridclear.powerflow.branching import search
from gridclear.powerflow.completing import FULL, complete
from gridclear.powerflow.simplex import ABOVE, SOLVED, Tableau, extend, solve, start_over

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.network.network import Floats
    from gridclear.optimise.highs import Rows
    from gridclear.powerflow.completing import Missed, Surroundings

#: Rows that there is room for at first, besides the program's own.
_ROOM = 64
#: Programs of one search before HiGHS takes it over.
_MOST_PROGRAMS = 20000
#: Answer when there is no time to ask.
_TIME_OVER = Answer(TIME_LIMIT, np.zeros(0), np.nan, -np.inf)


class Dense:
    """A program of some tens of columns, kept from one answer to the next.

    What it says is what ``highs.Solver`` would say of the same program.

    Parameters
    ----------
    program : Program

    Raises
    ------
    SolverError
        The program holds NaN.
    """

    def __init__(self, program: Program) -> None:
        n, m = program.n_column, program.n_row
        self._whole = np.flatnonzero(program.whole)
        endless = np.full(_ROOM, np.inf)
        self._tableau = Tableau(
            rows=program.dense(_ROOM),
            low=np.concatenate([program.lower, program.row_lower, -endless]),
            high=np.concatenate([program.upper, program.row_upper, endless]),
            cost=program.cost,
            table=np.zeros((m + _ROOM, n)),
            reduced=np.zeros(n),
            head=np.zeros(m + _ROOM, dtype=np.int64),
            tail=np.zeros(n, dtype=np.int64),
            at=np.zeros(n + m + _ROOM),
            size=np.array([m, 0]),
        )
        own = self._tableau
        if not np.isfinite(own.rows).all() or np.isnan(own.low).any() or np.isnan(own.high).any():
            raise SolverError("the program holds NaN")
        self._bounds = own.low[self._whole], own.high[self._whole]
        start_over(own)

    def add(self, rows: Sequence[Rows]) -> None:
        """Add rows to the program."""
        if not rows:
            return
        upper = np.concatenate([own.upper for own in rows])
        value, first = np.zeros((len(upper), len(self._tableau.cost))), 0
        for own in rows:
            value[first : first + len(own.upper), own.column] = own.value
            first += len(own.upper)
        if not (np.isfinite(value).all() and np.isfinite(upper).all()):
            raise SolverError("rows of the program are not finite")
        while len(self._tableau.rows) - self._tableau.size[0] < len(upper):
            self._grow()
        extend(self._tableau, value, upper)

    def place(self, row: int, value: float, beside: float = 0.0) -> None:
        """Move a row to a value that it has to take, or that it may lie beside."""
        own = self._tableau
        place = len(own.cost) + row
        own.low[place], own.high[place] = value - beside, value + beside

    def hold(self, x: Floats) -> None:
        """Hold whole columns at the values, rounded, that they have in a solution."""
        value = np.rint(x[self._whole])
        self._tableau.low[self._whole], self._tableau.high[self._whole] = value, value

    def release(self) -> None:
        """Give whole columns their own bounds back."""
        self._tableau.low[self._whole], self._tableau.high[self._whole] = self._bounds

    def minimise(self, cost: Floats, *, seconds: float = np.inf) -> Answer:
        """Solve, whole columns relaxed.

        Parameters
        ----------
        cost : (column,)
        seconds : float
            Time limit.

        Returns
        -------
        Answer

        Raises
        ------
        LostError, SolverError
            As of ``highs.Solver``.
        """
        if not seconds > 0.0:
            return _TIME_OVER
        self._tableau.cost[:] = _finite(cost)
        return self._answer(solve(self._tableau), seconds)

    def complete(
        self,
        cost: Floats,
        around: Surroundings,
        watched: NDArray[np.bool_],
        missed: Missed,
        most: int,
        *,
        seconds: float = np.inf,
    ) -> Answer | None:
        """Solve, whole columns relaxed, with rows added as of ``completing.complete``.

        Parameters
        ----------
        cost : (column,)
        around, watched, missed, most
            As of ``completing.complete``.
        seconds : float
            Time limit.

        Returns
        -------
        Answer or None
            None: the method lost its way, or says that there is no answer.
        """
        if not seconds > 0.0:
            return _TIME_OVER
        self._tableau.cost[:] = _finite(cost)
        code = FULL
        while code == FULL:
            code = complete(self._tableau, around, watched, missed, most)
            if code == FULL:
                self._grow()
        return self._answer(code, seconds) if code == SOLVED else None

    def search(
        self, cost: Floats, *, gap: float, limit: float = np.inf, seconds: float = np.inf
    ) -> Answer | None:
        """Search whole columns.

        Parameters
        ----------
        cost : (column,)
        gap : float
            Cost by which the best answer may be missed.
        limit : float
            What costs as much or more is not looked for.
        seconds : float
            Time limit.

        Returns
        -------
        Answer or None
            None: nothing costs less than the limit.

        Raises
        ------
        LostError, SolverError
            As of ``highs.Solver``.
        """
        if not seconds > 0.0:
            return _TIME_OVER
        self._tableau.cost[:] = _finite(cost)
        x = np.zeros(len(cost))
        code, best, bound, _ = search(self._tableau, self._whole, gap, limit, _MOST_PROGRAMS, x)
        if code == SOLVED:
            return Answer(OPTIMAL, x, best, bound)
        if code == ABOVE:
            return None
        answer = self._solver(whole=True).minimise(cost, gap=(0.0, gap), seconds=seconds)
        return None if answer.status == INFEASIBLE or answer.bound >= limit else answer

    def _answer(self, code: int, seconds: float) -> Answer:
        own = self._tableau
        if code != SOLVED:
            # That there is no answer is said by two solvers or by none.
            return self._solver(whole=False).minimise(own.cost.copy(), seconds=seconds)
        n = len(own.cost)
        x, price = own.at[:n].copy(), np.zeros(n + own.size[0])
        price[own.tail] = own.reduced
        objective = float(own.cost @ x)
        return Answer(OPTIMAL, x, objective, objective, price[n:], price[:n])

    def _solver(self, *, whole: bool) -> Solver:
        """State the program as it is for HiGHS."""
        own, program = self._tableau, Program()
        n, m = len(own.cost), int(own.size[0])
        kind = np.zeros(n, dtype=bool)
        kind[self._whole] = whole
        for column in range(n):
            program.columns(1, own.low[column], own.high[column], whole=bool(kind[column]))
        program.rows(m, own.low[n : n + m].copy(), own.high[n : n + m].copy())
        row, column_of = np.nonzero(own.rows[:m])
        program.entries(row, column_of, own.rows[row, column_of])
        return Solver(program)

    def _grow(self) -> None:
        """Make room for as many rows again."""
        own = self._tableau
        more = len(own.rows)
        wider, endless = np.zeros((more, len(own.cost))), np.full(more, np.inf)
        self._tableau = own._replace(
            rows=np.vstack([own.rows, wider]),
            low=np.concatenate([own.low, -endless]),
            high=np.concatenate([own.high, endless]),
            table=np.vstack([own.table, wider]),
            head=np.concatenate([own.head, np.zeros(more, dtype=np.int64)]),
            at=np.concatenate([own.at, np.zeros(more)]),
        )


def _finite(cost: Floats) -> Floats:
    if not np.isfinite(cost).all():
        raise SolverError("costs of the program are not finite")
    return cost
