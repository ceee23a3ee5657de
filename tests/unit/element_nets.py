"""A small ring, and every kind of element that can be added to it."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pandapower as pp
import pandas as pd

CABLE = "NA2XS2Y 1x185 RM/25 12/20 kV"


def ring(sn_mva: float = 10.0) -> pp.pandapowerNet:
    return copy.deepcopy(_ring(sn_mva))


@functools.cache
def _ring(sn_mva: float) -> pp.pandapowerNet:
    """A 110 kV source, two transformers side by side, a ring of six 20 kV buses (1 … 6), a dead bus (7)."""
    net = pp.create_empty_network(sn_mva=sn_mva)
    pp.create_bus(net, 110.0)
    for _ in range(7):
        pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02, va_degree=15.0)
    for position in (-2, 1):
        pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV", tap_pos=position)
    net.trafo["tap_changer_type"] = "Ratio"
    for one, other in ((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1)):
        pp.create_line(net, one, other, 2.0 + 0.3 * one, CABLE)
    for bus in range(2, 7):
        pp.create_load(net, bus, 0.6 + 0.2 * bus, 0.3, scaling=0.9)
    pp.create_load(net, 7, 5.0, 5.0)
    return net


def three_windings() -> pp.pandapowerNet:
    net = ring()
    pp.create_bus(net, 10.0)
    pp.create_transformer3w(net, 0, 1, 8, "63/25/38 MVA 110/20/10 kV", tap_pos=3)
    net.trafo3w["tap_changer_type"] = "Ratio"
    net.trafo["shift_degree"] = 0.0
    net.trafo3w[["shift_mv_degree", "shift_lv_degree"]] = 0.0
    pp.create_load(net, 8, 4.0, 1.0)
    return net


def xward(net: pp.pandapowerNet) -> None:
    pp.create_xward(net, 3, 0.4, 0.1, 0.2, -0.1, 0.8, 4.0, 1.01)
    pp.create_xward(net, 5, -0.4, 0.1, 0.0, 0.3, 0.0, 9.0, 0.99)
    pp.create_xward(net, 4, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, in_service=False)
    pp.create_xward(net, 7, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0)


def dcline(net: pp.pandapowerNet) -> None:
    pp.create_dcline(net, 2, 5, 1.5, 2.0, 0.03, 1.01, 1.0, max_q_from_mvar=2.0, min_q_from_mvar=-1.0)
    pp.create_dcline(net, 4, 6, -0.7, 1.0, 0.01, 1.005, 0.995)
    pp.create_dcline(net, 3, 6, 4.0, 1.0, 0.01, 1.0, 0.995, in_service=False)


def constant_powers(net: pp.pandapowerNet) -> None:
    pp.create_motor(
        net, 3, pn_mech_mw=0.7, cos_phi=0.87, efficiency_percent=94, loading_percent=80, scaling=0.9
    )
    pp.create_motor(net, 4, pn_mech_mw=0.7, cos_phi=0.87, efficiency_percent=94, in_service=False)
    pp.create_asymmetric_load(net, 4, 0.1, 0.2, 0.3, 0.02, 0.01, 0.03, scaling=0.8)
    pp.create_asymmetric_sgen(net, 5, 0.2, 0.1, 0.15, 0.01, 0.02, -0.05)
    pp.create_ward(net, 6, 0.2, 0.1, 0.3, -0.2)
    pp.create_sgen(net, 6, 0.8, 0.1, scaling=0.5)
    pp.create_storage(net, 2, 0.3, 2.0, q_mvar=0.1)


def impedances(net: pp.pandapowerNet) -> None:
    pp.create_impedance(net, 2, 5, rft_pu=0.02, xft_pu=0.3, rtf_pu=0.03, xtf_pu=0.2, sn_mva=5.0,
                        gf_pu=0.001, bf_pu=0.02, gt_pu=0.003, bt_pu=-0.01)  # fmt: skip
    pp.create_impedance(net, 3, 6, rft_pu=-0.2, xft_pu=-0.9, sn_mva=25.0)
    pp.create_impedance(net, 3, 4, rft_pu=0.1, xft_pu=0.1, sn_mva=25.0, in_service=False)


def negative_equivalents(net: pp.pandapowerNet) -> None:
    net.line.loc[2, ["r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km"]] = [-0.1, 0.6, -150.0]
    net.line.loc[4, "x_ohm_per_km"] = -0.05
    pp.create_bus(net, 20.0)
    pp.create_transformer_from_parameters(net, 0, 8, 40.0, 110.0, 20.0, 0.4, 12.0, 10.0, -0.2)
    pp.create_transformer_from_parameters(net, 8, 1, 40.0, 20.0, 20.0, -0.3, -2.0, 0.0, 0.0)
    net.trafo.loc[[2, 3], "shift_degree"] = [150.0, 0.0]


def switches(net: pp.pandapowerNet) -> None:
    pp.create_bus(net, 20.0)
    pp.create_bus(net, 20.0)
    pp.create_switch(net, 3, 8, et="b", z_ohm=0.4)
    pp.create_switch(net, 4, 9, et="b", z_ohm=0.0)
    pp.create_switch(net, 8, 9, et="b", z_ohm=0.2, closed=False)
    pp.create_load(net, 8, 0.4, 0.2)
    pp.create_load(net, 9, 0.3, 0.2)
    pp.create_switch(net, 5, 4, et="l", closed=False)
    pp.create_switch(net, 0, 1, et="t", closed=False)


def generators(net: pp.pandapowerNet) -> None:
    pp.create_gen(net, 3, 0.8, vm_pu=1.0, min_q_mvar=-0.4, max_q_mvar=0.9)
    pp.create_gen(net, 3, 0.5, vm_pu=1.0, min_q_mvar=-0.1, max_q_mvar=0.2, scaling=0.5)
    pp.create_gen(net, 5, 0.5, vm_pu=1.01, max_q_mvar=0.3, controllable=False)
    pp.create_gen(net, 6, 0.5, vm_pu=1.2, in_service=False)
    pp.create_gen(net, 0, 3.0, vm_pu=1.02)
    pp.create_gen(net, 7, 0.5, vm_pu=1.01)


def slack_generators(net: pp.pandapowerNet) -> None:
    pp.create_gen(net, 4, 0.8, vm_pu=1.0, slack=True)
    pp.create_gen(net, 4, 0.3, vm_pu=1.0)
    pp.create_gen(net, 0, 3.0, vm_pu=1.02, slack=True)
    net.trafo["shift_degree"] = 0.0


def shunts(net: pp.pandapowerNet) -> None:
    pp.create_shunt(net, 2, q_mvar=-0.4, p_mw=0.01, step=2, max_step=3, vn_kv=21.0)
    pp.create_shunt(net, 3, q_mvar=-0.4, step=2, max_step=3)
    pp.create_shunt(net, 4, q_mvar=0.2, in_service=False)
    pp.create_shunt(net, 5, q_mvar=-0.1, step=3, max_step=4)
    table = {"id_characteristic": [0] * 3 + [1], "step": [1, 2, 3, 3],
             "q_mvar": [-0.3, -0.5, -0.6, -0.9], "p_mw": [0.0, 0.02, 0.03, 0.01]}  # fmt: skip
    net["shunt_characteristic_table"] = pd.DataFrame(table)
    net.shunt["id_characteristic_table"] = pd.array([None, 0, None, 1], dtype="Int64")
    net.shunt["step_dependency_table"] = [False, True, False, True]


def ideal_degrees(net: pp.pandapowerNet) -> None:
    net.trafo["tap_changer_type"] = "Ideal"
    net.trafo["tap_step_percent"] = np.nan
    net.trafo["tap_step_degree"] = 1.3


def ideal_percent(net: pp.pandapowerNet) -> None:
    net.trafo["tap_changer_type"] = ["Ideal", "Ratio"]


def symmetrical(net: pp.pandapowerNet) -> None:
    net.trafo["tap_changer_type"] = "Symmetrical"
    net.trafo["tap_step_degree"] = [60.0, 90.0]
    net.trafo["tap_side"] = ["hv", "lv"]


def second_changer(net: pp.pandapowerNet) -> None:
    for name, value in (
        ("side", "lv"), ("neutral", 0), ("min", -5), ("max", 5), ("step_percent", [1.1, np.nan]),
        ("step_degree", [0.0, 0.7]), ("pos", [3, -2]), ("changer_type", ["Ratio", "Ideal"]),
    ):  # fmt: skip
        net.trafo[f"tap2_{name}"] = value


def tap_table(ids: int, low: int, high: int) -> pd.DataFrame:
    """A table in which nothing is linear, with columns for two and for three windings."""
    rows = []
    for number in range(ids):
        for step in range(low, high + 1):
            z = 12.0 + 0.2 * step + number
            rows.append({
                "id_characteristic": number, "step": step, "voltage_ratio": 1 + 0.015 * step + 1e-4 * step**2,
                "angle_deg": 0.4 * step + 0.1 * number, "vk_percent": z, "vkr_percent": 0.4,
                "vk_hv_percent": z, "vkr_hv_percent": 0.3, "vk_mv_percent": z / 2, "vkr_mv_percent": 0.3,
                "vk_lv_percent": z / 3, "vkr_lv_percent": 0.3,
            })  # fmt: skip
    return pd.DataFrame(rows)


def tabular(net: pp.pandapowerNet) -> None:
    """Two transformers with a table each, on different sides."""
    net["trafo_characteristic_table"] = tap_table(2, -9, 9)
    net.trafo["tap_changer_type"] = "Tabular"
    net.trafo["tap_dependency_table"] = True
    net.trafo["id_characteristic_table"] = pd.array([0, 1], dtype="Int64")
    net.trafo["tap_side"] = ["hv", "lv"]


KINDS = [
    xward, dcline, constant_powers, impedances, negative_equivalents, switches, generators, slack_generators,
    shunts, ideal_degrees, ideal_percent, symmetrical, second_changer, tabular,
]  # fmt: skip
