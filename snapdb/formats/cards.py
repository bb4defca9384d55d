"""A lenient reader of FITS header cards: values parsed when asked for, damage left to its own card."""

import re
from collections.abc import Iterator
from typing import TypeAlias

CARD = 80
"""Bytes of one card."""

CardValue: TypeAlias = str | int | float | bool | None

_INTEGER = re.compile(r"[+-]?\d+\Z")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d+)?\Z")
_STRING = re.compile(r"'((?:[^']|'')*)'?")


class Cards:
    """The cards of one header, in order; of a repeated keyword the first counts, as in astropy.

    Parameters
    ----------
    raw : bytes
        The header's bytes up to and without END, a multiple of 80 long.
    """

    def __init__(self, raw: bytes) -> None:
        self._lines = [_to_text(raw[i : i + CARD]) for i in range(0, len(raw), CARD)]
        self._index: dict[str, int] = {}
        for number, line in enumerate(self._lines):
            key = _keyword(line)
            if key:
                self._index.setdefault(key, number)

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def lines(self) -> list[str]:
        """The cards as text of 80 characters each, unprintable bytes replaced by ``?``."""
        return list(self._lines)

    def get(self, key: str) -> CardValue:
        """Give a card's value, or None where there is no such card or it has no value.

        Parameters
        ----------
        key : str
            Keyword in capitals; a HIERARCH keyword without the word HIERARCH
            (``ESO DET DIT``).

        Returns
        -------
        str, int, float, bool or None
            Strings without trailing blanks; a value that is none of FITS's
            types comes as the text that stands there.
        """
        number = self._index.get(key)
        if number is None:
            return None
        text = _value_text(self._lines[number])
        if not text.startswith("'"):
            return parse_value(text)
        return self._long_string(number, text)

    def get_number(self, key: str) -> float | None:
        """Give a card's value as a float, None where it is not a finite number."""
        return to_number(self.get(key))

    def get_int(self, key: str) -> int | None:
        """Give a card's value as an integer, None where it is no whole number."""
        number = self.get_number(key)
        return int(number) if number is not None and number.is_integer() else None

    def get_text(self, key: str) -> str | None:
        """Give a card's value as stripped text, None where it is empty or absent."""
        value = self.get(key)
        text = "" if value is None else str(value).strip()
        return text or None

    def comment(self, key: str) -> str:
        """Give the comment of a card, empty where it has none."""
        number = self._index.get(key)
        if number is None:
            return ""
        text = _value_text(self._lines[number])
        if text.startswith("'"):
            match = _STRING.match(text)
            text = text[match.end() :] if match else ""
        return text.partition("/")[2].strip()

    def _long_string(self, number: int, text: str) -> str:
        """Join a string with its CONTINUE cards."""
        whole = _unquote(text)
        while whole.endswith("&") and number + 1 < len(self._lines):
            number += 1
            line = self._lines[number]
            if not line.startswith("CONTINUE"):
                break
            whole = whole[:-1] + _unquote(line[8:].strip())
        return whole.rstrip()


def parse_value(text: str) -> CardValue:
    """Read the value field of a card.

    Parameters
    ----------
    text : str
        What stands behind ``=``, comment included.

    Returns
    -------
    str, int, float, bool or None
        None where the field is empty.
    """
    text = text.strip()
    if text.startswith("'"):
        return _unquote(text).rstrip()
    word = text.split("/", 1)[0].strip()
    if word in ("T", "F"):
        return word == "T"
    if _INTEGER.match(word):
        return int(word)
    if _FLOAT.match(word):
        return float(word.replace("D", "E").replace("d", "e"))
    return word or None


def to_number(value: object) -> float | None:
    """Give a header value as a finite float; numbers written as strings count."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # what does not convert raises
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number - number == 0.0 else None


def format_card(key: str, value: int | str) -> str:
    """Write one card of 80 characters."""
    shown = f"'{value:<8}'" if isinstance(value, str) else str(value)
    body = f"{key:<8}= {shown:<20}" if isinstance(value, str) else f"{key:<8}= {shown:>20}"
    return body.ljust(CARD)[:CARD]


def _to_text(card: bytes) -> str:
    """Decode a card, and make it printable."""
    text = card.decode("ascii", errors="replace").ljust(CARD)
    return text if text.isascii() and text.isprintable() else re.sub(r"[^ -~]", "?", text)


def _keyword(line: str) -> str:
    """Give the keyword of a card that has a value, else an empty string."""
    if line.startswith("HIERARCH ") and "=" in line:
        return " ".join(line[9:].split("=", 1)[0].split()).upper()
    return line[:8].strip().upper() if line[8:9] == "=" else ""


def _value_text(line: str) -> str:
    return line.split("=", 1)[1].strip() if line.startswith("HIERARCH ") else line[9:].strip()


def _unquote(text: str) -> str:
    match = _STRING.match(text)
    return match.group(1).replace("''", "'") if match else ""
