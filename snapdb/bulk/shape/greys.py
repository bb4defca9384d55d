"""Grey levels of asinh and log by looking them up: the same levels as by the formula, in half the time.

Brightness from 0 to 1 is cut into bins so narrow that grey rises by one level at most within a
bin; the table has the place in the bin where it does.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.shape.weights import Floats
from snapdb.types import FloatArray

MOST_BINS = 1 << 16
"""With more, the table would crowd the pixels out of the cache."""


@dataclass(frozen=True, slots=True)
class Greys:
    """A table of grey levels."""

    bins: int
    offsets: Floats
    """What a place among the bins must be raised by for its whole part to be the level."""

    def write_levels(self, rows: Floats) -> None:
        """Turn places among the bins into grey levels, in place.

        Parameters
        ----------
        rows : array of float32
            From 0 to :attr:`bins`; becomes the level, and a fraction to be cut off.
        """
        # By way of int32, for which there are vector instructions; no place needs wrapping, and
        # "wrap" is the mode that checks least.
        bins: NDArray[np.intp] = rows.astype(np.int32).astype(np.intp)
        rows += self.offsets.take(bins, mode="wrap")


@lru_cache(maxsize=64)
def make_greys(method: str, a: float) -> Greys | None:
    """Make the table of a stretch; None where it is too steep for one.

    Parameters
    ----------
    method : {'asinh', 'log'}
        The stretch.
    a : float
        Its number.
    """
    steepest = 1.0 / (a * np.arcsinh(1.0 / a)) if method == "asinh" else a / np.log1p(a)
    bins = 1 << max(12, int(np.ceil(np.log2(1.5 * 255.0 * steepest))))
    if bins > MOST_BINS:
        return None
    edges = np.arange(bins + 2) / bins
    levels = np.floor(255.0 * _brighten(edges, method, a) + 0.5)
    base, rises = levels[:-1], levels[1:] > levels[:-1]
    place = _darken((base + 0.5) / 255.0, method, a) * bins - np.arange(bins + 1)
    # The place within the bin, below 1, is what is left of the sum: it carries to the next level where
    # the level rises. Places have few enough digits for the sum to be exact.
    at = np.arange(bins + 1)
    offsets = (base - at + np.where(rises, 1.0 - np.clip(place, 0.0, 1.0), 0.0)).astype(np.float32)
    offsets[-1] = 255.25 - bins
    offsets.flags.writeable = False
    return Greys(bins, offsets)


def _brighten(x: FloatArray, method: str, a: float) -> FloatArray:
    """Apply the stretch."""
    if method == "asinh":
        return np.asarray(np.arcsinh(x / a) / np.arcsinh(1.0 / a), dtype=np.float64)
    return np.asarray(np.log1p(a * x) / np.log1p(a), dtype=np.float64)


def _darken(y: FloatArray, method: str, a: float) -> FloatArray:
    """Undo the stretch."""
    if method == "asinh":
        return np.asarray(a * np.sinh(y * np.arcsinh(1.0 / a)), dtype=np.float64)
    return np.asarray(np.expm1(y * np.log1p(a)) / a, dtype=np.float64)
