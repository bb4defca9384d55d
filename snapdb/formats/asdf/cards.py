"""Metadata of an ASDF tree as header cards, so that header maps and headers read them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from snapdb.formats.cards import CARD

_DEEPEST = 6
_ASIDE = frozenset({"history", "asdf_library", "wcs"})
_KEY = re.compile(r"[A-Za-z0-9_]+\Z")


def to_cards(tree: Mapping[str, Any]) -> bytes:
    """Write every single value of a tree as a card named by its path.

    ``roman: {meta: {telescope: ROMAN}}`` becomes ``HIERARCH ROMAN.META.TELESCOPE = 'ROMAN'``.

    Parameters
    ----------
    tree : mapping
        Nodes with their tags; numbers, texts and truth values count. What does not fit on one
        card of 80 characters, lists, arrays and coordinates have none.

    Returns
    -------
    bytes
        Cards of 80 bytes.
    """
    lines = (_to_card(key, value) for key, value in _walk(tree, "", 0))
    return b"".join(line for line in lines if line)


def _walk(node: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        name = str(key)
        if name in _ASIDE or not _KEY.match(name):
            continue
        if isinstance(value, Mapping):
            if set(value) == {"value", "unit"} and not isinstance(value["value"], Mapping):
                yield path + name, value["value"]
            elif depth < _DEEPEST:
                yield from _walk(value, f"{path}{name}.", depth + 1)
        else:
            yield path + name, value


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
