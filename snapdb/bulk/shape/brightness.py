"""Pixels between black and white, as brightness from 0 to 1 or as grey levels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from snapdb.bulk.shape.greys import make_greys
from snapdb.bulk.shape.weights import Floats

try:
    from snapdb.bulk.shape import _brightness
except ImportError:  # installed where there was no C compiler
    _brightness = None  # type: ignore[assignment]

SOFTENING = {"asinh": 0.7, "log": 1000.0}
"""Stretch -> the number `a` that it has when none is given."""

_TINY = np.finfo(np.float32).tiny
_LEAST_BUFFER = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Black and white of images, or of their channels."""

    low: Floats
    high: Floats
    outer: bool = False
    """Whether these are the least and the greatest pixels, so that none lies outside."""


def write_greys(rows: Floats, limits: Limits, method: str, softening: float) -> None:
    """Turn pixels into grey levels, in place.

    Parameters
    ----------
    rows : array of float32, shape (N, P)
        Pixels of images or of their channels; become levels from 0 to 255, whose whole part counts.
    limits : Limits
        Of each row.
    method : str
        Name of a stretch.
    softening : float
        Its number `a`.
    """
    greys = make_greys(method, softening) if method in SOFTENING else None
    if greys is None:
        write_brightness(rows, limits, method, softening)
        np.multiply(rows, np.float32(255.0), out=rows)
        np.rint(rows, out=rows)
        return
    _write_share(rows, limits, 1.0 / greys.bins)
    greys.write_levels(rows)


def write_brightness(rows: Floats, limits: Limits, method: str, softening: float) -> None:
    """Turn pixels into brightness from 0 to 1, in place.

    Parameters
    ----------
    rows, limits, method, softening
        As :func:`write_greys`.
    """
    if method == "asinh":
        _write_share(rows, limits, softening)
        _apply_asinh(rows, softening)
    elif method == "log":
        _write_share(rows, limits, 1.0 / softening)
        _apply_log(rows, softening)
    else:
        _write_share(rows, limits, 1.0)


def _write_share(rows: Floats, limits: Limits, unit: float) -> None:
    """Turn pixels into their place between the limits, from 0 to ``1 / unit``, in place."""
    low, high = limits.low.reshape(-1, 1), limits.high.reshape(-1, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        span = np.maximum((high - low) * np.float32(unit), _TINY)
        greatest = -1.0 if limits.outer else 1.0 / unit
        if _brightness is not None and rows.flags.c_contiguous:
            _brightness.write_share(rows, np.concatenate((low, span), axis=1), greatest)
            return
        with _row_by_row():
            np.subtract(rows, low, out=rows)
            np.divide(rows, span, out=rows)
    if not limits.outer:
        np.clip(rows, np.float32(0.0), np.float32(greatest), out=rows)


@contextmanager
def _row_by_row() -> Iterator[None]:
    """Keep numpy from filling a buffer with the value that stands for a row: longer work than the rest."""
    before = np.setbufsize(_LEAST_BUFFER)
    try:
        yield
    finally:
        np.setbufsize(before)


def _apply_asinh(rows: Floats, a: float) -> None:
    """Apply asinh to ``x / a``, in place."""
    if a > 1.0:  # the logarithm of nearly 1 would lose digits
        np.arcsinh(rows, out=rows)
    else:  # log(z + sqrt(z^2 + 1)), whose steps are vector instructions: a fifth of arcsinh's time
        root = np.square(rows)
        root += 1.0
        np.sqrt(root, out=root)
        rows += root
        np.log(rows, out=rows)
    np.multiply(rows, np.float32(1.0 / np.arcsinh(1.0 / a)), out=rows)
    np.clip(rows, np.float32(0.0), np.float32(1.0), out=rows)


def _apply_log(rows: Floats, a: float) -> None:
    """Apply the logarithm to ``a x``, in place."""
    if a < 1.0:  # as above
        np.log1p(rows, out=rows)
    else:
        rows += 1.0
        np.log(rows, out=rows)
    np.multiply(rows, np.float32(1.0 / np.log1p(a)), out=rows)
    np.clip(rows, np.float32(0.0), np.float32(1.0), out=rows)
