"""Which keys a header map may have, so that a slip of the pen is told and not passed over."""

import re
from collections.abc import Mapping
from typing import Any

from snapdb.errors import ConfigError
from snapdb.model.layout import Meaning

_TEST: dict[str, type] = {"header": dict, "extname": str, "hdu": int, "filename": str}
_TEXT: dict[str, type] = {
    "cards": list,
    "filename": str,
    "replace": list,
    "unknown": list,
    "value": str,
    "case": str,
    "escaped": bool,
}
RULE_KEYS: dict[str, dict[str, type]] = {
    "recognise": _TEST,
    "plane": {**_TEST, "role": str, "meaning": str, "kind": str},
    "companion": {"plane": str, "data": str, "file": object, "meaning": str, "kind": str},
    "band": _TEXT,
    "observation_id": _TEXT,
    "sca": _TEXT,
    "mjd": {"card": str, "as": str, "scale": str, "time": list, "when": dict, "at": str, "whole": bool},
    "exptime": {"card": str, "unit": str, "when": dict},
    "sky_level": {"cards": list},
    "zeropoint": {
        "rule": str, "card": str, "value": object, "system": str, "ab_offset": dict, "exptime": object,
        "when": dict, "unless_rate": bool, "warn": str, "source": str, "area": str,
    },
    "data_units": {"value": str, "card": str, "rate": str},
    "kind": {**_TEST, "value": str, "card": str},
    "flags": {
        "bits": dict, "bad": list, "codes": dict, "good": list, "cards": str, "json": str, "from_zero": bool,
        "sets": list, "bad_card": str, "origin": str,
    },
    "properties": {"cards": list},
}  # fmt: skip
"""Section -> its keys and their types; ``object`` is checked where it is used."""
SECTIONS = (
    "band", "observation_id", "sca", "mjd", "exptime", "sky_level", "zeropoint", "data_units", "kind",
    "flags", "properties",
)  # fmt: skip
"""Sections that say how a fact is found."""
_LISTS = ("recognise", "plane", "companion", "mjd", "exptime", "zeropoint", "kind")
_TOP = {"name": str, "title": str, "sources": list, "priority": int, "notes": list}
_CHOICES: dict[tuple[str, str], tuple[str, ...]] = {
    ("plane", "meaning"): tuple(Meaning),
    ("companion", "meaning"): tuple(Meaning),
    ("mjd", "as"): ("mjd", "jd", "iso", "tai_seconds", "unix", "compact_date"),
    ("mjd", "scale"): ("utc", "tai", "tt", "tdb", "timesys"),
    ("mjd", "at"): ("start", "middle"),
    ("exptime", "unit"): ("s", "min", "h", "d"),
    ("zeropoint", "rule"): (
        "keyword",
        "constant",
        "photflam",
        "fluxmag0",
        "surface",
        "unit",
        "unknown",
        "note",
        "exact",
    ),
    ("zeropoint", "system"): ("AB", "Vega", "said"),
    ("data_units", "value"): ("counts", "rate"),
}  # fmt: skip
_NEEDED = {"plane": ("role",), "companion": ("plane", "data", "file"), "mjd": ("card",), "exptime": ("card",)}


def check_document(document: Mapping[str, Any], file: str) -> None:
    """See that a header map holds only what is understood.

    Parameters
    ----------
    document : mapping
        The parsed TOML.
    file : str
        What errors call it.

    Raises
    ------
    ConfigError
        An unknown key, a value of the wrong type, a choice that does not
        exist, a pattern that does not compile.
    """
    for key, value in document.items():
        if key in _TOP:
            _check_type(file, key, value, _TOP[key])
        elif key not in RULE_KEYS:
            known = ", ".join(sorted([*_TOP, *RULE_KEYS]))
            _fail(file, key, f"unknown; there are: {known}")
        else:
            _check_section(file, key, value)
    if not document.get("name"):
        _fail(file, "name", "missing; every map has a name")


def _check_section(file: str, section: str, value: object) -> None:
    expected = list if section in _LISTS else dict
    _check_type(file, section, value, expected)
    entries = value if isinstance(value, list) else [value]
    for number, entry in enumerate(entries):
        where = f"{section}[{number}]" if isinstance(value, list) else section
        _check_type(file, where, entry, dict)
        _check_entry(file, section, where, entry)


def _check_entry(file: str, section: str, where: str, entry: Mapping[str, Any]) -> None:
    known = RULE_KEYS[section]
    for key, value in entry.items():
        if key not in known:
            _fail(file, f"{where}.{key}", f"unknown; there are: {', '.join(sorted(known))}")
        _check_type(file, f"{where}.{key}", value, known[key])
        choices = _CHOICES.get((section, key))
        if choices is not None and value not in choices:
            _fail(file, f"{where}.{key}", f"{value!r}; there are: {', '.join(choices)}")
        _check_patterns(file, f"{where}.{key}", key, value)
    for key in _NEEDED.get(section, ()):
        if key not in entry:
            _fail(file, f"{where}.{key}", "missing")


def _check_patterns(file: str, where: str, key: str, value: Any) -> None:
    """Compile every pattern of an entry once, to see that it does."""
    patterns: list[object] = []
    if key in ("extname", "filename", "rate"):
        patterns = [value]
    elif key in ("header", "when"):
        patterns = list(value.values())
    elif key == "replace":
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
            _fail(file, where, "expected pairs [pattern, replacement]")
        patterns = [pair[0] for pair in value]
    for pattern in patterns:
        try:
            re.compile(str(pattern))
        except re.error as err:
            _fail(file, where, f"the pattern {pattern!r} does not compile: {err}")


def _check_type(file: str, key: str, value: object, expected: type) -> None:
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        _fail(file, key, f"{value!r} is a {type(value).__name__}, expected a {expected.__name__}")


def _fail(file: str, key: str, problem: str) -> None:
    msg = f"header map {file}: key {key}: {problem}"
    raise ConfigError(msg, path=file, key=key, problem=problem)
