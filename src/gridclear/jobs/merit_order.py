"""Lights in merit order: every bid on top of those that were accepted before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.verdict import Verdict
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.network import Ints
    from gridclear.powerflow.rays import Crossing


def judge_in_merit_order(
    search: Search, bids: Bids, progress: Callable[[int, int], None] | None = None
) -> Verdict:
    """Accept items one after another, each as far as it is safe on top of those before it.

    Periods go on by themselves: a tick takes the next item of every period whose turn it is in all of its
    periods, looks at a few samples of each, and sets aside those that need a search; they are searched together
    when no other period can go on.

    Parameters
    ----------
    search : Search
    bids : Bids
    progress : callable, optional
        Called with (units done, all).

    Returns
    -------
    Verdict
        Confirmed by power flows of its own at the accepted amounts.
    """
    verdict = Verdict.empty(bids, search.base.solved)
    chain = _Chain(search, bids, verdict)
    while True:
        ready = chain.ready()
        if len(ready):
            chain.look(ready)
        elif chain.waiting:
            chain.search_waiting()
        else:
            break
        if progress is not None:
            progress(chain.done, len(bids.item))
    verdict.decisive[:] = bids.conditions(verdict.free)[1]
    _confirm(search, bids, verdict, chain.cells)
    return verdict


class _Chain:
    """Where each period stands in the list, and what is accepted there so far."""

    def __init__(self, search: Search, bids: Bids, verdict: Verdict) -> None:
        self._search, self._bids, self._verdict = search, bids, verdict
        self.cells = np.unique(bids.activations.cell)
        self._accepted = np.zeros((len(search.base.solved), len(self.cells)))
        self._taken: dict[tuple[int, int], int] = {}
        self.waiting: list[int] = []
        self.done = 0
        period, items = bids.activations.period, len(bids.least_share)
        self._first = np.searchsorted(bids.item, np.arange(items + 1))
        # Pairs (period, item) in the order in which they are taken.
        pairs = np.unique(np.stack([period, bids.item], axis=1), axis=0)
        self._queue = pairs[:, 1]
        self._next = np.searchsorted(pairs[:, 0], np.arange(len(self._accepted)))
        self._end = np.searchsorted(pairs[:, 0], np.arange(len(self._accepted)), side="right")
        self._needed = np.bincount(pairs[:, 1], minlength=items)
        self._at_nothing = np.zeros(len(period))
        self._open = np.zeros(items, dtype=bool)

    def ready(self) -> Ints:
        """Items whose turn it is in all of their periods, those set aside not among them."""
        going = np.flatnonzero(self._next < self._end)
        heads, count = np.unique(self._queue[self._next[going]], return_counts=True)
        return heads[(count == self._needed[heads]) & ~self._open[heads]]

    def look(self, items: Ints) -> None:
        """Decide what a few samples can decide."""
        units = self._units(items)
        if len(units):
            glance = self._search.glance(*self._lanes(units))
            self._at_nothing[units] = glance.at_nothing
            self._keep(units[glance.decided], glance.crossing, glance.decided)
            undecided = units[~glance.decided]
            self.waiting += undecided.tolist()
            self._open[self._bids.item[undecided]] = True
        self._accept(items[~self._open[items]])

    def search_waiting(self) -> None:
        """Search all that was set aside."""
        units = np.array(self.waiting, dtype=np.int64)
        self.waiting = []
        crossing = self._search.crossing(*self._lanes(units), self._at_nothing[units])
        self._keep(units, crossing, np.ones(len(units), dtype=bool))
        items = np.unique(self._bids.item[units])
        self._open[items] = False
        self._accept(items)

    def _units(self, items: Ints) -> Ints:
        """Units of items that can be judged; those that an accepted bid excludes are not."""
        runs = [np.arange(self._first[item], self._first[item + 1]) for item in items.tolist()]
        units = np.concatenate(runs)
        group = self._bids.exclusive
        for unit in units[group[units] >= 0].tolist():
            key = (int(self._bids.activations.period[unit]), int(group[unit]))
            self._verdict.excluded_by[unit] = self._taken.get(key, -1)
        judged: Ints = units[self._verdict.searched[units] & (self._verdict.excluded_by[units] < 0)]
        return judged

    def _lanes(self, units: Ints) -> tuple[Activations, Activations]:
        own = self._bids.activations.part(units)
        return own, Activations.dense(own.period, self.cells, self._accepted[own.period])

    def _keep(self, units: Ints, crossing: Crossing, rows: np.ndarray) -> None:
        self._verdict.free[units] = crossing.safe[rows]
        self._verdict.which[units] = crossing.which[rows]

    def _accept(self, items: Ints) -> None:
        """Take what is safe of items and let their periods go on."""
        bids, verdict = self._bids, self._verdict
        for item in items.tolist():
            units = np.arange(self._first[item], self._first[item + 1])
            free = np.where(bids.marked[units], verdict.free[units], 1.0).min()
            share = float(bids.enough(np.array([item]), np.array([free]))[0])
            verdict.share[units] = share
            periods = bids.activations.period[units]
            self._next[np.unique(periods)] += 1
            self.done += len(units)
            if share == 0.0:
                continue
            for unit, period in zip(units.tolist(), periods.tolist(), strict=True):
                own = slice(bids.activations.first[unit], bids.activations.first[unit + 1])
                place = np.searchsorted(self.cells, bids.activations.cell[own])
                np.add.at(self._accepted[period], place, share * bids.activations.value[own])
                if bids.exclusive[unit] >= 0:
                    self._taken.setdefault((period, int(bids.exclusive[unit])), item)


def _confirm(search: Search, bids: Bids, verdict: Verdict, cells: Ints) -> None:
    """Solve the state at every accepted amount and at every full offer, with what was accepted before it
    added up anew.
    """
    for period in range(len(search.base.solved)):
        mine = np.flatnonzero(bids.activations.period == period)
        units = mine[verdict.searched[mine]]
        if not len(units):
            continue
        taken = bids.activations.part(mine, verdict.share[mine])
        added = np.zeros((len(mine) + 1, len(cells)))
        row = np.repeat(np.arange(1, len(mine) + 1), np.diff(taken.first))
        np.add.at(added, (row, np.searchsorted(cells, taken.cell)), taken.value)
        before = np.cumsum(added, axis=0)[np.searchsorted(bids.item[mine], bids.item[units])]
        below = Activations.dense(np.full(len(units), period), cells, before)
        verdict.confirm(search, bids, units, below)
