"""Lights that hold whatever part of the bids is activated: the box of accepted shares is safe as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from gridclear.jobs.box import Box
from gridclear.jobs.small import FEW_ITEMS, grow, small_parts
from gridclear.network.limits import TOLERANCE
from gridclear.optimise.allotment import MOST_MW, Offers, allot
from gridclear.powerflow.rays import LEAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gridclear.jobs.bids import Bids
    from gridclear.jobs.search import Search
    from gridclear.jobs.verdict import Verdict
    from gridclear.network.network import Floats, Ints

#: Rounds of allotment and power flows; the box mostly comes to rest after six. Where it swings, lines that
#: were drawn stay from then on, and a while later the first box that nothing breaks is taken.
_ROUNDS, _FREE_ROUNDS, _CALMING = 40, 7, 6
#: Where inverters follow curves, points that are worst come to light one after another.
_ROUNDS_ON_CURVES = 160
#: The box is at rest when no share moves more than this.
_REST = 1e-5
#: So often a box of the most megawatts begins anew, from another unit in full that lacks so much of it,
#: within so many rounds.
_STARTS, _WORTH, _ROUNDS_ANEW = 8, 1e-3, 24
#: A box that found no rest shrinks until it is safe: by this part at first, by twice as much each time, and
#: by the last part at most.
_SHRINK, _MOST_SHRINK, _SHRINKS = 1e-3, 0.1, 66


def judge_any_subset(
    search: Search,
    bids: Bids,
    each: Verdict,
    allotment: str,
    progress: Callable[[int, int], None] | None = None,
    *,
    at_rest: bool = False,
) -> Verdict:
    """Accept shares of which every subset and part is safe.

    The worst corner of the box is known for each constraint from its slopes, so that the safe box is linear
    in the shares: what each unit presses on a constraint, if it does, must find room. Power flows at these
    corners and at random points correct the constraints until nothing breaks and the box rests.

    Parameters
    ----------
    search : Search
    bids : Bids
    each : Verdict
        Of every item by itself: no share of the box is larger.
    allotment : {"merit-order", "pro-rata", "most-mw"}
    progress : callable, optional
        Called with (rounds done, most).
    at_rest : bool
        The limits are such that no regulator acts inside the box (see ``dead_bands``); that it does not is
        confirmed, too.

    Returns
    -------
    Verdict
        Confirmed by power flows at all corners that were found and at random points of the box.

    Notes
    -----
    With curves larger boxes are then looked for beside it, see ``_beyond_lines``. The idea of passing bids
    on with a box that is safe for every activation: arXiv 2406.04889.
    """
    verdict = each.copy()
    most = np.where(verdict.confirmed | ~bids.marked, verdict.free, 0.0)
    # A period that is not safe with nothing activated has no box.
    usable = verdict.searched & (search.at_nothing()[0] <= TOLERANCE)[bids.activations.period]
    box = Box(search, bids, np.flatnonzero(usable))
    offers = _offers(bids, most, box)
    rounds = _ROUNDS_ON_CURVES if search.curved else _ROUNDS
    share, calm = _come_to_rest(bids, box, allotment, offers, rounds, progress)
    if search.curved:
        share, calm = _beyond_lines(search, bids, box, allotment, offers, share, calm=calm)
    elif allotment == MOST_MW and calm:
        share, calm = _with_whole_ones(bids, box, offers, share)
    for number in range(0 if calm else _SHRINKS):
        share = _without_crumbs(bids, share * (1.0 - min(_SHRINK * 2.0**number, _MOST_SHRINK)))
        if _holds(box, share, _ROUNDS_ON_CURVES):
            calm = True
            break
    _fill(verdict, bids, box, share, calm=calm and (not at_rest or box.rests(share)))
    if progress is not None:
        progress(rounds, rounds)
    return verdict


def _come_to_rest(
    bids: Bids,
    box: Box,
    allotment: str,
    offers: Offers,
    rounds: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Floats, bool]:
    """Allot and look in turn until the box rests; its shares, and whether nothing was broken at last."""
    share, before = np.zeros(len(bids.item)), np.full(len(bids.item), np.inf)
    for number in range(rounds):
        share = allot(allotment, offers, box.limits())[bids.item]
        rest = bool(np.abs(share - before).max(initial=0.0) <= _REST)
        frozen = number >= _FREE_ROUNDS
        broken = box.correct(share, frozen=frozen)
        if not broken and (rest or number >= _FREE_ROUNDS + _CALMING) and not box.probe(share, number):
            return share, True
        before = share
        if progress is not None:
            progress(number + 1, rounds)
    return share, False


def _beyond_lines(
    search: Search, bids: Bids, box: Box, allotment: str, offers: Offers, share: Floats, *, calm: bool
) -> tuple[Floats, bool]:
    """Look for better boxes than that at which the lines rest, and whether nothing is broken at last.

    Where curves bend, what lines at the corners of one box say of another one may be far from true, so that
    the box rests beside a larger one. Parts with few items are grown against all of their corners; of the
    others, boxes begin anew elsewhere.
    """
    part = _parts(bids)
    small = small_parts(search, bids, box, part, offers.of_item(offers.most))
    grown = np.zeros(len(share), dtype=bool)
    for one in small:
        grown |= part == part[one.units[0]]
    if calm:
        share = _begun_anew(bids, box, allotment, offers, share, part, ~grown)
    share = grow(search, box, small, allotment, share, _ROUNDS_ON_CURVES, calm=calm)
    # Lines are left as they are drawn at the box that is answered.
    return share, _holds(box, share, _ROUNDS_ON_CURVES)


def _with_whole_ones(bids: Bids, box: Box, offers: Offers, share: Floats) -> tuple[Floats, bool]:
    """Look for better boxes with items that have a least share and got none, and whether nothing is broken.

    What lines say of such an item is told far from where it would stand: currents bend in between. Parts with
    many items are left as they are: there it gains little, and takes long.
    """
    part = _parts(bids)
    items = np.bincount(part[np.unique(bids.item, return_index=True)[1]], minlength=len(part))
    out = (offers.least[bids.item] > LEAST) & (share == 0.0) & (offers.most > 0.0)
    out &= items[part] <= FEW_ITEMS
    if not out.any():
        return share, True
    share = _begun_anew(bids, box, MOST_MW, offers, share, part, np.isin(part, part[out]), out)
    return share, _holds(box, share, _ROUNDS)


def _holds(box: Box, share: Floats, seed: int) -> bool:
    """Whether nothing is broken by a box, at its corners and at random points, with the lines as they are."""
    return not (box.correct(share, frozen=True) or box.probe(share, seed))


def _begun_anew(
    bids: Bids,
    box: Box,
    allotment: str,
    offers: Offers,
    share: Floats,
    part: Ints,
    open_: NDArray[np.bool_],
    wanted: NDArray[np.bool_] | None = None,
) -> Floats:
    """Begin anew from boxes with one more of the wanted units in full; keep what is better of the open ones.

    ``wanted``: all that are open, if not given.
    """
    size = bids.offered_of_unit
    most_mw = allotment == MOST_MW
    tried = ~(open_ if wanted is None else wanted)
    for _ in range(_STARTS if most_mw else 1):
        lacking = np.where(tried | (box.column < 0), 0.0, size * (offers.most - share))
        order = np.lexsort((-lacking, part))
        first = order[np.flatnonzero(np.diff(part[order], prepend=-1))]
        first = first[lacking[first] > _WORTH * size[first]]
        if not len(first):
            break
        tried[first] = True
        full = np.isin(bids.item, bids.item[first])
        box.begin_anew(np.where(full, offers.most, share))
        found, calm = _come_to_rest(bids, box, allotment, offers, _ROUNDS_ANEW)
        if calm:
            # Parts stand for themselves. Who gets the room is a matter of policy, unless nobody gets less.
            more = np.bincount(part, weights=size * (found - share)) > 0.0
            if not most_mw:
                more &= np.bincount(part, weights=found < share - _REST) == 0
            share = np.where(more[part] & open_, found, share)
    return share


def _parts(bids: Bids) -> Ints:
    """Tell apart the units of periods that no item joins."""
    period, periods = bids.activations.period, int(bids.activations.period.max(initial=-1)) + 1
    ends = (bids.item, len(bids.least_share) + period)
    count = len(bids.least_share) + periods
    joins = sparse.coo_array((np.ones(len(period)), ends), shape=(count, count))
    return csgraph.connected_components(joins, directed=False)[1][bids.item].astype(np.int64)


def _offers(bids: Bids, most: Floats, box: Box) -> Offers:
    return Offers(
        item=bids.item,
        period=bids.activations.period,
        column=box.column,
        most=np.where(bids.marked, most, 1.0),
        least=bids.smallest_share,
        size=bids.offered_of_unit,
        exclusive=np.where(bids.marked, bids.exclusive, -1),
    )


def _without_crumbs(bids: Bids, share: Floats) -> Floats:
    smallest = np.full(len(bids.least_share), np.inf)
    np.minimum.at(smallest, bids.item, np.where(bids.marked, share, 1.0))
    return bids.enough(np.arange(len(smallest)), smallest)[bids.item]


def _fill(verdict: Verdict, bids: Bids, box: Box, share: Floats, *, calm: bool) -> None:
    """Take shares and witnesses over into the verdict, in place."""
    units = box.units
    verdict.share[:] = share
    verdict.confirmed[units] = calm
    less = units[(share[units] < 1.0)]
    witness = box.witnesses(share)
    # What the grid would let through of a unit with the others in their part of the box.
    known = witness.constraint[units] >= 0
    verdict.which[units[known]] = witness.constraint[units[known]]
    verdict.value[units[known]] = witness.value[units[known]]
    verdict.value_at_full[units[known]] = witness.value_at_full[units[known]]
    verdict.free[less] = np.where(bids.least_share[bids.item[less]] > LEAST, witness.free[less], share[less])
    order = np.arange(len(share))
    # What cannot be activated at all decides before what only finds no room.
    free = np.full(len(share), -1.0)
    free[units] = witness.free[units]
    worst = bids.conditions(free)[1]
    verdict.decisive[:] = np.where(share >= 1.0, order, worst)
