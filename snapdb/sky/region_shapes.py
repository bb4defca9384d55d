"""Regions of the sky: circles, polygons, boxes, and ranges of right ascension and declination."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np

from snapdb.errors import SearchError, UsageError
from snapdb.sky.footprint import footprint_from_vertices
from snapdb.sky.outline import edge_normals
from snapdb.sky.polygon import find_center, is_convex, signed_area, to_plane, triangulate
from snapdb.sky.region_arcs import QUARTER, Arcs, Piece, circle_arc, great_arcs, join_arcs
from snapdb.sky.vectors import check_radec, normalize, to_radec, to_vectors, vector_separation, wrap_ra
from snapdb.types import BoolArray, FloatArray

_NORTH = np.array([0.0, 0.0, 1.0])
_LARGEST_BOX = 170.0
"""Degrees; sides of great circles need less than 180."""


@dataclass(frozen=True)  # without slots: the extremes are kept
class Region:
    """A closed part of the sphere: a union of pieces, each an intersection of caps.

    Regions with the same text are equal. They are made by :func:`circle`, :func:`polygon`, :func:`box`,
    :func:`snapdb.sky.region_range.ra_dec_range` and :func:`snapdb.sky.region.parse_region`.
    """

    text: str
    """What it is, in degrees: ``CIRCLE ra dec radius``, ``POLYGON ra dec ra dec ra dec ...``,
    ``BOX ra dec width height position_angle`` or ``RANGE ra_min ra_max dec_min dec_max``."""
    pieces: tuple[Piece, ...] = field(repr=False, compare=False)
    """A position is inside iff it is inside one of them."""
    arcs: Arcs = field(repr=False, compare=False)
    """The boundary; none for the whole sphere."""
    anchors: FloatArray = field(repr=False, compare=False)
    """Unit vectors inside, one in each connected part at least, and every corner."""
    outside: FloatArray = field(repr=False, compare=False)
    """Unit vectors, one in each connected part of what lies outside."""
    middle: FloatArray = field(repr=False, compare=False)
    """Unit vector of the centre."""
    reach: float = field(repr=False, compare=False)
    """Radian: nothing inside lies farther from the centre."""

    @property
    def center(self) -> tuple[float, float]:
        """(ra, dec) of the middle, ICRS degrees; inside where the region is convex."""
        ra, dec = to_radec(self.middle)
        return float(ra), float(dec)

    @overload
    def contains(self, ra: float, dec: float) -> bool: ...
    @overload
    def contains(self, ra: FloatArray, dec: FloatArray) -> BoolArray: ...
    def contains(self, ra: float | FloatArray, dec: float | FloatArray) -> bool | BoolArray:
        """Say whether positions lie inside; edges and corners do.

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
        """Say of unit vectors, shape (..., 3), whether they lie inside or on the edge."""
        inside = np.isfinite(vectors[..., 0])
        found = self.pieces[0].contains_vectors(vectors)
        for piece in self.pieces[1:]:
            found |= piece.contains_vectors(vectors)
        return np.asarray(inside & found)

    def extremes(self) -> FloatArray:
        """Give six points that reach as far along -x, +x, -y, +y, -z and +z as the region does.

        Returns
        -------
        array, shape (6, 3)
            Unit vectors. The box about them holds the box about the region: each lies farther out
            by a 1e-9 of the region's size and 1e-12 radian, which rounding cannot undo.
        """
        return self._extremes.copy()

    @cached_property
    def _extremes(self) -> FloatArray:
        """The points of :meth:`extremes`."""
        return np.array([self._farthest(sign * axis) for axis in np.eye(3) for sign in (-1.0, 1.0)])

    def _farthest(self, axis: FloatArray) -> FloatArray:
        """Find the point that lies farthest along an axis, moved outward a little."""
        if bool(self.contains_vectors(axis)):
            return axis
        peaks = np.arctan2(self.arcs.seconds @ axis, self.arcs.firsts @ axis)
        peaks = np.minimum(np.where(peaks < 0.0, peaks + 2.0 * np.pi, peaks), self.arcs.spans)
        stops = np.stack((np.zeros(len(peaks)), peaks, self.arcs.spans), axis=1)
        points = self.arcs.at(stops).reshape(-1, 3)
        best = points[int(np.argmax(points @ axis))]
        aside = best - (best @ axis) * axis
        sine, cosine = float(np.linalg.norm(aside)), float(best @ axis)
        away = float(np.arctan2(sine, cosine))
        # Near the axis the cosine hardly grows: move so far that it does, by more than rounding takes.
        step = max(1e-12 + 1e-9 * min(self.reach, 1.0), 2e-15 / max(sine, 3e-8))
        if step >= away or sine == 0.0:
            return axis
        moved = np.cos(away - step) * axis + np.sin(away - step) * (aside / sine)
        return np.asarray(moved)


def circle(ra: float, dec: float, radius_deg: float) -> Region:
    """Make the region within a distance of a position.

    Parameters
    ----------
    ra, dec : float
        Centre, ICRS degrees.
    radius_deg : float
        Degrees, from 0 (the position alone) to 180 (the whole sphere).

    Returns
    -------
    Region
        Edge included.

    Raises
    ------
    SearchError
        If a number is not finite or out of range.
    """
    ra, dec = _check_position(ra, dec)
    if not 0.0 <= radius_deg <= 180.0:
        msg = f"a circle of radius {radius_deg} degrees: expected 0 to 180"
        raise SearchError(msg, radius_deg=radius_deg)
    axis, radius = to_vectors(ra, dec), float(np.radians(radius_deg))
    text = write_region("CIRCLE", ra, dec, radius_deg)
    if radius_deg == 180.0:
        return whole_sphere(text, axis)
    return Region(
        text=text,
        pieces=(Piece(axis[None], np.array([radius])),),
        arcs=circle_arc(axis, radius),
        anchors=axis[None],
        outside=-axis[None],
        middle=axis,
        reach=radius,
    )


def polygon(vertices: Iterable[tuple[float, float]]) -> Region:
    """Make the region within a polygon whose sides are great circles.

    Parameters
    ----------
    vertices : iterable of (ra, dec)
        ICRS degrees in ring order, either way round; the first may be repeated at the end.

    Returns
    -------
    Region
        The smaller side, edges included.

    Raises
    ------
    SearchError
        If it is no simple polygon smaller than a hemisphere.
    """
    ring = [(float(ra), float(dec)) for ra, dec in vertices]
    try:
        footprint = footprint_from_vertices(ring)
    except UsageError as err:
        msg = f"a polygon to search in: {err}"
        raise SearchError(msg, vertices=ring) from err
    ra, dec = np.array(footprint.vertices).T
    return _from_ring(
        write_region("POLYGON", *np.array(footprint.vertices).ravel().tolist()), to_vectors(ra, dec)
    )


def box(
    ra: float,
    dec: float,
    width_deg: float,
    height_deg: float | None = None,
    position_angle: float = 0.0,
) -> Region:
    """Make the region within a rectangle about a position.

    Its sides are great circles, through points half the width and half the height from the centre.

    Parameters
    ----------
    ra, dec : float
        Centre, ICRS degrees.
    width_deg : float
        True angle across the centre, degrees, from east to west where the position angle is 0.
    height_deg : float, optional
        True angle from south to north; as the width unless given.
    position_angle : float
        Of the height, degrees east of north.

    Returns
    -------
    Region
        Edges included.

    Raises
    ------
    SearchError
        If a number is not finite, or a size is not above 0 and well below 180 degrees.
    """
    ra, dec = _check_position(ra, dec)
    height_deg = width_deg if height_deg is None else height_deg
    for name, size in (("width", width_deg), ("height", height_deg)):
        if not 0.0 < size <= _LARGEST_BOX:
            msg = f"a box of {name} {size} degrees: expected more than 0 and at most {_LARGEST_BOX:g}"
            raise SearchError(msg, **{f"{name}_deg": size})
    if not np.isfinite(position_angle):
        msg = f"a box at position angle {position_angle}: expected finite degrees, east of north"
        raise SearchError(msg, position_angle=position_angle)
    position_angle = float(wrap_ra(position_angle))
    center, angle = to_vectors(ra, dec), np.radians(position_angle)
    east = np.cross(_NORTH, to_vectors(ra, 0.0))
    north = np.cross(center, east)
    up = np.cos(angle) * north + np.sin(angle) * east
    right = np.cos(angle) * east - np.sin(angle) * north
    wide, high = np.tan(np.radians([width_deg, height_deg]) / 2.0)
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) * (wide, high)
    ring = normalize(center + corners @ np.stack((right, up)))
    return _from_ring(write_region("BOX", ra, dec, width_deg, height_deg, position_angle), ring)


def _from_ring(text: str, ring: FloatArray) -> Region:
    """Make the region within a simple polygon of unit vectors."""
    center = find_center(ring)
    plane = to_plane(ring, center)
    if signed_area(plane) < 0.0:
        ring, plane = ring[::-1], plane[::-1]
    parts = [range(len(ring))] if is_convex(plane) else triangulate(plane)
    normals = [edge_normals(ring[list(part)]) for part in parts]
    return Region(
        text=text,
        pieces=tuple(Piece(axes, np.full(len(axes), QUARTER)) for axes in normals),
        arcs=great_arcs(ring, np.roll(ring, -1, axis=0)),
        anchors=ring,
        outside=-center[None],
        middle=center,
        reach=float(np.radians(np.max(vector_separation(ring, center)))),
    )


def _check_position(ra: float, dec: float) -> tuple[float, float]:
    """Take the centre of a region."""
    try:
        return check_radec(ra, dec)
    except UsageError as err:
        msg = f"the centre of a region: {err}"
        raise SearchError(msg, ra=ra, dec=dec) from err


def whole_sphere(text: str, middle: FloatArray) -> Region:
    """Make the region that leaves nothing out.

    Parameters
    ----------
    text : str
        How it was asked for, in canonical form.
    middle : array, shape (3,)
        Unit vector that counts as its centre.

    Returns
    -------
    Region
        Without a boundary.
    """
    nothing = np.empty((0, 3))
    return Region(
        text=text,
        pieces=(Piece(nothing, np.empty(0)),),
        arcs=join_arcs([]),
        anchors=middle[None],
        outside=nothing,
        middle=middle,
        reach=np.pi,
    )


def write_region(name: str, *numbers: float) -> str:
    """Write a region: its kind, and the shortest numbers that read back the same."""
    return " ".join([name, *(repr(float(number) + 0.0).removesuffix(".0") for number in numbers)])
