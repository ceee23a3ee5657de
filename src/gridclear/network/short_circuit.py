"""Short-circuit currents at the connection points, by pandapower's IEC 60909."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from pandapower.shortcircuit import calc_sc

from gridclear.network.compile import switched
from gridclear.network.convert import pandapower_net
from gridclear.network.outages import topologies

if TYPE_CHECKING:
    from gridclear.case import Case
    from gridclear.network.network import Ints

CASES = ("max", "min")
_GEN = ("sn_mva", "vn_kv", "rdss_ohm", "xdss_pu", "cos_phi", "pg_percent")
_MOTOR = ("vn_kv", "lrc_pu", "efficiency_n_percent", "cos_phi_n", "rx", "pn_mech_mw")


#: Current and power by bus, and why there are none.
_Solved = tuple[dict[int, float], dict[int, float], str]


class Fault(NamedTuple):
    """Three-phase short circuit at one connection point in one topology.

    Attributes
    ----------
    topology, point : int
        Row of the topology, and of ``connection_points``.
    case : {"max", "min"}
    ikss_ka, skss_mva : float
        Initial current and power; NaN where there is none.
    reason : str
        Why there is none.
    """

    topology: int
    point: int
    case: str
    ikss_ka: float
    skss_mva: float
    reason: str


def short_circuits(case: Case) -> tuple[list[Fault], Ints]:
    """Compute three-phase short circuits at every connection point, in every topology of the horizon.

    Parameters
    ----------
    case : Case

    Returns
    -------
    list of Fault
    (period,) of int
        Which topology stands in each period.

    Notes
    -----
    Initial symmetrical current by IEC 60909 as ``pandapower.shortcircuit.calc_sc`` has it, tolerance of the
    voltage in low-voltage grids 10 %. Infeed of the external grids and of everything behind the point.
    """
    changes, topology = topologies(case)
    net = pandapower_net(case.grid)
    elements = [case.grid.lookup("ext_grid")[name] for name in case.connection_points["element"]]
    found = []
    for number, change in enumerate(changes):
        own = switched(net, change)
        for kind in CASES:
            missing = _missing(own, kind)
            current, power, reason = (
                _nothing(f"the grid states no {missing}")
                if missing
                else _solved(own, own.ext_grid.loc[elements, "bus"], kind)
            )
            for point, element in enumerate(elements):
                bus = int(own.ext_grid["bus"].loc[element])
                ikss = current.get(bus, np.nan)
                why = reason or ("" if np.isfinite(ikss) else "the point is not fed")
                found.append(Fault(number, point, kind, ikss, power.get(bus, np.nan), why))
    return found, topology


def _nothing(reason: str) -> _Solved:
    return {}, {}, reason


def _solved(net: Any, buses: pd.Series, kind: str) -> _Solved:  # noqa: ANN401  pandapower has no types
    """Give current and power by bus, or why there is none."""
    try:
        calc_sc(net, bus=np.unique(buses.to_numpy()), case=kind)
    except (ValueError, UserWarning, NotImplementedError) as fault:  # pandapower's words for missing data
        return _nothing(f"pandapower: {' '.join(str(fault).split())}")
    result = net.res_bus_sc
    return result["ikss_ka"].to_dict(), result["skss_mw"].to_dict(), ""


def _missing(net: Any, kind: str) -> str:  # noqa: ANN401
    """Name the first column that is needed and that an element in service lacks; "" if there is none."""
    needed: list[tuple[str, pd.DataFrame, tuple[str, ...]]] = [
        ("ext_grid", net.ext_grid, (f"s_sc_{kind}_mva", f"rx_{kind}")),
        ("gen", net.gen, _GEN),
    ]
    if kind == "max":
        converters = net.sgen[[source is not False for source in net.sgen["current_source"].tolist()]]
        needed += [("sgen", converters, ("sn_mva", "k")), ("motor", net.motor, _MOTOR)]
    else:
        needed.append(("line", net.line, ("endtemp_degree",)))
    for table, frame, columns in needed:
        works = frame[frame["in_service"].astype(bool)]
        for column in columns:
            given = works[column] if column in works else pd.Series(np.nan, index=works.index)
            if pd.to_numeric(given, errors="coerce").isna().any():
                return f"{column} of {table}"
    return ""
