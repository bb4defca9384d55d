"""World coordinates of tangent projections, plain or with SIP or TPV polynomials, in microseconds.

astropy evaluates every kind of world coordinates, and takes milliseconds to build one. Most images
need three kinds alone; these are read from their cards and evaluated here, with astropy as the
oracle. What differs in any way is left to :class:`~snapdb.sky.wcs.AstropyWCS`.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from snapdb.sky.fast.cards import TangentCards, read_cards
from snapdb.sky.fast.pixels import PixelMap
from snapdb.sky.fast.rotation import Vector, find_axes, to_icrs_vector
from snapdb.sky.fast.warps import make_sip, make_tpv
from snapdb.sky.vectors import wrap_ra
from snapdb.sky.wcs import AstropyWCS, BaseWCS
from snapdb.types import Degrees, FloatArray

if TYPE_CHECKING:
    from snapdb.types import Header

_BLOCK = 4096
"""Positions that are evaluated together: their temporaries stay in the processor's cache."""
_HORIZON = 1e-15
"""Cosine of the distance from the reference point that is 90 degrees but for rounding."""
_NAN = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane that touches the sky: how directions lie to it.

    Vectors have their longitudes counted from `ra_deg`, so that small angles near the
    reference point keep their digits at every right ascension. The same class serves one image,
    whose numbers are floats, and many, whose numbers are arrays, shape (n,).
    """

    ra_deg: Any
    """ICRS right ascension of the point of contact."""
    east: Vector
    """Direction of the plane's first coordinate."""
    north: Vector
    """Direction of the plane's second coordinate."""
    out: Vector
    """Direction of the point of contact."""


@dataclass(frozen=True, slots=True)
class FastWCS(BaseWCS):
    """World coordinates of a tangent projection, plain or with SIP or TPV polynomials.

    Made by :meth:`from_text`. Pixels, positions, shapes and NaN are as
    :class:`~snapdb.sky.wcs.BaseWCS` says. Positions beyond 90 degrees from the reference
    point do not project; where Newton's method finds no pixel of a polynomial, the
    position does not project either.
    """

    plane: Plane
    """Where the projection touches the sky."""
    pixels: PixelMap
    """How pixels lie in the plane."""
    text: str = field(default="", repr=False)
    """The cards of the whole image."""
    origin: tuple[int, int] = (0, 0)
    """The pixel (x, y) of the whole image that is pixel (0, 0) here."""

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Read the mended WCS cards of an image.

        Parameters
        ----------
        text : str
            Cards of 80 characters with newlines between them, as ``wcs_text`` and
            ``ImageFacts.wcs_header`` have them.

        Returns
        -------
        FastWCS or None
            None where they are of another kind, which :class:`~snapdb.sky.wcs.AstropyWCS` reads.
        """
        cards = read_cards(text)
        if cards is None:
            return None
        a, b, c, d = cards.matrix
        det = a * d - b * c
        scale = math.sqrt(abs(det))
        try:
            sip = make_sip(cards.values) if cards.kind == "SIP" else None
            tpv = make_tpv(cards.values, scale) if cards.kind == "TPV" else None
        except ValueError:
            return None
        pixels = PixelMap(
            reference=(cards.crpix[0] - 1.0, cards.crpix[1] - 1.0),
            matrix=cards.matrix,
            inverse=(d / det, -b / det, -c / det, a / det),
            scale=scale,
            sip=sip,
            tpv=tpv,
        )
        return cls(_make_plane(cards), pixels, text)

    def pixel_to_world(self, x: ArrayLike, y: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the ICRS positions of pixels."""
        if _is_scalar(x) and _is_scalar(y):
            return self._to_world(float(x), float(y))
        return _in_blocks(self._to_world_all, x, y)

    def world_to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the pixels of ICRS positions, NaN where they do not project."""
        if _is_scalar(ra) and _is_scalar(dec):
            return self._to_pixel(float(ra), float(dec))
        return _in_blocks(self._to_pixel_all, ra, dec)

    def shifted(self, dx: int, dy: int) -> "FastWCS":
        """Give the coordinates of a cutout whose pixel (0, 0) is this image's (dx, dy)."""
        dx, dy = int(dx), int(dy)
        return FastWCS(
            self.plane, self.pixels.shifted(dx, dy), self.text, (self.origin[0] + dx, self.origin[1] + dy)
        )

    def to_general(self) -> AstropyWCS:
        """Give the same coordinates as astropy evaluates them."""
        return AstropyWCS.from_text(self.text).shifted(*self.origin)

    def to_fits_header(self) -> "Header":
        """Give the coordinates as FITS cards, by way of astropy."""
        return self.to_general().to_fits_header()

    def get_astropy_wcs(self) -> Any:
        """Give them as an astropy WCS, in the header's own frame; this takes milliseconds."""
        return self.to_general().get_astropy_wcs()

    def _to_world(self, x: float, y: float) -> tuple[float, float]:
        """Map one pixel to ICRS."""
        u, v = self.pixels.to_plane(x, y)
        if not math.isfinite(u + v):
            return _NAN
        (ex, ey, ez), (nx, ny, nz) = self.plane.east, self.plane.north
        ox, oy, oz = self.plane.out
        u, v = math.radians(u), math.radians(v)
        dx, dy, dz = u * ex + v * nx + ox, u * ey + v * ny + oy, u * ez + v * nz + oz
        ra = (self.plane.ra_deg + math.degrees(math.atan2(dy, dx))) % 360.0
        return (ra if ra < 360.0 else 0.0), math.degrees(math.atan2(dz, math.hypot(dx, dy)))

    def _to_world_all(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map pixels, shape (n,), to ICRS."""
        u, v = self.pixels.to_plane(x, y)
        (ex, ey, ez), (nx, ny, nz) = self.plane.east, self.plane.north
        ox, oy, oz = self.plane.out
        lost = ~np.isfinite(u + v)
        u, v = np.radians(u), np.radians(v)
        dx, dy, dz = u * ex + v * nx + ox, u * ey + v * ny + oy, u * ez + v * nz + oz
        ra = wrap_ra(self.plane.ra_deg + np.degrees(np.arctan2(dy, dx)))
        dec = np.degrees(np.arctan2(dz, np.hypot(dx, dy)))
        ra[lost] = dec[lost] = np.nan
        return ra, dec

    def _to_pixel(self, ra: float, dec: float) -> tuple[float, float]:
        """Map one position to its pixel."""
        if not (math.isfinite(ra) and abs(dec) <= 90.0):
            return _NAN
        turn, lat = math.radians(_angle_from(self.plane.ra_deg, ra % 360.0)), math.radians(dec)
        flat = math.cos(lat)
        dx, dy, dz = flat * math.cos(turn), flat * math.sin(turn), math.sin(lat)
        (ex, ey, ez), (nx, ny, nz) = self.plane.east, self.plane.north
        ox, oy, oz = self.plane.out
        depth = dx * ox + dy * oy + dz * oz
        if depth <= _HORIZON:
            return _NAN
        u = math.degrees((dx * ex + dy * ey + dz * ez) / depth)
        v = math.degrees((dx * nx + dy * ny + dz * nz) / depth)
        return self.pixels.from_plane(u, v)

    def _to_pixel_all(self, ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map positions, shape (n,), to their pixels."""
        return self.pixels.all_from_plane(*project(self.plane, ra, dec))


def project(plane: Any, ra: Any, dec: Any) -> tuple[FloatArray, FloatArray]:
    """Project positions onto a plane, or one position onto many.

    Parameters
    ----------
    plane : Plane
        One; or many in one, each field's numbers being arrays, shape (m,).
    ra, dec : array, shape (n,), or float
        ICRS degrees; floats where there are many planes.

    Returns
    -------
    u, v : array, shape (n,) or (m,)
        Degrees in the plane (Calabretta and Greisen 2002, section 5.1.3); NaN where the
        position lies 90 degrees or more from the point of contact.
    """
    with np.errstate(all="ignore"):
        turned = np.mod(ra, 360.0)
        turn = turned - plane.ra_deg
        turn = np.where(turn > 180.0, (turned - 360.0) - plane.ra_deg, turn)
        turn = np.radians(np.where(turn < -180.0, turned - (plane.ra_deg - 360.0), turn))
        lat = np.radians(np.where(np.abs(dec) <= 90.0, dec, np.nan))
        flat = np.cos(lat)
        dx, dy, dz = flat * np.cos(turn), flat * np.sin(turn), np.sin(lat)
        (ex, ey, ez), (nx, ny, nz) = plane.east, plane.north
        ox, oy, oz = plane.out
        depth = dx * ox + dy * oy + dz * oz
        factor = np.degrees(1.0) / np.where(depth > _HORIZON, depth, np.nan)
        return (dx * ex + dy * ey + dz * ez) * factor, (dx * nx + dy * ny + dz * nz) * factor


def _is_scalar(value: object) -> TypeGuard[float]:
    """Say whether a value is a plain number, for which no array need be made."""
    return isinstance(value, (float, int))


def _angle_from(start: float, end: float) -> float:
    """Subtract right ascensions in [0, 360), without loss where they lie about 0 on either side."""
    angle = end - start
    if angle > 180.0:
        return (end - 360.0) - start
    return end - (start - 360.0) if angle < -180.0 else angle


def _make_plane(cards: TangentCards) -> Plane:
    """Place the plane on the sky."""
    lon, lat, pole = math.radians(cards.lon), math.radians(cards.lat), math.radians(cards.lonpole)
    sin_lat, cos_lat = math.sin(lat), math.cos(lat)
    is_icrs = cards.frame.name == "icrs"
    if is_icrs:  # nothing turns the vectors, and the longitude itself is left out of them
        out, east, north = (cos_lat, 0.0, sin_lat), (0.0, 1.0, 0.0), (-sin_lat, 0.0, cos_lat)
    else:
        axes = find_axes(cards.frame)
        sin_lon, cos_lon = math.sin(lon), math.cos(lon)
        out = to_icrs_vector(axes, (cos_lat * cos_lon, cos_lat * sin_lon, sin_lat))
        east = to_icrs_vector(axes, (-sin_lon, cos_lon, 0.0))
        north = to_icrs_vector(axes, (-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat))
    # Calabretta and Greisen 2002, equation 5: native longitude runs from the frame's pole.
    sin, cos = math.sin(pole), math.cos(pole)
    if cards.lonpole == 180.0:
        sin = 0.0
    first = _combine(-cos, east, sin, north)
    second = _combine(-sin, east, -cos, north)
    if is_icrs:
        return Plane(cards.lon, first, second, out)
    ra = math.atan2(out[1], out[0])
    ra_deg = math.degrees(ra) % 360.0
    return Plane(ra_deg, _turned(first, ra), _turned(second, ra), _turned(out, ra))


def _combine(a: float, v: Vector, b: float, w: Vector) -> Vector:
    """Add multiples of vectors."""
    return a * v[0] + b * w[0], a * v[1] + b * w[1], a * v[2] + b * w[2]


def _turned(vector: Vector, angle: float) -> Vector:
    """Count a vector's longitude from an angle, radians."""
    x, y, z = vector
    sin, cos = math.sin(angle), math.cos(angle)
    return x * cos + y * sin, y * cos - x * sin, z


def _in_blocks(function: Any, a: ArrayLike, b: ArrayLike) -> tuple[Degrees, Degrees]:
    """Map pairs of any shape, a block at a time."""
    first, second = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    shape, first, second = first.shape, first.ravel(), second.ravel()
    out = np.empty((2, first.size))
    with np.errstate(all="ignore"):
        for start in range(0, first.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            out[0, part], out[1, part] = function(first[part], second[part])
    if not shape:
        return float(out[0, 0]), float(out[1, 0])
    return out[0].reshape(shape), out[1].reshape(shape)
