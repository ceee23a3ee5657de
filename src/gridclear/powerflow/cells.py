"""Cells of activations as controls of the sensitivities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.moves import Controls

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.sensitivity import Solved


def some_states(states: Solved, rows: slice) -> Solved:
    """Take some of the states; their injections are columns alone."""
    lanes = states.lanes
    if rows.start == 0 and rows.stop >= lanes.count:
        return states
    columns = tuple(column._replace(row=column.row[rows]) for column in lanes.columns)
    vr, begin = states.vr[rows], rows.start
    stretches = tuple(
        stretch._replace(first=max(stretch.first - begin, 0), last=min(stretch.last - begin, len(vr)))
        for stretch in states.stretches
        if stretch.first < begin + len(vr) and stretch.last > begin
    )
    lanes = replace(lanes, columns=columns, count=len(vr))
    return replace(states, stretches=stretches, lanes=lanes, vr=vr, vi=states.vi[rows])


def controls_of(cell: Ints, buses: int) -> Controls:
    """Take the cells of activations as controls."""
    part, bus = np.divmod(cell, buses)
    return Controls(np.where(part % 2 == 0, "p", "q"), bus)


def cell_weights(cell: Ints, node_of_bus: Ints, vm: Floats) -> Floats:
    """Tell what a unit of a cell injects at the state's voltage: 1, |V| or |V|² by part; (..., cell)."""
    part, bus = np.divmod(cell, len(node_of_bus))
    node = node_of_bus[bus]
    weight: Floats = np.where(node >= 0, vm[..., np.maximum(node, 0)], 0.0) ** (part // 2)
    return weight
