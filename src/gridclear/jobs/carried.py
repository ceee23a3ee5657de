"""What a session leaves to the next one: bids that are taken, positions, moves of the day, energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from gridclear.case.check_storage import energy_gain
from gridclear.case.horizon import TIME_DTYPE
from gridclear.case.window import in_blocks, window
from gridclear.jobs.resources import most_mw
from gridclear.network.injections import INJECTION_SIGN, element_powers, element_scaling, forecast_powers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.case.cells import Flags
    from gridclear.jobs.activate import Activation
    from gridclear.jobs.clear import Clearing
    from gridclear.jobs.flow import Flow
    from gridclear.jobs.result import Result

#: Less of an offer than this part of it is nothing.
_NOTHING = 1e-9
#: Answers that are binding: all that they hold has been confirmed by power flows.
_ACTIVATED = ("covered", "short", "partial")
_CLEARED = ("optimal", "confirmed", "closest", "deadline")
_TAKEN = (
    "session", "start", "product", "bid", "direction", "element_type", "element",
    "amount", "supplied_mw", "price_eur", "p_mw", "q_mvar",
)  # fmt: skip
_STAMPS, _NUMBERS = ("session", "start"), ("amount", "supplied_mw", "price_eur", "p_mw", "q_mvar")
_NONE_TAKEN = pd.DataFrame(
    {
        name: pd.Series(dtype=TIME_DTYPE if name in _STAMPS else float if name in _NUMBERS else object)
        for name in _TAKEN
    }
)
#: Table of offers, column of the amount and of its least, by product.
_OFFERS: Mapping[str, tuple[str, str, str]] = {
    "active": ("active_bids", "p_mw", "min_p_mw"),
    "reactive": ("reactive_bids", "q_mvar", "min_q_mvar"),
}
_DEVICE_TABLES = ("tap_changers", "capacitor_banks")


@dataclass(frozen=True, eq=False)
class Carried:
    """What has been decided so far.

    Attributes
    ----------
    taken : DataFrame
        session, start, product, bid, direction, element_type, element, amount, supplied_mw, price_eur, p_mw,
        q_mvar: what sessions (by their start) have taken of bids. ``amount`` is in the bid's direction,
        ``p_mw`` and ``q_mvar`` are the change of injection (0 for bids of transmission).
    positions, moves_today : mapping of (element_type, element) to float
        Of tap changers and banks when the next period begins; moves made on its day (UTC).
    energy_mwh : mapping of str to float
        Of storages when the next period begins; NaN where it is not known.
    """

    taken: pd.DataFrame
    positions: Mapping[tuple[str, str], float]
    moves_today: Mapping[tuple[str, str], float]
    energy_mwh: Mapping[str, float]

    @classmethod
    def nothing(cls) -> Carried:
        """Give what there is before the first session: what the case says."""
        return cls(_NONE_TAKEN, {}, {}, {})


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
            **{name: _placed(part, name, carried) for name in _DEVICE_TABLES},
        }
    )
    return _within_resources(bound, taken)


def carry_on(case: Case, parts: Mapping[str, Result], before: Carried) -> Carried:
    """Find what stands when the first period of a session is over.

    Parameters
    ----------
    case : Case
        Of the session, as ``binding_case`` gave it.
    parts : mapping of str to Result
        Its results by job.
    before : Carried

    Returns
    -------
    Carried
        With what this session has taken, in all its periods.
    """
    rows = [before.taken, _activated(case, parts), _cleared(case, parts)]
    taken = pd.concat([frame for frame in rows if len(frame)] or [before.taken], ignore_index=True)
    first = case.horizon.start
    devices = _delivered_devices(case, parts)
    keys = list(zip(devices["element_type"], devices["element"], strict=True))
    same_day = (first + case.horizon.resolution).normalize() == first.normalize()
    made = dict(zip(keys, devices["moves"].tolist(), strict=True))
    stated = {
        (kind, name): float(count)
        for table in _DEVICE_TABLES
        for kind, name, count in _named(case.table(table), "moves_today")
    }
    return Carried(
        taken=taken,
        positions=dict(zip(keys, devices["position"].tolist(), strict=True)),
        moves_today={key: (stated.get(key, 0.0) + made[key]) * same_day for key in keys},
        energy_mwh=_energies(case, parts, taken[taken["start"] == first]),
    )


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
    return there.with_tables({name: there.table(name).assign(mode="fixed") for name in _DEVICE_TABLES})


def usable_clearing(parts: Mapping[str, Result]) -> Clearing | None:
    """Take the clearing of a session, if what it holds has been confirmed."""
    found = parts.get("clear")
    return cast("Clearing", found) if found is not None and found.status in _CLEARED else None


def _usable_activation(parts: Mapping[str, Result]) -> Activation | None:
    found = parts.get("activate")
    return cast("Activation", found) if found is not None and found.status in _ACTIVATED else None


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


def _open_need(part: Case, taken: pd.DataFrame) -> pd.DataFrame:
    supplied = taken.groupby(["start", "direction"])["supplied_mw"].sum()
    need = part.active_need.copy()
    keys = pd.MultiIndex.from_frame(need[["start", "direction"]])
    had = supplied.reindex(keys).fillna(0.0).to_numpy(dtype=np.float64)
    need["p_mw"] = np.maximum(need["p_mw"].to_numpy() - had, 0.0)
    return need


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
        pairs = pd.MultiIndex.from_frame(bids[["exclusive", "start"]])
        holders = dict(zip(pairs[touched & named], bids["bid"][touched & named], strict=True))
        holder = pd.Series([holders.get(pair, "") for pair in pairs], index=bids.index, dtype=object)
        dropped |= named & ((holder != "") & (holder != bids["bid"])).to_numpy()
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
    place = _canonical(part, "storage", storage["element"])
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
            (kind, _canonical(part, kind, [element])[0])
            for kind, element in zip(kinds, frame["element"], strict=True)
        ]
        frame[column] = np.array(
            [found.get(key, was) for key, was in zip(keys, old, strict=True)], dtype=np.float64
        )
    return frame


def _canonical(case: Case, table: str, names: pd.Series | list[str]) -> list[str]:
    """Call elements as results do: a case may call one by its name or its ``origin_id``."""
    lookup, labels = case.grid.lookup(table), case.grid.labels(table)
    return [str(labels.loc[lookup[name]]) for name in names]


def _named(frame: pd.DataFrame, column: str) -> list[tuple[str, str, float]]:
    kinds = frame["element_type"] if "element_type" in frame else ["shunt"] * len(frame)
    return list(zip(kinds, frame["element"], frame[column].fillna(0.0), strict=True))


def _activated(case: Case, parts: Mapping[str, Result]) -> pd.DataFrame:
    """Rows of ``Carried.taken`` that an activation adds."""
    result = _usable_activation(parts)
    if result is None:
        return _NONE_TAKEN
    accepted = result.accepted
    rows = (accepted["accepted_mw"] > 0.0).to_numpy()
    bids, amount = case.active_bids[rows], accepted["accepted_mw"].to_numpy()[rows]
    sign = np.where(bids["direction"] == "up", 1.0, -1.0) * (bids["element"] != "").to_numpy()
    return pd.DataFrame(
        {
            "session": case.horizon.start,
            "start": bids["start"].array,
            "product": "active",
            "bid": bids["bid"].to_numpy(),
            "direction": bids["direction"].to_numpy(),
            "element_type": bids["element_type"].to_numpy(),
            "element": bids["element"].to_numpy(),
            "amount": amount,
            "supplied_mw": accepted["supplied_mw"].to_numpy()[rows],
            "price_eur": bids["price_eur_mwh"].to_numpy(),
            "p_mw": sign * amount,
            "q_mvar": sign * amount * bids["tan_phi"].fillna(0.0).to_numpy(),
        }
    )[list(_TAKEN)]


def _cleared(case: Case, parts: Mapping[str, Result]) -> pd.DataFrame:
    """Rows of ``Carried.taken`` that a clearing adds: its bids, and storages in the first period."""
    result = usable_clearing(parts)
    if result is None:
        return _NONE_TAKEN
    plan = result.schedule
    moved = (plan["p_mw"] != 0.0) | (plan["q_mvar"] != 0.0)
    now = plan["start"] == case.horizon.start
    plan = plan[moved & ((plan["bid"] != "") | now)]
    ways = np.where(plan["q_mvar"] > 0.0, "inject", "absorb").astype(object)
    of_bid = (plan["bid"] != "").to_numpy()
    offered = case.reactive_bids.set_index(["bid", "start", "direction"])["price_eur_mvarh"]
    keys = pd.MultiIndex.from_arrays([plan["bid"], plan["start"], ways])
    return pd.DataFrame(
        {
            "session": case.horizon.start,
            "start": plan["start"].array,
            "product": np.where(of_bid, "reactive", "storage").astype(object),
            "bid": plan["bid"].to_numpy(),
            "direction": np.where(of_bid, ways, "").astype(object),
            "element_type": plan["element_type"].to_numpy(),
            "element": plan["element"].to_numpy(),
            "amount": np.where(of_bid, plan["q_mvar"].abs(), 0.0),
            "supplied_mw": 0.0,
            "price_eur": offered.reindex(keys).to_numpy(),
            "p_mw": plan["p_mw"].to_numpy(),
            "q_mvar": plan["q_mvar"].to_numpy(),
        }
    )[list(_TAKEN)]


def _delivered_devices(case: Case, parts: Mapping[str, Result]) -> pd.DataFrame:
    """Positions and moves of devices in the first period: of clearing, else activation, else flow."""
    clearing, activation = usable_clearing(parts), _usable_activation(parts)
    settled = cast("Flow", parts["flow"]).devices
    decided = settled if activation is None else activation.devices
    table = decided if clearing is None else clearing.devices
    table = table[(table["start"] == case.horizon.start) & (table["element_type"] != "storage")]
    if clearing is None:
        before = settled[settled["start"] == case.horizon.start].set_index(["element_type", "element"])
        keys = pd.MultiIndex.from_frame(table[["element_type", "element"]])
        made = table["position"].to_numpy() - before["position"].reindex(keys).to_numpy()
        table = table.assign(moves=np.abs(made))
    return table


def _energies(case: Case, parts: Mapping[str, Result], delivered: pd.DataFrame) -> dict[str, float]:
    """Energy of storages at the end of the first period; unknown where bids have moved it.

    Who sells energy out of a store that somebody else schedules has to bring it back, and does not say when.
    """
    clearing, first, energies = usable_clearing(parts), case.horizon.start, dict[str, float]()
    p_mw = element_powers(case, "storage")[0]
    lookup, index = case.grid.lookup("storage"), case.grid.tables["storage"].index
    moved = delivered[(delivered["element_type"] == "storage") & (delivered["product"] == "active")]
    sold = {lookup[name] for name in moved["element"]}
    for row in case.storage.itertuples():
        name = _canonical(case, "storage", [str(row.element)])[0]
        element = lookup[name]
        if clearing is not None and row.p_mode == "optimised":
            own = clearing.devices[
                (clearing.devices["start"] == first)
                & (clearing.devices["element_type"] == "storage")
                & (clearing.devices["element"].map(lookup) == element)
            ]
            energies[name] = float(own["energy_mwh"].iloc[0])
        elif element in sold:
            energies[name] = float("nan")
        else:
            power = p_mw[:1, index.get_loc(element)]
            charge, discharge = np.nan_to_num(
                np.array([row.efficiency_charge, row.efficiency_discharge], dtype=np.float64), nan=1.0
            ).tolist()
            gain = energy_gain(power, case.horizon.hours, charge, discharge)
            energies[name] = float(str(row.e_start_mwh)) + float(gain[0])
    return energies
