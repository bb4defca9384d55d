"""Flag planes: integer bits, each with a meaning that the image names."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.types import BoolArray, PixelArray

NO_DATA = "NO_DATA"
"""Name of the bit of pixels that lie outside the image."""

_WIDER = {
    "bool": "uint8",
    "uint8": "uint16",
    "uint16": "uint32",
    "uint32": "uint64",
    "int8": "int16",
    "int16": "int32",
    "int32": "int64",
    "int64": "uint64",
}


def no_data_bit(flag_bits: Mapping[str, int], dtype: np.dtype[Any]) -> tuple[int, np.dtype[Any]]:
    """Choose the bit that says "outside the image", and a type that holds it.

    Parameters
    ----------
    flag_bits : mapping of str to int
        Names and their bit values; a value may be of several bits.
    dtype : numpy.dtype
        Of the flags; an integer type or bool.

    Returns
    -------
    bit : int
        Value of the bit named ``NO_DATA``, else the highest bit without a name that
        the type holds in a positive number.
    dtype : numpy.dtype
        `dtype`, or the next wider one where it has no such bit.

    Raises
    ------
    UsageError
        If `dtype` holds no bits, or all 64 have names.
    """
    chosen = np.dtype(dtype).newbyteorder("=")
    taken = 0
    for value in flag_bits.values():
        taken |= int(value)
    while True:
        bit = int(flag_bits[NO_DATA]) if NO_DATA in flag_bits else _highest_free(taken, chosen)
        if bit is not None and 0 < bit <= _greatest(chosen):
            return bit, chosen
        if chosen.name not in _WIDER:
            msg = (
                f"flags of type {chosen} have no bit left for {NO_DATA}; name fewer than 64 bits in flag_bits"
            )
            raise UsageError(msg, dtype=str(chosen), flag_bits=dict(flag_bits))
        chosen = np.dtype(_WIDER[chosen.name])


def bad_mask(flags: PixelArray, bad_bits: int) -> BoolArray:
    """Say which pixels are bad.

    Parameters
    ----------
    flags : array of int or bool
        Flags of pixels, any shape.
    bad_bits : int
        Bits that make a pixel bad; 0 stands for any bit. Bits beyond those of the
        array's type mark nothing.

    Returns
    -------
    array of bool
        True where a bad bit is set, also where it is the sign's.

    Raises
    ------
    UsageError
        If `flags` is not of integers.
    """
    array = np.asarray(flags)
    if bad_bits == 0:
        _greatest(array.dtype)
        return np.asarray(array != 0)
    size = np.dtype(array.dtype).itemsize
    _greatest(array.dtype)
    # As unsigned numbers, so that the sign's bit is one like the others.
    unsigned = array.view(np.dtype(f"u{size}").newbyteorder(array.dtype.byteorder))
    wanted = int(bad_bits) & ((1 << 8 * size) - 1)
    return np.asarray((unsigned & np.array(wanted, dtype=f"u{size}")) != 0)


def fraction_masked(flags: PixelArray | None, bad_bits: int) -> float:
    """Give the fraction of pixels that are bad, from 0 to 1.

    Parameters
    ----------
    flags : array of int or None
        Without flags nothing is bad.
    bad_bits : int
        As for :func:`bad_mask`.

    Returns
    -------
    float
        0.0 also where there is no pixel.
    """
    if flags is None or flags.size == 0:
        return 0.0
    return float(np.count_nonzero(bad_mask(flags, bad_bits)) / flags.size)


def _greatest(dtype: np.dtype[Any]) -> int:
    """Greatest number of an integer type."""
    if dtype.kind == "b":
        return 0  # numpy's bool holds no bits to combine; the next type does
    if dtype.kind not in "iu":
        msg = f"flags of type {dtype}: expected integers, whose bits are the flags"
        raise UsageError(msg, dtype=str(dtype))
    return int(np.iinfo(dtype).max)


def _highest_free(taken: int, dtype: np.dtype[Any]) -> int | None:
    """Give the highest bit of a type that is not taken."""
    free = _greatest(dtype) & ~taken
    return 1 << (free.bit_length() - 1) if free else None
