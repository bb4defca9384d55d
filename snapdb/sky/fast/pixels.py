"""From pixels to the plane of a projection and back, through a matrix and polynomials."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snapdb.sky.fast.polynomial import Warp
from snapdb.types import FloatArray

_ROUND_TRIP_PX = 0.01
"""A pixel is believed when it maps back to within this distance."""


@dataclass(frozen=True, slots=True)
class PixelMap:
    """How the pixels of an image lie in the plane of its projection.

    The same class serves one image, whose numbers are floats, and many, whose numbers are
    arrays, shape (n,).
    """

    reference: tuple[Any, Any]
    """0-based pixel of the reference point."""
    matrix: tuple[Any, Any, Any, Any]
    """From pixels to degrees, rows one after the other."""
    inverse: tuple[Any, Any, Any, Any]
    """From degrees to pixels."""
    scale: Any
    """Size of a pixel, degrees."""
    sip: Warp | None = None
    """Distortion of the pixels, before the matrix."""
    tpv: Warp | None = None
    """Distortion of the plane, after the matrix."""

    @property
    def is_linear(self) -> bool:
        """Whether there is no distortion."""
        return self.sip is None and self.tpv is None

    def to_plane(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Map a pixel, or arrays of pixels, to degrees in the plane."""
        u, v = x - self.reference[0], y - self.reference[1]
        if self.sip is not None:
            u, v = self.sip(u, v)
        a, b, c, d = self.matrix
        u, v = a * u + b * v, c * u + d * v
        return (u, v) if self.tpv is None else self.tpv(u, v)

    def from_plane(self, u: float, v: float) -> tuple[float, float]:
        """Map degrees in the plane to a pixel; NaN where none maps back to them."""
        p, q = (u, v) if self.tpv is None else self.tpv.invert(u, v)
        x, y = self._from_focal(p, q)
        if self.sip is not None:
            x, y = self.sip.invert(x, y)
        x, y = x + self.reference[0], y + self.reference[1]
        if self.is_linear:
            return x, y
        back_u, back_v = self.to_plane(x, y)
        near = abs(back_u - u) + abs(back_v - v) <= _ROUND_TRIP_PX * self.scale
        return (x, y) if near else (math.nan, math.nan)

    def all_from_plane(self, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map degrees in the plane, shape (n,), to pixels, each on its own."""
        p, q = (u, v) if self.tpv is None else self.tpv.invert_all(u, v)
        x, y = self._from_focal(p, q)
        if self.sip is not None:
            x, y = self.sip.invert_all(x, y)
        x, y = x + self.reference[0], y + self.reference[1]
        if not self.is_linear:
            with np.errstate(all="ignore"):
                back_u, back_v = self.to_plane(x, y)
                near = np.abs(back_u - u) + np.abs(back_v - v) <= _ROUND_TRIP_PX * self.scale
            x[~near] = y[~near] = np.nan
        return x, y

    def shifted(self, dx: int, dy: int) -> "PixelMap":
        """Give the map of a cutout whose pixel (0, 0) is this one's (dx, dy)."""
        return replace(self, reference=(self.reference[0] - dx, self.reference[1] - dy))

    def _from_focal(self, u: Any, v: Any) -> tuple[Any, Any]:
        """Undo the matrix."""
        a, b, c, d = self.inverse
        return a * u + b * v, c * u + d * v
