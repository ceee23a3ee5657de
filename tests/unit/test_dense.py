"""Small dense programs: what the kernels say is what HiGHS says, after every change of a kept program."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.errors import SolverError
from gridclear.optimise import dense
from gridclear.optimise.dense import Dense
from gridclear.optimise.highs import INFEASIBLE, OPTIMAL, TIME_LIMIT, Rows, Solver
from gridclear.optimise.program import Program
from gridclear.powerflow.simplex import ASTRAY, NO_POINT, SOLVED

SEEDS = range(40)


def drawn(seed):
    """A random program with bounded columns, some whole, and rows of both kinds; and a point inside."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(3, 30), rng.integers(1, 30)
    whole, low = rng.random(n) < 0.3, rng.integers(-3, 1, n).astype(float)
    high = low + rng.integers(0, 5, n)
    program = Program()
    for column in range(n):
        program.columns(1, low[column], high[column], float(rng.normal()), whole=bool(whole[column]))
    value = np.where(rng.random((m, n)) < 0.6, rng.normal(size=(m, n)), 0.0)
    inside = rng.uniform(low, high)
    reached = value @ inside
    lower = np.where(rng.random(m) < 0.5, -np.inf, reached - rng.random(m))
    upper = np.where(rng.random(m) < 0.5, np.inf, reached + rng.random(m) * (rng.random(m) < 0.8))
    rows = program.rows(m, lower, upper)
    for row in range(m):
        program.entries(rows[row], np.arange(n), value[row])
    return rng, program, inside, float(reached[0])


def same(one, other):
    """Two answers to one program."""
    assert one.status == other.status
    if len(other.x):
        assert one.objective == pytest.approx(other.objective, rel=1e-7, abs=1e-7)


def walk(seed, check):
    """Change a program step by step as maps do, beside HiGHS: rows, costs, places, whole columns held."""
    rng, program, inside, reached = drawn(seed)
    own, other, cost = Dense(program), Solver(program), program.cost
    other.relax(whole=False)
    n = program.n_column
    for step in range(10):
        turn = rng.integers(4) if step else -1
        if turn == 0:
            value = rng.normal(size=n)
            rows = Rows(np.arange(n), value[None], np.array([value @ inside + 0.3 * rng.random()]))
            own.add([rows])
            other.add(rows.planes())
        elif turn == 1:
            cost = rng.normal(size=n)
        elif turn == 2:
            place = reached + 0.2 * rng.normal()
            own.place(0, place)
            other.place(0, place)
        elif turn == 3:
            held = rng.uniform(program.lower, program.upper)
            own.hold(held)
            other.hold(held)
        check(own, other, cost)
        if turn == 3:
            own.release()
            other.release()
    return own, other, cost


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_are_those_of_highs(seed):
    walk(seed, lambda own, other, cost: same(own.minimise(cost), other.minimise(cost)))


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_explain_the_cost(seed):
    def check(own, other, cost):
        del other
        answer = own.minimise(cost)
        if answer.status != OPTIMAL:
            return
        tableau = own._tableau
        count = int(tableau.size[0])
        assert answer.reduced + tableau.rows[:count].T @ answer.dual == pytest.approx(cost, abs=1e-8)
        # A price is paid at a bound only, and towards it.
        price = np.concatenate([answer.reduced, answer.dual])
        at = np.concatenate([answer.x, tableau.rows[:count] @ answer.x])
        low, high = tableau.low[: len(at)], tableau.high[: len(at)]
        assert at[price > 1e-7] == pytest.approx(low[price > 1e-7], abs=1e-7)
        assert at[price < -1e-7] == pytest.approx(high[price < -1e-7], abs=1e-7)
        assert ((at >= low - 1e-7) & (at <= high + 1e-7)).all()

    walk(seed, check)


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_columns_are_searched_as_by_highs(seed):
    own, other, cost = walk(seed, lambda *_: None)
    other.relax(whole=True)
    before = own._tableau.low.copy(), own._tableau.high.copy()
    found, known = own.search(cost, gap=1e-9), other.minimise(cost)
    assert (found is None) == (known.status == INFEASIBLE)
    for kept, bound in zip(before, (own._tableau.low, own._tableau.high), strict=True):
        assert np.array_equal(kept, bound)
    if found is None:
        return
    same(found, known)
    assert found.bound <= found.objective
    whole = found.x[own._whole]
    assert whole == pytest.approx(np.rint(whole), abs=1e-6)
    # Only what is cheaper than a limit counts, and a coarse search is as good as it says.
    assert own.search(cost, gap=1e-9, limit=known.objective - 1e-6) is None
    assert own.search(cost, gap=1e-9, limit=known.objective + 1e-3).objective == pytest.approx(
        known.objective, abs=1e-7
    )
    coarse = own.search(cost, gap=0.5)
    assert coarse.bound - 1e-7 <= known.objective <= coarse.objective + 1e-7
    assert coarse.objective - coarse.bound <= 0.5 + 1e-9


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_highs_helps_where_the_kernels_are_lost(seed, monkeypatch):
    asked = []

    def lost(*arguments):
        asked.append(arguments)
        return (ASTRAY, np.inf, -np.inf, 1) if len(arguments) > 1 else ASTRAY

    monkeypatch.setattr(dense, "solve", lost)
    monkeypatch.setattr(dense, "search", lost)
    own, other, cost = walk(seed, lambda own, other, cost: same(own.minimise(cost), other.minimise(cost)))
    other.relax(whole=True)
    found, known = own.search(cost, gap=1e-9), other.minimise(cost)
    assert (found is None) == (known.status == INFEASIBLE)
    if found is not None:
        same(found, known)
        assert own.search(cost, gap=1e-9, limit=known.objective - 1e-6) is None
    assert len(asked) > 10


def test_a_dictionary_that_has_drifted_is_worked_out_anew():
    _, program, _, _ = drawn(1)
    own, other = Dense(program), Solver(program)
    other.relax(whole=False)
    known = other.minimise(program.cost)
    same(own.minimise(program.cost), known)
    own._tableau.table[: own._tableau.size[0]] *= 1.001
    same(own.minimise(program.cost), known)


def test_there_is_room_for_any_number_of_rows():
    program = Program()
    column = program.columns(2, 0.0, 10.0, [-1.0, -1.0])
    own = Dense(program)
    for turn in np.linspace(0.0, 0.5 * np.pi, 300):
        own.add([Rows(column, np.array([[np.cos(turn), np.sin(turn)]]), np.ones(1))])
    answer = own.minimise(program.cost)
    assert answer.objective == pytest.approx(-np.sqrt(2.0), abs=1e-4)
    assert len(answer.dual) == 300


def test_free_columns_find_their_rows():
    program = Program()
    column = program.columns(1, -3.0, 2.0)
    loss = program.columns(1, -np.inf, cost=1.0)
    own, other = Dense(program), Solver(program)
    for slope in (-2.0, -0.5, 1.0):
        value, upper = np.array([[slope, -1.0]]), np.array([-0.1 * slope])
        rows = Rows(np.concatenate([column, loss]), value, upper)
        own.add([rows])
        other.add(rows.planes())
    same(own.minimise(program.cost), other.minimise(program.cost))


def test_a_program_without_end_is_no_answer():
    program = Program()
    program.columns(1, -np.inf, cost=1.0)
    program.columns(1, 0.0, 1.0)
    assert not len(Dense(program).minimise(program.cost).x)


@pytest.mark.parametrize(("short", "code"), [(1e-8, SOLVED), (1e-6, NO_POINT)])
def test_rounding_rules_nothing_out(short, code):
    """Rows that nothing but rounding keeps from being kept."""
    program = Program()
    column = program.columns(2, 0.0, 1.0, 1.0)
    program.entries(program.rows(1, 2.0 + short), column, 1.0)
    assert dense.solve(Dense(program)._tableau) == code
    assert Dense(program).minimise(program.cost).status == (OPTIMAL if code == SOLVED else INFEASIBLE)


def test_what_is_no_number_is_refused():
    program = Program()
    program.columns(2, 0.0, 1.0, 1.0)
    own = Dense(program)
    with pytest.raises(SolverError):
        own.minimise(np.array([1.0, np.nan]))
    with pytest.raises(SolverError):
        own.add([Rows(np.array([0]), np.array([[np.inf]]), np.ones(1))])
    with pytest.raises(SolverError):
        own.search(np.array([1.0, np.nan]), gap=0.0)
    program.rows(1, np.nan, 1.0)
    with pytest.raises(SolverError):
        Dense(program)


def test_no_time_is_no_answer():
    program = Program()
    program.columns(1, 0.0, 1.0, 1.0, whole=True)
    own = Dense(program)
    assert own.minimise(program.cost, seconds=0.0).status == TIME_LIMIT
    assert own.search(program.cost, gap=0.0, seconds=-1.0).status == TIME_LIMIT
