"""A settlement as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.money import euros

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.jobs.bill import Bill
    from gridclear.jobs.settlement import Shares

#: Decision where nobody knows what the operator would have spent by itself.
NO_OWN = "no-own-clearing"


def agents_table(case: Case, bill: Bill) -> pd.DataFrame:
    """Rows as in ``Settlement.agents``."""
    return pd.DataFrame(
        {
            "start": case.horizon.starts[bill.period],
            "bid": bill.bid,
            "product": bill.product,
            "direction": bill.direction,
            "scheduled": bill.scheduled,
            "metered": bill.metered,
            "energy": bill.final.energy,
            "beyond": bill.final.beyond,
            "price_eur": bill.price,
            "paid_eur": euros(bill.final.paid),
            "penalty_eur": euros(bill.final.penalty),
            "state": np.where(np.isnan(bill.metered), "not-metered", "metered").astype(object),
        }
    )


def shares_table(case: Case, shares: Shares, decision: str) -> pd.DataFrame:
    """Rows as in ``Settlement.shares``; nobody's share where the operator's own cost is not known."""
    names = case.connection_points["connection_point"].to_numpy(dtype=object)
    known = decision != NO_OWN
    service, dso = shares.service.ravel(), shares.dso.ravel()
    return pd.DataFrame(
        {
            "start": case.horizon.starts.repeat(len(names)),
            "connection_point": np.tile(names, len(shares.service)),
            "service_eur": euros(service),
            "dso_share_eur": euros(dso) if known else np.nan,
            "tso_share_eur": euros(service - dso) if known else np.nan,
            "decision": decision,
        }
    )


def periods_table(case: Case, bill: Bill, own: Bill, decision: str) -> pd.DataFrame:
    """Rows as in ``Settlement.periods``."""
    return pd.DataFrame(
        {
            "start": case.horizon.starts,
            "paid_eur": euros(bill.by_period(bill.final.paid)),
            "penalty_eur": euros(bill.by_period(bill.final.penalty)),
            "moves_eur": euros(bill.moves),
            "losses_eur": euros(bill.losses),
            "service_eur": euros(bill.final_cost),
            "planned_eur": euros(bill.planned_cost),
            "own_eur": euros(own.planned_cost) if decision != NO_OWN else np.nan,
        }
    )


def prices_table(case: Case, bill: Bill) -> pd.DataFrame:
    """Rows as in ``Settlement.prices``."""
    rows = pd.DataFrame(
        {
            "start": case.horizon.starts[bill.period],
            "product": bill.product,
            "direction": bill.direction,
            "price_eur": bill.asked,
        }
    )
    return rows.groupby(["start", "product", "direction"])[["price_eur"]].max().reset_index()


def statements_table(agents: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``Settlement.statements``."""
    keyed = agents.assign(day=agents["start"].dt.floor("D"))
    summed = _summed(keyed, ["day", "bid", "product"], ["paid_eur", "penalty_eur"])
    energy = keyed.groupby(["day", "bid", "product"], as_index=False)["energy"].sum()
    summed.insert(3, "energy", energy["energy"].round(6))
    return summed.assign(amount_eur=(summed["paid_eur"] - summed["penalty_eur"]).round(2))


def days_table(shares: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``Settlement.days``."""
    columns = ["service_eur", "dso_share_eur", "tso_share_eur"]
    return _summed(shares.assign(day=shares["start"].dt.floor("D")), ["day", "connection_point"], columns)


def _summed(table: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    """Sum amounts in cents, so that nothing is lost; a sum with an unknown amount is unknown."""
    in_cents = (table[columns] * 100.0).round()
    summed = in_cents.groupby([table[key] for key in keys]).sum(min_count=1).reset_index()
    summed[columns] = summed[columns] / 100.0
    return summed
