"""Wrapped files written anew so that boxes can be read: plain, or in tiles without any loss."""

import io
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from snapdb.errors import StorageError
from snapdb.formats.quiet import caught_warnings
from snapdb.formats.source import open_source
from snapdb.formats.unwrap import open_unwrapped

if TYPE_CHECKING:
    from astropy.io.fits import Header

Packing = Literal["fits", "rice"]
"""``fits``: the unwrapped bytes. ``rice``: RICE tiles for integers of up to 32 bits, GZIP_2 for all else."""
_CHUNK = 2**20
_TILE = 100
"""Edge of a tile: boxes come several times faster than from tiles of a row each."""
_CHANGED = ("BSCALE", "BZERO", "EXTNAME")
"""Cards that astropy drops from an image in tiles, or makes itself."""
_OF_STORAGE = {"SIMPLE", "XTENSION", "EXTEND", "PCOUNT", "GCOUNT", "CHECKSUM", "DATASUM"}
"""Cards that say how an HDU is stored; those of an image in tiles are others."""
_AS_STORED: dict[str, Any] = {"do_not_scale_image_data": True, "memmap": False}


def name_copy(name: str) -> str:
    """Give the name of the copy of a wrapped file, such as ``a.fits`` for ``a.fits.gz``.

    Tiles are no reason for another suffix: header maps tell files of noise and flags by their names.
    """
    stem = Path(name)
    if stem.suffix.lower() in (".gz", ".bz2"):
        stem = stem.with_suffix("")
    return stem.name if stem.suffix.lower() in (".fits", ".fit", ".fts", ".fz") else f"{stem.name}.fits"


def write_copy(path: Path, out: BinaryIO, packing: Packing) -> None:
    """Write the content of a wrapped FITS file, and see that what was written is the same.

    Parameters
    ----------
    path : Path
        The wrapped file; only read.
    out : binary file
        A new file on the disk, open for writing, with a name.
    packing : str
        ``fits`` or ``rice``.

    Raises
    ------
    CorruptFileError, UnknownFormatError
        The original is damaged, cut short, too large or no FITS file.
    StorageError
        What was written differs from the original.
    ObjectMissingError
        There is no such file.
    """
    open_source(path)
    if packing == "fits":
        _write_plain(path, out)
        return
    # Beside the copy, where there is room for it: astropy reads a plain file many times faster.
    plain = Path(out.name).with_suffix(".plain")
    try:
        with plain.open("wb") as stream:
            _write_plain(path, stream)
        with caught_warnings():
            _write_tiled(plain, out)
            out.flush()
            _compare(plain, Path(out.name), str(path))
    finally:
        plain.unlink(missing_ok=True)


def _write_plain(path: Path, out: BinaryIO) -> None:
    """Write the unwrapped bytes, and read them back."""
    written, size = 0, 0
    with open_unwrapped(path) as stream:
        while part := stream.read(_CHUNK):
            out.write(part)
            written, size = zlib.crc32(part, written), size + len(part)
    out.flush()
    found = 0
    with Path(out.name).open("rb") as copy:
        while part := copy.read(_CHUNK):
            found, size = zlib.crc32(part, found), size - len(part)
    if found != written or size:
        _refuse(str(path), "the bytes")


def _write_tiled(plain: Path, out: BinaryIO) -> None:
    """Write every image in tiles, and everything else as it is."""
    from astropy.io import fits

    hdus: list[Any] = []
    with fits.open(plain, disable_image_compression=True, **_AS_STORED) as source:
        for hdu in source:
            is_image = hdu.is_image and hdu.data is not None and hdu.data.size
            if not hdus and is_image:
                hdus.append(fits.PrimaryHDU())
            hdus.append(_to_tiles(hdu) if is_image else hdu)
        buffer = io.BytesIO()  # astropy seeks in what it writes to
        fits.HDUList(hdus).writeto(buffer, checksum=True, output_verify="ignore")
    buffer.seek(0)
    shutil.copyfileobj(buffer, out, _CHUNK)


def _to_tiles(hdu: Any) -> Any:
    """Give an image in tiles: stored numbers as they are, header and scaling kept."""
    from astropy.io import fits

    is_short = hdu.data.dtype.kind in "iu" and hdu.data.dtype.itemsize <= 4
    header = hdu.header.copy()
    tiles = fits.CompImageHDU(
        hdu.data,
        header,
        compression_type="RICE_1" if is_short else "GZIP_2",
        tile_shape=(*(1,) * (hdu.data.ndim - 2), *(min(n, _TILE) for n in hdu.data.shape[-2:])),
        quantize_level=0,
        do_not_scale_image_data=True,
        uint=False,
    )
    for name in _CHANGED:
        if name in hdu.header:
            tiles.header[name] = (hdu.header[name], hdu.header.comments[name])
        else:
            tiles.header.remove(name, ignore_missing=True)
    return tiles


def _compare(plain: Path, copy: Path, where: str) -> None:
    """See that a file in tiles holds the images of a plain one, bit for bit, with their headers."""
    from astropy.io import fits

    with fits.open(plain, **_AS_STORED) as one, fits.open(copy, **_AS_STORED) as other:
        shift = len(other) - len(one)  # an image of the primary HDU has moved to the first extension
        if shift not in (0, 1):
            _refuse(where, "the number of HDUs")
        for n, hdu in enumerate(one):
            if missing := _find_difference(hdu.header, other[n + shift].header):
                _refuse(where, f"card {missing} of HDU {n}")
            if hdu.data is not None and not _same_bits(hdu.data, other[n + shift].data):
                _refuse(where, f"{'pixels' if hdu.is_image else 'the table'} of HDU {n}")


def _find_difference(one: "Header", other: "Header") -> str | None:
    """Name the first card that another header does not have."""
    for card in one.cards:
        name = card.keyword
        if name in _OF_STORAGE or not name:
            continue
        if name in ("HISTORY", "COMMENT"):
            if list(one[name]) != list(other.get(name, ())):
                return str(name)
        elif name not in other or other[name] != card.value:
            return str(name)
    return None


def _same_bits(one: Any, other: Any) -> bool:
    """Compare stored numbers, those of images whatever their byte order."""
    if one.dtype.names is not None:
        return other is not None and bool(one.tobytes() == other.tobytes())
    native = one.dtype.newbyteorder("=")
    return (
        other is not None
        and one.shape == other.shape
        and other.dtype.newbyteorder("=") == native
        and one.astype(native, copy=False).tobytes() == other.astype(native, copy=False).tobytes()
    )


def _refuse(where: str, what: str) -> None:
    msg = f"{where}: {what} would not be the same when repacked; ingest the file as it is"
    raise StorageError(msg, path=where)
