"""Boxes of parts with few items where curves bend: grown against all of their corners until they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.few import Few
from gridclear.jobs.grown import Growth
from gridclear.network.limits import TOLERANCE
from gridclear.optimise.allotment import MOST_MW

if TYPE_CHECKING:
    from gridclear.jobs.bids import Bids
    from gridclear.jobs.box import Box
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints

#: Items and corners of a part that count as few.
FEW_ITEMS, _CORNERS = 8, 2**10
#: So often boxes are grown again with the points that broke the one before, and at first without programs.
_SEARCHES, _WITHOUT = 8, 4
#: Boxes that did not stand by then are drawn back, and further by these parts: peaks move along with a box.
_BACK = (1e-3, 4e-3, 1.6e-2)
#: Constraints of a period, the nearest, that are climbed to from where they are nearest of all points.
_NEAREST = 24
#: A side is looked at this far beyond where it ends, as a share, for what stops it.
_BEYOND = 1e-3


@dataclass(eq=False)
class Small:
    """A part with few items.

    Attributes
    ----------
    units : (n,) of int
        Those of its items that can be activated.
    side : (n,) of int
        Place of each of them among the items.
    few : Few
    growth : Growth
    top, size : (item,)
        Largest shares, and MW at full shares.
    box : (item,) or None
        The best box that stood so far.
    thorough : bool
        How it is grown.
    """

    units: Ints
    side: Ints
    few: Few
    growth: Growth
    top: Floats
    size: Floats
    box: Floats | None = None
    thorough: bool = False

    def sides(self, share: Floats) -> Floats:
        """Shares of the items, from those of units (unit,)."""
        sides = np.zeros(len(self.top))
        sides[self.side] = share[self.units]
        return sides


def small_parts(search: Search, bids: Bids, box: Box, part: Ints, most: Floats) -> list[Small]:
    """Find the parts, told apart by ``part`` (unit,), of which all corners can be solved.

    ``most`` (item,) are the largest shares.
    """
    found = []
    for number in np.unique(part[box.units]).tolist():
        units = box.units[part[box.units] == number]
        items, side = np.unique(bids.item[units], return_inverse=True)
        periods, count = np.unique(bids.activations.period[units], return_counts=True)
        if len(items) > FEW_ITEMS or (2.0**count).sum() > _CORNERS:
            continue
        of_unit = np.full(len(bids.item), -1)
        of_unit[units] = side
        few = Few(search, box.corners, of_unit, periods)
        size = np.bincount(side, weights=bids.offered_of_unit[units]).astype(np.float64)
        growth = Growth(few, most[items], bids.smallest_share[items], size)
        found.append(Small(units, side, few, growth, most[items], size))
    return found


def grow(
    search: Search, box: Box, parts: list[Small], allotment: str, share: Floats, seed: int, *, calm: bool
) -> Floats:
    """Put the grown boxes of small parts into shares (unit,), where ones are found that stand.

    ``calm``: the box of the shares stands, so that those of the most megawatts have to be larger.
    """
    before, share, most_mw = share, share.copy(), allotment == MOST_MW
    for small in parts:
        small.box = small.sides(before) if calm and most_mw else None
        small.thorough = not most_mw
    open_ = parts
    for number in range(_SEARCHES + len(_BACK)):
        if not open_:
            break
        for small in open_:
            if number < _SEARCHES:
                sides = small.growth.grown(allotment, thorough=small.thorough)
            else:
                sides = small.growth.drawn_back(small.sides(share), _BACK[number - _SEARCHES])
            share[small.units] = sides[small.side]
        broken = _broken(search, box, open_, share, seed)
        left = []
        for small in open_:
            learned = [t for t in small.few.periods.tolist() if t in broken]
            for t in learned:
                small.few.learn(t, broken[t])
            if not learned:
                sides = small.sides(share)
                if small.box is None or small.size @ sides > small.size @ small.box:
                    small.box = sides
            # Programs are dear: they mostly begin where what is found without them stands.
            if learned or not small.thorough:
                left.append(small)
            small.thorough |= not learned or number + 1 >= _WITHOUT
        open_ = left
    return _taken(box, parts, before)


def _taken(box: Box, parts: list[Small], share: Floats) -> Floats:
    """Put the boxes that stood into shares, and the lines of what stops their sides into the box."""
    share = share.copy()
    stops: list[tuple[int, Floats, Floats]] = []
    periods: list[int] = []
    for small in parts:
        if small.box is not None:
            share[small.units] = small.box[small.side]
            stops += small.few.stops(small.box, small.top, _BEYOND)
            periods += small.few.periods.tolist()
    box.stop(periods, share, stops)
    return share


def _broken(search: Search, box: Box, parts: list[Small], share: Floats, seed: int) -> dict[int, Floats]:
    """Find points of the boxes of some parts that break a limit: (point, column) by period."""
    box.correct(share, frozen=False)
    begun: dict[int, tuple[list[int], Floats]] = {}
    for small in parts:
        begun |= small.few.nearest(small.sides(share), _NEAREST)
    periods, points = box.points(share, seed, begun)
    lanes = box.corners.lanes(periods, points)
    over, _ = search.violation(lanes, search.setting[lanes.period])
    found: dict[int, list[Floats]] = {}
    for row in np.flatnonzero(~(over <= TOLERANCE)).tolist():
        found.setdefault(periods[row], []).append(points[row])
    return {t: np.unique(np.array(own), axis=0) for t, own in found.items()}
