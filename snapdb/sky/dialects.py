"""Headers as they are found in the wild, mended so that astropy reads what was meant.

Only the cards of the primary WCS are kept. Each rule is a small function that changes the
header and says what it did where a reader should know.
"""

import math
import re
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

from snapdb.errors import ProjectionError

_KEYWORDS = re.compile(
    r"WCSAXES|NAXIS\d?|CTYPE\d|CUNIT\d|CRVAL\d|CRPIX\d|CDELT\d|CROTA\d|CD\d_\d|PC\d_\d|PC00\d00\d|CD00\d00\d"
    r"|PV\d_\d+|PS\d_\d+|PROJP\d|LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX|EPOCH|MJD-OBS|DATE-OBS"
    r"|(A|B|AP|BP)_ORDER|(A|B|AP|BP)_\d+_\d+|(CPDIS|CPERR|D2IMDIS|D2IMERR|CQDIS|CQERR)\d"
    r"|(DP|DQ|D2IM)\d(\..*)?|AXISCORR|D2IMEXT"
    r"|WAT[12]_\d{3}|AMD[XY]\d{1,2}|PLT(RA[HMS]|DEC(SN|[DMS])|SCALE)|CNPIX[12]|[XY]PIXELSZ|PPO\d"
)
_PLATE = r"AMD[XY]\d{1,2}|PLT(RA[HMS]|DEC(SN|[DMS])|SCALE)|CNPIX[12]|[XY]PIXELSZ|PPO\d"
_NUMBERS = re.compile(
    r"(CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC)\d_\d|PV\d_\d+|LONPOLE|LATPOLE|(A|B|AP|BP)_\d+_\d+"
)
_TABLES = re.compile(r"(CPDIS|D2IMDIS|CQDIS)\d|AXISCORR")
_FRAMES = frozenset({"ICRS", "FK5", "FK4", "FK4-NO-E"})
_FRAME_NAMES = {"FK4-NOE": "FK4-NO-E", "FK4-NO_E": "FK4-NO-E", "J2000": "FK5", "B1950": "FK4"}
_CELESTIAL = re.compile(r"(RA--|DEC-|[GEHS]LON|[GEHS]LAT|[A-Z]LON|[A-Z]LAT)-[A-Z]{3}")
_UNITS = {"degree": "deg", "degrees": "deg", "degs": "deg", "radian": "rad", "radians": "rad", "": "deg"}


def mend_header(header: Any) -> tuple[Any, list[str]]:
    """Take the primary WCS from a header and put right what astropy would misread.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of an image; it is not changed.

    Returns
    -------
    header : astropy.io.fits.Header
        Its WCS cards alone, mended.
    warnings : list of str
        What a reader should know of: distortions that are not applied, cards put aside.

    Raises
    ------
    ProjectionError
        If it holds no celestial WCS on its first two axes, or a card that cannot be read.
    """
    mended = select_cards(header)
    found: list[str] = []
    for rule in _RULES:
        found.extend(rule(mended))
    return mended, found


def is_wcs_card(keyword: str) -> bool:
    """Say whether a card of this keyword belongs to a primary WCS or to its tables."""
    return _KEYWORDS.fullmatch(keyword) is not None


def select_cards(header: Any) -> Any:
    """Copy the cards that the primary WCS is made of into a header of their own.

    Raises
    ------
    ProjectionError
        If a card of the WCS cannot be read.
    """
    from astropy.io.fits import Header
    from astropy.io.fits.verify import VerifyError

    chosen = []
    try:
        for card in header.cards:
            if _KEYWORDS.fullmatch(card.keyword):
                _ = card.value  # reads it now: a card that cannot be read is reported here
                chosen.append(card)
    except (VerifyError, ValueError, TypeError, AssertionError) as err:
        msg = f"a card of the WCS cannot be read: {err}"
        raise ProjectionError(msg) from err
    return Header([copy(card) for card in chosen])


def needs_tables(header: Any) -> bool:
    """Say whether the WCS is distorted by lookup tables, which lie in other HDUs of its file."""
    return any(
        _TABLES.fullmatch(name) and (name == "AXISCORR" or str(header[name]).strip().lower() == "lookup")
        for name in header
    )


def _check_axes(header: Any) -> Iterator[str]:
    """Require the sky on the first two axes, and drop the others."""
    for axis in (1, 2):
        ctype = str(header.get(f"CTYPE{axis}", "")).strip().upper()
        if not _CELESTIAL.match(ctype):
            what = f"is {ctype!r}" if ctype else "is missing"
            msg = f"CTYPE{axis} {what}: expected a celestial axis such as RA---TAN or DEC--TAN"
            raise ProjectionError(msg, ctype=ctype, axis=axis)
        if header[f"CTYPE{axis}"] != ctype:
            header[f"CTYPE{axis}"] = ctype
    beyond = [n for n in header if _axes_of(n) and max(_axes_of(n)) > 2]
    for name in dict.fromkeys(beyond):
        header.remove(name, remove_all=True)
    for name in ("NAXIS", "WCSAXES"):
        if name in header and header[name] != 2:
            header[name] = 2
    yield from ()


def _check_numbers(header: Any) -> Iterator[str]:
    """Read numbers that are written as text; wcslib would take them for absent."""
    for name in list(dict.fromkeys(header)):
        if _NUMBERS.fullmatch(name) and not _is_number(header[name]):
            number = _to_number(header[name])
            if number is None:
                msg = f"{name} = {header[name]!r}: expected a finite number"
                raise ProjectionError(msg, keyword=name)
            yield f"{name} = {header[name]!r} is text; read as {number!r}"
            header[name] = number


def _mend_units(header: Any) -> Iterator[str]:
    """Give units their standard names."""
    for axis in (1, 2):
        unit = header.get(f"CUNIT{axis}")
        if unit is not None:
            known = str(unit).strip().lower()
            known = _UNITS.get(known, known)
            if known != unit:
                header[f"CUNIT{axis}"] = known
    yield from ()


def _mend_matrix(header: Any) -> Iterator[str]:
    """Keep one linear transform: CD before PC, PC before CROTA; CDELT belongs to the last two."""
    names = list(header)
    unwanted: list[str] = []
    if any(n.startswith(("CD1_", "CD2_")) for n in names):
        unwanted = [n for n in names if re.fullmatch(r"CDELT\d|CROTA\d|PC\d_\d|PC00\d00\d", n)]
    elif any(n.startswith(("PC1_", "PC2_")) for n in names):
        unwanted = [n for n in names if re.fullmatch(r"CROTA\d|PC00\d00\d", n)]
    for name in dict.fromkeys(unwanted):
        header.remove(name, remove_all=True)
    for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2"):
        if name not in header:
            yield f"{name} is missing; taken as 0"


def _mend_frame(header: Any) -> Iterator[str]:
    """Write RADESYS, EQUINOX and EPOCH as the standard has them."""
    old = header.get("RADECSYS")
    radesys = str(header.get("RADESYS") or old or "").strip().upper()
    radesys = _FRAME_NAMES.get(radesys, radesys)
    if radesys and radesys not in _FRAMES:
        yield f"RADESYS = {radesys!r} is no frame that is known; put aside"
        radesys = ""
    equinox = _to_year(header.get("EQUINOX"))
    if "EQUINOX" in header and equinox is None:
        yield f"EQUINOX = {header['EQUINOX']!r} is no year; put aside"
    if equinox is None and not radesys and "EPOCH" in header:
        equinox = _to_year(header["EPOCH"])
        note = "put aside" if equinox is None else "taken as the equinox"
        yield f"EPOCH = {header['EPOCH']!r} without EQUINOX and RADESYS: {note}"
    for name in ("RADECSYS", "RADESYS", "EQUINOX", "EPOCH"):
        header.remove(name, ignore_missing=True, remove_all=True)
    if radesys:
        header["RADESYS"] = radesys
    if equinox is not None:
        header["EQUINOX"] = equinox


def _mend_sip(header: Any) -> Iterator[str]:
    """Let the SIP suffix and its coefficients stand or fall together, and A and B too."""
    suffixed = any(str(header[f"CTYPE{axis}"]).endswith("-SIP") for axis in (1, 2))
    terms = [n for n in header if re.fullmatch(r"[AB]_\d+_\d+", n)]
    if not terms:
        _drop(header, r"(A|B|AP|BP)_(ORDER|\d+_\d+)")
        if suffixed:
            _set_projection(header)
            yield "CTYPE says SIP, but the header holds no coefficients; none applied"
        return
    if str(header["CTYPE1"])[5:8] in ("TPV", "TNX", "ZPX"):
        _drop(header, r"(A|B|AP|BP)_(ORDER|\d+_\d+)")
        _set_projection(header)
        yield f"SIP coefficients beside {header['CTYPE1']} are put aside"
        return
    for letter in "AB":
        yield from _complete_order(header, letter, terms)
    if not ("AP_ORDER" in header and "BP_ORDER" in header):
        _drop(header, r"(AP|BP)_(ORDER|\d+_\d+)")
    if not suffixed and not _has_scamp(header):
        _set_projection(header, suffix="-SIP")
        yield "SIP coefficients without -SIP in CTYPE; applied"


def _complete_order(header: Any, letter: str, terms: list[str]) -> Iterator[str]:
    """Give a SIP polynomial the order that its terms (or the other's) ask for."""
    if f"{letter}_ORDER" not in header:
        order = max(sum(int(p) for p in n.split("_")[1:]) for n in terms)
        header[f"{letter}_ORDER"] = order
        yield f"{letter}_ORDER is missing; taken as {order}"


def _mend_scamp(header: Any) -> Iterator[str]:
    """Call TAN with PV polynomials TPV, unless SIP is declared: then put PV aside."""
    if str(header["CTYPE1"])[5:8] != "TAN" or not _has_scamp(header):
        return
    if str(header["CTYPE1"]).endswith("-SIP"):
        _drop(header, r"PV\d_\d+")
        yield "PV polynomials beside SIP are put aside"
        return
    if any(re.fullmatch(r"[AB]_\d+_\d+", n) for n in header):
        yield "SIP coefficients beside PV polynomials and no -SIP in CTYPE are put aside"
    _drop(header, r"(A|B|AP|BP)_(ORDER|\d+_\d+)")
    _set_projection(header, code="TPV")


def _mend_iraf(header: Any) -> Iterator[str]:
    """Keep IRAF's polynomials (WAT) with its own projections alone, and these with them."""
    code = str(header["CTYPE1"])[5:8]
    if code not in ("TNX", "ZPX"):
        _drop(header, r"WAT\d_\d{3}")
    elif not {"WAT1_001", "WAT2_001"} <= set(header):
        _drop(header, r"WAT\d_\d{3}")
        _set_projection(header, code="TAN" if code == "TNX" else "ZPN")
        yield f"{code} without its WAT polynomials: distortion not applied; positions may be arcseconds off"


def _mend_plate(header: Any) -> Iterator[str]:
    """Drop a Schmidt plate's own solution (AMDX, AMDY) where someone fitted polynomials later."""
    if "AMDX1" not in header:
        _drop(header, _PLATE)
    elif str(header["CTYPE1"])[5:] != "TAN":
        _drop(header, _PLATE)
        yield f"the plate solution (AMDX, AMDY) beside {header['CTYPE1']} is put aside"


_RULES: tuple[Callable[[Any], Iterator[str]], ...] = (
    _check_axes,
    _check_numbers,
    _mend_units,
    _mend_matrix,
    _mend_frame,
    _mend_iraf,
    _mend_sip,
    _mend_scamp,
    _mend_plate,
)


def _has_scamp(header: Any) -> bool:
    """Say whether PV are polynomials: a TAN has none in latitude, and in longitude the five of its pole."""
    lat = 2 if str(header["CTYPE2"]).startswith(("DEC", "GLAT", "ELAT", "SLAT")) else 1
    return any(n.startswith(f"PV{lat}_") or re.fullmatch(r"PV\d_([5-9]|\d\d)", n) for n in header)


def _set_projection(header: Any, *, code: str | None = None, suffix: str = "") -> None:
    """Change both axes' projection code, and what follows it."""
    for axis in (1, 2):
        ctype = str(header[f"CTYPE{axis}"])
        header[f"CTYPE{axis}"] = f"{ctype[:5]}{code or ctype[5:8]}{suffix}"


def _drop(header: Any, pattern: str) -> None:
    """Remove all cards whose keyword matches."""
    for name in dict.fromkeys(n for n in header if re.fullmatch(pattern, n)):
        header.remove(name, remove_all=True)


def _axes_of(name: str) -> tuple[int, ...]:
    """Which axes a keyword speaks of; empty for one that names none."""
    match = re.fullmatch(r"(?:NAXIS|CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)(\d)|(?:PV|PS)(\d)_\d+", name)
    if match:
        return tuple(int(g) for g in match.groups() if g)
    match = re.fullmatch(r"(?:CD|PC)(\d)_(\d)|(?:CD|PC)00(\d)00(\d)", name)
    return tuple(int(g) for g in match.groups() if g) if match else ()


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _to_number(value: object) -> float | None:
    """Read a finite number from text."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _to_year(value: object) -> float | None:
    """Read a year between 1800 and 2100, with or without B or J, else None."""
    number = _to_number(str(value).strip().upper().lstrip("JB"))
    return number if number is not None and 1800.0 <= number <= 2100.0 else None
