"""Cases that the tests of lights and flows share: the shipped ones with their oracle, and a tiny grid."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd

import gridclear as gc
from oracle.plain_grid import Problem, problem_of

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = ("mv-rural", "mv-urban", "hv-mixed")
START = pd.Timestamp("2024-05-01T10:00Z")
STEP = pd.Timedelta("15min")
BID_COLUMNS = (
    "bid", "element_type", "element", "start", "direction", "p_mw", "price_eur_mwh",
    "min_p_mw", "block", "tan_phi",
)  # fmt: skip


@functools.cache
def shipped_case(folder: Path) -> gc.Case:
    return gc.read_case(folder)


@functools.cache
def shipped_lights(folder: Path) -> gc.Qualification:
    return gc.qualify(shipped_case(folder), threads=1)


@functools.cache
def shipped_problem(folder: Path) -> Problem:
    return problem_of(shipped_case(folder), pp.from_json(str(folder / "grid.json")))


def stratified(lights: pd.DataFrame, count: int, rng: np.random.Generator) -> list[int]:
    """Rows in turn from every (light, kind) that there is, at random within each."""
    strata = [
        rng.permutation(rows.to_numpy()).tolist()
        for rows in lights.groupby(["light", "kind"]).groups.values()
    ]
    picked: list[int] = []
    while len(picked) < min(count, len(lights)):
        for rows in strata:
            if rows and len(picked) < count:
                picked.append(rows.pop())
    return picked


@functools.cache
def _tiny_net() -> pp.pandapowerNet:
    net = pp.create_empty_network(name="tiny", sn_mva=10.0)
    hv = pp.create_bus(net, 110.0, name="A")
    b, c, d, e = (pp.create_bus(net, 20.0, name=name) for name in "BCDE")
    pp.create_ext_grid(net, hv, vm_pu=1.02, name="grid")
    pp.create_transformer(net, hv, b, "25 MVA 110/20 kV", name="T", tap_pos=0)
    net.trafo["tap_changer_type"] = "Ratio"
    for name, one, other, km in (("BC", b, c, 3.0), ("CD", c, d, 6.0), ("BE", b, e, 8.0)):
        pp.create_line(net, one, other, km, "NA2XS2Y 1x150 RM/25 12/20 kV", name=name)
    pp.create_load(net, c, 1.0, 0.2, name="town")
    pp.create_load(net, d, 0.8, 0.2, name="village")
    pp.create_load(net, e, 2.0, 0.6, name="mill")
    pp.create_sgen(net, d, 1.5, name="park")
    pp.create_sgen(net, e, 0.5, name="farm")
    # Everybody can store: bids are to meet the limits of the grid, not those of their resources.
    net.load["min_p_mw"] = net.sgen["min_p_mw"] = -100.0
    return net


def tiny_net() -> pp.pandapowerNet:
    """A 110 kV, transformer T, feeders B-C-D and B-E at 20 kV; no limit stated in the grid."""
    return copy.deepcopy(_tiny_net())


def bid(
    name: str,
    element: str,
    direction: str,
    p_mw: float,
    *,
    period: int = 0,
    min_p_mw: float = np.nan,
    block: str = "",
    tan_phi: float = np.nan,
) -> tuple[object, ...]:
    """One row of ``active_bids``; elements of the tiny net by name, "" for transmission."""
    table = {"": "", "park": "sgen", "farm": "sgen"}.get(element, "load")
    return (name, table, element, START + period * STEP, direction, p_mw, 50.0, min_p_mw, block, tan_phi)


def forecast(*rows: tuple[str, list[float]]) -> pd.DataFrame:
    """Active power of loads of the tiny net by period."""
    return pd.DataFrame(
        [
            ("load", element, START + period * STEP, p_mw, np.nan)
            for element, values in rows
            for period, p_mw in enumerate(values)
        ],
        columns=["element_type", "element", "start", "p_mw", "q_mvar"],
    )


def regulator(vm_set_pu: float, deadband_pu: float = 0.02) -> pd.DataFrame:
    """Transformer T as an automatic tap changer."""
    return pd.DataFrame(
        {
            "element_type": ["trafo"],
            "element": ["T"],
            "mode": ["automatic"],
            "position": [0],
            "vm_set_pu": [vm_set_pu],
            "deadband_pu": [deadband_pu],
        }
    )


def outage(table: str, element: str, period: int) -> pd.DataFrame:
    """An element out of service for one period."""
    start = START + period * STEP
    return pd.DataFrame(
        {
            "element_type": [table],
            "element": [element],
            "start": [start],
            "end": [start + STEP],
            "state": ["out"],
        }
    )


def tiny_case(
    *bids: tuple[object, ...],
    periods: int = 1,
    limits: gc.Limits | None = None,
    net: pp.pandapowerNet | None = None,
    forecast: pd.DataFrame | None = None,
    outages: pd.DataFrame | None = None,
    tap_changers: pd.DataFrame | None = None,
    **tables: pd.DataFrame,
) -> gc.Case:
    """A case of the tiny net."""
    return gc.Case.from_pandapower(
        tiny_net() if net is None else net,
        name="tiny",
        start=START,
        periods=periods,
        limits=limits,
        forecast=forecast,
        outages=outages,
        tap_changers=tap_changers,
        active_bids=pd.DataFrame(bids, columns=list(BID_COLUMNS)) if bids else None,
        **tables,
    )
