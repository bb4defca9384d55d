"""The byte index of a FITS file: a bounded walk over its headers that builds no HDU.

Only structural cards are read, and every size that a header claims is held
against the bytes that there are before anything is allocated (FITS Standard
4.0, sections 3 to 4.4 and 7.3; tile compression: section 10).
"""

from dataclasses import replace
from typing import BinaryIO

from snapdb.errors import CorruptFileError, UnknownFormatError
from snapdb.formats.cards import CARD, parse_value
from snapdb.formats.frame import HduFrame
from snapdb.formats.sniff import name_content

BLOCK = 2880
"""Bytes of one FITS block."""
MAX_HEADER_BYTES = 64 * 2**20
"""The longest header that is walked; the longest known real ones have some 10 MB."""
MAX_AXES = 999
"""The greatest NAXIS that the standard allows."""
MAX_HDUS = 100_000
"""The most HDUs that one file may have."""
MAX_TABLE_BYTES = 64 * 2**20
"""The longest table of tiles that is kept: a row a tile, some 32 bytes each."""
MAX_TABLES_BYTES = 256 * 2**20
"""The most bytes of such tables that are kept of one file."""
_CHUNK = 8 * 2**20
_BITPIX = (8, 16, 32, 64, -32, -64)
_STRUCTURE = (
    b"SIMPLE  ", b"XTENSION", b"BITPIX  ", b"PCOUNT  ", b"GCOUNT  ", b"GROUPS  ", b"ZIMAGE  ",
)  # fmt: skip


def scan_fits(stream: BinaryIO, size: int | None, *, name: str = "file") -> list[HduFrame]:
    """Index every HDU of a FITS file.

    Parameters
    ----------
    stream : binary file
        Positioned at the first byte; unwrapped, seekable forward.
    size : int or None
        Bytes that the file has; None where a compressed stream does not say,
        which is then read through to its end.
    name : str
        What errors call the file.

    Returns
    -------
    list of HduFrame
        In the order of the file. Bytes behind the last HDU that are no HDU
        are left alone, as the standard allows.

    Raises
    ------
    UnknownFormatError
        The file does not begin as FITS; the message names what it seems to be.
    CorruptFileError
        A header without END, or one that claims more than the file holds.
    """
    frames: list[HduFrame] = []
    offset = 0
    budget = MAX_TABLES_BYTES
    while len(frames) < MAX_HDUS:
        header = _read_header(stream, len(frames), name)
        if header is None:
            break
        begin = offset + _padded(len(header) + CARD)
        frame = _make_frame(header, len(frames), offset, begin, name)
        _check_extent(frame, size, name)
        frame = _with_rows(stream, frame, budget)
        budget -= len(frame.rows)
        reached = _skip_data(stream, frame, size, name)
        frames.append(frame)
        offset = begin + _padded(frame.data_size)
        if not reached:
            break
    return frames


def read_frame(stream: BinaryIO, index: int, offset: int, *, name: str = "file") -> HduFrame:
    """Read one HDU's frame, with the rows of its table where it is a compressed image.

    Parameters
    ----------
    stream : binary file
        Positioned at the header of an extension.
    index : int
        Of the HDU.
    offset : int
        Byte at which the header begins.
    name : str
        What errors call the file.

    Raises
    ------
    CorruptFileError
        There is no header of an extension, or it makes no sense.
    """
    header = _read_header(stream, index, name)
    if header is None:
        msg = f"{name}: HDU {index} does not begin at byte {offset}, where it was registered"
        raise CorruptFileError(msg, path=name, hdu=index)
    padding = _padded(len(header) + CARD)
    frame = _make_frame(header, index, offset, offset + padding, name)
    return _with_rows(stream, frame, MAX_TABLE_BYTES)


def _with_rows(stream: BinaryIO, frame: HduFrame, budget: int) -> HduFrame:
    """Add the rows of a compressed image's table; the stream is then behind them."""
    size = frame.table[0] * frame.table[1] if frame.table is not None else 0
    return replace(frame, rows=stream.read(size)) if 0 < size <= min(MAX_TABLE_BYTES, budget) else frame


def _read_header(stream: BinaryIO, index: int, name: str) -> bytes | None:
    """Read one header up to END; None behind the last HDU."""
    header = bytearray()
    while len(header) <= MAX_HEADER_BYTES:
        block = stream.read(BLOCK)
        if not header and not _begins_hdu(block, index, name):
            return None
        end = _find_end(block)
        if end >= 0:
            return bytes(header + block[:end])
        header += block
        if len(block) < BLOCK:
            msg = f"{name}: the header of HDU {index} has no END card before the file ends"
            raise CorruptFileError(msg, path=name, hdu=index)
    msg = f"{name}: the header of HDU {index} is longer than {MAX_HEADER_BYTES} bytes; it has no END card"
    raise CorruptFileError(msg, path=name, hdu=index)


def _begins_hdu(block: bytes, index: int, name: str) -> bool:
    """Say whether a block begins an HDU; the first must."""
    if index:
        return block.startswith(b"XTENSION")
    if block[:9].rstrip() == b"SIMPLE  =" or block.startswith(b"XTENSION="):
        return True
    what = name_content(block)
    msg = f"{name}: not a FITS file, but {what}; FITS begins with SIMPLE ="
    raise UnknownFormatError(msg, path=name, found=what)


def _find_end(block: bytes) -> int:
    for i in range(0, len(block) - 2, CARD):
        if block[i : i + 8].rstrip() == b"END":
            return i
    return -1


def _structure(header: bytes) -> dict[str, object]:
    """Collect the structural cards; the first of a repeated one counts."""
    found: dict[str, object] = {}
    for i in range(0, len(header), CARD):
        key = header[i : i + 8]
        if key in _STRUCTURE or key.startswith((b"NAXIS", b"ZNAXIS", b"ZTILE", b"ZBITPIX", b"ZCMPTYPE")):
            if header[i + 8 : i + 9] != b"=":
                continue
            text = header[i + 9 : i + CARD].decode("ascii", errors="replace")
            found.setdefault(key.decode().strip(), parse_value(text))
    return found


def _make_frame(header: bytes, index: int, offset: int, begin: int, name: str) -> HduFrame:
    """Turn one header into a frame, its claims checked for sense."""
    found = _structure(header)
    where = f"{name}: HDU {index}"
    bitpix = _whole(found, "BITPIX", where)
    axes = _axes(found, "NAXIS", where)
    pcount = _whole(found, "PCOUNT", where, default=0)
    gcount = _whole(found, "GCOUNT", where, default=1)
    if bitpix not in _BITPIX or pcount < 0 or gcount < 0:
        msg = f"{where}: BITPIX = {bitpix}, PCOUNT = {pcount}, GCOUNT = {gcount} cannot be"
        raise CorruptFileError(msg, path=name, hdu=index)
    groups = found.get("GROUPS") is True and bool(axes) and axes[0] == 0
    size = abs(bitpix) // 8 * gcount * (pcount + _product(axes[1:] if groups else axes))
    extension = str(found.get("XTENSION", "IMAGE")).strip()
    kind = "groups" if groups else "image" if extension in ("IMAGE", "IUEIMAGE") else "table"
    tiled = kind == "table" and found.get("ZIMAGE") is True
    inner = _axes(found, "ZNAXIS", where) if tiled else axes
    return HduFrame(
        index=index,
        kind="image" if tiled else kind,
        header_offset=offset,
        header=header,
        data_offset=begin,
        data_size=size,
        axes=inner,
        bitpix=_whole(found, "ZBITPIX", where) if tiled else bitpix,
        compression=str(found.get("ZCMPTYPE", "")).strip() if tiled else None,
        tile_shape=_tiles(found, inner) if tiled else None,
        table=(axes[0], axes[1]) if tiled and len(axes) == 2 else None,
    )


def _axes(found: dict[str, object], key: str, where: str) -> tuple[int, ...]:
    count = _whole(found, key, where)
    if not 0 <= count <= MAX_AXES:
        msg = f"{where}: {key} = {count}, expected 0 to {MAX_AXES}"
        raise CorruptFileError(msg)
    axes = tuple(_whole(found, f"{key}{i}", where) for i in range(1, count + 1))
    if any(n < 0 for n in axes):
        msg = f"{where}: a negative axis among {axes}"
        raise CorruptFileError(msg)
    return axes


def _tiles(found: dict[str, object], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Give the tile's axes; rows where they are not said (FITS Standard 10.1.1)."""
    said = [found.get(f"ZTILE{i}") for i in range(1, len(axes) + 1)]
    default = (*axes[:1], *(1 for _ in axes[1:]))
    return tuple(n if isinstance(n, int) and n > 0 else d for n, d in zip(said, default, strict=True))


def _whole(found: dict[str, object], key: str, where: str, default: int | None = None) -> int:
    value = found.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{where}: {key} = {value!r}, expected a whole number"
        raise CorruptFileError(msg, keyword=key)
    return value


def _product(axes: tuple[int, ...]) -> int:
    total = 1 if axes else 0
    for n in axes:
        total *= n
    return total


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _check_extent(frame: HduFrame, size: int | None, name: str) -> None:
    """Hold what a header claims against the bytes that there are."""
    if size is None or frame.data_offset + frame.data_size <= size:
        return
    _refuse_short(frame, max(size - frame.data_offset, 0), name)


def _refuse_short(frame: HduFrame, actual: int, name: str) -> None:
    msg = (
        f"{name}: HDU {frame.index} claims {frame.data_size} bytes of data, the file holds {actual} of them; "
        "it is truncated or its header is wrong"
    )
    raise CorruptFileError(msg, path=name, hdu=frame.index, claimed=frame.data_size, actual=actual)


def _skip_data(stream: BinaryIO, frame: HduFrame, size: int | None, name: str) -> bool:
    """Go to the next header; False at the end of the file."""
    padded = _padded(frame.data_size)
    if size is not None:
        stream.seek(frame.data_offset + padded)
        return frame.data_offset + padded < size
    left = padded - len(frame.rows)
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            break
        left -= len(chunk)
    if padded - left < frame.data_size:
        _refuse_short(frame, padded - left, name)
    return not left
