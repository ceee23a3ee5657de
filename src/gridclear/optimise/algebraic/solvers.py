"""Pyomo's solvers by name, with their end states by name."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import TerminationCondition
from pyomo.repn.plugins.nl_writer import NLWriter

from gridclear.errors import OptionError, SolverError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: End states.
SOLVED, TIME_LIMIT = "solved", "time-limit"
#: Solvers of linear programs, with or without whole variables; and those that know no whole variables.
LINEAR = ("highs", "appsi_highs", "glpk", "cbc")
DIVISIBLE = ("ipopt",)
#: What has to be installed for a solver that is not there.
_INSTALL = {
    "highs": "pip install highspy",
    "scip_direct": "pip install pyscipopt",
    "scip_persistent": "pip install pyscipopt",
    "ipopt": "pip install casadi, which brings an Ipopt, or put the program ipopt on the PATH",
}
#: Options that make solvers exact enough to be confirmed by AC power flows, and repeat themselves.
_OPTIONS: dict[str, dict[str, object]] = {
    "highs": {
        "primal_feasibility_tolerance": 1e-9,
        "mip_feasibility_tolerance": 1e-9,
        "random_seed": 1,
        # HiGHS has one number of threads in a process: that of gridclear's own programs.
        "threads": 1,
    },
    "scip_direct": {"numerics/feastol": 1e-9},
    "ipopt": {"tol": 1e-9, "constr_viol_tol": 1e-9, "max_iter": 500, "bound_relax_factor": 1e-10},
}
#: Whole variables may be off by this.
_WHOLE = 1e-5


@dataclass(frozen=True)
class Ended:
    """How a solver ended.

    Attributes
    ----------
    state : str
        ``solved`` or ``time-limit``; everything else is a ``SolverError``.
    found : bool
        Whether the model holds a solution.
    objective, bound : float
        NaN and -inf where there is none.
    """

    state: str
    found: bool
    objective: float
    bound: float


class ModelSolver:
    """A solver that may be called several times on one model.

    Parameters
    ----------
    name : str
        One of Pyomo's: of ``pyomo.contrib.solver``, or of the older ``pyomo.environ.SolverFactory``.
    options : mapping, optional
        The solver's own.

    Raises
    ------
    OptionError
        Pyomo has no such solver, or it is not installed.
    """

    def __init__(self, name: str, options: Mapping[str, object] | None = None) -> None:
        self._name = name
        self._options = {**_OPTIONS.get(name, {}), **(options or {})}
        self._casadi = False
        self._modern = name in SolverFactory
        self._solver = SolverFactory(name) if self._modern else pyo.SolverFactory(name)
        if self._modern and self._solver.available():
            return
        if not self._modern and self._solver.available(exception_flag=False):
            return
        self._casadi = name == "ipopt" and find_spec("casadi") is not None
        if not self._casadi:
            known = ", ".join(sorted(SolverFactory))
            install = _INSTALL.get(name, f"install it, or take one of {known}")
            raise OptionError(f"solver is '{name}', which Pyomo does not find: {install}")

    def solve(self, model: pyo.ConcreteModel, *, seconds: float, gap: float) -> Ended:
        """Solve a model and leave the solution in it.

        Parameters
        ----------
        model : ConcreteModel
        seconds : float
            Time limit, may be infinite.
        gap : float
            Relative gap at which a search may stop.

        Returns
        -------
        Ended

        Raises
        ------
        SolverError
            The solver ended in a way that is no answer, or left whole variables fractional.
        """
        if self._casadi:
            ended = self._by_casadi(model, seconds)
        elif self._modern:
            ended = self._by_modern(model, seconds, gap)
        else:
            ended = self._by_legacy(model, seconds)
        if ended.found:
            self._check_whole(model)
        return ended

    def _by_modern(self, model: pyo.ConcreteModel, seconds: float, gap: float) -> Ended:
        solver = self._solver
        limited = {"time_limit": max(seconds, 1e-3)} if np.isfinite(seconds) else {}
        if "rel_gap" in solver.config:
            limited["rel_gap"] = gap
        results = solver.solve(
            model,
            load_solutions=False,
            raise_exception_on_nonoptimal_result=False,
            solver_options=self._options,
            **limited,
        )
        condition = results.termination_condition
        state = {
            TerminationCondition.convergenceCriteriaSatisfied: SOLVED,
            TerminationCondition.maxTimeLimit: TIME_LIMIT,
        }.get(condition)
        found = results.incumbent_objective is not None
        if state is None or (state == SOLVED and not found):
            raise SolverError(f"{self._name} ended with '{condition.name}'")
        if found:
            results.solution_loader.load_vars()
        return _ended(state, results.incumbent_objective, results.objective_bound)

    def _by_legacy(self, model: pyo.ConcreteModel, seconds: float) -> Ended:
        limited = {"timelimit": max(1, int(seconds))} if np.isfinite(seconds) else {}
        results = self._solver.solve(model, load_solutions=False, options=self._options, **limited)
        condition = results.solver.termination_condition
        legacy = pyo.TerminationCondition
        solved = (legacy.optimal, legacy.globallyOptimal, legacy.locallyOptimal)
        if condition not in (*solved, legacy.maxTimeLimit):
            raise SolverError(f"{self._name} ended with '{condition}'")
        found = len(results.solution) > 0
        if found:
            model.solutions.load_from(results)
        state = SOLVED if condition in solved else TIME_LIMIT
        if state == SOLVED and not found:
            raise SolverError(f"{self._name} ended with '{condition}' and without a solution")
        return _ended(state, pyo.value(model.objective) if found else None, None)

    def _by_casadi(self, model: pyo.ConcreteModel, seconds: float) -> Ended:
        """Solve by the Ipopt that comes with CasADi, by way of Pyomo's NL format."""
        casadi: Any = import_module("casadi")

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.nl"
            with path.open("w", encoding="utf-8") as stream:
                info = NLWriter().write(
                    model, stream, linear_presolve=False, scale_model=False, skip_trivial_constraints=True
                )
            nlp = casadi.NlpBuilder()
            nlp.import_nl(str(path))
        limited = {"max_wall_time": max(seconds, 1e-3)} if np.isfinite(seconds) else {}
        options = {
            "ipopt": {"print_level": 0, "sb": "yes", **self._options, **limited},
            "print_time": False,
        }
        solver = casadi.nlpsol(
            "clearing",
            "ipopt",
            {"x": casadi.vertcat(*nlp.x), "f": nlp.f, "g": casadi.vertcat(*nlp.g)},
            options,
        )
        answer = solver(x0=nlp.x_init, lbx=nlp.x_lb, ubx=nlp.x_ub, lbg=nlp.g_lb, ubg=nlp.g_ub)
        status = str(solver.stats()["return_status"])
        state = {
            "Solve_Succeeded": SOLVED,
            "Solved_To_Acceptable_Level": SOLVED,
            "Maximum_CpuTime_Exceeded": TIME_LIMIT,
            "Maximum_WallTime_Exceeded": TIME_LIMIT,
        }.get(status)
        if state is None:
            raise SolverError(f"ipopt ended with '{status}'")
        if state == TIME_LIMIT:
            return _ended(state, None, None)
        for variable, value in zip(info.variables, np.asarray(answer["x"]).ravel(), strict=True):
            variable.set_value(float(value), skip_validation=True)
        return _ended(state, float(answer["f"]), None)

    def _check_whole(self, model: pyo.ConcreteModel) -> None:
        for variable in model.component_data_objects(pyo.Var, active=True):
            value: Any = variable.value
            if not variable.is_continuous() and value is not None and abs(value - round(value)) > _WHOLE:
                raise SolverError(f"{self._name} left the whole variable {variable.name} at {value}")


def _ended(state: str, objective: float | None, bound: float | None) -> Ended:
    return Ended(
        state,
        objective is not None,
        float("nan") if objective is None else float(objective),
        -float("inf") if bound is None else float(bound),
    )
