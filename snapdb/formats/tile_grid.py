"""The tiles that a box touches, and stretches of bytes joined into few reads; plain arithmetic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from snapdb.pixels.box import Box
from snapdb.types import IntArray

Slices = tuple[slice, slice]
"""Rows and columns of a part of an array."""
Ranges = tuple[tuple[int, int], ...]
"""``(begin, length)`` of stretches of bytes, ascending, apart from each other."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where some bytes of a plan lie: in which part, from where, how many."""

    part: int
    begin: int
    length: int

    def take(self, parts: Sequence[bytes]) -> bytes:
        """Give the bytes."""
        return parts[self.part][self.begin : self.begin + self.length]


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of one tile that lies in a box."""

    order: int
    """Of the tile among those that the box touches."""
    tile: int
    """Number of the tile in the plane: its row in the table, 0-based."""
    size: tuple[int, int]
    """Rows and columns of the tile; those at the far edges are smaller."""
    target: Slices
    """Where its pixels go in the box."""
    crop: Slices
    """Which of its pixels these are."""


class TileGrid:
    """The tiles of a plane that a box touches.

    Parameters
    ----------
    box : Box
        Inside the plane.
    tile : tuple of int
        Rows and columns of a whole tile.
    shape : tuple of int
        Of the plane.
    """

    __slots__ = ("across", "box", "columns", "down", "rows", "shape", "tile")

    def __init__(self, box: Box, tile: tuple[int, int], shape: tuple[int, int]) -> None:
        self.box = box
        self.tile = tile
        self.shape = shape
        height, width = tile
        self.across = -(-shape[1] // width)
        self.down = -(-shape[0] // height)
        self.rows = range(box.y0 // height, (box.y1 - 1) // height + 1)
        self.columns = range(box.x0 // width, (box.x1 - 1) // width + 1)

    @property
    def numbers(self) -> IntArray:
        """Number in the plane of each tile, in order."""
        down = np.arange(self.rows.start, self.rows.stop, dtype=np.int64)
        along = np.arange(self.columns.start, self.columns.stop, dtype=np.int64)
        numbers: IntArray = (down[:, None] * self.across + along).ravel()
        return numbers

    def pieces(self, rows: range) -> Iterator[Piece]:
        """Give the part of each tile of some rows of tiles."""
        down = [_cut(n, self.tile[0], self.shape[0], self.box.y0, self.box.y1) for n in rows]
        along = [_cut(n, self.tile[1], self.shape[1], self.box.x0, self.box.x1) for n in self.columns]
        order = (rows.start - self.rows.start) * len(along)
        for row, (height, to_y, from_y) in zip(rows, down, strict=True):
            tile = row * self.across + self.columns.start
            for width, to_x, from_x in along:
                yield Piece(order, tile, (height, width), (to_y, to_x), (from_y, from_x))
                order += 1
                tile += 1

    def groups(self, most_px: int) -> Iterator[list[Piece]]:
        """Give the parts of the tiles: one by one, or several where there is one column, up to a size."""
        if len(self.columns) > 1:
            for piece in self.pieces(self.rows):
                yield [piece]
            return
        step = max(1, most_px // (self.tile[0] * self.box.width))
        for start in range(self.rows.start, self.rows.stop, step):
            yield list(self.pieces(range(start, min(start + step, self.rows.stop))))


def _cut(number: int, step: int, end: int, begin_px: int, end_px: int) -> tuple[int, slice, slice]:
    """Give, along one axis, a tile's length, where it goes in the box, and which part of it."""
    first = number * step
    length = min(step, end - first)
    low, high = max(first, begin_px), min(first + length, end_px)
    return length, slice(low - begin_px, high - begin_px), slice(low - first, high - first)


def join_ranges(wanted: Sequence[tuple[int, int]], gap_bytes: int) -> tuple[Ranges, list[Stretch]]:
    """Join stretches of bytes that lie near each other.

    Parameters
    ----------
    wanted : sequence of (begin, length)
        In any order.
    gap_bytes : int
        Gaps up to this long are read too.

    Returns
    -------
    tuple
        Ascending ranges, and for each of `wanted` where it lies in them.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    ranges: list[tuple[int, int]] = []
    found: list[Stretch | None] = [None] * len(wanted)
    begin = end = -1
    for i in order:
        at, length = wanted[i]
        if begin < 0 or at > end + gap_bytes:
            if begin >= 0:
                ranges.append((begin, end - begin))
            begin = end = at
        end = max(end, at + length)
        found[i] = Stretch(len(ranges), at - begin, length)
    ranges.append((begin, end - begin))
    return tuple(ranges), [stretch for stretch in found if stretch is not None]
