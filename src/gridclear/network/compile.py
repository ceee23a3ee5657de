"""A pandapower grid → arrays, once."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.case.cells import Faults
from gridclear.case.check import check_power_flow, sorted_issues
from gridclear.case.grid import Grid, read_grid
from gridclear.case.grid_tables import raw_grid_from_net
from gridclear.errors import CaseError
from gridclear.network.convert import Conversion, convert, pandapower_net, with_every_tap
from gridclear.network.network import BankTable, BranchLabels, Complexes, Floats, Ints, Network, TapTable
from gridclear.network.topology import Ordering, order, structure

if TYPE_CHECKING:
    from collections.abc import Sequence

#: One change of a topology: table, pandapower index, in service (or closed).
Switching = tuple[str, int, bool]

_SIDES = {
    "line": ("from", "to"),
    "trafo": ("hv", "lv"),
    "impedance": ("from", "to"),
    "switch": ("from", "to"),
}
_WINDINGS = (("hv", ""), ("", "mv"), ("", "lv"))


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
    return compile_topologies(grid, [()])[0]


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
    return [_compile(_switched(net, topology), tap_rows) for topology in topologies]


def _switched(net: Any, topology: Sequence[Switching]) -> Any:  # noqa: ANN401
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
    labels, windings = _labels(net, conversion, ordering)
    banks = _banks(net, arrays.node_of_bus)
    live = banks.node >= 0
    np.subtract.at(shunt, banks.node[live], (banks.per_step * banks.initial)[live])
    amperes = net.sn_mva / (np.sqrt(3.0) * base_kv[np.stack([arrays.from_node, arrays.to_node], axis=1)])
    slack, slack_table, slack_node = _slacks(net, arrays.node_of_bus)
    slack_voltage = np.empty(n_node - n_free, dtype=np.complex128)
    slack_voltage[ordering.node[conversion.reference] - n_free] = conversion.reference_voltage
    set_voltage = np.zeros(n_free)
    set_voltage[ordering.node[conversion.pv]] = conversion.pv_voltage
    rated, loading = _ratings(net, labels, windings)
    return Network(
        s_base_mva=float(net.sn_mva),
        bus=net.bus.index.to_numpy(dtype=np.int64),
        structure=arrays,
        n_node=n_node,
        n_free=n_free,
        base_kv=base_kv,
        labels=labels,
        admittance=np.ascontiguousarray(conversion.admittance[ordering.row]),
        shunt=shunt,
        constant_power=_constant_power(net),
        slack=slack,
        slack_table=slack_table,
        slack_node=slack_node,
        slack_voltage=slack_voltage,
        set_voltage=set_voltage,
        amperes_ka=amperes,
        rated_ka=rated,
        max_loading=loading,
        vm_min=_numbers(net.bus, "min_vm_pu"),
        vm_max=_numbers(net.bus, "max_vm_pu"),
        taps=_taps(net, labels, tap_rows),
        banks=banks,
    )


def _numbers(frame: pd.DataFrame, column: str, absent: float = np.nan) -> Floats:
    if column not in frame:
        return np.full(len(frame), absent)
    return pd.to_numeric(frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)


def _labels(net: Any, conversion: Conversion, ordering: Ordering) -> tuple[BranchLabels, Ints]:  # noqa: ANN401
    """Table, index and sides of each branch; winding number (0, 1, 2) for three-winding transformers."""
    kinds = np.full(len(conversion.admittance), "", dtype="<U16")
    elements = np.full(len(kinds), -1, dtype=np.int64)
    windings = np.zeros(len(kinds), dtype=np.int64)
    for table, (first, last) in conversion.rows.items():
        kinds[first:last] = table
        index = net[table].index.to_numpy()
        if table == "trafo3w":
            elements[first:last] = np.tile(index, 3)
            windings[first:last] = np.repeat(np.arange(3), len(index))
        elif table == "switch":
            elements[first:last] = index[net._impedance_bb_switches]  # noqa: SLF001  pandapower's own mask
        else:
            elements[first:last] = index
    kinds, elements, windings = kinds[ordering.row], elements[ordering.row], windings[ordering.row]
    sides = np.array(
        [
            _WINDINGS[winding] if kind == "trafo3w" else _SIDES[kind]
            for kind, winding in zip(kinds, windings, strict=True)
        ],
        dtype="<U8",
    ).reshape(len(kinds), 2)
    return BranchLabels(kinds, elements, sides), windings


def _ratings(net: Any, labels: BranchLabels, windings: Ints) -> tuple[Floats, Floats]:  # noqa: ANN401
    """Find the current of 100 % at both ends in kA, as pandapower takes it, and the stated limit of loading.

    Lines: ``max_i_ka·df·parallel``. Transformers: rated current of each winding times ``df·parallel``
    (``trafo_loading="current"``).
    """
    rated = np.full((len(windings), 2), np.inf)
    limit = np.full(len(windings), np.nan)
    for table in ("line", "trafo", "trafo3w"):
        mine = labels.element_type == table
        if not mine.any():
            continue
        frame = net[table].loc[labels.element[mine]]
        limit[mine] = _numbers(frame, "max_loading_percent") / 100.0
        if table == "line":
            ampacity = (
                _numbers(frame, "max_i_ka") * _numbers(frame, "df", 1.0) * _numbers(frame, "parallel", 1.0)
            )
            rated[mine] = ampacity[:, None]
        elif table == "trafo":
            power = _numbers(frame, "sn_mva") * _numbers(frame, "df", 1.0) * _numbers(frame, "parallel", 1.0)
            kv = np.stack([_numbers(frame, "vn_hv_kv"), _numbers(frame, "vn_lv_kv")], axis=1)
            rated[mine] = power[:, None] / (np.sqrt(3.0) * kv)
        else:
            for number, winding in enumerate(("hv", "mv", "lv")):
                own = windings[mine] == number
                current = _numbers(frame, f"sn_{winding}_mva") / (
                    np.sqrt(3.0) * _numbers(frame, f"vn_{winding}_kv")
                )
                rated[np.flatnonzero(mine)[own], 0 if number == 0 else 1] = current[own]
    return rated, limit


def _slacks(net: Any, node_of_bus: Ints) -> tuple[Ints, np.ndarray[Any, np.dtype[np.str_]], Ints]:  # noqa: ANN401
    """List the sources in service: external grids, then generators that are slack."""
    position = pd.Series(np.arange(len(net.bus)), index=net.bus.index)
    grids = net.ext_grid[net.ext_grid.in_service.astype(bool)]
    machines = (
        net.gen[net.gen.in_service.astype(bool) & net.gen.slack.astype(bool)] if len(net.gen) else net.gen
    )
    index = np.r_[grids.index.to_numpy(dtype=np.int64), machines.index.to_numpy(dtype=np.int64)]
    table = np.array(["ext_grid"] * len(grids) + ["gen"] * len(machines), dtype="<U16")
    bus = np.r_[grids.bus.to_numpy(dtype=np.int64), machines.bus.to_numpy(dtype=np.int64)]
    node = node_of_bus[position.loc[bus].to_numpy()]
    return index[node >= 0], table[node >= 0], node[node >= 0]


def _constant_power(net: Any) -> Complexes:  # noqa: ANN401
    """Injection in MVA of constant-power elements that stand in no forecast."""
    place = pd.Series(np.arange(len(net.bus)), index=net.bus.index)
    total = np.zeros(len(net.bus), dtype=np.complex128)

    def add(table: str, power: Complexes) -> None:
        on = net[table].in_service.to_numpy(dtype=bool)
        np.add.at(total, place.loc[net[table].bus.to_numpy()].to_numpy()[on], power[on])

    if len(net.ward):
        add("ward", -(_numbers(net.ward, "ps_mw") + 1j * _numbers(net.ward, "qs_mvar")))
    if len(net.motor):
        motor = net.motor
        p_mw = (
            _numbers(motor, "pn_mech_mw")
            / (_numbers(motor, "efficiency_percent") / 100.0)
            * (_numbers(motor, "loading_percent") / 100.0)
            * _numbers(motor, "scaling", 1.0)
        )
        cos_phi = _numbers(motor, "cos_phi")
        add("motor", -(p_mw + 1j * p_mw * np.tan(np.arccos(cos_phi))))
    for table, sign in (("asymmetric_load", -1.0), ("asymmetric_sgen", 1.0)):
        if len(net[table]):
            frame = net[table]
            p_mw = sum((_numbers(frame, f"p_{phase}_mw") for phase in "abc"), start=np.zeros(len(frame)))
            q_mvar = sum((_numbers(frame, f"q_{phase}_mvar") for phase in "abc"), start=np.zeros(len(frame)))
            power = sign * (p_mw + 1j * q_mvar) * _numbers(frame, "scaling", 1.0)
            add(table, np.asarray(power, dtype=np.complex128))
    return total


def _taps(net: Any, labels: BranchLabels, tap_rows: dict[str, dict[tuple[int, int], Complexes]]) -> TapTable:  # noqa: ANN401
    changers = [
        (table, element) for table, rows in tap_rows.items() for element in dict.fromkeys(e for e, _ in rows)
    ]
    frames = [net[table].loc[element] for table, element in changers]
    lowest = np.array([int(frame.tap_min) for frame in frames], dtype=np.int64)
    highest = np.array([int(frame.tap_max) for frame in frames], dtype=np.int64)
    branches, admittance = [], []
    for (table, element), low, high in zip(changers, lowest, highest, strict=True):
        own = np.flatnonzero((labels.element_type == table) & (labels.element == element)).astype(np.int64)
        # A dead transformer has no branches: its positions then alter nothing.
        windings = 3 if table == "trafo3w" else 1
        stack = np.stack([tap_rows[table][element, position] for position in range(low, high + 1)])
        branches.append(own)
        admittance.append(np.ascontiguousarray(stack if len(own) == windings else stack[:, : len(own)]))
    return TapTable(
        element_type=np.array([table for table, _ in changers], dtype="<U16"),
        element=np.array([element for _, element in changers], dtype=np.int64),
        direction=np.array(
            [
                (-1 if frame.tap_side == "hv" else 1) * (-1 if frame.tap_step_percent < 0 else 1)
                for frame in frames
            ],
            dtype=np.int64,
        ),
        regulated=np.array(
            [
                net.bus.index.get_loc(frame.lv_bus if table == "trafo" else frame.mv_bus)
                for (table, _), frame in zip(changers, frames, strict=True)
            ],
            dtype=np.int64,
        ),
        lowest=lowest,
        highest=highest,
        initial=np.array([int(frame.tap_pos) for frame in frames], dtype=np.int64),
        branches=tuple(branches),
        admittance=tuple(admittance),
    )


def _banks(net: Any, node_of_bus: Ints) -> BankTable:  # noqa: ANN401
    """Shunts as steps: pandapower's shunt power is ``step·(p_mw, q_mvar)·(V/vn_kv)²``."""
    shunt = net.shunt
    place = pd.Series(np.arange(len(net.bus)), index=net.bus.index)
    bus = (
        place.loc[shunt.bus.to_numpy(dtype=np.int64)].to_numpy()
        if len(shunt)
        else np.zeros(0, dtype=np.int64)
    )
    bus_kv = net.bus.vn_kv.to_numpy(dtype=np.float64)[bus]
    own_kv = _numbers(shunt, "vn_kv")
    ratio = bus_kv / np.where(np.isnan(own_kv), bus_kv, own_kv)
    power = (_numbers(shunt, "p_mw") - 1j * _numbers(shunt, "q_mvar")) * ratio**2 / net.sn_mva
    on = shunt.in_service.to_numpy(dtype=bool)
    step = _numbers(shunt, "step", 1.0)
    return BankTable(
        element=shunt.index.to_numpy(dtype=np.int64),
        node=np.where(on, node_of_bus[bus], -1).astype(np.int64),
        per_step=np.asarray(power, dtype=np.complex128),
        highest=np.nan_to_num(_numbers(shunt, "max_step", 1.0), nan=1.0).astype(np.int64),
        initial=step.astype(np.int64),
    )
