"""Forecasts → net injections per bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gridclear.network.outages import bus_positions, in_service
from gridclear.network.reactions import reacting
from gridclear.network.shares import Shares, voltage_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridclear.case import Case
    from gridclear.network.network import Floats

#: Sign of an element's power as an injection.
INJECTION_SIGN: Mapping[str, float] = {"load": -1.0, "sgen": 1.0, "gen": 1.0, "storage": -1.0}


@dataclass(frozen=True)
class Injections:
    """Net injection per bus in every period, by how it depends on the voltage; generation positive.

    Attributes
    ----------
    p_mw, q_mvar : (period, bus)
        What does not depend on the voltage.
    p_current_mw, q_current_mvar : (period, bus)
        What grows with the voltage (constant current), at 1 p.u.
    p_impedance_mw, q_impedance_mvar : (period, bus)
        What grows with its square (constant impedance), at 1 p.u.
    shares : Shares or None
        How every further change of a load, sgen or storage divides; None if nothing depends on the voltage.
    """

    p_mw: Floats
    q_mvar: Floats
    p_current_mw: Floats
    q_current_mvar: Floats
    p_impedance_mw: Floats
    q_impedance_mvar: Floats
    shares: Shares | None


def base_injections(case: Case) -> Injections:
    """Net injection per bus of loads, generators and storage in every period.

    Parameters
    ----------
    case : Case

    Returns
    -------
    Injections
        In the order of the bus table.

    Raises
    ------
    CaseError
        Loads of different shares stand on buses that a switch joins.

    Notes
    -----
    A forecast stands in for the table's ``p_mw``/``q_mvar``, and ``scaling`` applies to both, exactly as if
    it had been written into the net before ``runpp``. The reactive power of inverters that follow a curve is
    not in it: what they give is known with the state.
    """
    buses = bus_positions(case.grid)
    shape = (case.horizon.periods, len(buses))
    p_mw, q_mvar = np.zeros(shape), np.zeros(shape)
    for table in ("load", "sgen", "storage"):
        _add_powers(case, table, buses, p_mw, q_mvar)
    shares = voltage_shares(case)
    nothing = np.broadcast_to(0.0, shape)
    p_current, q_current, p_impedance, q_impedance = (nothing,) * 4
    if shares is not None:
        p_mw, p_current, p_impedance = shares.divide_p(p_mw)
        q_mvar, q_current, q_impedance = shares.divide_q(q_mvar)
    _add_powers(case, "gen", buses, p_mw, q_mvar)
    return Injections(p_mw, q_mvar, p_current, q_current, p_impedance, q_impedance, shares)


def _add_powers(case: Case, table: str, buses: pd.Series, p_mw: Floats, q_mvar: Floats) -> None:
    """Add what one table injects at each bus."""
    frame = case.grid.tables[table]
    if not len(frame):
        return
    p, q = element_powers(case, table)
    if table == "sgen":
        q[:, reacting(case)] = 0.0
    works = in_service(case, table)
    cells = (slice(None), buses.loc[frame["bus"]].to_numpy())
    sign = INJECTION_SIGN[table]
    np.add.at(p_mw, cells, np.where(works, sign * p, 0.0))  # type: ignore[arg-type]  # numpy's stub of ``at`` knows no slices
    np.add.at(q_mvar, cells, np.where(works, sign * q, 0.0))  # type: ignore[arg-type]  # numpy's stub of ``at`` knows no slices


def element_powers(case: Case, table: str) -> tuple[Floats, Floats]:
    """Scaled power of every element of a table in every period, in the element's own sign.

    Parameters
    ----------
    case : Case
    table : {"load", "sgen", "gen", "storage"}

    Returns
    -------
    p_mw, q_mvar : (period, element)
    """
    p, q = forecast_powers(case, table)
    scaling = element_scaling(case, table)
    return p * scaling, q * scaling


def element_scaling(case: Case, table: str) -> Floats:
    """Factor of the grid on the power of every element of a table, (element,)."""
    frame = case.grid.tables[table]
    return frame["scaling"].to_numpy(dtype=np.float64) if "scaling" in frame else np.ones(len(frame))


def forecast_powers(case: Case, table: str) -> tuple[Floats, Floats]:
    """Power of every element of a table in every period as it is stated, like ``element_powers``."""
    frame = case.grid.tables[table]
    periods = case.horizon.periods
    p = np.tile(frame["p_mw"].to_numpy(dtype=np.float64), (periods, 1))
    q = np.tile(
        frame["q_mvar"].to_numpy(dtype=np.float64) if "q_mvar" in frame else np.zeros(len(frame)),
        (periods, 1),
    )
    rows = case.forecast[case.forecast["element_type"] == table]
    if len(rows):
        lookup = case.grid.lookup(table)
        place = frame.index.get_indexer(pd.Index(rows["element"].map(lookup).to_numpy(dtype=np.int64)))
        period = case.horizon.position(rows["start"])
        p[period, place] = rows["p_mw"].to_numpy()
        stated = rows["q_mvar"].notna().to_numpy()
        q[period[stated], place[stated]] = rows["q_mvar"].to_numpy()[stated]
    return p, q
