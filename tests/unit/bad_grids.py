"""A net with one element of each kind, and what is wrong with it once it has been spoilt."""

from __future__ import annotations

import copy
import functools

import case_support as support
import numpy as np
import pandapower as pp
import pytest

import gridclear as gc
from gridclear.case import Case
from gridclear.errors import CaseError


@functools.cache
def _every_kind():
    """One element of each kind; the transformers side by side have fitting vector groups."""
    net = support.tiny_net()
    n6, n7, n10 = (
        pp.create_bus(net, kv, name=name) for name, kv in (("N6", 20.0), ("N7", 20.0), ("N10", 10.0))
    )
    pp.create_transformer3w(net, 0, n6, n10, std_type="63/25/38 MVA 110/20/10 kV", name="T3")
    net.trafo3w["shift_mv_degree"] = 150.0
    net.trafo3w["tap_changer_type"] = "Ratio"
    pp.create_impedance(net, 3, n6, 0.01, 0.02, 10.0, name="Z1")
    pp.create_switch(net, n6, n7, et="b", closed=True, z_ohm=0.1, name="Qz")
    pp.create_ward(net, 4, 0.1, 0.1, 0.1, 0.1, name="WD")
    pp.create_motor(net, 4, 0.1, 0.9, name="M")
    pp.create_asymmetric_load(net, 4, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, name="AL")
    pp.create_asymmetric_sgen(net, 4, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, name="AS")
    pp.create_xward(net, 4, 0.1, 0.1, 0.1, 0.1, 1.0, 5.0, 1.0, name="XW")
    pp.create_dcline(net, 4, 5, 0.5, 1.0, 0.01, 1.0, 1.0, name="DC")
    second = {"side": "lv", "neutral": 0, "min": -5, "max": 5, "step_percent": 1.0, "step_degree": 0.0,
              "pos": 0, "changer_type": "Ratio"}  # fmt: skip
    for name, value in second.items():
        net.trafo[f"tap2_{name}"] = value
    return net


def every_kind():
    return copy.deepcopy(_every_kind())


def spoil(net, table, column, value):
    """Put a value into the last cell of a column; give the element's name in issues."""
    frame = net[table]
    frame[column] = frame[column].astype(object)
    frame.loc[frame.index[-1], column] = value
    return f"{table} '{frame['name'].iloc[-1]}'"


def issues_of(net):
    """What ``compile_network`` refuses, after a look that a case refuses it too."""
    with pytest.raises(CaseError) as caught:
        gc.compile_network(net)
    assert set(caught.value.issues) <= set(case_issues(net))
    return caught.value.issues


def case_issues(net):
    try:
        Case.from_pandapower(net, start="2026-06-21T10:00Z", periods=1)
    except CaseError as error:
        return error.issues
    return ()


def places(net):
    return [(issue.row, issue.column) for issue in issues_of(net)]


def voltages(net):
    network = gc.compile_network(net)
    nothing = np.zeros((1, network.n_bus))
    states = gc.solve_batch(network, nothing, nothing, threads=1)
    assert states.status[0] == "solved"
    return states.vm_pu[0] * np.exp(1j * np.deg2rad(states.va_degree[0]))
