"""Plane polygons under footprints.

A polygon smaller than a hemisphere is seen from the centre of the sphere onto the plane
that touches it at the polygon's own centre (gnomonic projection): great circles become
straight lines, so that everything here is exact for the sphere.
"""

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import ShapeError
from snapdb.sky.vectors import normalize
from snapdb.types import FloatArray

Triangle = tuple[int, int, int]


def find_center(vectors: FloatArray) -> FloatArray:
    """Find a direction from which every vertex lies less than 90 degrees away.

    Parameters
    ----------
    vectors : array, shape (n, 3)
        Unit vectors of the vertices in ring order.

    Returns
    -------
    array, shape (3,)
        A unit vector near the middle of the polygon.

    Raises
    ------
    ShapeError
        If there is none: the polygon is not smaller than a hemisphere.
    """
    mean = vectors.sum(axis=0)
    normal = np.cross(vectors, np.roll(vectors, -1, axis=0)).sum(axis=0)
    for candidate in (mean, normal, -normal):
        length = float(np.linalg.norm(candidate))
        if length > 0.0 and bool(np.all(vectors @ candidate > _LEAST_COSINE * length)):
            return np.asarray(candidate / length)
    msg = "the polygon is not smaller than a hemisphere, so its inside is not defined"
    raise ShapeError(msg)


def to_plane(vectors: FloatArray, center: FloatArray) -> FloatArray:
    """Project unit vectors gnomonically about a centre.

    Parameters
    ----------
    vectors : array, shape (n, 3)
        Unit vectors less than 90 degrees from the centre.
    center : array, shape (3,)
        Unit vector.

    Returns
    -------
    array, shape (n, 2)
        Tangent-plane coordinates, radians near the centre; counter-clockwise is as seen from outside
        the sphere.
    """
    axis = np.eye(3)[int(np.argmin(np.abs(center)))]
    first = normalize(np.cross(axis, center))
    basis = np.stack((first, np.cross(center, first)), axis=1)
    # From differences with the centre, so that a small polygon keeps its digits.
    return np.asarray(((vectors - center) @ basis) / (vectors @ center)[:, None])


def signed_area(points: FloatArray) -> float:
    """Measure the area of a plane ring, positive where it runs counter-clockwise (shoelace formula)."""
    offset = points - points[0]
    following = np.roll(offset, -1, axis=0)
    return float(0.5 * np.sum(offset[:, 0] * following[:, 1] - offset[:, 1] * following[:, 0]))


def crosses_itself(points: FloatArray) -> bool:
    """Say whether two edges of a plane ring that are not neighbours touch, or two neighbours overlap.

    Parameters
    ----------
    points : array, shape (n, 2)
        Vertices in ring order.

    Returns
    -------
    bool
        True for a bow tie and its like.
    """
    n = len(points)
    ends = np.roll(points, -1, axis=0)
    start_side = _side(points[:, None], ends[:, None], points[None, :])
    end_side = np.roll(start_side, -1, axis=1)
    straddles = (start_side * end_side) <= 0.0
    crossing = straddles & straddles.T & _boxes_touch(points, ends)
    index = np.arange(n)
    gap = (index[None, :] - index[:, None]) % n
    return bool(np.any(crossing & (gap > 1) & (gap < n - 1))) or _doubles_back(points)


def is_convex(points: FloatArray) -> bool:
    """Say whether a counter-clockwise ring turns nowhere to the right."""
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    return bool(np.all(_side(before, points, after) >= 0.0))


def triangulate(points: FloatArray) -> list[Triangle]:
    """Cut a simple counter-clockwise ring into triangles by clipping ears (Meisters 1975).

    Parameters
    ----------
    points : array, shape (n, 2)
        Vertices in ring order.

    Returns
    -------
    list of tuple
        Indices of three vertices each, counter-clockwise; n - 2 triangles, fewer where
        vertices lie on a straight line.

    Raises
    ------
    ShapeError
        If no ear is found: the ring is not simple.
    """
    ring = list(range(len(points)))
    triangles: list[Triangle] = []
    while len(ring) > 3:
        at, triangle = _find_ear(points, ring)
        if triangle is not None:
            triangles.append(triangle)
        del ring[at]
    a, b, c = ring
    if _side(points[a], points[b], points[c]) > 0.0:
        triangles.append((a, b, c))
    return triangles


def _find_ear(points: FloatArray, ring: list[int]) -> tuple[int, Triangle | None]:
    """Find a vertex that can be cut off: its place in the ring, and the triangle (None if flat)."""
    best: tuple[float, int, Triangle] | None = None
    for at, middle in enumerate(ring):
        before, after = ring[at - 1], ring[(at + 1) % len(ring)]
        turn = float(_side(points[before], points[middle], points[after]))
        if turn == 0.0:
            return at, None
        if turn > 0.0 and not _holds_any(points, (before, middle, after), ring):
            quality = turn / float(np.sum((points[after] - points[before]) ** 2))
            if best is None or quality > best[0]:
                best = (quality, at, (before, middle, after))
    if best is None:
        msg = "the polygon cannot be cut into triangles: its edges cross"
        raise ShapeError(msg)
    return best[1], best[2]


def _holds_any(points: FloatArray, triangle: Triangle, ring: list[int]) -> bool:
    """Say whether another vertex of the ring lies in the triangle or on its border."""
    others = points[[i for i in ring if i not in triangle]]
    a, b, c = (points[i] for i in triangle)
    inside = (_side(a, b, others) >= 0.0) & (_side(b, c, others) >= 0.0) & (_side(c, a, others) >= 0.0)
    return bool(np.any(inside))


def _side(start: FloatArray, end: FloatArray, point: FloatArray) -> FloatArray:
    """Twice the area of a triangle: positive where `point` lies left of the line."""
    along, aside = end - start, point - start
    return np.asarray(along[..., 0] * aside[..., 1] - along[..., 1] * aside[..., 0])


def _boxes_touch(starts: FloatArray, ends: FloatArray) -> NDArray[np.bool_]:
    """Say of each pair of segments whether their bounding boxes touch: settles those on one line."""
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    return np.asarray(np.all((low[:, None] <= high[None]) & (low[None] <= high[:, None]), axis=-1))


def _doubles_back(points: FloatArray) -> bool:
    """Say whether the ring turns on the spot somewhere and runs back along its own edge."""
    ahead = np.roll(points, -1, axis=0) - points
    behind = np.roll(points, 1, axis=0) - points
    cross = ahead[:, 0] * behind[:, 1] - ahead[:, 1] * behind[:, 0]
    return bool(np.any((cross == 0.0) & (np.sum(ahead * behind, axis=1) > 0.0)))


_LEAST_COSINE = 1e-3
"""Vertices stay 0.06 degrees short of a hemisphere, where the projection loses its digits."""
