"""Injections of a pandapower net, and the comparison with runpp that the power-flow tests share."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc


def injections(net: pp.pandapowerNet) -> tuple[np.ndarray, np.ndarray]:
    """Net injections (bus,) in MW and Mvar of what stands in the element tables, by the order of net.bus."""
    place = pd.Series(np.arange(len(net.bus)), index=net.bus.index)
    p, q = np.zeros(len(net.bus)), np.zeros(len(net.bus))
    for table, sign in (("load", -1.0), ("sgen", 1.0), ("storage", -1.0), ("gen", 1.0)):
        frame = net[table]
        frame = frame[frame.in_service.astype(bool)]
        scaling = frame.scaling.to_numpy(float)
        at = place.loc[frame.bus].to_numpy()
        np.add.at(p, at, sign * frame.p_mw.to_numpy(float) * scaling)
        if "q_mvar" in frame:
            np.add.at(q, at, sign * frame.q_mvar.to_numpy(float) * scaling)
    return p, q


def assert_agrees(net: pp.pandapowerNet, *, vm_pu: float = 1e-8, va_degree: float = 1e-6) -> gc.States:
    """gridclear and runpp agree on every bus, line and transformer; dead buses are dead in both."""
    pp.runpp(
        net, calculate_voltage_angles=True, tolerance_mva=1e-10, voltage_depend_loads=False, max_iteration=50
    )
    network = gc.compile_network(net)
    p, q = injections(net)
    states = gc.solve_batch(network, p[None], q[None], threads=1)
    assert states.status[0] == "solved"
    assert states.mismatch_mva[0] <= 1e-6
    expected = net.res_bus.vm_pu.to_numpy()
    assert (np.isnan(states.vm_pu[0]) == np.isnan(expected)).all()
    np.testing.assert_allclose(states.vm_pu[0], expected, rtol=0, atol=vm_pu)
    turn = (states.va_degree[0] - net.res_bus.va_degree.to_numpy() + 180.0) % 360.0 - 180.0
    assert np.nanmax(np.abs(turn)) <= va_degree
    labels = network.labels
    for table, columns in (("line", ("i_from_ka", "i_to_ka")), ("trafo", ("i_hv_ka", "i_lv_ka"))):
        mine = labels.element_type == table
        results = net[f"res_{table}"].loc[labels.element[mine]]
        for computed, column in zip((states.i_from_ka, states.i_to_ka), columns, strict=True):
            np.testing.assert_allclose(computed[0, mine], results[column].to_numpy(), rtol=0, atol=1e-7)
    return states
