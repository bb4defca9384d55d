"""Tables as FITS, in ASCII alone (FITS Standard 4.0, section 7.3.3.1)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from snapdb.formats.header import announce_long_strings
from snapdb.formats.quiet import caught_warnings

if TYPE_CHECKING:
    from astropy.table import Table

_LONGEST = 68
"""Letters of a text that one card holds."""
_ROOM = 63
"""Letters of a text and its comment that one card holds."""

Card = tuple[str | float, str]


def write_table_fits(table: "Table", out: BinaryIO, cards: Mapping[str, Card] | None = None) -> None:
    """Write a table as a FITS file of one binary table.

    Parameters
    ----------
    table : Table
        Of columns without mixins; text that is not ASCII is written as :func:`encode_columns` says.
    out : binary file
        It stays open.
    cards : mapping, optional
        Keyword -> value and comment, for the table's header; text of any length. A comment
        that finds no room beside its value is left out.
    """
    from astropy.io import fits

    plain = table.copy()
    encode_columns(plain)
    with caught_warnings():
        hdu = fits.table_to_hdu(plain)
    for keyword, (value, comment) in (cards or {}).items():
        text = encode_text(value).replace("\n", " ") if isinstance(value, str) else value
        fits_in = len(str(text)) + len(comment) <= _ROOM or len(str(text)) > _LONGEST
        hdu.header[keyword] = (text, comment if fits_in else None)
    announce_long_strings(hdu.header)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)


def encode_columns(table: "Table") -> None:
    r"""Write the text columns of a table in ASCII, in place; other columns stay as they are.

    What is not ASCII comes as its escape, so that names stay apart: ``ü`` as ``\xfc``, ``✓`` as
    ``\u2713``.

    Parameters
    ----------
    table : Table
        Text that is masked stays so.
    """
    for column in list(table.itercols()):
        if column.dtype.kind != "U" or all(map(str.isascii, np.ma.getdata(column).ravel().tolist())):
            continue
        values = [encode_text(text) for text in np.ma.getdata(column).tolist()]
        data = np.ma.array(values, mask=column.mask) if hasattr(column, "mask") else np.array(values)
        kept = {name: getattr(column, name) for name in ("name", "unit", "description", "meta")}
        table.replace_column(column.name, type(column)(data, **kept))


def encode_text(text: str) -> str:
    """Write one text in ASCII; see :func:`encode_columns`."""
    return text.encode("ascii", "backslashreplace").decode()
