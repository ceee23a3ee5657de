"""Rules between the rows of bids: blocks and exclusive groups that hold together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.cells import quoted
from gridclear.case.check_tables import codes_of
from gridclear.case.horizon import stamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults, Flags
    from gridclear.case.check_tables import Codes
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet

_SIDES = ("connected to transmission", "on an element of this grid")


def check_bids(sheets: Mapping[str, Sheet], horizon: Horizon | None, faults: Faults) -> None:
    """Check the blocks of bids, and the exclusive groups of active ones.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    horizon : Horizon or None
        None if it could not be read: blocks are then not searched for holes.
    faults : Faults
        Takes what is found.
    """
    for name in ("active_bids", "reactive_bids"):
        sheet = sheets[name]
        linked = named_rows(sheet, "block")
        if not linked.any():
            continue
        if horizon is not None:
            _check_holes(sheet, horizon, linked, faults)
        if name == "active_bids":
            _check_sides(sheet, linked, faults)
            _check_exclusive(sheet, linked, faults)


def named_rows(sheet: Sheet, column: str) -> Flags:
    """Rows whose cell names something, (row,)."""
    return sheet.ok[column] & (sheet.frame[column] != "").to_numpy()


def _check_holes(sheet: Sheet, horizon: Horizon, linked: Flags, faults: Faults) -> None:
    """Find the periods that a bid skips within its block.

    Different bids of a block may keep to different periods: what is shed now may be consumed later.
    """
    frame = sheet.frame
    position = horizon.position(frame["start"])
    broken = ~sheet.good("bid", "start", "direction", "block") | (position < 0)
    if (broken & ~sheet.ok["bid"] & ~sheet.ok["block"]).any():
        return  # a row that has been reported may belong into any hole
    touched = np.zeros(len(frame), dtype=bool)
    for column in ("bid", "block"):
        touched |= frame[column].isin(frame.loc[broken & named_rows(sheet, column), column]).to_numpy()
    rows = np.flatnonzero(linked & ~touched)
    unit = codes_of(sheet, ("block", "bid", "direction"))
    rows = rows[np.lexsort((position[rows], unit[rows]))]
    step = np.diff(position[rows])
    late = np.flatnonzero((np.diff(unit[rows]) == 0) & (step > 1)) + 1
    where = np.zeros(len(frame), dtype=bool)
    where[rows[late]] = True
    skipped = dict(zip(rows[late].tolist(), (step[late - 1] - 1).tolist(), strict=True))

    def what(row: int) -> str:
        count = skipped[row]
        first = stamp_text(frame["start"].iloc[row] - horizon.resolution * count)
        bid, block = quoted(frame["bid"].iloc[row]), quoted(frame["block"].iloc[row])
        return f"{bid} of block {block} has no row for {count} of the periods before, the first is {first}"

    expected = "a row for every period from the first to the last that the bid has in its block"
    faults.rows(sheet.source, where, "start", what, expected)


def _check_sides(sheet: Sheet, linked: Flags, faults: Faults) -> None:
    """Find blocks across the border: the light of a bid here says nothing of one in transmission."""
    frame = sheet.frame
    marked, typed = ((frame[column] != "").to_numpy() for column in ("element", "element_type"))
    usable = linked & sheet.good("element", "element_type") & (marked == typed)
    first = first_rows(codes_of(sheet, ("block",)), usable)
    wrong = usable & (marked != marked[first])

    def what(row: int) -> str:
        mine, other = _SIDES[int(marked[row])], _SIDES[int(marked[first[row]])]
        block, there = quoted(frame["block"].iloc[row]), sheet.source.row(int(first[row]))
        return f"the bid is {mine}, but row {there} of the same block {block} is {other}"

    expected = "blocks of bids that are all in this grid or all in transmission"
    faults.rows(sheet.source, wrong, "block", what, expected)


def _check_exclusive(sheet: Sheet, linked: Flags, faults: Faults) -> None:
    """Find bids that have to be activated together and may not be."""
    usable = linked & named_rows(sheet, "exclusive") & sheet.good("bid", "start")
    first = first_rows(codes_of(sheet, ("block", "exclusive", "start")), usable)
    bid = codes_of(sheet, ("bid",))
    wrong = usable & (bid != bid[first])
    names, groups, blocks = (sheet.frame[column] for column in ("bid", "exclusive", "block"))

    def what(row: int) -> str:
        other = int(first[row])
        pair = f"{quoted(names.iloc[row])} and {quoted(names.iloc[other])} of row {sheet.source.row(other)}"
        group, block = quoted(groups.iloc[row]), quoted(blocks.iloc[row])
        return f"{pair} exclude each other in group {group}, but block {block} ties them together"

    expected = "in each period at most one bid of a block in an exclusive group"
    faults.rows(sheet.source, wrong, "exclusive", what, expected)


def first_rows(codes: Codes, usable: Flags) -> Codes:
    """For each usable row, the first usable row of the same code; for the others, themselves."""
    rows = np.flatnonzero(usable)
    first = np.arange(len(usable))
    code = pd.factorize(codes[rows])[0]
    first[rows] = rows[np.unique(code, return_index=True)[1]][code]
    return first
