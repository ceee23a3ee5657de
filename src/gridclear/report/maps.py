"""PQ maps in a terminal: what every connection point can give and take, and at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.report.tables import render

if TYPE_CHECKING:
    from gridclear.jobs.pq_map import PQMap

_WORDS = {
    "mapped": "every period is mapped, every point confirmed by a power flow",
    "partial": "not every period is mapped in full: see the column state of ranges",
    "deadline": "time was over: some periods are not mapped",
}


def describe_map(pq: PQMap, *, width: int = 100) -> str:
    """Show status, ranges over the horizon, and prices of the first Mvar up and down.

    Parameters
    ----------
    pq : PQMap
    width : int
        Characters per line.
    """
    head = (
        f"{pq.status}: {_WORDS[pq.status]}\n"
        f"{len(pq.costs)} points; exchange at other connection points: {pq.provenance['others']}"
    )
    joint = (
        "Any choice, period by period, can be delivered."
        if pq.provenance["jointly_deliverable"]
        else "Maps of single periods: whether a choice can be delivered period after period, clear says."
    )
    parts = [head, "Exchange, Mvar\n" + render(_ranges(pq), width=width)]
    if not pq.regions.states.empty:
        parts.append("Regions, by the middle of their periods\n" + render(_regions(pq), width=width))
    return "\n\n".join([*parts, joint])


def _regions(pq: PQMap) -> pd.DataFrame:
    rows = []
    every = pq.regions.states.groupby(["connection_point", "other_point"], sort=False)
    for (point, other), own in every:
        rows.append(
            {
                "connection point": str(point),
                "plane": f"Q and Q of {other}" if other else "P and Q",
                "periods": f"{int((own['state'] == 'mapped').sum())} of {len(own)}",
                "size": f"{_median(own['size']):.2f} {'Mvar²' if other else 'MW·Mvar'}",
                "open, %": _median(own["open_percent"]),
            }
        )
    return pd.DataFrame(rows)


def _ranges(pq: PQMap) -> pd.DataFrame:
    rows = []
    for point, own in pq.ranges.groupby("connection_point", sort=False):
        costs = pq.costs[pq.costs["connection_point"] == point].merge(own, on=["start", "connection_point"])
        more, less = (
            costs[sign * (costs["q_mvar"] - costs["q_forecast_mvar"]) > 0.0]["price_eur_mvarh"]
            for sign in (1.0, -1.0)
        )
        gaps = pq.gaps[pq.gaps["connection_point"] == point]
        rows.append(
            {
                "connection point": str(point),
                "periods": f"{int((own['state'] == 'mapped').sum())} of {len(own)}",
                "least": _span(own["q_min_mvar"]),
                "forecast": _span(own["q_forecast_mvar"]),
                "largest": _span(own["q_max_mvar"]),
                "gaps": len(gaps),
                "price of less, EUR/Mvarh": _median(-less),
                "price of more": _median(more),
            }
        )
    return pd.DataFrame(rows)


def _span(values: pd.Series) -> str:
    if values.isna().all():
        return "-"
    if values.min() == values.max():
        return f"{values.min():.2f}"
    return f"{values.min():.2f} … {values.max():.2f}"


def _median(values: pd.Series) -> float:
    return float(values.median()) if len(values) else float(np.nan)
