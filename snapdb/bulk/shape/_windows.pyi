"""Compiled: windows of an image brought to one size."""

from collections.abc import Mapping

from snapdb.bulk.shape.weights import Floats
from snapdb.types import IntArray, PixelArray

def resample(
    pixels: PixelArray,
    swapped: bool,
    sizes: IntArray,
    axes: Mapping[int, tuple[IntArray, Floats]],
    side: int,
    factor: float,
    out: Floats,
    extremes: Floats,
) -> None:
    """Bring square windows to one size.

    All arrays are in one piece. The interpreter goes on meanwhile.

    Parameters
    ----------
    pixels : array of 4-byte floats
        Those of all windows, one window after another, row by row.
    swapped : bool
        Whether their bytes are not in the processor's order.
    sizes : array of int64, shape (n,)
        Pixels of each window's side.
    axes : mapping
        Pixels of a window's side -> first neighbour (int32) of each of the stamp's, and the weights of
        it and those that follow (float32).
    side : int
        Pixels of a stamp's side.
    factor : float
        What pixels are multiplied by.
    out : array of float32, shape (n, side, side)
        Stamps.
    extremes : array of float32, shape (n, 2)
        Least and greatest pixel of each stamp; NaN where one is not finite.

    Raises
    ------
    ValueError
        If arrays do not fit together.
    MemoryError
        If there is no room for what lies between a window and its stamp.
    """
