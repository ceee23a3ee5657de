"""One map: every setting of whole steps that matters, its cost curve, and the least of them all."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.challenges import Challenge, Scale, challenges, without
from gridclear.optimise.curves import Branch, Trace
from gridclear.optimise.envelope import Piece, pieces
from gridclear.optimise.model import FREE, build_model
from gridclear.optimise.planes import Planes
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.rivals import Rivals
from gridclear.optimise.sampling import Asked, Sampler
from gridclear.optimise.sheet import Drawn, Sheet
from gridclear.optimise.singles import Single
from gridclear.optimise.states import BENT_PERCENT, States
from gridclear.optimise.thinning import thinned
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.problem import Requests
    from gridclear.optimise.singles import Singles

#: Part of the range by which a sample inside of it may lie beside what was asked for.
_INSIDE = 1e-3
#: Positions of all devices together, and settings with all that is whole, that are all looked at.
_MOST_POSITIONS, _MOST_FEW = 48, 160
#: Rounds of searches for settings that are missing, settings that are followed, samples that are added before
#: each, and states from which one search is made, at most.
_MOST_SEARCHES, _MOST_SETTINGS, _MOST_SAMPLES, _MOST_HOPS = 12, 200, 100, 6
#: Shares of the span of costs that lines between points may miss at last, and that a first and a second pass
#: leave to lines and to rivals.
_STRAIGHT, _PASSES = 5e-4, ((2e-2, 3e-2), (1e-3, 3e-3))
#: MVA between pieces that is no gap.
_SEAM_MVA = 5 * DELIVERED_MVA
#: Seams that are a gap, and that pieces are wider than: both settings may stop short of where they meet.
_GAP = 3.0
#: Part of the range within which from its end the settings lie whose ends are taken as far as they go.
_OUTERMOST = 0.05
#: Part of the range before its end that is not taken at any price.
_HAIR = 2e-4


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
        self._states = States(singles, period, requests)
        self._problem = self._states.problem
        self._weights = Weights.of(self._problem)
        self._planes = Planes(self._problem, bent_percent=BENT_PERCENT)
        self._base, self._asked = self._problem.compiled.s_base_mva, self._problem.offers.asked
        self._branches: dict[bytes, Branch] = {}
        self._lost: set[bytes] = set()
        self._followed: dict[bytes, tuple[Point, Curvature]] = {}
        self._far = (-np.inf, np.inf)
        self._sampler, self._complete = Sampler(self._states, requests, deadline), True
        self._known: tuple[tuple[int, int], list[Piece]] = (0, 0), []

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
        start = self._states.anchors([self._singles.nothing(self._period)])[0]
        if start is None:
            return None
        self._planes.remember(start[0])
        self._free = build_model(start[0], FREE, 1.0)
        self._follow(self._first(*start))
        for straight, beaten in _PASSES:
            ended = self._look_for_rivals(straight, beaten)
        self._reach_out()
        # The last pass asks for all that those before it were to find, and for more.
        self._complete &= ended
        self._straighten(_STRAIGHT, self._count)
        return self._assembled(self._joined())

    def _first(self, point: Point, bent: Curvature) -> list[Drawn]:
        """Both ends of what could be reached from a point if nothing were whole, rounded; and the few."""
        held = Sheet(point, bent, self._planes, self._weights)
        self._far = held.far(-1), held.far(1)
        sheet = Sheet(point, bent, self._planes, self._weights, self._free.around(point))
        ends = [self._sampler.said(partial(sheet.extreme, sign, self._deadline)) for sign in (-1, 1)]
        return [*(end for end in ends if end is not None), *map(Drawn.idle, self._few(sheet))]

    def _few(self, sheet: Sheet) -> list[Single]:
        """Nothing taken at the scheduled positions; all other settings that rules allow, if they are few.

        Else all positions with nothing taken, if those are.
        """
        nothing, asked = self._singles.nothing(self._period), np.flatnonzero(self._asked)
        ranges = [range(device.lowest, device.highest + 1) for device in self._problem.devices]
        positions = math.prod(len(own) for own in ranges)
        every = positions * 2 ** len(asked) <= _MOST_FEW
        if positions > _MOST_POSITIONS and not every:
            return [nothing]
        found: list[Single] = []
        for steps in product(*ranges):
            for taken in product((0.0, 1.0), repeat=len(asked) * every):
                share = nothing.share.copy()
                share[asked[: len(taken)]] = taken
                one = Single(share, np.array(steps, dtype=np.int64))
                allowed = sheet.allowed(one) if any(taken) else one
                found += [] if allowed is None else [allowed]
        return found

    def _look_for_rivals(self, straight: float, beaten: float) -> bool:
        """Search what beats the curve, in every piece and in what is open beside it, until nothing does.

        Lines between samples are straightened before, to within a share of the span of costs; what beats
        them by a larger share counts. Says whether it came to an end.
        """
        proved: list[tuple[bytes, float, float]] = []
        for _ in range(_MOST_SEARCHES):
            self._straighten(straight, _MOST_SAMPLES)
            worth, better = self._worth(beaten), []
            open_ = [one for one in self._challenges() if not _is_proved(one, proved)]
            if not open_:
                return True
            for one in open_:
                rival = self._rival(one, worth)
                if rival is None:
                    proved.append((one.key, one.low, one.high))
                else:
                    better.append(rival)
            self._follow(better)
        return False

    def _challenges(self) -> list[Challenge]:
        """Collect what is to be beaten."""
        strange = {key: anchor for key, anchor in self._followed.items() if key in self._lost}
        return challenges(self._branches, self._pieces(), strange, self._scale())

    def _scale(self) -> Scale:
        seam = _SEAM_MVA / self._base
        return Scale(seam, max(_INSIDE * self._width(), seam), self._worth(1.0), self._far)

    def _rival(self, challenge: Challenge, worth: float) -> Drawn | None:
        """Search what beats segments; None: nothing that was not followed before.

        What was followed, and is not as good as it looked, is looked at from where it lies itself; then the
        search goes on beside it.
        """
        seen, point, bent = {challenge.key}, challenge.point, challenge.bent
        segments = list(challenge.segments)
        for _ in range(_MOST_HOPS):
            if not segments:
                return None
            model = self._free.around(point)
            rivals = Rivals(point, bent, self._planes, self._weights, model, segments)
            drawn = self._sampler.said(partial(rivals.best, worth, self._deadline))
            if drawn is None or drawn.short > DELIVERED_MVA:
                return None
            if self._is_news(drawn):
                return drawn
            key = drawn.single.key(self._asked)
            if key in seen or key not in self._followed:
                segments = without(segments, drawn.q, self._scale())
            else:
                seen.add(key)
                point, bent = self._followed[key]
        return None

    def _is_news(self, drawn: Drawn) -> bool:
        """Whether a decision is of a new setting, or of a known one where it has no sample."""
        key, near = drawn.single.key(self._asked), _INSIDE * self._width()
        known = self._branches.get(key)
        if known is None:
            return key not in self._lost
        return known.reaches(drawn.q) and all(
            abs(sample.q - drawn.q) > 2.0 * near for sample in known.samples
        )

    def _straighten(self, share: float, most: int) -> None:
        """Add samples where lines between them may hide more than a share of the span of costs."""
        while most > 0:
            hidden = self._hidden(share)[:most]
            if not hidden:
                return
            most -= len(hidden)
            self._sample(hidden, _INSIDE * self._width())

    def _joined(self) -> list[Piece]:
        """Add samples where one setting takes over from another; the pieces stay as they were before."""
        found = self._pieces()
        self._sample(self._ends(found), DELIVERED_MVA / self._base)
        self._complete &= not self._ends(found)
        return found

    def _sample(self, asked: Sequence[tuple[int, float]], near: float) -> None:
        branches = list(self._branches.values())
        self._sampler.take([Asked(branches[line], q) for line, q in asked], near)

    def _reach_out(self) -> None:
        """Take the settings that reach farthest to where they end whatever the last of the way costs."""
        known, width = [branch for branch in self._branches.values() if branch.samples], self._width()
        for sign, place in ((-1, 0), (1, -1)):
            end = max((sign * branch.samples[place].q for branch in known), default=0.0)
            near = [branch for branch in known if end - sign * branch.samples[place].q <= _OUTERMOST * width]
            self._sampler.reach_out(near, sign, _SEAM_MVA / self._base, _HAIR * width)

    def _ends(self, found: Sequence[Piece]) -> list[tuple[int, float]]:
        """Exchanges just inside of the ends of pieces that have no sample yet."""
        lines, seam, asked = self._lines(), _SEAM_MVA / self._base, []
        for piece in found:
            place = lines[piece.line][0]
            for end, inward in ((piece.low, 1.0), (piece.high, -1.0)):
                away = inward * (place - end)
                if not ((away >= 0.0) & (away <= seam)).any():
                    asked.append((piece.line, end + inward * DELIVERED_MVA / self._base))
        return asked

    def _hidden(self, share: float) -> list[tuple[int, float]]:
        """Exchanges where the tangents at both ends of a line meet, the worst first."""
        worth, seam = self._worth(share), _SEAM_MVA / self._base
        branches, found = list(self._branches.values()), []
        for piece in self._pieces():
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
        costs = np.concatenate([np.zeros(0), *(cost for _, cost in self._lines())])
        span = float(np.ptp(costs)) if len(costs) else 0.0
        return share * max(span, 1e-2)

    def _width(self) -> float:
        """Width of all that is reached so far, in p.u."""
        every = np.concatenate([np.zeros(0), *(place for place, _ in self._lines())])
        return float(np.ptp(every)) if len(every) else 0.0

    def _lines(self) -> list[tuple[Floats, Floats]]:
        return [branch.line() for branch in self._branches.values()]

    def _pieces(self) -> list[Piece]:
        """Find the least line everywhere; what is too narrow to be joined is left to its neighbours."""
        seam = _SEAM_MVA / self._base
        # Settings and samples are only ever added, so that their number tells one curve from another.
        state = len(self._branches), sum(len(branch.samples) for branch in self._branches.values())
        if self._known[0] != state:
            found, wide = pieces(self._lines(), seam, self._worth(_STRAIGHT)), _GAP * seam
            self._known = state, [one for one in found if one.high - one.low > wide or one.high == one.low]
        return self._known[1]

    def _assembled(self, found: Sequence[Piece]) -> Trace:
        branches, seam = list(self._branches.values()), _SEAM_MVA / self._base
        runs = [
            tuple(
                sample.mark for sample in branches[piece.line].samples if piece.low <= sample.q <= piece.high
            )
            for piece in found
        ]
        runs = [run for run in runs if run]
        lines = [tuple(np.array([[mark.q, mark.cost] for mark in run]).T) for run in runs]
        kept = thinned([(q, cost) for q, cost in lines], self._count, self._worth(0.1 * _STRAIGHT))
        runs = [tuple(run[place] for place in own) for run, own in zip(runs, kept, strict=True)]
        open_ = ((one[-1].q, other[0].q) for one, other in pairwise(runs))
        return Trace(
            runs=tuple(runs),
            gaps=tuple((low, high) for low, high in open_ if high - low > _GAP * seam),
            complete=self._complete and self._sampler.complete and not self._sampler.lost,
            lost=self._sampler.lost,
        )

    def _follow(self, drawn: Sequence[Drawn]) -> None:
        """Trace the settings of decisions from end to end, if new, and take what they are, if not."""
        known = set(self._branches)
        every = {one.single.key(self._asked): one for one in reversed(drawn)}
        new = {key: one for key, one in every.items() if key not in self._branches and key not in self._lost}
        room = _MOST_SETTINGS - len(self._branches)
        self._complete &= len(new) <= room
        wanted = dict(list(new.items())[:room])
        anchors = self._states.anchors([one.single for one in wanted.values()])
        for anchor in anchors:
            if anchor is not None:
                self._planes.remember(anchor[0])
        self._followed |= {
            key: anchor for key, anchor in zip(wanted, anchors, strict=True) if anchor is not None
        }
        followed = {
            key: Branch([Sheet(*anchor, self._planes, self._weights)], anchor[1])
            for key, anchor in zip(wanted, anchors, strict=True)
            if anchor is not None
        }
        ends = [Asked(branch, sign * np.inf) for branch in followed.values() for sign in (-1, 1)]
        self._sampler.take(ends, _SEAM_MVA / self._base)
        self._branches |= {key: branch for key, branch in followed.items() if branch.samples}
        self._lost |= wanted.keys() - self._branches.keys()
        inside = [Asked(branch, wanted[key].q) for key, branch in followed.items()]
        inside += [Asked(self._branches[key], one.q) for key, one in every.items() if key in known]
        self._sampler.take([one for one in inside if one.branch.reaches(one.q)], _INSIDE * self._width())


def _is_proved(one: Challenge, proved: Sequence[tuple[bytes, float, float]]) -> bool:
    """Whether a search from the same setting has covered segments already."""
    return any(key == one.key and low <= one.low and one.high <= high for key, low, high in proved)
