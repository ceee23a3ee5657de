"""The case of a session that goes on from others: a window in which all that they decided stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.window import in_blocks, window
from gridclear.jobs.carried import DEVICE_TABLES, activated, canonical
from gridclear.jobs.needs import COVERED_MW
from gridclear.jobs.resources import most_mw
from gridclear.network.injections import INJECTION_SIGN, element_scaling, forecast_powers
from gridclear.network.reactions import refuse_reactions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.case.cells import Flags
    from gridclear.jobs.carried import Carried
    from gridclear.jobs.result import Result
    from gridclear.network.network import Floats

#: Less of an offer than this part of it is nothing.
_NOTHING = 1e-9
#: Table of offers, column of the amount and of its least, by product.
_OFFERS: Mapping[str, tuple[str, str, str]] = {
    "active": ("active_bids", "p_mw", "min_p_mw"),
    "reactive": ("reactive_bids", "q_mvar", "min_q_mvar"),
}


def binding_case(case: Case, first: int, periods: int, carried: Carried) -> Case:
    """Take the window of a session, with all that earlier sessions have decided.

    Parameters
    ----------
    case : Case
        The whole case.
    first, periods : int
        As in ``window``.
    carried : Carried

    Returns
    -------
    Case
        What was taken of bids stands in ``forecast`` and is no longer on offer nor needed, nor is more of
        their resources than they can still do; devices and storages begin where they are. The forecast error
        and ``metered`` are left out: no session asks.
    """
    part = window(case, first, periods)
    taken = carried.taken[part.horizon.position(pd.DatetimeIndex(carried.taken["start"])) >= 0]
    bound = part.with_tables(
        {
            "forecast": _binding_forecast(part, taken),
            "forecast_scenarios": part.forecast_scenarios.iloc[:0],
            "forecast_quantiles": part.forecast_quantiles.iloc[:0],
            "metered": part.metered.iloc[:0],
            "active_need": _open_need(part, taken),
            "active_bids": _on_offer(part, taken, "active"),
            "reactive_bids": _on_offer(part, taken, "reactive"),
            "storage": _filled(part, carried),
            **{name: _placed(part, name, carried) for name in DEVICE_TABLES},
        }
    )
    return _within_resources(bound, taken)


def activated_case(case: Case, parts: Mapping[str, Result]) -> Case:
    """Take the case of a session as its activation leaves it: what is taken stands in the forecast.

    Parameters
    ----------
    case : Case
    parts : mapping of str to Result
        Results of the session so far; an activation that is not confirmed changes nothing.

    Returns
    -------
    Case

    Raises
    ------
    CaseError
        An inverter follows a curve: what is taken moves its reactive power, which no forecast can say.
    """
    refuse_reactions(case, "nothing that is handed on")
    return case.with_tables({"forecast": _binding_forecast(case, activated(case, parts))})


def delivered_case(case: Case, first: int, carried: Carried) -> Case:
    """Take a period as it is delivered: everything that was taken, devices held where they were set.

    Parameters
    ----------
    case : Case
        The whole case.
    first : int
        The period.
    carried : Carried
        What stands when it is over.

    Returns
    -------
    Case
    """
    there = binding_case(case, first, 1, carried)
    return there.with_tables({name: there.table(name).assign(mode="fixed") for name in DEVICE_TABLES})


def _binding_forecast(part: Case, taken: pd.DataFrame) -> pd.DataFrame:
    """Add what is taken to the forecast; an element that had none gets one of the grid's own power."""
    frames = []
    fixed = part.forecast
    for kind, rows in taken[taken["element"] != ""].groupby("element_type", sort=False):
        table = str(kind)
        lookup, frame = part.grid.lookup(table), part.grid.tables[table]
        place = frame.index.get_indexer(pd.Index(rows["element"].map(lookup).to_numpy(dtype=np.int64)))
        period = part.horizon.position(pd.DatetimeIndex(rows["start"]))
        p, q = forecast_powers(part, table)
        own = INJECTION_SIGN[table] / element_scaling(part, table)[place]
        np.add.at(p, (period, place), own * rows["p_mw"].to_numpy(dtype=np.float64))
        np.add.at(q, (period, place), own * rows["q_mvar"].to_numpy(dtype=np.float64))
        touched = np.unique(place)
        labels = part.grid.labels(table).to_numpy(dtype=object)[touched]
        q_stated = np.full_like(q, np.nan) if table == "gen" else q
        frames.append(
            pd.DataFrame(
                {
                    "element_type": table,
                    "element": labels.repeat(part.horizon.periods),
                    "start": np.tile(part.horizon.starts, len(touched)),
                    "p_mw": p[:, touched].T.ravel(),
                    "q_mvar": q_stated[:, touched].T.ravel(),
                }
            ).astype(part.forecast.dtypes.to_dict())
        )
        known = set(frame.index[touched])
        mine = (fixed["element_type"] == table) & fixed["element"].map(lookup).isin(known)
        fixed = fixed[~mine]
    return pd.concat([fixed, *frames], ignore_index=True) if frames else part.forecast


def needs_table(case: Case, taken: pd.DataFrame, delivered: pd.Series) -> pd.DataFrame:
    """Find what became of the needs of some periods.

    Parameters
    ----------
    case : Case
        The whole case.
    taken : DataFrame
        Rows as in ``Carried.taken``.
    delivered : Series of time stamps
        Starts of the periods.

    Returns
    -------
    DataFrame
        Rows as in ``Rolling.needs``.
    """
    need = case.active_need[case.active_need["start"].isin(delivered)]
    need = need.sort_values(["start", "direction"], kind="stable").reset_index(drop=True)
    asked, had = need["p_mw"].to_numpy(dtype=np.float64), _supplied(need, taken)
    missing = np.maximum(asked - had, 0.0)
    return need[["start", "direction"]].assign(
        need_mw=asked, supplied_mw=had, shortfall_mw=np.where(missing <= COVERED_MW, 0.0, missing)
    )


def _open_need(part: Case, taken: pd.DataFrame) -> pd.DataFrame:
    need = part.active_need
    left = np.maximum(need["p_mw"].to_numpy() - _supplied(need, taken), 0.0)
    return need.assign(p_mw=left)


def _supplied(need: pd.DataFrame, taken: pd.DataFrame) -> Floats:
    """MW that sessions have supplied of each row of ``active_need``."""
    supplied = taken.groupby(["start", "direction"])["supplied_mw"].sum()
    found: Floats = (
        supplied.reindex(pd.MultiIndex.from_frame(need[["start", "direction"]])).fillna(0.0).to_numpy()
    )
    return found


def _on_offer(part: Case, taken: pd.DataFrame, product: str) -> pd.DataFrame:
    """Leave of every bid what has not been taken, and nothing of what has been excluded by it."""
    name, amount, least = _OFFERS[product]
    bids, key = part.table(name), ["bid", "start", "direction"]
    mine = taken[taken["product"] == product]
    if mine.empty or bids.empty:
        return bids
    had = mine.groupby(key)["amount"].sum()
    gone = had.reindex(pd.MultiIndex.from_frame(bids[key])).fillna(0.0).to_numpy(dtype=np.float64)
    left = bids[amount].to_numpy() - gone
    touched: Flags = gone > 0.0
    dropped = touched & (left <= _NOTHING * bids[amount].to_numpy())
    if "exclusive" in bids:
        named = (bids["exclusive"] != "").to_numpy()
        places = list(zip(bids["exclusive"], bids["start"], strict=True))
        # What has a place is a block or one row, as in the activation: not the other direction of a bid, too.
        alone = bids["bid"] + " " + bids["direction"]
        owns = list(zip(bids["block"], alone.where(bids["block"] == "", ""), strict=True))
        holders = {places[row]: owns[row] for row in np.flatnonzero(touched & named)}
        others = [holders.get(place, own) != own for place, own in zip(places, owns, strict=True)]
        dropped |= named & np.array(others)
    dropped |= in_blocks(bids, dropped)
    remaining = bids.assign(**{amount: left, least: bids[least].mask(touched)})[~dropped]
    return pd.DataFrame(remaining.reset_index(drop=True))


def _within_resources(case: Case, taken: pd.DataFrame) -> Case:
    """Cut active bids to what their resources can still do where other bids of theirs were taken.

    The clearing keeps the capability of a resource by itself; the lights take each bid as it is offered.
    """
    bids, grid = case.active_bids, case.grid
    mine = taken[(taken["product"] == "active") & (taken["element"] != "")]
    keys = {
        (table, grid.lookup(table)[element], start)
        for table, element, start in zip(mine["element_type"], mine["element"], mine["start"], strict=True)
    }
    if not keys or bids.empty:
        return case
    shared = np.array(
        [
            bool(element) and (table, grid.lookup(table)[element], start) in keys
            for table, element, start in zip(
                bids["element_type"], bids["element"], bids["start"], strict=True
            )
        ]
    )
    room, offered = most_mw(case, bids, None)[0], bids["p_mw"].to_numpy()
    cut: Flags = shared & (offered > room)
    left = np.where(cut, room, offered)
    dropped = cut & ((bids["min_p_mw"].to_numpy() > left) | (left <= _NOTHING * offered))
    dropped |= in_blocks(bids, cut)
    return case.with_tables({"active_bids": bids.assign(p_mw=left)[~dropped].reset_index(drop=True)})


def _filled(part: Case, carried: Carried) -> pd.DataFrame:
    storage = part.storage.copy()
    place = canonical(part, "storage", storage["element"])
    stated = storage["e_start_mwh"].tolist()
    known = carried.energy_mwh
    storage["e_start_mwh"] = np.array(
        [known.get(name, old) for name, old in zip(place, stated, strict=True)], dtype=np.float64
    )
    return storage


def _placed(part: Case, name: str, carried: Carried) -> pd.DataFrame:
    frame = part.table(name).copy()
    for column, found in (("position", carried.positions), ("moves_today", carried.moves_today)):
        old = frame[column].tolist()
        kinds = frame["element_type"] if "element_type" in frame else ["shunt"] * len(frame)
        keys = [
            (kind, canonical(part, kind, [element])[0])
            for kind, element in zip(kinds, frame["element"], strict=True)
        ]
        frame[column] = np.array(
            [found.get(key, was) for key, was in zip(keys, old, strict=True)], dtype=np.float64
        )
    return frame
