"""What a clearing decides on, as plain values: devices, offers, converters, storages, and all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from .plain_grid import Base, Problem

CURE_UNIT = {"overvoltage": 1.0, "undervoltage": 1.0, "overload": 100.0, "exchange": 10.0}


@dataclass(frozen=True)
class Device:
    """A group of tap changers or a bank: where it may be, in voltage-raising steps from its start."""

    table: str
    elements: tuple[int, ...]
    names: tuple[str, ...]
    sense: tuple[int, ...]
    start: tuple[int, ...]
    lowest: int
    highest: int
    max_moves: float
    by_day: tuple[float, ...]  # most moves of each UTC date of the horizon
    cost_eur: float  # of one step

    def position(self, step: int) -> tuple[int, ...]:
        """Position of every member."""
        return tuple(s + d * step for s, d in zip(self.start, self.sense, strict=True))


@dataclass(frozen=True, eq=False)
class Offers:
    """Rows of bids, (row,) each; amounts are signed changes of injection at the whole share."""

    table: pd.DataFrame  # bid, start, direction, element_type, element, market
    period: np.ndarray
    bus: np.ndarray
    p_mw: np.ndarray
    q_mvar: np.ndarray
    cost_eur: np.ndarray  # of the whole share
    least: np.ndarray  # smallest share beside nothing
    unit: np.ndarray  # rows of one number share one share
    live: np.ndarray  # whether the row may have anything, by itself and by its block
    exclusive: np.ndarray  # number of the group in its period, -1 without


@dataclass(frozen=True, eq=False)
class Capability:
    """What the converter of one element can do; powers are injections, (period,)."""

    element_type: str
    element: str
    rows: np.ndarray  # of the offers that change it
    p_mw: np.ndarray  # forecast
    q_mvar: np.ndarray
    s_max_mva: float
    tan_phi: float
    curve: pd.DataFrame | None

    def q_range(self, period: int, p_mw: float) -> tuple[float, float]:
        """Least and largest Q at this active power."""
        room = max(self.s_max_mva**2 - p_mw**2, 0.0) ** 0.5 if np.isfinite(self.s_max_mva) else np.inf
        band = np.inf if np.isinf(self.tan_phi) else abs(p_mw) * self.tan_phi
        low, high = -min(room, band), min(room, band)
        if self.curve is not None:
            points = self.curve.sort_values("p_mw")
            low = max(low, float(np.interp(p_mw, points["p_mw"], points["q_min_mvar"])))
            high = min(high, float(np.interp(p_mw, points["p_mw"], points["q_max_mvar"])))
        return min(low, float(self.q_mvar[period])), max(high, float(self.q_mvar[period]))


@dataclass(frozen=True)
class Store:
    """A storage whose active power is decided; positive is charging."""

    element: str
    bus: int
    p_mw: np.ndarray  # forecast, (period,)
    live: np.ndarray
    p_min_mw: float
    p_max_mw: float
    e_min_mwh: float
    e_max_mwh: float
    e_start_mwh: float
    e_end_min_mwh: float
    charge: float
    discharge: float


@dataclass(frozen=True, eq=False)
class Clearing:
    """The problem. ``bases[t].net`` is pandapower's net of the period, settled; it is not to be changed.

    ``limits``: one row per constraint (kind, element_type, element, side, limit, tolerance); ``base`` and
    ``effective`` (period, constraint) beside it. ``profile`` and ``tolerance`` (point, period) in Mvar, NaN
    where nothing is asked. ``points``: name → external grids (indices).
    """

    problem: Problem
    starts: pd.DatetimeIndex
    hours: float
    bases: tuple[Base, ...]
    limits: pd.DataFrame
    base: np.ndarray
    effective: np.ndarray
    devices: tuple[Device, ...]
    offers: Offers
    capabilities: tuple[Capability, ...]
    stores: tuple[Store, ...]
    points: dict[str, tuple[int, ...]]
    profile: np.ndarray
    tolerance: np.ndarray
    losses_eur_mwh: float
    dates: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))  # number of each period's date

    @property
    def base_steps(self) -> np.ndarray:
        """Steps of the devices in the base states, (period, device)."""
        steps = np.zeros((len(self.starts), len(self.devices)), dtype=int)
        for t, base in enumerate(self.bases):
            for d, device in enumerate(self.devices):
                column = "step" if device.table == "shunt" else "tap_pos"
                now = int(base.net[device.table][column].loc[device.elements[0]])
                steps[t, d] = (now - device.start[0]) * device.sense[0]
        return steps
