"""The lower bound of a clearing: no schedule is below it, and no state below a plane."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from algebraic_support import problem_of, small_case, small_net

import gridclear as gc
from gridclear.jobs.cleared import proof_of
from gridclear.optimise.algorithms import Deadline
from gridclear.optimise.bound import OPTIMAL_GAP, _Search, lower_bound
from gridclear.optimise.capability import _bounds, _Rating
from gridclear.optimise.circuit import circuits_of
from gridclear.optimise.highs import Plane
from gridclear.optimise.linearise import assess
from gridclear.optimise.problem import Plan
from gridclear.optimise.rules import broken_rules
from gridclear.optimise.successive import successive
from gridclear.optimise.supports import VOLTAGE, Quantity, Weights
from oracle import small_clearings

GRIDS = Path(__file__).parents[2] / "grids"
QUICK = (2, 3, 4, 8, 12, 15, 17, 23, 24, 27)
SEEDS = [*QUICK, *(pytest.param(seed, marks=pytest.mark.study) for seed in range(60) if seed not in QUICK)]
ROUNDING = 1e-9


def far_net():
    """As ``small_net``, with a line between the connection point and the transformer: its tap is inside."""
    net = small_net()
    far = pp.create_bus(net, 110.0, name="far")
    near = int(net.ext_grid["bus"].iloc[0])
    net.ext_grid["bus"] = far
    pp.create_line(net, far, near, 8.0, std_type="184-AL1/30-ST1A 110.0", name="inner")
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.93, 1.07
    return net


def two_transformers():
    """As ``small_net``, meshed by a second transformer with taps of its own at the same connection point."""
    net = small_net(ring=True)
    hv, low = int(net.trafo["hv_bus"].iloc[0]), int(net.bus.index[net.bus["name"] == "N4"][0])
    pp.create_transformer(net, hv, low, std_type="25 MVA 110/20 kV", name="U")
    return net


def with_two_changers(net):
    case = small_case(net)
    changers = case.tap_changers
    second = changers.assign(element="U")
    return replace(case, tap_changers=changers._append(second, ignore_index=True))


def cleared(problem):
    return assess(problem, successive(problem, Deadline()).plan)


def dearer(problem, seed):
    """A plan that other prices lead to."""
    factor = np.random.default_rng(seed).uniform(0.2, 3.0, len(problem.offers.cost))
    offers = replace(problem.offers, cost=problem.offers.cost * factor)
    other = replace(problem, offers=offers, loss_price=0.3 * problem.loss_price)
    return assess(problem, successive(other, Deadline()).plan)


def at_least_as_good(one, other):
    """Whether a confirmed plan leaves no request and no limit worse off than another."""
    closer = bool((one.shortfall <= other.shortfall + 1e-9).all())
    cured = all(
        (np.maximum(a.beyond[a.sick], 0.0) <= np.maximum(b.beyond[b.sick], 0.0) + 1e-9).all()
        for a, b in zip(one.local, other.local, strict=True)
    )
    return closer and cured and proof_of(one.problem, one.plan, 1).confirmed


@pytest.mark.parametrize("seed", SEEDS)
def test_no_schedule_is_below_the_bound(seed):
    problem = problem_of(small_clearings.small_case(seed))
    best, other = cleared(problem), dearer(problem, seed)
    bounds = [(point, lower_bound(point, Deadline())) for point in (best, other)]
    for point, bound in bounds:
        assert not bound.reason
        for rival in (best, other):
            if at_least_as_good(rival, point):
                assert bound.eur <= rival.cost + ROUNDING * abs(rival.cost)
    print(f"seed {seed}: cost {best.cost:.5f}, bound {bounds[0][1].eur:.5f}")


@pytest.mark.parametrize("seed", [2, 4, 17, 23])
def test_bound_is_close_where_losses_cost(seed):
    point = cleared(problem_of(small_clearings.small_case(seed)))
    assert lower_bound(point, Deadline()).eur >= point.cost * (1.0 - 1e-3)


@pytest.mark.parametrize("net", [small_net, far_net, two_transformers])
def test_devices_anywhere(net):
    case = with_two_changers(net()) if net is two_transformers else small_case(net())
    point = cleared(problem_of(case))
    bound = lower_bound(point, Deadline())
    assert 0.0 < bound.eur <= point.cost
    for seed in range(3):
        rival = dearer(point.problem, seed)
        if at_least_as_good(rival, point):
            assert bound.eur <= rival.cost


def sampled(point, count, rng):
    """Plans around a point: some shares, some steps of the devices."""
    problem, plan = point.problem, point.plan
    lowest = np.array([device.lowest for device in problem.devices])[:, None]
    highest = np.array([device.highest for device in problem.devices])[:, None]
    for _ in range(count):
        noise = rng.normal(0.0, rng.choice([0.02, 0.2, 1.0]), len(plan.share))
        moved = rng.integers(-1, 2, plan.steps.shape) * (rng.random(plan.steps.shape) < rng.random())
        yield Plan(
            share=np.clip(plan.share + noise, 0.0, problem.offers.most),
            steps=np.clip(plan.steps + moved, lowest, highest),
            charge=plan.charge,
            discharge=plan.discharge,
        )


def lifted_values(relaxation, number, own, plan, voltage):
    """Values of a period's columns in a state, by their definitions."""
    problem, circuit, x = relaxation.problem, own.circuit, np.zeros(len(relaxation.cost))
    base, free = problem.compiled.s_base_mva, circuit.n_free
    x[own.control] = np.concatenate(
        [
            plan.share[problem.offers.item[problem.offers.period == number]],
            plan.charge[:, number],
            plan.discharge[:, number],
        ]
    )
    for device, columns in enumerate(relaxation.lifted.step):
        x[columns[number, plan.steps[device, number] - problem.devices[device].lowest]] = 1.0
    taken = circuit.admittance[free:] @ voltage
    power = (voltage[free:] * np.conj(taken))[own.fed]
    x[own.active], x[own.reactive] = base * power.real, base * power.imag
    x[own.current] = np.abs(taken[own.fed]) ** 2
    for (node, device), columns in own.square.items():
        x[columns[plan.steps[device, number] - problem.devices[device].lowest]] = np.abs(voltage[node]) ** 2
    return x


def circuit_voltages(own, node_voltages, steps):
    """Voltages of a circuit's nodes from those of the network's that gridclear's power flow has found."""
    circuit = own.circuit
    setting = circuit.setting(steps.astype(np.float64))
    free = node_voltages[: circuit.n_bus_node]
    inner = [
        ratio * free[one.node] for ratio, one in zip(setting.ratio.tolist(), circuit.ratios, strict=True)
    ]
    return np.concatenate([free, inner, setting.source])


def planes_at(search, rng):
    """Planes of all kinds at the plan's states: reactive power wanted and not, limits that bind."""
    relaxation, found = search.relaxation, []
    for number, own in relaxation.periods:
        state = relaxation.plan_state(number, own)
        count, price = len(own.circuit.sources), search.price
        high = int(np.argmax(np.abs(state.voltage[: own.circuit.n_bus_node])))
        for part in (-0.3, 0.0, 0.2):
            for limit in (0.0, 20.0 * price):
                power = price * (1.0 + 1j * part * rng.random(count))
                limits = {Quantity(VOLTAGE, high, 1): limit} if limit else {}
                weights = Weights(power, np.zeros(count), limits)
                cut = relaxation.nearer(number, own, state, weights)
                found += [] if cut is None else [cut]
    return found


@pytest.mark.parametrize(
    ("name", "count"),
    [("mv-rural", 80), ("mv-urban", 30), ("hv-mixed", 30), ("far", 300), ("two", 300), ("ring", 300)],
)
def test_no_state_lies_below_a_plane(name, count):
    made = {
        "far": lambda: small_case(far_net()),
        "two": lambda: with_two_changers(two_transformers()),
        "ring": lambda: small_case(small_net(ring=True)),
    }
    case = made[name]() if name in made else gc.read_case(GRIDS / name)
    problem = problem_of(case)
    point = cleared(problem) if name in ("mv-rural", *made) else assess(problem, problem.nothing())
    rng = np.random.default_rng(7)
    search = _Search(point, circuits_of(point), Deadline())
    cuts = planes_at(search, rng)
    relaxation, periods = search.relaxation, dict(search.relaxation.periods)
    assert len(cuts) > 3 * len(periods)
    checked, least = 0, np.inf
    for plan in sampled(point, count, rng):
        setting = problem.scenarios.setting(problem.positions(plan))
        for _, rows, states in problem.scenarios.solved(problem.activations(plan), setting):
            for state, number in enumerate(rows.tolist()):
                own = periods[number]
                nodes = states.vr[state] + 1j * states.vi[state]
                voltage = circuit_voltages(own, nodes, plan.steps[:, number])
                steps = plan.steps[:, number].astype(np.float64)
                if np.isnan(nodes).any() or relaxation.limited.broken(number, own.circuit, voltage, steps):
                    continue
                x = lifted_values(relaxation, number, own, plan, voltage)
                checked += 1
                for cut in cuts:
                    if cut.period == number:
                        excess = cut.plane.excess(x)
                        least = min(least, -excess)
                        # Power flows balance to 1e-8 MVA or so.
                        assert excess <= 1e-6
    print(f"{name}: {checked} states, {len(cuts)} planes, nearest {least:.2e}")
    assert checked >= 100
    # Planes touch: at the plan's own states nothing is between.
    assert least <= 1e-3


def test_bound_of_a_shipped_case_proves_the_schedule():
    case = gc.read_case(GRIDS / "mv-rural")
    clearing = gc.clear(case, bound=True)
    assert clearing.status == "optimal"
    assert clearing.bound_eur <= clearing.cost_eur
    assert 0.0 <= clearing.gap < OPTIMAL_GAP
    assert clearing.provenance["bound"]["reason"] == ""


def test_steps_that_only_a_later_day_lets_a_device_reach_are_bounded_too():
    """The bank has made its moves of the first day; on the second it may make two more, which pays."""
    starts = pd.date_range("2026-03-02T23:45Z", periods=2, freq="15min")
    case = small_case(starts=starts, tap_changers=None, storage=None)
    banks = case.capacitor_banks.assign(
        max_moves=np.nan, max_moves_day=2, moves_today=2, cost_per_move_eur=0.0
    )
    problem = problem_of(replace(case, capacitor_banks=banks))
    assert [problem.devices[0].most_moves_before(end) for end in range(3)] == [0, 0, 2]
    problem = replace(
        problem,
        requests=replace(problem.requests, tolerance=np.full(2, 9.0)),
        offers=replace(problem.offers, most=np.zeros(len(problem.offers.most))),
        loss_price=1000.0,
    )
    moved = replace(problem.nothing(), steps=np.array([[0, 2]]))
    assert not broken_rules(problem, moved)
    still, moved = assess(problem, problem.nothing()), assess(problem, moved)
    assert moved.cost < 0.995 * still.cost
    bound = lower_bound(still, Deadline())
    assert bound.reason == ""
    assert 0.999 * moved.cost < bound.eur <= moved.cost


def test_a_program_without_whole_steps_proves_nothing():
    """No step of a device is fully allowed: in between there are solutions, whole ones there are none."""
    point = cleared(problem_of(small_case()))
    search = _Search(point, circuits_of(point), Deadline())
    search._begin()
    columns = search.relaxation.lifted.step[0][0]
    search.relaxation.add_planes([Plane(np.array([column]), np.ones(1), 0.9) for column in columns])
    assert search._solved() is not None
    assert search._searched() is None
    assert search.best == np.inf


def test_turnover_counts_what_is_paid_either_way():
    problem = problem_of(small_case())
    offers = problem.offers
    cost = np.where(np.arange(len(offers.cost)) % 2 == 0, 1.0, -1.0)
    problem = replace(problem, offers=replace(offers, cost=cost), loss_price=0.0)
    plan = replace(problem.nothing(), share=np.full(len(offers.most), 0.5))
    point = assess(problem, plan)
    assert point.cost == pytest.approx(0.0, abs=1e-12)
    assert point.turnover == pytest.approx(0.5 * len(cost))


def test_a_program_keeps_the_whole_circle_of_an_inverter():
    bounds = _bounds(_Rating("battery", 1.0, np.nan, None), 0.1, 0.0, (-1.0, 1.0), 0.1)
    angle = np.linspace(0.0, 2.0 * np.pi, 1001)
    along = np.array([[a, b] for a, b, _ in bounds]) @ [np.cos(angle) - 0.1, np.sin(angle)]
    _, high, outer = np.array([ends for _, _, ends in bounds]).T[:, :, None]
    assert (along <= outer + 1e-12).all()
    assert (along > high + 1e-4).any()


def test_no_bound_if_none_is_asked_for():
    clearing = gc.clear(small_case())
    assert clearing.status == "confirmed"
    assert np.isnan(clearing.bound_eur)
    assert np.isnan(clearing.gap)
    assert clearing.provenance["bound"]["reason"] == "not asked for"


def test_reason_where_nothing_is_proved():
    net = small_net()
    net.load["const_z_p_percent"] = 30.0
    point = cleared(problem_of(small_case(net)))
    bound = lower_bound(point, Deadline())
    assert bound.eur == -np.inf
    assert bound.reason == "loads depend on the voltage"


def test_deadline_that_has_passed_gives_what_there_is():
    point = cleared(problem_of(small_case()))
    bound = lower_bound(point, Deadline(0.0))
    assert bound.eur <= point.cost
    assert bound.reason == "deadline"
