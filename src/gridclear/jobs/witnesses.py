"""What stops each unit of a box, by the lines that keep it safe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.corners import AIM
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.corners import Corners, Cut, Key
    from gridclear.jobs.search import Search
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Witnesses:
    """What stops each unit, by unit; constraint -1 where nothing of the box does.

    Attributes
    ----------
    constraint, value, value_at_full, free : (unit,)
    """

    constraint: Ints
    value: Floats
    value_at_full: Floats
    free: Floats


def witnesses(
    search: Search, bids: Bids, corners: Corners, lines: Sequence[Mapping[Key, Cut]], share: Floats
) -> Witnesses:
    """Find the limit that stops each unit, and its value with the unit as accepted and in full."""
    count = len(share)
    constraint, free = np.full(count, -1, dtype=np.int64), np.ones(count)
    stopped, powers = [np.zeros(0, dtype=np.int64)], [np.zeros((2, 0, len(corners.cells)))]
    for period, members in enumerate(corners.members):
        cuts = list(lines[period].values())
        if not cuts or not len(members):
            continue
        gain = np.maximum(np.array([cut.gain for cut in cuts]), 0.0)
        beyond = [cut.at is not None and share[members] >= cut.at for cut in cuts]
        gain[np.array([np.broadcast_to(row, len(members)) for row in beyond])] = 0.0
        corner = np.array([corners.corner(period, cut, share) for cut in cuts])
        over = np.array([cut.offset + np.dot(cut.gain, x) for cut, x in zip(cuts, corner, strict=True)])
        if search.curved:
            # Beyond a bend a line may say more of its corner than is true.
            lanes = Activations.dense(
                np.full(len(cuts), period), corners.cells, corners.power_of(period, corner)
            )
            which = np.array([cut.constraint for cut in cuts])
            over = search.excess(lanes, search.setting[lanes.period], which)
        left = AIM - over
        with np.errstate(divide="ignore", invalid="ignore"):
            more = np.where(gain > 0.0, np.maximum(left, 0.0)[:, None] / gain, np.inf)
        row, column = more.argmin(axis=0), np.arange(len(members))
        column = column[np.isfinite(more[row, column])]
        row, own = row[column], members[column]
        constraint[own] = np.array([cut.constraint for cut in cuts])[row]
        free[own] = np.minimum(share[own] + more[row, column], 1.0)
        x, every = corner[row], np.arange(len(own))
        x[every, column] = share[own]
        as_accepted = corners.power_of(period, x)
        x[every, column] = 1.0
        powers.append(np.stack([as_accepted, corners.power_of(period, x)]))
        stopped.append(own)
    units, power = np.concatenate(stopped), np.concatenate(powers, axis=1)
    value, at_full = np.full(count, np.nan), np.full(count, np.nan)
    for target, own_power in zip((value, at_full), power, strict=True):
        lanes = Activations.dense(bids.activations.period[units], corners.cells, own_power)
        _, target[units] = search.confirm(lanes, search.setting[lanes.period], constraint[units])
    return Witnesses(constraint, value, at_full, free)
