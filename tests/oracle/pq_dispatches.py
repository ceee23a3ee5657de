"""Feasible dispatches of one period, drawn to embarrass a PQ map: what may be taken, where devices may stand.

Shares are drawn at random, at corners, one by one, all in one direction, and by merit order up to many
amounts; each meets placings of the devices, first of all those at ends. Dispatches that break a limit are
drawn back along their divisible shares to just within it, so that many lie on the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .pq_states import HeldStates

if TYPE_CHECKING:
    from .pq_problem import MapProblem

SLACK = 1e-9  # of a share, and Mvar of a capability
HALVINGS = 12


@dataclass(frozen=True, eq=False)
class Dispatches:
    """``steps`` (dispatch, device), ``share`` (dispatch, row of ``rows``), exchange (dispatch, point), EUR.

    ``drawn``: how many were looked at; ``unsolved``: how many of them had no state here and were left out.
    """

    period: int
    rows: np.ndarray
    steps: np.ndarray
    share: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    cost_eur: np.ndarray
    drawn: int
    unsolved: int


class Shares:
    """What may be taken in one period, (row,) each; ``room`` (element, 2): least and most change of Q."""

    def __init__(self, problem: MapProblem, period: int) -> None:
        c = problem.clearing
        self.rows = problem.rows(period)
        if (c.offers.exclusive[self.rows] >= 0).any():
            raise NotImplementedError("exclusive groups of reactive bids")
        self.q = c.offers.q_mvar[self.rows]
        self.least = c.offers.least[self.rows]
        self.price = c.offers.cost_eur[self.rows] / np.abs(self.q)
        ranges = [
            np.array(element.q_range(period, element.p_mw[period])) - element.q_mvar[period]
            for element in c.capabilities
        ]
        members = [np.flatnonzero(np.isin(self.rows, element.rows)) for element in c.capabilities]
        self.elements = [(own, room) for own, room in zip(members, ranges, strict=True) if len(own)]

    def allowed(self, share: np.ndarray) -> np.ndarray:
        """Whether shares (state, row) keep every rule, (state,)."""
        good = ((share >= 0.0) & (share <= 1.0)).all(axis=1)
        good &= ((share == 0.0) | (share >= self.least - SLACK)).all(axis=1)
        for own, (low, high) in self.elements:
            total = share[:, own] @ self.q[own]
            good &= (total >= low - SLACK) & (total <= high + SLACK)
        return good

    def fitted(self, share: np.ndarray) -> np.ndarray:
        """Scale shares into the capabilities, and leave out what falls below its least amount."""
        share = np.clip(share, 0.0, 1.0)
        for own, (low, high) in self.elements:
            for sign, most in ((1.0, high), (-1.0, -low)):
                part = np.maximum(sign * self.q[own], 0.0)
                same = share[:, own] @ part
                total = sign * (share[:, own] @ self.q[own])
                factor = np.clip((most - total + same) / np.maximum(same, 1e-30), 0.0, 1.0)
                share[:, own] *= np.where(part > 0.0, np.minimum(factor, 1.0)[:, None], 1.0)
        return np.where(share < self.least, 0.0, share)

    def by_merit(self, sign: float, amount: np.ndarray, price: np.ndarray) -> np.ndarray:
        """Take rows of one direction in order of a price up to these amounts in Mvar, (state, row)."""
        share, left = np.zeros((len(amount), len(self.q))), amount.copy()
        room = {k: np.full(len(amount), sign * (most if sign > 0.0 else low))
                for own, (low, most) in self.elements for k in [tuple(own)]}  # fmt: skip
        of = {row: tuple(own) for own, _ in self.elements for row in own.tolist()}
        for row in np.argsort(price, kind="stable").tolist():
            if self.q[row] * sign <= 0.0:
                continue
            most = np.minimum(left, room[of[row]]) if row in of else left
            take = np.clip(most / abs(self.q[row]), 0.0, 1.0)
            take[take < self.least[row]] = 0.0
            share[:, row] = take
            left = left - take * abs(self.q[row])
            if row in of:
                room[of[row]] = room[of[row]] - take * abs(self.q[row])
        return share

    def pool(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Shares of all kinds, (state, row); what is not random comes first."""
        size, up = len(self.q), self.q > 0.0
        parts = [np.zeros((1, size)), up[None] * 1.0, ~up[None] * 1.0, np.eye(size)]
        amounts = np.linspace(0.02, 1.0, max(count // 12, 4))
        for sign, most in ((1.0, self.q[up].sum()), (-1.0, -self.q[~up].sum())):
            for noise in (0.0, 0.1, 0.3):
                price = self.price * np.exp(noise * rng.standard_normal(size))
                parts.append(self.by_merit(sign, amounts * most, price))
        often = rng.random((count // 4, 1))
        parts.append(rng.random((count // 4, size)) * (rng.random((count // 4, size)) < often))
        parts.append((rng.random((count // 4, size)) < often) * 1.0)
        one_way = np.where(rng.random((count // 4, 1)) < 0.5, up, ~up)
        parts.append(one_way * rng.choice([0.5, 0.9, 1.0, 1.0], (count // 4, size)))
        drawn = self.fitted(np.concatenate(parts))
        return drawn[self.allowed(drawn)]


def placings(problem: MapProblem, period: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Steps of the devices, (setting, device): all of them, or those at ends and some at random."""
    ranges = problem.step_ranges(period)
    if np.prod([len(steps) for steps in ranges]) <= most:
        return problem.settings(period)
    low, high = np.array([steps.min() for steps in ranges]), np.array([steps.max() for steps in ranges])
    found = [0 * low, low, high]
    base = problem.clearing.base_steps[period]
    if all(step in steps for step, steps in zip(base, ranges, strict=True)):
        found.insert(0, base)
    for device, steps in enumerate(ranges):
        for step in (steps.min(), steps.max(), -1, 1):
            alone = found[0].copy()
            alone[device] = step
            if step in steps:
                found.append(alone)
    random = [np.array([rng.choice(steps) for steps in ranges]) for _ in range(2 * most)]
    distinct = dict.fromkeys(tuple(steps.tolist()) for steps in [*found, *random])
    return np.array(list(distinct)[:most], dtype=int)


def dispatches(
    problem: MapProblem, period: int, *, count: int, seed: int, settings: int = 64, pull: int = 24
) -> Dispatches:
    """Draw about ``count`` dispatches of a period, at most ``settings`` placings of the devices among them.

    ``pull``: how many of a placing that break a limit are drawn back to it.
    """
    rng = np.random.default_rng([seed, period])
    shares = Shares(problem, period)
    found: list[tuple[np.ndarray, ...]] = []
    drawn = unsolved = 0
    where = placings(problem, period, settings, rng)
    each = max(count // len(where), 12)
    for steps in where:
        held = HeldStates(problem, period, steps)
        pool = shares.pool(max(each, 24), rng)
        chosen = np.concatenate([pool[:3], rng.permutation(pool[3:])[: each - 3]])
        states = held(chosen)
        broken = np.flatnonzero(states.solved & (states.over > 1.0))
        if pull and len(broken):
            back = _pulled(held, shares, chosen[rng.permutation(broken)[:pull]])
            chosen, states = np.concatenate([chosen, back]), held(np.concatenate([chosen, back]))
        drawn, unsolved = drawn + len(chosen), unsolved + int((~states.solved).sum())
        keep = (states.over <= 1.0) & kept_others(problem, period, states.q_mvar).any(axis=1)
        bids = chosen[keep] @ problem.clearing.offers.cost_eur[shares.rows]
        losses = (states.losses_mw[keep] - problem.losses_mw[period]) * problem.loss_price
        made = np.broadcast_to(steps, (keep.sum(), len(steps)))
        found.append((made, chosen[keep], states.p_mw[keep], states.q_mvar[keep],
                      bids + losses + problem.moves_eur(made)))  # fmt: skip
    return Dispatches(
        period, shares.rows, *(np.concatenate(part) for part in zip(*found, strict=True)), drawn, unsolved
    )


def _pulled(held: HeldStates, shares: Shares, share: np.ndarray) -> np.ndarray:
    """Draw divisible shares back towards nothing until every limit is kept, where that helps."""
    divisible = shares.least == 0.0
    inside, outside = np.zeros(len(share)), np.ones(len(share))

    def at(part: np.ndarray) -> np.ndarray:
        return np.where(divisible, share * part[:, None], share)

    helps = (held(at(inside)).over <= 1.0) & shares.allowed(at(inside))
    share, inside, outside = share[helps], inside[helps], outside[helps]
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2.0
        good = held(at(middle)).over <= 1.0
        inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
    back = at(inside)
    return back[shares.allowed(back)]


def kept_others(problem: MapProblem, period: int, q_mvar: np.ndarray) -> np.ndarray:
    """Whether all other connection points keep their band, (state, point)."""
    inside = np.abs(q_mvar - problem.q_mvar[:, period]) <= problem.others_mvar
    outside = (~inside).sum(axis=1, keepdims=True)
    return outside - ~inside == 0
