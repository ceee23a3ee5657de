"""Offers that a clearing may take: rows of bids as shares, with what they move, cost and ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.powerflow.offered import (
    canonical_order,
    divided_power,
    full_activations,
    places,
    sorted_codes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations

#: Tables of bids, with the columns that a clearing reads: amount, price, least amount; and what raises.
_REACTIVE = ("reactive_bids", "q_mvar", "price_eur_mvarh", "min_q_mvar", "inject")
_ACTIVE = ("active_bids", "p_mw", "price_eur_mwh", "min_p_mw", "up")
#: Markets and the tables that are cleared in them.
MARKETS = {"reactive": (_REACTIVE,), "common": (_REACTIVE, _ACTIVE)}


@dataclass(frozen=True, eq=False)
class Offers:
    """Rows that may be taken, and items: a block's rows are taken at one share, every other row at its own.

    Neither order depends on the order of the case's rows.

    Attributes
    ----------
    bid, element_type, element : (row,) of str
        As the tables have them.
    activations : Activations
        Full activation of every row, in its period.
    p, q : (row,)
        Change of injection in p.u. at the full share and at 1 p.u. of voltage.
    item : (row,) of int
    cost : (row,)
        EUR for the full share over its period.
    least, most : (item,)
        Smallest share that is not nothing, and largest: 0 where a row has no supply in its period.
    exclusive : (row,) of int
        Rows with the same number are never taken together in one period; -1: with any.
    """

    bid: NDArray[np.str_]
    element_type: NDArray[np.str_]
    element: NDArray[np.str_]
    activations: Activations
    p: Floats
    q: Floats
    item: Ints
    cost: Floats
    least: Floats
    most: Floats
    exclusive: Ints

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Items of which it has to be decided whether they are taken at all, (item,)."""
        asked = self.least > 0.0
        asked[self.item[self.exclusive >= 0]] = True
        return asked

    @property
    def dearest(self) -> float:
        """Largest price of a row: EUR over its period per p.u. of the larger of its P and Q."""
        size = np.maximum(np.abs(self.p), np.abs(self.q))
        moves = size > 0.0
        return float((np.abs(self.cost[moves]) / size[moves]).max(initial=0.0))

    @property
    def period(self) -> Ints:
        """Period of every row."""
        return self.activations.period


def resolve_offers(compiled: CompiledCase, market: str, *, linked: bool = True) -> Offers:
    """Find what every row moves, costs and asks for.

    Parameters
    ----------
    compiled : CompiledCase
    market : {"reactive", "common"}
        ``common`` takes active bids, too.
    linked : bool
        Whether rows of a block are taken at one share; else every row is an item of its own.

    Returns
    -------
    Offers
    """
    parts = [_rows(compiled, *columns) for columns in MARKETS[market]]
    rows = pd.concat(parts, ignore_index=True)
    order = np.concatenate(
        [canonical_order(part) + before for part, before in zip(parts, _starts(parts), strict=True)]
    ).astype(np.int64)
    rows = rows.iloc[order].reset_index(drop=True)
    period = compiled.case.horizon.position(rows["start"]) if len(rows) else np.zeros(0, dtype=np.int64)
    bus, connected, _ = places(compiled, rows, period)
    p, q = rows["p"].to_numpy(dtype=np.float64), rows["q"].to_numpy(dtype=np.float64)
    amount, least = rows["amount"].to_numpy(dtype=np.float64), rows["least"].to_numpy(dtype=np.float64)
    item = _items(rows) if linked else np.arange(len(rows))
    least_share, most = np.zeros(item.max(initial=-1) + 1), np.ones(item.max(initial=-1) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.maximum.at(least_share, item, np.where(least > 0.0, least / amount, 0.0))
    np.minimum.at(most, item, np.where(connected, 1.0, 0.0))
    power = divided_power(compiled, rows, period, bus, p, q)
    return Offers(
        bid=rows["bid"].to_numpy(dtype=np.str_),
        element_type=rows["element_type"].to_numpy(dtype=np.str_),
        element=rows["element"].to_numpy(dtype=np.str_),
        activations=full_activations(compiled, period, np.arange(len(rows)), bus, power),
        p=p,
        q=q,
        item=item,
        cost=rows["price"].to_numpy(dtype=np.float64) * amount * compiled.case.horizon.hours,
        least=least_share,
        most=most,
        exclusive=np.where(rows["exclusive"] == "", -1, sorted_codes(rows["exclusive"])),
    )


def _rows(
    compiled: CompiledCase, table: str, amount: str, price: str, least: str, raises: str
) -> pd.DataFrame:
    """Rows of one table in common columns, powers in p.u.; rows of transmission are not ours to take."""
    bids = compiled.case.table(table)
    bids = bids[bids["element"] != ""]
    change = bids[amount].to_numpy(dtype=np.float64) / compiled.s_base_mva
    change = np.where(bids["direction"] == raises, change, -change)
    active = table == "active_bids"
    tan_phi = np.nan_to_num(bids["tan_phi"].to_numpy(dtype=np.float64)) if active else 0.0
    return pd.DataFrame(
        {
            "table": table,
            "bid": bids["bid"].to_numpy(),
            "start": bids["start"].array,
            "direction": bids["direction"].to_numpy(),
            "element_type": bids["element_type"].to_numpy(),
            "element": bids["element"].to_numpy(),
            "block": bids["block"].to_numpy(),
            "exclusive": bids["exclusive"].to_numpy() if active else "",
            "amount": bids[amount].to_numpy(dtype=np.float64),
            "price": bids[price].to_numpy(dtype=np.float64),
            "least": np.nan_to_num(bids[least].to_numpy(dtype=np.float64)),
            "p": change if active else 0.0 * change,
            "q": change * tan_phi if active else change,
        }
    )


def _starts(parts: list[pd.DataFrame]) -> Ints:
    return np.cumsum([0, *(len(part) for part in parts[:-1])], dtype=np.int64)


def _items(rows: pd.DataFrame) -> Ints:
    """Give a number to every block of a table and to every row without block, by their first row."""
    label = [
        f"{table} {block}" if block else str(row)
        for row, (table, block) in enumerate(zip(rows["table"], rows["block"], strict=True))
    ]
    item: Ints = pd.factorize(np.array(label, dtype=object))[0].astype(np.int64)
    return item
