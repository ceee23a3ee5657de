"""Seeded small clearings with all that a lower bound could trip over.

A feeding of one of several `FEEDINGS` (taps at a connection point and away from it, on either winding, in
groups of unlike transformers, of three windings, that turn the voltage; two connection points) stands above a
meshed grid at medium voltage with charging, conductances, banks, a storage; offers of both markets with least
amounts, blocks and exclusive ones; limits that the forecast breaks, outages, budgets by day around midnight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc

START = pd.Timestamp("2025-01-15T23:45Z")  # the second period is another day
STEP = pd.Timedelta("15min")
FEEDINGS = ("near", "far", "low", "turning", "group", "points", "three", "three-far", "three-middle")


@dataclass(frozen=True)
class Awkward:
    """A case, what is cleared in it, and how it is fed."""

    case: gc.Case
    market: str
    feeding: str


def awkward_case(seed: int) -> Awkward:
    """A case; the same for the same seed. All feedings come in turn."""
    rng = np.random.default_rng(seed)
    feeding = FEEDINGS[seed % len(FEEDINGS)]
    net = pp.create_empty_network(sn_mva=float(rng.choice([1.0, 10.0, 100.0])))
    bars = _feeding(net, feeding, rng)
    _middle(net, bars, rng)
    starts = START + STEP * np.arange(int(rng.integers(1, 4)))
    pp.runpp(net, calculate_voltage_angles=True)
    _limits(net, rng)
    frames = {
        "forecast": _forecast(net, starts, rng),
        "reactive_bids": _reactive(starts, rng),
        "active_bids": _active(net, starts, rng),
        "tap_changers": _changers(net, rng),
        "capacitor_banks": _banks(net, rng),
        "storage": _storage(len(starts), rng),
        "inverters": pd.DataFrame({"element": ["plant 0"], "s_max_mva": [float(rng.uniform(1.5, 4.0))]}),
        "connection_points": _points(net, rng),
    }
    if len(starts) > 1 and rng.random() < 0.5:
        spare = feeding in ("group", "points") and rng.random() < 0.5
        table, element = ("trafo", "T1") if spare else ("line", str(rng.choice(net.line["name"][-5:])))
        frames["outages"] = pd.DataFrame(
            {"element_type": [table], "element": [element], "start": [starts[1]], "end": [starts[1] + STEP],
             "state": ["out"]}
        )  # fmt: skip
    q_mvar = net.res_ext_grid["q_mvar"].to_numpy()
    frames["reactive_profile"] = pd.DataFrame(
        [
            (f"point {k}", start, float(q_mvar[k] + rng.normal(0.0, 1.0)), float(rng.uniform(0.3, 2.0)))
            for start in starts
            for k in range(len(q_mvar))
        ],
        columns=["connection_point", "start", "q_mvar", "tolerance_mvar"],
    )
    case = gc.Case.from_pandapower(
        net, name=f"awkward-{seed}", start=START, periods=len(starts), resolution=STEP, **frames
    )
    case = replace(case, prices=replace(case.prices, losses_eur_mwh=float(rng.choice([20.0, 60.0, 120.0]))))
    return Awkward(case, str(rng.choice(["reactive", "common"])), feeding)


def _feeding(net: pp.pandapowerNet, feeding: str, rng: np.random.Generator) -> list[int]:
    """Everything above medium voltage; gives the busbars that the feeders begin at."""
    top, bar = pp.create_bus(net, 110.0, name="top"), pp.create_bus(net, 20.0, name="bar")
    pp.create_ext_grid(net, top, vm_pu=round(float(rng.uniform(1.0, 1.03)), 3), name="grid 0")
    upper = top
    if feeding in ("far", "low", "turning", "three-far", "three-middle"):
        upper = pp.create_bus(net, 110.0, name="upper")
        _line(net, top, upper, rng, "far", kilometres=(3.0, 20.0))
    if feeding.startswith("three"):
        third = pp.create_bus(net, 10.0, name="third")
        pp.create_transformer3w_from_parameters(
            net, upper, bar, third, vn_hv_kv=110.0, vn_mv_kv=20.0, vn_lv_kv=10.0, sn_hv_mva=25.0,
            sn_mv_mva=25.0, sn_lv_mva=10.0, vk_hv_percent=10.4, vk_mv_percent=10.0, vk_lv_percent=11.0,
            vkr_hv_percent=0.3, vkr_mv_percent=0.3, vkr_lv_percent=0.35, pfe_kw=30.0, i0_percent=0.1,
            shift_mv_degree=150.0, shift_lv_degree=30.0, tap_side="mv" if feeding == "three-middle" else "hv",
            tap_neutral=0, tap_min=-6, tap_max=6, tap_step_percent=1.2, tap_step_degree=0.0, tap_pos=0,
            tap_changer_type="Ratio",
            tap_at_star_point=bool(rng.random() < 0.4), name="T0",
        )  # fmt: skip
        pp.create_load(net, third, 1.0, 0.4, name="own")
        return [bar]
    turn = 60.0 if feeding == "turning" else 0.0
    _transformer(net, upper, bar, 25.0, "T0", side="lv" if feeding == "low" else "hv", turn=turn)
    if feeding == "group":
        _transformer(net, upper, bar, 16.0, "T1")
    if feeding == "points":
        other, second = pp.create_bus(net, 110.0, name="other"), pp.create_bus(net, 20.0, name="second bar")
        vm, va = float(net.ext_grid["vm_pu"].iloc[0]), round(float(rng.uniform(-0.5, 0.5)), 2)
        pp.create_ext_grid(net, other, vm_pu=vm, va_degree=va, name="grid 1")
        _transformer(net, other, second, 16.0, "T1")
        return [bar, second]
    return [bar]


def _transformer(
    net: pp.pandapowerNet, hv: int, lv: int, mva: float, name: str, *, side: str = "hv", turn: float = 0.0
) -> None:
    pp.create_transformer_from_parameters(
        net, hv, lv, sn_mva=mva, vn_hv_kv=110.0, vn_lv_kv=20.0, vkr_percent=0.5, vk_percent=12.0, pfe_kw=15.0,
        i0_percent=0.05, shift_degree=150.0, tap_side=side, tap_neutral=0, tap_min=-6, tap_max=6,
        tap_step_percent=1.5, tap_step_degree=turn, tap_pos=0, tap_changer_type="Ratio", name=name,
    )  # fmt: skip


def _line(
    net: pp.pandapowerNet,
    one: int,
    other: int,
    rng: np.random.Generator,
    name: str,
    *,
    kilometres: tuple[float, float] = (0.5, 4.0),
) -> None:
    pp.create_line_from_parameters(
        net, one, other, length_km=float(rng.uniform(*kilometres)),
        r_ohm_per_km=float(rng.uniform(0.12, 0.5)), x_ohm_per_km=float(rng.uniform(0.1, 0.36)),
        c_nf_per_km=float(rng.uniform(10.0, 300.0)),
        g_us_per_km=float(rng.choice([0.0, 2.0])), max_i_ka=0.5, name=name,
    )  # fmt: skip


def _middle(net: pp.pandapowerNet, bars: list[int], rng: np.random.Generator) -> None:
    """Feeders with meshes, loads, plants, banks, storages."""
    buses = list(bars)
    for k in range(int(rng.integers(4, 9))):
        before = bars[k % len(bars)] if k % 4 < len(bars) else int(rng.choice(buses[-3:]))
        buses.append(pp.create_bus(net, 20.0, name=f"S{k}"))
        _line(net, before, buses[-1], rng, f"L{k}")
    own = buses[len(bars) :]
    for k in range(2):
        _line(net, buses[k % len(bars)], own[-1 - k], rng, f"mesh {k}")
    for k, p_mw in enumerate(rng.dirichlet(np.ones(len(own))) * rng.uniform(4.0, 12.0)):
        pp.create_load(net, own[k], float(p_mw), float(p_mw * rng.uniform(0.1, 0.4)), name=f"load {k}")
    for k in range(3):
        pp.create_sgen(net, int(rng.choice(own)), float(rng.uniform(0.5, 3.0)), 0.0, name=f"plant {k}")
    place = int(rng.choice(own))
    for k in range(2):
        pp.create_shunt(
            net, place if rng.random() < 0.5 else int(rng.choice(own)),
            q_mvar=float(rng.choice([-0.8, -0.4, 0.6])), p_mw=float(rng.choice([0.0, 0.01])),
            step=1, max_step=3, name=f"C{k}",
        )  # fmt: skip
    pp.create_storage(net, int(rng.choice(own)), 0.1, max_e_mwh=2.0, name="battery")


def _limits(net: pp.pandapowerNet, rng: np.random.Generator) -> None:
    """Limits around the grid's own state; some below it, which the forecast then breaks."""
    volts = net.res_bus["vm_pu"]
    net.bus["max_vm_pu"] = round(float(volts.max() + rng.uniform(-0.003, 0.03)), 4)
    net.bus["min_vm_pu"] = round(float(volts.min() - rng.uniform(-0.003, 0.03)), 4)
    amps = net.res_line["i_ka"].to_numpy()
    tight = rng.random(len(amps)) < 0.3
    net.line["max_i_ka"] = np.maximum(np.where(tight, amps * rng.uniform(0.95, 1.5, len(amps)), 0.5), 0.02)
    for table in ("line", "trafo", "trafo3w"):
        net[table]["max_loading_percent"] = 100.0


def _forecast(net: pp.pandapowerNet, starts: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    rows = [
        (table, name, start, p_mw * float(rng.uniform(0.8, 1.2)))
        for table in ("load", "sgen")
        for name, p_mw in zip(net[table]["name"], net[table]["p_mw"], strict=True)
        for start in starts
    ]
    return pd.DataFrame(rows, columns=["element_type", "element", "start", "p_mw"])


def _reactive(starts: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for k in range(int(rng.integers(4, 7))):
        q_mvar = round(float(rng.uniform(0.2, 1.5)), 2)
        least = float(rng.choice([0.0, 0.0, 0.5, 1.0]))
        block = "b" if k == 1 and rng.random() < 0.5 else ""
        rows += [
            (f"Q{k}", "sgen", f"plant {k % 3}", start, "inject" if (k + k // 3) % 2 else "absorb", q_mvar,
             round(float(rng.uniform(-1.0, 12.0)), 2), least * q_mvar, block)
            for start in starts
        ]  # fmt: skip
    columns = ["bid", "element_type", "element", "start", "direction", "q_mvar", "price_eur_mvarh",
               "min_q_mvar", "block"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _active(net: pp.pandapowerNet, starts: pd.DatetimeIndex, rng: np.random.Generator) -> pd.DataFrame:
    """Generation is cut, loads are; two of them exclude each other."""
    rows = []
    for k in range(3):
        table, element, direction = ("load", f"load {k}", "up") if k else ("sgen", "plant 1", "down")
        most = 0.6 * float(net[table].loc[net[table]["name"] == element, "p_mw"].iloc[0])
        rows += [
            (f"P{k}", table, element, start, direction, most, round(float(rng.uniform(5.0, 60.0)), 1),
             float(rng.choice([0.0, 0.5])) * most, float(rng.uniform(-0.3, 0.3)), "one" if k else "")
            for start in starts
        ]  # fmt: skip
    columns = ["bid", "element_type", "element", "start", "direction", "p_mw", "price_eur_mwh", "min_p_mw",
               "tan_phi", "exclusive"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _changers(net: pp.pandapowerNet, rng: np.random.Generator) -> pd.DataFrame:
    table = "trafo" if len(net.trafo) else "trafo3w"
    names = list(net[table]["name"])
    together = len(net.ext_grid) == 1
    changers = pd.DataFrame(
        {"element_type": table, "element": names, "mode": "optimised", "group": "g" if together else "",
         "cost_per_move_eur": round(float(rng.uniform(0.05, 1.0)), 2)}
    )  # fmt: skip
    return changers.assign(**_budgets(rng))


def _banks(net: pp.pandapowerNet, rng: np.random.Generator) -> pd.DataFrame:
    banks = pd.DataFrame({"element": net.shunt["name"], "mode": "optimised", "cost_per_move_eur": 0.2})
    return banks.assign(**_budgets(rng))


def _budgets(rng: np.random.Generator) -> dict[str, int]:
    """A budget of the horizon, or of each day, of which one or two moves are left on the first."""
    if rng.random() < 0.5:
        return {"max_moves": int(rng.integers(1, 5))}
    return {"max_moves_day": 3, "moves_today": int(rng.integers(1, 4))}


def _storage(periods: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {"element": ["battery"], "p_mode": "optimised", "p_min_mw": -1.0, "p_max_mw": 1.0, "e_min_mwh": 0.2,
         "e_max_mwh": 1.2, "e_start_mwh": 1.0, "e_end_min_mwh": 1.0 + 0.02 * periods * rng.random(),
         "efficiency_charge": 0.9, "efficiency_discharge": 0.93, "s_max_mva": 1.2}
    )  # fmt: skip


def _points(net: pp.pandapowerNet, rng: np.random.Generator) -> pd.DataFrame:
    power = net.res_ext_grid
    size = np.hypot(power["p_mw"], power["q_mvar"]).to_numpy()
    return pd.DataFrame(
        {"connection_point": [f"point {k}" for k in range(len(power))], "element": net.ext_grid["name"],
         "p_max_mw": power["p_mw"] + rng.uniform(0.0, 4.0),
         "q_min_mvar": power["q_mvar"] - rng.uniform(0.5, 4.0), "s_max_mva": size + rng.uniform(0.2, 3.0)}
    )  # fmt: skip
