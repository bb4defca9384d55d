"""Noise of one standard deviation, from the ways in which files store it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import UsageError
from snapdb.types import PixelArray

MEANINGS: tuple[str, ...] = ("direct", "variance", "inverse_variance", "inverse_sigma")
"""What a stored number may be: sigma itself, its square, or the inverse of either."""


def to_noise(stored: PixelArray, meaning: str) -> PixelArray:
    """Turn stored numbers into one standard deviation.

    A variance V gives ``sqrt(V)``, a weight W = 1 / V gives ``1 / sqrt(W)``, an inverse
    sigma S gives ``1 / S``. A weight or an inverse sigma of zero or less is the usual way
    to say that a pixel tells nothing: its noise is infinite. A negative variance is none,
    and gives NaN; NaN stays NaN.

    Parameters
    ----------
    stored : array
        Any shape and numeric type.
    meaning : {'direct', 'variance', 'inverse_variance', 'inverse_sigma'}
        What the numbers are.

    Returns
    -------
    array
        `stored` itself for ``direct``, else a new array: float32 from float32 and from
        integers of up to 16 bits, float64 from all else.

    Raises
    ------
    UsageError
        If the meaning is none of the four.
    """
    if meaning not in MEANINGS:
        msg = f"noise stored as {meaning!r}: expected one of {', '.join(MEANINGS)}"
        raise UsageError(msg, meaning=str(meaning))
    if meaning == "direct":
        return stored
    values: NDArray[Any] = np.array(stored, dtype=_float_type(stored))
    if meaning == "variance":
        return np.asarray(np.sqrt(values, out=np.full_like(values, np.nan), where=values >= 0))
    # NaN is not positive, but says nothing of the weight either.
    noise = np.where(np.isnan(values), values, values.dtype.type(np.inf))
    positive = values > 0
    if meaning == "inverse_variance":
        np.sqrt(values, out=values, where=positive)
    # The inverse of a subnormal number is infinite, and rightly so.
    with np.errstate(over="ignore"):
        np.divide(1, values, out=noise, where=positive)
    return noise


def _float_type(stored: PixelArray) -> type[np.float32 | np.float64]:
    """Choose the float type that holds the stored numbers exactly."""
    if stored.dtype.kind in "iub":
        return np.float32 if stored.dtype.itemsize <= 2 else np.float64
    return np.float32 if stored.dtype.itemsize <= 4 else np.float64
