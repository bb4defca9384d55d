"""The table of tiles of a plane that was registered before layouts held it, read from the file."""

import io
from dataclasses import replace
from typing import cast

from snapdb.formats.plan import ByteSource
from snapdb.formats.scan import BLOCK, read_frame
from snapdb.formats.tile_table import make_table
from snapdb.model.layout import PlaneLayout

_AHEAD_BYTES = 16 * BLOCK
"""Bytes that are fetched at once: most headers are shorter."""


def with_tiles(layout: PlaneLayout, source: ByteSource, *, where: str = "file") -> PlaneLayout:
    """Give a compressed plane's layout with its table of tiles.

    Parameters
    ----------
    layout : PlaneLayout
        Of a compressed plane, without the table.
    source : ByteSource
        The file.
    where : str
        What errors call the file.

    Raises
    ------
    CorruptFileError
        There is no such HDU any more.
    StorageError
        The file cannot be read.
    """
    stream = io.BufferedReader(_RangeStream(source, layout.offset), _AHEAD_BYTES)
    frame = read_frame(stream, layout.hdu, layout.offset, name=where)
    return replace(layout, tiles=make_table(frame))


class _RangeStream(io.RawIOBase):
    """A source of bytes as a stream, from a place on."""

    def __init__(self, source: ByteSource, begin: int) -> None:
        super().__init__()
        self._source = source
        self._at = begin

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        (part,) = self._source.read_ranges([(self._at, len(view))])
        view[: len(part)] = part
        self._at += len(part)
        return len(part)
