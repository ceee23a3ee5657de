"""Seeded, plausible active bids: such bids are nowhere public, so these are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _simbench import PERIODS

if TYPE_CHECKING:
    import pandapower as pp
    from _recipe import Recipe
    from numpy.typing import NDArray

COLUMNS = (
    "bid",
    "element_type",
    "element",
    "start",
    "direction",
    "p_mw",
    "price_eur_mwh",
    "min_p_mw",
    "block",
    "tan_phi",
)
BLOCK_PERIODS = 6


@dataclass(frozen=True)
class Resource:
    """What an element can offer: MW per period each way, and EUR/MWh around which it asks (up, down).

    ``keen`` resources offer both ways and most of their room.
    """

    element_type: str
    element: str
    up_mw: NDArray[np.float64]
    down_mw: NDArray[np.float64]
    price_eur_mwh: tuple[float, float]
    tan_phi: float | None
    keen: bool


def resources(
    net: pp.pandapowerNet, forecast: pd.DataFrame, recipe: Recipe, rng: np.random.Generator
) -> list[Resource]:
    """Choose the elements that offer.

    Loads can shed what they draw (up) or draw up to their rating (down); generators use what is left of their
    rating (up) or are curtailed (down); storage can go from its forecast to full power either way.
    """
    plan = recipe.bids
    power = {
        (str(kind), str(name)): part["p_mw"].to_numpy()
        for (kind, name), part in forecast.groupby(["element_type", "element"], sort=False)
    }
    everyone = set(net.bus.index[net.bus["name"].isin(plan.buses)])
    big = {consumer.name for consumer in recipe.consumers}
    chosen = []

    loads = net.load[net.load["p_mw"] >= plan.smallest_mw]
    picked = _pick(rng, loads["p_mw"], plan.loads)
    for row in net.load.itertuples():
        if row.Index in picked or row.bus in everyone:
            p_mw = power["load", row.name]
            room = np.maximum(0.95 * row.sn_mva - p_mw, 0.0)
            tan_phi = round(row.q_mvar / row.p_mw, 2)
            chosen.append(Resource("load", row.name, p_mw, room, (90.0, 35.0), tan_phi, row.name in big))

    large = net.sgen["p_mw"] >= plan.large_mw
    picked = _pick(rng, net.sgen.loc[large, "p_mw"], plan.large_sgens)
    small = ~large & (net.sgen["p_mw"] >= 2.0 * plan.smallest_mw)
    picked |= _pick(rng, net.sgen.loc[small, "p_mw"], plan.small_sgens)
    for row in net.sgen.itertuples():
        if row.Index in picked or row.bus in everyone:
            p_mw = power["sgen", row.name]
            room = np.maximum(row.sn_mva - p_mw, 0.0)
            fuel = any(word in row.type for word in ("Biomass", "Hydro"))
            tan_phi = -0.2 if row.p_mw >= plan.large_mw and rng.random() < 0.4 else None
            price = (75.0, 20.0) if fuel else (45.0, -15.0)
            chosen.append(Resource("sgen", row.name, room, p_mw, price, tan_phi, row.bus in everyone))

    picked = _pick(rng, net.storage["sn_mva"], plan.storages)
    for row in net.storage[net.storage.index.isin(picked)].itertuples():
        p_mw = power.get(("storage", row.name), np.zeros(PERIODS))
        up, down = np.maximum(row.sn_mva + p_mw, 0.0), np.maximum(row.sn_mva - p_mw, 0.0)
        chosen.append(Resource("storage", row.name, up, down, (110.0, 10.0), None, keen=True))
    return chosen


def _pick(rng: np.random.Generator, size: pd.Series, count: int) -> set[int]:
    """Draw elements, large ones more often."""
    if size.empty or count == 0:
        return set()
    drawn = rng.choice(size.index, size=min(count, len(size)), replace=False, p=size / size.sum())
    return {int(index) for index in drawn}


def active_bids(net: pp.pandapowerNet, forecast: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Draw the bids of a case: one or two per resource, each over a run of periods.

    About a fifth ask for at least half of their amount, some are indivisible, the others accept any part down
    to the market's smallest bid; about a tenth are blocks (one amount over at most six periods, no least
    part); four belong to units in the transmission grid (no element).
    """
    rng = np.random.default_rng(recipe.seed)
    starts = pd.DatetimeIndex(forecast["start"].unique())
    rows: list[dict[str, object]] = []
    for resource in resources(net, forecast, recipe, rng):
        natural = "down" if resource.element_type == "sgen" else "up"
        other = "up" if natural == "down" else "down"
        draw = rng.random()
        directions = [natural, other] if resource.keen or draw < 0.25 else [natural if draw < 0.8 else other]
        for direction in directions:
            rows.extend(
                _offer(resource, direction, recipe, rng, starts, first_free=1 + len({r["bid"] for r in rows}))
            )
    for number, direction in enumerate(("up", "up", "down", "down"), start=1):
        amount = float(rng.integers(10, 41))
        price = round(rng.uniform(70.0, 130.0) if direction == "up" else rng.uniform(5.0, 45.0), 1)
        rows.extend(
            {
                "bid": f"T{number:03d}",
                "start": start,
                "direction": direction,
                "p_mw": amount,
                "price_eur_mwh": price,
            }
            for start in starts
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _offer(
    resource: Resource,
    direction: str,
    recipe: Recipe,
    rng: np.random.Generator,
    starts: pd.DatetimeIndex,
    *,
    first_free: int,
) -> list[dict[str, object]]:
    """Draw one bid and return its rows; empty if no period leaves room for the smallest bid."""
    plan = recipe.bids
    room, asked = (
        (resource.up_mw, resource.price_eur_mwh[0])
        if direction == "up"
        else (resource.down_mw, resource.price_eur_mwh[1])
    )
    share = rng.uniform(0.7, 1.0) if resource.keen else rng.uniform(0.35, 0.95)
    length = int(rng.integers(18 if resource.keen else 10, PERIODS + 1))
    first = int(rng.integers(0, PERIODS - length + 1))
    price = asked * rng.uniform(0.8, 1.3) + rng.uniform(-3.0, 3.0)
    shape = rng.random()
    is_block = shape >= 0.9
    run = np.arange(first, first + (min(BLOCK_PERIODS, length) if is_block else length))
    # 1e-9 keeps a share that is a whole number of steps from losing one to rounding.
    size = np.floor(share * room / plan.step_mw + 1e-9) * plan.step_mw
    if is_block:
        size = np.full(PERIODS, size[run].min())
    bid = f"B{first_free:03d}"
    rows: list[dict[str, object]] = []
    for period in run[size[run] >= plan.smallest_mw - 1e-9]:
        amount = round(float(size[period]), 3)
        rows.append(
            {
                "bid": bid,
                "element_type": resource.element_type,
                "element": resource.element,
                "start": starts[period],
                "direction": direction,
                "p_mw": amount,
                "price_eur_mwh": round(price + 4.0 * float(np.sin(period / 4.0)), 1),
                "min_p_mw": None if is_block else _least(amount, shape, plan.smallest_mw),
                "block": f"{bid}-block" if is_block else None,
                "tan_phi": resource.tan_phi,
            }
        )
    return rows


def _least(amount_mw: float, shape: float, smallest_mw: float) -> float:
    """Smallest part that a bid accepts: half of it, all of it (indivisible), or the market's smallest bid."""
    if shape < 0.2:
        return max(round(amount_mw / 2.0, 3), smallest_mw)
    return amount_mw if shape < 0.28 else smallest_mw
