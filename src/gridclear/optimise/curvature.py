"""Second derivatives of losses and exchanges: gradients at states a step away, all in one batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.linearise import Cells
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.cells import cell_weights
from gridclear.powerflow.sensitivity import adjoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Point

#: Share that an offer is moved by.
_STEP = 0.5


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives of one period by its controls, symmetric.

    Attributes
    ----------
    loss : (control, control)
        Without directions of negative curvature.
    exchange : (point, control, control)
    """

    loss: Floats
    exchange: Floats


@dataclass(frozen=True, eq=False)
class _Lanes:
    """States a step away.

    Attributes
    ----------
    period, control : (lane,) of int
        -1: nothing is moved.
    step : (lane,)
        Share, or steps of a device.
    """

    period: Ints
    control: Ints
    step: Floats


def curvatures(point: Point) -> tuple[Curvature | None, ...]:
    """Differences of gradients: every offer moved by half of itself, every device by one step.

    Parameters
    ----------
    point : Point

    Returns
    -------
    tuple of Curvature or None, by period
        Rows of controls without a state a step away are zero, and so are those of stores.
    """
    lanes = _lanes(point)
    loss, exchange = _gradients(point, lanes)
    result: list[Curvature | None] = []
    for period, local in enumerate(point.local):
        if local is None:
            result.append(None)
            continue
        mine = np.flatnonzero(lanes.period == period)
        before, mine = mine[0], mine[1:]
        count, points = len(local.loss_slope), local.exchange_slope.shape[1]
        second, traded = np.zeros((count, count)), np.zeros((points, count, count))
        rows, step = lanes.control[mine], lanes.step[mine, None]
        second[rows] = np.nan_to_num((loss[mine, :count] - loss[before, :count]) / step)
        change = (exchange[mine, :, :count] - exchange[before, :, :count]) / step[..., None]
        traded[:, rows] = np.nan_to_num(change).swapaxes(0, 1)
        value, vector = np.linalg.eigh(0.5 * (second + second.T))
        convex = (vector * np.maximum(value, 0.0)) @ vector.T
        result.append(Curvature(convex, 0.5 * (traded + traded.swapaxes(1, 2))))
    return tuple(result)


def _lanes(point: Point) -> _Lanes:
    problem, plan = point.problem, point.plan
    devices = np.arange(len(problem.devices))
    highest = np.array([device.highest for device in problem.devices], dtype=np.int64)
    parts = []
    for period, local in enumerate(point.local):
        if local is None:
            continue
        share = plan.share[problem.offers.item[local.offers]]
        count = len(local.offers)
        away = np.where(share <= _STEP, _STEP, -_STEP)
        steps = np.where(plan.steps[:, period] < highest, 1.0, -1.0)
        control = np.concatenate([[-1], np.arange(count), count + devices])
        parts.append(
            (np.full(len(control), period), control, np.concatenate([[0.0], away, steps.astype(np.float64)]))
        )
    return _Lanes(
        np.concatenate([part[0] for part in parts]).astype(np.int64),
        np.concatenate([part[1] for part in parts]).astype(np.int64),
        np.concatenate([part[2] for part in parts]),
    )


def _states(point: Point, lanes: _Lanes) -> tuple[Activations, Ints]:
    """Activations and settings of the lanes."""
    problem, plan = point.problem, point.plan
    own = problem.offers.activations
    row, positions = np.full(len(lanes.period), -1), problem.positions(plan)[lanes.period]
    for lane, (period, control) in enumerate(zip(lanes.period.tolist(), lanes.control.tolist(), strict=True)):
        local = point.local[period]
        if local is None or control < 0:
            continue
        if control < len(local.offers):
            row[lane] = local.offers[control]
        else:
            device = problem.devices[control - len(local.offers)]
            positions[lane, device.device] += int(lanes.step[lane]) * device.step
    if len(own.period):
        moved = own.part(np.maximum(row, 0), np.where(row >= 0, lanes.step, 0.0))
        moved = replace(moved, period=lanes.period)
    else:
        moved = Activations.none(lanes.period)
    ground = problem.activations(plan).ground
    if ground is not None:
        moved = moved.on(ground.cell, ground.value[lanes.period])
    return moved, problem.scenarios.setting(positions)


def _gradients(point: Point, lanes: _Lanes) -> tuple[Floats, Floats]:
    """Gradients of losses (lane, control) and exchanges (lane, point, control), NaN without a state.

    What voltages change of the demand is left out: differences are all that is wanted here.
    """
    problem, compiled = point.problem, point.problem.compiled
    activations, setting = _states(point, lanes)
    widest = max(len(local.loss_slope) for local in point.local if local is not None)
    points = len(compiled.case.connection_points)
    loss = np.full((len(lanes.period), widest), np.nan)
    exchange = np.full((len(lanes.period), points, widest), np.nan)
    for topology, rows, states in problem.scenarios.solved(activations, setting):
        network, limits = compiled.networks[topology], compiled.limits[topology]
        cells = Cells(problem, np.unique(lanes.period[rows]))
        count = 2 * network.n_node + network.n_branch
        asked = np.concatenate(
            [count + 5 * np.arange(len(limits.point)) + 2, [count + 5 * len(limits.point)]]
        )
        found = adjoint(states, limits, cells.controls(network.n_bus), np.tile(asked, (len(rows), 1)))
        vm = np.hypot(states.vr, states.vi)
        for period in np.unique(lanes.period[rows]).tolist():
            own = np.flatnonzero(lanes.period[rows] == period)
            # What an offer moves depends on the voltage, too: that is left out here.
            weight = cell_weights(cells.cell, network.structure.node_of_bus, vm[own[0]])
            change, injected = cells.of(period, weight)
            slope: NDArray[np.float64] = found.slope[own] @ change.T
            loss[rows[own], : len(change)] = slope[:, -1] + injected
            exchange[rows[own][:, None], limits.point, : len(change)] = slope[:, :-1]
    return loss, exchange
