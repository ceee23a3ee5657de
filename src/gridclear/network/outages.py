"""Outages → which element works in which period, and which switching stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.case import Case, Grid
    from gridclear.network.compile import Switching
    from gridclear.network.network import Ints

#: Tables whose outages move injections alone; an outage of any other changes the topology.
_POWER_ONLY = ("load", "sgen", "storage")


def bus_positions(grid: Grid) -> pd.Series:
    """Pandapower's bus index → place in the bus table."""
    buses = grid.tables["bus"].index
    return pd.Series(np.arange(len(buses)), index=buses)


def in_service(case: Case, table: str) -> NDArray[np.bool_]:
    """Which elements of a table work in which period.

    Parameters
    ----------
    case : Case
    table : str

    Returns
    -------
    (period, element) of bool
        The grid's own state with the case's outages applied, in their order of start.
    """
    frame = case.grid.tables[table]
    works = np.tile(frame["in_service"].to_numpy(dtype=bool), (case.horizon.periods, 1))
    for element, periods, state in _outages(case, table):
        works[periods, frame.index.get_loc(element)] = state
    return works


def topologies(case: Case) -> tuple[list[tuple[Switching, ...]], Ints]:
    """Distinct switching states of the horizon.

    Parameters
    ----------
    case : Case

    Returns
    -------
    list of tuples of Switching
        Changes of each topology against the grid's own state.
    (period,) of int
        Which of them stands in each period.
    """
    states: list[dict[tuple[str, int], bool]] = [{} for _ in range(case.horizon.periods)]
    for table in dict.fromkeys(case.outages["element_type"]):
        if table in _POWER_ONLY:
            continue
        for element, periods, state in _outages(case, table):
            for period in np.flatnonzero(periods):
                states[period][table, element] = state
    keys = [
        tuple(sorted((table, element, state) for (table, element), state in changes.items()))
        for changes in states
    ]
    distinct = list(dict.fromkeys(keys))
    number = {key: place for place, key in enumerate(distinct)}
    return distinct, np.array([number[key] for key in keys], dtype=np.int64)


def _outages(case: Case, table: str) -> list[tuple[int, NDArray[np.bool_], bool]]:
    """Outages of one table: pandapower index, periods that it touches, and the state during them.

    A period counts as touched if any part of it lies inside the half-open interval.
    """
    rows = case.outages[case.outages["element_type"] == table].sort_values("start", kind="stable")
    lookup = case.grid.lookup(table)
    starts = case.horizon.starts
    ends = starts + case.horizon.resolution
    return [
        (
            lookup[element],
            np.asarray((starts < end) & (ends > start)),
            state in ("in", "closed"),
        )
        for element, start, end, state in zip(
            rows["element"], rows["start"], rows["end"], rows["state"], strict=True
        )
    ]
