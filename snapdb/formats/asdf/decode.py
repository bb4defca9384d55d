"""Boxes of arrays in compressed blocks, which are decoded whole and kept for the next box."""

import bz2
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from snapdb.errors import ConfigError, CorruptFileError
from snapdb.formats.kept import BLOCKS
from snapdb.formats.scaling import finish
from snapdb.model.layout import PackedBlock, PlaneLayout
from snapdb.pixels.box import Box
from snapdb.types import PixelArray


@dataclass(frozen=True, slots=True)
class BlockDecoder:
    """What turns the bytes of a compressed block into a box of its array."""

    layout: PlaneLayout
    block: PackedBlock
    box: Box
    where: str

    def decode(self, parts: Sequence[bytes]) -> PixelArray:
        """Give the finished array.

        Parameters
        ----------
        parts : sequence of bytes
            The block.

        Raises
        ------
        CorruptFileError
            It is short, does not decode, or decodes to another size.
        ConfigError
            The package that decodes it is not installed.
        """
        whole = self._decoded(parts[0])
        kind = np.dtype(self.layout.stored_dtype)
        shape = self.layout.shape
        plane = np.frombuffer(whole, kind, shape[0] * shape[1], self.block.begin).reshape(shape)
        box = self.box
        return finish(plane[box.y0 : box.y1, box.x0 : box.x1], self.layout)

    def _decoded(self, packed: bytes) -> bytes:
        """Decode the block, or take it from those kept."""
        what = f"{self.where}: the {self.layout.compression} block of plane {self.layout.name!r}"
        if len(packed) < self.block.used:
            msg = f"{what} ends {self.block.used - len(packed)} bytes beyond the end of the file"
            raise CorruptFileError(msg, path=self.where, plane=self.layout.name)
        key = ("asdf", blake2b(packed, digest_size=16).digest())
        whole = BLOCKS.find(key)
        if whole is None:
            whole = unpack(packed, self.layout.compression or "", self.block.size, what)
            BLOCKS.keep(key, whole)
        return whole


def unpack(packed: bytes, compression: str, size: int, what: str) -> bytes:
    """Decode a block.

    Parameters
    ----------
    packed : bytes
        As it lies in the file.
    compression : str
        ``zlib``, ``bzp2`` or ``lz4``.
    size : int
        Bytes that it must give; no more are made.
    what : str
        What errors call it.

    Raises
    ------
    CorruptFileError
        It does not decode, or to another size.
    ConfigError
        The compression is unknown, or its package is not installed.
    """
    try:
        if compression == "zlib":
            whole = zlib.decompressobj().decompress(packed, size + 1)
        elif compression == "bzp2":
            whole = bz2.BZ2Decompressor().decompress(packed, size + 1)
        elif compression == "lz4":
            whole = b"".join(_unpack_lz4(packed, size))
        else:
            msg = f"{what}: this compression cannot be read; zlib, bzp2 and lz4 can"
            raise ConfigError(msg, compression=compression)
    except ImportError as err:
        msg = f"{what} needs the package lz4: pip install lz4"
        raise ConfigError(msg, package="lz4") from err
    except (zlib.error, OSError, RuntimeError, struct.error, ValueError) as err:
        if isinstance(err, ConfigError):
            raise
        msg = f"{what} does not decode ({err})"
        raise CorruptFileError(msg) from err
    if len(whole) != size:
        msg = f"{what} decodes to {'more than' if len(whole) > size else len(whole)} of {size} bytes"
        raise CorruptFileError(msg, claimed=size, actual=len(whole))
    return whole


def _unpack_lz4(packed: bytes, size: int) -> Iterator[bytes]:
    """Decode the pieces of an lz4 block: each has its length in front (ASDF Standard, "lz4")."""
    from lz4.block import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
        LZ4BlockError,
        decompress,
    )

    at = made = 0
    while at < len(packed) and made <= size:
        (length,) = struct.unpack_from(">I", packed, at)
        piece = packed[at + 4 : at + 4 + length]
        if len(piece) < length or int.from_bytes(piece[:4], "little") > size - made:
            msg = "a piece is longer than what there is"
            raise ValueError(msg)
        try:
            whole = decompress(piece)
        except LZ4BlockError as err:
            raise ValueError(str(err)) from err
        at += 4 + length
        made += len(whole)
        yield whole
