"""Charts of a page, as SVG that needs nothing else: values by period as steps, cost over reactive power."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.activate import Activation
from gridclear.jobs.clear import Clearing
from gridclear.jobs.flow import Flow
from gridclear.jobs.pq_map import PQMap
from gridclear.jobs.settle import Settlement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from gridclear.case import Case, Horizon
    from gridclear.jobs.result import Result
    from gridclear.network.network import Floats

#: Size of a chart and its margins.
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 200, 60, 24, 22
#: Colour and dashes of each line.
_LINES = (("#0b5fa5", "none"), ("#c0261b", "5 4"))
#: Width of a letter in a legend, and of the room between two names.
_LETTER, _BETWEEN = 6.0, 18.0


def charts(case: Case, part: Result) -> str:
    """Draw what a job of a session says of every period, or of the first one that it has mapped.

    Parameters
    ----------
    case : Case
        The case of the session.
    part : Result
        One of its parts.

    Returns
    -------
    str
        SVG; "" where there is nothing to draw.
    """
    horizon = case.horizon
    match part:
        case Flow():
            return _voltages(horizon, part.buses)
        case Activation():
            return "".join(
                _by_period(
                    f"Need {direction}, MW",
                    horizon,
                    own["start"],
                    {"supplied": own["supplied_mw"], "need": own["need_mw"]},
                )
                for direction, own in part.prices.groupby("direction", sort=False)
            )
        case PQMap():
            points = part.costs["connection_point"].unique()
            return "".join(_cost_curve(part, str(point)) for point in points)
        case Clearing():
            return "".join(
                _by_period(
                    f"Exchange at {point}, Mvar",
                    horizon,
                    own["start"],
                    {"delivered": own["q_mvar"], "asked for": own["requested_q_mvar"]},
                )
                for point, own in part.exchange.groupby("connection_point", sort=False)
            )
        case Settlement():
            return "".join(
                _by_period(
                    f"Cost of the service at {point}, EUR per period",
                    horizon,
                    own["start"],
                    {"operator": own["dso_share_eur"], "TSO": own["tso_share_eur"]},
                )
                for point, own in part.shares.groupby("connection_point", sort=False)
            )
    return ""


@dataclass(frozen=True)
class _Frame:
    """Where values stand: the ranges of both axes."""

    x: tuple[float, float]
    y: tuple[float, float]

    def right(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low or 1.0) * (_WIDTH - _LEFT)

    def down(self, value: float) -> float:
        low, high = self.y
        return _TOP + (high - value) / (high - low or 1.0) * (_HEIGHT - _TOP - _BOTTOM)


def _voltages(horizon: Horizon, buses: pd.DataFrame) -> str:
    spread = buses.groupby("start")["vm_pu"].agg(["max", "min"]).reset_index()
    lines = {"highest": spread["max"], "lowest": spread["min"]}
    return _by_period("Voltage, p.u.", horizon, spread["start"], lines, from_zero=False)


def _by_period(
    title: str,
    horizon: Horizon,
    starts: pd.Series,
    lines: Mapping[str, pd.Series],
    *,
    from_zero: bool = True,
) -> str:
    """Draw lines that hold for whole periods; a period without a number has none."""
    values = {name: np.full(horizon.periods, np.nan) for name in lines}
    for name, column in lines.items():
        values[name][horizon.position(starts)] = column.to_numpy(dtype=np.float64)
    ends = _ends(np.concatenate(list(values.values())), from_zero=from_zero)
    if ends is None:
        return ""
    frame = _Frame((0.0, float(horizon.periods)), ends)
    paths = [_steps(frame, line) for line in values.values()]
    stamps = (f"{horizon.start:%d %b %H:%M}", f"{horizon.end:%d %b %H:%M} UTC")
    return _drawn(title, frame, stamps, list(lines), paths)


def _cost_curve(pq: PQMap, point: str) -> str:
    """Draw the cost over the exchange of the first period that is mapped; gaps stay open."""
    costs = pq.costs[pq.costs["connection_point"] == point]
    start = costs["start"].min()
    own = costs[costs["start"] == start].sort_values("q_mvar", kind="stable")
    q, eur = (own[name].to_numpy(dtype=np.float64) for name in ("q_mvar", "cost_eur"))
    ends = _ends(eur, from_zero=True)
    if ends is None:
        return ""
    gaps = pq.gaps[(pq.gaps["connection_point"] == point) & (pq.gaps["start"] == start)]
    open_at = [
        after for after, (a, b) in enumerate(pairwise(q.tolist()), start=1)
        if ((gaps["q_from_mvar"] < b) & (gaps["q_to_mvar"] > a)).any()
    ]  # fmt: skip
    frame = _Frame((float(q.min()), float(q.max())), ends)
    pieces = zip(np.split(q, open_at), np.split(eur, open_at), strict=True)
    path = "".join(
        "M" + " L".join(f"{frame.right(a):.1f},{frame.down(b):.1f}" for a, b in zip(*piece, strict=True))
        for piece in pieces
    )
    forecast = pq.ranges[(pq.ranges["connection_point"] == point) & (pq.ranges["start"] == start)]
    x = frame.right(float(forecast["q_forecast_mvar"].iloc[0]))
    mark = f"M{x:.1f},{_TOP} V{_HEIGHT - _BOTTOM}"
    title = f"EUR per period over the exchange at {point}, {start:%d %b %H:%M}"
    words = (f"{q.min():.2f} Mvar", f"{q.max():.2f} Mvar")
    return _drawn(title, frame, words, ["cost", "forecast"], [path, mark])


def _ends(values: Floats, *, from_zero: bool) -> tuple[float, float] | None:
    """Range of an axis; None if no value is known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = float(known.min()), float(known.max())
    return (min(low, 0.0), max(high, 0.0)) if from_zero else (low, high)


def _steps(frame: _Frame, line: Floats) -> str:
    """Path that is level in every period, and open where a period has no value."""
    parts, before = [], False
    for period, value in enumerate(line.tolist()):
        if np.isfinite(value):
            y, left, right = frame.down(value), frame.right(period), frame.right(period + 1)
            parts.append(f"V{y:.1f} H{right:.1f}" if before else f"M{left:.1f},{y:.1f} H{right:.1f}")
        before = bool(np.isfinite(value))
    return " ".join(parts)


def _drawn(
    title: str, frame: _Frame, ends: tuple[str, str], names: Sequence[str], paths: Sequence[str]
) -> str:
    """Put axes, lines and their names together."""
    parts = [_label(_LEFT, 12, title, "start")]
    low, high = frame.y
    for level in sorted({low, high} | ({0.0} if low < 0.0 < high else set())):
        y = frame.down(level)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ccc"/>')
        parts.append(_label(_LEFT - 6, y + 4.0, f"{level:.4g}", "end"))
    place = float(_WIDTH)
    for name, (colour, _) in reversed(list(zip(names, _LINES, strict=True))):
        parts.append(_label(place, 12, name, "end", colour))
        place -= len(name) * _LETTER + _BETWEEN
    for path, (colour, dash) in zip(paths, _LINES, strict=True):
        style = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<path d="{path}" {style}/>')
    for x, anchor, text in ((_LEFT, "start", ends[0]), (_WIDTH, "end", ends[1])):
        parts.append(_label(x, _HEIGHT - 6, text, anchor))
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
    return head + "".join(parts) + "</svg>\n"


def _label(x: float, y: float, text: str, anchor: str, colour: str = "#444") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
