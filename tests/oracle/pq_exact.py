"""A small PQ map in full, as tables like the published ones, and published curves against exact costs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .plain_grid import given, stamps
from .pq_extremes import ANSWERS, cheapest, decided, least_cost, parts, pieces
from .pq_judge import CHEAP_EUR, curve_of
from .pq_states import HeldStates

if TYPE_CHECKING:
    from .pq_extremes import Answer, Piece, Whole
    from .pq_judge import Map
    from .pq_problem import MapProblem

BESIDE_MVAR = 1e-4  # from an end of what a whole decision can do: costs jump there
NOTHING = 1e-7  # of an offer
COSTS = ("p_mw", "q_mvar", "cost_eur", "price_eur_mvarh")


@dataclass(frozen=True, eq=False)
class PlainMap:
    """The tables of a map."""

    ranges: pd.DataFrame
    costs: pd.DataFrame
    gaps: pd.DataFrame
    dispatch: pd.DataFrame


def plain_map(
    problem: MapProblem, found: dict[tuple[int, int], list[Piece]], points: int, *, jumps: bool = True
) -> PlainMap:
    """The map of the periods and points of ``found``, whose pieces are given: ``points`` in each part of it.

    ``jumps``: also on both sides of where a whole decision ends.
    """
    ranges, costs, gaps, dispatch = [], [], [], []
    for (t, k), own in found.items():
        if not own:
            continue
        key = {"start": problem.clearing.starts[t], "connection_point": problem.points[k]}
        union = parts(own)
        ranges.append(
            {
                **key,
                "p_mw": problem.p_mw[k, t],
                "q_min_mvar": union[0][0],
                "q_max_mvar": union[-1][1],
                "q_forecast_mvar": problem.q_mvar[k, t],
            }
        )
        gaps += [{**key, "q_from_mvar": one[1], "q_to_mvar": other[0]} for one, other in pairwise(union)]
        answers = [
            (run, cheapest(problem, t, k, q, own))
            for run, (low, high) in enumerate(union)
            for q in _places(low, high, own if jumps else [], points)
        ]
        for number, (run, answer) in enumerate(answers):
            costs.append({**_point(problem, t, k, number, answer), "run": run})
            dispatch += [{**key, "point": number, **line} for line in _lines(problem, t, answer)]
    columns = ["start", "connection_point"]
    return PlainMap(
        pd.DataFrame(ranges, columns=[*columns, "p_mw", "q_min_mvar", "q_max_mvar", "q_forecast_mvar"]),
        pd.DataFrame(costs, columns=[*columns, "point", "run", *COSTS]),
        pd.DataFrame(gaps, columns=[*columns, "q_from_mvar", "q_to_mvar"]),
        pd.DataFrame(
            dispatch,
            columns=[*columns, "point", "bid", "element_type", "element", "p_mw", "q_mvar", "position"],
        ),
    )


def all_pieces(problem: MapProblem, periods: range | None = None) -> dict[tuple[int, int], list[Piece]]:
    """Pieces of every point in these periods, or in all."""
    periods = range(len(problem.clearing.starts)) if periods is None else periods
    return {(t, k): pieces(problem, t, k) for t in periods for k in range(len(problem.points))}


def against_exact(
    problem: MapProblem, pq: Map, period: int, point: int, found: list[Piece], q_mvar: np.ndarray
) -> pd.DataFrame:
    """The published curve beside the exact least cost at these Q.

    ``curve_eur`` is NaN outside of the published set, ``exact_eur`` where nothing has that Q. ``over_cost``,
    ``over_span``: by how much the curve is dearer, as parts of the exact cost and of the curve's span.
    """
    curve = curve_of(pq, problem.clearing.starts[period], problem.points[point])
    best = [cheapest(problem, period, point, float(q), found) for q in q_mvar]
    exact = np.array([np.nan if answer is None else answer.cost_eur for answer in best])
    said = np.full(len(q_mvar), np.nan) if curve is None else curve.cost_at(q_mvar)
    return pd.DataFrame(
        {
            "q_mvar": q_mvar,
            "curve_eur": said,
            "exact_eur": exact,
            "over_eur": said - exact,
            "over_cost": (said - exact) / np.maximum(np.abs(exact), CHEAP_EUR),
            "over_span": (said - exact) / (1.0 if curve is None else curve.span),
        }
    )


def between(problem: MapProblem, pq: Map, *, most: int, seed: int = 0) -> pd.DataFrame:
    """Halves between neighbouring points, with the whole decisions of either held: the promise of the lines.

    A row per half: ``line_eur``, and ``cost_eur`` of the cheaper of both, NaN where neither has that Q: the
    promise may still rest on whole decisions of another point.
    """
    costs = pq.costs.assign(start=stamps(pq.costs["start"])).sort_values(
        ["start", "connection_point", "point"]
    )
    neighbours = [
        (one, other)
        for (start, name), own in costs.groupby(["start", "connection_point"])
        for one, other in zip(own.itertuples(), own.iloc[1:].itertuples(), strict=False)
        if one.run == other.run  # between two runs the cost jumps: no line is promised there
        and (curve := curve_of(pq, start, name)) is not None
        and np.isfinite(curve.cost_at(np.array([(one.q_mvar + other.q_mvar) / 2.0])))[0]
    ]
    chosen = np.random.default_rng(seed).permutation(len(neighbours))[:most]
    dispatch = pq.dispatch.assign(start=stamps(pq.dispatch["start"]))
    rows = []
    for one, other in [neighbours[k] for k in sorted(chosen)]:
        t, k = problem.clearing.starts.get_loc(one.start), problem.points.index(one.connection_point)
        q = (one.q_mvar + other.q_mvar) / 2.0
        answers = [least_cost(problem, t, k, q, whole_of(problem, dispatch, row)) for row in (one, other)]
        cost = min((a.cost_eur for a in answers if a.status in ANSWERS), default=np.nan)
        rows.append((one.start, one.connection_point, q, (one.cost_eur + other.cost_eur) / 2.0, cost))
    return pd.DataFrame(rows, columns=["start", "connection_point", "q_mvar", "line_eur", "cost_eur"])


def whole_of(problem: MapProblem, dispatch: pd.DataFrame, row: object) -> Whole:
    """What is whole in the dispatch of a published point."""
    lines = dispatch[
        (dispatch["start"] == row.start)
        & (dispatch["connection_point"] == row.connection_point)
        & (dispatch["point"] == row.point)
    ]
    alone = problem.alone(problem.clearing.starts.get_loc(row.start))
    offers = alone.offers
    taken = np.zeros(len(offers.live), dtype=bool)
    position = {}
    for line in lines.to_dict("records"):
        if given(line["bid"]):
            same = (offers.table["bid"] == line["bid"]).to_numpy() & (offers.q_mvar * line["q_mvar"] > 0.0)
            taken |= same
        else:
            position[line["element_type"], line["element"]] = line["position"]
    steps = [
        (position.get((device.table, device.names[0]), device.start[0]) - device.start[0]) * device.sense[0]
        for device in problem.clearing.devices
    ]
    return decided(alone, np.array(steps, dtype=int), taken)


def _places(low: float, high: float, found: list[Piece], points: int) -> list[float]:
    """Where the curve is to be known: evenly, and on both sides of where a whole decision ends."""
    ends = [end.q_mvar for piece in found for end in (piece.low, piece.high)]
    beside = [end + side for end in ends for side in (-BESIDE_MVAR, 0.0, BESIDE_MVAR)]
    inside = [q for q in beside if low < q < high]
    return sorted({*np.linspace(low, high, points).tolist(), *inside})


def _point(problem: MapProblem, t: int, k: int, number: int, answer: Answer) -> dict[str, object]:
    """A row of ``costs``: of the state that the answer's decisions have."""
    share = _share(problem, t, answer)
    state = HeldStates(problem, t, answer.steps)(share[None])
    lost = float(state.losses_mw[0]) - problem.losses_mw[t]
    bids = float(problem.clearing.offers.cost_eur[problem.rows(t)] @ share)
    return {
        "start": problem.clearing.starts[t],
        "connection_point": problem.points[k],
        "point": number,
        "p_mw": float(state.p_mw[0, k]),
        "q_mvar": float(state.q_mvar[0, k]),
        "cost_eur": bids + float(problem.moves_eur(answer.steps)) + lost * problem.loss_price,
        "price_eur_mvarh": 0.0,
    }


def _share(problem: MapProblem, t: int, answer: Answer) -> np.ndarray:
    """Shares of ``problem.rows`` in an answer."""
    share = answer.share[problem.alone(t).offers.live]
    return np.where(share < NOTHING, 0.0, share)


def _lines(problem: MapProblem, t: int, answer: Answer) -> list[dict[str, object]]:
    """Rows of ``dispatch`` without their key: bids that are taken, devices that are moved."""
    offers, rows, share = problem.clearing.offers, problem.rows(t), _share(problem, t, answer)
    taken = offers.table.loc[rows].assign(q_mvar=offers.q_mvar[rows] * share, p_mw=0.0)[share > 0.0]
    lines = taken[["bid", "element_type", "element", "p_mw", "q_mvar"]].to_dict("records")
    for device, step in zip(problem.clearing.devices, answer.steps.astype(int).tolist(), strict=True):
        if step:
            lines += [
                {"bid": "", "element_type": device.table, "element": name, "position": position}
                for name, position in zip(device.names, device.position(step), strict=True)
            ]
    return lines
