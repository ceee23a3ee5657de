"""What a bound is to prove: that no schedule costs less than an aim, which is lowered where out of reach."""

from __future__ import annotations

#: Gap of the aim at first, as a part of that which is enough.
_FIRST = 0.25
#: The gap of an aim out of reach grows by a factor, and to a part of the bound's gap at least. The end is
#: where the way to the aim is no more than a part of the bound's gap.
_LOWERED, _BELOW, _LAST = 1.9, 0.25, 0.1
#: Part of the way to the aim by which the bound has to rise while so many placings per period are looked at.
_SLOW, _PATIENT = 0.1, 2
#: EUR that a cost counts as at least, as in the gap of a clearing.
_LEAST = 1.0


class Aim:
    """An aim below the cost of the best plan.

    Parameters
    ----------
    cost : float
        Of the plan.
    enough : float
        Part of the cost by which a bound may be below it.
    periods : int

    Attributes
    ----------
    cost : float
        Of the best plan so far.
    eur : float
    """

    def __init__(self, cost: float, enough: float, periods: int) -> None:
        self.cost, self._enough, self._periods = cost, enough, periods
        self._gap = _FIRST * enough
        self.eur = self._below(self._gap)
        self._before, self._looked = float("-inf"), 0

    def _below(self, gap: float) -> float:
        return self.cost - gap * max(abs(self.cost), _LEAST)

    def met(self, bound: float) -> bool:
        """Whether a bound is close enough, or as high as it can be."""
        return bound >= min(self._below(self._enough), self.eur)

    def take(self, cost: float) -> None:
        """Take the cost of another plan; what was supposed of the aim before holds for fewer schedules."""
        self.cost = min(self.cost, cost)
        self.eur = min(self.eur, self._below(self._gap))

    def out_of_reach(self, bound: float, looking: int) -> bool:
        """Whether the bound has hardly risen while placings were looked at.

        Parameters
        ----------
        bound : float
        looking : int
            Placings that are looked at next.
        """
        self._looked += looking
        if self._looked < _PATIENT * self._periods:
            return False
        slow = bound - self._before < _SLOW * (self.eur - bound)
        self._before, self._looked = bound, 0
        return slow

    def lower(self, bound: float) -> bool:
        """Come down; False where that is next to the bound."""
        part = (self.cost - bound) / max(abs(self.cost), _LEAST)
        self._gap = max(_LOWERED * self._gap, _BELOW * part)
        self.eur = min(self.eur, self._below(self._gap))
        self._before, self._looked = bound, 0
        return self.eur - bound > _LAST * (self.cost - bound)
