"""World coordinates out of a file: from a frame's cards, or with the tables that belong to them."""

import re
from pathlib import Path

from snapdb.errors import CorruptFileError, FormatError, ProjectionError
from snapdb.formats.cards import format_card
from snapdb.formats.frame import HduFrame
from snapdb.formats.quiet import caught_warnings
from snapdb.sky.dialects import is_wcs_card
from snapdb.sky.wcs import AstropyWCS, wcs_text

_TABLES = re.compile(r"^(CPDIS|CQDIS|D2IMDIS|DP|D2IM)\d")
_OF_TABLE = re.compile(
    r"^(XTENSION|SIMPLE|BITPIX|NAXIS\d*|[PG]COUNT|TFIELDS|EXTEND|THEAP|T(TYPE|FORM|UNIT|DISP|NULL|SCAL|ZERO|DIM)\d+"
    r"|Z(IMAGE|CMPTYPE|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|MASKCMP|QUANTIZ|DITHER0|SIMPLE|TENSION|EXTEND"
    r"|BLOCKED|PCOUNT|GCOUNT|HECKSUM|DATASUM|SCALE|ZERO|BLANK|THEAP))$"
)
"""Keywords of the table that holds a compressed image (FITS Standard 4.0, section 10)."""


def needs_tables(frame: HduFrame) -> bool:
    """Say whether a frame's coordinates have lookup tables in other HDUs (CPDIS, D2IM)."""
    return any(_TABLES.match(key) for key in frame.cards)


def to_header_text(frame: HduFrame, *, wcs_only: bool = False) -> str:
    """Give a frame's header as an image's, newline between cards; of a compressed image the inner one.

    Parameters
    ----------
    frame : HduFrame
        An image.
    wcs_only : bool
        Leave out what is not about coordinates.

    Returns
    -------
    str
        Cards of 80 characters, unprintable characters replaced.
    """
    lines = frame.cards.lines
    if wcs_only:
        lines = [line for line in lines if is_wcs_card(line[:8].strip())]
    if frame.compression:
        lines = [line for line in lines if not _OF_TABLE.match(line[:8].strip())]
        axes = [format_card(f"NAXIS{i}", n) for i, n in enumerate(frame.axes, 1)]
        lines = [format_card("BITPIX", frame.bitpix), format_card("NAXIS", len(frame.axes)), *axes, *lines]
    return "\n".join(lines)


def make_wcs(frame: HduFrame, path: Path) -> tuple[AstropyWCS, str, list[str]]:
    """Build the coordinates of a frame.

    Parameters
    ----------
    frame : HduFrame
        An image.
    path : Path
        Its file, opened only where lookup tables belong to the coordinates.

    Returns
    -------
    wcs : AstropyWCS
    cards : str
        What the registry keeps of them: mended, newline between cards.
    warnings : list of str
        What was said while reading them.

    Raises
    ------
    ProjectionError
        They cannot be evaluated.
    """
    from astropy.io.fits import Header

    text = to_header_text(frame, wcs_only=True)
    with caught_warnings() as said:
        header = Header.fromstring(text, sep="\n")  # one for both, since it keeps the values it has parsed
        wcs = read_wcs(path, frame.index) if needs_tables(frame) else AstropyWCS.from_header(header)
        cards = wcs_text(header)
    return wcs, cards, said


def read_wcs(path: str | Path, hdu: int) -> AstropyWCS:
    """Read the coordinates of an HDU with every table that belongs to them.

    Parameters
    ----------
    path : str or Path
        The file.
    hdu : int
        Index of the HDU.

    Returns
    -------
    AstropyWCS

    Raises
    ------
    ProjectionError
        They cannot be evaluated.
    CorruptFileError
        The file cannot be read.
    """
    from astropy.io import fits

    with caught_warnings():
        try:
            with fits.open(path, memmap=False) as hdus:
                return AstropyWCS.from_header(hdus[hdu].header, fobj=hdus)
        except FormatError:
            raise
        except (OSError, IndexError, TypeError) as err:
            msg = f"{path}: HDU {hdu} cannot be read ({err})"
            raise CorruptFileError(msg, path=str(path), hdu=hdu) from err
        except (ValueError, KeyError, AssertionError, MemoryError) as err:
            msg = f"{path}: the world coordinates of HDU {hdu} cannot be evaluated ({err})"
            raise ProjectionError(msg, path=str(path), hdu=hdu) from err
