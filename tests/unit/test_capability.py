"""Rows of what elements can do: inside exactly what curves, ratings and their own power allow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from algebraic_support import STARTS, problem_of, small_case, small_net

import gridclear as gc
from gridclear.errors import CaseError
from gridclear.optimise.capability import _bounds, _Rating


def curve(seed):
    """A curve that bends outwards, from nothing to a rated power."""
    rng = np.random.default_rng(seed)
    at = np.concatenate([[0.0], np.sort(rng.uniform(0.1, 0.9, 3)), [1.0]])
    slopes = -np.sort(-rng.uniform(-0.5, 1.5, 4))
    high = np.concatenate([[0.2], 0.2 + np.cumsum(slopes * np.diff(at))])
    return at, -0.5 * high - 0.1, high


@pytest.mark.parametrize("seed", range(20))
def test_rows_keep_what_the_curve_allows_and_no_more(seed):
    rng = np.random.default_rng(100 + seed)
    at, least, most = curve(seed)
    p0 = float(rng.uniform(0.2, 0.8))
    q0 = float(np.interp(p0, at, 0.5 * (least + most)))
    span = (float(rng.uniform(0.0, p0)), float(rng.uniform(p0, 1.0)))
    rows = _bounds(_Rating("x", np.inf, np.nan, (at, least, most)), p0, q0, span, p0)
    for _ in range(200):
        p, q = float(rng.uniform(*span)), float(rng.uniform(-1.5, 1.5))
        allowed = np.interp(p, at, least) <= q <= np.interp(p, at, most)
        kept = all(low <= a * (p - p0) + b * (q - q0) <= high for a, b, (low, high, _) in rows)
        assert allowed == kept


def test_a_forecast_outside_stays_possible():
    at, least, most = curve(1)
    for foreseen in (0.5, 0.6):
        rows = _bounds(_Rating("x", 0.8, 0.9, (at, least, most)), 0.5, 2.0, (0.3, 0.7), foreseen)
        moved = foreseen - 0.5
        assert all(low - 1e-12 <= a * moved <= high + 1e-12 for a, _, (low, high, _) in rows)


def test_a_curve_that_bends_inwards_is_refused():
    at, most = np.array([0.0, 0.5, 1.0]), np.array([0.5, 0.1, 0.5])
    with pytest.raises(CaseError, match="bends inwards"):
        _bounds(_Rating("x", np.inf, np.nan, (at, -most, most)), 0.5, 0.0, (0.2, 0.8), 0.5)


def kept(problem, share, charge, discharge):
    """Whether every row is kept, rounding aside."""
    able = problem.capability
    value = able.matrix @ np.concatenate([share, charge.ravel(), discharge.ravel()])
    return bool(((value >= able.low - 1e-9) & (value <= able.high + 1e-9)).all())


def test_a_decided_storage_is_held_to_its_rating_from_nothing_and_not_from_its_forecast():
    # The forecast charges with 0.5 MW, which is not what will be.
    bids = pd.DataFrame(
        {"bid": ["up", "down"], "element_type": "storage", "element": "battery", "start": STARTS[0],
         "direction": ["inject", "absorb"], "q_mvar": 1.0, "price_eur_mvarh": 5.0}
    )  # fmt: skip
    plain = small_case()
    case = small_case(reactive_bids=bids, storage=plain.storage.assign(s_max_mva=1.1))
    problem, rng = problem_of(case), np.random.default_rng(5)
    found = set()
    for _ in range(300):
        share, power = np.zeros(2), float(rng.uniform(-1.0, 1.0))
        share[int(rng.integers(2))] = q_mvar = float(rng.uniform(0.0, 1.0))
        charge, discharge = np.zeros((1, 2)), np.zeros((1, 2))
        (charge if power > 0.0 else discharge)[0, 0] = abs(power)
        size = np.hypot(power, q_mvar)
        if not 1.09 < size < 1.1 + 1e-6:  # between the polygon and the circle
            assert kept(problem, share, charge, discharge) == (size <= 1.1)
            found.add(size <= 1.1)
    assert found == {True, False}


def load_bids(*rows):
    """Active bids of a load in the first period: name, direction, MW, EUR/MWh."""
    return pd.DataFrame(
        [("load", "L2", STARTS[0], *row) for row in rows],
        columns=["element_type", "element", "start", "bid", "direction", "p_mw", "price_eur_mwh"],
    )


def test_active_bids_of_one_element_are_together_no_more_than_it_can_do():
    # The load consumes 3 MW, and nothing says how much more it could.
    active = load_bids(("X", "up", 2.0, 1.0), ("Y", "up", 2.0, 1.0), ("Z", "down", 1.0, 1.0))
    problem, rng = problem_of(small_case(active_bids=active), "common"), np.random.default_rng(6)
    offers, nothing = problem.offers, problem.nothing()
    mine = offers.item[offers.element == "L2"]
    change = offers.p[np.isin(offers.item, mine)]
    found = set()
    for _ in range(200):
        share = np.zeros(len(offers.most))
        share[mine] = rng.uniform(0.0, 1.0, 3)
        moved = float(change @ share[mine])
        assert kept(problem, share, nothing.charge, nothing.discharge) == (moved <= 3.0 + 1e-6)
        found.add(moved <= 3.0)
    assert found == {True, False}


def test_a_common_clearing_sheds_no_more_of_a_load_than_it_consumes():
    # Both pay for being taken.
    active = load_bids(("X", "up", 2.0, -200.0), ("Y", "up", 2.0, -300.0))
    net = small_net()
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.9, 1.1
    clearing = gc.clear(small_case(net, active_bids=active), market="common", threads=1)
    plan = clearing.schedule
    own = plan[(plan["element"] == "L2") & (plan["start"] == STARTS[0])].set_index("bid")["p_mw"]
    assert clearing.status in ("confirmed", "closest")
    assert own.sum() == pytest.approx(3.0, abs=1e-5)
    assert own["Y"] == pytest.approx(2.0, abs=1e-6)
