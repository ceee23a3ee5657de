"""Inverters that set their reactive power by a curve of their bus's voltage or of their own active power."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.errors import CaseError, Issue
from gridclear.network.outages import bus_positions, in_service

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.case import Case
    from gridclear.network.network import Floats, Ints

#: Parts of the injections in the cells of activations; behind them, the active power of each inverter.
_PARTS = 6


@dataclass(frozen=True, eq=False)
class Reactions:
    """Inverters with a reaction curve, in the order of their table.

    Attributes
    ----------
    element : (inverter,) of int
        Place in the sgen table.
    bus : (inverter,) of int
        Place in the bus table.
    first_cell : int
        Cell of activations that is the active power of the first inverter, in p.u.; the others follow. It
        says whose power changes at the bus; the injection itself stands in the cells of the bus.
    by_voltage : (inverter,) of bool
        Q(V); the others follow their active power.
    rating : (inverter,)
        Apparent power in p.u.
    curves : tuple by inverter of (2, point)
        Voltage in p.u., or active power, ascending, and reactive power, both over the rating.
    works : (period, inverter) of bool
        In service.
    p : (period, inverter)
        Active power injected in p.u.
    """

    element: Ints
    bus: Ints
    first_cell: int
    by_voltage: NDArray[np.bool_]
    rating: Floats
    curves: tuple[Floats, ...]
    works: NDArray[np.bool_]
    p: Floats

    def __len__(self) -> int:
        """Count the inverters."""
        return len(self.element)

    @property
    def cells(self) -> Ints:
        """Cells of activations that hold the active powers, (inverter,)."""
        return self.first_cell + np.arange(len(self), dtype=np.int64)

    def of(self, periods: Ints) -> Reactions:
        """Reactions of some of the periods."""
        return replace(self, works=self.works[periods], p=self.p[periods])

    def with_more(self, element: Ints, p: Floats) -> Reactions:
        """Add active power to elements of the sgen table: (element,), (period, element) in p.u."""
        place = pd.Index(element).get_indexer(pd.Index(self.element))
        return replace(self, p=self.p + np.where(place >= 0, p[:, place], 0.0))

    def reactive(self, works: NDArray[np.bool_], p: Floats, vm: Floats) -> Answer:
        """Follow the curves, within what the apparent power leaves.

        Parameters
        ----------
        works : (state, inverter) of bool
        p, vm : (state, inverter)
            Active power injected and voltage at the bus, in p.u.

        Returns
        -------
        Answer
        """
        room = np.sqrt(np.maximum(self.rating**2 - p**2, 0.0))
        q, rise, segment = np.empty(p.shape), np.empty(p.shape), np.empty(p.shape, dtype=np.int64)
        for at, (x, y) in enumerate(self.curves):
            given = vm[:, at] if self.by_voltage[at] else p[:, at] / self.rating[at]
            q[:, at] = self.rating[at] * np.interp(given, x, y)
            slopes = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
            segment[:, at] = np.searchsorted(x, given)
            rise[:, at] = slopes[segment[:, at]] * (self.rating[at] if self.by_voltage[at] else 1.0)
        side = np.where(q > room, 1, np.where(q < -room, -1, 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            along = np.where(room > 0.0, -side * p / room, 0.0)
        return Answer(
            q=np.where(works, np.clip(q, -room, room), 0.0),
            by_vm=np.where(works & (side == 0) & self.by_voltage, rise, 0.0),
            by_p=np.where(works, np.where(side == 0, np.where(self.by_voltage, 0.0, rise), along), 0.0),
            piece=np.where(works, 3 * segment + 1 + side, 0),
        )

    def places(self, works: NDArray[np.bool_], p: Floats, vm: Floats) -> Floats:
        """Say how far from the points of its curve, and inside its rating, each inverter is.

        Parameters
        ----------
        works, p, vm : (state, inverter)
            As of ``reactive``.

        Returns
        -------
        (state, point or rating)
            Continuous; an inverter changes its piece where one of its numbers begins or ceases to be above 0.
            NaN for what does not work.
        """
        room = np.sqrt(np.maximum(self.rating**2 - p**2, 0.0))
        found = []
        for at, (x, y) in enumerate(self.curves):
            given = vm[:, at] if self.by_voltage[at] else p[:, at] / self.rating[at]
            inside = room[:, at] / self.rating[at] - np.abs(np.interp(given, x, y))
            own = np.column_stack([given[:, None] - x, -inside])
            found.append(np.where(works[:, at, None], own, np.nan))
        return np.hstack(found)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the inverters give, and how it changes.

    Attributes
    ----------
    q : (state, inverter)
        Reactive power injected in p.u.
    by_vm, by_p : (state, inverter)
        Its derivatives by the voltage and by the active power.
    piece : (state, inverter) of int
        Piece of the curve, and whether the apparent power bounds it: inside a piece nothing bends sharply.
    """

    q: Floats
    by_vm: Floats
    by_p: Floats
    piece: Ints


def compile_reactions(case: Case, p_mw: Floats, s_base_mva: float) -> Reactions:
    """Collect the inverters of a case that follow a curve.

    Parameters
    ----------
    case : Case
    p_mw : (period, sgen)
        Scaled power of every sgen.
    s_base_mva : float

    Returns
    -------
    Reactions
    """
    rows = case.inverters[case.inverters["reaction"] != ""]
    sgen = case.grid.tables["sgen"]
    place = reacting(case)
    points = case.reaction_curves
    curves, by_voltage = [], []
    for name in rows["reaction"]:
        own = points[points["curve"] == name]
        column = "vm_pu" if own["vm_pu"].notna().any() else "p_pu"
        own = own.sort_values(column)
        curves.append(own[[column, "q_pu"]].to_numpy(dtype=np.float64).T.copy())
        by_voltage.append(column == "vm_pu")
    buses = bus_positions(case.grid)
    return Reactions(
        element=place,
        bus=buses.loc[sgen["bus"].to_numpy()].to_numpy(dtype=np.int64)[place],
        first_cell=_PARTS * len(buses),
        by_voltage=np.array(by_voltage),
        rating=rows["s_max_mva"].to_numpy(dtype=np.float64) / s_base_mva,
        curves=tuple(curves),
        works=in_service(case, "sgen")[:, place],
        p=np.ascontiguousarray(p_mw[:, place] / s_base_mva),
    )


def reacting(case: Case) -> Ints:
    """Places in the sgen table of the elements whose inverters follow a curve, in the inverters' order."""
    return _places(case, case.inverters["element"][case.inverters["reaction"] != ""])


def reacting_inverters(case: Case, rows: pd.DataFrame) -> Ints:
    """Find the number of the reacting inverter that each row of a table of bids moves, -1 without; (row,)."""
    found, place = np.full(len(rows), -1, dtype=np.int64), reacting(case)
    if not len(place):
        return found
    mine = np.flatnonzero(((rows["element_type"] == "sgen") & (rows["element"] != "")).to_numpy())
    found[mine] = pd.Index(place).get_indexer(pd.Index(_places(case, rows["element"].iloc[mine])))
    return found


def _places(case: Case, names: pd.Series) -> Ints:
    if names.empty:
        return np.zeros(0, dtype=np.int64)
    lookup, index = case.grid.lookup("sgen"), case.grid.tables["sgen"].index
    wanted = pd.Index([lookup[name] for name in names], dtype=np.int64)
    return np.asarray(index.get_indexer(wanted), dtype=np.int64)


def refuse_reactions(case: Case, nobody: str) -> None:
    """Refuse a case whose inverters follow curves, where their reaction is not represented.

    Parameters
    ----------
    case : Case
    nobody : str
        What does not represent it: "no outlook".

    Raises
    ------
    CaseError
        Names every inverter that has a curve.
    """
    rows = case.inverters[case.inverters["reaction"] != ""]
    if len(rows):
        expected = "no reaction; power_flow, the lights and activate follow it"
        raise CaseError(
            tuple(
                Issue(
                    "inverters",
                    str(name),
                    "reaction",
                    f"the inverter follows curve '{curve}', and {nobody} represents that",
                    expected,
                )
                for name, curve in zip(rows["element"], rows["reaction"], strict=True)
            )
        )
