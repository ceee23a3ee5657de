"""Columns and rows of what a clearing decides, by period: offers, devices, storages, inverters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.program import Program

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from gridclear.network.network import Ints
    from gridclear.optimise.problem import Problem

#: Label of columns that belong to no period.
COMMON = -1


class Labelled(Program):
    """A program whose columns have labels: periods, or ``COMMON``."""

    def __init__(self) -> None:
        super().__init__()
        self._labels: list[Ints] = []

    def labelled(
        self,
        label: ArrayLike,
        count: int,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        cost: ArrayLike = 0.0,
        *,
        whole: bool = False,
    ) -> Ints:
        """Add columns with a label."""
        self._labels.append(np.broadcast_to(np.asarray(label, dtype=np.int64), count))
        return self.columns(count, lower, upper, cost, whole=whole)

    @property
    def labels(self) -> Ints:
        """Label of every column."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._labels])

    def row(self, lower: float, upper: float, *terms: tuple[ArrayLike, ArrayLike]) -> None:
        """Add a row of (columns, values)."""
        own = self.rows(1, lower, upper)
        for column, value in terms:
            self.entries(own, column, value)


def coupled_rows(program: Labelled) -> NDArray[np.bool_]:
    """Rows over columns of more than one label."""
    matrix, labels = program.matrix.tocsr(), program.labels
    label = labels[matrix.indices]
    row = np.repeat(np.arange(program.n_row), np.diff(matrix.indptr))
    least, most = np.full(program.n_row, np.iinfo(np.int64).max), np.full(program.n_row, -2)
    np.minimum.at(least, row, label)
    np.maximum.at(most, row, label)
    return least < most


def items_columns(problem: Problem, program: Labelled) -> Ints:
    """Columns of the offers' shares, (row,); items of several periods are tied together."""
    offers = problem.offers
    count = len(offers.most)
    first, last = np.full(count, problem.periods), np.full(count, -1)
    np.minimum.at(first, offers.item, offers.period)
    np.maximum.at(last, offers.item, offers.period)
    label = np.where(first == last, first, COMMON)
    column = program.labelled(offers.period, len(offers.period), 0.0, offers.most[offers.item], offers.cost)
    # One column per item: its first row's, or one of its own that the rows follow.
    item = np.full(count, -1, dtype=np.int64)
    item[offers.item[::-1]] = column[::-1]
    wide = np.flatnonzero(label == COMMON)
    item[wide] = program.labelled(COMMON, len(wide), 0.0, offers.most[wide])
    for row, number in enumerate(offers.item.tolist()):
        if column[row] != item[number]:
            program.row(0.0, 0.0, (column[row], 1.0), (item[number], -1.0))
    asked = offers.asked
    chosen = np.full(count, -1, dtype=np.int64)
    chosen[asked] = program.labelled(label[asked], int(asked.sum()), 0.0, 1.0, whole=True)
    for number in np.flatnonzero(asked).tolist():
        program.row(-np.inf, 0.0, (item[number], 1.0), (chosen[number], -offers.most[number]))
        program.row(0.0, np.inf, (item[number], 1.0), (chosen[number], -offers.least[number]))
    grouped = np.flatnonzero(offers.exclusive >= 0)
    keys = np.stack([offers.period[grouped], offers.exclusive[grouped]], axis=1)
    groups, member = np.unique(keys, axis=0, return_inverse=True)
    for group in range(len(groups)):
        members = np.unique(offers.item[grouped[member.ravel() == group]])
        program.row(-np.inf, 1.0, (chosen[members], 1.0))
    return np.concatenate([column, item])


def device_columns(problem: Problem, program: Labelled, number: int) -> Ints:
    """Columns of a device's steps, (period, step), and its moves: each threshold that is passed is one."""
    device, periods = problem.devices[number], problem.periods
    steps = np.arange(device.lowest, device.highest + 1)
    # What no budget lets it reach by then is left out by a bound.
    reach = [np.abs(steps) <= device.most_moves_before(period + 1) for period in range(periods)]
    column = np.stack(
        [
            program.labelled(period, len(steps), 0.0, own.astype(np.float64), whole=True)
            for period, own in enumerate(reach)
        ]
    )
    for own in column:
        program.row(1.0, 1.0, (own, 1.0))
    moves = [
        program.labelled(COMMON, 2 * (len(steps) - 1), 0.0, 1.0, device.cost).reshape(2, -1)
        for _ in range(periods)
    ]
    for period, own in enumerate(column):
        for place in range(1, len(steps)):
            start = 1.0 if period == 0 and steps[place] <= 0 else 0.0
            terms: list[tuple[ArrayLike, ArrayLike]] = [
                (own[place:], 1.0),
                (moves[period][0, place - 1], -1.0),
                (moves[period][1, place - 1], 1.0),
            ]
            if period:
                terms.append((column[period - 1][place:], -1.0))
            program.row(start, start, *terms)
    for begin, end, most in device.budgets:
        program.row(-np.inf, most, (np.concatenate([moves[at].ravel() for at in range(begin, end)]), 1.0))
    return column


def stores_columns(problem: Problem, program: Labelled) -> tuple[Ints, Ints]:
    """Columns of charging and discharging, (store, period)."""
    stores, periods, hours = problem.stores, problem.periods, problem.compiled.case.horizon.hours
    shape, label = (stores.count, periods), np.tile(np.arange(periods), stores.count)
    count = stores.count * periods
    most = (stores.most_charge.ravel(), stores.most_discharge.ravel())
    charge, discharge = (program.labelled(label, count, 0.0, one) for one in most)
    way = program.labelled(label, count, 0.0, 1.0, whole=True)
    for own in range(count):
        program.row(-np.inf, 0.0, (charge[own], 1.0), (way[own], -most[0][own]))
        program.row(-np.inf, most[1][own], (discharge[own], 1.0), (way[own], most[1][own]))
    charge, discharge = charge.reshape(shape), discharge.reshape(shape)
    for store in range(stores.count):
        low, high = stores.low[store], stores.high[store]
        energy = program.labelled(np.arange(periods), periods, low, high)
        for period in range(periods):
            start = float(stores.start[store]) if period == 0 else 0.0
            before = [(energy[period - 1], -1.0)] if period else []
            program.row(
                start,
                start,
                (energy[period], 1.0),
                (charge[store, period], -hours * stores.charging[store]),
                (discharge[store, period], hours / stores.discharging[store]),
                *before,
            )
        program.row(float(stores.end[store]), np.inf, (energy[-1], 1.0))
    return charge, discharge


def capability_rows(problem: Problem, program: Labelled, items: Ints, charge: Ints, discharge: Ints) -> None:
    """Keep to what inverters can do, all of their circles included."""
    able, count = problem.capability, len(problem.offers.most)
    every = np.concatenate([items[len(items) - count :], charge.ravel(), discharge.ravel()])
    row = program.rows(len(able.low), able.low, able.outer)
    matrix = able.matrix.tocoo()
    program.entries(row[matrix.coords[0]], every[matrix.coords[1]], matrix.data)
