"""Positions against footprints: which of many lie in which of many.

Positions and footprints are sorted into the cells of a cubic grid about the unit
sphere, where neither RA 0 nor the poles are special. Each position lies in one
cell; a footprint's convex piece is near every cell that the box about it touches.
Within a cell all positions are multiplied with all edge normals n of the pieces
near it, as one product of matrices: a piece contains v iff no n . v is negative.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from snapdb.errors import ShapeError
from snapdb.sky.footprint import EDGE_TOLERANCE, Footprint
from snapdb.sky.vectors import to_vectors
from snapdb.types import BoolArray, FloatArray, IntArray

Pairs = tuple[IntArray, IntArray]
"""(rows of positions, indices of footprints), of one length; the order is the cells'."""

PAIRS_A_BLOCK = 262_144
"""How many pairs are given at once, unless told otherwise."""

_FINEST = 19
"""Cells of 2**-19 radian, 0.4 arcsec: three such numbers fit into one integer of 64 bits."""

_PADDING = 1e-9
"""Radian by which boxes are larger, more than the tolerance adds at the sharpest corner that occurs."""

_PRODUCT_SIZE = 65_536
"""Positions times pieces in one product: 0.5 MB, which stays in the cache."""

_CONVEX = 1e-13
"""How far (sine) every vertex must lie inside every other edge for a ring to be convex beyond doubt."""

_CELL_COST = 8_000
"""What one more cell costs, as positions times pieces (35 microseconds against 4 nanoseconds)."""

_SAMPLE = 20_000
"""How many pieces the choice of a cell's size looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFootprints:
    """Footprints as convex pieces, with a circle about each, from :func:`cut_footprints`."""

    normals: FloatArray
    """Inward unit normals of the pieces' edges, shape (4, pieces, 3); a triangle repeats its last."""
    owners: IntArray
    """Footprint of each piece, ascending from 0; each footprint has one at least."""
    centers: FloatArray
    """Unit vectors, shape (footprints, 3)."""
    radii: FloatArray
    """Largest distance of a vertex from the centre, as a chord; 2 where it says nothing."""

    def __len__(self) -> int:
        return len(self.centers)


def match_positions(
    ra: ArrayLike, dec: ArrayLike, blocks: Iterable[CutFootprints], *, limit: int = PAIRS_A_BLOCK
) -> Iterator[Pairs]:
    """Find all pairs of a position and a footprint that contains it; edges and vertices do.

    Parameters
    ----------
    ra, dec : array
        ICRS degrees, one-dimensional; what is not finite lies nowhere.
    blocks : iterable of CutFootprints
        Footprints, some at a time; each block is looked at once.
    limit : int
        Most pairs that are given at once.

    Yields
    ------
    rows, images : array of int64
        Each pair once. Footprints are counted through all blocks.

    Raises
    ------
    ShapeError
        If `ra` and `dec` are not of one length.
    """
    positions = SortedPositions(ra, dec)
    first = 0
    for block in blocks:
        for rows, images in positions.match(block, limit=limit):
            yield rows, images + first
        first += len(block)


class SortedPositions:
    """Positions, to be matched with one block of footprints after another.

    Parameters
    ----------
    ra, dec : array
        ICRS degrees, one-dimensional; what is not finite lies nowhere.

    Raises
    ------
    ShapeError
        If they are not of one length.
    """

    def __init__(self, ra: ArrayLike, dec: ArrayLike) -> None:
        right, up = (np.asarray(c, dtype=np.float64) for c in (ra, dec))
        if right.ndim != 1 or right.shape != up.shape:
            msg = f"ra of shape {right.shape} and dec of shape {up.shape}: expected two columns of one length"
            raise ShapeError(msg, ra_shape=right.shape, dec_shape=up.shape)
        vectors = to_vectors(right, up)
        self._rows: IntArray = np.flatnonzero(np.all(np.isfinite(vectors), axis=1))
        self._vectors = vectors[self._rows]
        self._cells_of = lru_cache(maxsize=4)(self._sort)

    def match(self, block: CutFootprints, *, limit: int = PAIRS_A_BLOCK) -> Iterator[Pairs]:
        """Find the pairs with one block of footprints, which are counted from 0.

        Parameters
        ----------
        block : CutFootprints
            Footprints.
        limit : int
            Most pairs that are given at once.

        Yields
        ------
        rows, images : array of int64
            Each pair once.
        """
        if not len(self._rows) or not len(block.owners):
            return
        yield from _gather(self._find(block), limit)

    def _find(self, block: CutFootprints) -> Iterator[Pairs]:
        """Find pairs product by product."""
        radii = block.radii + _PADDING
        # Cells half as wide as the footprint at least: smaller ones cost more than they spare.
        finest = np.clip(np.floor(-np.log2(radii)), 0, _FINEST).astype(np.int64)
        chosen = np.empty_like(finest)
        for level in _occurring(finest):
            some = np.flatnonzero(finest == level)
            chosen[some] = self._choose_level(level, block.centers[some], radii[some])
        for level in _occurring(chosen):
            yield from self._match_level(level, block, chosen == level)

    def _choose_level(self, finest: int, center: FloatArray, radius: FloatArray) -> int:
        """Choose the size of cells that costs least: few cells, or few pairs that are not near."""
        step = -(-len(center) // _SAMPLE)
        sample, share = center[::step], len(center) / len(center[::step])
        reach = 2.0 * float(np.median(radius))
        best, least = finest, np.inf
        for level in range(finest, -1, -1):
            cells = self._cells_of(level)
            place = cells.places(_keys(sample, level))
            near = place[place >= 0]
            products = share * float(np.sum(cells.counts[near])) * (1.0 + reach * 2.0**level) ** 2
            groups = min(len(cells.keys), share * len(np.unique(near)))
            cost = products + _CELL_COST * groups
            if cost < least:
                best, least = level, cost
            elif cost > 2.0 * least:
                break
        return best

    def _sort(self, level: int) -> "_Cells":
        """Sort the positions into cells of 2**-level radian."""
        keys = _keys(self._vectors, level)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        counts = np.diff(starts, append=len(keys))
        return _Cells(keys[starts], starts, counts, self._rows[order], self._vectors[order])

    def _match_level(self, level: int, block: CutFootprints, chosen: BoolArray) -> Iterator[Pairs]:
        """Match the chosen footprints, cell by cell."""
        cells = self._cells_of(level)
        pieces = np.flatnonzero(chosen[block.owners])
        owners = block.owners[pieces]
        place, which = _spread(cells, level, block.centers[owners], block.radii[owners])
        members, owned = pieces[which], owners[which]
        shared = bool(np.any(owners[1:] == owners[:-1]))
        bounds = [*np.flatnonzero(np.diff(place, prepend=-1)).tolist(), len(place)]
        for first, last in pairwise(bounds):
            start = cells.starts[place[first]]
            end = start + cells.counts[place[first]]
            normals, owner = block.normals[:, members[first:last]], owned[first:last]
            yield from _multiply(cells.vectors[start:end], cells.rows[start:end], normals, owner, shared)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Positions in the order of their cells."""

    keys: IntArray
    starts: IntArray
    counts: IntArray
    rows: IntArray
    vectors: FloatArray

    def places(self, keys: IntArray) -> IntArray:
        """Find where cells stand among those with positions; -1 where there is none."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, at, -1)


def _keys(vectors: FloatArray, level: int) -> IntArray:
    """Give the numbers of the cells in which vectors lie."""
    return _key_of(np.floor(vectors * 2.0**level).astype(np.int64), level)


def _key_of(index: IntArray, level: int) -> IntArray:
    """Give the numbers of cells by their three indices, each from -2**level - 1 to 2**level + 1."""
    shifted, bits = index + (2**level + 1), level + 2
    key = (shifted[..., 0] << (2 * bits)) | (shifted[..., 1] << bits) | shifted[..., 2]
    return np.asarray(key, dtype=np.int64)


def _spread(cells: _Cells, level: int, center: FloatArray, radius: FloatArray) -> tuple[IntArray, IntArray]:
    """List the cells with positions that each piece's box touches: places, and pieces, sorted by both."""
    edge = 2**level + 1
    reach = (radius[:, None] + _PADDING) * 2.0**level
    middle = center * 2.0**level
    low = np.maximum(np.floor(middle - reach).astype(np.int64), -edge)
    high = np.minimum(np.floor(middle + reach).astype(np.int64), edge)
    places: list[IntArray] = []
    pieces: list[IntArray] = []
    for corner in np.ndindex(*(int(n) + 1 for n in np.max(high - low, axis=0))):
        index = low + np.array(corner)
        inside = np.flatnonzero(np.all(index <= high, axis=1))
        place = cells.places(_key_of(index[inside], level))
        there = place >= 0
        places.append(place[there])
        pieces.append(inside[there])
    place, which = np.concatenate(places), np.concatenate(pieces)
    order = np.argsort(place * len(center) + which)
    return place[order], which[order]


def _multiply(
    vectors: FloatArray,
    rows: IntArray,
    normals: FloatArray,
    owners: IntArray,
    shared: bool,  # noqa: FBT001
) -> Iterator[Pairs]:
    """Find the pairs of one cell; `shared` where a footprint may have several pieces."""
    firsts = np.flatnonzero(np.diff(owners, prepend=-1)) if shared else None
    if firsts is not None and len(firsts) < len(owners):
        owners = owners[firsts]
    else:
        firsts = None
    step = max(1, _PRODUCT_SIZE // normals.shape[1])
    for start in range(0, len(vectors), step):
        inside = _contain(vectors[start : start + step], normals)
        if firsts is not None:
            inside = np.logical_or.reduceat(inside, firsts, axis=1)
        row, image = np.divmod(np.flatnonzero(inside), len(owners))
        if len(row):
            yield rows[start + row], owners[image]


def _contain(vectors: FloatArray, normals: FloatArray) -> BoolArray:
    """Say of each vector and piece whether the piece holds it, shape (vectors, pieces)."""
    inside = vectors @ normals[0].T >= -EDGE_TOLERANCE
    for edge in normals[1:]:
        inside &= vectors @ edge.T >= -EDGE_TOLERANCE
    return np.asarray(inside)


def _gather(found: Iterator[Pairs], limit: int) -> Iterator[Pairs]:
    """Give pairs in blocks of a size that is worth passing on, and no larger than allowed."""
    held: list[Pairs] = []
    count = 0
    for pairs in found:
        held.append(pairs)
        count += len(pairs[0])
        if count >= limit:
            rows, images = _join(held)
            whole = count - count % limit
            for start in range(0, whole, limit):
                yield rows[start : start + limit], images[start : start + limit]
            held, count = [(rows[whole:], images[whole:])], count - whole
    if count:
        yield _join(held)


def _join(held: Sequence[Pairs]) -> Pairs:
    """Put blocks of pairs together."""
    return np.concatenate([rows for rows, _ in held]), np.concatenate([images for _, images in held])


def _occurring(numbers: IntArray) -> list[int]:
    """List the small numbers that occur, in order: counting takes a tenth of the time of np.unique."""
    return np.flatnonzero(np.bincount(numbers)).tolist()


def cut_footprints(vertices: FloatArray, counts: IntArray) -> CutFootprints:
    """Cut footprints into convex pieces of at most four edges, many at once.

    Parameters
    ----------
    vertices : array, shape (n, 2)
        (ra, dec), ICRS degrees, of all footprints one after another, each in ring order, open.
    counts : array of int
        How many vertices each footprint has.

    Returns
    -------
    CutFootprints
        The pieces that :meth:`Footprint.pieces` gives for each.

    Raises
    ------
    ShapeError
        If one is no simple polygon smaller than a hemisphere.
    """
    starts = np.cumsum(counts) - counts
    vectors = to_vectors(vertices[:, 0], vertices[:, 1])
    centers, radii = np.empty((len(counts), 3)), np.empty(len(counts))
    normals: list[FloatArray] = [np.empty((4, 0, 3))]
    owners: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for n in _occurring(counts):
        which = np.flatnonzero(counts == n)
        # Corner, axis, footprint: each step then runs over footprints, which lie side by side.
        rings = vectors.T[:, starts[which, None] + np.arange(n)].transpose(2, 0, 1).copy()
        centers[which], radii[which] = _enclose(rings)
        cut, owner = _cut_convex(rings)
        normals.append(cut)
        owners.append(which[owner])
        bent = np.ones(len(which), dtype=np.bool_)
        bent[owner] = False
        for at in which[bent].tolist():
            ring = vertices[starts[at] : starts[at] + n].tolist()
            pieces = Footprint(tuple((ra, dec) for ra, dec in ring)).pieces()
            normals.append(np.stack(pieces, axis=1))
            owners.append(np.full(len(pieces), at, dtype=np.int64))
    owned = np.concatenate(owners)
    order = np.argsort(owned, kind="stable")
    all_normals = np.concatenate(normals, axis=1)[:, order]
    return CutFootprints(normals=all_normals, owners=owned[order], centers=centers, radii=radii)


def _enclose(rings: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find a circle about each ring; one smaller than a hemisphere holds all arcs between points in it."""
    centers = rings.sum(axis=0)
    with np.errstate(invalid="ignore"):
        centers /= np.sqrt(_dot(centers, centers))
    radii = np.sqrt(np.max([_dot(corner - centers, corner - centers) for corner in rings], axis=0))
    useless = ~(radii < 1.4)
    centers[:, useless] = np.array([[1.0], [0.0], [0.0]])
    return centers.T, np.where(useless, 2.0, radii)


def _cut_convex(rings: FloatArray) -> tuple[FloatArray, IntArray]:
    """Cut the rings, all of n vertices, that are convex beyond doubt: normals, and their places."""
    n = len(rings)
    sides = [_normal_between(rings[i], rings[(i + 1) % n]) for i in range(n)]
    least, greatest = np.full(rings.shape[2], np.inf), np.full(rings.shape[2], -np.inf)
    for i, normal in enumerate(sides):
        for j in range(i + 2, i + n):
            side = _dot(normal, rings[j % n])
            np.minimum(least, side, out=least)
            np.maximum(greatest, side, out=greatest)
    right = greatest < -_CONVEX
    convex = np.flatnonzero((least > _CONVEX) | right)
    if n <= 4:  # one piece, which has the ring's own sides; a ring the other way round has their opposites
        normals = np.stack((sides + sides[-1:])[:4]).transpose(0, 2, 1)[:, convex]
        return np.where(right[convex, None], -normals, normals), convex
    rings = np.where(right, rings[::-1], rings)[:, :, convex]
    pieces: list[FloatArray] = []
    for i in range(1, n - 1, 2):
        corners = [0, *range(i, min(i + 3, n))]
        edges = [_normal_between(rings[a], rings[b]) for a, b in zip(corners, [*corners[1:], 0], strict=True)]
        pieces.append(np.stack((edges + edges[-1:])[:4]).transpose(0, 2, 1))
    return np.concatenate(pieces, axis=1), np.tile(convex, len(pieces))


def _normal_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """Make unit normals of edges, shape (3, n), as :func:`snapdb.sky.outline.edge_normals` does."""
    (ax, ay, az), (bx, by, bz) = start + end, end - start
    normal = np.stack((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx))
    with np.errstate(invalid="ignore"):
        normal /= np.sqrt(_dot(normal, normal))  # NaN between equal vertices, which no convex ring has
    return normal


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Multiply vectors of shape (3, n) one by one."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
