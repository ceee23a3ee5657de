"""Automatic tap changers: every scenario's regulators settle, whole tap by whole tap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import NEWTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import Regulators
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.scenarios import Scenarios


@dataclass(frozen=True)
class Settled:
    """Where the regulators of each scenario came to rest.

    Attributes
    ----------
    setting : (scenario,) of int
    hunting : (scenario,) of bool
        A group of regulators stepped over its dead band and back, and was stopped there: no position of whole
        taps satisfies it.
    """

    setting: Ints
    hunting: NDArray[np.bool_]


def settle(scenarios: Scenarios, activations: Activations, setting: Ints) -> Settled:
    """Let the automatic tap changers of every scenario come to rest.

    A regulator compares the voltage of its bus with the set point; outside half the dead band its group moves
    one tap towards it. The members of a group act on their mean voltage and move together, none beyond its
    own range. A group that would have to turn back is hunting: it stays, and the scenario says so.

    Parameters
    ----------
    scenarios : Scenarios
    activations : Activations
    setting : (scenario,) of int
        Where the devices stand before.

    Returns
    -------
    Settled
        Scenarios without solution keep the setting at which the solution was lost.
    """
    regulators = scenarios.compiled.regulators
    count, groups = len(setting), int(regulators.group.max(initial=-1)) + 1
    hunting = np.zeros(count, dtype=bool)
    if not groups:
        return Settled(setting, hunting)
    now = scenarios.positions(setting)
    trend = np.zeros((count, groups), dtype=np.int64)
    moving = np.arange(count)
    most = int((regulators.highest - regulators.lowest).max()) * groups + 1
    for _ in range(most):
        voltage = _regulated_voltages(scenarios, activations.part(moving), now[moving], regulators)
        wish = _wishes(regulators, voltage, now[moving])
        turned = (wish != 0) & (trend[moving] == -wish)
        hunting[moving] |= turned.any(axis=1)
        wish[turned] = 0
        trend[moving] = np.where(wish != 0, wish, trend[moving])
        step = wish[:, regulators.group] * regulators.direction
        now[moving[:, None], regulators.device] += step
        moving = moving[(wish != 0).any(axis=1)]
        if not len(moving):
            break
    return Settled(scenarios.setting(now), hunting)


def _regulated_voltages(
    scenarios: Scenarios, activations: Activations, positions: Ints, regulators: Regulators
) -> Floats:
    """Voltage magnitude at each regulated bus, NaN where dead or without solution: (scenario, regulator)."""
    voltage = np.full((len(positions), len(regulators.device)), np.nan)
    for _, rows, out in scenarios.states(activations, scenarios.setting(positions)):
        solved = rows[out.code <= NEWTON]
        voltage[solved] = out.vm[out.code <= NEWTON][:, regulators.regulated]
    return voltage


def _wishes(regulators: Regulators, voltage: Floats, positions: Ints) -> Ints:
    """+1 where a group wants a higher voltage and can have it, -1 lower, 0 neither: (scenario, group)."""
    groups = int(regulators.group.max()) + 1
    wish = np.zeros((len(voltage), groups), dtype=np.int64)
    for group in range(groups):
        own = np.flatnonzero(regulators.group == group)
        live = ~np.isnan(voltage[:, own])
        members = live.sum(axis=1)
        mean = np.where(live, voltage[:, own], 0.0).sum(axis=1) / np.maximum(members, 1)
        off = mean - regulators.target[own[0]]
        want = np.where(
            (members > 0) & (np.abs(off) > regulators.half_band[own[0]]), -np.sign(off), 0.0
        ).astype(np.int64)
        wish[:, group] = np.where(can_move(regulators, own, positions, want), want, 0)
    return wish


def can_move(regulators: Regulators, own: Ints, positions: Ints, want: Ints) -> NDArray[np.bool_]:
    """Whether a group, of regulators ``own``, has a tap left towards a higher (+1) or lower voltage (-1).

    Parameters
    ----------
    regulators : Regulators
    own : (member,) of int
    positions : (scenario, device)
    want : (scenario,) of int

    Returns
    -------
    (scenario,) of bool
    """
    after = positions[:, regulators.device[own]] + want[:, None] * regulators.direction[own]
    possible = (after >= regulators.lowest[own]) & (after <= regulators.highest[own])
    return np.asarray(possible.all(axis=1))
