"""The guarantee ``any-subset`` by brute force: is a box of activations safe, as published?

The box of a period holds every activation from nothing to the accepted share of each unit (see `activation`).
Where a group of exclusive bids is named, it is cut: no two items of a group are above nothing at once.
`breaks` looks for the worst point of the published boxes: all corners where there are few units, else corners
that aim at every single constraint, and random subsets and partial activations. From the worst of these it
can climb on, one unit after the other: where something bends inside a box, the worst point is no corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .activation import Period, Unit, clash, excess, items_of, starts_of
from .fast_states import FastStates
from .plain_grid import NO_SOLUTION, Key, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_CORNERS = 12  # units of which all combinations are tried
CLIMBED = 12  # constraints, those that come nearest to their limits, which points climb to
GRID, ZOOMS, SWEEPS = 9, 4, 4  # points per unit, how often they close in, times that all units are moved
# two tools that agree to 1e-8 p.u. may see a state at the very edge of its tolerance on either side
EDGE = 1.01


@dataclass(frozen=True)
class Worst:
    """The worst point of all that were tried, at the constraint that is furthest beyond its limit.

    ``over`` is in tolerances: 1 is the effective limit and its tolerance, more is a violation. ``shares``
    are those of the rows of ``active_bids`` there (index label → share); ``tried`` counts points.
    """

    start: pd.Timestamp
    key: Key
    side: int
    value: float
    effective: float
    over: float
    shares: dict[int, float]
    tried: int

    @property
    def broken(self) -> bool:
        """Whether this is a violation."""
        return self.over > EDGE


def units_in(problem: Problem, period: Period) -> list[Unit]:
    """Units of the period that move something: none of their rows stands at a lost element."""
    units = [unit for item in items_of(problem) for unit in item.units if unit.start == period.start]
    return [unit for unit in units if all(period.stopped[row] is None for row in unit.rows)]


def published_box(problem: Problem, lights: pd.DataFrame, units: Iterable[Unit]) -> np.ndarray:
    """Accepted share of each unit in ``tlq.lights``, whose rows are in the order of ``active_bids``."""
    if not (lights["bid"].to_numpy() == problem.active_bids["bid"].to_numpy()).all():
        raise ValueError("the published lights are not in the order of active_bids")
    shares = pd.Series(
        lights["accepted_mw"].to_numpy() / problem.active_bids["p_mw"].to_numpy(), problem.active_bids.index
    )
    box = []
    for unit in units:
        own = shares.loc[list(unit.rows)]
        if own.max() - own.min() > 1e-9:
            raise ValueError(f"the rows of unit {unit.rows} are accepted in different shares")
        box.append(float(own.max()))
    return np.array(box)


def breaks(
    problem: Problem,
    lights: pd.DataFrame,
    *,
    random: int = 10_000,
    most_corners: int = MOST_CORNERS,
    seed: int = 0,
    starts: Iterable[pd.Timestamp] | None = None,
    fast: bool = True,
    climb: bool = False,
) -> Worst | None:
    """Find the worst point of the published boxes; None if nothing was accepted anywhere.

    ``random`` is the number of random points of each period, ``starts`` names the periods (all). Not
    ``fast``: every point is solved by ``runpp``, for few of them. ``climb``: see `climbed`; only if ``fast``.
    """
    worst = None
    tried = 0
    rng = np.random.default_rng(seed)
    for start in sorted(set(starts_of(problem).values())) if starts is None else starts:
        period = Period(problem, start)
        units = units_in(problem, period)
        box = published_box(problem, lights, units)
        on = np.flatnonzero(box > 0.0)
        units, box = [units[k] for k in on], box[on]
        if not units:
            continue
        states = FastStates(period, units) if fast else None
        points = [corners(units) if len(units) <= most_corners else np.zeros((0, len(units)))]
        if states is not None:
            points.append(aimed_corners(states, box))
        points.append(random_points(units, random, rng))
        x = np.concatenate(points) * box
        if states is not None and climb:
            x = np.concatenate([x, climbed(states, box, x)])
        tried += len(x)
        found = _worst_of(period, units, x, states)
        if worst is None or found.over > worst.over:
            worst = found
    return None if worst is None else Worst(**{**worst.__dict__, "tried": tried})


def _worst_of(period: Period, units: Sequence[Unit], x: np.ndarray, states: FastStates | None) -> Worst:
    """The worst of some points; what the fast states call worst is measured by pandapower."""
    if states is not None:
        x = x[[int(np.argmax(states.over(x).max(axis=1)))]]
    worst = None
    for point in x:
        shares = {row: share for unit, share in zip(units, point.tolist(), strict=True) for row in unit.rows}
        found = _measured(period, shares)
        if worst is None or found.over > worst.over:
            worst = found
    assert worst is not None
    return worst


def _measured(period: Period, shares: dict[int, float]) -> Worst:
    """The worst constraint of one activation, by ``runpp``."""
    state = period.state(shares)
    if state is None:
        return Worst(period.start, NO_SOLUTION, 0, np.nan, np.nan, np.inf, shares, 1)
    over = excess(state)
    row = state.loc[over.idxmax()]
    key = (row["kind"], row["element_type"], row["element"])
    return Worst(
        period.start, key, int(row["side"]), float(row["value"]), float(row["effective"]), float(over.max()),
        shares, 1,
    )  # fmt: skip


def climbed(states: FastStates, box: np.ndarray, x: np.ndarray, *, most: int = CLIMBED) -> np.ndarray:
    """Points as far beyond limits as moving one unit after the other leads to, from the worst of ``x``.

    Points climb to the ``most`` constraints that come nearest to their limits.
    Every unit in turn goes to the best of a grid over its side of the box, which then closes in on it.
    """
    over = states.over(x)
    best = over.max(axis=0)
    chosen = np.argsort(-np.where(np.isnan(best), -np.inf, best))[:most]
    at, here = x[over[:, chosen].argmax(axis=0)], best[chosen]
    shut_out, each = clashes(states.units), np.arange(len(chosen))
    for _ in range(SWEEPS):
        before = here.copy()
        for unit in range(len(box)):
            middle, reach = np.full(len(chosen), 0.5 * box[unit]), 0.5 * box[unit]
            for _ in range(ZOOMS):
                asked = np.clip(middle[:, None] + reach * np.linspace(-1.0, 1.0, GRID), 0.0, box[unit])
                asked[(at[:, shut_out[unit]] > 0.0).any(axis=1)] = 0.0
                points = np.repeat(at[:, None], GRID, axis=1)
                points[:, :, unit] = asked
                found = states.over(points.reshape(-1, len(box))).reshape(len(chosen), GRID, -1)
                found = found[each, :, chosen]
                to = found.argmax(axis=1)
                middle, reach = asked[each, to], 2.0 * reach / (GRID - 1)
                nearer = found[each, to] > here
                at[nearer, unit] = middle[nearer]
                here = np.where(nearer, found[each, to], here)
        if (here <= before + 1e-3).all():
            break
    return at


def clashes(units: Sequence[Unit]) -> np.ndarray:
    """Which units shut each other out, (unit, unit)."""
    return np.array([[clash(one, other) for other in units] for one in units], dtype=bool)


def corners(units: Sequence[Unit]) -> np.ndarray:
    """All combinations of units at nothing or at their whole share, without those that are shut out."""
    all_ = np.array(list(product((0.0, 1.0), repeat=len(units))))
    pairs = clashes(units).astype(float)
    return all_[np.einsum("ki,ij,kj->k", all_, pairs, all_) == 0.0]


def without_clashes(points: np.ndarray, units: Sequence[Unit], order: np.ndarray) -> np.ndarray:
    """Put to nothing what an earlier unit shuts out, in the order (point, unit) of each point."""
    pairs = clashes(units)
    if not pairs.any():
        return points
    kept = np.zeros_like(points)
    every = np.arange(len(points))
    for unit in order.T:
        free = ~((kept > 0.0) & pairs[unit]).any(axis=1)
        kept[every, unit] = np.where(free, points[every, unit], 0.0)
    return kept


def random_points(units: Sequence[Unit], count: int, rng: np.random.Generator) -> np.ndarray:
    """Fractions of the box: half are whole subsets, half are partial activations; (point, unit)."""
    size = (count, len(units))
    subset = rng.random(size) < rng.random((count, 1))
    part = np.where(rng.random((count, 1)) < 0.5, 1.0, rng.random(size))
    order = np.argsort(rng.random(size), axis=1)
    return without_clashes(subset * part, units, order)


def aimed_corners(states: FastStates, box: np.ndarray) -> np.ndarray:
    """For every constraint the corner that all units that push it make up, by what each does alone."""
    alone = states.over(np.vstack([np.zeros(len(box)), np.diag(box)]))
    with np.errstate(invalid="ignore"):
        pushes = np.nan_to_num((alone[1:] - alone[0]).T, nan=0.0, posinf=1e9, neginf=0.0)
    points = np.unique((pushes > 0.0).astype(float), axis=0)
    hardest = np.argsort(-pushes, axis=1)
    if clashes(states.units).any():
        points = without_clashes((pushes > 0.0).astype(float), states.units, hardest)
    return points
