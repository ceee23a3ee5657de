"""The least of broken lines, beside a search of every line at every place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridclear.optimise.envelope import pieces

SEAM = 1e-6


def random_lines(seed: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw lines over ranges that overlap, touch or stand apart."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        place = np.unique(rng.integers(0, 40, rng.integers(2, 7)) / 4.0)
        lines.append((place, rng.integers(0, 12, len(place)) / 3.0))
    return lines


def least(lines: list[tuple[np.ndarray, np.ndarray]], at: float) -> float:
    """Least value of all lines that reach a place, infinite if none does."""
    values = [np.interp(at, place, value) for place, value in lines if place[0] <= at <= place[-1]]
    return min(values, default=np.inf)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8), worth=st.sampled_from([0.0, 0.1, 1.0]))
def test_pieces_are_the_least_of_all_lines(seed: int, count: int, worth: float) -> None:
    lines = random_lines(seed, count)
    found = pieces(lines, SEAM, worth)
    assert all(one.high <= other.low + 1e-12 for one, other in pairwise(found))
    for at in np.linspace(-0.013, 10.013, 400):
        here = [piece for piece in found if piece.low < at < piece.high]
        if not here:
            on_edge = any(min(abs(at - piece.low), abs(at - piece.high)) < SEAM for piece in found)
            alone = all(place[-1] - place[0] > SEAM or abs(place[0] - at) > SEAM for place, _ in lines)
            assert on_edge or not alone or least(lines, at) == np.inf
            continue
        (piece,) = here
        place, value = lines[piece.line]
        assert place[0] - SEAM <= at <= place[-1] + SEAM
        assert np.interp(at, place, value) <= least(lines, at) + worth + 1e-9


def test_a_line_goes_on_until_another_is_lower_by_what_counts() -> None:
    flat = np.array([0.0, 10.0]), np.array([1.0, 1.0])
    low = np.array([2.0, 4.0]), np.array([0.9, 0.9])
    assert [piece.line for piece in pieces([flat, low], SEAM, 0.2)] == [0]
    found = pieces([flat, low], SEAM, 0.05)
    assert [(piece.line, piece.low, piece.high) for piece in found] == [
        (0, 0.0, 2.0),
        (1, pytest.approx(2.0), pytest.approx(4.0)),
        (0, pytest.approx(4.0), 10.0),
    ]


def test_no_lines_no_pieces() -> None:
    assert pieces([], SEAM, 0.0) == []
