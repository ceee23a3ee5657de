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
    energy = np.round(credited * hours, ENERGY_DIGITS)
    beyond = np.round(np.where(inside, 0.0, away - tolerance * scheduled) * hours, ENERGY_DIGITS)
    return Payments(energy, beyond, amounts(price, energy), amounts(penalty_price, beyond))


@dataclass(frozen=True, eq=False)
class Shares:
    """Who bears the cost of a service, by period and connection point, in cents.

    Attributes
    ----------
    service, dso : (period, point) of int
        The rest of the service is the TSO's.
    in_range : bool
        The operator's own cost lies between nothing and the cost of the service, as it should.
    """

    service: Ints
    dso: Ints
    in_range: bool


def share_out(planned: Ints, own: Ints, final: Ints, weights: Floats) -> Shares:
    """Let the operator bear what its own clearing costs, and the TSO the rest.

    Parameters
    ----------
    planned : (period,) of int
        Cents that the service costs by schedule.
    own : (period,) of int
        Cents that the clearing without the TSO's request costs.
    final : (period,) of int
        Cents that the service costs after metering.
    weights : (period, point)
        In proportion to which a period's cost is divided among connection points; not negative, some above 0.

    Returns
    -------
    Shares
        Sums over points are ``final``, and where that is ``planned`` everywhere, the operator's sum is what
        its own clearing costs. No share exceeds its cost, nor has the other sign.

    Notes
    -----
    In each period the operator bears its own cost, at most that of the service. What is over, because its
    own clearing would spend in other periods than the service does, goes to periods with room, in proportion
    to it.
    """
    borne = _borne(planned, own)
    service = np.zeros(weights.shape, dtype=np.int64)
    dso = np.zeros(weights.shape, dtype=np.int64)
    total = int(planned.sum())
    overall = Fraction(int(borne.sum()), total) if total else Fraction(0)
    for period, (cost, plan, part) in enumerate(
        zip(final.tolist(), planned.tolist(), borne.tolist(), strict=True)
    ):
        service[period] = apportion(cost, [exact(weight) for weight in weights[period].tolist()])
        share = part if cost == plan else round(cost * (Fraction(part, plan) if plan else overall))
        if share:
            dso[period] = apportion(share, [Decimal(abs(one)) for one in service[period].tolist()])
    low, high = min(0, total), max(0, total)
    return Shares(service, dso, in_range=low <= int(own.sum()) <= high)


def _borne(planned: Ints, own: Ints) -> Ints:
    """Cents of each period's planned cost that the operator bears."""
    low, high = np.minimum(planned, 0), np.maximum(planned, 0)
    total = int(planned.sum())
    wanted = min(max(int(own.sum()), min(0, total)), max(0, total))
    borne: Ints = np.clip(own, low, high)
    over = wanted - int(borne.sum())
    room = high - borne if over > 0 else borne - low
    if over:
        borne = borne + np.array(apportion(over, [Decimal(one) for one in room.tolist()]), dtype=np.int64)
    return borne
