"""Which share of the power at a bus depends on the voltage, as pandapower takes it.

The shares belong to loads (``const_z_p_percent`` ...). ``runpp`` does not apply them load by load: at each
bus it takes the plain mean over the loads in service there, without weights, and applies it to all demand
of the node, which is load + storage + motor + asymmetric_load + the constant power of ward and xward - sgen
- asymmetric_sgen, but not gen and not dcline (``_calc_pq_elements_and_add_on_ppc``,
``makeSbus._get_Sload``). Buses that closed switches join are one node, which gets the shares of one of its
buses that have loads. It all is followed here but for the last: joined buses whose shares differ are
refused.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gridclear.case.topology import Groups, join_bus_switches
from gridclear.errors import CaseError, Issue
from gridclear.network.outages import bus_positions, in_service, topologies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gridclear.case import Case, Grid
    from gridclear.network.compile import Switching
    from gridclear.network.network import Floats, Ints

_COLUMNS = ("const_i_p_percent", "const_i_q_percent", "const_z_p_percent", "const_z_q_percent")
#: Means over the same shares differ by no more than this.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Shares:
    """Shares of the power at a bus that depend on the voltage.

    Attributes
    ----------
    current_p, current_q : (period, bus)
        Fraction of P and of Q that is a constant current.
    impedance_p, impedance_q : (period, bus)
        Fraction that is a constant impedance.
    """

    current_p: Floats
    current_q: Floats
    impedance_p: Floats
    impedance_q: Floats

    def of(self, periods: Ints) -> Shares:
        """Shares of some of the periods."""
        return Shares(
            self.current_p[periods],
            self.current_q[periods],
            self.impedance_p[periods],
            self.impedance_q[periods],
        )

    def at(self, period: Ints, bus: Ints) -> Shares:
        """Shares of single cells: (cell,), (cell,) → arrays (cell,)."""
        return Shares(
            self.current_p[period, bus],
            self.current_q[period, bus],
            self.impedance_p[period, bus],
            self.impedance_q[period, bus],
        )

    def divide_p(self, p: Floats) -> tuple[Floats, Floats, Floats]:
        """Active power (period, bus) → its parts of constant power, current and impedance."""
        return _divide(p, self.current_p, self.impedance_p)

    def divide_q(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        """Reactive power (period, bus) → its parts of constant power, current and impedance."""
        return _divide(q, self.current_q, self.impedance_q)


def _divide(power: Floats, current: Floats, impedance: Floats) -> tuple[Floats, Floats, Floats]:
    # As pandapower writes it: where nothing depends on the voltage, not a bit of the power changes.
    return power * (1.0 - current - impedance), power * current, power * impedance


def voltage_shares(case: Case) -> Shares | None:
    """Shares of every bus in every period.

    Parameters
    ----------
    case : Case

    Returns
    -------
    Shares or None
        None if no load depends on the voltage.

    Raises
    ------
    CaseError
        Loads of different shares stand on buses that a switch joins.
    """
    changes, topology = topologies(case)
    return _shares(case.grid, in_service(case, "load"), changes, topology)


def grid_shares(grid: Grid) -> Shares | None:
    """Like ``voltage_shares``, in the grid's own state: arrays (1, bus)."""
    works = grid.tables["load"]["in_service"].to_numpy(dtype=bool)
    return _shares(grid, works[None], [()], np.zeros(1, dtype=np.int64))


def _shares(
    grid: Grid, works: NDArray[np.bool_], changes: Sequence[Sequence[Switching]], topology: Ints
) -> Shares | None:
    load = grid.tables["load"]
    stated = load[list(_COLUMNS)].to_numpy(dtype=np.float64) / 100.0
    if not stated.any():
        return None
    buses = bus_positions(grid)
    count = np.zeros((len(works), len(buses)))
    total = np.zeros((*count.shape, len(_COLUMNS)))
    for element, at in enumerate(buses.loc[load["bus"]].tolist()):
        count[:, at] += works[:, element]
        total[:, at] += works[:, element, None] * stated[element]
    mean = total / np.maximum(count, 1.0)[..., None]
    for number, switching in enumerate(changes):
        periods = np.flatnonzero(topology == number)
        for joined in _joined_buses(grid, switching):
            mean[np.ix_(periods, joined)] = _common(grid, mean, count, periods, joined)[:, None]
    current_p, current_q, impedance_p, impedance_q = np.ascontiguousarray(np.moveaxis(mean, -1, 0))
    return Shares(current_p, current_q, impedance_p, impedance_q)


def _joined_buses(grid: Grid, switching: Sequence[Switching]) -> list[Ints]:
    """Places of the buses of every node that has several, in one topology."""
    tables = {"bus": grid.tables["bus"].copy(), "switch": grid.tables["switch"].copy()}
    for table, element, state in switching:
        if table in tables:
            tables[table].loc[element, "closed" if table == "switch" else "in_service"] = state
    bus = tables["bus"]
    groups = Groups(bus.index[bus["in_service"].to_numpy(dtype=bool)].tolist())
    now = dataclasses.replace(grid, tables={**grid.tables, **tables})
    join_bus_switches(now, groups, only_without_impedance=True)
    roots: dict[int, list[int]] = {}
    for place, index in enumerate(bus.index.tolist()):
        if bus["in_service"].iloc[place]:
            roots.setdefault(groups.root(index), []).append(place)
    return [np.array(places, dtype=np.int64) for places in roots.values() if len(places) > 1]


def _common(grid: Grid, mean: Floats, count: Floats, periods: Ints, joined: Ints) -> Floats:
    """Shares that all loads on joined buses have in common: (period, 4)."""
    part = mean[np.ix_(periods, joined)]
    loaded = (count[np.ix_(periods, joined)] > 0)[..., None]
    low = np.asarray(np.where(loaded, part, np.inf).min(axis=1))
    high = np.asarray(np.where(loaded, part, -np.inf).max(axis=1))
    # Where no bus has a load, high - low is -inf.
    if (high - low > _ROUNDING).any():
        names = ", ".join(repr(name) for name in grid.labels("bus").iloc[joined])
        what = f"loads on {names}, which switches join, depend on the voltage in different shares"
        raise CaseError((Issue("grid.json", "load", _COLUMNS[0], what, "the same shares on joined buses"),))
    return np.where(np.isfinite(high), high, 0.0)
