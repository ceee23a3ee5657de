"""Linear expressions of a Pyomo model as matrices; states that linear equations determine put out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo
from pyomo.repn import generate_standard_repn
from scipy import sparse
from scipy.sparse.linalg import splu

from gridclear.errors import SolverError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gridclear.network.network import Floats
    from gridclear.optimise.algebraic.flows import Expression


class Variables:
    """Numbers the variables of a model as they come."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._number: dict[int, int] = {}

    def number(self, variable: Any) -> int:  # noqa: ANN401  Pyomo's variables have no types
        """Give a variable its number."""
        found = self._number.setdefault(id(variable), len(self.all))
        if found == len(self.all):
            self.all.append(variable)
        return found

    @property
    def values(self) -> Floats:
        """Present values."""
        return np.array([pyo.value(variable) for variable in self.all], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Forms:
    """Linear expressions ``matrix · variables + level``.

    Attributes
    ----------
    matrix : (expression, variable) sparse
    level : (expression,)
    """

    matrix: sparse.csr_array
    level: Floats

    def at(self, x: Floats) -> Floats:
        """Values at values of the variables, of which there may be more by now."""
        return np.asarray(self.matrix @ x[: self.matrix.shape[1]] + self.level)


def forms(expressions: Iterable[Expression], variables: Variables) -> Forms:
    """Read expressions.

    Parameters
    ----------
    expressions : iterable of linear expressions
    variables : Variables
        Those that occur get numbers.

    Returns
    -------
    Forms

    Raises
    ------
    SolverError
        One is not linear.
    """
    row: list[int] = []
    column: list[int] = []
    value: list[float] = []
    level: list[float] = []
    for expression in expressions:
        form = generate_standard_repn(expression)
        if not form.is_linear() and not form.is_constant():
            raise SolverError(f"an expression of a linear model is not linear: {expression}")
        for variable, factor in zip(form.linear_vars, form.linear_coefs, strict=True):
            row.append(len(level))
            column.append(variables.number(variable))
            value.append(float(factor))
        level.append(float(form.constant))
    entries = np.array(value), (np.array(row, dtype=np.int64), np.array(column, dtype=np.int64))
    shape = (len(level), len(variables.all))
    return Forms(sparse.csr_array(sparse.coo_array(entries, shape)), np.array(level))


@dataclass(frozen=True, eq=False)
class Eliminated:
    """States as linear functions of the other variables: ``state = matrix · variables + level``.

    Attributes
    ----------
    state : (state,) of int
        Their numbers among the variables.
    matrix : (variable, variable) sparse
        Takes all variables to themselves, states to what determines them.
    level : (variable,)
    """

    state: Sequence[int]
    matrix: sparse.csr_array
    level: Floats

    def without(self, form: Forms) -> Forms:
        """Put the states out of expressions."""
        own = form.matrix
        shape = (len(form.level), self.matrix.shape[0])
        grown = sparse.csr_array((own.data, own.indices, own.indptr), shape=shape)
        found = sparse.csr_array(grown @ self.matrix)
        found.eliminate_zeros()
        return Forms(found, form.level + grown @ self.level)

    def settle(self, variables: Variables) -> None:
        """Give the states the values that follow from the other variables."""
        values = self.matrix @ variables.values + self.level
        for number in self.state:
            variables.all[number].set_value(float(values[number]), skip_validation=True)


def eliminate(blocks: Sequence[pyo.Block], variables: Variables) -> Eliminated:
    """Solve the equations of every block for its own variables; blocks know nothing of each other.

    Parameters
    ----------
    blocks : sequence of Block
        Each has as many equations as variables.
    variables : Variables
        All of the blocks' get numbers.

    Returns
    -------
    Eliminated

    Raises
    ------
    SolverError
        The equations of a block do not determine its variables.
    """
    state: list[int] = []
    parts: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Floats]] = []
    level: list[Floats] = []
    for block in blocks:
        equations = [one for one in block.component_data_objects(pyo.Constraint, active=True) if one.equality]
        own = [variables.number(one) for one in block.component_data_objects(pyo.Var) if not one.fixed]
        read = forms((one.body - one.upper for one in equations), variables)
        others = np.setdiff1d(np.unique(read.matrix.indices), own)
        if len(own) != len(equations):
            raise SolverError(f"{len(equations)} equations for {len(own)} states of {block.name}")
        given = np.hstack([read.matrix[:, others].toarray(), read.level[:, None]])
        found = -splu(sparse.csc_array(read.matrix[:, own])).solve(given)
        if not np.isfinite(found).all():
            raise SolverError(f"the equations of {block.name} do not determine its states")
        state += own
        row, column = np.meshgrid(own, others, indexing="ij")
        parts.append((row.ravel(), column.ravel(), found[:, :-1].ravel()))
        level.append(found[:, -1])
    count = len(variables.all)
    rest = np.setdiff1d(np.arange(count), state)
    parts.append((rest, rest, np.ones(len(rest))))
    row, column, value = (np.concatenate([part[k] for part in parts]) for k in range(3))
    total = np.zeros(count)
    total[state] = np.concatenate([np.zeros(0), *level])
    return Eliminated(
        state, sparse.csr_array(sparse.coo_array((value, (row, column)), (count, count))), total
    )
