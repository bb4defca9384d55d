"""Footprints of many images at once: as bytes, and as the pieces and boxes that SQLite is asked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from snapdb.errors import ShapeError
from snapdb.registry.ewkb import Vertices, write_polygons
from snapdb.sky.footprint import BOX_PADDING, EDGE_TOLERANCE
from snapdb.sky.matching import CutFootprints, cut_footprints
from snapdb.sky.vectors import to_vectors
from snapdb.types import FloatArray, IntArray

_GRID_BITS = 10
"""The order of the sky counts cells of a thousandth of the sphere's radius, 3 arcminutes."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """Footprints of some images, in their order."""

    vertices: FloatArray
    """(ra, dec) of all, one after another, shape (n, 2)."""
    counts: IntArray
    """How many vertices each has."""
    cut: CutFootprints
    """Their convex pieces."""

    def write(self) -> list[bytes]:
        """Give each as EWKB."""
        written: list[bytes] = [b""] * len(self.counts)
        for which, rings in self._by_size():
            for place, data in zip(which.tolist(), write_polygons(rings), strict=True):
                written[place] = data
        return written

    def boxes(self) -> tuple[FloatArray, FloatArray]:
        """Give the box around each footprint's unit vectors: least and greatest x, y, z, shape (m, 3).

        As :meth:`Footprint.bounding_box`: the bulge of the edges and the poles within are in it.
        """
        low, high = np.empty((len(self.counts), 3)), np.empty((len(self.counts), 3))
        for which, rings in self._by_size():
            low[which], high[which] = _box_rings(to_vectors(rings[..., 0], rings[..., 1]))
        for axis in range(3):
            for sign, ends in ((1.0, high), (-1.0, low)):
                inside = np.all(sign * self.cut.normals[..., axis] >= -EDGE_TOLERANCE, axis=0)
                ends[self.cut.owners[inside], axis] = sign
        return low - BOX_PADDING, high + BOX_PADDING

    def _by_size(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Give footprints of the same number of vertices: their places, and rings (m, vertices, 2)."""
        starts = np.cumsum(self.counts) - self.counts
        for n in np.unique(self.counts).tolist():
            which = np.flatnonzero(self.counts == n)
            yield which, self.vertices[starts[which, None] + np.arange(n)]


def make_outlines(footprints: Sequence[Vertices]) -> tuple[Outlines | None, dict[int, str]]:
    """Check footprints and cut them.

    Parameters
    ----------
    footprints : sequence of vertices
        (ra, dec), ICRS degrees, in ring order, open.

    Returns
    -------
    outlines : Outlines
        None where one of them cannot be.
    problems : dict
        Place of each that cannot be -> why.
    """
    try:
        flat = np.fromiter(chain.from_iterable(chain.from_iterable(footprints)), dtype=np.float64)
        counts = np.fromiter(map(len, footprints), dtype=np.int64, count=len(footprints))
        if _are_pairs(footprints) and np.all(counts >= 3) and np.all(np.isfinite(flat)):
            vertices = flat.reshape(-1, 2)
            if np.all((vertices >= (-360.0, -90.0)) & (vertices <= (720.0, 90.0))):
                return Outlines(vertices, counts, cut_footprints(vertices, counts)), {}
    except (ShapeError, TypeError, ValueError, OverflowError):
        pass  # one of them cannot be
    return None, {n: why for n, footprint in enumerate(footprints) if (why := _find_fault(footprint))}


def _are_pairs(footprints: Iterable[Vertices]) -> bool:
    """Tell whether each vertex has two coordinates."""
    return set(map(len, chain.from_iterable(footprints))) <= {2}


def _find_fault(footprint: Vertices) -> str | None:
    """Say why a footprint is no simple polygon."""
    try:
        ring = np.array([tuple(vertex) for vertex in footprint], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        ring = np.full((3, 2), np.nan)
    if len(ring) < 3:
        return "its footprint has less than 3 vertices"
    if ring.shape[1:] != (2,) or not np.all((ring >= (-360.0, -90.0)) & (ring <= (720.0, 90.0))):
        return f"its footprint is {footprint!r:.200}, expected right ascensions and declinations"
    try:
        cut_footprints(ring, np.array([len(ring)]))
    except ShapeError as err:
        return f"its footprint cannot be: {err}"
    return None


def _box_rings(rings: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the boxes around rings of unit vectors, shape (m, vertices, 3), and the arcs between them."""
    low, high = rings.min(axis=1), rings.max(axis=1)
    following = np.roll(rings, -1, axis=1)
    normal = np.cross(rings + following, following - rings)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    start, end = np.cross(normal, rings), np.cross(following, normal)
    for axis in range(3):
        unit = np.zeros(3)
        unit[axis] = 1.0
        across = np.cross(normal, np.cross(unit, normal))
        with np.errstate(invalid="ignore"):
            # NaN, and so between nothing, where the axis is the edge's own pole.
            peak = across / np.linalg.norm(across, axis=-1, keepdims=True)
        from_start, to_end = np.sum(peak * start, axis=-1), np.sum(peak * end, axis=-1)
        reach = peak[..., axis]
        up = np.where((from_start >= 0) & (to_end >= 0), reach, -np.inf).max(axis=1)
        down = np.where((from_start <= 0) & (to_end <= 0), -reach, np.inf).min(axis=1)
        high[:, axis] = np.maximum(high[:, axis], up)
        low[:, axis] = np.minimum(low[:, axis], down)
    return low, high


def order_by_sky(ra: FloatArray, dec: FloatArray) -> IntArray:
    """Give near positions near numbers: the bits of x, y and z take turns (Morton 1966).

    Parameters
    ----------
    ra, dec : array, shape (n,)
        ICRS degrees.

    Returns
    -------
    array of int, shape (n,)
        Of 30 bits.
    """
    cells = ((to_vectors(ra, dec) + 1.0) * (2 ** (_GRID_BITS - 1))).astype(np.int64)
    cells = np.clip(cells, 0, 2**_GRID_BITS - 1)
    number = np.zeros(len(cells), dtype=np.int64)
    for bit in range(_GRID_BITS):
        for axis in range(3):
            number |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return number
