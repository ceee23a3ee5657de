"""Devices re-set once per period, within their moves, so that more bids pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.network.limits import TOLERANCE
from gridclear.network.movables import movables
from gridclear.powerflow.activations import Activations
from gridclear.powerflow.regulators import settle

if TYPE_CHECKING:
    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.network.movables import Movable
    from gridclear.network.network import Floats, Ints

#: Rounds over all devices: one device after the other, each at its best beside the others.
_ROUNDS = 2
#: MW that one move is worth: none is made for nothing.
_MOVE_MW = 1e-3


def optimised_setting(search: Search, bids: Bids) -> Ints:
    """Choose a setting per period that lets the most megawatts through, bid by bid.

    Parameters
    ----------
    search : Search
        At the scheduled settings.
    bids : Bids

    Returns
    -------
    (period,) of int
        Settings of the same scenarios; regulators have settled at each, and nothing is broken there that the
        base state keeps.

    Notes
    -----
    Devices are set one after the other, twice over: what each position would let through is searched in every
    period, and the best sequence within ``max_moves`` is that of a dynamic program over periods, positions
    and moves made. That is a local optimum where several devices could move together, never worse than
    leaving all of them in place.
    """
    compiled = search.scenarios.compiled
    devices = movables(compiled)
    periods = len(search.setting)
    steps = np.zeros((len(devices), periods), dtype=np.int64)
    best = _passed(search, bids, search.setting).sum()
    for _ in range(_ROUNDS):
        before = steps.copy()
        for number, device in enumerate(devices):
            reach = min(device.most_moves, device.highest - device.lowest)
            offsets = np.arange(max(device.lowest, -reach), min(device.highest, reach) + 1)
            value = np.empty((periods, len(offsets)))
            for column, offset in enumerate(offsets.tolist()):
                trial = steps.copy()
                trial[number] = offset
                value[:, column] = _passed(search, bids, _setting(search, devices, trial))
            trial = steps.copy()
            trial[number] = best_sequence(value, offsets, device.most_moves)
            passed = _passed(search, bids, _setting(search, devices, trial)).sum()
            if passed > best:
                steps, best = trial, passed
        if (steps == before).all():
            break
    return _setting(search, devices, steps)


def best_sequence(value: Floats, offsets: Ints, most_moves: int) -> Ints:
    """Find the offsets whose values sum to the most with at most so many moves, beginning at offset 0.

    Parameters
    ----------
    value : (period, offset)
        -inf where an offset is not allowed.
    offsets : (offset,) of int
    most_moves : int

    Returns
    -------
    (period,) of int
    """
    periods, count = value.shape
    jump = np.abs(offsets[:, None] - offsets[None, :])
    budget = int(min(most_moves, periods * jump.max(initial=0)))
    total = np.full((count, budget + 1), -np.inf)
    came = np.zeros((periods, count, budget + 1), dtype=np.int64)
    for period in range(periods):
        after = np.full_like(total, -np.inf)
        for at in range(count):
            for used in range(budget + 1):
                if period == 0:
                    moves = abs(int(offsets[at]))
                    known = 0.0 if moves == used else -np.inf
                    origin = at
                else:
                    spent = used - jump[:, at]
                    usable = np.where(spent >= 0, total[np.arange(count), np.maximum(spent, 0)], -np.inf)
                    origin = int(usable.argmax())
                    known, moves = usable[origin], int(jump[origin, at])
                came[period, at, used] = origin
                after[at, used] = known + value[period, at] - _MOVE_MW * moves
        total = after
    at, used = divmod(int(total.argmax()), budget + 1)
    path = np.zeros(periods, dtype=np.int64)
    for period in range(periods - 1, -1, -1):
        path[period] = offsets[at]
        origin = int(came[period, at, used])
        used -= int(jump[origin, at]) if period else 0
        at = origin
    return path


def _setting(search: Search, devices: tuple[Movable, ...], steps: Ints) -> Ints:
    """Find the settings with devices moved by steps (device, period), regulators settled."""
    scenarios = search.scenarios
    positions = scenarios.positions(search.setting).copy()
    for device, moved in zip(devices, steps, strict=True):
        positions[:, device.device] += moved[:, None] * device.step
    nothing = Activations.none(np.arange(len(positions), dtype=np.int64))
    return settle(scenarios, nothing, scenarios.setting(positions)).setting


def _passed(search: Search, bids: Bids, setting: Ints) -> Floats:
    """Megawatts that are safe bid by bid at a setting, by period; -inf where the setting itself breaks."""
    periods = np.arange(len(setting), dtype=np.int64)
    nothing, _ = search.violation(Activations.none(periods), setting)
    allowed = (nothing <= TOLERANCE) | ~search.base.solved
    units = np.flatnonzero(bids.supplied & search.base.solved[bids.activations.period])
    units = units[allowed[bids.activations.period[units]]]
    own = bids.activations.part(units)
    safe = search.crossing(own, setting[own.period], nothing[own.period]).safe
    offered = bids.offered_of_unit[units] * safe
    passed = np.bincount(own.period, weights=offered, minlength=len(setting)).astype(np.float64)
    return np.where(allowed, passed, -np.inf)
