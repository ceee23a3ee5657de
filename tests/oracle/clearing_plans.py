"""A clearing's published tables as plain numbers, and numbers as such tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .clearing_judge import energies
from .plain_grid import given, stamps

if TYPE_CHECKING:
    from .clearing_values import Clearing

NOTHING = 1e-7  # of an offer


def shares_of(clearing: Clearing, schedule: pd.DataFrame) -> np.ndarray:
    """Share of every offer, (offer,), that a schedule takes."""
    offers = clearing.offers
    place = {
        (row.market, row.bid, row.start, row.direction): k for k, row in enumerate(offers.table.itertuples())
    }
    share = np.zeros(len(offers.unit))
    taken = schedule[schedule["bid"].map(given) & ((schedule["p_mw"] != 0.0) | (schedule["q_mvar"] != 0.0))]
    for row in taken.assign(start=stamps(taken["start"])).to_dict("records"):
        p, q = row["p_mw"], row["q_mvar"]
        market, direction = ("active", "up" if p > 0 else "down") if p else ("reactive", "")
        direction = direction or ("inject" if q > 0 else "absorb")
        k = place[market, row["bid"], row["start"], direction]
        share[k] = p / offers.p_mw[k] if p else q / offers.q_mvar[k]
    return share


def as_decided(clearing: Clearing, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds that keep smallest amounts and groups as they were decided."""
    offers, taken = clearing.offers, share > 1e-9
    bound = (offers.least > 0.0) | (offers.exclusive >= 0)
    return np.where(taken, offers.least, 0.0), np.where(bound & ~taken, 0.0, 1.0)


def steps_of(clearing: Clearing, devices: pd.DataFrame) -> np.ndarray:
    """Steps of every decided device, (period, device)."""
    steps = np.zeros((len(clearing.starts), len(clearing.devices)))
    for d, device in enumerate(clearing.devices):
        mine = (devices["element_type"] == device.table) & (devices["element"] == device.names[0])
        position = devices[mine].assign(start=stamps(devices["start"])).set_index("start")["position"]
        steps[:, d] = (position.loc[clearing.starts].to_numpy() - device.start[0]) * device.sense[0]
    return steps


def schedule_of(
    clearing: Clearing, share: np.ndarray, charge: np.ndarray, discharge: np.ndarray
) -> pd.DataFrame:
    """The table ``schedule`` of such a decision; storage powers in MW, (store, period)."""
    offers, share = clearing.offers, np.where(share < NOTHING, 0.0, share)
    bids = offers.table[["start", "bid", "element_type", "element"]].assign(
        p_mw=offers.p_mw * share, q_mvar=offers.q_mvar * share, cost_eur=offers.cost_eur * share
    )
    parts = [bids]
    for s, store in enumerate(clearing.stores):
        own = {"start": clearing.starts, "bid": "", "element_type": "storage", "element": store.element}
        change = store.p_mw - charge[s] + discharge[s]
        parts.append(pd.DataFrame({**own, "p_mw": change, "q_mvar": 0.0, "cost_eur": 0.0}))
    return pd.concat(parts, ignore_index=True)


def devices_of(
    clearing: Clearing, steps: np.ndarray, charge: np.ndarray, discharge: np.ndarray
) -> pd.DataFrame:
    """The table ``devices`` of such a decision: decided devices and storages alone."""
    parts = []
    for d, device in enumerate(clearing.devices):
        moves = np.abs(np.diff(steps[:, d], prepend=0.0))
        for name, start, sense in zip(device.names, device.start, device.sense, strict=True):
            own = {"start": clearing.starts, "element_type": device.table, "element": name}
            parts.append(
                pd.DataFrame({**own, "position": start + sense * np.round(steps[:, d]), "moves": moves})
            )
    for s, store in enumerate(clearing.stores):
        own = {"start": clearing.starts, "element_type": "storage", "element": store.element}
        parts.append(
            pd.DataFrame({**own, "energy_mwh": energies(store, charge[s] - discharge[s], clearing.hours)})
        )
    columns = ["start", "element_type", "element", "position", "moves", "energy_mwh"]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)
