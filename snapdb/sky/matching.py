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
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from snapdb.errors import ShapeError
from snapdb.sky.footprint import EDGE_TOLERANCE, Footprint
from snapdb.sky.vectors import normalize, to_vectors
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

_CELL_COST = 8_000
"""What one more cell costs, as positions times pieces (35 microseconds against 4 nanoseconds)."""

_SAMPLE = 20_000
"""How many pieces the choice of a cell's size looks at."""


class Pieces(Protocol):
    """Footprints cut into convex pieces, as :func:`cut_into_pieces` gives them."""

    @property
    def corners(self) -> FloatArray:
        """Unit vectors, shape (pieces, 4, 3), counter-clockwise; a triangle repeats its last."""
        ...

    @property
    def owners(self) -> IntArray:
        """Footprint of each piece, ascending."""
        ...

    def __len__(self) -> int:
        """How many footprints there are."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CutFootprints:
    """Footprints as convex pieces."""

    corners: FloatArray
    """Unit vectors, shape (pieces, 4, 3), counter-clockwise; a triangle repeats its last."""
    owners: IntArray
    """Footprint of each piece, ascending from 0."""
    count: int
    """How many footprints there are."""

    def __len__(self) -> int:
        return self.count


def match_positions(
    ra: ArrayLike, dec: ArrayLike, blocks: Iterable[Pieces], *, limit: int = PAIRS_A_BLOCK
) -> Iterator[Pairs]:
    """Find all pairs of a position and a footprint that contains it; edges and vertices do.

    Parameters
    ----------
    ra, dec : array
        ICRS degrees, one-dimensional; what is not finite lies nowhere.
    blocks : iterable of Pieces
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

    def match(self, block: Pieces, *, limit: int = PAIRS_A_BLOCK) -> Iterator[Pairs]:
        """Find the pairs with one block of footprints, which are counted from 0.

        Parameters
        ----------
        block : Pieces
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

    def _find(self, block: Pieces) -> Iterator[Pairs]:
        """Find pairs product by product."""
        center, radius = _enclose(block.corners)
        # All pieces of a footprint go to cells of one size: their doubles then meet in one product.
        finest = _finest_level(radius, block.owners)
        chosen = np.empty_like(finest)
        for level in np.unique(finest).tolist():
            some = np.flatnonzero(finest == level)
            chosen[some] = self._choose_level(level, center[some], radius[some])
        for level in np.unique(chosen).tolist():
            some = np.flatnonzero(chosen == level)
            yield from self._match_level(level, block, some, center[some], radius[some])

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
        found, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
        return _Cells(found, starts, counts, self._rows[order], self._vectors[order])

    def _match_level(
        self, level: int, block: Pieces, some: IntArray, center: FloatArray, radius: FloatArray
    ) -> Iterator[Pairs]:
        """Match some pieces, cell by cell."""
        cells = self._cells_of(level)
        place, which = _spread(cells, level, center, radius)
        normals = _edge_normals(block.corners[some])
        owners = block.owners[some]
        shared = bool(np.any(owners[1:] == owners[:-1]))
        firsts = np.flatnonzero(np.diff(place, prepend=-1))
        for first, last in zip(firsts.tolist(), [*firsts[1:].tolist(), len(place)], strict=True):
            start = cells.starts[place[first]]
            end = start + cells.counts[place[first]]
            members = which[first:last]
            yield from _multiply(
                cells.vectors[start:end], cells.rows[start:end], normals[:, members], owners[members], shared
            )


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
    """Number the cells in which vectors lie."""
    return _key_of(np.floor(vectors * 2.0**level).astype(np.int64), level)


def _key_of(index: IntArray, level: int) -> IntArray:
    """Number cells by their three indices, each from -2**level - 1 to 2**level + 1."""
    shifted, bits = index + (2**level + 1), level + 2
    key = (shifted[..., 0] << (2 * bits)) | (shifted[..., 1] << bits) | shifted[..., 2]
    return np.asarray(key, dtype=np.int64)


def _enclose(corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find a circle about each piece: unit vector, and radius as a chord.

    A circle smaller than a hemisphere holds the great circles between points in it.
    """
    center = normalize(corners.sum(axis=1))
    away = corners - center[:, None]
    radius = np.sqrt(np.einsum("pij,pij->pi", away, away).max(axis=1))
    return center, np.where(radius < 1.4, radius, 2.0) + _PADDING


def _finest_level(radius: FloatArray, owners: IntArray) -> IntArray:
    """Find the smallest cells that are as large as the largest piece of each piece's footprint."""
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    largest = np.maximum.reduceat(radius, first)
    level = np.clip(np.floor(-np.log2(2.0 * largest)), 0, _FINEST).astype(np.int64)
    return np.repeat(level, np.diff(first, append=len(owners)))


def _spread(
    cells: _Cells, level: int, center: FloatArray, radius: FloatArray
) -> tuple[IntArray, IntArray]:
    """List the cells with positions that each piece's box touches: places, and pieces, sorted by both."""
    scale = 2.0**level
    edge = 2**level + 1
    low, high = (
        np.clip(np.floor((center + side * radius[:, None]) * scale).astype(np.int64), -edge, edge)
        for side in (-1.0, 1.0)
    )
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


def _edge_normals(corners: FloatArray) -> FloatArray:
    """Make the inward unit normals of pieces, shape (4, pieces, 3), as :func:`.outline.edge_normals` does."""
    following = np.roll(corners, -1, axis=1)
    normals = np.cross(corners + following, following - corners)
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        normals /= length
    no_edge = length[:, 2, 0] == 0.0
    normals[no_edge, 2] = normals[no_edge, 3]
    return np.ascontiguousarray(normals.transpose(1, 0, 2))


def _multiply(
    vectors: FloatArray, rows: IntArray, normals: FloatArray, owners: IntArray, shared: bool  # noqa: FBT001
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


def cut_into_pieces(vertices: FloatArray, counts: IntArray) -> CutFootprints:
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
    """
    vectors = to_vectors(vertices[:, 0], vertices[:, 1])
    starts = np.cumsum(counts) - counts
    corners: list[FloatArray] = [np.empty((0, 4, 3))]
    owners: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for n in np.unique(counts).tolist():
        which = np.flatnonzero(counts == n)
        rings = vectors[starts[which, None] + np.arange(n)]
        turns = _turning(rings)
        rings[turns < 0] = rings[turns < 0, ::-1]
        convex = turns != 0
        for places in _fan(n):
            corners.append(rings[convex][:, places])
            owners.append(which[convex])
        for at in which[~convex].tolist():
            cut = _cut_one(vertices[starts[at] : starts[at] + n])
            corners.append(cut)
            owners.append(np.full(len(cut), at, dtype=np.int64))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return CutFootprints(corners=np.concatenate(corners)[order], owners=owner[order], count=len(counts))
