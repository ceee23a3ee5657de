"""An activation in a terminal: what it covers and costs, and what became of the bids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from gridclear.report.tables import constraints_table, quantity, render

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.jobs.activate import Activation

_WORDS = {
    "covered": "all needs are covered; with everything activated at once no limit is broken",
    "short": "the bids do not suffice: see what is missing",
    "partial": "some periods have no power flow to begin with: no bid of this grid is taken there",
    "unconfirmed": "with everything activated at once limits are broken",
    "no-solution": "no period has a power flow to begin with",
}
_OUTCOMES = ("taken", "in-part", "red", "excluded", "too-large", "not-needed")
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
