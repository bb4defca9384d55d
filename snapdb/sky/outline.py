"""The border of an image on the sky, traced through its WCS."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from snapdb.errors import ProjectionError
from snapdb.sky.vectors import normalize, to_vectors, vector_separation
from snapdb.types import FloatArray

SAMPLES = 64
"""Steps in which each side is looked at, and the most edges that it becomes."""

TOLERANCE_PIXELS = 0.1
"""How far the image's border may lie from the footprint's."""


class Projects(Protocol):
    """Whatever turns pixels into positions."""

    def pixel_to_world(self, x: FloatArray, y: FloatArray, /) -> tuple[ArrayLike, ArrayLike]:
        """Give ICRS degrees for 0-based pixels."""


def trace_outline(wcs: Projects, width: int, height: int) -> tuple[tuple[float, float], ...]:
    """Follow the outer edges of the border pixels: 00, 10, 11, 01, and more where they are not straight.

    Parameters
    ----------
    wcs : Projects
        Of the image.
    width, height : int
        Size of the image.

    Returns
    -------
    tuple of (ra, dec)
        ICRS degrees in ring order, open. Between two of them the border lies within
        `TOLERANCE_PIXELS` of their great circle, as seen at `SAMPLES` steps along a side.

    Raises
    ------
    ProjectionError
        If some of the border does not project onto the sky.
    """
    x, y = _sample_border(width, height)
    ra, dec = (np.asarray(c, dtype=np.float64) for c in wcs.pixel_to_world(x, y))
    if not (np.all(np.isfinite(ra)) and np.all(np.isfinite(dec))):
        first = int(np.flatnonzero(~(np.isfinite(ra) & np.isfinite(dec)))[0])
        msg = (
            f"the border of the image does not project onto the sky at pixel ({x[first]:g}, {y[first]:g}), "
            f"nor at {int(np.sum(~np.isfinite(ra)))} of {len(x)} points along it"
        )
        raise ProjectionError(msg, x=float(x[first]), y=float(y[first]))
    vectors = to_vectors(ra, dec)
    tolerance = TOLERANCE_PIXELS * _pixel_size(vectors, x, y)
    kept = [i for side in range(4) for i in _pick(vectors, side * SAMPLES, (side + 1) * SAMPLES, tolerance)]
    return tuple((float(ra[i]), float(dec[i])) for i in kept)


def _sample_border(width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Pixel positions along the four sides in ring order, open."""
    x0, y0, x1, y1 = -0.5, -0.5, width - 0.5, height - 0.5
    t = np.arange(SAMPLES) / SAMPLES
    ones = np.ones(SAMPLES)
    x = np.concatenate((x0 + (x1 - x0) * t, x1 * ones, x1 + (x0 - x1) * t, x0 * ones))
    y = np.concatenate((y0 * ones, y0 + (y1 - y0) * t, y1 * ones, y1 + (y0 - y1) * t))
    return x, y


def _pixel_size(vectors: FloatArray, x: FloatArray, y: FloatArray) -> float:
    """Radians of a pixel along the border: the smaller of its mean sizes along x and along y."""
    step = np.radians(vector_separation(vectors, np.roll(vectors, -1, axis=0)))
    pixels = np.hypot(np.roll(x, -1) - x, np.roll(y, -1) - y)
    sizes = (step / pixels).reshape(4, SAMPLES).mean(axis=1)
    return float(min(sizes[0::2].mean(), sizes[1::2].mean()))


def _pick(vectors: FloatArray, start: int, end: int, tolerance: float) -> list[int]:
    """Choose the samples of one side that are needed, the last excluded (Douglas and Peucker 1973)."""
    first, last = vectors[start], vectors[end % len(vectors)]
    normal = np.cross(first + last, last - first)
    length = float(np.linalg.norm(normal))
    if end - start < 2 or length == 0.0:
        return [start]
    away = np.abs(vectors[start + 1 : end] @ (normal / length))
    if float(away.max()) <= tolerance:
        return [start]
    middle = start + 1 + int(away.argmax())
    return _pick(vectors, start, middle, tolerance) + _pick(vectors, middle, end, tolerance)


def edge_normals(vectors: FloatArray) -> FloatArray:
    """Make the unit normals of a ring's edges; they point left of each edge.

    From sum and difference of the ends, ``(a + b) x (b - a) = 2 a x b``: the difference of
    near positions is exact, so that the normal of an edge of an arcsecond has all its digits,
    and an edge shared by two rings gives the same numbers in either direction.

    Parameters
    ----------
    vectors : array, shape (n, 3)
        Vertices in ring order.

    Returns
    -------
    array, shape (n, 3)
        One for each edge, from vertex i to i + 1.
    """
    following = np.roll(vectors, -1, axis=0)
    return normalize(np.cross(vectors + following, following - vectors))
