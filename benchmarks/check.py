"""The judge: nodal power mismatch of any peer's voltages, from pandapower's admittances alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pandapower.pypower.makeYbus import makeYbus
from scipy import sparse
from scipy.sparse.linalg import splu

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandapower import pandapowerNet

    from .year import States, Year

BLOCK = 1_024  # scenarios at a time


@dataclass(frozen=True, eq=False)
class NodalModel:
    """Admittances between the electrical nodes that carry buses.

    Parameters
    ----------
    y : sparse complex array [node, node]
        Nodal admittances in p.u. Nodes that pandapower adds behind the open ends of lines are eliminated.
    node : integer array [bus]
        Node of each bus in the order of ``net.bus``; buses behind closed bus-bus switches share one.
    slack : bool array [node]
        Whether an external grid holds the node's voltage.
    base_mva : float
        Power of 1 p.u.
    """

    y: sparse.csr_array
    node: NDArray[np.int64]
    slack: NDArray[np.bool_]
    base_mva: float

    @classmethod
    def of(cls, net: pandapowerNet) -> NodalModel:
        """Build from a net that ``runpp`` has solved (its internal tables stay in the net)."""
        ppc, lookup = net["_ppc"], net["_pd2ppc_lookups"]["bus"]
        full = sparse.csc_array(makeYbus(ppc["baseMVA"], ppc["bus"], ppc["branch"])[0])
        kept, node = np.unique(lookup[net.bus.index], return_inverse=True)
        added = np.setdiff1d(np.flatnonzero(np.diff(full.indptr)), kept)
        y = full[kept, :][:, kept]
        if len(added):
            inner = splu(sparse.csc_matrix(full[added, :][:, added]))
            y = y - full[kept, :][:, added] @ sparse.csc_array(inner.solve(full[added, :][:, kept].toarray()))
        slack = np.isin(kept, lookup[net.ext_grid["bus"]])
        return cls(sparse.csr_array(y), node, slack, float(ppc["baseMVA"]))


def worst_mismatch_mva(year: Year, states: States, model: NodalModel) -> float:
    """Largest apparent power, in MVA, missing at any node in any scenario; infinite if a voltage is NaN."""
    nodes = model.y.shape[0]
    first_bus = np.unique(model.node, return_index=True)[1]
    worst = 0.0
    for start in range(0, year.scenarios, BLOCK):
        block = slice(start, start + BLOCK)
        injected = np.zeros((nodes, len(year.elements[0].p_mw[block])), dtype=complex)
        for e in year.elements:
            np.add.at(injected, model.node[e.bus], e.sign * e.p_mw[block].T)
            if e.q_mvar is not None:
                np.add.at(injected, model.node[e.bus], 1j * e.sign * e.q_mvar[block].T)
        v = (states.vm_pu[block] * np.exp(1j * np.deg2rad(states.va_degree[block])))[:, first_bus].T
        missing = np.abs(v * np.conj(model.y @ v) * model.base_mva - injected)[~model.slack]
        if not np.isfinite(missing).all():
            return float("inf")
        worst = max(worst, float(missing.max()))
    return worst
