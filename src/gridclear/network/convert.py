"""pandapower's own converter, called once per topology: the only place that knows its matrices.

The element models (line, transformer, shunt ...) are pandapower's; nothing of them is written again here.
Every tap position is obtained by giving the converter one extra, switched-off copy of the transformer per
position, so a tap table costs one conversion.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.case.grid_schema import AUXILIARY_TABLES, GRID_TABLES
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
#: pandapower's stand-in for a reactive limit that is not stated, in Mvar.
_NO_LIMIT = 1e9


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
    q_min, q_max : (node,)
        Summed reactive limits of the generators at each node in p.u.; infinite where one states none.
    from_node, to_node, admittance : (row,), (row,), (row, 4)
        All rows of the branch table, switched-off ones included.
    susceptance, shift : (row,)
        Series susceptance 1/(x·|t|) in p.u. and phase shift in rad: the branch of a DC power flow.
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
    q_min: Floats
    q_max: Floats
    from_node: Ints
    to_node: Ints
    admittance: Complexes
    susceptance: Floats
    shift: Floats
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
        A net of its own: nothing is shared with ``grid``. Every transformer with a tap table has a copy of it
        for itself: pandapower finds the row by the number of the table alone, so that two transformers with
        one table at different positions would both get the row of one of them.
    """
    net = copy.deepcopy(_empty_net())
    net["name"], net["f_hz"], net["sn_mva"] = grid.name, grid.f_hz, grid.sn_mva
    for table, frame in grid.tables.items():
        if table in AUXILIARY_TABLES:
            net[table] = frame.copy()
        if table not in GRID_TABLES or not len(frame):
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
    for table in ("trafo", "trafo3w"):
        _own_tap_tables(net, table, net[table].index)
    return net


@cache
def _empty_net() -> Any:  # noqa: ANN401  its thirty empty tables cost pandapower longer than a small grid does
    import pandapower  # noqa: PLC0415  costs seconds, and a stored grid does without it

    return pandapower.create_empty_network()


def _own_tap_tables(net: Any, table: str, rows: pd.Index) -> None:  # noqa: ANN401
    """Give some transformers tap tables that nobody else uses."""
    frame = net[table]
    rows = rows[frame.loc[rows, "tap_dependency_table"].to_numpy(dtype=bool)]
    rows = rows[frame.loc[rows, "id_characteristic_table"].notna()]
    if not len(rows):
        return
    characteristics = net.trafo_characteristic_table
    first = int(characteristics.id_characteristic.max()) + 1
    own = pd.Series(np.arange(first, first + len(rows), dtype=np.float64), index=rows)
    copies = [
        characteristics[characteristics.id_characteristic == shared].assign(id_characteristic=number)
        for shared, number in zip(frame.loc[rows, "id_characteristic_table"], own, strict=True)
    ]
    net.trafo_characteristic_table = pd.concat([characteristics, *copies], ignore_index=True)
    frame.loc[rows, "id_characteristic_table"] = own


def convert(net: Any) -> Conversion:  # noqa: ANN401
    """Convert a pandapower net with the models of ``runpp(calculate_voltage_angles=True)``.

    Parameters
    ----------
    net : pandapowerNet
        Is left with pandapower's private look-ups, and with two generators for each dcline; pass a copy.

    Returns
    -------
    Conversion
        Nodes, branches and their admittances.

    Raises
    ------
    CaseError
        pandapower itself refuses the grid.

    Notes
    -----
    ``branch_vectors`` is pandapower's (MATPOWER's) pi-model of a branch: y_ff = (y_s + y_c/2)/|t|²,
    y_ft = -y_s/t*, y_tf = -y_s/t, y_tt = y_s + y_c/2.
    """
    # Private functions of pandapower: its public converter drops the rows that are switched off, among them
    # the copies that make the tap table. The dependency is pinned to one minor version for that reason.
    from pandapower.auxiliary import _add_auxiliary_elements, _init_runpp_options  # noqa: PLC0415
    from pandapower.pd2ppc import _pd2ppc  # noqa: PLC0415
    from pandapower.pypower.idx_brch import BR_R, BR_STATUS, BR_X, F_BUS, SHIFT, T_BUS  # noqa: PLC0415
    from pandapower.pypower.idx_bus import BASE_KV, BS, BUS_TYPE, GS, PV, REF, VA, VM  # noqa: PLC0415
    from pandapower.pypower.idx_gen import GEN_BUS, QMAX, QMIN, VG  # noqa: PLC0415
    from pandapower.pypower.makeBdc import calc_b_from_branch  # noqa: PLC0415
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
    _add_auxiliary_elements(net)
    try:
        full, internal = _pd2ppc(net)
    except UserWarning as refusal:  # what pandapower raises for a grid that contradicts itself
        issue = Issue("grid.json", "", "", str(refusal), "a grid that pandapower's runpp accepts")
        raise CaseError((issue,)) from refusal
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
    set_points, q_min, q_max = np.zeros((3, len(nodes)))
    at = generators[:, GEN_BUS].real.astype(np.int64)
    set_points[at] = generators[:, VG].real
    for total, column in ((q_min, QMIN), (q_max, QMAX)):
        limit = generators[:, column].real
        stated = np.abs(limit) < _NO_LIMIT
        np.add.at(total, at, np.where(stated, limit / net.sn_mva, np.copysign(np.inf, limit)))
    # A branch without reactance has no susceptance of its own: for a start its resistance does as well.
    direct = branch.copy()
    direct[:, BR_X] = np.where(branch[:, BR_X] == 0.0, branch[:, BR_R], branch[:, BR_X])
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
        q_min=q_min,
        q_max=q_max,
        from_node=from_node,
        to_node=to_node,
        admittance=np.stack([y_ff, y_ft, y_tf, y_tt], axis=1).astype(np.complex128),
        susceptance=calc_b_from_branch(direct, len(direct)),
        shift=np.deg2rad(branch[:, SHIFT].real),
        alive=np.asarray(alive, dtype=bool),
        rows=dict(lookups["branch"]),
    )


def constant_powers(net: Any) -> tuple[Complexes, Complexes]:  # noqa: ANN401
    """Injections that stand in no forecast.

    Parameters
    ----------
    net : pandapowerNet
        As ``convert`` has left it.

    Returns
    -------
    demand, dc : (bus,), (bus,) complex
        MVA of wards, extended wards, motors and asymmetric elements; MVA of the two ends of each dcline.
    """
    from pandapower.build_bus import _get_motor_pq, _get_symmetric_pq_of_unsymetric_element  # noqa: PLC0415

    place = pd.Series(np.arange(len(net.bus)), index=net.bus.index)
    demand, dc = np.zeros((2, len(net.bus)), dtype=np.complex128)
    at_work = net["_is_elements"]
    for table in ("ward", "xward"):
        frame = net[table]
        drawn = (frame.ps_mw.to_numpy() + 1j * frame.qs_mvar.to_numpy()) * at_work[table]
        np.subtract.at(demand, place.loc[frame.bus].to_numpy(), drawn)
    p_mw, q_mvar = _get_motor_pq(net)
    np.subtract.at(demand, place.loc[net.motor.bus].to_numpy(), p_mw + 1j * q_mvar)
    for table, sign in (("asymmetric_load", -1.0), ("asymmetric_sgen", 1.0)):
        p_mw, q_mvar = _get_symmetric_pq_of_unsymetric_element(net, table)
        np.add.at(demand, place.loc[net[table].bus].to_numpy(), sign * (p_mw + 1j * q_mvar))
    # The generators that stand in for the dclines are the last of their table.
    ends = slice(len(net.gen) - 2 * len(net.dcline), None)
    given = (net.gen.p_mw.to_numpy(dtype=np.float64) * at_work["gen"])[ends]
    np.add.at(dc, place.loc[net.gen.bus.iloc[ends]].to_numpy(), given)
    return demand, dc


def with_every_tap(net: Any, table: str) -> tuple[Any, pd.DataFrame]:  # noqa: ANN401
    """Copy the net and give it a switched-off copy of each tapped transformer for every position.

    Parameters
    ----------
    net : pandapowerNet
    table : {"trafo", "trafo3w"}

    Returns
    -------
    net : pandapowerNet
        The copy; the added rows stand behind the grid's own. The net itself if nothing is added.
    added : DataFrame
        ``element``, ``position`` and ``row`` (place in the table) of each added row.
    """
    frame = net[table]
    element = [
        (index, position)
        for index, row in frame.iterrows()
        if _has_positions(row)
        for position in range(int(row.tap_min), int(row.tap_max) + 1)
    ]
    added = pd.DataFrame(element, columns=["element", "position"])
    added["row"] = np.arange(len(frame), len(frame) + len(added))
    wide = copy.deepcopy(net) if len(added) else net
    if len(added):
        copies = frame.loc[added.element].copy()
        copies["tap_pos"] = added.position.to_numpy().astype(frame.tap_pos.dtype)
        copies["in_service"] = False
        copies.index = np.arange(len(added)) + int(frame.index.max()) + 1
        wide[table] = pd.concat([frame, copies])
        _own_tap_tables(wide, table, copies.index)
    return wide, added


def _has_positions(trafo: pd.Series) -> bool:
    """Whether a tap changer can move; any other stays where the grid has it.

    The checks of a grid see to it that positions are whole, within their range, and all in their table.
    """
    if pd.isna(trafo[["tap_min", "tap_max", "tap_pos"]]).any():
        return False
    return bool(trafo.tap_dependency_table) or bool(pd.notna(trafo.tap_changer_type))
