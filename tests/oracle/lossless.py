"""A grid whose exchange is plain arithmetic, for tests of the oracles by hand.

External grid "grid" at A, a reactance A-B, 3 MW of load at B; a spur B-C with a plant at nothing. There are
no losses of active power: the exchange is 3 MW less what bids add. The only limit that binds is p_min_mw of
the exchange (and p_max_mw if given): `ROOM` MW may be added altogether.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandapower as pp
import pandas as pd

from .plain_grid import Problem

T0 = pd.Timestamp("2024-05-01T10:00Z")
T1 = T0 + pd.Timedelta("15min")
LOAD_MW = 3.0
ROOM = 2.0


@cache
def lossless_net() -> pp.pandapowerNet:
    net = pp.create_empty_network(sn_mva=1.0)
    a, b, c = (pp.create_bus(net, 20.0, name=name) for name in "ABC")
    pp.create_ext_grid(net, a, vm_pu=1.0, name="grid")
    for name, one, other in (("AB", a, b), ("BC", b, c)):
        pp.create_line_from_parameters(
            net, one, other, length_km=1.0, r_ohm_per_km=0.0, x_ohm_per_km=0.3, c_nf_per_km=0.0, max_i_ka=9.0,
            name=name,
        )  # fmt: skip
    pp.create_load(net, b, LOAD_MW, 0.0, name="town")
    pp.create_sgen(net, c, 0.0, 0.0, name="park")
    return net


def offer(
    bid: str,
    p_mw: float,
    price: float = 50.0,
    *,
    direction: str = "up",
    element: str = "town",
    start: pd.Timestamp = T0,
    min_p_mw: float = np.nan,
    block: str = "",
    exclusive: str = "",
) -> dict[str, object]:
    """One row of ``active_bids``."""
    table = "sgen" if element == "park" else "load"
    return {"bid": bid, "element_type": table, "element": element, "start": start, "direction": direction,
            "p_mw": p_mw, "price_eur_mwh": price, "min_p_mw": min_p_mw, "block": block, "tan_phi": np.nan,
            "exclusive": exclusive}  # fmt: skip


def problem(
    *offers: dict[str, object],
    room: float = ROOM,
    p_max_mw: float = np.nan,
    outages: pd.DataFrame | None = None,
    forecast: pd.DataFrame | None = None,
) -> Problem:
    """The lossless grid with these bids."""
    points = {"connection_point": ["grid"], "element": ["grid"], "p_min_mw": [LOAD_MW - room],
              "p_max_mw": [p_max_mw]}  # fmt: skip
    return Problem(
        lossless_net(),
        active_bids=pd.DataFrame(offers),
        connection_points=pd.DataFrame(points),
        outages=pd.DataFrame() if outages is None else outages,
        forecast=pd.DataFrame() if forecast is None else forecast,
        vm_min_pu=0.5,
        vm_max_pu=1.5,
    )


def loads(*p_mw: float) -> pd.DataFrame:
    """Forecast of the town's load, period by period."""
    starts = [T0 + k * pd.Timedelta("15min") for k in range(len(p_mw))]
    return pd.DataFrame({"element_type": "load", "element": "town", "start": starts, "p_mw": p_mw})


def published(of: Problem, *accepted_mw: float) -> pd.DataFrame:
    """``tlq.lights`` with these amounts, all stopped by the exchange."""
    bids = of.active_bids
    amounts = np.array(accepted_mw)
    colour = np.where(amounts == bids["p_mw"], "green", np.where(amounts > 0.0, "yellow", "red"))
    return pd.DataFrame(
        {"bid": bids["bid"], "start": bids["start"], "light": colour, "offered_mw": bids["p_mw"],
         "accepted_mw": amounts, "kind": "exchange", "element_type": "ext_grid", "element": "grid"}
    )  # fmt: skip
