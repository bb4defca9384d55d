"""Coordinates as users give them, as ICRS degrees."""

import math
import re
from numbers import Real
from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UnitError, UsageError
from snapdb.types import Degrees, FloatArray

_SEXAGESIMAL = re.compile(
    r"(?P<sign>[+\-]?)\s*(?P<whole>\d{1,3})"
    r"(?:(?P<colon>\s*:\s*|\s+)|\s*(?P<letter>[hd\N{DEGREE SIGN}])\s*)"
    r"(?:(?P<minutes>\d{1,2}(?:\.\d*)?)(?:\s*[:m'\N{PRIME}]\s*|\s+|$)"
    r"(?:(?P<seconds>\d{1,2}(?:\.\d*)?)\s*(?:s|''|[\"\N{DOUBLE PRIME}])?)?)?",
    re.IGNORECASE,
)
_DECIMAL = re.compile(
    r"(?P<number>[+\-]?(?:\d+\.?\d*|\.\d+)(?:e[+\-]?\d+)?)\s*"
    r"(?P<unit>h|hours?|d|deg|degrees?|\N{DEGREE SIGN})?",
    re.IGNORECASE,
)
_EXAMPLES = {"ra": "187.5, '187.5', '12:30:00' or '12h30m00s'", "dec": "-20.5, '-20:30:00' or '-20d30m00s'"}


def to_degrees(value: Any, *, name: str) -> Degrees:
    """Take an angle, or an array of angles.

    Parameters
    ----------
    value : float, str, Quantity, Angle, or array or list of these
        Numbers are degrees. Text is decimal degrees or sexagesimal: with letters as
        they say, with colons or blanks in hours for right ascension and in degrees
        for all else.
    name : str
        What it is: ``ra``, or another name; messages use it.

    Returns
    -------
    float or array of float64
        Degrees; a float for one angle. Nothing is wrapped, NaN stays NaN, and what is masked
        is not known: NaN, whatever lies under the mask.

    Raises
    ------
    UnitError
        If it has a unit that is no angle's.
    UsageError
        If it is no angle.

    Examples
    --------
    >>> to_degrees("12:30:00", name="ra"), to_degrees("-00:30:00", name="dec")
    (187.5, -0.5)
    """
    if isinstance(value, str):
        return _from_text(value, name)
    if isinstance(value, bool | np.bool_):
        raise _refused(value, name)
    if isinstance(value, Real):
        return float(value)
    if getattr(value, "unit", None) is not None:
        return _settle(forget_masked(_from_quantity(value, name), value))
    return _from_many(value, name)


def split_coordinates(ra: Any, dec: Any = None) -> tuple[Degrees, Degrees]:
    """Take positions as right ascension and declination.

    Parameters
    ----------
    ra : SkyCoord, or what :func:`to_degrees` takes
        A SkyCoord of any frame stands for both; `dec` is None then.
    dec : what :func:`to_degrees` takes, optional
        Declination.

    Returns
    -------
    ra, dec : float or array of float64
        ICRS degrees, both of one shape.

    Raises
    ------
    ShapeError
        If the two cannot be broadcast to one shape.
    UnitError
        If one has a unit that is no angle's.
    UsageError
        If one is missing, is given twice, or is no angle.
    """
    if hasattr(ra, "transform_to"):
        if dec is not None:
            msg = f"ra is a {type(ra).__name__}, which has both coordinates; leave out dec = {dec!r:.80}"
            raise UsageError(msg, dec=dec)
        return _from_coordinates(ra)
    if dec is None:
        msg = f"ra = {ra!r:.80} without dec: expected both, or a SkyCoord alone"
        raise UsageError(msg, ra=ra)
    ra_deg, dec_deg = to_degrees(ra, name="ra"), to_degrees(dec, name="dec")
    if isinstance(ra_deg, float) and isinstance(dec_deg, float):
        return ra_deg, dec_deg
    try:
        both = np.broadcast_arrays(ra_deg, dec_deg)
    except ValueError:
        msg = f"ra of shape {np.shape(ra_deg)} and dec of shape {np.shape(dec_deg)} do not fit together"
        raise ShapeError(msg, ra_shape=np.shape(ra_deg), dec_shape=np.shape(dec_deg)) from None
    return both[0].copy(), both[1].copy()


def take_position(ra: Any, dec: Any = None) -> tuple[float, float]:
    """Take one position as right ascension and declination.

    Parameters
    ----------
    ra, dec
        As :func:`split_coordinates`.

    Returns
    -------
    ra, dec : float
        ICRS degrees.

    Raises
    ------
    UnitError
        As :func:`split_coordinates`.
    UsageError
        As :func:`split_coordinates`; or if it is an array.
    """
    ra_deg, dec_deg = split_coordinates(ra, dec)
    if isinstance(ra_deg, float) and isinstance(dec_deg, float):
        return ra_deg, dec_deg
    msg = f"positions in an array of shape {np.shape(ra_deg)}: expected one; give them one by one"
    raise UsageError(msg, shape=np.shape(ra_deg))


def forget_masked(numbers: FloatArray, source: Any) -> FloatArray:
    """Put NaN in place of numbers that are masked in what they were taken from.

    Parameters
    ----------
    numbers : array of float64
        As the source holds them, under its mask too.
    source : object
        A masked array, column, Quantity, Time or SkyCoord of the same shape, or what has no mask.

    Returns
    -------
    array of float64
        `numbers` themselves where nothing is masked.
    """
    mask = _mask_of(source)
    return np.where(mask, np.nan, numbers) if np.any(mask) else numbers


def _from_coordinates(coordinates: Any) -> tuple[Degrees, Degrees]:
    """Take a SkyCoord, or a frame with data."""
    from astropy.coordinates import ICRS, ConvertError

    try:
        icrs = coordinates.transform_to(ICRS())
        ra, dec = (np.asarray(angle.deg, dtype=np.float64) for angle in (icrs.ra, icrs.dec))
        return _settle(forget_masked(ra, coordinates)), _settle(forget_masked(dec, coordinates))
    except (ConvertError, ValueError, AttributeError) as err:
        msg = f"a {type(coordinates).__name__} that has no place in ICRS: {err}"
        raise UsageError(msg) from err


def _from_many(value: Any, name: str) -> Degrees:
    """Take an array, or a list of anything that is an angle."""
    if isinstance(value, list | tuple) and any(isinstance(v, str) or hasattr(v, "unit") for v in value):
        return np.array([to_degrees(item, name=name) for item in value], dtype=np.float64)
    try:
        array = np.asarray(value)
    except ValueError:
        raise _refused(value, name) from None
    if array.dtype.kind in "iuf":
        return _settle(forget_masked(array.astype(np.float64), value))
    if array.dtype.kind in "UO" and array.ndim:
        known = np.broadcast_to(~np.asarray(_mask_of(value)), array.shape).ravel()
        pairs = zip(array.ravel().tolist(), known, strict=True)
        items = [to_degrees(item, name=name) if is_known else math.nan for item, is_known in pairs]
        return np.array(items, dtype=np.float64).reshape(array.shape)
    raise _refused(value, name)


def _mask_of(value: Any) -> Any:
    """Give what a masked array, column, Quantity or SkyCoord hides: True there, or False for nothing."""
    mask = getattr(value, "mask", None)
    return np.asarray(mask, dtype=np.bool_) if isinstance(mask, bool | np.bool_ | np.ndarray) else np.False_


def _from_quantity(value: Any, name: str) -> FloatArray:
    """Take numbers with a unit."""
    from astropy.units import Quantity, UnitConversionError, UnitTypeError

    try:
        return np.asarray(Quantity(value).to_value("deg"), dtype=np.float64)
    except (UnitConversionError, UnitTypeError, TypeError) as err:
        msg = f"{name} has the unit {value.unit}: expected an angle such as deg, hourangle or arcsec"
        raise UnitError(msg, name=name, unit=str(value.unit)) from err


def _from_text(text: str, name: str) -> float:
    """Read decimal or sexagesimal text."""
    stripped = text.strip().replace("\N{MINUS SIGN}", "-")
    if match := _DECIMAL.fullmatch(stripped):
        number, unit = float(match["number"]), (match["unit"] or "d")[0].lower()
    elif match := _SEXAGESIMAL.fullmatch(stripped):
        number = _to_number(match)
        unit = (match["letter"] or ("h" if name == "ra" else "d")).lower()
    else:
        raise _refused(text, name)
    # A declination in hours, or more than a day of hours, is a mistake whatever was meant.
    if math.isnan(number) or (unit == "h" and (name == "dec" or abs(number) > 24)):
        raise _refused(text, name)
    return number * 15.0 if unit == "h" else number


def _to_number(match: re.Match[str]) -> float:
    """Add up a sexagesimal number, NaN where its parts cannot be."""
    minutes, seconds = float(match["minutes"] or 0), float(match["seconds"] or 0)
    if minutes >= 60 or seconds >= 60 or (match["seconds"] and "." in match["minutes"]):
        return math.nan
    number = int(match["whole"]) + minutes / 60 + seconds / 3600
    return -number if match["sign"] == "-" else number


def _settle(array: FloatArray) -> Degrees:
    """Give a float for an array without dimensions."""
    return array if array.ndim else float(array)


def _refused(value: object, name: str) -> UsageError:
    """Make the error for what is no angle."""
    expected = _EXAMPLES.get(name, "degrees, or text such as '1d30m'")
    return UsageError(f"{name} = {value!r:.80} is no angle; expected {expected}", name=name, value=value)
