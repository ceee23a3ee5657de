"""Money in whole cents: products rounded once, sums that add up."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext
from typing import TYPE_CHECKING

import numpy as np

from gridclear.errors import CaseError, Issue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridclear.network.network import Floats, Ints

_CENT = Decimal("0.01")
#: Digits of intermediate products: those of three factors of 17 digits each.
_DIGITS = 60
#: Amounts beyond this many cents together are none: sums of a few such would no longer be EUR to the cent.
_MOST_CENTS = 2**49


def exact(value: float) -> Decimal:
    """Take a number as it is written, with the digits that a table of results shows.

    Raises
    ------
    ValueError
        It is not finite.
    """
    number = Decimal(repr(float(value)))
    if not number.is_finite():
        msg = f"{value} is no amount"
        raise ValueError(msg)
    return number


def cents(*factors: Decimal) -> int:
    """Multiply EUR by what it is paid for and round once, half a cent away from zero.

    Raises
    ------
    CaseError
        It is more than can be paid to the cent.
    """
    with localcontext(prec=_DIGITS):
        product = Decimal(1)
        for factor in factors:
            product *= factor
        _check(product * 100)
        return int(product.quantize(_CENT, rounding=ROUND_HALF_UP).scaleb(2))


def amounts(price: Floats, *factors: Floats) -> Ints:
    """Cents of price times factors, (n,); nothing is paid where the price is NaN.

    Raises
    ------
    CaseError
        They are more than can be added up to the cent.
    """
    columns = [np.broadcast_to(factor, len(price)).tolist() for factor in factors]
    found = [
        0 if np.isnan(eur) else cents(exact(eur), *map(exact, parts))
        for eur, *parts in zip(price.tolist(), *columns, strict=True)
    ]
    _check(Decimal(sum(map(abs, found))))
    return np.array(found, dtype=np.int64)


def _check(amount: Decimal) -> None:
    """Refuse cents that floating-point tables cannot hold: a wrong price or a wrong unit."""
    if abs(amount) > _MOST_CENTS:
        what = f"bids, moves or losses come to {amount / 100:.3g} EUR, too much for sums to the cent"
        expected = f"prices and amounts that make at most {_MOST_CENTS / 100:.3g} EUR"
        raise CaseError((Issue("settlement", "", "", what, expected),))


def apportion(total: int, weights: Sequence[Decimal]) -> list[int]:
    """Divide cents in proportion to weights, by the method of the largest remainder.

    Parameters
    ----------
    total : int
        Cents; may be negative.
    weights : sequence of Decimal
        Not negative, not all zero.

    Returns
    -------
    list of int
        They add up to the total. What whole cents leave goes to the largest remainders, the first among
        equals.

    Raises
    ------
    ValueError
        A weight is negative, or all are zero.
    """
    every = sum(weights, Decimal(0))
    if every <= 0 or min(weights) < 0:
        msg = "weights must not be negative, nor all zero"
        raise ValueError(msg)
    sign = -1 if total < 0 else 1
    with localcontext(prec=_DIGITS):
        exact_parts = [abs(total) * weight / every for weight in weights]
        whole = [int(part.to_integral_value(rounding=ROUND_FLOOR)) for part in exact_parts]
        order = sorted(range(len(weights)), key=lambda k: (whole[k] - exact_parts[k], k))
        # Cents that are left belong to parts that are no whole cents, at most one to each.
        for k in order[: abs(total) - sum(whole)]:
            whole[k] += 1
    return [sign * part for part in whole]


def euros(amount: Ints) -> Floats:
    """Cents as EUR, each the number next to its two decimals."""
    found: Floats = amount / 100.0
    return found
