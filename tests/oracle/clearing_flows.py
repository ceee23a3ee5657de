"""The states of a clearing as branch flows, exact and with few quadratics: for a global solver.

Per pair of linked nodes i → j with the admittance y of the pair in series, z = r + jx = 1 / y: the power
P + jQ sent into it, the square l of its current; per node the square w of the voltage. Then

    P² + Q² = l · w_i,    w_j = w_i - 2 (r P + x Q) + |z|² l,    power at j: z l - (P + jQ);

everything else of a pair stands at its nodes as shunts (Baran and Wu 1989; the equality is kept, not relaxed
to a cone as in Farivar and Low 2013). In a tree that is all; nodes on a ring get voltages e + jf as well.
Taps and banks are one of their positions each, so that products with w are exact in linear rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .clearing_market import FINE, add_beyond, add_profile, point_nodes

if TYPE_CHECKING:
    from .clearing_grid import Grid
    from .clearing_market import Market
    from .quadratic import Quadratic

_WIDEST = 1.2  # p.u. of voltage where no limit is stated
_NARROWEST = 0.8
_MOST_MVA = 100.0  # through a pair without a limit


@dataclass(frozen=True)
class Pair:
    """Two linked nodes, ``i`` nearer to the given voltage, their series admittance, and the turn of j."""

    i: int
    j: int
    y: complex
    turn: complex  # Y[i, j] = -y · turn


@dataclass(frozen=True, eq=False)
class Flows:
    """Columns of ``short`` and ``uncured``, as in `States`."""

    short: np.ndarray
    uncured: np.ndarray


class FlowRows:
    """Adds the branch flows of every period; ``steps`` (period, device) are columns."""

    def __init__(self, model: Quadratic, market: Market, grids: list[Grid], steps: np.ndarray) -> None:
        self.model, self.market, self.clearing = model, market, market.clearing
        self.grids, self.steps = grids, steps
        table = self.clearing.limits
        self._limit, self._side = table["limit"].to_numpy(dtype=float), table["side"].to_numpy(dtype=float)
        self._over = self._side * (self.clearing.base - self._limit)
        if (table["kind"] == "exchange").any():
            raise NotImplementedError("limits of connection points")
        self._uncured: list[int] = []
        self._positions = [self._choice(device) for device in range(len(self.clearing.devices))]

    def _choice(self, device: int) -> tuple[np.ndarray, np.ndarray]:
        """Steps of a device, and a variable of 0 or 1 for each in every period, (period, step)."""
        model, one = self.model, self.clearing.devices[device]
        steps = np.arange(min(one.lowest, 0), max(one.highest, 0) + 1)
        periods = len(self.clearing.starts)
        chosen = model.variables(np.zeros((periods, len(steps))), 1.0, 0.0, whole=True)
        for t in range(periods):
            model.add(model.rows(1.0, 1.0), chosen[t], 1.0)
            row = model.rows(0.0, 0.0)
            model.add(row, chosen[t], steps)
            model.add(row, self.steps[t, device], -1.0)
        return steps, chosen

    def add(self) -> Flows:
        """Add everything."""
        exchange: list[list[tuple[np.ndarray, float]]] = [[] for _ in self.clearing.points]
        price = self.clearing.losses_eur_mwh * self.clearing.hours
        for t, grid in enumerate(self.grids):
            if len(grid.pv):
                raise NotImplementedError("generators that hold their voltage")
            pairs = _pairs(grid)
            w = self._squares(t, grid)
            put = self.model.variables(np.full((2, len(grid.ref)), -np.inf), np.inf, 0.0)
            l, p, q = self._pairs(grid, pairs, w)  # noqa: E741 - as in the equations
            self._balance(t, grid, pairs, (w, l, p, q), put)
            self._currents(t, grid, pairs, (w, l, p, q))
            self._rings(grid, pairs, (w, l, p, q))
            self.model.price(put[0], price * grid.base_mva)
            moved = self.market.injections(t)
            some = moved.p_mw != 0.0
            self.model.price(moved.column[some], price * moved.p_mw[some])
            for k, own in enumerate(point_nodes(self.clearing, t, grid.node)):
                exchange[k].append((put[1][np.isin(grid.ref, own)], grid.base_mva))
        short = add_profile(self.model, self.clearing, exchange)
        return Flows(short, np.array(self._uncured, dtype=int))

    def _squares(self, t: int, grid: Grid) -> np.ndarray:
        """Squares of the voltages within their effective limits, those beyond taps by the chosen ratio."""
        c, model = self.clearing, self.model
        buses = grid.node[c.bases[t].net.bus.index.to_numpy()]
        count, alive, size = len(buses), buses >= 0, len(grid.v)
        low, high = np.full(size, _NARROWEST), np.full(size, _WIDEST)
        np.minimum.at(high, buses[alive], c.effective[t, :count][alive])
        np.maximum.at(low, buses[alive], c.effective[t, count : 2 * count][alive])
        given = np.abs(grid.v[grid.ref])
        low[grid.ref], high[grid.ref] = given, given
        for tap in grid.taps:
            ratios = tap.ratio[0] + tap.ratio[1] * self._positions[tap.device][0]
            low[tap.inner], high[tap.inner] = low[tap.node] / ratios.max(), high[tap.node] / ratios.min()
        w = model.variables(low**2, high**2, np.abs(grid.v) ** 2)
        for tap in grid.taps:
            steps, chosen = self._positions[tap.device]
            parts = self._split(w[tap.inner], (low[tap.inner] ** 2, high[tap.inner] ** 2), chosen[t])
            row = model.rows(0.0, 0.0)
            model.add(row, w[tap.node], 1.0)
            model.add(row, parts, -((tap.ratio[0] + tap.ratio[1] * steps) ** 2))
        for k in np.flatnonzero(self._over[t, : 2 * count] > 0.0).tolist():
            node, side, limit = buses[k % count], self._side[k], self._limit[k]
            if node not in grid.ref:
                beyond = self._beyond(t, k)
                row = model.rows(-np.inf, side * limit**2)
                model.add(row, w[node], side)
                model.add(row, beyond, -2.0 * limit * FINE)
                model.multiply(row, beyond, beyond, -side * FINE**2)
        return w

    def _split(self, column: int, bounds: tuple[float, float], chosen: np.ndarray) -> np.ndarray:
        """A variable as a sum of parts of which the chosen one alone is not zero."""
        model, (low, high) = self.model, bounds
        parts = model.variables(np.full(len(chosen), min(low, 0.0)), high, 0.0)
        row = model.rows(0.0, 0.0)
        model.add(row, parts, 1.0)
        model.add(row, column, -1.0)
        at_least, at_most = (
            model.rows(np.zeros(len(chosen)), np.inf),
            model.rows(np.full(len(chosen), -np.inf), 0.0),
        )
        for rows, bound in ((at_least, low), (at_most, high)):
            model.add(rows, parts, 1.0)
            model.add(rows, chosen, -bound)
        return parts

    def _beyond(self, t: int, limit: int) -> int:
        """Column of what stays beyond a true voltage limit that the base state breaks."""
        self._uncured.append(add_beyond(self.model, self.clearing, self._over[t, limit]))
        return self._uncured[-1]

    def _pairs(
        self, grid: Grid, pairs: list[Pair], w: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Currents and powers of the pairs with their two equations."""
        model, most = self.model, np.full(len(pairs), _MOST_MVA / grid.base_mva)
        i, j = (np.array([getattr(pair, end) for pair in pairs]) for end in ("i", "j"))
        z = np.array([1.0 / pair.y for pair in pairs])
        l = model.variables(np.zeros(len(pairs)), (most / _NARROWEST) ** 2, 0.0)  # noqa: E741
        p, q = (model.variables(-most, most, 0.0) for _ in range(2))
        flow = model.rows(np.zeros(len(pairs)), 0.0)
        model.multiply(flow, p, p, 1.0)
        model.multiply(flow, q, q, 1.0)
        model.multiply(flow, l, w[i], -1.0)
        drop = model.rows(np.zeros(len(pairs)), 0.0)
        for columns, value in (
            (w[j], 1.0), (w[i], -1.0), (p, 2.0 * z.real), (q, 2.0 * z.imag), (l, -(np.abs(z) ** 2)),
        ):  # fmt: skip
            model.add(drop, columns, value)
        return l, p, q

    def _balance(
        self, t: int, grid: Grid, pairs: list[Pair], flows: tuple[np.ndarray, ...], put: np.ndarray
    ) -> None:
        model, size = self.model, len(grid.v) - len(grid.taps)
        w, l, p, q = flows  # noqa: E741
        held = np.zeros(size, dtype=complex)
        for bus, mw in self.market.base_mw(t).items():
            held[grid.node[bus]] += mw / grid.base_mva
        s = grid.s[:size] - held
        active, reactive = model.rows(s.real, s.real), model.rows(s.imag, s.imag)
        shunt = _shunts(grid, pairs)
        model.add(active[grid.owner], w, shunt.real)
        model.add(reactive[grid.owner], w, -shunt.imag)
        for k, pair in enumerate(pairs):
            z = 1.0 / pair.y
            for rows, sent, lost in ((active, p, z.real), (reactive, q, z.imag)):
                model.add(rows[grid.owner[pair.i]], sent[k], 1.0)
                model.add(rows[grid.owner[pair.j]], sent[k], -1.0)
                model.add(rows[grid.owner[pair.j]], l[k], lost)
        model.add(active[grid.ref], put[0], -1.0)
        model.add(reactive[grid.ref], put[1], -1.0)
        moved = self.market.injections(t)
        node = grid.node[moved.bus]
        for rows, power in ((active, moved.p_mw), (reactive, moved.q_mvar)):
            some = power != 0.0
            model.add(rows[node[some]], moved.column[some], -power[some] / grid.base_mva)
        for bank in grid.banks:
            steps, chosen = self._positions[bank.device]
            bounds = (_NARROWEST**2, _WIDEST**2)
            parts = self._split(w[bank.node], bounds, chosen[t])
            model.add(active[bank.node], parts, bank.y.real * (bank.start + steps))
            model.add(reactive[bank.node], parts, -bank.y.imag * (bank.start + steps))

    def _currents(self, t: int, grid: Grid, pairs: list[Pair], flows: tuple[np.ndarray, ...]) -> None:
        """|a I + b V|² = |a|² l + |b|² w + 2 Re(a conj(b) conj(S)) at every end of a branch."""
        model, ends, number = self.model, grid.ends, {(p.i, p.j): k for k, p in enumerate(pairs)}
        w, l, p, q = flows  # noqa: E741
        if (self._over[t, ends.limit] > 0.0).any():
            raise NotImplementedError("currents that the base state breaks")
        most = self.clearing.effective[t, ends.limit] / ends.percent
        for end, (own, other) in enumerate(zip(ends.own.tolist(), ends.other.tolist(), strict=True)):
            sends = (own, other) in number
            k = number[(own, other) if sends else (other, own)]
            pair = pairs[k]
            a = -ends.y_other[end] / (pair.y * (pair.turn if sends else 1.0 / pair.turn))
            b = ends.y_own[end] - a * pair.y
            mixed = 2.0 * a * np.conj(b)
            scale = 1.0 / most[end] ** 2
            row = model.rows(-np.inf, 1.0 if ends.tap[end] < 0 else 0.0)
            # Power sent in at the own end: P + jQ, or z l - (P + jQ) from the other side.
            z = 1.0 / pair.y
            sign, back = (1.0, 0.0) if sends else (-1.0, z)
            # Re(mixed · conj(S)) = Re(mixed) P + Im(mixed) Q
            model.add(row, w[own], abs(b) ** 2 * scale)
            extra = mixed.real * np.real(back) + mixed.imag * np.imag(back)
            model.add(row, l[k], (abs(a) ** 2 + extra) * scale)
            model.add(row, p[k], sign * mixed.real * scale)
            model.add(row, q[k], sign * mixed.imag * scale)
            if ends.tap[end] >= 0:
                tap = grid.taps[ends.tap[end]]
                steps, chosen = self._positions[tap.device]
                model.add(row, chosen[t], -((tap.ratio[0] + tap.ratio[1] * steps) ** 2))

    def _rings(self, grid: Grid, pairs: list[Pair], flows: tuple[np.ndarray, ...]) -> None:
        """V_i conj(V_j) = w_i - conj(z) S for the pairs on rings, V as e + jf there."""
        ring = _on_rings(grid, pairs)
        if not ring:
            return
        model, (w, _, p, q) = self.model, flows
        nodes = sorted({n for k in ring for n in (pairs[k].i, pairs[k].j)})
        if any(abs(pairs[k].turn - 1.0) > 1e-9 for k in ring) or {tap.inner for tap in grid.taps} & set(
            nodes
        ):
            raise NotImplementedError("a ring with a transformer")
        free = np.full(len(nodes), _WIDEST)
        # The angle of one node is free to choose.
        e = dict(zip(nodes, model.variables(np.zeros(len(nodes)), free, np.abs(grid.v[nodes])), strict=True))
        free[0] = 0.0
        f = dict(zip(nodes, model.variables(-free, free, 0.0), strict=True))
        for node in nodes:
            row = model.rows(0.0, 0.0)
            model.add(row, w[node], -1.0)
            for part in (e[node], f[node]):
                model.multiply(row, part, part, 1.0)
        for k in ring:
            i, j, z = pairs[k].i, pairs[k].j, 1.0 / pairs[k].y
            # An error here is one of the power by it over |z|.
            scale = 1.0 / abs(z)
            row = model.rows(np.zeros(2), 0.0)
            for one, other, at, sign in ((e[i], e[j], 0, 1.0), (f[i], f[j], 0, 1.0), (f[i], e[j], 1, 1.0),
                                         (e[i], f[j], 1, -1.0)):  # fmt: skip
                model.multiply(row[at], one, other, sign * scale)
            model.add(row[0], w[i], -scale)
            model.add(row, np.array([p[k], p[k]]), np.array([z.real, -z.imag]) * scale)
            model.add(row, np.array([q[k], q[k]]), np.array([z.imag, z.real]) * scale)


def _pairs(grid: Grid) -> list[Pair]:
    """Linked nodes, each from the one that is nearer to a given voltage."""
    y = grid.y.tocsr()
    far = np.full(len(grid.v), np.inf)
    far[grid.ref] = 0.0
    inner = {tap.node: tap.inner for tap in grid.taps}
    queue, found = list(grid.ref), []
    while queue:
        i = int(queue.pop(0))
        if i in inner and np.isinf(far[inner[i]]):
            far[inner[i]] = far[i]
            queue.append(inner[i])
        for j in y.indices[y.indptr[i] : y.indptr[i + 1]].tolist():
            if np.isinf(far[j]):
                far[j] = far[i] + 1.0
                queue.append(j)
    coo = y.tocoo()
    for i, j, value in zip(coo.row.tolist(), coo.col.tolist(), coo.data.tolist(), strict=True):
        if (far[i], i) < (far[j], j) and value:
            series = np.sqrt(value * complex(y[j, i]))
            series = series if series.real > 0.0 else -series
            found.append(Pair(i, j, complex(series), complex(-value / series)))
    return found


def _shunts(grid: Grid, pairs: list[Pair]) -> np.ndarray:
    """What is left of the admittances at every node."""
    shunt = grid.y.diagonal().astype(complex)
    for pair in pairs:
        shunt[pair.i] -= pair.y
        shunt[pair.j] -= pair.y
    return shunt


def _on_rings(grid: Grid, pairs: list[Pair]) -> list[int]:
    """Pairs without which the rest is linked as before."""
    links = [(tap.node, tap.inner) for tap in grid.taps] + [
        (one, int(grid.ref[0])) for one in grid.ref[1:].tolist()
    ]

    def parts(without: int) -> int:
        leader = list(range(len(grid.v)))

        def find(n: int) -> int:
            while leader[n] != n:
                n = leader[n]
            return n

        for k, (i, j) in enumerate([*((pair.i, pair.j) for pair in pairs), *links]):
            if k != without:
                leader[find(i)] = find(j)
        return len({find(n) for n in range(len(grid.v))})

    whole = parts(-1)
    return [k for k in range(len(pairs)) if parts(k) == whole]
