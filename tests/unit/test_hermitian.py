"""Factors, states, stationary weights and least values on a static pattern, against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.optimise.forms import _Slots
from gridclear.powerflow.hermitian import (
    COLLAPSED,
    DEFINITE,
    INDEFINITE,
    RESTLESS,
    SETTLED,
    lay,
    least_value,
    settle,
    stationary,
)

SEEDS = range(12)
SWEEPS, RESTS = 60, 1e-12


def structure_of(rng, free, sources):
    """A connected grid with some meshes, its sources last: rows and columns, both ways, then the diagonal."""
    size = free + sources
    tree = [(int(rng.integers(0, node)), node) for node in range(1, size)]
    extra = [tuple(sorted(rng.choice(size, 2, replace=False).tolist())) for _ in range(free // 4)]
    low, high = np.array(tree + extra).T
    new = rng.permutation(free)
    name = np.concatenate([new, np.arange(free, size)])
    low, high = name[low], name[high]
    row = np.concatenate([low, high, np.arange(size)])
    return row, np.concatenate([high, low, np.arange(size)]), len(low)


def admittance_of(rng, row, column, branches, size):
    """Entries of an admittance matrix whose branches turn phases, and its dense twin."""
    series = rng.uniform(1.0, 5.0, branches) * np.exp(-1j * rng.uniform(0.4, 1.4, branches))
    turn = np.exp(1j * rng.choice([0.0, 0.02], branches))
    entry = np.concatenate([-series * turn, -series / turn, np.zeros(size)])
    diagonal = np.bincount(row[:branches], series.real, size) + np.bincount(
        column[:branches], series.real, size
    )
    diagonal = diagonal + 1j * (
        np.bincount(row[:branches], series.imag, size) + np.bincount(column[:branches], series.imag, size)
    )
    entry[2 * branches :] = diagonal + 0.01j
    dense = np.zeros((size, size), dtype=complex)
    np.add.at(dense, (row, column), entry)
    return entry, dense


def laid_out(seed):
    rng = np.random.default_rng(seed)
    free, sources = int(rng.integers(3, 40)), int(rng.integers(1, 4))
    row, column, branches = structure_of(rng, free, sources)
    slots = _Slots.of(row, column, free, free + sources)
    entry, dense = admittance_of(rng, row, column, branches, free + sources)
    factors, across = slots.filled(slots.place(row, column), entry)
    return rng, free, slots, (row, column), dense, factors, across


def dense_of(factors):
    """Matrix of its three arrays."""
    row = np.repeat(np.arange(len(factors.diagonal)), np.diff(factors.pattern.start))
    found = np.diag(factors.diagonal)
    found[row, factors.pattern.column] = factors.upper
    found[factors.pattern.column, row] = factors.lower
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_entries_go_where_they_belong_and_factors_multiply_to_the_matrix(seed):
    _, free, _, _, dense, factors, across = laid_out(seed)
    np.testing.assert_allclose(dense_of(factors), dense[:free, :free], atol=1e-12)
    np.testing.assert_allclose(across, dense[:free, free:], atol=1e-12)
    assert lay(*factors) == 0
    whole = dense_of(factors._replace(diagonal=1.0 / factors.diagonal))
    product = (np.tril(whole, -1) + np.eye(free)) @ np.triu(whole)
    np.testing.assert_allclose(product, dense[:free, :free], atol=1e-11)


def test_a_matrix_that_is_singular_has_no_factors():
    slots = _Slots.of(np.array([0, 1, 0, 1]), np.array([1, 0, 0, 1]), 2, 2)
    place = slots.place(np.array([0, 1, 0, 1]), np.array([1, 0, 0, 1]))
    factors, _ = slots.filled(place, np.ones(4, dtype=complex))
    assert lay(*factors) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_draws_its_powers_and_its_weights_are_stationary(seed):
    rng, free, _, _, dense, factors, across = laid_out(seed)
    source = np.exp(1j * rng.uniform(-0.1, 0.1, across.shape[1]))
    power = 0.02 * (rng.normal(size=free) + 1j * rng.normal(size=free))
    assert lay(*factors) == 0
    voltage, current = np.empty((2, free), dtype=complex)
    given = -across @ source
    assert settle(*factors, given, power, SWEEPS, RESTS, voltage, current) == SETTLED
    every = np.concatenate([voltage, source])
    np.testing.assert_allclose(voltage * np.conj(dense[:free] @ every), power, atol=1e-9)
    np.testing.assert_allclose(current, np.conj(power / voltage), atol=1e-12)
    total, weight = rng.normal(size=free) + 1j * rng.normal(size=free), np.empty(free, dtype=complex)
    stationary(*factors, voltage, current, total, SWEEPS, RESTS, weight)
    missed = weight * current + dense[:free, :free].conj().T @ (weight.conj() * voltage) + total
    np.testing.assert_allclose(missed, 0.0, atol=1e-8)


def test_a_load_that_no_state_carries_has_none():
    _, free, _, _, _, factors, across = laid_out(3)
    assert lay(*factors) == 0
    voltage, current = np.empty((2, free), dtype=complex)
    given, power = -across @ np.ones(across.shape[1], dtype=complex), np.full(free, -30.0 - 30.0j)
    told = settle(*factors, given, power, SWEEPS, RESTS, voltage, current)
    assert told in (COLLAPSED, RESTLESS)
    power[0] = np.nan
    assert settle(*factors, given, power, SWEEPS, RESTS, voltage, current) in (COLLAPSED, RESTLESS)


def form_of(rng, entries, size, definite):
    """Entries of a Hermitian form, both ways, and its dense twin."""
    row, column = entries
    half = rng.normal(size=len(row)) + 1j * rng.normal(size=len(row))
    half[-size:] = (8.0 if definite else 0.1) * rng.uniform(1.0, 2.0, size)
    dense = np.zeros((size, size), dtype=complex)
    np.add.at(dense, (row, column), half)
    np.add.at(dense, (column, row), half.conj())
    return np.concatenate([half, half.conj()]), dense


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("definite", [True, False])
def test_least_value_is_the_schur_complement_of_a_definite_form(seed, definite):
    rng, free, slots, (row, column), *_ = laid_out(seed)
    size = slots.size
    entry, dense = form_of(rng, (row, column), size, definite)
    slot = np.concatenate([slots.place(row, column), slots.place(column, row)])
    least, figures = np.empty((size - free, size - free), dtype=complex), np.empty(3)
    told = least_value(slots.pattern, slot, entry, 1e-12, least, figures)
    inside = dense[:free, :free]
    values = np.linalg.eigvalsh(inside)
    assert abs(values[0]) > 1e-6
    assert told == (DEFINITE if values[0] > 0.0 else INDEFINITE)
    if told == DEFINITE:
        across = dense[:free, free:]
        wanted = dense[free:, free:] - across.conj().T @ np.linalg.solve(inside, across)
        np.testing.assert_allclose(least, wanted, atol=1e-9 * np.abs(wanted).max())
        assert figures[0] <= 1e-20 * np.abs(dense).max() ** 2 * size
        assert figures[1] == pytest.approx(1e-12 * np.abs(np.diag(inside)).max())
        assert figures[2] >= np.abs(dense[free:, free:]).max() * (1.0 - 1e-12)


def test_both_answers_are_met():
    """The forms of the test above are definite and indefinite."""
    met = set()
    for seed in SEEDS:
        for definite in (True, False):
            rng, free, slots, entries, *_ = laid_out(seed)
            _, dense = form_of(rng, entries, slots.size, definite)
            met.add(bool(np.linalg.eigvalsh(dense[:free, :free])[0] > 0.0))
    assert met == {True, False}


def test_a_form_that_is_definite_by_less_than_asked_is_refused():
    slots = _Slots.of(np.array([0, 1]), np.array([1, 0]), 2, 3)
    slot, least, figures = np.array([0, 1]), np.empty((1, 1), dtype=complex), np.empty(3)
    for small, told in ((2e-3, DEFINITE), (0.5e-3, INDEFINITE), (np.nan, INDEFINITE)):
        entry = np.array([1.0, small], dtype=complex)
        assert least_value(slots.pattern, slot, entry, 1e-3, least, figures) == told
