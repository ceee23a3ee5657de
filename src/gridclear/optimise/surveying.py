"""Follows aims in a plane of exchanges: programs over all that is whole, settled by AC states."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.optimise.charts import Chart
from gridclear.optimise.linearise import Point
from gridclear.optimise.model import FREE, HELD, build_model
from gridclear.optimise.planes import Planes
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.singles import Single
from gridclear.optimise.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.charts import Aim, Axes, Sight
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.model import Model
    from gridclear.optimise.states import States

#: Part of the tolerance of limits that states may use, so that solving them anew finds them kept.
_KEPT = 0.3
#: Programs around a decision's own state until it is what its program says, and how far shares may go in each
#: of them: where limits bend, programs that may go anywhere find their ends in turns.
_RADIUS = (1.0, 1.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
#: Part of the distance that a limit was broken by which it is held tighter still in the next program but one.
_EASED = 0.5
#: Programs in a row that may see no way to keep every limit.
_MOST_BROKEN = 2
#: Different whole decisions of stands near an aim that are tried for it; those from whose states others are
#: searched where it is missed; and stands that are looked through for each of them.
_MOST_KNOWN, _MOST_INSISTED, _NEIGHBOURS = 3, 6, 4
#: Parts of the extent by which a state may lie beside what its program said.
_BESIDE = 2e-4
#: MW of losses that programs may leave out: states say what they are.
_LOSS_MW = 1e-3
#: EUR, as a share of what is paid, by which a program's cost may be off.
_AGREES = 1e-3


@dataclass(frozen=True, eq=False)
class Spot:
    """A decision that an AC state has confirmed.

    Attributes
    ----------
    single : Single
    place : (2,)
        Exchanges in p.u.
    cost : float
        EUR, with all losses.
    price : (2,)
        EUR per MVA farther along each axis; NaN where the least cost was not what was asked for.
    """

    single: Single
    place: Floats
    cost: float
    price: Floats


@dataclass(frozen=True, eq=False)
class Stand(Spot):
    """A spot with its state."""

    point: Point

    @property
    def spot(self) -> Spot:
        """The spot alone."""
        return Spot(self.single, self.place, self.cost, self.price)


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
        self._weights, self._planes = Weights.of(problem), self._planes_of()
        self._planes.remember(start)
        self._free = build_model(start, FREE, 1.0)
        self._first = self._chart(start, self._free.around(start))
        self._charts: dict[int, Chart] = {}
        self.size = 0.0
        single = Single(start.plan.share, start.plan.steps[:, 0])
        first = Stand(single, self._place(start), start.cost, np.full(2, np.nan), start)
        self.stands: list[Stand] = [first] if self._keeps(start) else []

    def extent(self, ways: Sequence[Aim]) -> float:
        """Set the size by what lies farthest along some ways when nothing is whole."""
        place = np.array([self._first.held(aim, self._deadline).place for aim in ways])
        self.size = float(np.ptp(place, axis=0).max())
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
                if sight is not None and self._key(sight.single) not in seen[row]
            }
            for row, sight in sights.items():
                seen[row].add(self._key(sight.single))
            left = []
            for row, (stand, point) in self._settled(aims, sights).items():
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
            Places.
        worth : float
            EUR that are nothing.
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
                sight = self._around(neighbour).searched(aim, worth, None, self._deadline)
                if self._key(sight.single) in seen:
                    continue
                seen.add(self._key(sight.single))
                for stand, _ in self._settled([aim], {0: sight}).values():
                    if stand is None:
                        continue
                    self.stands.append(stand)
                    if old is None or self.merit(aim, stand) < self.merit(aim, old):
                        best[row] = stand
        return best

    def _sighted(self, chart: Chart, aim: Aim, worth: float, best: Stand | None) -> Sight | None:
        """See what whole decisions of neighbours would do, and search for better ones around a state.

        A program is trusted for the whole decisions of its own state most. Where something is known that
        is what was aimed at, neighbours are all that is looked at again.
        """
        tried = [
            self._around(stand).tried(aim, stand.single, self._deadline)
            for stand in self._neighbours(aim, _MOST_KNOWN)
        ]
        known = min(tried, key=lambda sight: sight.merit, default=None)
        if best is not None and aim.place is not None and self._away(aim, best) <= 0.0:
            return known
        given = worth if aim.way is None else worth * self._base
        return chart.searched(aim, given, known, self._deadline)

    def _neighbours(self, aim: Aim, most: int) -> list[Stand]:
        """Stands near an aim, each with other whole decisions."""
        found: dict[bytes, Stand] = {}
        for row in self._by_distance(aim)[: _NEIGHBOURS * most].tolist():
            found.setdefault(self._key(self.stands[row].single), self.stands[row])
        return list(found.values())[:most]

    def merit(self, aim: Aim, spot: Spot) -> float:
        """Weigh a spot for an aim: less is better; EUR, or p.u. of a way."""
        if aim.way is not None:
            return -float(aim.way @ spot.place)
        return spot.cost + self._weights.short * self._base * self._away(aim, spot)

    def _away(self, aim: Aim, spot: Spot) -> float:
        """How far a spot lies beside a place, in p.u. along both axes; what counts as there is nothing."""
        near = aim.beside + 1.5 * _BESIDE * self.size
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
        return self._chart(point, self._free.around(point))

    def _held(self, point: Point, radius: float, planes: Planes) -> Chart:
        """Chart around a state with all that is whole as it has it."""
        return self._chart(point, build_model(point, HELD, radius), planes)

    def _chart(self, point: Point, model: Model, planes: Planes | None = None) -> Chart:
        own = self._planes if planes is None else planes
        return Chart(point, self._bent, own, self._weights, model, self._axes)

    def _planes_of(self, planes: Planes | None = None) -> Planes:
        return Planes(self._states.problem, planes, loss_mw=_LOSS_MW)

    def _key(self, single: Single) -> bytes:
        """Name the setting of all that is whole."""
        return single.steps.tobytes() + (single.share[self._asked] > 0.0).tobytes()

    def _settled(
        self, aims: Sequence[Aim], sights: dict[int, Sight]
    ) -> dict[int, tuple[Stand | None, Point]]:
        """Correct decisions around their own states until both agree; the last state of each, too."""
        found: dict[int, tuple[Stand | None, Point]] = {}
        broken = dict.fromkeys(sights, 0)
        # What bends on the way of a decision is remembered for it alone: all of it would fill the programs.
        planes = {row: self._planes_of(self._planes) for row in sights}
        margin: dict[int, Floats] = {}
        for radius in _RADIUS:
            rows, left = list(sights), {}
            for row, point in zip(rows, self._states.of([sights[row].single for row in rows]), strict=True):
                if point is None:
                    continue
                sight, aim = sights[row], aims[row]
                if self._agree(aim, sight, point):
                    found[row] = self._stand(sight, point), point
                    continue
                found[row] = None, point
                broken[row] = broken[row] + 1 if sight.breaks else 0
                if broken[row] <= _MOST_BROKEN:
                    planes[row].remember(point)
                    eased, margin[row] = _eased(point, margin.get(row))
                    left[row] = self._held(eased, radius, planes[row]).held(aim, self._deadline)
            sights = left
            if not sights:
                break
        return found

    def _agree(self, aim: Aim, sight: Sight, point: Point) -> bool:
        """Whether a state keeps every limit and is what its program expected."""
        if not self._keeps(point):
            return False
        away = np.abs(self._place(point) - sight.place)
        if aim.way is not None:
            return bool(np.abs(aim.way @ (self._place(point) - sight.place)) <= _BESIDE * self.size)
        near = max(_BESIDE * self.size, DELIVERED_MVA / self._base)
        return bool(away.max() <= near and abs(point.cost - sight.cost) <= _AGREES * (1e-2 + point.turnover))

    def _keeps(self, point: Point) -> bool:
        """Whether a state keeps every limit, and what is asked of other connection points."""
        local = point.local[0]
        if local is None or local.over.max(initial=-np.inf) > _KEPT * TOLERANCE:
            return False
        return bool((point.shortfall * self._base <= DELIVERED_MVA).all())

    def _stand(self, sight: Sight, point: Point) -> Stand:
        return Stand(sight.single, self._place(point), point.cost, sight.price, point)

    def _place(self, point: Point) -> Floats:
        local = point.local[0]
        if local is None:
            raise ValueError("a place needs a state")
        return np.array([axis.value(local) for axis in self._axes])


def _eased(point: Point, margin: Floats | None) -> tuple[Point, Floats]:
    """Hold limits that a state has broken a little tighter: they bend, and would be broken again."""
    local = point.local[0]
    if local is None:
        raise ValueError("there is nothing to ease without a state")
    own = np.maximum(local.over, 0.0)
    own = own if margin is None else np.maximum(own, _EASED * margin)
    return Point(point.problem, point.plan, (replace(local, over=local.over + own),)), own
