"""gridclear's states against pandapower's runpp: every bus, every branch end, every slack node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc

from .random_grids import TODAY, Kinds, random_grid

#: Where runpp is asked to stop, in MVA: the first that its rounding lets it reach.
RUNPP_MVA = (1e-11, 1e-10, 1e-9, 1e-8)
#: Largest allowed difference by quantity.
TOLERANCES = {"vm_pu": 1e-8, "va_degree": 1e-6, "i_ka": 1e-7, "slack_mva": 1e-5}
_ENDS = {
    "line": {"from": "i_from_ka", "to": "i_to_ka"},
    "trafo": {"hv": "i_hv_ka", "lv": "i_lv_ka"},
    "trafo3w": {"hv": "i_hv_ka", "mv": "i_mv_ka", "lv": "i_lv_ka"},
    "impedance": {"from": "i_from_ka", "to": "i_to_ka"},
}


class NoReferenceError(Exception):
    """Runpp itself finds no sensible state."""


@dataclass(frozen=True)
class Gap:
    """Two values of one quantity."""

    quantity: str
    element: str
    actual: complex
    expected: complex

    @property
    def excess(self) -> float:
        """Difference in units of what is allowed; infinite where only one side has a number."""
        if np.isnan(self.actual) and np.isnan(self.expected):
            return 0.0
        difference = abs(self.actual - self.expected)
        return np.inf if np.isnan(difference) else float(difference / TOLERANCES[self.quantity])

    def __str__(self) -> str:
        return (
            f"{self.quantity} of {self.element}: actual {self.actual!r}, expected {self.expected!r}, "
            f"difference {abs(self.actual - self.expected):.3e}, allowed {TOLERANCES[self.quantity]:.0e}"
        )


def solve_reference(net: pp.pandapowerNet) -> None:
    """Pandapower's own Newton, as tight as it goes; halves all powers until there is a sensible state.

    Raises
    ------
    NoReferenceError
        There is none even close to no load.
    """
    for _ in range(6):
        # Below 0.8, runpp may have come to another of several solutions.
        if _runpp(net) and net.res_bus["vm_pu"].min() > 0.8:
            if "branch" not in net["_ppc"]["internal"]:
                raise NoReferenceError  # without branches runpp solves nothing: its slack has angle zero
            return
        for table in ("load", "sgen", "storage", "motor", "gen", "asymmetric_load", "asymmetric_sgen"):
            net[table]["scaling"] *= 0.5
    raise NoReferenceError


def reference_grid(seed: int, kinds: Kinds = TODAY) -> pp.pandapowerNet:
    """A random grid that runpp has solved; the few seeds without a sensible state give way to others."""
    while True:
        net = random_grid(seed, kinds)
        try:
            solve_reference(net)
        except NoReferenceError:
            seed += 1_000_000
        else:
            return net


def _runpp(net: pp.pandapowerNet) -> bool:
    for tolerance in RUNPP_MVA:
        try:
            pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=tolerance, max_iteration=15)
        except pp.LoadflowNotConverged:
            continue
        return True
    return False


def injections(net: pp.pandapowerNet) -> tuple[np.ndarray, np.ndarray]:
    """Net injection (bus,) in MW and Mvar of loads, generators and storage, in the order of the bus table.

    The power of a slack gen is a result, so it is not among them.
    """
    power = pd.DataFrame(0.0, index=net.bus.index, columns=["p", "q"])
    for table, sign in (("load", -1.0), ("sgen", 1.0), ("storage", -1.0), ("gen", 1.0)):
        for row in net[table][net[table]["in_service"]].to_dict("records"):
            if row.get("slack", False):
                continue
            power.loc[row["bus"], "p"] += sign * row["scaling"] * row["p_mw"]
            power.loc[row["bus"], "q"] += sign * row["scaling"] * row.get("q_mvar", 0.0)
    return power["p"].to_numpy(), power["q"].to_numpy()


def gaps(net: pp.pandapowerNet, network: gc.Network, states: gc.States, row: int = 0) -> list[Gap]:
    """All values of one scenario beside those of the solved net."""
    buses = [f"bus {index}" for index in net.bus.index]
    found = [
        Gap("vm_pu", *values) for values in zip(buses, states.vm_pu[row], net.res_bus["vm_pu"], strict=True)
    ]
    for name, actual, expected in zip(buses, states.va_degree[row], net.res_bus["va_degree"], strict=True):
        turns = np.round((actual - expected) / 360.0)
        found.append(Gap("va_degree", name, actual - 360.0 * turns, expected))
    return found + _currents(net, network, states, row) + _slacks(net, network, states, row)


def _currents(net: pp.pandapowerNet, network: gc.Network, states: gc.States, row: int) -> list[Gap]:
    labels = network.labels
    actual: dict[tuple[str, int, str], float] = {}
    for k, (table, element) in enumerate(
        zip(labels.element_type.tolist(), labels.element.tolist(), strict=True)
    ):
        for side, current in zip(labels.sides[k].tolist(), (states.i_from_ka, states.i_to_ka), strict=True):
            if side:
                actual[table, element, side] = current[row, k]
    found = []
    for table, columns in _ENDS.items():
        for side, column in columns.items():
            for element, expected in net[f"res_{table}"][column].items():
                # What gridclear leaves out as dead has no current in pandapower.
                got = actual.pop((table, element, side), 0.0)
                found.append(Gap("i_ka", f"{table} {element} {side}", got, np.nan_to_num(expected)))
    for (table, element, side), got in actual.items():
        expected = {"switch": _switch_ka, "xward": _xward_ka}[table](net, element)
        found.append(Gap("i_ka", f"{table} {element} {side}", got, expected))
    return found


def _switch_ka(net: pp.pandapowerNet, element: int) -> float:
    return float(net["res_switch"]["i_ka"].loc[element])


def _xward_ka(net: pp.pandapowerNet, element: int) -> float:
    """Current between the bus and the inner voltage; runpp states both voltages."""
    xward, inner = net["xward"].loc[element], net["res_xward"].loc[element]
    bus = net["res_bus"].loc[xward["bus"]]
    drop = bus["vm_pu"] * np.exp(1j * np.deg2rad(bus["va_degree"]))
    drop -= inner["vm_internal_pu"] * np.exp(1j * np.deg2rad(inner["va_internal_degree"]))
    kv = abs(drop) * net["bus"]["vn_kv"].loc[xward["bus"]] / np.sqrt(3.0)
    return float(kv / abs(complex(xward["r_ohm"], xward["x_ohm"])))


def _slacks(net: pp.pandapowerNet, network: gc.Network, states: gc.States, row: int) -> list[Gap]:
    """Power of all external grids and slack gens of each slack node; gens beside them feed what they
    state."""
    node = net["_pd2ppc_lookups"]["bus"]
    fed: dict[int, complex] = {}
    for table in ("ext_grid", "gen"):
        elements = net[table].join(net[f"res_{table}"][["p_mw", "q_mvar"]], rsuffix="_res")
        for element in elements[elements["in_service"]].to_dict("records"):
            p, q = element.get("p_mw_res", element["p_mw"]), element["q_mvar"]
            if not element.get("slack", True):
                p -= element["p_mw"] * element["scaling"]
            fed[node[element["bus"]]] = fed.get(node[element["bus"]], 0.0) + complex(p, q)
    found = []
    for element, table, place in zip(network.slack, network.slack_table, network.slack_node, strict=True):
        if place >= 0:
            expected = fed[node[net[str(table)]["bus"].loc[element]]]
            actual = complex(states.slack_mva[row, place - network.n_free])
            found.append(Gap("slack_mva", f"the node of {table} {element}", actual, expected))
    return found


def agreement(net: pp.pandapowerNet) -> list[Gap]:
    """Solve a net that runpp has solved; what differs by more than is allowed, worst first, one per quantity.

    Raises
    ------
    CaseError
        gridclear refuses the grid.
    """
    network = gc.compile_network(net)
    p, q = injections(net)
    states = gc.solve_batch(network, p[None], q[None], threads=1)
    return worst(gaps(net, network, states))


def worst(found: list[Gap]) -> list[Gap]:
    """The largest excess of each quantity that has one above 1."""
    by_quantity = {quantity: max((g for g in found if g.quantity == quantity), key=lambda g: g.excess,
                                 default=None)
                   for quantity in TOLERANCES}  # fmt: skip
    return sorted(
        (g for g in by_quantity.values() if g is not None and g.excess > 1.0), key=lambda g: -g.excess
    )
