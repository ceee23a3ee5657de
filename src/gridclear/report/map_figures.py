"""Pictures of PQ maps. They need the extra ``notebook`` (matplotlib), imported only when drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gridclear.jobs.pq_map import PQMap
    from gridclear.network.network import Floats

# Okabe and Ito's palette.
_LINE, _PRICE, _NOW = "#0072B2", "#D55E00", "#555555"
_LATTICE = 200


def plot_costs(pq: PQMap, connection_point: str, start: pd.Timestamp) -> Figure:
    """Draw the cost curve of one map, run by run, and below it the price of one more Mvar.

    Parameters
    ----------
    pq : PQMap
    connection_point : str
    start : Timestamp

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        There is no such map.
    """
    from matplotlib.figure import Figure

    costs, row = _of(pq, connection_point, start)
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for _, run in costs.groupby("run"):
        top.plot(run["q_mvar"], run["cost_eur"], color=_LINE, marker=".", markersize=3, linewidth=1.3)
        middle = run["q_mvar"].rolling(2).mean().iloc[1:]
        hours = float(pq.provenance["hours"])  # type: ignore[arg-type]  # provenance holds plain objects
        slope = run["cost_eur"].diff().iloc[1:] / run["q_mvar"].diff().iloc[1:] / hours
        bottom.step(middle, slope, where="mid", color=_PRICE, linewidth=1.3)
    for axes in (top, bottom):
        axes.axvline(row["q_forecast_mvar"], color=_NOW, linewidth=0.8, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    top.set_ylabel("cost, EUR", fontsize=8)
    bottom.set_ylabel("price, EUR/Mvarh", fontsize=8)
    bottom.set_xlabel("reactive power from transmission, Mvar (dotted: forecast)", fontsize=8)
    top.set_title(f"{connection_point}, {start:%d %B %Y %H:%M} UTC", fontsize=9, loc="left")
    return figure


def plot_map(pq: PQMap, connection_point: str) -> Figure:
    """Draw the maps of one connection point over the horizon: cost by colour, blank where nothing is had.

    Parameters
    ----------
    pq : PQMap
    connection_point : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    OptionError
        There is no map of this point.
    """
    from matplotlib.figure import Figure

    ranges = pq.ranges[pq.ranges["connection_point"] == connection_point].reset_index(drop=True)
    if ranges["q_min_mvar"].isna().all():
        raise OptionError(f"there is no map of {connection_point}")
    lattice = np.linspace(ranges["q_min_mvar"].min(), ranges["q_max_mvar"].max(), _LATTICE)
    height = 0.5 * (lattice[1] - lattice[0])
    colours = np.stack([_cost_at(pq, connection_point, start, lattice) for start in ranges["start"]], axis=1)
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    axes = figure.subplots()
    count = len(ranges)
    edges = (-0.5, count - 0.5, float(lattice[0] - height), float(lattice[-1] + height))
    image = axes.imshow(
        colours, aspect="auto", origin="lower", extent=edges, cmap="viridis_r", interpolation="nearest"
    )
    axes.step(
        np.arange(count),
        ranges["q_forecast_mvar"],
        where="mid",
        color="black",
        linewidth=1.2,
        label="forecast",
    )
    every = max(1, -(-count // 10))
    axes.set_xticks(
        list(range(0, count, every)), [f"{start:%H:%M}" for start in ranges["start"][::every]], fontsize=7
    )
    axes.tick_params(labelsize=7)
    axes.set_ylabel("reactive power from transmission, Mvar", fontsize=8)
    axes.legend(fontsize=7, loc="upper right")
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("least cost, EUR per period", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    axes.set_title(f"{connection_point}, {ranges['start'].iloc[0]:%d %B %Y} (UTC)", fontsize=9, loc="left")
    return figure


def _of(pq: PQMap, connection_point: str, start: pd.Timestamp) -> tuple[pd.DataFrame, pd.Series]:
    costs, ranges = (
        table[(table["connection_point"] == connection_point) & (table["start"] == start)]
        for table in (pq.costs, pq.ranges)
    )
    if costs.empty:
        raise OptionError(f"there is no map of {connection_point} at {start}")
    return costs, ranges.iloc[0]


def _cost_at(pq: PQMap, connection_point: str, start: pd.Timestamp, q: Floats) -> Floats:
    """Least cost of exchanges, NaN where they cannot be had."""
    costs = pq.costs[(pq.costs["connection_point"] == connection_point) & (pq.costs["start"] == start)]
    least = np.full(len(q), np.nan)
    for _, run in costs.groupby("run"):
        own = np.interp(q, run["q_mvar"], run["cost_eur"], left=np.nan, right=np.nan)
        least = np.fmin(least, own)
    return least
