"""The region of a plane that the exchanges of one period can be in: its boundary, and costs inside of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.charts import Aim
from gridclear.optimise.polygons import area, beyond, hull, is_inside, normals
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.states import States
from gridclear.optimise.surveying import Surveyor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.charts import Axes
    from gridclear.optimise.problem import Requests
    from gridclear.optimise.settling import Spot, Stand
    from gridclear.optimise.singles import Singles

#: Ways that are asked first, and at most.
_FIRST, _MOST_WAYS = 8, 64
#: Part of the area that may lie between the boundary and what bounds it from outside.
OPEN = 0.004
#: Parts of the extent: within which a place counts as had, a length of sides whose middle is asked for, and
#: what is no width.
HAD, _LONG, _NOTHING = 0.005, 0.1, 5e-4
#: Times that a side is halved where its middle cannot be had.
_MOST_HALVES = 3
#: States from which everything that is whole is searched, for a way and for a place.
_HOPS_OF_WAY, _HOPS_OF_PLACE = 3, 2
#: Part of the span of costs that is nothing.
_CHEAP = 5e-3


@dataclass(frozen=True, eq=False)
class Node:
    """A place of the lattice.

    Attributes
    ----------
    asked : (2,)
        In p.u.
    spot : Spot or None
        Cheapest there, or nearest to it; None where no program's answer could be confirmed.
    had : bool
        Whether the place can be had.
    """

    asked: Floats
    spot: Spot | None
    had: bool


@dataclass(frozen=True, eq=False)
class Region:
    """What the exchanges of a period can be.

    Attributes
    ----------
    boundary : tuple of Spot
        In order, counter-clockwise.
    had : tuple of bool
        Whether the middle of the way from each of them to the next can be had.
    lattice : tuple of Node
        Inside of the boundary.
    open_ : float
        Area between the boundary and what bounds it from outside, as a part of the boundary's.
    complete : bool
        False where ways were left aside, or a program's answers could not be confirmed.
    lost : int
        Programs on which the solver lost its way; a region with any is not complete.
    """

    boundary: tuple[Spot, ...]
    had: tuple[bool, ...]
    lattice: tuple[Node, ...]
    open_: float
    complete: bool
    lost: int

    @property
    def empty(self) -> bool:
        """Nothing can be had."""
        return not self.boundary


class Survey:
    """Surveys the region of one period.

    Parameters
    ----------
    singles : Singles
    period : int
    axes : Axes
    requests : Requests
        Of one lane; they hold.
    lattice : int
        Places along each axis.
    deadline : Deadline
    """

    def __init__(
        self, singles: Singles, period: int, axes: Axes, requests: Requests, lattice: int, deadline: Deadline
    ) -> None:
        self._singles, self._period, self._axes = singles, period, axes
        self._states, self._lattice, self._deadline = States(singles, period, requests), lattice, deadline
        self._nothing = DELIVERED_MVA / self._states.problem.compiled.s_base_mva
        self._ways: list[Floats] = []
        self._complete = True

    def region(self) -> Region | None:
        """Survey.

        Returns
        -------
        Region or None
            None without a state to start from.

        Raises
        ------
        TimeOverError
        SolverError
        """
        start = self._states.anchors([self._singles.nothing(self._period)])[0]
        if start is None:
            return None
        self._surveyor = Surveyor(self._states, self._axes, *start, self._deadline)
        angle = 2.0 * np.pi * np.arange(_FIRST) / _FIRST
        first = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        self._surveyor.extent([Aim(way=way) for way in first])
        self._ask(first)
        if not self._surveyor.stands:
            return Region((), (), (), np.nan, complete=False, lost=self._surveyor.lost)
        corners, open_ = self._enclosed()
        spots, had = self._halved(self._cheapened(corners))
        nodes = self._filled(np.array([spot.place for spot in spots]))
        lost = self._surveyor.lost
        return Region(
            boundary=tuple(stand.spot for stand in spots),
            had=tuple(had),
            lattice=tuple(nodes),
            open_=open_,
            complete=self._complete and not lost,
            lost=lost,
        )

    def _ask(self, ways: Floats) -> None:
        """Go as far as can be along some ways."""
        worth = max(0.5 * _NOTHING * self._surveyor.size, self._nothing)
        aims = [Aim(way=way) for way in ways]
        found = self._surveyor.follow(aims, worth, _HOPS_OF_WAY)
        found = self._surveyor.insist(aims, worth, found)
        self._complete &= all(stand is not None for stand in found)
        self._ways += list(ways)

    def _enclosed(self) -> tuple[list[Stand], float]:
        """Refine the hull until little is open outside of it; its corners, and the part that is open."""
        near = max(_NOTHING * self._surveyor.size, self._nothing)
        while True:
            stands = self._surveyor.stands
            places = np.array([stand.place for stand in stands])
            rows = hull(places)
            if len(rows) < 2:
                return [stands[row] for row in rows.tolist()], 0.0
            corner, ways = places[rows], np.array(self._ways)
            open_, height = beyond(corner, ways, (places @ ways.T).max(axis=0))
            inner, open_ = area(corner), np.where(height > near, open_, 0.0)
            worst = np.argsort(-open_)
            rest = open_.sum() - np.cumsum(open_[worst])
            if open_.sum() <= OPEN * inner or len(self._ways) >= _MOST_WAYS:
                self._complete &= bool(open_.sum() <= OPEN * inner)
                return [stands[row] for row in rows.tolist()], float(open_.sum() / max(inner, near**2))
            chosen = worst[: 1 + int((rest > 0.5 * OPEN * inner).sum())]
            self._ask(normals(corner)[chosen])

    def _worth(self) -> float:
        """EUR that are nothing."""
        cost = [stand.cost for stand in self._surveyor.stands]
        return _CHEAP * max(float(np.ptp(cost)), 1.0)

    def _cheapened(self, corners: Sequence[Stand]) -> list[Stand]:
        """Find the least cost of every corner."""
        aims = [Aim(place=stand.place) for stand in corners]
        found = self._surveyor.follow(aims, self._worth(), _HOPS_OF_PLACE)
        merit = self._surveyor.merit
        return [
            old if new is None or merit(aim, new) >= merit(aim, old) else new
            for aim, old, new in zip(aims, corners, found, strict=True)
        ]

    def _halved(self, corners: Sequence[Stand]) -> tuple[list[Stand], list[bool]]:
        """Ask for the middle of every long side; where it cannot be had, the side goes by what is nearest.

        Sides that are left when enough has been halved are asked for, too, and are gaps if it is not had.
        """
        spots, size = list(corners), self._surveyor.size
        had = [True] * len(spots)
        new = list(range(len(spots))) if len(spots) > 2 else []
        for left in range(_MOST_HALVES, -1, -1):
            ends = [(row, spots[row].place, spots[(row + 1) % len(spots)].place) for row in new]
            ends = [end for end in ends if np.hypot(*(end[2] - end[1])) > _LONG * size]
            aims = [self._near(0.5 * (one + other)) for _, one, other in ends]
            found = self._followed(aims)
            new = []
            for (row, one, other), aim, stand in reversed(list(zip(ends, aims, found, strict=True))):
                if stand is not None and self._is_had(aim, stand):
                    continue
                near = HAD * size
                had[row] = False
                if left and stand is not None and min(_away(stand.place, end) for end in (one, other)) > near:
                    spots.insert(row + 1, stand)
                    had[row : row + 1] = [True, True]
                    new = [row, row + 1, *(place + 1 for place in new)]
            if not new:
                break
        return spots, had

    def _filled(self, corner: Floats) -> list[Node]:
        """Find the least cost on a lattice over the inside."""
        if len(corner) < 3 or area(corner) <= (_NOTHING * self._surveyor.size) ** 2:
            return []
        share = (np.arange(self._lattice) + 0.5) / self._lattice
        low, span = corner.min(axis=0), np.ptp(corner, axis=0)
        places = np.stack(np.meshgrid(share, share, indexing="ij"), axis=-1).reshape(-1, 2) * span + low
        places = places[is_inside(corner, places)]
        aims = [self._near(place) for place in places]
        found = self._followed(aims)
        return [
            Node(place, None, had=False)
            if stand is None
            else Node(place, stand.spot, had=self._is_had(aim, stand))
            for place, aim, stand in zip(places, aims, found, strict=True)
        ]

    def _followed(self, aims: Sequence[Aim]) -> list[Stand | None]:
        found = self._surveyor.follow(aims, self._worth(), _HOPS_OF_PLACE)
        return self._surveyor.insist(aims, self._worth(), found)

    def _near(self, place: Floats) -> Aim:
        return Aim(place=place, beside=0.5 * HAD * self._surveyor.size)

    def _is_had(self, aim: Aim, stand: Stand) -> bool:
        return aim.place is not None and _away(stand.place, aim.place) <= HAD * self._surveyor.size


def _away(one: Floats, other: Floats) -> float:
    return float(np.hypot(*(one - other)))
