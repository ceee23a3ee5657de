"""The clearing as a mixed-integer linear program around a point: columns, rows, and how plans are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.highs import Plane, Rows
from gridclear.optimise.problem import Plan
from gridclear.optimise.program import Program
from gridclear.optimise.tangents import BROKEN, LOSS, PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.tangents import Tangents

#: What is decided whole: the least shares and devices stay as they are, or both are free.
HELD, FREE = "held", "free"
#: More steps than any device has.
EVERYWHERE = 10**6


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
    way : (store, period)
        Whether a storage charges rather than discharges; -1 where nobody asks.
    short : (2, request)
        Mvar above and below the band.
    loss : (period,)
        MW.
    broken : (period,)
        Largest distance beyond an effective limit in per cent.
    uncured : mapping of (period, constraint)
        Per cent beyond a true limit that the base state breaks.
    excess : int
        Per cent that is left uncured beyond the sum that is to be kept.
    """

    share: Ints
    chosen: Ints
    steps: Ints
    raised: Ints
    lowered: Ints
    charge: Ints
    discharge: Ints
    energy: Ints
    way: Ints
    short: Ints
    loss: Ints
    broken: Ints
    uncured: Mapping[tuple[int, int], int]
    excess: int


@dataclass(frozen=True, eq=False)
class Model:
    """A program and what its rows and columns are.

    Attributes
    ----------
    frame : Program
        Without the rows of the requests, which alone have the slopes of a point.
    program : Program
    columns : Columns
    controls : tuple of (control,) of int, by period
        Columns of the controls; those of stores are charging.
    profile : (request,) of int
        Rows of the requests.
    left : (row,) of int
        The row of what may be left uncured, where that is a sum to be kept.
    """

    frame: Program
    program: Program
    columns: Columns
    controls: tuple[Ints, ...]
    profile: Ints
    left: Ints

    def around(self, point: Point) -> Model:
        """Write the same program around another point, with the same ranges of all that is decided."""
        program = self.frame.copy()
        return replace(self, program=program, profile=_profile(point, program, self.columns, self.controls))

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

    def start(self, plan: Plan) -> Floats:
        """Values of the whole columns for a plan; all others are zero."""
        own, x = self.columns, np.zeros(self.program.n_column)
        x[own.steps] = plan.steps
        asked = own.chosen >= 0
        x[own.chosen[asked]] = plan.share[asked] > 0.0
        x[own.way[own.way >= 0]] = plan.discharge[own.way >= 0] <= 0.0
        return x

    def values(self, x: Floats, period: int) -> Floats:
        """Values of a period's controls in a solution."""
        found: Floats = x[self.controls[period]]
        stores = len(self.columns.charge)
        if stores:
            found[len(found) - stores :] -= x[self.columns.discharge[:, period]]
        return found

    def breaks(self, x: Floats) -> NDArray[np.bool_]:
        """Tell in which periods a solution breaks a limit by the program's own account."""
        found: NDArray[np.bool_] = x[self.columns.broken] > PERCENT * TOLERANCE
        return found

    def period_of_columns(self, problem: Problem) -> Ints:
        """Period that a column's cost counts in: the first one, where it has several."""
        own, offers = self.columns, problem.offers
        period = np.zeros(self.program.n_column, dtype=np.int64)
        period[own.share[offers.item[::-1]]] = offers.period[::-1]
        for columns in (own.charge, own.discharge, own.energy):
            period[columns] = np.arange(problem.periods)
        period[own.loss] = period[own.broken] = np.arange(problem.periods)
        period[own.short] = problem.requests.period
        for (time, _), column in own.uncured.items():
            period[column] = time
        return period

    def uncured(self, x: Floats) -> Floats:
        """Per cent that a solution leaves uncured in every period."""
        found = np.zeros(len(self.columns.broken))
        for (time, _), column in self.columns.uncured.items():
            found[time] += x[column]
        return found

    def rows(self, tangents: Sequence[Tangents]) -> list[Rows]:
        """Rows that keep the targets above their tangents, in their order."""
        own, found = self.columns, []
        for tangent in tangents:
            period = tangent.period
            if tangent.target == LOSS:
                target = int(own.loss[period])
            elif tangent.target == BROKEN:
                target = int(own.broken[period])
            else:
                target = own.uncured[period, tangent.target]
            stored = tangent.slope[:, tangent.slope.shape[1] - len(own.discharge) :]
            column = np.concatenate([self.controls[period], own.discharge[:, period], [target]])
            value = np.hstack([tangent.slope, -stored, np.full((len(tangent), 1), -1.0)])
            found.append(Rows(column, value, -tangent.level))
        return found

    def planes(self, tangents: Sequence[Tangents]) -> list[Plane]:
        """Give the same rows one by one."""
        return [plane for rows in self.rows(tangents) for plane in rows.planes()]


def build_model(point: Point, whole: str, radius: float | Floats, reach: int = EVERYWHERE) -> Model:
    """Write the clearing out around a point, without losses and limits: those are added as tangents.

    Parameters
    ----------
    point : Point
        Its states give the slopes.
    whole : {"held", "free"}
    radius : float or (period,)
        How far shares may go from the point's.
    reach : int
        How many steps devices may go from the point's, where they are free.

    Returns
    -------
    Model
    """
    problem, program = point.problem, Program()
    columns = _decisions(point, program, whole, radius, reach)
    _conditions(problem, program, columns)
    count_moves(problem, program, columns.steps, columns.raised, columns.lowered)
    _energy(problem, program, columns)
    left = _sum(problem, program, columns)
    controls = tuple(
        np.concatenate(
            [
                columns.share[problem.offers.item[problem.offers.period == period]],
                columns.steps[:, period],
                columns.charge[:, period],
            ]
        ).astype(np.int64)
        for period in range(problem.periods)
    )
    none = np.zeros(0, dtype=np.int64)
    return Model(program, program, columns, controls, none, left).around(point)


def _decisions(point: Point, program: Program, whole: str, radius: float | Floats, reach: int) -> Columns:
    problem, plan = point.problem, point.plan
    offers, stores, periods = problem.offers, problem.stores, problem.periods
    least, most = offers.least, offers.most
    asked = offers.asked
    low, high = np.zeros(len(most)), most.copy()
    if whole == HELD:
        taken = plan.share > 0.0
        low, high = np.where(asked & taken, least, low), np.where(asked & ~taken, 0.0, high)
    radius, away = np.broadcast_to(radius, periods), np.ones(len(most))
    np.minimum.at(away, offers.item, radius[offers.period])
    low, high = np.maximum(low, plan.share - away), np.minimum(high, plan.share + away)
    price = np.bincount(offers.item, weights=offers.cost, minlength=len(most))
    share = program.columns(len(most), np.minimum(low, high), high, price)
    chosen = np.full(len(most), -1, dtype=np.int64)
    if whole == FREE:
        chosen[asked] = program.columns(int(asked.sum()), 0.0, 1.0, whole=True)
    devices, held = len(problem.devices), whole != FREE
    steps = np.empty((devices, periods), dtype=np.int64)
    for row, device in enumerate(problem.devices):
        own, far = plan.steps[row], 0 if held else reach
        lowest, highest = np.maximum(device.lowest, own - far), np.minimum(device.highest, own + far)
        steps[row] = program.columns(periods, lowest, highest, whole=not held)
    per_step = np.repeat([device.cost for device in problem.devices], periods)
    raised, lowered = (
        program.columns(devices * periods, cost=per_step).reshape(steps.shape) for _ in range(2)
    )
    shape, gives = (stores.count, periods), plan.discharge > 0.0
    charge, discharge = (
        program.columns(now.size, *_powers(now, least, most, held & other, radius)).reshape(shape)
        for now, least, most, other in (
            (plan.charge, stores.least_charge, stores.most_charge, gives),
            (plan.discharge, stores.least_discharge, stores.most_discharge, ~gives),
        )
    )
    energy = program.columns(
        stores.count * periods, stores.low.repeat(periods), stores.high.repeat(periods)
    ).reshape(shape)
    way = np.full(shape, -1, dtype=np.int64) if held else _one_way(problem, program, charge, discharge)
    requests = len(problem.requests.q)
    short = program.columns(2 * requests).reshape(2, requests)
    base = problem.compiled.s_base_mva
    solved = point.solved
    loss = program.columns(periods, np.where(solved, -np.inf, 0.0), cost=problem.loss_price / base)
    broken = program.columns(periods)
    sick = [(t, c) for t, local in enumerate(point.local) if local is not None for c in local.sick.tolist()]
    uncured = dict(zip(sick, program.columns(len(sick)).tolist(), strict=True))
    return Columns(
        share=share,
        chosen=chosen,
        steps=steps,
        raised=raised,
        lowered=lowered,
        charge=charge,
        discharge=discharge,
        energy=energy,
        way=way,
        short=short,
        loss=loss,
        broken=broken,
        uncured=uncured,
        excess=int(program.columns(1)[0]),
    )


def _powers(
    now: Floats, least: Floats, most: Floats, idle: NDArray[np.bool_], radius: Floats
) -> tuple[Floats, Floats]:
    """Range of charging or discharging: not far from the present one, none where the other way is held."""
    low, high = np.maximum(least, now - radius * most), np.minimum(most, now + radius * most)
    high = np.where(idle, least, high)
    return np.minimum(low, high).ravel(), high.ravel()


def _one_way(problem: Problem, program: Program, charge: Ints, discharge: Ints) -> Ints:
    """Never charge and discharge at once; whether a storage charges."""
    stores, count = problem.stores, charge.size
    way = program.columns(count, 0.0, 1.0, whole=True)
    row = program.rows(2 * count, upper=np.concatenate([np.zeros(count), stores.most_discharge.ravel()]))
    program.entries(row[:count], charge.ravel(), 1.0)
    program.entries(row[:count], way, -stores.most_charge.ravel())
    program.entries(row[count:], discharge.ravel(), 1.0)
    program.entries(row[count:], way, stores.most_discharge.ravel())
    return way.reshape(charge.shape)


def _conditions(problem: Problem, program: Program, columns: Columns) -> None:
    """Least shares, exclusive groups, and what inverters can do."""
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
    able = problem.capability
    row = program.rows(len(able.low), able.low, able.high)
    matrix = able.matrix.tocoo()
    every = np.concatenate([columns.share, columns.charge.ravel(), columns.discharge.ravel()])
    program.entries(row[matrix.coords[0]], every[matrix.coords[1]], matrix.data)


def count_moves(problem: Problem, program: Program, steps: Ints, raised: Ints, lowered: Ints) -> None:
    """Count changes of steps, (device, period), as moves; so many are allowed over the horizon."""
    for device, own, up, down in zip(problem.devices, steps, raised, lowered, strict=True):
        change = program.rows(problem.periods, 0.0, 0.0)
        program.entries(change, own, 1.0)
        program.entries(change[1:], own[:-1], -1.0)
        program.entries(change, up, -1.0)
        program.entries(change, down, 1.0)
        for begin, end, most in device.budgets:
            total = program.rows(1, upper=most)
            program.entries(total[0], np.concatenate([up[begin:end], down[begin:end]]), 1.0)


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


def _sum(problem: Problem, program: Program, columns: Columns) -> Ints:
    """Keep what is left beyond true limits within its sum, or exceed it."""
    if problem.left is None:
        return program.rows(0)
    row = program.rows(1, upper=PERCENT * problem.left)
    program.entries(row, columns.excess, -1.0)
    program.entries(row, list(columns.uncured.values()), 1.0)
    return row


def _profile(point: Point, program: Program, columns: Columns, controls: tuple[Ints, ...]) -> Ints:
    """Exchanges keep within their bands, in Mvar; periods without a state have empty rows."""
    problem, requests = point.problem, point.problem.requests
    base, count = problem.compiled.s_base_mva, len(requests.q)
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    slopes: list[tuple[int, Ints, Floats]] = []
    for number, (period, place) in enumerate(
        zip(requests.period.tolist(), requests.point.tolist(), strict=True)
    ):
        local = point.local[period]
        if local is None or np.isnan(local.exchange[place]):
            continue
        slope = local.exchange_slope[:, place]
        middle = requests.q[number] - local.exchange[place] + slope @ local.at
        low[number] = (middle - requests.tolerance[number]) * base
        high[number] = (middle + requests.tolerance[number]) * base
        given = columns.discharge[:, period]
        stored = slope[len(slope) - len(given) :]
        slopes.append(
            (number, np.concatenate([controls[period], given]), base * np.concatenate([slope, -stored]))
        )
    rows = program.rows(count, low, high)
    for number, column, value in slopes:
        program.entries(rows[number], column, value)
    program.entries(rows, columns.short[0], -1.0)
    program.entries(rows, columns.short[1], 1.0)
    return rows
