"""Regions of the sky as users give them: the virtual observatory's POS parameter, and boxes."""

import math
from collections.abc import Callable
from typing import Any

from snapdb.errors import SearchError
from snapdb.sky.footprint import Footprint
from snapdb.sky.region_range import ra_dec_range
from snapdb.sky.region_shapes import Region, box, circle, polygon

__all__ = ["Region", "box", "circle", "parse_region", "polygon", "ra_dec_range"]

_FORMS = (
    "'CIRCLE ra dec radius', 'POLYGON ra dec ra dec ra dec ...', "
    "'BOX ra dec width [height [position_angle]]' or 'RANGE ra_min ra_max dec_min dec_max', in degrees"
)


_BETWEEN = str.maketrans(",()", "   ")
_UNITS = {"d": 1.0, "'": 1.0 / 60.0, '"': 1.0 / 3600.0}
"""Signs of units as DS9 writes them, in degrees."""


def parse_region(value: Any) -> Region:
    """Take a region as a user gives it.

    Parameters
    ----------
    value : str, Footprint or Region
        Text: ``CIRCLE ra dec radius``, ``POLYGON ra dec ra dec ra dec ...`` or
        ``RANGE ra_min ra_max dec_min dec_max``, as in SIA 2.0 (section 2.1.1), where -Inf and +Inf
        leave a range open; or ``BOX ra dec width [height [position_angle]]``. ICRS degrees,
        any case, with blanks or commas between. ``ICRS`` after the first word, as in the ``s_region``
        of ObsCore, and brackets and lengths such as ``30"``, ``5'`` and ``0.5d``, as in DS9, are
        taken too.

    Returns
    -------
    Region
        A region comes back as it is.

    Raises
    ------
    SearchError
        If it is none of these, or there is no such region.

    Examples
    --------
    >>> parse_region("circle 10, -20, 0.5").text
    'CIRCLE 10 -20 0.5'
    """
    if isinstance(value, Region):
        return value
    if isinstance(value, Footprint):
        return polygon(value.vertices)
    if not isinstance(value, str):
        msg = f"a region of type {type(value).__name__}: expected {_FORMS}; or a Footprint or Region"
        raise SearchError(msg, region=repr(value))
    words = value.translate(_BETWEEN).split()
    make = _MAKERS.get(words[0].upper()) if words else None
    if make is None:
        msg = f"the region {value!r}: expected {_FORMS}"
        raise SearchError(msg, region=value)
    numbers = words[2:] if words[1:2] and words[1].upper() == "ICRS" else words[1:]
    return make(value, [_read(word, value) for word in numbers])


def _read(word: str, text: str) -> float:
    """Read one number of a region."""
    number_text, unit = (word[:-1], _UNITS[word[-1]]) if word[-1] in _UNITS else (word, 1.0)
    try:
        number = float(number_text) * unit
    except ValueError as err:
        msg = f"{word!r} in the region {text!r}: expected a number of degrees; forms are {_FORMS}"
        raise SearchError(msg, region=text, word=word) from err
    if math.isnan(number):
        msg = f"{word!r} in the region {text!r}: expected a number of degrees"
        raise SearchError(msg, region=text, word=word)
    return number


def _count(text: str, numbers: list[float], least: int, most: int) -> None:
    """Refuse too few or too many numbers."""
    if not least <= len(numbers) <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        msg = f"the region {text!r} has {len(numbers)} numbers: expected {expected}; forms are {_FORMS}"
        raise SearchError(msg, region=text, found=len(numbers))


def _circle(text: str, numbers: list[float]) -> Region:
    """Make a circle of three numbers."""
    _count(text, numbers, 3, 3)
    return circle(*numbers)


def _box(text: str, numbers: list[float]) -> Region:
    """Make a box of three to five numbers."""
    _count(text, numbers, 3, 5)
    return box(*numbers)


def _range(text: str, numbers: list[float]) -> Region:
    """Make a range of four numbers."""
    _count(text, numbers, 4, 4)
    return ra_dec_range(*numbers)


def _polygon(text: str, numbers: list[float]) -> Region:
    """Make a polygon of pairs of numbers."""
    if len(numbers) < 6 or len(numbers) % 2:
        msg = f"the region {text!r} has {len(numbers)} numbers: expected three or more pairs of ra and dec"
        raise SearchError(msg, region=text, found=len(numbers))
    return polygon(zip(numbers[::2], numbers[1::2], strict=True))


_MAKERS: dict[str, Callable[[str, list[float]], Region]] = {
    "CIRCLE": _circle,
    "BOX": _box,
    "RANGE": _range,
    "POLYGON": _polygon,
}
