"""A common grid for images of one position."""

import math
from typing import TYPE_CHECKING

import numpy as np

from snapdb.sky.fast.evaluator import FastWCS
from snapdb.types import FloatArray, PixelArray

if TYPE_CHECKING:
    from snapdb.sky.wcs import BaseWCS


def make_grid_cards(ra: float, dec: float, pixel_scale: float, width: int, height: int) -> str:
    """Write the cards of a tangent projection about a position, north up and east to the left.

    Parameters
    ----------
    ra, dec : float
        The position, ICRS degrees: it lies at pixel ((width-1)/2, (height-1)/2).
    pixel_scale : float
        Arcseconds a pixel.
    width, height : int
        Pixels.
    """
    step = pixel_scale / 3600.0
    values: dict[str, float | str] = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": ra,
        "CRVAL2": dec,
        "CRPIX1": (width + 1) / 2.0,
        "CRPIX2": (height + 1) / 2.0,
        "CD1_1": -step,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": step,
        "RADESYS": "ICRS",
    }
    return "\n".join(
        f"{name:8}= {repr(float(value)) if not isinstance(value, str) else repr(value):>20}".ljust(80)
        for name, value in values.items()
    )


def make_grid(ra: float, dec: float, pixel_scale: float, width: int, height: int) -> FastWCS:
    """Give the coordinates of :func:`make_grid_cards`."""
    made = FastWCS.from_text(make_grid_cards(ra, dec, pixel_scale, width, height))
    assert made is not None  # noqa: S101  # a TAN in ICRS
    return made


def source_size(pixels: int, grid_scale: float, image_scale: float) -> int:
    """Tell how many pixels of an image, however it is turned, a grid needs along each axis.

    Parameters
    ----------
    pixels : int
        Diagonal of the grid.
    grid_scale, image_scale : float
        Arcseconds a pixel.
    """
    # Three pixels for each edge: what bilinear weights reach, and what distortion moves.
    return math.ceil(pixels * grid_scale / image_scale) + 6


def sample_nearest(plane: PixelArray, x: FloatArray, y: FloatArray, outside: int) -> PixelArray:
    """Give each position the pixel that it lies in.

    Parameters
    ----------
    plane : array ``[y, x]``
        Of integers.
    x, y : array, shape (h, w)
        0-based pixels of the plane, NaN where there is none.
    outside : int
        For positions that lie in no pixel.
    """
    height, width = plane.shape
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    column = np.floor(np.where(inside, x, 0.0) + 0.5).astype(np.int64)
    row = np.floor(np.where(inside, y, 0.0) + 0.5).astype(np.int64)
    return np.asarray(np.where(inside, plane[row, column], np.asarray(outside, dtype=plane.dtype)))


def map_grid(grid: "BaseWCS", image: "BaseWCS", shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Find where the pixels of a grid lie in an image.

    Parameters
    ----------
    grid, image : BaseWCS
        Coordinates of both.
    shape : tuple of int
        Of the grid, (height, width).

    Returns
    -------
    x, y : array of that shape
        0-based pixels of the image, NaN where a position does not project.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    x, y = image.world_to_pixel(*grid.pixel_to_world(columns, rows))
    return np.asarray(x), np.asarray(y)
