"""Windows straight from the rows of an image to stamps, by compiled code where it could be built.

It gives what the matrix products of :mod:`~snapdb.bulk.shape.resample` give, to float32 rounding: for
stamps of 64 pixels in half the time, cutting included, for those of 256 in as much. Windows beyond the rows
and those with missing pixels are left to that module, as are larger stamps.
"""

from functools import lru_cache

import numpy as np

from snapdb.bulk.shape.limits import Extremes
from snapdb.bulk.shape.weights import Floats, make_weights
from snapdb.types import IntArray, PixelArray

try:
    from snapdb.bulk.shape import _windows
except ImportError:  # installed where there was no C compiler
    _windows = None  # type: ignore[assignment]

_KEPT = 512
"""Sizes whose weights are kept."""
_GREATEST = 512
"""Pixels a side of a stamp: larger ones have no room in the cache, and numpy is quicker."""


def is_there() -> bool:
    """Say whether there is compiled code."""
    return _windows is not None


def can_resample(rows: PixelArray, resolution: int) -> bool:
    """Say whether there is compiled code, and it is the quickest way from rows to stamps.

    Parameters
    ----------
    rows : array, shape (height, width)
        Of an image, as they are stored.
    resolution : int
        Pixels a side of a stamp.
    """
    if not is_there():
        return False
    return rows.dtype.kind == "f" and rows.dtype.itemsize == 4 and 1 <= resolution <= _GREATEST


def resample_windows(
    rows: PixelArray,
    windows: IntArray,
    resolution: int,
    method: str = "bilinear",
    *,
    conserve: bool = False,
    factor: float = 1.0,
    out: Floats | None = None,
) -> tuple[Floats, Extremes]:
    """Bring windows of rows to ``resolution x resolution`` pixels.

    Parameters
    ----------
    rows : array of 4-byte floats, shape (height, width)
        Of an image, of either byte order, for which :func:`can_resample` holds.
    windows : array of int64, shape (N, 3)
        Left, bottom and size of each window in the rows; quickest in the order of their sizes.
    resolution, method, conserve
        As :func:`~snapdb.bulk.shape.resample.resample`.
    factor : float
        What pixels are multiplied by.
    out : array of float32, shape (N, resolution, resolution), optional
        Where to write; in one piece.

    Returns
    -------
    stamps : array of float32, shape (N, resolution, resolution)
        Undefined where a window does not lie within the rows.
    extremes : Extremes
        Of each stamp; NaN where a pixel of it is not finite, or its window does not lie within the rows.
    """
    made = np.empty((len(windows), resolution, resolution), np.float32) if out is None else out
    extremes = np.empty((len(windows), 2), np.float32)
    axes = _axes(resolution, method, conserve=conserve)
    swapped = not rows.dtype.isnative
    _windows.resample(rows, rows.shape[1], swapped, windows, axes, resolution, factor, made, extremes)
    return made, Extremes(extremes[:, 0], extremes[:, 1])


class _Axes(dict[int, tuple[IntArray, Floats]]):
    """How axes of any size are made into one: worked out when it is first asked for."""

    def __init__(self, resolution: int, method: str, *, conserve: bool) -> None:
        super().__init__()
        self._resolution, self._method, self._conserve = resolution, method, conserve

    def __missing__(self, size: int) -> tuple[IntArray, Floats]:
        if len(self) >= _KEPT:
            self.clear()
        weights = make_weights(size, self._resolution, self._method, conserve=self._conserve)
        self[size] = made = _list_taps(weights)
        return made


@lru_cache(maxsize=16)
def _axes(resolution: int, method: str, *, conserve: bool) -> _Axes:
    """Keep them from one batch to the next."""
    return _Axes(resolution, method, conserve=conserve)


def _list_taps(weights: Floats) -> tuple[IntArray, Floats]:
    """Give the first neighbour of each output, and its weights from there on, of all as many."""
    used = weights != 0.0
    size = weights.shape[1]
    # Where a kernel is 0 on a pixel, the next output may begin before it.
    first = np.minimum.accumulate(used.argmax(axis=1)[::-1])[::-1]
    taps = int((size - used[:, ::-1].argmax(axis=1) - first).max())
    first = np.minimum(first, size - taps)
    return first.astype(np.int32), np.take_along_axis(weights, first[:, None] + np.arange(taps), axis=1)
