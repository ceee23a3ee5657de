"""What a scenario of a whole case is to the kernels: changes by node, limits, the number of its setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import Changes, Columns, LimitArrays

if TYPE_CHECKING:
    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Ints
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.scenarios import PeriodLimits


def ground_columns(part: Activations, nodes: Ints) -> tuple[Columns, ...]:
    """Columns of the cells that all scenarios change, by part."""
    if part.ground is None:
        return ()
    number, bus = np.divmod(part.ground.cell, len(nodes))
    rows = np.arange(len(part.period))
    return tuple(
        Columns(
            int(which),
            np.ascontiguousarray(part.ground.value[:, number == which]),
            rows,
            nodes[bus[number == which]],
            np.ones(int((number == which).sum())),
        )
        for which in np.unique(number)
    )


def node_changes(part: Activations, nodes: Ints) -> Changes:
    """Take changes by node; what acts on a dead bus is nothing."""
    number, bus = np.divmod(part.cell, len(nodes))
    node = nodes[bus]
    return Changes(part.first, number, np.maximum(node, 0), np.where(node >= 0, part.value, 0.0))


def limit_arrays(
    own: NodeLimits, limits: PeriodLimits, topology: int, period: Ints, probe: Ints
) -> LimitArrays:
    """Take the limits of one topology's scenarios."""
    return LimitArrays(
        vm_min=limits.vm_min[topology],
        vm_max=limits.vm_max[topology],
        loading=limits.loading[topology],
        per_rated=own.per_rated,
        point_node=own.point_node,
        point_share=own.point_share,
        exchange=limits.exchange[topology],
        exchange_scale=own.exchange_scale,
        row=period,
        probe=probe,
    )


def row_numbers(keys: Ints) -> Ints:
    """Give equal rows the same number: by a hash of each row that is then checked, else by comparing rows."""
    if not keys.shape[1]:
        return np.zeros(len(keys), dtype=np.int64)
    weights = np.random.default_rng(0).integers(1, 2**62, keys.shape[1]) | 1
    _, first, member = np.unique((keys * weights).sum(axis=1), return_index=True, return_inverse=True)
    if (keys[first][member] == keys).all():
        return member.astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
