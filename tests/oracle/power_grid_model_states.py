"""The state that power-grid-model finds in the network that pandapower has made of a net.

Every branch is a generic branch with pandapower's own π values: the two tools then differ by their solvers
alone. power-grid-model has no nodes of held voltage, and no branch whose impedance differs by direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pandapower.pypower import idx_brch as br
from pandapower.pypower import idx_bus as bu
from power_grid_model import PowerGridModel, initialize_array

if TYPE_CHECKING:
    import pandapower as pp

#: Short-circuit power of a source in VA: as stiff as double precision lets it be.
STIFF_VA = 1e20


def representable(net: pp.pandapowerNet) -> bool:
    """Whether power-grid-model has a model for everything in a net that runpp has solved."""
    internal = net["_ppc"]["internal"]
    branch = internal["branch"]
    return not len(internal["pv"]) and not np.any(branch[:, [br.BR_R_ASYM, br.BR_X_ASYM]])


def solve(net: pp.pandapowerNet) -> tuple[np.ndarray, np.ndarray]:
    """Voltages of the buses in p.u. and degrees, NaN where dead, by Newton-Raphson.

    The injections, the shunts and the voltages of the slack nodes are those of the net that runpp has solved.
    """
    internal = net["_ppc"]["internal"]
    base_va = internal["baseMVA"] * 1e6
    bus, branch = internal["bus"].real, internal["branch"].real
    nodes = np.arange(len(bus))
    volts = bus[:, bu.BASE_KV] * 1e3
    ends = branch[:, [br.F_BUS, br.T_BUS]].astype(np.int64)
    ohm = volts[ends[:, 1]] ** 2 / base_va
    # Half of what the two ends of a branch differ by in their shunts stands at the node of the far end.
    shunt = (bus[:, bu.GS] + 1j * bus[:, bu.BS]) / internal["baseMVA"]
    np.add.at(shunt, ends[:, 1], (branch[:, br.BR_G_ASYM] + 1j * branch[:, br.BR_B_ASYM]) / 2.0)
    # A branch whose ends are one node only draws: y/|t|² + y - y/t - y/t*, and its own shunts at both ends.
    loop = ends[:, 0] == ends[:, 1]
    series = 1.0 / (branch[loop, br.BR_R] + 1j * branch[loop, br.BR_X])
    charging = (branch[loop, br.BR_G] + 1j * branch[loop, br.BR_B]) / 2.0
    tap = np.where(branch[loop, br.TAP] == 0.0, 1.0, branch[loop, br.TAP])
    turned = 2.0 * np.cos(np.deg2rad(branch[loop, br.SHIFT])) / tap
    drawn = series * (1.0 / tap**2 + 1.0 - turned) + charging * (1.0 / tap**2 + 1.0)
    np.add.at(shunt, ends[loop, 0], drawn)
    branch, ends, ohm = branch[~loop], ends[~loop], ohm[~loop]
    slack = internal["ref"]
    data = {
        "node": _table("node", id=nodes, u_rated=volts),
        "generic_branch": _table(
            "generic_branch", id=10_000 + np.arange(len(branch)), from_node=ends[:, 0], to_node=ends[:, 1],
            from_status=1, to_status=1, r1=branch[:, br.BR_R] * ohm, x1=branch[:, br.BR_X] * ohm,
            g1=branch[:, br.BR_G] / ohm, b1=branch[:, br.BR_B] / ohm, k=np.where(branch[:, br.TAP] == 0.0,
                                                                                 1.0, branch[:, br.TAP]),
            theta=np.deg2rad(branch[:, br.SHIFT]), sn=base_va,
        ),
        "shunt": _table(
            "shunt", id=20_000 + nodes, node=nodes, status=1, g1=shunt.real * base_va / volts**2,
            b1=shunt.imag * base_va / volts**2,
        ),
        "source": _table(
            "source", id=30_000 + np.arange(len(slack)), node=slack, status=1, sk=STIFF_VA,
            u_ref=np.abs(internal["V"][slack]), u_ref_angle=np.angle(internal["V"][slack]),
        ),
        "sym_load": _table(
            "sym_load", id=40_000 + nodes, node=nodes, status=1, type=0,
            p_specified=bus[:, bu.PD] * 1e6, q_specified=bus[:, bu.QD] * 1e6,
        ),
    }  # fmt: skip
    model = PowerGridModel(data, system_frequency=net.f_hz)
    result = model.calculate_power_flow(error_tolerance=1e-11, max_iterations=50)["node"]
    place = np.asarray(net["_pd2ppc_lookups"]["bus"])[net.bus.index]
    live = net.res_bus["vm_pu"].notna().to_numpy()
    vm, va = np.full(len(place), np.nan), np.full(len(place), np.nan)
    vm[live], va[live] = result["u_pu"][place[live]], np.rad2deg(result["u_angle"][place[live]])
    return vm, va


def _table(component: str, **columns: np.ndarray | float) -> np.ndarray:
    table = initialize_array("input", component, len(columns["id"]))
    for name, values in columns.items():
        table[name] = values
    return table
