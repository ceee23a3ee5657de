"""What the TSO still needs: it takes no more, in merit order, with or without what losses use up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridclear.powerflow.activations import Activations
from gridclear.powerflow.arrays import NEWTON

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.headroom import Headroom
    from gridclear.jobs.search import Search
    from gridclear.jobs.taken import Taken
    from gridclear.network.network import Floats, Ints
    from gridclear.powerflow.scenarios import Scenarios

#: Directions of need, in the order of the columns of ``Needs.left``.
DIRECTIONS = ("up", "down")
#: MW of need that are none.
COVERED_MW = 1e-6
#: MW by which a bid may stay below the need where losses are counted, and rounds to come so near.
_CRUMB_MW, _ROUNDS = 1e-8, 60
#: Part of a share that is as good as all of it.
_NEXT_TO = 1.0 - 1e-9


class Needs:
    """The needs of all periods, and what is left of them as bids are taken.

    Parameters
    ----------
    search : Search
    bids : Bids
    way : (unit,) of int
        Place of each unit's direction in ``DIRECTIONS``.
    need_mw : (period, direction)
    headroom : Headroom
        Of the elements, before anything is taken.
    losses : bool
        Whether a bid supplies what the exchange with transmission changes by, or what it injects.

    Attributes
    ----------
    left : (period, direction)
        MW of need that are still open.
    supplied : (unit,)
        MW of need that each unit has covered.
    asked : (unit,) of bool
        Units that were needed when their turn came.
    used_up : (unit,) of bool
        Units of items of which less is taken, or nothing, because an element can do no more with what was
        taken of it before.
    """

    takes_all = False

    def __init__(
        self,
        search: Search,
        bids: Bids,
        way: Ints,
        need_mw: Floats,
        headroom: Headroom,
        *,
        losses: bool,
    ) -> None:
        self._search, self._bids, self._way, self._losses = search, bids, way, losses
        self._headroom = headroom
        self._offered = bids.offered_of_unit
        self._sign = np.where(way == DIRECTIONS.index("up"), 1.0, -1.0)
        # MW that the grid draws with all that is taken, (period,): of use where losses count.
        nothing = Activations.none(np.arange(len(need_mw), dtype=np.int64))
        self._drawn = drawn_mw(search.scenarios, nothing, search.setting)
        self.left = need_mw.copy()
        self.supplied = np.zeros(len(way))
        self.asked = np.zeros(len(way), dtype=bool)
        self.used_up = np.zeros(len(way), dtype=bool)

    def wants(self, units: Ints, begin: Ints) -> NDArray[np.bool_]:
        """Items of which every unit offers something that is still needed."""
        useful = (self._open(units) > COVERED_MW) & (self._offered[units] > 0.0)
        wanted: NDArray[np.bool_] = np.logical_and.reduceat(useful, begin)
        self.asked[units] = np.repeat(wanted, _counts(units, begin))
        return wanted

    def take(self, units: Ints, begin: Ints, share: Floats, taken: Taken) -> Floats:
        """Take of each item what is safe, in its elements' reach and still needed, if its owners agree."""
        item = self._bids.item[units[begin]]
        blocked = np.logical_or.reduceat((taken.excluding(units) >= 0) | ~self.asked[units], begin)
        able = self._headroom.most(units, begin)
        most = np.where(blocked, 0.0, np.minimum(share, able))
        found = self._within(units, begin, most, taken) if self._losses else self._by_size(units, begin, most)
        least = self._bids.least_share[item]
        # What others leave of a need may miss a bid, or its least amount, by what sums of numbers round.
        for whole in (least, np.ones(len(found))):
            missed = (found < whole) & (found >= whole * _NEXT_TO)
            found = np.where(missed, np.minimum(whole, most), found)
        least = least * _NEXT_TO
        found = np.where(found < least, 0.0, found)
        count = _counts(units, begin)
        used_up = ~blocked & (able < share) & ((found >= able) | (able < least))
        self.used_up[units] = np.repeat(used_up, count)
        every = np.repeat(found, count)
        self._headroom.take(units, every)
        self.supplied[units] = self._supply(units, every, taken)
        period = self._bids.activations.period[units]
        np.subtract.at(self.left, (period, self._way[units]), self.supplied[units])
        own = self._sign[units] * self.supplied[units] * self._bids.marked[units]
        np.subtract.at(self._drawn, period, own)
        return found

    def _open(self, units: Ints) -> Floats:
        """MW of need that are left where each unit would cover them."""
        left: Floats = self.left[self._bids.activations.period[units], self._way[units]]
        return left

    def _by_size(self, units: Ints, begin: Ints, most: Floats) -> Floats:
        """Largest share of items whose megawatts do not exceed what is left."""
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.nan_to_num(np.maximum(self._open(units), 0.0) / self._offered[units])
        return np.minimum(most, np.minimum.reduceat(room, begin))

    def _within(self, units: Ints, begin: Ints, most: Floats, taken: Taken) -> Floats:
        """Largest share of items whose supply, losses counted, does not exceed what is left.

        The chord's root, weighed by the Illinois rule, aimed half a crumb inside.
        """
        count = _counts(units, begin)

        def beyond(share: Floats, asked: NDArray[np.bool_]) -> Floats:
            own, number = units[np.repeat(asked, count)], count[asked]
            over = self._supply(own, np.repeat(share[asked], number), taken) - self._open(own)
            worst = np.full(len(share), -np.inf)
            over = np.where(np.isnan(over), np.inf, over)
            worst[asked] = np.maximum.reduceat(over, np.cumsum(number) - number) + 0.5 * _CRUMB_MW
            return worst

        low, high, every = np.zeros(len(most)), most.copy(), np.ones(len(most), dtype=bool)
        at_low, at_high = beyond(low, every), beyond(high, every)
        low = np.where(at_high <= 0.5 * _CRUMB_MW, high, low)
        weight_low, weight_high = at_low.copy(), at_high.copy()
        for _ in range(_ROUNDS):
            going = (low < high) & (at_low < -0.5 * _CRUMB_MW)
            if not going.any():
                break
            with np.errstate(divide="ignore", invalid="ignore"):
                trial = low - weight_low * (high - low) / (weight_high - weight_low)
            trial = np.where(np.isfinite(trial), np.clip(trial, low, high), 0.5 * (low + high))
            at = beyond(trial, going)
            inside, outside = going & (at <= 0.0), going & (at > 0.0)
            weight_high = np.where(inside, 0.5 * weight_high, np.where(outside, at, weight_high))
            weight_low = np.where(outside, 0.5 * weight_low, np.where(inside, at, weight_low))
            low, at_low = np.where(inside, trial, low), np.where(inside, at, at_low)
            high = np.where(outside, trial, high)
        return low

    def _supply(self, units: Ints, share: Floats, taken: Taken) -> Floats:
        """MW that units supply in their directions on top of what is taken; NaN without power flow.

        With losses, what the grid draws less (``up``) or more (``down``) than before; both directions of an
        item in one period one after the other.
        """
        supply = self._offered[units] * share
        rows = np.flatnonzero(self._bids.marked[units] & (share > 0.0))
        if not (self._losses and len(rows)):
            return supply
        own = self._bids.activations.part(units[rows], share[rows])
        ground = taken.value[own.period]
        # What an item does in one period before its second direction is the ground of that.
        follows = _follows(self._bids, units)[rows]
        earlier = self._bids.activations.part(units[rows[follows]] - 1, share[rows[follows]])
        row = np.repeat(np.flatnonzero(follows), np.diff(earlier.first))
        np.add.at(ground, (row, np.searchsorted(taken.cells, earlier.cell)), earlier.value)
        lanes = own.on(taken.cells, ground)
        setting = self._search.settled(lanes, taken.setting[own.period])
        after = drawn_mw(self._search.scenarios, lanes, setting)
        before = np.where(follows, np.roll(after, 1), self._drawn[own.period])
        supply[rows] = self._sign[units[rows]] * (before - after)
        return supply


def _counts(units: Ints, begin: Ints) -> Ints:
    """Count the units of each item."""
    return np.diff(np.append(begin, len(units)))


def _follows(bids: Bids, units: Ints) -> NDArray[np.bool_]:
    """Units whose item has one of the other direction before them in the same period."""
    before = np.maximum(units - 1, 0)
    period = bids.activations.period
    follows: NDArray[np.bool_] = (
        (units > 0) & (bids.item[before] == bids.item[units]) & (period[before] == period[units])
    )
    return follows


def drawn_mw(scenarios: Scenarios, activations: Activations, setting: Ints) -> Floats:
    """Active power that the slack nodes feed into the grid, (scenario,) in MW; NaN without solution."""
    compiled = scenarios.compiled
    drawn = np.full(len(activations), np.nan)
    for topology, rows, out in scenarios.states(activations, setting):
        network, good = compiled.networks[topology], out.code <= NEWTON
        power = out.slack_p[good, : network.n_node - network.n_free].sum(axis=1)
        drawn[rows[good]] = power * compiled.s_base_mva
    return drawn
