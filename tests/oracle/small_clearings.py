"""Seeded small clearings whose optimum a global solver can prove: up to 13 nodes and four periods.

A 110 kV grid feeds a tree of stations, every third with a closed ring, through one transformer with taps;
there are a bank, four to eight offers in every period, some with smallest amounts, a storage in some. The
profile is what random decisions would exchange, so most of them can be delivered; limits lie near the base
states.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc

START = pd.Timestamp("2025-01-15T10:00Z")
STEP = pd.Timedelta("15min")


@dataclass(frozen=True)
class Size:
    """How large a case is to be: stations and periods at most."""

    stations: int = 11
    periods: int = 4


def small_case(seed: int, size: Size | None = None) -> gc.Case:
    """A case; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    size = size or Size()
    net = _grid(rng, int(rng.integers(4, size.stations + 1)), meshed=seed % 3 == 2)
    periods = int(rng.integers(1, size.periods + 1))
    starts = START + STEP * np.arange(periods)
    forecast = _forecast(net, starts, rng)
    offers = _offers(starts, rng)
    moves = int(rng.integers(1, 5))
    frames = {
        "forecast": forecast,
        "reactive_bids": offers,
        "tap_changers": _frame(element_type="trafo", element="T", mode="optimised", position=0, tap_min=-6,
                               tap_max=6, max_moves=moves, cost_per_move_eur=round(rng.uniform(0.1, 2.0), 2)),
        "capacitor_banks": _frame(element="C", mode="optimised", position=int(rng.integers(0, 3)), max_step=3,
                                  max_moves=int(rng.integers(1, 4)),
                                  cost_per_move_eur=round(rng.uniform(0.05, 1.0), 2)),
        "connection_points": _frame(connection_point="P", element="grid"),
    }  # fmt: skip
    if len(net.storage):
        frames["storage"] = _storage(periods, rng)
    states = [_state(net, forecast, offers, start, None) for start in starts]
    reached = [_state(net, forecast, offers, start, rng) for start in starts]
    _limits(net, states, rng)
    q_mvar = [float(state.res_ext_grid["q_mvar"].sum()) for state in reached]
    frames["reactive_profile"] = pd.DataFrame(
        {"connection_point": "P", "start": starts, "q_mvar": np.round(q_mvar, 3),
         "tolerance_mvar": float(rng.choice([0.01, 0.05, 0.1]))}
    )  # fmt: skip
    case = gc.Case.from_pandapower(
        net, name=f"small-{seed}", start=START, periods=periods, resolution=STEP, **frames
    )
    return replace(case, prices=replace(case.prices, losses_eur_mwh=float(rng.choice([0.0, 60.0, 120.0]))))


def _frame(**row: object) -> pd.DataFrame:
    return pd.DataFrame([row])


def _grid(rng: np.random.Generator, stations: int, *, meshed: bool) -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=1.0)
    top, bar = pp.create_bus(net, 110.0, name="top"), pp.create_bus(net, 20.0, name="bar")
    pp.create_ext_grid(net, top, vm_pu=round(float(rng.uniform(1.0, 1.03)), 3), name="grid")
    pp.create_transformer_from_parameters(
        net, top, bar, sn_mva=16.0, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.5, vk_percent=12.0,
        pfe_kw=15.0, i0_percent=0.05, shift_degree=150.0, tap_side="hv", tap_neutral=0, tap_min=-9, tap_max=9,
        tap_step_percent=1.5, tap_pos=0, tap_changer_type="Ratio", name="T",
    )  # fmt: skip
    buses = [bar]
    for k in range(stations):
        before = bar if k % 5 == 0 else buses[-1] if rng.random() < 0.6 else int(rng.choice(buses))
        buses.append(pp.create_bus(net, 20.0, name=f"S{k}"))
        _line(net, before, buses[-1], rng)
    if meshed:
        _line(net, buses[-1], int(rng.choice(buses[:-2])), rng)
    p_mw = rng.dirichlet(np.ones(stations)) * rng.uniform(4.0, 10.0)
    for bus, p in zip(buses[1:], p_mw, strict=True):
        pp.create_load(net, bus, float(p), float(p * rng.uniform(0.1, 0.4)), name=f"load {bus}")
    for number, bus in enumerate(rng.choice(buses[1:], 4, replace=False)):
        pp.create_sgen(net, int(bus), float(rng.uniform(0.5, 4.0)), 0.0, name=f"plant {number}")
    pp.create_shunt(
        net, int(rng.choice(buses)), q_mvar=-float(rng.uniform(0.3, 1.2)), step=0, max_step=3, name="C"
    )
    if rng.random() < 0.4:
        pp.create_storage(net, int(rng.choice(buses[1:])), 0.0, max_e_mwh=2.0, name="battery")
    return net


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


def _offers(starts: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    """Some offers in every period, of plants in both directions; smallest amounts, and a block in some."""
    count = int(rng.integers(4, 9))
    block = int(rng.integers(0, count)) if len(starts) > 1 and rng.random() < 0.3 else -1
    rows = []
    for k in range(count):
        q_mvar = round(float(rng.uniform(0.2, 1.5)), 2)
        least = float(rng.choice([0.0, 0.0, 0.4, 0.8]))
        rows += [
            {"bid": f"Q{k}", "element_type": "sgen", "element": f"plant {k % 4}", "start": start,
             "direction": "inject" if (k + k // 4) % 2 else "absorb", "q_mvar": q_mvar,
             "price_eur_mvarh": round(float(rng.uniform(2.0, 12.0)), 2), "min_q_mvar": least * q_mvar,
             "block": "b" if k == block else ""}
            for start in starts
        ]  # fmt: skip
    return pd.DataFrame(rows)


def _storage(periods: int, rng: np.random.Generator) -> pd.DataFrame:
    """One whose power is decided: it may shift energy, and must end where it began or a little above."""
    more = round(float(rng.uniform(0.0, 0.1)) * periods, 3)
    return _frame(
        element="battery", p_mode="optimised", p_min_mw=-1.0, p_max_mw=1.0, e_min_mwh=0.0, e_max_mwh=2.0,
        e_start_mwh=1.0, e_end_min_mwh=1.0 + more, efficiency_charge=0.95, efficiency_discharge=0.95,
    )  # fmt: skip


def _state(
    net: pp.pandapowerNet,
    forecast: pd.DataFrame,
    offers: pd.DataFrame,
    start: pd.Timestamp,
    rng: np.random.Generator | None,
) -> pp.pandapowerNet:
    """The base state of a period, or one after random decisions."""
    state = copy.deepcopy(net)
    for row in forecast[forecast["start"] == start].itertuples():
        table = state[str(row.element_type)]
        table.loc[table["name"] == row.element, "p_mw"] = row.p_mw
    if rng is not None:
        direction = str(rng.choice(["inject", "absorb"]))
        now = offers[(offers["start"] == start) & (offers["direction"] == direction)]
        for row in now.itertuples():
            share = float(rng.choice([0.0, 1.0, rng.uniform(0.5, 1.0)]))
            q_mvar = share * row.q_mvar * (1.0 if direction == "inject" else -1.0)
            state.sgen.loc[state.sgen["name"] == row.element, "q_mvar"] += q_mvar
        state.shunt["step"] = int(rng.integers(0, 3))
    pp.runpp(state, calculate_voltage_angles=True)
    return state


def _limits(net: pp.pandapowerNet, states: list[pp.pandapowerNet], rng: np.random.Generator) -> None:
    """Voltage limits near what the base states have, a few lines that are nearly full."""
    volts = np.array([state.res_bus["vm_pu"] for state in states])
    net.bus["max_vm_pu"] = round(float(volts.max() + rng.uniform(0.0005, 0.03)), 4)
    net.bus["min_vm_pu"] = round(float(volts.min() - rng.uniform(0.0005, 0.03)), 4)
    amps = np.max([state.res_line["i_ka"] for state in states], axis=0)
    tight = rng.random(len(net.line)) < 0.15
    rating = np.where(tight, amps * rng.uniform(1.02, 1.3, len(amps)), 0.4)
    net.line["max_i_ka"] = np.maximum(rating, 0.05)
    net.line["max_loading_percent"] = 100.0
    net.trafo["max_loading_percent"] = 100.0
