"""Seeded small cases for PQ maps: whole decisions few enough to be enumerated, limits near, gaps likely.

A 110 kV grid feeds four to nine stations at 20 kV, every third case with a ring, every fourth with a second
connection point behind a transformer of its own. A tap changer (in some two in a group) and a bank may make
one or two steps; of the bids of a period one or two cannot be divided, and in odd cases these and the bank
are what there is most of, so that the set has gaps. Voltage limits lie near the base states, in every fifth
case below what they have; automatic tap changers start from where they would not stay.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc

START = pd.Timestamp("2025-01-15T10:00Z")
STEP = pd.Timedelta("15min")


def small_map(seed: int) -> gc.Case:
    """A case; the same for the same seed."""
    rng = np.random.default_rng([7, seed])
    periods = int(rng.integers(1, 4))
    starts = START + STEP * np.arange(periods)
    points = 2 if seed % 4 == 3 else 1
    net = _grid(rng, int(rng.integers(4, 10)), meshed=seed % 3 == 2, points=points, parallel=seed % 4 == 2)
    forecast = _forecast(net, starts, rng)
    states = [_state(net, forecast, start) for start in starts]
    _limits(net, states, rng, broken=seed % 5 == 4)
    bar = float(states[0].res_bus["vm_pu"].iloc[1])
    taps = _taps(net, rng, mode="automatic" if seed % 3 == 1 else "optimised").assign(
        vm_set_pu=round(bar + float(rng.choice([-0.018, 0.0, 0.018])), 3), deadband_pu=0.02
    )
    bids = _bids(net, starts, rng, coarse=seed % 2 == 1)
    return _case(
        net,
        seed,
        periods,
        forecast=forecast,
        reactive_bids=bids,
        tap_changers=taps,
        capacitor_banks=_bank(rng),
        connection_points=_points(points, seed),
        inverters=_inverter(net, bids),
    )


def no_map() -> gc.Case:
    """One where nothing is feasible: the regulator stands further from its schedule than moves may reach.

    What its base state keeps so is lost at every position that may be chosen.
    """
    rng = np.random.default_rng(11)
    starts = START + STEP * np.arange(1)
    net = _grid(rng, 5, meshed=False, points=1, parallel=False)
    forecast = _forecast(net, starts, rng)
    bar = net.bus.index[net.bus["name"] == "bar"]
    scheduled = float(_state(net, forecast, starts[0]).res_bus["vm_pu"].loc[bar].iloc[0])
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.8, 1.2
    net.bus.loc[bar, "min_vm_pu"] = scheduled + 0.045
    taps = _taps(net, rng, mode="automatic").assign(
        vm_set_pu=scheduled + 0.06, deadband_pu=0.02, max_moves=1, position=0
    )
    return _case(
        net,
        0,
        1,
        forecast=forecast,
        reactive_bids=_bids(net, starts, rng, coarse=False),
        tap_changers=taps,
        capacitor_banks=_bank(rng),
        connection_points=_points(1, 0),
    )


def _case(net: pp.pandapowerNet, seed: int, periods: int, **frames: pd.DataFrame) -> gc.Case:
    case = gc.Case.from_pandapower(
        net, name=f"map-{seed}", start=START, periods=periods, resolution=STEP, **frames
    )
    return replace(case, prices=replace(case.prices, losses_eur_mwh=(0.0, 60.0, 120.0)[seed % 3]))


def _frame(**row: object) -> pd.DataFrame:
    return pd.DataFrame([row])


def _grid(
    rng: np.random.Generator, stations: int, *, meshed: bool, points: int, parallel: bool
) -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=1.0)
    top, bar = pp.create_bus(net, 110.0, name="top"), pp.create_bus(net, 20.0, name="bar")
    vm_pu = round(float(rng.uniform(1.0, 1.03)), 3)
    pp.create_ext_grid(net, top, vm_pu=vm_pu, name="grid")
    _trafo(net, top, bar, "T")
    if parallel:
        _trafo(net, top, bar, "U")
    buses = [bar]
    for k in range(stations):
        before = bar if k % 4 == 0 else buses[-1] if rng.random() < 0.6 else int(rng.choice(buses))
        buses.append(pp.create_bus(net, 20.0, name=f"S{k}"))
        _line(net, before, buses[-1], rng)
    if meshed:
        _line(net, buses[-1], buses[1], rng)
    if points == 2:
        far = pp.create_bus(net, 110.0, name="far")
        pp.create_ext_grid(net, far, vm_pu=vm_pu, name="grid 2")
        _trafo(net, far, buses[-1], "T2")
    p_mw = rng.dirichlet(np.ones(stations)) * rng.uniform(4.0, 9.0)
    for bus, p in zip(buses[1:], p_mw, strict=True):
        pp.create_load(net, bus, float(p), float(p * rng.uniform(0.1, 0.4)), name=f"load {bus}")
    for number, bus in enumerate(rng.choice(buses[1:], 3, replace=False)):
        pp.create_sgen(net, int(bus), float(rng.uniform(0.5, 3.0)), 0.0, name=f"plant {number}")
    pp.create_shunt(
        net, int(rng.choice(buses)), q_mvar=-float(rng.uniform(0.4, 1.2)), step=0, max_step=2, name="C"
    )
    return net


def _trafo(net: pp.pandapowerNet, top: int, bar: int, name: str) -> None:
    pp.create_transformer_from_parameters(
        net, top, bar, sn_mva=16.0, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.5, vk_percent=12.0,
        pfe_kw=15.0, i0_percent=0.05, shift_degree=150.0, tap_side="hv", tap_neutral=0, tap_min=-9, tap_max=9,
        tap_step_percent=1.5, tap_pos=0, tap_changer_type="Ratio", name=name,
    )  # fmt: skip


def _line(net: pp.pandapowerNet, one: int, other: int, rng: np.random.Generator) -> None:
    pp.create_line_from_parameters(
        net, one, other, length_km=float(rng.uniform(0.5, 4.0)), r_ohm_per_km=float(rng.uniform(0.12, 0.5)),
        x_ohm_per_km=float(rng.uniform(0.1, 0.36)), c_nf_per_km=float(rng.uniform(10.0, 300.0)), max_i_ka=0.4,
        name=f"L{len(net.line)}",
    )  # fmt: skip


def _forecast(net: pp.pandapowerNet, starts: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        (table, name, start, p_mw * float(rng.uniform(0.8, 1.2)))
        for table in ("load", "sgen")
        for name, p_mw in zip(net[table]["name"], net[table]["p_mw"], strict=True)
        for start in starts
    ]
    return pd.DataFrame(rows, columns=["element_type", "element", "start", "p_mw"])


def _state(net: pp.pandapowerNet, forecast: pd.DataFrame, start: pd.Timestamp) -> pp.pandapowerNet:
    state = copy.deepcopy(net)
    for row in forecast[forecast["start"] == start].itertuples():
        table = state[str(row.element_type)]
        table.loc[table["name"] == row.element, "p_mw"] = row.p_mw
    pp.runpp(state, calculate_voltage_angles=True)
    return state


def _limits(
    net: pp.pandapowerNet, states: list[pp.pandapowerNet], rng: np.random.Generator, *, broken: bool
) -> None:
    """Voltage limits near what the base states have, or within; a line that is nearly full."""
    volts = np.array([state.res_bus["vm_pu"] for state in states])
    low, high = rng.uniform(0.002, 0.02, 2) * (1.0, -1.0 if broken else 1.0)
    net.bus["max_vm_pu"] = round(float(volts.max() + high * (0.2 if broken else 1.0)), 4)
    net.bus["min_vm_pu"] = round(float(volts.min() - low), 4)
    amps = np.max([state.res_line["i_ka"] for state in states], axis=0)
    tight = rng.random(len(net.line)) < 0.2
    net.line["max_i_ka"] = np.maximum(np.where(tight, amps * rng.uniform(1.05, 1.4, len(amps)), 0.4), 0.03)
    net.line["max_loading_percent"] = 100.0
    net.trafo["max_loading_percent"] = 100.0


def _bids(
    net: pp.pandapowerNet, starts: pd.DatetimeIndex, rng: np.random.Generator, *, coarse: bool
) -> pd.DataFrame:
    """Bids of the plants in both directions; of the first one or two nothing or all is taken."""
    whole = int(rng.integers(1, 3))
    rows = []
    for k in range(int(rng.integers(4, 7))):
        most = (0.8, 1.8) if k < whole else (0.05, 0.2) if coarse else (0.2, 1.0)
        q_mvar = round(float(rng.uniform(*most)), 2)
        rows += [
            {"bid": f"Q{k}", "element_type": "sgen", "element": f"plant {k % len(net.sgen)}",
             "start": start, "direction": "inject" if (k + k // 3) % 2 else "absorb", "q_mvar": q_mvar,
             "price_eur_mvarh": round(float(rng.uniform(2.0, 12.0)), 2),
             "min_q_mvar": q_mvar if k < whole else 0.0, "block": "b" if k == 0 else ""}
            for start in starts
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _taps(net: pp.pandapowerNet, rng: np.random.Generator, *, mode: str) -> pd.DataFrame:
    """T, with U in its group if there is one."""
    names = [name for name in ("T", "U") if name in set(net.trafo["name"])]
    moves, cost = int(rng.integers(1, 3)), round(float(rng.uniform(0.1, 2.0)), 2)
    return pd.DataFrame(
        [
            {"element_type": "trafo", "element": name, "mode": mode, "position": 0, "tap_min": -6,
             "tap_max": 6, "group": "g" if len(names) > 1 else "",
             "max_moves": moves, "cost_per_move_eur": cost}
            for name in names
        ]
    )  # fmt: skip


def _bank(rng: np.random.Generator) -> pd.DataFrame:
    return _frame(
        element="C", mode="optimised", position=int(rng.integers(0, 2)), max_step=2,
        max_moves=int(rng.integers(1, 3)), cost_per_move_eur=round(float(rng.uniform(0.05, 1.0)), 2),
    )  # fmt: skip


def _inverter(net: pp.pandapowerNet, bids: pd.DataFrame) -> pd.DataFrame:
    """One that can do any of its bids, not all of them at once."""
    largest = float(bids.loc[bids["element"] == "plant 0", "q_mvar"].max())
    return _frame(
        element="plant 0", s_max_mva=1.02 * np.hypot(1.2 * float(net.sgen["p_mw"].iloc[0]), largest)
    )


def _points(points: int, seed: int) -> pd.DataFrame:
    """One or two connection points; in some the Q of the first is limited."""
    frame = pd.DataFrame({"connection_point": ["P", "R"][:points], "element": ["grid", "grid 2"][:points]})
    if seed % 6 == 5:
        frame["q_max_mvar"], frame["q_min_mvar"] = [2.5, 4.0][:points], [-1.0, -4.0][:points]
    return frame
