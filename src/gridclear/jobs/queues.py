"""Items in merit order, each taken when its turn has come in all of its periods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.jobs.bids import Bids
    from gridclear.network.network import Ints


class Queues:
    """One queue of items per period; they advance by themselves but for items in several periods.

    Parameters
    ----------
    bids : Bids
    periods : int
    """

    def __init__(self, bids: Bids, periods: int) -> None:
        self._bids, items = bids, len(bids.least_share)
        self._first = np.searchsorted(bids.item, np.arange(items + 1))
        pairs = np.unique(np.stack([bids.activations.period, bids.item], axis=1), axis=0)
        self._queue = pairs[:, 1]
        self._next = np.searchsorted(pairs[:, 0], np.arange(periods))
        self._end = np.searchsorted(pairs[:, 0], np.arange(periods), side="right")
        self._needed = np.bincount(pairs[:, 1], minlength=items)

    def heads(self) -> Ints:
        """Items whose turn it is in all of their periods."""
        going = np.flatnonzero(self._next < self._end)
        heads, count = np.unique(self._queue[self._next[going]], return_counts=True)
        ready: Ints = heads[count == self._needed[heads]]
        return ready

    def runs(self, follows: NDArray[np.bool_], most: int) -> Ints:
        """Heads, and behind them in each period, up to ``most``, what follows at once; ascending.

        ``follows`` (item,): items of one period that need not wait for what becomes of those before them.
        """
        going = np.flatnonzero(self._next < self._end)
        place = self._next[going, None] + np.arange(most)
        waiting = self._queue[np.minimum(place, self._end[going, None] - 1)]
        run = np.logical_and.accumulate(follows[waiting] & (place < self._end[going, None]), axis=1)
        return np.union1d(self.heads(), waiting[run])

    def advance(self, items: Ints) -> None:
        """Let the next items have their turn behind these, which are next in all of their periods."""
        units = self.units(items)
        item, period = self._bids.item[units], self._bids.activations.period[units]
        # An item is done in each of its periods once; its units there stand together.
        first = np.append(True, (np.diff(item) != 0) | (np.diff(period) != 0))
        np.add.at(self._next, period[first], 1)

    def units(self, items: Ints) -> Ints:
        """Units of items, in order."""
        begin, count = self.begin(items), self._first[items + 1] - self._first[items]
        units: Ints = np.repeat(self._first[items] - begin, count) + np.arange(count.sum())
        return units

    def begin(self, items: Ints) -> Ints:
        """Say where each item begins among the units of all of them."""
        count = self._first[items + 1] - self._first[items]
        begin: Ints = np.cumsum(count) - count
        return begin
