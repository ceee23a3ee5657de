"""Automatic tap changers settle where a plain loop around runpp has them settle."""

from __future__ import annotations

import copy

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

import gridclear as gc

START = pd.Timestamp("2026-06-21T11:00Z")
PERIODS = 8


def two_windings() -> pp.pandapowerNet:
    """Two parallel transformers, one of them tapped on the low-voltage side, and a feeder."""
    net = pp.create_empty_network(sn_mva=10.0)
    hv, mv, end = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, hv, vm_pu=1.02, name="G")
    for name in ("T1", "T2"):
        pp.create_transformer(net, hv, mv, "25 MVA 110/20 kV", name=name)
    net.trafo["tap_changer_type"] = "Ratio"
    net.trafo.loc[1, "tap_side"] = "lv"
    pp.create_line(net, mv, end, 8.0, "NA2XS2Y 1x240 RM/25 12/20 kV", name="L")
    pp.create_load(net, end, 8.0, 2.0, name="D")
    return net


def three_windings() -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=10.0)
    hv, mv, lv = (pp.create_bus(net, kv) for kv in (110.0, 20.0, 10.0))
    pp.create_ext_grid(net, hv, vm_pu=1.03, name="G")
    pp.create_transformer3w(net, hv, mv, lv, "63/25/38 MVA 110/20/10 kV", name="T1")
    net.trafo3w["tap_changer_type"] = "Ratio"
    pp.create_load(net, mv, 8.0, 2.0, name="D")
    pp.create_load(net, lv, 6.0, 1.0, name="E")
    return net


def case_of(
    net: pp.pandapowerNet, table: str, names: list[str], deadband_pu: float, group: str, **cells: object
) -> gc.Case:
    loads = np.linspace(0.2, 30.0, PERIODS)
    starts = pd.date_range(START, periods=PERIODS, freq="15min")
    forecast = pd.DataFrame(
        {"element_type": "load", "element": "D", "start": starts, "p_mw": loads, "q_mvar": 0.3 * loads}
    )
    changers = pd.DataFrame(
        {"element_type": table, "element": names, "mode": "automatic", "vm_set_pu": 1.01,
         "deadband_pu": deadband_pu, "group": group, **cells}
    )  # fmt: skip
    return gc.Case.from_pandapower(
        net, start=START, periods=PERIODS, forecast=forecast, tap_changers=changers
    )


def settled_by_runpp(net: pp.pandapowerNet, table: str, load_mw: float, half_band: float) -> list[int]:
    """Positions where one regulator for all transformers of the table comes to rest, tap by tap."""
    net = copy.deepcopy(net)
    net.load.loc[0, ["p_mw", "q_mvar"]] = load_mw, 0.3 * load_mw
    frame = net[table]
    raises = np.where(frame.tap_side == "hv", -1, 1)
    for _ in range(100):
        pp.runpp(net, calculate_voltage_angles=True)
        off = net.res_bus.vm_pu.iloc[1] - 1.01
        if abs(off) <= half_band:
            break
        after = frame.tap_pos + raises * (-1 if off > 0 else 1)
        if (after < frame.tap_min).any() or (after > frame.tap_max).any():
            break
        frame["tap_pos"] = after.to_numpy()
    return frame.tap_pos.astype(int).tolist()


@pytest.mark.parametrize(
    ("make", "table", "names"),
    [(two_windings, "trafo", ["T1", "T2"]), (three_windings, "trafo3w", ["T1"])],
)
def test_groups_settle_as_a_loop_of_runpp_has_them(make, table: str, names: list[str]) -> None:
    net = make()
    flow = gc.power_flow(case_of(net, table, names, 0.034, "station"))
    assert flow.provenance["hunting"] == []
    for start, rows in flow.devices.groupby("start", sort=True):
        period = int((start - START) / pd.Timedelta("15min"))
        load = float(np.linspace(0.2, 30.0, PERIODS)[period])
        assert rows.position.tolist() == settled_by_runpp(net, table, load, 0.017)
    assert flow.devices.groupby("element").position.nunique().min() > 1


def test_a_regulator_ends_at_its_own_range() -> None:
    net = two_windings()
    flow = gc.power_flow(case_of(net, "trafo", ["T1", "T2"], 0.034, "station", tap_min=-1, tap_max=1))
    assert flow.devices.position.abs().max() == 1
    assert flow.status == "solved"


def test_a_dead_band_narrower_than_a_tap_is_named_and_ends() -> None:
    net = two_windings()
    flow = gc.power_flow(case_of(net, "trafo", ["T1", "T2"], 0.002, "station"))
    assert flow.status == "solved"
    assert len(flow.provenance["hunting"]) > 0
    moved = flow.devices.pivot_table(index="start", columns="element", values="position")
    # The members of a group move together: one raises where the other lowers its position.
    assert (moved["T1"] == -moved["T2"]).all()
