"""What the solver's wrapper makes of a solver that stumbles."""

from __future__ import annotations

import highspy
import numpy as np
import pytest

from gridclear.errors import SolverError
from gridclear.optimise import highs
from gridclear.optimise.program import Program


def stumbling(times):
    """A solver whose first runs end in an error, as the dual simplex does when its duals grow too large."""

    class Stumbling(highspy.Highs):
        runs = 0

        def run(self):
            type(self).runs += 1
            return highspy.HighsStatus.kError if self.runs <= times else super().run()

        def getModelStatus(self):  # noqa: N802  the solver's own name
            lost = self.runs <= times
            return highspy.HighsModelStatus.kNotset if lost else super().getModelStatus()

    return Stumbling


def solver_of_two_rows():
    program = Program()
    column = program.columns(2, 0.0, 10.0, [1.0, 2.0])
    row = program.rows(1, 3.0, np.inf)
    program.entries(row, column, 1.0)
    return highs.Solver(program), program.cost


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_solver_that_stumbles_is_asked_again(monkeypatch, times):
    monkeypatch.setattr(highs.highspy, "Highs", stumbling(times))
    solver, cost = solver_of_two_rows()
    answer = solver.minimise(cost)
    assert answer.status == highs.OPTIMAL
    assert answer.objective == pytest.approx(3.0)


def test_a_solver_that_never_answers_is_an_error(monkeypatch):
    monkeypatch.setattr(highs.highspy, "Highs", stumbling(9))
    solver, cost = solver_of_two_rows()
    with pytest.raises(SolverError, match="refuses the run"):
        solver.minimise(cost)
