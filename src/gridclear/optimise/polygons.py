"""Convex polygons of the plane: hulls, half-planes, and how much may lie outside of a hull."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gridclear.network.network import Floats, Ints


def hull(place: Floats) -> Ints:
    """Find the corners of the convex hull of places.

    Parameters
    ----------
    place : (place, 2)

    Returns
    -------
    (corner,) of int
        Rows, counter-clockwise from the leftmost; what lies on a side is no corner.
    """
    # Ascending, and each place once.
    order = np.unique(place, axis=0, return_index=True)[1].tolist()
    half: list[list[int]] = []
    for every in (order, order[::-1]):
        chain: list[int] = []
        for row in every:
            while len(chain) > 1 and _turn(place[chain[-2]], place[chain[-1]], place[row]) <= 0.0:
                chain.pop()
            chain.append(row)
        half.append(chain[:-1])
    return np.array([*half[0], *half[1]] or order[:1], dtype=np.int64)


def area(corner: Floats) -> float:
    """Area of a polygon of corners (corner, 2), positive if they go counter-clockwise."""
    x, y = corner.reshape(-1, 2).T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def normals(corner: Floats) -> Floats:
    """Outward unit normals of the sides of a polygon that goes counter-clockwise, (side, 2)."""
    along = np.roll(corner, -1, axis=0) - corner
    length = np.maximum(np.hypot(*along.T), np.finfo(float).tiny)
    outward: Floats = np.stack([along[:, 1], -along[:, 0]], axis=1) / length[:, None]
    return outward


def beyond(corner: Floats, direction: Floats, most: Floats) -> tuple[Floats, Floats]:
    """Find what may lie outside of every side of a hull within half-planes that hold for all of it.

    Parameters
    ----------
    corner : (corner, 2)
        Of the hull, counter-clockwise.
    direction : (half-plane, 2)
    most : (half-plane,)
        ``direction · place <= most``.

    Returns
    -------
    open_, height : (side,)
        Area outside of each side, and how far it reaches from the side. Areas of neighbouring sides may
        overlap behind a corner that is none: their sum is an upper bound.
    """
    span = 10.0 * (np.ptp(corner, axis=0).max() + float(np.abs(corner).max()) + 1.0)
    outer = span * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    for own, bound in zip(direction, most, strict=True):
        outer = clipped(outer, own, float(bound))
    open_, height = np.zeros((2, len(corner)))
    for side, (own, at) in enumerate(zip(normals(corner), corner, strict=True)):
        part = clipped(outer, -own, -float(own @ at))
        if len(part) > 2:
            open_[side], height[side] = area(part), float((part @ own).max() - own @ at)
    return open_, height


def clipped(corner: Floats, direction: Floats, most: float) -> Floats:
    """Cut a convex polygon by ``direction · place <= most``; its corners, none if nothing is left."""
    if not len(corner):
        return corner
    off = corner @ direction - most
    found: list[Floats] = []
    for here, there, one, other in zip(
        off.tolist(), np.roll(off, -1).tolist(), corner, np.roll(corner, -1, axis=0), strict=True
    ):
        if here <= 0.0:
            found.append(one)
        if (here < 0.0 < there) or (there < 0.0 < here):
            found.append(one + here / (here - there) * (other - one))
    return np.array(found).reshape(-1, 2)


def is_inside(corner: Floats, place: Floats) -> NDArray[np.bool_]:
    """Tell which places (place, 2) lie inside of a polygon of any shape, (place,) of bool."""
    x, y = place.T[:, :, None]
    begin, end = corner.T[:, None, :], np.roll(corner, -1, axis=0).T[:, None, :]
    crosses = (begin[1] > y) != (end[1] > y)
    rise = np.where(crosses, end[1] - begin[1], 1.0)
    at = begin[0] + (y - begin[1]) / rise * (end[0] - begin[0])
    inside: NDArray[np.bool_] = (crosses & (x < at)).sum(axis=1) % 2 == 1
    return inside


def _turn(one: Floats, other: Floats, last: Floats) -> float:
    """Twice the area of a triangle, positive to the left."""
    return float((other[0] - one[0]) * (last[1] - one[1]) - (other[1] - one[1]) * (last[0] - one[0]))
