"""The seeded small cases of maps with active bids beside the reactive ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .small_maps import small_map

if TYPE_CHECKING:
    from gridclear import Case


def small_area(seed: int, *, divisible: bool = False) -> Case:
    """A case; plants go down, loads both ways; ``divisible``: nothing whole, no device moves."""
    case = small_map(seed)
    rng = np.random.default_rng([11, seed])
    rows = []
    net, forecast = case.grid.tables, case.forecast
    loads = forecast[forecast["element_type"] == "load"]
    consumed = dict(zip(zip(loads["element"], loads["start"], strict=True), loads["p_mw"], strict=True))
    for start in case.horizon.starts:
        for number, (table, name) in enumerate(
            [("sgen", name) for name in net["sgen"]["name"]]
            + [("load", name) for name in net["load"]["name"][:2]]
        ):
            for direction in ("down",) if table == "sgen" else ("up", "down"):
                p_mw = round(float(rng.uniform(0.2, 0.5)), 2)
                if (table, direction) == ("load", "up"):  # no more than it consumes
                    p_mw = min(p_mw, consumed[name, start])
                rows.append(
                    {"bid": f"B{number}{direction}", "element_type": table, "element": name, "start": start,
                     "direction": direction, "p_mw": p_mw,
                     "price_eur_mwh": round(float(rng.uniform(30.0, 120.0)), 1),
                     "min_p_mw": p_mw / 2 if number == 0 and not divisible else np.nan,
                     "tan_phi": 0.3 if table == "load" else np.nan}
                )  # fmt: skip
    points = case.connection_points.assign(p_min_mw=-60.0, p_max_mw=60.0)
    case = replace(case, active_bids=_filled(case, pd.DataFrame(rows)), connection_points=points)
    if not divisible:
        return case
    return replace(
        case,
        tap_changers=case.tap_changers.assign(mode="fixed"),
        capacitor_banks=case.capacitor_banks.assign(mode="fixed"),
        reactive_bids=case.reactive_bids.assign(min_q_mvar=np.nan),
    )


def _filled(case: Case, bids: pd.DataFrame) -> pd.DataFrame:
    """The bids with all columns that the case's own table has."""
    table = bids.reindex(columns=case.active_bids.columns)
    for column in table:
        if table[column].dtype == object or column in ("block", "exclusive"):
            table[column] = table[column].astype(object).where(table[column].notna(), "")
    return table.assign(start=bids["start"])
