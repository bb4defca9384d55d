"""World coordinates of many stamps of one image at once, as the linear cards that any reader takes."""

from dataclasses import dataclass

import numpy as np

from snapdb.sky.fast.cards import read_cards
from snapdb.sky.vectors import to_vectors
from snapdb.sky.wcs import BaseWCS
from snapdb.types import FloatArray, IntArray

_POLE_DEG = 180.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearWCS:
    """Tangent projections, one a stamp, in ICRS; arrays of shape (n,)."""

    crval1: FloatArray
    """Right ascension of the reference point, degrees."""
    crval2: FloatArray
    """Declination of the reference point, degrees."""
    crpix1: FloatArray
    """Its pixel in the stamp, counted from 1 as FITS does."""
    crpix2: FloatArray
    cd1_1: FloatArray
    """Degrees a pixel of the stamp."""
    cd1_2: FloatArray
    cd2_1: FloatArray
    cd2_2: FloatArray


def make_linear(
    wcs: BaseWCS, text: str, x0: IntArray, y0: IntArray, size: IntArray, resolution: IntArray
) -> LinearWCS:
    """Give the linear coordinates of stamps.

    A plain tangent projection in ICRS keeps its reference point, and is exact. Any other kind is
    followed by a tangent projection about each stamp's middle, which has its scale, turn and
    shear there.

    Parameters
    ----------
    wcs : BaseWCS
        Of the image.
    text : str
        Its cards.
    x0, y0 : array of int, shape (n,)
        First pixel of each window.
    size : array of int
        Side of each window, pixels.
    resolution : array of int
        Side of each stamp that is made of a window, pixels.
    """
    scale = resolution / size
    cards = read_cards(text)
    exact = cards is not None and cards.kind == "TAN" and cards.frame.name == "icrs"
    if cards is not None and exact and cards.lonpole == _POLE_DEG:
        matrix = [value / scale for value in cards.matrix]
        crpix = [0.5 + scale * (c - at - 0.5) for c, at in zip(cards.crpix, (x0, y0), strict=True)]
        crval = [np.full(len(x0), value) for value in (cards.lon, cards.lat)]
        return _pack(crval, crpix, matrix)
    return _follow(wcs, x0, y0, size, resolution)


def _follow(wcs: BaseWCS, x0: IntArray, y0: IntArray, size: IntArray, resolution: IntArray) -> LinearWCS:
    """Lay a tangent plane about the middle of each window."""
    x, y, half = x0 + (size - 1) / 2, y0 + (size - 1) / 2, size / 2
    ra, dec = wcs.pixel_to_world(x, y)
    ra, dec = np.atleast_1d(ra), np.atleast_1d(dec)
    slopes = []
    for dx, dy in ((half, 0.0), (0.0, half)):
        u1, v1 = _project(ra, dec, *wcs.pixel_to_world(x + dx, y + dy))
        u0, v0 = _project(ra, dec, *wcs.pixel_to_world(x - dx, y - dy))
        slopes.append(((u1 - u0) / size, (v1 - v0) / size))
    scale = resolution / size
    (c11, c21), (c12, c22) = slopes
    middle = (resolution + 1) / 2
    return _pack([ra, dec], [middle, middle], [c / scale for c in (c11, c12, c21, c22)])


def _project(ra: FloatArray, dec: FloatArray, at_ra: object, at_dec: object) -> tuple[FloatArray, FloatArray]:
    """Project positions onto planes, one each (Calabretta and Greisen 2002, equations 54 and 55)."""
    out = to_vectors(np.atleast_1d(np.asarray(at_ra)), np.atleast_1d(np.asarray(at_dec)))
    sin, cos = np.sin(np.radians(ra)), np.cos(np.radians(ra))
    up, flat = np.sin(np.radians(dec)), np.cos(np.radians(dec))
    depth = out[:, 0] * flat * cos + out[:, 1] * flat * sin + out[:, 2] * up
    east = -out[:, 0] * sin + out[:, 1] * cos
    north = -out[:, 0] * up * cos - out[:, 1] * up * sin + out[:, 2] * flat
    return np.degrees(east / depth), np.degrees(north / depth)


def _pack(crval: list[FloatArray], crpix: list[FloatArray], matrix: list[FloatArray]) -> LinearWCS:
    c11, c12, c21, c22 = matrix
    return LinearWCS(
        crval1=crval[0], crval2=crval[1], crpix1=crpix[0], crpix2=crpix[1],
        cd1_1=c11, cd1_2=c12, cd2_1=c21, cd2_2=c22,
    )  # fmt: skip
