"""From the sky to the plane of a picture and back: the whole sky, or a part of it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snapdb.sky.vectors import normalize, to_radec, to_vectors, wrap_ra
from snapdb.types import FloatArray

_STEPS = 60


class Projection(Protocol):
    """A map of the sky; x grows to the left, as east does on the sky, and y upwards."""

    def to_plane(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Project positions; NaN for those that the map does not show."""

    def to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find what lies at places of the map; NaN beside it."""


@dataclass(frozen=True, slots=True)
class Mollweide:
    """The whole sky, all areas in proportion (Snyder 1987, USGS 1395, equations 31-1 to 31-6).

    The plane is an ellipse, x from -2 to 2 and y from -1 to 1.
    """

    middle: float = 0.0
    """Right ascension in the middle, degrees."""

    def to_plane(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Project positions; the seam, 180 degrees from the middle, is on the right."""
        offset = np.radians((np.asarray(ra) - self.middle + 180.0) % 360.0 - 180.0)
        theta = _solve(np.radians(np.asarray(dec)))
        return 2.0 / np.pi * offset * np.cos(theta), np.sin(theta)

    def to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find what lies at places; NaN outside the ellipse."""
        with np.errstate(invalid="ignore", divide="ignore"):
            theta = np.arcsin(y)
            offset = np.pi / 2.0 * x / np.cos(theta)
            dec = np.degrees(np.arcsin((2.0 * theta + np.sin(2.0 * theta)) / np.pi))
            outside = ~(np.abs(offset) <= np.pi)
        ra = wrap_ra(self.middle + np.degrees(np.where(outside, 0.0, offset)))
        return np.where(outside, np.nan, ra), np.where(outside, np.nan, dec)


def _solve(lat: FloatArray) -> FloatArray:
    """Solve 2 theta + sin 2 theta = pi sin lat by bisection: Newton's method fails at the poles."""
    low, high = np.full(np.shape(lat), -np.pi / 2.0), np.full(np.shape(lat), np.pi / 2.0)
    wanted = np.pi * np.sin(lat)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        below = 2.0 * middle + np.sin(2.0 * middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high))


@dataclass(frozen=True, slots=True)
class Gnomonic:
    """A part of the sky seen from the sphere's centre: great circles are straight; the plane has degrees."""

    ra: float
    """Of the middle, degrees."""
    dec: float
    """Of the middle, degrees."""

    def to_plane(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Project positions; NaN for those 90 degrees away or more."""
        vectors, basis = to_vectors(ra, dec), self._basis()
        depth = vectors @ basis[2]
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y = (np.where(depth > 0.0, vectors @ axis / depth, np.nan) for axis in basis[:2])
        return np.degrees(x), np.degrees(y)

    def to_sky(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Find what lies at places."""
        basis = self._basis()
        right, up = np.radians(np.asarray(x)), np.radians(np.asarray(y))
        return to_radec(normalize(right[..., None] * basis[0] + up[..., None] * basis[1] + basis[2]))

    def _basis(self) -> FloatArray:
        """Give unit vectors to the east, to the north and to the middle."""
        lon, lat = np.radians(self.ra), np.radians(self.dec)
        return np.array(
            [
                [-np.sin(lon), np.cos(lon), 0.0],
                [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)],
                [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)],
            ]
        )
