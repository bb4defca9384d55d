"""Stamps out of one plane, one about each position, whether or not they reach beyond it."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snapdb.types import BoolArray, FloatArray, IntArray, PixelArray

NOWHERE = -(2**40)
"""Column and row of the centre of a position that is not finite: no stamp about it meets an image."""


def centre_pixels(x: FloatArray, y: FloatArray) -> tuple[IntArray, IntArray]:
    """Say which pixel each position is in.

    Parameters
    ----------
    x, y : array
        Positions, 0-based pixels, shape (N,).

    Returns
    -------
    column, row : array of int
        ``floor(x + 0.5)`` and ``floor(y + 0.5)``; `NOWHERE` where a position is not finite or so
        far off that no image holds it.
    """
    known = (np.abs(x) < -NOWHERE) & (np.abs(y) < -NOWHERE)  # False for NaN
    column, row = (np.floor(np.where(known, v, NOWHERE) + 0.5).astype(np.int64) for v in (x, y))
    return column, row


def gather_stamps(plane: PixelArray, column: IntArray, row: IntArray, size: int, fill: Any) -> PixelArray:
    """Copy a square about each of many pixels.

    Parameters
    ----------
    plane : array
        Pixels ``[y, x]``.
    column, row : array of int
        Centres, shape (N,); may lie outside.
    size : int
        Pixels along each side, odd.
    fill : float, int or bool
        Stands for what lies outside.

    Returns
    -------
    array
        Shape (N, size, size), of the plane's type.
    """
    half = size // 2
    height, width = plane.shape
    whole = (column >= half) & (column < width - half) & (row >= half) & (row < height - half)
    if whole.all() and len(column):
        return sliding_window_view(plane, (size, size))[row - half, column - half]
    stamps = np.full((len(column), size, size), fill, dtype=plane.dtype)
    if whole.any():
        inner = sliding_window_view(plane, (size, size))
        stamps[whole] = inner[row[whole] - half, column[whole] - half]
    reach = np.arange(-half, half + 1)
    rest = np.flatnonzero(~whole)
    rows, columns = row[rest, None, None] + reach[:, None], column[rest, None, None] + reach
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    if inside.any():
        found = plane[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        stamps[rest] = np.where(inside, found, stamps[rest])
    return stamps


def inside_stamps(shape: tuple[int, int], column: IntArray, row: IntArray, size: int) -> BoolArray:
    """Say which pixels of stamps lie on the image.

    Parameters
    ----------
    shape : tuple of int
        Of the image, ``(height, width)``.
    column, row : array of int
        Centres, shape (N,).
    size : int
        Pixels along each side, odd.

    Returns
    -------
    array of bool
        Shape (N, size, size).
    """
    reach = np.arange(-(size // 2), size // 2 + 1)
    rows, columns = row[:, None] + reach, column[:, None] + reach
    on_rows = (rows >= 0) & (rows < shape[0])
    on_columns = (columns >= 0) & (columns < shape[1])
    return on_rows[:, :, None] & on_columns[:, None, :]


def crop_stamps(stamps: PixelArray, size: int) -> PixelArray:
    """Give the middle of stamps, a view.

    Parameters
    ----------
    stamps : array
        Shape (N, S, S), S odd.
    size : int
        Odd, at most S.

    Returns
    -------
    array
        Shape (N, size, size).
    """
    start = stamps.shape[-1] // 2 - size // 2
    return stamps[..., start : start + size, start : start + size]
