"""Rules that the grid keeps by itself."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.case.cells import Faults, Flags, Floats, Source, say
from gridclear.case.grid_schema import GRID_TABLES
from gridclear.case.grid_tables import element_row
from gridclear.case.topology import (
    BRANCHES,
    Groups,
    join_bus_switches,
    live_buses,
    source_buses,
    unsupplied_buses,
)

if TYPE_CHECKING:
    from gridclear.case.grid import Grid
    from gridclear.case.limits import Limits

#: Rated voltage of a winding over that of its bus: the tolerance of pandapower's own diagnostic. 110/20 kV
#: transformers with windings of 115 or 21 kV are ordinary; 6 on 10, 10 on 20 or 20 on 110 kV are not.
RATED_VOLTAGE_TOLERANCE = 0.3
#: Buses at the two ends of a line have the same nominal voltage but for rounding.
_SAME_VOLTAGE = 1e-6
#: A reactance below this share of the largest one is what rounding leaves of zero.
_VANISHING = 1e-9
_TRAFO_WINDINGS = {"trafo": ("hv", "lv"), "trafo3w": ("hv", "mv", "lv")}
_SWITCH_TABLE = {"b": "bus", "l": "line", "t": "trafo", "t3": "trafo3w"}
_SUPPLY = "at least one ext_grid in service at a bus in service"
#: Elements that hold a voltage: their buses and set points.
_HOLDERS = {
    "vm_pu": (("ext_grid", "bus", "vm_pu"), ("gen", "bus", "vm_pu"),
              ("dcline", "from_bus", "vm_from_pu"), ("dcline", "to_bus", "vm_to_pu")),
    "va_degree": (("ext_grid", "bus", "va_degree"),),
}  # fmt: skip


def check_grid(grid: Grid, file: str, limits: Limits | None, faults: Faults) -> None:
    """Check what a case needs of its grid beyond a power flow: names, limits, supply, what jobs represent.

    Parameters
    ----------
    grid : Grid
    file : str
        Where it came from.
    limits : Limits or None
        Stand in where a bus states none; None if they are wrong themselves.
    faults : Faults
        Takes what is found.
    """
    for table in GRID_TABLES:
        if len(grid.tables[table]):
            _check_names(grid, table, file, faults)
    _check_voltage_band(grid, file, limits, faults)
    _check_supply(grid, file, faults)
    _check_islands(grid, file, faults)


def check_elements(grid: Grid, file: str, faults: Faults) -> None:
    """Check what a power flow needs of the elements and of the way they hang together.

    Parameters
    ----------
    grid : Grid
    file : str
        Where it came from.
    faults : Faults
        Takes what is found.
    """
    if not len(grid.tables["bus"]):
        faults.add(file, "bus", "", "the grid has no bus", "at least one bus")
    for table in GRID_TABLES:
        if len(grid.tables[table]):
            _check_bus_columns(grid, table, file, faults)
    _check_lines(grid, file, faults)
    _check_windings(grid, file, faults)
    _check_star_points(grid, file, faults)
    _check_loss_side(grid, file, faults)
    _check_leakage(grid, file, faults)
    _check_shares(grid, file, faults)
    _check_switches(grid, file, faults)
    _check_reactive_limits(grid, file, faults)
    _check_slack(grid, file, faults)
    check_set_points(grid, file, faults)


def elements_source(grid: Grid, table: str, file: str) -> Source:
    """How the rows of an element table are called in issues."""
    frame = grid.tables[table]
    return Source(file, [element_row(table, n, i) for n, i in zip(frame["name"], frame.index, strict=True)])


def _voltage(grid: Grid, buses: pd.Series) -> Floats:
    """Nominal voltage in kV at each bus, NaN where there is none."""
    bus = grid.tables["bus"]
    vn_kv = np.append(bus["vn_kv"].to_numpy(), np.nan)
    at = bus.index.get_indexer(pd.Index(buses))  # -1, the NaN at the end, where there is no such bus
    return np.where(vn_kv > 0, vn_kv, np.nan)[at]


def _apart(one: Floats, other: Floats) -> Flags:
    return np.abs(one - other) > _SAME_VOLTAGE * np.fmax(one, other)


def _check_names(grid: Grid, table: str, file: str, faults: Faults) -> None:
    labels = grid.labels(table)
    source = elements_source(grid, table, file)
    what = say(f"{{}} (index {{}}) is not the only {table} of that name", labels, labels.index)
    expected = "a name that is unique in its table, or an origin_id"
    faults.rows(source, labels.duplicated(keep=False).to_numpy(), "name", what, expected)


def _check_bus_columns(grid: Grid, table: str, file: str, faults: Faults) -> None:
    frame, known = grid.tables[table], grid.tables["bus"].index
    source = elements_source(grid, table, file)
    columns = [column.name for column in GRID_TABLES[table] if column.kind == "bus"]
    for name in columns:
        buses = frame[name].to_numpy()
        # -1 stands for a cell that has been reported already.
        wrong = ~np.isin(buses, known) & (buses >= 0)
        faults.rows(source, wrong, name, say("there is no bus {}", buses), "the index of a bus of the grid")
    for one, other in combinations(columns, 2):
        same = (frame[one] == frame[other]).to_numpy() & (frame[one] >= 0).to_numpy()
        faults.rows(source, same, other, say(f"it is the same bus as {one}"), "two different buses")


def _check_voltage_band(grid: Grid, file: str, limits: Limits | None, faults: Faults) -> None:
    bus, supply = grid.tables["bus"], grid.tables["ext_grid"]
    low, high = bus["min_vm_pu"], bus["max_vm_pu"]
    if limits is not None:
        low, high = low.fillna(limits.vm_min_pu), high.fillna(limits.vm_max_pu)
    # Test grids pin the bus of their slack: a band without width is no contradiction there.
    pinned = np.isin(bus.index, supply["bus"][supply["in_service"].to_numpy(dtype=bool)])
    wrong = (low > high).to_numpy() | ((low == high).to_numpy() & ~pinned)
    what = say("min_vm_pu = {:.12g} is not below max_vm_pu = {:.12g}", low, high)
    faults.rows(elements_source(grid, "bus", file), wrong, "min_vm_pu", what, "min_vm_pu < max_vm_pu")


def _check_lines(grid: Grid, file: str, faults: Faults) -> None:
    line = grid.tables["line"]
    source = elements_source(grid, "line", file)
    one, other = _voltage(grid, line["from_bus"]), _voltage(grid, line["to_bus"])
    what = say("the line joins a {:g} kV bus to a {:g} kV bus", one, other)
    faults.rows(source, _apart(one, other), "to_bus", what, "buses of the same vn_kv")
    expected = "an impedance other than 0, or a bus-bus switch instead"
    zero = (line["r_ohm_per_km"] == 0).to_numpy() & (line["x_ohm_per_km"] == 0).to_numpy()
    faults.rows(source, zero, "x_ohm_per_km", say("the impedance is zero"), expected)
    for table, r, x in (
        ("impedance", "rft_pu", "xft_pu"),
        ("impedance", "rtf_pu", "xtf_pu"),
        ("xward", "r_ohm", "x_ohm"),
    ):
        frame = grid.tables[table]
        zero = (frame[r] == 0).to_numpy() & (frame[x] == 0).to_numpy()
        expected = "an impedance other than 0"
        faults.rows(elements_source(grid, table, file), zero, x, say("the impedance is zero"), expected)


def _check_windings(grid: Grid, file: str, faults: Faults) -> None:
    for table, sides in _TRAFO_WINDINGS.items():
        frame, source = grid.tables[table], elements_source(grid, table, file)
        if not len(frame):
            continue
        for side in sides:
            rated, nominal = frame[f"vn_{side}_kv"].to_numpy(), _voltage(grid, frame[f"{side}_bus"])
            ratio = np.where(rated > 0, rated, np.nan) / nominal
            off = (ratio > 1 + RATED_VOLTAGE_TOLERANCE) | (ratio < 1 / (1 + RATED_VOLTAGE_TOLERANCE))
            what = say("the winding is rated {:g} kV at a {:g} kV bus", rated, nominal)
            expected = f"a rated voltage within {RATED_VOLTAGE_TOLERANCE:.0%} of the vn_kv of the bus"
            faults.rows(source, off, f"vn_{side}_kv", what, expected)
        for pair in ("",) if table == "trafo" else ("_hv", "_mv", "_lv"):
            whole, real = frame[f"vk{pair}_percent"].to_numpy(), frame[f"vkr{pair}_percent"].to_numpy()
            what = say(f"{{:g}} is above vk{pair}_percent = {{:g}}", real, whole)
            expected = f"vkr{pair}_percent <= vk{pair}_percent"
            above = (np.abs(real) > np.abs(whole)) & (whole != 0)
            faults.rows(source, above, f"vkr{pair}_percent", what, expected)
            if table == "trafo":
                zero = say("the impedance is zero")
                faults.rows(source, whole == 0, "vk_percent", zero, "a number other than 0")


def _check_star_points(grid: Grid, file: str, faults: Faults) -> None:
    """Find windings of three-winding transformers whose reactance to the star point vanishes.

    With x_ab between two windings on a common base, x_a = (x_ab + x_ac - x_bc)/2. A negative one is ordinary.
    """
    frame, source = grid.tables["trafo3w"], elements_source(grid, "trafo3w", file)
    power = {side: frame[f"sn_{side}_mva"].to_numpy() for side in ("hv", "mv", "lv")}
    pairs = {"hv": ("hv", "mv"), "mv": ("mv", "lv"), "lv": ("hv", "lv")}  # pandapower's vk_hv is hv to mv
    x = {}
    with np.errstate(divide="ignore", invalid="ignore"):  # cells that have been reported already
        for pair, (one, other) in pairs.items():
            whole, real = (frame[f"{vk}_{pair}_percent"].to_numpy() for vk in ("vk", "vkr"))
            x[pair] = np.sqrt(whole**2 - real**2) / np.fmin(power[one], power[other])
    largest = np.fmax(np.fmax(x["hv"], x["mv"]), x["lv"])
    for side, star in (
        ("hv", x["hv"] + x["lv"] - x["mv"]),
        ("mv", x["hv"] + x["mv"] - x["lv"]),
        ("lv", x["mv"] + x["lv"] - x["hv"]),
    ):
        what = say(f"the reactance from the {side} winding to the star point is zero")
        expected = "short-circuit voltages of the three pairs that leave every winding a reactance"
        faults.rows(source, np.abs(star) <= _VANISHING * largest, "vk_hv_percent", what, expected)


def _check_loss_side(grid: Grid, file: str, faults: Faults) -> None:
    """Check the optional side of the iron losses: pandapower drops them where it does not know the word."""
    trafo3w = grid.tables["trafo3w"]
    if "loss_side" in trafo3w:
        side, known = trafo3w["loss_side"], _TRAFO_WINDINGS["trafo3w"]
        what = say("{} is no winding, so the iron losses would be ignored", side)
        source = elements_source(grid, "trafo3w", file)
        faults.rows(source, ~side.isin(known).to_numpy(), "loss_side", what, "one of " + ", ".join(known))


def _check_leakage(grid: Grid, file: str, faults: Faults) -> None:
    """Check the optional split of an impedance: NaN in it would spread through the whole grid."""
    trafo, source = grid.tables["trafo"], elements_source(grid, "trafo", file)
    shares = []
    for column in ("leakage_resistance_ratio_hv", "leakage_reactance_ratio_hv"):
        if column in trafo:
            share = pd.to_numeric(trafo[column], errors="coerce").to_numpy(dtype=np.float64)
            wrong = ~((share >= 0) & (share <= 1))
            faults.rows(source, wrong, column, say("{} is not allowed", share), "a number from 0 to 1")
            shares.append(share)
    if len(shares) == 2:
        bare = (shares[0] == shares[1]) & np.isin(shares[0], (0.0, 1.0))
        what = say("with both ratios {:g} one side has no impedance", shares[0])
        faults.rows(source, bare, "leakage_reactance_ratio_hv", what, "a number between 0 and 1")


def _check_shares(grid: Grid, file: str, faults: Faults) -> None:
    """Check that no load depends on the voltage with more than all of its power."""
    load, source = grid.tables["load"], elements_source(grid, "load", file)
    for power in ("p", "q"):
        impedance, current = f"const_z_{power}_percent", f"const_i_{power}_percent"
        total = (load[impedance] + load[current]).to_numpy()
        what = say(f"{impedance} + {current} = {{:g}}", total)
        faults.rows(source, total > 100, impedance, what, "at most 100 % together")


def _check_switches(grid: Grid, file: str, faults: Faults) -> None:
    switch, source = grid.tables["switch"], elements_source(grid, "switch", file)
    kind, element, bus = switch["et"], switch["element"], switch["bus"].to_numpy()
    wrong = (kind.notna() & ~kind.isin(list(_SWITCH_TABLE))).to_numpy()
    faults.rows(source, wrong, "et", say("{} is unknown", kind), "one of b, l, t, t3")
    for letter, table in _SWITCH_TABLE.items():
        mine = (kind == letter).to_numpy() & (element >= 0).to_numpy()
        frame = grid.tables[table]
        found = mine & element.isin(frame.index).to_numpy()
        what = say(f"there is no {table} {{}}", element)
        faults.rows(source, mine & ~found, "element", what, f"the index of a {table} of the grid")
        if table == "bus":
            one, other = _voltage(grid, switch["bus"]), _voltage(grid, element)
            what = say("the switch joins a {:g} kV bus to a {:g} kV bus", one, other)
            faults.rows(source, found & _apart(one, other), "element", what, "buses of the same vn_kv")
            what = say("the switch joins bus {} to itself", bus)
            faults.rows(source, found & (element.to_numpy() == bus), "element", what, "two different buses")
            continue
        at_an_end = np.zeros(len(switch), dtype=bool)
        for column in BRANCHES[table][0]:
            at_an_end |= frame[column].reindex(element).to_numpy() == bus
        what = say(f"bus {{}} is no end of {table} {{}}", bus, element)
        faults.rows(source, found & ~at_an_end & (bus >= 0), "bus", what, f"a bus of that {table}")


def _check_reactive_limits(grid: Grid, file: str, faults: Faults) -> None:
    for table, end in (("gen", ""), ("dcline", "_from"), ("dcline", "_to")):
        least, most = f"min_q{end}_mvar", f"max_q{end}_mvar"
        low, high = (grid.tables[table][column].to_numpy() for column in (least, most))
        what = say(f"{least} = {{:g}} is above {most} = {{:g}}", low, high)
        faults.rows(elements_source(grid, table, file), low > high, least, what, f"{least} <= {most}")


def _check_slack(grid: Grid, file: str, faults: Faults) -> None:
    if not source_buses(grid):
        faults.add(file, "ext_grid", "", "no ext_grid is in service: the grid has no slack", _SUPPLY)


def _check_supply(grid: Grid, file: str, faults: Faults) -> None:
    """Find a grid that slack generators alone supply: it solves, but has no exchange with anybody."""
    if source_buses(grid) and not source_buses(grid, ("ext_grid",)):
        what = "no ext_grid is in service: the grid has no connection point"
        faults.add(file, "ext_grid", "", what, _SUPPLY)


def _check_islands(grid: Grid, file: str, faults: Faults) -> None:
    """Find what cannot be supplied; a part of the grid without anything in service may lie idle.

    A power flow alone does without this: its states say NaN where there is no supply.
    """
    isolated = unsupplied_buses(grid) if source_buses(grid) else []
    if not isolated:
        return
    lost: dict[int, list[str]] = {}
    for table in GRID_TABLES:
        frame = grid.tables[table]
        for at in ("from_bus", "to_bus") if table == "dcline" else ("bus",):
            if table != "switch" and at in frame:
                idle = frame[frame["in_service"] & frame[at].isin(isolated)]
                for index, name, bus in zip(idle.index, idle["name"], idle[at].tolist(), strict=True):
                    lost.setdefault(bus, []).append(element_row(table, name, index))
    bus = grid.tables["bus"]
    rows = [lost.get(index, []) for index in bus.index.tolist()]

    def what(row: int) -> str:
        more = f" and {len(rows[row]) - 1} more have" if len(rows[row]) > 1 else " has"
        path = "no path to an ext_grid or slack gen in the normal topology"
        return f"the bus is isolated: {rows[row][0]}{more} {path}"

    expected = "a path over lines, transformers and closed switches in service, or in_service = false"
    where = np.array([bool(row) for row in rows], dtype=bool)
    faults.rows(elements_source(grid, "bus", file), where, "", what, expected)


def check_set_points(grid: Grid, file: str, faults: Faults) -> None:
    """Compare the set points of all elements that hold the voltage of one bus.

    Parameters
    ----------
    grid : Grid
    file : str
        Where it came from.
    faults : Faults
        Takes what is found.
    """
    groups = Groups(live_buses(grid))
    join_bus_switches(grid, groups, only_without_impedance=True)
    for holders in _HOLDERS.values():
        held: dict[int, tuple[str, float]] = {}
        for table, at_bus, quantity in holders:
            frame, source = grid.tables[table], elements_source(grid, table, file)
            cells = zip(
                frame[at_bus].tolist(), frame[quantity].tolist(), frame["in_service"].tolist(), strict=True
            )
            for row, (at, set_point, active) in enumerate(cells):
                if active and at in groups and math.isfinite(set_point):
                    other, value = held.setdefault(groups.root(at), (source.row(row), set_point))
                    if value != set_point:
                        what = f"{set_point:.12g}, but {other} at the same bus holds {value:.12g}"
                        faults.add(file, source.row(row), quantity, what, "one set point per bus")
