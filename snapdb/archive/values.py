"""What a fact of an image may be: checked and converted once, when it is set."""

import math
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from snapdb.errors import UsageError
from snapdb.model.image import FACT_NAMES
from snapdb.sky.time import to_mjd
from snapdb.sky.units import to_degrees

_TEXTS = frozenset({"observation_id", "band", "kind", "data_units", "instrument", "wcs_header"})
_WHOLE = frozenset({"sca", "bad_bits"})
_MAPS = frozenset({"flag_bits", "properties"})
_TIMES = frozenset({"mjd", "release_date"})
_NEVER_NONE = frozenset({"kind", "data_units", "wcs_header", "bad_bits", "flag_bits", "properties"})
_LEAST = {"exptime": 0.0, "pixel_scale": 0.0}
_UNITS = ("counts", "rate")


def check_fact(name: str, value: Any) -> Any:
    """Check a fact that a caller sets.

    Parameters
    ----------
    name : str
        Of the fact.
    value : object
        None for "not known"; a time as a number, ISO text or Time; an angle as degrees,
        sexagesimal text or Quantity.

    Returns
    -------
    object
        As the image keeps it: times as MJD UTC, angles as degrees, right ascension in [0, 360).

    Raises
    ------
    UsageError
        If it cannot be; the message names the fact, the value, and what is expected.
    """
    if value is None and name not in _NEVER_NONE:
        return None
    for names, check in _CHECKS:
        if name in names:
            return check(name, value)
    return _check_angle(name, value) if name.startswith(("ra", "dec")) else _check_number(name, value)


def check_name(name: str) -> None:
    """Refuse a name that no fact has.

    Raises
    ------
    UsageError
        With the nearest name, or all of them.
    """
    if name in FACT_NAMES:
        return
    import difflib

    near = difflib.get_close_matches(name, FACT_NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(FACT_NAMES)}"
    msg = f"an Image has no {name!r}{hint}"
    raise UsageError(msg, name=name)


def as_uuid(value: UUID | str | None, name: str) -> UUID | None:
    """Give an id that may be written as text.

    Raises
    ------
    UsageError
        If it is none.
    """
    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError) as err:
        msg = f"{name}={value!r} is no UUID, such as 0192f3c1-7c4e-7d3a-9a50-3f1f2b6f7a10"
        raise UsageError(msg, name=name) from err


def _check_time(name: str, value: Any) -> float:
    """Take a time."""
    try:
        return to_mjd(value)
    except UsageError as err:
        msg = f"{name}={value!r}: {err}"
        raise UsageError(msg, name=name, value=value) from err


def _check_map(name: str, value: Any) -> dict[str, Any]:
    """Take a mapping, and keep a copy."""
    if not isinstance(value, Mapping):
        raise _refuse(name, value, "a mapping")
    return dict(value)


def _check_text(name: str, value: Any) -> str:
    """Take text; data_units has two words."""
    if not isinstance(value, str):
        raise _refuse(name, value, "text")
    if name == "data_units" and value not in _UNITS:
        raise _refuse(name, value, "'counts' or 'rate'")
    return str(value)


def _check_whole(name: str, value: Any) -> int:
    """Take a whole number of any numeric type."""
    number = _check_number(name, value)
    if not number.is_integer():
        raise _refuse(name, value, "a whole number")
    return int(number)


def _check_angle(name: str, value: Any) -> float:
    """Take an angle on the sky."""
    axis = "ra" if name.startswith("ra") else "dec"
    degrees = _check_number(name, to_degrees(value, name=axis))
    if axis == "dec" and abs(degrees) > 90.0:
        raise _refuse(name, value, "-90 to 90 degrees")
    return degrees % 360.0 if axis == "ra" else degrees


def _check_number(name: str, value: Any) -> float:
    """Take a finite number."""
    try:
        number = float("nan") if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise _refuse(name, value, "a finite number")
    if number < _LEAST.get(name, -math.inf):
        raise _refuse(name, value, "0 or more")
    return number % 360.0 if name == "position_angle" else number


def _refuse(name: str, value: object, expected: str) -> UsageError:
    """Make the error of a value that cannot be."""
    msg = f"{name}={value!r}: expected {expected}"
    return UsageError(msg, name=name, value=value)


_CHECKS: tuple[tuple[frozenset[str], Callable[[str, Any], Any]], ...] = (
    (_TIMES, _check_time),
    (_TEXTS, _check_text),
    (_MAPS, _check_map),
    (_WHOLE, _check_whole),
)
