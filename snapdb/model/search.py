"""One checked question to the registry."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np

from snapdb.errors import SearchError, UsageError
from snapdb.model.image import FACT_NAMES

Bound: TypeAlias = tuple[float | None, float | None]
"""(least, greatest), both inclusive, None where open."""

CORNERS: tuple[str, ...] = tuple(f"{c}_corner_{x}{y}" for x in "01" for y in "01" for c in ("ra", "dec"))
"""Names of the eight corner columns."""
CYCLIC = frozenset({"ra", "position_angle", *(name for name in CORNERS if name.startswith("ra_"))})
"""Angles whose range goes through 0 when its least is above its greatest."""
RANGES: tuple[str, ...] = (
    "ra",
    "dec",
    *CORNERS,
    "width",
    "height",
    "mjd",
    "exptime",
    "position_angle",
    "zeropoint",
    "sky_level",
    "pixel_scale",
    "release_date",
)
"""Columns that can be asked for by ``<name>_min`` and ``<name>_max``."""
_TEXTS = ("observation_id", "band", "filepath", "kind", "instrument", "data_units", "format")
_INTEGERS = ("sca", "width", "height", "hdu")
_NUMBERS = ("exptime", "zeropoint", "sky_level", "position_angle", "pixel_scale", *CORNERS)
_TIMES = ("mjd", "release_date")
EQUALS: tuple[str, ...] = ("id", *_TEXTS, *_INTEGERS, *_TIMES, *_NUMBERS)
"""Columns that can be asked for by value."""
_UNORDERED = ("wcs_header", "flag_bits", "properties")
ORDERS: tuple[str, ...] = (
    *(name for name in FACT_NAMES if name not in _UNORDERED),
    "id",
    "provenance_id",
    "filepath",
    "hdu",
)
"""Columns that results can be sorted by."""
_OTHERS = ("ra", "dec", "provenance_ids", "order_by", "limit", "offset")
CRITERIA: tuple[str, ...] = (*_OTHERS, *EQUALS, *(f"{k}_{end}" for k in RANGES for end in ("min", "max")))
"""Every name that :func:`make_search` knows."""

_INT64 = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which images are asked for; None or empty means "not asked".

    Built by :func:`make_search` from keyword arguments, which checks names and values.
    """

    ra: float | None = None
    """With ``dec``: only images whose footprint contains this position, ICRS degrees."""
    dec: float | None = None
    equals: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Column -> values, any of which will do; without values nothing matches."""
    ranges: Mapping[str, Bound] = field(default_factory=dict)
    """Column -> bounds; a range of an angle whose least is above its greatest goes through 0."""
    provenance_ids: tuple[UUID, ...] | None = None
    """Any of these; None asks all."""
    order_by: Sequence[tuple[str, bool]] = ()
    """(column, descending) in order of weight."""
    limit: int | None = None
    offset: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match, since a list of values is empty."""
        return self.provenance_ids == () or self.limit == 0 or any(not v for v in self.equals.values())


def make_search(**criteria: Any) -> Search:
    """Check criteria given by keyword, and gather them into a question.

    None leaves a criterion out. Where a value is asked for, a list, tuple or set
    asks for any of its values, and an empty one matches nothing.

    Parameters
    ----------
    **criteria : object
        ``ra`` and ``dec``, ICRS degrees: images whose footprint contains the
        position; ``ra`` alone may be a SkyCoord, and both take sexagesimal text.
        ``provenance_ids``: UUIDs. By value: the names in :data:`EQUALS`. By
        range, inclusive: ``<name>_min`` and ``<name>_max`` for the names in
        :data:`RANGES`; ``ra_min`` above ``ra_max`` goes through 0. Times (``mjd``,
        ``release_date``) are MJD numbers, ISO text, Time or datetime. ``order_by``:
        a name or a list of names, descending as ``"-mjd"`` or ``"mjd desc"``;
        what is unknown comes last. ``limit`` and ``offset``: how many, from where.

    Returns
    -------
    Search
        The question.

    Raises
    ------
    SearchError
        If a name is unknown, or a value is of the wrong type or cannot be; the
        message names parameter, value, and what is expected.

    Examples
    --------
    >>> search = make_search(band=["r", "i"], mjd_min="2020-01-01", order_by="-mjd")
    >>> search.ranges["mjd"]
    (58849.0, None)
    """
    given = {name: value for name, value in criteria.items() if value is not None}
    for name in criteria:
        if name not in CRITERIA:
            raise SearchError(_describe_unknown(name, CRITERIA, "search parameter"), parameter=name)
    ra, dec = _take_position(given)
    limit, offset = (_take_count(given, name) for name in ("limit", "offset"))
    ids = given.get("provenance_ids")
    return Search(
        ra=ra,
        dec=dec,
        equals={name: _take_values(name, given[name]) for name in EQUALS if name in given},
        ranges=_take_ranges(given),
        provenance_ids=None if ids is None else tuple(_to_uuid("provenance_ids", i) for i in _each(ids)),
        order_by=_take_order(given.get("order_by", ())),
        limit=limit,
        offset=offset or 0,
    )


def _describe_unknown(name: str, known: Sequence[str], noun: str) -> str:
    """Say that a name is unknown, and which is the nearest."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"unknown {noun} {name!r}; {hint}"


def _refused(name: str, value: object, expected: str) -> SearchError:
    """Make the error for a value that cannot be."""
    try:
        shown = f"{value!r:.80}"
    except ValueError:  # an integer of more digits than Python writes out
        shown = "(an integer of thousands of digits)"
    return SearchError(f"{name} = {shown}: expected {expected}", parameter=name, value=value)


def _take_position(given: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Give the position that footprints must contain."""
    if "ra" not in given and "dec" not in given:
        return None, None
    if "ra" not in given:
        raise _refused("dec", given["dec"], "ra beside it (or dec_min and dec_max for centres)")
    if "dec" not in given and isinstance(given["ra"], Real | str):
        raise _refused("ra", given["ra"], "dec beside it (or ra_min and ra_max for centres)")
    for name in ("ra", "dec"):
        if isinstance(given.get(name), bool):
            raise _refused(name, given[name], "an angle in degrees")
    ra, dec = _to_angles(given["ra"], given.get("dec"))
    right, up = _to_number("ra", ra), _to_number("dec", dec)
    if abs(up) > 90:
        raise _refused("dec", up, "a declination between -90 and 90 degrees")
    wrapped = right % 360.0
    return (wrapped if wrapped < 360.0 else 0.0), up


def _to_angles(ra: Any, dec: Any) -> tuple[Any, Any]:
    """Give a position of any form as two numbers."""
    if isinstance(ra, Real) and isinstance(dec, Real):
        return ra, dec
    from snapdb.sky.units import split_coordinates

    try:
        return split_coordinates(ra, dec)
    except UsageError as err:
        msg = f"ra, dec: {err}"
        raise SearchError(msg, parameter="ra", value=ra) from err


def _take_count(given: Mapping[str, Any], name: str) -> int | None:
    """Give ``limit`` or ``offset``."""
    if name not in given:
        return None
    count = _to_integer(name, given[name])
    if count < 0:
        raise _refused(name, given[name], "an integer that is not negative")
    return count


def _each(value: Any) -> Iterable[Any]:
    """Give the values of a list, tuple, set or array, or the one value."""
    if isinstance(value, str | bytes | Mapping | PurePath):
        return (value,)
    if isinstance(value, list | tuple | set | frozenset | range):
        return value
    return value.tolist() if getattr(value, "ndim", 0) == 1 and hasattr(value, "dtype") else (value,)


def _take_values(name: str, value: Any) -> tuple[Any, ...]:
    """Check the values that a column may have, each once."""
    convert = _CONVERTERS[name]
    return tuple(dict.fromkeys(convert(name, v) for v in _each(value)))


def _take_ranges(given: Mapping[str, Any]) -> dict[str, Bound]:
    """Gather the lower and upper ends."""
    ranges: dict[str, Bound] = {}
    for name in RANGES:
        low, high = (_take_end(f"{name}_{end}", given, name in _TIMES) for end in ("min", "max"))
        bound = _wrap_bound(low, high) if name in CYCLIC else (low, high)
        if bound == (None, None):
            continue
        if name not in CYCLIC and low is not None and high is not None and low > high:
            lower = f"{name}_min"
            raise _refused(lower, given[lower], f"at most {name}_max = {high}")
        ranges[name] = bound
    return ranges


def _take_end(name: str, given: Mapping[str, Any], is_time: bool) -> float | None:  # noqa: FBT001  # private
    """Give one end of a range."""
    if name not in given:
        return None
    value = _to_time(name, given[name]) if is_time else _to_number(name, given[name])
    if name.startswith("dec") and abs(value) > 90:
        raise _refused(name, value, "a declination between -90 and 90 degrees")
    return value


def _wrap_bound(low: float | None, high: float | None) -> Bound:
    """Bring both ends of an angle's range into [0, 360]; a whole turn asks nothing."""
    if low is None or high is None:
        return low, high
    if high - low >= 360.0:
        return None, None
    return tuple(v if 0.0 <= v <= 360.0 else v % 360.0 for v in (low, high))  # type: ignore[return-value]


def _take_order(value: Any) -> tuple[tuple[str, bool], ...]:
    """Read what to sort by."""
    return tuple(_read_order(item) for item in _each(value))


def _read_order(item: object) -> tuple[str, bool]:
    """Read one name to sort by, with its direction."""
    if not isinstance(item, str) or not item.strip():
        raise _refused("order_by", item, "a column's name, or a list of names")
    name, _, way = item.strip().partition(" ")
    descending = name.startswith("-")
    name, way = name.lstrip("-+"), way.strip().lower()
    if way not in ("", "asc", "desc"):
        raise _refused("order_by", item, "'asc' or 'desc' after the name")
    if name not in ORDERS:
        raise SearchError(
            _describe_unknown(name, ORDERS, "column in order_by"), parameter="order_by", value=item
        )
    return name, descending or way == "desc"


def _to_text(name: str, value: object) -> str:
    """Take text; whole numbers and paths stand for theirs."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Integral) and not _is_bool(value):
        return str(int(value))
    raise _refused(name, value, "text, or a list of texts")


def _to_integer(name: str, value: object) -> int:
    """Take a whole number of 64 bits."""
    if isinstance(value, Real) and not _is_bool(value) and not _is_endless(value):
        number = int(value) if isinstance(value, Integral) else int(float(value))
        if number == value and -_INT64 <= number < _INT64:
            return number
        if number == value:
            raise _refused(name, value, "a whole number of at most 64 bits (-2**63 to 2**63 - 1)")
    raise _refused(name, value, "a whole number")


def _to_number(name: str, value: object) -> float:
    """Take a finite number."""
    if isinstance(value, Real) and not _is_bool(value) and not _is_endless(value):
        try:
            return float(value)
        except OverflowError as err:
            raise _refused(name, value, "a number of at most 64 bits, below 1.8e308") from err
    raise _refused(name, value, "a finite number")


def _is_endless(value: Any) -> bool:
    """Tell NaN and infinity; an integer is neither, be it too large for a float."""
    return not isinstance(value, Integral) and not math.isfinite(value)


def _is_bool(value: object) -> bool:
    """Tell a truth value, which Python counts among the integers."""
    return isinstance(value, bool | np.bool_)


def _to_time(name: str, value: Any) -> float:
    """Take a time as MJD, UTC."""
    if isinstance(value, Real):
        return _to_number(name, value)
    from snapdb.sky.time import to_mjd

    try:
        return float(to_mjd(value))
    except SearchError as err:
        raise _refused(name, value, f"an MJD, ISO text, Time or datetime ({err})") from err


def _to_uuid(name: str, value: object) -> UUID:
    """Take an id, as UUID or text."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError as err:
        raise _refused(name, value, "a UUID such as 'bdfc881c-bc69-58b7-6cd9-2c6f7db341c3'") from err


_CONVERTERS: dict[str, Callable[[str, Any], Any]] = {
    "id": _to_uuid,
    **dict.fromkeys(_TEXTS, _to_text),
    **dict.fromkeys(_INTEGERS, _to_integer),
    **dict.fromkeys(_TIMES, _to_time),
    **dict.fromkeys(_NUMBERS, _to_number),
}
