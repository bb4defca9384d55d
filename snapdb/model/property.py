"""Questions about what an image keeps in its ``properties``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from snapdb.errors import SearchError
from snapdb.model.asked import each, refused

Scalar: TypeAlias = str | float | bool | None
_ENDS = ("min", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyTest:
    """What one property shall be: one of some values, or within a range."""

    path: tuple[str, ...]
    """Keys from the outermost object inward."""
    values: tuple[Scalar, ...] | None = None
    """Any of these; None among them stands for null or missing. None asks a range instead."""
    low: float | None = None
    """Least number, inclusive; None where open."""
    high: float | None = None


def take_properties(asked: Any) -> tuple[PropertyTest, ...]:
    """Read what ``properties`` shall be.

    Parameters
    ----------
    asked : mapping
        Name -> value, list of values, or ``{"min": low, "max": high}`` with one end or
        both. The names of nested objects are joined by dots (``"weather.seeing"``); a
        tuple of names stands for names that have dots themselves.

    Returns
    -------
    tuple of PropertyTest
        One a name.

    Raises
    ------
    SearchError
        If a name or value cannot be asked for.
    """
    if not isinstance(asked, Mapping):
        raise refused("properties", asked, "a dictionary such as {'grism': 'G102', 'airmass': {'max': 1.5}}")
    return tuple(_take_property(_take_path(name), value) for name, value in asked.items())


def _take_path(name: Any) -> tuple[str, ...]:
    """Give the keys that a name stands for."""
    path = tuple(name.split(".")) if isinstance(name, str) else name
    keys_are_names = isinstance(path, tuple) and path and all(isinstance(k, str) and k for k in path)
    if not keys_are_names or any('"' in k or "\0" in k for k in path):
        raise refused("properties", name, "names joined by dots, without quotation marks")
    return path


def _take_property(path: tuple[str, ...], asked: Any) -> PropertyTest:
    """Read what one property shall be."""
    name = f"properties[{'.'.join(path)!r}]"
    if isinstance(asked, Mapping):
        if not asked or any(end not in _ENDS for end in asked):
            raise refused(name, asked, "a value, a list of values, or {'min': ..., 'max': ...}")
        low, high = (_take_end(f"{name}[{end!r}]", asked.get(end)) for end in _ENDS)
        if low is None and high is None:
            raise refused(name, asked, "a number for 'min' or 'max'")
        if low is not None and high is not None and low > high:
            msg = f"{name}: min = {low} is above max = {high}"
            raise SearchError(msg, parameter="properties", value=asked)
        return PropertyTest(path=path, low=low, high=high)
    values = [None] if asked is None else each(asked)
    return PropertyTest(path=path, values=tuple(dict.fromkeys(_take_scalar(name, v) for v in values)))


def _take_end(name: str, value: Any) -> float | None:
    """Read one end of a range."""
    if value is None:
        return None
    number = _take_scalar(name, value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise refused(name, value, "a number")
    return float(number)


def _take_scalar(name: str, value: Any) -> Scalar:
    """Take text, a finite number, a truth value or None."""
    plain = value.item() if getattr(value, "shape", None) == () else value
    if plain is None or isinstance(plain, str | bool):
        if isinstance(plain, str) and "\0" in plain:
            raise refused(name, value, "text without null characters")
        return plain
    if isinstance(plain, int | float) and math.isfinite(plain):
        return float(plain)
    raise refused(name, value, "text, a finite number, True, False or None")
