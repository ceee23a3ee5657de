"""What a published region is worth: its places on pandapower's net, and dispatches drawn against its hull.

Read of a map are ``area``, ``lattice``, ``joint`` and ``regions.dispatch`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .plain_grid import given, stamps
from .pq_dispatches import placings
from .pq_judge import POWER, MapJudge, Soundness
from .pq_states import HeldStates

if TYPE_CHECKING:
    from .clearing_judge import Plan
    from .pq_problem import MapProblem

HALVINGS = 12


class RegionJudge(MapJudge):
    """Judges places of regions; one costs one power flow."""

    def __call__(self, pq: object, *, most: int | None = None, seed: int = 0) -> Soundness:
        """Judge all places, or ``most`` of them."""
        self.faults = []
        dispatch = pq.regions.dispatch.assign(start=stamps(pq.regions.dispatch["start"]))
        key = ["start", "connection_point", "other_point", "point"]
        rows = dict(iter(dispatch.groupby(key)))
        places = [_named(pq.area), _named(pq.lattice), self._joint(pq.joint)]
        every = pd.concat([part for part in places if len(part)], ignore_index=True)
        chosen = list(every[every["q_mvar"].notna()].itertuples(index=False))
        if most is not None and most < len(chosen):
            picked = np.random.default_rng(seed).permutation(len(chosen))[:most]
            chosen = [chosen[k] for k in sorted(picked)]
        worst, over = np.zeros(2), -np.inf
        for row in chosen:
            own = rows.get((row.start, row.connection_point, row.other_point, row.point), dispatch.iloc[:0])
            q, cost, beyond = self._point(row, own)
            worst, over = np.fmax(worst, [abs(q), abs(cost)]), max(over, beyond)
        return Soundness(tuple(self.faults), len(chosen), *worst.tolist(), over)

    def _joint(self, joint: pd.DataFrame) -> pd.DataFrame:
        """Places of a joint map; P is not published, and is not compared."""
        return joint.assign(start=stamps(joint["start"]), p_mw=np.nan) if len(joint) else joint

    def _compare(
        self, row: object, t: int, where: str, exchange: np.ndarray, cost: float, over: float
    ) -> tuple[float, float, float]:
        """Compare the exchange of the other point, too."""
        if not row.other_point:
            return super()._compare(row, t, where, exchange, cost, over)
        k, other = (self.problem.points.index(name) for name in (row.connection_point, row.other_point))
        if not abs(row.other_q_mvar - exchange[1, other]) <= POWER:
            self._fault("q", row.start, f"{where}: {row.other_q_mvar} Mvar, runpp has {exchange[1, other]}")
        same = row._replace(p_mw=exchange[0, k])
        return super()._compare(same, t, where, exchange, cost, over)

    def _take(self, plan: Plan, line: dict[str, object], t: int) -> None:
        """Take a bid's row over, active ones among them."""
        p = float(line["p_mw"]) if given(line.get("p_mw")) else 0.0
        if abs(p) <= POWER and line["bid"] not in self._active:
            super()._take(plan, line, t)
            return
        offers = self.clearing.offers
        start = self.clearing.starts[t]
        k = self.judge.offer.get(("active", line["bid"], start, "up" if p > 0.0 else "down"))
        if k is None or plan.share[k]:
            plan.fault("unknown", start, f"{line['bid']}: no such bid, or twice")
            return
        plan.share[k] = p / offers.p_mw[k]
        if abs(plan.share[k] * offers.q_mvar[k] - float(line["q_mvar"])) > POWER:
            plan.fault("amount", start, f"{line['bid']}: {line['q_mvar']} Mvar do not go with {p} MW")
        plan.p_mw[self.judge.place[k], t] += p
        plan.q_mvar[self.judge.place[k], t] += float(line["q_mvar"])

    @property
    def _active(self) -> set[str]:
        table = self.clearing.offers.table
        return set(table.loc[table["market"] == "active", "bid"])


@dataclass(frozen=True, eq=False)
class Drawn:
    """Feasible dispatches: ``place`` (dispatch, point, 2) in MW and Mvar, ``cost_eur`` (dispatch,)."""

    place: np.ndarray
    cost_eur: np.ndarray


def drawn(problem: MapProblem, period: int, *, count: int, seed: int, settings: int = 32) -> Drawn:
    """Draw feasible dispatches, most of them far out along some way of the plane."""
    rng = np.random.default_rng([seed, period])
    clearing, rows = problem.clearing, problem.rows(period)
    offers = clearing.offers
    p, q, least = offers.p_mw[rows], offers.q_mvar[rows], offers.least[rows]
    where = placings(problem, period, settings, rng)
    places, costs = [], []
    for steps in where:
        held = HeldStates(problem, period, steps)
        each = max(count // len(where), 8)
        angle = rng.uniform(0.0, 2.0 * np.pi, each)
        # What is drawn from transmission falls as more is injected.
        gain = -(np.outer(np.cos(angle), p) + np.outer(np.sin(angle), q))
        share = (gain > 0.0) * np.where(rng.random((each, 1)) < 0.6, 1.0, rng.random((each, len(rows))))
        share *= rng.random((each, len(rows))) < rng.choice([0.5, 0.9, 1.0], (each, 1))
        share = _exclusive(offers.exclusive[rows], share, rng)
        share = np.where(share < least, 0.0, share)
        share = _able(problem, period, rows, share)
        share = _within(held, share, least)
        states = held(share)
        keep = (states.over <= 1.0) & _is_able(problem, period, rows, share)
        lost = (states.losses_mw[keep] - problem.losses_mw[period]) * problem.loss_price
        costs.append(share[keep] @ offers.cost_eur[rows] + lost + float(problem.moves_eur(steps)))
        places.append(np.stack([states.p_mw[keep], states.q_mvar[keep]], axis=-1))
    return Drawn(np.concatenate(places), np.concatenate(costs))


def beyond_hull(corner: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Distance of places (place, 2) outside of the convex hull of corners, 0 inside; by its supports."""
    angle = np.linspace(0.0, 2.0 * np.pi, 720, endpoint=False)
    way = np.stack([np.cos(angle), np.sin(angle)])
    return np.maximum((place @ way - (corner @ way).max(axis=0)).max(axis=1), 0.0)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(start=stamps(table["start"]), other_point="") if len(table) else table


def _exclusive(group: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave one row of every exclusive group."""
    for own in np.unique(group[group >= 0]):
        members = np.flatnonzero(group == own)
        kept = rng.integers(0, len(members), len(share))
        share[:, members] *= np.arange(len(members)) == kept[:, None]
    return share


def _is_able(problem: MapProblem, period: int, rows: np.ndarray, share: np.ndarray) -> np.ndarray:
    good = np.ones(len(share), dtype=bool)
    offers = problem.clearing.offers
    for cap in problem.clearing.capabilities:
        own = np.flatnonzero(np.isin(rows, cap.rows))
        taken = share[:, own] > 0.0
        p = cap.p_mw[period] + share[:, own] @ offers.p_mw[rows[own]]
        q = cap.q_mvar[period] + share[:, own] @ offers.q_mvar[rows[own]]
        for state in np.flatnonzero(taken.any(axis=1)).tolist():
            low, high = cap.q_range(period, float(p[state]))
            fits = abs(p[state]) <= max(cap.s_max_mva, abs(cap.p_mw[period])) + 1e-9
            good[state] &= fits and low - 1e-9 <= q[state] <= high + 1e-9
    return good


def _able(problem: MapProblem, period: int, rows: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Scale the reactive rows of every element, then leave its active ones, until it is able to."""
    offers = problem.clearing.offers
    for cap in problem.clearing.capabilities:
        own = np.flatnonzero(np.isin(rows, cap.rows))
        reactive = own[offers.p_mw[rows[own]] == 0.0]
        active = np.setdiff1d(own, reactive)
        for state in range(len(share)):
            p = cap.p_mw[period] + share[state, active] @ offers.p_mw[rows[active]]
            if abs(p) > max(cap.s_max_mva, abs(cap.p_mw[period])):
                share[state, active] = 0.0
                p = cap.p_mw[period]
            q0 = cap.q_mvar[period] + share[state, active] @ offers.q_mvar[rows[active]]
            dq = float(share[state, reactive] @ offers.q_mvar[rows[reactive]])
            low, high = cap.q_range(period, float(p))
            room = (high - q0) if dq > 0.0 else (q0 - low)
            if abs(dq) > max(room, 0.0):
                share[state, reactive] *= max(room, 0.0) / abs(dq)
    return np.where(share < offers.least[rows], 0.0, share)


def _within(held: HeldStates, share: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Draw shares that break a limit back towards nothing, to just within it."""
    inside, outside = np.zeros(len(share)), np.ones(len(share))

    def at(part: np.ndarray) -> np.ndarray:
        moved = share * part[:, None]
        return np.where(moved < least, 0.0, moved)

    fine = held(share).over <= 1.0
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        good = held(at(middle)).over <= 1.0
        inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
    return np.where(fine[:, None], share, at(inside))
