"""What scenarios of a whole case are to the kernels: columns, limits, output; numbers of settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import UNSETTLED, Columns, LimitArrays
from gridclear.powerflow.lanes import output

if TYPE_CHECKING:
    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Floats, Ints, Network
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.arrays import Output


@dataclass(frozen=True)
class PeriodLimits:
    """Limits per topology with a row per period, as the kernels scan them.

    Attributes
    ----------
    vm_min, vm_max, loading, exchange : tuples by topology
        (period, node), (period, node), (period, branch), (period, point, 5).
    """

    vm_min: tuple[Floats, ...]
    vm_max: tuple[Floats, ...]
    loading: tuple[Floats, ...]
    exchange: tuple[Floats, ...]

    def numbered(self, topology: int) -> Floats:
        """Limits of one topology in the kernels' numbering, (period, constraint)."""
        traded = self.exchange[topology].reshape(len(self.exchange[topology]), -1)
        return np.hstack([self.vm_min[topology], self.vm_max[topology], self.loading[topology], traded])

    def lanes(self, period: Ints) -> PeriodLimits:
        """Limits of some of the periods."""
        every = (self.vm_min, self.vm_max, self.loading, self.exchange)
        return PeriodLimits(*(tuple(part[period] for part in parts) for parts in every))


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


def limits_of(limits: LimitArrays, rows: Ints) -> LimitArrays:
    """Take the limits of some of the scenarios, if there are any."""
    if not len(limits.row):
        return limits
    return limits._replace(row=limits.row[rows], probe=limits.probe[rows])


def rows_of(out: Output, first: int, last: int) -> Output:
    """Give the arrays of scenarios first … last - 1, to be written to."""
    return type(out)(*(values[first:last] if len(values) else values for values in out))


def like(out: Output, network: Network, count: int) -> Output:
    """Make arrays for ``count`` scenarios that hold what another output does, and node voltages."""
    return output(
        network, count, nodes=True,
        voltages=len(out.vm) > 0, currents=len(out.i_from) > 0, slack=len(out.slack_p) > 0,
    )  # fmt: skip


def write(out: Output, rows: Ints, found: Output) -> None:
    """Write what was found of some scenarios into the arrays of all."""
    for target, values in zip(out, found, strict=True):
        if len(target):
            target[rows] = values[: len(rows)]


def unsettle(out: Output, rows: Ints) -> None:
    """Take back what was written of scenarios that came to no rest."""
    for values in out:
        if len(values) and values.dtype == np.float64:
            values[rows] = np.nan
    out.code[rows], out.which[rows] = UNSETTLED, -1


def row_numbers(keys: Ints) -> Ints:
    """Give equal rows the same number: by a hash of each row that is then checked, else by comparing rows."""
    if not keys.shape[1]:
        return np.zeros(len(keys), dtype=np.int64)
    hashed = (keys * _weights(keys.shape[1])).sum(axis=1)
    _, first, member = np.unique(hashed, return_index=True, return_inverse=True)
    if (keys[first][member] == keys).all():
        return member.astype(np.int64)
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel().astype(np.int64)


@cache
def _weights(count: int) -> Ints:
    """Odd numbers that rows are hashed by."""
    weights: Ints = np.random.default_rng(0).integers(1, 2**62, count) | 1
    return weights
