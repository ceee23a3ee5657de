"""Three-winding transformers of which one winding is dead, tapped and not, against runpp."""

from __future__ import annotations

import numpy as np
import pandapower as pp
import pytest
from powerflow_support import assert_agrees


@pytest.mark.parametrize("tapped", [True, False])
@pytest.mark.parametrize("dead", ["hv", "mv", "lv", None])
def test_a_dead_winding_leaves_the_other_two_as_they_are(dead: str | None, *, tapped: bool) -> None:
    net = pp.create_empty_network()
    bus = {side: pp.create_bus(net, kv) for side, kv in (("hv", 110.0), ("mv", 20.0), ("lv", 10.0))}
    pp.create_ext_grid(net, bus["mv" if dead == "hv" else "hv"], vm_pu=1.02)
    pp.create_transformer3w(net, bus["hv"], bus["mv"], bus["lv"], "63/25/38 MVA 110/20/10 kV", tap_pos=-4)
    net.trafo3w["tap_changer_type"] = "Ratio"
    if not tapped:
        net.trafo3w[["tap_pos", "tap_changer_type"]] = [np.nan, None]
    net.trafo3w["shift_lv_degree"] = 30.0
    pp.create_load(net, bus["lv"], 5.0, 1.0)
    pp.create_load(net, bus["mv"], 4.0, 1.0)
    if dead is not None:
        net.bus.loc[bus[dead], "in_service"] = False
    assert_agrees(net)
