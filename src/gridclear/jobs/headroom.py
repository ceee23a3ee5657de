"""What the elements of bids can still do: several bids of one element share what it can do in all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.check_offers import TOLERANCE_MW, room_of

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.jobs.bids import Bids
    from gridclear.network.network import Floats, Ints


class Headroom:
    """Where the elements of bids stand with all that is taken of them, and how far they can still go.

    A bid by itself fits into its element (the case is checked for that); those of one element in one period
    and direction may not fit together. What is taken in the other direction gives room back. Where nothing
    says how far an element can go, it goes as far as its bids.

    Parameters
    ----------
    case : Case
    bids : Bids
    """

    def __init__(self, case: Case, bids: Bids) -> None:
        rows = case.active_bids
        self._room = room_of(case, rows)
        self._offered = bids.offered
        slot = self._room.element * case.horizon.periods + case.horizon.position(rows["start"])
        # Transmission has no element, and NaN for its end: its rows never bind.
        slots, self._slot = np.unique(slot, return_inverse=True)
        self._at = np.full(len(slots), np.nan)
        self._at[self._slot] = self._room.planned
        self._rows = np.argsort(bids.unit, kind="stable")
        self._first = np.searchsorted(bids.unit[self._rows], np.arange(len(bids.item) + 1))

    def most(self, units: Ints, begin: Ints) -> Floats:
        """Largest share of items that their elements can still do, (item,), at most 1.

        ``units`` are those of the items, in order; ``begin`` (item,) says where each item begins.
        """
        row, count = self._rows_of(units)
        item = np.repeat(np.searchsorted(begin, np.arange(len(units)), side="right") - 1, count)
        way, slot = self._room.way[row], self._slot[row]
        left = np.maximum(way * (self._room.end[row] - self._at[slot]), 0.0)
        # Rows of an item on one element and in one direction move it together.
        _, together = np.unique(np.stack([item, slot, way > 0.0]), axis=1, return_inverse=True)
        together = together.ravel()
        whole = np.bincount(together, weights=self._offered[row])[together]
        part = np.where(left <= TOLERANCE_MW, 0.0, left / np.maximum(whole, TOLERANCE_MW))
        # A comparison with NaN fails: no stated end, no bound.
        share = np.where(whole > left + TOLERANCE_MW, part, 1.0)
        most = np.ones(len(begin))
        np.minimum.at(most, item, share)
        return most

    def take(self, units: Ints, share: Floats) -> None:
        """Move the elements of units by the ``share`` (unit,) that is taken of them."""
        row, count = self._rows_of(units)
        moved = self._room.way[row] * self._offered[row] * np.repeat(share, count)
        np.add.at(self._at, self._slot[row], moved)

    def _rows_of(self, units: Ints) -> tuple[Ints, Ints]:
        """Rows of units, in order, and how many each has."""
        count = self._first[units + 1] - self._first[units]
        start = np.cumsum(count) - count
        place: Ints = np.repeat(self._first[units] - start, count) + np.arange(count.sum())
        return self._rows[place], count
