"""What one operator tells the other of its grid: forecast by technology, short-circuit power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gridclear.case.schema import INJECTING
from gridclear.jobs.result import Result, Stopwatch, provenance
from gridclear.network.compiled import CompiledCase, compile_case
from gridclear.network.injections import element_powers
from gridclear.network.outages import bus_positions, in_service
from gridclear.network.reactions import refuse_reactions
from gridclear.network.short_circuit import short_circuits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gridclear.case import Case

_NOT_FED = ""
#: Ways to connect three phases stand in the same column, and are no technologies.
_CONNECTIONS = ("wye", "delta")


@dataclass(frozen=True, eq=False)
class Outlook(Result):
    """Forecast by technology, and short-circuit power.

    ``status`` is ``complete``: what the grid states no data for says so in its row.

    Attributes
    ----------
    technologies : DataFrame
        start, connection_point, element_type, technology, elements, p_mw, q_mvar: the forecast of the
        elements in service, in pandapower's signs, summed by ``type`` of the grid table ("" where it states
        none, or only how phases are connected). ``connection_point``: the points that feed them, joined by
        " + " where a mesh hangs on several; "" for what is not fed. ``q_mvar`` of a gen is NaN: its voltage
        decides it.
    short_circuit : DataFrame
        start, connection_point, case, ikss_ka, skss_mva, state, reason: initial three-phase short-circuit
        current and power at the point, ``max`` and ``min``. ``state``: ``computed`` or ``no-data``.
    """

    technologies: pd.DataFrame
    short_circuit: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The result tables by name."""
        return {"technologies": self.technologies, "short_circuit": self.short_circuit}


def outlook(case: Case, *, compiled: CompiledCase | None = None) -> Outlook:
    """Sum up the forecast by technology, and compute the short-circuit power at the connection points.

    Parameters
    ----------
    case : Case
        Not changed.
    compiled : CompiledCase, optional
        What ``compile_case(case)`` gave, to spare compiling again.

    Returns
    -------
    Outlook

    Raises
    ------
    CaseError
        The grid holds what gridclear does not represent, or an inverter follows a curve: its reactive power
        is in no forecast.

    Notes
    -----
    Short circuits are those of IEC 60909 by pandapower, in the topology of the period; planned outages of
    loads, generators and storages play no part in them.
    """
    watch = Stopwatch()
    with watch.phase("compile"):
        compiled = compile_case(case) if compiled is None else compiled
        refuse_reactions(case, "no outlook")
    with watch.phase("technologies"):
        technologies = _technologies(compiled)
    with watch.phase("short_circuit"):
        faults = _short_circuit(case)
    return Outlook("complete", provenance("outlook", case, {}, watch), technologies, faults)


def _technologies(compiled: CompiledCase) -> pd.DataFrame:
    case = compiled.case
    feeders, buses = _feeders(compiled)[compiled.topology], bus_positions(case.grid)
    frames = []
    for table in INJECTING:
        frame = case.grid.tables[table]
        if not len(frame):
            continue
        p_mw, q_mvar = element_powers(case, table)
        count, periods = len(frame), case.horizon.periods
        stated = frame["type"] if "type" in frame else pd.Series("", index=frame.index)
        kind = stated.where(stated.notna() & ~stated.isin(_CONNECTIONS), "").astype(str)
        frames.append(
            pd.DataFrame(
                {
                    "start": case.horizon.starts.repeat(count),
                    "connection_point": feeders[:, buses.loc[frame["bus"]].to_numpy()].ravel(),
                    "element_type": table,
                    "technology": np.tile(kind.to_numpy(dtype=object), periods),
                    "elements": 1,
                    "p_mw": p_mw.ravel(),
                    "q_mvar": np.nan if table == "gen" else q_mvar.ravel(),
                }
            )[in_service(case, table).ravel()]
        )
    every = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["start"])
    keys = ["start", "connection_point", "element_type", "technology"]
    sums = every.groupby(keys, sort=True)[["elements", "p_mw", "q_mvar"]].sum(min_count=1)
    return sums.reset_index()


def _feeders(compiled: CompiledCase) -> NDArray[np.object_]:
    """Name the connection points that feed each bus, (topology, bus)."""
    names = compiled.case.connection_points["connection_point"].to_numpy(dtype=object)
    found = np.full((len(compiled.networks), compiled.networks[0].n_bus), _NOT_FED, dtype=object)
    for number, (network, limits) in enumerate(zip(compiled.networks, compiled.limits, strict=True)):
        one, other, nodes = network.structure.from_node, network.structure.to_node, network.n_node
        links = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(nodes, nodes))
        part = connected_components(links, directed=False)[1]
        of_part: dict[int, list[str]] = {}
        for point, node in zip(limits.point.tolist(), limits.point_node.tolist(), strict=True):
            of_part.setdefault(int(part[node]), []).append(str(names[point]))
        for bus, node in enumerate(network.structure.node_of_bus.tolist()):
            if node >= 0:
                found[number, bus] = " + ".join(of_part.get(int(part[node]), []))
    return found


def _short_circuit(case: Case) -> pd.DataFrame:
    faults, topology = short_circuits(case)
    names = case.connection_points["connection_point"].tolist()
    rows = [
        (
            start,
            names[fault.point],
            fault.case,
            fault.ikss_ka,
            fault.skss_mva,
            "no-data" if fault.reason else "computed",
            fault.reason,
        )
        for start, number in zip(case.horizon.starts, topology.tolist(), strict=True)
        for fault in faults
        if fault.topology == number
    ]
    columns = ["start", "connection_point", "case", "ikss_ka", "skss_mva", "state", "reason"]
    return pd.DataFrame(rows, columns=columns)
