"""FITS headers as astropy's: read leniently, cropped, or made of what is known."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snapdb.errors import CorruptFileError, ProjectionError
from snapdb.formats.escapes import escape_text
from snapdb.formats.moment import measure_gap
from snapdb.formats.quiet import caught_warnings
from snapdb.formats.source import open_source
from snapdb.formats.wcs import to_header_text
from snapdb.pixels.box import Box
from snapdb.sky.dialects import is_wcs_card, mend_header

if TYPE_CHECKING:
    from astropy.io.fits import Header

FACT_CARDS: dict[str, tuple[str, str]] = {
    "observation_id": ("POINTING", "Identifier of the exposure"),
    "sca": ("SCA", "Number of the detector"),
    "band": ("BAND", "Filter"),
    "mjd": ("MJD", "[d] Start of the exposure, MJD, UTC"),
    "exptime": ("EXPTIME", "[s] Exposure time"),
    "zeropoint": ("ZPT", "[mag] AB magnitude of one unit of the data"),
    "sky_level": ("SKYLEVEL", "Level of the sky in the data's units"),
    "data_units": ("DATAUNIT", "What one unit is: counts or rate"),
    "kind": ("IMGKIND", "Kind of the image"),
    "position_angle": ("POSANG", "[deg] Of the +y axis, east of north"),
    "ra": ("RA", "[deg] ICRS, centre of the image"),
    "dec": ("DEC", "[deg] ICRS, centre of the image"),
    "instrument": ("SDBINSTR", "Header map that read the original"),
    "bad_bits": ("SDBBAD", "Bits that make a pixel bad, or-ed"),
}
"""Fact -> keyword and comment, as the header map ``standard`` reads them."""
_MORE_OF_WCS = re.compile(
    r"WCSNAME|CNAME\d|C(RDER|SYER)\d|[AB]P?_DMAX|WAT\d_\d+|PC\d{6}|D2IM.*|DP\d.*|DQ\d.*|PLT\w*"
    r"|(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CNAME|CRDER|CSYER)\d[A-Z]|(CD|PC|PV|PS)\d_\d+[A-Z]"
    r"|(WCSAXES|WCSNAME|LONPOLE|LATPOLE|RADESYS|EQUINOX)[A-Z]"
)
"""What goes with coordinates but is no part of them, and alternate ones, which no longer hold elsewhere."""
_BEYOND = re.compile(
    r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|CRDER|CSYER)[3-9][A-Z]?|WCSAXES[A-Z]"
    r"|(CD|PC)([3-9]_\d|\d_[3-9])[A-Z]?|(PV|PS)[3-9]_\d+[A-Z]?"
)
"""Of the coordinates, what is about axes beyond the second, and how many axes alternate ones have."""
_NOT_WCS_ALONE = frozenset({"MJD-OBS", "DATE-OBS"})
_OTHER_TIMES = re.compile(
    r"(DATE|MJD|JD)[-_](OBS|BEG|END|AVG|MID|START|STA|STOP|REF)|TSTART|TSTOP|TIME[-_](OBS|BEG|END|AVG)|TIMEOFFS"
    r"|(MJD|JD|DATE)REF[IF]?"
)
"""Keywords whose values are in the scale that TIMESYS names (FITS Standard 4.0, section 9)."""
_IS_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*)?")
"""A date with a time of day (FITS Standard 4.0, section 9.1.1)."""
OF_STORAGE = re.compile(
    r"^(SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|GROUPS|BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|ZDATASUM"
    r"|ZHECKSUM|INHERIT|LTV\d|LTM\d_\d|BSOFTEN|BOFFSET)$"
)
"""Keywords that say how the numbers are stored, which a file made anew says for itself."""
_OF_FILE = frozenset({"BLOCKED", "DATE", "LONGSTRN"})
"""Keywords about the file that was read; DATE is when its HDU was made (FITS Standard 4.0, 4.4.2.1)."""
_COMMENTARY = frozenset({"", "COMMENT", "HISTORY"})
_CARD, _SHORT = 80, 40
_LONG_STRINGS = ("LONGSTRN", "OGIP 1.0", "Strings may go on in CONTINUE cards")


def is_own_wcs_card(keyword: str) -> bool:
    """Say whether a card is about an image's coordinates, which a cutout or a fit replaces by its own."""
    if keyword in _NOT_WCS_ALONE or OF_STORAGE.match(keyword):
        return False
    return is_wcs_card(keyword) or _MORE_OF_WCS.fullmatch(keyword) is not None


def is_of_file(keyword: str) -> bool:
    """Say whether a card is about the file that was read and its HDU, and untrue of one made anew."""
    return keyword in _OF_FILE or OF_STORAGE.match(keyword) is not None


def drop_repeated(header: "Header") -> "Header":
    """Give a header with each keyword once, and its first card, which is the one that astropy reads."""
    from astropy.io.fits import Header

    seen: set[str] = set()
    kept = []
    for card in header.cards:
        if card.keyword in _COMMENTARY or card.keyword not in seen:
            kept.append(card)
            seen.add(card.keyword)
    return Header(kept)


def announce_long_strings(header: "Header") -> None:
    """Say before the first string over several cards that there are such; validators ask for it."""
    for number, card in enumerate(header.cards):
        if isinstance(card.value, str) and len(card.value) > _SHORT and len(card.image) > _CARD:
            header.insert(number, _LONG_STRINGS)
            return


def read_header(path: str | Path, hdu: int) -> "Header":
    """Read the header of one HDU, of a compressed image as that of the image itself.

    Parameters
    ----------
    path : str or Path
        The file.
    hdu : int
        Index of the HDU.

    Returns
    -------
    astropy.io.fits.Header
        As the file has it; a card that astropy cannot read is left out.

    Raises
    ------
    CorruptFileError
        There is no such HDU, or the file is damaged.
    UnknownFormatError, ObjectMissingError, StorageError
        As :func:`snapdb.formats.describe.describe`.
    """
    frames = open_source(path).frames
    if not 0 <= hdu < len(frames):
        msg = f"{path}: there is no HDU {hdu}; the file has {len(frames)}"
        raise CorruptFileError(msg, path=str(path), hdu=hdu)
    return to_header(to_header_text(frames[hdu]))


def to_header(text: str) -> "Header":
    """Turn cards with newlines between them into a header, leaving out what astropy cannot read."""
    from astropy.io.fits import Header, VerifyError

    header = Header.fromstring("\n".join(_joined(text.split("\n"))), sep="\n")
    bad = []
    for number in range(len(header.cards)):
        try:
            card = header.cards[number]
            card.verify("silentfix+exception")  # such as an exponent with a small e
            _ = card.keyword, card.value, card.comment
        except (VerifyError, ValueError, TypeError):
            bad.append(number)
    return _without(header, bad) if bad else header


def _joined(lines: list[str]) -> list[str]:
    """Leave out CONTINUE cards that continue no string: astropy would lose the card before them too."""
    kept: list[str] = []
    for line in lines:
        if line.startswith("CONTINUE"):
            follows = bool(kept) and "&'" in kept[-1]
            if not follows or not line[8:].lstrip().startswith("'"):
                continue
        kept.append(line)
    return kept


def crop_header(header: "Header", wcs_header: "Header | None", box: Box) -> "Header":
    """Make the header of a cutout from that of its parent.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the parent; left as it is.
    wcs_header : astropy.io.fits.Header or None
        The cutout's own coordinates; they replace the parent's.
    box : Box
        Where the cutout lies in the parent's pixels.

    Returns
    -------
    astropy.io.fits.Header
        With the cutout's NAXIS1 and NAXIS2, and LTV1 and LTV2 that lead back to
        the parent's (and its parent's) pixels; without what belongs to the
        parent's file and storage.
    """
    from astropy.io.fits import Header

    origin = [_number(header.get(f"LTV{axis}"), 0.0) for axis in (1, 2)]
    cards = [c for c in header.cards if not is_of_file(c.keyword)]
    cropped = Header(cards) if wcs_header is None else _with_wcs(cards, wcs_header)
    cropped.insert(0, ("NAXIS", 2))
    cropped.insert(1, ("NAXIS1", box.width))
    cropped.insert(2, ("NAXIS2", box.height))
    for axis, (before, start) in enumerate(zip(origin, (box.x0, box.y0), strict=True), start=1):
        cropped[f"LTV{axis}"] = (before - start, "Offset to the original's pixels")
        cropped[f"LTM{axis}_{axis}"] = (1.0, "Scale to the original's pixels")
    return cropped


def make_header(wcs_header: "Header | None", facts: Mapping[str, Any]) -> "Header":
    """Make a header of what is known of an image.

    Parameters
    ----------
    wcs_header : astropy.io.fits.Header or None
        Its coordinates.
    facts : mapping
        Facts by name; those that are None are left out, and so are those that
        have no keyword in :data:`FACT_CARDS`.

    Returns
    -------
    astropy.io.fits.Header
        The header map ``standard`` reads the same facts from it.
    """
    from astropy.io.fits import Header

    header = Header()
    if wcs_header is not None:
        _add_wcs(header, wcs_header)
    for name, value in facts.items():
        keyword, comment = FACT_CARDS.get(name, ("", ""))
        if keyword and value is not None:
            header[keyword] = (_plain(value), comment)
    if facts.get("mjd") is not None:
        from astropy.time import Time

        with caught_warnings():  # of years whose leap seconds are not known: photographic plates
            start = Time(float(facts["mjd"]), format="mjd", scale="utc", precision=6).isot
        header["MJD-OBS"] = (float(facts["mjd"]), "[d] Start of the exposure, MJD, UTC")
        header["DATE-OBS"] = (start, "Start of the exposure")
        header["TIMESYS"] = "UTC"
    return header


def with_plain_wcs(header: "Header") -> "Header":
    """Give the header of an image of two axes, which says its coordinates once and of these axes alone.

    Parameters
    ----------
    header : astropy.io.fits.Header
        As the original has it, perhaps of more axes, or with CD and PC side by side; left as it is.

    Returns
    -------
    astropy.io.fits.Header
        Its coordinates are the original's cards as :func:`snapdb.sky.dialects.mend_header` reads
        them, to the last digit, WCSAXES before all others (FITS Standard 4.0, section 8.1).
        As it was where there are none of the sky.
    """
    from astropy.io.fits import Header

    try:
        mended, _ = mend_header(header)
    except ProjectionError:
        return header.copy()
    own = {c.keyword: c for c in mended.cards if _is_primary(c.keyword) and c.keyword != "WCSAXES"}
    kept: list[Any] = []
    first = last = None
    for card in header.cards:  # each where it stands: wcslib minds the order of a plate's
        first = len(kept) if first is None and is_own_wcs_card(card.keyword) else first
        if card.keyword in own:
            kept.append(_in_new_form(own.pop(card.keyword)))
            last = len(kept)
        elif not (_is_primary(card.keyword) or _BEYOND.fullmatch(card.keyword)):
            kept.append(card)
    kept[last:last] = own.values()
    kept.insert(first or 0, ("WCSAXES", 2, "Number of axes"))
    return Header(kept)


def _in_new_form(card: Any) -> Any:
    """Give a card of PC00i00j, which readers warn of, as PCi_j."""
    keyword = re.sub(r"^(PC|CD)00(\d)00(\d)$", r"\1\2_\3", card.keyword)
    return card if keyword == card.keyword else (keyword, card.value, card.comment)


def _is_primary(keyword: str) -> bool:
    """Say whether a card is of the primary coordinates."""
    return is_own_wcs_card(keyword) and is_wcs_card(keyword)


def with_facts(header: "Header", facts: Mapping[str, Any], wcs_header: "Header | None" = None) -> "Header":
    """Give a header that says what is known of an image now, in the keywords of snapdb's own.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image; left as it is.
    facts : mapping
        As :func:`make_header`; the card of a fact that is None is taken out. ``date_obs`` is
        the original's DATE-OBS where the header has none, such as that of an extension.
    wcs_header : astropy.io.fits.Header, optional
        Coordinates that replace the header's: needed where these name tables in other
        HDUs of the original.

    Returns
    -------
    astropy.io.fits.Header
        With the start in UTC; DATE-OBS stays as it is where it says that start, as far as its
        digits and those of the MJD go. Where the header's times were in another scale, those
        of them that no fact replaces are left out: TIMESYS speaks of all of them.
    """
    said = header.copy() if wcs_header is None else _with_wcs(header.cards, wcs_header)
    for name in {*facts, "bad_bits"} if facts else ():  # old bad flags must not outlive a new choice
        if name in FACT_CARDS:
            said.remove(FACT_CARDS[name][0], ignore_missing=True, remove_all=True)
    if facts.get("mjd") is not None and not _is_utc(said.get("TIMESYS")):
        for keyword in {c.keyword for c in said.cards if _OTHER_TIMES.fullmatch(c.keyword)}:
            said.remove(keyword, remove_all=True)
    made = make_header(None, facts)
    if "DATE-OBS" in made:  # the original's has digits that may never have been in an MJD
        original = said.get("DATE-OBS", facts.get("date_obs"))
        made["DATE-OBS"] = original if _says_start(original, made["MJD-OBS"]) else made["DATE-OBS"]
    said.update(made)
    return said


def _says_start(text: object, mjd: float) -> bool:
    """Say whether a date has a time of day, which is that of an MJD, UTC."""
    return isinstance(text, str) and bool(_IS_MOMENT.fullmatch(text)) and measure_gap(mjd, text) == 0.0


def _is_utc(timesys: object) -> bool:
    """Say whether TIMESYS names UTC, which it does where it is absent (FITS Standard 4.0, 9.2.1)."""
    text = str(timesys or "UTC").strip().upper()
    return text.startswith("GMT") or re.match(r"UTC?\b", text) is not None


def _with_wcs(cards: Iterable[Any], wcs_header: "Header") -> "Header":
    """Make a header of cards with other coordinates than theirs."""
    from astropy.io.fits import Header

    made = Header([c for c in cards if not is_own_wcs_card(c.keyword)])
    _add_wcs(made, wcs_header)
    return made


def _add_wcs(header: "Header", wcs_header: "Header") -> None:
    """Add the cards of coordinates, save those that are about something else."""
    for card in drop_repeated(wcs_header).cards:  # wcslib writes the PV of a ZPN twice
        if is_own_wcs_card(card.keyword):
            header.append(card, end=True)


def _without(header: "Header", bad: list[int]) -> "Header":
    from astropy.io.fits import Header

    skip = set(bad)
    return Header([header.cards[i] for i in range(len(header.cards)) if i not in skip])


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _plain(value: Any) -> Any:
    """Give a numpy scalar as Python's own, and text as FITS can hold it."""
    value = value.item() if hasattr(value, "item") else value
    return escape_text(value) if isinstance(value, str) else value
