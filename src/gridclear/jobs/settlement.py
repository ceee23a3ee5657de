"""The money of a settlement, in whole cents on plain arrays: what is paid, and who bears what."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from gridclear.jobs.money import amounts, apportion, exact

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints

#: Digits of an energy in MWh or Mvarh after the decimal point.
ENERGY_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Payments:
    """What is paid for rows of a schedule.

    Attributes
    ----------
    energy, beyond : (row,)
        MWh or Mvarh that are paid, and that lie beyond the tolerance, with ``ENERGY_DIGITS`` digits.
    paid, penalty : (row,) of int
        Cents.
    """

    energy: Floats
    beyond: Floats
    paid: Ints
    penalty: Ints


def payments(
    scheduled: Floats, metered: Floats, price: Floats, penalty_price: Floats, tolerance: float, hours: float
) -> Payments:
    """Pay for what was delivered.

    Parameters
    ----------
    scheduled : (row,)
        MW or Mvar in the bid's direction, not negative.
    metered : (row,)
        The same; negative where it went the other way, NaN where it is not metered.
    price : (row,)
        EUR per MWh or Mvarh.
    penalty_price : (row,)
        EUR per MWh or Mvarh beyond the tolerance.
    tolerance : float
        Share of the scheduled amount by which either way nothing is missed.
    hours : float
        Length of a period.

    Returns
    -------
    Payments
        Within the tolerance, and where it is not metered, the schedule is paid; below, what was delivered;
        above, the schedule. Each amount is the product of price and energy, rounded once.
    """
    delivered = np.where(np.isnan(metered), scheduled, metered)
    away = np.abs(delivered - scheduled)
    # A delivery at the very edge, as far as written numbers can tell, is inside.
    inside = away <= tolerance * scheduled + 1e-9
    credited = np.where(inside, scheduled, np.clip(delivered, 0.0, scheduled))
    energy = energies(credited, hours)
    beyond = energies(np.where(inside, 0.0, away - tolerance * scheduled), hours)
    return Payments(energy, beyond, amounts(price, energy), amounts(penalty_price, beyond))


def energies(power: Floats, hours: float) -> Floats:
    """Energies of powers over a period, with ``ENERGY_DIGITS`` digits: those that are paid."""
    found: Floats = np.round(power * hours, ENERGY_DIGITS)
    return found


@dataclass(frozen=True, eq=False)
class Shares:
    """Who bears the cost of a service, by period and connection point, in cents.

    Attributes
    ----------
    service, dso : (period, point) of int
        The rest of the service is the TSO's.
    in_range : bool
        The operator's own cost is not above the cost of the service, as it should be.
    """

    service: Ints
    dso: Ints
    in_range: bool


def share_out(planned: Ints, own: Ints, final: Ints, weights: Floats) -> Shares:
    """Let the operator bear what its own clearing costs, and the TSO the rest.

    Parameters
    ----------
    planned : (period,) of int
        Cents that the service costs by schedule; below nothing, what it gains.
    own : (period,) of int
        Cents that the clearing without the TSO's request costs.
    final : (period,) of int
        Cents that the service costs after metering.
    weights : (period, point)
        In proportion to which a period's cost is divided among connection points; not negative, some above 0.

    Returns
    -------
    Shares
        Sums over points are ``final``. Where that is ``planned`` everywhere, the operator's sum is what its
        own clearing costs, at most the cost of the service, and the TSO has no share below nothing. Where the
        operator's own cost is not below nothing either, neither share exceeds the cost of the service.

    Notes
    -----
    In each period the operator bears its own cost, at most that of the service. What is over, because its
    own clearing would spend in other periods than the service does, goes to periods with room, in proportion
    to it. What metering changes is divided in proportion to the shares by schedule.
    """
    borne = _borne(planned, own)
    rest = planned - borne
    overall = _part(int(borne.sum()), int(rest.sum())) or Fraction(0)
    service = np.zeros(weights.shape, dtype=np.int64)
    tso = np.zeros(weights.shape, dtype=np.int64)
    for period, (cost, mine, other) in enumerate(
        zip(final.tolist(), borne.tolist(), rest.tolist(), strict=True)
    ):
        by_weight = [exact(weight) for weight in weights[period].tolist()]
        service[period] = apportion(cost, by_weight)
        part = _part(mine, other)
        change = cost - mine - other
        left = other + change - round(change * (overall if part is None else part))
        by_service = [Decimal(abs(one)) for one in service[period].tolist()]
        tso[period] = apportion(left, by_service if cost else by_weight)
    return Shares(service, service - tso, in_range=int(own.sum()) <= int(planned.sum()))


def _part(mine: int, other: int) -> Fraction | None:
    """Part of the first of two amounts, signs aside; None if both are nothing."""
    return Fraction(abs(mine), abs(mine) + abs(other)) if mine or other else None


def _borne(planned: Ints, own: Ints) -> Ints:
    """Cents of each period's planned cost that the operator bears."""
    borne: Ints = np.minimum(own, planned)
    over = min(int(own.sum()), int(planned.sum())) - int(borne.sum())
    if over:
        room = [Decimal(one) for one in (planned - borne).tolist()]
        borne = borne + np.array(apportion(over, room), dtype=np.int64)
    return borne
