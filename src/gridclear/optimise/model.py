"""The clearing as a mixed-integer linear program around a point: columns, rows, and how plans are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.problem import Plan
from gridclear.optimise.program import Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Local, Point
    from gridclear.optimise.problem import Problem

#: Limits stand in the program in per cent, so that the solver's absolute tolerance is far below ours.
PERCENT = 100.0
#: What is decided whole: nothing (shares may be any, devices stay), the least shares and devices as they
#: are, or both free.
RELAXED, HELD, FREE = "relaxed", "held", "free"


@dataclass(frozen=True, eq=False)
class Cut:
    """A plane below the losses of a period: ``loss >= level + slope · controls``, in MW."""

    period: int
    level: float
    slope: Floats


@dataclass(frozen=True, eq=False)
class Columns:
    """Labels of the program's columns.

    Attributes
    ----------
    share : (item,)
    chosen : (item,)
        Whether the item is taken at all; -1 where nobody asks.
    steps, raised, lowered : (device, period)
        Steps away from the scheduled position, and moves into the period.
    charge, discharge, energy : (store, period)
    short : (2, request)
        Mvar above and below the band.
    loss : (period,)
        MW.
    broken, uncured : (row,)
        Per cent beyond an effective and beyond a true limit.
    """

    share: Ints
    chosen: Ints
    steps: Ints
    raised: Ints
    lowered: Ints
    charge: Ints
    discharge: Ints
    energy: Ints
    short: Ints
    loss: Ints
    broken: Ints
    uncured: Ints


@dataclass(frozen=True, eq=False)
class Model:
    """A program and what its rows and columns are.

    Attributes
    ----------
    program : Program
    columns : Columns
    profile : (request,) of int
        Rows of the requests.
    limit_row : (row,) of int
        Rows of the watched limits.
    limit_period, limit_constraint : (row,) of int
        What each of them limits.
    """

    program: Program
    columns: Columns
    profile: Ints
    limit_row: Ints
    limit_period: Ints
    limit_constraint: Ints

    def plan(self, x: Floats) -> Plan:
        """Read a plan from a solution."""
        own = self.columns
        share = np.clip(x[own.share], 0.0, 1.0)
        # What is not chosen, or a rounding error of nothing, is nothing.
        share = np.where((own.chosen >= 0) & (x[own.chosen] < 0.5), 0.0, share)
        net = x[own.charge] - x[own.discharge]
        return Plan(
            share=np.where(share < 1e-9, 0.0, share),
            steps=np.rint(x[own.steps]).astype(np.int64),
            charge=np.maximum(net, 0.0),
            discharge=np.maximum(-net, 0.0),
        )


def build_model(
    point: Point, watched: Sequence[Ints], cuts: Sequence[Cut], whole: str, radius: float
) -> Model:
    """Write the clearing out around a point.

    Parameters
    ----------
    point : Point
        Its states give the slopes.
    watched : (constraint,) of int by period
        Limits that are looked at.
    cuts : sequence of Cut
        Planes below the losses, besides the point's own.
    whole : {"relaxed", "held", "free"}
    radius : float
        How far shares may go from the point's.

    Returns
    -------
    Model
    """
    problem, program = point.problem, Program()
    columns = _decisions(point, program, whole, radius)
    _conditions(problem, program, columns)
    _moves(problem, program, columns)
    _energy(problem, program, columns)
    profile = _profile(point, program, columns)
    _losses(point, program, columns, cuts)
    rows, period, constraint, broken, uncured = _limits(point, program, columns, watched)
    own = Columns(**{**vars(columns), "broken": broken, "uncured": uncured})
    return Model(program, own, profile, rows, period, constraint)


def controls(problem: Problem, plan: Plan, local: Local, period: int) -> Floats:
    """Values of a period's controls: shares of its offers, steps of the devices, charging powers."""
    return np.concatenate(
        [
            plan.share[problem.offers.item[local.offers]],
            plan.steps[:, period].astype(np.float64),
            (plan.charge - plan.discharge)[:, period],
        ]
    )


def _decisions(point: Point, program: Program, whole: str, radius: float) -> Columns:
    problem, plan = point.problem, point.plan
    offers, stores, periods = problem.offers, problem.stores, problem.periods
    least, most = offers.least, offers.most
    asked = least > 0.0
    asked[offers.item[offers.exclusive >= 0]] = True
    low, high = np.zeros(len(most)), most.copy()
    if whole == HELD:
        taken = plan.share > 0.0
        low, high = np.where(asked & taken, least, low), np.where(asked & ~taken, 0.0, high)
    low, high = np.maximum(low, plan.share - radius), np.minimum(high, plan.share + radius)
    share = program.columns(len(most), np.minimum(low, high), high)
    chosen = np.full(len(most), -1, dtype=np.int64)
    if whole == FREE:
        chosen[asked] = program.columns(int(asked.sum()), 0.0, 1.0, whole=True)
    devices, held = len(problem.devices), whole != FREE
    steps = np.empty((devices, periods), dtype=np.int64)
    for row, device in enumerate(problem.devices):
        own = plan.steps[row]
        lowest, highest = (own, own) if held else (device.lowest, device.highest)
        steps[row] = program.columns(periods, lowest, highest, whole=not held)
    price = np.repeat([device.cost for device in problem.devices], periods)
    raised, lowered = (program.columns(devices * periods, cost=price).reshape(steps.shape) for _ in range(2))
    shape = (stores.count, periods)
    charge = program.columns(stores.count * periods, 0.0, stores.most_charge.ravel()).reshape(shape)
    discharge = program.columns(stores.count * periods, 0.0, stores.most_discharge.ravel()).reshape(shape)
    energy = program.columns(
        stores.count * periods, stores.low.repeat(periods), stores.high.repeat(periods)
    ).reshape(shape)
    if whole == FREE:
        _one_way(problem, program, charge, discharge)
    requests = len(problem.requests.q)
    short = program.columns(2 * requests).reshape(2, requests)
    base = problem.compiled.s_base_mva
    loss = program.columns(periods, -np.inf, cost=problem.loss_price / base)
    nothing = np.zeros(0, dtype=np.int64)
    return Columns(
        share, chosen, steps, raised, lowered, charge, discharge, energy, short, loss, nothing, nothing
    )


def _one_way(problem: Problem, program: Program, charge: Ints, discharge: Ints) -> None:
    """Never charge and discharge at once."""
    stores, count = problem.stores, charge.size
    way = program.columns(count, 0.0, 1.0, whole=True)
    row = program.rows(2 * count, upper=np.concatenate([np.zeros(count), stores.most_discharge.ravel()]))
    program.entries(row[:count], charge.ravel(), 1.0)
    program.entries(row[:count], way, -stores.most_charge.ravel())
    program.entries(row[count:], discharge.ravel(), 1.0)
    program.entries(row[count:], way, stores.most_discharge.ravel())


def _conditions(problem: Problem, program: Program, columns: Columns) -> None:
    """Least shares, exclusive groups, costs of the offers, and what inverters can do."""
    offers = problem.offers
    items = np.flatnonzero(columns.chosen >= 0)
    row = program.rows(len(items), upper=0.0)
    program.entries(row, columns.share[items], 1.0)
    program.entries(row, columns.chosen[items], -offers.most[items])
    row = program.rows(len(items), lower=0.0)
    program.entries(row, columns.share[items], 1.0)
    program.entries(row, columns.chosen[items], -offers.least[items])
    grouped = np.flatnonzero((offers.exclusive >= 0) & (columns.chosen[offers.item] >= 0))
    keys = np.stack([offers.period[grouped], offers.exclusive[grouped]], axis=1)
    groups, member = np.unique(keys, axis=0, return_inverse=True)
    row = program.rows(len(groups), upper=1.0)
    program.entries(row[member.ravel()], columns.chosen[offers.item[grouped]], 1.0)
    paid = program.columns(1, -np.inf, cost=1.0)
    row = program.rows(1, 0.0, 0.0)
    program.entries(row, paid, -1.0)
    program.entries(row[0], columns.share[offers.item], offers.cost)
    able = problem.capability
    row = program.rows(len(able.low), able.low, able.high)
    matrix = able.matrix.tocoo()
    every = np.concatenate([columns.share, columns.charge.ravel(), columns.discharge.ravel()])
    program.entries(row[matrix.coords[0]], every[matrix.coords[1]], matrix.data)


def _moves(problem: Problem, program: Program, columns: Columns) -> None:
    """Count changes of steps as moves; so many are allowed over the horizon."""
    for row, device in enumerate(problem.devices):
        steps, raised, lowered = columns.steps[row], columns.raised[row], columns.lowered[row]
        change = program.rows(problem.periods, 0.0, 0.0)
        program.entries(change, steps, 1.0)
        program.entries(change[1:], steps[:-1], -1.0)
        program.entries(change, raised, -1.0)
        program.entries(change, lowered, 1.0)
        for begin, end, most in device.budgets:
            total = program.rows(1, upper=most)
            program.entries(total[0], np.concatenate([raised[begin:end], lowered[begin:end]]), 1.0)


def _energy(problem: Problem, program: Program, columns: Columns) -> None:
    stores, hours = problem.stores, problem.compiled.case.horizon.hours
    for store in range(stores.count):
        own = columns.energy[store]
        start = np.zeros(problem.periods)
        start[0] = stores.start[store]
        row = program.rows(problem.periods, start, start)
        program.entries(row, own, 1.0)
        program.entries(row[1:], own[:-1], -1.0)
        program.entries(row, columns.charge[store], -hours * stores.charging[store])
        program.entries(row, columns.discharge[store], hours / stores.discharging[store])
        last = program.rows(1, lower=stores.end[store])
        program.entries(last, own[-1], 1.0)


def _profile(point: Point, program: Program, columns: Columns) -> Ints:
    """Exchanges keep within their bands, in Mvar; periods without a state have empty rows."""
    problem, requests = point.problem, point.problem.requests
    base = problem.compiled.s_base_mva
    low, high = np.full(len(requests.q), -np.inf), np.full(len(requests.q), np.inf)
    terms = []
    for number, (period, place) in enumerate(
        zip(requests.period.tolist(), requests.point.tolist(), strict=True)
    ):
        local = point.local[period]
        if local is None or np.isnan(local.exchange[place]):
            continue
        slope = local.exchange_slope[:, place]
        constant = local.exchange[place] - slope @ controls(problem, point.plan, local, period)
        low[number] = (requests.q[number] - requests.tolerance[number] - constant) * base
        high[number] = (requests.q[number] + requests.tolerance[number] - constant) * base
        terms.append((number, local, period, base * slope))
    rows = program.rows(len(requests.q), low, high)
    for number, local, period, slope in terms:
        _linear(program, rows[number], columns, local, period, problem, slope)
    program.entries(rows, columns.short[0], -1.0)
    program.entries(rows, columns.short[1], 1.0)
    return rows


def _losses(point: Point, program: Program, columns: Columns, cuts: Sequence[Cut]) -> None:
    """Losses are above every plane."""
    problem = point.problem
    every = [*cuts, *own_cuts(point)]
    rows = program.rows(len(every), lower=np.array([cut.level for cut in every]))
    for row, cut in zip(rows, every, strict=True):
        local = point.local[cut.period]
        if local is None:
            raise ValueError("a plane of a period without a state")
        _linear(program, row, columns, local, cut.period, problem, -cut.slope)
    program.entries(rows, columns.loss[[cut.period for cut in every]], 1.0)
    unsolved = np.flatnonzero(~point.solved)
    nothing = program.rows(len(unsolved), 0.0, 0.0)
    program.entries(nothing, columns.loss[unsolved], 1.0)


def own_cuts(point: Point) -> list[Cut]:
    """Planes that touch the losses at a point."""
    base, found = point.problem.compiled.s_base_mva, []
    for period, local in enumerate(point.local):
        if local is not None:
            at = controls(point.problem, point.plan, local, period)
            level = base * (local.loss - local.loss_slope @ at)
            found.append(Cut(period, float(level), base * local.loss_slope))
    return found


def _limits(
    point: Point, program: Program, columns: Columns, watched: Sequence[Ints]
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Watched limits in per cent: the effective ones, and the true ones where the base breaks them."""
    problem = point.problem
    rows, periods, numbers, broken, uncured = [], [], [], [], []
    for period, (local, chosen) in enumerate(zip(point.local, watched, strict=True)):
        if local is None or not len(chosen):
            continue
        slope = PERCENT * local.slope[:, chosen]
        at = controls(problem, point.plan, local, period) @ slope
        row = program.rows(len(chosen), upper=at - PERCENT * local.over[chosen])
        slack = program.columns(len(chosen))
        program.entries(row, slack, -1.0)
        _linear(program, row, columns, local, period, problem, slope.T)
        rows.append(row)
        periods.append(np.full(len(chosen), period))
        numbers.append(chosen)
        broken.append(slack)
        worse = np.flatnonzero(local.beyond[chosen] > local.over[chosen] + 1e-12)
        row = program.rows(len(worse), upper=at[worse] - PERCENT * local.beyond[chosen[worse]])
        slack = program.columns(len(worse))
        program.entries(row, slack, -1.0)
        _linear(program, row, columns, local, period, problem, slope[:, worse].T)
        uncured.append(slack)

    def joined(parts: list[Ints]) -> Ints:
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    return joined(rows), joined(periods), joined(numbers), joined(broken), joined(uncured)


def _linear(
    program: Program,
    row: Ints | np.int64,
    columns: Columns,
    local: Local,
    period: int,
    problem: Problem,
    slope: Floats,
) -> None:
    """Add slope · controls of a period to rows; slope (..., control) has a line per row."""
    own = np.concatenate(
        [
            columns.share[problem.offers.item[local.offers]],
            columns.steps[:, period],
            columns.charge[:, period],
        ]
    )
    label = np.asarray(row)
    program.entries(label[..., None], own, slope)
    stores = problem.stores.count
    if stores:
        program.entries(label[..., None], columns.discharge[:, period], -slope[..., len(own) - stores :])
