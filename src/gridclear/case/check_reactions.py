"""Inverters that set their reactive power by a curve: it says one thing, and nothing else says another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import Guess, quoted, say
from gridclear.case.check_bids import first_rows, named_rows
from gridclear.case.check_offers import element_places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults
    from gridclear.case.grid import Grid
    from gridclear.case.sheets import Sheet

#: What would set the reactive power of the inverter besides its curve: table → column, None for any row.
_CONTRADICTIONS = {
    "forecast": "q_mvar",
    "forecast_scenarios": "q_mvar",
    "active_bids": "tan_phi",
    "reactive_bids": None,
}


def check_reaction_curves(sheets: Mapping[str, Sheet], faults: Faults) -> None:
    """Check the reaction curves by themselves, and that inverters name one of them and have a rating.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    faults : Faults
        Takes what is found.
    """
    inverters, curves = sheets["inverters"], sheets["reaction_curves"]
    names, named = curves.frame["curve"], inverters.frame["reaction"]
    by_voltage, by_power = curves.filled("vm_pu"), curves.filled("p_pu")
    usable = curves.good("curve", "vm_pu", "p_pu")
    expected = "vm_pu in every point of the curve, or p_pu in every one"
    faults.rows(curves.source, usable & by_voltage & by_power, "p_pu", say("vm_pu is there, too"), expected)
    neither = usable & ~by_voltage & ~by_power
    faults.rows(curves.source, neither, "vm_pu", say("neither vm_pu nor p_pu is there"), expected)
    one = usable & (by_voltage != by_power)
    codes = np.unique(names.to_numpy(dtype=str), return_inverse=True)[1].ravel().astype(np.int64)
    first = first_rows(codes, one)
    mixed = one & (by_voltage != by_voltage[first])
    what = say("curve {} has points of the other kind", names)
    faults.rows(curves.source, mixed, "vm_pu", what, expected)
    alone = curves.ok["curve"] & ~names.duplicated(keep=False).to_numpy()
    what = say("curve {} has one point", names)
    faults.rows(curves.source, alone, "curve", what, "a row for each of two points or more")
    _check_falling(curves, one & by_voltage & curves.filled("q_pu"), faults)

    reacts, known = named_rows(inverters, "reaction"), sorted(set(names[curves.ok["curve"]]))
    unknown = reacts & ~named.isin(known).to_numpy()
    if curves.ok["curve"].all():  # else a row that has been reported may be the one that is missed
        guess = Guess(known)
        faults.rows(
            inverters.source,
            unknown,
            "reaction",
            lambda row: f"{quoted(named.iloc[row])} is not a curve{guess(named.iloc[row])}",
            "a curve of table reaction_curves",
        )
    unrated = reacts & inverters.ok["s_max_mva"] & ~inverters.filled("s_max_mva")
    what = say("the curve {} is stated over a rating that is not there", named)
    faults.rows(inverters.source, unrated, "s_max_mva", what, "the apparent power of the inverter")
    expected = "none: s_max_mva alone bounds what a reaction curve gives"
    beside = say("it bounds what can be asked of the inverter, which follows curve {}", named)
    faults.rows(inverters.source, reacts & named_rows(inverters, "curve"), "curve", beside, expected)
    bounded = reacts & inverters.filled("min_power_factor")
    faults.rows(inverters.source, bounded, "min_power_factor", beside, expected)


def _check_falling(curves: Sheet, usable: np.ndarray, faults: Faults) -> None:
    """Find voltages at which more reactive power is injected than at a lower one: no single state follows."""
    frame = curves.frame
    rows = np.flatnonzero(usable)
    order = rows[np.lexsort((frame["vm_pu"].to_numpy()[rows], frame["curve"].to_numpy(dtype=str)[rows]))]
    for before, row in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        here, there = frame.iloc[row], frame.iloc[before]
        if here["vm_pu"] == there["vm_pu"]:
            continue  # reported as the same point
        if here["curve"] == there["curve"] and here["q_pu"] > there["q_pu"]:
            what = f"{here['q_pu']:.12g} is above the {there['q_pu']:.12g} at {there['vm_pu']:.12g} p.u."
            expected = "no more injection at a higher voltage than at a lower one"
            faults.add(curves.source.file, curves.source.row(row), "q_pu", what, expected)


def check_reactions(sheets: Mapping[str, Sheet], grid: Grid, faults: Faults) -> None:
    """Check that nothing but its curve sets the reactive power of an inverter that has one.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    faults : Faults
        Takes what is found.
    """
    inverters = sheets["inverters"]
    reacts, place = named_rows(inverters, "reaction"), element_places(inverters, grid, "sgen")
    stored = reacts & (element_places(inverters, grid, "storage") >= 0)
    what = say("{} is a storage", inverters.frame["element"])
    faults.rows(inverters.source, stored, "reaction", what, "an sgen: only its inverter can follow a curve")
    reacts &= place >= 0
    first = first_rows(place, reacts)
    twice = reacts & (first != np.arange(len(place)))
    what = say("the element of {} has a curve already", inverters.frame["element"])
    faults.rows(inverters.source, twice, "reaction", what, "one row per element")
    curve_of = dict(zip(place[reacts].tolist(), inverters.frame["reaction"][reacts], strict=True))
    for table, column in _CONTRADICTIONS.items():
        sheet = sheets[table]
        found = element_places(sheet, grid, "sgen")
        wrong = np.isin(found, list(curve_of)) & (found >= 0)
        if column is not None:
            wrong &= sheet.filled(column)
        if column == "tan_phi":
            wrong &= sheet.frame[column].to_numpy() != 0.0
        curve = [curve_of.get(at, "") for at in found.tolist()]
        what = say("the reactive power of {} follows curve {}", sheet.frame["element"], curve)
        expected = "no bid on this element" if column is None else "an empty cell"
        faults.rows(sheet.source, wrong, column or "element", what, expected)
