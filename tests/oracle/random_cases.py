"""Seeded random market sessions on small grids, sized so that some of their limits bind.

A 110 kV substation feeds a tree of 10 to 40 stations at medium voltage, every second grid with closed loops.
Limits are laid between what the base state has and what all bids in one direction would do, so that lights
of all colours come about; a few are laid below the base state, which then breaks them.
"""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc

from .activation import Period, Unit
from .boxes import corners, units_in
from .curves import with_reactions
from .fast_states import FastStates
from .plain_grid import Problem

START = pd.Timestamp("2025-01-15T10:00Z")
STEP = pd.Timedelta("15min")
BID_COLUMNS = ["bid", "element_type", "element", "start", "direction", "p_mw", "price_eur_mwh", "min_p_mw",
               "block", "tan_phi"]  # fmt: skip
NAMES = ("kind", "element_type", "element", "side")


def random_case(
    seed: int,
    *,
    exclusive: bool = False,
    blocks: bool = True,
    bids: tuple[int, int] = (4, 12),
    periods: int | None = None,
    regulated: bool = False,
) -> tuple[gc.Case, pp.pandapowerNet]:
    """A case of one to three periods, and the net that it is made of; the same for the same arguments.

    ``bids`` is the smallest and the largest number of bids in a period. ``blocks``: one block, across
    periods or of several rows. ``exclusive``: some bids stand in groups (column ``exclusive``).
    ``regulated``: all transformers are automatic, in all the ways there are, else T1 of some cases.
    """
    rng = np.random.default_rng(seed)
    net = _grid(rng)
    count = int(rng.integers(1, 4)) if periods is None else periods
    forecast = _forecast(net, count, rng)
    taps = None if regulated else _tap_changers(rng)
    number = int(rng.integers(bids[0], bids[1] + 1))
    offers = _bids(net, forecast, count, number, rng)
    if blocks:
        _link(offers, rng)
    if exclusive:
        _exclude(offers, rng)
    if regulated:
        taps = _regulators(Problem(net, active_bids=offers, forecast=forecast), rng)
    problem = Problem(
        net,
        active_bids=offers,
        forecast=forecast,
        tap_changers=pd.DataFrame() if taps is None else taps,
    )
    limits, points = _limits(problem, net, rng)
    case = gc.Case.from_pandapower(
        net, name=f"random-{seed}", start=START, periods=count, limits=limits, forecast=forecast,
        tap_changers=taps, active_bids=offers, connection_points=points,
    )  # fmt: skip
    return case, net


def curved_case(
    seed: int,
    *,
    blocks: bool = True,
    bids: tuple[int, int] = (4, 12),
    periods: int | None = None,
    bent: bool = False,
) -> tuple[gc.Case, pp.pandapowerNet]:
    """A random case with curves on most of its plants, steep and flat, and the net with the same curves.

    ``bent``, for one period: most bids are of these plants, most of their curves bend sharply on the way of
    such a bid, and where that brings a limit nearer inside the box of all offers than at any of its corners,
    the limit mostly lies in between.
    """
    case, net = random_case(seed, blocks=blocks, bids=bids, periods=periods)
    rng = np.random.default_rng([seed, 77])
    plants = net.sgen["name"].to_numpy()
    chosen = plants[rng.random(len(plants)) < 0.7]
    chosen = chosen if len(chosen) else plants[:1]
    if not len(chosen):
        raise ValueError("no plant")
    offers = _of_plants(case, chosen, rng) if bent else case.active_bids.copy()
    inverters, points = [], []
    for name in chosen:
        p_mw = float(net.sgen["p_mw"][net.sgen["name"] == name].iloc[0])
        if bent and rng.random() < 0.7:
            inverters.append((name, 2.0 * p_mw, f"curve of {name}"))
            points += [(f"curve of {name}", *point) for point in _knee(rng)]
            continue
        inverters.append((name, p_mw * float(rng.uniform(1.0, 1.7)), f"curve of {name}"))
        most = rng.uniform(0.15, 0.6, 2)
        if rng.random() < 0.6:
            middle, half, dead = rng.uniform(0.97, 1.04), rng.uniform(0.01, 0.05), rng.uniform(0.0, 0.01)
            x = middle + np.array([-half - dead, -dead, dead, half + dead]) + np.array([0, 0, 1e-3, 1e-3])
            points += [
                (f"curve of {name}", at, np.nan, q)
                for at, q in zip(x, (most[0], 0, 0, -most[1]), strict=True)
            ]
        else:
            knee = rng.uniform(0.2, 0.8)
            way = rng.choice([-1.0, 1.0], p=[0.8, 0.2])
            points += [
                (f"curve of {name}", np.nan, at, q)
                for at, q in ((0, rng.choice([0, 0.2])), (knee, 0), (1, way * most[1]))
            ]
    offers.loc[(offers["element_type"] == "sgen") & offers["element"].isin(chosen), "tan_phi"] = np.nan
    tables = (
        pd.DataFrame(inverters, columns=["element", "s_max_mva", "reaction"]),
        pd.DataFrame(points, columns=["curve", "vm_pu", "p_pu", "q_pu"]),
    )
    told = with_reactions(net, *tables)
    problem = Problem(told, active_bids=offers, forecast=case.forecast, tap_changers=case.tap_changers)
    limits, exchange = (_inner_limits(problem, told, rng), None) if bent else _limits(problem, told, rng)
    for name in ("line", "trafo"):
        net[name]["max_loading_percent"] = told[name]["max_loading_percent"]
    made = gc.Case.from_pandapower(
        net, name=f"curved-{seed}", start=START, periods=case.horizon.periods, limits=limits,
        forecast=case.forecast, tap_changers=case.tap_changers, active_bids=offers,
        connection_points=exchange, inverters=tables[0], reaction_curves=tables[1],
    )  # fmt: skip
    return made, told


def _of_plants(case: gc.Case, plants: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """The bids, most of them moved to some plants; never more than there is, up or down."""
    offers, forecast = case.active_bids.copy(), case.forecast
    lowest = forecast[forecast["element_type"] == "sgen"].groupby("element")["p_mw"].min()
    for name in offers["bid"].unique()[rng.random(offers["bid"].nunique()) < 0.75]:
        rows = offers["bid"] == name
        plant, direction = str(rng.choice(plants)), str(rng.choice(["up", "down"], p=[0.7, 0.3]))
        p_mw = float(lowest[plant]) * float(rng.uniform(0.3, 0.8))
        least = offers.loc[rows, "min_p_mw"] / offers.loc[rows, "p_mw"]
        offers.loc[rows, ["element_type", "element", "direction"]] = ["sgen", plant, direction]
        offers.loc[rows, "p_mw"], offers.loc[rows, "min_p_mw"] = p_mw, least * p_mw
    return offers


def _knee(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Points (V, P, Q) of a curve over the active power that bends sharply between 0.2 and 0.85 of it."""
    at, width = float(rng.uniform(0.2, 0.75)), float(rng.uniform(0.01, 0.1))
    first, then, last = rng.uniform(-0.5, 0.5, 3) * (1.0, 1.0, float(rng.random() < 0.5))
    return [
        (np.nan, p, float(q))
        for p, q in ((0.0, first * 0.3), (at, 0.0), (at + width, then), (1.0, then + 0.5 * last))
    ]


def _grid(rng: np.random.Generator) -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=float(rng.choice([1.0, 10.0])))
    kv = float(rng.choice([10.0, 20.0]))
    mva = 25.0 if kv == 20.0 else 12.0
    top, bar = pp.create_bus(net, 110.0, name="top"), pp.create_bus(net, kv, name="bar")
    pp.create_ext_grid(net, top, vm_pu=float(rng.uniform(1.0, 1.03)), name="grid")
    for name in ("T1", "T2")[: int(rng.integers(1, 3))]:
        pp.create_transformer_from_parameters(
            net, top, bar, sn_mva=mva, vn_hv_kv=110.0, vn_lv_kv=kv, vkr_percent=0.5, vk_percent=12.0,
            pfe_kw=15.0, i0_percent=0.05, shift_degree=150.0, tap_side="hv", tap_neutral=0, tap_min=-9,
            tap_max=9, tap_step_percent=1.5, tap_pos=int(rng.integers(-2, 2)), tap_changer_type="Ratio",
            name=name,
        )  # fmt: skip
    stations = int(rng.integers(8, 39))
    buses = [bar]
    deep = rng.random()
    for k in range(stations):
        before = bar if k % 6 == 0 else buses[-1] if rng.random() < deep else int(rng.choice(buses[1:]))
        buses.append(pp.create_bus(net, kv, name=f"S{k}"))
        _line(net, before, buses[-1], rng)
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.5 else 0):
        one, other = (int(bus) for bus in rng.choice(buses[1:], 2, replace=False))
        _line(net, one, other, rng)
    size = mva / stations
    for k, bus in enumerate(buses[1:]):
        p_mw = size * float(rng.uniform(0.1, 0.9))
        pp.create_load(net, bus, p_mw, p_mw * float(rng.uniform(0.1, 0.4)), name=f"load {k}")
        if rng.random() < 0.35:
            power = size * float(rng.uniform(0.5, 3.0))
            pp.create_sgen(net, bus, power, 0.0, sn_mva=2.0 * power, name=f"plant {k}")
        if rng.random() < 0.15:
            pp.create_storage(
                net, bus, 0.0, max_e_mwh=10.0, sn_mva=4.0 * size, min_p_mw=-4.0 * size, max_p_mw=4.0 * size,
                name=f"battery {k}",
            )  # fmt: skip
    return net


def _line(net: pp.pandapowerNet, one: int, other: int, rng: np.random.Generator) -> None:
    r_ohm = float(rng.uniform(0.12, 0.5))
    pp.create_line_from_parameters(
        net, one, other, length_km=float(rng.uniform(0.3, 3.0)), r_ohm_per_km=r_ohm,
        x_ohm_per_km=float(rng.uniform(0.1, 0.36)), c_nf_per_km=float(rng.uniform(10.0, 300.0)), max_i_ka=0.4,
        name=f"L{len(net.line)}",
    )  # fmt: skip


def _forecast(net: pp.pandapowerNet, periods: int, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        (table, name, START + period * STEP, p_mw * float(rng.uniform(0.7, 1.1)))
        for table in ("load", "sgen")
        for name, p_mw in zip(net[table]["name"], net[table]["p_mw"], strict=True)
        for period in range(periods)
    ]
    return pd.DataFrame(rows, columns=["element_type", "element", "start", "p_mw"])


def _tap_changers(rng: np.random.Generator) -> pd.DataFrame | None:
    """Transformer T1 regulated by itself, in some grids; T2 stays where it is."""
    if rng.random() < 0.7:
        return None
    return pd.DataFrame(
        {"element_type": ["trafo"], "element": ["T1"], "mode": ["automatic"], "position": [0],
         "vm_set_pu": [float(rng.uniform(1.0, 1.03))], "deadband_pu": [0.03]}
    )  # fmt: skip


def _regulators(problem: Problem, rng: np.random.Generator) -> pd.DataFrame:
    """Every transformer regulated: in a group or alone, in wide bands and narrow ones, near ends of range.

    In the first period one end of the band lies between the voltage of the base state and that with all bids
    of a direction; from a band that is narrower than a tap a regulator may find no rest.
    """
    period = Period(problem, START)
    bar = period.net.trafo["lv_bus"].iloc[0]
    volts = [period.base.net.res_bus["vm_pu"].loc[bar]]
    for way in ("up", "down"):
        period.state({row: 1.0 for row, bid in period.bids.items() if bid["direction"] == way})
        volts.append(period.net.res_bus["vm_pu"].loc[bar])
    reach = float(rng.uniform(0.05, 0.4)) * (volts[int(rng.integers(1, 3))] - volts[0])
    band = float(rng.choice([0.008, 0.02, 0.03, 0.04], p=[0.1, 0.3, 0.3, 0.3]))
    vm_set = volts[0] + reach - np.sign(reach) * band / 2
    together = bool(rng.random() < 0.5)
    rows = []
    for name, position in zip(problem.net.trafo["name"], problem.net.trafo["tap_pos"], strict=True):
        low, high = (int(rng.integers(0, 3)) if rng.random() < 0.3 else 9 for _ in range(2))
        wider = 0.0 if together or rng.random() < 0.5 else 0.004
        row = ("trafo", name, "automatic", position, max(-9, position - low), min(9, position + high))
        rows.append((*row, round(vm_set, 6), band + wider, "station" if together else ""))
    columns = [
        "element_type", "element", "mode", "position", "tap_min", "tap_max", "vm_set_pu", "deadband_pu",
        "group",
    ]  # fmt: skip
    found = pd.DataFrame(rows, columns=columns)
    down, up = found["tap_min"] - found["position"], found["tap_max"] - found["position"]
    if together and down.max() == 0.0 and up.min() == 0.0:
        # A group that can make no step together is refused.
        found["tap_max"] = 9
    return found


def _bids(
    net: pp.pandapowerNet, forecast: pd.DataFrame, periods: int, number: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Never more than the element has, where its direction ends at nothing."""
    lowest = forecast.groupby(["element_type", "element"])["p_mw"].min()
    size = net.load["p_mw"].sum() / number
    elements = [(table, name) for table in ("load", "sgen", "storage") for name in net[table]["name"]]
    rows = []
    for k in range(number):
        table, name = elements[int(rng.integers(len(elements)))]
        direction = str(rng.choice(["up", "down"]))
        p_mw = size * float(rng.uniform(0.2, 1.2))
        if (table, direction) in (("load", "up"), ("sgen", "down")):
            p_mw = float(lowest[table, name]) * float(rng.uniform(0.4, 1.0))
        elif table == "storage":
            p_mw = min(p_mw, float(net.storage["sn_mva"].min()))
        elif table == "sgen":  # from forecast to rated power
            p_mw = min(p_mw, float(lowest[table, name]) * 0.8)
        least = float(rng.choice([np.nan, np.nan, np.nan, 0.3, 1.0]))
        price = float(rng.choice([round(rng.uniform(20.0, 90.0), 1), 50.0], p=[0.8, 0.2]))
        tan_phi = float(rng.choice([np.nan, np.nan, rng.uniform(-0.4, 0.4)]))
        rows += [
            (
                f"B{k:02d}",
                table,
                name,
                START + period * STEP,
                direction,
                p_mw,
                price,
                least * p_mw,
                "",
                tan_phi,
            )
            for period in range(periods)
        ]
    # rows in any order: it must not matter
    return pd.DataFrame([rows[k] for k in rng.permutation(len(rows))], columns=BID_COLUMNS)


def _link(offers: pd.DataFrame, rng: np.random.Generator) -> None:
    """One block, in two of three cases: a bid over all its periods, or two bids, so two rows in each."""
    if rng.random() < 0.33:
        return
    names = rng.permutation(offers["bid"].unique())[: int(rng.integers(1, 3))]
    offers.loc[offers["bid"].isin(names), "block"] = "block"


def _exclude(offers: pd.DataFrame, rng: np.random.Generator) -> None:
    """One or two groups of bids of which one may be activated."""
    offers["exclusive"] = ""
    # Bids of a block stand together: they cannot exclude each other.
    bids = offers["bid"].unique()
    if "block" in offers:
        bids = bids[~np.isin(bids, offers.loc[offers["block"].fillna("") != "", "bid"].unique())]
    names = rng.permutation(bids)
    for group in range(int(rng.integers(1, 3))):
        members = names[3 * group : 3 * group + int(rng.integers(2, 4))]
        offers.loc[offers["bid"].isin(members), "exclusive"] = f"group {group}"


def _limits(
    problem: Problem, net: pp.pandapowerNet, rng: np.random.Generator
) -> tuple[gc.Limits, pd.DataFrame | None]:
    """Ratings of the net's branches (written into it), the voltage band, and the exchange in some cases."""
    states = []
    for start in sorted(problem.active_bids["start"].unique()):
        period = Period(problem, pd.Timestamp(start))
        for direction in ("up", "down"):
            rows = [row for row, bid in period.bids.items() if bid["direction"] == direction]
            state = period.state(dict.fromkeys(rows, 1.0))
            if state is not None:
                states.append(state)
    if not states:
        raise ValueError("no state has a solution")
    base = np.stack([state["base"] for state in states])
    full = np.stack([state["value"] for state in states])
    table = states[0][list(NAMES)]

    def between(rows: np.ndarray, side: int, lowest: float, highest: float) -> float:
        """A limit of several values somewhere between their worst base value and their worst value."""
        here, there = (side * float((side * values[:, rows]).max()) for values in (base, full))
        return here + float(rng.uniform(lowest, highest)) * (there - here)

    for name in ("line", "trafo"):
        net[name]["max_loading_percent"] = 100.0
        for row in np.flatnonzero(table["element_type"] == name):
            below = float(rng.choice([0.15, 1.5, -0.3], p=[0.35, 0.6, 0.05]))
            chosen = between(np.array([row]), 1, below, below + 0.6)
            named = net[name]["name"] == table["element"].iloc[row]
            net[name].loc[named, "max_loading_percent"] = round(max(chosen, 1.0), 2)
    low = between(np.flatnonzero(table["kind"] == "undervoltage"), -1, 0.1, 1.2)
    high = between(np.flatnonzero(table["kind"] == "overvoltage"), 1, 0.1, 1.2)
    limits = gc.Limits(vm_min_pu=round(min(low, 0.99), 4), vm_max_pu=round(max(high, 1.0), 4))
    return limits, _exchange(problem, rng) if rng.random() < 0.4 else None


def _inner_limits(problem: Problem, net: pp.pandapowerNet, rng: np.random.Generator) -> gc.Limits:
    """Limits that are safe at all corners of the box of what is offered, as far as others are not inside."""
    period = Period(problem, pd.Timestamp(problem.active_bids["start"].min()))
    units = units_in(problem, period)
    if not units:
        raise ValueError("no bid that moves anything")
    states = FastStates(period, units)
    outer = corners(units)
    bends = _bends(period, units)
    inner = rng.random((600, len(units)))
    kind = rng.integers(0, 4, inner.shape)
    inner = np.select(
        [kind == 0, kind == 1, kind == 2], [0.0 * inner, np.ones_like(inner), bends + 0.0 * inner], inner
    )
    table = period.base.constraints
    side = table["side"].to_numpy()
    base, at_corners, inside = (_furthest(states, x, side) for x in (0.0 * outer[:1], outer, inner))

    def limit(rows: np.ndarray, least: float) -> float:
        """Limit of several values: between corners and what is further inside, else about where all leads."""
        before, corner, far = (
            float(side[rows[0]] * value[rows].max()) for value in (base, at_corners, inside)
        )
        if abs(far - corner) > least and side[rows[0]] * (far - corner) > 0.0 and rng.random() < 0.8:
            return corner + float(rng.uniform(0.05, 0.9)) * (far - corner)
        return before + float(rng.uniform(0.8, 2.0)) * (corner - before)

    for name in ("line", "trafo"):
        net[name]["max_loading_percent"] = 100.0
        for row in np.flatnonzero(table["element_type"] == name):
            named = net[name]["name"] == table["element"].iloc[row]
            chosen = max(limit(np.array([row]), 0.02), 1.0)
            net[name].loc[named, "max_loading_percent"] = round(chosen, 3)
    low, high = (
        round(limit(np.flatnonzero(table["kind"] == kind), 1e-5), 6)
        for kind in ("undervoltage", "overvoltage")
    )
    return gc.Limits(vm_min_pu=min(low, 0.995), vm_max_pu=max(high, 1.0))


def _furthest(states: FastStates, x: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Furthest value of every constraint at some shares, upwards or, with the other sign, downwards."""
    volts, good = states.voltages(x)
    if not good.any():
        raise ValueError("no state has a solution")
    values = side * states.values(volts[:, good], x[good])
    return np.where(np.isnan(values).all(axis=0), -np.inf, np.nan_to_num(values, nan=-np.inf).max(axis=0))


def _bends(period: Period, units: list[Unit]) -> np.ndarray:
    """Share of each unit at which its own inverter's curve bends first; a half where none does."""
    bends, net = np.full(len(units), 0.5), period.net
    for k, unit in enumerate(units):
        row = unit.rows[0]
        own = net["reactions"][net["reactions"]["sgen"] == net.sgen["moves"].loc[period.sgens[row]]]
        if len(own) and own["column"].iloc[0] == "p_pu":
            p_mw = own["points"].iloc[0][0] * own["s_max_mva"].iloc[0]
            begin = float((net.sgen["p_mw"] * net.sgen["scaling"]).loc[own["sgen"].iloc[0]])
            at = (p_mw - begin) / period.injection(row)[0]
            inside = at[(at > 0.0) & (at < 1.0)]
            bends[k] = inside.min() if len(inside) else 0.5
    return bends


def _exchange(problem: Problem, rng: np.random.Generator) -> pd.DataFrame:
    """A limit of the external grid, some MW from its base value in the first period."""
    period = Period(problem, pd.Timestamp(problem.active_bids["start"].min()))
    p_mw = float(period.base.net.res_ext_grid["p_mw"].iloc[0])
    offered = float(problem.active_bids["p_mw"].sum()) / problem.active_bids["start"].nunique()
    reach = rng.uniform(0.1, 0.5, 2)
    return pd.DataFrame(
        {"connection_point": ["grid"], "element": ["grid"], "p_min_mw": [p_mw - reach[0] * offered],
         "p_max_mw": [p_mw + reach[1] * offered], "s_max_mva": [float(np.hypot(p_mw, offered)) + 2.0]}
    )  # fmt: skip
