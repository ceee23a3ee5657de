"""What rivals of a curve have to beat: its pieces and what lies open beside them, from a state near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.rivals import Segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridclear.network.network import Floats
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.curves import Branch
    from gridclear.optimise.envelope import Piece
    from gridclear.optimise.linearise import Point

#: What it is worth to reach into a gap, in times of the span of costs.
_REWARD = 10.0


@dataclass(frozen=True, eq=False)
class Challenge:
    """Segments to beat, and from where.

    Attributes
    ----------
    key : bytes
        The setting whose state it starts from.
    point : Point
    bent : Curvature
    segments : tuple of Segment
        Ascending.
    """

    key: bytes
    point: Point
    bent: Curvature
    segments: tuple[Segment, ...]

    @property
    def low(self) -> float:
        """Least exchange."""
        return self.segments[0].low

    @property
    def high(self) -> float:
        """Largest exchange."""
        return self.segments[-1].high


@dataclass(frozen=True)
class Scale:
    """Distances that count.

    Attributes
    ----------
    seam, beside : float
        Exchange in p.u. that is no distance, and that is left out at the edges of what lies open.
    span : float
        EUR between the dearest and the cheapest of all that is known.
    far : (float, float)
        Exchanges beyond all that could be reached.
    """

    seam: float
    beside: float
    span: float
    far: tuple[float, float]


def challenges(
    branches: Mapping[bytes, Branch],
    found: Sequence[Piece],
    strange: Mapping[bytes, tuple[Point, Curvature]],
    scale: Scale,
) -> list[Challenge]:
    """Collect what is to be beaten.

    Parameters
    ----------
    branches : mapping of key to Branch
    found : sequence of Piece
        Of the branches' lines, by their number.
    strange : mapping of key to (Point, Curvature)
        States of settings that keep no limits as they are: with other bids they may reach what lies open.
    scale : Scale

    Returns
    -------
    list of Challenge
    """
    every, keys = list(branches.values()), list(branches)
    before = [scale.far[0], *(piece.high for piece in found)]
    after = [*(piece.low for piece in found), scale.far[1]][1:]
    result: list[Challenge] = []
    open_: list[Segment] = []
    for piece, left, right in zip(found, before, after, strict=False):
        branch, key = every[piece.line], keys[piece.line]
        place, cost = _clipped(*branch.line(), piece)
        line = [Segment(*ends) for ends in zip(place[:-1], place[1:], cost[:-1], cost[1:], strict=True)]
        # Beside its ends the curve jumps: what is known there would beat it by a hair's breadth of exchange.
        own = without(without(line, piece.low, scale), piece.high, scale)
        # Whatever reaches into what lies open beats what is there: nothing. Far best of all.
        near = float(cost.max()) + _REWARD * scale.span
        below = Segment(left + scale.beside, piece.low - scale.beside, near + _REWARD * scale.span, near)
        above = Segment(piece.high + scale.beside, right - scale.beside, near, near + _REWARD * scale.span)
        beside = [[one] if one.high - one.low > scale.seam else [] for one in (below, above)]
        open_ += beside[0]
        middle = branch.samples[len(branch.samples) // 2]
        anchors = (middle, branch.samples[0], branch.samples[-1])
        for sample, segments in zip(anchors, (own, *beside), strict=True):
            if segments:
                result.append(Challenge(key, sample.point, branch.bent, tuple(segments)))
        if piece is found[-1]:
            open_ += beside[1]
    if open_:
        result += [Challenge(key, *anchor, tuple(open_)) for key, anchor in strange.items()]
    return result


def without(segments: Sequence[Segment], q: float, scale: Scale) -> list[Segment]:
    """Cut what lies beside an exchange out of segments."""
    left: list[Segment] = []
    for one in segments:
        for low, high in (
            (one.low, min(one.high, q - scale.beside)),
            (max(one.low, q + scale.beside), one.high),
        ):
            if high - low > scale.seam:
                ends = np.interp([low, high], [one.low, one.high], [one.cost_low, one.cost_high]).tolist()
                left.append(Segment(low, high, *ends))
    return left


def _clipped(place: Floats, cost: Floats, piece: Piece) -> tuple[Floats, Floats]:
    """Take the part of a line within a piece."""
    inside = (place > piece.low) & (place < piece.high)
    ends = np.concatenate([[piece.low], place[inside], [piece.high]])
    return ends, np.interp(ends, place, cost)
