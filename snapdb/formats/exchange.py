"""What other packages' objects carry as headers and units, to and from FITS cards."""

import json
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.formats.header import FACT_CARDS, OF_STORAGE, is_own_wcs_card
from snapdb.formats.quiet import caught_warnings
from snapdb.formats.write import FLAGS_CARD

if TYPE_CHECKING:
    from astropy.io.fits import HDUList, Header

BAD_CARD = "SDBBAD"
"""Keyword of the bits that make a pixel bad."""
_MADE_BY = "SDBVERS"
_OWN = (_MADE_BY, FLAGS_CARD, BAD_CARD)
_COUNTED = ("adu", "count", "electron", "photon", "")


def to_meta(header: "Header", flag_bits: Mapping[str, int] | None, bad_bits: int) -> "Header":
    """Make what an object carries beside pixels and coordinates.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image, its facts included; left as it is.
    flag_bits : mapping or None
        Names of the flags and their bits; None without flags.
    bad_bits : int
        Bits that make a pixel bad.

    Returns
    -------
    astropy.io.fits.Header
        Without coordinates and without what says how pixels are stored.
    """
    from astropy.io.fits import Header

    meta = Header(
        [c for c in header.cards if not (OF_STORAGE.match(c.keyword) or is_own_wcs_card(c.keyword))]
    )
    meta[_MADE_BY] = (version("snapdb"), "Version of snapdb that made the object")
    if flag_bits is not None:
        meta[FLAGS_CARD] = json.dumps({name: int(bit) for name, bit in flag_bits.items()})
        meta[BAD_CARD] = (int(bad_bits), "Bits that make a pixel bad, or-ed")
    return meta


def from_meta(meta: Any, unit: Any) -> "Header":
    """Make a header of what an object carries.

    Parameters
    ----------
    meta : Header or mapping
        Cards; what no card can hold is left out, with a warning that names it.
    unit : astropy.units.Unit or None
        Of the data; BUNIT says it.

    Returns
    -------
    astropy.io.fits.Header
        A copy.
    """
    from astropy.io.fits import Header

    if isinstance(meta, Header):
        made = meta.copy()
    else:
        made, lost = Header(), []
        for keyword, value in dict(meta or {}).items():
            try:
                made[str(keyword)] = value
            except (ValueError, TypeError):
                lost.append(str(keyword))
        if lost:
            msg = f"no FITS card can hold {', '.join(lost)}; left out of the header"
            warnings.warn(msg, stacklevel=3)
    if unit is not None and str(unit):
        made["BUNIT"] = _name_unit(unit)
    return made


def split_own(header: "Header") -> tuple["Header", dict[str, Any] | None, dict[str, int] | None, int]:
    """Part a header that :func:`to_meta` made from what snapdb put there.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Left as it is.

    Returns
    -------
    header : astropy.io.fits.Header
        Without snapdb's own cards.
    facts : dict or None
        Facts of the image; None where another program made the header.
    flag_bits : dict or None
        Names of the flags and their bits, where the header has them.
    bad_bits : int
        Bits that make a pixel bad; 0 where the header does not say.
    """
    rest = header.copy()
    for keyword in _OWN:
        rest.remove(keyword, ignore_missing=True, remove_all=True)
    facts = None
    if _MADE_BY in header:
        cards = {name: header.get(keyword) for name, (keyword, _) in FACT_CARDS.items()}
        facts = {name: value for name, value in cards.items() if value is not None}
        for name in ("ra", "dec", "position_angle"):  # of the coordinates
            facts.pop(name, None)
    bits = json.loads(str(header[FLAGS_CARD])) if FLAGS_CARD in header else None
    return rest, facts, bits, int(header.get(BAD_CARD, 0))


def find_unit(header: "Header", data_units: str) -> Any:
    """Give the unit of an image's data: that of BUNIT, else adu or adu/s.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.
    data_units : str
        ``counts`` or ``rate``.

    Returns
    -------
    astropy.units.Unit
        A BUNIT that astropy does not know counts as absent.
    """
    from astropy import units

    text = str(header.get("BUNIT") or "").strip()
    for name in dict.fromkeys((text, text.lower())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of spellings that the standard deprecates
            found = units.Unit(name, parse_strict="silent") if name else None
        if found is not None and not isinstance(found, units.UnrecognizedUnit):
            return found
    return units.adu / units.s if data_units == "rate" else units.adu


def is_rate(unit: Any) -> bool:
    """Tell whether a unit is one of counts a second."""
    from astropy import units

    return unit is not None and any((unit * units.s).is_equivalent(units.Unit(name)) for name in _COUNTED)


def write_hdus(hdus: "HDUList", path: Path) -> None:
    """Write HDUs to a file of the caller's own, whatever their cards look like."""
    with caught_warnings():
        hdus.writeto(path, output_verify="silentfix+ignore")


def write_description(path: Path, shape: tuple[int, ...], header: "Header", wcs_header: "Header") -> None:
    """Write a file of a header, coordinates and a size alone, its pixels all zero, to be described."""
    from astropy.io import fits

    cards = fits.Header([c for c in header.cards if not OF_STORAGE.match(c.keyword)])
    cards.extend((c for c in wcs_header.cards if is_own_wcs_card(c.keyword)), update=True)
    write_hdus(fits.HDUList([fits.PrimaryHDU(np.zeros(shape, dtype=np.uint8), header=cards)]), path)


def _name_unit(unit: Any) -> str:
    """Write a unit as FITS does, or as astropy does where FITS has no name for it."""
    try:
        return str(unit.to_string("fits"))
    except ValueError:
        return str(unit)
