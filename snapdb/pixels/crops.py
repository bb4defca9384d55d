"""Rectangles of arrays that may reach beyond them, and what fills the rest."""

import math
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np

from snapdb.errors import ShapeError
from snapdb.pixels.box import Box, Placement
from snapdb.pixels.crop import fill_plane
from snapdb.pixels.flags import NO_DATA, no_data_bit
from snapdb.types import BoolArray, PixelArray


def crop_array(
    data: PixelArray,
    x0: SupportsIndex | float,
    y0: SupportsIndex | float,
    width: SupportsIndex | float,
    height: SupportsIndex | float,
) -> PixelArray:
    """Take a rectangle from an array, wherever it lies.

    Parameters
    ----------
    data : array, shape (ny, nx)
        Pixels ``[y, x]`` of any type; a masked array stays one.
    x0, y0 : int
        First column and row, 0-based; may be negative or beyond the array.
    width, height : int
        Columns and rows, 0 or more.

    Returns
    -------
    array, shape (height, width)
        Of the type of `data`, and its own. What lies outside is NaN for floating-point
        types, else 0; in a masked array it is masked.

    Raises
    ------
    ShapeError
        If `data` has not two axes, or a number is not whole, or a size negative.
    """
    array = data if isinstance(data, np.ma.MaskedArray) else np.asarray(data)
    if array.ndim != 2:
        msg = f"data has shape {array.shape}: expected two axes, [y, x]"
        raise ShapeError(msg, shape=array.shape)
    left, low = as_whole(x0, name="x"), as_whole(y0, name="y")
    across, up = as_whole(width, name="width"), as_whole(height, name="height")
    if across < 0 or up < 0:
        msg = f"a rectangle of {across} x {up} pixels: expected 0 or more"
        raise ShapeError(msg, width=across, height=up)
    filled: PixelArray = np.zeros((up, across), array.dtype)
    if array.dtype.kind == "f":
        filled.fill(np.nan)
    from_y, to_y = _overlap(low, up, array.shape[0])
    from_x, to_x = _overlap(left, across, array.shape[1])
    filled[to_y, to_x] = np.ma.getdata(array)[from_y, from_x]
    if not isinstance(array, np.ma.MaskedArray):
        return filled
    mask = np.ones((up, across), bool)
    mask[to_y, to_x] = np.ma.getmaskarray(array)[from_y, from_x]
    return np.ma.MaskedArray(filled, mask=mask)


def center_box(x: float, y: float, radius: float) -> Box:
    """Place the square of ``2 * ceil(radius) + 1`` pixels whose middle pixel holds a position.

    Parameters
    ----------
    x, y : float
        Position, 0-based pixels.
    radius : float
        Half the side, pixels, 0 or more.

    Raises
    ------
    NoOverlapError
        If the position is not finite.
    ShapeError
        If the radius is not a finite number of at least 0.
    """
    reach = float(radius)
    if not (math.isfinite(reach) and reach >= 0.0):
        msg = f"radius = {radius!r}: expected a finite number of pixels, 0 or more"
        raise ShapeError(msg, radius=radius)
    size = 2 * math.ceil(reach) + 1
    return Box.centered(float(x), float(y), size, size)


def fill_flags(
    part: PixelArray, placement: Placement, flag_bits: Mapping[str, int]
) -> tuple[PixelArray, dict[str, int]]:
    """Make a cutout's flags: what lies outside the image carries the bit named NO_DATA.

    Parameters
    ----------
    part : array of int, shape of ``placement.source``
        The flags that there are.
    placement : Placement
        Where they go.
    flag_bits : mapping of str to int
        Names of their bits.

    Returns
    -------
    flags : array, shape of ``placement.result``
        Of a wider type where that of `part` has no bit left.
    flag_bits : dict
        With NO_DATA where it was used.
    """
    names = dict(flag_bits)
    if placement.is_whole:
        return fill_plane(part, placement, 0, name="flags"), names
    bit, dtype = no_data_bit({**_bits_in_use(part), **names}, part.dtype)
    names.setdefault(NO_DATA, bit)
    return fill_plane(part.astype(dtype, copy=False), placement, bit, name="flags"), names


def outside_mask(shape: tuple[int, int], inside: Box) -> BoolArray:
    """Say which pixels of a cutout lie outside the image that it was cut from.

    Parameters
    ----------
    shape : tuple of int
        Of the cutout.
    inside : Box
        The part that exists, in the cutout's pixels.
    """
    mask = np.ones(shape, bool)
    mask[inside.slices] = False
    return mask


def as_whole(value: SupportsIndex | float, *, name: str) -> int:
    """Take a whole number of pixels, of any sign, as an int.

    Raises
    ------
    ShapeError
        If it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool | np.bool_) or not number.is_integer():
        msg = f"{name} = {value!r}: expected a whole number of pixels"
        raise ShapeError(msg, name=name, value=value)
    return int(value)


def _overlap(start: int, size: int, length: int) -> tuple[slice, slice]:
    """Give the slices of the array and of the rectangle that hold the pixels common to both."""
    low, high = max(start, 0), min(start + size, length)
    if high <= low:
        return slice(0, 0), slice(0, 0)
    return slice(low, high), slice(low - start, high - start)


def _bits_in_use(flags: PixelArray) -> dict[str, int]:
    """Name the bits that flags use, so that none of them is taken for another meaning."""
    used: Any = int(np.bitwise_or.reduce(flags, axis=None))
    return {f"bit {i}": 1 << i for i in range(used.bit_length()) if used >> i & 1} if used > 0 else {}
