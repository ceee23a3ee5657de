"""Rules between the tables of a case and its grid, and between one table and another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import Guess, quoted, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults, Flags
    from gridclear.case.grid import Grid
    from gridclear.case.sheets import Sheet

#: Grid tables in which the ``element`` of a table is looked up, where no column says so.
_ELEMENT_OF = {
    "connection_points": ("ext_grid",),
    "capacitor_banks": ("shunt",),
    "storage": ("storage",),
    "inverters": ("sgen", "storage"),
}


def check_links(sheets: Mapping[str, Sheet], grid: Grid | None, faults: Faults) -> None:
    """Check that what a table names is there.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid or None
        None if it could not be read.
    faults : Faults
        Takes what is found.
    """
    if grid is not None:
        for name, sheet in sheets.items():
            if not len(sheet.frame):
                continue
            if name in _ELEMENT_OF:
                _check_elements(sheet, np.ones(len(sheet.frame), dtype=bool), _ELEMENT_OF[name], grid, faults)
            elif "element" in sheet.ok:
                for kind in sheet.frame["element_type"].unique().tolist():
                    if kind in grid.tables:
                        of_kind = sheet.ok["element_type"] & (sheet.frame["element_type"] == kind).to_numpy()
                        _check_elements(sheet, of_kind, (kind,), grid, faults)
    for name in ("forecast", "forecast_scenarios"):
        _check_controlled_q(sheets[name], faults)
    _check_metered(sheets, faults)
    _check_profile(sheets, grid, faults)


def _check_elements(sheet: Sheet, where: Flags, tables: tuple[str, ...], grid: Grid, faults: Faults) -> None:
    known: dict[str, int] = {}
    for table in tables:
        known |= grid.lookup(table)
    names = sheet.frame["element"]
    used = where & sheet.ok["element"] & (names != "").to_numpy()
    unknown = set(names[used].tolist()) - known.keys()
    if not unknown:
        return
    guess = Guess(known)
    why = {name: _why_unknown(name, tables, guess, grid) for name in sorted(unknown)}
    wrong = used & names.isin(list(unknown)).to_numpy()
    expected = f"the unique name or the origin_id of a {' or '.join(tables)} of the grid"
    faults.rows(sheet.source, wrong, "element", lambda row: why[names.iloc[row]], expected)


def _why_unknown(name: str, tables: tuple[str, ...], guess: Guess, grid: Grid) -> str:
    for table in tables:
        frame = grid.tables[table]
        count = int((frame["name"] == name).sum())
        if count > 1:
            return f"{quoted(name)} names {count} elements of table '{table}'"
    for table in grid.tables:
        if table not in tables and name in grid.lookup(table):
            return f"{quoted(name)} is no {' or '.join(tables)} but a {table}"
    return f"{quoted(name)} is not in the grid{guess(name)}"


def _check_controlled_q(sheet: Sheet, faults: Faults) -> None:
    """Refuse the reactive power of a generator: its voltage set point decides it."""
    of_gen = sheet.ok["element_type"] & (sheet.frame["element_type"] == "gen").to_numpy()
    wrong = sheet.filled("q_mvar") & of_gen
    q_mvar = sheet.frame["q_mvar"]
    what = say("{:.12g} is given, but that of a gen follows from its voltage set point", q_mvar)
    faults.rows(sheet.source, wrong, "q_mvar", what, "an empty cell")


def _check_metered(sheets: Mapping[str, Sheet], faults: Faults) -> None:
    sheet = sheets["metered"]
    if not len(sheet.frame):
        return
    offers = [sheets[name].frame[["bid", "start"]] for name in ("active_bids", "reactive_bids")]
    known = {bid for frame in offers for bid in frame["bid"].unique().tolist()}
    bids = sheet.frame["bid"]
    wrong = sheet.ok["bid"] & ~bids.isin(list(known)).to_numpy()
    guess = Guess(sorted(known))
    faults.rows(
        sheet.source,
        wrong,
        "bid",
        lambda row: f"{quoted(bids.iloc[row])} was not offered{guess(bids.iloc[row])}",
        "the id of a row of active_bids or reactive_bids",
    )


def _check_profile(sheets: Mapping[str, Sheet], grid: Grid | None, faults: Faults) -> None:
    sheet, points = sheets["reactive_profile"], sheets["connection_points"]
    if points.given:
        known = set(points.frame["connection_point"].tolist())
    elif grid is not None:
        known = set(grid.labels("ext_grid").tolist())
    else:
        return
    names = sheet.frame["connection_point"]
    wrong = sheet.ok["connection_point"] & ~names.isin(list(known)).to_numpy()
    guess = Guess(sorted(known))
    faults.rows(
        sheet.source,
        wrong,
        "connection_point",
        lambda row: f"{quoted(names.iloc[row])} is not a connection point{guess(names.iloc[row])}",
        "a connection_point of table connection_points"
        if points.given
        else "the name of an ext_grid of the grid",
    )
