"""The continuous clearing in full: voltages of all nodes and periods, by CasADi and its Ipopt.

Everything that the program states is quadratic, so derivatives are products of constant sparse matrices with
the variables or the multipliers. Nothing of gridclear's optimisation or power flow is used.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import casadi as ca
import numpy as np
from scipy import sparse

from .clearing_grid import grids_of, loadings
from .clearing_market import FINE, add_market, add_steps, moves_eur
from .clearing_states import StateRows, losses_mw
from .quadratic import Quadratic

if TYPE_CHECKING:
    from .clearing_grid import Grid
    from .clearing_values import Clearing
    from .quadratic import Arrays

WATCHED_PERCENT = 50.0  # loading above which a current is in the program from the start
_BEYOND_PERCENT = 1e-4
STATUS = {
    "Solve_Succeeded": "solved",
    "Solved_To_Acceptable_Level": "acceptable",
    "Infeasible_Problem_Detected": "infeasible",
    "Maximum_Iterations_Exceeded": "iterations",
    "Maximum_CpuTime_Exceeded": "time",
    "Maximum_WallTime_Exceeded": "time",
}


@dataclass(frozen=True, eq=False)
class Continuous:
    """What Ipopt found.

    ``status``: ``solved``, ``acceptable``, ``infeasible``, ``iterations``, ``time``, or ``failed: `` and
    Ipopt's own word. ``share`` (offer,); ``steps`` (period, device); ``charge_mw``, ``discharge_mw`` (store,
    period); ``v``: by period the voltages of the grid's nodes; ``shortfall_mvar`` (point, period);
    ``uncured``: sum of what stays beyond true limits.
    """

    status: str
    bids_eur: float
    moves_eur: float
    losses_eur: float
    share: np.ndarray
    steps: np.ndarray
    charge_mw: np.ndarray
    discharge_mw: np.ndarray
    v: list[np.ndarray]
    shortfall_mvar: np.ndarray
    uncured: float
    iterations: int
    model_s: float
    solve_s: float

    @property
    def cost_eur(self) -> float:
        """Offers, moves and losses."""
        return self.bids_eur + self.moves_eur + self.losses_eur

    @property
    def seconds(self) -> float:
        """Model and solve."""
        return self.model_s + self.solve_s


def solve_continuous(
    clearing: Clearing,
    steps: np.ndarray | None = None,
    *,
    least: np.ndarray | None = None,
    most: np.ndarray | None = None,
    grids: list[Grid] | None = None,
    options: dict[str, object] | None = None,
) -> Continuous:
    """Clear with devices at ``steps`` (period, device), or continuous between their ends without.

    ``least``, ``most`` (offer,): bounds of the shares. ``grids``: what `grids_of` gave, to spare reading
    again. Currents that are small in the base state are left out until an answer breaks their limits.
    """
    grids = grids_of(clearing) if grids is None else grids
    held = grids if steps is None else [g.held(steps[t]) for t, g in enumerate(grids)]
    watched = clearing.base > WATCHED_PERCENT
    model_s = solve_s = 0.0
    while True:
        began = time.perf_counter()
        model = Quadratic()
        market = add_market(model, clearing, least, most)
        columns = add_steps(model, clearing, whole=False) if steps is None else None
        states = StateRows(model, market, held, columns).add(watched)
        arrays = model.arrays()
        solver = ipopt(arrays, options or {})
        modelled = time.perf_counter()
        answer = solver(
            x0=arrays.start, lbx=arrays.low, ubx=arrays.high, lbg=arrays.row_low, ubg=arrays.row_high
        )
        solved = time.perf_counter()
        model_s, solve_s = model_s + modelled - began, solve_s + solved - modelled
        x = np.asarray(answer["x"]).ravel()
        made = x[columns] if columns is not None else np.asarray(steps, dtype=float)
        v = [x[e] + 1j * x[f] for e, f in zip(states.e, states.f, strict=True)]
        loaded = np.array([loadings(g, v[t], made[t], len(clearing.limits)) for t, g in enumerate(held)])
        missed = ~watched & (loaded > clearing.effective + _BEYOND_PERCENT)
        if not missed.any():
            break
        watched |= loaded > WATCHED_PERCENT
    stats = solver.stats()
    word = str(stats["return_status"])
    return Continuous(
        status=STATUS.get(word, f"failed: {word}"),
        bids_eur=market.cost_eur(x),
        moves_eur=moves_eur(clearing, made),
        losses_eur=_losses_eur(clearing, held, v, made),
        share=np.clip(x[market.share[clearing.offers.unit]], 0.0, 1.0),
        steps=made,
        charge_mw=x[market.charge],
        discharge_mw=x[market.discharge],
        v=v,
        shortfall_mvar=np.maximum(x[states.short], 0.0),
        uncured=FINE * float(np.maximum(x[states.uncured], 0.0).sum()),
        iterations=int(stats["iter_count"]),
        model_s=model_s,
        solve_s=solve_s,
    )


def _losses_eur(clearing: Clearing, grids: list[Grid], v: list[np.ndarray], steps: np.ndarray) -> float:
    lost = 0.0
    for t, (grid, now) in enumerate(zip(grids, v, strict=True)):
        bank = np.zeros(len(now), dtype=complex)
        for one in grid.banks:
            bank[one.node] += one.y * (one.start + steps[t, one.device])
        lost += losses_mw(grid, now, bank)
    return lost * clearing.hours * clearing.losses_eur_mwh


def ipopt(arrays: Arrays, options: dict[str, object]) -> ca.Function:
    """Ipopt on a quadratic program."""
    size, height = len(arrays.low), len(arrays.row_low)
    row, column, value = arrays.linear
    at, one, other, by = arrays.product
    linear = sparse.csc_array((value, (row, column)), shape=(height, size))
    # Each pair of variables once.
    pair, place = np.unique(one.astype(np.int64) * size + other, return_inverse=True)
    first, second = pair // size, pair % size
    products = sparse.csc_array((by, (at, place)), shape=(height, len(pair)))
    x, p, gamma, lam = (ca.MX.sym(name, n) for name, n in
                        (("x", size), ("p", 0), ("lam_f", 1), ("lam_g", height)))  # fmt: skip
    cost = ca.DM(arrays.cost)
    f = ca.dot(cost, x)
    g = ca.mtimes(_dm(linear), x) + ca.mtimes(_dm(products), x[first.tolist()] * x[second.tolist()])
    # Jacobian: entries (row, column) of the linear part, and value · x[other] at (row, one) and its mirror.
    rows, columns = np.concatenate([row, at, at]), np.concatenate([column, one, other])
    pattern, entry = np.unique(columns.astype(np.int64) * height + rows, return_inverse=True)
    constant = np.bincount(entry[: len(row)], value, len(pattern))
    turned = sparse.csc_array(
        (np.concatenate([by, by]), (entry[len(row) :], np.concatenate([other, one]))),
        shape=(len(pattern), size),
    )
    shape = ca.Sparsity.triplet(height, size, (pattern % height).tolist(), (pattern // height).tolist())
    jacobian = ca.MX(shape, constant + ca.mtimes(_dm(turned), x))
    # Hessian, upper triangle in order of columns: value · multiplier, twice that on the diagonal.
    upper, spot = np.unique(other.astype(np.int64) * size + one, return_inverse=True)
    twice = np.where(one == other, 2.0, 1.0) * by
    weighted = sparse.csc_array((twice, (spot, at)), shape=(len(upper), height))
    shape = ca.Sparsity.triplet(size, size, (upper % size).tolist(), (upper // size).tolist())
    hessian = ca.MX(shape, ca.mtimes(_dm(weighted), lam))
    given = {
        "grad_f": ca.Function("nlp_grad_f", [x, p], [f, cost], ["x", "p"], ["f", "grad_f_x"]),
        "jac_g": ca.Function("nlp_jac_g", [x, p], [g, jacobian], ["x", "p"], ["g", "jac_g_x"]),
        "hess_lag": ca.Function(
            "nlp_hess_l", [x, p, gamma, lam], [hessian], ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"]
        ),
    }
    quiet = {"print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes"}
    # All is in p.u. and EUR. Scaled by its dearest penalties, the cost would end inaccurate. Their
    # multipliers leave slopes rounded at 1e-5: it is the complementarity that says when it is solved.
    tuned = {
        "calc_lam_p": False,
        "ipopt.nlp_scaling_method": "none",
        "ipopt.mu_strategy": "adaptive",
        "ipopt.tol": 1e-6,
        "ipopt.constr_viol_tol": 1e-8,
        "ipopt.compl_inf_tol": 1e-8,
    }
    return ca.nlpsol("clearing", "ipopt", {"x": x, "f": f, "g": g}, quiet | tuned | given | options)


def _dm(matrix: sparse.csc_array) -> ca.DM:
    matrix.sum_duplicates()
    matrix.sort_indices()
    shape = ca.Sparsity(*matrix.shape, matrix.indptr.tolist(), matrix.indices.tolist())
    return ca.DM(shape, matrix.data)
