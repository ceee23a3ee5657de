"""Lights in merit order: every bid on top of those that were accepted before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.queues import Queues
from gridclear.jobs.verdict import Verdict
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.rays import Crossing, Tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.network import Ints


def judge_in_merit_order(
    search: Search, bids: Bids, progress: Callable[[int, int], None] | None = None
) -> Verdict:
    """Accept items one after another, each as far as it is safe on top of those before it.

    Periods go on by themselves: an item is begun as soon as its turn has come in all of its periods, and all
    that was begun is searched together.

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
    while chain.begin():
        chain.step()
        if progress is not None:
            progress(chain.done, len(bids.item))
    verdict.decisive[:] = bids.conditions(verdict.free)[1]
    _confirm(search, bids, verdict, chain)
    return verdict


class _Chain:
    """Where each period stands in the list, and what is accepted there so far."""

    def __init__(self, search: Search, bids: Bids, verdict: Verdict) -> None:
        self._search, self._bids, self._verdict = search, bids, verdict
        self.cells = np.unique(bids.activations.cell)
        self._accepted = np.zeros((len(search.base.solved), len(self.cells)))
        self._taken: dict[tuple[int, int], int] = {}
        self.done = 0
        period, items = bids.activations.period, len(bids.least_share)
        self.before = search.setting[period]
        self._setting = search.setting.copy()
        self._tracer = Tracer(len(period), chained=True)
        self._reacting: list[int] = []
        self._queues = Queues(bids, len(self._accepted))
        # Units of each item that are still searched; -1: not begun.
        self._open = np.full(items, -1, dtype=np.int64)

    def begin(self) -> bool:
        """Begin with the items whose turn has come; says whether anything is left to do."""
        heads = self._queues.heads()
        while len(heads):
            fresh = heads[self._open[heads] < 0]
            units = self._units(fresh)
            self.before[units] = self._setting[self._bids.activations.period[units]]
            if self._search.reacts:
                self._reacting += units.tolist()
            else:
                self._tracer.start(units)
            self._open[fresh] = 0
            np.add.at(self._open, self._bids.item[units], 1)
            decided = heads[self._open[heads] == 0]
            if not len(decided):
                return True
            self._accept(decided)
            heads = self._queues.heads()
        return False

    def step(self) -> None:
        """One evaluation for all units that are searched; all of the search where regulators react."""
        if self._search.reacts:
            units, self._reacting = np.array(self._reacting, dtype=np.int64), []
            crossing = self._react(units)
        else:
            ray, share = self._tracer.ask()
            lanes = self._on_accepted(self._bids.activations.part(ray, share))
            self._tracer.tell(*self._search.violation(lanes, self.before[ray]))
            units = np.unique(ray)
            units = units[self._tracer.decided(units)]
            crossing = self._tracer.crossing(units)
        self._verdict.free[units], self._verdict.which[units] = crossing.safe, crossing.which
        np.subtract.at(self._open, self._bids.item[units], 1)

    def _react(self, units: Ints) -> Crossing:
        own = self._on_accepted(self._bids.activations.part(units))
        nothing, _ = self._search.violation(own.part(np.arange(len(units)), 0.0), self.before[units])
        return self._search.crossing(own, self.before[units], nothing)

    def _on_accepted(self, own: Activations) -> Activations:
        return own.on(self.cells, self._accepted[own.period])

    def _units(self, items: Ints) -> Ints:
        """Units of items that can be judged; those that an accepted bid excludes are not."""
        units = self._queues.units(items)
        group = self._bids.exclusive
        for unit in units[group[units] >= 0].tolist():
            key = (int(self._bids.activations.period[unit]), int(group[unit]))
            self._verdict.excluded_by[unit] = self._taken.get(key, -1)
        judged: Ints = units[self._verdict.searched[units] & (self._verdict.excluded_by[units] < 0)]
        return judged

    def _accept(self, items: Ints) -> None:
        """Take what is safe of items and let their periods go on."""
        bids, verdict = self._bids, self._verdict
        units, first = self._queues.units(items), self._queues.first
        count = first[items + 1] - first[items]
        free = np.where(bids.marked[units], verdict.free[units], 1.0)
        share = bids.enough(items, np.minimum.reduceat(free, np.cumsum(count) - count))
        verdict.share[units] = np.repeat(share, count)
        own = bids.activations.part(units, verdict.share[units])
        place = np.searchsorted(self.cells, own.cell)
        np.add.at(self._accepted, (np.repeat(own.period, np.diff(own.first)), place), own.value)
        if self._search.reacts:
            period = np.unique(own.period[verdict.share[units] > 0.0])
            state = Activations.dense(period, self.cells, self._accepted[period])
            self._setting[period] = self._search.settled(state, self._setting[period])
        self._queues.advance(items)
        self.done += len(units)
        for unit in units[(bids.exclusive[units] >= 0) & (verdict.share[units] > 0.0)].tolist():
            key = (int(bids.activations.period[unit]), int(bids.exclusive[unit]))
            self._taken.setdefault(key, int(bids.item[unit]))


def _confirm(search: Search, bids: Bids, verdict: Verdict, chain: _Chain) -> None:
    """Solve every accepted amount and every full offer, with what was accepted before added up anew."""
    cells = chain.cells
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
        own = bids.activations.part(units).on(cells, before)
        verdict.confirm(search, units, own, chain.before[units])
