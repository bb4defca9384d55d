"""Cutouts in files as stdpipe has them: meta as keywords, an extension a plane; and what keywords cannot say.

The last extension, SNAPMETA, is a table of one row of bytes: JSON (:mod:`snapdb.formats.meta_json`) of
the meta and of the cutout's place, exact. Readers that do not know it find the keywords.
"""

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from snapdb.errors import CorruptFileError, FormatError, UsageError
from snapdb.formats.header import OF_STORAGE
from snapdb.formats.meta_json import from_json, to_json
from snapdb.formats.quiet import caught_warnings
from snapdb.formats.source import open_source

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, Header

META_NAME = "SNAPMETA"
"""EXTNAME of the table that holds what keywords cannot."""
STATE_CARD = "SDBCUT"
"""Keyword of a cutout's place and meta, as JSON, in files that :mod:`snapdb.formats.write` writes of it."""
_KEYS = {"sci": "image", "err": "err", "dq": "flags"}
"""EXTNAME that :mod:`snapdb.formats.write` gives -> key."""
_UNSAID = frozenset({"", "COMMENT", "HISTORY", "END", "CONTINUE", "DATE", "LONGSTRN", "SDBVERS"})
_TEXT = re.compile(r"[ -~]*")
_KEYWORD = re.compile(r"[ -<>-~]{1,60}")  # all of ASCII but the sign that ends a keyword
_LONGEST = 1000
"""Elements of an array that a keyword is made of; stdpipe's own keywords go no further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampFile:
    """What the file of a cutout holds."""

    planes: dict[str, Any]
    """Key -> array, in native byte order."""
    header: "Header | None"
    """Of the first plane, without what belongs to its storage."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What is said of the cutout."""
    state: dict[str, Any] | None = None
    """Its place and facts, where snapdb wrote the file."""


def write_stamp(
    out: BinaryIO,
    planes: Mapping[str, Any],
    header: "Header | None",
    meta: Mapping[str, Any],
    state: Mapping[str, Any] | None,
) -> None:
    """Write a cutout.

    Parameters
    ----------
    out : binary file
        Where the bytes go.
    planes : mapping
        Key -> array ``[y, x]``.
    header : astropy.io.fits.Header or None
        Of every plane.
    meta : mapping
        What is said of the cutout; see :mod:`snapdb.formats.meta_json` for what can be.
    state : mapping or None
        Its place and facts, where they are known.

    Raises
    ------
    UsageError
        If a value of `meta` cannot be kept, a plane is of a type that FITS has not, or two
        keys differ in their case alone.
    """
    from astropy.io import fits

    names = {key: key.upper() for key in planes}
    if len(set(names.values())) < len(names) or META_NAME in names.values():
        msg = f"planes {', '.join(planes)}: expected names that differ without case; {META_NAME} is taken"
        raise UsageError(msg)
    kept = {names[key]: {"key": key, "dtype": np.asarray(plane).dtype.str} for key, plane in planes.items()}
    text = to_json({"meta": meta, "state": state, "planes": kept})
    with caught_warnings():  # long keywords become HIERARCH cards, and astropy says so
        hdus: HDUList = fits.HDUList([fits.PrimaryHDU(header=_classic_header(meta))])
        own = fits.Header() if header is None else _without_storage(header)
        for key, plane in planes.items():
            hdus.append(fits.ImageHDU(_storable(key, np.asarray(plane)), header=own, name=names[key]))
        data = np.frombuffer(text.encode("ascii"), np.uint8)[None]
        column = fits.Column(name="JSON", format=f"{data.size}B", array=data)
        hdus.append(fits.BinTableHDU.from_columns([column], name=META_NAME))
        for hdu in hdus[1:]:  # not of the first: an older reader would take the sum for meta
            hdu.add_checksum()
        hdus.writeto(out, output_verify="silentfix+ignore")


def to_card_text(state: Mapping[str, Any]) -> str:
    """Write a mapping as JSON that a long card carries unharmed.

    Parameters
    ----------
    state : mapping
        As for :func:`snapdb.formats.meta_json.to_json`.

    Notes
    -----
    astropy misreads quotes in strings that go on in CONTINUE cards, and ``&`` ends such a card;
    JSON can write both as numbers.
    """
    return to_json(state).replace("'", "\\u0027").replace("&", "\\u0026")


def read_stamp(path: str | Path) -> StampFile:
    """Read a cutout that snapdb or stdpipe wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    CorruptFileError
        If it is damaged.
    UnknownFormatError, ObjectMissingError, StorageError
        As :func:`snapdb.formats.describe.describe`.
    """
    from astropy.io import fits

    _ = open_source(path).frames  # sizes that headers claim are checked before anything is allocated
    with caught_warnings():
        try:
            with fits.open(path, memmap=False) as hdus:
                return _take(hdus)
        except FormatError:
            raise
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as err:
            msg = f"{path} cannot be read as a cutout ({err})"
            raise CorruptFileError(msg, path=str(path)) from err


def _take(hdus: "HDUList") -> StampFile:
    """Read what the HDUs hold."""
    names = [hdu.name.upper() for hdu in hdus]
    said: dict[str, Any] = {}
    if META_NAME in names:
        said = from_json(bytes(hdus[names.index(META_NAME)].data["JSON"][0]).decode("ascii"))
    planes: dict[str, Any] = {}
    header = None
    for name, hdu in zip(names, hdus, strict=True):
        if not hdu.is_image or hdu.data is None:
            continue
        if header is None:
            header = _without_storage(hdu.header)
        known = said.get("planes", {}).get(name, {})
        key = known.get("key") or _KEYS.get(name.lower(), name.lower()) or "image"
        planes[key] = _native(hdu.data, known.get("dtype"), key)
    if said:
        return StampFile(planes=planes, header=header, meta=said["meta"], state=said["state"])
    text = header.pop(STATE_CARD, None) if header is not None else None
    if isinstance(text, str):
        state = from_json(text)
        return StampFile(planes=planes, header=header, meta=state.pop("meta", {}), state=state)
    return StampFile(planes=planes, header=header, meta=_classic_meta(hdus[0].header))


def _native(data: Any, dtype: str | None, key: str) -> Any:
    """Give pixels in native byte order, in the type that they had; a mask is of bools."""
    wanted = np.dtype(dtype) if dtype else np.dtype(bool) if key == "mask" else data.dtype
    if wanted.kind not in "biuf":
        msg = f"plane {key!r} is said to be of type {wanted}; expected numbers"
        raise CorruptFileError(msg, plane=key)
    return np.asarray(data).astype(wanted.newbyteorder("="), copy=False)


def _storable(key: str, plane: Any) -> Any:
    """Give pixels in a type that FITS has; bools as stdpipe writes them."""
    if plane.dtype.kind == "b":
        return plane.astype(np.uint16)
    if plane.dtype.kind not in "iuf":
        msg = f"plane {key!r} is of type {plane.dtype}; expected numbers that FITS has"
        raise UsageError(msg, plane=key, dtype=str(plane.dtype))
    if plane.dtype.kind == "f" and plane.dtype.itemsize not in (4, 8):
        return plane.astype(np.float32 if plane.dtype.itemsize < 4 else np.float64)
    return plane


def _without_storage(header: "Header") -> "Header":
    """Give a header without what says how its numbers are stored, and the name of its extension."""
    from astropy.io.fits import Header

    names = ("EXTNAME", "EXTVER", "EXTLEVEL")
    axes = re.compile(r"NAXIS[12]")
    kept = [
        c
        for c in header.cards
        if (not OF_STORAGE.match(c.keyword) or axes.fullmatch(c.keyword) or c.keyword.startswith("LT"))
        and c.keyword not in names
    ]
    return Header(kept)


def _classic_header(meta: Mapping[str, Any]) -> "Header":
    """Write meta as stdpipe's keywords, as far as keywords go; the first of two keys of one name stays.

    There is no LONGSTRN before long strings: stdpipe would read it as a key of meta.
    """
    from astropy.io.fits import Header

    header = Header()
    for key, value in meta.items():
        keyword = key.upper()
        if keyword in header or OF_STORAGE.match(keyword) or keyword in _UNSAID:
            continue
        text = _classic_value(value)
        if not _KEYWORD.fullmatch(keyword) or (isinstance(text, str) and not _TEXT.fullmatch(text)):
            continue
        try:
            header[keyword] = text
        except ValueError:  # a number that a card cannot hold, or a name: it is in the table
            continue
    return header


def _classic_value(value: Any) -> Any:
    """Give a value as stdpipe writes it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is np.ma.masked:
        return None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return (
            value if math.isfinite(value) else "NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf"
        )
    if isinstance(value, str):
        # An older reader would run it as Python.
        return value if not value.startswith("array(") else f" {value}"
    return _classic_object(value)


def _classic_object(value: Any) -> Any:
    """Give times as ISO text, arrays as the text of their elements, all else as its text."""
    from datetime import datetime

    from astropy.time import Time

    if isinstance(value, Time | datetime):
        time = Time(value)
        return time.to_value("fits") if time.isscalar else str(time.to_value("fits").tolist())
    if hasattr(value, "unit"):
        return str(value)[:_LONGEST]
    if isinstance(value, np.ndarray | list | tuple):
        return _array_text(value)
    return str(value)[:_LONGEST]


def _array_text(value: Any) -> str:
    """Give an array as an older reader can run it, where it can; else the text of its elements."""
    try:
        array = np.asarray(np.ma.getdata(value))
    except ValueError:  # lists of several lengths
        return str(value)[:_LONGEST]
    runs = array.dtype.kind in "biuf" and array.size <= _LONGEST and bool(np.isfinite(array).all())
    return f"array({array.tolist()})" if runs else str(array.ravel()[:_LONGEST].tolist())[:_LONGEST]


def _classic_meta(header: "Header") -> dict[str, Any]:
    """Read stdpipe's keywords."""
    from astropy.io.fits import Undefined

    meta: dict[str, Any] = {}
    for card in header.cards:
        if OF_STORAGE.match(card.keyword) or card.keyword in _UNSAID:
            continue
        value = None if isinstance(card.value, Undefined) else card.value
        meta[card.keyword.lower()] = _read_value(card.keyword, value)
    return meta


def _read_value(keyword: str, value: Any) -> Any:
    """Read one of stdpipe's values; nothing of it is ever run."""
    if not isinstance(value, str):
        return value
    if keyword == "TIME":
        from astropy.time import Time

        return Time(value)
    if value in ("NaN", "Inf", "-Inf"):
        return float(value)
    return parse_array(value) if value.startswith("array(") else value


def parse_array(text: str) -> Any:
    """Read the text of a numpy array, such as ``array([1., nan], dtype=float32)``, without running it.

    Parameters
    ----------
    text : str
        As ``repr`` gives it.

    Returns
    -------
    array or str
        The text itself where it is anything else.
    """
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or len(call.args) != 1:
            return text
        named = {k.arg: k.value for k in call.keywords}
        dtype = named.pop("dtype", None)
        if call.func.id != "array" or named:
            return text
        name = dtype.id if isinstance(dtype, ast.Name) else ast.literal_eval(dtype) if dtype else None
        found = np.array(_literal(call.args[0]), dtype=name)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text
    return found if found.dtype.kind in "biufcSU" else text


def _literal(node: ast.expr) -> Any:
    """Read numbers, text, nan and inf, in lists."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Name) and node.id in ("nan", "inf"):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal(node.operand)
    return ast.literal_eval(node)
