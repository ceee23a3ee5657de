"""One activation by pandapower alone, before and after automatic tap changers react to it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp

from . import plain_grid
from .brute_force import broken_by

if TYPE_CHECKING:
    import pandas as pd

    from .plain_grid import Problem

#: A rounding at the edge must not decide.
EDGE = 1.1


class Reaction:
    """One bid: what is broken before and after the regulators react.

    ``p_mw`` is the change of injection of the full bid at the element (table, name), with ``tan_phi``.
    """

    def __init__(
        self, problem: Problem, start: pd.Timestamp, at: tuple[str, str], p_mw: float, tan_phi: float = 0.0
    ) -> None:
        self._problem = problem
        self._base = plain_grid.base_state(problem, start)
        self._net = copy.deepcopy(self._base.net)
        table, element = at
        row = plain_grid.find(self._net, table, element)
        self._sgen = pp.create_sgen(self._net, self._net[table].loc[row, "bus"], p_mw=0.0, name="activation")
        if "moves" in self._net.sgen:
            self._net.sgen.loc[self._sgen, "moves"] = row if table == "sgen" else -1
        self._full = p_mw * np.array([1.0, tan_phi])
        self._taps = self._net.trafo["tap_pos"].copy()

    def broken(self, share: float) -> bool:
        if not self._activate(share) or self._over():
            return True
        return not self._settle() or self._over()

    def moves(self, share: float) -> bool:
        """Whether this share makes the regulator move."""
        self._activate(share)
        self._settle()
        return bool((self._net.trafo["tap_pos"] != self._taps).any())

    def _activate(self, share: float) -> bool:
        self._net.trafo["tap_pos"] = self._taps
        self._net.sgen.loc[self._sgen, ["p_mw", "q_mvar"]] = share * self._full
        return plain_grid.solve(self._net)

    def _settle(self) -> bool:
        return plain_grid.settle(self._net, plain_grid.regulators(self._problem, self._net))

    def _over(self) -> bool:
        state = self._base.constraints.assign(value=plain_grid.measure(self._problem, self._net)["value"])
        return bool(broken_by(state, EDGE))
