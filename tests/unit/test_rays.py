"""First crossing on violations whose crossing is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from gridclear.powerflow.rays import RESOLUTION, first_crossing

TOLERANCE = 1e-6


class Curves:
    """Several constraints per ray as functions of the share; counts the evaluations."""

    def __init__(self, *rays):
        self.rays = rays
        self.asked = 0

    def __call__(self, ray, share):
        self.asked += len(ray)
        values = [
            [curve(s) for curve in self.rays[r]] for r, s in zip(ray.tolist(), share.tolist(), strict=True)
        ]
        over = np.array([max(v) for v in values])
        which = np.array([int(np.argmax(v)) for v in values])
        return over, np.where(np.isinf(over), -1, which)

    def nothing(self):
        return np.array([max(curve(0.0) for curve in curves) for curves in self.rays])


def find(*rays):
    curves = Curves(*rays)
    return first_crossing(curves, curves.nothing())


def convex(root):
    """Passes the tolerance upwards at ``root``."""
    return lambda x: 0.02 * (x * x - root * root) + TOLERANCE


def hump(left, right):
    """Concave, above the limit between ``left`` and ``right``."""
    return lambda x: 0.05 * (x - left) * (right - x) + TOLERANCE


def flat(value):
    return lambda _: value


def lost_beyond(share):
    return lambda x: np.inf if x > share else -0.01


@pytest.mark.parametrize("root", [0.001, 0.1, 0.3, 0.4999, 0.5001, 0.77, 0.99999])
def test_convex_crossing(root):
    found = find([flat(-0.5), convex(root)])
    assert root - RESOLUTION <= found.safe[0] <= root + 1e-12
    assert found.which[0] == 1


@pytest.mark.parametrize(("left", "right"), [(0.1, 0.4), (0.22, 0.28), (0.6, 0.9), (0.7, 0.74), (0.01, 0.49)])
def test_hump_that_is_back_at_every_sample_is_found(left, right):
    curve = hump(left, right)
    assert max(curve(x) for x in (0.0, 0.5, 1.0)) <= TOLERANCE, "the samples must not show it"
    found = find([curve])
    assert left - RESOLUTION <= found.safe[0] <= left + 1e-12
    assert found.which[0] == 0


@pytest.mark.parametrize(("left", "right"), [(0.3, 0.8), (0.2, 1.2), (0.4, 2.0)])
def test_hump_that_shows_at_a_sample_is_left_at_its_first_side(left, right):
    found = find([hump(left, right)])
    assert left - RESOLUTION <= found.safe[0] <= left + 1e-12


def test_first_of_two_crossings_counts_and_names_its_constraint():
    found = find([convex(0.8), hump(0.3, 0.7)])
    assert found.safe[0] == pytest.approx(0.3, abs=RESOLUTION)
    assert found.which[0] == 1


@pytest.mark.parametrize("later", [0.45, 0.8])
def test_hump_between_samples_counts_although_another_constraint_breaks_later(later):
    found = find([hump(0.1, 0.4), convex(later)])
    assert found.safe[0] == pytest.approx(0.1, abs=RESOLUTION)
    assert found.which[0] == 0


@pytest.mark.parametrize("slope", [1e-4, 0.1, 50.0])
def test_crossing_at_nothing_leaves_nothing_and_has_a_witness(slope):
    found = find([flat(-0.3), lambda x: TOLERANCE + slope * x])
    assert found.safe[0] == 0.0
    assert found.which[0] == 1


def test_never():
    found = find([flat(-0.2), lambda x: -0.1 + 0.05 * x])
    assert found.safe[0] == 1.0
    assert found.which[0] == 1, "the constraint with the least margin"


def test_violation_within_the_tolerance_is_none():
    assert find([flat(0.9 * TOLERANCE)]).safe[0] == 1.0
    assert find([flat(TOLERANCE)]).safe[0] == 1.0


@pytest.mark.parametrize("share", [0.003, 0.2, 0.5, 0.501, 0.9, 0.9999])
def test_no_solution_beyond_a_share(share):
    found = find([lost_beyond(share)])
    assert share - RESOLUTION <= found.safe[0] <= share + 1e-12
    assert found.which[0] == -1


def test_limit_before_the_solution_is_lost():
    found = find([lost_beyond(0.6), convex(0.35)])
    assert found.safe[0] == pytest.approx(0.35, abs=RESOLUTION)
    assert found.which[0] == 1


def test_no_solution_at_half_counts_although_full_has_one():
    found = find([lambda x: np.inf if 0.45 < x < 0.6 else -0.01])
    assert found.safe[0] == pytest.approx(0.45, abs=RESOLUTION)
    assert found.which[0] == -1


def test_nan_is_never_safe():
    found = find([lambda x: np.nan if x > 0.25 else -0.01])
    assert found.safe[0] == pytest.approx(0.25, abs=RESOLUTION)


def test_step_is_found():
    found = find([lambda x: 0.02 if x > 0.37 else -0.02])
    assert 0.37 - RESOLUTION <= found.safe[0] <= 0.37 + 1e-12


def test_rays_do_not_disturb_each_other():
    rays = [[convex(0.3)], [flat(-1.0)], [hump(0.1, 0.4)], [lost_beyond(0.7)], [convex(0.9), flat(-0.4)]]
    together = find(*rays)
    for number, curves in enumerate(rays):
        alone = find(curves)
        assert together.safe[number] == alone.safe[0]
        assert together.which[number] == alone.which[0]


def test_few_evaluations_per_ray():
    rays = [[convex(root)] for root in np.linspace(0.05, 0.95, 19)]
    curves = Curves(*rays)
    first_crossing(curves, curves.nothing())
    assert curves.asked <= 15 * len(rays)


def test_no_rays():
    found = first_crossing(Curves(), np.empty(0))
    assert len(found.safe) == len(found.which) == 0


def test_progress_ends_with_all():
    curves = Curves([convex(0.3)], [flat(-1.0)], [convex(0.6)])
    told = []
    first_crossing(curves, curves.nothing(), lambda done, every: told.append((done, every)))
    assert told
    assert told[-1] == (3, 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
