"""Inverters on reaction curves by pandapower alone: ``runpp`` until every one is on its curve.

The curves stand in the net itself, in its table ``reactions``, so that every oracle that solves a net follows
them: see `plain_grid.solve`. Read here as follows:

- The reactive power of an inverter that has a curve is that of the curve, whatever the grid or a forecast
  says, within the circle of ``s_max_mva`` at its active power; beyond the circle it is nothing.
- Its active power is the element's own, scaled, and that of all activations of bids on the element.
- The voltage is that of the element's bus. Beyond the ends a curve is flat.

`Inverters` says the same of many states at once, for `fast_states`.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandapower as pp

ON_THE_CURVE_MVAR = 1e-9
ROUNDS = 200


def with_reactions(net: pp.pandapowerNet, inverters: pd.DataFrame, curves: pd.DataFrame) -> pp.pandapowerNet:
    """The net with the tables of a case written into it as its own."""
    curved = copy.deepcopy(net)
    rows = []
    for row in inverters.to_dict("records"):
        own = curves[curves["curve"] == row["reaction"]]
        column = "vm_pu" if own["vm_pu"].notna().any() else "p_pu"
        own = own.sort_values(column)
        sgen = curved.sgen.index[curved.sgen["name"] == row["element"]][0]
        points = (own[column].to_numpy(), own["q_pu"].to_numpy())
        rows.append({"sgen": sgen, "s_max_mva": row["s_max_mva"], "column": column, "points": points})
    curved["reactions"] = pd.DataFrame(rows)
    curved.sgen["moves"] = -1
    return curved


def follow(net: pp.pandapowerNet, run: Callable[[pp.pandapowerNet], bool]) -> bool:
    """Solve with all inverters on their curves; False where a power flow has no solution.

    Broyden's method on the distance from the curves, begun, and begun anew where it gets lost, with small
    steps towards them.
    """
    inverters = net["reactions"]
    index = inverters["sgen"].to_numpy()
    small = 0.3 * np.eye(len(index))
    inverse, before, gap_before, q_before = small, np.inf, None, None
    for _ in range(ROUNDS):
        if not run(net):
            return False
        q = net.sgen["q_mvar"].loc[index].to_numpy()
        gap = wanted(net) - q
        if np.abs(gap).max() <= ON_THE_CURVE_MVAR:
            return True
        if np.abs(gap).max() > 0.9 * before:
            inverse = small
        elif gap_before is not None:
            moved, closed = q - q_before, gap_before - gap
            scale = moved @ inverse @ closed
            if abs(scale) > 1e-12 * (moved @ moved):
                inverse = inverse + np.outer(moved - inverse @ closed, moved @ inverse) / scale
        gap_before, q_before, before = gap, q, np.abs(gap).max()
        net.sgen.loc[index, "q_mvar"] = q + inverse @ gap
    raise RuntimeError("the oracle finds no state in which every inverter is on its curve")


class Inverters:
    """The inverters of a net under shares of units: what they give, and how it changes with the voltage.

    ``bus`` is (inverter,), an index of ``net.bus``; ``offers`` is (unit, inverter), MW of the whole unit on
    each inverter's element.
    """

    def __init__(self, net: pp.pandapowerNet, offers: np.ndarray) -> None:
        own = net.sgen.loc[net["reactions"]["sgen"]]
        self.bus, self.works = own["bus"].to_numpy(), own["in_service"].to_numpy()
        self.given_mvar = np.where(self.works, own["q_mvar"] * own["scaling"], 0.0)
        self.p_mw, self.offers = (own["p_mw"] * own["scaling"]).to_numpy(), offers
        self.rating = net["reactions"]["s_max_mva"].to_numpy()
        self.by_voltage = (net["reactions"]["column"] == "vm_pu").to_numpy()
        self.points = list(net["reactions"]["points"])

    def reactive(self, vm_pu: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mvar at voltages, and Mvar per p.u. of voltage; both and ``vm_pu`` are (inverter, point)."""
        p_mw = self.p_mw[:, None] + (x @ self.offers).T
        rating = self.rating[:, None]
        room = np.sqrt(np.maximum(rating**2 - p_mw**2, 0.0))
        at = np.where(self.by_voltage[:, None], vm_pu, p_mw / rating)
        q, rise = np.empty(at.shape), np.zeros(at.shape)
        for k, (xs, ys) in enumerate(self.points):
            q[k] = self.rating[k] * np.interp(at[k], xs, ys)
            if self.by_voltage[k]:
                slope = np.concatenate([[0.0], np.diff(ys) / np.diff(xs), [0.0]])
                rise[k] = self.rating[k] * slope[np.searchsorted(xs, at[k])]
        works = self.works[:, None]
        return np.where(works, np.clip(q, -room, room), 0.0), np.where(works & (np.abs(q) <= room), rise, 0.0)


def wanted(net: pp.pandapowerNet) -> np.ndarray:
    """What each inverter should give at the voltages of the results, Mvar."""
    found = []
    for row in net["reactions"].itertuples():
        own, mine = net.sgen.loc[row.sgen], net.sgen[net.sgen["moves"] == row.sgen]
        vm_pu = net.res_bus["vm_pu"].loc[own["bus"]]
        if not own["in_service"] or np.isnan(vm_pu):
            found.append(0.0)
            continue
        p_mw = own["p_mw"] * own["scaling"] + (mine["p_mw"] * mine["scaling"]).sum()
        at = vm_pu if row.column == "vm_pu" else p_mw / row.s_max_mva
        room = np.sqrt(max(row.s_max_mva**2 - p_mw**2, 0.0))
        found.append(float(np.clip(row.s_max_mva * np.interp(at, *row.points), -room, room)))
    return np.array(found)
