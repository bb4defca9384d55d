"""Decoders of compressed tiles, one function each; the only place that knows where they come from.

RICE_1, PLIO_1 and HCOMPRESS_1 are astropy's compiled CFITSIO code, a private module that
tests hold to astropy's public ``.data``; gzip is zlib. Dithering is the random sequence of
the FITS Standard 4.0, appendix I. The compiled decoders trust their input: what could lead
them out of their buffers is checked, and padded, here. RICE and zlib let other threads run;
HCOMPRESS would too, but keeps its place in variables of the whole process.
"""

import zlib
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import CorruptFileError

Pixels = NDArray[Any]
"""Decoded numbers in one dimension, perhaps a read-only view."""

DITHER_LENGTH = 10_000
"""Random numbers in the table of the standard."""
ZERO_VALUE = -2_147_483_646
"""Quantised value that SUBTRACTIVE_DITHER_2 keeps for an exact zero."""
MAX_TILE_PX = 2**27
"""The largest tile that is decoded; the compiled code counts its bytes in 32 bits."""
_MAX_BLOCK = 1024
_HCOMPRESS_HEAD = 25
_MAX_BIT_PLANES = 64
_HCOMPRESS = Lock()


def decode_rice(packed: bytes, count: int, *, block_px: int, pixel_bytes: int) -> Pixels:
    """Decode RICE_1.

    Parameters
    ----------
    packed : bytes
        The tile.
    count : int
        Pixels of the tile.
    block_px : int
        BLOCKSIZE.
    pixel_bytes : int
        BYTEPIX: 1, 2 or 4.

    Returns
    -------
    ndarray
        Of uint8, int16 or int32.

    Raises
    ------
    CorruptFileError
        It does not decode.
    """
    if pixel_bytes not in (1, 2, 4) or not 0 < block_px <= _MAX_BLOCK:
        msg = f"RICE with BYTEPIX = {pixel_bytes}, BLOCKSIZE = {block_px} cannot be"
        raise CorruptFileError(msg)
    _check_count(count)
    # a damaged tile is read beyond its end, by a block at most when ones follow there
    padded = _pad(packed, b"\xff" * (5 * block_px + 64))
    try:
        raw = _compiled().decompress_rice_1_c(padded, block_px, pixel_bytes, count)
    except _compiled().CfitsioException as err:
        raise CorruptFileError(str(err)) from err
    return np.frombuffer(raw, f"i{pixel_bytes}" if pixel_bytes > 1 else "u1", count)


def decode_hcompress(packed: bytes, height: int, width: int, *, scale: int, smooth: int) -> Pixels:
    """Decode HCOMPRESS_1.

    Parameters
    ----------
    packed : bytes
        The tile.
    height, width : int
        Of the tile.
    scale, smooth : int
        SCALE and SMOOTH.

    Returns
    -------
    ndarray
        Of int32.

    Raises
    ------
    CorruptFileError
        It does not decode.
    """
    count = height * width
    _check_count(count)
    head = packed[:_HCOMPRESS_HEAD]
    said = (int.from_bytes(head[2:6]), int.from_bytes(head[6:10]))
    planes = max(head[22:], default=0)
    if len(head) < _HCOMPRESS_HEAD or said != (height, width) or planes > _MAX_BIT_PLANES:
        msg = f"an HCOMPRESS tile of {said} in {planes} bit planes, expected {(height, width)}"
        raise CorruptFileError(msg)
    padded = _pad(packed, bytes(16 * count + 4096))  # the decoder does not know where its input ends
    try:
        with _HCOMPRESS:
            raw = _compiled().decompress_hcompress_1_c(padded, height, width, scale, smooth, 8)
    except (_compiled().CfitsioException, ValueError) as err:
        raise CorruptFileError(str(err)) from err
    return np.frombuffer(raw, "i4", count)


def decode_plio(packed: bytes, count: int) -> Pixels:
    """Decode PLIO_1.

    Parameters
    ----------
    packed : bytes
        The tile, its 16-bit words big-endian as in the file.
    count : int
        Pixels of the tile.

    Returns
    -------
    ndarray
        Of int32.

    Raises
    ------
    CorruptFileError
        It does not decode.
    """
    _check_count(count)
    words = np.frombuffer(packed, ">i2", len(packed) // 2).astype("i2")
    head = [int(w) for w in words[:5]]
    if len(head) < 3:
        msg = f"a PLIO tile of {len(packed)} bytes"
        raise CorruptFileError(msg)
    # the list says its own length, in one of two ways; the decoder believes it
    length = head[2] if head[2] > 0 else (head[4] << 15) + head[3] if len(head) == 5 else -1
    if not 0 <= length <= len(words):
        msg = f"a PLIO tile of {len(words)} words that claims {length}"
        raise CorruptFileError(msg)
    try:
        raw = _compiled().decompress_plio_1_c(words.tobytes() + bytes(16), count)
    except _compiled().CfitsioException as err:
        raise CorruptFileError(str(err)) from err
    return np.frombuffer(raw, "i4", count)


def inflate(packed: bytes, limit: int) -> bytes:
    """Unwrap a gzip stream, checksum and length verified.

    Parameters
    ----------
    packed : bytes
        The tile.
    limit : int
        The most bytes that it may unwrap to.

    Returns
    -------
    bytes
        Of all its members.

    Raises
    ------
    CorruptFileError
        It is damaged, cut short or longer.
    """
    found = b""
    while True:
        stream = zlib.decompressobj(wbits=31)
        try:
            found += stream.decompress(packed, limit - len(found) + 1)
            if len(found) <= limit and not stream.eof:
                found += stream.flush()
        except zlib.error as err:
            raise CorruptFileError(str(err)) from err
        if len(found) > limit or not stream.eof:
            msg = f"a gzip stream that is cut short, or unwraps to more than {limit} bytes"
            raise CorruptFileError(msg)
        packed = stream.unused_data
        if not packed.startswith(b"\x1f\x8b"):
            return found


def unshuffle(shuffled: bytes, count: int) -> bytes:
    """Put the bytes of GZIP_2 pixels together again (FITS Standard 4.0, 10.4.2).

    Parameters
    ----------
    shuffled : bytes
        All first bytes, then all second bytes ...
    count : int
        Pixels.
    """
    return np.frombuffer(shuffled, np.uint8).reshape(-1, count).T.tobytes()


def dither(row: int, count: int) -> NDArray[np.float32]:
    """Give the random numbers that were added to the pixels of a tile.

    Parameters
    ----------
    row : int
        0-based number of the tile plus ZDITHER0.
    count : int
        How many pixels of it, from the first.

    Returns
    -------
    ndarray
        float32 in [0, 1), for the first `count` pixels (FITS Standard 4.0, 10.2.1 and appendix I).
    """
    table, starts = _random_table()
    seed = (row - 1) % DITHER_LENGTH
    start = starts[seed]
    if start + count <= DITHER_LENGTH:
        return table[start : start + count]
    parts: list[NDArray[np.float32]] = []
    left = count
    while left > 0:
        part = table[starts[seed] : starts[seed] + left]
        parts.append(part)
        left -= len(part)
        seed = (seed + 1) % DITHER_LENGTH
    return np.concatenate(parts)


@cache
def _random_table() -> tuple[NDArray[np.float32], list[int]]:
    """Make the table, and where each tile begins in it (Park & Miller 1988, CACM 31, 1192)."""
    modulus = 2**31 - 1
    seeds = []
    seed = 1
    for _ in range(DITHER_LENGTH):
        seed = seed * 16807 % modulus
        seeds.append(seed)
    table = (np.array(seeds, dtype=np.float64) / modulus).astype(np.float32)
    return table, (table * np.float32(500)).astype(int).tolist()


@cache
def _compiled() -> Any:
    """Give astropy's module of compiled decoders."""
    from astropy.io.fits.hdu.compressed import _compression

    return _compression


def _pad(packed: bytes, padding: bytes) -> Pixels:
    """Give the bytes as a view with others behind them, for decoders that look too far."""
    return np.frombuffer(packed + padding, np.uint8, len(packed))


def _check_count(count: int) -> None:
    if not 0 < count <= MAX_TILE_PX:
        msg = f"a tile of {count} pixels, expected 1 to {MAX_TILE_PX}"
        raise CorruptFileError(msg)
