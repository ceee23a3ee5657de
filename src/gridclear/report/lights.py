"""The lights as a picture made of characters: one row per bid, one mark per period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

# By rising severity; where a mark stands for several lights, it shows the worst of them.
LIGHTS = ("green", "yellow", "red")
_LETTERS = ("G", "Y", "R")
# The filling says the same as the colour: all, a part or nothing of the bid is accepted.
_DOTS = ("\x1b[32m●\x1b[0m", "\x1b[33m◐\x1b[0m", "\x1b[31m○\x1b[0m")
_NO_BID = "·"
_LABEL_WIDTH = 24


@dataclass(frozen=True)
class LightGrid:
    """The lights of a qualification as bids × periods, the bid that is held back most first.

    Attributes
    ----------
    bids : tuple of str
        Name of every row.
    starts : DatetimeIndex
        Start of every column (UTC).
    severity : ndarray of int, shape (bids, periods)
        0 green, 1 yellow, 2 red, -1 where the bid offers nothing.
    share : ndarray of float, shape (bids, periods)
        Accepted part of the offer, 0 to 1; NaN where the bid offers nothing.
    """

    bids: tuple[str, ...]
    starts: pd.DatetimeIndex
    severity: np.ndarray
    share: np.ndarray


def light_grid(lights: pd.DataFrame) -> LightGrid:
    """Arrange lights as bids × periods.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification: start, bid, light, offered_mw, accepted_mw.

    Raises
    ------
    ValueError
        For a light that is neither green, yellow nor red.
    """
    unknown = sorted(set(lights["light"]) - set(LIGHTS))
    if unknown:
        msg = f"'{unknown[0]}' is no light"
        raise ValueError(msg)
    severity_of: Mapping[str, int] = {light: code for code, light in enumerate(LIGHTS)}
    starts = pd.DatetimeIndex(sorted(lights["start"].unique()))
    cells = pd.DataFrame(
        {
            "bid": lights["bid"].astype(str),
            "start": lights["start"],
            "severity": lights["light"].map(severity_of).astype(int),
            "offered_mw": lights["offered_mw"].astype(float),
            "accepted_mw": lights["accepted_mw"].astype(float),
        }
    )
    # A bid with several rows in one period (several directions, say) shows its worst light there.
    cell = cells.groupby(["bid", "start"], sort=False).agg(
        severity=("severity", "max"), offered_mw=("offered_mw", "sum"), accepted_mw=("accepted_mw", "sum")
    )
    bids = list(dict.fromkeys(cells["bid"]))
    cell = cell.reindex(pd.MultiIndex.from_product([bids, starts]))
    shape = (len(bids), len(starts))
    severity = cell["severity"].fillna(-1).to_numpy(dtype=np.int64).reshape(shape)
    offered = cell["offered_mw"].to_numpy(dtype=float).reshape(shape)
    accepted = cell["accepted_mw"].to_numpy(dtype=float).reshape(shape)
    share = np.divide(accepted, offered, out=np.where(np.isnan(offered), np.nan, 0.0), where=offered > 0)
    held = np.nansum(offered - accepted, axis=1)
    # Whole marks before megawatts: a row full of red stands above one large yellow.
    order = np.lexsort(
        (
            np.arange(len(bids)),
            -held,
            -(severity == 1).sum(axis=1),
            -(severity == LIGHTS.index("red")).sum(axis=1),
        )
    )
    return LightGrid(tuple(bids[row] for row in order), starts, severity[order], share[order])


def light_picture(lights: pd.DataFrame, *, colour: bool = False, width: int = 100, rows: int = 24) -> str:
    """Draw the lights with characters.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification.
    colour : bool
        Coloured dots (ANSI escapes, for a terminal) rather than the letters G, Y and R.
    width : int
        Characters per line. A longer horizon is drawn with one mark for several periods, the worst of them.
    rows : int
        At most so many bids, those that are held back most; the rest is counted in a line below.

    Returns
    -------
    str
        Lines without a newline at the end.
    """
    if lights.empty:
        return "no bids"
    grid = light_grid(lights)
    label = min(max(len(bid) for bid in grid.bids[:rows]), _LABEL_WIDTH)
    room = max(width - label - 2, 8)
    step = -(-len(grid.starts) // room)
    marks = _pooled(grid.severity, step)
    gap = " " if 2 * marks.shape[1] <= room else ""
    signs = (*(_DOTS if colour else _LETTERS), _NO_BID)

    lines = [" " * (label + 2) + _clock(grid.starts[::step], cell=1 + len(gap), room=room)]
    for bid, row in zip(grid.bids[:rows], marks[:rows], strict=True):
        name = bid if len(bid) <= label else bid[: label - 1] + "…"
        lines.append(f"{name.ljust(label)}  {gap.join(signs[code] for code in row)}")
    if len(grid.bids) > rows:
        lines.append(_rest(grid.severity[rows:]))
    legend = "   ".join(f"{sign} {light}" for sign, light in zip(signs, (*LIGHTS, "no bid"), strict=True))
    lines.append(legend + (f"   (each mark is the worst of {step} periods)" if step > 1 else ""))
    return "\n".join(lines)


def _pooled(severity: np.ndarray, step: int) -> np.ndarray:
    """Worst light of every `step` periods, shape (bids, ceil(periods / step))."""
    short = -severity.shape[1] % step
    padded = np.pad(severity, ((0, 0), (0, short)), constant_values=-1)
    worst: np.ndarray = padded.reshape(len(severity), -1, step).max(axis=2)
    return worst


def _clock(starts: pd.DatetimeIndex, *, cell: int, room: int) -> str:
    """Write times above the marks, as many as have room."""
    every = -(-8 // cell)
    text = ""
    for column in range(0, len(starts), every):
        text = text.ljust(column * cell) + f"{starts[column]:%H:%M}"
    return f"{text} UTC" if len(text) + 4 <= room else text


def _rest(severity: np.ndarray) -> str:
    worst = severity.max(axis=1)
    counts = [(light, int((worst == code).sum())) for code, light in reversed(list(enumerate(LIGHTS)))]
    parts = [f"{count} {light}" for light, count in counts if count]
    return f"and {len(severity)} more bids, by their worst light: {', '.join(parts)}"
