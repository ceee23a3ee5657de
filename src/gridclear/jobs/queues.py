"""Items in merit order, each taken when its turn has come in all of its periods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
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

    def advance(self, items: Ints) -> None:
        """Let the next items have their turn behind these, which are heads."""
        period = self._bids.activations.period[self.units(items)]
        # An item is done in all of its periods, in each once.
        self._next[np.unique(period)] += 1

    def units(self, items: Ints) -> Ints:
        """Units of items, in order."""
        if not len(items):
            return items
        return np.concatenate([np.arange(*self._first[item : item + 2]) for item in items.tolist()])

    def begin(self, items: Ints) -> Ints:
        """Say where each item begins among the units of all of them."""
        count = self._first[items + 1] - self._first[items]
        begin: Ints = np.cumsum(count) - count
        return begin
