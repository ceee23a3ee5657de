"""Lights of every bid by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.verdict import Verdict
from gridclear.network.limits import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search


def judge_each(search: Search, bids: Bids, progress: Callable[[int, int], None] | None = None) -> Verdict:
    """Accept every item as far as it is safe while all others rest.

    Parameters
    ----------
    search : Search
    bids : Bids
    progress : callable, optional
        Called with (units done, all).

    Returns
    -------
    Verdict
        Confirmed by power flows of its own at the accepted amounts.
    """
    verdict = Verdict.empty(bids, search.base.solved)
    units = np.flatnonzero(verdict.searched)
    own = bids.activations.part(units)
    setting = search.setting[own.period]
    over, stops = search.at_nothing()
    crossing = search.crossing(own, setting, over[own.period], progress)
    # From nothing on: where that is not safe, no share is.
    broken = over[own.period] > TOLERANCE
    verdict.free[units] = np.where(broken, 0.0, crossing.safe)
    verdict.which[units] = np.where(broken, stops[own.period], crossing.which)
    verdict.share[:], verdict.decisive[:] = bids.conditions(verdict.free)
    verdict.confirm(search, units, own, setting)
    return verdict
