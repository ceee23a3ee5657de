"""The bound by courses: lines around states, rows of one setting, cheapest courses, and all together."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from algebraic_support import problem_of, small_case, small_net
from test_bound_planes import (
    at_least_as_good,
    circuit_voltages,
    cleared,
    dearer,
    lifted_values,
    sampled,
    two_transformers,
    with_two_changers,
)

import gridclear as gc
from gridclear.jobs.cleared import proof_of
from gridclear.network.movables import Movable
from gridclear.optimise.algorithms import Deadline
from gridclear.optimise.bound import _Search, lower_bound
from gridclear.optimise.circuit import circuits_of
from gridclear.optimise.conditional import Conditional
from gridclear.optimise.courses import Courses
from gridclear.optimise.enclosures import Enclosure
from gridclear.optimise.held import Held
from gridclear.optimise.lifted import kept_voltages, largest, most_currents
from gridclear.optimise.linearise import assess
from gridclear.optimise.placings import Placings, reachable
from gridclear.optimise.problem import DELIVERED_MVA
from gridclear.optimise.spans import Group, highest
from gridclear.optimise.successive import Stage, successive
from gridclear.optimise.supports import CURRENT, VOLTAGE, Quantity, Weights
from gridclear.optimise.weights import Weights as Merits
from oracle import small_clearings

ROUNDING = 1e-9
#: Part of the controls' ranges that counts as near.
_NEARBY = 0.1
#: Power flows balance to 1e-8 MVA or so.
BALANCED = 1e-6
CASES = {
    "feeder": lambda: small_case(small_net()),
    "ring": lambda: small_case(small_net(ring=True)),
    "two": lambda: with_two_changers(two_transformers()),
    **{str(seed): lambda seed=seed: small_clearings.small_case(seed) for seed in (3, 5, 12)},
}


def states_of(problem, plans):
    """AC states of plans by the batched power flow: (plan, period, voltages of nodes)."""
    for plan in plans:
        setting = problem.scenarios.setting(problem.positions(plan))
        for _, rows, states in problem.scenarios.solved(problem.activations(plan), setting):
            for state, number in enumerate(rows.tolist()):
                nodes = states.vr[state] + 1j * states.vi[state]
                if not np.isnan(nodes).any():
                    yield plan, number, nodes


def enclosed(relaxation, number, own, plan, near):
    problem = relaxation.problem
    control = np.concatenate(
        [
            plan.share[problem.offers.item[problem.offers.period == number]],
            plan.charge[:, number],
            plan.discharge[:, number],
        ]
    )
    state = relaxation.stood(own, control, plan.steps[:, number].astype(np.float64))

    def spans(axes):
        """Ranges of controls that are not far from the plan's."""
        size = _NEARBY * np.abs(axes) @ largest(problem, number)
        return axes @ control - size, axes @ control + size

    ranges = relaxation.ranges_of(number, own)
    return Enclosure(problem, number, own, state, control, ranges, spans if near else None), state, control


def nearby(relaxation, number, control, other):
    """Whether controls are so near others that ``enclosed`` with ``near`` knows of them."""
    return (np.abs(control - other) <= _NEARBY * largest(relaxation.problem, number)).all()


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_states_lie_above_the_lines_of_their_setting(name, near):
    problem = problem_of(CASES[name]())
    point = cleared(problem)
    relaxation = _Search(point, circuits_of(point), Deadline()).relaxation
    rng, checked, bent = np.random.default_rng(3), 0, 0
    periods = dict(relaxation.periods)
    base = {number: enclosed(relaxation, number, own, point.plan, near) for number, own in periods.items()}
    plans = (replace(plan, steps=point.plan.steps) for plan in sampled(point, 240 if near else 80, rng))
    for plan, number, found in states_of(problem, plans):
        own, (enclosure, _, centre) = periods[number], base[number]
        voltage = circuit_voltages(own, found, plan.steps[:, number])
        low, high = kept_voltages(problem, number, own.circuit)
        free = own.circuit.n_bus_node
        size = np.abs(voltage[:free])
        values = lifted_values(relaxation, number, own, plan, voltage)
        source = np.stack([values[own.active], values[own.reactive]]) / problem.compiled.s_base_mva
        inside = all(
            low - ROUNDING <= value <= high + ROUNDING
            for ranges, both in zip(relaxation.ranges_of(number, own), source.T, strict=True)
            for (low, high), value in zip(ranges, both, strict=True)
        )
        if not inside or (size < low).any() or (size > high).any() or not enclosure.known:
            continue
        control = values[own.control]
        if near and not nearby(relaxation, number, control, centre):
            continue
        looked = rng.uniform(0.0, largest(problem, number))
        forms = [
            (enclosure.power(int(at), part), source[part, place])
            for place, at in enumerate(own.fed)
            for part in range(2)
        ]
        for node in range(free):
            toward = voltage[node] * np.exp(1j * rng.normal(0.0, 0.1))
            value = (np.conj(toward) * voltage[node]).real / abs(toward)
            forms.append((enclosure.magnitude(node, toward), value))
        for (form, at), value in forms:
            both = enclosure.bent(form, at)
            for sign, one in ((1.0, both), (-1.0, both.negative)):
                for touch in (looked, control):
                    line = one.below(touch)
                    assert sign * value >= line.constant + line.slope @ control - BALANCED
                # Without what bends, and without errors, the lines would be wrong.
                bent += sign * value < sign * (at + enclosure._slope(form) @ (control - centre)) - (
                    10.0 * BALANCED
                )
        checked += len(forms)
    assert checked > 100
    assert bent > 0 or near
    print(f"{name}: {checked} values, {bent} beside their lines")


def random_weights(relaxation, number, own, rng):
    """Weights of all powers, and of some limits that the period has."""
    circuit = own.circuit
    low, high = kept_voltages(relaxation.problem, number, circuit)
    rated = most_currents(relaxation.problem, number, circuit)
    every = [Quantity(VOLTAGE, int(node), -1) for node in np.flatnonzero(low > 0.0)]
    every += [Quantity(VOLTAGE, int(node), 1) for node in np.flatnonzero(np.isfinite(high))]
    every += [Quantity(CURRENT, int(row), 1) for row in np.flatnonzero(np.isfinite(rated))]
    some = rng.choice(len(every), min(3, len(every)), replace=False)
    count = len(circuit.sources)
    power = rng.normal(0.0, 1.0, count) + 1j * rng.normal(0.0, 1.0, count)
    return Weights(power, np.zeros(count), {every[at]: float(rng.uniform(0.0, 3.0)) for at in some})


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", [name for name in CASES if name.isdigit()])
def test_rows_of_one_setting_cut_no_plan_off(name, near):
    problem = problem_of(CASES[name]())
    point = cleared(problem)
    relaxation = _Search(point, circuits_of(point), Deadline()).relaxation
    rng, periods, rows, base = np.random.default_rng(4), dict(relaxation.periods), {}, {}
    lowest = np.array([device.lowest for device in problem.devices])
    for number, own in periods.items():
        base[number] = enclosed(relaxation, number, own, point.plan, near)
        enclosure, state, control = base[number]
        steps = point.plan.steps[:, number]
        stands = tuple(
            int(columns[number, place])
            for columns, place in zip(relaxation.lifted.step, steps - lowest, strict=True)
        )
        around = Conditional(relaxation, number, own, enclosure, stands)
        rows[number] = [cut.plane for cut in around.cuts(state, control, None)]
        # Touched elsewhere, with limits that are broken there, and weighed in many ways.
        for _ in range(10):
            other = rng.uniform(0.0, largest(problem, number))
            there = relaxation.stood(own, other, steps.astype(np.float64))
            if there is not None:
                worth = random_weights(relaxation, number, own, rng)
                weighed = around.weighed(there, worth)
                rows[number] += [cut.plane for cut in around.cuts(there, other, weighed)]
    checked = held = 0
    for plan, number, found in states_of(problem, sampled(point, 240 if near else 80, rng)):
        own = periods[number]
        voltage = circuit_voltages(own, found, plan.steps[:, number])
        low, high = kept_voltages(problem, number, own.circuit)
        size = np.abs(voltage[: own.circuit.n_bus_node])
        x = lifted_values(relaxation, number, own, plan, voltage)
        source = np.stack([x[own.active], x[own.reactive]]) / problem.compiled.s_base_mva
        inside = all(
            low - ROUNDING <= value <= high + ROUNDING
            for ranges, both in zip(relaxation.ranges_of(number, own), source.T, strict=True)
            for (low, high), value in zip(ranges, both, strict=True)
        )
        steps = plan.steps[:, number].astype(np.float64)
        broken = relaxation.limited.broken(number, own.circuit, voltage, steps)
        if not inside or (size < low).any() or (size > high).any() or broken:
            continue
        if near and not nearby(relaxation, number, x[own.control], base[number][2]):
            continue
        assert max((plane.excess(x) for plane in rows[number]), default=0.0) <= BALANCED
        checked += 1
        held += bool((plan.steps[:, number] == point.plan.steps[:, number]).all())
    assert checked > 5
    assert held > 0
    # They say something of the setting: what the source gives follows from the controls.
    number, own = next(iter(periods.items()))
    x = lifted_values(relaxation, number, own, point.plan, relaxation.plan_state(number, own).voltage)
    assert max(plane.excess(x) for plane in rows[number]) <= BALANCED
    for columns in (own.active, own.reactive):
        for way in (-1.0, 1.0):
            moved = x.copy()
            moved[columns] += way
            assert max(plane.excess(moved) for plane in rows[number]) > BALANCED


def devices_of(rng, periods):
    return tuple(
        Movable(
            np.array([number]),
            np.ones(1, dtype=np.int64),
            -1,
            int(rng.integers(0, 2)),
            ((0, periods, int(rng.integers(1, 4))),),
            float(rng.uniform(0.0, 2.0)),
        )
        for number in range(2)
    )


def courses_by_hand(placings, devices, tables):
    """Costs of all courses within the budgets, one by one."""
    every = list(product(*(range(len(steps)) for steps in placings.steps)))
    for course in product(every, repeat=len(tables)):
        steps = np.array(
            [[own[at] for own, at in zip(placings.steps, place, strict=True)] for place in course]
        )
        moves = np.abs(np.diff(steps, axis=0, prepend=np.zeros((1, len(devices)), dtype=int)))
        within = all(
            moves[begin:end, number].sum() <= most
            for number, device in enumerate(devices)
            for begin, end, most in device.budgets
        )
        cost = sum(float(table[place]) for table, place in zip(tables, course, strict=True))
        yield cost + float(moves.sum(axis=0) @ [device.cost for device in devices]), course, within


@pytest.mark.parametrize("seed", range(6))
def test_cheapest_course_is_that_of_all_courses_one_by_one(seed):
    rng, periods = np.random.default_rng(seed), 3
    devices = devices_of(rng, periods)
    placings = Placings(devices, periods)
    tables = [rng.uniform(0.0, 6.0, table.shape) for table in placings.least]
    for number, table in enumerate(tables):
        for place in product(*map(range, table.shape)):
            placings.raise_to(number, place, float(table[place]))
    # Placings that no budget lets the devices get to by then stay out of reach.
    tables = [
        np.where(np.isinf(own), np.inf, table) for own, table in zip(placings.least, tables, strict=True)
    ]
    every = list(courses_by_hand(placings, devices, tables))
    value, places = placings.cheapest()
    least, course, _ = min(every, key=lambda one: one[0])
    assert value == pytest.approx(least, rel=1e-12)
    assert [tuple(place) for place in places.tolist()] == list(course)
    kept = min(cost for cost, _, within in every if within)
    for _ in range(40):
        value, places = placings.cheapest()
        assert value <= kept + 1e-9
        if not placings.reprice(places, kept - value):
            break
    assert all((price >= 0.0).all() for price in placings.price)


def test_learning_only_raises_and_adds_up_by_device():
    devices = devices_of(np.random.default_rng(1), 2)
    placings = Placings(devices, 2)
    first, second = (np.arange(len(steps), dtype=np.float64) for steps in placings.steps)
    placings.learn(1, 2.0, [first, 10.0 * second])
    before = placings.least[1].copy()
    for place in product(*map(range, before.shape)):
        if np.isfinite(before[place]):
            assert before[place] == 2.0 + place[0] + 10.0 * place[1]
    placings.learn(1, 0.0, [0.0 * first, 0.0 * second])
    assert (placings.least[1] >= before).all()


def looked_at(point):
    """The search of a bound once its first program is solved, and courses that begin there."""
    search = _Search(point, circuits_of(point), Deadline())
    search._begin()
    answer = search._solved()
    return search, Courses(search.relaxation, answer.dual, search._cutter, Deadline())


@pytest.mark.parametrize("seed", [3, 5, 12])
def test_looking_closely_cuts_the_plan_itself_never_off(seed):
    problem = problem_of(small_clearings.small_case(seed))
    point = cleared(problem)
    (search, courses), rng = looked_at(point), np.random.default_rng(seed)
    rows = parts = 0
    for number, own in search.relaxation.periods:
        place, piece = courses._place(number), courses._pieces[number]
        state = search.relaxation.plan_state(number, own)
        x = lifted_values(search.relaxation, number, own, point.plan, state.voltage)
        loss = np.setdiff1d(np.flatnonzero(search.relaxation.cost > 0.0), own.control)
        loss = loss[search.relaxation.labels[loss] == number]
        # What else of the period has a cost are its losses.
        assert len(loss) == (problem.loss_price > 0.0)
        injected = (own.injected + x[own.control] @ own.change)[: own.circuit.n_bus_node]
        lost = own.circuit.powers(state.voltage).real.sum() + injected.real.sum()
        x[loss] = problem.compiled.s_base_mva * lost
        cost = float(piece.frame.cost @ x[piece.frame.column])
        # Narrower and narrower: down to what the plan itself costs above what is known of its placing.
        for _ in range(3):
            courses._look(number, place, point.cost, abs(point.cost), cuts=6)
            spare = max(cost - float(courses.placings.least[number][place]), 0.0)
            courses._look_whole(number, place, point.cost, spare + 1e-3)
        assert excess_of(piece.local, x) <= BALANCED
        closely = courses._close[number, place]
        assert min(excess_of(part._local, x) for part in closely._parts) <= BALANCED
        rows += piece.local.n_row - piece.local.first
        parts += len(closely._parts)
        # Parted where nothing is to be gained, too: one of the parts holds the plan.
        for _ in range(4):
            one = next(part for part in closely._parts if excess_of(part._local, x) <= BALANCED)
            axis = rng.normal(0.0, 1.0, len(own.control))
            closely._parts.remove(one)
            closely._parts += one.parted(axis, float(axis @ x[own.control]) + rng.normal(0.0, 0.1))
            courses._look_whole(number, place, point.cost, spare + 1e-3)
            assert min(excess_of(part._local, x) for part in closely._parts) <= BALANCED
        assert courses.placings.least[number][place] <= cost + 1e-3
    assert rows
    assert parts >= len(search.relaxation.periods)


def excess_of(local, x):
    """By how much a point breaks the rows that were added to a program."""
    matrix, _, upper = local.solver.rows()
    return float((matrix @ x[local.frame.column] - upper)[local.first :].max(initial=0.0))


@pytest.mark.parametrize("seed", [3, 12])
def test_spans_hold_what_costs_no_more_and_are_narrower_for_less(seed):
    problem = problem_of(small_clearings.small_case(seed))
    point = cleared(problem)
    (search, courses), rng = looked_at(point), np.random.default_rng(seed)
    narrower = 0
    for number, own in search.relaxation.periods:
        place, piece = courses._place(number), courses._pieces[number]
        found = piece.at(place, 10.0 * abs(point.cost))
        held = Held.at(piece, place, -np.inf)
        weight = rng.normal(0.0, 1.0, (6, len(own.control)))
        widths = []
        for spare in (0.01, 0.1, 1.0):
            low, high = held.spans(weight, found.least + spare)
            # The cheapest solution is one of those that cost no more.
            value = weight @ found.x[own.control]
            assert (low <= value).all()
            assert (value <= high).all()
            widths.append(high - low)
        assert (widths[0] <= widths[1] + ROUNDING).all()
        assert (widths[1] <= widths[2] + ROUNDING).all()
        narrower += int((widths[0] < 0.9 * widths[2]).sum())
        # Below the least there is nothing.
        low, high = held.spans(weight, found.least - 1.0)
        assert (low > high).all()
        # Costs are free again.
        assert held.cheapest()[0] == pytest.approx(found.least)
    assert narrower


#: Without those whose dear plan is not confirmed: nothing is bounded there.
MORE = [seed for seed in range(40, 60) if seed not in (42, 56, 58)]


@pytest.mark.parametrize("seed", [3, 12, *(pytest.param(seed, marks=pytest.mark.study) for seed in MORE)])
def test_no_plan_of_any_placing_is_below_the_bound(seed):
    problem = problem_of(small_clearings.small_case(seed))
    worse = dearer(problem, seed)
    bound = lower_bound(worse, Deadline())
    assert "contradict" not in bound.reason
    rivals = [cleared(problem)] if bound.rival is None else [assess(problem, bound.rival), cleared(problem)]
    ranges = [reachable(device, 1).tolist() for device in problem.devices]
    for placing in product(*ranges):
        steps = np.repeat(np.array(placing)[:, None], problem.periods, axis=1)
        start = assess(problem, replace(worse.plan, steps=steps))
        if start.solved.all():
            rivals.append(Stage(problem, Merits.of(problem), Deadline()).settled(start))
    counted = [rival.cost for rival in rivals if at_least_as_good(rival, worse)]
    assert counted
    assert bound.eur <= min(counted) * (1.0 + ROUNDING)


def test_a_dear_answer_of_an_own_algorithm_stays_and_its_rival_is_as_good():
    case = small_clearings.small_case(3)

    def dear(problem, deadline):
        cost = problem.offers.cost
        other = replace(problem, offers=replace(problem.offers, cost=1.1 * cost.max() - cost))
        return successive(other, deadline)

    worse, best = gc.clear(case, algorithm=dear, bound=True), gc.clear(case, bound=True)
    assert worse.cost_eur > best.cost_eur
    assert not worse.bound_eur > best.cost_eur * (1.0 + 1e-6)
    problem = problem_of(case)
    point = assess(problem, dear(problem, Deadline()).plan)
    bound = lower_bound(point, Deadline())
    assert bound.rival is not None
    rival = assess(problem, bound.rival)
    assert rival.cost < point.cost
    # As good as tolerances tell: that it is no worse by a rounding error is luck.
    assert (rival.shortfall <= point.shortfall + DELIVERED_MVA / problem.compiled.s_base_mva).all()
    assert proof_of(problem, bound.rival, 1).confirmed


def test_ranges_by_rows_at_a_price_hold_all_that_keeps_the_rows():
    rng, width = np.random.default_rng(2), np.array([1.0, 0.5, 2.0, 0.0])
    at = rng.uniform(0.0, width)
    matrix, slope = rng.normal(0.0, 1.0, (2, 4)), rng.normal(0.0, 1.0, (50, 4))
    rows = [(own, -0.1, 0.2) for own in matrix]
    most = highest(slope, -at, width - at, [Group.of(rows, width)])
    box = highest(slope, -at, width - at, [])
    away = rng.uniform(-at, width - at, (100_000, 4))
    kept = away[((away @ matrix.T >= -0.1) & (away @ matrix.T <= 0.2)).all(axis=1)]
    assert len(kept) > 100
    assert ((kept @ slope.T).max(axis=0) <= most + ROUNDING).all()
    assert (most <= box).all()
    assert (most < 0.8 * box).any()
