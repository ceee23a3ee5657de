"""Part of a case's horizon as a case of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.horizon import Horizon
from gridclear.case.schema import TABLES
from gridclear.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.case.case import Case
    from gridclear.case.cells import Flags


def window(case: Case, first: int, periods: int) -> Case:
    """Take successive periods of a case.

    Parameters
    ----------
    case : Case
        Not changed.
    first : int
        The period that the window begins with.
    periods : int
        Length of the window.

    Returns
    -------
    Case
        With the rows of these periods. Outages stay as they are. A block that reaches out of the window is
        left out as a whole: it can be taken only by who sees all of it. So is ``e_end_min_mwh`` of a storage
        whose forecast nobody decides, if the window ends before the case does.

    Raises
    ------
    OptionError
        The window is empty, or reaches out of the case.
    """
    whole = case.horizon
    if not (first >= 0 and 1 <= periods <= whole.periods - first):
        raise OptionError(
            f"periods {first} to {first + periods - 1} are no window of a case of {whole.periods} periods"
        )
    if periods == whole.periods:
        return case
    horizon = Horizon(whole.start + whole.resolution * first, whole.resolution, periods)
    frames: dict[str, pd.DataFrame] = {}
    for name, table in TABLES.items():
        frame = case.table(name)
        if name == "outages" or not any(column.name == "start" for column in table.columns):
            continue
        inside = horizon.position(frame["start"]) >= 0
        if "block" in frame:
            inside &= ~in_blocks(frame, ~inside)
        frames[name] = frame[inside].reset_index(drop=True)
    if first + periods < whole.periods:
        storage = case.storage.copy()
        storage.loc[storage["p_mode"] != "optimised", "e_end_min_mwh"] = np.nan
        frames["storage"] = storage
    return case.with_tables(frames, horizon=horizon)


def in_blocks(bids: pd.DataFrame, where: Flags) -> Flags:
    """Find the rows of bids whose block has any of some rows.

    Parameters
    ----------
    bids : DataFrame
        Rows of ``active_bids`` or ``reactive_bids``.
    where : (row,) of bool

    Returns
    -------
    (row,) of bool
        Never a row without a block.
    """
    touched = set(bids["block"][where]) - {""}
    found: Flags = bids["block"].isin(list(touched)).to_numpy()
    return found
