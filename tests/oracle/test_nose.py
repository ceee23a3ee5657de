"""The nose finder against the closed form of two buses."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pytest

from .nose import find


def test_two_buses() -> None:
    # |V|⁴ + (2(RP + XQ) - E²)|V|² + |Z|²|S|² = 0 with Q = 0 and E = 1: P* = (|Z| - R) / (2X²), |V*|² = 1/2
    # - RP*
    # (T. Van Cutsem and C. Vournas, Voltage Stability of Electric Power Systems, 1998, ch. 2).
    net = pp.create_empty_network()
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    pp.create_line_from_parameters(
        net, a, b, 10.0, r_ohm_per_km=0.2, x_ohm_per_km=0.4, c_nf_per_km=0.0, max_i_ka=1.0
    )
    pp.create_load(net, b, 10.0, 0.0)
    r, x = 2.0 / 400.0, 4.0 / 400.0
    expected = (np.hypot(r, x) - r) / (2.0 * x**2)
    nose = find(net)
    assert nose.solvable <= expected / 10.0
    assert nose.solvable == pytest.approx(expected / 10.0, rel=1e-4)
    assert nose.predicted == pytest.approx(expected / 10.0, rel=1e-5)
    assert nose.vm_pu[-1, b] == pytest.approx(np.sqrt(0.5 - r * expected), abs=1e-2)
    assert (np.diff(nose.vm_pu[:, b]) < 0.0).all()
