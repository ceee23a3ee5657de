"""Polygons beside other ways to find the same: random points, and sums over many ways."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from gridclear.optimise.polygons import area, beyond, clipped, hull, is_inside, normals


@pytest.mark.parametrize("seed", range(20))
def test_a_hull_is_that_of_qhull(seed):
    place = np.random.default_rng(seed).normal(size=(3 + 2 * seed, 2))
    rows, other = hull(place), ConvexHull(place)
    assert set(rows.tolist()) == set(other.vertices.tolist())
    assert area(place[rows]) == pytest.approx(other.volume)


def test_hulls_of_few_places():
    assert hull(np.array([[1.0, 2.0]])).tolist() == [0]
    assert len(hull(np.array([[1.0, 2.0], [1.0, 2.0]]))) == 1
    line = np.array([[0.0, 0.0], [2.0, 2.0], [1.0, 1.0]])
    assert sorted(hull(line).tolist()) == [0, 1]


@pytest.mark.parametrize("seed", range(10))
def test_what_lies_beyond_a_hull_is_the_rest_of_the_circle_about_it(seed):
    """Of half-planes all round a circle, and a polygon within: the open parts are what is left."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0.0, 2.0 * np.pi, 9))
    place = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    corner = place[hull(place)]
    many = np.linspace(0.0, 2.0 * np.pi, 500, endpoint=False)
    way = np.stack([np.cos(many), np.sin(many)], axis=1)
    open_, height = beyond(corner, way, np.ones(len(way)))
    assert (height >= -1e-12).all()
    out = 1.0 - (normals(corner) * corner).sum(axis=1)
    assert height == pytest.approx(out, abs=1e-4)
    if (np.diff(angle) < np.pi).all() and angle[0] + 2.0 * np.pi - angle[-1] < np.pi:
        assert open_.sum() == pytest.approx(np.pi - area(corner), abs=1e-3)


@pytest.mark.parametrize("seed", range(10))
def test_a_polygon_that_is_cut_keeps_what_is_on_one_side(seed):
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(12, 2))
    corner, way = place[hull(place)], normals(rng.normal(size=(3, 2)))[0]
    middle = float(np.median(corner @ way))
    one, other = clipped(corner, way, middle), clipped(corner, -way, -middle)
    assert area(one) + area(other) == pytest.approx(area(corner))
    assert (one @ way <= middle + 1e-12).all()


def test_inside_of_a_polygon_with_a_bay():
    corner = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]])
    place = np.array([[2.0, 0.5], [2.0, 2.0], [0.5, 3.0], [5.0, 1.0], [3.5, 3.0]])
    assert is_inside(corner, place).tolist() == [True, False, True, False, True]
