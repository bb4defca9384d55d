"""One checked question to the registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from snapdb.errors import SearchError, UsageError
from snapdb.model.asked import (
    describe_unknown,
    each,
    refused,
    take_glob,
    to_integer,
    to_number,
    to_text,
    to_time,
    to_uuid,
)
from snapdb.model.image import FACT_NAMES
from snapdb.model.property import PropertyTest, take_properties

if TYPE_CHECKING:
    from snapdb.sky.region import Region

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
_TEXTS = ("observation_id", "band", "filepath", "kind", "instrument", "data_units", "format", "sha256")
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
RELATIONS = ("overlaps", "covers", "contains", "within")
"""How an image may lie to a region; see :func:`snapdb.sky.relate.relate`."""
_REGION = ("ra", "dec", "radius", "region", "relation")
_OTHERS = (*_REGION, "filepath_glob", "properties", "provenance_ids", "order_by", "after", "limit", "offset")
CRITERIA: tuple[str, ...] = (*_OTHERS, *EQUALS, *(f"{k}_{end}" for k in RANGES for end in ("min", "max")))
"""Every name that :func:`make_search` knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which images are asked for; None or empty means "not asked".

    Built by :func:`make_search` from keyword arguments, which checks names and values.
    """

    ra: float | None = None
    """With ``dec``: only images whose footprint contains this position, ICRS degrees."""
    dec: float | None = None
    region: "Region | None" = None
    """Only images that lie to this region as `relation` says."""
    relation: str = RELATIONS[0]
    equals: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Column -> values, any of which will do; without values nothing matches."""
    ranges: Mapping[str, Bound] = field(default_factory=dict)
    """Column -> bounds; a range of an angle whose least is above its greatest goes through 0."""
    properties: tuple[PropertyTest, ...] = ()
    filepath_glob: str | None = None
    """Pattern of the file's key: ``*`` any characters, ``?`` one, ``[...]`` one of these."""
    provenance_ids: tuple[UUID, ...] | None = None
    """Any of these; None asks all."""
    order_by: Sequence[tuple[str, bool]] = ()
    """(column, descending) in order of weight."""
    after: UUID | None = None
    """Only images that come after this one in the order."""
    after_values: tuple[Any, ...] | None = None
    """What the columns of `order_by` hold there, once the registry has looked it up."""
    limit: int | None = None
    offset: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match, since a list of values is empty."""
        lists = [self.provenance_ids, *self.equals.values(), *(p.values for p in self.properties)]
        return self.limit == 0 or () in lists


def make_search(**criteria: Any) -> Search:
    """Check criteria given by keyword, and gather them into a question.

    None leaves a criterion out. Where a value is asked for, a list, tuple or set
    asks for any of its values, and an empty one matches nothing.

    Parameters
    ----------
    **criteria : object
        ``ra`` and ``dec``, ICRS degrees: images whose footprint contains the
        position; ``ra`` alone may be a SkyCoord, and both take sexagesimal text. With
        ``radius``, degrees: images that the circle about the position touches.
        ``region``: a Region, a Footprint, or text such as ``"CIRCLE 10 20 0.5"``; and
        ``relation``, what images shall be to it: ``overlaps`` (by default), ``covers``,
        ``contains``, ``within``. ``properties``: see
        :func:`snapdb.model.property.take_properties`. ``filepath_glob``: a pattern with
        ``*``, ``?`` and ``[...]``. ``provenance_ids``: UUIDs. By value: the names in :data:`EQUALS`. By
        range, inclusive: ``<name>_min`` and ``<name>_max`` for the names in
        :data:`RANGES`; ``ra_min`` above ``ra_max`` goes through 0. Times (``mjd``,
        ``release_date``) are MJD numbers, ISO text, Time or datetime. ``order_by``:
        a name or a list of names, descending as ``"-mjd"`` or ``"mjd desc"``;
        what is unknown comes last. ``limit`` and ``offset``: how many, from where;
        ``after``: the id of an image, only those that come after it in that order.

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
            raise SearchError(describe_unknown(name, CRITERIA, "search parameter"), parameter=name)
    region = _take_region(given)
    ra, dec = (None, None) if "radius" in given else _take_position(given)
    limit, offset = (_take_count(given, name) for name in ("limit", "offset"))
    ids = given.get("provenance_ids")
    return Search(
        ra=ra,
        dec=dec,
        region=region,
        relation=_take_relation(given),
        properties=take_properties(given.get("properties", {})),
        filepath_glob=take_glob(given),
        equals={name: _take_values(name, given[name]) for name in EQUALS if name in given},
        ranges=_take_ranges(given),
        provenance_ids=None if ids is None else tuple(to_uuid("provenance_ids", i) for i in each(ids)),
        order_by=_take_order(given.get("order_by", ())),
        after=to_uuid("after", given["after"]) if "after" in given else None,
        limit=limit,
        offset=offset or 0,
    )


def _take_position(given: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Give the position that footprints must contain."""
    if "ra" not in given and "dec" not in given:
        return None, None
    if "ra" not in given:
        raise refused("dec", given["dec"], "ra beside it (or dec_min and dec_max for centres)")
    if "dec" not in given and isinstance(given["ra"], Real | str):
        raise refused("ra", given["ra"], "dec beside it (or ra_min and ra_max for centres)")
    for name in ("ra", "dec"):
        if isinstance(given.get(name), bool):
            raise refused(name, given[name], "an angle in degrees")
    ra, dec = _to_angles(given["ra"], given.get("dec"))
    right, up = to_number("ra", ra), to_number("dec", dec)
    if abs(up) > 90:
        raise refused("dec", up, "a declination between -90 and 90 degrees")
    wrapped = right % 360.0
    return (wrapped if wrapped < 360.0 else 0.0), up


def _take_region(given: Mapping[str, Any]) -> "Region | None":
    """Give the region that is asked for, or the circle about a position."""
    if "radius" not in given and "region" not in given:
        return None
    from snapdb.sky.region import circle, parse_region

    if "radius" not in given:
        return parse_region(given["region"])
    if "region" in given:
        raise refused("radius", given["radius"], "either radius beside ra and dec, or region")
    ra, dec = _take_position(given)
    if ra is None or dec is None:
        raise refused("radius", given["radius"], "ra and dec beside it")
    radius = to_number("radius", _to_degrees(given["radius"]))
    if not 0.0 <= radius <= 180.0:
        raise refused("radius", given["radius"], "an angle between 0 and 180 degrees")
    return circle(ra, dec, radius)


def _to_degrees(value: Any) -> Any:
    """Give an angle that has a unit as a number."""
    return value.to_value("deg") if hasattr(value, "to_value") else value


def _take_relation(given: Mapping[str, Any]) -> str:
    """Check how images shall lie to the region."""
    relation: str = given.get("relation", RELATIONS[0])
    if relation not in RELATIONS:
        raise refused("relation", relation, f"one of {', '.join(RELATIONS)}")
    if "relation" in given and "region" not in given and "radius" not in given:
        raise refused("relation", relation, "region, or radius, beside it")
    return relation


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
    count = to_integer(name, given[name])
    if count < 0:
        raise refused(name, given[name], "an integer that is not negative")
    return count


def _take_values(name: str, value: Any) -> tuple[Any, ...]:
    """Check the values that a column may have, each once."""
    convert = _CONVERTERS[name]
    return tuple(dict.fromkeys(convert(name, v) for v in each(value)))


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
            raise refused(lower, given[lower], f"at most {name}_max = {high}")
        ranges[name] = bound
    return ranges


def _take_end(name: str, given: Mapping[str, Any], is_time: bool) -> float | None:  # noqa: FBT001  # private
    """Give one end of a range."""
    if name not in given:
        return None
    value = to_time(name, given[name]) if is_time else to_number(name, given[name])
    if name.startswith("dec") and abs(value) > 90:
        raise refused(name, value, "a declination between -90 and 90 degrees")
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
    return tuple(_read_order(item) for item in each(value))


def _read_order(item: object) -> tuple[str, bool]:
    """Read one name to sort by, with its direction."""
    if not isinstance(item, str) or not item.strip():
        raise refused("order_by", item, "a column's name, or a list of names")
    name, _, way = item.strip().partition(" ")
    descending = name.startswith("-")
    name, way = name.lstrip("-+"), way.strip().lower()
    if way not in ("", "asc", "desc"):
        raise refused("order_by", item, "'asc' or 'desc' after the name")
    if name not in ORDERS:
        raise SearchError(
            describe_unknown(name, ORDERS, "column in order_by"), parameter="order_by", value=item
        )
    return name, descending or way == "desc"


_CONVERTERS: dict[str, Callable[[str, Any], Any]] = {
    "id": to_uuid,
    **dict.fromkeys(_TEXTS, to_text),
    **dict.fromkeys(_INTEGERS, to_integer),
    **dict.fromkeys(_TIMES, to_time),
    **dict.fromkeys(_NUMBERS, to_number),
}
