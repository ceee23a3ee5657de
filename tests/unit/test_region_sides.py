"""Sides of a region: whether the middle of every long one can be had, however often it was halved."""

from types import SimpleNamespace

import numpy as np
import pytest

from gridclear.optimise.region import Survey

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


class Scattered:
    """A surveyor of a region that is some places alone: finds the nearest to what is asked for."""

    size = 1.0

    def __init__(self, places):
        self.stands = [SimpleNamespace(place=place, cost=0.0) for place in places]

    def follow(self, aims, _worth, _most_hops):
        return [min(self.stands, key=lambda stand: np.hypot(*(stand.place - aim.place))) for aim in aims]

    def insist(self, _aims, _worth, found):
        return found


def sides_of(inside):
    survey = Survey.__new__(Survey)
    survey._surveyor = Scattered([*CORNERS, *inside])
    spots, had = survey._halved(survey._surveyor.stands[:3])
    return np.array([spot.place for spot in spots]), np.array(had)


def is_had(place, inside):
    return np.hypot(*(np.vstack([CORNERS, inside]) - place).T).min() <= 0.005


@pytest.mark.parametrize("count", [0, 3, 40, 400])
def test_no_long_side_counts_as_had_whose_middle_is_not(count):
    weight = np.random.default_rng(count).dirichlet(np.ones(3), size=count)
    inside = weight @ CORNERS
    place, had = sides_of(inside)
    following = np.roll(place, -1, axis=0)
    long = np.hypot(*(following - place).T) > 0.1
    middle = 0.5 * (place + following)
    assert long.any()
    for row in np.flatnonzero(long):
        assert had[row] == is_had(middle[row], inside)
    assert had[~long].all()


def test_a_line_of_places_is_a_side():
    share = np.linspace(0.0, 1.0, 201)[:, None]
    edges = [CORNERS[a] + share * (CORNERS[b] - CORNERS[a]) for a, b in ((0, 1), (1, 2), (2, 0))]
    place, had = sides_of(np.vstack(edges))
    assert len(place) == 3
    assert had.all()
