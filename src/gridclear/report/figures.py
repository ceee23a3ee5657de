"""Pictures for a notebook. They need the extra ``notebook`` (matplotlib), imported only when drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError
from gridclear.report.lights import light_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gridclear.report.lights import LightGrid

# Okabe and Ito's palette, which colour-blind readers tell apart; letters, filling and hatching say it again.
_GREEN, _YELLOW, _YELLOW_OPEN, _RED = "#009E73", "#F0C400", "#FBF3C4", "#D55E00"
_SIGNS_UP_TO = 1500


def plot_lights(lights: pd.DataFrame, *, rows: int | None = 40, title: str = "") -> Figure:
    """Draw lights as bids × periods: green full, yellow filled as far as it is accepted, red hatched.

    Parameters
    ----------
    lights : DataFrame
        ``lights`` of a qualification.
    rows : int or None
        At most so many bids, those that are held back most; None for all.
    title : str
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Free of pyplot's global state: show it as the last line of a cell, or save it with ``.savefig``.

    Raises
    ------
    OptionError
        If matplotlib is not installed.
    ValueError
        If there are no lights to draw.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as fault:
        msg = "pictures need matplotlib, which is not installed: pip install 'gridclear[notebook]'"
        raise OptionError(msg) from fault
    if lights.empty:
        msg = "there are no lights to draw"
        raise ValueError(msg)
    grid = light_grid(lights)
    count = len(grid.bids) if rows is None else min(rows, len(grid.bids))
    size = (min(2.5 + 0.32 * len(grid.starts), 16.0), min(1.4 + 0.26 * count, 40.0))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    _draw_cells(axes, grid, count)
    if count * len(grid.starts) <= _SIGNS_UP_TO:
        _write_signs(axes, grid, count)
    _label_axes(axes, grid, count, title)
    return figure


def _draw_cells(axes: Axes, grid: LightGrid, count: int) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    severity, share = grid.severity[:count], grid.share[:count]

    def cells(code: int, *, width: np.ndarray | None = None) -> list[Rectangle]:
        places = np.argwhere(severity == code)
        widths = np.full(len(places), 0.92) if width is None else 0.92 * width[tuple(places.T)]
        return [
            Rectangle((column - 0.46, row - 0.44), wide, 0.88)
            for (row, column), wide in zip(places.tolist(), widths.tolist(), strict=True)
        ]

    axes.add_collection(PatchCollection(cells(0), facecolor=_GREEN, linewidth=0.0))
    axes.add_collection(PatchCollection(cells(1), facecolor=_YELLOW_OPEN, linewidth=0.0))
    axes.add_collection(PatchCollection(cells(1, width=share), facecolor=_YELLOW, linewidth=0.0))
    axes.add_collection(
        PatchCollection(cells(2), facecolor=_RED, edgecolor="white", hatch="////", linewidth=0.0)
    )


def _write_signs(axes: Axes, grid: LightGrid, count: int) -> None:
    """Letters in the cells; in a yellow one the accepted percentage."""
    for row in range(count):
        for column in range(len(grid.starts)):
            code = int(grid.severity[row, column])
            if code < 0:
                continue
            text = ("G", _percent(float(grid.share[row, column])), "R")[code]
            colour = ("white", "black", "black")[code]
            box = {"facecolor": _RED, "edgecolor": "none", "pad": 0.6} if code == len(("G", "Y")) else None
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color=colour, bbox=box)


def _percent(share: float) -> str:
    """Write a yellow share so that it reads neither 0 (red) nor 100 (green)."""
    return "<1" if share < 0.01 else f"{np.floor(100 * share):.0f}"


def _label_axes(axes: Axes, grid: LightGrid, count: int, title: str) -> None:
    from matplotlib.patches import Patch

    periods = len(grid.starts)
    every = max(1, -(-periods // 14))
    ticks = list(range(0, periods, every))
    axes.set_xlim(-0.6, periods - 0.4)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xticks(ticks, [f"{grid.starts[tick]:%H:%M}" for tick in ticks], fontsize=7)
    axes.set_yticks(range(count), list(grid.bids[:count]), fontsize=7)
    axes.set_xlabel(f"start of period on {grid.starts[0]:%d %B %Y} (UTC)", fontsize=8)
    axes.tick_params(length=0)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    hidden = len(grid.bids) - count
    left_out = f"{hidden} more bids not shown" if hidden else ""
    axes.set_title("   ".join(part for part in (title, left_out) if part), fontsize=9, loc="left")
    axes.legend(
        handles=[
            Patch(facecolor=_GREEN, label="G green: all accepted"),
            Patch(facecolor=_YELLOW, label="yellow: accepted as far as filled, in %"),
            Patch(facecolor=_RED, edgecolor="white", hatch="////", label="R red: nothing accepted"),
        ],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=7,
        frameon=False,
    )
