"""Random sessions: the same for the same seed, and with limits that bind."""

from __future__ import annotations

import pytest

from .activation import Period, excess
from .plain_grid import problem_of
from .random_cases import START, random_case


def test_a_seed_gives_one_session():
    one, other = random_case(3, periods=1)[0], random_case(3, periods=1)[0]
    assert one.content_hash == other.content_hash
    assert one.content_hash != random_case(4, periods=1)[0].content_hash


def test_limits_bind_where_all_bids_of_a_direction_are_taken():
    broken = []
    for seed in range(4):
        case, net = random_case(seed, periods=1)
        period = Period(problem_of(case, net), START)
        over = [
            excess(period.state({row: 1.0 for row, bid in period.bids.items() if bid["direction"] == way}))
            for way in ("up", "down")
        ]
        broken.append(any((part > 1.0).any() for part in over))
        assert (excess(period.state({})) <= 1.0).all()
    assert sum(broken) >= 2


@pytest.mark.parametrize("blocks", [True, False])
def test_blocks_only_if_asked_for(blocks):
    linked = [
        (random_case(seed, blocks=blocks, periods=1)[0].active_bids["block"] != "").any() for seed in (0, 3)
    ]
    assert any(linked) == blocks
