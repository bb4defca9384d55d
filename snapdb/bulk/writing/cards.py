"""Cards of FITS headers as bytes (FITS Standard 4.0, sections 4.1 and 4.2)."""

import math
import re
from typing import Any

BLOCK = 2880
"""Bytes; a header and its data each fill whole blocks."""
_LONGEST_TEXT = 68
_NOT_TEXT = re.compile(r"[^ -~]")
"""What the text of a card may not have (FITS Standard 4.0, section 3.3.1)."""


def write_card(keyword: str, value: Any, comment: str) -> bytes:
    """Write one card; a number that FITS has no sign for is left undefined.

    Parameters
    ----------
    keyword : str
        At most 8 signs.
    value : str, bool, int or float
        Text is cut where it is too long; what is not printable ASCII becomes ``?``.
    comment : str
        Left out where it has no room.
    """
    if isinstance(value, str):
        written = f"'{_as_text(value).ljust(8)}'".ljust(20)
    elif isinstance(value, bool):
        written = ("T" if value else "F").rjust(20)
    elif isinstance(value, float) and not math.isfinite(value):
        written = " " * 20
    else:
        written = repr(value).upper().rjust(20)
    line = f"{keyword:8}= {written}"
    if comment and len(line) + 3 + len(comment) <= 80:
        line = f"{line} / {comment}"
    return line.ljust(80).encode()


def _as_text(value: str) -> str:
    """Give what a card can say of a text: ``?`` for signs that it cannot, cut where it is too long."""
    text = _NOT_TEXT.sub("?", value).replace("'", "''")
    if len(text) <= _LONGEST_TEXT:
        return text
    text = text[:_LONGEST_TEXT]
    halved = (len(text) - len(text.rstrip("'"))) % 2  # a quote is two signs; half of one ends the text
    return text[: len(text) - halved]


def write_number(value: float) -> str:
    """Write a number in at most 20 signs; nothing where FITS has no sign for it.

    Parameters
    ----------
    value : float
        Any.
    """
    text = repr(value).upper()
    if len(text) > 20:
        text = f"{value:.13E}"
    return text if math.isfinite(value) else ""


def pad_header(text: str) -> str:
    """Fill a header up to whole blocks.

    Parameters
    ----------
    text : str
        Its cards, END among them.
    """
    return text + " " * (-len(text) % BLOCK)
