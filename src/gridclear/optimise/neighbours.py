"""Courses of the devices beside one that is known, by AC states of every placing in every period."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver, solved
from gridclear.optimise.linearise import Local, Point, assess
from gridclear.optimise.model import count_moves
from gridclear.optimise.problem import Requests
from gridclear.optimise.program import Program
from gridclear.optimise.singles import Single, Singles
from gridclear.optimise.tangents import PERCENT
from gridclear.optimise.weights import uncured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridclear.network.network import Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.weights import Weights

#: Periods from which on a placing is not looked at in another one.
_NEAR = 3


@dataclass(frozen=True, eq=False)
class Stood:
    """A period alone: its decision, its state, what they weigh in EUR, and what they leave uncured."""

    single: Single
    local: Local
    merit: float
    uncured: float

    def weighed(self, price: float) -> float:
        """EUR with what is left uncured at a price per per cent."""
        return self.merit + price * PERCENT * self.uncured


class Placed:
    """The best that is known of every period by where the devices stand.

    Parameters
    ----------
    problem : Problem
        Nothing but the devices' moves joins its periods.
    weights : Weights
    """

    def __init__(self, problem: Problem, weights: Weights) -> None:
        self._problem, self._weights = problem, weights
        self._singles = Singles(problem, None)
        self._free = tuple(replace(device, budgets=()) for device in problem.devices)
        self._known: list[dict[bytes, Stood]] = [{} for _ in range(problem.periods)]

    def learn(self, point: Point, price: float, periods: Ints | None = None) -> None:
        """Take what is better than what was known.

        Parameters
        ----------
        point : Point
        price : float
            EUR per per cent that is left uncured, where its sum is to be kept.
        periods : (lane,) of int, optional
            What the point's periods are; all of the problem's, in order, if None.
        """
        lanes = np.arange(self._problem.periods) if periods is None else periods
        own, offers = point.plan, point.problem.offers
        merits, left = self._weights.merits(point).tolist(), uncured(point).tolist()
        for lane, (period, local) in enumerate(zip(lanes.tolist(), point.local, strict=True)):
            if local is None:
                continue
            single = Single(own.share[offers.item[local.offers]], own.steps[:, lane])
            known, key = self._known[period], single.steps.tobytes()
            found = Stood(single, replace(local, offers=self._singles.rows[period]), merits[lane], left[lane])
            if key not in known or found.weighed(price) < known[key].weighed(price):
                known[key] = found

    def beside(self, point: Point) -> tuple[Ints, Point] | None:
        """Collect placings near a point's that are not known.

        Either one device stands one step higher or lower, or all stand where they do a little earlier or
        later.

        Returns
        -------
        periods : (lane,) of int
        point : Point
            Whose periods are these lanes; bids are taken as the point takes them.
        """
        found: dict[tuple[int, bytes], Single] = {}
        for period, rows in enumerate(self._singles.rows):
            for steps in self._near(point.plan.steps, period):
                if (key := steps.tobytes()) not in self._known[period]:
                    found[period, key] = Single(point.plan.share[rows], steps)
        if not found:
            return None
        periods = np.array([period for period, _ in found], dtype=np.int64)
        problem = replace(self._singles.lanes(periods, self._requests(periods)), devices=self._free)
        return periods, assess(problem, self._singles.plan(problem, list(found.values())))

    def _options(self, point: Point) -> list[list[Stood]]:
        """All that is known of every period, what a point has there before all else."""
        merits, left = self._weights.merits(point).tolist(), uncured(point).tolist()
        found: list[list[Stood]] = [[] for _ in self._known]
        for period, local in enumerate(point.local):
            if local is not None:
                single = Single(point.plan.share[self._singles.rows[period]], point.plan.steps[:, period])
                found[period].append(Stood(single, local, merits[period], left[period]))
                found[period] += self._known[period].values()
        return found

    def _near(self, steps: Ints, period: int) -> Iterator[Ints]:
        """Placings of a period to be looked at."""
        for row, device in enumerate(self._problem.devices):
            for way in (-1, 1):
                moved = steps[:, period].copy()
                moved[row] = np.clip(moved[row] + way, device.lowest, device.highest)
                yield moved
        for other in range(max(period - _NEAR, 0), min(period + _NEAR + 1, steps.shape[1])):
            yield steps[:, other].copy()

    def _requests(self, periods: Ints) -> Requests:
        """State the requests of lanes."""
        own = self._problem.requests
        rows = [np.flatnonzero(own.period == period) for period in periods.tolist()]
        row = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
        lane = np.repeat(np.arange(len(periods)), [len(mine) for mine in rows])
        return Requests(own.point[row], lane, own.q[row], own.tolerance[row])

    def course(self, point: Point, deadline: Deadline) -> Point:
        """Find the best course through all placings that are known.

        Parameters
        ----------
        point : Point
            All of whose placings are known.
        deadline : Deadline

        Returns
        -------
        Point

        Raises
        ------
        TimeOverError
        SolverError
        """
        problem, program = self._problem, Program()
        devices, periods = len(problem.devices), problem.periods
        per_step = np.repeat([device.cost for device in problem.devices], periods)
        steps = program.columns(devices * periods, -np.inf).reshape(devices, periods)
        raised, lowered = (
            program.columns(devices * periods, cost=per_step).reshape(steps.shape) for _ in range(2)
        )
        count_moves(problem, program, steps, raised, lowered)
        # Rounding, or a point that is beyond it, is no reason to find nothing.
        left = np.inf if problem.left is None else PERCENT * max(problem.left, point.uncured)
        total = program.rows(1, upper=left)
        options = self._options(point)
        # No better course has a period that is worse than the best one by more than all there is to gain.
        floor = [min((own.merit for own in known), default=0.0) for known in options]
        room = self._weights.merit(point) - sum(floor)
        choices: list[tuple[Ints, list[Stood]]] = []
        start = [np.zeros(program.n_column)]
        for period, known in enumerate(options):
            own = [one for one in known if one is known[0] or one.merit - floor[period] <= room]
            if own:
                worse = [one.merit - floor[period] for one in own]
                taken = program.columns(len(own), 0.0, 1.0, worse, whole=True)
                program.entries(program.rows(1, 1.0, 1.0), taken, 1.0)
                program.entries(total, taken, [PERCENT * one.uncured for one in own])
                at = program.rows(devices, 0.0, 0.0)
                program.entries(at, steps[:, period], -1.0)
                placings = np.stack([one.single.steps for one in own], axis=1)
                program.entries(at[:, None], taken[None], placings)
            else:
                # Without a state nothing is known: the devices stay.
                now, taken = point.plan.steps[:, period], program.columns(0)
                program.entries(program.rows(devices, now, now), steps[:, period], 1.0)
            choices.append((taken, own))
            start.append(np.arange(len(own)) == 0)
        found = solved(
            Solver(program).minimise(program.cost, seconds=deadline.left, start=np.concatenate(start))
        )
        plan, local = point.plan, list(point.local)
        share, placed = plan.share.copy(), plan.steps.copy()
        for period, (taken, own) in enumerate(choices):
            if own:
                best = own[int(np.argmax(found.x[taken]))]
                share[self._singles.rows[period]] = best.single.share
                placed[:, period], local[period] = best.single.steps, best.local
        return Point(problem, replace(plan, share=share, steps=placed), tuple(local))
