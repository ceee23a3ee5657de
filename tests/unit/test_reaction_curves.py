"""Inverters on curves: what the tables may say, and the iteration that brings them there."""

from __future__ import annotations

import itertools

import case_support as support
import numpy as np
import pandas as pd
import pytest

import gridclear as gc
from gridclear.jobs.corners import Cut
from gridclear.network.compiled import compile_case
from gridclear.network.reactions import Reactions
from gridclear.network.samples import ElementSamples, Samples, sampled_case
from gridclear.optimise.allotment import Limits, Offers, allot
from gridclear.powerflow.base import base_state
from gridclear.powerflow.reacting import react
from gridclear.powerflow.scenarios import Scenarios

STARTS = pd.date_range("2016-06-19T10:00Z", periods=4, freq="15min")
DROOP = ((0.94, 0.4), (0.98, 0.0), (1.0, 0.0), (1.04, -0.4))


def droop(points=DROOP, name="V", column="vm_pu"):
    return [{"curve": name, column: at, "q_pu": q} for at, q in points]


INVERTER = {"element": "PV1", "s_max_mva": 3.5, "reaction": "V"}
BID = {
    "bid": "B", "element_type": "sgen", "element": "PV1", "start": STARTS[0], "direction": "down",
}  # fmt: skip
ACTIVE = BID | {"p_mw": 1.0, "price_eur_mwh": 50.0}


def case_of(net=None, **tables):
    tables = {"inverters": [INVERTER], "reaction_curves": droop()} | tables
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    return gc.Case.from_pandapower(net or support.tiny_net(), start=STARTS[0], periods=4, **frames)


def faults(**tables):
    try:
        case_of(**tables)
    except gc.CaseError as error:
        return [(issue.file, issue.row, issue.column, issue.what) for issue in error.issues]
    return []


def forecast(q_mvar):
    return pd.DataFrame(
        {"element_type": "sgen", "element": "PV1", "start": STARTS, "p_mw": 3.0, "q_mvar": q_mvar}
    )


def test_a_curve_beside_nothing_that_contradicts_it_is_right():
    assert (
        faults(forecast=forecast(np.nan), active_bids=[ACTIVE, ACTIVE | {"bid": "C", "tan_phi": 0.0}]) == []
    )
    assert faults(reaction_curves=droop(((0, 0), (0.5, 0), (1, -0.3)), column="p_pu")) == []


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        (
            {"inverters": [INVERTER | {"reaction": "v"}]},
            [("inverters", "0", "reaction", "'v' is not a curve (did you mean 'V'?)")],
        ),
        (
            {"inverters": [{"element": "PV1", "reaction": "V"}]},
            [("inverters", "0", "s_max_mva", "the curve 'V' is stated over a rating that is not there")],
        ),
        (
            {"inverters": [{"element": "S1", "s_max_mva": 1.0, "reaction": "V"}]},
            [("inverters", "0", "reaction", "'S1' is a storage")],
        ),
        (
            {"inverters": [INVERTER | {"min_power_factor": 0.9}]},
            [
                (
                    "inverters", "0", "min_power_factor",
                    "it bounds what can be asked of the inverter, which follows curve 'V'",
                )
            ],
        ),
        (
            {"reaction_curves": droop(((0.98, 0.0), (1.0, 0.1), (1.02, -0.1)))},
            [("reaction_curves", "1", "q_pu", "0.1 is above the 0 at 0.98 p.u.")],
        ),
        (
            {"reaction_curves": [*droop(), {"curve": "V", "p_pu": 0.5, "q_pu": 0.0}]},
            [("reaction_curves", "4", "vm_pu", "curve 'V' has points of the other kind")],
        ),
        (
            {"reaction_curves": [*droop(), {"curve": "V", "p_pu": 0.5, "vm_pu": 1.2, "q_pu": -0.4}]},
            [("reaction_curves", "4", "p_pu", "vm_pu is there, too")],
        ),
        (
            {"reaction_curves": [*droop(), {"curve": "V", "p_pu": np.nan, "vm_pu": np.nan, "q_pu": -0.4}]},
            [("reaction_curves", "4", "vm_pu", "neither vm_pu nor p_pu is there")],
        ),
        (
            {"reaction_curves": droop(((1.0, 0.0),))},
            [("reaction_curves", "0", "curve", "curve 'V' has one point")],
        ),
        (
            {"reaction_curves": droop(((0.98, 0.0), (0.98, 0.1)))},
            [("reaction_curves", "1", "curve", "'V', '0.98' is there twice, first in row 0")],
        ),
        (
            {"forecast": forecast([np.nan, 0.0, np.nan, np.nan])},
            [("forecast", "1", "q_mvar", "the reactive power of 'PV1' follows curve 'V'")],
        ),
        (
            {"active_bids": [ACTIVE | {"tan_phi": 0.2}]},
            [("active_bids", "0", "tan_phi", "the reactive power of 'PV1' follows curve 'V'")],
        ),
        (
            {"reactive_bids": [BID | {"direction": "absorb", "q_mvar": 0.1, "price_eur_mvarh": 1.0}]},
            [("reactive_bids", "0", "element", "the reactive power of 'PV1' follows curve 'V'")],
        ),
    ],
)  # fmt: skip
def test_every_contradiction_is_named(tables, found):
    assert faults(**tables) == found


def test_all_faults_come_at_once():
    found = faults(
        inverters=[{"element": "PV1", "reaction": "V", "min_power_factor": 0.9}],
        reaction_curves=droop(((0.98, 0.0), (1.0, 0.1))),
        active_bids=[ACTIVE | {"tan_phi": 0.2}],
        forecast=forecast(0.1),
    )
    assert [fault[0] for fault in found] == [
        "active_bids", *["forecast"] * 4, "inverters", "inverters", "reaction_curves",
    ]  # fmt: skip


@pytest.mark.parametrize("job", [gc.pq_map, gc.clear, gc.outlook, lambda case: gc.roll(case, sessions=1)])
def test_jobs_without_the_reaction_refuse_it(job):
    other = BID | {"element_type": "load", "element": "L2", "direction": "inject"}
    profile = [{"connection_point": "grid", "start": STARTS[0], "q_mvar": 0.0}]
    case = case_of(reactive_bids=[other | {"q_mvar": 0.1, "price_eur_mvarh": 1.0}])
    case = case.with_tables(
        {
            "reactive_profile": pd.DataFrame(profile).astype(
                case.reactive_profile.dtypes.drop("tolerance_mvar")
            )
        }
    )
    with pytest.raises(gc.CaseError, match="the inverter follows curve 'V'"):
        job(case)


def test_a_power_factor_for_all_is_refused():
    with pytest.raises(gc.OptionError, match="the inverter of sgen 'PV1' follows a reaction curve"):
        gc.operating_envelopes(case_of(active_bids=[ACTIVE]), tan_phi=0.3)


def test_a_sample_of_the_power_is_that_power_in_the_forecast():
    p_mw = np.array([0.5, 2.0, 3.0, 3.45])
    curve = droop(((0, 0.1), (0.5, 0), (1, -0.3)), column="p_pu")
    for points in (droop(), curve):
        own = case_of(reaction_curves=points, inverters=[INVERTER | {"reaction": "V"}])
        foreseen = forecast(np.nan).assign(p_mw=p_mw)
        there = base_state(Scenarios(compile_case(case_of(reaction_curves=points, forecast=foreseen)), 1))
        place = own.grid.tables["sgen"].index.get_loc(own.grid.lookup("sgen")["PV1"])
        drawn = Samples(
            1, (ElementSamples("sgen", np.array([place]), p_mw[None, :, None], np.ones((1, 4, 1))),)
        )
        here = base_state(Scenarios(sampled_case(compile_case(own), drawn), 1))
        np.testing.assert_allclose(here.vm_pu, there.vm_pu, rtol=0, atol=1e-11)


def plain(*curves):
    count = len(curves)
    return Reactions(
        element=np.arange(count), bus=np.arange(count), first_cell=6 * count,
        by_voltage=np.ones(count, dtype=bool), rating=np.ones(count),
        curves=tuple(np.array(curve).T for curve in curves),
        works=np.ones((1, count), dtype=bool), p=np.zeros((1, count)),
    )  # fmt: skip


@pytest.mark.parametrize("steep", [1.0, 0.1, 1e-2])
@pytest.mark.parametrize("ahead", [0.2, 1.0, 5.0])
def test_curves_of_any_usual_steepness_are_followed(steep, ahead):
    # A linear grid: V = idle + x·Q. What is known of x is off by ``ahead``.
    rng = np.random.default_rng(5)
    half = 0.04 * steep
    reactions = plain(*[((at - half, 0.4), (at, 0.0), (at + half, -0.4)) for at in (0.99, 1.0, 1.01)])
    x = np.array([[0.1, 0.05, 0.02], [0.05, 0.12, 0.04], [0.02, 0.04, 0.09]])
    idle = 1.0 + 0.05 * rng.standard_normal((50, 3))
    state = np.empty((50, 3))

    def solve(rows, q):
        state[rows] = idle[rows] + q @ x.T
        return state[rows]

    works, p = np.ones((50, 3), dtype=bool), np.zeros((50, 3))
    q, unsettled = react(
        reactions, works, p, np.ones((50, 3)), solve, lambda rows, _: np.tile(x, (len(rows), 1, 1)),
        ahead * x, 1.0,
    )  # fmt: skip
    assert not unsettled.any()
    gap = reactions.reactive(works, p, idle + q @ x.T).q - q
    assert np.abs(gap).max() <= 1e-9


def test_what_finds_no_rest_is_said_and_what_has_no_solution_is_not():
    reactions = plain(((0.9, 0.4), (1.1, -0.4)))
    jumps = np.array([False, True, False])

    def solve(rows, q):
        # The second jumps over its curve, the third has no solution.
        seen = np.where(jumps[rows, None], np.where(q > 0.1, 1.09, 0.91), 1.0 + 0.1 * q)
        seen[rows == 2] = np.nan
        return seen

    works, p = np.ones((3, 1), dtype=bool), np.zeros((3, 1))
    _, unsettled = react(
        reactions, works, p, np.ones((3, 1)), solve, lambda rows, _: np.zeros((len(rows), 1, 1)),
        np.zeros((1, 1)), 1.0,
    )  # fmt: skip
    assert unsettled.tolist() == [False, True, False]


def shares(policy, room, *, reach=((0.4, np.inf),), least=(0.0, 0.0)):
    """Allot two units that press 1 and 2 on one row, the first up to its reach."""
    units, one = np.arange(2), np.ones(2)
    offers = Offers(units, 0 * units, units, one, np.array(least), np.array([3.0, 2.0]), -1 + 0 * units)
    limits = Limits(np.array([[[1.0, 2.0]]]), np.array([[room]]), np.array([reach]))
    return allot(policy, offers, limits)


@pytest.mark.parametrize(
    ("policy", "room", "expected"),
    [
        ("merit-order", 1.4, (1.0, 0.5)),  # the first in full: beyond 0.4 it presses no further
        ("merit-order", 0.3, (0.3, 0.0)),  # there is no room for what it presses up to there
        ("pro-rata", 0.9, (0.3, 0.3)),  # both stop before the reach
        ("pro-rata", 1.4, (1.0, 0.5)),  # only the second stops
        ("most-mw", 0.9, (1.0, 0.25)),
        ("most-mw", 0.2, (0.2, 0.0)),
        ("most-mw", 2.4, (1.0, 1.0)),
    ],
)
def test_who_presses_no_further_is_not_stopped(policy, room, expected):
    assert shares(policy, room) == pytest.approx(expected, abs=1e-9)


def test_units_of_one_item_press_together_up_to_their_reaches():
    units, item = np.arange(2), np.zeros(2, dtype=np.int64)
    offers = Offers(item, item, units, np.ones(2), np.zeros(1), np.ones(2), item - 1)
    for policy, (room, expected) in itertools.product(
        ("merit-order", "pro-rata", "most-mw"), ((1.5, 0.5), (2.4, 1.0))
    ):
        limits = Limits(np.array([[[1.0, 2.0]]]), np.array([[room]]), np.array([[[0.4, np.inf]]]))
        share = allot(policy, offers, limits)
        most = max(share[0], 0.0)
        assert min(most, 0.4) + 2.0 * most <= room + 1e-9
        assert most >= expected - 1e-9


def test_a_line_where_curves_bend_turns_around_its_first_point():
    line = Cut(3, -1.0, np.array([2.0, 1.0]), 1.0, np.array([np.inf, 0.5]), np.array([1.0, 0.0]))
    turned = line.through(np.array([0.5, 0.0]), -0.2)
    assert turned.offset + turned.gain @ [0.5, 0.0] == pytest.approx(-0.2)
    assert turned.offset + turned.gain @ [1.0, 0.0] == pytest.approx(1.0)
    # No further than by half; and a point from which it does not fall says nothing.
    assert line.through(np.array([0.5, 0.0]), -5.0).gain.tolist() == [3.0, 1.5]
    assert line.through(np.array([1.0, 0.0]), -5.0).gain.tolist() == [2.0, 1.0]


def test_places_pass_nothing_where_an_inverter_changes_its_piece():
    reactions = compile_case(case_of()).reactions
    vm = np.linspace(0.9, 1.1, 401)[:, None]
    for p in (0.2, 3.45, 3.6):
        at = np.full(vm.shape, p) / (3.5 / reactions.rating[0])
        works = np.ones(vm.shape, dtype=bool)
        piece = reactions.reactive(works, at, vm).piece
        above = reactions.places(works, at, vm) > 0.0
        np.testing.assert_array_equal(
            (piece[1:] != piece[:-1]).any(axis=1), (above[1:] != above[:-1]).any(axis=1)
        )
    assert np.isnan(reactions.places(np.zeros((1, 1), dtype=bool), np.ones((1, 1)), np.ones((1, 1)))).all()


def test_a_period_without_rest_is_no_state(monkeypatch):
    case = case_of(active_bids=[ACTIVE])
    monkeypatch.setattr("gridclear.powerflow.reacting._STEPS", 1)
    flow, lights = gc.power_flow(case), gc.qualify(case).lights
    assert flow.status == "no-solution"
    assert len(flow.provenance["unsettled"]) == 4
    assert flow.buses.empty
    assert set(flow.violations["kind"]) == {"no-solution"}
    assert lights["light"].tolist() == ["red"]
