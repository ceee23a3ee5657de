"""The PQ map of a case as plain arrays: every period alone, every row of bids by itself.

It is the clearing's problem (`clearing_problem`) with what a map leaves out taken away: blocks count row by
row, storages stay at their schedule, no profile is asked for. Where the written rules leave room:

- Moves are counted from the scheduled positions, once, whatever regulators do in the base state; the smaller
  of the horizon's and the date's budget holds.
- Costs are bids, these moves, and the losses beyond those of the base state at their price.
- Limits that the base state breaks may stay as far beyond as they are, and are not worth anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .clearing_grid import grids_of
from .clearing_problem import clearing_of

if TYPE_CHECKING:
    import gridclear

    from .clearing_grid import Grid
    from .clearing_values import Clearing


@dataclass(frozen=True, eq=False)
class MapProblem:
    """What a map decides and keeps.

    ``grids``: by period. ``p_mw``, ``q_mvar`` (point, period): exchange of the base state. ``losses_mw``
    (period,): of the base state. ``others_mvar``: most change of Q at other connection points, inf if free.
    """

    clearing: Clearing
    grids: list[Grid]
    p_mw: np.ndarray
    q_mvar: np.ndarray
    losses_mw: np.ndarray
    others_mvar: float

    @property
    def loss_price(self) -> float:
        """EUR per MW that is lost in a period."""
        return self.clearing.losses_eur_mwh * self.clearing.hours

    @property
    def points(self) -> tuple[str, ...]:
        """Names of the connection points."""
        return tuple(self.clearing.points)

    def rows(self, period: int) -> np.ndarray:
        """Offers that have anything in a period."""
        offers = self.clearing.offers
        return np.flatnonzero((offers.period == period) & offers.live)

    def step_ranges(self, period: int) -> list[np.ndarray]:
        """Steps of every device that its range and its budgets allow."""
        c = self.clearing
        found = []
        for device in c.devices:
            most = min(device.max_moves, device.by_day[c.dates[period]])
            steps = np.arange(min(device.lowest, 0), max(device.highest, 0) + 1)
            found.append(steps[np.abs(steps) <= most])
        return found

    def settings(self, period: int) -> np.ndarray:
        """Every placing of the devices, (setting, device)."""
        ranges = self.step_ranges(period)
        return np.array(list(product(*ranges)), dtype=int).reshape(-1, len(ranges))

    def moves_eur(self, steps: np.ndarray) -> np.ndarray:
        """EUR for steps (..., device) away from the scheduled positions."""
        cost = np.array([device.cost_eur for device in self.clearing.devices])
        return np.abs(steps) @ cost if len(cost) else np.zeros(np.shape(steps)[:-1])

    def alone(self, period: int) -> Clearing:
        """The clearing of one period, its effective limits as the limits: nothing is left to cure."""
        c = self.clearing
        mine = c.offers.period == period
        place = np.cumsum(mine) - 1
        offers = replace(
            c.offers,
            table=c.offers.table[mine].reset_index(drop=True),
            period=np.zeros(mine.sum(), dtype=int),
            unit=np.arange(mine.sum()),
            **{name: getattr(c.offers, name)[mine]
               for name in ("bus", "p_mw", "q_mvar", "cost_eur", "least", "live", "exclusive")},
        )  # fmt: skip
        capabilities = tuple(
            replace(
                element,
                rows=place[element.rows[mine[element.rows]]],
                p_mw=element.p_mw[[period]],
                q_mvar=element.q_mvar[[period]],
            )
            for element in c.capabilities
        )
        nothing = np.full((len(c.points), 1), np.nan)
        return replace(
            c,
            starts=c.starts[[period]],
            bases=(c.bases[period],),
            limits=c.limits.assign(limit=c.effective[period]),
            base=c.base[[period]],
            effective=c.effective[[period]],
            offers=offers,
            capabilities=capabilities,
            profile=nothing,
            tolerance=nothing,
            dates=c.dates[[period]],
        )


def map_problem(
    case: gridclear.Case,
    *,
    devices: str = "optimised",
    market: str = "reactive",
    others_mvar: float | None = None,
) -> MapProblem:
    """Read the map of a case; in the market ``common`` active bids are taken, too."""
    case = replace(
        case,
        reactive_bids=case.reactive_bids.assign(block=""),
        active_bids=case.active_bids.assign(block=""),
        storage=case.storage.assign(p_mode="scheduled"),
        reactive_profile=case.reactive_profile.iloc[:0],
    )
    clearing = clearing_of(case, devices=devices, market=market)
    members = [list(grids) for grids in clearing.points.values()]
    exchange = np.array(
        [
            [base.net.res_ext_grid[["p_mw", "q_mvar"]].fillna(0.0).loc[own].sum() for base in clearing.bases]
            for own in members
        ]
    )
    return MapProblem(
        clearing,
        grids_of(clearing),
        exchange[..., 0],
        exchange[..., 1],
        np.array([lost_mw(base.net) for base in clearing.bases]),
        np.inf if others_mvar is None else others_mvar,
    )


def lost_mw(net: object) -> float:
    """Losses of a solved net: all that goes into its admittances."""
    inner = net["_ppc"]["internal"]
    into = inner["V"] * np.conj(inner["Ybus"] @ inner["V"])
    return float(into.real.sum()) * inner["baseMVA"]
