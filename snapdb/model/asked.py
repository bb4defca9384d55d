"""Checks of what a search asks for: each gives a plain value, or an error that says what is expected."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np

from snapdb.errors import SearchError

_INT64 = 2**63
_SET = re.compile(r"\[\^?\]?[^\]]*\]")


def describe_unknown(name: str, known: Sequence[str], noun: str) -> str:
    """Say that a name is unknown, and which is the nearest."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"unknown {noun} {name!r}; {hint}"


def refused(name: str, value: object, expected: str) -> SearchError:
    """Make the error for a value that cannot be."""
    try:
        shown = f"{value!r:.80}"
    except ValueError:  # an integer of more digits than Python writes out
        shown = "(an integer of thousands of digits)"
    return SearchError(f"{name} = {shown}: expected {expected}", parameter=name, value=value)


def each(value: Any) -> Iterable[Any]:
    """Give the values of a list, tuple, set or array, or the one value."""
    if isinstance(value, str | bytes | Mapping | PurePath):
        return (value,)
    if isinstance(value, list | tuple | set | frozenset | range):
        return value
    return value.tolist() if getattr(value, "ndim", 0) == 1 and hasattr(value, "dtype") else (value,)


def to_text(name: str, value: object) -> str:
    """Take text; whole numbers and paths stand for theirs."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Integral) and not _is_bool(value):
        return str(int(value))
    raise refused(name, value, "text, or a list of texts")


def take_glob(given: Mapping[str, Any]) -> str | None:
    """Take ``filepath_glob``: ``*``, ``?``, ``[...]``, ``[^...]``; ``[!`` becomes ``[^``."""
    if "filepath_glob" not in given:
        return None
    value = given["filepath_glob"]
    pattern = to_text("filepath_glob", value).replace("[!", "[^")
    if "\0" in pattern or "[" in _SET.sub("", pattern):
        raise refused("filepath_glob", value, "a pattern in which each [ has its ]")
    return pattern


def to_integer(name: str, value: object) -> int:
    """Take a whole number of 64 bits."""
    if isinstance(value, Real) and not _is_bool(value) and not _is_endless(value):
        number = int(value) if isinstance(value, Integral) else int(float(value))
        if number == value and -_INT64 <= number < _INT64:
            return number
        if number == value:
            raise refused(name, value, "a whole number of at most 64 bits (-2**63 to 2**63 - 1)")
    raise refused(name, value, "a whole number")


def to_number(name: str, value: object) -> float:
    """Take a finite number."""
    if isinstance(value, Real) and not _is_bool(value) and not _is_endless(value):
        try:
            return float(value)
        except OverflowError as err:
            raise refused(name, value, "a number of at most 64 bits, below 1.8e308") from err
    raise refused(name, value, "a finite number")


def _is_endless(value: Any) -> bool:
    """Tell NaN and infinity; an integer is neither, be it too large for a float."""
    return not isinstance(value, Integral) and not math.isfinite(value)


def _is_bool(value: object) -> bool:
    """Tell a truth value, which Python counts among the integers."""
    return isinstance(value, bool | np.bool_)


def to_time(name: str, value: Any) -> float:
    """Take a time as MJD, UTC."""
    if isinstance(value, Real):
        return _refuse_other_days(name, to_number(name, value))
    from snapdb.sky.time import to_mjd

    try:
        return float(to_mjd(value))
    except SearchError as err:
        raise refused(name, value, f"an MJD, ISO text, Time or datetime ({err})") from err


def _refuse_other_days(name: str, number: float) -> float:
    """Refuse what is a Julian date, or a date in digits: as an MJD it would find nothing, or everything."""
    if 2.4e6 <= number < 2.5e6:
        raise refused(name, number, f"an MJD; as a Julian date this is MJD {number - 2400000.5:.10g}")
    year, month, day = int(number) // 10000, int(number) // 100 % 100, int(number) % 100
    if number.is_integer() and 1800 <= year < 2200 and 1 <= month <= 12 and 1 <= day <= 31:
        raise refused(name, number, f"an MJD; a date is written '{year}-{month:02}-{day:02}'")
    return number


def to_uuid(name: str, value: object) -> UUID:
    """Take an id, as UUID or text."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError as err:
        raise refused(name, value, "a UUID such as 'bdfc881c-bc69-58b7-6cd9-2c6f7db341c3'") from err
