"""A pandapower grid → arrays, once."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gridclear.case.cells import Faults
from gridclear.case.check import check_power_flow, sorted_issues
from gridclear.case.grid import Grid, read_grid
from gridclear.case.grid_tables import raw_grid_from_net
from gridclear.errors import CaseError
from gridclear.network import elements
from gridclear.network.convert import constant_powers, convert, pandapower_net, with_every_tap
from gridclear.network.network import Complexes, Network
from gridclear.network.shares import grid_shares
from gridclear.network.topology import order, structure

if TYPE_CHECKING:
    from collections.abc import Sequence

#: One change of a topology: table, pandapower index, in service (or closed).
Switching = tuple[str, int, bool]


def compile_network(net: Any) -> Network:  # noqa: ANN401  pandapower has no types
    """Compile a grid in its normal topology.

    Parameters
    ----------
    net : pandapowerNet or Grid
        Never changed.

    Returns
    -------
    Network
        Arrays whose power flow agrees with ``runpp(net, calculate_voltage_angles=True)``.

    Raises
    ------
    CaseError
        The grid holds a fault, or elements that gridclear does not represent; lists all of them.
    """
    faults = Faults()
    grid = net if isinstance(net, Grid) else read_grid(raw_grid_from_net(net, "net", faults), faults)
    if "bus" in grid.tables:
        check_power_flow(grid, "net", faults)
    if faults.issues:
        raise CaseError(tuple(sorted_issues(faults.issues)))
    network, shares = compile_topologies(grid, [()])[0], grid_shares(grid)
    if shares is None:
        return network
    parts = (shares.current_p, shares.current_q, shares.impedance_p, shares.impedance_q)
    return replace(network, load_shares=np.vstack(parts))


def compile_topologies(grid: Grid, topologies: Sequence[Sequence[Switching]]) -> list[Network]:
    """Compile a grid once per topology; the tap table is made once and shared.

    Parameters
    ----------
    grid : Grid
    topologies : sequence of sequences of Switching
        Changes against the grid's own state.

    Returns
    -------
    list of Network
        In the order of ``topologies``.
    """
    net = pandapower_net(grid)
    tap_rows = {table: _tap_admittance(net, table) for table in ("trafo", "trafo3w")}
    return [_compile(switched(net, topology), tap_rows) for topology in topologies]


def switched(net: Any, topology: Sequence[Switching]) -> Any:  # noqa: ANN401
    """Copy a pandapower net with the changes of a topology."""
    changed = copy.deepcopy(net)
    for table, element, state in topology:
        changed[table].loc[element, "closed" if table == "switch" else "in_service"] = state
    return changed


def _tap_admittance(net: Any, table: str) -> dict[tuple[int, int], Complexes]:  # noqa: ANN401
    """Admittances by (element, position): (1, 4) for two windings, (3, 4) for three."""
    wide, added = with_every_tap(net, table)
    if not len(added):
        return {}
    conversion = convert(wide)
    first, last = conversion.rows[table]
    windings = 3 if table == "trafo3w" else 1
    per_winding = (last - first) // windings
    return {
        (int(element), int(position)): conversion.admittance[
            first + int(row) + per_winding * np.arange(windings)
        ]
        for element, position, row in added.itertuples(index=False)
    }


def _compile(net: Any, tap_rows: dict[str, dict[tuple[int, int], Complexes]]) -> Network:  # noqa: ANN401
    conversion = convert(net)
    ordering = order(conversion)
    arrays = structure(conversion, ordering)
    n_node, n_free = len(conversion.base_kv), ordering.n_free
    base_kv = np.empty(n_node)
    base_kv[ordering.node] = conversion.base_kv
    shunt = np.zeros(n_node, dtype=np.complex128)
    shunt[ordering.node] = conversion.shunt
    labels, windings = elements.labels(net, conversion, ordering)
    banks = elements.banks(net, arrays.node_of_bus)
    live = banks.node >= 0
    np.subtract.at(shunt, banks.node[live], (banks.per_step * banks.initial)[live])
    amperes = net.sn_mva / (np.sqrt(3.0) * base_kv[np.stack([arrays.from_node, arrays.to_node], axis=1)])
    slack, slack_table, slack_node = elements.slacks(net, arrays.node_of_bus)
    slack_voltage = np.empty(n_node - n_free, dtype=np.complex128)
    slack_voltage[ordering.node[conversion.reference] - n_free] = conversion.reference_voltage
    held = ordering.node[conversion.pv]
    set_voltage, q_min, q_max = np.zeros((3, n_free))
    set_voltage[held] = conversion.pv_voltage
    q_min[held], q_max[held] = conversion.q_min[conversion.pv], conversion.q_max[conversion.pv]
    demand, dc_power = constant_powers(net)
    rated, loading = elements.ratings(net, labels, windings)
    return Network(
        s_base_mva=float(net.sn_mva),
        bus=net.bus.index.to_numpy(dtype=np.int64),
        structure=arrays,
        n_node=n_node,
        n_free=n_free,
        base_kv=base_kv,
        labels=labels,
        admittance=np.ascontiguousarray(conversion.admittance[ordering.row]),
        susceptance=conversion.susceptance[ordering.row],
        shift=conversion.shift[ordering.row],
        shunt=shunt,
        constant_power=demand + dc_power,
        dc_power=dc_power,
        slack=slack,
        slack_table=slack_table,
        slack_node=slack_node,
        slack_voltage=slack_voltage,
        set_voltage=set_voltage,
        q_min=q_min,
        q_max=q_max,
        amperes_ka=amperes,
        rated_ka=rated,
        max_loading=loading,
        vm_min=elements.numbers(net.bus, "min_vm_pu"),
        vm_max=elements.numbers(net.bus, "max_vm_pu"),
        taps=elements.taps(net, labels, windings, tap_rows),
        banks=banks,
    )
