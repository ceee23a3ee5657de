"""What a published PQ map is worth: its points on pandapower's net, its set and curve against dispatches.

Read of ``pq`` are the tables ``ranges``, ``costs``, ``gaps`` and ``dispatch`` alone. A device without a row
in ``dispatch`` stands at its scheduled position if it is decided, and where the base state has it if not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from .clearing_judge import Judge, Plan, _solve
from .plain_grid import given, stamps
from .pq_problem import lost_mw

if TYPE_CHECKING:
    from .pq_dispatches import Dispatches
    from .pq_problem import MapProblem

POWER = 1e-5  # MW and Mvar between what is published and what pandapower finds
MONEY = 1e-6  # of the cost, and EUR
NARROW_MVAR = 0.01  # a width below this one is not divided by
BESIDE = 0.001  # of the width of a set: a difference of Q that does not matter
CHEAP_EUR = 0.01  # nor a span of costs below this one
KEY = ["start", "connection_point"]
COLUMNS = {
    "ranges": ["p_mw", "q_min_mvar", "q_max_mvar", "q_forecast_mvar"],
    "costs": ["point", "p_mw", "q_mvar", "cost_eur", "price_eur_mvarh"],
    "gaps": ["q_from_mvar", "q_to_mvar"],
}


class Map(Protocol):
    """The tables that are judged."""

    ranges: pd.DataFrame
    costs: pd.DataFrame
    gaps: pd.DataFrame
    dispatch: pd.DataFrame


@dataclass(frozen=True)
class Fault:
    """A broken promise: its name, where, what is wrong."""

    rule: str
    start: pd.Timestamp | None
    what: str


@dataclass(frozen=True, eq=False)
class Soundness:
    """Faults, and the largest differences among ``points`` verified ones; ``over`` in tolerances."""

    faults: tuple[Fault, ...]
    points: int
    q_mvar: float
    cost_eur: float
    over: float

    @property
    def rules(self) -> set[str]:
        """Names of the broken promises."""
        return {fault.rule for fault in self.faults}


@dataclass(frozen=True, eq=False)
class Curve:
    """A published map of one point and period: q ascending, and the intervals between gaps, (part, 2)."""

    q_mvar: np.ndarray
    cost_eur: np.ndarray
    parts: np.ndarray

    @property
    def width(self) -> float:
        """Largest less least Q, not below `NARROW_MVAR`."""
        return max(float(self.parts[-1, 1] - self.parts[0, 0]), NARROW_MVAR)

    @property
    def span(self) -> float:
        """Dearest less cheapest published cost, not below `CHEAP_EUR`."""
        return max(float(np.ptp(self.cost_eur)), CHEAP_EUR)

    def beyond(self, q_mvar: np.ndarray) -> np.ndarray:
        """Distance from the published set, 0 inside."""
        low, high = self.parts.T
        return np.maximum(np.maximum(low - q_mvar[:, None], q_mvar[:, None] - high), 0.0).min(axis=1)

    def least_near(self, q_mvar: np.ndarray, reach: float) -> np.ndarray:
        """Least of the curve within ``reach`` of a Q, NaN outside of the set."""
        points = np.abs(self.q_mvar - q_mvar[:, None]) <= reach
        least = np.where(points, self.cost_eur, np.inf).min(axis=1, initial=np.inf)
        for side in (-reach, reach):
            least = np.fmin(least, self.cost_at(q_mvar + side))
        return np.minimum(least, self.cost_at(q_mvar))

    def cost_at(self, q_mvar: np.ndarray) -> np.ndarray:
        """Cost on the straight lines between neighbours of one part, NaN outside."""
        found = np.full(len(q_mvar), np.nan)
        for low, high in self.parts:
            own = (self.q_mvar >= low - POWER) & (self.q_mvar <= high + POWER)
            here = (q_mvar >= low) & (q_mvar <= high)
            if own.any():
                found[here] = np.interp(q_mvar[here], self.q_mvar[own], self.cost_eur[own])
        return found


def curve_of(pq: Map, start: pd.Timestamp, point: str) -> Curve | None:
    """What is published of a point and period; None if nothing is said to be feasible."""
    ranges, costs, gaps = (_of(table, start, point) for table in (pq.ranges, pq.costs, pq.gaps))
    ends = ranges[["q_min_mvar", "q_max_mvar"]].to_numpy(dtype=float).ravel()
    if not len(ends) or np.isnan(ends).all():
        return None
    between = gaps.sort_values("q_from_mvar")[["q_from_mvar", "q_to_mvar"]].to_numpy(dtype=float)
    parts = np.array([ends[0], *between.ravel(), ends[1]]).reshape(-1, 2)
    costs = costs.sort_values("point")
    return Curve(costs["q_mvar"].to_numpy(dtype=float), costs["cost_eur"].to_numpy(dtype=float), parts)


def completeness(problem: MapProblem, pq: Map, drawn: Dispatches) -> pd.DataFrame:
    """Every dispatch against the published set and curve, a row per dispatch and connection point.

    ``beyond_mvar``: distance outside of the set, ``beyond_width`` the same as a part of its width, inf where
    no set is published. ``saving_eur``: by how much it is cheaper than the curve at its Q, NaN outside.
    Where the curve jumps, a difference of Q too small to matter makes all of the jump: ``beside_eur`` is the
    saving against the least of the curve within `BESIDE` of its width; ``beside_cost`` and ``beside_span``
    are that as parts of the curve's cost at this Q, and of its span.
    """
    start = problem.clearing.starts[drawn.period]
    found = []
    for k, name in enumerate(problem.points):
        q, curve = drawn.q_mvar[:, k], curve_of(pq, start, name)
        others = np.delete(np.arange(len(problem.points)), k)
        away = np.abs(drawn.q_mvar[:, others] - problem.q_mvar[others, drawn.period])
        counts = (away <= problem.others_mvar).all(axis=1)
        beyond, at, least, width, span = np.full(len(q), np.inf), np.nan, np.nan, 1.0, 1.0
        if curve is not None:
            beyond, at, width, span = curve.beyond(q), curve.cost_at(q), curve.width, curve.span
            least = curve.least_near(q, BESIDE * width)
        found.append(
            pd.DataFrame(
                {
                    "start": start,
                    "connection_point": name,
                    "dispatch": np.arange(len(q)),
                    "q_mvar": q,
                    "cost_eur": drawn.cost_eur,
                    "beyond_mvar": beyond,
                    "beyond_width": beyond / width,
                    "saving_eur": at - drawn.cost_eur,
                    "beside_eur": least - drawn.cost_eur,
                    "beside_cost": (least - drawn.cost_eur) / np.maximum(np.abs(at), CHEAP_EUR),
                    "beside_span": (least - drawn.cost_eur) / span,
                }
            )[counts]
        )
    return pd.concat(found, ignore_index=True)


class MapJudge:
    """Judges maps of one problem; a point costs one power flow."""

    def __init__(self, problem: MapProblem) -> None:
        self.problem, self.clearing = problem, problem.clearing
        self.judge = Judge(problem.clearing)
        self.faults: list[Fault] = []

    def __call__(self, pq: Map, *, most: int | None = None, seed: int = 0) -> Soundness:
        """Judge the tables, and all their points or ``most`` of them by power flows."""
        self.faults = []
        costs = pq.costs.assign(start=stamps(pq.costs["start"]))
        dispatch = pq.dispatch.assign(start=stamps(pq.dispatch["start"]))
        self._tables(pq)
        rows = dict(iter(dispatch.groupby([*KEY, "point"])))
        published = {(r.start, r.connection_point, r.point): r for r in costs.itertuples(index=False)}
        for start, point, number in rows.keys() - published.keys():
            self._fault("unknown", start, f"{point}: dispatch of a point {number} that is not in costs")
        chosen = list(published.items())
        if most is not None and most < len(chosen):
            picked = np.random.default_rng(seed).permutation(len(chosen))[:most]
            chosen = [chosen[k] for k in sorted(picked)]
        worst = np.zeros(2)
        over = -np.inf
        for key, row in chosen:
            q, cost, beyond = self._point(row, rows.get(key, dispatch.iloc[:0]))
            worst, over = np.fmax(worst, [abs(q), abs(cost)]), max(over, beyond)
        return Soundness(tuple(self.faults), len(chosen), *worst.tolist(), over)

    def _fault(self, rule: str, start: pd.Timestamp | None, what: str) -> None:
        self.faults.append(Fault(rule, start, what))

    def _tables(self, pq: Map) -> None:
        """Columns, numbers, order, and that ends and gaps rest on points."""
        for name, columns in COLUMNS.items():
            for column in [*KEY, *columns]:
                if column not in getattr(pq, name):
                    self._fault("column", None, f"{name} has no {column}")
        if self.faults:
            raise ValueError(self.faults)
        for t, start in enumerate(self.clearing.starts):
            for k, point in enumerate(self.problem.points):
                self._map(pq, t, k, start, point)

    def _map(self, pq: Map, t: int, k: int, start: pd.Timestamp, point: str) -> None:
        ranges, costs, gaps = (_of(table, start, point) for table in (pq.ranges, pq.costs, pq.gaps))
        curve = curve_of(pq, start, point)
        if len(ranges) > 1:
            self._fault("twice", start, f"{point} has {len(ranges)} ranges")
        if curve is None:
            if len(costs) or len(gaps):
                self._fault("range", start, f"{point} has points or gaps without a range")
            return
        row = ranges.iloc[0]
        for column, value in (("p_mw", self.problem.p_mw), ("q_forecast_mvar", self.problem.q_mvar)):
            if not abs(row[column] - value[k, t]) <= POWER:
                self._fault("forecast", start, f"{point}: {column} {row[column]}, not {value[k, t]}")
        if not np.isfinite(costs[COLUMNS["costs"]].to_numpy(dtype=float)).all():
            self._fault("number", start, f"{point}: a cost, price or power is not finite")
        if not (np.isfinite(curve.parts).all() and (np.diff(curve.parts.ravel()) >= -POWER).all()):
            self._fault("gap", start, f"{point}: range and gaps are not in order: {curve.parts.ravel()}")
        if (np.diff(curve.q_mvar) < -POWER).any() or costs["point"].duplicated().any():
            self._fault("order", start, f"{point}: points are not in order of q")
        if (curve.beyond(curve.q_mvar) > POWER).any():
            self._fault("inside", start, f"{point}: points outside of the range, or in a gap")
        for end in curve.parts.ravel():
            if not np.abs(curve.q_mvar - end).min(initial=np.inf) <= POWER:
                self._fault("end", start, f"{point}: no point at the end {end} of the range or of a gap")

    def _point(self, row: object, dispatch: pd.DataFrame) -> tuple[float, float, float]:
        """Differences of q and cost of one point, and its largest excess."""
        c, t = self.clearing, int(self.clearing.starts.get_loc(row.start))
        where = f"{row.connection_point} point {row.point}"
        elements = (len(self.judge.elements), len(c.starts))
        plan = Plan(np.zeros(elements), np.zeros(elements), np.zeros(len(c.offers.unit)))
        said = {}
        for line in dispatch.to_dict("records"):
            if given(line.get("bid")):
                self._take(plan, line, t)
            else:
                said[line["element_type"], line["element"]] = line.get("position")
        steps, positions = self._positions(said, t, row.start, where)
        self.judge._shares(plan)
        self.judge._capability(plan)
        self.faults += [Fault(f.rule, row.start, f"{where}: {f.what}") for f in plan.faults]
        self.judge._apply(t, plan, positions)
        net = self.judge.nets[t]
        if not _solve(net):
            self._fault("no-solution", row.start, where)
            return np.nan, np.nan, np.inf
        exchange = self.judge._exchange(net)
        over = self._over(t, self.judge._values(net, exchange))
        lost = lost_mw(net) - self.problem.losses_mw[t]
        cost = float(c.offers.cost_eur @ plan.share) + lost * self.problem.loss_price
        cost += float(self.problem.moves_eur(steps))
        return self._compare(row, t, where, exchange, cost, over)

    def _compare(
        self, row: object, t: int, where: str, exchange: np.ndarray, cost: float, over: float
    ) -> tuple[float, float, float]:
        k = self.problem.points.index(row.connection_point)
        p, q = exchange[:, k]
        if not abs(row.q_mvar - q) <= POWER:
            self._fault("q", row.start, f"{where}: {row.q_mvar} Mvar, runpp has {q}")
        if not abs(row.p_mw - p) <= POWER:
            self._fault("p", row.start, f"{where}: {row.p_mw} MW, runpp has {p}")
        if not abs(row.cost_eur - cost) <= MONEY * (1.0 + abs(cost)):
            self._fault("cost", row.start, f"{where}: {row.cost_eur} EUR, it costs {cost}")
        if not over <= 1.0:
            self._fault("limit", row.start, f"{where}: {over} tolerances beyond an effective limit")
        away = np.abs(np.delete(exchange[1] - self.problem.q_mvar[:, t], k))
        if not away.max(initial=0.0) <= self.problem.others_mvar + POWER:
            self._fault("others", row.start, f"{where}: another point is {away.max()} Mvar from its forecast")
        return float(row.q_mvar - q), float(row.cost_eur - cost), over

    def _take(self, plan: Plan, line: dict[str, object], t: int) -> None:
        """Take a bid's row over, without its cost, which a map states by point."""
        c = self.clearing
        q = float(line["q_mvar"])
        direction = "inject" if q > 0 else "absorb"
        k = self.judge.offer.get(("reactive", line["bid"], c.starts[t], direction))
        if k is None or not np.isfinite(q) or (given(line.get("p_mw")) and abs(line["p_mw"]) > POWER):
            plan.fault("unknown", c.starts[t], f"{line['bid']}: no bid to {direction}, or moves P")
            return
        if plan.share[k]:
            plan.fault("unknown", c.starts[t], f"{line['bid']} twice")
        plan.share[k] = q / c.offers.q_mvar[k]
        plan.q_mvar[self.judge.place[k], t] += q

    def _positions(
        self, said: dict[tuple[object, object], object], t: int, start: pd.Timestamp, where: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the devices, and positions of their members in the period, (period, member)."""
        c = self.clearing
        steps, positions = [], []
        for device, allowed in zip(c.devices, self.problem.step_ranges(t), strict=True):
            now = [said.pop((device.table, name), start) for name, start in
                   zip(device.names, device.start, strict=True)]  # fmt: skip
            made = (np.array(now, dtype=float) - device.start) * device.sense
            if np.isnan(made).any() or np.ptp(made) or made[0] not in allowed:
                self._fault("position", start, f"{where}: {'+'.join(device.names)} at {now}")
            steps.append(float(made[0]))
            positions += now
        for table, name in said:
            self._fault("unknown", start, f"{where}: {table} {name} is not decided")
        table = np.zeros((len(c.starts), len(positions)))
        table[t] = positions
        return np.array(steps), table

    def _over(self, t: int, values: np.ndarray) -> float:
        c = self.clearing
        side, tolerance = c.limits["side"].to_numpy(dtype=float), c.limits["tolerance"].to_numpy()
        over = side * (values - c.effective[t]) / tolerance
        over[np.isnan(values)] = np.inf
        return float(over[np.isfinite(c.base[t])].max(initial=-np.inf))


def _of(table: pd.DataFrame, start: pd.Timestamp, point: str) -> pd.DataFrame:
    return table[(stamps(table["start"]) == start) & (table["connection_point"] == point)]
