"""Follows aims in a plane of exchanges: programs over all that is whole, settled by AC states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.charts import Chart
from gridclear.optimise.model import FREE, build_model
from gridclear.optimise.planes import Planes
from gridclear.optimise.settling import BESIDE, LOSS_MW, Settler, Stand, place_of
from gridclear.optimise.singles import Single
from gridclear.optimise.states import BENT_PERCENT
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.charts import Aim, Axes, Sight
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.settling import Spot
    from gridclear.optimise.states import States

#: Different whole decisions of stands near an aim that are tried for it; those from whose states others are
#: searched where it is missed; and stands that are looked through for each of them.
_MOST_KNOWN, _MOST_INSISTED, _NEIGHBOURS = 3, 6, 4


class Surveyor:
    """Finds decisions of one period for aims in a plane.

    Parameters
    ----------
    states : States
        Of the period; its requests hold.
    axes : Axes
    start : Point
        A state of any decision.
    bent : Curvature
        There.
    deadline : Deadline

    Attributes
    ----------
    stands : list of Stand
        All that were found.
    size : float
        Larger extent of what could be reached if nothing were whole, in p.u.
    """

    def __init__(self, states: States, axes: Axes, start: Point, bent: Curvature, deadline: Deadline) -> None:
        self._states, self._axes, self._bent, self._deadline = states, axes, bent, deadline
        problem = states.problem
        self._asked, self._base = problem.offers.asked, problem.compiled.s_base_mva
        self._weights = Weights.of(problem)
        self._planes = Planes(problem, loss_mw=LOSS_MW, bent_percent=BENT_PERCENT)
        self._planes.remember(start)
        self._free = build_model(start, FREE, 1.0)
        self._first = self._chart_at(start)
        self._settler = Settler(states, axes, bent, self._planes, self._weights, deadline)
        self._charts: dict[int, Chart] = {}
        self._lost = 0
        self.size = 0.0
        single = Single.of(start.plan)
        first = Stand(single, place_of(axes, start), start.cost, np.full(2, np.nan), start)
        self.stands: list[Stand] = [first] if self._settler.keeps(start) else []

    @property
    def lost(self) -> int:
        """Programs on which the solver lost its way: what they were to find may be missing."""
        return self._lost + self._settler.lost

    def extent(self, ways: Sequence[Aim]) -> float:
        """Set the size by what lies farthest along some ways when nothing is whole."""
        sights = self._seen([self._first.held(aim, self._deadline) for aim in ways])
        place = np.array([sight.place for sight in sights]).reshape(-1, 2)
        self.size = self._settler.size = float(np.ptp(place, axis=0).max()) if len(place) else 0.0
        return self.size

    def follow(self, aims: Sequence[Aim], worth: float, most_hops: int) -> list[Stand | None]:
        """Find a decision for every aim; None where no state is what a program said.

        Parameters
        ----------
        aims : sequence of Aim
        worth : float
            EUR that are nothing, or p.u. of a way.
        most_hops : int
            States, one after the other, from which everything that is whole is searched.

        Raises
        ------
        TimeOverError
        SolverError
        """
        best: list[Stand | None] = [None] * len(aims)
        seen: list[set[bytes]] = [set() for _ in aims]
        charts = [self._nearest(aim) for aim in aims]
        left = list(range(len(aims)))
        for _ in range(most_hops):
            every = {row: self._sighted(charts[row], aims[row], worth, best[row]) for row in left}
            sights = {
                row: sight
                for row, sight in every.items()
                if sight is not None and sight.single.key(self._asked) not in seen[row]
            }
            for row, sight in sights.items():
                seen[row].add(sight.single.key(self._asked))
            left = []
            for row, (stand, point) in self._settler.settled(aims, sights).items():
                if stand is None:
                    charts[row] = self._chart_at(point)
                    left.append(row)
                    continue
                self.stands.append(stand)
                before = best[row]
                gain = np.inf if before is None else self.merit(aims[row], before)
                gain -= self.merit(aims[row], stand)
                if gain > 0.0:
                    best[row] = stand
                if gain > worth:
                    charts[row] = self._around(stand)
                    left.append(row)
            if not left:
                break
        return best

    def insist(self, aims: Sequence[Aim], worth: float, found: Sequence[Stand | None]) -> list[Stand | None]:
        """Search from the states of all neighbours where what was found is not what was aimed at.

        Parameters
        ----------
        aims : sequence of Aim
        worth : float
            EUR that are nothing, or p.u. of a way.
        found : sequence of Stand or None
            Of each.

        Raises
        ------
        TimeOverError
        SolverError
        """
        best = list(found)
        for row, aim in enumerate(aims):
            seen: set[bytes] = set()
            for neighbour in self._neighbours(aim, _MOST_INSISTED):
                old = best[row]
                if old is not None and self._away(aim, old) <= 0.0:
                    break
                given = self._given(aim, worth)
                sights = self._seen([self._around(neighbour).searched(aim, given, None, self._deadline)])
                new = [sight for sight in sights if sight.single.key(self._asked) not in seen]
                seen |= {sight.single.key(self._asked) for sight in new}
                for stand, _ in self._settler.settled([aim], dict(enumerate(new))).values():
                    if stand is None:
                        continue
                    self.stands.append(stand)
                    if old is None or self.merit(aim, stand) < self.merit(aim, old):
                        best[row] = stand
        return best

    def _seen(self, looked: Sequence[Sight | None]) -> list[Sight]:
        """Leave out what the solver lost, and count it."""
        found = [sight for sight in looked if sight is not None]
        self._lost += len(looked) - len(found)
        return found

    def _sighted(self, chart: Chart, aim: Aim, worth: float, best: Stand | None) -> Sight | None:
        """See what whole decisions of neighbours would do, and search for better ones around a state.

        A program is trusted for the whole decisions of its own state most. Where something is known that
        is what was aimed at, neighbours are all that is looked at again.
        """
        tried = self._seen(
            [
                self._around(stand).tried(aim, stand.single, self._deadline)
                for stand in self._neighbours(aim, _MOST_KNOWN)
            ]
        )
        known = min(tried, key=lambda sight: sight.merit, default=None)
        if best is not None and aim.place is not None and self._away(aim, best) <= 0.0:
            return known
        found = self._seen([chart.searched(aim, self._given(aim, worth), known, self._deadline)])
        return found[0] if found else known

    def _given(self, aim: Aim, worth: float) -> float:
        """Say what is nothing as programs have it: EUR, or MVA of a way."""
        return worth if aim.way is None else worth * self._base

    def _neighbours(self, aim: Aim, most: int) -> list[Stand]:
        """Stands near an aim, each with other whole decisions."""
        found: dict[bytes, Stand] = {}
        for row in self._by_distance(aim)[: _NEIGHBOURS * most].tolist():
            found.setdefault(self.stands[row].single.key(self._asked), self.stands[row])
        return list(found.values())[:most]

    def merit(self, aim: Aim, spot: Spot) -> float:
        """Weigh a spot for an aim: less is better; EUR, or p.u. of a way."""
        if aim.way is not None:
            return -float(aim.way @ spot.place)
        return spot.cost + self._weights.short * self._base * self._away(aim, spot)

    def _away(self, aim: Aim, spot: Spot) -> float:
        """How far a spot lies beside a place, in p.u. along both axes; what counts as there is nothing."""
        near = aim.beside + 1.5 * BESIDE * self.size
        away = np.zeros(2) if aim.place is None else spot.place - aim.place
        return float(np.maximum(np.abs(away) - near, 0.0).sum())

    def _nearest(self, aim: Aim) -> Chart:
        """Chart around the stand that is nearest to an aim."""
        return self._around(self.stands[self._by_distance(aim)[0]]) if self.stands else self._first

    def _by_distance(self, aim: Aim) -> Ints:
        """Rows of the stands, the nearest to an aim first."""
        places = np.array([stand.place for stand in self.stands]).reshape(-1, 2)
        if aim.way is not None:
            return np.argsort(-places @ aim.way)
        away = places if aim.place is None else places - aim.place
        return np.argsort(np.hypot(*away.T))

    def _around(self, stand: Stand) -> Chart:
        if id(stand) not in self._charts:
            self._charts[id(stand)] = self._chart_at(stand.point)
        return self._charts[id(stand)]

    def _chart_at(self, point: Point) -> Chart:
        model = self._free.around(point)
        return Chart(point, self._bent, self._planes, self._weights, model, self._axes)
