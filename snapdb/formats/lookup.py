"""Where a value in a header came from: cards looked up by the rules of a header map."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snapdb.formats.cards import Cards, CardValue, to_number
from snapdb.formats.escapes import unescape_text
from snapdb.formats.maps import Test


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One value and where it was found, for ``snapdb ingest --explain``."""

    field: str
    """Name of the fact."""
    value: object
    source: str
    """Map and card, such as ``decam.toml: MAGZERO of HDU 1``."""


@dataclass(slots=True, kw_only=True)
class Lookup:
    """The headers that speak of one image, and what was found in them so far."""

    map_file: str
    """File name of the header map."""
    image: Cards
    """Cards of the image's own HDU."""
    primary: Cards
    """Cards of the primary HDU."""
    hdu: int
    path: str
    """Of the file, with forward slashes."""
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    """What is worth keeping though it makes no fact."""

    @property
    def filename(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    def get(self, spec: str) -> tuple[CardValue, str]:
        """Look a card up.

        Parameters
        ----------
        spec : str
            Keyword, in the image's own header and then in the primary one;
            ``KEY@primary`` and ``KEY@image`` ask one of them alone.

        Returns
        -------
        value : str, int, float, bool or None
            None where the card is absent or empty.
        where : str
            Keyword and HDU.
        """
        key, _, place = spec.partition("@")
        if place != "primary" and key in self.image:
            return _filled(self.image.get(key)), f"{key} of HDU {self.hdu}"
        if place != "image" and key in self.primary:
            return _filled(self.primary.get(key)), f"{key} of HDU 0"
        return None, key

    def get_number(self, spec: str) -> tuple[float | None, str]:
        """Look a card up as a finite number."""
        value, where = self.get(spec)
        return to_number(value), where

    def get_comment(self, spec: str) -> str:
        """Give the comment of a card."""
        key = spec.partition("@")[0]
        return self.image.comment(key) or self.primary.comment(key)

    def found(self, name: str, value: Any, where: str) -> Any:
        """Note where a value came from, and give it back."""
        self.findings.append(Finding(field=name, value=value, source=f"{self.map_file}: {where}"))
        return value

    def warn(self, text: str) -> None:
        """Note a warning once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def holds(self, when: Mapping[str, str] | None) -> bool:
        """Say whether every card named matches its pattern."""
        for key, pattern in (when or {}).items():
            value, _ = self.get(key)
            if value is None or not re.search(pattern, str(value)):
                return False
        return True


def fits_test(test: Test, cards: Cards, primary: Cards, *, hdu: int, filename: str) -> bool:
    """Say whether an HDU passes every part of a test."""
    if test.hdu is not None and test.hdu != hdu:
        return False
    if test.filename is not None and not test.filename.search(filename):
        return False
    if test.extname is not None and not test.extname.search(cards.get_text("EXTNAME") or ""):
        return False
    for key, pattern in test.header:
        value = cards.get(key) if key in cards else primary.get(key)
        if value is None or not pattern.search(str(value)):
            return False
    return True


def find_text(lookup: Lookup, name: str, rule: Mapping[str, Any]) -> str | None:
    """Find a textual fact by its rule: cards in order, then the file name.

    Parameters
    ----------
    lookup : Lookup
        The headers.
    name : str
        Of the fact.
    rule : mapping
        ``cards``, ``filename`` (its group ``value``, or the first group),
        ``value`` (a constant), ``replace`` (pairs of pattern and replacement,
        the first that matches counts), ``unknown`` (patterns that mean "not
        known"), ``case`` (``upper`` or ``lower``), ``escaped`` (whether the
        cards hold text as :func:`~snapdb.formats.escapes.escape_text` writes it).

    Returns
    -------
    str or None
        None where nothing says it.
    """
    for spec in rule.get("cards", ()):
        raw, where = lookup.get(spec)
        text = None if raw is None else _normalise(str(raw).strip(), rule)
        if text is not None:
            return str(lookup.found(name, unescape_text(text) if rule.get("escaped") else text, where))
    if "filename" in rule:
        match = re.search(rule["filename"], lookup.path)
        text = None if match is None else _normalise("-".join(g for g in match.groups() if g), rule)
        if text is not None:
            return str(lookup.found(name, text, f"file name matches {rule['filename']}"))
    if "value" in rule:
        return str(lookup.found(name, rule["value"], "fixed by the map"))
    return None


def _normalise(text: str, rule: Mapping[str, Any]) -> str | None:
    if not text or any(re.search(pattern, text) for pattern in rule.get("unknown", ())):
        return None
    text = _replace(text, rule.get("replace", ()))
    case = rule.get("case")
    return text.upper() if case == "upper" else text.lower() if case == "lower" else text or None


def _replace(text: str, pairs: Sequence[Sequence[str]]) -> str:
    for pattern, replacement in pairs:
        match = re.search(pattern, text)
        if match:
            return match.expand(replacement)
    return text


def _filled(value: CardValue) -> CardValue:
    return None if isinstance(value, str) and not value.strip() else value
