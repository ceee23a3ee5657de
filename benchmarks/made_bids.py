"""Made bids: seeded, on the elements of a shipped case, in every period of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import gridclear

TABLES = ("load", "sgen", "storage")


def made_bids(
    case: gridclear.Case, count: int, seed: int, sizes_mw: tuple[float, float] = (0.05, 10.0)
) -> pd.DataFrame:
    """``count`` bids per period, with the columns and types of ``case.active_bids``.

    Elements are drawn from all loads, generators and storage units; directions are even; amounts run
    over ``sizes_mw``, evenly on a logarithmic scale, so that all colours appear; loads move reactive power
    along (``tan_phi`` 0.4); one bid in ten states a smallest amount of half its offer. No blocks,
    no exclusive groups.
    """
    rng = np.random.default_rng(seed)
    places = [
        (table, label) for table in TABLES if table in case.grid.tables for label in case.grid.labels(table)
    ]
    drawn = rng.integers(len(places), size=count)
    p_mw = np.exp(rng.uniform(np.log(sizes_mw[0]), np.log(sizes_mw[1]), count)).round(3)
    bids = pd.DataFrame(
        {
            "bid": [f"M{i:05d}" for i in range(count)],
            "element_type": [places[i][0] for i in drawn],
            "element": [places[i][1] for i in drawn],
            "direction": rng.choice(["up", "down"], count),
            "p_mw": p_mw,
            "price_eur_mwh": rng.uniform(20.0, 200.0, count).round(2),
            "min_p_mw": np.where(rng.random(count) < 0.1, p_mw / 2, np.nan),
            "block": "",
            "tan_phi": [0.4 if places[i][0] == "load" else np.nan for i in drawn],
            "exclusive": "",
        }
    )
    starts = pd.DataFrame({"start": case.horizon.starts})
    rows = bids.merge(starts, how="cross")[list(case.active_bids.columns)]
    return rows.astype(case.active_bids.dtypes.to_dict())
