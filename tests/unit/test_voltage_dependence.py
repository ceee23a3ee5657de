"""Loads that depend on the voltage: what runpp makes of their shares, bus by bus and period by period."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from element_nets import constant_powers, dcline, generators, ring, xward
from network_support import assert_network_agrees

import gridclear as gc
from gridclear.case import Case, Grid
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.network.injections import base_injections

SHARES = ["const_z_p_percent", "const_i_p_percent", "const_z_q_percent", "const_i_q_percent"]
START = pd.Timestamp("2026-06-21T11:00Z")


def ring_in_service() -> pp.pandapowerNet:
    net = ring()
    net.bus.loc[7, "in_service"] = False
    return net


def case_of(net: pp.pandapowerNet, **tables: pd.DataFrame) -> Case:
    """A case of two periods; no check stands between it and loads that the kernels do not take yet."""
    plain = pp.pandapowerNet(net)
    plain.load = net.load.assign(**dict.fromkeys(SHARES, 0.0))
    case = Case.from_pandapower(plain, start=START, periods=2, **tables)
    return dataclasses.replace(case, grid=Grid.from_pandapower(net))


def power_at(compiled: CompiledCase, net: pp.pandapowerNet, period: int) -> np.ndarray:
    """Injection (bus,) in MVA at the voltages of runpp, without what the network holds as constant."""
    vm = np.nan_to_num(net.res_bus.vm_pu.to_numpy())
    p, q = (
        getattr(compiled, name)[period]
        + getattr(compiled, f"{name}_current")[period] * vm
        + getattr(compiled, f"{name}_impedance")[period] * vm**2
        for name in ("p", "q")
    )
    network = compiled.networks[compiled.topology[period]]
    return (p + 1j * q) * net.sn_mva - network.constant_power


def assert_period_agrees(net: pp.pandapowerNet, compiled: CompiledCase, period: int) -> None:
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    assert_network_agrees(net, power_at(compiled, net, period))


def mixed() -> pp.pandapowerNet:
    """Shares that differ from load to load, at buses with every other kind of element."""
    net = ring_in_service()
    pp.create_load(net, 3, 0.5, 0.2)
    pp.create_load(net, 3, 0.5, 0.2, in_service=False)
    constant_powers(net)
    dcline(net)
    xward(net)
    rng = np.random.default_rng(3)
    for column in SHARES:
        net.load[column] = rng.uniform(0, 50, len(net.load)).round()
    net.load.loc[net.load.bus == 2, SHARES] = 0.0
    return net


def test_shares_are_applied_as_runpp_applies_them() -> None:
    net = mixed()
    assert_period_agrees(net, compile_case(case_of(net)), 0)


def test_generators_do_not_depend_on_the_voltage() -> None:
    net = ring_in_service()
    generators(net)
    net.gen = net.gen[~net.gen.bus.isin([0, 7])]  # a dead bus; a connection point
    net.load[SHARES] = [40.0, 30.0, 20.0, 70.0]
    assert_period_agrees(net, compile_case(case_of(net)), 0)


def test_every_period_has_the_shares_of_the_loads_that_work() -> None:
    net = mixed()
    element = str(Grid.from_pandapower(net).labels("load").loc[6])
    outage = {"element_type": "load", "element": element, "state": "out"}
    outages = pd.DataFrame([{**outage, "start": START, "end": START + pd.Timedelta("15min")}])
    forecast = pd.DataFrame(
        [{"element_type": "load", "element": "load 3", "start": START, "p_mw": 2.5, "q_mvar": 0.4},
         {"element_type": "load", "element": "load 3", "start": START + pd.Timedelta("15min"), "p_mw": 0.4,
          "q_mvar": -0.1}]
    )  # fmt: skip
    compiled = compile_case(case_of(net, outages=outages, forecast=forecast))
    net.load.loc[3, ["p_mw", "q_mvar"]] = [0.4, -0.1]
    assert_period_agrees(net, compiled, 1)
    net.load.loc[3, ["p_mw", "q_mvar"]] = [2.5, 0.4]
    net.load.loc[6, "in_service"] = False
    assert_period_agrees(net, compiled, 0)


def test_joined_buses_have_their_shares_in_common() -> None:
    net = ring_in_service()
    pp.create_bus(net, 20.0)
    pp.create_switch(net, 4, 8, et="b")
    pp.create_sgen(net, 8, 1.0, 0.2)
    net.load[SHARES] = [40.0, 30.0, 20.0, 70.0]
    assert_period_agrees(net, compile_case(case_of(net)), 0)
    pp.create_load(net, 8, 0.2, 0.1)
    with pytest.raises(gc.CaseError, match="which switches join, depend on the voltage in different shares"):
        base_injections(case_of(net))
    net.load.loc[len(net.load) - 1, SHARES] = [40.0, 30.0, 20.0, 70.0]
    assert_period_agrees(net, compile_case(case_of(net)), 0)


def test_without_shares_nothing_depends_on_the_voltage() -> None:
    case = case_of(ring_in_service())
    injections, compiled = base_injections(case), compile_case(case)
    assert injections.shares is None
    assert not injections.p_current_mw.any()
    assert not injections.q_impedance_mvar.any()
    assert injections.p_impedance_mw.shape == injections.p_mw.shape
    assert compiled.p_current is None
    assert compiled.q_impedance is None


def test_flow_and_lights_of_a_case_are_those_of_runpp() -> None:
    net = mixed()
    element = str(Grid.from_pandapower(net).labels("load").loc[3])
    bids = pd.DataFrame(
        [{"bid": "B", "element_type": "load", "element": element, "start": START, "direction": "down",
          "p_mw": 0.3, "price_eur_mwh": 10.0, "tan_phi": 0.5}]
    )  # fmt: skip
    case = Case.from_pandapower(net, start=START, periods=1, active_bids=bids)
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    flow = gc.power_flow(case)
    live = net.res_bus.vm_pu.notna()
    np.testing.assert_allclose(flow.buses.vm_pu, net.res_bus.vm_pu[live], rtol=0, atol=1e-8)
    light = gc.qualify(case).lights.iloc[0]
    assert light.light == "green"
    at = net.bus.index[(Grid.from_pandapower(net).labels("bus") == light.element).to_numpy()]
    net.load.loc[3, ["p_mw", "q_mvar"]] += [0.3 / net.load.scaling[3], 0.15 / net.load.scaling[3]]
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10)
    assert light.element_type == "bus"
    assert light.value == pytest.approx(net.res_bus.vm_pu[at].iloc[0], abs=1e-7)


def test_the_constant_powers_of_a_period_are_those_of_its_topology() -> None:
    net = ring_in_service()
    dcline(net)
    net.dcline["name"] = ["D0", "D1", "D2"]
    pp.create_xward(net, 3, 0.4, 0.1, 0.2, -0.1, 0.8, 4.0, 1.01, name="X0")
    out = {"element_type": "bus", "element": "bus 3", "state": "out", "start": START}
    outages = pd.DataFrame([{**out, "end": START + pd.Timedelta("15min")}])
    compiled = compile_case(case_of(net, outages=outages))
    assert compiled.p[1, 3] - compiled.p[0, 3] == pytest.approx(-0.4 / 10.0)
