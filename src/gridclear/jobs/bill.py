"""The bill of a clearing: its accepted bids, their prices and deliveries, and what the service costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.settlement_terms import PAY_AS_CLEAR
from gridclear.jobs.money import amounts
from gridclear.jobs.settlement import payments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.case import Case, SettlementTerms
    from gridclear.jobs.activate import Activation
    from gridclear.jobs.clear import Clearing
    from gridclear.jobs.settlement import Payments
    from gridclear.network.network import Floats, Ints

#: MW or Mvar of a schedule that are nothing.
_NOTHING = 1e-9
#: Table, its price, and its directions in rising order of the sign of the injection, by product.
_PRODUCTS = {
    "active": ("active_bids", "price_eur_mwh", ("down", "up")),
    "reactive": ("reactive_bids", "price_eur_mvarh", ("absorb", "inject")),
}
#: Column of ``metered``, by product.
METERED = {"active": "p_mw", "reactive": "q_mvar"}


@dataclass(frozen=True, eq=False)
class Bill:
    """Rows of a schedule that bids have to deliver, with what they are paid, and what else a period costs.

    Attributes
    ----------
    bid, product, direction : (row,) of str
    period : (row,) of int
    scheduled, metered : (row,)
        MW or Mvar in the bid's direction; NaN where it is not metered.
    asked, price : (row,)
        EUR per MWh or Mvarh that the bid asks for, and that is paid.
    planned, final : Payments
        By schedule, and after metering.
    moves, losses : (period,) of int
        Cents.
    """

    bid: NDArray[np.object_]
    product: NDArray[np.object_]
    direction: NDArray[np.object_]
    period: Ints
    scheduled: Floats
    metered: Floats
    asked: Floats
    price: Floats
    planned: Payments
    final: Payments
    moves: Ints
    losses: Ints

    @cached_property
    def planned_cost(self) -> Ints:
        """Cents that each period costs by schedule."""
        return self.by_period(self.planned.paid) + self.moves + self.losses

    @cached_property
    def final_cost(self) -> Ints:
        """Cents that each period costs after metering."""
        return self.by_period(self.final.paid - self.final.penalty) + self.moves + self.losses

    def by_period(self, amount: Ints) -> Ints:
        """Sum cents of rows by period."""
        total = np.zeros(len(self.moves), dtype=np.int64)
        np.add.at(total, self.period, amount)
        return total


def bill_of(case: Case, clearing: Clearing, terms: SettlementTerms) -> Bill:
    """Price the accepted bids of a clearing and what was metered of them.

    Parameters
    ----------
    case : Case
    clearing : Clearing
    terms : SettlementTerms

    Returns
    -------
    Bill
    """
    rows = _accepted(case, clearing)
    if terms.pricing == PAY_AS_CLEAR:
        dearest = rows.groupby(["start", "product", "direction"])["asked"].transform("max")
        rows = rows.assign(price=dearest)
    parts = {part: own["eur"].to_numpy(dtype=np.float64) for part, own in clearing.costs.groupby("part")}
    return _bill(case, rows, terms, amounts(parts["moves"]), amounts(parts["losses"]))


def activation_bill(case: Case, activation: Activation, terms: SettlementTerms) -> Bill:
    """Price the activated bids and what was metered of them; everybody has the price of the activation.

    Parameters
    ----------
    case : Case
    activation : Activation
    terms : SettlementTerms

    Returns
    -------
    Bill
        Without moves and losses: those are the operator's.
    """
    accepted = activation.accepted[activation.accepted["accepted_mw"] > 0.0]
    rows = accepted[["start", "bid", "direction"]].assign(
        product="active",
        scheduled=accepted["accepted_mw"],
        asked=accepted["price_eur_mwh"],
        price=accepted["clearing_price_eur_mwh"],
    )
    rows = rows.sort_values(["start", "bid", "direction"], kind="stable").reset_index(drop=True)
    nothing = np.zeros(case.horizon.periods, dtype=np.int64)
    return _bill(case, rows, terms, nothing, nothing)


def _bill(case: Case, rows: pd.DataFrame, terms: SettlementTerms, moves: Ints, losses: Ints) -> Bill:
    """Pay rows: start, bid, product, direction, scheduled, asked, price."""
    active = (rows["product"] == "active").to_numpy()
    scheduled, asked, price = (
        rows[name].to_numpy(dtype=np.float64) for name in ("scheduled", "asked", "price")
    )
    penalty = np.where(active, terms.penalty_eur_mwh, terms.penalty_eur_mvarh)
    metered = _metered(case, rows)
    tolerance, hours = terms.tolerance_percent / 100.0, case.horizon.hours
    return Bill(
        bid=rows["bid"].to_numpy(dtype=object),
        product=rows["product"].to_numpy(dtype=object),
        direction=rows["direction"].to_numpy(dtype=object),
        period=case.horizon.position(rows["start"]),
        scheduled=scheduled,
        metered=metered,
        asked=asked,
        price=price,
        planned=payments(scheduled, np.full(len(rows), np.nan), price, penalty, tolerance, hours),
        final=payments(scheduled, metered, price, penalty, tolerance, hours),
        moves=moves,
        losses=losses,
    )


def point_weights(case: Case, clearing: Clearing, own: Clearing) -> Floats:
    """In proportion to which connection points have caused the cost of a period, (period, point).

    By the Mvar that the request moves there, against the clearing without it; where it moves nothing, the
    points asked alike; where none is asked, all alike.
    """
    shape = (case.horizon.periods, len(case.connection_points))
    reached, alone = (
        one.exchange["q_mvar"].to_numpy(dtype=np.float64).reshape(shape) for one in (clearing, own)
    )
    asked = clearing.exchange["requested_q_mvar"].notna().to_numpy(dtype=np.float64).reshape(shape)
    moved = asked * np.nan_to_num(np.abs(reached - alone))
    weights = np.ones(shape)
    for known in (asked, moved):
        weights = np.where(known.sum(axis=1, keepdims=True) > 0.0, known, weights)
    return weights


def _accepted(case: Case, clearing: Clearing) -> pd.DataFrame:
    """Rows of a schedule of which something is taken, as ``_bill`` takes them, at the bids' own prices."""
    schedule = clearing.schedule[clearing.schedule["bid"] != ""]
    frames = []
    for product, (table, price, directions) in _PRODUCTS.items():
        change = schedule["p_mw" if product == "active" else "q_mvar"]
        # An active bid may move reactive power along: that is not what it is paid for.
        mine = (change.abs() > _NOTHING) & ((product == "active") | (schedule["p_mw"].abs() <= _NOTHING))
        own = schedule.loc[mine, ["start", "bid"]].assign(
            product=product,
            direction=np.where(change[mine] > 0.0, directions[1], directions[0]),
            scheduled=change[mine].abs(),
        )
        known = case.table(table)[["start", "bid", "direction", price]].rename(columns={price: "asked"})
        frames.append(own.merge(known, on=["start", "bid", "direction"], how="left", validate="1:1"))
    every = pd.concat(frames, ignore_index=True)
    every["price"] = every["asked"]
    return every.sort_values(["start", "product", "bid", "direction"], kind="stable").reset_index(drop=True)


def _metered(case: Case, rows: pd.DataFrame) -> Floats:
    """Metered amount of every row in its direction; NaN where there is none.

    A bid is metered once per period. Taken in both directions, it can miss only one of them: too little
    injection is missing from the one that injects, too much from the other, which then has its schedule.
    """
    positive = [directions[1] for *_, directions in _PRODUCTS.values()]
    sign = np.where(rows["direction"].isin(positive), 1.0, -1.0)
    scheduled = rows["scheduled"].to_numpy(dtype=np.float64)
    signed = sign * scheduled
    keys = ["start", "bid", "product"]
    taken = pd.Series(signed).groupby([rows[key] for key in keys])
    both, ways = taken.transform("sum").to_numpy(), taken.transform("size").to_numpy()
    measured = pd.concat(
        [
            case.metered[["start", "bid", column]].rename(columns={column: "metered"}).assign(product=product)
            for product, column in METERED.items()
        ]
    )
    found = rows[keys].merge(measured, on=keys, how="left", validate="m:1")["metered"]
    net = found.to_numpy(dtype=np.float64)
    kept = (ways > 1) & (sign * (net - both) >= 0.0)
    own: Floats = np.where(kept, scheduled, sign * (net - (both - signed)))
    return own
