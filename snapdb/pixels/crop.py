"""Put the part of an image that exists into the array of its cutout."""

from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.box import Placement
from snapdb.types import PixelArray

DType = np.dtype[Any]


def fill_plane(part: PixelArray, placement: Placement, fill_value: float, *, name: str) -> PixelArray:
    """Make a cutout's plane from the part of its parent that was read.

    Parameters
    ----------
    part : array, shape of ``placement.source``
        What was read, ``[y, x]``.
    placement : Placement
        Where it goes.
    fill_value : float
        For pixels outside the parent; NaN, or any number.
    name : str
        Of the plane, for messages.

    Returns
    -------
    array, shape of ``placement.result``
        An array of its own, C-contiguous, in native byte order. It has the type of
        `part`, save that an integer plane with pixels to fill and a fill value that its
        type cannot hold comes back as float: float32 for integers of up to 16 bits, which
        are exact in it, float64 for longer ones.

    Raises
    ------
    ShapeError
        If the part has not the shape of the box that was to be read.
    UsageError
        If the fill value is too great for the plane's floating-point type.
    """
    if part.shape != placement.source.shape:
        msg = (
            f"plane {name!r}: a part of shape {part.shape} was read; "
            f"expected {placement.source.shape} (rows, columns)"
        )
        raise ShapeError(msg, plane=name, shape=part.shape, expected=placement.source.shape)
    native = part.dtype.newbyteorder("=")
    if placement.target.shape == placement.result.shape:
        return np.array(part, dtype=native, order="C", copy=True)
    result = np.full(
        placement.result.shape, fill_value, dtype=choose_dtype(native, fill_value, name=name), order="C"
    )
    result[placement.target.slices] = part
    return result


def choose_dtype(dtype: DType, fill_value: float, *, name: str) -> DType:
    """Choose the type that holds both a plane's values and what fills it.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the plane.
    fill_value : float
        For pixels outside the image.
    name : str
        Of the plane, for messages.

    Returns
    -------
    numpy.dtype
        `dtype` where it can hold the fill value, else float32 or float64.

    Raises
    ------
    UsageError
        If the fill value is too great for the plane's floating-point type.
    """
    if dtype.kind in "iu":
        if _fits(dtype, fill_value):
            return dtype
        dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    elif dtype.kind == "b":
        if fill_value in (0, 1):
            return dtype
        dtype = np.dtype(np.float32)
    if np.isfinite(fill_value) and abs(fill_value) > float(np.finfo(dtype).max):
        msg = f"fill_value={fill_value!r} is too great for plane {name!r} of type {dtype}"
        raise UsageError(msg, fill_value=fill_value, plane=name)
    return dtype


def _fits(dtype: DType, value: float) -> bool:
    """Say whether an integer type holds a value exactly."""
    if not np.isfinite(value) or value != int(value):
        return False
    limits = np.iinfo(dtype)
    return bool(limits.min <= int(value) <= limits.max)
