"""What is agreed between those who settle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gridclear.case.settings_schema import SETTINGS
from gridclear.errors import Issue

PAY_AS_BID, PAY_AS_CLEAR = "pay-as-bid", "pay-as-clear"


@dataclass(frozen=True)
class SettlementTerms:
    """Terms of the settlement of a case; an argument of ``settle`` takes the place of one of them.

    Attributes
    ----------
    pricing : {"pay-as-bid", "pay-as-clear"}
        Own price, or that of the dearest accepted bid of the same period, product and direction.
    tolerance_percent : float
        Of the scheduled amount, from 0 to 100: what is metered within it counts as delivered.
    penalty_eur_mwh, penalty_eur_mvarh : float
        Price of what is metered beyond the tolerance, too little or too much, at least 0.
    """

    pricing: str = PAY_AS_BID
    tolerance_percent: float = 0.0
    penalty_eur_mwh: float = 0.0
    penalty_eur_mvarh: float = 0.0


def check_settlement(terms: SettlementTerms, file: str) -> list[Issue]:
    """List what is wrong with the terms of a settlement.

    Parameters
    ----------
    terms : SettlementTerms
    file : str
        Where they were given: the name of the argument.

    Returns
    -------
    list of Issue
    """
    issues = []
    for column in SETTINGS["settlement"]:
        value = getattr(terms, column.name)
        if column.choices:
            right = isinstance(value, str) and value in column.choices
        else:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            right = is_number and math.isfinite(value) and column.low <= value <= column.high
        if not right:
            issues.append(Issue(file, "", column.name, f"{value!r} is not allowed", column.expectation))
    return issues
