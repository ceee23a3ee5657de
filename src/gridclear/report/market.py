"""An activation and a settlement in a terminal: what is covered, what became of the bids, who pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from gridclear.jobs.settled import amounts_table
from gridclear.report.tables import constraints_table, quantity, render

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.jobs.activate import Activation
    from gridclear.jobs.settle import Settlement
    from gridclear.jobs.settle_activation import ActivationSettlement

_WORDS = {
    "covered": "all needs are covered; with everything activated at once no limit is broken",
    "short": "the bids do not suffice: see what is missing",
    "partial": "some periods have no power flow to begin with: no bid of this grid is taken there",
    "unconfirmed": "with everything activated at once limits are broken",
    "no-solution": "no period has a power flow to begin with",
}
_BILL_WORDS = {
    "settled": "every accepted bid is metered",
    "provisional": "accepted bids that are not metered are paid by schedule until they are",
    "scheduled": "nothing is metered: the bill is that of the schedule",
    "partial": "the clearing without the request has no solution: nobody's share is known",
}
_DECISION_WORDS = {
    "decided": "the two clearings differ by more than what they may still miss",
    "undecided": "the two clearings differ by no more than what they may still miss",
    "gap-unknown": "no bound was proved: what the two clearings may still miss is not known",
    "no-own-clearing": "the clearing without the request has no solution",
}
_OUTCOMES = ("taken", "in-part", "red", "excluded", "used-up", "too-large", "not-needed")
_ROWS = 8


def describe_activation(case: Case, result: Activation, *, width: int = 100) -> str:
    """Show needs, prices, outcomes and what is broken or stops bids.

    Parameters
    ----------
    case : Case
        The case of the activation.
    result : Activation
        Result of `activate`.
    width : int
        Characters per line.
    """
    parts = [
        f"{result.status}: {_WORDS[result.status]}",
        "Need and supply\n" + render(_needs(case, result.prices), width=width),
        "Bids\n" + render(_outcomes(case, result.accepted), width=width),
    ]
    broken = result.proof[~result.proof["confirmed"]]
    if len(broken):
        parts.append("Not confirmed\n" + _top(_broken(broken), width))
    held = result.accepted[result.accepted["outcome"] == "red"]
    if len(held):
        seen = held.assign(accepted_mw=held["safe_mw"])
        stopping = constraints_table(seen, hours=case.horizon.hours)
        parts.append("What stops the bids that are red\n" + _top(stopping, width))
    return "\n\n".join(parts)


def describe_settlement(bill: Settlement, *, width: int = 100) -> str:
    """Show who bears what, who gets what, and what is not metered.

    Parameters
    ----------
    bill : Settlement
        Result of `settle`.
    width : int
        Characters per line.
    """
    parts = [
        f"{bill.status}: {_BILL_WORDS[bill.status]}\n{bill.decision}: {_DECISION_WORDS[bill.decision]}",
        "EUR by day and connection point\n" + render(_eur(bill.days, "connection_point"), width=width),
    ]
    return "\n\n".join(parts + _by_bid(bill, width))


def describe_activation_bill(bill: ActivationSettlement, *, width: int = 100) -> str:
    """Show what the TSO pays for an activation, who gets it, and what is not metered.

    Parameters
    ----------
    bill : ActivationSettlement
        Result of `settle_activation`.
    width : int
        Characters per line.
    """
    parts = [f"{bill.status}: {_BILL_WORDS[bill.status]}"]
    if len(bill.periods):
        days = bill.periods.assign(day=bill.periods["start"].dt.floor("D"), product="active")
        shown = amounts_table(days, ["day", "direction", "product"])
        parts.append("EUR by day and direction\n" + render(_eur(shown, "direction"), width=width))
    return "\n\n".join(parts + _by_bid(bill, width))


def _by_bid(bill: Settlement | ActivationSettlement, width: int) -> list[str]:
    """Who gets most, and which accepted rows are not metered though others are."""
    parts = []
    if len(bill.statements):
        dearest = bill.statements.sort_values("amount_eur", ascending=False, kind="stable")
        parts.append("Bids that get most\n" + _top(_eur(dearest, "bid"), width))
    if bill.status == "provisional":
        missing = bill.agents[bill.agents["state"] == "not-metered"]
        shown = pd.DataFrame({"bid": missing["bid"], "period": missing["start"].dt.strftime("%d %b %H:%M")})
        parts.append("Accepted and not metered\n" + _top(shown, width))
    return parts


def _eur(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Amounts by day and name, with two digits."""
    shown = {"day": table["day"].dt.strftime("%d %b"), name.replace("_", " "): table[name]}
    if "product" in table:
        unit = table["product"].map({"active": "MWh", "reactive": "Mvarh"})
        shown["energy"] = table["energy"].map("{:.3f}".format) + " " + unit
    for column in table.columns[table.columns.str.endswith("_eur")]:
        shown[column.removesuffix("_eur").replace("_", " ")] = table[column].map("{:.2f}".format)
    return pd.DataFrame(shown)


def _needs(case: Case, prices: pd.DataFrame) -> pd.DataFrame:
    hours = case.horizon.hours
    return pd.DataFrame(
        [
            {
                "direction": str(direction),
                "periods": len(own),
                "need MWh": own["need_mw"].sum() * hours,
                "supplied MWh": own["supplied_mw"].sum() * hours,
                "missing MWh": own["shortfall_mw"].sum() * hours,
                "periods short": int((own["state"] != "covered").sum()),
                "price from EUR/MWh": own["price_eur_mwh"].min(),
                "to EUR/MWh": own["price_eur_mwh"].max(),
            }
            for direction, own in prices.groupby("direction", sort=False)
        ]
    )


def _outcomes(case: Case, accepted: pd.DataFrame) -> pd.DataFrame:
    hours = case.horizon.hours
    rows = [(outcome, accepted[accepted["outcome"] == outcome]) for outcome in _OUTCOMES]
    return pd.DataFrame(
        [
            {
                "outcome": outcome,
                "rows": len(own),
                "offered MWh": own["offered_mw"].sum() * hours,
                "accepted MWh": own["accepted_mw"].sum() * hours,
                "paid EUR": own["paid_eur"].sum(),
            }
            for outcome, own in rows
            if len(own)
        ]
    )


def _broken(proof: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "period": proof["start"].dt.strftime("%d %b %H:%M"),
            "kind": proof["kind"],
            "at": proof["element_type"] + " " + proof["element"],
            "value": [quantity(*pair) for pair in zip(proof["kind"], proof["value"], strict=True)],
            "limit": [quantity(*pair) for pair in zip(proof["kind"], proof["limit"], strict=True)],
        }
    )


def _top(table: pd.DataFrame, width: int) -> str:
    """First rows of a table, and how many there are besides."""
    more = len(table) - _ROWS
    return render(table.head(_ROWS), width=width) + (f"\nand {more} more" if more > 0 else "")
