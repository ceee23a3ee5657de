"""How much of each offer fits under limits that only grow with the shares, piece by piece: three policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import Solver, solved
from gridclear.optimise.program import Program
from gridclear.powerflow.filling import fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MERIT_ORDER, PRO_RATA, MOST_MW = "merit-order", "pro-rata", "most-mw"
ALLOTMENTS = (MERIT_ORDER, PRO_RATA, MOST_MW)
#: Least shares up to here are crumbs, which are dropped afterwards rather than decided by whole numbers.
_CRUMB = 1.5e-3
#: Of the most megawatts a search may leave so much, relative and in MW, unproved.
_GAP = (1e-4, 1e-9)
#: Room in which sums may differ, in p.u. of violation.
_ROUNDING = 1e-12
#: Halvings of the common share of a pro-rata stage.
_HALVINGS = 40


@dataclass(frozen=True, eq=False)
class Limits:
    """Rows of ``sum of press · min(share, reach) <= room``, per period.

    Attributes
    ----------
    press : (period, row, column)
        What a full unit adds to each row, not negative; zero in rows and columns that are only padding.
    room : (period, row)
        What may be added; rows of padding have infinite room.
    reach : (period, row, column) or None
        Share up to which a unit presses on a row, infinite where it always does; None: everywhere.
    """

    press: Floats
    room: Floats
    reach: Floats | None = None

    def pressed(self, period: Ints, column: Ints, share: Floats) -> Floats:
        """Find what units add to the rows of their periods at some shares, (unit, row)."""
        press: Floats = self.press[period, :, column]
        return press * self.within(period, column, share)

    def within(self, period: Ints, column: Ints, share: Floats) -> Floats:
        """Find the parts of shares with which units press, (unit, row)."""
        if self.reach is None:
            return share[:, None]
        return np.minimum(share[:, None], self.reach[period, :, column])


@dataclass(frozen=True, eq=False)
class Offers:
    """Units by item.

    Attributes
    ----------
    item : (unit,) of int
        Ascending; items stand in merit order.
    period, column : (unit,) of int
        Where the unit stands in ``Limits``.
    most : (unit,)
        Largest share.
    least : (item,)
        Smallest share that is not nothing.
    size : (unit,)
        MW at full share.
    exclusive : (unit,) of int
        Of units with the same number in a period only one is ever active; -1: any.
    """

    item: Ints
    period: Ints
    column: Ints
    most: Floats
    least: Floats
    size: Floats
    exclusive: Ints

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.least)

    def of_item(self, values: Floats) -> Floats:
        """Smallest value over the units of every item."""
        smallest = np.full(self.items, np.inf)
        np.minimum.at(smallest, self.item, values)
        return smallest


def allot(policy: str, offers: Offers, limits: Limits) -> Floats:
    """Share of every item under one policy.

    Parameters
    ----------
    policy : {"merit-order", "pro-rata", "most-mw"}
        ``merit-order``: items in order, each as large as can be with later ones at nothing; ``pro-rata``:
        all grow together, what presses on a row without room stops; ``most-mw``: the largest sum of
        megawatts.
    offers : Offers
    limits : Limits

    Returns
    -------
    (item,)
    """
    if policy == MERIT_ORDER:
        return _in_merit_order(offers, limits)
    if policy == PRO_RATA:
        return _pro_rata(offers, limits)
    return _most(offers, limits)


def _in_merit_order(offers: Offers, limits: Limits) -> Floats:
    share = np.zeros(offers.items)
    room = limits.room.copy()
    # Groups are numbered by period.
    group, together = np.full(len(offers.item), -1), np.flatnonzero(offers.exclusive >= 0)
    pairs = np.stack([offers.period[together], offers.exclusive[together]], axis=1)
    groups, group[together] = np.unique(pairs, axis=0, return_inverse=True)
    everywhere = np.zeros((0, *limits.press.shape[1:]))
    fill(
        np.searchsorted(offers.item, np.arange(offers.items + 1)), offers.period, offers.column, group,
        offers.most, offers.least, limits.press, everywhere if limits.reach is None else limits.reach,
        room, np.zeros((len(groups), room.shape[1])), share,
    )  # fmt: skip
    return share


def _pro_rata(offers: Offers, limits: Limits) -> Floats:
    """Raise all shares together; drop what ends below its least, dearest first, and begin again."""
    most = offers.of_item(offers.most)
    dropped = np.zeros(offers.items, dtype=bool)
    while True:
        share = _filled(offers, limits, np.where(dropped, 0.0, most))
        below = (share > 0.0) & (share < offers.least) | ((share == 0.0) & ~dropped & (most > 0.0))
        if not below.any():
            return share
        # Half of them at a time: a few rounds, and those that are left get the room.
        worst = np.flatnonzero(below)
        dropped[worst[len(worst) // 2 :]] = True


def _filled(offers: Offers, limits: Limits, most: Floats) -> Floats:
    """Largest common level of all shares, period by period; an item stops where its first period stops it."""
    growing: NDArray[np.bool_] = np.asarray(most > 0.0)
    level = np.zeros(offers.items)
    # Sums of the same numbers must not break a row that they have filled.
    room = limits.room + _ROUNDING
    while growing.any():
        high: Floats = np.ones(len(limits.room))
        whole = (_used(offers, limits, _at(offers, level, most, growing, high)) <= room).all(axis=1)
        low = np.array(whole, dtype=np.float64)
        for _ in range(_HALVINGS):
            middle: Floats = np.add(low, high) / 2.0
            trial = _at(offers, level, most, growing, middle)
            fits = (_used(offers, limits, trial) <= room).all(axis=1)
            low[fits], high[~fits] = middle[fits], middle[~fits]
        trial = _at(offers, level, most, growing, low)
        top = _used(offers, limits, _at(offers, level, most, growing, high))
        tight = (top > room).reshape(room.shape)
        presses = limits.press[offers.period, :, offers.column] > 0.0
        if limits.reach is not None:
            presses &= trial[offers.item][:, None] < limits.reach[offers.period, :, offers.column]
        pressing = (presses & tight[offers.period]).any(axis=1)
        stop = np.zeros(offers.items, dtype=bool)
        stop[offers.item[pressing]] = True
        full = np.flatnonzero(tight.any(axis=1))
        open_ = np.zeros(offers.items, dtype=bool)
        open_[offers.item[np.isin(offers.period, full)]] = True
        done: NDArray[np.bool_] = growing & (stop | ~open_)
        if not done.any():
            done = growing.copy()
        level[done] = trial[done]
        growing &= ~done
    return level


def _at(offers: Offers, level: Floats, most: Floats, growing: NDArray[np.bool_], height: Floats) -> Floats:
    """Shares where growing items stand at their periods' height, the others where they stopped."""
    lowest = offers.of_item(height[offers.period])
    return np.where(growing, np.minimum(most, lowest), level)


def _used(offers: Offers, limits: Limits, share: Floats) -> Floats:
    """Add up what shares (item,) press on every row, (period, row)."""
    amount = share[offers.item]
    used = np.zeros_like(limits.room)
    alone = offers.exclusive < 0
    table = np.zeros((limits.press.shape[0], limits.press.shape[2]))
    table[offers.period[alone], offers.column[alone]] = amount[alone]
    if limits.reach is None:
        used += np.einsum("trc,tc->tr", limits.press, table)
    else:
        used += (limits.press * np.minimum(table[:, None, :], limits.reach)).sum(axis=2)
    for period, group in sorted(
        set(zip(offers.period[~alone].tolist(), offers.exclusive[~alone].tolist(), strict=True))
    ):
        mine = np.flatnonzero((offers.period == period) & (offers.exclusive == group))
        used[period] += limits.pressed(offers.period[mine], offers.column[mine], amount[mine]).max(axis=0)
    return used


def _most(offers: Offers, limits: Limits) -> Floats:
    """Linear program; with whole numbers for least amounts, and for where units cease to press."""
    items, most = offers.items, offers.of_item(offers.most)
    most = np.where(most < offers.least, 0.0, most)
    program = Program()
    program.columns(items, 0.0, most, -np.bincount(offers.item, weights=offers.size, minlength=items))
    for period in range(len(limits.room)):
        mine = np.flatnonzero(offers.period == period)
        press = limits.press[period][:, offers.column[mine]]
        reach = None if limits.reach is None else limits.reach[period][:, offers.column[mine]]
        whole = press if reach is None else press * np.minimum(most[offers.item[mine]], reach)
        # A row that has room for everything says nothing.
        for row in np.flatnonzero(whole.sum(axis=1) > limits.room[period]).tolist():
            alone = offers.exclusive[mine] < 0
            # In units of what the largest presses: solvers look at absolute differences.
            press[row] /= (scale := press[row].max())
            column = offers.item[mine]
            if reach is not None:
                column = _within(program, column, most, press[row], reach[row])
            entries = [(column[alone], press[row, alone])]
            for group in np.unique(offers.exclusive[mine[~alone]]):
                # The largest of the group: one number that is at least each of its members.
                member = offers.exclusive[mine] == group
                largest = program.columns(1)
                each = program.rows(int(member.sum()), upper=0.0)
                program.entries(each, column[member], press[row, member])
                program.entries(each, largest, -1.0)
                entries.append((largest, np.ones(1)))
            _row(program, entries, limits.room[period, row] / scale)
    for item in np.flatnonzero((offers.least > _CRUMB) & (most > 0.0)).tolist():
        pair = np.array([item, *_flag(program)])
        _row(program, [(pair, np.array([1.0, -most[item]]))], 0.0)
        _row(program, [(pair, np.array([-1.0, offers.least[item]]))], 0.0)
    found = solved(Solver(program).minimise(program.cost, gap=_GAP)).x
    share: Floats = np.clip(found[:items], 0.0, most)
    return np.where(share < offers.least * (1.0 - 1e-9), 0.0, share)


def _within(program: Program, item: Ints, most: Floats, press: Floats, reach: Floats) -> Ints:
    """Columns of what units press with, at least the smaller of their share and their reach."""
    column = item.copy()
    for at in np.flatnonzero((press > 0.0) & (reach < most[item])).tolist():
        share, part, beyond = int(item[at]), int(program.columns(1)[0]), int(_flag(program)[0])
        more = most[share] - reach[at]
        _row(program, [(np.array([share, beyond]), np.array([1.0, -more]))], float(reach[at]))
        _row(program, [(np.array([part, beyond]), np.array([-1.0, reach[at]]))], 0.0)
        _row(program, [(np.array([share, part, beyond]), np.array([1.0, -1.0, -more]))], 0.0)
        column[at] = part
    return column


def _flag(program: Program) -> Ints:
    """Add a column that is 0 or 1."""
    return program.columns(1, 0.0, 1.0, whole=True)


def _row(program: Program, entries: list[tuple[Ints, Floats]], room: float) -> None:
    """Add a row ``sum of number · column <= room``."""
    row = program.rows(1, upper=room)
    for columns, numbers in entries:
        program.entries(row, columns, numbers)
