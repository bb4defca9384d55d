"""Boxes of tile-compressed planes: which bytes hold the tiles, and what becomes of them.

FITS Standard 4.0, section 10. The numbers are those of astropy and CFITSIO bit for bit;
multiplication and addition stay apart for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import CorruptFileError
from snapdb.formats import codecs
from snapdb.formats.scaling import finish, native
from snapdb.formats.tile_grid import Piece, Ranges, Slices, Stretch, TileGrid, join_ranges
from snapdb.formats.tile_table import unpack
from snapdb.model.layout import PlaneLayout, TileTable
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

_GROUP_PX = 2**17
"""Pixels of several tiles that are dequantised in one go."""


def plan_tiles(
    layout: PlaneLayout, table: TileTable, box: Box, gap_bytes: int, where: str
) -> tuple[Ranges, "TileDecoder"]:
    """Say which bytes hold the tiles that a box touches.

    Parameters
    ----------
    layout : PlaneLayout
        A compressed plane.
    table : TileTable
        Its tiles.
    box : Box
        Inside the plane.
    gap_bytes : int
        Gaps up to this long are read too.
    where : str
        What errors call the file.

    Returns
    -------
    tuple
        Ranges ``(begin, length)`` and what decodes their bytes.

    Raises
    ------
    CorruptFileError
        A tile lies outside the heap.
    """
    grid = TileGrid(box, layout.tile_shape or (1, layout.width), layout.shape)
    count = grid.across * grid.down
    lengths = unpack(table.lengths, count)
    places = unpack(table.places, count) if table.places else lengths.cumsum() - lengths
    numbers = grid.numbers
    kinds = unpack(table.kinds, count)[numbers].tolist() if table.kinds else [0] * len(numbers)
    sizes, begins = lengths[numbers], places[numbers]
    if (sizes < 0).any() or (begins < 0).any() or (sizes > table.heap_bytes - begins).any():
        raise _damage(layout, where, "a tile lies outside the heap")
    wanted = list(zip((begins + table.heap_at).tolist(), sizes.tolist(), strict=True))
    if table.scale or table.blanks:
        first = int(numbers[0])
        span = int(numbers[-1]) + 1 - first
        wanted.append((table.rows_at + first * table.row_bytes, span * table.row_bytes))
    ranges, stretches = join_ranges(wanted, gap_bytes)
    return ranges, TileDecoder(layout, table, grid, ranges, stretches, kinds, where)


@dataclass(frozen=True, slots=True)
class TileDecoder:
    """What turns the bytes of a plan's tiles into a plane."""

    layout: PlaneLayout
    table: TileTable
    grid: TileGrid
    ranges: Ranges
    stretches: list[Stretch]
    """One for each tile in the grid's order, then that of the table's rows, if they are needed."""
    kinds: list[int]
    """Of each tile: 0 what the compression says, 1 gzip, 2 bare numbers."""
    where: str

    def decode(self, parts: Sequence[bytes]) -> PixelArray:
        """Give the finished array.

        Raises
        ------
        CorruptFileError
            A part is short, or a tile does not decode.
        """
        for part, (_, length) in zip(parts, self.ranges, strict=True):
            if len(part) < length:
                raise _damage(self.layout, self.where, "it ends beyond the end of the file")
        stored = np.empty(self.grid.box.shape, native(self.layout.stored_dtype))
        fill = self._fill_plain if self.table.scale is None else self._fill_quantised
        with np.errstate(over="ignore", invalid="ignore"):
            fill(stored, parts)
        return finish(stored, self.layout)

    def _fill_plain(self, stored: PixelArray, parts: Sequence[bytes]) -> None:
        """Put whole numbers, and floats that were not quantised, where they belong."""
        grid, blank, floating = self.grid, self.table.blank, stored.dtype.kind == "f"
        blanks: list[int] | None = None
        if self.table.blanks is not None:
            blanks = self._column(self.table.blanks, parts).tolist()
        for piece in grid.pieces(grid.rows):
            pixels = self._decode_tile(piece, parts)[piece.crop]
            stored[piece.target] = pixels
            if blanks is not None:
                blank = blanks[piece.order]
            if blank is not None and (floating or blanks is not None) and not self.kinds[piece.order]:
                stored[piece.target][pixels == blank] = np.nan if floating else self.table.blank

    def _fill_quantised(self, stored: PixelArray, parts: Sequence[bytes]) -> None:
        """Undo the quantisation, (q - r + 0.5) scale + zero in double precision, as CFITSIO does (10.2)."""
        table = self.table
        scale, zero = self._column(table.scale, parts), self._column(table.zero, parts)
        blanks = self._column(table.blanks, parts) if table.blanks else None
        for group in self.grid.groups(_GROUP_PX):
            first, last = group[0].target, group[-1].target
            out = stored[first[0].start : last[0].stop, first[1]]
            whole, bare = self._gather(group, out.shape, parts)
            values = whole.astype(np.float64)
            if table.dither is not None:
                values -= self._random(group, out.shape)
                values += 0.5
            values *= _spread(scale, group)
            values += _spread(zero, group)
            if table.dither == 2:
                values[whole == codecs.ZERO_VALUE] = 0.0
            blank = table.blank if blanks is None else _spread(blanks, group)
            if blank is not None:
                values[whole == blank] = np.nan
            out[:] = values
            for target, pixels in bare:
                stored[target] = pixels

    def _gather(
        self, group: Sequence[Piece], shape: tuple[int, ...], parts: Sequence[bytes]
    ) -> tuple[NDArray[Any], list[tuple[Slices, PixelArray]]]:
        """Give the quantised numbers of tiles below each other, and apart the tiles of others."""
        bare: list[tuple[Slices, PixelArray]] = []
        whole = np.zeros(shape, np.int32) if len(group) > 1 else None
        top = group[0].target[0].start
        for piece in group:
            pixels = self._decode_tile(piece, parts)[piece.crop]
            if self.kinds[piece.order]:
                bare.append((piece.target, pixels))
            elif whole is None:
                return pixels, bare
            else:
                down = piece.target[0]
                whole[down.start - top : down.stop - top] = pixels
        return np.zeros(shape, np.int32) if whole is None else whole, bare

    def _random(self, group: Sequence[Piece], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Give the dither of the wanted pixels of tiles below each other."""
        numbers = np.empty(shape, np.float32)
        top = group[0].target[0].start
        for piece in group:
            bottom, width = piece.crop[0].stop, piece.size[1]
            dither = codecs.dither(piece.tile + self.table.seed, bottom * width).reshape(bottom, width)
            down = piece.target[0]
            numbers[down.start - top : down.stop - top] = dither[piece.crop]
        return numbers

    def _column(self, column: tuple[int, str] | None, parts: Sequence[bytes]) -> NDArray[Any]:
        """Give a column of the table for the tiles that the box touches, in their order."""
        at, kind = column or (0, "|u1")
        stretch, step, grid = self.stretches[-1], self.table.row_bytes, self.grid
        shape, strides = (len(grid.rows), len(grid.columns)), (grid.across * step, step)
        view: NDArray[Any] = np.ndarray(shape, kind, parts[stretch.part], stretch.begin + at, strides)
        return view.astype(view.dtype.newbyteorder("=")).ravel()

    def _decode_tile(self, piece: Piece, parts: Sequence[bytes]) -> PixelArray:
        """Decode one tile to an array of its shape."""
        packed = self.stretches[piece.order].take(parts)
        kind = self.kinds[piece.order]
        method = _KINDS[kind] or self.layout.compression or ""
        floating = self.layout.stored_dtype[1] == "f" and (kind != 0 or self.table.scale is None)
        try:
            return _METHODS[method](packed, piece.size, self.table, floating).reshape(piece.size)
        except (CorruptFileError, ValueError) as err:
            raise _damage(self.layout, self.where, f"tile {piece.tile}: {err}") from err


def _spread(values: NDArray[Any], group: Sequence[Piece]) -> Any:
    """Give the value of each tile for its rows: one for a single tile, else a column."""
    first = group[0].order
    if len(group) == 1:
        return values[first]
    heights = [piece.target[0].stop - piece.target[0].start for piece in group]
    return np.repeat(values[first : first + len(group)], heights)[:, None]


Method = Callable[[bytes, tuple[int, int], TileTable, bool], NDArray[Any]]
"""(packed bytes, (height, width), table, whether floats are stored as they are) -> numbers."""


def _rice(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    return codecs.decode_rice(
        packed, size[0] * size[1], block_px=table.block_px, pixel_bytes=table.pixel_bytes
    )


def _hcompress(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    return codecs.decode_hcompress(packed, *size, scale=table.hscale, smooth=table.smooth)


def _plio(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    return codecs.decode_plio(packed, size[0] * size[1])


def _gzip_1(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    count = size[0] * size[1]
    return _as_numbers(codecs.inflate(packed, 8 * count), count, floating=floating)


def _gzip_2(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    count = size[0] * size[1]
    raw = codecs.unshuffle(codecs.inflate(packed, 8 * count), count)
    return _as_numbers(raw, count, floating=floating)


def _stored(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    return _as_numbers(packed, size[0] * size[1], floating=floating)


def _bare(packed: bytes, size: tuple[int, int], table: TileTable, floating: bool) -> NDArray[Any]:  # noqa: FBT001, ARG001  # a Method
    return np.frombuffer(packed, table.bare)


_KINDS = ("", "GZIP_1", "BARE")
_METHODS: dict[str, Method] = {
    "RICE_1": _rice,
    "RICE_ONE": _rice,
    "HCOMPRESS_1": _hcompress,
    "PLIO_1": _plio,
    "GZIP_1": _gzip_1,
    "GZIP_2": _gzip_2,
    "NOCOMPRESS": _stored,
    "BARE": _bare,
}


def _as_numbers(raw: bytes, count: int, *, floating: bool) -> NDArray[Any]:
    """Tell by their size what numbers bytes are, as CFITSIO does."""
    size = len(raw) // count
    kind = ">f" if floating and size >= 4 else ">i" if size > 1 else "|u"
    return np.frombuffer(raw, f"{kind}{size}")


def _damage(layout: PlaneLayout, where: str, why: str) -> CorruptFileError:
    msg = f"{where}: plane {layout.name!r} (HDU {layout.hdu}) does not decode ({why})"
    return CorruptFileError(msg, path=where, plane=layout.name)
