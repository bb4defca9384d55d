"""The table of a tile-compressed plane in short: where each tile lies, and how it was made.

FITS Standard 4.0, section 10. What a plan cannot do is marked, and left to astropy.
"""

import base64
import re
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import CorruptFileError
from snapdb.formats.cards import CARD
from snapdb.formats.frame import HduFrame
from snapdb.model.layout import TileTable
from snapdb.types import IntArray

MAX_TILES = 2**24
"""The most tiles that a table is indexed for; it is left to astropy beyond them."""
_METHODS = frozenset({"RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS"})
_DITHERS = {None: None, "NO_DITHER": None, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}
_FORMAT = re.compile(r"(\d*)([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?)")
_WIDTHS = dict(zip("LXBIJKAEDCMPQ", (1, 1, 1, 2, 4, 8, 1, 4, 8, 8, 16, 8, 16), strict=True))
_NUMBERS = {"B": "|u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


def make_table(frame: HduFrame) -> TileTable:
    """Make the table of a compressed HDU, from its header and the rows that the scan kept.

    Parameters
    ----------
    frame : HduFrame
        A tile-compressed image.

    Returns
    -------
    TileTable
        With no tiles in it (``lengths`` empty) where the HDU is unusual, so that astropy must read it.
    """
    unusual = TileTable(hdu_bytes=frame.data_offset - frame.header_offset + frame.data_size)
    columns = _find_columns(frame)
    if columns is None or frame.table is None or not _is_usual(frame, columns):
        return unusual
    row_bytes, rows = frame.table
    tiles = _count_tiles(frame)
    if not 0 < tiles <= min(rows, MAX_TILES) or len(frame.rows) < tiles * row_bytes:
        return unusual
    packed = _pack_descriptors(frame, columns, tiles)
    cards = frame.cards
    heap = cards.get_int("THEAP")
    heap = row_bytes * rows if heap is None else heap
    numbers = {name: (at, _NUMBERS[form]) for name, (at, form, _) in columns.items() if form in _NUMBERS}
    bare = columns.get("UNCOMPRESSED_DATA")
    return TileTable(
        hdu_bytes=unusual.hdu_bytes,
        rows_at=frame.data_offset,
        row_bytes=row_bytes,
        heap_at=frame.data_offset + heap,
        heap_bytes=max(frame.data_size - heap, 0),
        **packed,
        scale=numbers.get("ZSCALE"),
        zero=numbers.get("ZZERO"),
        blanks=numbers.get("ZBLANK"),
        blank=find_blank(frame),
        dither=_DITHERS[cards.get_text("ZQUANTIZ")],
        seed=cards.get_int("ZDITHER0") or 0,
        bare=_NUMBERS[bare[2]] if bare else "",
        **_find_settings(frame),
    )


def find_blank(frame: HduFrame) -> int | None:
    """Give the stored integer that means "no value" in a compressed HDU, as astropy takes it.

    Parameters
    ----------
    frame : HduFrame
        A tile-compressed image.
    """
    for key in ("ZBLANK", "BLANK"):
        value = frame.cards.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    texts = (frame.cards.get_text(f"TTYPE{i}") for i in range(1, (frame.cards.get_int("TFIELDS") or 0) + 1))
    return -(1 << (frame.bitpix - 1)) if frame.bitpix > 0 and "ZBLANK" in texts else None


def pack(numbers: IntArray) -> str:
    """Pack whole numbers that differ little from one to the next into a short text.

    Parameters
    ----------
    numbers : ndarray of int64
        One dimension.

    Returns
    -------
    str
        The bytes of the differences, most alike together, deflated, in base64; a digit before
        them says how many bytes a number has.
    """
    steps = np.diff(numbers, prepend=0)
    low, high = int(steps.min()), int(steps.max())
    size = next(n for n in (1, 2, 4, 8) if n == 8 or (-(1 << (8 * n - 1)) <= low and high < 1 << (8 * n - 1)))
    raw = steps.astype(f"<i{size}").view(np.uint8).reshape(-1, size).T.tobytes()
    return f"{size}{base64.b64encode(zlib.compress(raw, 9)).decode()}"


@lru_cache(maxsize=64)
def unpack(text: str, count: int) -> IntArray:
    """Give the numbers of :func:`pack`, read-only.

    Parameters
    ----------
    text : str
        What :func:`pack` gave.
    count : int
        How many numbers it holds.

    Raises
    ------
    CorruptFileError
        It holds others.
    """
    try:
        size = int(text[:1])
        stream = zlib.decompressobj()
        raw = stream.decompress(base64.b64decode(text[1:]), size * count + 1)
        steps = np.frombuffer(raw if stream.eof else b"", np.uint8).reshape(size, count).T.tobytes()
        numbers = np.cumsum(np.frombuffer(steps, f"<i{size}"), dtype=np.int64)
    except (ValueError, TypeError, zlib.error) as err:
        msg = f"the registered table of {count} tiles cannot be read ({err}); ingest the file again"
        raise CorruptFileError(msg) from err
    numbers.flags.writeable = False
    return numbers


def _find_columns(frame: HduFrame) -> dict[str, tuple[int, str, str]] | None:
    """Give name -> (byte in the row, kind, kind of what it points to); None where they do not add up."""
    cards = frame.cards
    columns: dict[str, tuple[int, str, str]] = {}
    at = 0
    for i in range(1, (cards.get_int("TFIELDS") or 0) + 1):
        match = _FORMAT.match(cards.get_text(f"TFORM{i}") or "")
        if match is None:
            return None
        repeat = int(match[1] or 1)
        name = cards.get_text(f"TTYPE{i}") or ""
        scaled = cards.get_number(f"TSCAL{i}") not in (None, 1.0) or cards.get_number(f"TZERO{i}")
        columns[name] = (at, match[2] if repeat == 1 and not scaled else "?", match[3])
        at += -(-repeat // 8) if match[2] == "X" else repeat * _WIDTHS[match[2]]
    return columns if frame.table and at == frame.table[0] else None


def _is_usual(frame: HduFrame, columns: dict[str, tuple[int, str, str]]) -> bool:
    """Say whether the plan's decoder knows all that the HDU uses."""
    pointers = [columns[n] for n in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA") if n in columns]
    bare = columns.get("UNCOMPRESSED_DATA")
    quantised = "ZSCALE" in columns
    dither = frame.cards.get_text("ZQUANTIZ")
    floats = {columns[n][1] for n in ("ZSCALE", "ZZERO") if n in columns}
    return (
        frame.compression in _METHODS
        and "COMPRESSED_DATA" in columns
        and all(kind in "PQ" and of in ("B", "I", "J") for _, kind, of in pointers)
        and (bare is None or (bare[1] in "PQ" and bare[2] in _NUMBERS))
        and dither in _DITHERS
        and ("ZBLANK" not in columns or columns["ZBLANK"][1] in "BIJK")
        and (not quantised or (frame.bitpix < 0 and "ZZERO" in columns and floats <= set("DE")))
        and (not quantised or _DITHERS[dither] is not None or floats == {"D"})
    )


def _count_tiles(frame: HduFrame) -> int:
    total = 1
    for axis, tile in zip(frame.axes, frame.tile_shape or frame.axes, strict=True):
        total *= -(-axis // tile)
    return total


def _pack_descriptors(
    frame: HduFrame, columns: dict[str, tuple[int, str, str]], tiles: int
) -> dict[str, Any]:
    """Pack where the tiles lie, and of what kind each is."""
    lengths, places = _read_descriptors(frame, columns["COMPRESSED_DATA"], tiles)
    kinds = np.zeros(tiles, dtype=np.int64)
    for kind, name in ((1, "GZIP_COMPRESSED_DATA"), (2, "UNCOMPRESSED_DATA")):
        other = (lengths == 0) & (kinds == 0)
        if name in columns and other.any():
            their_lengths, their_places = _read_descriptors(frame, columns[name], tiles)
            kinds[other] = kind
            lengths[other], places[other] = their_lengths[other], their_places[other]
            break  # astropy looks into the second only where there is no first
    follow = np.cumsum(lengths) - lengths
    return {
        "lengths": pack(lengths),
        "places": "" if np.array_equal(places, follow) else pack(places),
        "kinds": pack(kinds) if kinds.any() else "",
    }


def _read_descriptors(frame: HduFrame, column: tuple[int, str, str], tiles: int) -> tuple[IntArray, IntArray]:
    """Give (bytes, byte in the heap) of each tile."""
    at, kind, of = column
    row_bytes = frame.table[0] if frame.table else 0
    size = 4 if kind == "P" else 8
    view: NDArray[Any] = np.ndarray((tiles, 2), f">i{size}", frame.rows, at, (row_bytes, size))
    pairs = view.astype(np.int64)
    return pairs[:, 0] * np.dtype(_NUMBERS[of]).itemsize, pairs[:, 1].copy()


def _find_settings(frame: HduFrame) -> dict[str, Any]:
    """Read the compression's parameters from ZNAMEn and ZVALn (FITS Standard 4.0, table 37)."""
    cards = frame.cards
    given: dict[str, float] = {}
    for i in range(1, 1 + len(frame.header) // CARD):
        name = cards.get_text(f"ZNAME{i}")
        if name is None:
            break
        given.setdefault(name.upper(), cards.get_number(f"ZVAL{i}") or 0.0)
    names = {"BLOCKSIZE": "block_px", "BYTEPIX": "pixel_bytes", "SCALE": "hscale", "SMOOTH": "smooth"}
    return {field: int(given[name]) for name, field in names.items() if name in given}
