"""Ranges of what is affine in the controls: by the controls' own ranges, and by rows at a price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gridclear.network.network import Floats

#: Factors of the prices that rows have.
_PRICES = (1.0, 0.5)


@dataclass(frozen=True, eq=False)
class Group:
    """Rows least <= matrix · (u - u') <= most, and what makes prices of them out of slopes.

    Attributes
    ----------
    matrix : (row, control)
    least, most : (row,)
    inverse : (control, row)
    """

    matrix: Floats
    least: Floats
    most: Floats
    inverse: Floats

    @classmethod
    def of(cls, rows: list[tuple[Floats, float, float]], width: Floats) -> Group:
        """Take rows together, for controls of ranges that wide."""
        matrix = np.array([own for own, _, _ in rows])
        least, most = (np.array([row[side] for row in rows], dtype=np.float64) for side in (1, 2))
        inverse: Floats = (width[:, None] * np.linalg.pinv(matrix * width)).astype(np.float64)
        return cls(matrix, least, most, inverse)


def highest(slope: Floats, low: Floats, high: Floats, groups: list[Group]) -> Floats:
    """Bound what is affine from above.

    Parameters
    ----------
    slope : (line, control)
    low, high : (control,)
        Ranges of u - u'.
    groups : list of Group
        Each is used apart.

    Returns
    -------
    (line,)
        At least the largest values of slope · (u - u').
    """
    best: Floats = np.maximum(slope * low, slope * high).sum(axis=1)
    for group in groups:
        # Any prices are sound; those that leave least of the slopes are near the best.
        price = slope @ group.inverse
        for factor in _PRICES:
            own = factor * price
            left = slope - own @ group.matrix
            value = np.maximum(left * low, left * high).sum(axis=1)
            best = np.minimum(best, value + np.maximum(own * group.least, own * group.most).sum(axis=1))
    return best
