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
    total, wanted = sum(planned), sum(own)
    wanted = sorted([0, total, wanted])[1]
    parts = [sorted([0, cost, mine])[1] for cost, mine in zip(planned, own, strict=True)]
    missing = wanted - sum(parts)
    if missing > 0:
        room = [max(cost, 0) - part for cost, part in zip(planned, parts, strict=True)]
    elif missing < 0:
        room = [part - min(cost, 0) for cost, part in zip(planned, parts, strict=True)]
    else:
        return parts
    return [part + more for part, more in zip(parts, divided(missing, room), strict=True)]


def shares(
    planned: list[int], own: list[int], final: list[int], weights: list[list[float]]
) -> tuple[list[list[int]], list[list[int]]]:
    """Service and operator's share, by period and point."""
    mine = borne(planned, own)
    service, dso = [], []
    for cost, plan, part, weight in zip(final, planned, mine, weights, strict=True):
        if plan:
            ratio = Fraction(part, plan)
        else:
            ratio = Fraction(sum(mine), sum(planned)) if sum(planned) else Fraction(0)
        share = part if cost == plan else round(cost * ratio)
        service.append(divided(cost, weight))
        dso.append(divided(share, [abs(one) for one in service[-1]]) if share else [0] * len(weight))
    return service, dso
