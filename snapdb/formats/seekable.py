"""Random access to gzip files: an index of places to inflate from, made once, and a source that uses it.

The index holds the state of the inflation every 4 MB (indexed_gzip's format), and a
check sum of every megabyte of the content: a box is believed for what was read when the
index was made, as a whole inflation is believed for the check sum at the stream's end.
"""

import io
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import numpy as np

from snapdb.errors import CorruptFileError, StorageError
from snapdb.formats.kept import BLOCKS, KeptBlocks
from snapdb.formats.unwrap import open_file, open_unwrapped

SPACING = 4 * 2**20
"""Unwrapped bytes between places to inflate from; each costs the 32 kB that deflate looks back."""
BLOCK_BYTES = 2**20
"""Unwrapped bytes under one check sum."""
_MAGIC = b"SDBGZI1\n"
_HEAD = struct.Struct("<8sQQII")
"""Magic, bytes of the gzip file and of its content, bytes of a block, number of blocks."""
_SUM = struct.Struct("<I")
_BUFFER = 64 * 2**10
"""What the gzip package reads ahead; blocks are read past it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GzipIndex:
    """Where a gzip file can be inflated from."""

    packed_size: int
    """Bytes of the gzip file."""
    size: int
    """Bytes of its content."""
    block_bytes: int
    """Bytes under one check sum; the last block may be shorter."""
    sums: tuple[int, ...]
    """CRC-32 of each block of the content."""
    points: bytes
    """The places, as indexed_gzip writes them."""

    def to_bytes(self) -> bytes:
        """Give the index as it is stored, with a check sum of its own at the end."""
        head = _HEAD.pack(_MAGIC, self.packed_size, self.size, self.block_bytes, len(self.sums))
        content = head + np.array(self.sums, "<u4").tobytes() + self.points
        return content + _SUM.pack(zlib.crc32(content))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self | None:
        """Read a stored index; None where it is damaged, cut short or of another version."""
        if len(content) < _HEAD.size + _SUM.size or not content.startswith(_MAGIC):
            return None
        view = memoryview(content)
        if _SUM.unpack(view[-_SUM.size :])[0] != zlib.crc32(view[: -_SUM.size]):
            return None
        _, packed_size, size, block_bytes, count = _HEAD.unpack_from(content)
        end = _HEAD.size + 4 * count
        return cls(
            packed_size=packed_size,
            size=size,
            block_bytes=block_bytes,
            sums=tuple(np.frombuffer(content, "<u4", count, _HEAD.size).tolist()),
            points=bytes(view[end : -_SUM.size]),
        )


def make_index(path: str | Path) -> GzipIndex:
    """Inflate a gzip file once, and note where it can be inflated from later.

    Parameters
    ----------
    path : str or Path
        Of one gzip member or several.

    Returns
    -------
    GzipIndex
        About 8 kB for each megabyte of content.

    Raises
    ------
    CorruptFileError
        The stream is damaged, cut short, empty or too large.
    ObjectMissingError, StorageError
        It cannot be opened.

    Notes
    -----
    The bytes in memory are a few megabytes and the index. Other threads run meanwhile.
    """
    from indexed_gzip import IndexedGzipFile

    # The package starts at the last place again for each read: reading blocks by it takes thrice as long.
    sums, size = _sum_blocks(path)
    if not size:
        msg = f"{path}: the compressed stream holds nothing"
        raise CorruptFileError(msg, path=str(path))
    with open_file(path) as raw:
        packed_size = os.fstat(raw.fileno()).st_size
        points = io.BytesIO()
        try:
            with IndexedGzipFile(fileobj=raw, spacing=SPACING, buffer_size=_BUFFER) as stream:
                stream.build_full_index()
                found = stream.seek(0, io.SEEK_END)
                stream.export_index(fileobj=points)
        except (OSError, ValueError) as err:
            msg = f"{path}: the compressed stream is damaged or cut short ({err})"
            raise CorruptFileError(msg, path=str(path)) from err
    if found != size:
        msg = f"{path}: the compressed stream unwraps to {size} bytes, or to {found}: it cannot be indexed"
        raise CorruptFileError(msg, path=str(path))
    return GzipIndex(
        packed_size=packed_size,
        size=size,
        block_bytes=BLOCK_BYTES,
        sums=tuple(sums),
        points=points.getvalue(),
    )


def _sum_blocks(path: str | Path) -> tuple[list[int], int]:
    """Inflate a file, in bounds, and give the check sum of each block and the number of bytes."""
    sums, size = [], 0
    with open_unwrapped(path) as stream:
        while block := stream.read(BLOCK_BYTES):
            sums.append(zlib.crc32(block))
            size += len(block)
    return sums, size


class SeekableGzip:
    """The content of an open gzip file as a source of bytes, inflated from the nearest place on.

    Parameters
    ----------
    fd : int
        Descriptor of the gzip file; duplicated, so it stays the caller's.
    index : GzipIndex
        Of this very file.
    where : str
        Path of the file: what errors call it.
    blocks : KeptBlocks
        Where inflated blocks are kept for the next read.

    Raises
    ------
    StorageError
        The index is not of a file of this size.
    """

    def __init__(self, fd: int, index: GzipIndex, where: str, blocks: KeptBlocks = BLOCKS) -> None:
        from indexed_gzip import IndexedGzipFile

        found = os.fstat(fd)
        if found.st_size != index.packed_size:
            msg = f"{where}: its seek index is of a file of {index.packed_size} bytes, not {found.st_size}"
            raise StorageError(msg, path=where)
        self._index = index
        self._where = where
        self._blocks = blocks
        self._key = (where, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        self._raw = os.fdopen(os.dup(fd), "rb")
        try:
            self._stream = IndexedGzipFile(
                fileobj=self._raw, auto_build=False, skip_crc_check=True, spacing=SPACING, buffer_size=_BUFFER
            )
            self._stream.import_index(fileobj=io.BytesIO(index.points))
        except (OSError, ValueError) as err:
            self._raw.close()
            msg = f"{where}: its seek index cannot be used ({err})"
            raise StorageError(msg, path=where) from err

    def close(self) -> None:
        """Let go of the file; what was inflated stays in the bounded memory."""
        self._stream.close()
        self._raw.close()

    def read_ranges(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Give the bytes of each range, fewer where the content ends before.

        Parameters
        ----------
        ranges : sequence of (begin, length)
            Ascending, in the content.

        Raises
        ------
        CorruptFileError
            What is inflated differs from what was there when the index was made.
        StorageError
            The disk fails.
        """
        size = self._index.block_bytes
        held: dict[int, bytes] = {}
        parts = []
        for begin, length in ranges:
            end = min(begin + length, self._index.size)
            numbers = range(begin // size, -(-end // size)) if end > begin else range(0)
            held = self._get_blocks(numbers, held)
            parts.append(_cut(list(held.values()), begin - numbers.start * size, end - begin))
        return parts

    def _get_blocks(self, numbers: range, held: dict[int, bytes]) -> dict[int, bytes]:
        """Give consecutive blocks: those held, those kept, and what lies between read at once."""
        blocks = {n: held.get(n) or self._blocks.find((*self._key, n)) for n in numbers}
        missing = [n for n in numbers if blocks[n] is None]
        for first in missing:
            if blocks[first] is None:
                last = next((n for n in range(first, numbers.stop) if blocks[n] is not None), numbers.stop)
                blocks |= self._read_blocks(range(first, last))
        return cast("dict[int, bytes]", blocks)

    def _read_blocks(self, numbers: range) -> dict[int, bytes]:
        """Inflate consecutive blocks, each as it was when the index was made."""
        size = self._index.block_bytes
        begin = numbers.start * size
        length = min(numbers.stop * size, self._index.size) - begin
        try:
            content: bytes = self._stream.pread(length, begin)
        except (OSError, ValueError) as err:
            msg = f"{self._where}: the compressed stream is damaged near byte {begin} of its content ({err})"
            raise CorruptFileError(msg, path=self._where) from err
        blocks = {}
        for n in numbers:
            block = content[n * size - begin : n * size - begin + size]
            if zlib.crc32(block) != self._index.sums[n]:
                msg = (
                    f"{self._where}: the compressed stream is damaged: bytes {n * size} to "
                    f"{n * size + size} of its content are not what they were when it was registered; "
                    "restore the file"
                )
                raise CorruptFileError(msg, path=self._where)
            self._blocks.keep((*self._key, n), block)
            blocks[n] = block
        return blocks


def _cut(blocks: list[bytes], begin: int, length: int) -> bytes:
    """Give a part of consecutive blocks, copied once."""
    if len(blocks) == 1:
        return blocks[0][begin : begin + length]
    if not blocks:
        return b""
    first = memoryview(blocks[0])[begin:]
    left = length - len(first) - sum(map(len, blocks[1:-1]))
    return b"".join((first, *blocks[1:-1], memoryview(blocks[-1])[:left]))
