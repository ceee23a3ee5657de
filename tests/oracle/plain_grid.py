"""One period of a session as a plain pandapower net: outages, forecasts, regulators, limits.

Nothing of gridclear is imported, on purpose: with `brute_force` this is the second opinion on what the
engine says. Where the written rules leave room, this is how they are read here:

- A row of ``outages`` holds in a period if any part of the period lies inside ``[start, end)``.
- A regulator watches the low-voltage bus of its transformer (a group: the mean over its in-service,
  energised members). Outside ``vm_set_pu ± deadband_pu / 2`` it moves one tap towards the band; all
  in-service members of a group move by one tap at once, or none if one of them stands at its end.
  All regulators of the grid move in the same round, then the power flow is run again, until none has
  to move. If a set of positions comes back (a dead band narrower than a tap), the one of that cycle
  with the smallest worst distance to the set-point stands. Each period starts from the case's positions.
- Negative limits in the grid mean "not stated", like NaN and missing columns.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.powerflow import LoadflowNotConverged

from .curves import follow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike

    import gridclear

VOLTAGE_TOLERANCE_PU = 1e-6
LOADING_TOLERANCE_PERCENT = 1e-4
EXCHANGE_TOLERANCE = 1e-5  # MW, Mvar or MVA

Key = tuple[str, str, str]  # kind, element_type, element
NO_SOLUTION: Key = ("no-solution", "", "")


@dataclass(frozen=True, eq=False)
class Problem:
    """A grid, its session tables (columns as in a case folder) and the limits for where the grid has none."""

    net: pp.pandapowerNet
    active_bids: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecast: pd.DataFrame = field(default_factory=pd.DataFrame)
    outages: pd.DataFrame = field(default_factory=pd.DataFrame)
    tap_changers: pd.DataFrame = field(default_factory=pd.DataFrame)
    capacitor_banks: pd.DataFrame = field(default_factory=pd.DataFrame)
    connection_points: pd.DataFrame = field(default_factory=pd.DataFrame)
    resolution: pd.Timedelta = field(default_factory=lambda: pd.Timedelta("15min"))
    vm_min_pu: float = 0.95
    vm_max_pu: float = 1.05
    loading_percent: float = 100.0


def problem_of(case: gridclear.Case, net: pp.pandapowerNet) -> Problem:
    """The oracle's view of a case; only plain tables and numbers are taken over."""
    return Problem(
        net=net,
        active_bids=case.active_bids,
        forecast=case.forecast,
        outages=case.outages,
        tap_changers=case.tap_changers,
        capacitor_banks=case.capacitor_banks,
        connection_points=case.connection_points,
        resolution=case.horizon.resolution,
        vm_min_pu=case.limits.vm_min_pu,
        vm_max_pu=case.limits.vm_max_pu,
        loading_percent=case.limits.loading_percent,
    )


@dataclass(frozen=True, eq=False)
class Base:
    """The base state of one period; ``net`` is a private copy with taps settled and results in it.

    ``constraints`` has one row per limit: kind, element_type, element, side (+1: upper limit, -1: lower),
    base (the value in the base state), limit (the stated one), effective (the worse of the two),
    tolerance. ``devices``: element, position. Both are empty where ``solved`` is false.
    """

    net: pp.pandapowerNet
    solved: bool
    constraints: pd.DataFrame
    devices: pd.DataFrame

    def violations(self) -> set[Key]:
        """Return what the base state itself breaks, islanded buses and "no solution" among them."""
        if not self.solved:
            return {NO_SOLUTION}
        table = self.constraints
        broken = table[table["side"] * (table["base"] - table["limit"]) > table["tolerance"]]
        without = self.net.bus.in_service & self.net.res_bus["vm_pu"].isna()
        names = labels(self.net, "bus")
        return keys(broken) | {("islanded", "bus", names[bus]) for bus in self.net.bus.index[without]}


@dataclass(frozen=True)
class Regulator:
    """One voltage regulator: its transformers (indices), set-point and half its dead band, p.u."""

    trafos: tuple[int, ...]
    vm_set_pu: float
    half_band_pu: float


def stamps(column: pd.Series) -> pd.Series:
    """Time stamps of a table's column, in UTC."""
    return pd.to_datetime(column, utc=True)


def rows(table: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Rows as dictionaries without their empty cells, so that ``.get`` gives the default."""
    for row in table.to_dict("records"):
        yield {str(column): value for column, value in row.items() if given(value)}


def given(value: object) -> bool:
    """Whether a cell holds something: not None, NA, NaN or the empty string."""
    nothing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, str) and not value)
    return not (nothing or (isinstance(value, float) and np.isnan(value)))


def number(row: Mapping[str, object], column: str, default: float | None = None) -> float:
    """A number of a row; KeyError where it is missing and there is no default."""
    return default if default is not None and column not in row else float(str(row[column]))


def keys(table: pd.DataFrame) -> set[Key]:
    """Identify the constraints of these rows."""
    return set(zip(table["kind"], table["element_type"], table["element"], strict=True))


def labels(net: pp.pandapowerNet, table: str) -> dict[int, str]:
    """Index → label of every element of a table: its name, else its origin_id, else "<table> <index>"."""
    named = {int(index): f"{table} {index}" for index in net[table].index}
    for column in ("origin_id", "name"):
        if column in net[table]:
            named |= {int(index): str(label) for index, label in net[table][column].items() if given(label)}
    return named


def find(net: pp.pandapowerNet, table: str, element: object) -> int:
    """Index of the element with this label."""
    hits = [index for index, label in labels(net, table).items() if label == str(element)]
    if len(hits) != 1:
        raise ValueError(f"{table} {element!r}: {len(hits)} elements of that name")
    return hits[0]


def find_all(net: pp.pandapowerNet, table: str, elements: pd.Series) -> pd.Index:
    """Find the index of each element with these labels, in a large grid quicker than one by one."""
    index = pd.Series(labels(net, table)).reset_index().groupby(0)["index"].agg(["first", "size"])
    hits = index.reindex(elements)
    wrong = elements[(hits["size"] != 1).to_numpy()]
    if len(wrong):
        raise ValueError(f"{table} {wrong.iloc[0]!r}: not one element of that name")
    return pd.Index(hits["first"].astype(int))


def solve(net: pp.pandapowerNet) -> bool:
    """Run the AC power flow; False where neither plain Newton nor the damped one finds a solution.

    Both start from a DC power flow. Not from earlier results, nor flat: behind the phase shift of a
    transformer those put pandapower's own nodes at open line ends half a turn away from the rest, and
    Newton then converges to a state that no grid is in. Inverters on curves are brought there, see `curves`.
    """
    return follow(net, _solve) if "reactions" in net else _solve(net)


def _solve(net: pp.pandapowerNet) -> bool:
    """Run one power flow."""
    slacks = net.ext_grid["in_service"] & net.bus["in_service"].loc[net.ext_grid["bus"]].to_numpy()
    if not slacks.any():
        return False
    for algorithm in ("nr", "iwamoto_nr"):
        try:
            pp.runpp(
                net,
                algorithm=algorithm,
                init="dc",
                calculate_voltage_angles=True,
                tolerance_mva=1e-8,
                max_iteration=30,
            )
        except LoadflowNotConverged:
            continue
        return True
    return False


def period_net(problem: Problem, start: pd.Timestamp) -> pp.pandapowerNet:
    """Copy the grid and set it as it is in the period: outages, forecasts, case positions; not solved."""
    net = copy.deepcopy(problem.net)
    if not problem.outages.empty:
        begins = stamps(problem.outages["start"]) < start + problem.resolution
        holds = begins & (start < stamps(problem.outages["end"]))
        for row in rows(problem.outages[holds]):
            table, state = str(row["element_type"]), row["state"]
            column = "closed" if state in ("open", "closed") else "in_service"
            net[table].loc[find(net, table, row["element"]), column] = state in ("in", "closed")
    if not problem.forecast.empty:
        now = problem.forecast[stamps(problem.forecast["start"]) == start]
        for name, group in now.groupby("element_type"):
            table = str(name)
            index = find_all(net, table, group["element"])
            for column in {"p_mw", "q_mvar"} & set(group) & set(net[table]):
                values = group[column].to_numpy(dtype=float)
                stated = ~np.isnan(values)
                net[table].loc[index[stated], column] = values[stated]
    set_devices(problem, net)
    return net


def set_devices(problem: Problem, net: pp.pandapowerNet) -> None:
    """Put taps and capacitor banks where the case's tables want them to start."""
    for row in rows(problem.tap_changers):
        table = str(row.get("element_type", "trafo"))
        trafo = find(net, table, row["element"])
        if not given(net[table]["tap_changer_type"].loc[trafo]):
            raise ValueError(
                f"{table} {row['element']!r}: tap_changer_type is empty, pandapower ignores its tap"
            )
        for source, column in (("position", "tap_pos"), ("tap_min", "tap_min"), ("tap_max", "tap_max")):
            if source in row:
                net[table].loc[trafo, column] = row[source]
    for row in rows(problem.capacitor_banks):
        if "position" in row:
            net.shunt.loc[find(net, "shunt", row["element"]), "step"] = row["position"]


def regulators(problem: Problem, net: pp.pandapowerNet) -> list[Regulator]:
    """Automatic tap changers, one regulator per group."""
    groups: dict[object, list[dict[str, object]]] = {}
    for row in rows(problem.tap_changers):
        if row["mode"] == "automatic":
            if row.get("element_type", "trafo") != "trafo":
                raise NotImplementedError("the oracle regulates two-winding transformers only")
            groups.setdefault(row.get("group", ("alone", row["element"])), []).append(row)
    result = []
    for group, members in groups.items():
        settings = {(number(row, "vm_set_pu"), number(row, "deadband_pu")) for row in members}
        if len(settings) != 1:
            raise ValueError(f"group {group!r}: its members have different set-points or dead bands")
        vm_set, band = settings.pop()
        trafos = tuple(find(net, "trafo", row["element"]) for row in members)
        result.append(Regulator(trafos, vm_set, band / 2))
    return result


def deviation(net: pp.pandapowerNet, regulator: Regulator) -> float:
    """Voltage less set-point, p.u.; 0 where no member is in service and energised."""
    members = net.trafo.loc[list(regulator.trafos)]
    volts = net.res_bus["vm_pu"].loc[members["lv_bus"][members["in_service"]]].dropna()
    return float(volts.mean()) - regulator.vm_set_pu if len(volts) else 0.0


def one_tap(net: pp.pandapowerNet, regulator: Regulator, raise_voltage: int) -> dict[int, int]:
    """Positions of the members one tap up (+1) or down (-1) in voltage; empty if one is at its end."""
    moved = {}
    for index in regulator.trafos:
        trafo = net.trafo.loc[index]
        if not trafo["in_service"]:
            continue
        # more turns on the high-voltage side mean less voltage on the regulated low-voltage side
        sense = (-1 if trafo["tap_side"] == "hv" else 1) * (1 if trafo["tap_step_percent"] > 0 else -1)
        moved[index] = int(trafo["tap_pos"]) + raise_voltage * sense
        if not trafo["tap_min"] <= moved[index] <= trafo["tap_max"]:
            return {}
    return moved


def positions(net: pp.pandapowerNet, regs: list[Regulator]) -> tuple[tuple[int, int], ...]:
    """(transformer, position) of everything that is regulated."""
    return tuple((t, int(net.trafo["tap_pos"].loc[t])) for regulator in regs for t in regulator.trafos)


def settle(net: pp.pandapowerNet, regs: list[Regulator]) -> bool:
    """Let the regulators act until all are content, at an end of range, or going round in circles."""
    seen: dict[tuple[tuple[int, int], ...], float] = {}
    while True:
        if not solve(net):
            return False
        off = [deviation(net, regulator) for regulator in regs]
        now = positions(net, regs)
        if now in seen:
            visited = list(seen)
            for index, position in min(visited[visited.index(now) :], key=seen.__getitem__):
                net.trafo.loc[index, "tap_pos"] = position
            return solve(net)
        seen[now] = max((abs(d) for d in off), default=0.0)
        moves: dict[int, int] = {}
        for regulator, d in zip(regs, off, strict=True):
            if abs(d) > regulator.half_band_pu:
                moves |= one_tap(net, regulator, -1 if d > 0 else 1)
        if not moves:
            return True
        for index, position in moves.items():
            net.trafo.loc[index, "tap_pos"] = position


def stated(table: pd.DataFrame, column: str, default: float) -> np.ndarray:
    """Limits of a grid table, the default where it states none."""
    limit = table[column].astype(float) if column in table else pd.Series(np.nan, table.index)
    return limit.where(limit >= 0, default).to_numpy()


def constraint(
    kind: str,
    element_type: str,
    element: list[str],
    side: int,
    value: ArrayLike,
    limit: ArrayLike,
    tol: float,
) -> pd.DataFrame:
    """Rows of `measure` for one kind of limit."""
    named = {"kind": kind, "element_type": element_type, "element": element, "side": side}
    return pd.DataFrame({**named, "value": value, "limit": limit, "tolerance": tol})


def measure(problem: Problem, net: pp.pandapowerNet) -> pd.DataFrame:
    """Every limit of the solved net and the value there: `Base.constraints` with ``value`` for ``base``."""
    high = stated(net.bus, "max_vm_pu", problem.vm_max_pu)
    low = stated(net.bus, "min_vm_pu", problem.vm_min_pu)
    volts, buses = net.res_bus["vm_pu"].to_numpy(), list(labels(net, "bus").values())
    parts = [
        constraint("overvoltage", "bus", buses, 1, volts, high, VOLTAGE_TOLERANCE_PU),
        constraint("undervoltage", "bus", buses, -1, volts, low, VOLTAGE_TOLERANCE_PU),
    ]
    if not (net.line["max_i_ka"][net.line["in_service"]] > 0).all():
        raise ValueError("a line in service has no max_i_ka: its loading says nothing")
    for table in ("line", "trafo", "trafo3w"):
        names, limit = labels(net, table), stated(net[table], "max_loading_percent", problem.loading_percent)
        loading = net[f"res_{table}"]["loading_percent"].to_numpy()
        parts.append(
            constraint("overload", table, list(names.values()), 1, loading, limit, LOADING_TOLERANCE_PERCENT)
        )
    points = problem.connection_points
    for name in points["connection_point"].unique() if len(points) else []:
        parts += exchange(net, str(name), list(rows(points[points["connection_point"] == name])))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def exchange(net: pp.pandapowerNet, name: str, members: list[dict[str, object]]) -> list[pd.DataFrame]:
    """Limits of one connection point: the sum over its external grids, the tightest limit of its rows."""
    grids = [find(net, "ext_grid", row.get("element", name)) for row in members]
    p, q = net.res_ext_grid.loc[grids, ["p_mw", "q_mvar"]].fillna(0.0).sum()
    values = {
        "p_max_mw": p,
        "p_min_mw": p,
        "q_max_mvar": q,
        "q_min_mvar": q,
        "s_max_mva": float(np.hypot(p, q)),
    }
    parts = []
    for column, value in values.items():
        side = -1 if "min" in column else 1
        limits = [side * number(row, column) for row in members if column in row]
        if limits:
            limit = side * min(limits)
            parts.append(constraint("exchange", "ext_grid", [name], side, value, limit, EXCHANGE_TOLERANCE))
    return parts


def base_state(problem: Problem, start: pd.Timestamp) -> Base:
    """The base state of the period: topology, forecast, settled taps, effective limits."""
    net = period_net(problem, start)
    regs = regulators(problem, net)
    if not settle(net, regs):
        return Base(net, solved=False, constraints=pd.DataFrame(), devices=pd.DataFrame())
    table = measure(problem, net).rename(columns={"value": "base"})
    worse = table["side"] * np.fmax(table["side"] * table["limit"], table["side"] * table["base"])
    names = labels(net, "trafo")
    devices = pd.DataFrame([(names[t], p) for t, p in positions(net, regs)], columns=["element", "position"])
    return Base(net, solved=True, constraints=table.assign(effective=worse), devices=devices)
