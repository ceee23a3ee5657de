"""Pictures of the regions of PQ maps. They need the extra ``notebook``, imported only when drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gridclear.jobs.pq_map import PQMap

# Okabe and Ito's palette.
_HAD, _GAP, _NOW = "#0072B2", "#D55E00", "#555555"
_EMPTY = "there is no region of {what} at {start}"


@dataclass(frozen=True, eq=False)
class _Plane:
    """A region as it is drawn: corners in order and places inside, with columns x, y, cost_eur, state."""

    corners: pd.DataFrame
    inside: pd.DataFrame
    now: tuple[float, float]
    labels: tuple[str, str]
    title: str


def plot_area(pq: PQMap, connection_point: str, start: pd.Timestamp) -> Figure:
    """Draw the P–Q region of one connection point in one period.

    The boundary is dashed where whole steps leave a gap on the way from one corner to the next; places of the
    lattice have their least cost as colour, and are crosses where no whole steps reach.

    Parameters
    ----------
    pq : PQMap
        With ``area=True``.
    connection_point : str
    start : Timestamp

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        There is no such region, or nothing can be had of it.
    """
    corners, inside = (
        table[(table["connection_point"] == connection_point) & (table["start"] == start)]
        for table in (pq.area, pq.lattice)
    )
    if corners.empty:
        raise OptionError(_EMPTY.format(what=connection_point, start=start))
    gap = inside["state"] == "gap"
    # What is not reached is drawn where it was asked for, not where the nearest that can be had lies.
    x, y = (inside[name].where(~gap, inside[f"asked_{name}"]) for name in ("p_mw", "q_mvar"))
    return _drawn(
        _Plane(
            corners=corners.assign(x=corners["p_mw"], y=corners["q_mvar"], state=corners["next"]),
            inside=inside.assign(x=x, y=y),
            now=_forecast(pq, connection_point, start),
            labels=("active power from transmission, MW", "reactive power from transmission, Mvar"),
            title=f"{connection_point}, {_when(pq, connection_point, '', start)}",
        )
    )


def plot_joint(pq: PQMap, start: pd.Timestamp) -> Figure:
    """Draw what the reactive power of two connection points can be together in one period.

    Parameters
    ----------
    pq : PQMap
        With ``joint``.
    start : Timestamp

    Returns
    -------
    matplotlib.figure.Figure
        As of ``plot_area``.

    Raises
    ------
    OptionError
        There is no such region, or nothing can be had of it.
    """
    own = pq.joint[pq.joint["start"] == start]
    if own.empty:
        raise OptionError(_EMPTY.format(what="two connection points", start=start))
    one, other = own[["connection_point", "other_point"]].iloc[0]
    placed = own.assign(x=own["q_mvar"], y=own["other_q_mvar"])
    outer = placed["place"] == "boundary"
    return _drawn(
        _Plane(
            corners=placed[outer],
            inside=placed[~outer],
            now=(_forecast(pq, one, start)[1], _forecast(pq, other, start)[1]),
            labels=(f"reactive power at {one}, Mvar", f"reactive power at {other}, Mvar"),
            title=f"{one} and {other}, {_when(pq, one, other, start)}",
        )
    )


def _drawn(plane: _Plane) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    _boundary(axes, plane.corners)
    had, gap = (plane.inside[plane.inside["state"] == state] for state in ("had", "gap"))
    every = np.concatenate([had["cost_eur"], plane.corners["cost_eur"]])
    scale = {"cmap": "viridis_r", "vmin": every.min(), "vmax": every.max(), "zorder": 3}
    dots = axes.scatter(plane.corners["x"], plane.corners["y"], c=plane.corners["cost_eur"], s=14, **scale)
    if len(had):
        axes.scatter(had["x"], had["y"], c=had["cost_eur"], s=60, marker="s", **scale)
    if len(gap):
        axes.scatter(gap["x"], gap["y"], c=_GAP, s=30, marker="x", label="no whole steps reach it")
    axes.plot(*plane.now, color=_NOW, marker="+", markersize=11, linestyle="none", label="forecast", zorder=4)
    axes.set_xlabel(plane.labels[0], fontsize=8)
    axes.set_ylabel(plane.labels[1], fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    # Beside the picture: a region may fill it.
    figure.legend(fontsize=7, frameon=False, loc="outside lower center", ncols=4)
    bar = figure.colorbar(dots, ax=axes)
    bar.set_label("least cost, EUR per period", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axes.set_title(plane.title, fontsize=9, loc="left")
    return figure


def _boundary(axes: Axes, corners: pd.DataFrame) -> None:
    """Draw the way from every corner to the next."""
    place = corners[["x", "y"]].to_numpy()
    following, gap = np.roll(place, -1, axis=0), corners["state"].to_numpy() == "gap"
    for rows, colour, style, label in (
        (~gap, _HAD, "-", "boundary"),
        (gap, _GAP, "--", "its gaps, where the middle cannot be had"),
    ):
        # A break after every side, so that those of one kind are one line.
        sides = np.stack([place[rows], following[rows], np.full((int(rows.sum()), 2), np.nan)], axis=1)
        if len(sides):
            axes.plot(*sides.reshape(-1, 2).T, color=colour, linestyle=style, linewidth=1.2, label=label)


def _forecast(pq: PQMap, connection_point: str, start: pd.Timestamp) -> tuple[float, float]:
    ranges = pq.ranges[(pq.ranges["connection_point"] == connection_point) & (pq.ranges["start"] == start)]
    if ranges.empty:
        return np.nan, np.nan
    return float(ranges["p_mw"].iloc[0]), float(ranges["q_forecast_mvar"].iloc[0])


def _when(pq: PQMap, connection_point: str, other: str, start: pd.Timestamp) -> str:
    """Time of a region, and its state where it is not mapped in full."""
    states = pq.regions.states
    own = (states["connection_point"] == connection_point) & (states["other_point"] == other)
    state = states.loc[own & (states["start"] == start), "state"].iloc[0]
    return f"{start:%d %B %Y %H:%M} UTC" + ("" if state == "mapped" else f" ({state})")
