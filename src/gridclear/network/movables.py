"""Devices that the operator may re-set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.compiled import device_place

if TYPE_CHECKING:
    import pandas as pd

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Ints

#: More steps than any device has.
_NO_BUDGET = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class Movable:
    """An ``optimised`` device, or a group that moves together.

    Attributes
    ----------
    device : (member,) of int
        Places among the devices.
    step : (member,) of int
        Positions that each moves by one step; members of a group move voltages the same way.
    lowest, highest : int
        Steps away from the scheduled positions that every member can make.
    budgets : tuple of (begin, end, most)
        Largest number of steps from a period up to another, which is outside.
    cost : float
        EUR per step, of all members.
    """

    device: Ints
    step: Ints
    lowest: int
    highest: int
    budgets: tuple[tuple[int, int, int], ...]
    cost: float

    @property
    def most_moves(self) -> int:
        """Steps over the horizon that pass no budget, whenever they are made."""
        return min((most for _, _, most in self.budgets), default=_NO_BUDGET)

    def most_moves_before(self, end: int) -> int:
        """Count the steps that budgets let it make before a period: those of successive days add up."""
        if end <= 0:
            return 0
        own = [
            self.most_moves_before(begin) + most for begin, last, most in self.budgets if begin < end <= last
        ]
        return min(own, default=_NO_BUDGET)


def movables(compiled: CompiledCase, modes: tuple[str, ...] = ("optimised",)) -> tuple[Movable, ...]:
    """Find the tap changers, by group, and the banks that may be re-set.

    Parameters
    ----------
    compiled : CompiledCase
    modes : tuple of str
        Modes of the devices that are meant.

    Returns
    -------
    tuple of Movable
    """
    case, network = compiled.case, compiled.networks[0]
    taps = case.tap_changers[case.tap_changers["mode"].isin(modes)]
    names = [str(group) or f"\0{row}" for row, group in enumerate(taps["group"])]
    found = []
    for name in dict.fromkeys(names):
        rows = taps[[other == name for other in names]]
        device = np.array(
            [
                device_place(case, network, str(row.element_type), str(row.element))
                for row in rows.itertuples()
            ],
            dtype=np.int64,
        )
        # A changer that moves no voltage (a phase shifter) is moved by its own positions.
        step = np.where(network.taps.direction[device] < 0, -1, 1)
        low = _or(rows["tap_min"], network.taps.lowest[device])
        high = _or(rows["tap_max"], network.taps.highest[device])
        found.append(_movable(compiled, device, step, low, high, rows))
    banks = case.capacitor_banks[case.capacitor_banks["mode"].isin(modes)]
    for row in range(len(banks)):
        one = banks.iloc[row : row + 1]
        device = np.array([device_place(case, network, "shunt", str(one["element"].iloc[0]))], dtype=np.int64)
        most = network.banks.highest[device - len(network.taps.element)]
        high = np.minimum(_or(one["max_step"], most), most)
        found.append(_movable(compiled, device, np.ones(1, np.int64), 0 * high, high, one))
    return tuple(found)


def _movable(
    compiled: CompiledCase, device: Ints, step: Ints, low: Ints, high: Ints, rows: pd.DataFrame
) -> Movable:
    now = compiled.positions[device]
    below, above = np.where(step > 0, low - now, now - high), np.where(step > 0, high - now, now - low)
    lowest, highest = int(below.max()), int(above.min())
    cost = float(np.nan_to_num(rows["cost_per_move_eur"].to_numpy(dtype=np.float64)).sum())
    budgets = _budgets(compiled, rows)
    return Movable(device, step, min(lowest, 0), max(highest, 0), budgets, cost)


def _budgets(compiled: CompiledCase, rows: pd.DataFrame) -> tuple[tuple[int, int, int], ...]:
    """Find what the tightest member may move over the horizon, and in each day of UTC."""
    horizon, budgets = compiled.case.horizon, []
    most = rows["max_moves"].min()
    if not np.isnan(most):
        budgets.append((0, horizon.periods, int(most)))
    days = horizon.starts.normalize()
    first = np.flatnonzero(np.concatenate([[True], days[1:] != days[:-1]])).tolist()
    for begin, end in zip(first, [*first[1:], horizon.periods], strict=True):
        made = rows["moves_today"].fillna(0.0) if begin == 0 else 0.0
        left = (rows["max_moves_day"] - made).min()
        if not np.isnan(left):
            budgets.append((begin, end, max(0, int(left))))
    return tuple(budgets)


def _or(stated: pd.Series, default: Ints) -> Ints:
    values = stated.to_numpy(dtype=np.float64)
    return np.where(np.isnan(values), default, values).astype(np.int64)
