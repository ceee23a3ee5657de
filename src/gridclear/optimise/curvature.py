"""Second derivatives of losses, exchanges and limits: gradients at states a step away, all in one batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import sides
from gridclear.optimise.linearise import Cells
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.cells import cell_weights
from gridclear.powerflow.sensitivity import adjoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Point

#: Share that an offer is moved by, and share of its range that a storage is.
_STEP = 0.5


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives of one period by its controls, symmetric.

    Attributes
    ----------
    loss : (control, control)
        Without directions of negative curvature.
    exchange, active : (point, control, control)
        Of the reactive and of the active exchange.
    limit : (limit,) of int
        Constraints whose curvature is known.
    limits : (limit, control, control)
        Of their distances, normalised; without directions of negative curvature.
    """

    loss: Floats
    exchange: Floats
    active: Floats
    limit: Ints
    limits: Floats

    @cached_property
    def size(self) -> Floats:
        """Norm of every limit's second derivatives, (limit,): no eigenvalue is larger."""
        norm: Floats = np.sqrt((self.limits**2).sum(axis=(1, 2)))
        return norm


@dataclass(frozen=True, eq=False)
class _Lanes:
    """States a step away.

    Attributes
    ----------
    period, control : (lane,) of int
        -1: nothing is moved.
    step : (lane,)
        Share, steps of a device, or charging power of a storage in p.u.
    """

    period: Ints
    control: Ints
    step: Floats


def curvatures(
    point: Point, limits: Sequence[Ints], cells: Cells | None = None
) -> tuple[Curvature | None, ...]:
    """Differences of gradients: every offer and storage moved by half its range, every device by one step.

    Parameters
    ----------
    point : Point
    limits : (constraint,) of int by period
        Limits whose curvature is wanted.
    cells : Cells, optional
        Of all periods, where they have been worked out before.

    Returns
    -------
    tuple of Curvature or None, by period
        Rows of controls without a state a step away are zero.
    """
    lanes = _lanes(point)
    loss, exchange, over = _gradients(point, lanes, limits, cells)
    result: list[Curvature | None] = []
    for period, local in enumerate(point.local):
        if local is None:
            result.append(None)
            continue
        mine = np.flatnonzero(lanes.period == period)
        before, mine = mine[0], mine[1:]
        count, points = len(local.loss_slope), local.exchange_slope.shape[1]
        second, traded = np.zeros((count, count)), np.zeros((2 * points, count, count))
        rows, step = lanes.control[mine], lanes.step[mine, None]
        step = np.where(step == 0.0, np.nan, step)  # a storage without a supply
        second[rows] = np.nan_to_num((loss[mine, :count] - loss[before, :count]) / step)
        change = (exchange[mine, :, :count] - exchange[before, :, :count]) / step[..., None]
        traded[:, rows] = np.nan_to_num(change).swapaxes(0, 1)
        bent = np.zeros((len(limits[period]), count, count))
        change = (over[mine, : len(bent), :count] - over[before, : len(bent), :count]) / step[..., None]
        bent[:, rows] = np.nan_to_num(change).swapaxes(0, 1)
        traded = 0.5 * (traded + traded.swapaxes(1, 2))
        result.append(
            Curvature(
                _convex(second[None])[0],
                traded[:points],
                traded[points:],
                limits[period],
                _convex(bent),
            )
        )
    return tuple(result)


def _convex(second: Floats) -> Floats:
    """Leave out what is not symmetric and what bends downwards, (·, control, control)."""
    value, vector = np.linalg.eigh(0.5 * (second + second.swapaxes(1, 2)))
    convex: Floats = (vector * np.maximum(value, 0.0)[:, None, :]) @ vector.swapaxes(1, 2)
    return convex


def _lanes(point: Point) -> _Lanes:
    problem, plan = point.problem, point.plan
    movers = np.arange(len(problem.devices) + problem.stores.count)
    highest = np.array([device.highest for device in problem.devices], dtype=np.int64)
    net, stores = plan.charge - plan.discharge, problem.stores
    range_of = stores.most_charge + stores.most_discharge
    parts = []
    for period, local in enumerate(point.local):
        if local is None:
            continue
        share = plan.share[problem.offers.item[local.offers]]
        count = len(local.offers)
        away = np.where(share <= _STEP, _STEP, -_STEP)
        steps = np.where(plan.steps[:, period] < highest, 1.0, -1.0)
        half = _STEP * range_of[:, period]
        charged = np.where(net[:, period] + half <= stores.most_charge[:, period], half, -half)
        control = np.concatenate([[-1], np.arange(count), count + movers])
        parts.append((np.full(len(control), period), control, np.concatenate([[0.0], away, steps, charged])))
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
    stored = np.zeros((len(lanes.period), problem.stores.count))
    for lane, (period, control) in enumerate(zip(lanes.period.tolist(), lanes.control.tolist(), strict=True)):
        local = point.local[period]
        if local is None or control < 0:
            continue
        if control < len(local.offers):
            row[lane] = local.offers[control]
        elif control >= len(local.offers) + len(problem.devices):
            stored[lane, control - len(local.offers) - len(problem.devices)] = lanes.step[lane]
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
        value = ground.value[lanes.period]
        for store, place in enumerate(np.searchsorted(ground.cell, problem.stores.bus)):
            value[:, place] -= stored[:, store]
        moved = moved.on(ground.cell, value)
    return moved, problem.scenarios.setting(positions)


def _gradients(
    point: Point, lanes: _Lanes, limits: Sequence[Ints], cells: Cells | None
) -> tuple[Floats, Floats, Floats]:
    """Gradients of losses (lane, control), exchanges (lane, 2 · point, ·) and limits (lane, limit, ·).

    NaN without a state; reactive exchanges come before active ones.
    What voltages change of the demand is left out: differences are all that is wanted here.
    """
    problem, compiled = point.problem, point.problem.compiled
    activations, setting = _states(point, lanes)
    widest = max(len(local.loss_slope) for local in point.local if local is not None)
    points = len(compiled.case.connection_points)
    loss = np.full((len(lanes.period), widest), np.nan)
    exchange = np.full((len(lanes.period), 2 * points, widest), np.nan)
    most = max((len(own) for own in limits), default=0)
    wanted = np.full((len(limits), most), -1, dtype=np.int64)
    for period, own in enumerate(limits):
        wanted[period, : len(own)] = own
    over = np.full((len(lanes.period), most, widest), np.nan)
    for topology, rows, states in problem.scenarios.solved(activations, setting):
        network, bounds = compiled.networks[topology], compiled.limits[topology]
        every = Cells(problem, np.unique(lanes.period[rows])) if cells is None else cells
        count = 2 * network.n_node + network.n_branch
        fed = len(bounds.point)
        first = count + 5 * np.arange(fed)
        always = np.concatenate([first + 2, first, [count + 5 * fed]])
        place = np.concatenate([bounds.point, points + bounds.point])
        own_limits = wanted[lanes.period[rows]]
        asked = np.hstack([np.tile(always, (len(rows), 1)), own_limits])
        found = adjoint(states, bounds, every.controls, asked, threads=problem.scenarios.threads)
        sign, unit = sides(network, bounds, np.maximum(own_limits, 0).ravel())
        factor = np.where(own_limits >= 0, (sign / unit).reshape(own_limits.shape), np.nan)
        vm = np.hypot(states.vr, states.vi)
        for period in np.unique(lanes.period[rows]).tolist():
            own = np.flatnonzero(lanes.period[rows] == period)
            # What an offer moves depends on the voltage, too: that is left out here.
            weight = cell_weights(every.cell, network.structure.node_of_bus, vm[own[0]])
            change, injected = every.of(period, weight)
            slope: NDArray[np.float64] = found.slope[own] @ change.T
            loss[rows[own], : len(change)] = slope[:, 2 * fed] + injected
            exchange[rows[own][:, None], place, : len(change)] = slope[:, : 2 * fed]
            over[rows[own], :, : len(change)] = factor[own][..., None] * slope[:, 2 * fed + 1 :]
    return loss, exchange, over
