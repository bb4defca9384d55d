"""The few facts of a mended header that a tangent projection is made of, read without astropy."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

from snapdb.errors import ProjectionError
from snapdb.sky.frames import Frame, read_frame

_KNOWN = re.compile(
    r"(?:WCSAXES|NAXIS[12]?|(?:CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[12]|(?:CD|PC)[12]_[12]"
    r"|PV[12]_\d\d?|LONPOLE|LATPOLE|RADESYS|EQUINOX|MJD-OBS|DATE-OBS|(?:A|B|AP|BP)_(?:ORDER|\d_\d))"
)
_LONGITUDES = ("RA--", "GLON", "ELON", "SLON")
_LATITUDES = ("DEC-", "GLAT", "ELAT", "SLAT")
_KINDS = {"-TAN": "TAN", "-TAN-SIP": "SIP", "-TPV": "TPV"}
_CD = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
_NAME_COLUMNS = 8
_TURNED = frozenset({"icrs", "fk5", "galactic", "supergalactic", "ecliptic"})


@dataclass(frozen=True, slots=True)
class TangentCards:
    """What a header says of a tangent projection."""

    kind: str
    """``TAN``, ``SIP`` or ``TPV``."""
    frame: Frame
    """One that differs from ICRS by a rotation."""
    lon: float
    """Of the reference point, degrees, in the frame."""
    lat: float
    """Of the reference point, degrees, in the frame."""
    lonpole: float
    """Native longitude of the frame's pole, degrees."""
    crpix: tuple[float, float]
    """1-based pixel of the reference point."""
    matrix: tuple[float, float, float, float]
    """From pixels to degrees east, degrees north: rows one after the other."""
    values: dict[str, str]
    """All cards, as text; numbers as they are written."""


def read_cards(text: str) -> TangentCards | None:
    """Read the cards of a mended header.

    Parameters
    ----------
    text : str
        80-character cards with newlines between them, as ``wcs_text`` gives them.

    Returns
    -------
    TangentCards or None
        None where the cards say anything that is not a tangent projection, plain or with
        SIP or TPV polynomials, in degrees and in a frame that is a rotation from ICRS.
    """
    try:
        values = _split_at_once(text) or _split(text)
        return None if values is None else _read(values)
    except (ValueError, ProjectionError):
        return None


def _split_at_once(text: str) -> dict[str, str] | None:
    """Give what :func:`_split` gives, in half the time; None where a card is in any way unusual."""
    parts = text.replace("\n", "= ").split("= ")
    names = _strip_names(tuple(parts[::2]))
    if names is None or len(parts) != 2 * len(names):
        return None
    values = [_read_value(part) if "'" in part else part.partition("/")[0] for part in parts[1::2]]
    return dict(zip(names, values, strict=True))


@lru_cache(maxsize=256)
def _strip_names(columns: tuple[str, ...]) -> tuple[str, ...] | None:
    """Give the keywords in the first columns of cards; None where one is not known, or is there twice."""
    names = tuple(column.rstrip() for column in columns)
    known = all(len(column) == _NAME_COLUMNS for column in columns) and all(map(_is_known, names))
    return names if known and len(set(names)) == len(names) else None


def _read_value(text: str) -> str:
    """Take a value without its quotes and its comment; ValueError where the last quote is missing."""
    text = text.lstrip()
    return text[1 : text.index("'", 1)] if text[:1] == "'" else text.partition("/")[0].rstrip()


def _split(text: str) -> dict[str, str] | None:
    """Give the values of the cards by keyword; None where one is not known, or has two values."""
    values: dict[str, str] = {}
    for card in text.split("\n"):
        name, value = card[:8].rstrip(), card[10:].lstrip()
        if not name and not value:
            continue
        if not _is_known(name) or card[8:10] != "= ":
            return None
        value = _read_value(value)
        if values.setdefault(name, value) != value:
            return None
    return values


@lru_cache(maxsize=4096)
def _is_known(name: str) -> bool:
    """Say whether a keyword is one whose meaning is known here."""
    return _KNOWN.fullmatch(name) is not None


def number(values: dict[str, str], name: str, default: float) -> float:
    """Give the number on a card; ValueError where it holds none that is finite."""
    text = values.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float(text.upper().replace("D", "E"))
    if not math.isfinite(value):
        msg = f"{name} = {text}: expected a finite number"
        raise ValueError(msg)
    return value


def numbers(values: dict[str, str], names: Sequence[str]) -> list[float]:
    """Give the numbers on cards, 0 where there is none; ValueError as :func:`number`."""
    try:
        found = list(map(float, map(values.get, names, repeat(0.0))))
    except ValueError:
        found = [math.nan]
    if all(map(math.isfinite, found)):
        return found
    return [number(values, name, 0.0) for name in names]


def _read(values: dict[str, str]) -> TangentCards | None:
    """Read the cards, in the order of the axes."""
    first, second = values.get("CTYPE1", "").strip(), values.get("CTYPE2", "").strip()
    kind = _KINDS.get(first[4:])
    swapped = first[:4] in _LATITUDES
    if swapped:
        first, second = second, first
    known = first[:4] in _LONGITUDES and second[:4] == _LATITUDES[_LONGITUDES.index(first[:4])]
    if kind is None or not known or first[4:] != second[4:] or (swapped and kind == "TPV"):
        return None
    if not _is_plain(values, kind):
        return None
    frame = read_frame(first, values.get("RADESYS", "").strip().upper(), _equinox(values))
    lon, lat, x, y = numbers(values, ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"))
    c11, c12, c21, c22 = _matrix(values, lat_axis=1 if swapped else 2)
    if swapped:
        lon, lat, c11, c12, c21, c22 = lat, lon, c21, c22, c11, c12
    # The default of Calabretta and Greisen 2002, section 2.4, for a fiducial point at native latitude 90.
    lonpole = number(values, "LONPOLE", 180.0 if lat < 90.0 else 0.0)
    if frame.name not in _TURNED or abs(lat) > 90.0 or abs(lonpole) > 360.0 or c11 * c22 == c12 * c21:
        return None
    return TangentCards(
        kind=kind,
        frame=frame,
        lon=lon % 360.0,
        lat=lat,
        lonpole=lonpole,
        crpix=(x, y),
        matrix=(c11, c12, c21, c22),
        values=values,
    )


def _is_plain(values: dict[str, str], kind: str) -> bool:
    """Say whether degrees are meant, and only polynomials of the kind are there."""
    if values.get("CUNIT1", "deg").strip() != "deg" or values.get("CUNIT2", "deg").strip() != "deg":
        return False
    # wcslib applies TPV before CDELT, the convention after it.
    if kind == "TPV" and any(number(values, name, 1.0) != 1.0 for name in ("CDELT1", "CDELT2")):
        return False
    polynomials = {"TPV": "PV", "SIP": "AB"}.get(kind, "")
    return _has_no_more(tuple(values), polynomials)


@lru_cache(maxsize=1024)
def _has_no_more(names: tuple[str, ...], polynomials: str) -> bool:
    """Say whether no cards are there of other polynomials than those that begin with some letters."""
    # PV of a plain TAN moves its reference point or its pole; all other cards begin otherwise.
    return all(name[0] in polynomials or name[0] not in "ABP" or name[:2] == "PC" for name in names)


def _equinox(values: dict[str, str]) -> float | None:
    """Give the equinox, years, where there is one."""
    return number(values, "EQUINOX", 0.0) if "EQUINOX" in values else None


def _matrix(values: dict[str, str], *, lat_axis: int) -> tuple[float, float, float, float]:
    """Give the linear transform, from CD, from PC and CDELT, or from CROTA and CDELT."""
    if not values.keys().isdisjoint(_CD):
        c11, c12, c21, c22 = numbers(values, _CD)
        return c11, c12, c21, c22
    s1, s2 = number(values, "CDELT1", 1.0), number(values, "CDELT2", 1.0)
    if any(name in values for name in ("PC1_1", "PC1_2", "PC2_1", "PC2_2")):
        p11, p22 = number(values, "PC1_1", 1.0), number(values, "PC2_2", 1.0)
        p12, p21 = number(values, "PC1_2", 0.0), number(values, "PC2_1", 0.0)
        return s1 * p11, s1 * p12, s2 * p21, s2 * p22
    # Calabretta and Greisen 2002, equation 189, for CROTA of the latitude axis; the other's is not used.
    angle = math.radians(number(values, f"CROTA{lat_axis}", 0.0))
    sin, cos = math.sin(angle), math.cos(angle)
    if lat_axis == 1:
        sin = -sin
    return s1 * cos, -s2 * sin, s1 * sin, s2 * cos
