"""lightsim2grid: the same grid, built from pandapower's own admittances, one batch of all scenarios.

- Every branch is given pandapower's own π values from its internal tables. Its converter from pandapower nets
  knows neither switches nor transformers whose neutral tap is not 0, so it is not used; what is built is
  compared with pandapower's admittance matrix, and a difference leaves the grid out.
- Buses behind closed bus-bus switches are one bus, and there is one load per bus, as for power-grid-model.
- Its slack is distributed: several external grids, each holding its own angle, are not in its model.
- All scenarios are newly given; the symbolic work of the first run is kept for the next (its default).
- Newton-Raphson with KLU, started from the solution that ``runpp`` left in the net. As a time series each
  scenario starts from the last one's solution, as an injection sweep all start from the same.
- Currents are asked at the first end of each branch only: it has no batch of those at the second.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from pandapower.pypower.idx_brch import (
    BR_B,
    BR_B_ASYM,
    BR_G,
    BR_G_ASYM,
    BR_R,
    BR_STATUS,
    BR_X,
    F_BUS,
    SHIFT,
    T_BUS,
    TAP,
)
from pandapower.pypower.idx_bus import BASE_KV, VA, VM
from pandapower.pypower.makeYbus import makeYbus

from benchmarks.peers import Peer, Solver
from benchmarks.registry import MissingPeerError
from benchmarks.year import States, aggregate

try:
    import lightsim2grid
    from lightsim2grid.lightsim2grid_cpp import InjectionSweepCPP, LSGrid, TimeSeriesCPP
except ImportError:  # an extra: the other peers run without it
    lightsim2grid = None

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandapower import pandapowerNet

    from benchmarks.year import Floats, Year

TOLERANCES = tuple(10.0**-k for k in range(2, 11))  # MVA
SAME = 1e-9  # of the largest admittance
MOST_ITERATIONS = 30
UNLIMITED_MVAR = 1e9


def convert(net: pandapowerNet, loads: NDArray[np.int32]) -> LSGrid:
    """Grid of a net that ``runpp`` has solved.

    ``loads``: rows of pandapower's internal bus table with a load; all rows are buses here.
    """
    ppc, slack = net["_ppc"], net["_pd2ppc_lookups"]["bus"][net.ext_grid["bus"]]
    if len(np.unique(slack)) > 1:
        raise MissingPeerError(f"{len(slack)} external grids hold their own angles; its slack is distributed")
    bus, branch = ppc["bus"].real, ppc["branch"].real
    first, last = net["_pd2ppc_lookups"]["branch"].get("trafo", (len(branch), len(branch)))
    line, trafo = branch[:first], branch[first:last]
    begin, end = branch[:, F_BUS].astype(np.int32), branch[:, T_BUS].astype(np.int32)
    shunt = branch[:, BR_G] + 1j * branch[:, BR_B]
    more = branch[:, BR_G_ASYM] + 1j * branch[:, BR_B_ASYM]
    grid = LSGrid()
    grid.set_sn_mva(float(ppc["baseMVA"]))
    grid.init_bus(len(bus), 1, bus[:, BASE_KV].copy(), len(line), len(trafo))
    grid.init_powerlines_full(
        line[:, BR_R].copy(),
        line[:, BR_X].copy(),
        shunt[:first] / 2,
        (shunt + more)[:first] / 2,
        begin[:first],
        end[:first],
    )
    grid.init_trafo(
        trafo[:, BR_R].copy(),
        trafo[:, BR_X].copy(),
        shunt[first:last].copy(),
        trafo[:, TAP].copy(),
        trafo[:, SHIFT].copy(),
        [True] * len(trafo),  # the ratio is that of the first end
        begin[first:last],
        end[first:last],
        True,  # noqa: FBT003 - positional only: the shift too
    )
    for k in np.flatnonzero(branch[:last, BR_STATUS] == 0):
        if k < first:
            grid.deactivate_powerline(int(k))
        else:
            grid.deactivate_trafo(int(k - first))
    live = branch[:, BR_STATUS] == 1
    for k in np.setdiff1d(np.arange(len(bus)), [*begin[live], *end[live]]):
        grid.deactivate_bus(int(k))
    nothing = np.zeros(len(loads))
    grid.init_loads(nothing, nothing, loads)
    set_point = net.ext_grid["vm_pu"].to_numpy(dtype=float)[:1]
    limit = np.array([UNLIMITED_MVAR])
    grid.init_generators(np.zeros(1), set_point, -limit, limit, slack[:1].astype(np.int32))
    grid.add_gen_slackbus(0, 1.0)
    return grid


class LightSim2Grid:
    """lightsim2grid set up for one year; ``batch`` is one of its classes of batches."""

    def __init__(self, year: Year, tolerance: float, *, batch: str) -> None:
        if lightsim2grid is None:
            raise MissingPeerError("pip install 'gridclear[bench]'")
        ppc, lookup = year.net["_ppc"], year.net["_pd2ppc_lookups"]["bus"]
        self._year, self._tolerance = year, tolerance
        self._node = lookup[year.net.bus.index]
        loads = np.unique(np.concatenate([self._node[e.bus] for e in year.elements])).astype(np.int32)
        # the place of each bus among the loads; only read for buses that have one
        self._target, self._loads = np.searchsorted(loads, self._node), len(loads)
        grid = convert(year.net, loads)
        grid.change_algorithm(lightsim2grid.algorithm.AlgorithmType.NR_KLU)
        bus = ppc["bus"].real
        self._start = bus[:, VM] * np.exp(1j * np.deg2rad(bus[:, VA]))
        _compare(grid, ppc, self._start)
        self._batch = {"time series": TimeSeriesCPP, "injection sweep": InjectionSweepCPP}[batch](grid)
        nothing = np.zeros((0, 0))
        self._polar: tuple[Floats, Floats] = (nothing, nothing)

    def injections(self) -> None:
        """Sum the loads [scenario, bus] in MW and Mvar."""
        p_mw, q_mvar = aggregate(self._year, self._target, self._loads, -1.0)
        self._batch.modify_load_p(p_mw)
        self._batch.modify_load_q(q_mvar)

    def solve(self) -> None:
        """One batch, and its currents."""
        self._batch.compute(self._start, MOST_ITERATIONS, self._tolerance)
        self._batch.compute_flows()

    def polar(self) -> None:
        """Magnitudes and angles of its phasors."""
        v = self._batch.get_voltages()
        self._polar = np.abs(v), np.angle(v, deg=True)

    def states(self) -> States:
        """Expand its buses to the net's; NaN where it has no solution, or no current."""
        vm_pu, va_degree = (values[:, self._node] for values in self._polar)
        vm_pu[~np.array(self._batch.converged_mask())] = np.nan
        i_ka = self._batch.get_flows()
        return States(vm_pu, va_degree, i_ka, np.full_like(i_ka, np.nan))


def _compare(grid: LSGrid, ppc: dict[str, NDArray[np.float64]], start: NDArray[np.complex128]) -> None:
    """Refuse a grid with other admittances than pandapower's; a first power flow makes them."""
    grid.ac_pf(start.copy(), MOST_ITERATIONS, TOLERANCES[-1])
    wanted = makeYbus(ppc["baseMVA"], ppc["bus"], ppc["branch"])[0]
    difference = abs(grid.get_Ybus() - wanted).max() / abs(wanted).max()
    if not difference <= SAME:
        raise MissingPeerError(f"its admittances differ from pandapower's by {difference:.1e} of the largest")


def _make(year: Year, tolerance: float, *, batch: str) -> Solver:
    return LightSim2Grid(year, tolerance, batch=batch)


PEERS = tuple(
    Peer(f"lightsim2grid {batch}", partial(_make, batch=batch), TOLERANCES)
    for batch in ("time series", "injection sweep")
)
