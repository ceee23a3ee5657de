"""What a session leaves to the next one: bids that are taken, positions, moves of the day, energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from gridclear.case.check_storage import energy_gain
from gridclear.case.horizon import TIME_DTYPE
from gridclear.case.window import window
from gridclear.network.compiled import compile_case
from gridclear.network.injections import element_powers
from gridclear.powerflow.offered import places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.jobs.activate import Activation
    from gridclear.jobs.clear import Clearing
    from gridclear.jobs.flow import Flow
    from gridclear.jobs.result import Result

#: Answers that are binding: all that they hold has been confirmed by power flows.
ACTIVATED = ("covered", "short", "partial")
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
DEVICE_TABLES = ("tap_changers", "capacitor_banks")


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
    rows = [before.taken, activated(case, parts), _cleared(case, parts)]
    taken = pd.concat([frame for frame in rows if len(frame)] or [before.taken], ignore_index=True)
    first = case.horizon.start
    devices = _delivered_devices(case, parts)
    keys = list(zip(devices["element_type"], devices["element"], strict=True))
    same_day = (first + case.horizon.resolution).normalize() == first.normalize()
    made = dict(zip(keys, devices["moves"].tolist(), strict=True))
    stated = {
        (kind, canonical(case, kind, [name])[0]): float(str(count))
        for table in DEVICE_TABLES
        for kind, name, count in _named(case.table(table).fillna({"moves_today": 0.0}), "moves_today")
    }
    return Carried(
        taken=taken,
        positions=dict(zip(keys, devices["position"].tolist(), strict=True)),
        moves_today={key: (stated.get(key, 0.0) + made[key]) * same_day for key in keys},
        energy_mwh=_energies(case, parts, taken[taken["start"] == first]),
    )


def usable_clearing(parts: Mapping[str, Result]) -> Clearing | None:
    """Take the clearing of a session, if what it holds has been confirmed."""
    found = parts.get("clear")
    return cast("Clearing", found) if found is not None and found.status in _CLEARED else None


def usable_activation(parts: Mapping[str, Result]) -> Activation | None:
    """Take the activation of a session, if what it holds has been confirmed."""
    found = parts.get("activate")
    return cast("Activation", found) if found is not None and found.status in ACTIVATED else None


def canonical(case: Case, table: str, names: pd.Series | list[str]) -> list[str]:
    """Call elements as results do: a case may call one by its name or its ``origin_id``."""
    lookup, labels = case.grid.lookup(table), case.grid.labels(table)
    return [str(labels.loc[lookup[name]]) for name in names]


def _named(frame: pd.DataFrame, column: str) -> list[tuple[str, str, object]]:
    kinds = frame["element_type"] if "element_type" in frame else ["shunt"] * len(frame)
    return list(zip(kinds, frame["element"], frame[column], strict=True))


def activated(case: Case, parts: Mapping[str, Result]) -> pd.DataFrame:
    """Give the rows of ``Carried.taken`` that an activation adds, if it is confirmed."""
    result = usable_activation(parts)
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
    clearing, activation = usable_clearing(parts), usable_activation(parts)
    settled = cast("Flow", parts["flow"]).devices
    decided = settled if activation is None else activation.devices
    table = decided if clearing is None else clearing.devices
    table = table[(table["start"] == case.horizon.start) & (table["element_type"] != "storage")]
    if clearing is None:
        before = settled[settled["start"] == case.horizon.start].set_index(["element_type", "element"])
        keys = pd.MultiIndex.from_frame(table[["element_type", "element"]])
        made = table["position"].to_numpy() - before["position"].reindex(keys).to_numpy()
        # What a regulator does by itself is no move that anybody counts.
        counted = keys.isin(list(_reset(case)))
        table = table.assign(moves=np.abs(made) * counted)
    return table


def _reset(case: Case) -> set[tuple[str, str]]:
    """Devices that are re-set by the operator."""
    return {
        (str(kind), canonical(case, str(kind), [str(name)])[0])
        for table in DEVICE_TABLES
        for kind, name, mode in _named(case.table(table), "mode")
        if mode == "optimised"
    }


def _energies(case: Case, parts: Mapping[str, Result], delivered: pd.DataFrame) -> dict[str, float]:
    """Energy of storages at the end of the first period; unknown where bids have moved it.

    Who sells energy out of a store that somebody else schedules has to bring it back, and does not say when.
    """
    clearing, first, energies = usable_clearing(parts), case.horizon.start, dict[str, float]()
    if case.storage.empty:
        return energies
    now = window(case, 0, 1)
    p_mw = element_powers(now, "storage")[0]
    rows = case.storage.assign(element_type="storage")
    # What is out of service or without supply neither takes nor gives, whatever is foreseen of it.
    _, works, _ = places(compile_case(now), rows, np.zeros(len(rows), dtype=np.int64))
    lookup, index = case.grid.lookup("storage"), case.grid.tables["storage"].index
    moved = delivered[(delivered["element_type"] == "storage") & (delivered["product"] == "active")]
    sold = {lookup[name] for name in moved["element"]}
    for row, at_work in zip(case.storage.itertuples(), works.tolist(), strict=True):
        name = canonical(case, "storage", [str(row.element)])[0]
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
            power = p_mw[:, index.get_loc(element)] * at_work
            charge, discharge = np.nan_to_num(
                np.array([row.efficiency_charge, row.efficiency_discharge], dtype=np.float64), nan=1.0
            ).tolist()
            gain = energy_gain(power, case.horizon.hours, charge, discharge)
            energies[name] = float(str(row.e_start_mwh)) + float(gain[0])
    return energies
