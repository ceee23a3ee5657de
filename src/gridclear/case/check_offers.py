"""Bids against their resources: nobody can offer more than the element can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.cells import Faults, Flags, Floats, quoted, say
from gridclear.case.schema import INJECTING, TABLES
from gridclear.case.sheets import checked_sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.case import Case
    from gridclear.case.check_tables import Codes
    from gridclear.case.grid import Grid
    from gridclear.case.horizon import Horizon
    from gridclear.case.sheets import Sheet

TOLERANCE_MW = 1e-6
#: What a positive power of these tables is; the others consume.
_GENERATING = ("sgen", "gen")


@dataclass(frozen=True, eq=False)
class Room:
    """How far resources can go from what is foreseen of them; one entry per bid row.

    Attributes
    ----------
    way : (row,)
        1 where the bid raises the element's power in its own sign, -1 where it lowers it.
    planned : (row,)
        Foreseen power in MW, in the element's own sign; NaN where it is not known.
    end : (row,)
        Power at which the element ends that way; NaN where nothing is stated.
    source : (row,) of str
        What states the end; "" for zero, where a load or generator ends by itself.
    element : (row,) of int
        A number that only rows of the same element share; -1 where no element is known.
    """

    way: Floats
    planned: Floats
    end: Floats
    source: np.ndarray
    element: Codes

    def mw(self, planned: Floats | None = None) -> Floats:
        """MW that the resources can still do, (..., row); NaN where nothing is stated.

        Parameters
        ----------
        planned : (..., row), optional
            In place of what is foreseen.
        """
        return np.maximum(self.way * (self.end - (self.planned if planned is None else planned)), 0.0)


@dataclass(frozen=True, eq=False)
class Limit:
    """Power at which elements end, in their own sign.

    Attributes
    ----------
    mw : (element,)
        NaN where nothing is stated: no limit.
    source : (element,) of str
        What states it; "" for zero, where a load or generator ends by itself.
    """

    mw: Floats
    source: np.ndarray


def check_offers(sheets: Mapping[str, Sheet], grid: Grid, horizon: Horizon, faults: Faults) -> None:
    """Find bids that are larger than their resource, each by itself; see ``find_room``.

    A slack generator has nothing to offer.

    Whether the resource is in service in the period does not matter here: its bid is red then, not wrong.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
    grid : Grid
    horizon : Horizon
    faults : Faults
        Takes what is found.
    """
    bids = sheets["active_bids"]
    kinds, names, directions = (bids.frame[column] for column in ("element_type", "element", "direction"))
    offered, room = bids.frame["p_mw"].to_numpy(), find_room(sheets, grid, horizon)
    most = room.mw()

    def what(row: int) -> str:
        whose = f"{kinds.iloc[row]} {quoted(names.iloc[row])}"
        return f"{offered[row]:.12g} MW {directions.iloc[row]} is more than {whose} can do in that period"

    def expected(row: int) -> str:
        verb = "generates" if kinds.iloc[row] in _GENERATING else "consumes"
        stated = f" ({room.source[row]})" if room.source[row] else ""
        way = f"{verb} {room.planned[row]:.12g} MW and ends at {room.end[row]:.12g} MW{stated}"
        return f"p_mw <= {most[row]:.12g}: it {way}"

    faults.rows(bids.source, offered > most + TOLERANCE_MW, "p_mw", what, expected)
    slack, place = grid.tables["gen"]["slack"].to_numpy(dtype=bool), element_places(bids, grid, "gen")
    told = say("{} is a slack generator: it takes what the others leave", names)
    faults.rows(
        bids.source, (place >= 0) & np.append(slack, False)[place], "element", told, "another element"
    )


def find_room(sheets: Mapping[str, Sheet], grid: Grid, horizon: Horizon) -> Room:
    """Find how far the resource of every row of ``active_bids`` can go in its direction and period.

    A load can shed what it consumes and a generator what it generates, down to ``min_p_mw`` of the grid where
    that is stated; they can rise to ``max_p_mw``, else to ``sn_mva``, where the grid states it as a number
    above 0. One that the grid or any period of the forecast has below zero can work both ways, down to
    ``-sn_mva``. Storage moves between the powers of table ``storage``, else those of the grid, else within
    its rating. Where nothing is stated there is no limit.

    Parameters
    ----------
    sheets : mapping of table name → Sheet
        ``active_bids``, ``forecast`` and ``storage``.
    grid : Grid
    horizon : Horizon

    Returns
    -------
    Room
        Nothing is known of rows that do not say what they mean.
    """
    bids = sheets["active_bids"]
    rises, position = np.zeros(len(bids.frame), dtype=bool), horizon.position(bids.frame["start"])
    usable = bids.good("start", "direction", "p_mw") & (position >= 0)
    planned, end = (np.full(len(bids.frame), np.nan) for _ in range(2))
    source = np.full(len(bids.frame), "", dtype=object)
    number = np.full(len(bids.frame), -1, dtype=np.int64)
    before = 0
    for table in INJECTING:
        element = element_places(bids, grid, table)
        number[element >= 0] = before + element[element >= 0]
        before += len(grid.tables[table])
        rows = np.flatnonzero(usable & (element >= 0))
        if not len(rows):
            continue
        mine = element[rows]
        planned[rows], both_ways = planned_power(
            sheets["forecast"], grid, table, horizon, mine, position[rows]
        )
        frame = grid.tables[table]
        low, high = (
            storage_limits(sheets["storage"], grid) if table == "storage" else _limits(frame, both_ways)
        )
        up = (bids.frame["direction"].to_numpy()[rows] == "up") == (table in _GENERATING)
        rises[rows] = up
        # Limits that contradict each other limit nothing.
        contradict = low.mw[mine] > high.mw[mine]
        end[rows] = np.where(contradict, np.nan, np.where(up, high.mw[mine], low.mw[mine]))
        source[rows] = np.where(up, high.source[mine], low.source[mine])
    return Room(np.where(rises, 1.0, -1.0), planned, end, source, number)


def room_of(case: Case, bids: pd.DataFrame) -> Room:
    """Find how far the resource of each row can go, like ``find_room``.

    Parameters
    ----------
    case : Case
        Its forecast and storages count.
    bids : DataFrame
        Its ``active_bids``, or others of the same columns.

    Returns
    -------
    Room
    """
    frames = {"active_bids": bids, "forecast": case.forecast, "storage": case.storage}
    sheets = {name: checked_sheet(TABLES[name], frame) for name, frame in frames.items()}
    return find_room(sheets, case.grid, case.horizon)


def element_places(sheet: Sheet, grid: Grid, table: str) -> Codes:
    """Place of each row's element in the grid table; -1 where it has none there."""
    known = grid.lookup(table)
    place = grid.tables[table].index.get_indexer(pd.Index(list(known.values()), dtype=np.int64))
    found = pd.Index(list(known), dtype=object).get_indexer(pd.Index(sheet.frame["element"]))
    mine = sheet.ok["element"]
    if "element_type" in sheet.ok:
        mine = mine & (sheet.frame["element_type"] == table).to_numpy()
    return np.where(mine, np.append(place, -1)[found], -1)


def planned_power(
    sheet: Sheet,
    grid: Grid,
    table: str,
    horizon: Horizon,
    element: Codes,
    position: Codes,
    column: str = "p_mw",
) -> tuple[Floats, Flags]:
    """Scaled power of elements in periods, in their own sign, and which of the table are ever below zero.

    Parameters
    ----------
    sheet : Sheet
        The forecast.
    grid, table, horizon
    element, position : (row,)
        Element and period to look up.
    column : {"p_mw", "q_mvar"}
        Which power.

    Returns
    -------
    power : (row,)
        In MW or Mvar; NaN where it is not known: a fault of the forecast, or a generator that takes what
        others leave.
    both_ways : (element,) of bool
    """
    frame = grid.tables[table]
    scaling = frame["scaling"].to_numpy(dtype=np.float64)
    own = frame[column].to_numpy(dtype=np.float64)
    named, period = element_places(sheet, grid, table), horizon.position(sheet.frame["start"])
    right = (named >= 0) & (period >= 0) & sheet.ok[column]
    mine, power = named[right], sheet.frame[column].to_numpy()[right]
    # An empty cell, where one is allowed, leaves the grid's.
    power = np.where(np.isnan(power), own[mine], power)
    foreseen = pd.Series(power, index=mine * horizon.periods + period[right])
    foreseen = foreseen[~foreseen.index.duplicated()]
    both_ways = own * scaling < 0.0
    both_ways[mine[power * scaling[mine] < 0.0]] = True
    own = own.copy()
    own[named[named >= 0]] = np.nan
    # A forecast whose element is misspelt could be that of any element.
    if (~sheet.good("element_type", "element")).any() or (
        (sheet.frame["element_type"] == table).to_numpy() & (named < 0)
    ).any():
        own[:] = np.nan
    if table == "gen":
        own[frame["slack"].to_numpy()] = np.nan
    found = foreseen.reindex(element * horizon.periods + position).to_numpy()
    return np.where(np.isnan(found), own[element], found) * scaling[element], both_ways


def planned_by_period(sheet: Sheet, grid: Grid, table: str, horizon: Horizon, element: Codes) -> Floats:
    """Scaled active power of elements in every period, (element, period); see ``planned_power``."""
    if not len(element):  # a long forecast is not read for nothing
        return np.empty((0, horizon.periods))
    period = np.tile(np.arange(horizon.periods), len(element))
    p_mw, _ = planned_power(sheet, grid, table, horizon, np.repeat(element, horizon.periods), period)
    return p_mw.reshape(len(element), horizon.periods)


def _limits(frame: pd.DataFrame, both_ways: Flags) -> tuple[Limit, Limit]:
    """Least and most power of loads or generators."""
    rating = _stated(frame, "sn_mva", above=0.0)
    low = _first_stated(
        ("min_p_mw of the grid", _stated(frame, "min_p_mw")),
        ("", np.where(both_ways, np.nan, 0.0)),
        ("sn_mva of the grid", -rating),
    )
    high = _first_stated(
        ("max_p_mw of the grid", _stated(frame, "max_p_mw", above=0.0)), ("sn_mva of the grid", rating)
    )
    return low, high


def storage_limits(sheet: Sheet, grid: Grid) -> tuple[Limit, Limit]:
    """Least and most power of storage: table ``storage``, else the grid."""
    frame = grid.tables["storage"]
    element = element_places(sheet, grid, "storage")
    rows = np.flatnonzero(element >= 0)

    def told(column: str, wrong: float) -> Floats:
        values = np.full(len(frame), np.nan)
        values[element[rows]] = np.where(sheet.ok[column], sheet.frame[column].to_numpy(), wrong)[rows]
        return values

    rating = _stated(frame, "sn_mva", above=0.0)
    # A cell that has been reported limits nothing.
    low = _first_stated(
        ("p_min_mw of table storage", told("p_min_mw", -np.inf)),
        ("s_max_mva of table storage", -told("s_max_mva", np.inf)),
        ("min_p_mw of the grid", _stated(frame, "min_p_mw")),
        ("sn_mva of the grid", -rating),
    )
    high = _first_stated(
        ("p_max_mw of table storage", told("p_max_mw", np.inf)),
        ("s_max_mva of table storage", told("s_max_mva", np.inf)),
        ("max_p_mw of the grid", _stated(frame, "max_p_mw")),
        ("sn_mva of the grid", rating),
    )
    return low, high


def _stated(frame: pd.DataFrame, column: str, above: float = -np.inf) -> Floats:
    """Finite numbers of a column above a bound; NaN for anything else."""
    if column not in frame:
        return np.full(len(frame), np.nan)
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(values) & (values > above), values, np.nan)


def _first_stated(*candidates: tuple[str, Floats]) -> Limit:
    """Take for each element the first candidate that is not NaN."""
    mw = np.full(len(candidates[0][1]), np.nan)
    source = np.full(len(mw), "", dtype=object)
    for name, values in candidates:
        fresh = np.isnan(mw) & ~np.isnan(values)
        mw[fresh], source[fresh] = values[fresh], name
    return Limit(mw, source)
