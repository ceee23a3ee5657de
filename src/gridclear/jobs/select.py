"""The TSO's choice on PQ maps: least cost over all connection points and its own resources, per period."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import OptionError
from gridclear.jobs.result import Result
from gridclear.optimise.highs import Solver, solved
from gridclear.optimise.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.jobs.pq_map import PQMap
    from gridclear.network.network import Floats, Ints

#: Columns of what is asked for, and of the TSO's own resources.
_NEED = ("start", "q_mvar")
_RESOURCES = ("resource", "q_min_mvar", "q_max_mvar", "price_eur_mvarh")
#: Mvar that is not missed.
_NOTHING_MVAR = 1e-6


@dataclass(frozen=True, eq=False)
class Choice(Result):
    """Exchanges that meet a need at least cost.

    ``status`` is ``chosen``, or ``short`` where the maps and resources together cannot meet the need of some
    period: it is then met as nearly as they can.

    Attributes
    ----------
    profile : DataFrame
        start, connection_point, q_mvar, tolerance_mvar: as ``reactive_profile`` of a case, to be cleared.
    periods : DataFrame
        start, need_mvar, met_mvar, maps_eur, resources_eur: the cost by the maps and of the resources.
    resources : DataFrame
        start, resource, q_mvar, cost_eur.
    """

    profile: pd.DataFrame
    periods: pd.DataFrame
    resources: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"profile": self.profile, "periods": self.periods, "resources": self.resources}


@dataclass(frozen=True, eq=False)
class _Lines:
    """Straight parts of the maps of one period.

    Attributes
    ----------
    point : (line,) of int
    low, high, cost_low, cost_high : (line,)
        Mvar and EUR.
    """

    point: Ints
    low: Floats
    high: Floats
    cost_low: Floats
    cost_high: Floats


def select(
    pq: PQMap,
    need: pd.DataFrame,
    resources: pd.DataFrame | None = None,
    *,
    tolerance_mvar: float = 0.0,
) -> Choice:
    """Choose the exchange of every connection point so that the TSO's need is met at least cost.

    Parameters
    ----------
    pq : PQMap
        Maps of which the periods of ``need`` are taken.
    need : DataFrame
        start, q_mvar: by how much all exchanges together are to rise above the forecast, from transmission
        into distribution; negative: to fall.
    resources : DataFrame, optional
        resource, q_min_mvar, q_max_mvar, price_eur_mvarh: what the TSO has of its own to raise what is drawn
        from its grid (or with a negative range to lower it), in every period, paid per Mvarh either way.
    tolerance_mvar : float
        Of the profile that is made.

    Returns
    -------
    Choice

    Raises
    ------
    OptionError
        A column is missing, a range is empty, a number is not finite, or a period has no map.
    SolverError
        The solver ended in a way that is no answer.

    Notes
    -----
    One mixed-integer program per period: every map lies on one of its straight parts. Maps of points whose
    exchanges depend on each other (a meshed grid, others free) do not add up: clear the profile to see.
    """
    own = pd.DataFrame(columns=list(_RESOURCES)) if resources is None else resources
    _check(need, own)
    hours = float(pq.provenance["hours"])  # type: ignore[arg-type]  # provenance holds plain objects
    profile, periods, used = [], [], []
    ordered = need.sort_values("start")
    for start, wanted in zip(
        pd.DatetimeIndex(ordered["start"]), ordered["q_mvar"].to_numpy(dtype=np.float64).tolist(), strict=True
    ):
        points, lines, forecast = _lines_of(pq, start)
        q, cost, taken, missed = _solve(lines, len(points), forecast, wanted, own, hours)
        price = own["price_eur_mvarh"].to_numpy(dtype=np.float64)
        paid = np.abs(taken) * price * hours
        profile += [(start, point, value, tolerance_mvar) for point, value in zip(points, q, strict=True)]
        met = wanted - missed
        periods.append((start, wanted, met, cost, float(paid.sum())))
        used += [
            (start, name, value, eur) for name, value, eur in zip(own["resource"], taken, paid, strict=True)
        ]
    table = pd.DataFrame(periods, columns=["start", "need_mvar", "met_mvar", "maps_eur", "resources_eur"])
    short = (table["need_mvar"] - table["met_mvar"]).abs() > _NOTHING_MVAR
    return Choice(
        status="short" if short.any() else "chosen",
        provenance={"job": "select", "maps": dict(pq.provenance), "tolerance_mvar": tolerance_mvar},
        profile=pd.DataFrame(profile, columns=["start", "connection_point", "q_mvar", "tolerance_mvar"]),
        periods=table,
        resources=pd.DataFrame(used, columns=["start", "resource", "q_mvar", "cost_eur"]),
    )


def _check(need: pd.DataFrame, resources: pd.DataFrame) -> None:
    """Refuse tables that cannot be read."""
    for name, table, columns in (("need", need, _NEED), ("resources", resources, _RESOURCES)):
        missing = [column for column in columns if column not in table]
        if missing:
            raise OptionError(f"{name} lacks {', '.join(missing)}; it must have {', '.join(columns)}")
        numbers = table[[column for column in columns if column not in ("start", "resource")]]
        if not np.isfinite(numbers.to_numpy(dtype=np.float64)).all():
            raise OptionError(f"{name} holds numbers that are not finite")
    if (resources["q_min_mvar"] > resources["q_max_mvar"]).any():
        raise OptionError("resources holds a range whose end is below its start")
    if (resources["price_eur_mvarh"] < 0.0).any():
        raise OptionError("resources holds a negative price")


def _lines_of(pq: PQMap, start: pd.Timestamp) -> tuple[list[str], _Lines, float]:
    """Read the maps of one period: points, straight parts, and the sum of the forecasts."""
    ranges = pq.ranges[(pq.ranges["start"] == start) & pq.ranges["q_min_mvar"].notna()]
    if ranges.empty:
        raise OptionError(f"need asks for {start}, of which there is no map")
    points = [str(point) for point in ranges["connection_point"]]
    costs = pq.costs[pq.costs["start"] == start]
    found: list[tuple[int, float, float, float, float]] = []
    for number, point in enumerate(points):
        for _, run in costs[costs["connection_point"] == point].groupby("run"):
            marks = list(zip(run["q_mvar"].tolist(), run["cost_eur"].tolist(), strict=True))
            ends = list(pairwise(marks)) or [(marks[0], marks[0])]
            found += [(number, one[0], other[0], one[1], other[1]) for one, other in ends]
    ends_of = np.array([line[1:] for line in found])
    lines = _Lines(np.array([line[0] for line in found]), *ends_of.T)
    return points, lines, float(ranges["q_forecast_mvar"].sum())


def _solve(
    lines: _Lines, points: int, forecast: float, need: float, resources: pd.DataFrame, hours: float
) -> tuple[Floats, float, Floats, float]:
    """Exchanges by point, their cost, resources, and what is missing of the need."""
    program, width = Program(), lines.high - lines.low
    count = len(width)
    slope = np.divide(lines.cost_high - lines.cost_low, width, out=np.zeros(count), where=width > 0.0)
    on = program.columns(count, 0.0, 1.0, lines.cost_low, whole=True)
    along = program.columns(count, 0.0, width, slope)
    one = program.rows(points, 1.0, 1.0)
    program.entries(one[lines.point], on, 1.0)
    inside = program.rows(count, upper=0.0)
    program.entries(inside, along, 1.0)
    program.entries(inside, on, -width)
    price = resources["price_eur_mvarh"].to_numpy(dtype=np.float64) * hours
    most = resources["q_max_mvar"].to_numpy(dtype=np.float64)
    least = resources["q_min_mvar"].to_numpy(dtype=np.float64)
    raised = program.columns(len(price), np.maximum(least, 0.0), np.maximum(most, 0.0), price)
    lowered = program.columns(len(price), np.maximum(-most, 0.0), np.maximum(-least, 0.0), price)
    # Missing a Mvar is worth more than anything that could bring it.
    steep = 10.0 * (float(np.abs(slope).max(initial=1.0)) + float(price.max(initial=0.0)))
    steep += float(np.ptp(np.concatenate([lines.cost_low, lines.cost_high])))
    missing = program.columns(2, cost=steep * 1e3)
    balance = program.rows(1, need + forecast, need + forecast)[0]
    program.entries(balance, on, lines.low)
    program.entries(balance, along, 1.0)
    program.entries(balance, raised, 1.0)
    program.entries(balance, lowered, -1.0)
    program.entries(balance, missing, np.array([1.0, -1.0]))
    x = solved(Solver(program).minimise(program.cost)).x
    taken = np.rint(x[on])
    q = np.zeros(points)
    np.add.at(q, lines.point, taken * lines.low + x[along])
    cost = float(taken @ lines.cost_low + slope @ x[along])
    return q, cost, x[raised] - x[lowered], float(x[missing[0]] - x[missing[1]])
