"""A settlement as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.bill import METERED
from gridclear.jobs.money import euros
from gridclear.jobs.settlement import ENERGY_DIGITS

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    return amounts_table(agents.assign(day=agents["start"].dt.floor("D")), ["day", "bid", "product"])


def amounts_table(agents: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sum energy, payments and penalties of rows as in ``Settlement.agents``; ``keys`` as in ``totals``."""
    summed = totals(agents, keys, ["paid_eur", "penalty_eur"])
    return summed.assign(amount_eur=(summed["paid_eur"] - summed["penalty_eur"]).round(2))


def totals(rows: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    """Sum energies and amounts.

    Parameters
    ----------
    rows : DataFrame
        With ``energy``, of one product or with ``product`` among the keys.
    keys : list of str
        Columns; one row per combination that there is.
    columns : list of str
        Amounts in EUR.

    Returns
    -------
    DataFrame
        The keys, energy, the amounts.
    """
    summed = summed_cents(rows, keys, columns)
    energy = rows.groupby(keys, as_index=False)["energy"].sum()
    summed.insert(len(keys), "energy", energy["energy"].round(ENERGY_DIGITS))
    return summed


def unmetered(agents: pd.DataFrame) -> list[str]:
    """Name bid and period of accepted rows without metering."""
    missing = agents[agents["state"] == "not-metered"]
    return [f"{row.bid} {row.start:%Y-%m-%dT%H:%MZ}" for row in missing.itertuples()]


def metering_state(case: Case, agents: pd.DataFrame, products: Sequence[str]) -> str:
    """Say how far accepted bids are metered: ``settled``, ``provisional`` or ``scheduled``.

    Parameters
    ----------
    case : Case
    agents : DataFrame
        Rows as in ``Settlement.agents``.
    products : sequence of str
        Of which any could have been accepted.
    """
    if case.metered[[METERED[product] for product in products]].isna().all(axis=None):
        return "scheduled"
    return "provisional" if (agents["state"] == "not-metered").any() else "settled"


def days_table(shares: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``Settlement.days``."""
    columns = ["service_eur", "dso_share_eur", "tso_share_eur"]
    return summed_cents(
        shares.assign(day=shares["start"].dt.floor("D")), ["day", "connection_point"], columns
    )


def summed_cents(table: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
    """Sum amounts in cents, so that nothing is lost; a sum with an unknown amount is unknown."""
    in_cents = (table[columns] * 100.0).round()
    summed = in_cents.groupby([table[key] for key in keys]).sum(min_count=1).reset_index()
    summed[columns] = summed[columns] / 100.0
    return summed
