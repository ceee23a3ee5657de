"""Magnitudes and angles of vectors of phasors: roots and divisions by multiplication.

A processor has several multipliers and one slow unit for roots and divisions, which the three magnitudes and
the angle of every node would keep busy for longer than the rest of their balance takes.
"""

from __future__ import annotations

import numpy as np

from gridclear.powerflow.jit import inner
from gridclear.powerflow.simd import HAS_ESTIMATES, estimated_root, narrow, reciprocal_root, widen

#: Square in p.u. far below any of interest, of which an estimate is still a number.
_NOTHING = np.float32(1e-36)

#: Cosine of the angle up to which ``small_angle`` is exact to the last digits: 15°.
SMALL = 0.9659258262890683
#: (asin(√t)/√t - 1)/t for t from 0 to sin² 15°: its polynomial through eight Chebyshev points, off by 1e-17.
_ARC_SINE = (
    0.16666666666666652,
    0.0750000000002921,
    0.04464285705149918,
    0.030381955306118105,
    0.022371526843622078,
    0.017372652444821713,
    0.013621501724273864,
    0.014567516759135724,
)

if HAS_ESTIMATES:

    @inner
    def _begin(square):
        """1/√a to 14 bits, and how to go on; see ``root_and_inverse``."""
        rough = estimated_root(square + 1e-300)
        root = square * rough
        d = 1.0 - root * rough
        return rough, root, d * (0.5 + d * (0.375 + 0.3125 * d))

else:

    @inner
    def _begin(square):
        """1/√a to 22 bits, from single precision, and how to go on; see ``root_and_inverse``."""
        rough = widen(reciprocal_root(narrow(square) + _NOTHING))
        root = square * rough
        d = 1.0 - root * rough
        return rough, root, d * (0.5 + 0.375 * d)


@inner
def root_and_inverse(square):
    """Take √a and 1/√a of a vector of squares in double precision; the root of 0 is 0.

    With an estimate r ≈ 1/√a and d = 1 - a·r²: √a = a·r·(1 - d)^(-1/2), of whose series as many terms are
    taken as double precision holds. The last digit may differ from the instruction's. Squares beyond 1e38, which no
    solved state has, need not give a number.
    """
    rough, root, more = _begin(square)
    return root + root * more, rough + rough * more


@inner
def magnitude_of(square):
    """Square root of a vector of squares; see ``root_and_inverse``."""
    _, root, more = _begin(square)
    return root + root * more


@inner
def small_angle(sine):
    """Angles in rad of a vector of sines; right where their cosines are at least SMALL."""
    t = sine * sine
    series = _ARC_SINE[6] + _ARC_SINE[7] * t
    for k in range(5, -1, -1):
        series = _ARC_SINE[k] + t * series
    return sine + (sine * t) * series
