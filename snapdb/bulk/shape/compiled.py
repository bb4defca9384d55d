"""Square windows to stamps, by compiled code where it could be built.

It gives what the matrix products of :mod:`~snapdb.bulk.shape.resample` give, to float32 rounding: for
stamps of 64 pixels in half the time, for those of 256 in as much. Windows with missing pixels are left to
that module, as are larger stamps.
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


def can_resample(pixels: PixelArray, resolution: int) -> bool:
    """Say whether there is compiled code, and it is the quickest way to stamps.

    Parameters
    ----------
    pixels : array
        Of windows.
    resolution : int
        Pixels a side of a stamp.
    """
    if not is_there():
        return False
    return pixels.dtype.kind == "f" and pixels.dtype.itemsize == 4 and 1 <= resolution <= _GREATEST


def resample_windows(
    pixels: PixelArray,
    sizes: IntArray,
    resolution: int,
    method: str = "bilinear",
    *,
    conserve: bool = False,
    factor: float = 1.0,
    out: Floats | None = None,
) -> tuple[Floats, Extremes]:
    """Bring square windows to ``resolution x resolution`` pixels.

    Parameters
    ----------
    pixels : array of 4-byte floats
        Those of all windows, one window after another, row by row; of either byte order,
        for which :func:`can_resample` holds.
    sizes : array of int64, shape (N,)
        Pixels of each window's side; quickest where those of a size follow each other.
    resolution, method, conserve
        As :func:`~snapdb.bulk.shape.resample.resample`.
    factor : float
        What pixels are multiplied by.
    out : array of float32, shape (N, resolution, resolution), optional
        Where to write; in one piece.

    Returns
    -------
    stamps : array of float32, shape (N, resolution, resolution)
        The stamps.
    extremes : Extremes
        Of each stamp; NaN where a pixel of it is not finite.
    """
    made = np.empty((len(sizes), resolution, resolution), np.float32) if out is None else out
    extremes = np.empty((len(sizes), 2), np.float32)
    axes = _axes(resolution, method, conserve=conserve)
    _windows.resample(pixels, not pixels.dtype.isnative, sizes, axes, resolution, factor, made, extremes)
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
