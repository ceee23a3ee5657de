"""What a clearing decides beside the states of the grid, as variables and rows of a quadratic program.

Shares of the offers, storages, inverters, steps of devices with moves and budgets, the profile. Both oracles
of the optimum, `clearing_nlp` and `clearing_minlp`, state their problem with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .clearing_values import Capability, Clearing
    from .quadratic import Quadratic

SHORT = 100.0  # dearest offers that a Mvar outside its band is worth
UNCURED = 20.0  # and Mvar that a hundredth left beyond a true limit is worth
# Amounts beyond true limits are variables in thousandths: their weight makes a rounding of them matter.
FINE = 1e-3


@dataclass(frozen=True, eq=False)
class Injections:
    """Changes of injection in one period, by bus; powers per unit of the variable in ``column``."""

    bus: np.ndarray
    column: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray


@dataclass(frozen=True, eq=False)
class Market:
    """Columns: share of every unit of offers, (unit,); charging and discharging in MW, (store, period)."""

    clearing: Clearing
    share: np.ndarray
    charge: np.ndarray
    discharge: np.ndarray

    def injections(self, period: int) -> Injections:
        """Offers and storages that have anything in a period."""
        offers = self.clearing.offers
        k = np.flatnonzero((offers.period == period) & offers.live)
        live = [s for s, store in enumerate(self.clearing.stores) if store.live[period]]
        bus = np.array([self.clearing.stores[s].bus for s in live], dtype=int)
        ones = np.ones(len(live))
        return Injections(
            np.concatenate([offers.bus[k], bus, bus]),
            np.concatenate(
                [self.share[offers.unit[k]], self.charge[live, period], self.discharge[live, period]]
            ),
            np.concatenate([offers.p_mw[k], -ones, ones]),
            np.concatenate([offers.q_mvar[k], 0.0 * ones, 0.0 * ones]),
        )

    def base_mw(self, period: int) -> dict[int, float]:
        """What the forecast of the storages that are decided injects, by bus: to be taken back."""
        found: dict[int, float] = {}
        for store in self.clearing.stores:
            if store.live[period]:
                found[store.bus] = found.get(store.bus, 0.0) - float(store.p_mw[period])
        return found

    def cost_eur(self, x: np.ndarray) -> float:
        """EUR for what is taken."""
        offers = self.clearing.offers
        return float(offers.cost_eur @ x[self.share[offers.unit]]) if len(offers.unit) else 0.0


def add_market(
    model: Quadratic,
    clearing: Clearing,
    least: np.ndarray | None = None,
    most: np.ndarray | None = None,
    *,
    whole: bool = False,
) -> Market:
    """Add shares, within ``least`` and ``most`` (offer,) where given, storages and inverters.

    ``whole``: smallest amounts, exclusive groups and "never both at once" by variables of 0 or 1; without,
    smallest amounts are left to the bounds.
    """
    offers = clearing.offers
    count = offers.unit.max(initial=-1) + 1
    low, high = np.zeros(count), np.ones(count)
    np.minimum.at(high, offers.unit, np.where(offers.live, 1.0, 0.0))
    if most is not None:
        np.minimum.at(high, offers.unit, most)
    if least is not None:
        np.maximum.at(low, offers.unit, least)
    share = model.variables(low, high, np.clip(0.0, low, high))
    model.price(share[offers.unit], offers.cost_eur)
    charge, discharge = _stores(model, clearing, whole=whole)
    market = Market(clearing, share, charge, discharge)
    if whole:
        _least(model, market)
    for element in clearing.capabilities:
        for period in range(len(clearing.starts)):
            _capability(model, market, element, period)
    return market


def _least(model: Quadratic, market: Market) -> None:
    """Smallest amounts, and groups of which one row may be taken."""
    offers = market.clearing.offers
    least = np.zeros(len(market.share))
    np.maximum.at(least, offers.unit, offers.least)
    grouped = np.unique(offers.unit[offers.exclusive >= 0])
    units = np.union1d(np.flatnonzero(least > 0.0), grouped)
    taken = dict(
        zip(units.tolist(), model.variables(np.zeros(len(units)), 1.0, 0.0, whole=True), strict=True)
    )
    for unit, column in taken.items():
        at_least, at_most = model.rows(np.array([0.0, -np.inf]), np.array([np.inf, 0.0]))
        for row, factor in ((at_least, least[unit]), (at_most, 1.0)):
            model.add(row, market.share[unit], 1.0)
            model.add(row, column, -factor)
    for group in np.unique(offers.exclusive[offers.exclusive >= 0]):
        row = model.rows(-np.inf, 1.0)
        for unit in np.unique(offers.unit[offers.exclusive == group]).tolist():
            model.add(row, taken[unit], 1.0)


def _stores(model: Quadratic, clearing: Clearing, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    stores, periods = clearing.stores, len(clearing.starts)
    live = np.array([store.live for store in stores]).reshape(len(stores), periods)
    now = np.array([store.p_mw for store in stores]).reshape(len(stores), periods)
    top = np.array([[max(s.p_max_mw, 0.0), max(-s.p_min_mw, 0.0)] for s in stores]).reshape(len(stores), 2)
    charge, discharge = (
        model.variables(np.zeros(live.shape), np.where(live, top[:, [k]], 0.0), np.maximum(sign * now, 0.0))
        for k, sign in ((0, 1.0), (1, -1.0))
    )
    for s, store in enumerate(stores):
        low, high = np.full(periods, store.e_min_mwh), np.full(periods, store.e_max_mwh)
        low[-1] = max(store.e_min_mwh, store.e_end_min_mwh)
        energy = model.variables(low, high, store.e_start_mwh)
        before = np.concatenate([[store.e_start_mwh], np.zeros(periods - 1)])
        rows = model.rows(before, before)
        model.add(rows, energy, 1.0)
        model.add(rows[1:], energy[:-1], -1.0)
        model.add(rows, charge[s], -clearing.hours * store.charge)
        model.add(rows, discharge[s], clearing.hours / store.discharge)
        if whole:
            charges = model.variables(np.zeros(periods), 1.0, 0.0, whole=True)
            one, other = (
                model.rows(np.full(periods, -np.inf), 0.0),
                model.rows(np.full(periods, -np.inf), top[s, 1]),
            )
            model.add(one, charge[s], 1.0)
            model.add(one, charges, -top[s, 0])
            model.add(other, discharge[s], 1.0)
            model.add(other, charges, top[s, 1])
    return charge, discharge


def _capability(model: Quadratic, market: Market, element: Capability, period: int) -> None:
    """Range of Q at a P that stays, or the circle and the power factor at one that moves."""
    clearing, offers = market.clearing, market.clearing.offers
    k = element.rows[(offers.period[element.rows] == period) & offers.live[element.rows]]
    store = next((s for s, one in enumerate(clearing.stores) if (element.element_type, element.element)
                  == ("storage", one.element) and one.live[period]), None)  # fmt: skip
    p0, q0 = float(element.p_mw[period]), float(element.q_mvar[period])
    shares = market.share[offers.unit[k]]
    if store is None and not offers.p_mw[k].any():
        low, high = element.q_range(period, p0)
        if len(k):
            model.add(model.rows(low - q0, high - q0), shares, offers.q_mvar[k])
        return
    if element.curve is not None:
        raise NotImplementedError("a curve at an active power that is decided")
    if p0 * p0 + q0 * q0 > element.s_max_mva**2 or abs(q0) > abs(p0) * element.tan_phi:
        raise NotImplementedError("a forecast beyond the capability at an active power that is decided")
    columns, p, q = [*shares], [*offers.p_mw[k]], [*offers.q_mvar[k]]
    if store is not None:
        columns += [market.charge[store, period], market.discharge[store, period]]
        p, q, p0 = [*p, -1.0, 1.0], [*q, 0.0, 0.0], 0.0
    pq = model.variables(np.full(2, -np.inf), np.inf, np.array([p0, q0]))
    for column, at, parts in ((pq[0], p0, p), (pq[1], q0, q)):
        row = model.rows(at, at)
        model.add(row, column, 1.0)
        model.add(row, np.array(columns), -np.array(parts))
    if np.isfinite(element.s_max_mva):
        model.multiply(model.rows(-np.inf, element.s_max_mva**2), pq, pq, 1.0)
    if np.isfinite(element.tan_phi):
        sign = 1.0 if p0 > 0.0 else -1.0
        for side in (1.0, -1.0):
            row = model.rows(-np.inf, 0.0)
            model.add(row, pq, np.array([-sign * element.tan_phi, side]))


def add_steps(model: Quadratic, clearing: Clearing, *, whole: bool) -> np.ndarray:
    """Steps of the devices, (period, device), with their moves, budgets and costs."""
    periods = len(clearing.starts)
    shape = (periods, len(clearing.devices))
    low, high = (np.array([[f(d) for d in clearing.devices]], dtype=float).reshape(1, -1)
                 for f in (lambda d: min(d.lowest, 0), lambda d: max(d.highest, 0)))  # fmt: skip
    steps = model.variables(
        np.broadcast_to(low, shape), np.broadcast_to(high, shape), clearing.base_steps, whole=whole
    )
    for d, device in enumerate(clearing.devices):
        up, down = (model.variables(np.zeros(periods), np.inf, 0.0) for _ in range(2))
        rows = model.rows(np.zeros(periods), 0.0)
        model.add(rows, steps[:, d], 1.0)
        model.add(rows[1:], steps[:-1, d], -1.0)
        model.add(rows, up, -1.0)
        model.add(rows, down, 1.0)
        budgets = [(np.ones(periods, dtype=bool), device.max_moves)]
        budgets += [(clearing.dates == date, most) for date, most in enumerate(device.by_day)]
        for when, most in budgets:
            if np.isfinite(most):
                model.add(model.rows(-np.inf, most), np.concatenate([up[when], down[when]]), 1.0)
        model.price(np.concatenate([up, down]), device.cost_eur)
    return steps


def moves_eur(clearing: Clearing, steps: np.ndarray) -> float:
    """EUR for the moves to these steps, (period, device)."""
    moved = np.abs(np.diff(steps, axis=0, prepend=np.zeros((1, steps.shape[1])))).sum(axis=0)
    return float(sum(m * device.cost_eur for m, device in zip(moved, clearing.devices, strict=True)))


def short_eur(clearing: Clearing) -> float:
    """EUR for a Mvar outside its band: more than any offer can save."""
    offers = clearing.offers
    size = np.maximum(np.abs(offers.p_mw), np.abs(offers.q_mvar))
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.where(size > 0.0, np.abs(offers.cost_eur) / size, 0.0).max(initial=0.0)
    return SHORT * max(float(price), 1.0)


def weighed_eur(clearing: Clearing, cost_eur: float, short_mvar: float, uncured: float) -> float:
    """What the oracles minimise: the aims in one currency; ``uncured`` in the units of `CURE_UNIT`."""
    short = short_eur(clearing)
    return cost_eur + short * short_mvar + UNCURED * 100.0 * short * uncured


def add_beyond(model: Quadratic, clearing: Clearing, over: float) -> int:
    """Column of what stays beyond a true limit, in `FINE`; ``over`` does in the base state."""
    column = model.variables(np.zeros(1), over / FINE, over / FINE)
    model.price(column, weighed_eur(clearing, 0.0, 0.0, FINE))
    return int(column[0])


def add_profile(
    model: Quadratic, clearing: Clearing, q_mvar: list[list[tuple[np.ndarray, float]]]
) -> np.ndarray:
    """Shortfall of every point and period; ``q_mvar[point][period]``: columns of its exchange, and Mvar."""
    shape = clearing.profile.shape
    asked = ~np.isnan(clearing.profile)
    short = model.variables(np.zeros(shape), np.where(asked, np.inf, 0.0), 0.0)
    model.price(short, short_eur(clearing))
    for k, t in zip(*np.nonzero(asked), strict=True):
        low, high = (clearing.profile[k, t] + side * clearing.tolerance[k, t] for side in (-1.0, 1.0))
        at_least, at_most = model.rows(np.array([low, -np.inf]), np.array([np.inf, high]))
        columns, mvar = q_mvar[k][t]
        for row, side in ((at_least, 1.0), (at_most, -1.0)):
            model.add(row, columns, mvar)
            model.add(row, short[k, t], side)
    return short


def point_nodes(clearing: Clearing, period: int, node: np.ndarray) -> list[np.ndarray]:
    """Nodes of the external grids of every point, by ``node`` (bus → node), each of one point only."""
    net, found = clearing.bases[period].net, []
    works = net.ext_grid["in_service"]
    for grids in clearing.points.values():
        buses = net.ext_grid["bus"].loc[[g for g in grids if works.loc[g]]].to_numpy(dtype=int)
        nodes = np.unique(node[buses])
        found.append(nodes[nodes >= 0])
    every = np.concatenate([*found, np.zeros(0, dtype=int)])
    if len(np.unique(every)) != len(every):
        raise NotImplementedError("two connection points at one node")
    return found
