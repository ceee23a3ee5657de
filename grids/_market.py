"""Seeded tables for the reactive market and the TSO's need: made, like the bids, because none are public."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
from _simbench import PERIODS

if TYPE_CHECKING:
    from _recipe import Recipe

TAN_PHI_95 = 0.33  # reactive per active power at a power factor of 0.95, rounded as grid codes do
POWER_FACTOR = 0.95
CURVE = "D"


def active_need(recipe: Recipe, starts: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of ``active_need.csv``: upward in every period, downward too in every third."""
    rng = np.random.default_rng(recipe.seed + 2)
    low, high = recipe.bids.need_mw
    rows = []
    for period, start in enumerate(starts):
        swell = 0.5 + 0.5 * float(np.sin(2.0 * np.pi * period / PERIODS))
        up = low + (high - low) * (0.7 * swell + 0.3 * rng.random())
        rows.append({"start": start, "direction": "up", "p_mw": round(up, 1)})
        if period % 3 == 0:
            down = 0.6 * low + 0.5 * rng.random()
            rows.append({"start": start, "direction": "down", "p_mw": round(down, 1)})
    return pd.DataFrame(rows)


def reactive_resources(net: pp.pandapowerNet, recipe: Recipe) -> list[tuple[str, str, float]]:
    """List the largest generators, and all storages or the largest, with the Mvar that each can offer."""
    plan, order = recipe.bids, {"by": ["sn_mva", "name"], "ascending": [False, True]}
    generators = net.sgen.sort_values(**order).head(plan.reactive_sgens)
    storages = net.storage
    if plan.reactive_storages is not None:
        storages = storages.sort_values(**order).head(plan.reactive_storages)
    return [
        (table, row.name, round(TAN_PHI_95 * row.sn_mva, 3))
        for table, frame in (("sgen", generators), ("storage", storages))
        for row in frame.itertuples()
    ]


def inverters(net: pp.pandapowerNet, recipe: Recipe) -> pd.DataFrame:
    """Rows of ``inverters.csv``: the generators that offer reactive power can do so at full active power.

    The first follows a curve, the others keep a power factor.
    """
    rows = [
        {
            "element": element,
            "s_max_mva": round(_rating(net, element) / POWER_FACTOR, 3),
            "min_power_factor": None if place == 0 else POWER_FACTOR,
            "curve": CURVE if place == 0 else None,
        }
        for place, element in enumerate(_generators(net, recipe))
    ]
    return pd.DataFrame(rows)


def capability_curves(net: pp.pandapowerNet, recipe: Recipe) -> pd.DataFrame:
    """Rows of ``capability_curves.csv``: some at standstill, all from a fifth of the rating on."""
    rating = _rating(net, _generators(net, recipe)[0])
    points = ((0.0, 0.1), (0.2, TAN_PHI_95), (1.0 / POWER_FACTOR, TAN_PHI_95))
    return pd.DataFrame(
        [
            {
                "curve": CURVE,
                "p_mw": round(p * rating, 3),
                "q_min_mvar": -round(q * rating, 3),
                "q_max_mvar": round(q * rating, 3),
            }
            for p, q in points
        ]
    )


def _generators(net: pp.pandapowerNet, recipe: Recipe) -> list[str]:
    return [element for table, element, _ in reactive_resources(net, recipe) if table == "sgen"]


def _rating(net: pp.pandapowerNet, element: str) -> float:
    return float(net.sgen.loc[net.sgen["name"] == element, "sn_mva"].iloc[0])


def reactive_bids(net: pp.pandapowerNet, recipe: Recipe, starts: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of ``reactive_bids.csv``: all periods, both ways; every fourth bid asks for half."""
    rng = np.random.default_rng(recipe.seed + 3)
    rows = []
    number = 0
    for table, element, most_mvar in reactive_resources(net, recipe):
        for direction in ("inject", "absorb"):
            number += 1
            price = rng.uniform(2.0, 14.0)
            for period, start in enumerate(starts):
                rows.append(
                    {
                        "bid": f"Q{number:03d}",
                        "element_type": table,
                        "element": element,
                        "start": start,
                        "direction": direction,
                        "q_mvar": most_mvar,
                        "price_eur_mvarh": round(price + 0.5 * float(np.cos(period / 5.0)), 2),
                        "min_q_mvar": round(most_mvar / 2.0, 3) if number % 4 == 0 else None,
                    }
                )
    return pd.DataFrame(rows)


def reactive_profile(
    net: pp.pandapowerNet, forecast: pd.DataFrame, recipe: Recipe, starts: pd.DatetimeIndex
) -> pd.DataFrame:
    """Rows of ``reactive_profile.csv``: forecast exchange plus a smooth wave.

    The forecast exchange is pandapower's, with the outages in force and every device at its scheduled
    position. The wave reaches 40 % of what the reactive resources offer, shared by the connection points.
    """
    exchange = _exchange_mvar(net, forecast, recipe, starts)
    offered = sum(most_mvar for _, _, most_mvar in reactive_resources(net, recipe))
    points = recipe.connection_points
    reach = 0.4 * offered / len(points)
    digits = 1 if reach < 10.0 else 0
    wave = np.sin(2.0 * np.pi * np.arange(PERIODS) / PERIODS)
    parts = [
        pd.DataFrame(
            {
                "connection_point": point.name,
                "start": starts,
                "q_mvar": (exchange[point.ext_grid].to_numpy() + reach * wave).round(digits) + 0.0,
                "tolerance_mvar": 0.1 if digits else 2.0,
            }
        )
        for point in points
    ]
    return pd.concat(parts, ignore_index=True)


def _exchange_mvar(
    net: pp.pandapowerNet, forecast: pd.DataFrame, recipe: Recipe, starts: pd.DatetimeIndex
) -> pd.DataFrame:
    """Reactive exchange in Mvar by period and ext_grid name."""
    net = copy.deepcopy(net)
    rows = []
    for period, start in enumerate(starts):
        current = forecast[forecast["start"] == start]
        for table, rows_of_table in current.groupby("element_type"):
            part = rows_of_table.set_index("element")
            known = net[table]["name"].isin(part.index)
            for column in ("p_mw", "q_mvar"):
                net[table].loc[known, column] = part[column].reindex(net[table].loc[known, "name"]).to_numpy()
        for outage in recipe.outages:
            active = outage.first <= period <= outage.last
            row = net[outage.element_type]["name"] == outage.element
            if outage.state in ("open", "closed"):
                net[outage.element_type].loc[row, "closed"] = (outage.state == "closed") == active
            else:
                net[outage.element_type].loc[row, "in_service"] = (outage.state == "in") == active
        pp.runpp(net, calculate_voltage_angles=True)
        rows.append(dict(zip(net.ext_grid["name"], net.res_ext_grid["q_mvar"], strict=True)))
    return pd.DataFrame(rows)
