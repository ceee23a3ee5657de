"""A small clearing: a transformer with taps, a feeder, a bank, a storage, least amounts, losses that cost."""

from __future__ import annotations

import functools

import pandapower as pp
import pandas as pd

import gridclear as gc
from gridclear.network.compiled import compile_case
from gridclear.optimise.problem import build_problem
from gridclear.powerflow.base import base_state
from gridclear.powerflow.scenarios import Scenarios

STARTS = pd.date_range(
    "2026-03-02T10:00Z", periods=2, freq="15min"
)  # the second asks to absorb more than pays by losses alone
CABLE = "NA2XS2Y 1x240 RM/25 12/20 kV"


def small_net(*, ring=False):
    """One transformer and a feeder of five buses; ``ring`` closes it."""
    net = pp.create_empty_network(name="small", sn_mva=1.0)
    hv = pp.create_bus(net, 110.0, name="HV")
    buses = [pp.create_bus(net, 20.0, name=f"N{number}") for number in range(1, 6)]
    pp.create_ext_grid(net, hv, vm_pu=1.02, name="TSO")
    pp.create_transformer(net, hv, buses[0], std_type="25 MVA 110/20 kV", name="T")
    lines = [(0, 1, 4.0), (1, 2, 6.0), (0, 3, 5.0), (3, 4, 5.0), *([(2, 4, 3.0)] if ring else [])]
    for one, other, km in lines:
        pp.create_line(net, buses[one], buses[other], km, std_type=CABLE, name=f"K{one + 1}{other + 1}")
    for bus, p_mw in ((1, 3.0), (2, 2.0), (3, 4.0), (4, 1.5)):
        pp.create_load(net, buses[bus], p_mw, 0.3 * p_mw, name=f"L{bus + 1}")
    pp.create_sgen(net, buses[2], 5.0, name="wind", sn_mva=6.0)
    pp.create_sgen(net, buses[4], 4.0, name="sun", sn_mva=5.0)
    pp.create_storage(net, buses[3], 0.5, max_e_mwh=2.0, name="battery", sn_mva=2.0)
    pp.create_shunt(net, buses[0], q_mvar=-0.8, step=1, max_step=3, name="bank")
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.95, 1.05
    return net


def small_case(net=None, starts=STARTS, **changes):
    """The clearing of ``small_net`` over two quarter-hours."""
    offers = [
        ("A", "wind", "inject", 1.5, 6.0, 0.0),
        ("B", "sun", "inject", 1.2, 4.0, 0.9),
        ("C", "wind", "absorb", 1.5, 5.0, 0.5),
        ("D", "sun", "absorb", 1.2, 8.0, 0.0),
    ]
    bids = pd.DataFrame(
        [
            {
                "bid": bid,
                "element_type": "sgen",
                "element": element,
                "start": start,
                "direction": direction,
                "q_mvar": q_mvar,
                "price_eur_mvarh": price + number,
                "min_q_mvar": least,
            }
            for number, start in enumerate(starts)
            for bid, element, direction, q_mvar, price, least in offers
        ]
    )
    tables = {
        "reactive_bids": bids,
        "reactive_profile": pd.DataFrame(
            {"connection_point": "TSO", "start": starts, "q_mvar": [1.2, 3.4], "tolerance_mvar": 0.05}
        ),
        "connection_points": pd.DataFrame(
            {"connection_point": ["TSO"], "element": ["TSO"], "p_max_mw": [20.0], "s_max_mva": [25.0]}
        ),
        "tap_changers": pd.DataFrame(
            {
                "element_type": ["trafo"],
                "element": ["T"],
                "mode": ["optimised"],
                "max_moves": [3],
                "cost_per_move_eur": [0.8],
            }
        ),
        "capacitor_banks": pd.DataFrame(
            {"element": ["bank"], "mode": ["optimised"], "max_moves": [3], "cost_per_move_eur": [0.4]}
        ),
        "storage": pd.DataFrame(
            {
                "element": ["battery"],
                "p_mode": ["optimised"],
                "p_min_mw": [-1.0],
                "p_max_mw": [1.0],
                "e_min_mwh": [0.0],
                "e_max_mwh": [2.0],
                "e_start_mwh": [1.0],
                "e_end_min_mwh": [1.0],
                "efficiency_charge": [0.95],
                "efficiency_discharge": [0.95],
            }
        ),
    }
    return gc.Case.from_pandapower(
        small_net() if net is None else net,
        name="small",
        start=starts[0],
        periods=len(starts),
        prices=gc.Prices(losses_eur_mwh=60.0),
        **(tables | changes),
    )


@functools.cache
def small_problem(*, ring=False):
    return problem_of(small_case(small_net(ring=ring)))


def problem_of(case, market="reactive"):
    scenarios = Scenarios(compile_case(case), 1)
    return build_problem(
        scenarios,
        base_state(scenarios),
        devices="optimised",
        market=market,
        losses_eur_mwh=case.prices.losses_eur_mwh,
    )
