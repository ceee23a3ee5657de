"""Clearing by the AC equations in two steps: divisible devices, then rounded ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gridclear.optimise.algebraic.ac import Ac
from gridclear.optimise.algebraic.model import Formulation

if TYPE_CHECKING:
    from gridclear.optimise.algebraic.decisions import Solution
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Problem


@dataclass(frozen=True)
class RelaxAndRound(Formulation):
    """Solve with divisible devices and least amounts, round, and solve again with these held.

    The model is that of ``Ac`` with the ratio of a tap changer straight in its position, ρ = a + b n, and it
    covers the same. The whole plan is the nearest one that keeps the conditions on plans (``rounding``). Both
    steps are local: there is no bound, and another start may end elsewhere.

    Attributes
    ----------
    solver : str
        A solver of nonconvex programs without whole variables that Pyomo knows: ``ipopt`` is the program of
        that name, or else the one that comes with CasADi.
    """

    solver: str = "ipopt"

    def solve(self, problem: Problem, deadline: Deadline) -> Solution:
        """Clear, and say what the model believes: as in ``Formulation``."""
        model = Ac(solver=self.solver, whole=False)
        relaxed = model.solve(problem, deadline)
        if not relaxed.complete:
            return relaxed
        held = model.solve(problem, deadline, held=relaxed.plan)
        # Without the time for the second step there is still the rounded plan.
        return held if held.vm else replace(relaxed, complete=False)


#: The algorithm with its defaults.
relax_and_round = RelaxAndRound()
