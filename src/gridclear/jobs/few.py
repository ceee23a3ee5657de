"""All corners of the boxes of few items, and points in between that turned out to be worse."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.corners import AIM, scattered
from gridclear.jobs.slopes import slopes_of_all
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.jobs.corners import Corners
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints

    Bools = NDArray[np.bool_]

#: Random points that every box is looked at beside its corners.
_INNER = 32
#: Random points from which climbs may begin.
_MORE = 512
#: How near the furthest safe box is found, as a part of the way, and after how many looks at most.
NEAR, _LOOKS = 1e-5, 12
#: The looks beside where a chord leads, as parts of the bracket.
_BESIDE = 0.02
#: Points this near to a limit are linearised.
_WATCH = 2e-3
#: What a point without solution counts as.
_LOST = 1e3
#: Points that are solved in one go.
_AT_ONCE = 2**15


class Few:
    """Some items that share periods with no others, so few that all corners of their boxes can be solved.

    A box is the shares of its items, (item,); many are looked at side by side, (box, item).

    Parameters
    ----------
    search : Search
    corners : Corners
    side : (unit,) of int
        Place of the item of every unit of the case among these items, -1: none of them.
    periods : (n,) of int
        Periods that they share.

    Attributes
    ----------
    periods : (n,) of int
    """

    def __init__(self, search: Search, corners: Corners, side: Ints, periods: Ints) -> None:
        self._search, self._corners, self.periods = search, corners, periods
        self._side = {t: side[corners.members[t]] for t in periods.tolist()}
        self._parts, self._points = {}, {}
        for t, own in self._side.items():
            rng = np.random.default_rng([0, t])
            whole = np.array(list(product((0.0, 1.0), repeat=len(own)))).reshape(-1, len(own))
            inner = scattered(rng, _INNER, len(own))
            self._parts[t] = np.vstack([corners.allowed(t, whole), corners.one_of_each(t, inner, rng)])
            self._points[t] = np.zeros((0, len(own)))

    def learn(self, period: int, points: Floats) -> None:
        """Look at some points, (point, column), in every box that holds them, or at what it holds of them."""
        self._points[period] = np.vstack([self._points[period], points])

    def worst(self, boxes: Floats, moved: Ints | None = None) -> Floats:
        """Worst violation of every box; of the points that an item of each moves, if these are given."""
        every = np.arange(len(boxes))
        return _worst(self._over(boxes, every, self._moved(boxes, moved)), len(boxes))

    def furthest(
        self,
        at: Callable[[Ints, Floats], Floats],
        count: int,
        moved: Ints | None = None,
        resolution: float = NEAR,
    ) -> Floats:
        """Find how far boxes can grow.

        Parameters
        ----------
        at : callable
            Boxes (n, item) of ways (n,) at parts (n,) of them. They grow with the part, and are safe at 0.
        count : int
            Number of ways.
        moved : (count,) of int, optional
            The only item that grows on each.
        resolution : float
            How near the furthest is found, as a part of the way.

        Returns
        -------
        (count,)
            The largest part of each that was found safe, with one that is not close behind, or 1.
        """
        every, full = np.arange(count), np.ones(count)
        whole = at(every, full)
        points = self._moved(whole, moved)
        found = self._over(whole, every, points)
        above = _worst(found, count)
        part = np.where(above <= AIM, 1.0, 0.0)
        open_ = np.flatnonzero(part < 1.0)
        # Points far from limits at the end of a way are looked at where it is cut, and if need be, all along.
        near = [over > -_WATCH for over in found]
        for looked in (near, points):
            part[open_] = self._cut(at, open_, above, looked, resolution)
            wrong = self._over(at(open_, part[open_]), open_, points)
            open_ = open_[(_worst(wrong, len(open_)) > AIM) & (part[open_] > 0.0)]
            if not len(open_):
                break
        part[open_] = 0.0
        return part

    def _cut(
        self,
        at: Callable[[Ints, Floats], Floats],
        ways: Ints,
        above: Floats,
        looked: list[Bools],
        resolution: float,
    ) -> Floats:
        """Close in on where ways, of which the ends are not safe, cease to be by the points looked at."""
        low, high, above = np.zeros(len(ways)), np.ones(len(ways)), above[ways]
        below = _worst(self._over(at(ways, low), ways, looked), len(ways))
        for _ in range(_LOOKS):
            open_ = np.flatnonzero(high - low > resolution)
            if not len(open_):
                break
            width = (high - low)[open_]
            with np.errstate(invalid="ignore"):
                chord = (AIM - below[open_]) / (above[open_] - below[open_])
            chord = np.clip(np.nan_to_num(chord, nan=0.5), 0.0, 1.0)[:, None]
            asked = np.sort(np.hstack([chord - _BESIDE, chord + _BESIDE, np.full((len(open_), 1), 0.5)]))
            asked = low[open_, None] + np.clip(asked, 1e-3, 1.0 - 1e-3) * width[:, None]
            own = np.repeat(ways[open_], 3)
            found = _worst(self._over(at(own, asked.ravel()), own, looked), len(own)).reshape(asked.shape)
            # A box is not safe that holds one that is not.
            safe = np.cumprod(found <= AIM, axis=1).sum(axis=1)
            parts = np.hstack([low[open_, None], asked, high[open_, None]])
            values = np.hstack([below[open_, None], found, above[open_, None]])
            each = np.arange(len(open_))
            low[open_], below[open_] = parts[each, safe], values[each, safe]
            high[open_], above[open_] = parts[each, safe + 1], values[each, safe + 1]
        return low

    def nearest(self, box: Floats, count: int) -> dict[int, tuple[list[int], Floats]]:
        """Find the constraints that come nearest to their limits in a box, and where each does.

        Looked at are all points of the box and more random ones; of so many constraints of every period, and
        their points, (constraint, column).
        """
        nearest = {}
        for t, side in self._side.items():
            rng = np.random.default_rng([1, t])
            more = scattered(rng, _MORE, len(side))
            x = np.vstack([self._held(t, box[None])[0], self._corners.one_of_each(t, more, rng) * box[side]])
            lanes, worst, where = self._lanes(t, x), np.zeros(0), np.zeros(0, dtype=np.int64)
            setting, no_cells = self._search.setting[lanes.period], np.zeros(0, dtype=np.int64)
            for row, found in slopes_of_all(self._search, lanes, setting, no_cells):
                if not found.solved[0]:
                    continue
                if not len(worst):
                    worst, where = np.full(found.over.shape[1], -np.inf), np.zeros(found.over.shape[1], int)
                nearer = found.over[0] > worst
                worst[nearer], where[nearer] = found.over[0][nearer], row
            chosen = np.argsort(-worst, kind="stable")[:count]
            chosen = chosen[np.isfinite(worst[chosen])]
            nearest[t] = chosen.tolist(), x[where[chosen]]
        return nearest

    def stops(self, box: Floats, top: Floats, more: float) -> list[tuple[int, Floats, Floats]]:
        """Find what stops each side of a box short of its top, a little beyond it.

        Returns
        -------
        list of (period, (column,), (column,))
            The shares at the worst point, and those of the box that it belongs to.
        """
        items = np.flatnonzero(box < top)
        boxes = np.repeat(box[None], len(items), axis=0)
        boxes[np.arange(len(items)), items] = np.minimum(box + more, top)[items]
        found = self._over(boxes, np.arange(len(items)), self._moved(boxes, items))
        stops = []
        for row in range(len(items)):
            worst = [float(over[row].max(initial=-np.inf)) for over in found]
            t, over = list(self._side)[int(np.argmax(worst))], found[int(np.argmax(worst))][row]
            if over.max(initial=-np.inf) > AIM:
                x = self._held(t, boxes[row : row + 1])[0, int(over.argmax())]
                stops.append((t, x, boxes[row, self._side[t]]))
        return stops

    def _moved(self, boxes: Floats, moved: Ints | None) -> list[Bools]:
        """Choose the points of each box that an item moves: (box, point) of every period."""
        chosen = []
        for t, side in self._side.items():
            on = np.vstack([self._parts[t], self._points[t]]) > 0.0
            if moved is None:
                chosen.append(np.ones((len(boxes), len(on)), dtype=bool))
            else:
                chosen.append((on[None] & (side == moved[:, None])[:, None, :]).any(axis=2))
        return chosen

    def _over(self, boxes: Floats, ways: Ints, looked: list[Bools]) -> list[Floats]:
        """Violation at points of boxes that belong to ways, (box, point) of every period; -inf elsewhere."""
        result = []
        for (t, _), chosen in zip(self._side.items(), looked, strict=True):
            found = np.full((len(boxes), chosen.shape[1]), -np.inf)
            count = max(1, _AT_ONCE // chosen.shape[1])
            for begin in range(0, len(boxes), count):
                rows = slice(begin, begin + count)
                box, point = np.nonzero(chosen[ways[rows]])
                if len(box):
                    lanes = self._lanes(t, self._held(t, boxes[rows])[box, point])
                    over, _ = self._search.violation(lanes, self._search.setting[lanes.period])
                    found[begin + box, point] = np.minimum(over, _LOST)
            result.append(found)
        return result

    def rows(self, box: Floats, reach: float) -> tuple[Floats, Floats]:
        """Linearise all limits at all points of a box by its sides, (row, item), with the room of each row.

        Those that sides that grow by no more than ``reach`` cannot break are left out.
        """
        gains, rooms = [np.zeros((0, len(box)))], [np.zeros(0)]
        for t, side in self._side.items():
            x = self._held(t, box[None])[0]
            # Points that the box does not hold in full go with it, the others stay.
            moves = np.vstack([self._parts[t], self._points[t] > box[side]])
            lanes = self._lanes(t, x)
            over, _ = self._search.violation(lanes, self._search.setting[lanes.period])
            near = np.flatnonzero(over > -_WATCH)
            lanes, moves = lanes.part(near), moves[near]
            setting, cells = self._search.setting[lanes.period], self._corners.cells
            sums = np.zeros((len(side), len(box)))
            sums[np.arange(len(side)), side] = 1.0
            for row, found in slopes_of_all(self._search, lanes, setting, cells):
                limited = np.flatnonzero(np.isfinite(found.over[0]))
                if not found.solved[0] or not len(limited):
                    continue
                of_units = (self._corners.power[t] @ found.slope[0][limited].T).T
                gain = (of_units * moves[row]) @ sums
                room = AIM - found.over[0][limited]
                told = np.isfinite(gain).all(axis=1) & (np.maximum(gain, 0.0).sum(axis=1) * reach > room)
                gains.append(gain[told])
                rooms.append(room[told])
        return np.vstack(gains), np.concatenate(rooms)

    def _held(self, period: int, boxes: Floats) -> Floats:
        """Shares at which boxes are looked at, (box, point, column)."""
        own = boxes[:, None, self._side[period]]
        return np.concatenate([self._parts[period] * own, np.minimum(self._points[period], own)], axis=1)

    def _lanes(self, period: int, x: Floats) -> Activations:
        periods = np.full(len(x), period, dtype=np.int64)
        return Activations.dense(periods, self._corners.cells, self._corners.power_of(period, x))


def _worst(over: list[Floats], count: int) -> Floats:
    """Worst of all points of every box."""
    worst = np.full(count, -np.inf)
    for found in over:
        worst = np.maximum(worst, found.max(axis=1, initial=-np.inf))
    return worst
