"""Forecasts → net injections per bus, and which switching stands in which period."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gridclear.case import Case, Grid
    from gridclear.network.compile import Switching
    from gridclear.network.network import Floats, Ints

#: Sign of an element's power as an injection.
INJECTION_SIGN: Mapping[str, float] = {"load": -1.0, "sgen": 1.0, "gen": 1.0, "storage": -1.0}
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


def base_injections(case: Case) -> tuple[Floats, Floats]:
    """Net injection per bus of loads, generators and storage in every period.

    Parameters
    ----------
    case : Case

    Returns
    -------
    p_mw, q_mvar : (period, bus)
        Generation positive, in the order of the bus table.

    Notes
    -----
    A forecast stands in for the table's ``p_mw``/``q_mvar``, and ``scaling`` applies to both, exactly as if
    it had been written into the net before ``runpp``.
    """
    buses = bus_positions(case.grid)
    shape = (case.horizon.periods, len(buses))
    p_mw, q_mvar = np.zeros(shape), np.zeros(shape)
    for table, sign in INJECTION_SIGN.items():
        frame = case.grid.tables[table]
        if not len(frame):
            continue
        p, q = element_powers(case, table)
        works = in_service(case, table)
        place = buses.loc[frame["bus"]].to_numpy()
        cells = (slice(None), place)
        np.add.at(p_mw, cells, np.where(works, sign * p, 0.0))  # type: ignore[arg-type]  # numpy's stub of ``at`` knows no slices
        np.add.at(q_mvar, cells, np.where(works, sign * q, 0.0))  # type: ignore[arg-type]  # numpy's stub of ``at`` knows no slices
    return p_mw, q_mvar


def element_powers(case: Case, table: str) -> tuple[Floats, Floats]:
    """Scaled power of every element of a table in every period, in the element's own sign.

    Parameters
    ----------
    case : Case
    table : {"load", "sgen", "gen", "storage"}

    Returns
    -------
    p_mw, q_mvar : (period, element)
    """
    frame = case.grid.tables[table]
    periods = case.horizon.periods
    p = np.tile(frame["p_mw"].to_numpy(dtype=np.float64), (periods, 1))
    q = np.tile(
        frame["q_mvar"].to_numpy(dtype=np.float64) if "q_mvar" in frame else np.zeros(len(frame)),
        (periods, 1),
    )
    rows = case.forecast[case.forecast["element_type"] == table]
    if len(rows):
        lookup = case.grid.lookup(table)
        place = frame.index.get_indexer(pd.Index(rows["element"].map(lookup).to_numpy(dtype=np.int64)))
        period = case.horizon.position(rows["start"])
        p[period, place] = rows["p_mw"].to_numpy()
        stated = rows["q_mvar"].notna().to_numpy()
        q[period[stated], place[stated]] = rows["q_mvar"].to_numpy()[stated]
    scaling = frame["scaling"].to_numpy(dtype=np.float64) if "scaling" in frame else np.ones(len(frame))
    return p * scaling, q * scaling
