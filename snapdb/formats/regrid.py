"""Headers of images that were cropped or binned: every card that counts pixels follows.

The cards are changed where they stand, so that nothing that a projection or a polynomial
says is lost: world coordinates are exact for the linear part, TAN, TPV, TNX, SIP and the
plates of the Digitized Sky Survey. Lookup tables lie in other HDUs and cannot follow.
"""

import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from snapdb.sky.dialects import needs_tables

if TYPE_CHECKING:
    from astropy.io.fits import Header

_AXIS = re.compile(r"(?P<name>CRPIX|CNPIX|LTV)(?P<axis>[12])(?P<other>[A-Z]?)")
_SCALED = re.compile(r"CD\d_\d[A-Z]?|CD00\d00\d|CDELT\d[A-Z]?|[XY]PIXELSZ")
_SIP = re.compile(r"(?:A|B|AP|BP)_(?P<p>\d+)_(?P<q>\d+)")
_SHRUNK = re.compile(r"CNPIX[12]|(A|B|AP|BP)_DMAX|LTM\d_\d")


def crop_cards(header: "Header", x0: int, y0: int, width: int, height: int) -> "Header":
    """Make the header of a rectangle of an image.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image; left as it is.
    x0, y0 : int
        The image's pixel, 0-based, that is the first of the rectangle.
    width, height : int
        Its size.

    Returns
    -------
    astropy.io.fits.Header
        With its NAXIS1 and NAXIS2, the reference pixels of all its coordinates moved, and
        CROP_X1, CROP_X2, CROP_Y1, CROP_Y2: its place in the original, 0-based, the upper
        ends exclusive. After a second crop these still lead to the first original.
    """
    offset = (x0, y0)
    signs = {"CRPIX": -1, "LTV": -1, "CNPIX": 1}
    cropped = header.copy()
    for keyword, name, axis in _axis_cards(header):
        cropped[keyword] = header[keyword] + signs[name] * offset[axis]
    for keyword, axis in _missing_reference(header):
        cropped[keyword] = float(-offset[axis])
    for axis, (letter, start, size) in enumerate((("X", x0, width), ("Y", y0, height)), start=1):
        cropped[f"NAXIS{axis}"] = size
        before = header.get(f"CROP_{letter}1", 0)
        start_here = start + (before if _is_number(before) else 0)
        cropped[f"CROP_{letter}1"] = start_here
        cropped[f"CROP_{letter}2"] = start_here + size
    _warn_of_tables(header)
    return cropped


def bin_cards(header: "Header", scale: int, width: int, height: int) -> "Header":
    """Make the header of an image whose blocks of ``scale x scale`` pixels became one each.

    A pixel p, counted from 1, lies at ``(p - 0.5) / scale + 0.5``; a matrix grows by `scale`,
    and a SIP term of u^p v^q by ``scale ** (p + q - 1)`` (Shupe et al. 2005, equation 2).

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image; left as it is.
    scale : int
        Pixels of a block's side.
    width, height : int
        Size of the image of blocks.

    Returns
    -------
    astropy.io.fits.Header
        With its NAXIS1 and NAXIS2; cards that count no pixels stay.
    """
    binned = header.copy()
    for keyword in _numbers(header):
        power = _power_of_scale(keyword)
        if power:
            binned[keyword] = header[keyword] * float(scale) ** power
    for keyword, name, _ in _axis_cards(header):
        if name != "CNPIX":
            binned[keyword] = (header[keyword] - 0.5) / scale + 0.5
    for keyword, _ in _missing_reference(header):
        binned[keyword] = -0.5 / scale + 0.5
    for keyword in _missing_scale(header):
        binned[keyword] = float(scale)
    binned["NAXIS1"], binned["NAXIS2"] = width, height
    _warn_of_tables(header)
    return binned


def _power_of_scale(keyword: str) -> int:
    """Say with which power of the pixels' size a card grows."""
    sip = _SIP.fullmatch(keyword)
    if sip:
        return int(sip["p"]) + int(sip["q"]) - 1
    if _SCALED.fullmatch(keyword):
        return 1
    return -1 if _SHRUNK.fullmatch(keyword) else 0


def _axis_cards(header: "Header") -> Iterator[tuple[str, str, int]]:
    """Find cards of places in pixels: keyword, its name without numbers, axis from 0."""
    for keyword in _numbers(header):
        found = _AXIS.fullmatch(keyword)
        if found and (found["name"] == "CRPIX" or not found["other"]):
            yield keyword, found["name"], int(found["axis"]) - 1


def _missing_reference(header: "Header") -> Iterator[tuple[str, int]]:
    """Name reference pixels that are absent, which stands for 0 (FITS Standard 4.0, section 8.2)."""
    for axis in (1, 2):
        if f"CTYPE{axis}" in header and f"CRPIX{axis}" not in header:
            yield f"CRPIX{axis}", axis - 1


def _missing_scale(header: "Header") -> Iterator[str]:
    """Name increments that are absent, which stands for 1, where no matrix replaces them."""
    if any(re.fullmatch(r"CD\d_\d|CD00\d00\d", keyword) for keyword in header):
        return
    for axis in (1, 2):
        if f"CTYPE{axis}" in header and f"CDELT{axis}" not in header:
            yield f"CDELT{axis}"


def _warn_of_tables(header: "Header") -> None:
    """Say that a distortion stays behind."""
    if "CTYPE1" in header and needs_tables(header):
        text = "the lookup tables (CPDIS, D2IM) of these coordinates lie in other HDUs and do not follow"
        warnings.warn(text, stacklevel=3)


def _numbers(header: "Header") -> set[str]:
    """Name the cards that hold numbers; a card that cannot be read holds none."""
    from astropy.io.fits import VerifyError

    found = set()
    for number in range(len(header.cards)):
        try:
            card = header.cards[number]
            if _is_number(card.value):
                found.add(card.keyword)
        except (VerifyError, ValueError):  # it stays in the header as it is
            continue
    return found


def _is_number(value: object) -> bool:
    """Say whether a card's value is a real number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
