"""pandapower's own converter, called once per topology: the only place that knows its matrices.

The element models (line, transformer, shunt ...) are pandapower's; nothing of them is written again here.
Every tap position is obtained by giving the converter one extra, switched-off copy of the transformer per
position, so a tap table costs one conversion.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.errors import CaseError, Issue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case.grid import Grid
    from gridclear.network.network import Complexes, Floats, Ints

#: What an absent column means to pandapower.
_DEFAULTS: Mapping[str, object] = {
    "in_service": True,
    "closed": True,
    "scaling": 1.0,
    "parallel": 1,
    "df": 1.0,
    "g_us_per_km": 0.0,
    "shift_degree": 0.0,
    "slack": False,
    "slack_weight": 1.0,
    "z_ohm": 0.0,
    "step": 1,
    "const_z_p_percent": 0.0,
    "const_i_p_percent": 0.0,
    "const_z_q_percent": 0.0,
    "const_i_q_percent": 0.0,
    "tap_dependency_table": False,
    "step_dependency_table": False,
    "va_degree": 0.0,
}

#: Elements that cannot be represented: refused, never approximated.
_UNSUPPORTED = ("xward", "dcline", "svc", "tcsc", "ssc", "vsc", "line_dc", "source_dc", "load_dc")


@dataclass(frozen=True)
class Conversion:
    """One topology as pandapower's converter sees it, nodes in its own order.

    Attributes
    ----------
    node_of_bus : (bus,)
        Row of the node table for each bus, -1 where dead.
    base_kv, shunt : (node,)
        Voltage base; admittance to ground in p.u., banks included.
    reference : (ref,)
        Nodes whose voltage is a slack's, and ``reference_voltage`` their voltages.
    pv, pv_voltage : (pv,)
        Nodes with a voltage-controlling generator, and their set points.
    from_node, to_node, admittance : (row,), (row,), (row, 4)
        All rows of the branch table, switched-off ones included.
    alive : (row,) of bool
        Rows in service between live nodes.
    rows : mapping
        First and last row of each pandapower table.
    """

    node_of_bus: Ints
    base_kv: Floats
    shunt: Complexes
    reference: Ints
    reference_voltage: Complexes
    pv: Ints
    pv_voltage: Floats
    from_node: Ints
    to_node: Ints
    admittance: Complexes
    alive: np.ndarray[Any, np.dtype[np.bool_]]
    rows: Mapping[str, tuple[int, int]]


def pandapower_net(grid: Grid) -> Any:  # noqa: ANN401  pandapower has no types
    """Give the grid's tables back to pandapower, absent columns filled as pandapower itself would.

    Parameters
    ----------
    grid : Grid
        Element tables as plain DataFrames.

    Returns
    -------
    pandapowerNet
        A net of its own: nothing is shared with ``grid``.

    Raises
    ------
    CaseError
        The grid holds elements that gridclear does not represent.
    """
    import pandapower  # noqa: PLC0415  costs seconds, and a stored grid does without it

    refused = [
        Issue(
            "grid.json",
            table,
            "",
            f"{len(grid.tables[table])} elements of table '{table}'",
            "none of it: not supported yet",
        )
        for table in _UNSUPPORTED
        if table in grid.tables and len(grid.tables[table])
    ]
    if refused:
        raise CaseError(tuple(refused))
    net = pandapower.create_empty_network(name=grid.name, f_hz=grid.f_hz, sn_mva=grid.sn_mva)
    for table, frame in grid.tables.items():
        if table not in net or not len(frame):
            continue
        filled = frame.copy()
        for column in net[table].columns.difference(filled.columns):
            dtype = net[table][column].dtype
            if column in _DEFAULTS:
                filled[column] = pd.Series(_DEFAULTS[column], index=filled.index)
            elif dtype == np.dtype(bool):
                filled[column] = False
            else:
                filled[column] = pd.Series(
                    np.nan, index=filled.index, dtype="float64" if dtype.kind in "fiu" else object
                )
        net[table] = filled
    return net


def convert(net: Any) -> Conversion:  # noqa: ANN401
    """Convert a pandapower net with the models of ``runpp(calculate_voltage_angles=True)``.

    Parameters
    ----------
    net : pandapowerNet
        Is left with pandapower's private look-ups; pass a copy.

    Returns
    -------
    Conversion
        Nodes, branches and their admittances.

    Notes
    -----
    ``branch_vectors`` is pandapower's (MATPOWER's) pi-model of a branch: y_ff = (y_s + y_c/2)/|t|²,
    y_ft = -y_s/t*, y_tf = -y_s/t, y_tt = y_s + y_c/2.
    """
    # Private functions of pandapower: its public converter drops the rows that are switched off, among them
    # the copies that make the tap table. The dependency is pinned to one minor version for that reason.
    from pandapower.auxiliary import _init_runpp_options  # noqa: PLC0415
    from pandapower.pd2ppc import _pd2ppc  # noqa: PLC0415
    from pandapower.pypower.idx_brch import BR_STATUS, F_BUS, T_BUS  # noqa: PLC0415
    from pandapower.pypower.idx_bus import BASE_KV, BS, BUS_TYPE, GS, PV, REF, VA, VM  # noqa: PLC0415
    from pandapower.pypower.idx_gen import GEN_BUS, VG  # noqa: PLC0415
    from pandapower.pypower.makeYbus import branch_vectors  # noqa: PLC0415

    _init_runpp_options(
        net,
        algorithm="nr",
        calculate_voltage_angles=True,
        init="flat",
        max_iteration="auto",
        tolerance_mva=1e-8,
        trafo_model="t",
        trafo_loading="current",
        enforce_p_lims=False,
        enforce_q_lims=False,
        check_connectivity=True,
        voltage_depend_loads=False,
    )
    empty = np.array([], dtype=np.int64)
    net["_pd2ppc_lookups"] = dict.fromkeys(("bus", "bus_dc", "ext_grid", "gen", "branch", "branch_dc"), empty)
    full, internal = _pd2ppc(net)
    nodes, generators = internal["bus"], internal["gen"]
    branch = full["branch"].copy()
    lookups = net["_pd2ppc_lookups"]

    alive = internal["internal"]["branch_is"]
    from_node = branch[:, F_BUS].real.astype(np.int64)
    to_node = branch[:, T_BUS].real.astype(np.int64)
    branch[:, BR_STATUS] = 1
    y_tt, y_ff, y_ft, y_tf = branch_vectors(branch, len(branch))
    node = np.asarray(lookups["bus"])[net.bus.index.to_numpy()]
    node_of_bus = np.where((node >= 0) & (node < len(nodes)), node, -1).astype(np.int64)

    kind = nodes[:, BUS_TYPE].astype(np.int64)
    set_points = np.zeros(len(nodes))
    set_points[generators[:, GEN_BUS].real.astype(np.int64)] = generators[:, VG].real
    reference = np.flatnonzero(kind == REF)
    held = np.flatnonzero(kind == PV)
    angle = np.deg2rad(nodes[reference, VA].real)
    magnitude = np.where(set_points[reference] > 0, set_points[reference], nodes[reference, VM].real)
    return Conversion(
        node_of_bus=node_of_bus,
        base_kv=nodes[:, BASE_KV].real.astype(np.float64),
        shunt=(nodes[:, GS] + 1j * nodes[:, BS]).astype(np.complex128) / net.sn_mva,
        reference=reference.astype(np.int64),
        reference_voltage=magnitude * np.exp(1j * angle),
        pv=held.astype(np.int64),
        pv_voltage=set_points[held],
        from_node=from_node,
        to_node=to_node,
        admittance=np.stack([y_ff, y_ft, y_tf, y_tt], axis=1).astype(np.complex128),
        alive=np.asarray(alive, dtype=bool),
        rows=dict(lookups["branch"]),
    )


def with_every_tap(net: Any, table: str) -> tuple[Any, pd.DataFrame]:  # noqa: ANN401
    """Copy the net and give it a switched-off copy of each tapped transformer for every position.

    Parameters
    ----------
    net : pandapowerNet
    table : {"trafo", "trafo3w"}

    Returns
    -------
    net : pandapowerNet
        The copy; the added rows stand behind the grid's own.
    added : DataFrame
        ``element``, ``position`` and ``row`` (place in the table) of each added row.
    """
    wide = copy.deepcopy(net)
    frame = wide[table]
    if not len(frame):
        return wide, pd.DataFrame(columns=["element", "position", "row"])
    tapped = frame[
        frame.tap_pos.notna() & frame.tap_min.notna() & frame.tap_max.notna() & frame.tap_changer_type.notna()
    ]
    element = [
        (index, position)
        for index, row in tapped.iterrows()
        for position in range(int(row.tap_min), int(row.tap_max) + 1)
    ]
    added = pd.DataFrame(element, columns=["element", "position"])
    added["row"] = np.arange(len(frame), len(frame) + len(added))
    if len(added):
        copies = frame.loc[added.element].copy()
        copies["tap_pos"] = added.position.to_numpy().astype(frame.tap_pos.dtype)
        copies["in_service"] = False
        copies.index = np.arange(len(added)) + int(frame.index.max()) + 1
        wide[table] = pd.concat([frame, copies])
    return wide, added
