"""One map: every setting of whole steps that matters, its cost curve, and the least of them all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.envelope import Piece, gaps, pieces
from gridclear.optimise.linearise import Point, assess
from gridclear.optimise.model import FREE
from gridclear.optimise.problem import DELIVERED_MVA, Requests
from gridclear.optimise.sheet import Sheet
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.problem import Problem
    from gridclear.optimise.sheet import Drawn
    from gridclear.optimise.singles import Single, Singles

#: Part of the tolerance of limits that samples may use, so that solving them anew finds them kept.
_KEPT = 0.3
#: Programs around a sample's own state until it is what its program says.
_MOST_CORRECTIONS = 6
#: EUR, as a share of what is paid, by which a program's cost may be off.
_AGREES = 1e-4
#: Exchanges, evenly over the range, for which whole steps are searched first.
_FIRST = 9
#: Rounds of searches for settings that are still missing, and settings that are followed at most.
_MOST_SEARCHES, _MOST_SETTINGS = 6, 100
#: Shares of the span of costs that a search of whole steps, and the lines between points, may miss.
_SEARCHED, _STRAIGHT = 2e-4, 5e-4
#: MVA between pieces that is no gap.
_SEAM_MVA = 5 * DELIVERED_MVA


@dataclass(frozen=True, eq=False)
class Sample:
    """A decision and its AC state.

    Attributes
    ----------
    single : Single
    q : float
        Exchange at the connection point in p.u.
    cost : float
        EUR, with all losses.
    price : float
        EUR per Mvar.
    point : Point
        Of the lane.
    """

    single: Single
    q: float
    cost: float
    price: float
    point: Point


@dataclass(eq=False)
class Branch:
    """One setting of all that is whole: its samples, ascending, and programs around some of them."""

    sheets: list[Sheet]
    samples: list[Sample] = field(default_factory=list)
    search: Sheet | None = None

    def line(self) -> tuple[Floats, Floats]:
        """Exchanges and costs of the samples."""
        q = np.array([sample.q for sample in self.samples])
        return q, np.array([sample.cost for sample in self.samples])

    def nearest(self, q: float) -> Sheet:
        """Sheet that lies nearest to an exchange."""
        return min(self.sheets, key=lambda sheet: abs(sheet.exchange - q))


@dataclass(frozen=True, eq=False)
class Trace:
    """A map.

    Attributes
    ----------
    runs : tuple of tuple of Sample
        Ascending; between neighbours of one run every exchange can be had at the cost of the line between.
    gaps : tuple of (low, high)
        In p.u.: open ranges that no whole steps reach.
    complete : bool
        False where settings were left aside, or a program's answers could not be confirmed.
    """

    runs: tuple[tuple[Sample, ...], ...]
    gaps: tuple[tuple[float, float], ...]
    complete: bool


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
        start = self._states([self._singles.nothing(self._period)])[0]
        if start is None:
            return None
        sheet, worth = Sheet(start, self._weights, FREE), 1e-3
        ends = [sheet.search_extreme(sign, worth, self._deadline) for sign in (-1, 1)]
        span = abs(ends[0].cost - ends[1].cost) + abs(ends[0].cost) * _SEARCHED
        for drawn in ends:
            self._follow(drawn)
        for q in np.linspace(ends[0].q, ends[1].q, _FIRST + 2)[1:-1].tolist():
            self._follow(sheet.search(q, _SEARCHED * span, self._deadline))
        self._look_for_settings()
        self._refine()
        return self._assembled()

    def _look_for_settings(self) -> None:
        """Search whole steps inside gaps, at the extremes and in every piece, until nothing new is found."""
        asked: set[tuple[int, float]] = set()
        for _ in range(_MOST_SEARCHES):
            wanted, worth = self._wanted(), self._worth(_SEARCHED)
            wanted = [one for one in wanted if (one[0], round(one[1], 9)) not in asked]
            if not wanted:
                return
            for line, q, cost in wanted:
                asked.add((line, round(q, 9)))
                branch = list(self._branches.values())[line]
                if branch.search is None:
                    middle = branch.samples[len(branch.samples) // 2]
                    branch.search = Sheet(middle.point, self._weights, FREE)
                drawn = branch.search.search(q, worth, self._deadline)
                if drawn.short < DELIVERED_MVA and drawn.cost < cost - worth:
                    self._follow(drawn)

    def _wanted(self) -> list[tuple[int, float, float]]:
        """Where settings may be missing: the line to search from, the exchange, and the cost to beat."""
        lines, found = self._lines(), self._pieces(_SEARCHED)
        wanted = []
        for piece in found:
            middle = 0.5 * (piece.low + piece.high)
            wanted.append((piece.line, middle, float(np.interp(middle, *lines[piece.line]))))
        for low, high in gaps(found, _SEAM_MVA / self._base):
            line = next(piece.line for piece in found if piece.high == low)
            wanted.append((line, 0.5 * (low + high), np.inf))
        return wanted

    def _refine(self) -> None:
        """Add samples at the ends of pieces, and where lines between samples may hide most."""
        spent = 0
        while spent < self._count:
            asked = self._ends_of_pieces() or self._hidden()[: self._count - spent]
            if not asked:
                return
            spent += len(asked)
            branches = list(self._branches.values())
            for line in dict.fromkeys(line for line, _ in asked):
                self._take(branches[line], [q for own, q in asked if own == line])

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
                if one.q < piece.low - seam or other.q > piece.high + seam:
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

    def _lines(self) -> list[tuple[Floats, Floats]]:
        return [branch.line() for branch in self._branches.values()]

    def _pieces(self, share: float) -> list[Piece]:
        return pieces(self._lines(), _SEAM_MVA / self._base, self._worth(share))

    def _assembled(self) -> Trace:
        branches, seam = list(self._branches.values()), _SEAM_MVA / self._base
        found = self._pieces(_SEARCHED)
        runs = tuple(
            tuple(
                sample
                for sample in branches[piece.line].samples
                if piece.low - seam <= sample.q <= piece.high + seam
            )
            for piece in found
        )
        return Trace(tuple(run for run in runs if run), tuple(gaps(found, seam)), self._complete)

    def _follow(self, drawn: Drawn) -> None:
        """Trace the setting of a decision from end to end, if it is new."""
        key = self._key(drawn.single)
        if key in self._branches or key in self._lost:
            return
        if len(self._branches) >= _MOST_SETTINGS:
            self._complete = False
            return
        point = self._states([drawn.single])[0]
        branch = None if point is None else Branch([Sheet(point, self._weights)])
        if branch is not None:
            self._take(branch, [-np.inf, drawn.q, np.inf])
        if branch is None or not branch.samples:
            self._lost.add(key)
        else:
            self._branches[key] = branch

    def _key(self, single: Single) -> bytes:
        """Name the setting of all that is whole."""
        asked = self._problem.offers.asked
        return single.steps.tobytes() + (single.share[asked] > 0.0).tobytes()

    def _take(self, branch: Branch, asked: Sequence[float]) -> None:
        """Add samples at exchanges; infinite ones stand for the ends of what the setting reaches."""
        drawn = [self._draw(branch.nearest(q) if np.isfinite(q) else branch.sheets[0], q) for q in asked]
        points = self._states([one.single for one in drawn])
        for q, one, point in zip(asked, drawn, points, strict=True):
            sample = self._settled(branch, q, one, point)
            if sample is None:
                self._complete &= not branch.samples
            elif all(abs(other.q - sample.q) * self._base > DELIVERED_MVA for other in branch.samples):
                branch.samples.append(sample)
        branch.samples.sort(key=lambda sample: sample.q)

    def _draw(self, sheet: Sheet, q: float) -> Drawn:
        if np.isfinite(q):
            return sheet.at(q, self._deadline)
        return sheet.extreme(1 if q > 0.0 else -1, self._deadline)

    def _settled(self, branch: Branch, q: float, drawn: Drawn, point: Point | None) -> Sample | None:
        """Correct a decision around its own state until both agree; None: no state keeps the limits."""
        for _ in range(_MOST_CORRECTIONS):
            if point is None:
                return None
            if self._agree(q, drawn, point):
                return _sample(drawn, point)
            sheet = Sheet(point, self._weights)
            branch.sheets.append(sheet)
            drawn = self._draw(sheet, q)
            point = self._states([drawn.single])[0]
        return None

    def _agree(self, q: float, drawn: Drawn, point: Point) -> bool:
        """Whether a state keeps every limit and is what its program expected, and what was asked for."""
        local, paid = point.local[0], point.cost
        if local is None or local.over.max(initial=-np.inf) > _KEPT * TOLERANCE:
            return False
        reached = float(local.exchange[self._requests.point[0]])
        away = abs(reached - (q if np.isfinite(q) else drawn.q)) * self._base
        near = DELIVERED_MVA if np.isfinite(q) else _SEAM_MVA
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

    def _states(self, singles: Sequence[Single]) -> list[Point | None]:
        """AC states of decisions, as points of one lane each."""
        problem = self._lanes(len(singles))
        every = assess(problem, self._singles.plan(problem, singles))
        found: list[Point | None] = []
        for single, local in zip(singles, every.local, strict=True):
            plan = self._singles.plan(self._problem, [single])
            own = None if local is None else replace(local, offers=np.arange(len(local.offers)))
            found.append(None if own is None else Point(self._problem, plan, (own,)))
        return found


def _sample(drawn: Drawn, point: Point) -> Sample:
    local, place = point.local[0], int(point.problem.requests.point[0])
    if local is None:
        raise ValueError("a sample needs a state")
    return Sample(drawn.single, float(local.exchange[place]), point.cost, drawn.price, point)
