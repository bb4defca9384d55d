"""Metadata of an ASDF tree as header cards, so that header maps and headers read them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from snapdb.formats.cards import CARD
from snapdb.formats.quiet import caught_warnings

_DEEPEST = 6
_ASIDE = frozenset({"history", "asdf_library", "wcs"})
_KEY = re.compile(r"[A-Za-z0-9_]+\Z")
_TIME_TAG = "/time/time-"
_TIME_KEYS = frozenset({"value", "format", "scale", "base_format", "location"})
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DIGITS = 6
"""Of the seconds: what an MJD of 64 bits holds of a time of our days."""


def to_cards(tree: Mapping[str, Any]) -> bytes:
    """Write every single value of a tree as a card named by its path.

    ``roman: {meta: {telescope: ROMAN}}`` becomes ``HIERARCH ROMAN.META.TELESCOPE = 'ROMAN'``.

    Parameters
    ----------
    tree : mapping
        Nodes with their tags; numbers, texts and truth values count, and times, which become
        ISO text, UTC. What does not fit on one card of 80 characters, lists, arrays and
        coordinates have none.

    Returns
    -------
    bytes
        Cards of 80 bytes.
    """
    lines = (_to_card(key, value) for key, value in _walk(tree, "", 0))
    return b"".join(line for line in lines if line)


def _walk(node: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Give the single values below a node, each with its path."""
    for key, value in node.items():
        name = str(key)
        if name in _ASIDE or not _KEY.match(name):
            continue
        time = _read_time(value)
        if time is not None:
            yield path + name, time
        elif not isinstance(value, Mapping):
            yield path + name, value
        elif set(value) == {"value", "unit"} and not isinstance(value["value"], Mapping):
            yield path + name, value["value"]
        elif depth < _DEEPEST:
            yield from _walk(value, f"{path}{name}.", depth + 1)


def _read_time(node: Any) -> str | None:
    """Write a node that asdf-astropy makes of a Time as ISO text, UTC; None where it is no such node."""
    tagged = _TIME_TAG in str(getattr(node, "_tag", ""))
    if isinstance(node, Mapping):
        is_time = "value" in node and (tagged or ("format" in node and set(node) <= _TIME_KEYS))
        value, form, scale = (node.get(name) for name in ("value", "format", "scale"))
    else:
        value, form, scale = getattr(node, "data", None), None, None
        # A date of the calendar, UTC as asdf has it, is read as it stands.
        is_time = tagged and isinstance(value, str) and not _ISO_DATE.match(value)
    return _to_iso(getattr(value, "data", value), form, scale) if is_time else None


def _to_iso(value: Any, form: Any, scale: Any) -> str | None:
    """Write one time as ISO text, UTC; None where astropy can make no time of it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    from astropy.time import Time
    from astropy.utils.iers import conf

    words = {"format": form, "scale": scale}
    words = {name: str(getattr(word, "data", word)) for name, word in words.items() if word is not None}
    if words.get("format") == "iso":  # asdf's name of all texts of the calendar
        del words["format"]
    # UT1 is read by the tables that are installed: reading a file asks no server.
    with caught_warnings(), conf.set_temp("auto_download", value=False):
        try:
            text: str = Time(value, precision=_DIGITS, **words).utc.isot
        except (ValueError, TypeError, IndexError, OSError):  # IndexError: UT1 of a year that has no table
            return None
    return text


def _to_card(key: str, value: Any) -> bytes:
    """Write one card; nothing where the value is none that a card holds."""
    shown = show_value(value)
    if shown is None:
        return b""
    line = f"HIERARCH {key.upper()} = {shown}"
    return line.ljust(CARD).encode("ascii") if len(line) <= CARD else b""


def show_value(value: Any) -> str | None:
    """Write a value as FITS does; None where it is none of FITS's."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value).upper() if value - value == 0.0 else None
    text = getattr(value, "data", value)  # text with a tag
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        return None
    return "'" + text.replace("'", "''") + "'"
