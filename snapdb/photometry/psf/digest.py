"""Short names of arrays, for provenance."""

import hashlib

import numpy as np

from snapdb.types import FloatArray


def digest(array: FloatArray) -> str:
    """Give the SHA-256 of an array's shape and values, the same on every machine.

    Parameters
    ----------
    array : array
        Any shape; taken as little-endian float64.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    values = np.ascontiguousarray(array, dtype="<f8")
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
