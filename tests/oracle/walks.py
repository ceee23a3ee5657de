"""Published boxes by brute force: bids come and go one after another, regulators settle in between.

A walk starts at the base state. It goes from point to point of the box, one unit after the other changing its
activation; after every change the power flow is solved with the taps where they stand, then the regulators
settle from there, as `plain_grid.settle` has them, and keep their positions for what comes next. Points are
random, and those at which each regulator's voltage is lowest and highest of all that `boxes` would try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .activation import Period, excess
from .boxes import MOST_CORNERS, aimed_corners, corners, published_box, random_points, units_in
from .fast_states import FastStates
from .plain_grid import Regulator, measure, one_tap, positions, regulators, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from .activation import Unit
    from .plain_grid import Problem

FAST_POINTS = 2000  # among which the extremes of a regulated voltage are looked for


@dataclass(frozen=True)
class Walk:
    """What a walk met: the worst excess in tolerances before and after reactions, and moves of taps."""

    before: float
    after: float
    moves: int
    changes: int


def walk(problem: Problem, lights: pd.DataFrame, start: pd.Timestamp, *, random: int, seed: int = 0) -> Walk:
    """Walk through the box of one period: to ``random`` points of it, and to the extremes."""
    period = Period(problem, start)
    units = units_in(problem, period)
    box = published_box(problem, lights, units)
    on = np.flatnonzero(box > 0.0)
    units, box = [units[k] for k in on], box[on]
    if not units:
        return Walk(0.0, 0.0, 0, 0)
    rng = np.random.default_rng(seed)
    regs = regulators(problem, period.net)
    targets = [random_points(units, random, rng) * box, extremes(period, regs, units, box, rng)]
    before = after = 0.0
    moves = changes = 0
    now = np.zeros(len(units))
    for target in rng.permutation(np.concatenate(targets)):
        for point in ways(now, target, rng):
            shares = {row: share for unit, share in zip(units, point, strict=True) for row in unit.rows}
            stood = positions(period.net, regs)
            state = period.state(shares)
            before = max(before, np.inf if state is None else float(excess(state).max()))
            changes += 1
            if not settle(period.net, regs):
                return Walk(before, np.inf, moves, changes)
            settled = period.base.constraints.assign(value=measure(problem, period.net)["value"])
            after = max(after, float(excess(settled).max()))
            moves += positions(period.net, regs) != stood
        now = target
    return Walk(before, after, moves, changes)


def ways(now: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Points on the way, one unit at a time: what shrinks first, since it may shut out what grows."""
    for part in (target < now, target > now):
        for unit in rng.permutation(np.flatnonzero(part)):
            now = now.copy()
            now[unit] = target[unit]
            yield now


def extremes(
    period: Period, regs: list[Regulator], units: list[Unit], box: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Points of the box at which each regulator sees its lowest and its highest voltage."""
    states = FastStates(period, units)
    tried = [corners(units)] if len(units) <= MOST_CORNERS else [aimed_corners(states, box)]
    x = np.concatenate([*tried, random_points(units, FAST_POINTS, rng)]) * box
    volts, good = states.voltages(x)
    found = []
    for regulator in regs:
        members = period.net.trafo.loc[list(regulator.trafos)]
        nodes = states.node[members["lv_bus"][members["in_service"]]]
        mean = np.where(good, np.abs(volts[nodes]).mean(axis=0), np.nan)
        found += [x[np.nanargmin(mean)], x[np.nanargmax(mean)]]
    return np.array(found).reshape(-1, len(units))


def movable(problem: Problem, start: pd.Timestamp) -> list[tuple[Regulator, int]]:
    """Regulators and the directions in voltage (+1, -1) in which they could move from the base state."""
    net = Period(problem, start).net
    regs = regulators(problem, net)
    return [(regulator, way) for regulator in regs for way in (1, -1) if one_tap(net, regulator, way)]
