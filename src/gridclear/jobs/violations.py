"""What the base state breaks, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.network.injections import INJECTION_SIGN, element_powers
from gridclear.network.limits import TOLERANCE, describe, sides
from gridclear.network.outages import bus_positions, in_service

if TYPE_CHECKING:
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.base import BaseState

COLUMNS = ["start", "kind", "element_type", "element", "value", "limit"]


def base_violations(compiled: CompiledCase, base: BaseState) -> pd.DataFrame:
    """Every limit that the base state breaks, every supplied bus that an outage islands, every lost period.

    Parameters
    ----------
    compiled : CompiledCase
    base : BaseState

    Returns
    -------
    DataFrame
        start, kind, element_type, element, value, limit; ``value`` and ``limit`` in p.u., %, MW, Mvar or MVA;
        ``islanded`` names each live bus of the normal grid that has no supply, with the MW of load lost there
        as value; ``no-solution`` names the grid.
    """
    rows = _broken(compiled, base) + _islanded(compiled) + _unsolved(compiled, base)
    table = pd.DataFrame(rows, columns=["period", *COLUMNS[1:]]).sort_values("period", kind="stable")
    table.insert(0, "start", compiled.case.horizon.starts[table.pop("period").to_numpy(dtype=np.int64)])
    return table.reset_index(drop=True)


Row = tuple[int, str, str, str, float, float]


@dataclass(frozen=True, eq=False)
class Broken:
    """Limits that the base state breaks, by topology, then by period.

    Attributes
    ----------
    period, constraint : (row,) of int
        The constraint in the kernels' numbering of the period's topology.
    value, limit : (row,)
        In the kernels' units.
    sign, unit : (row,)
        As of ``sides``.
    """

    period: Ints
    constraint: Ints
    value: Floats
    limit: Floats
    sign: Floats
    unit: Floats

    @property
    def over(self) -> Floats:
        """How far each is broken, normalised."""
        return self.sign * (self.value - self.limit) / self.unit


def broken_limits(compiled: CompiledCase, base: BaseState) -> Broken:
    """Find every limit that the base state breaks.

    Parameters
    ----------
    compiled : CompiledCase
    base : BaseState

    Returns
    -------
    Broken
    """
    parts = []
    for topology, (network, limits) in enumerate(zip(compiled.networks, compiled.limits, strict=True)):
        periods = np.flatnonzero((compiled.topology == topology) & base.solved)
        vm = np.abs(base.nodes[topology][periods])
        power = base.exchange[topology][periods]
        traded = np.stack([power.real, power.real, power.imag, power.imag, np.abs(power)], axis=-1)
        exchange = traded.reshape(len(periods), power.shape[1] * traded.shape[-1])
        value = np.hstack([vm, vm, base.loading[topology][periods], exchange])
        limit = limits.numbered
        sign, unit = sides(network, limits, np.arange(len(limit)))
        row, constraint = np.nonzero(sign * (value - limit) > TOLERANCE * unit)
        own = (value[row, constraint], limit[constraint], sign[constraint], unit[constraint])
        parts.append((periods[row], constraint.astype(np.int64), *own))
    return Broken(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _broken(compiled: CompiledCase, base: BaseState) -> list[Row]:
    broken = broken_limits(compiled, base)
    rows: list[Row] = []
    for row, (period, constraint) in enumerate(
        zip(broken.period.tolist(), broken.constraint.tolist(), strict=True)
    ):
        topology = int(compiled.topology[period])
        named = describe(compiled.networks[topology], compiled.limits[topology], constraint, compiled.case)
        value, limit = float(broken.value[row] * named.factor), float(broken.limit[row] * named.factor)
        rows.append((period, named.kind, named.element_type, named.element, value, limit))
    return rows


def _islanded(compiled: CompiledCase) -> list[Row]:
    case = compiled.case
    lost = _lost_load(compiled)
    # Buses that the grid itself keeps out of service are no loss; all others should have supply.
    wanted = case.grid.tables["bus"]["in_service"].to_numpy(dtype=bool)
    labels = case.grid.labels("bus").to_numpy(dtype=object)
    dead = np.stack([network.structure.node_of_bus < 0 for network in compiled.networks]) & wanted
    return [
        (int(period), "islanded", "bus", str(labels[bus]), float(lost[period, bus]), 0.0)
        for period, topology in enumerate(compiled.topology)
        for bus in np.flatnonzero(dead[topology])
    ]


def _lost_load(compiled: CompiledCase) -> Floats:
    """Consumption forecast at each bus, (period, bus), MW."""
    case = compiled.case
    buses = bus_positions(case.grid)
    total = np.zeros((case.horizon.periods, len(buses)))
    for table, sign in INJECTION_SIGN.items():
        frame = case.grid.tables[table]
        if sign < 0 and len(frame):
            p, _ = element_powers(case, table)
            place = buses.loc[frame["bus"]].to_numpy()
            cells = (slice(None), place)
            np.add.at(total, cells, np.where(in_service(case, table), p, 0.0))  # type: ignore[arg-type]  # numpy's stub of ``at`` knows no slices
    return total


def _unsolved(compiled: CompiledCase, base: BaseState) -> list[Row]:
    return [
        (int(period), "no-solution", "grid", compiled.case.name, float("nan"), float("nan"))
        for period in np.flatnonzero(~base.solved)
    ]
