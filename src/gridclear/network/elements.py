"""What the arrays of a network are in the grid: names, ratings, sources, devices that move in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridclear.network.network import BankTable, BranchLabels, Complexes, Floats, Ints, TapTable

if TYPE_CHECKING:
    from gridclear.network.convert import Conversion
    from gridclear.network.topology import Ordering

_SIDES = {
    "line": ("from", "to"),
    "trafo": ("hv", "lv"),
    "impedance": ("from", "to"),
    "xward": ("bus", ""),
    "switch": ("from", "to"),
}
_WINDINGS = (("hv", ""), ("", "mv"), ("", "lv"))
#: Ratios at the ends of a tap range that differ by less regulate nothing: it is the magnetising current in an
#: impedance that changes with the position.
_SAME_RATIO = 1e-3


def numbers(frame: pd.DataFrame, column: str, absent: float = np.nan) -> Floats:
    """Column of a table as numbers; ``absent`` throughout if there is no such column."""
    if column not in frame:
        return np.full(len(frame), absent)
    return pd.to_numeric(frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)


def labels(net: Any, conversion: Conversion, ordering: Ordering) -> tuple[BranchLabels, Ints]:  # noqa: ANN401
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


def ratings(net: Any, labels: BranchLabels, windings: Ints) -> tuple[Floats, Floats]:  # noqa: ANN401
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
        limit[mine] = numbers(frame, "max_loading_percent") / 100.0
        if table == "line":
            ampacity = (
                numbers(frame, "max_i_ka") * numbers(frame, "df", 1.0) * numbers(frame, "parallel", 1.0)
            )
            rated[mine] = ampacity[:, None]
        elif table == "trafo":
            power = numbers(frame, "sn_mva") * numbers(frame, "df", 1.0) * numbers(frame, "parallel", 1.0)
            kv = np.stack([numbers(frame, "vn_hv_kv"), numbers(frame, "vn_lv_kv")], axis=1)
            rated[mine] = power[:, None] / (np.sqrt(3.0) * kv)
        else:
            for number, winding in enumerate(("hv", "mv", "lv")):
                own = windings[mine] == number
                current = numbers(frame, f"sn_{winding}_mva") / (
                    np.sqrt(3.0) * numbers(frame, f"vn_{winding}_kv")
                )
                rated[np.flatnonzero(mine)[own], 0 if number == 0 else 1] = current[own]
    return rated, limit


def slacks(net: Any, node_of_bus: Ints) -> tuple[Ints, np.ndarray[Any, np.dtype[np.str_]], Ints]:  # noqa: ANN401
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


def taps(
    net: Any,  # noqa: ANN401
    labels: BranchLabels,
    windings: Ints,
    tap_rows: dict[str, dict[tuple[int, int], Complexes]],
) -> TapTable:
    """Tap changers from their admittances by (element, position), which ``compile`` has made."""
    changers = [
        (table, element) for table, rows in tap_rows.items() for element in dict.fromkeys(e for e, _ in rows)
    ]
    frames = [net[table].loc[element] for table, element in changers]
    lowest = np.array([int(frame.tap_min) for frame in frames], dtype=np.int64)
    highest = np.array([int(frame.tap_max) for frame in frames], dtype=np.int64)
    branches, admittance = [], []
    for (table, element), low, high in zip(changers, lowest, highest, strict=True):
        own = np.flatnonzero((labels.element_type == table) & (labels.element == element)).astype(np.int64)
        stack = np.stack([tap_rows[table][element, position] for position in range(low, high + 1)])
        branches.append(own)
        # A dead transformer has no branches, and one with a dead winding has those of the others.
        admittance.append(np.ascontiguousarray(stack[:, windings[own]]))
    return TapTable(
        element_type=np.array([table for table, _ in changers], dtype="<U16"),
        element=np.array([element for _, element in changers], dtype=np.int64),
        direction=np.array(
            [
                _direction(table, tap_rows[table][element, low], tap_rows[table][element, high])
                for (table, element), low, high in zip(changers, lowest, highest, strict=True)
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


def _direction(table: str, lowest: Complexes, highest: Complexes) -> int:
    """Whether the highest position gives the regulated side a higher (1) or a lower (-1) voltage."""
    # Open at its far end, a branch transforms by -y_tf/y_tt: from the high-voltage side to the other one, or
    # over the star point to the medium-voltage side.
    way = slice(0, 2 if table == "trafo3w" else 1)
    low, high = (np.prod(np.abs(rows[way, 2] / rows[way, 3])) for rows in (lowest, highest))
    return 0 if abs(high - low) < _SAME_RATIO * low else int(np.sign(high - low))


def banks(net: Any, node_of_bus: Ints) -> BankTable:  # noqa: ANN401
    """Shunts as steps: pandapower's shunt power is ``step·(p_mw, q_mvar)·(V/vn_kv)²``."""
    shunt = net.shunt[~net.shunt.step_dependency_table.to_numpy(dtype=bool)]
    place = pd.Series(np.arange(len(net.bus)), index=net.bus.index)
    bus = (
        place.loc[shunt.bus.to_numpy(dtype=np.int64)].to_numpy()
        if len(shunt)
        else np.zeros(0, dtype=np.int64)
    )
    bus_kv = net.bus.vn_kv.to_numpy(dtype=np.float64)[bus]
    own_kv = numbers(shunt, "vn_kv")
    ratio = bus_kv / np.where(np.isnan(own_kv), bus_kv, own_kv)
    power = (numbers(shunt, "p_mw") - 1j * numbers(shunt, "q_mvar")) * ratio**2 / net.sn_mva
    on = shunt.in_service.to_numpy(dtype=bool)
    step = numbers(shunt, "step", 1.0)
    return BankTable(
        element=shunt.index.to_numpy(dtype=np.int64),
        node=np.where(on, node_of_bus[bus], -1).astype(np.int64),
        per_step=np.asarray(power, dtype=np.complex128),
        highest=np.nan_to_num(numbers(shunt, "max_step", 1.0), nan=1.0).astype(np.int64),
        initial=step.astype(np.int64),
    )
