"""What is left of an image when its sources are taken away."""

from typing import Any

import numpy as np

from snapdb.photometry.fitting.stamps import centre_pixels
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.types import FloatArray, PixelArray

_AT_ONCE = 2**22
"""Pixels of PSFs that are in memory at one time."""


def subtract_sources(
    plane: PixelArray, psf: Any, x: FloatArray, y: FloatArray, flux: FloatArray, *, size: int | None = None
) -> FloatArray:
    """Take sources away from an image; its sky stays.

    Parameters
    ----------
    plane : array
        The image ``[y, x]``; it is not changed.
    psf : PSF
        The model.
    x, y : array
        Positions, pixels, shape (N,).
    flux : array
        In the image's units; a source whose flux or position is not finite stays.
    size : int, optional
        Side of the square that is taken away, odd; the PSF's own stamp by default.

    Returns
    -------
    array
        float64, of the image's shape.
    """
    left = np.array(plane, dtype=np.float64)
    side = int(psf.stamp_size) if size is None else size
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(flux))
    step = max(1, _AT_ONCE // side**2)
    for start in range(0, len(known), step):
        some = known[start : start + step]
        stamps = render_stamps(psf, x[some], y[some], side) * flux[some, None, None]
        column, row = centre_pixels(x[some], y[some])
        for stamp, x0, y0 in zip(
            stamps, (column - side // 2).tolist(), (row - side // 2).tolist(), strict=True
        ):
            _subtract(left, stamp, x0, y0)
    return left


def _subtract(left: FloatArray, stamp: FloatArray, x0: int, y0: int) -> None:
    """Take one stamp away where it lies on the image."""
    height, width = left.shape
    side = len(stamp)
    rows = slice(max(y0, 0), min(y0 + side, height))
    columns = slice(max(x0, 0), min(x0 + side, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = stamp[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        left[rows, columns] -= part
