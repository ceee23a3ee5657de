"""Lights in merit order: every bid on top of those that were taken before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.queues import Queues
from gridclear.jobs.taken import Everything, Taken
from gridclear.jobs.verdict import Verdict
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.jobs.taken import Taker
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.rays import Crossing

#: Most items of a period that are searched in one go: after each, progress is told.
_RUN = 64


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

    Periods go on by themselves: an item is searched as soon as its turn has come in all of its periods. Where
    all is taken that is safe, items that stand in one period alone are searched in one go with those before.

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
    while chain.step():
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
        self.before = search.setting[bids.activations.period]
        self._queues = Queues(bids, len(search.base.solved))
        self._follows = (np.bincount(bids.item) == 1) & taker.takes_all & (not search.bends)
        self._follows[bids.item[bids.exclusive >= 0]] = False

    def step(self) -> bool:
        """Judge items whose turn has come, and take of them; says whether there were any."""
        items = self._queues.runs(self._follows, _RUN)
        if not len(items):
            return False
        units = self._judged(items)
        if len(units):
            crossing = self._crossing(units)
            self._verdict.free[units], self._verdict.which[units] = crossing.safe, crossing.which
        self._accept(items)
        self._queues.advance(items)
        return True

    def _judged(self, items: Ints) -> Ints:
        """Units of items that are to be judged, by period; not what a taken bid excludes or nobody wants."""
        units, verdict = self._queues.units(items), self._verdict
        period = self._bids.activations.period[units]
        wanted = self._taker.wants(units, self._queues.begin(items))
        verdict.searched[units] &= wanted[np.searchsorted(items, self._bids.item[units])]
        verdict.excluded_by[units] = self.taken.excluding(units)
        self.before[units] = self.taken.setting[period]
        judged = verdict.searched[units] & (verdict.excluded_by[units] < 0)
        by_period: Ints = units[judged][np.argsort(period[judged], kind="stable")]
        return by_period

    def _crossing(self, units: Ints) -> Crossing:
        """Search units: one after another where they follow at once, the others by themselves."""
        bids, own = self._bids, self._bids.activations.part(units)
        if self._search.bends:
            return self._search.bent_crossing(self.taken.below(own), self.before[units])
        first = np.flatnonzero(~self._follows[bids.item[units]] | (np.diff(own.period, prepend=-1) != 0))
        begin = self.taken.below(Activations.none(own.period[first]))
        least = bids.smallest_share[bids.item[units]]
        ends = np.append(first, len(units))
        return self._search.climb(begin, own, ends, self.before[units[first]], least)

    def _accept(self, items: Ints) -> None:
        """Take of items what is safe and wanted."""
        bids, verdict = self._bids, self._verdict
        units, begin = self._queues.units(items), self._queues.begin(items)
        place = np.searchsorted(items, bids.item[units])
        free = np.where(bids.marked[units], verdict.free[units], 1.0)
        share = bids.enough(items, np.minimum.reduceat(free, begin))
        verdict.share[units] = share[place]
        self.taken.add(units, self._taker.take(units, begin, share, self.taken)[place])
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
