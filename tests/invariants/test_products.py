"""Largest products and operating envelopes, against runpp on a tiny grid and solve_batch on a real one."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from lights_support import START, STEP, bid, forecast, outage, regulator, shipped_case, tiny_case, tiny_net

import gridclear as gc
from gridclear.network.injections import INJECTION_SIGN, element_powers
from oracle.brute_force import EDGE, RESOLUTION, broken_by, first_crossing
from oracle.plain_grid import base_state, measure, problem_of, solve

TIGHT = gc.Limits(vm_min_pu=0.99, vm_max_pu=1.04, loading_percent=60.0)
EVERYBODY = [
    ("load", "town"),
    ("load", "village"),
    ("load", "mill"),
    ("sgen", "park"),
    ("sgen", "farm"),
]
MILL = forecast(("mill", [2.0, 6.0, 2.0]), ("village", [0.8, 0.4, 1.6]))


def three_periods(**tables):
    """The tiny grid over three periods: a regulator, a heavy mill at noon, a line out in the last."""
    return tiny_case(
        periods=3,
        limits=TIGHT,
        forecast=MILL,
        tap_changers=regulator(1.01),
        outages=outage("line", "CD", 2),
        **tables,
    )


def rated_net(**sn_mva):
    """The tiny net whose resources have ratings, and end where they consume or generate nothing."""
    net = tiny_net()
    for table in ("load", "sgen"):
        net[table] = net[table].drop(columns="min_p_mw")
        net[table]["sn_mva"] = net[table]["name"].map(sn_mva)
    return net


def by_oracle(problem, element_type, element, direction, room):
    """Largest product over the periods by scans of runpp, and the constraints that stop it."""
    largest, stopping = max(room), frozenset()
    for period, mw in enumerate(room):
        start = START + period * STEP
        base = base_state(problem, start)
        row = {"element_type": element_type, "element": element, "direction": direction, "p_mw": mw}
        crossing = first_crossing(problem, base, row, points=8)
        if ("islanded", "", "") in crossing.broken:
            continue
        if crossing.fraction < 1.0 and crossing.fraction * mw < largest:
            largest, stopping = crossing.fraction * mw, crossing.broken
    return largest, stopping


@pytest.mark.parametrize("direction", ["up", "down"])
def test_largest_products_are_those_of_the_oracle(direction):
    case = three_periods()
    problem = problem_of(case, tiny_net())
    products = gc.prequalify(case, p_max_mw=14.0, directions=[direction]).products
    assert products["direction"].eq(direction).all()
    assert list(zip(products["element_type"], products["element"], strict=True)) == EVERYBODY
    for row in products.itertuples():
        largest, stopping = by_oracle(problem, row.element_type, row.element, direction, [14.0] * 3)
        assert row.largest_mw == pytest.approx(largest, abs=14.0 * 2 * RESOLUTION), row.element
        if stopping:
            named = (row.kind, row.limit_element_type, row.limit_element)
            assert named in stopping, (row.element, named, stopping)
    assert (products["largest_mw"] < 14.0).any()
    assert products["largest_mw"].gt(0.0).any()


def test_periods_count_only_as_far_as_the_resource_can_go():
    net = rated_net(town=1.0, village=9.0, mill=8.0, park=9.0, farm=2.0)
    case = three_periods(net=net)
    problem = problem_of(case, net)
    room = {
        ("load", "village", "up"): [0.8, 0.4, 1.6],
        ("load", "village", "down"): [8.2, 8.6, 7.4],
        ("load", "mill", "up"): [2.0, 6.0, 2.0],
        ("load", "mill", "down"): [6.0, 2.0, 6.0],
        ("load", "town", "down"): [0.0] * 3,
        ("sgen", "park", "up"): [7.5] * 3,
        ("sgen", "farm", "down"): [0.5] * 3,
    }
    products = gc.prequalify(case).products.set_index(["element_type", "element", "direction"])
    for key, mw in room.items():
        row = products.loc[key]
        assert row["cap_mw"] == pytest.approx(max(mw), abs=1e-12)
        largest = by_oracle(problem, *key, mw)[0] if max(mw) else 0.0
        assert row["largest_mw"] == pytest.approx(largest, abs=max(mw) * 2 * RESOLUTION), key
    # The village could not lose 1.6 MW of load in the first period, but then it has no more to lose.
    assert products.loc[("load", "village", "down"), "largest_mw"] < 8.2
    assert products.loc[("load", "town", "down"), "kind"] == "resource"
    assert "1 of 3 states without supply" in products.loc[("sgen", "park", "up"), "reason"]


def test_symmetric_product_is_the_smaller_one():
    products = gc.prequalify(three_periods(), p_max_mw=14.0).products
    assert products["direction"].tolist() == ["up", "down", "both"] * len(EVERYBODY)
    for _, own in products.groupby(["element_type", "element"]):
        up, down, both = (own[own["direction"] == way].iloc[0] for way in ("up", "down", "both"))
        smaller = up if up["largest_mw"] <= down["largest_mw"] else down
        assert both.drop("direction").equals(smaller.drop("direction"))


def test_what_nobody_states_is_said():
    products = gc.prequalify(tiny_case()).products
    unknown = products[products["kind"] == "not-stated"]
    # Loads can fall to -100 MW and generators too; how far they rise is stated nowhere.
    assert set(zip(unknown["element_type"], unknown["direction"], strict=True)) == {
        ("load", "down"), ("load", "both"), ("sgen", "up"), ("sgen", "both"),
    }  # fmt: skip
    assert unknown["largest_mw"].isna().all()
    ranges = gc.operating_envelopes(tiny_case()).envelopes.set_index("element")
    assert ranges.loc["park", "high_kind"] == "not-stated"
    assert ranges.loc["park", "high_mw"] == ranges.loc["park", "p_mw"] == 1.5
    assert ranges.loc["park", "low_mw"] < 1.5


def test_resource_that_is_never_supplied_has_no_product():
    case = tiny_case(outages=outage("line", "BE", 0))
    row = gc.prequalify(case, resources=[("load", "mill")], directions=["up"]).products.iloc[0]
    assert (row["largest_mw"], row["kind"]) == (0.0, "islanded")


def test_power_factor_is_that_of_the_bids():
    limits = gc.Limits(vm_max_pu=1.03)
    one = tiny_case(bid("b", "park", "up", 3.0, tan_phi=0.5), limits=limits)
    own = gc.prequalify(one, p_max_mw=20.0)
    assert own.products["element"].unique().tolist() == ["park"]
    told = gc.prequalify(tiny_case(limits=limits), p_max_mw=20.0, tan_phi=0.5, resources=[("sgen", "park")])
    pd.testing.assert_frame_equal(own.products, told.products)
    light = gc.qualify(tiny_case(bid("b", "park", "up", 20.0, tan_phi=0.5), limits=limits)).lights.iloc[0]
    assert own.products["largest_mw"].iloc[0] == light["accepted_mw"] < 20.0


def scenarios(*rows):
    """(scenario, table, element, Mvar, MW by period)."""
    return pd.DataFrame(
        [
            (name, table, element, START + period * STEP, p_mw, q_mvar)
            for name, table, element, q_mvar, values in rows
            for period, p_mw in enumerate(values)
        ],
        columns=["scenario", "element_type", "element", "start", "p_mw", "q_mvar"],
    )


def test_every_sample_is_the_worst_of_the_cases_with_those_forecasts(monkeypatch):
    net = rated_net(town=1.0, village=9.0, mill=8.0, park=9.0, farm=2.0)
    drawn = scenarios(
        ("calm", "sgen", "park", 0.0, [0.0, 0.5, 0.0]),
        ("calm", "load", "mill", 0.6, [2.0, 5.0, 2.0]),
        ("windy", "sgen", "park", 0.0, [6.0, 5.0, 2.0]),
        ("windy", "load", "mill", 0.6, [1.0, 1.5, 7.0]),
        ("mild", "sgen", "park", 0.0, [3.0, 3.0, 3.0]),
        ("mild", "load", "mill", 0.6, [2.0, 3.0, 2.0]),
    )
    case = dataclasses.replace(three_periods(net=net), forecast_scenarios=drawn)
    keys = ["element_type", "element"]
    kept = case.forecast[case.forecast["element"] != "mill"]
    alone = []
    for _, rows in drawn.groupby("scenario"):
        own = pd.concat([kept, rows[case.forecast.columns]], ignore_index=True)
        alone.append(gc.prequalify(dataclasses.replace(case, forecast=own)).products)
    together = gc.prequalify(case, every_sample=True).products
    caps = np.max([one["cap_mw"] for one in alone], axis=0)
    one_way = (together["direction"] != "both").to_numpy()
    np.testing.assert_allclose(together["cap_mw"][one_way], caps[one_way], rtol=0, atol=1e-12)
    # Where a scenario stops nothing, its own cap says nothing of the others.
    least = np.min(
        [np.where(one["largest_mw"] < one["cap_mw"], one["largest_mw"], np.inf) for one in alone], axis=0
    )
    expected = np.minimum(least, caps)
    np.testing.assert_allclose(together["largest_mw"][one_way], expected[one_way], rtol=0, atol=1e-9)
    assert len(together[keys].drop_duplicates()) == len(EVERYBODY)
    monkeypatch.setattr("gridclear.jobs.probable._ROOM", 1)
    pd.testing.assert_frame_equal(gc.prequalify(case, every_sample=True).products, together)


def corners(ranges, rng=None, count=0, beyond=0.0):
    """Injections at corners of the ranges, all of them or random ones, widened by a part of themselves."""
    low, high, plan = (ranges[name].to_numpy() for name in ("low_mw", "high_mw", "p_mw"))
    low, high = low - beyond * (plan - low), high + beyond * (high - plan)
    if rng is None:
        return [np.where(sides, high, low) for sides in itertools.product([False, True], repeat=len(ranges))]
    sides = rng.random((count, len(ranges))) < rng.random((count, 1))
    whole = np.where(sides, high, low)
    return np.where(np.arange(count)[:, None] % 3 < 2, whole, plan + rng.random(whole.shape) * (whole - plan))


def broken_at(problem, base, ranges, injections):
    """What runpp finds broken with these net injections of the resources."""
    net = copy.deepcopy(base.net)
    for (table, element), p_mw in zip(
        ranges[["element_type", "element"]].itertuples(index=False), injections, strict=True
    ):
        row = net[table].index[net[table]["name"] == element][0]
        net[table].loc[row, "p_mw"] = p_mw if table == "sgen" else -p_mw
    state = base.constraints.assign(value=measure(problem, net)["value"]) if solve(net) else None
    return broken_by(state, EDGE)


@pytest.mark.parametrize("allotment", ["pro-rata", "most-mw"])
def test_corners_of_the_envelopes_break_nothing_by_runpp_and_wider_ones_do(allotment):
    case = three_periods()
    problem = problem_of(case, tiny_net())
    ranges = gc.operating_envelopes(case, p_max_mw=9.0, allotment=allotment).envelopes
    assert len(ranges) == 3 * len(EVERYBODY)
    rng = np.random.default_rng(4)
    for start, own in ranges.groupby("start"):
        base = base_state(problem, start)
        assert own["low_mw"].le(own["p_mw"]).all()
        assert own["high_mw"].ge(own["p_mw"]).all()
        inner = [*corners(own), *corners(own, rng, 9)]
        assert [x for x in inner if broken_at(problem, base, own, x)] == []
        binding = {"overvoltage", "undervoltage", "overload"} & {*own["low_kind"], *own["high_kind"]}
        assert binding
        assert any(broken_at(problem, base, own, x) for x in corners(own, beyond=0.02))


def test_envelopes_without_supply_stay_at_nothing():
    ranges = gc.operating_envelopes(three_periods(), p_max_mw=9.0).envelopes
    lost = ranges[(ranges["start"] == START + 2 * STEP) & ranges["element"].isin(["village", "park"])]
    assert (lost[["p_mw", "low_mw", "high_mw"]] == 0.0).all(axis=None)
    assert lost[["low_kind", "high_kind"]].eq("islanded").all(axis=None)


def test_envelopes_of_a_real_grid_hold_by_solve_batch(grids):
    case = shipped_case(grids / "mv-rural")
    ranges = gc.operating_envelopes(case, tan_phi=0.0).envelopes
    devices = gc.power_flow(case).devices
    network = gc.compile_network(case.grid)
    bus, rng = case.grid.tables["bus"], np.random.default_rng(5)
    place = pd.Series(np.arange(len(bus)), index=bus.index)
    vm_min = bus["min_vm_pu"].fillna(case.limits.vm_min_pu).to_numpy()
    vm_max = bus["max_vm_pu"].fillna(case.limits.vm_max_pu).to_numpy()
    broke = 0
    for period in (0, 14, 27):
        start = case.horizon.starts[period]
        assert not ((case.outages["start"] <= start) & (case.outages["end"] > start)).any()
        p, q = np.zeros(len(bus)), np.zeros(len(bus))
        for table, sign in INJECTION_SIGN.items():
            frame = case.grid.tables[table]
            works = frame["in_service"].to_numpy(dtype=bool)
            for total, power in zip((p, q), element_powers(case, table), strict=True):
                np.add.at(total, place.loc[frame["bus"]].to_numpy()[works], sign * power[period][works])
        own = ranges[ranges["start"] == start]
        at = [
            place.loc[case.grid.tables[table]["bus"].loc[case.grid.lookup(table)[name]]]
            for table, name in zip(own["element_type"], own["element"], strict=True)
        ]

        def excess(injections, p=p, q=q, at=at, start=start, own=own):
            """How far limits, or base values beyond them, are passed: p.u. of voltage, part of the rating."""
            change = np.zeros((len(injections) + 1, len(p)))
            for k, column in enumerate(at):
                change[1:, column] += injections[:, k] - own["p_mw"].to_numpy()[k]
            states = gc.solve_batch(
                network,
                p + change,
                np.tile(q, (len(change), 1)),
                positions=devices["position"][devices["start"] == start].to_numpy(),
            )
            assert states.solved.all()
            rated = np.maximum(
                states.i_from_ka / network.rated_ka[:, 0], states.i_to_ka / network.rated_ka[:, 1]
            )
            vm = states.vm_pu
            over = np.hstack(
                [
                    np.fmin(vm_min, vm[0]) - vm[1:],
                    vm[1:] - np.fmax(vm_max, vm[0]),
                    rated[1:] - np.fmax(1.0, rated[0]),
                ]
            )
            return np.nanmax(over, axis=1)

        worst = excess(np.array(corners(own, rng, 3000)))
        assert worst.max() <= 1.1e-6
        # The corners at which all go one way press hardest on a radial grid.
        wider = np.array([own["high_mw"], own["low_mw"]])
        wider = wider + 0.02 * (wider - own["p_mw"].to_numpy())
        broke += int((excess(wider) > 1e-5).any())
    assert broke == 3


@pytest.mark.parametrize("job", [gc.prequalify, gc.operating_envelopes])
def test_neither_threads_nor_the_order_of_rows_matter(job, grids):
    case = shipped_case(grids / "mv-urban")
    tables = job(case, threads=1).tables
    shuffled = dataclasses.replace(
        case,
        active_bids=case.active_bids.sample(frac=1.0, random_state=1),
        forecast=case.forecast.sample(frac=1.0, random_state=2),
        outages=case.outages.sample(frac=1.0, random_state=3),
        storage=case.storage.sample(frac=1.0, random_state=4),
    )
    for other in (job(case, threads=2), job(shuffled, threads=2)):
        for name, table in tables.items():
            pd.testing.assert_frame_equal(other.tables[name], table, check_exact=True)


def test_periods_without_solution_are_never_safe():
    case = tiny_case(periods=2, forecast=forecast(("village", [0.8, 500.0])))
    products = gc.prequalify(case, p_max_mw=1.0)
    assert products.status == "partial"
    assert products.products["largest_mw"].eq(0.0).all()
    assert products.products["kind"].eq("no-solution").all()
    assert products.products["start"].eq(START + STEP).all()
    envelopes = gc.operating_envelopes(case, p_max_mw=1.0)
    assert envelopes.status == "partial"
    dark = envelopes.envelopes["start"] == START + STEP
    assert envelopes.envelopes["low_mw"].isna().eq(dark).all()
    assert envelopes.envelopes["high_mw"].isna().eq(dark).all()


@pytest.mark.parametrize("job", [gc.prequalify, gc.operating_envelopes])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resources": [("sgen", "nobody")]}, "sgen 'nobody', which the grid does not have"),
        ({"resources": [("line", "BC")]}, "a 'line'; it must be one of load, sgen, gen, storage"),
        ({"resources": []}, "resources is empty"),
        ({"resources": ["park"]}, "'park'; each must be a tuple"),
        ({"p_max_mw": -1.0}, "p_max_mw is -1.0"),
        ({"p_max_mw": np.nan}, "p_max_mw is nan"),
        ({"tan_phi": np.inf}, "tan_phi is inf"),
    ],
)
def test_wrong_options_are_refused(job, options, message):
    with pytest.raises(gc.OptionError, match=message):
        job(tiny_case(), **options)


def test_wrong_directions_and_allotments_are_refused():
    with pytest.raises(gc.OptionError, match="directions is 'up'"):
        gc.prequalify(tiny_case(), directions="up")
    with pytest.raises(gc.OptionError, match=r"directions is \['both'\]"):
        gc.prequalify(tiny_case(), directions=["both"])
    with pytest.raises(gc.OptionError, match="allotment is 'fair'"):
        gc.operating_envelopes(tiny_case(), allotment="fair")


@pytest.mark.parametrize("job", [gc.prequalify, gc.operating_envelopes])
def test_bids_that_contradict_each_other_are_an_issue(job):
    case = tiny_case(bid("a", "park", "up", 1.0, tan_phi=0.3), bid("b", "park", "down", 1.0))
    with pytest.raises(gc.CaseError, match=r"sgen 'park' state 0 and 0\.3"):
        job(case)
    assert len(job(case, tan_phi=0.0).tables)


def test_slack_generator_is_no_resource():
    net = tiny_net()
    far = pp.create_bus(net, 110.0, name="F")
    pp.create_line(net, 0, far, 20.0, "243-AL1/39-ST1A 110.0", name="AF")
    pp.create_gen(net, far, 0.0, vm_pu=1.02, slack=True, name="machine")
    case = tiny_case(net=net)
    assert "machine" not in gc.prequalify(case, p_max_mw=1.0).products["element"].tolist()
    with pytest.raises(gc.OptionError, match="'machine' is a slack generator"):
        gc.prequalify(case, resources=[("gen", "machine")])


def test_states_that_stop_a_product_together_do_not_undo_it(grids):
    # Ten periods of this grid break the same line already; their crossings differ by rounding of power flows.
    case = shipped_case(grids / "mv-urban")
    everybody = dataclasses.replace(case, active_bids=case.active_bids.iloc[:0])
    products = gc.prequalify(everybody).products
    assert len(products) == 3 * (141 + 134 + 4)
    assert not products["reason"].str.contains("not confirmed").any()
