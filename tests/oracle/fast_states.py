"""Thousands of states of one period at once: Newton's method with one Jacobian, in numpy.

The network is the one that pandapower has made of the period's net for ``runpp`` (its admittance matrices,
injections and Jacobian in the base state). The Jacobian stays that of the base state (the "dishonest" Newton
method): it converges linearly, and every state is accepted by its power mismatch alone. States that do not
converge so are left to ``runpp``, one by one. Limits are evaluated from voltages and currents here.

Inverters on curves are injections that depend on the voltage: what they give is part of the mismatch, and
the slopes of their curves are added to the Jacobian, a small matrix per state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandapower.pypower import idx_brch as br
from pandapower.pypower import idx_bus as bu

from .activation import Period, Unit, excess
from .curves import Inverters
from .plain_grid import find, given, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandapower as pp
    from numpy.typing import ArrayLike

MISMATCH_MVA = 1e-9
ROUNDS = 40
PIECE = 4096  # states that are solved at a time


class FastStates:
    """States of a period under shares of its units: `over` for many points."""

    def __init__(self, period: Period, units: Sequence[Unit]) -> None:
        self.period, self.units = period, tuple(units)
        net = period.base.net
        if any(net.load[column].any() for column in net.load if str(column).startswith("const_")):
            raise NotImplementedError("the fast states know loads of constant power only")
        inner = net["_ppc"]["internal"]
        self.base_mva = float(inner["baseMVA"])
        self.admittance = (inner["Ybus"].tocsr(), inner["Yf"].tocsr(), inner["Yt"].tocsr())
        self.start, self.power = inner["V"].copy(), inner["Sbus"].copy()
        self.pq, self.angles = inner["pq"], np.r_[inner["pv"], inner["pq"]]
        # dense: for many states of a small grid a product of matrices is faster than a sparse substitution
        self.inverse = np.linalg.inv(inner["J"].toarray())
        self.node = np.asarray(net["_pd2ppc_lookups"]["bus"])
        self.offer = np.zeros((len(self.units), len(self.start)), dtype=complex)
        for k, unit in enumerate(self.units):
            for row in unit.rows:
                bus = period.net.sgen["bus"].loc[period.sgens[row]]
                self.offer[k, self.node[bus]] += complex(*period.injection(row)) / self.base_mva
        self.inverters = _inverters(period, self.units)
        if self.inverters is not None:
            self._follow(self.inverters)
        table = period.base.constraints
        self.side, self.tolerance = table["side"].to_numpy(float), table["tolerance"].to_numpy()
        self.effective, self.base = table["effective"].to_numpy(), table["base"].to_numpy()
        self.currents = _currents(net, inner)
        self.points = _connection_points(period, self.node)
        self._check()

    def _follow(self, inverters: Inverters) -> None:
        """Take what inverters give out of the given injections, and find where they stand in the Jacobian."""
        self.at = self.node[inverters.bus]
        row = pd.Index(self.pq).get_indexer(pd.Index(self.at))
        if (row < 0).any():
            raise NotImplementedError("an inverter where the voltage is held")
        np.subtract.at(self.power, self.at, 1j * inverters.given_mvar / self.base_mva)
        # Columns of the inverse: how the state changes by the reactive power of each inverter.
        self.by_q = self.inverse[:, len(self.angles) + row]
        self.own = len(self.angles) + row

    def over(self, shares: ArrayLike) -> np.ndarray:
        """Excess over every effective limit in tolerances, (point, constraint); inf without a solution.

        ``shares`` is (point, unit). The constraints are those of ``period.base.constraints``.
        """
        x = np.atleast_2d(np.asarray(shares, dtype=float))
        return np.concatenate([self._over(x[k : k + PIECE]) for k in range(0, len(x), PIECE)])

    def _over(self, x: np.ndarray) -> np.ndarray:
        volts, good = self.voltages(x)
        with np.errstate(invalid="ignore"):
            over = self.side * (self.values(volts, x) - self.effective) / self.tolerance
        over[:, np.isnan(self.base)] = -np.inf  # nothing is there in the base state: an idle element
        for k in np.flatnonzero(~good):
            state = self.period.state(
                {row: x[k, j] for j, unit in enumerate(self.units) for row in unit.rows}
            )
            over[k] = np.inf if state is None else excess(state).fillna(-np.inf)
        return over

    def voltages(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Node voltages, (node, point), and which points are solved."""
        wanted = self.power[:, None] + (x @ self.offer).T
        vm = np.repeat(np.abs(self.start)[:, None], len(x), axis=1)
        va = np.repeat(np.angle(self.start)[:, None], len(x), axis=1)
        good = np.zeros(len(x), dtype=bool)
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                volts = vm * np.exp(1j * va)
                miss = volts * np.conj(self.admittance[0] @ volts) - wanted
                if self.inverters is not None:
                    q, rise = (part / self.base_mva for part in self.inverters.reactive(vm[self.at], x))
                    np.subtract.at(miss, self.at, 1j * q)
                residual = np.concatenate([miss.real[self.angles], miss.imag[self.pq]])
                good = np.abs(residual).max(axis=0, initial=0.0) * self.base_mva <= MISMATCH_MVA
                open_ = ~good & np.isfinite(residual).all(axis=0)
                if not open_.any():
                    break
                step = self.inverse @ residual[:, open_]
                if self.inverters is not None:
                    step += self._bent(step[self.own], rise[:, open_])
                va[np.ix_(self.angles, open_)] -= step[: len(self.angles)]
                vm[np.ix_(self.pq, open_)] -= step[len(self.angles) :]
        # a state far from the base one is left to runpp, which would not start from there
        good &= (np.abs(volts) > 0.5).all(axis=0)
        return volts, good

    def _bent(self, step: np.ndarray, rise: np.ndarray) -> np.ndarray:
        """What the slopes of the curves add to steps; ``step`` is that of the inverters' voltages."""
        matrix = np.eye(len(self.at)) - self.by_q[self.own] * rise.T[:, None, :]
        return self.by_q @ (rise * np.linalg.solve(matrix, step.T[:, :, None])[:, :, 0].T)

    def values(self, volts: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What `measure` measures, (point, constraint): volts, loadings, exchange."""
        net = self.period.base.net
        live = net.res_bus["vm_pu"].notna().to_numpy()
        vm = np.full((len(live), volts.shape[1]), np.nan)
        vm[live] = np.abs(volts)[self.node[net.bus.index[live]]]
        ends = [np.abs(matrix @ volts) for matrix in self.admittance[1:]]
        parts = [vm, vm]
        for legs, size in self.currents:
            loading = np.zeros((size, volts.shape[1]))
            for element, branch, end, percent in legs:
                loading[element] = np.maximum(loading[element], ends[end][branch] * percent[:, None])
            parts.append(loading)
        drawn = volts * np.conj(self.admittance[0] @ volts) - (x @ self.offer).T
        drawn -= (self.start * np.conj(self.admittance[0] @ self.start))[:, None]
        for nodes, p_mw, q_mvar, wanted in self.points:
            change = drawn[nodes].sum(axis=0) * self.base_mva
            p, q = p_mw + change.real, q_mvar + change.imag
            by_column = {"p": p, "q": q, "s": np.hypot(p, q)}
            parts += [by_column[letter][None] for letter in wanted]
        return np.concatenate(parts).T

    def _check(self) -> None:
        """The base state must come out as pandapower gives it."""
        nothing = np.zeros((1, len(self.units)))
        volts, good = self.voltages(nothing)
        mine = self.values(volts, nothing)[0]
        there = ~np.isnan(self.base)
        if not good.all() or not np.allclose(mine[there], self.base[there], rtol=1e-7, atol=1e-7):
            raise AssertionError("the fast states differ from runpp in the base state")


def _inverters(period: Period, units: Sequence[Unit]) -> Inverters | None:
    net = period.net
    if "reactions" not in net:
        return None
    offers = np.zeros((len(units), len(net["reactions"])))
    for k, unit in enumerate(units):
        for row in unit.rows:
            moved = net.sgen["moves"].loc[period.sgens[row]]
            offers[k] += period.injection(row)[0] * (net["reactions"]["sgen"] == moved)
    return Inverters(period.base.net, offers)


def _currents(
    net: pp.pandapowerNet, inner: Mapping[str, Any]
) -> list[tuple[list[tuple[np.ndarray, np.ndarray, int, np.ndarray]], int]]:
    """Per table that `measure` knows: (elements, their branches, end, per cent per p.u.) and its length."""
    inside = np.cumsum(inner["branch_is"]) - 1
    kv = inner["bus"][:, bu.BASE_KV].real
    result = []
    for table in ("line", "trafo", "trafo3w"):
        frame = net[table]
        if not len(frame):
            continue
        first = net["_pd2ppc_lookups"]["branch"][table][0]
        count = len(frame)
        if table == "line":
            rated = (frame["max_i_ka"] * frame["df"] * frame["parallel"]).to_numpy()
            legs = [(0, 0, rated), (0, 1, rated)]
        elif table == "trafo":
            size = (frame["sn_mva"] * frame["df"] * frame["parallel"] / np.sqrt(3.0)).to_numpy()
            legs = [
                (0, end, size / frame[f"vn_{side}_kv"].to_numpy()) for end, side in enumerate(("hv", "lv"))
            ]
        else:
            legs = [
                (part, end, (frame[f"sn_{side}_mva"] / frame[f"vn_{side}_kv"] / np.sqrt(3.0)).to_numpy())
                for part, end, side in ((0, 0, "hv"), (1, 1, "mv"), (2, 1, "lv"))
            ]
        found = []
        for part, end, rated in legs:
            branch = first + part * count + np.arange(count)
            on = np.flatnonzero(inner["branch_is"][branch])
            at = inside[branch[on]]
            bus = inner["branch"][at, (br.F_BUS, br.T_BUS)[end]].real.astype(int)
            ka = float(inner["baseMVA"]) / (np.sqrt(3.0) * kv[bus])
            found.append((on, at, end, 100.0 * ka / rated[on]))
        result.append((found, count))
    return result


def _connection_points(period: Period, node: np.ndarray) -> list[tuple[np.ndarray, float, float, list[str]]]:
    """Slack nodes, exchange in the base state and the letters of the limits, in the order of `measure`."""
    table, net = period.problem.connection_points, period.base.net
    result = []
    for name in table["connection_point"].unique() if len(table) else []:
        members = list(rows(table[table["connection_point"] == name]))
        grids = [find(net, "ext_grid", row.get("element", name)) for row in members]
        on = [grid for grid in grids if net.ext_grid["in_service"].loc[grid]]
        nodes = np.unique(node[net.ext_grid["bus"].loc[on]])
        others = net.ext_grid.index[net.ext_grid["in_service"]].difference(on)
        if np.isin(node[net.ext_grid["bus"].loc[others]], nodes).any():
            raise NotImplementedError("two connection points at one node")
        p, q = net.res_ext_grid.loc[grids, ["p_mw", "q_mvar"]].fillna(0.0).sum()
        columns = ("p_max_mw", "p_min_mw", "q_max_mvar", "q_min_mvar", "s_max_mva")
        wanted = [column[0] for column in columns if any(given(row.get(column)) for row in members)]
        result.append((nodes, float(p), float(q), wanted))
    return result
