"""The states of a clearing in rectangular voltages, as rows of a quadratic program.

With V = e + jf, node by node: V · conj(Y V) = S in its active and its reactive part; squares of voltages and
of currents within the squares of their effective limits. What the base state breaks may stay by an amount
that is dear: value <= limit + amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .clearing_market import FINE, add_beyond, add_profile, point_nodes
from .clearing_values import CURE_UNIT

if TYPE_CHECKING:
    from .clearing_grid import Grid
    from .clearing_market import Market
    from .quadratic import Quadratic


@dataclass(frozen=True, eq=False)
class States:
    """Columns by period: ``e``, ``f`` (node,), ``p``, ``q`` (given node,) of what is put in at the nodes of
    given voltage (``ref`` before ``pv``); ``short`` (point, period); ``uncured`` (limit,) in `FINE`.
    """

    e: list[np.ndarray]
    f: list[np.ndarray]
    p: list[np.ndarray]
    q: list[np.ndarray]
    short: np.ndarray
    uncured: np.ndarray


class StateRows:
    """Adds the states of every period; ``steps`` (period, device) are columns, or None with devices held."""

    def __init__(
        self, model: Quadratic, market: Market, grids: list[Grid], steps: np.ndarray | None = None
    ) -> None:
        self.model, self.market, self.clearing = model, market, market.clearing
        self.grids, self.steps = grids, steps
        table = self.clearing.limits
        self._limit, self._side = table["limit"].to_numpy(dtype=float), table["side"].to_numpy(dtype=float)
        self._unit = table["kind"].map(CURE_UNIT).to_numpy(dtype=float)
        self._over = self._side * (self.clearing.base - self._limit)  # NaN without supply
        self._exchanges = self._quantities()
        self._uncured: list[int] = []

    def add(self, watched: np.ndarray | None = None) -> States:
        """Add everything; ``watched`` (period, limit): currents that get a row, all without."""
        e, f, p, q = [], [], [], []
        exchange: list[list[tuple[np.ndarray, float]]] = [[] for _ in self.clearing.points]
        for t, grid in enumerate(self.grids):
            et, ft = self._voltages(t, grid)
            given = np.concatenate([grid.ref, grid.pv])
            power = grid.v[given] * np.conj(grid.y[given] @ grid.v) - grid.s[given]
            free = np.concatenate([np.full(len(grid.ref), np.inf), np.zeros(len(grid.pv))])
            pt = self.model.variables(-free, free, np.where(free > 0.0, power.real, 0.0))
            qt = self.model.variables(np.full(len(given), -np.inf), np.inf, power.imag)
            self._balance(t, grid, et, ft, (given, pt, qt))
            self._magnitudes(t, grid, et, ft)
            self._currents(t, grid, et, ft, None if watched is None else watched[t])
            nodes = point_nodes(self.clearing, t, grid.node)
            place = [np.flatnonzero(np.isin(grid.ref, own)) for own in nodes]
            self._exchange(t, grid, [(pt[own], qt[own]) for own in place])
            for k, own in enumerate(place):
                exchange[k].append((qt[own], grid.base_mva))
            self._losses(t, grid, pt)
            e.append(et), f.append(ft), p.append(pt), q.append(qt)
        short = add_profile(self.model, self.clearing, exchange)
        return States(e, f, p, q, short, np.array(self._uncured, dtype=int))

    def _voltages(self, t: int, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Parts of the voltages; those of inner nodes of taps are the outer ones by the ratio."""
        model, v = self.model, grid.v
        low, high = np.full(len(v), -np.inf), np.full(len(v), np.inf)
        parts = []
        for value in (v.real, v.imag):
            low[grid.ref], high[grid.ref] = value[grid.ref], value[grid.ref]
            parts.append(model.variables(low, high, value))
        for tap in grid.taps:
            step, ratio = self.steps[t, tap.device], tap.ratio
            for part in parts:
                row = model.rows(0.0, 0.0)
                model.add(row, part[tap.node], 1.0)
                model.add(row, part[tap.inner], -ratio[0])
                model.multiply(row, part[tap.inner], step, -ratio[1])
        return parts[0], parts[1]

    def _balance(
        self, t: int, grid: Grid, e: np.ndarray, f: np.ndarray, given: tuple[np.ndarray, ...]
    ) -> None:
        model, size = self.model, len(grid.v) - len(grid.taps)
        held = np.zeros(size, dtype=complex)
        for bus, mw in self.market.base_mw(t).items():
            held[grid.node[bus]] += mw / grid.base_mva
        s = grid.s[:size] - held
        p, q = model.rows(s.real, s.real), model.rows(s.imag, s.imag)
        y = grid.y.tocoo()
        k, j, g, b = y.row, y.col, y.data.real, y.data.imag
        at, off = grid.owner[k], k != j
        for row, one, other, value in (
            (p, e[k], e[j], g), (p, f[k], f[j], g), (q, e[k], e[j], -b), (q, f[k], f[j], -b),
        ):  # fmt: skip
            model.multiply(row[at], one, other, value)
        k, j, g, b, at = k[off], j[off], g[off], b[off], at[off]
        for row, one, other, value in (
            (p, f[k], e[j], b), (p, e[k], f[j], -b), (q, f[k], e[j], g), (q, e[k], f[j], -g),
        ):  # fmt: skip
            model.multiply(row[at], one, other, value)
        nodes, pt, qt = given
        model.add(p[nodes], pt, -1.0)
        model.add(q[nodes], qt, -1.0)
        moved = self.market.injections(t)
        node = grid.node[moved.bus]
        for row, power in ((p, moved.p_mw), (q, moved.q_mvar)):
            some = power != 0.0
            model.add(row[node[some]], moved.column[some], -power[some] / grid.base_mva)
        for bank in grid.banks:
            self._bank(p[bank.node], q[bank.node], (e[bank.node], f[bank.node]), bank.y, bank.start,
                       self.steps[t, bank.device], abs(grid.v[bank.node]) ** 2)  # fmt: skip

    def _bank(
        self, p: int, q: int, parts: tuple[int, int], y: complex, start: int, step: int, square: float
    ) -> None:
        """Power into a bank: |V|² · (start + step) · conj(y), with the square as a variable."""
        model = self.model
        w = model.variables(np.zeros(1), np.inf, square)[0]
        row = model.rows(0.0, 0.0)
        model.add(row, w, -1.0)
        for part in parts:
            model.multiply(row, part, part, 1.0)
        for row, value in ((p, y.real), (q, -y.imag)):
            if value:
                model.add(row, w, value * start)
                model.multiply(row, w, step, value)

    def _beyond(self, t: int, limit: int) -> int:
        """Column of what stays beyond a true limit that the base state breaks."""
        self._uncured.append(add_beyond(self.model, self.clearing, self._over[t, limit] / self._unit[limit]))
        return self._uncured[-1]

    def _magnitudes(self, t: int, grid: Grid, e: np.ndarray, f: np.ndarray) -> None:
        c, model = self.clearing, self.model
        buses = grid.node[c.bases[t].net.bus.index.to_numpy()]
        count = len(buses)
        alive = buses >= 0
        size = len(grid.v) - len(grid.taps)
        high, low = np.full(size, np.inf), np.zeros(size)
        np.minimum.at(high, buses[alive], c.effective[t, :count][alive])
        np.maximum.at(low, buses[alive], c.effective[t, count : 2 * count][alive])
        free = np.isfinite(high) & ~np.isin(np.arange(size), grid.ref)
        nodes = np.flatnonzero(free)
        # A node of given magnitude is where it is; the square of a base value is it only to rounding.
        own = np.abs(grid.v[grid.pv])
        low[grid.pv], high[grid.pv] = own, own
        rows = model.rows(low[nodes] ** 2, high[nodes] ** 2)
        for part in (e, f):
            model.multiply(rows, part[nodes], part[nodes], 1.0)
        for k in np.flatnonzero(self._over[t, : 2 * count] > 0.0).tolist():
            node, side, limit = buses[k % count], self._side[k], self._limit[k]
            if free[node]:
                # side · |V|² <= side · (limit + side · beyond)²
                beyond = self._beyond(t, k)
                row = model.rows(-np.inf, side * limit**2)
                for part in (e, f):
                    model.multiply(row, part[node], part[node], side)
                model.add(row, beyond, -2.0 * limit * FINE)
                model.multiply(row, beyond, beyond, -side * FINE**2)

    def _currents(self, t: int, grid: Grid, e: np.ndarray, f: np.ndarray, watched: np.ndarray | None) -> None:
        c, model, ends = self.clearing, self.model, grid.ends
        over = self._over[t] > 0.0
        wanted = np.ones(len(ends.limit), dtype=bool) if watched is None else watched[ends.limit]
        plain = np.flatnonzero(wanted & ~over[ends.limit])
        tapped = ends.tap[plain] >= 0
        rows = model.rows(-np.inf, np.where(tapped, 0.0, 1.0))
        percent = ends.percent / c.effective[t, ends.limit]
        self._square(rows, e, f, grid, plain, percent[plain])
        for row, tap in zip(rows[tapped], ends.tap[plain][tapped], strict=True):
            # |I'|² <= (limit · m)², m = a + b · step
            (a, b), step = grid.taps[tap].ratio, self.steps[t, grid.taps[tap].device]
            model.multiply(row, step, step, -b * b)
            model.add(row, step, -2.0 * a * b)
            self._shift(row, a * a)
        for limit in np.unique(ends.limit[over[ends.limit]]):
            beyond = self._beyond(t, int(limit))
            for end in np.flatnonzero(ends.limit == limit):
                self._cured(t, grid, e, f, int(end), beyond)

    def _shift(self, row: int, value: float) -> None:
        """Raise the upper bound of a row by a number: as a fixed variable."""
        self.model.add(row, self.model.variables(np.ones(1), 1.0, 1.0), -value)

    def _square(
        self,
        rows: np.ndarray,
        e: np.ndarray,
        f: np.ndarray,
        grid: Grid,
        which: np.ndarray,
        factor: np.ndarray,
    ) -> None:
        """Add the squares of currents, times ``factor``²."""
        ends = grid.ends
        i, j = ends.own[which], ends.other[which]
        one, other = ends.y_own[which] * factor, ends.y_other[which] * factor
        mixed = one * np.conj(other)
        for a, b, value in (
            (e[i], e[i], np.abs(one) ** 2), (f[i], f[i], np.abs(one) ** 2),
            (e[j], e[j], np.abs(other) ** 2), (f[j], f[j], np.abs(other) ** 2),
            (e[i], e[j], 2.0 * mixed.real), (f[i], f[j], 2.0 * mixed.real),
            (f[i], e[j], -2.0 * mixed.imag), (e[i], f[j], 2.0 * mixed.imag),
        ):  # fmt: skip
            self.model.multiply(rows, a, b, value)

    def _cured(self, t: int, grid: Grid, e: np.ndarray, f: np.ndarray, end: int, beyond: int) -> None:
        """|I'| in fractions of the rating <= (limit + beyond) · m."""
        model, ends = self.model, grid.ends
        limit = self._limit[ends.limit[end]] / 100.0
        most = model.variables(np.zeros(1), np.inf, self.clearing.base[t, ends.limit[end]] / 100.0)[0]
        row = model.rows(limit, limit)
        model.add(row, most, 1.0)
        model.add(row, np.array([beyond]), -FINE)
        if ends.tap[end] >= 0:
            tap = grid.taps[ends.tap[end]]
            scaled = model.variables(np.zeros(1), np.inf, self.clearing.base[t, ends.limit[end]] / 100.0)[0]
            row = model.rows(0.0, 0.0)
            model.add(row, np.array([scaled, most]), np.array([1.0, -tap.ratio[0]]))
            model.multiply(row, most, self.steps[t, tap.device], -tap.ratio[1])
            most = scaled
        row = model.rows(np.full(1, -np.inf), 0.0)
        self._square(row, e, f, grid, np.array([end]), np.array([ends.percent[end] / 100.0]))
        model.multiply(row, most, most, -1.0)

    def _exchange(self, t: int, grid: Grid, points: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Limits of the connection points, in MVA."""
        model, base = self.model, grid.base_mva
        for limit, k, quantity in self._exchanges:
            p, q = points[k]
            most, side, broken = (
                self.clearing.effective[t, limit],
                self._side[limit],
                self._over[t, limit] > 0.0,
            )
            if quantity == "s":
                if broken or len(p) != 1:
                    raise NotImplementedError("apparent power of a point that is broken, or of several nodes")
                row = model.rows(-np.inf, most**2)
                model.multiply(row, np.concatenate([p, q]), np.concatenate([p, q]), base**2)
                continue
            row = model.rows(-np.inf, side * (self._limit[limit] if broken else most))
            model.add(row, p if quantity == "p" else q, side * base)
            if broken:
                model.add(row, self._beyond(t, limit), -FINE * CURE_UNIT["exchange"])

    def _quantities(self) -> list[tuple[int, int, str]]:
        """Exchange limits: row, point, ``p``, ``q`` or ``s``; of a point in the order of `measure`."""
        c = self.clearing
        table, columns = (
            c.problem.connection_points,
            ("p_max_mw", "p_min_mw", "q_max_mvar", "q_min_mvar", "s_max_mva"),
        )
        found = []
        for k, name in enumerate(c.points):
            own = table[table["connection_point"] == name]
            stated = [column[0] for column in columns if column in own and own[column].notna().any()]
            rows = np.flatnonzero((c.limits["kind"] == "exchange") & (c.limits["element"] == name)).tolist()
            found += [(row, k, quantity) for row, quantity in zip(rows, stated, strict=True)]
        return found

    def _losses(self, t: int, grid: Grid, p: np.ndarray) -> None:
        """Price of all active power that is put in less what is taken: what the slacks put in, and offers."""
        price = self.clearing.losses_eur_mwh * self.clearing.hours
        self.model.price(p[: len(grid.ref)], price * grid.base_mva)
        moved = self.market.injections(t)
        some = moved.p_mw != 0.0
        self.model.price(moved.column[some], price * moved.p_mw[some])


def losses_mw(grid: Grid, v: np.ndarray, y_bank: np.ndarray) -> float:
    """Active power that goes into a grid in a state; ``y_bank`` (node,): of the banks that are decided."""
    into = v * np.conj(grid.y @ v + y_bank * v)
    return float(into.real.sum()) * grid.base_mva
