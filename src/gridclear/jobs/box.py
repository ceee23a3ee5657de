"""The box of shares of every period, with the linear limits that keep it safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.bends import ends_of_climbs
from gridclear.jobs.corners import AIM, Corners, Cut, Key
from gridclear.jobs.slopes import slopes_of_all, slopes_of_one
from gridclear.jobs.witnesses import witnesses
from gridclear.network.limits import TOLERANCE
from gridclear.optimise.allotment import Limits
from gridclear.powerflow.regulators import settle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.jobs.witnesses import Witnesses
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations

#: Constraints that come this near to their limits at a corner are watched.
_WATCH = 2e-3
#: At most so many are watched per period and point of view.
_MOST_WATCHED = 64
#: Added to the number of a point of view for lines of the other side of a current.
_OTHER_SIDE = 100
#: Number of lines that random points have found.
_FOUND = 9
#: Lines that join others for good are numbered from here.
_LATER = 1000
#: A period that broke in so many rounds is one that swings.
_SWINGS = 4
#: Points of bends with the same shares to so many digits are one; and how often the line there is drawn.
_DIGITS, _REDRAWN = 6, 12


class Box:
    """Linear limits of the shares in every period.

    Parameters
    ----------
    search : Search
    bids : Bids
    units : (n,) of int
        Units that can be activated.
    """

    def __init__(self, search: Search, bids: Bids, units: Ints) -> None:
        self._search, self._bids, self.units = search, bids, units
        self.corners = Corners(search, bids, units)
        self.column = self.corners.column
        self._members, self._cells = self.corners.members, self.corners.cells
        self._periods = len(self._members)
        # Megawatts of the whole box: bounded where one of its points turned out to have no power flow.
        self._most = np.full(self._periods, np.inf)
        # Rounds in which a corner of the period was broken.
        self._breaks = np.zeros(self._periods, dtype=np.int64)
        # Slopes that lead to a line's own corner are held against it.
        self._anew = False
        # Shares of periods at which nothing broke where curves bend.
        self._stood: dict[int, Floats] = {}
        self._cuts: list[dict[Key, Cut]] = [{} for _ in self._members]
        self._look_around([np.zeros((1, len(members))) for members in self._members], np.ones(len(bids.item)))

    def begin_anew(self, share: Floats) -> None:
        """Drop all lines but those where curves bend, which hold of every box, and look from another box."""
        self._anew = True
        self._breaks[:] = 0
        self._cuts = [{key: cut for key, cut in cuts.items() if cut.at is not None} for cuts in self._cuts]
        self._look_around([np.zeros((1, len(members))) for members in self._members], share)
        self.correct(share, frozen=False)

    def limits(self) -> Limits:
        """Rows for the allotment, padded to equal shapes."""
        rows = 1 + max((len(cuts) for cuts in self._cuts), default=0)
        # The last column is that of units that press on nothing.
        columns = 1 + max((len(members) for members in self._members), default=0)
        press = np.zeros((self._periods, rows, columns))
        room = np.full((self._periods, rows), np.inf)
        reach = np.full(press.shape, np.inf) if self._search.curved else None
        for period, cuts in enumerate(self._cuts):
            for row, cut in enumerate(cuts.values()):
                press[period, row, : len(cut.gain)] = np.maximum(cut.gain, 0.0)
                room[period, row] = AIM - cut.offset
                if reach is not None and cut.at is not None:
                    reach[period, row, : len(cut.gain)] = cut.at
            members = self._members[period]
            press[period, -1, : len(members)] = self._bids.offered_of_unit[members]
            room[period, -1] = self._most[period]
        return Limits(press, np.maximum(room, 0.0), reach)

    def correct(self, share: Floats, *, frozen: bool) -> bool:
        """Solve the worst corner of every watched constraint, and draw its line anew there.

        Parameters
        ----------
        share : (unit,)
        frozen : bool
            In periods that broke again and again lines that were drawn stay, and those at corners that are
            broken join them.

        Returns
        -------
        bool
            Something is broken.
        """
        views = [self.corners.views(period, share) for period in range(self._periods)]
        self._look_around(views, share)
        keys = [
            (t, key) for t, cuts in enumerate(self._cuts) for key, cut in cuts.items()
            if cut.at is None or cut.drawn < _REDRAWN
        ]  # fmt: skip
        corners = [self.corners.corner(period, self._cuts[period][key], share) for period, key in keys]
        constraint = np.array([key[0] for _, key in keys], dtype=np.int64)
        lanes = self.corners.lanes([period for period, _ in keys], corners)
        broken = self._draw(keys, constraint, corners, lanes, share, frozen=frozen)
        over, which = self._search.violation(lanes, self._search.setting[lanes.period])
        # A corner may break something that nobody watches yet.
        fresh = np.flatnonzero((over > TOLERANCE) & (which >= 0) & (which != constraint))
        new = np.array([self._is_new(*keys[k], int(which[k])) for k in fresh.tolist()], dtype=bool)
        self._add(fresh[new], keys, which, corners, share)
        if self._search.curved:
            # A line that was drawn from elsewhere does not hold beyond a bend.
            sides = [share[self._members[period]] for period, _ in keys]
            self._draw_bends(fresh[~new], lanes, corners, over, which, sides)
        hit = {keys[row][0] for row in np.flatnonzero(~(over <= TOLERANCE)).tolist()}
        self._breaks[sorted(hit)] += 1
        self._bow_out([period for period, _ in keys], over, share)
        return broken or bool((~(over <= TOLERANCE)).any())

    def _is_new(self, period: int, key: Key, which: int) -> bool:
        """Whether a constraint is not watched from the point of view of a line at a corner."""
        return self._cuts[period][key].at is None and (which, key[1]) not in self._cuts[period]

    def probe(self, share: Floats, seed: int) -> bool:
        """Solve random points of the box; what breaks there is watched from now on. Says whether any does."""
        if self._search.curved and self._bent(share, seed):
            return True
        periods, points = self.corners.points(share, seed, self._cuts)
        lanes = self.corners.lanes(periods, points)
        over, which = self._search.violation(lanes, self._search.setting[lanes.period])
        broken = ~(over <= TOLERANCE)
        keys: list[tuple[int, Key]] = [(period, (0, _FOUND)) for period in periods]
        self._add(np.flatnonzero(broken & (which >= 0)), keys, which, points, share)
        self._bow_out(periods, over, share)
        return bool(broken.any())

    def _bent(self, share: Floats, seed: int) -> bool:
        """Look for what breaks where curves bend, and draw lines there. Says whether anything does."""
        # A period that has stood this look at the same shares need not do so again.
        fresh = [
            t for t, members in enumerate(self._members)
            if len(members) and not (t in self._stood and (self._stood[t] == share[members]).all())
        ]  # fmt: skip
        if not fresh:
            return False
        periods, points = ends_of_climbs(
            self._search, self._bids, self.corners, fresh, self._cuts, share, seed
        )
        lanes = self.corners.lanes(periods, points)
        over, which = self._search.violation(lanes, self._search.setting[lanes.period])
        self._bow_out(periods, over, share)
        rows = np.flatnonzero((over > TOLERANCE) & (which >= 0))
        self._draw_bends(rows, lanes, points, over, which, [share[self._members[t]] for t in periods])
        broken = {periods[row] for row in np.flatnonzero(~(over <= TOLERANCE)).tolist()}
        self._stood |= {t: share[self._members[t]] for t in fresh if t not in broken}
        return bool(broken)

    def points(
        self, share: Floats, seed: int, begun: Mapping[int, tuple[list[int], Floats]]
    ) -> tuple[list[int], list[Floats]]:
        """Periods and shares of the points that probes look at, and where climbs end.

        ``begun`` names the periods, and constraints that are climbed to from points besides: (climb, column).
        """
        points = self.corners.points(share, seed, self._cuts)
        own = [(t, x) for t, x in zip(*points, strict=True) if t in begun]
        climbs = ends_of_climbs(
            self._search, self._bids, self.corners, list(begun), self._cuts, share, seed, begun
        )
        return [t for t, _ in own] + climbs[0], [x for _, x in own] + climbs[1]

    def stop(self, periods: list[int], share: Floats, stops: list[tuple[int, Floats, Floats]]) -> None:
        """Draw the lines of some periods anew, and those of what stops each unit of their boxes.

        Parameters
        ----------
        periods : list of int
        share : (unit,)
        stops : list of (period, (column,), (column,))
            Points that break a limit, and the larger boxes that they belong to.
        """
        own = set(periods)
        if not own:
            return
        for t in own:
            self._cuts[t] = {}
        self._breaks[periods] = 0
        self._look_around(
            [np.zeros((int(t in own), len(members))) for t, members in enumerate(self._members)], share
        )
        self.correct(share, frozen=False)
        if not stops:
            return
        points = [x for _, x, _ in stops]
        lanes = self.corners.lanes([t for t, _, _ in stops], points)
        over, which = self._search.violation(lanes, self._search.setting[lanes.period])
        rows = np.flatnonzero(which >= 0)
        self._draw_bends(rows, lanes, points, over, which, [sides for _, _, sides in stops])

    def _draw_bends(
        self,
        rows: Ints,
        lanes: Activations,
        points: list[Floats],
        over: Floats,
        which: Ints,
        sides: list[Floats],
    ) -> None:
        """Draw lines of what is broken at points where curves bend, of which ``rows`` are looked at.

        ``sides`` are those of the boxes that the points belong to.
        """
        own = lanes.part(rows)
        found = slopes_of_one(self._search, own, self._search.setting[own.period], self._cells, which[rows])
        # Several points may have climbed to one that is the same in all that presses there.
        drawn = set()
        for row, slope in zip(rows[found.solved].tolist(), found.slope[found.solved], strict=True):
            period, x = int(lanes.period[row]), points[row]
            gain = np.maximum(self.corners.power[period] @ slope, 0.0)
            # Units in full press on; those that stand where something bends do not.
            at = np.where((gain > 0.0) & (x >= sides[row]), np.inf, x)
            where = np.round(np.where(gain > 0.0, at, 0.0), _DIGITS).tobytes()
            if (period, int(which[row]), where) in drawn:
                continue
            drawn.add((period, int(which[row]), where))
            key = (int(which[row]), _LATER + len(self._cuts[period]))
            offset = float(over[row] - gain @ x)
            self._cuts[period][key] = Cut(key[0], offset, gain, float(over[row]), at, x)

    def rests(self, share: Floats) -> bool:
        """Whether no regulator acts at the worst corners, next to them and at random points of the box."""
        periods, points = self.corners.points(share, 0, self._cuts)
        for period, cuts in enumerate(self._cuts):
            points += [self.corners.corner(period, cut, share) for cut in cuts.values()]
            periods += [period] * len(cuts)
        lanes = self.corners.lanes(periods, points)
        setting = self._search.setting[lanes.period]
        return bool((settle(self._search.scenarios, lanes, setting).setting == setting).all())

    def witnesses(self, share: Floats) -> Witnesses:
        """Find the limit that stops each unit, and its value with the unit as accepted and in full."""
        return witnesses(self._search, self._bids, self.corners, self._cuts, share)

    def _look_around(self, views: list[Floats], share: Floats) -> None:
        """Linearise all constraints at some points; watch those that a corner may bring near their limits."""
        keys: list[tuple[int, Key]] = []
        points: list[Floats] = []
        for period, own in enumerate(views):
            if not len(self._members[period]):
                continue
            family = 0 if len(own) == 1 else 1
            keys += [(period, (0, family + number)) for number in range(len(own))]
            points += list(own)
        if not points:
            return
        lanes = self.corners.lanes([period for period, _ in keys], points)
        for row, found in slopes_of_all(self._search, lanes, self._search.setting[lanes.period], self._cells):
            period, x = keys[row][0], points[row]
            if not found.solved[0]:
                continue
            members = self._members[period]
            limited = np.flatnonzero(np.isfinite(found.over[0]))
            gain = np.asarray((self.corners.power[period] @ found.slope[0][limited].T).T)
            offset = found.over[0][limited] - gain @ x
            worst = offset + np.maximum(gain, 0.0) @ share[members]
            near = np.flatnonzero(worst > -_WATCH)
            near = near[np.argsort(-worst[near], kind="stable")][:_MOST_WATCHED]
            cuts = self._cuts[period]
            for at in near.tolist():
                key = (int(limited[at]), keys[row][1][1])
                if key not in cuts:
                    cuts[key] = Cut(key[0], float(offset[at]), gain[at], np.nan)

    def _draw(
        self,
        keys: list[tuple[int, Key]],
        constraint: Ints,
        points: list[Floats],
        lanes: Activations,
        share: Floats,
        *,
        frozen: bool = False,
    ) -> bool:
        """Draw the lines of cuts anew at points; says whether any is broken there."""
        found = slopes_of_one(
            self._search, lanes, self._search.setting[lanes.period], self._cells, constraint
        )
        broken = False
        periods = [period for period, _ in keys]
        gains = self.corners.gains(periods, found.slope)
        if self._anew:
            self._take_back(periods, constraint, points, found.over, gains, share)
        for row, (period, asked) in enumerate(keys):
            key = asked
            if not found.solved[row]:
                continue
            gain = gains[row]
            over = float(found.over[row])
            broken |= over > TOLERANCE
            old = self._cuts[period].get(key)
            if old is not None and old.at is not None:
                self._cuts[period][key] = old.through(points[row], over)
                continue
            if old is not None and frozen and self._breaks[period] >= _SWINGS:
                old.over = over
                # A line that knew of it says nothing new.
                if over <= TOLERANCE or old.offset + float(old.gain @ points[row]) >= over - 1e-3 * TOLERANCE:
                    continue
                key = (key[0], _LATER + len(self._cuts[period]))
            elif old is not None and float(old.gain @ gain) < 0.0:
                # A current that turns round has two sides: each keeps a line of its own.
                old.over = over
                if over < -_WATCH:
                    continue
                key = (key[0], key[1] + _OTHER_SIDE)
            self._cuts[period][key] = Cut(int(constraint[row]), over - float(gain @ points[row]), gain, over)
        return broken

    def _take_back(
        self,
        periods: list[int],
        constraint: Ints,
        points: list[Floats],
        over: Floats,
        gains: list[Floats],
        share: Floats,
    ) -> None:
        """Take slopes back, in place, that say too much of a line's own corner.

        Beyond a bend a unit may relieve what it pressed on before. So units that the corner turns up, and
        those that it turns down, get what they bring as a whole, where that is less than their slopes say.
        """
        for way in (1.0, -1.0):
            rows, turned = [], []
            for row, (period, x) in enumerate(zip(periods, points, strict=True)):
                if not np.isfinite(gains[row]).all():
                    continue
                cut = Cut(int(constraint[row]), 0.0, gains[row], np.nan)
                corner = self.corners.corner(period, cut, share)
                other = np.where(way * (corner - x) > 0.0, corner, x)
                if (other != x).any():
                    rows.append(row)
                    turned.append(other)
            if not rows:
                continue
            lanes = self.corners.lanes([periods[row] for row in rows], turned)
            setting = self._search.setting[lanes.period]
            found = slopes_of_one(self._search, lanes, setting, self._cells, constraint[rows])
            for k, row in enumerate(rows):
                move = turned[k] - points[row]
                told, true = float(gains[row] @ move), float(found.over[k] - over[row])
                if found.solved[k] and told > max(true, 0.0):
                    gains[row] = np.where(move != 0.0, gains[row] * (true / told), gains[row])

    def _add(
        self, rows: Ints, keys: list[tuple[int, Key]], which: Ints, points: list[Floats], share: Floats
    ) -> None:
        """Watch what was found broken at points."""
        if not len(rows):
            return
        new = [(keys[row][0], (int(which[row]), keys[row][1][1])) for row in rows.tolist()]
        own = [points[row] for row in rows.tolist()]
        self._draw(new, which[rows], own, self.corners.lanes([period for period, _ in new], own), share)

    def _bow_out(self, periods: list[int], over: Floats, share: Floats) -> None:
        """Halve the box of every period in which a point has no power flow."""
        offered = self._bids.offered_of_unit
        for period in sorted({periods[row] for row in np.flatnonzero(np.isinf(over)).tolist()}):
            members = self._members[period]
            self._most[period] = 0.5 * float(share[members] @ offered[members])
