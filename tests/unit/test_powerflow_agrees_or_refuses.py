"""Odd but possible nets: the state is runpp's, or the net is refused by name; never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

import gridclear as gc
from oracle.against_runpp import agreement, solve_reference

if TYPE_CHECKING:
    from collections.abc import Callable


def small() -> pp.pandapowerNet:
    net = pp.create_empty_network()
    high, low, end = (pp.create_bus(net, kv) for kv in (110.0, 20.0, 20.0))
    pp.create_ext_grid(net, high, vm_pu=1.01)
    pp.create_transformer(net, high, low, "25 MVA 110/20 kV", tap_pos=2)
    net.trafo["tap_changer_type"] = "Ratio"
    pp.create_line(net, low, end, 5.0, "NA2XS2Y 1x150 RM/25 12/20 kV")
    pp.create_load(net, end, 4.0, 1.0)
    pp.create_shunt(net, end, q_mvar=-1.0, step=1, max_step=3)
    return net


def put(table: str, **values: object) -> Callable[[pp.pandapowerNet], None]:
    def change(net: pp.pandapowerNet) -> None:
        for column, value in values.items():
            net[table][column] = value

    return change


def shunt_table(net: pp.pandapowerNet) -> None:
    net["shunt_characteristic_table"] = pd.DataFrame(
        {"id_characteristic": [0, 0, 0], "step": [1, 2, 3], "q_mvar": [-0.5, -1.1, -2.0], "p_mw": [0.0] * 3}
    )
    put("shunt", step_dependency_table=True, id_characteristic_table=0)(net)


def trafo_table(net: pp.pandapowerNet) -> None:
    steps = np.arange(-9, 10)
    net["trafo_characteristic_table"] = pd.DataFrame(
        {"id_characteristic": 0, "step": steps, "voltage_ratio": 1.0 + 0.01 * steps, "angle_deg": 0.1 * steps,
         "vk_percent": 12.0 + 0.1 * steps, "vkr_percent": 0.4}
    )  # fmt: skip
    put("trafo", tap_dependency_table=True, id_characteristic_table=0, tap_changer_type="Tabular")(net)


ODD = {
    "a tap between two positions": put("trafo", tap_pos=2.5),
    "a tap above its range": put("trafo", tap_pos=12),
    "a tap without a range": put("trafo", tap_min=np.nan),
    "a tap without a side": put("trafo", tap_side=None),
    "a tap without a type": put("trafo", tap_changer_type=None),
    "half a step": put("shunt", step=1.5),
    "more steps than there are": put("shunt", step=5.0),
    "leakage on one side": put("trafo", leakage_resistance_ratio_hv=0.2, leakage_reactance_ratio_hv=0.9),
    "a second changer": put(
        "trafo", tap2_pos=3, tap2_neutral=0, tap2_min=-5, tap2_max=5, tap2_step_percent=1.0,
        tap2_step_degree=0.0, tap2_side="lv", tap2_changer_type="Ratio",
    ),
    "a load of constant impedance": put("load", const_z_p_percent=50.0, const_z_q_percent=50.0),
    "a load of constant current": put("load", const_i_p_percent=50.0),
    "a shunt by table": shunt_table,
    "a transformer by table": trafo_table,
    "a switch with an impedance": lambda n: pp.create_switch(n, 2, pp.create_bus(n, 20.0), "b", z_ohm=1),
    "a switch between two voltages": lambda net: pp.create_switch(net, 2, pp.create_bus(net, 10.0), "b"),
}  # fmt: skip

WRONG = {
    "more resistance than impedance": put("trafo", vkr_percent=20.0),
    "a line without impedance": put("line", r_ohm_per_km=0.0, x_ohm_per_km=0.0),
    "two set points at one bus": lambda net: pp.create_ext_grid(net, 0, vm_pu=1.03),
}


@pytest.mark.parametrize("name", ODD)
def test_agrees_with_runpp_or_is_refused(name: str) -> None:
    net = small()
    ODD[name](net)
    solve_reference(net)
    try:
        found = agreement(net)
    except gc.CaseError:
        return
    assert found == [], "\n".join(map(str, found))


@pytest.mark.parametrize("name", WRONG)
def test_what_runpp_cannot_solve_is_refused(name: str) -> None:
    net = small()
    WRONG[name](net)
    with pytest.raises(gc.CaseError):
        gc.compile_network(net)
