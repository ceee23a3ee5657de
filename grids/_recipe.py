"""The attributes of a case's recipe: what is taken from SimBench and what is added to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bank:
    """A capacitor bank: ``steps`` equal steps of ``step_mvar`` Mvar (delivered at 1 p.u.) at a bus."""

    name: str
    bus: str
    step_mvar: float
    steps: int
    position: int
    mode: str = "optimised"


@dataclass(frozen=True)
class Battery:
    """A battery park that idles in the forecast and offers its power in both directions."""

    name: str
    bus: str
    p_mw: float
    e_mwh: float


@dataclass(frozen=True)
class Consumer:
    """A large consumer that SimBench does not have: MW at the full hours of the window, linear in between."""

    name: str
    bus: str
    hourly_mw: tuple[float, ...]
    tan_phi: float


@dataclass(frozen=True)
class Tap:
    """A row of ``tap_changers.csv``; without a set point the position is kept."""

    trafo: str
    mode: str
    position: int
    vm_set_pu: float | None = None
    deadband_pu: float | None = None
    group: str = ""


@dataclass(frozen=True)
class Outage:
    """A planned change of state over the periods ``first`` to ``last`` (both included, counted from 0)."""

    element_type: str
    element: str
    state: str
    first: int
    last: int
    why: str


@dataclass(frozen=True)
class ConnectionPoint:
    """A border to transmission with its agreed band, symmetric around zero exchange."""

    name: str
    ext_grid: str
    p_mw: float
    q_mvar: float
    s_mva: float


@dataclass(frozen=True)
class BidPlan:
    """How many elements of each kind offer, in which steps, and the buses where all elements offer.

    ``large_mw`` parts small from large generators. Without ``reactive_storages`` every storage offers
    reactive power, else so many of the largest.
    """

    loads: int
    small_sgens: int
    large_sgens: int
    storages: int
    large_mw: float
    step_mw: float
    smallest_mw: float
    buses: tuple[str, ...]
    need_mw: tuple[float, float]
    reactive_sgens: int
    reactive_storages: int | None = None


@dataclass(frozen=True)
class Recipe:
    """One case folder: where it comes from and what is added to it."""

    name: str
    code: str
    start_utc: str
    seed: int
    banks: tuple[Bank, ...]
    taps: tuple[Tap, ...]
    outages: tuple[Outage, ...]
    connection_points: tuple[ConnectionPoint, ...]
    bids: BidPlan
    batteries: tuple[Battery, ...] = ()
    consumers: tuple[Consumer, ...] = ()
