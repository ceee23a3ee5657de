"""Tables of a result in a terminal: a few rows that say what matters, worst first.

The functions ending in ``_table`` condense a result table into a small DataFrame of text, which `render` lays
out. Units stand in the headings.
"""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from gridclear.jobs.summary import constraint_table

if TYPE_CHECKING:
    from collections.abc import Mapping

_DECIMALS: Mapping[str, tuple[int, str]] = {
    "undervoltage": (4, "p.u."),
    "overvoltage": (4, "p.u."),
    "overload": (1, "%"),
    "exchange": (3, ""),
    "islanded": (3, "MW lost"),
}
_INDENT = " " * 6
_LIGHTS = ("green", "yellow", "red")


def render(table: pd.DataFrame, *, width: int = 100, note: str = "") -> str:
    """Lay a table of text out in columns.

    Parameters
    ----------
    table : DataFrame
        Texts are set left; numbers right, with three decimals unless the whole column is whole numbers.
    width : int
        Characters per line; only notes are broken to keep it.
    note : str
        Column of long texts that are written below their row instead, indented.

    Returns
    -------
    str
        Heading, rule and rows, without a newline at the end.
    """
    columns: list[list[str]] = []
    for label in table.columns:
        if label == note:
            continue
        cells = [str(label), *_cells(table[label])]
        wide = max(len(text) for text in cells)
        is_text = table[label].map(lambda value: isinstance(value, str)).all()
        columns.append([text.ljust(wide) if is_text else text.rjust(wide) for text in cells])
    heading, *rows = ["  ".join(parts).rstrip() for parts in zip(*columns, strict=True)]
    lines = [heading, "─" * max(len(row) for row in [heading, *rows])]
    notes = table[note].tolist() if note else [""] * len(rows)
    for row, text in zip(rows, notes, strict=True):
        lines += [row, *textwrap.wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)]
    return "\n".join(lines)


def lights_table(lights: pd.DataFrame, *, hours: float) -> pd.DataFrame:
    """How many lights of each colour there are, and how much energy they offer and let through.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification.
    hours : float
        Length of a period in hours.

    Returns
    -------
    DataFrame
        One row per colour and a total: light, lights, offered MWh, accepted MWh.
    """
    rows = [(light, lights[lights["light"] == light]) for light in _LIGHTS]
    rows.append(("all", lights))
    return pd.DataFrame(
        {
            "light": [name for name, _ in rows],
            "lights": [len(part) for _, part in rows],
            "offered MWh": [float(part["offered_mw"].sum()) * hours for _, part in rows],
            "accepted MWh": [float(part["accepted_mw"].sum()) * hours for _, part in rows],
        }
    )


def constraints_table(lights: pd.DataFrame, *, hours: float) -> pd.DataFrame:
    """Which constraints stop the bids, the one that holds back most energy first.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification.
    hours : float
        Length of a period in hours.

    Returns
    -------
    DataFrame
        constraint, yellow and red (number of lights), held back MWh.
    """
    ranking = constraint_table(lights, hours=hours)
    constraint = ranking["kind"].astype(str) + " " + _element(ranking)
    return pd.DataFrame(
        {
            "constraint": constraint.str.strip(),
            "yellow": ranking["yellow"],
            "red": ranking["red"],
            "held back MWh": ranking["held_back_mwh"],
        }
    )


def bids_table(lights: pd.DataFrame, *, hours: float) -> pd.DataFrame:
    """Bids that are held back, each with its worst period and the reason there, the worst bid first.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification.
    hours : float
        Length of a period in hours.

    Returns
    -------
    DataFrame
        bid, yellow and red (number of periods), held back MWh; of the worst period its start, the accepted of
        the offered MW, and the reason.
    """
    stopped = lights[lights["light"] != "green"].copy()
    stopped["held_mw"] = stopped["offered_mw"] - stopped["accepted_mw"]
    found: list[dict[str, object]] = []
    for bid, part in stopped.groupby("bid", sort=True):
        worst = part.iloc[int(part["held_mw"].to_numpy().argmax())]
        found.append(
            {
                "bid": str(bid),
                "yellow": int((part["light"] == "yellow").sum()),
                "red": int((part["light"] == "red").sum()),
                "held back MWh": float(part["held_mw"].sum()) * hours,
                "worst at": f"{worst['start']:%d %b %H:%M}",
                "accepted MW": f"{worst['accepted_mw']:.3f} of {worst['offered_mw']:.3f}",
                "reason": str(worst["reason"]),
            }
        )
    columns = ["bid", "yellow", "red", "held back MWh", "worst at", "accepted MW", "reason"]
    frame = pd.DataFrame(found, columns=columns)
    return frame.sort_values("held back MWh", ascending=False, kind="stable").reset_index(drop=True)


def products_table(products: pd.DataFrame) -> pd.DataFrame:
    """Products that the grid holds back, the one that loses most first.

    Parameters
    ----------
    products : DataFrame
        ``products`` of a prequalification.

    Returns
    -------
    DataFrame
        resource, direction, largest of what it could do in MW, the period that decides, and the reason.
    """
    held = products[products["largest_mw"] < products["cap_mw"]]
    order = (held["largest_mw"] - held["cap_mw"]).to_numpy().argsort(kind="stable")
    held = held.iloc[order]
    return pd.DataFrame(
        {
            "resource": _element(held),
            "direction": held["direction"],
            "largest MW": [
                f"{largest:.3f} of {cap:.3f}"
                for largest, cap in zip(held["largest_mw"], held["cap_mw"], strict=True)
            ],
            "at": ["" if pd.isna(start) else f"{start:%d %b %H:%M}" for start in held["start"]],
            "reason": held["reason"],
        }
    ).reset_index(drop=True)


def envelopes_table(envelopes: pd.DataFrame) -> pd.DataFrame:
    """Say what stops the sides of envelopes, the commonest first.

    Parameters
    ----------
    envelopes : DataFrame
        ``envelopes`` of a result.

    Returns
    -------
    DataFrame
        what stops, number of low and of high sides.
    """
    sides = {}
    for side in ("low", "high"):
        where = envelopes[[f"{side}_limit_element_type", f"{side}_limit_element"]]
        where = where.set_axis(["element_type", "element"], axis=1)
        what = (envelopes[f"{side}_kind"].astype(str) + " " + _element(where)).str.strip()
        sides[f"{side} sides"] = what.value_counts()
    counts = pd.DataFrame(sides).fillna(0).astype(int).sort_index()
    counts = counts.iloc[(-counts.sum(axis=1)).to_numpy().argsort(kind="stable")]
    return counts.rename_axis("what stops").reset_index()


def violations_table(violations: pd.DataFrame) -> pd.DataFrame:
    """Limits that the base state breaks, one row per constraint, the one broken longest first.

    Parameters
    ----------
    violations : DataFrame
        ``violations`` of a flow.

    Returns
    -------
    DataFrame
        constraint, periods, first at, worst, limit.
    """
    constraint = (violations["kind"].astype(str) + " " + _element(violations)).str.strip()
    found: list[dict[str, object]] = []
    for name, part in violations.groupby(constraint, sort=True):
        excess = (part["value"] - part["limit"]).abs().fillna(0.0)
        worst = part.iloc[int(excess.to_numpy().argmax())]
        found.append(
            {
                "constraint": str(name),
                "periods": int(part["start"].nunique()),
                "first at": f"{part['start'].min():%d %b %H:%M}",
                "worst": quantity(str(worst["kind"]), float(worst["value"])),
                "limit": ""
                if worst["kind"] == "islanded"
                else quantity(str(worst["kind"]), float(worst["limit"])),
            }
        )
    frame = pd.DataFrame(found, columns=["constraint", "periods", "first at", "worst", "limit"])
    return frame.sort_values("periods", ascending=False, kind="stable").reset_index(drop=True)


def devices_table(devices: pd.DataFrame) -> pd.DataFrame:
    """Where the devices stand at the start and the end of the horizon, and how often they move.

    Parameters
    ----------
    devices : DataFrame
        ``devices`` of a flow or a qualification.

    Returns
    -------
    DataFrame
        device, first, last, lowest and highest position, steps moved.
    """
    found: list[dict[str, object]] = []
    for name, part in devices.groupby(_element(devices), sort=True):
        position = part.sort_values("start", kind="stable")["position"].astype(float)
        found.append(
            {
                "device": str(name),
                "first": float(position.iloc[0]),
                "last": float(position.iloc[-1]),
                "lowest": float(position.min()),
                "highest": float(position.max()),
                "steps moved": float(position.diff().abs().sum()),
            }
        )
    frame = pd.DataFrame(found, columns=["device", "first", "last", "lowest", "highest", "steps moved"])
    return frame.sort_values("steps moved", ascending=False, kind="stable").reset_index(drop=True)


def exchange_table(exchange: pd.DataFrame) -> pd.DataFrame:
    """Lowest and highest exchange of every connection point over the horizon.

    Parameters
    ----------
    exchange : DataFrame
        ``exchange`` of a flow; positive flows from transmission into distribution.

    Returns
    -------
    DataFrame
        connection point, lowest and highest P in MW, lowest and highest Q in Mvar.
    """
    grouped = exchange.groupby("connection_point", sort=True)
    return pd.DataFrame(
        {
            "connection point": [str(name) for name in grouped.groups],
            "P min MW": grouped["p_mw"].min().to_numpy(),
            "P max MW": grouped["p_mw"].max().to_numpy(),
            "Q min Mvar": grouped["q_mvar"].min().to_numpy(),
            "Q max Mvar": grouped["q_mvar"].max().to_numpy(),
        }
    )


def quantity(kind: str, value: float) -> str:
    """Write a constraint's value with the decimals and the unit of its kind; "" for NaN.

    Parameters
    ----------
    kind : str
        Kind of violation, as in the tables.
    value : float
        In the unit of the kind: p.u. for voltages, % for loading, MW, Mvar or MVA for an exchange.
    """
    if math.isnan(value):
        return ""
    decimals, unit = _DECIMALS.get(kind, (3, ""))
    return f"{value:.{decimals}f} {unit}".rstrip()


def _element(table: pd.DataFrame) -> pd.Series:
    """Label of the element of every row: line 'Line 37'."""
    named = table["element_type"].astype(str) + " '" + table["element"].astype(str) + "'"
    return named.where(table["element"].astype(str) != "", table["element_type"].astype(str))


def _cells(column: pd.Series) -> list[str]:
    """Text of a column's values: whole numbers without decimals, if all of the column are; else three."""
    values = column.tolist()
    numbers = [float(value) for value in values if isinstance(value, int | float) and not math.isnan(value)]
    decimals = 0 if all(number.is_integer() for number in numbers) else 3
    return [_cell(value, decimals) for value in values]


def _cell(value: object, decimals: int) -> str:
    if isinstance(value, int | float):
        return "" if math.isnan(value) else f"{value:.{decimals}f}"
    return str(value)
