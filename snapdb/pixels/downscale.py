"""Images of fewer, larger pixels."""

from typing import SupportsIndex

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.crops import as_whole
from snapdb.types import PixelArray

MODES = ("sum", "mean", "and", "or")
"""How the pixels of a block become one."""


def downscale_array(image: PixelArray, scale: SupportsIndex | float = 1, mode: str = "sum") -> PixelArray:
    """Join blocks of ``scale x scale`` pixels to one each.

    Parameters
    ----------
    image : array, shape (ny, nx)
        Pixels ``[y, x]``; rows and columns that fill no block at the upper end are left out.
    scale : int
        Pixels of a block's side.
    mode : {'sum', 'mean', 'and', 'or'}
        ``and`` and ``or`` combine the bits of integers, as flags need.

    Returns
    -------
    array, shape (ny // scale, nx // scale)
        Sums of integers are 64 bits wide, so that they do not overflow; means of
        integers are float64.

    Raises
    ------
    ShapeError
        If `image` has not two axes, or `scale` is no whole number from 1 to the image's size.
    UsageError
        If there is no such mode, or bits of floating-point numbers are asked for.
    """
    array = np.asanyarray(image)
    side = check_scale(array, scale)
    if mode not in MODES:
        msg = f"mode={mode!r}: expected one of {', '.join(MODES)}"
        raise UsageError(msg, mode=mode)
    if mode in ("and", "or") and array.dtype.kind not in "iub":
        msg = f"mode={mode!r} combines bits, and pixels of type {array.dtype} have none; use 'sum' or 'mean'"
        raise UsageError(msg, mode=mode, dtype=str(array.dtype))
    rows, columns = array.shape[0] // side, array.shape[1] // side
    blocks = array[: rows * side, : columns * side].reshape(rows, side, columns, side)
    if mode == "sum":
        return np.asanyarray(blocks.sum(axis=-1).sum(axis=1))
    if mode == "mean":
        return np.asanyarray(blocks.mean(axis=-1).mean(axis=1))
    join = np.bitwise_and if mode == "and" else np.bitwise_or
    return np.asanyarray(join.reduce(join.reduce(blocks, axis=-1), axis=1))


def check_scale(image: PixelArray, scale: SupportsIndex | float) -> int:
    """Take the side of a block as an int.

    Raises
    ------
    ShapeError
        As :func:`downscale_array`.
    """
    if image.ndim != 2:
        msg = f"image has shape {image.shape}: expected two axes, [y, x]"
        raise ShapeError(msg, shape=image.shape)
    side = as_whole(scale, name="scale")
    if not 1 <= side <= min(image.shape):
        msg = f"scale = {side}: expected 1 to {min(image.shape)} for an image of shape {image.shape}"
        raise ShapeError(msg, scale=side, shape=image.shape)
    return side
