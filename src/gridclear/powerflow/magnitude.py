"""Magnitudes of voltages and currents: square roots by multiplication.

A processor has several multipliers and one slow unit for roots, which the three magnitudes of every node and
branch would keep busy for longer than the rest of their balance takes.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import narrow, reciprocal_root, widen

#: Square in p.u. far below any of interest that single precision holds with room to spare.
_NOTHING = np.float32(1e-36)


@inner
def magnitude_of(square):
    """Square root of a vector of squares in double precision; of 0 it is 0.

    With r ≈ 1/√a to seven digits, from single precision, and d = 1 - a·r²: √a = a·r·(1 - d)^(-1/2), of whose
    series the terms up to d² are taken; the next is beyond double precision. The last digit may differ from
    the instruction's. Squares beyond 1e38, which no solved state has, do not give a number.
    """
    rough = widen(reciprocal_root(narrow(square) + _NOTHING))
    root = square * rough
    d = 1.0 - root * rough
    return root + (root * d) * (0.5 + 0.375 * d)
