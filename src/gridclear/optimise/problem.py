"""What a clearing decides, pays for and must deliver: one frozen problem in per unit and EUR."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gridclear.network.movables import movables
from gridclear.network.reactions import refuse_reactions
from gridclear.optimise.capability import capability
from gridclear.optimise.offers import resolve_offers
from gridclear.optimise.stores import resolve_stores
from gridclear.powerflow.activations import Activations

if TYPE_CHECKING:
    from gridclear.network.compiled import CompiledCase
    from gridclear.network.movables import Movable
    from gridclear.network.network import Floats, Ints
    from gridclear.optimise.capability import Capability
    from gridclear.optimise.offers import Offers
    from gridclear.optimise.stores import Stores
    from gridclear.powerflow.base import BaseState
    from gridclear.powerflow.scenarios import Scenarios

#: Distance from the band of a request, in MVA, that counts as none.
DELIVERED_MVA = 1e-5
#: Modes of the devices that are decided, by the job's option.
DEVICES = {"optimised": ("optimised", "automatic"), "scheduled": ("optimised",)}


@dataclass(frozen=True, eq=False)
class Requests:
    """Reactive exchange that is asked for.

    Attributes
    ----------
    point : (request,) of int
        Row of the case's connection points.
    period : (request,) of int
    q, tolerance : (request,)
        From transmission into distribution, in p.u.
    """

    point: Ints
    period: Ints
    q: Floats
    tolerance: Floats


@dataclass(frozen=True, eq=False)
class Plan:
    """A decision.

    Attributes
    ----------
    share : (item,)
        Of every offer, 0 … 1.
    steps : (device, period) of int
        Steps away from the scheduled position.
    charge, discharge : (store, period)
        In p.u., not negative.
    """

    share: Floats
    steps: Ints
    charge: Floats
    discharge: Floats


@dataclass(frozen=True, eq=False)
class Problem:
    """A clearing.

    Attributes
    ----------
    scenarios : Scenarios
        Of the compiled case.
    base : BaseState
        Its effective limits are to be kept.
    offers : Offers
    devices : tuple of Movable
    stores : Stores
    capability : Capability
    requests : Requests
    loss_price : float
        EUR per p.u. of power lost over one period.
    limits : tuple by topology of (period, constraint)
        That are to be kept, in the kernels' numbering: the base state's effective ones, or tighter.
    cures : bool
        Whether what the base state breaks is still to be brought towards its true limits.
    left : float or None
        What may stay beyond the true limits, of those that the base state breaks: a normalised sum over the
        horizon that is to be kept.
    """

    scenarios: Scenarios
    base: BaseState
    offers: Offers
    devices: tuple[Movable, ...]
    stores: Stores
    capability: Capability
    requests: Requests
    loss_price: float
    limits: tuple[Floats, ...]
    cures: bool = True
    left: float | None = None

    @property
    def compiled(self) -> CompiledCase:
        """The case as arrays."""
        return self.scenarios.compiled

    @property
    def periods(self) -> int:
        """Number of periods."""
        return len(self.compiled.topology)

    @property
    def whole(self) -> int:
        """Number of decisions that cannot be divided."""
        every = len(self.devices) + self.stores.count
        return every * self.periods + int(self.offers.asked.sum())

    @property
    def alone(self) -> bool:
        """Whether nothing but the devices' moves joins the periods, and every row is an item of its own."""
        return not self.stores.count and len(self.offers.most) == len(self.offers.item)

    @cached_property
    def parts(self) -> Ints:
        """Numbers of periods, (period,): those of one number are joined by more than the devices' moves."""
        if self.stores.count:
            return np.zeros(self.periods, dtype=np.int64)
        period, item = self.offers.period, self.periods + self.offers.item
        size = self.periods + len(self.offers.most)
        joined = sparse.coo_array((np.ones(len(period)), (period, item)), (size, size))
        label = connected_components(joined, directed=False)[1][: self.periods]
        return np.unique(label, return_inverse=True)[1].astype(np.int64)

    def nothing(self) -> Plan:
        """Take nothing, leave every device and follow every storage's schedule."""
        scheduled = self.stores.scheduled
        return Plan(
            share=np.zeros(len(self.offers.most)),
            steps=np.zeros((len(self.devices), self.periods), dtype=np.int64),
            charge=np.maximum(scheduled, 0.0),
            discharge=np.maximum(-scheduled, 0.0),
        )

    def activations(self, plan: Plan) -> Activations:
        """Collect the changes of injection of a plan, one scenario per period."""
        own, stores, periods = self.offers.activations, self.stores, self.periods
        cells, place, row = self._moved
        value = np.zeros((periods, len(cells)))
        taken = own.value * plan.share[self.offers.item[row]]
        np.add.at(value, (own.period[row], place[: len(own.cell)]), taken)
        change = stores.scheduled - plan.charge + plan.discharge
        for store in range(stores.count):
            value[:, place[len(own.cell) + store]] += change[store]
        return Activations.dense(np.arange(periods, dtype=np.int64), cells, value)

    @cached_property
    def _moved(self) -> tuple[Ints, Ints, Ints]:
        """Cells that offers and storages move, which of them each change is of, and whose change it is."""
        own = self.offers.activations
        cells, place = np.unique(np.concatenate([own.cell, self.stores.bus]), return_inverse=True)
        return cells, place, np.repeat(np.arange(len(own.period)), np.diff(own.first))

    def positions(self, plan: Plan) -> Ints:
        """Positions of all devices of a plan, (period, device); those that are not decided are the base's."""
        positions = self.base.positions.copy()
        for device, steps in zip(self.devices, plan.steps, strict=True):
            positions[:, device.device] = (
                self.compiled.positions[device.device] + steps[:, None] * device.step
            )
        return positions

    def moves(self, plan: Plan) -> Ints:
        """Count the steps that every device makes into every period, (device, period)."""
        moved = plan.steps.copy()
        moved[:, 1:] -= plan.steps[:, :-1]
        return np.abs(moved)

    def costs(self, plan: Plan) -> tuple[float, float]:
        """EUR for the offers, and for the moves."""
        taken = float(self.offers.cost @ plan.share[self.offers.item]) if len(self.offers.item) else 0.0
        return taken, float(self._per_step @ self.moves(plan).sum(axis=1))

    @cached_property
    def _per_step(self) -> Floats:
        """EUR per step of every device."""
        return np.array([device.cost for device in self.devices], dtype=np.float64)


def build_problem(
    scenarios: Scenarios,
    base: BaseState,
    *,
    devices: str,
    market: str,
    losses_eur_mwh: float,
    linked: bool = True,
) -> Problem:
    """Put together what a clearing of a case decides.

    Parameters
    ----------
    scenarios : Scenarios
    base : BaseState
        Of the same case.
    devices : {"optimised", "scheduled"}
        Whether automatic tap changers are decided, too, or stay where the base state has settled them.
    market : {"reactive", "common"}
        Whether active bids may be taken, too.
    losses_eur_mwh : float
    linked : bool
        Whether anything but the devices' moves joins the periods: blocks and storages that are decided.
        Without, the rows of a block are taken apart and every storage follows its schedule.

    Returns
    -------
    Problem

    Raises
    ------
    CaseError
        An element's capability, or a storage, cannot be represented, or an inverter follows a curve.
    """
    compiled = scenarios.compiled
    refuse_reactions(compiled.case, "no optimisation")
    offers = resolve_offers(compiled, market, linked=linked)
    stores = resolve_stores(compiled, "optimised" if linked else None)
    return Problem(
        scenarios=scenarios,
        base=base,
        offers=offers,
        devices=movables(compiled, DEVICES[devices]),
        stores=stores,
        capability=capability(compiled, offers, stores),
        requests=_requests(compiled),
        loss_price=losses_eur_mwh * compiled.s_base_mva * compiled.case.horizon.hours,
        limits=tuple(base.limits.numbered(number) for number in range(len(compiled.networks))),
    )


def _requests(compiled: CompiledCase) -> Requests:
    case = compiled.case
    rows = case.reactive_profile
    names = {name: row for row, name in enumerate(case.connection_points["connection_point"])}
    period = case.horizon.position(rows["start"]) if len(rows) else np.zeros(0, dtype=np.int64)
    point = np.array([names[name] for name in rows["connection_point"]], dtype=np.int64)
    order = np.lexsort((point, period))
    base = compiled.s_base_mva
    return Requests(
        point=point[order],
        period=period[order],
        q=rows["q_mvar"].to_numpy(dtype=np.float64)[order] / base,
        tolerance=np.nan_to_num(rows["tolerance_mvar"].to_numpy(dtype=np.float64))[order] / base,
    )
