"""Prices of what is not bid for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gridclear.errors import Issue


@dataclass(frozen=True)
class Prices:
    """Prices of what a schedule costs beside bids and moves.

    Attributes
    ----------
    losses_eur_mwh : float
        Of active-power losses, in EUR/MWh, at least 0.
    """

    losses_eur_mwh: float = 0.0


def check_prices(prices: Prices, file: str) -> list[Issue]:
    """List what is wrong with the prices of a case.

    Parameters
    ----------
    prices : Prices
    file : str
        Where they were given: the name of the argument.

    Returns
    -------
    list of Issue
    """
    value = prices.losses_eur_mwh
    if isinstance(value, int | float) and math.isfinite(value) and value >= 0.0:
        return []
    return [Issue(file, "", "losses_eur_mwh", f"{value!r} is not a price", "a finite number >= 0 in EUR/MWh")]
