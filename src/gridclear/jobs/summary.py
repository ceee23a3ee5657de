"""What a qualification adds up to: the price of its guarantee, and the constraints that cost most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.jobs.bids import Bids
    from gridclear.network.network import Floats


def cost_table(case: Case, bids: Bids, each: Floats, accepted: Floats) -> pd.DataFrame:
    """Megawatts that a guarantee lets through, beside those that are safe one by one.

    Parameters
    ----------
    case : Case
    bids : Bids
    each, accepted : (unit,)
        Accepted shares under the guarantee ``each`` and under the one that was asked for.

    Returns
    -------
    DataFrame
        start, direction, offered_mw, each_mw, accepted_mw, cost_mw; marked bids only, cost_mw = each_mw -
        accepted_mw. A cost below nothing means that bids relieve what stops others.
    """
    rows = case.active_bids
    own = bids.marked[bids.unit]
    frame = pd.DataFrame(
        {
            "start": rows["start"].array,
            "direction": rows["direction"].to_numpy(dtype=object),
            "offered_mw": bids.offered,
            "each_mw": each[bids.unit] * bids.offered,
            "accepted_mw": accepted[bids.unit] * bids.offered,
        }
    )[own]
    summed = frame.groupby(["start", "direction"], sort=True, as_index=False).sum()
    return summed.assign(cost_mw=summed["each_mw"] - summed["accepted_mw"])


def constraint_table(lights: pd.DataFrame, *, hours: float) -> pd.DataFrame:
    """Rank the constraints that stop bids, the one that holds back most energy first.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification.
    hours : float
        Length of a period in hours.

    Returns
    -------
    DataFrame
        kind, element_type, element, yellow and red (number of lights), periods, held_back_mwh.
    """
    stopped = lights[lights["light"] != "green"]
    named = ["kind", "element_type", "element"]
    frame = stopped[named].assign(
        yellow=(stopped["light"] == "yellow").astype(np.int64),
        red=(stopped["light"] == "red").astype(np.int64),
        periods=stopped["start"],
        held_back_mwh=(stopped["offered_mw"] - stopped["accepted_mw"]) * hours,
    )
    sums = {"yellow": "sum", "red": "sum", "periods": "nunique", "held_back_mwh": "sum"}
    summed = frame.groupby(named, sort=True, as_index=False).agg(sums)
    return summed.sort_values("held_back_mwh", ascending=False, kind="stable").reset_index(drop=True)
