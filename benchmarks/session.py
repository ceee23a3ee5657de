"""A case with made bids and its base states by ``runpp``: what lights are asked of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandapower as pp
import pandas as pd
from tests.oracle.brute_force import stopped
from tests.oracle.plain_grid import base_state, problem_of
from tests.oracle.plain_grid import rows as oracle_rows

import gridclear
from benchmarks.made_bids import made_bids
from benchmarks.year import load_year, positions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tests.oracle.plain_grid import Base

    from benchmarks.peers.pgm_lights import PgmLights
    from benchmarks.registry import Settings

    Floats = NDArray[np.float64]
    Complexes = NDArray[np.complex128]
    Ints = NDArray[np.int64]

ROOT = Path(__file__).resolve().parent.parent
PERIODS = 28
LEAST = 1e-3  # of the offer: less is nothing


@dataclass(frozen=True)
class Asked:
    """What is asked of one case.

    Parameters
    ----------
    seconds : mapping
        Guarantee → most seconds it may take with `bids`; inf: no target.
    bids : int
        Most bids.
    sizes_mw : (float, float)
        Smallest and largest offer.
    judged : int
        Periods that the peers judge, spread evenly.
    """

    seconds: Mapping[str, float]
    bids: int = 1_000
    sizes_mw: tuple[float, float] = (0.05, 10.0)
    judged: int = PERIODS


@dataclass(frozen=True, eq=False)
class Session:
    """A case with made bids, and what the peers know of it.

    Parameters
    ----------
    case : Case
    net : pandapowerNet
        Its grid.
    periods : (judged,) of int
        Periods that the peers judge.
    bases : list of Base
        Their base states, by ``runpp``.
    bus : (bid,) of int
        Position in ``net.bus``.
    supplied : (bid, judged period) of bool
        Its element is in service and has a voltage.
    full : (bid,) complex
        Full activation in MW and Mvar.
    least : (bid,)
        Smallest share that is accepted.
    order : (bid,) of int
        Bids in merit order.
    """

    case: gridclear.Case
    net: pp.pandapowerNet
    periods: Ints
    bases: list[Base]
    bus: Ints
    supplied: NDArray[np.bool_]
    full: Complexes
    least: Floats
    order: Ints

    @classmethod
    def of(cls, name: str, asked: Asked, settings: Settings) -> Session:
        """Load a case, make its bids and its base states."""
        bare, net = _load(name, settings.seed)
        bids = min(settings.bids, asked.bids)
        case = replace(bare, active_bids=made_bids(bare, bids, settings.seed, asked.sizes_mw))
        periods = positions(case.horizon.periods, asked.judged)
        problem = problem_of(case, net)
        bases = [base_state(problem, case.horizon.starts[period]) for period in periods]
        rows = case.active_bids.iloc[:: case.horizon.periods]  # the same in every period
        place = {bus: i for i, bus in enumerate(net.bus.index)}
        index = [case.grid.lookup(t)[e] for t, e in zip(rows["element_type"], rows["element"], strict=True)]
        bus = [place[net[t]["bus"].loc[i]] for t, i in zip(rows["element_type"], index, strict=True)]
        sign = np.where(rows["direction"] == "up", 1.0, -1.0)
        return cls(
            case=case,
            net=net,
            periods=periods,
            bases=bases,
            bus=np.array(bus),
            supplied=np.array([[stopped(base, bid) is None for base in bases] for bid in oracle_rows(rows)]),
            full=sign * rows["p_mw"].to_numpy() * (1.0 + 1j * rows["tan_phi"].fillna(0.0).to_numpy()),
            least=np.fmax((rows["min_p_mw"] / rows["p_mw"]).to_numpy() * (1.0 - 1e-9), LEAST),
            order=np.lexsort([rows["bid"].to_numpy(dtype=str), rows["price_eur_mwh"].to_numpy()]),
        )

    def shares(self, lights: pd.DataFrame) -> Floats:
        """Take the published shares, [bid, judged period]."""
        share = (lights["accepted_mw"] / lights["offered_mw"]).to_numpy()
        return share.reshape(len(self.bus), -1)[:, self.periods]

    def ground(self, model: PgmLights, share: Floats, place: int) -> Complexes:
        """Power with the shares of all bids before a place in merit order, [judged period, bus]."""
        before, power = self.order[:place], model.ground.copy()
        np.add.at(power.T, self.bus[before], self.full[before, None] * share[before])
        return power


def _load(name: str, seed: int) -> tuple[gridclear.Case, pp.pandapowerNet]:
    """Read a shipped case, or make one of quarter-hours spread over a SimBench year."""
    folder = ROOT / name
    if folder.is_dir():
        return gridclear.read_case(str(folder)), pp.from_json(str(folder / "grid.json"))
    year = load_year(name, PERIODS, seed)
    net = year.net
    if "name" not in net.bus or net.bus["name"].duplicated().any() or net.load["name"].isna().any():
        raise ValueError(f"{name}: its elements need names of their own")
    starts = pd.date_range("2016-01-01", periods=PERIODS, freq="15min", tz="UTC")
    forecast = pd.concat(
        pd.DataFrame(
            {
                "element_type": e.table,
                "element": np.tile(net[e.table]["name"].to_numpy(), PERIODS),
                "start": starts.repeat(len(e.bus)),
                "p_mw": e.p_mw.ravel(),
                "q_mvar": np.zeros(e.p_mw.size) if e.q_mvar is None else e.q_mvar.ravel(),
            }
        )
        for e in year.elements
    )
    forecast = forecast.reset_index(drop=True)
    return gridclear.Case.from_pandapower(net, name=name, forecast=forecast, periods=PERIODS), net
