"""One map: every setting of whole steps that matters, its cost curve, and the least of them all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.curvature import curvatures
from gridclear.optimise.curves import Branch, Sample, Trace
from gridclear.optimise.envelope import Piece, gaps, pieces
from gridclear.optimise.linearise import Point, assess
from gridclear.optimise.model import FREE
from gridclear.optimise.problem import DELIVERED_MVA, Requests
from gridclear.optimise.sheet import Sheet
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Local
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.sheet import Drawn
    from gridclear.optimise.singles import Single, Singles

#: Part of the tolerance of limits that samples may use, so that solving them anew finds them kept.
_KEPT = 0.3
#: Programs around a sample's own state until it is what its program says.
_MOST_CORRECTIONS = 6
#: EUR, as a share of what is paid, by which a program's cost may be off.
_AGREES = 5e-4
#: Limits whose curvature is looked at, and the distance to a limit, normalised, within which it may matter.
_MOST_CURVED, _NEAR = 12, 0.05
#: EUR at which the search of the ends of the range stops.
_FIRST_EUR = 1e-3
#: Part of the range by which a sample inside of it may lie beside what was asked for.
_INSIDE = 1e-3
#: Exchanges, evenly over the range, for which whole steps are searched first.
_FIRST = 9
#: Rounds of searches for settings that are still missing, and settings that are followed at most.
_MOST_SEARCHES, _MOST_SETTINGS = 6, 100
#: Part of a piece or gap, around its middle, in which one search is enough.
_MIDDLE = 0.5
#: Rounds in which samples are added.
_MOST_REFINEMENTS = 20
#: Shares of the span of costs that a search of whole steps, and the lines between points, may miss.
_SEARCHED, _STRAIGHT = 2e-4, 5e-4
#: MVA between pieces that is no gap.
_SEAM_MVA = 5 * DELIVERED_MVA


class Tracer:
    """Traces the map of one connection point in one period.

    Parameters
    ----------
    singles : Singles
    period : int
    requests : Requests
        Of one lane; the first one is moved, the others hold.
    count : int
        Points of the curve at most, besides the ends of its runs.
    deadline : Deadline
    """

    def __init__(
        self, singles: Singles, period: int, requests: Requests, count: int, deadline: Deadline
    ) -> None:
        self._singles, self._period, self._requests = singles, period, requests
        self._count, self._deadline = count, deadline
        self._problem = self._lanes(1)
        self._weights = Weights.of(self._problem)
        self._base = self._problem.compiled.s_base_mva
        self._branches: dict[bytes, Branch] = {}
        self._lost: set[bytes] = set()
        self._searched: list[tuple[float, bytes]] = []
        self._complete = True

    def trace(self) -> Trace | None:
        """Trace the map.

        Returns
        -------
        Trace or None
            None without a state to start from.

        Raises
        ------
        TimeOverError
        SolverError
        """
        start = self._anchors([self._singles.nothing(self._period)])[0]
        if start is None:
            return None
        sheet = Sheet(*start, self._weights, FREE)
        drawn = [sheet.search_extreme(sign, _FIRST_EUR, self._deadline) for sign in (-1, 1)]
        worth = _SEARCHED * (abs(drawn[0].cost - drawn[1].cost) + _FIRST_EUR)
        for q in np.linspace(drawn[0].q, drawn[1].q, _FIRST + 2)[1:-1].tolist():
            drawn.append(sheet.search(q, worth, self._deadline))
            self._searched.append((q, self._key(drawn[-1].single)))
        self._follow(drawn)
        self._look_for_settings()
        self._refine()
        return self._assembled()

    def _look_for_settings(self) -> None:
        """Search whole steps inside pieces and gaps until nothing new is found."""
        for _ in range(_MOST_SEARCHES):
            wanted, worth = self._wanted(), self._worth(_SEARCHED)
            if not wanted:
                return
            better = []
            for key, q, cost in wanted:
                branch = self._branches[key]
                if branch.search is None:
                    middle = branch.samples[len(branch.samples) // 2]
                    branch.search = Sheet(middle.point, branch.bent, self._weights, FREE)
                drawn = branch.search.search(q, worth, self._deadline)
                self._searched.append((q, key))
                if drawn.short < DELIVERED_MVA and drawn.cost < cost - worth:
                    better.append(drawn)
            self._follow(better)

    def _wanted(self) -> list[tuple[bytes, float, float]]:
        """Where settings may be missing: the one to search from, the exchange, and the cost to beat."""
        lines, keys, found = self._lines(), list(self._branches), self._pieces(_SEARCHED)
        seam, wanted = _SEAM_MVA / self._base, []
        for piece in found:
            middle = 0.5 * (piece.low + piece.high)
            cost = float(np.interp(middle, *lines[piece.line]))
            wanted.append((keys[piece.line], middle, cost, 0.5 * (piece.high - piece.low)))
        for low, high in gaps(found, seam):
            before = next(piece.line for piece in found if piece.high == low)
            wanted.append((keys[before], 0.5 * (low + high), np.inf, 0.5 * (high - low)))
        return [
            (key, q, cost)
            for key, q, cost, half in wanted
            if half > seam
            and not any(own == key and abs(at - q) <= _MIDDLE * half for at, own in self._searched)
        ]

    def _refine(self) -> None:
        """Add samples at the ends of pieces, and where lines between samples may hide most."""
        spent = 0
        for _ in range(_MOST_REFINEMENTS):
            hidden = self._hidden()[: max(0, self._count - spent)]
            asked = hidden or self._ends_of_pieces()
            if not asked:
                return
            spent += len(hidden)
            branches = list(self._branches.values())
            near = _INSIDE * self._width() if hidden else DELIVERED_MVA / self._base
            self._take([(branches[line], q) for line, q in asked], near)

    def _ends_of_pieces(self) -> list[tuple[int, float]]:
        """Exchanges at which one line takes over from another and has no sample yet."""
        lines, seam = self._lines(), _SEAM_MVA / self._base
        return [
            (piece.line, end)
            for piece in self._pieces(_SEARCHED)
            for end in (piece.low, piece.high)
            if np.abs(lines[piece.line][0] - end).min() > seam
        ]

    def _hidden(self) -> list[tuple[int, float]]:
        """Exchanges where the tangents at both ends of a line meet, the worst first."""
        worth, seam = self._worth(_STRAIGHT), _SEAM_MVA / self._base
        branches, found = list(self._branches.values()), []
        for piece in self._pieces(_SEARCHED):
            samples = branches[piece.line].samples
            for one, other in pairwise(samples):
                if one.q >= piece.high - seam or other.q <= piece.low + seam:
                    continue
                width = (other.q - one.q) * self._base
                rise = other.cost - one.cost
                bend = other.price - one.price
                if bend <= 0.0 or width <= 2 * _SEAM_MVA:
                    continue
                # Tangents meet at this part of the width; there the line is so far above them.
                part = min(max((other.price * width - rise) / (bend * width), 0.05), 0.95)
                off = part * (rise - one.price * width)
                if off > worth:
                    found.append((off, piece.line, one.q + part * (other.q - one.q)))
        return [(line, q) for _, line, q in sorted(found, reverse=True)]

    def _worth(self, share: float) -> float:
        """EUR that are nothing."""
        costs = np.concatenate([[0.0], *(branch.line()[1] for branch in self._branches.values())])
        span = float(np.ptp(costs[1:])) if len(costs) > 1 else 0.0
        return share * max(span, 1e-2)

    def _width(self) -> float:
        """Width of all that is reached so far, in p.u."""
        every = np.concatenate([np.zeros(0), *(place for place, _ in self._lines())])
        return float(np.ptp(every)) if len(every) else 0.0

    def _lines(self) -> list[tuple[Floats, Floats]]:
        return [branch.line() for branch in self._branches.values()]

    def _pieces(self, share: float) -> list[Piece]:
        return pieces(self._lines(), _SEAM_MVA / self._base, self._worth(share))

    def _assembled(self) -> Trace:
        branches, seam = list(self._branches.values()), _SEAM_MVA / self._base
        found = self._pieces(_SEARCHED)
        runs = tuple(
            tuple(
                sample.mark
                for sample in branches[piece.line].samples
                if piece.low - seam <= sample.q <= piece.high + seam
            )
            for piece in found
        )
        return Trace(tuple(run for run in runs if run), tuple(gaps(found, seam)), self._complete)

    def _follow(self, drawn: Sequence[Drawn]) -> None:
        """Trace the settings of decisions from end to end, those that are new."""
        new = {self._key(one.single): one for one in reversed(drawn)}
        new = {key: one for key, one in new.items() if key not in self._branches and key not in self._lost}
        room = _MOST_SETTINGS - len(self._branches)
        self._complete &= len(new) <= room
        wanted = dict(list(new.items())[:room])
        anchors = self._anchors([one.single for one in wanted.values()])
        followed = {
            key: Branch([Sheet(*anchor, self._weights)], anchor[1])
            for key, anchor in zip(wanted, anchors, strict=True)
            if anchor is not None
        }
        ends = [(branch, sign * np.inf) for branch in followed.values() for sign in (-1, 1)]
        self._take(ends, _SEAM_MVA / self._base)
        self._branches |= {key: branch for key, branch in followed.items() if branch.samples}
        self._lost |= wanted.keys() - self._branches.keys()
        inside = [(branch, wanted[key].q) for key, branch in followed.items()]
        self._take([one for one in inside if one[0].reaches(one[1])], _INSIDE * self._width())

    def _key(self, single: Single) -> bytes:
        """Name the setting of all that is whole."""
        asked = self._problem.offers.asked
        return single.steps.tobytes() + (single.share[asked] > 0.0).tobytes()

    def _take(self, asked: Sequence[tuple[Branch, float]], near: float) -> None:
        """Add samples near exchanges; infinite ones stand for the ends of what a setting reaches.

        A decision is corrected around its own state until both agree.
        """
        sheets = [branch.nearest(q) if np.isfinite(q) else branch.sheets[0] for branch, q in asked]
        for _ in range(_MOST_CORRECTIONS):
            drawn = [self._draw(sheet, q) for sheet, (_, q) in zip(sheets, asked, strict=True)]
            points = self._states([one.single for one in drawn])
            left: list[tuple[Branch, float]] = []
            sheets = []
            for (branch, q), one, point in zip(asked, drawn, points, strict=True):
                if point is not None and self._agree(q, near, one, point):
                    branch.add(_sample(one, point), DELIVERED_MVA / self._base)
                elif point is not None:
                    left.append((branch, q))
                    sheets.append(Sheet(point, branch.bent, self._weights))
                    branch.sheets.append(sheets[-1])
            asked = left
            if not asked:
                return
        # What keeps no limit anywhere is no setting; a hole in one that has samples is something else.
        self._complete &= not any(branch.samples for branch, _ in asked)

    def _draw(self, sheet: Sheet, q: float) -> Drawn:
        if np.isfinite(q):
            return sheet.at(q, self._deadline)
        return sheet.extreme(1 if q > 0.0 else -1, self._deadline)

    def _agree(self, q: float, near: float, drawn: Drawn, point: Point) -> bool:
        """Whether a state keeps every limit and is what its program expected, and what was asked for."""
        local, paid = point.local[0], point.cost
        if local is None or local.over.max(initial=-np.inf) > _KEPT * TOLERANCE:
            return False
        if (point.shortfall[1:] * self._base > DELIVERED_MVA).any():
            return False
        reached = float(local.exchange[self._requests.point[0]])
        away = abs(reached - (q if np.isfinite(q) else drawn.q))
        return away <= near and abs(paid - drawn.cost) <= _AGREES * (1e-2 + abs(paid))

    def _lanes(self, count: int) -> Problem:
        """State the period so many times over."""
        own = self._requests
        requests = Requests(
            np.tile(own.point, count),
            np.repeat(np.arange(count), len(own.q)),
            np.tile(own.q, count),
            np.tile(own.tolerance, count),
        )
        return self._singles.lanes(np.full(count, self._period), requests)

    def _solved(self, singles: Sequence[Single]) -> Point:
        problem = self._lanes(len(singles))
        return assess(problem, self._singles.plan(problem, singles))

    def _states(self, singles: Sequence[Single]) -> list[Point | None]:
        """AC states of decisions, as points of one lane each."""
        return self._apart(singles, self._solved(singles)) if singles else []

    def _anchors(self, singles: Sequence[Single]) -> list[tuple[Point, Curvature] | None]:
        """AC states of decisions, and what bends there."""
        if not singles:
            return []
        every = self._solved(singles)
        limits = [np.zeros(0, dtype=np.int64) if local is None else _near(local) for local in every.local]
        bent = curvatures(every, limits) if every.solved.any() else (None,) * len(singles)
        return [
            None if point is None or curvature is None else (point, curvature)
            for point, curvature in zip(self._apart(singles, every), bent, strict=True)
        ]

    def _apart(self, singles: Sequence[Single], every: Point) -> list[Point | None]:
        """Take the lanes of a point apart."""
        found: list[Point | None] = []
        for single, local in zip(singles, every.local, strict=True):
            plan = self._singles.plan(self._problem, [single])
            own = None if local is None else replace(local, offers=np.arange(len(local.offers)))
            found.append(None if own is None else Point(self._problem, plan, (own,)))
        return found


def _near(local: Local) -> Ints:
    """Limits that may come to bind."""
    near = np.argsort(-local.over)[:_MOST_CURVED]
    return near[local.over[near] > -_NEAR]


def _sample(drawn: Drawn, point: Point) -> Sample:
    local, place = point.local[0], int(point.problem.requests.point[0])
    if local is None:
        raise ValueError("a sample needs a state")
    return Sample(drawn.single, float(local.exchange[place]), point.cost, drawn.price, point)
