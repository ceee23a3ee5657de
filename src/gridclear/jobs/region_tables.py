"""Regions of maps as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.jobs.mapped import counted, decided_rows, labelled
from gridclear.optimise.maps import base_costs
from gridclear.optimise.polygons import area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.network.network import Complexes, Floats, Ints
    from gridclear.optimise.region import Region
    from gridclear.optimise.settling import Spot
    from gridclear.optimise.singles import Singles

#: A place can be had; no whole steps reach it; it is not known.
HAD, GAP, UNKNOWN = "had", "gap", "unknown"

Want = tuple[int, tuple[int, ...]]

_NAMED = ["start", "connection_point", "other_point"]
_COLUMNS = {
    "states": [*_NAMED, "state", "size", "open_percent"],
    "area": [*_NAMED[:2], "point", "p_mw", "q_mvar", "cost_eur", "next"],
    "lattice": [
        *_NAMED[:2],
        "point",
        "p_mw",
        "q_mvar",
        "cost_eur",
        "price_eur_mwh",
        "price_eur_mvarh",
        "asked_p_mw",
        "asked_q_mvar",
        "state",
    ],
    "joint": [
        *_NAMED,
        "point",
        "q_mvar",
        "other_q_mvar",
        "cost_eur",
        "price_eur_mvarh",
        "other_price_eur_mvarh",
        "place",
        "state",
    ],
    "dispatch": [*_NAMED, "point", "bid", "element_type", "element", "p_mw", "q_mvar", "position"],
}


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions as tables.

    Attributes
    ----------
    states : DataFrame
        start, connection_point, other_point (empty for P and Q of one), state, size (MW·Mvar, or Mvar²),
        open_percent: what bounds the region from outside by the programs' account has so much more of it.
    area : DataFrame
        start, connection_point, point, p_mw, q_mvar, cost_eur, next: corners in order; ``next`` says
        whether the middle of the straight way to the next one can be ``had``, or is a ``gap``.
    lattice : DataFrame
        start, connection_point, point, p_mw, q_mvar, cost_eur, price_eur_mwh, price_eur_mvarh, asked_p_mw,
        asked_q_mvar, state: the least cost at places inside of the region; ``gap``: what is nearest to a
        place that no whole steps reach; ``unknown``: nothing was confirmed (NaN).
    joint : DataFrame
        start, connection_point, other_point, point, q_mvar, other_q_mvar, cost_eur, price_eur_mvarh,
        other_price_eur_mvarh, place, state: the same for Q of two points; ``place`` is ``boundary`` (in
        order) or ``inside``.
    dispatch : DataFrame
        start, connection_point, other_point, point, bid, element_type, element, p_mw, q_mvar, position.
    """

    states: pd.DataFrame
    area: pd.DataFrame
    lattice: pd.DataFrame
    joint: pd.DataFrame
    dispatch: pd.DataFrame

    @classmethod
    def none(cls) -> Regions:
        """Nothing, with all columns."""
        return cls(**{name: pd.DataFrame(columns=columns) for name, columns in _COLUMNS.items()})

    @classmethod
    def together(cls, parts: Sequence[Regions]) -> Regions:
        """Put some one below the other."""
        if not parts:
            return cls.none()
        every = {name: [getattr(part, name) for part in parts] for name in _COLUMNS}
        filled = {name: [one for one in own if len(one)] or own[:1] for name, own in every.items()}
        return cls(**{name: pd.concat(own, ignore_index=True) for name, own in filled.items()})


@dataclass(frozen=True, eq=False)
class Row:
    """A published place: of which region, where it stands in it, what it rests on.

    Attributes
    ----------
    number : int
    spot : Spot or None
    asked : (2,) or None
        In p.u.; None on the boundary.
    state : str
    """

    number: int
    spot: Spot | None
    asked: Floats | None
    state: str


def region_rows(number: int, region: Region | None) -> list[Row]:
    """Places of a region: its boundary, then its lattice."""
    if region is None:
        return []
    sides = zip(region.boundary, region.had, strict=True)
    outer = [Row(number, spot, None, HAD if had else GAP) for spot, had in sides]
    inner = [
        Row(number, node.spot, node.asked, UNKNOWN if node.spot is None else HAD if node.had else GAP)
        for node in region.lattice
    ]
    return outer + inner


def region_tables(
    singles: Singles,
    wanted: Sequence[Want],
    found: Sequence[tuple[str, Region | None]],
    state: Sequence[str],
    rows: Sequence[Row],
    exchange: Complexes,
) -> Regions:
    """Write regions down.

    Parameters
    ----------
    singles : Singles
    wanted : sequence of (period, points)
    found : sequence of (str, Region or None)
        Of each.
    state : sequence of str
        Of each, after the proof.
    rows : sequence of Row
        That are kept, region by region.
    exchange : (row, point) complex
        Of their states, in p.u.

    Returns
    -------
    Regions
    """
    compiled = singles.problem.compiled
    base, hours = compiled.s_base_mva, compiled.case.horizon.hours
    number = np.array([row.number for row in rows], dtype=np.int64)
    period = np.array([own for own, _ in wanted], dtype=np.int64)
    lone = np.array([len(points) == 1 for _, points in wanted], dtype=bool)
    ends = np.array([(points[0], points[-1]) for _, points in wanted], dtype=np.int64).reshape(-1, 2)
    first, last = (base * exchange[np.arange(len(rows)), ends[number, side]] for side in (0, 1))
    one = np.where(lone[number], first.real, first.imag)
    blank = np.full(2, np.nan)
    price = np.array([blank if row.spot is None else row.spot.price for row in rows]).reshape(-1, 2) / hours
    asked = np.array([blank if row.asked is None else base * row.asked for row in rows]).reshape(-1, 2)
    spent = np.array([np.nan if row.spot is None else row.spot.cost for row in rows])
    whole = _labelled(singles, wanted, number)
    whole["point"] = counted(number)
    whole["p_mw"], whole["q_mvar"], whole["other_q_mvar"] = one, last.imag, last.imag
    whole["cost_eur"] = spent - base_costs(singles)[period[number]]
    whole["price_eur_mwh"], whole["price_eur_mvarh"] = price.T
    whole["other_price_eur_mvarh"] = price[:, 1]
    whole["asked_p_mw"], whole["asked_q_mvar"] = asked.T
    whole["state"] = [row.state for row in rows]
    whole["next"] = whole["state"]
    inside = np.array([row.asked is not None for row in rows], dtype=bool)
    whole["place"] = np.where(inside, "inside", "boundary").astype(object)
    joint = whole[~lone[number]].copy()
    joint["q_mvar"], joint["price_eur_mvarh"] = joint["p_mw"], joint["price_eur_mwh"]
    return Regions(
        _states(singles, wanted, found, state, number[~inside], np.stack([one, last.imag], axis=1)[~inside]),
        _part(whole, lone[number] & ~inside, "area"),
        _part(whole, lone[number] & inside, "lattice"),
        joint[_COLUMNS["joint"]].reset_index(drop=True),
        _dispatch(singles, wanted, rows, whole["point"].to_numpy()),
    )


def _part(whole: pd.DataFrame, rows: NDArray[np.bool_], name: str) -> pd.DataFrame:
    return whole.loc[rows, _COLUMNS[name]].reset_index(drop=True)


def _states(
    singles: Singles,
    wanted: Sequence[Want],
    found: Sequence[tuple[str, Region | None]],
    state: Sequence[str],
    number: Ints,
    corner: Floats,
) -> pd.DataFrame:
    table = _labelled(singles, wanted, np.arange(len(wanted)))
    table["state"] = list(state)
    own = [corner[number == row] for row in range(len(wanted))]
    table["size"] = [area(places) if len(places) else np.nan for places in own]
    table["open_percent"] = [np.nan if region is None else 100.0 * region.open_ for _, region in found]
    return table


def _dispatch(singles: Singles, wanted: Sequence[Want], rows: Sequence[Row], point: Ints) -> pd.DataFrame:
    kept = [(row.number, row.spot.single, own) for row, own in zip(rows, point, strict=True) if row.spot]
    number = np.array([own for own, _, _ in kept], dtype=np.int64)
    period = np.array([wanted[own][0] for own in number.tolist()], dtype=np.int64)
    decided = decided_rows(singles, period, [single for _, single, _ in kept])
    at = decided.pop("place").to_numpy(dtype=np.int64)
    table = _labelled(singles, wanted, number[at])
    table["point"] = np.array([own for _, _, own in kept], dtype=np.int64)[at]
    return pd.concat([table, decided], axis=1)


def _labelled(singles: Singles, wanted: Sequence[Want], number: Ints) -> pd.DataFrame:
    """Start and connection points of regions."""
    own = [wanted[row] for row in number.tolist()]
    period = np.array([period for period, _ in own], dtype=np.int64)
    first, last = np.array([(points[0], points[-1]) for _, points in own], dtype=np.int64).reshape(-1, 2).T
    table = labelled(singles, period, first)
    other = labelled(singles, period, last)["connection_point"]
    table["other_point"] = other.where(first != last, "").to_numpy(dtype=object)
    return table
