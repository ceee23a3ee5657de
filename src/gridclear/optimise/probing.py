"""The lifted program taken apart by periods: how far its columns range, what every step costs at least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import OPTIMAL, Plane
from gridclear.optimise.relaxation import plane_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.highs import Answer, Solver
    from gridclear.optimise.relaxation import Relaxation
    from gridclear.optimise.supports import Weights

#: Room for the solver's tolerances, in p.u. and as a part of the turnover.
_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Parts:
    """The program taken apart by periods.

    Attributes
    ----------
    solver : Solver
        Without the rows that tie periods together, but with ``rows``.
    cost : (column,)
        Folded costs.
    spare : float
        EUR that a schedule no dearer than the plan may be above the least in any one period.
    least : mapping of period to float
        Least folded costs.
    rows : tuple of Plane
        Folded costs of every period: no more than the least and what is spare.
    """

    solver: Solver
    cost: Floats
    spare: float
    least: Mapping[int, float]
    rows: tuple[Plane, ...]

    @property
    def slack(self) -> float:
        """EUR for the solver's tolerances."""
        return 1e-3 * self.spare


@dataclass(frozen=True, eq=False)
class Probe:
    """A solution with a device at one step in every period where that is not ruled out.

    Attributes
    ----------
    x : (column,)
    periods : tuple of int
        Where it is not.
    weights : mapping of period to Weights
        Of the quantities in the optimum.
    """

    x: Floats
    periods: tuple[int, ...]
    weights: Mapping[int, Weights]


def parts_of(relaxation: Relaxation, answer: Answer) -> Parts | None:
    """Take a program's optimum apart by periods; None if its duals do not say how.

    Parameters
    ----------
    relaxation : Relaxation
    answer : Answer
        Of the program without whole steps.

    Notes
    -----
    A schedule that costs no more than the plan costs, by folded costs, at most the plan's less the
    program's optimum above the least in any one period.
    """
    if answer.dual is None:
        return None
    cost, solver = relaxation.folded(answer.dual), relaxation.apart()
    found = solver.minimise(cost)
    if found.status != OPTIMAL or not len(found.x):
        return None
    spare = max(relaxation.point.cost - answer.objective, 0.0) + _SLACK * relaxation.point.turnover
    least = {}
    rows = []
    for number, _ in relaxation.periods:
        mine = np.flatnonzero((relaxation.labels == number) & (cost != 0.0))
        least[number] = float(cost[mine] @ found.x[mine])
        rows.append(Plane(mine, cost[mine], least[number] + spare))
    solver.add(rows)
    return Parts(solver, cost, spare, least, tuple(rows))


def tightened(relaxation: Relaxation, parts: Parts, deadline: Deadline) -> int:
    """Narrow the ranges of the sources' powers, by what costs no more than the plan; how many."""
    base, count = relaxation.problem.compiled.s_base_mva, 0
    places = max((len(own.fed) for _, own in relaxation.periods), default=0)
    for place in range(places):
        ends: dict[tuple[int, int, int], float] = {}
        for part in range(2):
            columns = {
                number: (own.active, own.reactive)[part][place]
                for number, own in relaxation.periods
                if place < len(own.fed)
            }
            for side, sign in ((0, 1.0), (1, -1.0)):
                aim = np.zeros(len(parts.cost))
                aim[list(columns.values())] = sign
                found = parts.solver.minimise(aim, seconds=deadline.left)
                if found.status != OPTIMAL or not len(found.x):
                    continue
                for number, column in columns.items():
                    ends[number, part, side] = float(found.x[column]) / base - sign * _SLACK
        for number, own in relaxation.periods:
            if place < len(own.fed):
                count += relaxation.narrow(number, place, ends)
    return count


def probed(relaxation: Relaxation, parts: Parts, deadline: Deadline) -> list[Probe]:
    """Find what every step of every device costs at least in every period, and rule out what is too dear.

    Returns the solutions of the programs that have every period at one step: cuts there make the next
    probe say more.
    """
    rows: list[Plane] = []
    probes: list[Probe] = []
    reward = 4.0 * parts.spare
    for columns in relaxation.lifted.step:
        dear = np.full(columns.shape, np.inf)
        for place in range(columns.shape[1]):
            open_ = [
                number for number, _ in relaxation.periods if columns[number, place] not in relaxation.closed
            ]
            if not open_:
                continue
            aim = parts.cost.copy()
            aim[columns[open_, place]] -= reward
            found = parts.solver.minimise(aim, seconds=deadline.left)
            if found.status != OPTIMAL or not len(found.x):
                dear[open_, place] = -np.inf
                continue
            for number in open_:
                mine = parts.rows[relaxation.place[number]].column
                value = float(parts.cost[mine] @ found.x[mine])
                taken = float(found.x[columns[number, place]])
                dear[number, place] = value + reward * (1.0 - taken) - parts.least[number] - parts.slack
            worth = [number for number in open_ if dear[number, place] < parts.spare]
            if worth and found.dual is not None:
                first = int((~relaxation.coupled).sum())
                weights = relaxation.weighed_by(found.dual[first : first + len(relaxation.cuts)])
                probes.append(Probe(found.x, tuple(worth), weights))
        for number, _ in relaxation.periods:
            out = np.flatnonzero(dear[number] > parts.spare)
            shut = [int(column) for column in columns[number, out] if int(column) not in relaxation.closed]
            rows += [Plane(np.array([column]), np.ones(1), 0.0) for column in shut]
            relaxation.closed.update(shut)
            rest = np.flatnonzero((dear[number] <= parts.spare) & (dear[number] > parts.slack))
            if len(rest):
                own = parts.rows[relaxation.place[number]]
                rows.append(
                    plane_of(
                        [(own.column, -own.value), (columns[number, rest], dear[number, rest])],
                        -parts.least[number],
                    )
                )
    relaxation.add_planes(rows)
    return probes
