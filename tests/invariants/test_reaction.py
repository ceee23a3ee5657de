"""Devices during an activation: regulators that react, and positions that the operator re-sets."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from lights_support import START, bid, forecast, regulator, shipped_case, tiny_case, tiny_net

import gridclear as gc
from gridclear.jobs.optimised import best_sequence
from oracle import plain_grid
from oracle.brute_force import broken_by
from oracle.plain_grid import problem_of
from oracle.reaction import Reaction

SHARES = 41
#: A rounding at the edge must not decide.
EDGE = 1.1
#: Reactive power that moves along is what regulators feel.
TAN_PHI = 0.6
CASES = [
    (vm_set, band, offer, low, high)
    for vm_set, band in ((1.0, 0.016), (1.02, 0.024))
    for offer in (("park", "up", 12.0), ("mill", "down", 9.0), ("farm", "up", 14.0))
    for low, high in ((0.97, 1.06), (0.985, 1.04))
]


#: Filled by the test of the cases: whether the accepted amount makes the regulator move.
MOVED: dict[tuple[object, ...], bool] = {}


@pytest.mark.parametrize(("vm_set", "band", "offer", "low", "high"), CASES)
def test_amounts_are_safe_before_and_after_the_reaction(vm_set, band, offer, low, high):
    element, direction, p_mw = offer
    limits = gc.Limits(vm_min_pu=low, vm_max_pu=high, loading_percent=1000.0)
    net = tiny_net()
    case = tiny_case(
        bid("A", element, direction, p_mw, tan_phi=TAN_PHI),
        limits=limits,
        tap_changers=regulator(vm_set, band),
        net=net,
    )
    for guarantee in ("each", "merit-order"):
        light = gc.qualify(case, guarantee=guarantee, devices="automatic").lights.iloc[0]
        table = "load" if element == "mill" else "sgen"
        change = p_mw if direction == "up" else -p_mw
        oracle = Reaction(problem_of(case, net), START, (table, element), change, TAN_PHI)
        accepted = light["accepted_mw"] / p_mw
        MOVED[vm_set, band, offer, low, high] = oracle.moves(accepted)
        for share in np.linspace(0.0, accepted, SHARES):
            assert not oracle.broken(share), f"{share} of {accepted} breaks something"
        if light["light"] != "green":
            beyond = [accepted + step for step in (5e-4, 1e-3, 2e-3) if accepted + step <= 1.0]
            assert any(oracle.broken(share) for share in beyond), f"more than {accepted} is safe"


def test_some_accepted_amounts_move_the_regulator():
    if len(MOVED) == len(CASES):
        assert sum(MOVED.values()) >= len(CASES) // 4


@pytest.mark.parametrize("guarantee", ["each", "merit-order"])
@pytest.mark.parametrize(("vm_set", "tan_phi", "high"), [(1.02, -0.3, 1.03), (1.02, -0.6, 1.02)])
def test_a_move_that_breaks_a_limit_at_once_stops_a_bid_just_before_it(guarantee, vm_set, tan_phi, high):
    net, limits = tiny_net(), gc.Limits(vm_min_pu=0.9, vm_max_pu=high, loading_percent=1000.0)
    offer = bid("A", "farm", "up", 14.0, tan_phi=tan_phi)
    case = tiny_case(offer, limits=limits, tap_changers=regulator(vm_set), net=net)
    light = gc.qualify(case, guarantee=guarantee, devices="automatic").lights.iloc[0]
    oracle = Reaction(problem_of(case, net), START, ("sgen", "farm"), 14.0, tan_phi)
    accepted = light["accepted_mw"] / 14.0
    assert light["light"] == "yellow"
    assert [share for share in np.linspace(0.0, accepted, SHARES) if oracle.broken(share)] == []
    assert oracle.broken(accepted + 2e-5)
    assert not oracle.moves(accepted)
    assert oracle.moves(accepted + 2e-5)


def test_without_regulators_automatic_is_scheduled():
    case = tiny_case(bid("A", "park", "up", 12.0), bid("B", "mill", "down", 9.0))
    scheduled = gc.qualify(case, devices="scheduled").lights
    automatic = gc.qualify(case, devices="automatic").lights
    assert scheduled["light"].tolist() == automatic["light"].tolist()
    np.testing.assert_allclose(scheduled["accepted_mw"], automatic["accepted_mw"], rtol=2e-5)


@pytest.mark.parametrize("seed", range(12))
def test_best_sequence_is_that_of_enumeration(seed):
    rng = np.random.default_rng(seed)
    offsets = np.arange(-1, 2 + seed % 2)
    value = rng.uniform(0.0, 10.0, (4, len(offsets)))
    value[rng.random(value.shape) < 0.2] = -np.inf
    value[:, 1] = np.maximum(value[:, 1], 0.0)
    most = int(rng.integers(0, 6))

    def worth(path: tuple[int, ...]) -> float:
        moves = sum(abs(b - a) for a, b in itertools.pairwise([0, *path]))
        total = sum(value[period, int(offset) + 1] for period, offset in enumerate(path))
        return -np.inf if moves > most else float(total) - 1e-3 * moves

    best = max(worth(path) for path in itertools.product(offsets.tolist(), repeat=4))
    assert worth(tuple(best_sequence(value, offsets, most).tolist())) == pytest.approx(best)


def optimised_tap(max_moves: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"element_type": ["trafo"], "element": ["T"], "mode": ["optimised"], "max_moves": [max_moves]}
    )


def test_tap_is_reset_within_its_moves_so_that_more_passes():
    limits = gc.Limits(vm_min_pu=0.95, vm_max_pu=1.03, loading_percent=1000.0)
    offers = [bid("A", "park", "up", 6.0, period=period) for period in (0, 1, 2)]
    load = forecast(("mill", [2.0, 2.0, 2.0]))

    def lights(moves: float, devices: str) -> gc.Qualification:
        case = tiny_case(*offers, periods=3, limits=limits, tap_changers=optimised_tap(moves), forecast=load)
        return gc.qualify(case, devices=devices)

    still = lights(np.nan, "scheduled")
    passed = [lights(moves, "optimised") for moves in (0, 1, 2, np.nan)]
    amounts = [result.lights["accepted_mw"].sum() for result in passed]
    assert amounts[0] == pytest.approx(still.lights["accepted_mw"].sum(), rel=1e-6)
    assert amounts[0] < amounts[1] < amounts[2] <= amounts[3] + 1e-9
    for result, most in zip(passed, (0, 1, 2, 99), strict=True):
        position = result.devices["position"].to_numpy()
        assert np.abs(np.diff(position, prepend=0)).sum() <= most


def test_what_the_lights_rely_on_is_published_and_right(grids):
    case = shipped_case(grids / "mv-rural")
    tlq = gc.qualify(case, devices="optimised")
    most = pd.concat([case.tap_changers, case.capacitor_banks]).set_index("element")
    for element, rows in tlq.devices.groupby("element"):
        if most.loc[element, "mode"] == "optimised":
            moves = np.abs(np.diff(rows["position"], prepend=most.loc[element, "position"])).sum()
            assert moves <= most.loc[element, "max_moves"]
    # At these positions every accepted amount is safe by itself, and the re-set state breaks nothing new.
    row = tlq.lights[(tlq.lights["light"] == "yellow")].iloc[0]
    problem = problem_of(case, pp.from_json(str(grids / "mv-rural" / "grid.json")))
    base = plain_grid.base_state(problem, row["start"])
    net = copy.deepcopy(base.net)
    for device in tlq.devices[tlq.devices["start"] == row["start"]].to_dict("records"):
        index = plain_grid.find(net, device["element_type"], device["element"])
        column = "step" if device["element_type"] == "shunt" else "tap_pos"
        net[device["element_type"]].loc[index, column] = device["position"]
    offer = case.active_bids[(case.active_bids["bid"] == row["bid"])].iloc[0]
    table, sign = offer["element_type"], 1.0 if offer["direction"] == "up" else -1.0
    bus = net[table].loc[plain_grid.find(net, table, offer["element"]), "bus"]
    sgen = pp.create_sgen(net, bus, p_mw=0.0)
    tan_phi = 0.0 if pd.isna(offer["tan_phi"]) else offer["tan_phi"]

    def broken(amount: float) -> bool:
        net.sgen.loc[sgen, ["p_mw", "q_mvar"]] = [sign * amount, sign * amount * tan_phi]
        assert plain_grid.solve(net)
        state = base.constraints.assign(value=plain_grid.measure(problem, net)["value"])
        return bool(broken_by(state, EDGE))

    assert not broken(0.0)
    assert not broken(row["accepted_mw"])
    assert broken(row["accepted_mw"] + 2e-3 * row["offered_mw"])
