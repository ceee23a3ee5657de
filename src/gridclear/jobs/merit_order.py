"""Lights in merit order: every bid on top of those that were taken before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.queues import Queues
from gridclear.jobs.taken import Everything, Taken
from gridclear.jobs.verdict import Verdict
from gridclear.powerflow.rays import Crossing, Tracer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.jobs.taken import Taker
    from gridclear.network.network import Floats, Ints


def judge_in_merit_order(
    search: Search, bids: Bids, progress: Callable[[int, int], None] | None = None
) -> Verdict:
    """Accept items one after another, each as far as it is safe on top of those before it.

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
    return judge_and_take(search, bids, Everything(), progress)[0]


def judge_and_take(
    search: Search, bids: Bids, taker: Taker, progress: Callable[[int, int], None] | None = None
) -> tuple[Verdict, Taken]:
    """Judge items one after another, each on top of what was taken of those before it.

    Periods go on by themselves: an item is begun as soon as its turn has come in all of its periods, and all
    that was begun is searched together.

    Parameters
    ----------
    search : Search
    bids : Bids
    taker : Taker
        What it does not want is not judged.
    progress : callable, optional
        Called with (units done, all).

    Returns
    -------
    verdict : Verdict
        Of every item at its turn; confirmed by power flows of its own at the safe amounts.
    taken : Taken
    """
    verdict = Verdict.empty(bids, search.base.solved)
    chain = _Chain(search, bids, verdict, taker)
    while chain.begin():
        chain.step()
        if progress is not None:
            progress(chain.done, len(bids.item))
    verdict.decisive[:] = bids.conditions(verdict.free)[1]
    _confirm(search, bids, verdict, chain)
    return verdict, chain.taken


def take_known(search: Search, bids: Bids, share: Floats, taker: Taker) -> Taken:
    """Take items one after another whose safe shares are known beforehand.

    Parameters
    ----------
    search : Search
    bids : Bids
    share : (unit,)
        Safe share, the same for all units of an item.
    taker : Taker

    Returns
    -------
    Taken
    """
    taken, queues = Taken(search, bids), Queues(bids, len(search.base.solved))
    while len(items := queues.heads()):
        units, begin = queues.units(items), queues.begin(items)
        taker.wants(units, begin)
        share_taken = taker.take(units, begin, share[units[begin]], taken)
        taken.add(units, share_taken[np.searchsorted(items, bids.item[units])])
        queues.advance(items)
    return taken


class _Chain:
    """Where each period stands in the list."""

    def __init__(self, search: Search, bids: Bids, verdict: Verdict, taker: Taker) -> None:
        self._search, self._bids, self._verdict, self._taker = search, bids, verdict, taker
        self.taken = Taken(search, bids)
        self.done = 0
        period, items = bids.activations.period, len(bids.least_share)
        self.before = search.setting[period]
        self._tracer = Tracer(len(period), chained=True)
        self._reacting: list[int] = []
        self._queues = Queues(bids, len(search.base.solved))
        # Units of each item that are still searched; -1: not begun.
        self._open = np.full(items, -1, dtype=np.int64)

    def begin(self) -> bool:
        """Begin with the items whose turn has come; says whether anything is left to do."""
        heads = self._queues.heads()
        while len(heads):
            fresh = heads[self._open[heads] < 0]
            units = self._units(fresh)
            self.before[units] = self.taken.setting[self._bids.activations.period[units]]
            if self._search.bends:
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
        """One evaluation for all units that are searched; all of the search where something reacts."""
        if self._search.bends:
            units, self._reacting = np.array(self._reacting, dtype=np.int64), []
            crossing = self._react(units)
        else:
            ray, share = self._tracer.ask()
            lanes = self.taken.below(self._bids.activations.part(ray, share))
            self._tracer.tell(*self._search.violation(lanes, self.before[ray]))
            units = np.unique(ray)
            units = units[self._tracer.decided(units)]
            crossing = self._tracer.crossing(units)
        self._verdict.free[units], self._verdict.which[units] = crossing.safe, crossing.which
        np.subtract.at(self._open, self._bids.item[units], 1)

    def _react(self, units: Ints) -> Crossing:
        own = self.taken.below(self._bids.activations.part(units))
        nothing, _ = self._search.violation(own.part(np.arange(len(units)), 0.0), self.before[units])
        return self._search.crossing(own, self.before[units], nothing)

    def _units(self, items: Ints) -> Ints:
        """Units of items that are to be judged; not those that a taken bid excludes or nobody wants."""
        units, verdict = self._queues.units(items), self._verdict
        if not len(units):
            return units
        wanted = self._taker.wants(units, self._queues.begin(items))
        verdict.searched[units] &= wanted[np.searchsorted(items, self._bids.item[units])]
        verdict.excluded_by[units] = self.taken.excluding(units)
        judged: Ints = units[verdict.searched[units] & (verdict.excluded_by[units] < 0)]
        return judged

    def _accept(self, items: Ints) -> None:
        """Take of items what is safe and wanted, and let their periods go on."""
        bids, verdict = self._bids, self._verdict
        units, begin = self._queues.units(items), self._queues.begin(items)
        place = np.searchsorted(items, bids.item[units])
        free = np.where(bids.marked[units], verdict.free[units], 1.0)
        share = bids.enough(items, np.minimum.reduceat(free, begin))
        verdict.share[units] = share[place]
        self.taken.add(units, self._taker.take(units, begin, share, self.taken)[place])
        self._queues.advance(items)
        self.done += len(units)


def _confirm(search: Search, bids: Bids, verdict: Verdict, chain: _Chain) -> None:
    """Solve every safe amount and every full offer, with what was taken before added up anew."""
    cells = chain.taken.cells
    for period in range(len(search.base.solved)):
        mine = np.flatnonzero(bids.activations.period == period)
        units = mine[verdict.searched[mine]]
        if not len(units):
            continue
        taken = bids.activations.part(mine, chain.taken.share[mine])
        added = np.zeros((len(mine) + 1, len(cells)))
        row = np.repeat(np.arange(1, len(mine) + 1), np.diff(taken.first))
        np.add.at(added, (row, np.searchsorted(cells, taken.cell)), taken.value)
        before = np.cumsum(added, axis=0)[np.searchsorted(bids.item[mine], bids.item[units])]
        own = bids.activations.part(units).on(cells, before)
        verdict.confirm(search, units, own, chain.before[units])
