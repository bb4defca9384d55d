"""Footprints against a region: which overlap it, cover it, contain it, lie within it.

All four are settled on boundaries. A part of a circle that has its ends, its crossings with
the edges of a shape, and one point between each two neighbours of these in the shape lies in it whole;
what no boundary meets is then settled by one point.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np

from snapdb.errors import SearchError, ShapeError
from snapdb.sky.footprint import EDGE_TOLERANCE
from snapdb.sky.matching import cut_footprints
from snapdb.sky.region_arcs import QUARTER, great_arcs
from snapdb.sky.region_shapes import Region
from snapdb.sky.vectors import to_vectors
from snapdb.types import BoolArray, FloatArray, IntArray

Relation = Literal["overlaps", "covers", "contains", "within"]
"""What a footprint does to a region; :func:`relate` says what each means."""

_BLOCK = 1_000_000
"""Points that are looked at in one go, about: 24 MB of vectors."""

_PADDING = 1e-12
"""Radian by which circles around footprints and regions are larger than rounding could make them."""


def relate(vertices: FloatArray, counts: IntArray, region: Region, relation: Relation) -> BoolArray:
    """Say of each footprint whether it has a relation to a region.

    ``overlaps``: they share at least one point, edges count.
    ``covers``: every point of the region lies in the footprint, edges count; a footprint covers itself.
    ``contains``: it covers the region, which touches none of its edges.
    ``within``: every point of the footprint lies in the region, edges count.

    A point counts as on an edge within a few 1e-15 radian, as in :meth:`Footprint.contains`.

    Parameters
    ----------
    vertices : array, shape (n, 2)
        (ra, dec), ICRS degrees, of all footprints one after another, each in ring order, open.
    counts : array of int, shape (m,)
        How many vertices each footprint has.
    region : Region
        The region.
    relation : {"overlaps", "covers", "contains", "within"}
        The footprint is the subject.

    Returns
    -------
    array of bool, shape (m,)
        One for each footprint.

    Raises
    ------
    SearchError
        If there is no such relation.
    ShapeError
        If a footprint is no simple polygon smaller than a hemisphere, or `counts` and `vertices` do not fit.
    """
    test = _TESTS.get(relation)
    if test is None:
        msg = f"the relation {relation!r}: expected one of {', '.join(get_args(Relation))}"
        raise SearchError(msg, relation=relation)
    vertices = np.asarray(vertices, dtype=np.float64).reshape(-1, 2)
    rings = _Rings.from_vertices(vertices, np.asarray(counts, dtype=np.int64))
    related = np.zeros(len(rings), dtype=np.bool_)
    near = np.flatnonzero(_are_near(rings, region))
    stops = (len(vertices) // max(len(rings), 1)) * (4 * len(region.arcs) + 3)
    step = max(1, _BLOCK // max(stops, 1))
    for start in range(0, len(near), step):
        which = near[start : start + step]
        related[which] = test(rings.take(which), region)
    return related


@dataclass(frozen=True, slots=True)
class _Rings:
    """Footprints as rings of unit vectors, one after another."""

    vertices: FloatArray
    """(ra, dec)."""
    vectors: FloatArray
    counts: IntArray
    starts: IntArray

    @classmethod
    def from_vertices(cls, vertices: FloatArray, counts: IntArray) -> "_Rings":
        """Lay out the rings."""
        if int(counts.sum()) != len(vertices) or bool(np.any(counts < 3)):
            msg = (
                f"{len(vertices)} vertices of footprints that have {int(counts.sum())}: "
                "expected their sum, and 3 or more in each"
            )
            raise ShapeError(msg, vertices=len(vertices), counted=int(counts.sum()))
        return cls(vertices, to_vectors(vertices[:, 0], vertices[:, 1]), counts, np.cumsum(counts) - counts)

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, which: IntArray) -> "_Rings":
        """Choose some of the rings."""
        if len(which) == len(self):
            return self
        counts = self.counts[which]
        starts = np.cumsum(counts) - counts
        rows = np.repeat(self.starts[which] - starts, counts) + np.arange(int(counts.sum()))
        return _Rings(self.vertices[rows], self.vectors[rows], counts, starts)

    def following(self) -> FloatArray:
        """Give the vertex after each."""
        after = np.arange(1, len(self.vectors) + 1)
        after[self.starts + self.counts - 1] = self.starts
        return self.vectors[after]

    def any_of(self, flags: BoolArray) -> BoolArray:
        """Say of each ring whether one of its vertices or edges is flagged."""
        return np.logical_or.reduceat(flags, self.starts)

    def all_of(self, flags: BoolArray) -> BoolArray:
        """Say of each ring whether all its vertices or edges are flagged."""
        return np.logical_and.reduceat(flags, self.starts)

    def pieces(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """Give those with equally many convex pieces together: which, and normals (rings, 4 pieces, 3)."""
        cut = cut_footprints(self.vertices, self.counts)
        numbers = np.bincount(cut.owners, minlength=len(self))
        firsts = np.cumsum(numbers) - numbers
        for number in np.flatnonzero(np.bincount(numbers)).tolist():
            which = np.flatnonzero(numbers == number)
            normals = cut.normals[:, firsts[which, None] + np.arange(number)]
            yield which, normals.transpose(1, 2, 0, 3).reshape(len(which), 4 * number, 3)


def _are_near(rings: _Rings, region: Region) -> BoolArray:
    """Say of each footprint whether circles around it and the region meet."""
    if not len(rings) or region.reach >= np.pi:
        return np.ones(len(rings), dtype=np.bool_)
    centers = np.add.reduceat(rings.vectors, rings.starts)
    with np.errstate(invalid="ignore"):
        centers /= np.sqrt(np.einsum("ij,ij->i", centers, centers))[:, None]
    apart = rings.vectors - np.repeat(centers, rings.counts, axis=0)
    square = np.maximum.reduceat(np.einsum("ij,ij->i", apart, apart), rings.starts)
    toward = centers - region.middle
    distance = np.sqrt(np.einsum("ij,ij->i", toward, toward))
    # A circle smaller than a hemisphere holds the arcs between points in it; others say nothing.
    useful = square < 1.99
    radius = 2.0 * np.arcsin(np.sqrt(np.where(useful, square, 0.0)) / 2.0) + region.reach + _PADDING
    beyond = distance > 2.0 * np.sin(np.minimum(radius, np.pi) / 2.0)
    return np.asarray(~(useful & beyond & (radius < np.pi)))


def _overlap(rings: _Rings, region: Region) -> BoolArray:
    """Say of each footprint whether it shares a point with the region."""
    found = rings.any_of(region.contains_vectors(rings.vectors))
    for test in (partial(_hold_any, points=region.anchors), partial(_edges_meet, region=region)):
        rest = np.flatnonzero(~found)
        if len(rest):
            found[rest] = test(rings.take(rest))
    return found


def _cover(rings: _Rings, region: Region) -> BoolArray:
    """Say of each footprint whether every point of the region lies in it."""
    covers = np.zeros(len(rings), dtype=np.bool_)
    if not len(region.arcs):
        return covers
    # The boundary in the footprint: the region then is, too, or has all that is not. The antipode is not.
    opposite = region.contains_vectors(-rings.vectors[rings.starts])
    for which, normals in rings.pieces():
        held = _inside(region.anchors, normals).all(axis=-1) & ~opposite[which]
        rest = np.flatnonzero(held)
        held[rest] = _hold_arcs(normals[rest], region)
        covers[which] = held
    return covers


def _contain(rings: _Rings, region: Region) -> BoolArray:
    """Say of each footprint whether it covers the region with room all around."""
    found = _cover(rings, region)
    rest = np.flatnonzero(found)
    if len(rest):
        some = rings.take(rest)
        touched = some.any_of(region.contains_vectors(some.vectors)) | _edges_meet(some, region)
        found[rest] = ~touched
    return found


def _lie_within(rings: _Rings, region: Region) -> BoolArray:
    """Say of each footprint whether every point of it lies in the region."""
    found = rings.all_of(region.contains_vectors(rings.vectors))
    if len(region.pieces) > 1 or not region.pieces[0].is_convex:
        rest = np.flatnonzero(found)
        if len(rest) and len(region.arcs):
            found[rest] = _edges_lie(rings.take(rest), region)
    rest = np.flatnonzero(found)
    if len(rest) and len(region.outside):
        found[rest] = ~_hold_any(rings.take(rest), region.outside)
    return found


def _edges_meet(rings: _Rings, region: Region) -> BoolArray:
    """Say of each ring whether an edge, between its ends, has a point in the region."""
    edges = great_arcs(rings.vectors, rings.following())
    meets = np.zeros(len(edges), dtype=np.bool_)
    for piece in region.pieces:
        # What an edge shares with a piece ends where it crosses one of the piece's caps, or at a vertex.
        points = edges.at(edges.crossings(piece.axes, piece.radii))
        meets |= piece.contains_vectors(points).any(axis=-1)
    return rings.any_of(meets)


def _edges_lie(rings: _Rings, region: Region) -> BoolArray:
    """Say of each ring whether all its edges lie in the region."""
    edges = great_arcs(rings.vectors, rings.following())
    points = edges.at(edges.stops(region.arcs.axes, region.arcs.radii))
    return rings.all_of(np.all(region.contains_vectors(points), axis=-1))


def _hold_any(rings: _Rings, points: FloatArray) -> BoolArray:
    """Say of each footprint whether one of the points lies in it."""
    holds = np.zeros(len(rings), dtype=np.bool_)
    for which, normals in rings.pieces():
        holds[which] = _inside(points, normals).any(axis=-1)
    return holds


def _hold_arcs(normals: FloatArray, region: Region) -> BoolArray:
    """Say of footprints, given by their pieces, whether the boundary of the region lies in them."""
    edges = normals.shape[1]
    holds = np.empty(len(normals), dtype=np.bool_)
    step = max(1, _BLOCK // (len(region.arcs) * (4 * edges + 3)))
    for start in range(0, len(normals), step):
        some = normals[start : start + step]
        points = region.arcs.at(region.arcs.stops(some, np.full(edges, QUARTER)))
        holds[start : start + step] = _inside(points.reshape(len(some), -1, 3), some).all(axis=-1)
    return holds


def _inside(points: FloatArray, normals: FloatArray) -> BoolArray:
    """Say of points, shape (k, 3) or (rings, k, 3), which lie in which ring: shape (rings, k)."""
    inside = points @ normals.transpose(0, 2, 1) >= -EDGE_TOLERANCE
    return np.asarray(inside.reshape(*inside.shape[:2], -1, 4).all(axis=-1).any(axis=-1))


_TESTS: dict[str, Callable[[_Rings, Region], BoolArray]] = {
    "overlaps": _overlap,
    "covers": _cover,
    "contains": _contain,
    "within": _lie_within,
}
