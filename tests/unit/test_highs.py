"""What the solver's wrapper makes of a solver that stumbles."""

from __future__ import annotations

import subprocess
import sys

import highspy
import numpy as np
import pytest

from gridclear.errors import SolverError
from gridclear.optimise import highs
from gridclear.optimise.program import Program


def stumbling(times):
    """A solver whose first runs end in an error, as the dual simplex does when its duals grow too large."""

    class Stumbling(highs.QuietHighs):
        runs = 0

        def run(self):
            type(self).runs += 1
            return highspy.HighsStatus.kError if self.runs <= times else super().run()

        def getModelStatus(self):  # noqa: N802  the solver's own name
            lost = self.runs <= times
            return highspy.HighsModelStatus.kNotset if lost else super().getModelStatus()

    return Stumbling


def claiming(times):
    """A solver whose first runs call an optimum what breaks rows, as after trouble with a basis."""

    class Claiming(highs.QuietHighs):
        runs = 0

        def run(self):
            type(self).runs += 1
            return super().run()

        def getInfo(self):  # noqa: N802  the solver's own name
            info = super().getInfo()
            if self.runs <= times:
                info.primal_solution_status = highspy.SolutionStatus.kSolutionStatusInfeasible
            return info

    return Claiming


def solver_of_two_rows(*, whole=False):
    program = Program()
    column = program.columns(2, 0.0, 10.0, [1.0, 2.0], whole=whole)
    row = program.rows(1, 3.0, np.inf)
    program.entries(row, column, 1.0)
    return highs.Solver(program), program.cost


def test_nothing_is_written_to_the_terminal():
    # The solver writes its header once in a process: a new one is asked.
    lines = (
        "from gridclear.optimise import highs, program",
        "one = program.Program()",
        "one.columns(1, 0.5, 2.0, 1.0, whole=True)",
        "print(highs.Solver(one).minimise(one.cost).x)",
    )
    ran = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("[1.]\n", "")


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_solver_that_stumbles_is_asked_again(monkeypatch, times):
    monkeypatch.setattr(highs, "QuietHighs", stumbling(times))
    solver, cost = solver_of_two_rows()
    answer = solver.minimise(cost)
    assert answer.status == highs.OPTIMAL
    assert answer.objective == pytest.approx(3.0)


def test_a_solver_that_never_answers_is_an_error(monkeypatch):
    monkeypatch.setattr(highs, "QuietHighs", stumbling(9))
    solver, cost = solver_of_two_rows()
    with pytest.raises(highs.LostError, match="'Not Set', from scratch, too"):
        solver.minimise(cost)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("times", [0, 1, 2])
def test_an_optimum_that_breaks_rows_is_sought_anew(monkeypatch, times, whole):
    monkeypatch.setattr(highs, "QuietHighs", claiming(times))
    solver, cost = solver_of_two_rows(whole=whole)
    answer = solver.minimise(cost)
    assert highs.QuietHighs.runs == times + 1
    assert answer.status == highs.OPTIMAL
    assert answer.objective == pytest.approx(3.0)


@pytest.mark.parametrize("whole", [False, True])
def test_an_optimum_that_breaks_rows_from_scratch_too_has_a_name(monkeypatch, whole):
    monkeypatch.setattr(highs, "QuietHighs", claiming(9))
    solver, cost = solver_of_two_rows(whole=whole)
    with pytest.raises(highs.LostError, match="no solution and says 'Optimal'") as raised:
        solver.minimise(cost)
    assert isinstance(raised.value, SolverError)
    # The program itself stays as it was.
    highs.QuietHighs.runs = 10
    assert solver.minimise(cost).objective == pytest.approx(3.0)


def test_other_costs_lead_to_the_same_optimum_by_either_method():
    rng, program = np.random.default_rng(0), Program()
    column = program.columns(12, 0.0, 1.0)
    for _ in range(8):
        row = program.rows(1, upper=1.0)
        program.entries(row, column, rng.uniform(-0.2, 1.0, 12))
    solver, fresh = highs.Solver(program), highs.Solver(program)
    for _ in range(20):
        cost = rng.normal(0.0, 1.0, 12)
        found, sure = solver.minimise(cost, primal=True), fresh.minimise(cost)
        assert found.status == highs.OPTIMAL
        assert found.objective == pytest.approx(sure.objective, abs=1e-8)
