"""From stored numbers to a plane's own: scaling, blanks, asinh, weights; bit for bit as astropy does."""

from typing import Any

import numpy as np

from snapdb.model.layout import Meaning, PlaneLayout
from snapdb.types import PixelArray

FLAGS_DTYPE = "int64"
"""Type of flags that are stored as floating-point numbers."""
_MOST_BITS = float(2**62)
_SIGN_SHIFTED = frozenset({"int8", "uint16", "uint32", "uint64"})


def finish(stored: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Make a finished plane of stored numbers.

    Parameters
    ----------
    stored : ndarray
        Of the layout's stored type in either byte order; it may be a read-only view.
    layout : PlaneLayout
        The plane.

    Returns
    -------
    ndarray
        Type ``layout.dtype``, native, contiguous, its own.
    """
    if layout.is_plain:
        if layout.dtype == FLAGS_DTYPE and stored.dtype.kind == "f":
            return to_whole(stored)
        return stored.astype(layout.dtype, order="C")
    return finish_plane(apply_scaling(stored, layout), layout)


def apply_scaling(stored: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Turn stored numbers into the header's: BSCALE, BZERO, BLANK (FITS Standard 4.0, 4.4.2.5).

    Parameters
    ----------
    stored : ndarray
        Of ``layout.stored_dtype``, or that in native byte order; it is not changed.
    layout : PlaneLayout
        The plane.

    Returns
    -------
    ndarray
        In native byte order; `stored` itself where there is nothing to do.
    """
    scale, zero = layout.bscale, layout.bzero
    kind = stored.dtype
    if scale == 1.0 and zero == 0.0 and layout.blank is None:
        return stored.astype(native(kind.str), copy=False)
    if kind.kind == "f":
        data = stored.astype(native(kind.str))
    elif scale == 1.0 and layout.dtype in _SIGN_SHIFTED:
        return _shift_sign(stored, layout)
    else:
        data = stored.astype("float64" if kind.itemsize > 2 else "float32")
    if scale != 1.0:
        np.multiply(data, scale, data)
    if zero != 0.0:
        data += zero
    if layout.blank is not None:
        data[stored == layout.blank] = np.nan
    return data


def native(kind: str) -> np.dtype[Any]:
    """Give a numpy type in native byte order, as numpy's own object.

    An equal one that ``newbyteorder`` makes costs a copy later: numpy gives a view where
    two types are equal but not the same.

    Parameters
    ----------
    kind : str
        Its name with the byte order in front, such as ``>i2``.
    """
    return np.dtype(kind[1:])


def _shift_sign(stored: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Undo the convention for the other sign by flipping the highest bit."""
    data = np.empty(stored.shape, layout.dtype)
    bits = data.view(f"u{data.dtype.itemsize}")
    whole = stored.astype(native(stored.dtype.str), copy=False).view(bits.dtype)
    np.bitwise_xor(whole, bits.dtype.type(1 << (8 * data.dtype.itemsize - 1)), out=bits)
    return data


def finish_plane(data: PixelArray, layout: PlaneLayout) -> PixelArray:
    """Linearise an asinh plane, turn weights into noise, and settle type and ownership.

    Parameters
    ----------
    data : ndarray
        Scaled numbers.
    layout : PlaneLayout
        The plane.
    """
    if layout.asinh is not None:
        data = to_linear(data, *layout.asinh)
    if layout.meaning is not Meaning.DIRECT:
        from snapdb.pixels.noise import to_noise

        data = to_noise(data, layout.meaning)
    owned = np.ascontiguousarray(data, dtype=layout.dtype)
    return owned if owned.base is None and owned.flags.writeable else owned.copy()


def to_whole(stored: PixelArray) -> PixelArray:
    """Give flags that were stored as floating-point numbers as whole ones.

    Parameters
    ----------
    stored : ndarray
        Floating-point numbers.

    Returns
    -------
    ndarray
        int64. A fraction, as resampled masks have them, goes away from 0, so that no pixel
        that was marked looks good; NaN, which says nothing good of a pixel, is 1.
    """
    values = stored.astype(np.float64)
    values = np.copysign(np.ceil(np.abs(values)), values)
    values[np.isnan(values)] = 1.0
    return np.clip(values, -_MOST_BITS, _MOST_BITS).astype(FLAGS_DTYPE)


def to_linear(stored: PixelArray, soften: float, offset: float) -> PixelArray:
    """Undo the asinh scaling of Pan-STARRS1 images.

    Parameters
    ----------
    stored : ndarray
        Scaled values v.
    soften, offset : float
        BSOFTEN and BOFFSET.

    Returns
    -------
    ndarray
        ``offset + 2 soften sinh(v ln(10) / 2.5)``, float64 (Waters et al. 2020,
        ApJS 251, 4, section 3.3: magnitudes on an asinh scale).
    """
    linear: PixelArray = offset + 2.0 * soften * np.sinh(stored.astype(np.float64) * (np.log(10.0) / 2.5))
    return linear
