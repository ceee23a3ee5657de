"""What an element can still do beside what was taken of it, read plainly from the grid and the forecast.

A load or generator ends at nothing, or at ``min_p_mw`` where the grid states it; one that the grid or a
forecast has below zero ends at ``-sn_mva``. At the other end stands ``max_p_mw``, else ``sn_mva``. Storage
moves between ``min_p_mw`` and ``max_p_mw``, else within ``sn_mva``. What nobody states is no end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .activation import Item, Period, bids_of
from .brute_force import element_row
from .plain_grid import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .clearing_values import Clearing
    from .plain_grid import Problem

NEARLY_MW = 1e-6
#: By element, period and direction: MW.
Moves = dict[tuple[str, str, pd.Timestamp], float]


def able(periods: Mapping[pd.Timestamp, Period], item: Item, taken: Moves) -> float:
    """Largest share of an item that its elements can still do; ``taken`` is in the elements' own sign."""
    share = 1.0
    for unit in item.units:
        period = periods[unit.start]
        bids = bids_of(period.problem)
        offered: dict[tuple[str, str], float] = {}
        for row in unit.rows:
            if "element" in bids[row]:
                key = (str(bids[row]["element_type"]), str(bids[row]["element"]))
                offered[key] = offered.get(key, 0.0) + number(bids[row], "p_mw")
        for (table, name), p_mw in offered.items():
            left = _left(period, table, name, unit.direction, taken.get((table, name, unit.start), 0.0))
            if p_mw > left + NEARLY_MW:
                share = min(share, 0.0 if left <= NEARLY_MW else left / p_mw)
    return share


def take(item: Item, share: float, bids: Mapping[int, Mapping[str, object]], taken: Moves) -> None:
    """Add what is taken of an item to ``taken``."""
    for unit in item.units:
        for row in unit.rows:
            if "element" in bids[row]:
                table, name = str(bids[row]["element_type"]), str(bids[row]["element"])
                moved = share * number(bids[row], "p_mw") * _way(table, unit.direction)
                key = (table, name, unit.start)
                taken[key] = taken.get(key, 0.0) + moved


def _way(table: str, direction: str) -> float:
    """1 where more of the direction raises the element's power in its own sign."""
    return 1.0 if (direction == "up") == (table in ("sgen", "gen")) else -1.0


def _left(period: Period, table: str, name: str, direction: str, moved: float) -> float:
    element = element_row(period.base, {"element_type": table, "element": name})
    low, high = _ends(period.problem, table, element)
    at = float(element["p_mw"]) * float(element["scaling"]) + moved
    return max(high - at if _way(table, direction) > 0.0 else at - low, 0.0)


def beyond_their_ends(
    clearing: Clearing, elements: Mapping[tuple[str, str], int], p_mw: np.ndarray
) -> list[tuple[pd.Timestamp, str]]:
    """Say when loads and generators leave what they can do; ``p_mw`` (element, period) changes injections."""
    found = []
    for (table, name), k in elements.items():
        if table == "storage":
            continue
        for base, start, moved in zip(clearing.bases, clearing.starts, p_mw[k], strict=True):
            element = element_row(base, {"element_type": table, "element": name})
            low, high = _ends(clearing.problem, table, element)
            own = float(element["p_mw"]) * float(element["scaling"])
            at = own + moved * _way(table, "up")
            if moved and not min(low, own) - NEARLY_MW <= at <= max(high, own) + NEARLY_MW:
                found.append((start, f"{name}: {at} MW outside of {low}, {high}"))
    return found


def _ends(problem: Problem, table: str, element: pd.Series) -> tuple[float, float]:
    """Least and most MW of an element in its own sign."""
    columns = [column for column in ("min_p_mw", "max_p_mw", "sn_mva") if column in element]
    stated = {column: float(element[column]) for column in columns if pd.notna(element[column])}
    rating = stated.get("sn_mva", 0.0)
    rating = rating if rating > 0.0 else np.inf
    if table == "storage":
        return stated.get("min_p_mw", -rating), stated.get("max_p_mw", rating)
    low = -rating if _ever_below_zero(problem, table, str(element["name"])) else 0.0
    most = stated.get("max_p_mw", 0.0)
    return stated.get("min_p_mw", low), most if most > 0.0 else rating


def _ever_below_zero(problem: Problem, table: str, name: str) -> bool:
    net, forecast = problem.net, problem.forecast
    values = [float(net[table]["p_mw"][net[table]["name"] == name].iloc[0])]
    if len(forecast):
        own = forecast[(forecast["element_type"] == table) & (forecast["element"] == name)]
        values += own["p_mw"].dropna().tolist()
    return min(values) < 0.0
