"""Shares in merit order under linear limits: as worked out with plain numbers, and strips of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.optimise.allotment import MERIT_ORDER, Limits, Offers, allot
from gridclear.powerflow.jit import kernel
from gridclear.powerflow.simd import LANES, STRIP, STRIPS, load_like, load_part, store, store_like


def one_by_one(offers: Offers, limits: Limits) -> list[float]:
    """The same with plain numbers: each item in its turn, from what all before it have left."""
    shares: list[float] = []

    def used(period: int, row: int, more: dict[int, float]) -> float:
        share = dict(enumerate(shares)) | more
        single, groups = 0.0, {}
        for unit, item in enumerate(offers.item.tolist()):
            if item not in share or offers.period[unit] != period:
                continue
            column = offers.column[unit]
            reach = np.inf if limits.reach is None else limits.reach[period, row, column]
            press = limits.press[period, row, column] * min(share[item], reach)
            group = int(offers.exclusive[unit])
            if group < 0:
                single += press
            else:
                groups[group] = max(groups.get(group, 0.0), press)
        return single + sum(groups.values())

    for item in range(offers.items):
        units = np.flatnonzero(offers.item == item)
        most = min((float(offers.most[unit]) for unit in units), default=0.0)

        def fits(share: float, item: int = item) -> bool:
            return all(
                used(t, row, {item: share}) <= limits.room[t, row] + 1e-12
                for t in range(len(limits.room))
                for row in range(limits.room.shape[1])
            )

        low, high = 0.0, most
        if fits(most):
            low = most
        else:
            for _ in range(50):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if fits(middle) else (low, middle)
        shares.append(low if low >= offers.least[item] else 0.0)
    return shares


@pytest.mark.parametrize("bends", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_items_take_what_those_before_them_have_left(seed: int, bends: bool) -> None:
    rng = np.random.default_rng(seed)
    periods, rows, columns, items = 3, 4, 6, 8
    # One unit of an item in each of some periods; a group of two that exclude one another.
    wanted = rng.random((items, periods)) < 0.6
    item, period = np.nonzero(wanted)
    units = len(item)
    offers = Offers(
        item=item,
        period=period,
        column=rng.integers(columns, size=units),
        most=rng.random(units),
        least=rng.random(items) * 0.2,
        size=rng.random(units),
        exclusive=np.where((item == 1) | (item == 4), 0, -1),
    )
    press = rng.random((periods, rows, columns)) * (rng.random((periods, rows, columns)) < 0.7)
    room = rng.random((periods, rows)) * 1.5
    reach = np.where(rng.random(press.shape) < 0.5, rng.random(press.shape), np.inf)
    limits = Limits(press, room, reach if bends else None)
    np.testing.assert_allclose(allot(MERIT_ORDER, offers, limits), one_by_one(offers, limits), atol=1e-9)


def test_units_of_one_item_in_a_period_press_together() -> None:
    offers = Offers(
        item=np.array([0, 0]),
        period=np.array([0, 0]),
        column=np.array([0, 1]),
        most=np.ones(2),
        least=np.zeros(1),
        size=np.ones(2),
        exclusive=np.full(2, -1),
    )
    limits = Limits(np.array([[[1.0, 3.0]]]), np.array([[2.0]]))
    assert allot(MERIT_ORDER, offers, limits) == pytest.approx([0.5], abs=1e-15)


@kernel
def doubled(given, found):  # type: ignore[no-untyped-def]
    for row in range(len(given)):
        for part in range(STRIPS):
            strip = load_part(given, STRIPS * row + part)
            store(found[0], STRIPS * row + part, strip + strip)
            store_like(found[1], row, part, strip + load_like(given, row, part, strip))


def test_strips_are_the_whole_of_every_row() -> None:
    assert STRIP * STRIPS == LANES
    given, found = np.random.default_rng(1).random((5, LANES)), np.zeros((2, 5, LANES))
    doubled(given, found)
    assert (found == 2.0 * given).all()
