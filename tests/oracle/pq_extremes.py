"""The set and the cost curve of a PQ map by enumeration of whole decisions and Ipopt on what can be divided.

With devices held, and every offer that has a least amount either left or taken, what is feasible is taken to
be connected, so that its exchange is an interval. A period's set is the union of these; between lie gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .clearing_grid import loadings
from .clearing_market import add_market, add_steps, point_nodes
from .clearing_nlp import STATUS, WATCHED_PERCENT, ipopt, solve_continuous
from .clearing_states import StateRows, losses_mw
from .quadratic import Quadratic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .clearing_grid import Grid
    from .clearing_values import Clearing
    from .pq_problem import MapProblem

MET_MVAR = 1e-6
ANSWERS = ("solved", "acceptable")
NONE = ("infeasible", "failed: Restoration_Failed")
_SHARE = 1e-6  # of an offer that counts as none
_SAME = 1e-5  # Mvar or EUR by which another setting must be better
_OPTIONS: dict[str, object] = {"ipopt.max_iter": 500}


@dataclass(frozen=True, eq=False)
class Whole:
    """Decisions that hold: ``steps`` (device,), and bounds of the shares, (offer of the period,)."""

    steps: np.ndarray
    least: np.ndarray
    most: np.ndarray


@dataclass(frozen=True, eq=False)
class Answer:
    """Where an optimum lies; ``share`` (offer of the period,). NaN where there is none."""

    status: str
    q_mvar: float
    cost_eur: float
    share: np.ndarray
    steps: np.ndarray


@dataclass(frozen=True, eq=False)
class Piece:
    """What the exchange can be under whole decisions."""

    whole: Whole
    low: Answer
    high: Answer


def extreme(problem: MapProblem, period: int, point: int, sign: float, whole: Whole | None = None) -> Answer:
    """Least (``sign`` -1) or largest (1) Q of a point; without ``whole`` devices and least amounts divide."""
    alone = _with_others(problem, period, point)
    found = along(problem, period, alone, point, (0.0, sign), whole)
    if found.status not in ANSWERS:
        return _none(found.status, found.share, found.steps)
    cost = _cost(problem, period, alone, found.share, found.steps, found.grid, found.v)
    return Answer(found.status, found.q_mvar, cost, found.share, found.steps)


@dataclass(frozen=True, eq=False)
class Along:
    """Where a way through P and Q of a point ends, if its status is an answer; ``v`` (node,) of ``grid``."""

    status: str
    p_mw: float
    q_mvar: float
    share: np.ndarray
    steps: np.ndarray
    grid: Grid
    v: np.ndarray


def along(
    problem: MapProblem,
    period: int,
    alone: Clearing,
    point: int,
    way: Sequence[float],
    whole: Whole | None = None,
) -> Along:
    """Largest ``way · (P, Q)`` of a point; without ``whole`` devices and least amounts divide."""
    grid = problem.grids[period]
    held = grid if whole is None else grid.held(whole.steps)
    least, most = (None, None) if whole is None else (whole.least, whole.most)
    watched = alone.base > WATCHED_PERCENT
    while True:
        model = Quadratic()
        market = add_market(model, alone, least, most)
        columns = add_steps(model, alone, whole=False) if whole is None else None
        states = StateRows(model, market, [held], columns).add(watched)
        arrays = model.arrays()
        mine = np.isin(grid.ref, point_nodes(alone, 0, grid.node)[point])
        own_p, own_q = (part[0][: len(grid.ref)][mine] for part in (states.p, states.q))
        cost, high = np.zeros(len(arrays.cost)), arrays.high.copy()
        cost[own_p], cost[own_q], high[states.short] = -way[0], -way[1], 0.0
        arrays = replace(arrays, cost=cost, high=high)
        solver = ipopt(arrays, _OPTIONS)
        answer = solver(
            x0=arrays.start, lbx=arrays.low, ubx=arrays.high, lbg=arrays.row_low, ubg=arrays.row_high
        )
        word = str(solver.stats()["return_status"])
        status, x = STATUS.get(word, f"failed: {word}"), np.asarray(answer["x"]).ravel()
        made = x[columns[0]] if columns is not None else whole.steps.astype(float)
        v = x[states.e[0]] + 1j * x[states.f[0]]
        loaded = loadings(held, v, made, len(alone.limits))
        missed = ~watched[0] & (loaded > alone.effective[0] + 1e-4)
        if status not in ANSWERS or not missed.any():
            break
        watched[0] |= loaded > WATCHED_PERCENT
    p_mw, q_mvar = (float(x[own].sum()) * grid.base_mva for own in (own_p, own_q))
    return Along(status, p_mw, q_mvar, np.clip(x[market.share], 0.0, 1.0), made, held, v)


def least_cost(
    problem: MapProblem, period: int, point: int, q_mvar: float, whole: Whole | None = None
) -> Answer:
    """Least cost of an exchange; without ``whole`` devices and least amounts divide."""
    alone = _with_others(problem, period, point)
    alone.profile[point, 0], alone.tolerance[point, 0] = q_mvar, 0.0
    least, most = (None, None) if whole is None else (whole.least, whole.most)
    steps = None if whole is None else whole.steps[None]
    found = solve_continuous(
        alone, steps, least=least, most=most, grids=[problem.grids[period]], options=_OPTIONS
    )
    if found.status not in ANSWERS:
        return _none(found.status, found.share, found.steps[0])
    if found.shortfall_mvar.max() > MET_MVAR:
        return _none("infeasible", found.share, found.steps[0])
    cost = found.cost_eur - problem.losses_mw[period] * problem.loss_price
    return Answer(found.status, q_mvar, cost, found.share, found.steps[0])


def decided(alone: Clearing, steps: np.ndarray, taken: np.ndarray) -> Whole:
    """Devices at ``steps``, offers with a least amount ``taken`` (offer,) or left."""
    asked = alone.offers.least > 0.0
    least = np.where(asked & taken, alone.offers.least, 0.0)
    return Whole(steps, least, np.where(alone.offers.live & (taken | ~asked), 1.0, 0.0))


def wholes(problem: MapProblem, period: int) -> list[Whole]:
    """Every way to decide what is whole."""
    alone = problem.alone(period)
    asked = np.flatnonzero((alone.offers.least > 0.0) & alone.offers.live)
    found = []
    for steps in problem.settings(period):
        for chosen in product((False, True), repeat=len(asked)):
            taken = np.zeros(len(alone.offers.live), dtype=bool)
            taken[asked] = chosen
            found.append(decided(alone, steps, taken))
    return found


def pieces(problem: MapProblem, period: int, point: int) -> list[Piece]:
    """What can be had under each of them, without those that nothing is feasible under."""
    found = []
    for whole in wholes(problem, period):
        low, high = (extreme(problem, period, point, sign, whole) for sign in (-1.0, 1.0))
        both = {low.status, high.status}
        if both <= set(ANSWERS):
            found.append(Piece(whole, low, high))
        elif not both & set(NONE):
            raise RuntimeError(f"Ipopt ends with {both} at {whole}")
    return found


def parts(found: list[Piece]) -> list[tuple[float, float]]:
    """Union of the intervals, in order."""
    joined: list[tuple[float, float]] = []
    for low, high in sorted((piece.low.q_mvar, piece.high.q_mvar) for piece in found):
        if joined and low <= joined[-1][1] + MET_MVAR:
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return joined


def cheapest(
    problem: MapProblem, period: int, point: int, q_mvar: float, found: list[Piece]
) -> Answer | None:
    """Least cost of an exchange over all whole decisions that can have it; None if none can."""
    best = None
    for piece in found:
        if piece.low.q_mvar - MET_MVAR <= q_mvar <= piece.high.q_mvar + MET_MVAR:
            q = float(np.clip(q_mvar, piece.low.q_mvar, piece.high.q_mvar))
            ends = [end for end in (piece.low, piece.high) if abs(end.q_mvar - q) <= MET_MVAR]
            answers = [least_cost(problem, period, point, q, piece.whole), *ends]
            for answer in answers:
                if answer.status in ANSWERS and (best is None or answer.cost_eur < best.cost_eur):
                    best = answer
    return best


def farthest(problem: MapProblem, period: int, point: int, sign: float) -> Answer | None:
    """Least or largest Q over all whole decisions, by branching; for many offers with a least amount."""
    return _branched(
        problem,
        period,
        lambda whole: extreme(problem, period, point, sign, whole),
        lambda answer: -sign * answer.q_mvar,
    )


def least_of_all(problem: MapProblem, period: int, point: int, q_mvar: float) -> Answer | None:
    """Least cost of an exchange over all whole decisions, by branching."""
    return _branched(
        problem,
        period,
        lambda whole: least_cost(problem, period, point, q_mvar, whole),
        lambda answer: answer.cost_eur,
    )


def _branched(
    problem: MapProblem, period: int, solve: Callable[[Whole], Answer], value: Callable[[Answer], float]
) -> Answer | None:
    """The least value over all settings; at each, offers below their least amount are left or taken."""
    offers = problem.alone(period).offers
    best: Answer | None = None
    for steps in problem.settings(period):
        open_ = [Whole(steps, np.zeros(len(offers.live)), offers.live.astype(float))]
        while open_:
            whole = open_.pop()
            answer = solve(whole)
            if answer.status not in ANSWERS or (best is not None and value(answer) >= value(best) - _SAME):
                continue
            part = np.where(answer.share < offers.least - _SHARE, np.minimum(answer.share, 1.0), 0.0)
            if part.max(initial=0.0) <= _SHARE:
                best = answer
                continue
            k = int(part.argmax())
            taken, left = whole.least.copy(), whole.most.copy()
            taken[k], left[k] = offers.least[k], 0.0
            open_ += [replace(whole, least=taken), replace(whole, most=left)]
    return best


def _with_others(problem: MapProblem, period: int, point: int) -> Clearing:
    """The period alone, with the bands of the other connection points as its profile."""
    alone = problem.alone(period)
    profile, tolerance = alone.profile.copy(), alone.tolerance.copy()
    if np.isfinite(problem.others_mvar):
        others = np.arange(len(profile)) != point
        profile[others, 0] = problem.q_mvar[others, period]
        tolerance[others, 0] = problem.others_mvar
    return replace(alone, profile=profile, tolerance=tolerance)


def _none(status: str, share: np.ndarray, steps: np.ndarray) -> Answer:
    return Answer(status, np.nan, np.nan, share, steps)


def _cost(
    problem: MapProblem,
    period: int,
    alone: Clearing,
    share: np.ndarray,
    steps: np.ndarray,
    held: Grid,
    v: np.ndarray,
) -> float:
    bank = np.zeros(len(v), dtype=complex)
    for one in held.banks:
        bank[one.node] += one.y * (one.start + steps[one.device])
    lost = losses_mw(held, v, bank) - problem.losses_mw[period]
    bids = float(alone.offers.cost_eur @ share) if len(share) else 0.0
    return bids + float(problem.moves_eur(steps)) + lost * problem.loss_price
