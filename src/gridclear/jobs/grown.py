"""Boxes of few items as the allotments want them, grown from nothing against all of their corners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.corners import AIM
from gridclear.optimise.allotment import MERIT_ORDER, PRO_RATA
from gridclear.optimise.highs import OPTIMAL, LostError, Solver
from gridclear.optimise.program import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.jobs.few import Few
    from gridclear.network.network import Floats, Ints

#: So many of the boxes that different orders end at are climbed from.
_CLIMBED = 2
#: Boxes that are the same to so many digits are one.
_DIGITS = 3
#: Reach of linear programs around a box, in shares: at first, after a trade, and where they end.
_REACH, _REACH_AGAIN, _LEAST_REACH, _CLOSER = 0.3, 0.1, 1e-3, 4.0
#: How near a box is drawn back to where it is safe, as a part of the way; it is raised afterwards.
_ROUGH = 2e-4
#: Less than this part of all megawatts is no gain.
_GAIN = 1e-5
#: Parts of a share that are given for another one, and how much more megawatts must come back.
_GIVEN, _MORE = (0.3, 0.03), 1.02
#: An item that cannot be raised by this much presses on what stops the others.
_PRESSED = 1e-3


class Growth:
    """Growth of boxes of some items as an allotment wants them.

    Parameters
    ----------
    few : Few
        What boxes are looked at by.
    top : (item,)
        Largest shares.
    least : (item,)
        Smallest shares that are not nothing.
    size : (item,)
        MW at full shares.
    """

    def __init__(self, few: Few, top: Floats, least: Floats, size: Floats) -> None:
        self._few, self._least, self._size = few, least, size
        self._top = np.where(top < least, 0.0, top)
        # Boxes of the most megawatts that programs led to.
        self._climbs: list[Floats] = []
        self._larger = np.argsort(-size * self._top, kind="stable")

    def grown(self, allotment: str, *, thorough: bool) -> Floats:
        """Grow a box from nothing, (item,): as ``allotment`` says, for the most megawatts from many orders.

        ``thorough``: the most megawatts are looked for by linear programs from there on, too.
        """
        if self._few.worst(self._top[None])[0] <= AIM:
            return self._top
        if allotment == MERIT_ORDER:
            nothing, order = np.zeros((1, len(self._top))), np.arange(len(self._top))
            box: Floats = self._raised(nothing, order[None])[0]
            return box
        if allotment == PRO_RATA:
            return self._together()
        return self._most(thorough=thorough)

    def drawn_back(self, box: Floats, part: float) -> Floats:
        """Draw a box, (item,), back to where it is safe by all that was learned, and this part further."""
        return self._allowed(self._eased(box) * (1.0 - part))

    def _raised(self, boxes: Floats, order: Ints) -> Floats:
        """Raise every side in turn as far as it goes, or not at all below its least: (box, item)."""
        boxes = boxes.copy()
        for face in order.T:
            rows = np.flatnonzero(boxes[np.arange(len(boxes)), face] < self._top[face])
            own = face[rows]
            low, high = boxes[rows, own], self._top[own]

            def at(
                ways: Ints,
                part: Floats,
                rows: Ints = rows,
                own: Ints = own,
                low: Floats = low,
                high: Floats = high,
            ) -> Floats:
                asked = boxes[rows[ways]]
                asked[np.arange(len(ways)), own[ways]] = low[ways] + part * (high - low)[ways]
                return asked

            side = low + self._few.furthest(at, len(rows), own) * (high - low)
            boxes[rows, own] = np.where(side < self._least[own], low, side)
        return boxes

    def _towards(self, low: Floats, high: Floats) -> Floats:
        """Find the furthest safe box on the way from a safe one to a larger one, (item,)."""

        def at(_: Ints, part: Floats) -> Floats:
            return low + part[:, None] * (high - low)

        part = float(self._few.furthest(at, 1, resolution=_ROUGH)[0])
        return low + part * (high - low)

    def _together(self) -> Floats:
        """All sides at once; one that presses on what stops them stays there, the others go on."""
        dropped = self._top <= 0.0
        while True:
            level = self._filled(~dropped)
            below = ~dropped & (level < self._least)
            if not below.any():
                return level
            # Half of them at a time, as in ``allotment``.
            worst = np.flatnonzero(below)
            dropped[worst[len(worst) // 2 :]] = True

    def _filled(self, growing: NDArray[np.bool_]) -> Floats:
        """One common level, from which sides stay behind one after the other."""
        level = np.zeros(len(self._top))
        growing = growing.copy()
        while growing.any():
            start = level.copy()

            def at(
                _: Ints, part: Floats, growing: NDArray[np.bool_] = growing, start: Floats = start
            ) -> Floats:
                height = np.maximum(np.minimum(self._top, part[:, None]), start)
                return np.where(growing, height, start)

            part = float(self._few.furthest(at, 1)[0])
            level = at(np.zeros(1, dtype=np.int64), np.array([part]))[0]
            rows = np.flatnonzero(growing)
            more = np.repeat(level[None], len(rows), axis=0)
            more[np.arange(len(rows)), rows] += _PRESSED
            stops = (self._few.worst(more, rows) > AIM) | (level[rows] >= self._top[rows])
            growing[rows[stops]] = False
            if not stops.any():
                # None of them presses by itself.
                break
        return level

    def _most(self, *, thorough: bool) -> Floats:
        """Look for the most megawatts from many orders and from one level of all."""
        if thorough and self._climbs:
            # What was learned since stops a few sides only: what the others found is kept.
            starts = np.array([self._eased(box) for box in self._climbs])
            boxes = self._raised(starts, np.repeat(self._larger[None], len(starts), axis=0))
        else:
            count, larger = len(self._top), self._larger
            orders = [np.arange(count), larger, larger[::-1]]
            orders += [np.concatenate([[one], larger[larger != one]]) for one in range(count)]
            order, even = np.unique(np.array(orders), axis=0), self._together()
            boxes = np.vstack(
                [self._raised(np.zeros(order.shape), order), self._raised(even[None], larger[None])]
            )
        boxes = boxes[np.argsort(-boxes @ self._size, kind="stable")]
        best: Floats = boxes[0]
        if not thorough:
            return best
        _, first = np.unique(np.round(boxes, _DIGITS), axis=0, return_index=True)
        self._climbs = [self._climbed(box) for box in boxes[np.sort(first)[:_CLIMBED]]]
        return max([best, *self._climbs], key=lambda box: float(self._size @ box))

    def _eased(self, box: Floats) -> Floats:
        """Draw a box back to where it is safe: one side if that is enough, else all of them."""
        if self._few.worst(box[None])[0] <= AIM:
            return box
        items = np.flatnonzero(box > 0.0)
        without = np.repeat(box[None], len(items), axis=0)
        without[np.arange(len(items)), items] = 0.0
        rows = np.flatnonzero(self._few.worst(without) <= AIM)
        if not len(rows):
            return self._allowed(self._towards(np.zeros(len(box)), box))

        def at(ways: Ints, part: Floats) -> Floats:
            asked = without[rows[ways]]
            own = items[rows[ways]]
            asked[np.arange(len(ways)), own] = part * box[own]
            return asked

        part = self._few.furthest(at, len(rows), items[rows])
        eased = self._allowed(at(np.arange(len(rows)), part))
        best: Floats = eased[np.argmax(eased @ self._size)]
        return best

    def _allowed(self, boxes: Floats) -> Floats:
        """Take sides below their least for nothing."""
        allowed: Floats = np.where(boxes < self._least, 0.0, boxes)
        return allowed

    def _climbed(self, box: Floats) -> Floats:
        """Linear programs until they gain nothing, then what can still be raised, then trades, and again."""
        taken = box > 0.0
        low = np.where(taken & (self._least > _PRESSED), self._least, 0.0)
        low = np.minimum(low, box)
        gain = _GAIN * float(self._size.sum())
        reach = _REACH
        while True:
            while reach > _LEAST_REACH:
                there = self._towards(low, self._program(box, low, np.where(taken, self._top, 0.0), reach))
                if self._size @ (there - box) <= gain:
                    reach /= _CLOSER
                    continue
                box = there
            box = self._raised(box[None], self._larger[None])[0]
            taken = box > 0.0
            low = np.where(taken & (self._least > _PRESSED), np.minimum(self._least, box), 0.0)
            traded = self._traded(box, low, gain)
            if traded is None:
                return box
            box, reach = traded, _REACH_AGAIN

    def _program(self, box: Floats, low: Floats, top: Floats, reach: float) -> Floats:
        """Find the best box within reach by the slopes at its points."""
        gains, rooms = self._few.rows(box, reach)
        scale = np.maximum(np.abs(gains).max(axis=1, initial=0.0), 1e-9)
        program = Program()
        step = program.columns(
            len(box),
            np.maximum(low - box, -reach),
            np.minimum(np.maximum(top, box) - box, reach),
            -self._size,
        )
        row = program.rows(len(gains), upper=np.maximum(rooms, 0.0) / scale)
        program.entries(row[:, None], step, gains / scale[:, None])
        try:
            answer = Solver(program).minimise(program.cost)
        except LostError:
            # The box that is there stands without it.
            return box
        return box + answer.x if answer.status == OPTIMAL else box

    def _traded(self, box: Floats, low: Floats, gain: float) -> Floats | None:
        """Find the best safe box with one side lower and another one higher that is better."""
        give, take = (one.ravel() for one in np.indices((len(box), len(box))))
        give, take = np.tile(give, len(_GIVEN)), np.tile(take, len(_GIVEN))
        part = np.repeat(_GIVEN, len(box) ** 2)
        given = part * (box - low)[give]
        with np.errstate(divide="ignore", invalid="ignore"):
            taken = _MORE * given * self._size[give] / self._size[take]
        ok = (give != take) & (given * self._size[give] > gain) & (box[take] > 0.0)
        ok &= box[take] + taken <= self._top[take]
        rows = np.flatnonzero(ok)
        other = np.repeat(box[None], len(rows), axis=0)
        each = np.arange(len(rows))
        other[each, give[rows]] -= given[rows]
        other[each, take[rows]] += taken[rows]
        other = other[self._few.worst(other) <= AIM] if len(rows) else other
        return max(other, key=lambda one: float(self._size @ one), default=None)
