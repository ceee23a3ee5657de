"""What samples of the safe share say about probabilities, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtr, bdtrc, betaincinv

from gridclear.errors import OptionError

if TYPE_CHECKING:
    from gridclear.network.network import Floats, Ints


@dataclass(frozen=True, eq=False)
class Chance:
    """Share of each offer that is safe with a probability, and how probable it is that all of it is.

    Attributes
    ----------
    safe : (row,)
        Largest share that was safe in the stated part of the samples.
    safe_low, safe_high : (row,)
        Confidence interval of the true one. NaN where there are too few samples to bound it.
    full : (row,)
        Part of the samples in which the full offer was safe.
    full_low, full_high : (row,)
        Confidence interval of that probability.
    """

    safe: Floats
    safe_low: Floats
    safe_high: Floats
    full: Floats
    full_low: Floats
    full_high: Floats


def safe_with_probability(shares: Floats, probability: float, confidence: float = 0.95) -> Chance:
    """Judge the safe share of every offer from independent samples of it.

    Parameters
    ----------
    shares : (sample, row)
        Safe share, 0 to 1, of every offer in every sample.
    probability : float
        With which the amount is to be safe, between 0 and 1.
    confidence : float
        Of the two-sided intervals, between 0 and 1.

    Returns
    -------
    Chance

    Raises
    ------
    OptionError
        A probability out of range, or no sample.

    Notes
    -----
    The share a that is safe with probability p is the largest with P(S >= a) >= p, a quantile of the safe
    share S. Its estimate and both bounds are order statistics; that a bound misses it has at most a binomial
    probability, whatever the distribution of S is, jumps at 0 and 1 included (Conover, Practical
    Nonparametric Statistics, 3rd ed., section 3.2). The probability of the full offer has the interval of
    Clopper and Pearson (Biometrika 26, 1934).
    """
    for name, value in (("probability", probability), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise OptionError(f"{name} is {value}; it must be between 0 and 1")
    count = len(shares)
    if not count:
        raise OptionError("there is no sample to judge by")
    ordered = np.sort(shares, axis=0)
    miss = (1.0 - confidence) / 2.0
    # Of n samples n p have to be safe; a product that is whole but for rounding is whole.
    needed = int(np.ceil(count * probability * (1.0 - 1e-12)))
    below = np.arange(count)
    # ordered[k] is above the true share where k samples or fewer are not; each is not with at least 1 - p.
    sure_low = np.flatnonzero(bdtr(below, count, 1.0 - probability) <= miss)
    # ordered[k] is below it where more than k samples are; each is with at most 1 - p.
    sure_high = np.flatnonzero(bdtrc(below, count, 1.0 - probability) <= miss)
    unknown = np.full(shares.shape[1], np.nan)
    full = (shares >= 1.0).sum(axis=0)
    full_low, full_high = _clopper_pearson(full, count, miss)
    return Chance(
        safe=ordered[count - needed],
        safe_low=ordered[sure_low[-1]] if len(sure_low) else unknown,
        safe_high=ordered[sure_high[0]] if len(sure_high) else unknown,
        full=full / count,
        full_low=full_low,
        full_high=full_high,
    )


def _clopper_pearson(hits: Ints, count: int, miss: float) -> tuple[Floats, Floats]:
    """Bounds of a probability of which ``hits`` of ``count`` trials came true, each wrong with ``miss``."""
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), count - hits + 1, miss), 0.0)
    high = np.where(hits < count, betaincinv(hits + 1, np.maximum(count - hits, 1), 1.0 - miss), 1.0)
    return low, high
