"""Planes as a FITS file that astropy, DS9 and snapdb itself read back."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.errors import ShapeError
from snapdb.formats.header import (
    announce_long_strings,
    drop_repeated,
    is_of_file,
    is_own_wcs_card,
    to_header,
)
from snapdb.formats.quiet import caught_warnings
from snapdb.types import PixelArray

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, Header

NAMES = {"data": "SCI", "noise": "ERR", "flags": "DQ"}
"""Plane -> EXTNAME; other planes are named as they are, in capitals."""
_OF_DATA = ("ZPT", "SKYLEVEL", "MAGZERO", "BUNIT", "DATAUNIT")
FLAGS_CARD = "SDBFLAGS"
"""Keyword of the flags' names and bits, as JSON."""
_NAME = re.compile(r"\w{1,40}", re.ASCII)
_INTEGERS = {"bool": "uint8"}


def to_hdulist(
    planes: Mapping[str, PixelArray],
    header: "Header | None" = None,
    *,
    flag_bits: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> "HDUList":
    """Make an HDUList of planes: a primary HDU with what is known, and one extension a plane.

    Parameters
    ----------
    planes : mapping
        Name -> array ``[y, x]``, all of one shape.
    header : astropy.io.fits.Header, optional
        The image's: its cards go into every extension, with the coordinates,
        and all but the coordinates into the primary HDU too.
    flag_bits : mapping, optional
        Name -> bit value; written to the flags as ``MP_name``, the bit's number, and
        as they are in :data:`FLAGS_CARD`.
    extra : mapping, optional
        Further cards of the primary HDU, such as provenance; a value may be a
        pair of value and comment.

    Returns
    -------
    astropy.io.fits.HDUList
        Extensions SCI, ERR, DQ for data, noise and flags.

    Raises
    ------
    ShapeError
        There is no plane, or they differ in shape or are not two-dimensional.
    """
    from astropy.io import fits

    shapes = {array.shape for array in planes.values()}
    if len(shapes) != 1 or any(len(shape) != 2 for shape in shapes):
        names = ", ".join(planes)
        msg = f"planes of shapes {sorted(shapes)}: expected one shape of two axes for all of {names}"
        raise ShapeError(msg)
    given = to_header("") if header is None else header
    hdus = [fits.PrimaryHDU(header=_primary_header(given, extra or {}))]
    for name, array in planes.items():
        own = _plane_header(given, name, flag_bits or {})
        hdus.append(fits.ImageHDU(_storable(array), header=own, name=NAMES.get(name, name.upper())))
    return fits.HDUList(hdus)


def write_fits(
    out: BinaryIO,
    planes: Mapping[str, PixelArray],
    header: "Header | None" = None,
    *,
    flag_bits: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write planes as a multi-extension FITS file with checksums.

    Parameters
    ----------
    out : binary file
        Where the bytes go; a temporary file or a buffer of the caller's.
    planes, header, flag_bits, extra
        As :func:`to_hdulist`.

    Raises
    ------
    ShapeError
        As :func:`to_hdulist`.
    """
    hdus = to_hdulist(planes, header, flag_bits=flag_bits, extra=extra)
    with caught_warnings():  # cards of the original that astropy shortens or mends
        hdus.writeto(out, checksum=True, output_verify="silentfix+ignore")


def to_fits_bytes(
    planes: Mapping[str, PixelArray],
    header: "Header | None" = None,
    *,
    flag_bits: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """Give the file of :func:`write_fits` as bytes.

    Raises
    ------
    ShapeError
        As :func:`to_hdulist`.
    """
    import io

    buffer = io.BytesIO()
    write_fits(buffer, planes, header, flag_bits=flag_bits, extra=extra)
    return buffer.getvalue()


def _primary_header(header: "Header", extra: Mapping[str, Any]) -> "Header":
    """Give the primary HDU what is no coordinates, and who wrote the file."""
    from astropy.io.fits import Header

    primary = drop_repeated(Header([c for c in header.cards if not _is_of_planes(c.keyword)]))
    for keyword in ("EXTNAME", "EXTVER", "EXTLEVEL"):
        primary.remove(keyword, ignore_missing=True, remove_all=True)
    primary["SDBVERS"] = (version("snapdb"), "Version of snapdb that wrote the file")
    for keyword, value in extra.items():
        primary[keyword] = value
    announce_long_strings(primary)
    return primary


def _plane_header(header: "Header", name: str, flag_bits: Mapping[str, int]) -> "Header":
    """Give an extension the image's header, with the units of its own plane."""
    own = drop_repeated(header)
    for keyword in {c.keyword for c in own.cards if _is_replaced(c.keyword)}:
        own.remove(keyword, ignore_missing=True, remove_all=True)
    for keyword in ("EXTNAME", "EXTVER", "EXTLEVEL"):
        own.remove(keyword, ignore_missing=True, remove_all=True)
    if name == "flags":
        for keyword in _OF_DATA:
            own.remove(keyword, ignore_missing=True, remove_all=True)
        _add_flags(own, flag_bits)
    announce_long_strings(own)
    return own


def _add_flags(header: "Header", flag_bits: Mapping[str, int]) -> None:
    """Write each bit's number, and once more all names as they are: keywords know capitals alone."""
    for flag, value in flag_bits.items():
        if _NAME.fullmatch(flag):
            header[f"HIERARCH MP_{flag}"] = int(value).bit_length() - 1
    header.remove(FLAGS_CARD, ignore_missing=True, remove_all=True)
    header[FLAGS_CARD] = json.dumps({flag: int(value) for flag, value in flag_bits.items()})


def _is_of_planes(keyword: str) -> bool:
    """Say whether a card belongs to the planes alone."""
    return is_of_file(keyword) or is_own_wcs_card(keyword) or keyword.startswith("MP_")


def _is_replaced(keyword: str) -> bool:
    """Say whether an extension says a thing for itself: how it is stored, and which bits its flags have."""
    if keyword.startswith("LT"):
        return False
    return is_of_file(keyword) or keyword.startswith("MP_")


def _storable(array: PixelArray) -> PixelArray:
    """Give an array in a type that FITS has."""
    kind = _INTEGERS.get(array.dtype.name)
    if kind is None and array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        kind = "float64" if array.dtype.itemsize > 8 else "float32"
    stored: PixelArray = np.ascontiguousarray(array if kind is None else array.astype(kind))
    return stored
