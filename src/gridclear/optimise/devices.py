"""Devices first: where a program is too large to be searched at once, its parts are searched in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gridclear.optimise.highs import Plane, Solver, solved
from gridclear.optimise.model import count_moves
from gridclear.optimise.program import Program

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.model import Model
    from gridclear.optimise.problem import Problem

#: Placings of the devices that are tried, and the part of what is open at which the search for one stops.
_MOST_PLACINGS, _OPEN = 30, 0.3
#: Below every cost of a period.
_NOTHING_KNOWN = -1e9


@dataclass(frozen=True, eq=False)
class Parted:
    """A program that is searched in parts: the devices as if all else could be divided, then the rest.

    Attributes
    ----------
    problem : Problem
    model : Model
    solver : Solver
        Holds the model's program and its planes, with the whole columns relaxed. Its devices are held where
        they are placed afterwards.
    cost : (column,)
    worth : float
        EUR at which a search stops.
    deadline : Deadline
    """

    problem: Problem
    model: Model
    solver: Solver
    cost: Floats
    worth: float
    deadline: Deadline

    def search(self, relaxed: Answer) -> tuple[Floats, float]:
        """Place the devices, then decide the rest with the devices held.

        Parameters
        ----------
        relaxed : Answer
            Of the solver's program.

        Returns
        -------
        x : (column,)
            A solution.
        bound : float
            EUR, of the program in which nothing but the devices is whole; an estimate where offers or
            storages join periods, for costs are then shared out among them.

        Raises
        ------
        TimeOverError
        SolverError
        """
        steps, bound = _place(self, relaxed)
        return _decide_rest(self, steps), bound


def _place(parted: Parted, relaxed: Answer) -> tuple[Floats, float]:
    """Find steps by Benders' cuts [1]_: a period's cost is a convex function of its few devices.

    References
    ----------
    .. [1] J. F. Benders, "Partitioning procedures for solving mixed-variables programming problems",
       Numerische Mathematik 4, 1962; one cut per period: J. R. Birge, F. V. Louveaux, "A multicut algorithm
       for two-stage stochastic linear programs", EJOR 34, 1988.
    """
    problem, model, solver = parted.problem, parted.model, parted.solver
    cost, worth, deadline = parted.cost, parted.worth, parted.deadline
    own, program, columns = model.columns, Program(), model.program
    periods = problem.periods
    place = own.steps.ravel()
    steps = program.columns(len(place), columns.lower[place], columns.upper[place], whole=True)
    steps = steps.reshape(own.steps.shape)
    per_step = cost[own.raised.ravel()]
    raised, lowered = (program.columns(len(place), cost=per_step).reshape(own.steps.shape) for _ in range(2))
    own_cost = program.columns(periods, _NOTHING_KNOWN, np.inf, 1.0)
    count_moves(problem, program, steps, raised, lowered)
    master, period = Solver(program), model.period_of_columns(problem)
    inner = cost.copy()
    inner[own.raised], inner[own.lowered] = 0.0, 0.0
    values, least, best, placed = relaxed.x[own.steps], -np.inf, np.inf, None
    for number in range(_MOST_PLACINGS):
        solver.fix(place, values.ravel())
        answer = solved(solver.minimise(inner, seconds=deadline.left))
        if answer.reduced is None:
            break
        slope = answer.reduced[own.steps]
        spent = np.bincount(period, inner * answer.x, minlength=periods)
        if number:  # the first one is not whole
            moves = np.abs(np.diff(values, axis=1, prepend=0.0)).sum(axis=1) @ per_step[::periods]
            if spent.sum() + moves < best:
                best, placed = float(spent.sum() + moves), values
        master.add(
            [
                Plane(
                    np.append(steps[:, time], own_cost[time]),
                    np.append(slope[:, time], -1.0),
                    float(slope[:, time] @ values[:, time] - spent[time]),
                )
                for time in range(periods)
            ]
        )
        gap = max(0.5 * worth, _OPEN * (best - least)) if np.isfinite(best - least) else worth
        found = solved(master.minimise(program.cost, gap=(0.0, gap), seconds=deadline.left))
        least = max(least, found.bound)
        if best - least <= worth:
            break
        values = np.rint(found.x[steps])
    return (np.rint(values) if placed is None else placed), least


def _decide_rest(parted: Parted, steps: Floats) -> Floats:
    """Hold the devices: the program falls apart, mostly into periods, each of which is searched alone."""
    own, program, cost = parted.model.columns, parted.model.program, parted.cost
    matrix, row_lower, row_upper = parted.solver.rows()
    change = np.diff(steps, axis=1, prepend=0.0)
    x, held = np.zeros(program.n_column), np.zeros(program.n_column, dtype=bool)
    for columns, value in (
        (own.steps, steps),
        (own.raised, np.maximum(change, 0.0)),
        (own.lowered, np.maximum(-change, 0.0)),
    ):
        x[columns], held[columns] = value, True
    moved, free = matrix @ x, np.flatnonzero(~held)
    row_lower, row_upper = row_lower - moved, row_upper - moved
    count, of_row, of_column = _components(matrix[:, free])
    whole, lower, upper = program.whole, program.lower, program.upper
    for part in np.unique(of_column).tolist():
        rows, columns = np.flatnonzero(of_row == part), free[of_column == part]
        columns = columns[np.argsort(whole[columns], kind="stable")]
        own_whole, piece = whole[columns], Program()
        for kind in (False, True):
            mine = columns[own_whole == kind]
            piece.columns(len(mine), lower[mine], upper[mine], cost[mine], whole=kind)
        piece.rows(len(rows), row_lower[rows], row_upper[rows])
        entries = matrix[rows][:, columns].tocoo()
        piece.entries(entries.coords[0], entries.coords[1], entries.data)
        gap = (0.0, parted.worth / count)
        answer = Solver(piece).minimise(piece.cost, gap=gap, seconds=parted.deadline.left)
        x[columns] = solved(answer).x
    return x


def _components(matrix: sparse.csr_array) -> tuple[int, Ints, Ints]:
    """Tell apart what shares no row and no column: how many parts, and the part of every row and column."""
    rows, columns = matrix.shape
    row, column = matrix.tocoo().coords
    shape = (rows + columns, rows + columns)
    graph = sparse.coo_array((np.ones(len(row)), (row, rows + column)), shape)
    count, label = connected_components(graph, directed=False)
    of_row, of_column = (part.astype(np.int64) for part in np.split(np.asarray(label), [rows]))
    return int(count), of_row, of_column
