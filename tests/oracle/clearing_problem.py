"""A case as the plain arrays of its clearing: what is decided, what must be kept, what it costs.

Only tables are read from the case; base states and every quantity of the grid come from pandapower. Where the
written rules leave room they are read like this:

- Rows of ``tap_changers`` whose mode is ``fixed`` belong to no group. A group's budget of moves is the
  smallest of its members', each member pays its own moves.
- A day is a UTC date of the period's start; ``moves_today`` counts against the first of them.
- A block has nothing if any of its rows is dead or out of service in its period.
- A Q range depends on the active power of the element with what is accepted of it; it always contains the
  forecast's Q. Where the forecast's |P| is beyond ``s_max_mva``, that |P| is the largest allowed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .clearing_values import Capability, Clearing, Device, Offers, Store
from .net_tables import from_rows
from .plain_grid import (
    Base,
    Problem,
    base_state,
    find,
    labels,
    measure,
    number,
    period_net,
    problem_of,
    rows,
    solve,
    stamps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandapower as pp

    import gridclear

    Row = Mapping[str, object]

SIGN = {"load": -1.0, "sgen": 1.0, "gen": 1.0, "storage": -1.0}  # of an injection, by table


def clearing_of(
    case: gridclear.Case,
    *,
    devices: str = "optimised",
    market: str = "reactive",
    base_positions: pd.DataFrame | None = None,
) -> Clearing:
    """Read the clearing of a case.

    ``base_positions`` (start, element_type, element, position), as in ``flow.devices``, stand in for the
    settling of regulators here.
    """
    net = net_of(case)
    problem = problem_of(case, net)
    starts = pd.DatetimeIndex(case.horizon.starts)
    hours = case.horizon.resolution / pd.Timedelta("1h")
    bases = tuple(_base(problem, start, base_positions) for start in starts)
    limits = bases[0].constraints.drop(columns=["base", "effective"])
    dates = np.unique(starts.tz_convert("UTC").normalize(), return_inverse=True)[1]
    modes = {"optimised": ("optimised", "automatic"), "scheduled": ("optimised",)}[devices]
    points = _points(problem)
    profile, tolerance = _profile(case, starts, list(points))
    offers = _offers(case, bases, starts, hours, common=market == "common")
    prices = getattr(case, "prices", None)
    return Clearing(
        problem=problem,
        starts=starts,
        hours=float(hours),
        bases=bases,
        limits=limits,
        base=np.stack([base.constraints["base"] for base in bases]),
        effective=np.stack([base.constraints["effective"] for base in bases]),
        devices=(*_groups(case, bases[0].net, dates, modes), *_banks(case, bases[0].net, dates, modes)),
        offers=offers,
        capabilities=tuple(_capabilities(case, bases, offers)),
        stores=tuple(_stores(case, bases)),
        points=points,
        profile=profile,
        tolerance=tolerance,
        losses_eur_mwh=float(getattr(prices, "losses_eur_mwh", 0.0)),
        dates=dates,
    )


def net_of(case: gridclear.Case) -> pp.pandapowerNet:
    """The case's grid as a net of pandapower, made from its plain tables."""
    tables = {name: frame for name, frame in case.grid.tables.items() if len(frame)}
    side = {name: tables.pop(name) for name in tuple(tables) if "characteristic" in name}
    net = from_rows(
        {name: frame.to_dict("records") for name, frame in tables.items()},
        f_hz=case.grid.f_hz,
        sn_mva=case.grid.sn_mva,
    )
    for name, frame in tables.items():
        net[name].index = frame.index
    for name, frame in side.items():
        net[name] = frame.copy()
    return net


def injection(net: pp.pandapowerNet, table: str, index: int) -> complex:
    """Scaled injection of an element in MVA, nothing where it is out of service."""
    row = net[table].loc[index]
    q_mvar = row.get("q_mvar", 0.0)
    return complex(SIGN[table] * row["scaling"] * row["in_service"] * complex(row["p_mw"], q_mvar))


def _base(problem: Problem, start: pd.Timestamp, positions: pd.DataFrame | None) -> Base:
    """The base state of a period, the regulators settled here or where they are said to be."""
    if positions is None:
        base = base_state(problem, start)
        if not base.solved:
            raise ValueError(f"no base state at {start}")
        return base
    net = period_net(problem, start)
    for row in rows(positions[stamps(positions["start"]) == start]):
        table = str(row["element_type"])
        column = "step" if table == "shunt" else "tap_pos"
        net[table].loc[find(net, table, row["element"]), column] = row["position"]
    if not solve(net):
        raise ValueError(f"no base state at {start}")
    table = measure(problem, net).rename(columns={"value": "base"})
    worse = table["side"] * np.fmax(table["side"] * table["limit"], table["side"] * table["base"])
    return Base(net, solved=True, constraints=table.assign(effective=worse), devices=pd.DataFrame())


def _points(problem: Problem) -> dict[str, tuple[int, ...]]:
    table = problem.connection_points
    found: dict[str, list[int]] = {}
    for row in rows(table):
        name = str(row["connection_point"])
        found.setdefault(name, []).append(find(problem.net, "ext_grid", row.get("element", name)))
    return {name: tuple(grids) for name, grids in found.items()}


def _profile(
    case: gridclear.Case, starts: pd.DatetimeIndex, points: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    asked = np.full((2, len(points), len(starts)), np.nan)
    for row in rows(case.reactive_profile):
        at = points.index(str(row["connection_point"])), int(starts.get_loc(row["start"]))
        asked[(slice(None), *at)] = number(row, "q_mvar"), number(row, "tolerance_mvar", 0.0)
    return asked[0], asked[1]


def _budgets(members: list[Row], dates: np.ndarray) -> tuple[float, tuple[float, ...]]:
    """Most moves over the horizon, and on each date."""
    horizon = min(number(row, "max_moves", np.inf) for row in members)
    day = min(number(row, "max_moves_day", np.inf) for row in members)
    first = min(number(row, "max_moves_day", np.inf) - number(row, "moves_today", 0.0) for row in members)
    return horizon, (max(first, 0.0), *[day] * int(dates.max()))


def _groups(
    case: gridclear.Case, net: pp.pandapowerNet, dates: np.ndarray, modes: tuple[str, ...]
) -> list[Device]:
    groups: dict[object, list[Row]] = {}
    for row in rows(case.tap_changers):
        if row["mode"] in modes:
            alone = ("alone", row.get("element_type", "trafo"), row["element"])
            groups.setdefault(row.get("group", alone), []).append(row)
    found = []
    for members in groups.values():
        tables = {str(row.get("element_type", "trafo")) for row in members}
        if len(tables) != 1:
            raise NotImplementedError("a group of transformers with two and with three windings")
        table = tables.pop()
        elements = [find(net, table, row["element"]) for row in members]
        sense, start, low, high = [], [], [], []
        for row, element in zip(members, elements, strict=True):
            trafo = net[table].loc[element]
            step_percent = trafo["tap_step_percent"]
            # more turns on the high-voltage side mean less voltage on the other ones
            raises = (-1 if trafo["tap_side"] == "hv" else 1) * (1 if step_percent > 0 else -1)
            position = int(number(row, "position", float(trafo["tap_pos"])))
            ends = (
                number(row, "tap_min", float(trafo["tap_min"])),
                number(row, "tap_max", float(trafo["tap_max"])),
            )
            steps = sorted(int(raises * (end - position)) for end in ends)
            sense.append(raises)
            start.append(position)
            low.append(steps[0])
            high.append(steps[1])
        found.append(
            Device(
                table,
                tuple(elements),
                tuple(str(row["element"]) for row in members),
                tuple(sense),
                tuple(start),
                max(low),
                min(high),
                *_budgets(members, dates),
                sum(number(row, "cost_per_move_eur", 0.0) for row in members),
            )
        )
    return found


def _banks(
    case: gridclear.Case, net: pp.pandapowerNet, dates: np.ndarray, modes: tuple[str, ...]
) -> list[Device]:
    found = []
    for row in rows(case.capacitor_banks):
        if row["mode"] not in modes:
            continue
        element = find(net, "shunt", row["element"])
        shunt = net.shunt.loc[element]
        position = int(number(row, "position", float(shunt["step"])))
        most = int(min(number(row, "max_step", np.inf), float(shunt["max_step"])))
        cost = number(row, "cost_per_move_eur", 0.0)
        found.append(
            Device("shunt", (element,), (str(row["element"]),), (1,), (position,), -position,
                   most - position, *_budgets([row], dates), cost)
        )  # fmt: skip
    return found


def _offers(
    case: gridclear.Case, bases: tuple[Base, ...], starts: pd.DatetimeIndex, hours: float, *, common: bool
) -> Offers:
    """Rows of reactive bids, then those of active bids with an element if the market is common."""
    listed: list[tuple[str, Row]] = [("reactive", row) for row in rows(case.reactive_bids)]
    if common:
        listed += [("active", row) for row in rows(case.active_bids) if "element" in row]
    net = bases[0].net
    where = {table: {label: index for index, label in labels(net, table).items()} for table in SIGN}
    named, numbers, units, groups = [], [], [], []
    blocks: dict[object, int] = {}
    shut: dict[object, int] = {}
    for kind, row in listed:
        table, direction = str(row["element_type"]), str(row["direction"])
        index = where[table][str(row["element"])]
        t = int(starts.get_loc(row["start"]))
        sign = 1.0 if direction in ("inject", "up") else -1.0
        if kind == "reactive":
            p, q, full = 0.0, sign * number(row, "q_mvar"), number(row, "q_mvar")
            price, least = number(row, "price_eur_mvarh"), number(row, "min_q_mvar", 0.0)
        else:
            p, full = sign * number(row, "p_mw"), number(row, "p_mw")
            q = p * number(row, "tan_phi", 0.0)
            price, least = number(row, "price_eur_mwh"), number(row, "min_p_mw", 0.0)
        base = bases[t].net
        bus = int(base[table]["bus"].loc[index])
        live = bool(base[table]["in_service"].loc[index]) and np.isfinite(base.res_bus["vm_pu"].loc[bus])
        named.append((row["bid"], starts[t], direction, table, str(row["element"]), kind))
        numbers.append((t, bus, p, q, price * full * hours, least / full if full else 0.0, live))
        block = (kind, row["block"]) if "block" in row else ("alone", len(named))
        units.append(blocks.setdefault(block, len(blocks)))
        group = (t, row["exclusive"]) if "exclusive" in row else None
        groups.append(-1 if group is None else shut.setdefault(group, len(shut)))
    columns = ["bid", "start", "direction", "element_type", "element", "market"]
    array = np.array(numbers, dtype=float).reshape(len(numbers), 7)
    unit = np.array(units, dtype=int)
    dead = np.bincount(unit, weights=1.0 - array[:, 6], minlength=len(blocks)) > 0
    return Offers(
        pd.DataFrame(named, columns=columns),
        array[:, 0].astype(int),
        array[:, 1].astype(int),
        *array[:, 2:6].T,
        unit,
        ~dead[unit] if len(unit) else np.zeros(0, dtype=bool),
        np.array(groups, dtype=int),
    )


def _capabilities(case: gridclear.Case, bases: tuple[Base, ...], offers: Offers) -> list[Capability]:
    """One per element with reactive bids that a row of ``inverters`` or ``storage`` describes."""
    curves = getattr(case, "capability_curves", pd.DataFrame())
    inverters = {str(row["element"]): row for row in rows(case.inverters)}
    stores = {str(row["element"]): row for row in rows(case.storage)}
    keys = list(zip(offers.table["element_type"], offers.table["element"], strict=True))
    found = []
    for table, element in dict.fromkeys(keys):
        mine = np.array([key == (table, element) for key in keys])
        described = [inverters.get(element) if table in ("sgen", "storage") else None]
        described.append(stores.get(element) if table == "storage" else None)
        members = [row for row in described if row is not None]
        if not members or not (offers.table["market"][mine] == "reactive").any():
            continue
        power = np.array([injection(b.net, table, find(b.net, table, element)) for b in bases])
        factor = max(number(row, "min_power_factor", 0.0) for row in members)
        name = next((row["curve"] for row in members if "curve" in row), None)
        found.append(
            Capability(
                table,
                element,
                np.flatnonzero(mine),
                power.real,
                power.imag,
                min(number(row, "s_max_mva", np.inf) for row in members),
                np.tan(np.arccos(factor)) if factor else np.inf,
                curves[curves["curve"] == name] if name is not None else None,
            )
        )
    return found


def _stores(case: gridclear.Case, bases: tuple[Base, ...]) -> list[Store]:
    found = []
    for row in rows(case.storage):
        if row.get("p_mode", "scheduled") != "optimised":
            continue
        index = find(bases[0].net, "storage", row["element"])
        bus = int(bases[0].net.storage["bus"].loc[index])
        nets = [base.net for base in bases]
        found.append(
            Store(
                str(row["element"]),
                bus,
                np.array([-injection(net, "storage", index).real for net in nets]),
                np.array([net.storage["in_service"].loc[index] and np.isfinite(net.res_bus["vm_pu"].loc[bus])
                          for net in nets]),
                number(row, "p_min_mw", -np.inf),
                number(row, "p_max_mw", np.inf),
                number(row, "e_min_mwh", 0.0),
                number(row, "e_max_mwh", np.inf),
                number(row, "e_start_mwh", 0.0),
                number(row, "e_end_min_mwh", 0.0),
                number(row, "efficiency_charge", 1.0),
                number(row, "efficiency_discharge", 1.0),
            )
        )  # fmt: skip
    return found
