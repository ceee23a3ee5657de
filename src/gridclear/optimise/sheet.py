"""One period around a confirmed state: what any exchange would take there, by programs that only shift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.optimise.highs import OPTIMAL
from gridclear.optimise.lane import Lane
from gridclear.optimise.model import HELD, build_model
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.singles import Single

if TYPE_CHECKING:
    from gridclear.network.network import Floats
    from gridclear.optimise.algorithms import Deadline
    from gridclear.optimise.curvature import Curvature
    from gridclear.optimise.highs import Answer
    from gridclear.optimise.linearise import Point
    from gridclear.optimise.model import Model
    from gridclear.optimise.planes import Planes
    from gridclear.optimise.weights import Weights

#: Times that the place of the row is corrected by what bends the exchange.
_CORRECTIONS = 2
#: How far beyond what all controls could move by their slopes an exchange is asked for that nothing reaches.
_BEYOND = 5.0
#: What a request that holds is worth, in times of the one that is moved.
MISSED = 1000.0
#: Part of their cost at which offers and losses are weighed where what is asked for is missed otherwise.
_CHEAP = 1e-3
#: MVA before the end of the range at which the price there is read.
_BIT_MVA = 1e-4


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a program says of one exchange.

    Attributes
    ----------
    single : Single
    q, cost : float
        Exchange in p.u. and EUR that the program expects; the cost includes all losses.
    price : float
        EUR per Mvar that the exchange asked for were larger; NaN where whole steps were searched, too.
    short : float
        Mvar that the exchange misses what was asked for.
    bent : float
        Part of the exchange that the slopes leave out, in p.u.
    limits : float
        EUR per per cent that all limits together were wider.
    forced : bool
        Whether prices weighed less, without which the exchange would have been missed.
    """

    single: Single
    q: float
    cost: float
    price: float
    short: float
    bent: float
    limits: float
    forced: bool

    @classmethod
    def idle(cls, single: Single) -> Drawn:
        """Read a decision that no program has found as an answer."""
        return cls(single, np.nan, np.nan, np.nan, 0.0, np.nan, 0.0, forced=False)


class Sheet:
    """The program of one lane around its point, for any value of one request.

    Parameters
    ----------
    point : Point
        Of a problem with one period; the first request is the one that is moved.
    bent : Curvature
        At a state with the same steps, where it is much the same.
    planes : Planes
        Of the point's problem; shared, so that limits once found are watched everywhere.
    weights : Weights
    model : Model, optional
        Around the point; whole steps stay as the point has them if None.

    Attributes
    ----------
    exchange : float
        At the point, in p.u.
    single : Single
        The point's decision.
    """

    def __init__(
        self, point: Point, bent: Curvature, planes: Planes, weights: Weights, model: Model | None = None
    ) -> None:
        local = point.local[0]
        if local is None:
            raise ValueError("a sheet needs a point with a state")
        self._problem, self._local = point.problem, local
        self._bends, self._planes, self._weights = bent, planes, weights
        place = int(point.problem.requests.point[0])
        self._slope, self.exchange = local.exchange_slope[:, place], float(local.exchange[place])
        self._traded = bent.exchange[place]
        self.single = Single.of(point.plan)
        own = build_model(point, HELD, 1.0) if model is None else model
        # Where nothing is whole to be searched, planes of other settings would only be carried along.
        searched = bool(own.program.whole.any())
        self._lane = Lane(point, own, bent, planes, weights, remembered=searched)
        # The requests that hold come before the one that is moved.
        self._lane.cost[self._lane.model.columns.short[:, 1:]] *= MISSED
        self._base = point.problem.compiled.s_base_mva
        self._row = int(self._lane.model.profile[0])

    def around(self, point: Point, bent: Curvature | None = None, radius: float = 1.0) -> Sheet:
        """Give the program of another point with the same whole steps, and of what bends there if given.

        Shares go no farther from the point's than the radius, which is never more than that of this program.
        """
        model = self._lane.model.around(point) if radius >= 1.0 else build_model(point, HELD, radius)
        return Sheet(point, self._bends if bent is None else bent, self._planes, self._weights, model)

    def confines(self, drawn: Drawn, radius: float) -> bool:
        """Whether a decision of the program lies as far away as the radius lets it."""
        return radius < 1.0 and bool((np.abs(drawn.single.share - self.single.share) >= radius - 1e-9).any())

    def at(self, q: float, deadline: Deadline) -> Drawn:
        """Find the cheapest decision for an exchange in p.u.

        Raises
        ------
        TimeOverError
        SolverError
        """
        bent = 0.0
        for _ in range(_CORRECTIONS):
            answer, part = self._reached(q - bent, deadline)
            bent = self._bent(answer.x)
        return self._drawn(answer, part)

    def extreme(self, sign: int, deadline: Deadline) -> Drawn:
        """Find the largest exchange, or with -1 the least, that costs less than to miss it.

        Its price says nothing: see ``price_before``.
        """
        return self._drawn(self._solve(self.far(sign), deadline))

    def farthest(self, sign: int, deadline: Deadline) -> Drawn:
        """Find the largest exchange, or with -1 the least, whatever it costs."""
        return self._drawn(*self._reached(self.far(sign), deadline))

    def price_before(self, end: Drawn, sign: int, deadline: Deadline) -> float:
        """EUR per Mvar of the last bit of the way to an extreme."""
        bit = sign * _BIT_MVA / self._base
        return self._drawn(*self._reached(end.q - bit - end.bent, deadline)).price

    def allowed(self, single: Single) -> Single | None:
        """Find a decision with the whole steps of another, in a program of all; None: the rules forbid it."""
        lane, nothing = self._lane, self._problem.nothing()
        plan = replace(nothing, share=single.share, steps=single.steps[:, None])
        lane.solver.hold(lane.model.start(plan))
        answer = lane.solver.minimise(lane.cost)
        lane.solver.release()
        return Single.of(lane.model.plan(answer.x)) if answer.status == OPTIMAL else None

    def far(self, sign: int) -> float:
        """Give an exchange beyond what all controls could move by their slopes."""
        own = self._lane.model
        column = own.controls[0]
        span = own.program.upper[column] - own.program.lower[column]
        return self.exchange + sign * _BEYOND * float(np.abs(self._slope) @ span) + sign

    def _place(self, q: float) -> None:
        """Ask for an exchange, as the slopes have it."""
        offset = float(self._slope @ self._local.at) - self.exchange
        self._lane.solver.place(self._row, self._base * (q + offset))

    def _solve(self, q: float, deadline: Deadline) -> Answer:
        self._place(q)
        return self._lane.complete(deadline)

    def _reached(self, q: float, deadline: Deadline) -> tuple[Answer, float]:
        """Solve for an exchange, from which no price keeps it; also give the part at which prices weighed."""
        answer, short = self._solve(q, deadline), self._lane.model.columns.short[:, 0]
        if answer.x[short].sum() <= DELIVERED_MVA:
            return answer, 1.0
        forced = self._forced(q, deadline)
        if forced.x[short].sum() >= answer.x[short].sum() - DELIVERED_MVA:
            return answer, 1.0
        return forced, _CHEAP

    def _forced(self, q: float, deadline: Deadline) -> Answer:
        """Solve for an exchange with all prices made small.

        What the last Mvar takes of losses, and of all that has to be moved aside for it, can cost more than a
        request weighs that is missed.
        """
        lane, paid, own = self._lane, self._lane.cost, self._lane.model.columns
        aims = np.concatenate([own.short.ravel(), own.broken, list(own.uncured.values())]).astype(np.int64)
        lane.cost = _CHEAP * paid
        lane.cost[aims] = paid[aims]
        try:
            return self._solve(q, deadline)
        finally:
            lane.cost = paid

    def _change(self, x: Floats) -> Floats:
        return self._lane.model.values(x, 0) - self._local.at

    def _bent(self, x: Floats) -> float:
        """Exchange that the slopes leave out."""
        change = self._change(x)
        return 0.5 * float(change @ self._traded @ change)

    def _drawn(self, answer: Answer, part: float = 1.0) -> Drawn:
        model, x = self._lane.model, answer.x
        plan, problem = model.plan(x), self._problem
        change, bent = self._change(x), self._bent(x)
        broken = int(model.columns.broken[0])
        short = x[model.columns.short[:, 0]]
        loss = problem.loss_price / self._base * float(x[model.columns.loss[0]])
        return Drawn(
            single=Single.of(plan),
            q=self.exchange + float(change @ self._slope) + bent,
            cost=sum(problem.costs(plan)) + loss,
            price=np.nan if answer.dual is None else float(answer.dual[self._row]) / part,
            short=float(short.sum()),
            bent=bent,
            # Each row of a limit holds what all may be broken by.
            limits=0.0 if answer.reduced is None else (self._weights.broken - answer.reduced[broken]) / part,
            forced=part < 1.0,
        )
