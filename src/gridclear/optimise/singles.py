"""Periods alone: problems whose periods are lanes, any of them as often as wanted, and nothing links them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from gridclear.optimise.capability import Capability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.network.movables import Movable
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.offers import Offers
    from gridclear.optimise.problem import Plan, Problem, Requests


@dataclass(frozen=True, eq=False)
class Single:
    """What is decided in one period alone.

    Attributes
    ----------
    share : (offer,)
        Of the period's offers, in the order of the problem's.
    steps : (device,) of int
        Away from the scheduled positions.
    """

    share: Floats
    steps: Ints

    @classmethod
    def of(cls, plan: Plan) -> Single:
        """Take the decision of a plan of one lane."""
        return cls(plan.share, plan.steps[:, 0])

    def key(self, asked: NDArray[np.bool_]) -> bytes:
        """Name the setting of all that is whole; ``asked`` as of ``Offers``."""
        return self.steps.tobytes() + (self.share[asked] > 0.0).tobytes()


class Singles:
    """The periods of a problem, each alone.

    Parameters
    ----------
    problem : Problem
        Built without links.
    most_moves : int or None
        Largest number of steps of every device away from its position, besides its own budget.
    """

    def __init__(self, problem: Problem, most_moves: int | None) -> None:
        self.problem = problem
        offers = problem.offers
        self.rows = [np.flatnonzero(offers.period == period) for period in range(problem.periods)]
        of_row = np.concatenate([offers.period, [-1]])
        able = problem.capability.matrix
        first = [able.indices[start] if start < stop else -1 for start, stop in pairwise(able.indptr)]
        self._able = of_row[np.array(first, dtype=np.int64)]
        self._devices = [self._movable(period, most_moves) for period in range(problem.periods)]

    def _movable(self, period: int, most_moves: int | None) -> tuple[Movable, ...]:
        """Devices with the range that is left of the budgets that hold in a period."""
        found = []
        for device in self.problem.devices:
            most = [most for begin, end, most in device.budgets if begin <= period < end]
            away = min([*most, *([] if most_moves is None else [most_moves])], default=device.most_moves)
            low, high = max(device.lowest, -away), min(device.highest, away)
            found.append(replace(device, lowest=low, highest=high, budgets=()))
        return tuple(found)

    def lanes(self, period: Ints, requests: Requests) -> Problem:
        """State the problem whose periods are these, in this order, with requests to them.

        Parameters
        ----------
        period : (lane,) of int
        requests : Requests
            Their periods are lanes.

        Returns
        -------
        Problem
            Its devices have the range of the first lane; a program is written for one lane at a time.
        """
        problem, every = self.problem, period.tolist()
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *(self.rows[own] for own in every)])
        lane = np.repeat(np.arange(len(period)), [len(self.rows[own]) for own in every])
        scenarios, stores = problem.scenarios.lanes(period), problem.stores
        none = stores.scheduled[:, period]
        return replace(
            problem,
            scenarios=scenarios,
            base=problem.base.lanes(period),
            offers=_offers(problem.offers, rows, lane),
            devices=self._devices[every[0]],
            stores=replace(
                stores,
                scheduled=none,
                least_charge=none,
                least_discharge=none,
                most_charge=none,
                most_discharge=none,
            ),
            capability=self._capability(every),
            requests=requests,
            limits=tuple(limits[period] for limits in problem.limits),
            left=None,
        )

    def plan(self, problem: Problem, singles: Sequence[Single]) -> Plan:
        """Put decisions of the lanes of a problem together."""
        return replace(
            problem.nothing(),
            share=np.concatenate([np.zeros(0), *(single.share for single in singles)]),
            steps=np.stack([single.steps for single in singles], axis=1),
        )

    def nothing(self, period: int) -> Single:
        """Take nothing and move nothing."""
        steps = np.zeros(len(self.problem.devices), dtype=np.int64)
        return Single(np.zeros(len(self.rows[period])), steps)

    def cost(self, period: int, single: Single) -> float:
        """EUR for the offers and moves of a decision."""
        per_step = np.array([device.cost for device in self.problem.devices])
        taken = self.problem.offers.cost[self.rows[period]] @ single.share
        return float(taken + per_step @ np.abs(single.steps))

    def _capability(self, period: Sequence[int]) -> Capability:
        able = self.problem.capability
        rows = {own: np.flatnonzero(self._able == own) for own in set(period)}
        block = {own: able.matrix[mine][:, self.rows[own]] for own, mine in rows.items()}
        row = np.concatenate([rows[own] for own in period])
        matrix = _beside([block[own] for own in period])
        return Capability(matrix, able.low[row], able.high[row], able.outer[row])


def _beside(blocks: Sequence[sparse.csr_array]) -> sparse.csr_array:
    """Set blocks along the diagonal: many small ones, which scipy takes its time for."""
    rows, columns, entries = (
        np.cumsum([0, *sizes]) for sizes in zip(*((*block.shape, block.nnz) for block in blocks), strict=True)
    )
    data = np.concatenate([block.data for block in blocks])
    place = np.concatenate([block.indices + first for block, first in zip(blocks, columns, strict=False)])
    start = [block.indptr[1:] + first for block, first in zip(blocks, entries, strict=False)]
    shape = (int(rows[-1]), int(columns[-1]))
    return sparse.csr_array((data, place, np.concatenate([[0], *start])), shape=shape)


def _offers(offers: Offers, rows: Ints, lane: Ints) -> Offers:
    """Take some rows of unlinked offers, in lanes."""
    return replace(
        offers,
        bid=offers.bid[rows],
        element_type=offers.element_type[rows],
        element=offers.element[rows],
        activations=replace(offers.activations.part(rows), period=lane),
        p=offers.p[rows],
        q=offers.q[rows],
        item=np.arange(len(rows)),
        cost=offers.cost[rows],
        least=offers.least[rows],
        most=offers.most[rows],
        exclusive=offers.exclusive[rows],
    )
