"""The zero point of an image: the AB magnitude of one unit of its data."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snapdb.formats.lookup import Lookup

_UNITS = (
    (re.compile(r"^\s*(nanomagg(y|ies)|nmgy)\s*$", re.IGNORECASE), 22.5),
    (re.compile(r"^\s*nJy(/pix(el)?)?\s*$"), 31.4),
    (re.compile(r"^\s*(uJy|microJy|microJansky)(/pix(el)?)?\s*$"), 23.9),
    (re.compile(r"^\s*mJy(/pix(el)?)?\s*$"), 16.4),
    (re.compile(r"^\s*Jy(/pix(el)?)?\s*$"), 8.9),
)
"""AB magnitude of one unit of flux (Oke & Gunn 1983: 0 mag is 3631 Jy; nanomaggies: SDSS)."""
_SURFACE = re.compile(r"^\s*([MkmunG]?)Jy\s*(?:/\s*sr|[\s.*]\s*sr\s*(?:\^|\*\*)?\s*\(?-1\)?)\s*$")
"""Units are case sensitive: MJy and mJy differ by 22.5 mag."""
_PREFIXES = {"G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_LEAST, _GREATEST = -60.0, 90.0


@dataclass(slots=True, kw_only=True)
class Photometry:
    """What the rules of a map made of an image's header."""

    zeropoint: float | None = None
    properties: dict[str, float] = field(default_factory=dict)
    """``zeropoint_vega`` and what else was said, but is no AB magnitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the rules may use."""

    band: str | None
    exptime: float | None
    is_rate: bool
    pixel_scale: float | None
    """Arcseconds."""


def find_zeropoint(lookup: Lookup, rules: Sequence[Mapping[str, Any]], known: Known) -> Photometry:
    """Find the zero point by the first rule that gives one.

    Parameters
    ----------
    lookup : Lookup
        The headers; takes up findings and warnings.
    rules : sequence of mapping
        Of the map, in order.
    known : Known
        Band, exposure time, unit and scale.

    Returns
    -------
    Photometry
        ``zeropoint`` is None where no rule gives an AB magnitude.
    """
    result = Photometry()
    for rule in rules:
        if not lookup.holds(rule.get("when")) or (rule.get("unless_rate") and known.is_rate):
            continue
        found = _RULES[rule.get("rule", "keyword")](lookup, rule, known, result)
        if found is None:
            continue
        value, where = found
        if "warn" in rule:
            lookup.warn(rule["warn"])
        exact = rule.get("rule") == "exact"
        result.zeropoint = lookup.found("zeropoint", value if exact else round(value, 9), where)
        return result
    return result


_Answer = tuple[float, str] | None


def _by_keyword(lookup: Lookup, rule: Mapping[str, Any], known: Known, result: Photometry) -> _Answer:
    value, where = lookup.get_number(rule["card"])
    if value is None or value == 0.0 or not _LEAST < value < _GREATEST:
        return None
    shifted = _with_exptime(lookup, value, rule, known, where)
    if shifted is None:
        return None
    value, where = shifted
    system = rule.get("system", "said")
    if system == "said":
        system = _said_system(lookup, rule["card"])
    if system == "AB":
        return value, where
    if system == "Vega":
        return _from_vega(lookup, value, where, rule, known, result)
    result.properties["zeropoint_of_unknown_system"] = value
    lookup.warn(f"{where} = {value:g} does not say whether it is AB or Vega; the zero point is left open")
    return None


def _with_exptime(lookup: Lookup, value: float, rule: Mapping[str, Any], known: Known, where: str) -> _Answer:
    """Add the rule's share of 2.5 log10(exptime)."""
    share = float(rule.get("exptime", 0))
    if share == 0.0:
        return value, where
    if not known.exptime:
        lookup.warn(f"{where} is for another unit of time, and there is no exposure time to convert it")
        return None
    return value + share * 2.5 * math.log10(known.exptime), f"{where} {share:+g} x 2.5 log10(exptime)"


def _said_system(lookup: Lookup, card: str) -> str | None:
    for key in ("MAGSYS", "PHOTSYS", "ZPSYS", "ZPTSYS", "PHOTREF"):
        text = str(lookup.get(key)[0] or "").upper()
        if text.startswith(("AB", "VEGA")):
            return "AB" if text.startswith("AB") else "Vega"
    comment = lookup.get_comment(card)
    if re.search(r"\bAB\b", comment):
        return "AB"
    return "Vega" if re.search(r"\bvega\b", comment, re.IGNORECASE) else None


def _from_vega(
    lookup: Lookup, value: float, where: str, rule: Mapping[str, Any], known: Known, result: Photometry
) -> _Answer:
    result.properties.setdefault("zeropoint_vega", value)
    offset = rule.get("ab_offset", {}).get(known.band or "")
    if offset is None:
        lookup.warn(f"{where} is a Vega magnitude; without the band's offset the AB zero point is left open")
        return None
    return value + float(offset), f"{where} (Vega) {float(offset):+g} mag to AB"


def _by_constant(_lookup: Lookup, rule: Mapping[str, Any], known: Known, _result: Photometry) -> _Answer:
    values = rule["value"]
    value = values.get(known.band or "") if isinstance(values, Mapping) else values
    return None if value is None else (float(value), "fixed by the map")


def _by_photflam(lookup: Lookup, rule: Mapping[str, Any], known: Known, _result: Photometry) -> _Answer:
    """Compute -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408 (STScI, ACS Data Handbook 5.1.1)."""
    flam, where = lookup.get_number("PHOTFLAM")
    pivot, _ = lookup.get_number("PHOTPLAM")
    if not flam or flam <= 0.0:
        return None
    if not pivot or pivot <= 0.0:
        lookup.warn("PHOTFLAM without PHOTPLAM: the AB zero point is left open")
        return None
    value = -2.5 * math.log10(flam) - 5.0 * math.log10(pivot) - 2.408
    if known.is_rate:
        return value, f"{where} and PHOTPLAM"
    return _with_exptime(lookup, value, {"exptime": 1, **rule}, known, f"{where} and PHOTPLAM")


def _by_fluxmag0(lookup: Lookup, rule: Mapping[str, Any], _known: Known, _result: Photometry) -> _Answer:
    flux, where = lookup.get_number(rule.get("card", "FLUXMAG0"))
    return (2.5 * math.log10(flux), where) if flux is not None and flux > 0.0 else None


def _by_surface(lookup: Lookup, rule: Mapping[str, Any], known: Known, _result: Photometry) -> _Answer:
    """Convert MJy/sr with the pixel's area: one unit is 1e6 * area Jy; a card may say the MJy/sr."""
    if "card" in rule:
        return _by_conversion(lookup, rule, known)
    unit, where = lookup.get("BUNIT")
    match = _SURFACE.match(str(unit or ""))
    if match is None or not known.pixel_scale:
        return None
    area = math.radians(known.pixel_scale / 3600.0) ** 2
    jansky = _PREFIXES[match.group(1)] * area
    return 8.9 - 2.5 * math.log10(jansky), f"{where} = {str(unit).strip()} and the pixel's area"


def _by_conversion(lookup: Lookup, rule: Mapping[str, Any], known: Known) -> _Answer:
    """Convert units whose worth in MJy/sr a card gives, another one the pixel's area in sr."""
    factor, where = lookup.get_number(rule["card"])
    area, of_area = lookup.get_number(rule.get("area", ""))
    if not area or area <= 0.0:
        area, of_area = math.radians((known.pixel_scale or 0.0) / 3600.0) ** 2, "the pixel's area"
    if factor is None or factor <= 0.0 or area <= 0.0:
        return None
    return 8.9 - 2.5 * math.log10(1e6 * factor * area), f"{where} and {of_area}"


def _by_unit(lookup: Lookup, _rule: Mapping[str, Any], _known: Known, _result: Photometry) -> _Answer:
    unit, where = lookup.get("BUNIT")
    for pattern, value in _UNITS:
        if unit is not None and pattern.match(str(unit)):
            return value, f"{where} = {str(unit).strip()}"
    return None


def _as_unknown(lookup: Lookup, rule: Mapping[str, Any], _known: Known, result: Photometry) -> _Answer:
    value, where = lookup.get_number(rule["card"])
    if value is not None and value != 0.0 and _LEAST < value < _GREATEST:
        result.properties["zeropoint_as_stated"] = value
        lookup.warn(rule.get("warn", f"{where} = {value:g} is kept, but is no AB zero point"))
    return None


def _as_note(lookup: Lookup, rule: Mapping[str, Any], _known: Known, _result: Photometry) -> _Answer:
    if lookup.get(rule["card"])[0] is not None:
        lookup.warn(rule["warn"])
    return None


def _as_written(lookup: Lookup, rule: Mapping[str, Any], _known: Known, _result: Photometry) -> _Answer:
    """Take a card of snapdb's own at its word, 0 too."""
    value, where = lookup.get_number(rule["card"])
    return None if value is None else (value, where)


_RULES = {
    "exact": _as_written,
    "keyword": _by_keyword,
    "constant": _by_constant,
    "photflam": _by_photflam,
    "fluxmag0": _by_fluxmag0,
    "surface": _by_surface,
    "unit": _by_unit,
    "unknown": _as_unknown,
    "note": _as_note,
}
