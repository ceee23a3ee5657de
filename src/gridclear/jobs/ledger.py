"""Money of sessions that go on from one another: what is owed for the periods that they deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.horizon import TIME_DTYPE
from gridclear.jobs.bill import activation_bill, bill_of
from gridclear.jobs.carried import usable_activation, usable_clearing
from gridclear.jobs.money import euros
from gridclear.jobs.settled import agents_table, summed_cents, totals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridclear.case import Case, SettlementTerms
    from gridclear.jobs.result import Result

_COLUMNS = (
    "start", "session", "product", "bid", "direction", "scheduled", "energy", "price_eur", "paid_eur",
)  # fmt: skip
_TEXTS = ("product", "bid", "direction")
_NO_ROWS = pd.DataFrame(
    {
        name: pd.Series(
            dtype=TIME_DTYPE if name in ("start", "session") else object if name in _TEXTS else float
        )
        for name in _COLUMNS
    }
)


def money_of(
    case: Case, parts: Mapping[str, Result], terms: SettlementTerms
) -> tuple[pd.DataFrame, float, float]:
    """Find what a session owes, as scheduled.

    Parameters
    ----------
    case : Case
        Of the session, as ``binding_case`` gave it: nothing in it is metered.
    parts : mapping of str to Result
        Its results by job; what is not confirmed binds nobody, and is owed to nobody.
    terms : SettlementTerms

    Returns
    -------
    rows : DataFrame
        Rows as in ``Rolling.ledger``, of all periods of the session.
    moves_eur, losses_eur : float
        Of its first period; NaN without a clearing.
    """
    activation, clearing = usable_activation(parts), usable_clearing(parts)
    frames, moves, losses = [], np.nan, np.nan
    if activation is not None:
        frames.append(agents_table(case, activation_bill(case, activation, terms)))
    if clearing is not None:
        bill = bill_of(case, clearing, terms)
        frames.append(agents_table(case, bill))
        moves, losses = float(euros(bill.moves)[0]), float(euros(bill.losses)[0])
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return _NO_ROWS, moves, losses
    rows = pd.concat(frames, ignore_index=True).assign(session=case.horizon.start)
    return rows[list(_COLUMNS)], moves, losses


def ledger_of(owed: Sequence[pd.DataFrame], delivered: pd.Series) -> pd.DataFrame:
    """Collect the rows of periods that are delivered; rows as in ``Rolling.ledger``.

    Parameters
    ----------
    owed : sequence of DataFrame
        Of each session.
    delivered : Series of time stamps
        Their starts.
    """
    every = pd.concat([frame for frame in owed if len(frame)] or [_NO_ROWS], ignore_index=True)
    mine = every[every["start"].isin(delivered)]
    return mine.sort_values(["start", "session"], kind="stable").reset_index(drop=True)


def owed_table(sessions: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``Rolling.owed``."""
    table = sessions[["start"]].copy()
    paid = summed_cents(ledger, ["start", "product"], ["paid_eur"])
    for product in ("active", "reactive"):
        own = paid[paid["product"] == product].set_index("start")["paid_eur"]
        table[f"{product}_eur"] = own.reindex(pd.DatetimeIndex(table["start"])).fillna(0.0).to_numpy()
    for name in ("moves_eur", "losses_eur"):
        table[name] = sessions[name].to_numpy()
    amounts = table[["active_eur", "reactive_eur", "moves_eur", "losses_eur"]].to_numpy(dtype=np.float64)
    # A sum of cents, taken in cents: floating-point sums of EUR would be off by parts of them.
    return table.assign(total_eur=np.round(amounts * 100.0).sum(axis=1) / 100.0)


def amounts_by_day(ledger: pd.DataFrame) -> pd.DataFrame:
    """Rows as in ``Rolling.statements``."""
    keyed = ledger.assign(day=ledger["start"].dt.floor("D"))
    return totals(keyed, ["day", "bid", "product"], ["paid_eur"])
