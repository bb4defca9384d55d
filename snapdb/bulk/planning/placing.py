"""Where the windows of sources lie on an image, and how large they are."""

import numpy as np

from snapdb.model.layout import PlaneLayout
from snapdb.pixels.placing import Places, place_all
from snapdb.types import FloatArray, IntArray

_ROOM = 1e-9
"""What rounding may take from a whole number."""
RUN_PX = 8 * 2**20
"""Pixels of windows that are read together, save where a single one has more."""


def window_sizes(
    pixels: FloatArray, arcsec: FloatArray, scale: float | FloatArray, padding: float
) -> IntArray:
    """Give the sides of the windows to be cut for sources of given sizes.

    Parameters
    ----------
    pixels, arcsec : array, shape (n,)
        Diameters; pixels count where they are not NaN.
    scale : float or array
        Arcseconds a pixel.
    padding : float
        Times the diameter is cut.

    Returns
    -------
    array of int, shape (n,)
        ``floor(padding * diameter)``, the diameter in whole pixels; at least 1.
    """
    diameter = np.where(np.isnan(pixels), np.rint(arcsec / scale), np.floor(pixels + _ROOM))
    # Room for rounding: 0.7 times 70 is 48.99999999999999.
    return np.maximum(np.floor(np.maximum(diameter, 1.0) * padding + _ROOM), 1.0).astype(np.int64)


def place_windows(x: FloatArray, y: FloatArray, size: IntArray, layout: PlaneLayout) -> Places:
    """Place windows about pixels of one image, each as near to its middle as whole pixels allow.

    Parameters
    ----------
    x, y : array, shape (n,)
        0-based pixels; NaN where a position does not project.
    size : array of int
        Sides of the windows.
    layout : PlaneLayout
        The image's.
    """
    shape = x.shape
    return place_all(x, y, size, size, np.full(shape, layout.width), np.full(shape, layout.height))


def outside_fraction(places: Places) -> FloatArray:
    """Give the part of each window that lies outside the image, 0 to 1."""
    width, height = places.right - places.left, places.top - places.bottom
    inside = np.where(places.touches, width * height, 0)
    return np.asarray(1.0 - inside / (places.width * places.height), dtype=np.float64)


def number_runs(size: IntArray, part: IntArray | None = None, most: int = RUN_PX) -> IntArray:
    """Give windows that are read together the same number, in their order.

    Parameters
    ----------
    size : array of int, shape (n,)
        Sides of the windows.
    part : array of int, shape (n,), optional
        Parts, in ascending order, each of which is counted from 0; all are one by default.
    most : int
        Pixels that are read together, save where a single window has more.

    Returns
    -------
    array of int, shape (n,)
        Not descending within a part.
    """
    total = np.cumsum(size**2)
    if part is not None and len(part):
        first = np.searchsorted(part, part)
        total = total - (total - size**2)[first]
    return np.asarray((total - 1) // most, dtype=np.int64)
