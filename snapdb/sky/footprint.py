"""The spherical polygon that an image covers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from snapdb.errors import ProjectionError, ShapeError
from snapdb.sky.outline import Projects, edge_normals, trace_outline
from snapdb.sky.polygon import crosses_itself, find_center, is_convex, signed_area, to_plane, triangulate
from snapdb.sky.vectors import check_radec, to_radec, to_vectors
from snapdb.types import BoolArray, FloatArray

EDGE_TOLERANCE = 4e-15
"""How far outside an edge (sine of the angle) a position still counts as on it.

A position on an edge, rounded to degrees in doubles, lies some 5e-16 radian off it (half a unit in the
last place of 359 degrees); cosines, normals and the dot product add 2e-16 each. The tests find at most
1e-15; this is four times as much, and a billionth of an arcsecond.
"""

BOX_PADDING = 1e-13
"""Bounding boxes are larger by this on each side, so that whatever `contains` accepts is inside."""


@dataclass(frozen=True)  # without slots: what is computed from the vertices is kept beside them
class Footprint:
    """A simple polygon on the sphere whose edges are great circles; inside is the smaller side."""

    vertices: tuple[tuple[float, float], ...]
    """(ra, dec), ICRS degrees, in ring order either way round; the first is not repeated."""

    def __post_init__(self) -> None:
        """Refuse what encloses no area, crosses itself or is not smaller than a hemisphere."""
        if len(self.vertices) < 3:
            msg = f"a footprint of {len(self.vertices)} vertices: expected at least 3"
            raise ShapeError(msg, vertices=self.vertices)
        plane = self._plane
        if crosses_itself(plane):
            msg = (
                f"the edges of the polygon through {self.vertices[:4]} cross; "
                "expected corners in ring order: 00, 10, 11, 01"
            )
            raise ShapeError(msg, vertices=self.vertices)
        size = float(np.max(np.ptp(plane, axis=0)))
        if not abs(signed_area(plane)) > _LEAST_ASPECT * size**2:
            msg = f"the polygon through {self.vertices[:4]} encloses no area"
            raise ShapeError(msg, vertices=self.vertices)

    @classmethod
    def from_wcs(cls, wcs: Projects, width: int, height: int) -> "Footprint":
        """Make the footprint of an image from the outer edges of its border pixels.

        Parameters
        ----------
        wcs : Projects
            Anything with ``pixel_to_world(x, y)`` in ICRS degrees.
        width, height : int
            Size of the image.

        Returns
        -------
        Footprint
            Vertices 00, 10, 11, 01, and more along a side where distortion moves the border
            by more than a tenth of a pixel from the great circle between vertices.

        Raises
        ------
        ProjectionError
            If some of the border does not project, or it is no polygon smaller than a hemisphere.
        """
        outline = trace_outline(wcs, width, height)
        try:
            footprint = cls(outline)
        except ShapeError as err:
            msg = f"an image of {width} x {height} pixels has no footprint: {err}"
            raise ProjectionError(msg, vertices=outline) from err
        ra, dec = wcs.pixel_to_world(np.array([(width - 1) / 2]), np.array([(height - 1) / 2]))
        if not bool(np.all(footprint.contains(np.asarray(ra), np.asarray(dec)))):
            msg = (
                f"an image of {width} x {height} pixels has no footprint: its middle pixel lies outside "
                "the polygon of its border, which is not smaller than a hemisphere or folds over"
            )
            raise ProjectionError(msg, vertices=outline)
        return footprint

    @overload
    def contains(self, ra: float, dec: float) -> bool: ...
    @overload
    def contains(self, ra: FloatArray, dec: FloatArray) -> BoolArray: ...
    def contains(self, ra: float | FloatArray, dec: float | FloatArray) -> bool | BoolArray:
        """Say whether positions lie inside; edges and vertices do.

        Parameters
        ----------
        ra, dec : float or array
            ICRS degrees, any shape; NaN lies outside.

        Returns
        -------
        bool or array of bool
            One for each position.
        """
        inside = self.contains_vectors(to_vectors(ra, dec))
        return inside if isinstance(ra, np.ndarray) or isinstance(dec, np.ndarray) else bool(inside)

    def contains_vectors(self, vectors: FloatArray) -> BoolArray:
        """Say of unit vectors, shape (..., 3), whether they lie inside."""
        inside = np.zeros(vectors.shape[:-1], dtype=np.bool_)
        for normals in self._convex_parts:
            inside |= np.all(vectors @ normals.T >= -EDGE_TOLERANCE, axis=-1)
        return inside

    def pieces(self) -> list[FloatArray]:
        """Cut the footprint into convex pieces of at most four edges.

        Returns
        -------
        list of array, shape (4, 3)
            Inward unit normals of each piece's edges; a triangle repeats its last. A position v is
            inside iff all ``n . v >= -EDGE_TOLERANCE`` for some piece.
        """
        return [edge_normals_padded(self._ring[list(corners)]) for corners in self._parts_of_four]

    def bounding_box(self) -> tuple[FloatArray, FloatArray]:
        """Give the box around all unit vectors inside, with the bulge of the edges and poles within.

        Returns
        -------
        low, high : array, shape (3,)
            Least and greatest x, y, z.
        """
        points = np.concatenate((self._ring, _edge_extremes(self._ring)))
        low, high = points.min(axis=0), points.max(axis=0)
        axes = np.eye(3)
        low[self.contains_vectors(-axes)] = -1.0
        high[self.contains_vectors(axes)] = 1.0
        return low - BOX_PADDING, high + BOX_PADDING

    @cached_property
    def center(self) -> tuple[float, float]:
        """A position near the middle, (ra, dec) in ICRS degrees; inside where the footprint is convex."""
        ra, dec = to_radec(self._center)
        return float(ra), float(dec)

    @cached_property
    def area_deg2(self) -> float:
        """Solid angle, square degrees, as triangles about the centre (Van Oosterom, Strackee 1983, eq. 8)."""
        a, b, c = self._center, self._ring, np.roll(self._ring, -1, axis=0)
        volume = np.cross(b - a, c - a) @ a
        below = 1.0 + b @ a + np.sum(b * c, axis=1) + c @ a
        return float(abs(np.sum(2.0 * np.arctan2(volume, below))) * np.degrees(1.0) ** 2)

    @cached_property
    def is_convex(self) -> bool:
        """True where no edge bends inward."""
        return is_convex(self._ring_plane)

    @cached_property
    def _vectors(self) -> FloatArray:
        """Unit vectors of the vertices as given."""
        ra, dec = np.array(self.vertices, dtype=np.float64).T
        return to_vectors(ra, dec)

    @cached_property
    def _center(self) -> FloatArray:
        """Unit vector of the middle, less than 90 degrees from every vertex."""
        return find_center(self._vectors)

    @cached_property
    def _plane(self) -> FloatArray:
        """Vertices as given, in the tangent plane at the centre."""
        return to_plane(self._vectors, self._center)

    @cached_property
    def _ring(self) -> FloatArray:
        """Unit vectors of the vertices, counter-clockwise as seen from outside."""
        return self._vectors if signed_area(self._plane) > 0.0 else self._vectors[::-1]

    @cached_property
    def _ring_plane(self) -> FloatArray:
        """The counter-clockwise ring in the tangent plane."""
        return to_plane(self._ring, self._center)

    @cached_property
    def _parts_of_four(self) -> tuple[tuple[int, ...], ...]:
        """Convex parts as three or four places in the ring each."""
        n = len(self._ring)
        if self.is_convex:
            return tuple((0, i, *range(i + 1, min(i + 3, n))) for i in range(1, n - 1, 2))
        return tuple(triangulate(self._ring_plane))

    @cached_property
    def _convex_parts(self) -> tuple[FloatArray, ...]:
        """Inward normals of convex parts: the whole if it is convex, else its pieces."""
        if self.is_convex:
            return (edge_normals(self._ring),)
        return tuple(self.pieces())


def footprint_from_vertices(vertices: Iterable[tuple[float, float]]) -> Footprint:
    """Make a footprint from positions that someone wrote down.

    Parameters
    ----------
    vertices : iterable of (ra, dec)
        ICRS degrees in ring order; the first may be repeated at the end, and neighbours that
        are equal count once.

    Returns
    -------
    Footprint
        Right ascensions in [0, 360).

    Raises
    ------
    UsageError
        If a coordinate is not finite or beyond a pole.
    ShapeError
        If fewer than three are distinct, or they make no simple polygon smaller than a hemisphere.
    """
    ring: list[tuple[float, float]] = []
    for ra, dec in vertices:
        position = check_radec(ra, dec)
        if not ring or ring[-1] != position:
            ring.append(position)
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    return Footprint(tuple(ring))


def edge_normals_padded(corners: FloatArray) -> FloatArray:
    """Make the normals of a triangle or quadrangle as four rows, the last repeated."""
    normals = edge_normals(corners)
    return np.concatenate((normals, np.repeat(normals[-1:], 4 - len(normals), axis=0)))


def _edge_extremes(ring: FloatArray) -> FloatArray:
    """Points of the edges, between their ends, where x, y or z is least or greatest."""
    normals = edge_normals(ring)
    start_plane = np.cross(normals, ring)
    end_plane = np.cross(np.roll(ring, -1, axis=0), normals)
    found: list[FloatArray] = []
    for axis in np.eye(3):
        # The axis' part in the edge's plane, as products: a difference would lose digits near a pole.
        across = np.cross(normals, np.cross(axis, normals))
        length = np.linalg.norm(across, axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            peak = across / length  # NaN, and so left out, where the axis is the edge's own pole
        for point in (peak, -peak):
            between = (np.sum(point * start_plane, axis=1) >= 0) & (np.sum(point * end_plane, axis=1) >= 0)
            found.append(point[between])
    return np.concatenate(found)


_LEAST_ASPECT = 1e-9
"""A polygon whose area is a smaller part than this of its size squared is a line."""
