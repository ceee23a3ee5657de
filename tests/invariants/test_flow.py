"""The base state: agreement with runpp on the shipped grids, violations, status words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lights_support import (
    SHIPPED,
    START,
    STEP,
    forecast,
    outage,
    regulator,
    shipped_case,
    shipped_problem,
    tiny_case,
    tiny_net,
)

import gridclear as gc
from oracle import plain_grid
from oracle.plain_grid import problem_of


def at(table, start):
    return table[table["start"] == start]


def assert_agrees(flow, base, case, start):
    """Every number of one period against the oracle's solved net."""
    net = base.net
    names = plain_grid.labels(net, "bus")
    buses = at(flow.buses, start).set_index("bus")
    volts = net.res_bus.rename(index=names).dropna(subset=["vm_pu"])
    assert set(buses.index) == set(volts.index), "the same buses are alive"
    np.testing.assert_allclose(buses["vm_pu"], volts.loc[buses.index, "vm_pu"], rtol=0, atol=1e-8)
    turn = buses["va_degree"] - volts.loc[buses.index, "va_degree"]
    assert (((turn + 180.0) % 360.0 - 180.0).abs() <= 1e-6).all()
    branches = at(flow.branches, start)
    for table in ("line", "trafo"):
        mine = branches[branches["element_type"] == table].set_index("element")
        expected = net[f"res_{table}"].rename(index=plain_grid.labels(net, table)).fillna(0.0)
        assert set(mine.index) == set(expected.index)
        expected = expected.loc[mine.index]
        np.testing.assert_allclose(mine["loading_percent"], expected["loading_percent"], rtol=0, atol=1e-6)
        if table == "line":
            np.testing.assert_allclose(mine["i_ka"], expected["i_ka"], rtol=0, atol=1e-8)
    exchange = at(flow.exchange, start).set_index("connection_point")
    points = dict(
        zip(case.connection_points["element"], case.connection_points["connection_point"], strict=True)
    )
    expected = net.res_ext_grid.rename(index=plain_grid.labels(net, "ext_grid")).rename(index=points)
    assert sorted(exchange.index) == sorted(points.values())
    for column in ("p_mw", "q_mvar"):
        np.testing.assert_allclose(exchange[column], expected.loc[exchange.index, column], rtol=0, atol=1e-6)


def by_node(violations, net):
    """Violations with every bus replaced by its node: buses joined by closed switches are one."""
    names = plain_grid.labels(net, "bus")
    # the private lookup of pandapower is the only place that says which buses a solved net has fused
    node = {names[bus]: int(net._pd2ppc_lookups["bus"][bus]) for bus in net.bus.index}
    return {
        (kind, "", node[element]) if kind in ("undervoltage", "overvoltage")
        else (kind, "", element) if kind in ("exchange", "no-solution")
        else (kind, table, element)
        for kind, table, element in violations
    }  # fmt: skip


def found_violations(flow, start):
    rows = at(flow.violations, start)
    return set(zip(rows["kind"], rows["element_type"], rows["element"], strict=True))


@pytest.fixture(scope="module")
def flows(grids):
    done = {}

    def flow(name):
        if name not in done:
            done[name] = gc.power_flow(shipped_case(grids / name))
        return done[name]

    return flow


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_periods_agree_with_runpp(name, grids, flows):
    case, problem, flow = shipped_case(grids / name), shipped_problem(grids / name), flows(name)
    rng = np.random.default_rng([21, SHIPPED.index(name)])
    rows = flow.violations
    broken = rows.loc[~rows["kind"].isin(["islanded"]), "start"].unique()
    islanded = rows.loc[rows["kind"] == "islanded", "start"].unique()
    # one period with a broken limit, one with lost buses, one whatever comes
    starts = {rng.choice(broken), rng.choice(islanded), rng.choice(case.horizon.starts)}
    for start in map(pd.Timestamp, starts):
        base = plain_grid.base_state(problem, start)
        assert base.solved
        assert_agrees(flow, base, case, start)
        assert by_node(found_violations(flow, start), base.net) == by_node(base.violations(), base.net)
        taps = at(flow.devices, start)
        taps = taps[taps["element_type"] == "trafo"].set_index("element")["position"]
        expected = base.net.trafo.set_index(pd.Index(plain_grid.labels(base.net, "trafo").values()))[
            "tap_pos"
        ]
        for element, position in taps.items():
            assert position == expected[element], element


@pytest.mark.parametrize("name", SHIPPED)
def test_values_and_limits_of_violations(name, flows):
    """Every violation is one, in its own numbers, beyond the tolerance."""
    rows = flows(name).violations
    rows = rows[rows["kind"].isin(["undervoltage", "overvoltage", "overload"])]
    assert len(rows)
    over = np.where(rows["kind"] == "undervoltage", -1.0, 1.0) * (rows["value"] - rows["limit"])
    assert (over > np.where(rows["kind"] == "overload", 0.99e-4, 0.99e-6)).all()
    flow = flows(name)
    seen = flow.buses.set_index(["start", "bus"])["vm_pu"]
    volts = rows[rows["element_type"] == "bus"]
    for row in volts.itertuples():
        assert row.value == pytest.approx(seen[row.start, row.element], abs=1e-12)
    loads = flow.branches.set_index(["start", "element_type", "element"])["loading_percent"]
    for row in rows[rows["kind"] == "overload"].itertuples():
        assert row.value == pytest.approx(loads[row.start, row.element_type, row.element], abs=1e-9)


@pytest.mark.parametrize("name", SHIPPED)
def test_device_table_covers_every_device_in_every_period(name, grids, flows):
    case, devices = shipped_case(grids / name), flows(name).devices
    wanted = set(zip(case.tap_changers["element_type"], case.tap_changers["element"], strict=True))
    wanted |= {("shunt", element) for element in case.capacitor_banks["element"]}
    for start in case.horizon.starts:
        rows = at(devices, start)
        assert wanted <= set(zip(rows["element_type"], rows["element"], strict=True))
        assert not rows.duplicated(["element_type", "element"]).any()
    fixed = case.tap_changers[case.tap_changers["mode"] == "fixed"].set_index("element")["position"].dropna()
    fixed = pd.concat([fixed, case.capacitor_banks.set_index("element")["position"].dropna()])
    assert len(fixed)
    for element, position in fixed.items():
        assert (devices.loc[devices["element"] == element, "position"] == position).all()


def test_exchange_violations_and_the_signs_of_exchange():
    points = pd.DataFrame(
        {
            "connection_point": ["CP"],
            "element": ["grid"],
            "p_min_mw": [-50.0],
            "p_max_mw": [3.0],
            "q_min_mvar": [-50.0],
            "q_max_mvar": [50.0],
            "s_max_mva": [2.0],
        }
    )
    load = forecast(("village", [6.0, -20.0]))
    case = gc.Case.from_pandapower(
        tiny_net(), start=START, periods=2, forecast=load, connection_points=points,
        limits=gc.Limits(0.8, 1.2, 1e4),
    )  # fmt: skip
    flow = gc.power_flow(case)
    problem = problem_of(case, tiny_net())
    for start in case.horizon.starts:
        base = plain_grid.base_state(problem, start)
        assert by_node(found_violations(flow, start), base.net) == by_node(base.violations(), base.net)
        assert_agrees(flow, base, case, start)
    assert flow.exchange["p_mw"].iloc[0] > 3.0
    assert flow.exchange["p_mw"].iloc[1] < 0.0
    assert len(at(flow.violations, START)) == 2, "active and apparent power"
    assert len(at(flow.violations, START + STEP)) == 1, "apparent power alone"


def test_islanded_buses_are_named_with_the_load_lost_there():
    case = tiny_case(periods=2, outages=outage("line", "CD", 1), forecast=forecast(("village", [0.8, 0.7])))
    flow = gc.power_flow(case)
    lost = flow.violations[flow.violations["kind"] == "islanded"]
    assert lost[["start", "element_type", "element", "value"]].to_numpy().tolist() == [
        [START + STEP, "bus", "D", 0.7]
    ]
    assert "D" not in set(at(flow.buses, START + STEP)["bus"])
    dead = at(flow.branches, START + STEP).set_index("element").loc["CD"]
    assert dead["loading_percent"] == 0.0
    assert flow.status == "solved"


@pytest.mark.parametrize(
    ("village", "status"),
    [([0.8, 0.5], "solved"), ([0.8, 500.0], "partial"), ([500.0, 500.0], "no-solution")],
)
def test_status_words(village, status):
    flow = gc.power_flow(tiny_case(periods=2, forecast=forecast(("village", village))))
    assert flow.status == status
    lost = [START + k * STEP for k, p in enumerate(village) if p > 100.0]
    rows = flow.violations[flow.violations["kind"] == "no-solution"]
    assert rows["start"].tolist() == lost
    for table in (flow.buses, flow.branches, flow.exchange):
        assert not table["start"].isin(lost).any(), "a period without solution shows no numbers"
        assert not table.drop(columns="start").isna().any(axis=None)
    for k, p in enumerate(village):
        base = plain_grid.base_state(problem_of(tiny_case(periods=2, forecast=forecast(("village", village))),
                                                tiny_net()), START + k * STEP)  # fmt: skip
        assert base.solved == (p < 100.0)


def test_regulator_settles_as_pandapower_would_have_it():
    village = [-3.0, 0.8, 3.0, 7.0]
    case = tiny_case(
        periods=4, forecast=forecast(("village", village), ("mill", [0.5, 2.0, 5.0, 9.0])),
        tap_changers=regulator(1.025, 0.02),
    )  # fmt: skip
    flow = gc.power_flow(case)
    problem = problem_of(case, tiny_net())
    positions = []
    for start in case.horizon.starts:
        base = plain_grid.base_state(problem, start)
        assert_agrees(flow, base, case, start)
        positions.append(at(flow.devices, start)["position"].item())
        assert positions[-1] == base.devices["position"].item()
    assert len(set(positions)) > 1, "it has something to do"
