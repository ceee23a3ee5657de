"""Kirchhoff's current law in kV, kA and MVA from the element tables: no per unit, no converter, no sparse
matrix.

Every branch is a chain of two-ports (series impedance, shunt admittance, ideal transformer), multiplied out
in
SI units. What the buses of a net draw and what the branches carry away must cancel at every group of buses
that
closed switches join.

Knows lines, two-winding transformers with one ratio, symmetrical or ideal changer, impedances, shunts, wards
and bus-bus switches without impedance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandapower as pp

TwoPort = np.ndarray


def series(ohm: complex) -> TwoPort:
    return np.array([[1.0, ohm], [0.0, 1.0]], dtype=complex)


def across(siemens: complex) -> TwoPort:
    return np.array([[1.0, 0.0], [siemens, 1.0]], dtype=complex)


def transformer(ratio: complex) -> TwoPort:
    """Ideal: U1 = ratio·U2, power kept, so I1 = I2 / ratio*."""
    return np.array([[ratio, 0.0], [0.0, 1.0 / np.conj(ratio)]], dtype=complex)


def admittances(chain: TwoPort) -> np.ndarray:
    """From (U1, I1) = chain (U2, -I2) to (I1, I2) = Y (U1, U2), both currents into the branch."""
    (a, b), (c, d) = chain
    return np.array([[d / b, c - d * a / b], [-1.0 / b, a / b]])


def line(row: dict[str, Any], f_hz: float) -> np.ndarray:
    length, parallel = row["length_km"], row["parallel"]
    ohm = (row["r_ohm_per_km"] + 1j * row["x_ohm_per_km"]) * length / parallel
    siemens = (row["g_us_per_km"] * 1e-6 + 2j * np.pi * f_hz * row["c_nf_per_km"] * 1e-9) * length * parallel
    return admittances(across(siemens / 2.0) @ series(ohm) @ across(siemens / 2.0))


def trafo(row: dict[str, Any]) -> np.ndarray:
    """T model on the low-voltage side; a changer there alters the impedances with the square of the
    voltage."""
    high, low, turn = row["vn_hv_kv"] + 0j, row["vn_lv_kv"] + 0j, row["shift_degree"]
    if row["tap_changer_type"] in ("Ratio", "Symmetrical"):
        degree = np.nan_to_num(row["tap_step_degree"])
        step = (
            (row["tap_pos"] - row["tap_neutral"])
            * row["tap_step_percent"]
            / 100.0
            * np.exp(1j * np.deg2rad(degree))
        )
        high, low = (high * (1.0 + step), low) if row["tap_side"] == "hv" else (high, low * (1.0 + step))
    elif row["tap_changer_type"] == "Ideal":
        away = row["tap_pos"] - row["tap_neutral"]
        degree = away * row["tap_step_degree"]
        if not row["tap_step_degree"] > 0.0:
            degree = 2.0 * np.rad2deg(np.arcsin(away * row["tap_step_percent"] / 200.0))
        turn += degree if row["tap_side"] == "hv" else -degree
    base = abs(low) ** 2 / row["sn_mva"] / row["parallel"]
    vk, vkr = row["vk_percent"] / 100.0, row["vkr_percent"] / 100.0
    half = (vkr + 1j * np.sqrt(vk**2 - vkr**2)) * base / 2.0
    iron = row["pfe_kw"] * 1e-3 / row["sn_mva"]
    magnetising = (iron - 1j * np.sqrt(max((row["i0_percent"] / 100.0) ** 2 - iron**2, 0.0))) / base
    ratio = high / low * np.exp(1j * np.deg2rad(turn))
    return admittances(transformer(ratio) @ series(half) @ across(magnetising) @ series(half))


def impedance(row: dict[str, Any], kv: float) -> np.ndarray:
    siemens = row["sn_mva"] / kv**2
    there, back = (1.0 / (row[f"r{way}_pu"] + 1j * row[f"x{way}_pu"]) for way in ("ft", "tf"))
    near, far = (row[f"g{end}_pu"] + 1j * row[f"b{end}_pu"] for end in "ft")
    return np.array([[there + near, -there], [-back, back + far]]) * siemens


def residuals(
    net: pp.pandapowerNet, v_pu: np.ndarray, p_mw: np.ndarray, q_mvar: np.ndarray
) -> dict[int, complex]:
    """MVA that are missing at each group of live buses, by one of its buses; slacks and gens left out.

    Parameters
    ----------
    net : pandapowerNet
    v_pu : (bus,) complex
        NaN where dead.
    p_mw, q_mvar : (bus,)
        Injections.
    """
    kv = dict(zip(net.bus.index, v_pu * net.bus["vn_kv"].to_numpy(), strict=True))
    drawn = {bus: -complex(p, q) for bus, p, q in zip(net.bus.index, p_mw, q_mvar, strict=True)}
    opened = set(
        map(tuple, net.switch.loc[~net.switch["closed"], ["et", "element", "bus"]].to_numpy().tolist())
    )
    nominal = net.bus["vn_kv"]
    for table, letter, ends in (("line", "l", ("from_bus", "to_bus")), ("trafo", "t", ("hv_bus", "lv_bus")),
                                ("impedance", "", ("from_bus", "to_bus"))):  # fmt: skip
        for index, row in zip(net[table].index, net[table].to_dict("records"), strict=True):
            buses = [row[end] for end in ends]
            if not row["in_service"]:
                continue
            y = {"line": lambda r: line(r, net.f_hz), "trafo": trafo,
                 "impedance": lambda r: impedance(r, nominal[r["from_bus"]])}[table](row)  # fmt: skip
            tied = [(letter, index, bus) not in opened and net.bus["in_service"].loc[bus] for bus in buses]
            if table != "line" and not net.bus["in_service"].loc[buses].all():
                continue
            if all(tied):
                amps = y @ [kv[bus] for bus in buses]
            elif any(tied):  # the far end is open: its voltage is the one that draws no current
                k = tied.index(True)
                amps = np.zeros(2, dtype=complex)
                amps[k] = (y[k, k] - y[k, 1 - k] * y[1 - k, k] / y[1 - k, 1 - k]) * kv[buses[k]]
            else:
                continue
            for bus, current, on in zip(buses, amps, tied, strict=True):
                if on:
                    drawn[bus] += kv[bus] * np.conj(current)
    for row in net.shunt[net.shunt["in_service"]].to_dict("records"):
        share = abs(kv[row["bus"]]) ** 2 / row["vn_kv"] ** 2
        drawn[row["bus"]] += complex(row["p_mw"], row["q_mvar"]) * row["step"] * share
    for row in net.ward[net.ward["in_service"]].to_dict("records"):
        share = abs(kv[row["bus"]]) ** 2 / nominal[row["bus"]] ** 2
        drawn[row["bus"]] += (
            complex(row["ps_mw"], row["qs_mvar"]) + complex(row["pz_mw"], row["qz_mvar"]) * share
        )
    return _by_group(net, kv, drawn)


def _by_group(net: pp.pandapowerNet, kv: dict[int, complex], drawn: dict[int, complex]) -> dict[int, complex]:
    group = {bus: bus for bus in net.bus.index}
    joined = net.switch[(net.switch["et"] == "b") & net.switch["closed"]]
    for _ in range(len(joined)):  # as often as the longest chain could need
        for one, other in joined[["bus", "element"]].to_numpy():
            if net.bus["in_service"].loc[[one, other]].all():
                group[one] = group[other] = min(group[one], group[other])
    held = {
        group[bus] for table in ("ext_grid", "gen") for bus in net[table].loc[net[table]["in_service"], "bus"]
    }
    total: dict[int, complex] = {}
    for bus, power in drawn.items():
        if not np.isnan(kv[bus]) and group[bus] not in held:
            total[group[bus]] = total.get(group[bus], 0j) + power
    return total
