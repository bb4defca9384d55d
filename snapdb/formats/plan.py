"""What to read for a box of a plane, and what to do with the bytes; nothing is opened here.

A plan is made of a layout alone. Any source of bytes carries it out: a local
file, the unwrapped bytes of a gzip file, an object store.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snapdb.errors import CorruptFileError, ShapeError, UsageError
from snapdb.formats.scaling import finish
from snapdb.formats.tile_grid import Ranges
from snapdb.model.layout import Codec, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray

LOCAL_GAP_BYTES = 4096
"""Gap up to which a local file is read through: dearer to copy than to call again beyond it."""


class Decoder(Protocol):
    """What turns the bytes of a plan's ranges into a plane."""

    def decode(self, parts: Sequence[bytes]) -> PixelArray:
        """Give the finished array."""


class ByteSource(Protocol):
    """Bytes of one file, unwrapped, by place."""

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Give the bytes of each range ``(begin, length)``, fewer where the file ends before.

        Raises
        ------
        StorageError
            They cannot be read.
        """


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """What to read for one box of one plane."""

    ranges: Ranges
    """``(begin, length)`` in the unwrapped file, ascending, apart from each other."""
    decoder: Decoder
    """What is done with the bytes."""

    def decode(self, parts: Sequence[bytes]) -> PixelArray:
        """Make the box of its bytes.

        Parameters
        ----------
        parts : sequence of bytes
            One for each range; a short one is where the file ended.

        Returns
        -------
        ndarray
            Shape of the box, type ``layout.dtype``, native, its own; scaled as the header
            says, bit for bit as astropy does.

        Raises
        ------
        CorruptFileError
            The file ends before the pixels do, or a tile does not decode.
        """
        return self.decoder.decode(parts)


@dataclass(frozen=True, slots=True)
class RowDecoder:
    """Rows of stored numbers, one a part, or all in one part with a stride."""

    layout: PlaneLayout
    box: Box
    ranges: Ranges
    where: str

    def decode(self, parts: Sequence[bytes]) -> PixelArray:
        """Give the finished array.

        Raises
        ------
        CorruptFileError
            A part is short.
        """
        kind = np.dtype(self.layout.stored_dtype)
        shape = self.box.shape
        if len(parts) == 1 or sum(map(len, parts)) < shape[0] * shape[1] * kind.itemsize:
            check_parts(parts, self.ranges, self.layout, self.where)
        if len(parts) > 1:
            return finish(np.frombuffer(b"".join(parts), kind).reshape(shape), self.layout)
        strides = (self.layout.width * kind.itemsize, kind.itemsize)
        return finish(np.ndarray(shape, kind, parts[0], strides=strides), self.layout)


def plan_read(
    layout: PlaneLayout, box: Box, *, gap_bytes: int = LOCAL_GAP_BYTES, where: str = "file"
) -> ReadPlan:
    """Say what to read for a box of a plane.

    Parameters
    ----------
    layout : PlaneLayout
        Where the plane lies.
    box : Box
        Pixels wanted, wholly inside the plane.
    gap_bytes : int
        Gaps up to this long are read too, to make fewer ranges: small for a local file, a
        megabyte for a store to which each request is dear.
    where : str
        What errors call the file.

    Returns
    -------
    ReadPlan
        Its ranges, and what to do with their bytes.

    Raises
    ------
    ShapeError
        The box reaches beyond the plane.
    UsageError
        A compressed plane without its table of tiles; :func:`snapdb.formats.find_tiles.with_tiles` gives it.
    CorruptFileError
        A tile lies outside the heap.
    """
    if box.x0 < 0 or box.y0 < 0 or box.x1 > layout.width or box.y1 > layout.height:
        msg = (
            f"{where}: box x {box.x0}..{box.x1}, y {box.y0}..{box.y1} reaches beyond plane "
            f"{layout.name!r} of {layout.width} x {layout.height} pixels"
        )
        raise ShapeError(msg, path=where, plane=layout.name)
    if layout.codec is Codec.FITS_TILES:
        return _plan_tiles(layout, box, gap_bytes, where)
    if layout.block is not None:
        from snapdb.formats.asdf.decode import BlockDecoder

        whole = ((layout.offset, layout.block.used),)
        return ReadPlan(whole, BlockDecoder(layout, layout.block, box, where))
    ranges = _row_ranges(layout, box, gap_bytes)
    return ReadPlan(ranges, RowDecoder(layout, box, ranges, where))


def _plan_tiles(layout: PlaneLayout, box: Box, gap_bytes: int, where: str) -> ReadPlan:
    """Plan a compressed plane: tile by tile, or whole for astropy where it is unusual."""
    table = layout.tiles
    if table is None:
        msg = f"{where}: the layout of plane {layout.name!r} has no table of tiles; with_tiles() gives it"
        raise UsageError(msg, path=where, plane=layout.name)
    if table.lengths:
        from snapdb.formats.tiles import plan_tiles

        return ReadPlan(*plan_tiles(layout, table, box, gap_bytes, where))
    from snapdb.formats.astropy_tiles import WholeDecoder

    ranges = ((layout.offset, table.hdu_bytes),)
    return ReadPlan(ranges, WholeDecoder(layout, box, table.hdu_bytes, where))


def _row_ranges(layout: PlaneLayout, box: Box, gap_bytes: int) -> Ranges:
    """Give the bytes of the rows of a box, in one range where the gaps are small."""
    begin, stride, length = find_rows(layout, box)
    if box.height == 1 or stride - length <= gap_bytes:
        return ((begin, (box.height - 1) * stride + length),)
    return tuple([(at, length) for at in range(begin, begin + box.height * stride, stride)])


def find_rows(layout: PlaneLayout, box: Box) -> tuple[int, int, int]:
    """Say where the rows of a box of a raw plane lie.

    Parameters
    ----------
    layout : PlaneLayout
        The plane.
    box : Box
        Inside it.

    Returns
    -------
    begin : int
        Byte of the first row in the unwrapped file.
    stride : int
        Bytes from one row to the next.
    length : int
        Bytes of a row.
    """
    size = layout.stored_bytes
    stride = layout.width * size
    return layout.offset + box.y0 * stride + box.x0 * size, stride, box.width * size


def check_parts(parts: Sequence[bytes], ranges: Ranges, layout: PlaneLayout, where: str) -> None:
    """See that the file holds all the bytes of a plan.

    Raises
    ------
    CorruptFileError
        A part is shorter than its range.
    """
    for part, (begin, length) in zip(parts, ranges, strict=True):
        if len(part) < length:
            end = begin + len(part)
            missing = ranges[-1][0] + ranges[-1][1] - end
            msg = f"{where}: plane {layout.name!r} ends {missing} bytes beyond the end of the file"
            raise CorruptFileError(msg, path=where, plane=layout.name)
