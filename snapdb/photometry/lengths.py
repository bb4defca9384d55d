"""Lengths on an image: pixels, or angles that a pixel scale turns into them."""

import math
from typing import Any

import numpy as np

from snapdb.errors import UsageError


def to_pixels(value: Any, scale: float | None, name: str) -> Any:
    """Give a length in pixels; what has no unit is pixels already and comes back as it is.

    Parameters
    ----------
    value : object
        A length, or an array of them; a Quantity of an angle, of pixels, or without dimension.
    scale : float or None
        Arcseconds a pixel; None where it is not known.
    name : str
        Of the argument, for the message.

    Returns
    -------
    object
        A float for one Quantity, a list of floats for an array of them.

    Raises
    ------
    UsageError
        If the unit is none of a length on an image, or an angle is given and there is no scale.
    """
    if isinstance(value, list | tuple):
        return type(value)([to_pixels(one, scale, name) for one in value])
    if getattr(value, "unit", None) is None or not hasattr(value, "to_value"):
        return value
    from astropy.units import UnitConversionError

    for unit in ("pix", ""):
        try:
            return _as_plain(value.to_value(unit))
        except UnitConversionError:
            continue
    try:
        angle = value.to_value("arcsec")
    except UnitConversionError as err:
        msg = f"{name}={value}: expected pixels, or an angle such as 2 arcsec"
        raise UsageError(msg, name=name, unit=str(value.unit)) from err
    if scale is None or not 0.0 < scale < math.inf:
        msg = f"{name}={value} is an angle, and the image has no pixel scale: expected pixels"
        raise UsageError(msg, name=name)
    return _as_plain(angle / scale)


def to_number(value: Any, name: str, expected: str) -> float:
    """Take a number, or say what was expected.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        Of the argument, for the message.
    expected : str
        What it should be, for the message.

    Returns
    -------
    float
        The number.

    Raises
    ------
    UsageError
        If it is no number.
    """
    try:
        number = None if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        msg = f"{name}={value!r:.80}: expected {expected}"
        raise UsageError(msg, name=name)
    return number


def _as_plain(value: Any) -> Any:
    """Give a float, or a list of them."""
    return np.asarray(value, dtype=np.float64).tolist()
