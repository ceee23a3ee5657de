"""What scenarios of a whole case are to the kernels: columns, limits, output; numbers of settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.arrays import UNSETTLED, Columns, LimitArrays
from gridclear.powerflow.lanes import Lanes, changes_by_node, output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.compiled import CompiledCase
    from gridclear.network.limits import NodeLimits
    from gridclear.network.network import Floats, Ints, Network
    from gridclear.powerflow.activations import Activations
    from gridclear.powerflow.arrays import Output, Starts


@dataclass(frozen=True)
class Scan:
    """What the limit scan of scenarios found.

    Attributes
    ----------
    solved : (scenario,) of bool
    high : (scenario,)
        Worst violation, NaN without solution.
    which : (scenario,) of int
        Constraint that has it, -1 without solution.
    probed : (scenario,)
        Value of the constraint that was asked for.
    """

    solved: NDArray[np.bool_]
    high: Floats
    which: Ints
    probed: Floats


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


def lanes_of(
    compiled: CompiledCase, topology: int, part: Activations, starts: Starts, more: tuple[Columns, ...]
) -> Lanes:
    """Lay scenarios of one topology out: their periods' injections, what they change, and more columns."""
    nodes = compiled.networks[topology].structure.node_of_bus
    ones = np.ones(len(nodes))
    own = tuple(
        Columns(number, values, part.period, nodes, ones) for number, values in enumerate(compiled.parts)
    )
    columns = own + ground_columns(part, nodes) + more
    return Lanes(len(part.period), columns, changes_by_node(part, nodes), starts)


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
