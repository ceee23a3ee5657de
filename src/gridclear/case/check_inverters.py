"""Inverters and their curves: what they name is there, and says what they can do wherever they are to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.cells import Guess, quoted, say
from gridclear.case.check_bids import named_rows
from gridclear.case.check_offers import TOLERANCE_MW, element_places, planned_by_period
from gridclear.case.check_storage import optimised_storage, power_range, rated_storage
from gridclear.case.horizon import stamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.cells import Faults
    from gridclear.case.check_tables import Codes
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet


def check_curves(sheets: Mapping[str, Sheet], faults: Faults) -> None:
    """Check the capability curves by themselves, and that inverters name one of them.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    faults : Faults
        Takes what is found.
    """
    inverters, curves = sheets["inverters"], sheets["capability_curves"]
    names = curves.frame["curve"]
    alone = curves.ok["curve"] & ~names.duplicated(keep=False).to_numpy()
    what = say("curve {} has one point", names)
    faults.rows(curves.source, alone, "curve", what, "a row for each of two points or more")
    named, known = inverters.frame["curve"], sorted(set(names[curves.ok["curve"]]))
    unknown = named_rows(inverters, "curve") & ~named.isin(known).to_numpy()
    if curves.ok["curve"].all():  # else a row that has been reported may be the one that is missed
        guess = Guess(known)
        faults.rows(
            inverters.source,
            unknown,
            "curve",
            lambda row: f"{quoted(named.iloc[row])} is not a curve{guess(named.iloc[row])}",
            "a curve of table capability_curves",
        )


def check_inverters(sheets: Mapping[str, Sheet], grid: Grid, horizon: Horizon | None, faults: Faults) -> None:
    """Check inverters against their elements, and where they run against their curves.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    horizon : Horizon or None
        None if it could not be read: the curves are then left unchecked.
    faults : Faults
        Takes what is found.
    """
    inverters, storage = sheets["inverters"], sheets["storage"]
    places = {table: element_places(inverters, grid, table) for table in ("sgen", "storage")}
    twice = (places["sgen"] >= 0) & (places["storage"] >= 0)
    what = say("{} names an sgen and a storage", inverters.frame["element"])
    faults.rows(inverters.source, twice, "element", what, "a name or origin_id that one of them has")
    # The place -1 of what is no storage has no rating.
    rated = np.append(rated_storage(storage, grid), np.nan)
    there, here = rated[places["storage"]], inverters.frame["s_max_mva"].to_numpy()
    differs = inverters.filled("s_max_mva") & ~np.isnan(there) & (here != there)
    what = say("{:.12g} differs from the {:.12g} of table storage", here, there)
    faults.rows(inverters.source, differs, "s_max_mva", what, "one rating per storage")
    if horizon is not None:
        for table, place in places.items():
            _check_ranges(sheets, grid, table, np.where(twice, -1, place), horizon, faults)


def _check_ranges(
    sheets: Mapping[str, Sheet], grid: Grid, table: str, place: Codes, horizon: Horizon, faults: Faults
) -> None:
    """Find inverters that are to run where their curve says nothing."""
    inverters, curves = sheets["inverters"], sheets["capability_curves"]
    active = np.append(grid.tables[table]["in_service"].to_numpy(dtype=bool), False)
    rows = np.flatnonzero(active[place] & named_rows(inverters, "curve"))
    decided = np.zeros(len(rows), dtype=bool)
    if table == "sgen":
        least = most = planned_by_period(sheets["forecast"], grid, table, horizon, place[rows])
    else:
        decided = optimised_storage(sheets["storage"], grid)[place[rows]]
        charging = planned_by_period(sheets["forecast"], grid, table, horizon, place[rows])
        low, high = (limit[place[rows], None] for limit in power_range(sheets, grid))
        least, most = (-np.where(decided[:, None], end, charging) for end in (high, low))
    for number, row in enumerate(rows.tolist()):
        curve = inverters.frame["curve"].iloc[row]
        points = curves.frame["p_mw"][(curves.frame["curve"] == curve).to_numpy()]
        if not len(points) or points.isna().any():
            continue
        first, last = float(points.min()), float(points.max())
        below, above = least[number] < first - TOLERANCE_MW, most[number] > last + TOLERANCE_MW
        if not (below | above).any():
            continue
        period = int((below | above).argmax())
        worst = (least if below[period] else most)[number, period]
        whose = "power" if decided[number] else "forecast"
        name, when = quoted(inverters.frame["element"].iloc[row]), stamp_text(horizon.starts[period])
        what = f"the {whose} of {name} is {worst:.12g} MW at {when}, outside of curve {quoted(curve)}"
        expected = f"a curve with points on both sides: this one goes from {first:.12g} to {last:.12g} MW"
        faults.add(inverters.source.file, inverters.source.row(row), "curve", what, expected)
