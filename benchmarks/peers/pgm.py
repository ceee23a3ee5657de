"""power-grid-model: the same grid, converted here so that both solvers see the same admittances.

- Buses behind closed bus-bus switches become one node; nothing is paid for links.
- Lines are pgm lines, open ends by their status.
- Transformers are pgm generic branches with pandapower's own π values, which pandapower derives from its T
  model by star-delta conversion; so there is no difference of models between the peers. (pgm's
  transformer component is a π model from the start: with it, the voltages would differ by the models.)
- The external grid is a source with a short-circuit power of 1e20 VA, stiff to 1e-11 p.u.
- Shunts are pgm shunts, with what pandapower adds up at their nodes.
- One load per node, with the sum of what is connected there: less work for pgm than one per element.
- Only what is compared is asked for, as columns: node voltages, branch currents at both ends.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pandapower.pypower.idx_brch import BR_B, BR_G, BR_R, BR_STATUS, BR_X, SHIFT, TAP
from pandapower.pypower.idx_bus import BS, GS

from benchmarks.peers import Peer, Solver
from benchmarks.registry import MissingPeerError
from benchmarks.year import States, aggregate

try:
    import power_grid_model
except ImportError:  # an extra: the other peers run without it
    power_grid_model = None

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandapower import pandapowerNet

    from benchmarks.year import Year

STIFF_VA = 1e20
OUTPUT = {"node": ["u_pu", "u_angle"], "line": ["i_from", "i_to"], "generic_branch": ["i_from", "i_to"]}
SEQUENTIAL, ALL_CORES = -1, 0  # power-grid-model's own convention for ``threading``
TOLERANCES = tuple(10.0**-k for k in range(2, 13))


def _records(component: str, columns: dict[str, Any]) -> NDArray[np.void]:
    size = len(columns["id"])
    records: NDArray[np.void] = power_grid_model.initialize_array("input", component, size)
    for name, values in columns.items():
        records[name] = values
    return records


def _line_status(net: pandapowerNet) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    status = net.line["in_service"].to_numpy(dtype=np.int8)
    ends = {"from_bus": status.copy(), "to_bus": status.copy()}
    position = {line: i for i, line in enumerate(net.line.index)}
    opened = net.switch[(net.switch["et"] == "l") & ~net.switch["closed"]]
    for bus, line in zip(opened["bus"], opened["element"], strict=True):
        end = "from_bus" if net.line["from_bus"].loc[line] == bus else "to_bus"
        ends[end][position[line]] = 0
    return ends["from_bus"], ends["to_bus"]


def convert(
    net: pandapowerNet, node: NDArray[np.int64], loads: NDArray[np.int64]
) -> dict[str, NDArray[np.void]]:
    """Pgm input of a net that ``runpp`` has solved.

    ``node``: node of each bus in the order of ``net.bus``; ``loads``: node of each load.
    """
    bus = dict(zip(net.bus.index, node, strict=True))
    kv = np.zeros(node.max() + 1)
    kv[node] = net.bus["vn_kv"]
    count = len(kv)
    lines, trafos, grids = net.line, net.trafo, net.ext_grid
    length, parallel = lines["length_km"] * 1.0, lines["parallel"]
    farad = lines["c_nf_per_km"] * 1e-9 * length * parallel
    siemens = lines["g_us_per_km"] * 1e-6 * length * parallel
    status = _line_status(net)
    low, high = net["_pd2ppc_lookups"]["branch"]["trafo"]
    pi_model = net["_ppc"]["branch"][low:high].real
    ohm = kv[[bus[b] for b in trafos["lv_bus"]]] ** 2 / net["_ppc"]["baseMVA"]
    first = {name: k * 100_000 for k, name in enumerate(("node", "line", "trafo", "source", "load", "shunt"))}
    place = np.zeros(count, dtype=np.int64)
    place[node] = net["_pd2ppc_lookups"]["bus"][net.bus.index]
    shunt_mva = net["_ppc"]["bus"][place][:, [GS, BS]].real
    shunted = np.flatnonzero(shunt_mva.any(axis=1))
    return {
        "node": _records("node", {"id": np.arange(count), "u_rated": kv * 1e3}),
        "line": _records(
            "line",
            {
                "id": first["line"] + np.arange(len(lines)),
                "from_node": [bus[b] for b in lines["from_bus"]],
                "to_node": [bus[b] for b in lines["to_bus"]],
                "from_status": status[0],
                "to_status": status[1],
                "r1": lines["r_ohm_per_km"] * length / parallel,
                "x1": lines["x_ohm_per_km"] * length / parallel,
                "c1": farad,
                "tan1": np.where(farad > 0, siemens / (2 * np.pi * net.f_hz * np.fmax(farad, 1e-30)), 0.0),
                "i_n": lines["max_i_ka"] * 1e3,
            },
        ),
        "generic_branch": _records(
            "generic_branch",
            {
                "id": first["trafo"] + np.arange(len(trafos)),
                "from_node": [bus[b] for b in trafos["hv_bus"]],
                "to_node": [bus[b] for b in trafos["lv_bus"]],
                "from_status": pi_model[:, BR_STATUS],
                "to_status": pi_model[:, BR_STATUS],
                "r1": pi_model[:, BR_R] * ohm,
                "x1": pi_model[:, BR_X] * ohm,
                "g1": pi_model[:, BR_G] / ohm,
                "b1": pi_model[:, BR_B] / ohm,
                "k": pi_model[:, TAP],
                "theta": np.deg2rad(pi_model[:, SHIFT]),
                "sn": trafos["sn_mva"] * 1e6,
            },
        ),
        "source": _records(
            "source",
            {
                "id": first["source"] + np.arange(len(grids)),
                "node": [bus[b] for b in grids["bus"]],
                "status": grids["in_service"],
                "u_ref": grids["vm_pu"],
                "u_ref_angle": np.deg2rad(grids["va_degree"]),
                "sk": STIFF_VA,
            },
        ),
        "sym_load": _records(
            "sym_load",
            {
                "id": first["load"] + np.arange(len(loads)),
                "node": loads,
                "status": 1,
                "type": 0,
                "p_specified": 0.0,
                "q_specified": 0.0,
            },
        ),
        "shunt": _records(
            "shunt",
            {
                "id": first["shunt"] + np.arange(len(shunted)),
                "node": shunted,
                "status": 1,
                "g1": shunt_mva[shunted, 0] / kv[shunted] ** 2,
                "b1": shunt_mva[shunted, 1] / kv[shunted] ** 2,
            },
        ),
    }


class PgmSolver:
    """power-grid-model set up for one year."""

    def __init__(self, year: Year, tolerance: float, *, method: str, threading: int) -> None:
        if power_grid_model is None:
            raise MissingPeerError("pip install 'gridclear[bench]'")
        self._year, self._tolerance, self._method, self._threading = year, tolerance, method, threading
        self._node = np.unique(year.net["_pd2ppc_lookups"]["bus"][year.net.bus.index], return_inverse=True)[1]
        loads = np.unique(np.concatenate([self._node[e.bus] for e in year.elements]))
        self._model = power_grid_model.PowerGridModel(
            convert(year.net, self._node, loads), system_frequency=year.net.f_hz
        )
        # the place of each bus among the loads; only read for buses that have one
        self._target, self._loads = np.searchsorted(loads, self._node), len(loads)
        self._update: dict[str, dict[str, NDArray[np.float64]]] = {}
        self._output: dict[str, dict[str, NDArray[np.float64]]] = {}

    def injections(self) -> None:
        """Sum the loads [scenario, node] in W and var; for a whole component pgm needs no ids."""
        p_w, q_var = aggregate(self._year, self._target, self._loads, -1e6)
        self._update = {"sym_load": {"p_specified": p_w, "q_specified": q_var}}

    def solve(self) -> None:
        """One batch call; pgm raises if a scenario does not converge."""
        self._output = self._model.calculate_power_flow(
            update_data=self._update,
            error_tolerance=self._tolerance,
            max_iterations=100,
            calculation_method=self._method,
            threading=self._threading,
            output_component_types=OUTPUT,
        )

    def polar(self) -> None:
        """Nothing to do: pgm leaves magnitudes and angles."""

    def states(self) -> States:
        """Expand nodes to buses; A to kA."""
        nodes, lines, trafos = (self._output[name] for name in ("node", "line", "generic_branch"))
        return States(
            nodes["u_pu"][:, self._node],
            np.rad2deg(nodes["u_angle"])[:, self._node],
            np.hstack([lines["i_from"], trafos["i_from"]]) / 1e3,
            np.hstack([lines["i_to"], trafos["i_to"]]) / 1e3,
        )


def _make(year: Year, tolerance: float, method: str, threading: int) -> Solver:
    return PgmSolver(year, tolerance, method=method, threading=threading)


PEERS = tuple(
    Peer(name, partial(_make, method=method, threading=threading), TOLERANCES)
    for name, method, threading in (
        ("pgm Newton-Raphson", "newton_raphson", SEQUENTIAL),
        ("pgm iterative current", "iterative_current", SEQUENTIAL),
        ("pgm Newton-Raphson, all cores", "newton_raphson", ALL_CORES),
        ("pgm iterative current, all cores", "iterative_current", ALL_CORES),
    )
)
