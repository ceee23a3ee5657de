"""A settlement in plain fractions and decimals, row by row: nothing of gridclear is imported, on purpose.

Read here as follows, where the written rules leave room: what lies within 1e-9 MW of the edge of the
tolerance is inside it; energies are rounded to 6 digits; money is the product of a price as written and a
rounded energy, rounded half away from zero; cents that are left when a sum is divided go to the largest
remainders, the first among equals; after metering an operator's share of a period is rounded half to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, getcontext
from fractions import Fraction

getcontext().prec = 80


def money(price: float, energy: float) -> int:
    """Cents of a price for an energy."""
    amount = Decimal(str(price)) * Decimal(str(energy)) * 100
    return int(amount.to_integral_value(rounding=ROUND_HALF_UP))


def energies(scheduled: float, metered: float | None, tolerance: float, hours: float) -> tuple[float, float]:
    """Energy that is paid, and energy beyond the tolerance, before they are rounded."""
    if metered is None or abs(metered - scheduled) <= tolerance * scheduled + 1e-9:
        return scheduled * hours, 0.0
    beyond = (abs(metered - scheduled) - tolerance * scheduled) * hours
    if metered > scheduled:
        return scheduled * hours, beyond
    return max(metered, 0.0) * hours, beyond


def divided(total: int, weights: list[float] | list[int]) -> list[int]:
    """Divide cents in proportion to weights."""
    sign, left = (-1 if total < 0 else 1), abs(total)
    exact = [Fraction(weight) * left / sum(Fraction(one) for one in weights) for weight in weights]
    parts = [part.numerator // part.denominator for part in exact]
    while sum(parts) < left:
        parts[max(range(len(parts)), key=lambda k: (exact[k] - parts[k], -k))] += 1
    return [sign * part for part in parts]


def borne(planned: list[int], own: list[int]) -> list[int]:
    """What the operator bears of each period's planned cost."""
    parts = [min(pair) for pair in zip(planned, own, strict=True)]
    missing = min(sum(own), sum(planned)) - sum(parts)
    if missing == 0:
        return parts
    room = [cost - part for cost, part in zip(planned, parts, strict=True)]
    return [part + more for part, more in zip(parts, divided(missing, room), strict=True)]


def shares(
    planned: list[int], own: list[int], final: list[int], weights: list[list[float]]
) -> tuple[list[list[int]], list[list[int]]]:
    """Service and operator's share, by period and point."""
    mine = borne(planned, own)
    every = (abs(sum(mine)), abs(sum(planned) - sum(mine)))
    service, dso = [], []
    for cost, plan, part, weight in zip(final, planned, mine, weights, strict=True):
        one, other = abs(part), abs(plan - part)
        if one + other == 0:
            one, other = every
        change = Fraction((cost - plan) * one, one + other) if one + other else Fraction(0)
        tso = cost - part - round(change)
        service.append(divided(cost, weight))
        bearing = divided(tso, [abs(eur) for eur in service[-1]] if cost else weight)
        dso.append([eur - borne_ for eur, borne_ in zip(service[-1], bearing, strict=True)])
    return service, dso
