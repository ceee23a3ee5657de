"""pandapower: ``runpp`` in a loop over some steps of the year."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp

from benchmarks.peers import Peer, Solver
from benchmarks.year import States

if TYPE_CHECKING:
    from benchmarks.year import Floats, Year

TOLERANCES = tuple(10.0**-k for k in range(2, 10))


class PandapowerLoop:
    """A private copy of the net; each step writes the tables, runs ``runpp`` and keeps its results.

    ``recycle`` keeps pandapower's admittance matrix from step to step and starts from the last voltages.
    """

    def __init__(self, year: Year, tolerance: float, *, recycle: bool) -> None:
        self._year, self._tolerance, self._recycle = year, tolerance, recycle
        self._net = copy.deepcopy(year.net)
        self._rows: list[list[Floats]] = []

    def injections(self) -> None:
        """Nothing to do beforehand: the element tables are what pandapower takes, step by step."""

    def solve(self) -> None:
        """Loop over all scenarios of the year."""
        net = self._net
        self._rows = []
        # the first step has no predecessor to recycle from
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=self._tolerance)
        for step in range(self._year.scenarios):
            for e in self._year.elements:
                net[e.table]["p_mw"] = e.p_mw[step]
                if e.q_mvar is not None:
                    net[e.table]["q_mvar"] = e.q_mvar[step]
            if self._recycle:
                pp.runpp(
                    net,
                    calculate_voltage_angles=True,
                    tolerance_mva=self._tolerance,
                    init="results",
                    recycle={"bus_pq": True, "trafo": False, "gen": False},
                )
            else:
                pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=self._tolerance)
            bus, line, trafo = net.res_bus, net.res_line, net.res_trafo
            self._rows.append(
                [
                    bus["vm_pu"].to_numpy(copy=True),
                    bus["va_degree"].to_numpy(copy=True),
                    np.concatenate([line["i_from_ka"], trafo["i_hv_ka"]]),
                    np.concatenate([line["i_to_ka"], trafo["i_lv_ka"]]),
                ]
            )

    def polar(self) -> None:
        """Nothing to do: the results are magnitudes and angles."""

    def states(self) -> States:
        """Stack the steps."""
        vm_pu, va_degree, i_from_ka, i_to_ka = (np.array(column) for column in zip(*self._rows, strict=True))
        return States(vm_pu, va_degree, i_from_ka, i_to_ka)


def _make(year: Year, tolerance: float, *, recycle: bool) -> Solver:
    return PandapowerLoop(year, tolerance, recycle=recycle)


PEERS = (
    Peer("pandapower runpp loop", partial(_make, recycle=False), TOLERANCES, loop=True),
    Peer("pandapower runpp loop, recycled", partial(_make, recycle=True), TOLERANCES, loop=True),
)
