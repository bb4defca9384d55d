"""Images turned so that north is up and east is left, by their nearest pixels."""

from typing import Any

import numpy as np

from snapdb.archive.avm import Frame
from snapdb.archive.planar import PlanarImage
from snapdb.errors import ProjectionError
from snapdb.types import BoolArray, PixelArray

_LARGEST_PX = 2**26
_ROWS = 256
"""Rows that are resampled at once, so that great images need little memory."""


def turn_north_up(
    image: PlanarImage, frame: Frame | None, data: PixelArray, bad: BoolArray | None
) -> tuple[Frame, PixelArray, BoolArray | None, BoolArray]:
    """Take, for each pixel of a grid with north up and east left, the nearest of the image.

    Parameters
    ----------
    image : Image
        With world coordinates.
    frame : Frame or None
        Where it lies.
    data : array
        Its pixels.
    bad : array of bool or None
        Its bad pixels.

    Returns
    -------
    frame : Frame
        Of the grid; its pixels are as great as the image's, and it covers all of it.
    data : array
        On the grid, of the image's type.
    bad : array of bool or None
        On the grid.
    outside : array of bool
        Where the grid has no pixel of the image.

    Raises
    ------
    ProjectionError
        If it has no coordinates, or is too wide for a plane.
    """
    if frame is None:
        msg = f"{image.label} has no world coordinates that say where north is; leave out north_up"
        raise ProjectionError(msg)
    grid, target = _lay_grid(image, frame)
    shape = (target.height, target.width)
    rows = np.zeros(shape, dtype=np.intp)
    columns, inside = np.zeros_like(rows), np.zeros(shape, dtype=bool)
    for start in range(0, target.height, _ROWS):
        y, x = np.mgrid[start : min(start + _ROWS, target.height), 0 : target.width]
        px, py = image.world_to_pixel(*grid.pixel_to_world(x, y))
        some = slice(start, start + _ROWS)
        with np.errstate(invalid="ignore"):
            inside[some] = (px >= -0.5) & (px < image.width - 0.5) & (py >= -0.5) & (py < image.height - 0.5)
        columns[some] = np.floor(np.where(inside[some], px, 0.0) + 0.5)
        rows[some] = np.floor(np.where(inside[some], py, 0.0) + 0.5)
    turned = None if bad is None else bad[rows, columns] & inside
    return target, data[rows, columns], turned, ~inside


def _lay_grid(image: PlanarImage, frame: Frame) -> tuple[Any, Frame]:
    """Lay a grid with north up over an image, its pixels as great as the image's."""
    from astropy.wcs import WCS

    from snapdb.sky.fast.evaluator import FastWCS
    from snapdb.sky.wcs import AstropyWCS, wcs_text

    step = float(np.sqrt(abs(np.linalg.det(np.array(frame.matrix)))))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [frame.ra, frame.dec]
    wcs.wcs.cdelt = [-step, step]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.wcs.radesys = "ICRS"
    t = np.linspace(-0.5, 0.5, 9)
    border = np.concatenate([[t, t * 0 - 0.5], [t, t * 0 + 0.5], [t * 0 - 0.5, t], [t * 0 + 0.5, t]], axis=1)
    x, y = border[0] * image.width + frame.x, border[1] * image.height + frame.y
    gx, gy = AstropyWCS(wcs).world_to_pixel(*image.pixel_to_world(x, y))
    spans = [(float(np.min(g)), float(np.max(g))) for g in (gx, gy)]
    sizes = [max(1, round(high - low)) if np.isfinite(high - low) else _LARGEST_PX for low, high in spans]
    if sizes[0] * sizes[1] > _LARGEST_PX:
        msg = f"{image.label} is too wide for a picture with north up; cut a smaller part, or leave it out"
        raise ProjectionError(msg)
    x0, y0 = ((n - 1) / 2 - (low + high) / 2 for n, (low, high) in zip(sizes, spans, strict=True))
    wcs.wcs.crpix = [x0 + 1.0, y0 + 1.0]
    target = Frame(
        ra=frame.ra,
        dec=frame.dec,
        x=x0,
        y=y0,
        matrix=((-step, 0.0), (0.0, step)),
        width=sizes[0],
        height=sizes[1],
    )
    exact = AstropyWCS(wcs)
    return FastWCS.from_text(wcs_text(exact.to_fits_header())) or exact, target
