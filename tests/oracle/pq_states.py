"""Thousands of states of one period with its devices held: Newton's method with one Jacobian, in scipy.

The Jacobian is that of the state in which nothing is taken at this setting; states are accepted by their
power mismatch alone. Quantities and excesses are those of `plain_grid.measure`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from .clearing_market import point_nodes

if TYPE_CHECKING:
    from .pq_problem import MapProblem

MISMATCH_MVA = 1e-9
ROUNDS = 40
PIECE = 2048  # states that are solved at a time


@dataclass(frozen=True, eq=False)
class States:
    """``solved`` (state,); ``p_mw``, ``q_mvar`` (state, point); ``losses_mw``; ``over`` (state,): the largest
    excess beyond an effective limit, in tolerances, inf without a solution.
    """

    solved: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    losses_mw: np.ndarray
    over: np.ndarray


class HeldStates:
    """States of a period with the devices at ``steps`` (device,), for many shares of its offers."""

    def __init__(self, problem: MapProblem, period: int, steps: np.ndarray) -> None:
        c = self.clearing = problem.clearing
        self.period, self.rows = period, problem.rows(period)
        self.grid = problem.grids[period].held(steps)
        self.y = self.grid.y.tocsr()
        size = len(self.grid.v)
        self.pq = np.setdiff1d(np.arange(size), np.concatenate([self.grid.ref, self.grid.pv]))
        self.angles = np.concatenate([self.grid.pv, self.pq]).astype(int)
        node = self.grid.node[c.offers.bus[self.rows]]
        full = (c.offers.p_mw[self.rows] + 1j * c.offers.q_mvar[self.rows]) / self.grid.base_mva
        # Sparse throughout: small dense products are slow where threads wait for each other.
        self.offer = sparse.csr_array((full, (node, np.arange(len(self.rows)))), shape=(size, len(self.rows)))
        self.points = [np.isin(np.arange(size), own) for own in point_nodes(c, period, self.grid.node)]
        self.side = c.limits["side"].to_numpy(dtype=float)
        self.tolerance = c.limits["tolerance"].to_numpy()
        self.wanted = _exchange_limits(c.problem.connection_points, list(c.points))
        self.start = self._start()

    def __call__(self, shares: np.ndarray) -> States:
        """Solve shares (state, row of ``rows``)."""
        pieces = [self._states(shares[k : k + PIECE]) for k in range(0, max(len(shares), 1), PIECE)]
        parts = zip(*((s.solved, s.p_mw, s.q_mvar, s.losses_mw, s.over) for s in pieces), strict=True)
        return States(*(np.concatenate(part) for part in parts))

    def _start(self) -> np.ndarray | None:
        """State with nothing taken, by Newton's method proper; None without a solution."""
        v = self.grid.v.copy()
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                residual = self._residual(v[:, None], self.grid.s[:, None])[:, 0]
                if not np.isfinite(residual).all():
                    return None
                if np.abs(residual).max(initial=0.0) * self.grid.base_mva <= MISMATCH_MVA:
                    self.factors = splu(self._jacobian(v))
                    return v
                v = self._moved(v[:, None], splu(self._jacobian(v)).solve(residual)[:, None])[:, 0]
        return None

    def _residual(self, v: np.ndarray, s: np.ndarray) -> np.ndarray:
        miss = v * np.conj(self.y @ v) - s
        return np.concatenate([miss.real[self.angles], miss.imag[self.pq]])

    def _moved(self, v: np.ndarray, step: np.ndarray) -> np.ndarray:
        vm, va = np.abs(v), np.angle(v)
        va[self.angles] -= step[: len(self.angles)]
        vm[self.pq] -= step[len(self.angles) :]
        return vm * np.exp(1j * va)

    def _jacobian(self, v: np.ndarray) -> sparse.csc_array:
        current, unit = self.y @ v, v / np.abs(v)
        by_angle = 1j * (_diag(v) @ (_diag(current) - self.y @ _diag(v)).conj())
        by_size = _diag(v) @ (self.y @ _diag(unit)).conj() + _diag(np.conj(current) * unit)
        a, m = self.angles, self.pq
        by_angle, by_size = by_angle.tocsr(), by_size.tocsr()
        return sparse.block_array(
            [
                [by_angle.real[a][:, a], by_size.real[a][:, m]],
                [by_angle.imag[m][:, a], by_size.imag[m][:, m]],
            ],
            format="csc",
        )

    def _states(self, shares: np.ndarray) -> States:
        count, points = len(shares), len(self.points)
        if self.start is None:
            none = np.full((count, points), np.nan)
            return States(np.zeros(count, bool), none, none, none[:, 0], np.full(count, np.inf))
        s = self.grid.s[:, None] + self.offer @ shares.T
        v = np.repeat(self.start[:, None], count, axis=1)
        good = np.zeros(count, dtype=bool)
        with np.errstate(all="ignore"):
            for _ in range(ROUNDS):
                residual = self._residual(v, s)
                good = np.abs(residual).max(axis=0, initial=0.0) * self.grid.base_mva <= MISMATCH_MVA
                open_ = ~good & np.isfinite(residual).all(axis=0)
                if not open_.any():
                    break
                v[:, open_] = self._moved(v[:, open_], self.factors.solve(residual[:, open_]))
        good &= (np.abs(v) > 0.5).all(axis=0)
        v[:, ~good] = np.nan
        into = v * np.conj(self.y @ v)
        drawn = np.array([(into - s)[own].sum(axis=0) for own in self.points]).reshape(points, count)
        drawn = drawn * self.grid.base_mva
        losses = into.real.sum(axis=0) * self.grid.base_mva
        return States(good, drawn.real.T, drawn.imag.T, losses, self._over(v, drawn, good))

    def _over(self, v: np.ndarray, drawn: np.ndarray, good: np.ndarray) -> np.ndarray:
        c = self.clearing
        node = self.grid.node[c.bases[self.period].net.bus.index.to_numpy()]
        vm = np.where(node[:, None] >= 0, np.abs(v)[node], np.nan)
        values = np.full((len(c.limits), v.shape[1]), np.nan)
        values[: 2 * len(node)] = np.concatenate([vm, vm])
        ends = self.grid.ends
        amps = np.abs(ends.y_own[:, None] * v[ends.own] + ends.y_other[:, None] * v[ends.other])
        np.fmax.at(values, ends.limit, amps * ends.percent[:, None])
        by_letter = {"p": drawn.real, "q": drawn.imag, "s": np.abs(drawn)}
        first = len(c.limits) - len(self.wanted)
        for row, (point, letter) in enumerate(self.wanted, start=first):
            values[row] = by_letter[letter][point]
        over = self.side[:, None] * (values - c.effective[self.period][:, None]) / self.tolerance[:, None]
        over[~np.isfinite(c.base[self.period])] = -np.inf  # nothing is there in the base state
        dead = (c.limits["kind"] == "overload").to_numpy()
        dead[ends.limit] = False
        over[dead] = -np.inf  # out of service
        return np.where(good, np.where(np.isnan(over), np.inf, over).max(axis=0), np.inf)


def _diag(value: np.ndarray) -> sparse.csr_array:
    return sparse.csr_array(sparse.diags_array(value))


def _exchange_limits(table: object, points: list[str]) -> list[tuple[int, str]]:
    """Point and quantity of every exchange limit, in the order of `measure`."""
    columns = ("p_max_mw", "p_min_mw", "q_max_mvar", "q_min_mvar", "s_max_mva")
    return [
        (k, column[0])
        for k, name in enumerate(points)
        for column in columns
        if column in table and table.loc[table["connection_point"] == name, column].notna().any()
    ]
