"""A plan's AC states, what they keep and break, and how that follows from every control."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gridclear.network.limits import TOLERANCE, sides
from gridclear.powerflow.cells import cell_weights, controls_of, some_states
from gridclear.powerflow.moves import Controls
from gridclear.powerflow.sensitivity import forward, quantity_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.problem import Plan, Problem
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.sensitivity import Linearised, Solved

#: Numbers that one pass of sensitivities may hold.
_MOST_NUMBERS = 2**25


@dataclass(frozen=True, eq=False)
class Local:
    """One period at its AC state; slopes are by control: the period's offers, all devices, all stores.

    Attributes
    ----------
    offers : (offer,) of int
        Rows of the problem's offers in this period.
    at : (control,)
        Values of the controls: shares, steps away from the schedule, charging power in p.u.
    over, beyond : (constraint,)
        Distance to the effective and to the true limit, normalised as in ``evaluate.worst_limit``; positive
        is broken, -inf where there is no limit.
    slope : (control, constraint)
        Change of both per unit share, step or p.u. of charging power.
    exchange : (point,)
        Reactive exchange of every connection point of the case in p.u., NaN where it is not fed.
    exchange_slope : (control, point)
    active : (point,)
        Active exchange of every connection point in p.u., likewise.
    active_slope : (control, point)
    loss : float
        In p.u.
    loss_slope : (control,)
    sick : (limit,) of int
        Constraints that the base state breaks, while they are to be cured.
    """

    offers: Ints
    at: Floats
    over: Floats
    beyond: Floats
    slope: Floats
    exchange: Floats
    exchange_slope: Floats
    active: Floats
    active_slope: Floats
    loss: float
    loss_slope: Floats
    sick: Ints


@dataclass(frozen=True, eq=False)
class Point:
    """A plan and its AC states.

    Attributes
    ----------
    problem : Problem
    plan : Plan
    local : tuple of Local or None, by period
        None where the power flow, or that of the base state, has no solution.
    """

    problem: Problem
    plan: Plan
    local: tuple[Local | None, ...]

    def mixed(self, other: Point, take: NDArray[np.bool_]) -> Point:
        """Take some periods, (period,), of another point of the same problem: whole parts of the horizon.

        States of periods do not hang on each other: those of the mixture are known. Its moves are not looked
        at.
        """
        plan, theirs, offers = self.plan, other.plan, self.problem.offers
        item = np.zeros(len(offers.most), dtype=bool)
        item[offers.item] = take[offers.period]
        return Point(
            self.problem,
            replace(
                plan,
                share=np.where(item, theirs.share, plan.share),
                steps=np.where(take, theirs.steps, plan.steps),
                charge=np.where(take, theirs.charge, plan.charge),
                discharge=np.where(take, theirs.discharge, plan.discharge),
            ),
            tuple(b if use else a for a, b, use in zip(self.local, other.local, take.tolist(), strict=True)),
        )

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Periods with a state."""
        return np.array([local is not None for local in self.local])

    @cached_property
    def uncured(self) -> float:
        """Sum of what is still beyond the true limits, of those that the base state breaks."""
        return float(sum(np.maximum(local.beyond[local.sick], 0.0).sum() for local in self.local if local))

    @cached_property
    def shortfall(self) -> Floats:
        """Distance of every request from its band in p.u., NaN without a state."""
        requests = self.problem.requests
        return np.maximum(np.abs(self.exchange - requests.q) - requests.tolerance, 0.0)

    @cached_property
    def exchange(self) -> Floats:
        """Reactive exchange of every request in p.u., NaN without a state."""
        requests = self.problem.requests
        return np.array(
            [
                np.nan if (local := self.local[period]) is None else local.exchange[point]
                for period, point in zip(requests.period.tolist(), requests.point.tolist(), strict=True)
            ]
        )

    @cached_property
    def cost(self) -> float:
        """EUR for offers, moves and losses."""
        lost = sum(local.loss for local in self.local if local is not None)
        return sum(self.problem.costs(self.plan)) + self.problem.loss_price * lost

    @cached_property
    def turnover(self) -> float:
        """EUR that the cost is the sum of, whichever way each flows: prices may be negative."""
        paid = self.problem.offers.cost * self.plan.share[self.problem.offers.item]
        return abs(self.cost - float(paid.sum())) + float(np.abs(paid).sum())


def assess(problem: Problem, plan: Plan, cells: Cells | None = None) -> Point:
    """Solve a plan's states and linearise them.

    Parameters
    ----------
    problem : Problem
    plan : Plan
    cells : Cells, optional
        Of all periods, where they have been worked out before.

    Returns
    -------
    Point
    """
    scenarios, compiled = problem.scenarios, problem.compiled
    activations = problem.activations(plan)
    setting = scenarios.setting(problem.positions(plan))
    local: list[Local | None] = [None] * problem.periods
    taken, at = _taken(problem, activations), control_values(problem, plan)
    for topology, periods, states in scenarios.solved(activations, setting):
        network, limits = compiled.networks[topology], compiled.limits[topology]
        own = Cells(problem, periods) if cells is None else cells
        controls = own.controls
        chunk = max(1, _MOST_NUMBERS // (len(controls.kind) * (network.n_node + network.n_branch) + 1))
        reader = _Reader(problem, topology, own, taken, at)
        for begin in range(0, len(periods), chunk):
            part = some_states(states, slice(begin, begin + chunk))
            found = forward(part, limits, controls, threads=scenarios.threads)
            of_part = periods[begin : begin + chunk]
            good = np.flatnonzero(found.solved & problem.base.solved[of_part])
            for states_alike in own.alike(of_part[good]):
                here = good[states_alike]
                for period, read in zip(
                    of_part[here].tolist(), reader.read(part, found, here, of_part[here]), strict=True
                ):
                    local[period] = read
    return Point(problem, plan, tuple(local))


def control_values(problem: Problem, plan: Plan) -> list[Floats]:
    """Values of every period's controls: shares of its offers, steps of the devices, charging powers."""
    period, net = problem.offers.period, plan.charge - plan.discharge
    share = plan.share[problem.offers.item] if len(period) else np.zeros(0)
    return [
        np.concatenate([share[period == number], plan.steps[:, number], net[:, number]])
        for number in range(problem.periods)
    ]


def _taken(problem: Problem, activations: Activations) -> Floats:
    """Active power that a plan adds, (part, period, bus)."""
    parts, buses = len(problem.compiled.parts), problem.compiled.networks[0].n_bus
    added = np.zeros((problem.periods, parts * buses))
    if activations.ground is not None:
        added[:, activations.ground.cell] = activations.ground.value
    return np.ascontiguousarray(added.reshape(problem.periods, parts, buses)[:, ::2].swapaxes(0, 1))


class Cells:
    """Controls of the sensitivities of some periods, and what each control of the problem does to them.

    Parameters
    ----------
    problem : Problem
    periods : (period,) of int
    alike : bool
        All of them are one period of the case, so that what holds of the first holds of all.
    """

    def __init__(self, problem: Problem, periods: Ints, *, alike: bool = False) -> None:
        own, taps = problem.offers.activations, len(problem.compiled.networks[0].taps.element)
        self._problem, self._alike = problem, alike
        self._change: dict[int, Floats] = {}
        self._scales: dict[int, _Scale] = {}
        self.offers = {period: np.flatnonzero(own.period == period) for period in periods.tolist()}
        first = list(self.offers.values())[: 1 if alike else None]
        mine = np.concatenate([own.part(rows).cell for rows in first])
        self.cell = np.unique(np.concatenate([mine, problem.stores.bus]))
        self._active = (self.cell // problem.compiled.networks[0].n_bus % 2 == 0).astype(np.float64)
        device = [device.device for device in problem.devices]
        every = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *device]))
        self._tap, self._bank = every[every < taps], every[every >= taps] - taps
        self._moves = np.zeros((len(problem.devices), len(every)))
        for row, movable in enumerate(problem.devices):
            self._moves[row, np.searchsorted(every, movable.device)] = movable.step
        self._controls = self._every_control()

    @property
    def controls(self) -> Controls:
        """Cells, then tap changers, then banks."""
        return self._controls

    def _every_control(self) -> Controls:
        cells = controls_of(self.cell, self._problem.compiled.networks[0].n_bus)
        devices = Controls.of(tap=self._tap, bank=self._bank)
        return Controls(
            np.concatenate([cells.kind, devices.kind]), np.concatenate([cells.place, devices.place])
        )

    def alike(self, periods: Ints) -> list[Ints]:
        """Places of periods that have the same controls, together."""
        if self._alike:
            return [np.arange(len(periods))] if len(periods) else []
        return list(np.arange(len(periods))[:, None])

    def of(self, period: int, weight: Floats) -> tuple[Floats, Floats]:
        """Change of every control of the sensitivities by each of the problem's controls in a period.

        ``weight`` is (…, cell), the change (…, control, of the sensitivities). Returns also the active power
        that each control injects, (…, control).
        """
        own, cells = self._changed(period), len(self.cell)
        change = np.broadcast_to(own, (*weight.shape[:-1], *own.shape)).copy()
        change[..., :cells] *= weight[..., None, :]
        return change, change[..., :cells] @ self._active

    def _changed(self, period: int) -> Floats:
        """Change of every control of the sensitivities at a voltage of one."""
        key = next(iter(self.offers)) if self._alike else period
        if key not in self._change:
            problem, rows = self._problem, self.offers[key]
            own = problem.offers.activations.part(rows)
            stores, cells = problem.stores, len(self.cell)
            change = np.zeros((len(rows) + len(problem.devices) + stores.count, cells + self._moves.shape[1]))
            np.add.at(
                change, (np.repeat(np.arange(len(rows)), np.diff(own.first)), self._at(own.cell)), own.value
            )
            change[len(rows) : len(rows) + len(problem.devices), cells:] = self._moves
            store = np.arange(len(rows) + len(problem.devices), len(change))
            change[store, self._at(stores.bus)] = -1.0
            self._change[key] = change
        return self._change[key]

    def scale(self, topology: int) -> _Scale:
        """How quantities of a topology are read as constraints."""
        if topology not in self._scales:
            self._scales[topology] = _Scale.of(self._problem.compiled, topology)
        return self._scales[topology]

    def _at(self, cell: Ints) -> Ints:
        return np.searchsorted(self.cell, cell)


class _Scale(NamedTuple):
    """True limits of a topology, their quantities, what normalises them, and the slack's two quantities."""

    true: Floats
    quantity: Ints
    factor: Floats
    slack: Ints

    @classmethod
    def of(cls, compiled: CompiledCase, topology: int) -> _Scale:
        network, limits = compiled.networks[topology], compiled.limits[topology]
        true = limits.numbered
        count = len(true)
        numbers = np.arange(count, dtype=np.int64)
        sign, unit = sides(network, limits, numbers)
        slack = quantity_of(network, limits, np.array([count, count + 1]))
        return cls(true, quantity_of(network, limits, numbers), sign / unit, slack)


class _Reader:
    """Reads quantities of one topology as constraints, exchanges and losses."""

    def __init__(
        self, problem: Problem, topology: int, cells: Cells, taken: Floats, at: list[Floats]
    ) -> None:
        compiled = problem.compiled
        self._compiled, self._network = compiled, compiled.networks[topology]
        self._limits = compiled.limits[topology]
        self._true, self._quantity, self._factor, self._slack = cells.scale(topology)
        self._effective, self._cures = problem.limits[topology], problem.cures
        self._cells, self._taken, self._at = cells, taken, at

    def read(self, states: Solved, found: Linearised, state: Ints, period: Ints) -> list[Local]:
        """Read states of some periods that have the same controls."""
        network, points, cells = self._network, self._limits.point, self._cells
        vm = np.hypot(states.vr[state], states.vi[state])
        weight = cell_weights(cells.cell, network.structure.node_of_bus, vm)
        change, injected = cells.of(int(period[0]), weight)
        value, slope = found.value[state], change @ found.slope[state]
        first = network.n_node + network.n_branch
        p = first + 3 * np.arange(len(points))
        count, controls, every = *slope.shape[:2], len(self._compiled.case.connection_points)
        traded, traded_slope = np.full((2, count, every), np.nan), np.zeros((2, count, controls, every))
        for part in range(2):
            traded[part][:, points], traded_slope[part][..., points] = (
                value[:, p + part],
                slope[..., p + part],
            )
        own, own_slope = self._injected(period, vm, slope)
        limited, effective = value[:, self._quantity], self._effective[period]
        over, beyond = self._factor * (limited - effective), self._factor * (limited - self._true)
        loss = value[:, self._slack[0]] + own
        loss_slope = slope[..., self._slack[0]] + injected + own_slope
        of_limits = np.take(slope, self._quantity, axis=2) * self._factor
        return [
            Local(
                offers=cells.offers[number],
                at=self._at[number],
                over=over[row],
                beyond=beyond[row],
                slope=of_limits[row],
                exchange=traded[1, row],
                exchange_slope=traded_slope[1, row],
                active=traded[0, row],
                active_slope=traded_slope[0, row],
                loss=float(loss[row]),
                loss_slope=loss_slope[row],
                sick=self._sick(effective[row]),
            )
            for row, number in enumerate(period.tolist())
        ]

    def _sick(self, effective: Floats) -> Ints:
        """Constraints that the base state breaks, if they are to be cured."""
        if not self._cures:
            return np.zeros(0, dtype=np.int64)
        with np.errstate(invalid="ignore"):  # infinite limits
            return np.flatnonzero(self._factor * (effective - self._true) > TOLERANCE)

    def _injected(self, period: Ints, vm: Floats, slope: Floats) -> tuple[Floats, Floats]:
        """Active power that the grid's elements inject, (state,), and its change as voltages move."""
        node = self._network.structure.node_of_bus
        live = np.flatnonzero(node >= 0)
        own = [
            part[period][:, live] + more[:, live]
            for part, more in zip(self._compiled.parts[::2], self._taken[:, period], strict=True)
        ]
        at = vm[:, node[live]]
        total = sum((part * at**power).sum(axis=1) for power, part in enumerate(own))
        moved = np.zeros(slope.shape[:2])
        for power, part in enumerate(own[1:], start=1):
            moved += (slope[..., node[live]] @ (power * part * at ** (power - 1))[..., None])[..., 0]
        return total, moved
