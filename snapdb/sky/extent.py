"""How large a cutout shall be: so many pixels, or an angle that each image turns into pixels."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from snapdb.errors import ShapeError, UnitError, UsageError
from snapdb.pixels.box import check_size

_ARCSEC = {"arcsec": 1.0, "as": 1.0, '"': 1.0, "arcmin": 60.0, "'": 60.0, "deg": 3600.0, "mas": 1e-3}
_TEXT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-z\"']*)\s*")
_ALIKE = 1.02
"""Ratio of two scales below which they are taken as one."""
_ROUNDING_PX = 1e-3
"""Less than this is rounding of the scale, not a wish for one pixel more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The edge of a cutout; one of the two is None."""

    pixels: int | None = None
    """Pixels, the same in every image."""
    arcsec: float | None = None
    """Angle; as many pixels as reach so far."""

    @classmethod
    def of(cls, value: Any, *, name: str = "size") -> "Extent":
        """Take a size as users give it.

        Parameters
        ----------
        value : int, str, Quantity or Extent
            Whole pixels (``51``, ``"51"``), or an angle (``"10arcsec"``, ``10 * u.arcsec``).
        name : str
            What the caller calls it, for messages.

        Raises
        ------
        ShapeError
            If it is a number of pixels that is not whole and at least 1.
        UnitError
            If its unit is no angle's.
        UsageError
            If it is no size, or an angle that is not positive and finite.
        """
        if isinstance(value, Extent):
            return value
        if isinstance(value, str):
            return _from_text(value, name)
        if getattr(value, "unit", None) is not None:
            return _from_quantity(value, name)
        return cls(pixels=check_size(value, name=name))

    def to_pixels(self, pixel_scale: float | None) -> int | None:
        """Give pixels; enough of them to reach as far as an angle asks.

        Parameters
        ----------
        pixel_scale : float or None
            Arcseconds a pixel; None where it is not known.

        Returns
        -------
        int or None
            None where an angle was asked for and the scale is not known.
        """
        if self.pixels is not None:
            return self.pixels
        if self.arcsec is None or not pixel_scale:
            return None
        return max(1, math.ceil(self.arcsec / pixel_scale - _ROUNDING_PX))

    def to_pixels_each(self, pixel_scales: Sequence[float | None]) -> list[int | None]:
        """Give the pixels for each of many images.

        Parameters
        ----------
        pixel_scales : sequence of float or None
            Arcseconds a pixel of each. Those that differ by less than two percent, as one
            detector's do from place to place, get the pixels of the finest of them, so that their
            cutouts are of one size.

        Returns
        -------
        list of int or None
            As :meth:`to_pixels`.
        """
        finest: dict[float, float] = {}
        reference = math.nan
        for scale in sorted({scale for scale in pixel_scales if scale}):
            if not scale < reference * _ALIKE:
                reference = scale
            finest[scale] = reference
        return [self.to_pixels(finest[scale] if scale else None) for scale in pixel_scales]

    def to_arcsec(self, pixel_scale: float) -> float:
        """Give the angle, with `pixel_scale` arcseconds a pixel."""
        return self.arcsec if self.arcsec is not None else (self.pixels or 0) * pixel_scale


def _from_text(text: str, name: str) -> Extent:
    """Read ``51`` or ``10arcsec``."""
    match = _TEXT.fullmatch(text)
    number, unit = (float(match[1]), match[2]) if match else (0.0, "")
    if unit in _ARCSEC and number > 0:
        return Extent(arcsec=number * _ARCSEC[unit])
    if match is None or unit not in ("", "px", "pix"):
        msg = f"{name}={text!r} is no size; expected whole pixels (51), or an angle such as '10arcsec'"
        raise UsageError(msg, name=name, value=text)
    if number < 1 or number != int(number):
        msg = f"{name}={text!r}: expected a whole number of pixels, at least 1"
        raise ShapeError(msg, name=name, value=text)
    return Extent(pixels=int(number))


def _from_quantity(value: Any, name: str) -> Extent:
    """Take an angle, or pixels, with a unit of astropy's."""
    from astropy.units import UnitConversionError

    if str(value.unit) in ("pix", "pixel"):
        return Extent(pixels=check_size(float(value.value), name=name))
    try:
        arcsec = float(value.to_value("arcsec"))
    except (UnitConversionError, TypeError) as err:
        msg = f"{name} has the unit {value.unit}: expected an angle such as arcsec, or pix"
        raise UnitError(msg, name=name, unit=str(value.unit)) from err
    if not 0.0 < arcsec < math.inf:
        msg = f"{name}={value}: expected an angle above 0"
        raise UsageError(msg, name=name, value=value)
    return Extent(arcsec=arcsec)
