"""Pixels as bytes of a picture: limits of brightness, stretches, and stamps side by side."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import ShapeError, UsageError
from snapdb.types import FloatArray, PixelArray

Bytes: TypeAlias = NDArray[np.uint8]

_ASINH_SOFTENING = 0.1
_LOG_SCALE = 1000.0
_SINH_SOFTENING = 1.0 / 3.0


def _stretch_asinh(x: FloatArray) -> FloatArray:
    """Linear below the softening, logarithmic above (Lupton et al. 2004, PASP 116, 133)."""
    return np.asarray(np.arcsinh(x / _ASINH_SOFTENING) / np.arcsinh(1.0 / _ASINH_SOFTENING))


def _stretch_log(x: FloatArray) -> FloatArray:
    """Logarithmic, from 0 at 0 to 1 at 1."""
    return np.asarray(np.log1p(_LOG_SCALE * x) / np.log1p(_LOG_SCALE))


def _stretch_sinh(x: FloatArray) -> FloatArray:
    """Flat where it is dark, steep where it is bright."""
    return np.asarray(np.sinh(x / _SINH_SOFTENING) / np.sinh(1.0 / _SINH_SOFTENING))


Stretch: TypeAlias = Callable[[FloatArray], FloatArray]

STRETCHES: dict[str, Stretch] = {
    "asinh": _stretch_asinh,
    "linear": np.asarray,
    "log": _stretch_log,
    "sqrt": np.sqrt,
    "squared": np.square,
    "sinh": _stretch_sinh,
}
"""Name -> function of [0, 1] onto [0, 1], with the numbers of astropy.visualization's classes."""

INTERVALS = ("zscale", "minmax", "percentile", "manual")
"""How the values that become black and white are found."""


def find_stretch(stretch: "str | Stretch") -> Stretch:
    """Give the function that a name means.

    Parameters
    ----------
    stretch : str or callable
        One of :data:`STRETCHES`, ``power:2.5`` for that power, or a function of [0, 1]
        onto [0, 1] such as the stretches of astropy.visualization.

    Raises
    ------
    UsageError
        If it means none.
    """
    if callable(stretch):
        return stretch
    name, _, number = str(stretch).partition(":")
    if name in STRETCHES and not number:
        return STRETCHES[name]
    power = _read_number(number)
    if name == "power" and power is not None and power > 0.0:
        return lambda x: np.asarray(np.power(x, power))
    msg = f"stretch {stretch!r}: expected one of {', '.join(STRETCHES)}, or power:NUMBER above 0"
    raise UsageError(msg, stretch=stretch)


def find_limits(
    data: PixelArray, interval: Any = "percentile:99.5", limits: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Find which values are black and white in a picture.

    Parameters
    ----------
    data : array
        Pixels of any shape; what is not finite is left out.
    interval : str or object
        ``zscale``, ``minmax``, ``percentile:99.5`` (the central share), ``manual`` (the
        `limits`), or an interval of astropy.visualization.
    limits : tuple of float, optional
        Black and white, in the units of the data; they stand for ``manual``.

    Returns
    -------
    low, high : float
        In the units of the data, ``low < high`` always.

    Raises
    ------
    UsageError
        If the interval is unknown, or the limits are missing, not finite or not in order.
    """
    if limits is not None or interval == "manual":
        return _check_limits(limits)
    if hasattr(interval, "get_limits"):
        values = np.asarray(data, dtype=np.float64)
        low, high = interval.get_limits(values[np.isfinite(values)])
        return _check_limits((float(low), float(high)))
    name, _, number = str(interval).partition(":")
    if name == "percentile" and number:
        share = _read_number(number)
        if share is None:
            msg = f"interval {interval!r}: expected such as percentile:99.5"
            raise UsageError(msg, interval=interval)
        return compute_limits(data, share)
    if number or name not in INTERVALS:
        msg = f"interval {interval!r}: expected zscale, minmax, percentile:99.5, or manual with limits"
        raise UsageError(msg, interval=interval)
    if name == "zscale":
        return compute_limits(data, method="zscale")
    return compute_limits(data, 100.0 if name == "minmax" else 99.5)


def to_unit(data: PixelArray, *, low: float, high: float, stretch: "str | Stretch" = "asinh") -> FloatArray:
    """Turn pixels into brightness from 0 to 1.

    Parameters
    ----------
    data : array
        Pixels of any shape.
    low, high : float
        Values that become 0 and 1, in the units of the data; what lies beyond becomes
        the nearer of the two, NaN becomes 0.
    stretch : str or callable
        As :func:`find_stretch`.

    Raises
    ------
    UsageError
        If the limits are not finite with ``low < high``, or there is no such stretch.
    """
    apply = find_stretch(stretch)
    low, high = _check_limits((low, high))
    values = np.nan_to_num(np.asarray(data, dtype=np.float64), nan=low, posinf=high, neginf=low)
    return np.clip(apply((np.clip(values, low, high) - low) / (high - low)), 0.0, 1.0)


def _check_limits(limits: tuple[float, float] | None) -> tuple[float, float]:
    """Refuse limits that are none."""
    if limits is None:
        msg = "interval 'manual' needs limits=(low, high)"
        raise UsageError(msg, limits=None)
    low, high = (float(value) for value in limits)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        msg = f"limits low={low}, high={high}: expected two finite numbers, low below high"
        raise UsageError(msg, low=low, high=high)
    return low, high


def _read_number(text: str) -> float | None:
    """Read a number, None for what is none."""
    try:
        return float(text)
    except ValueError:
        return None


def compute_limits(
    data: PixelArray, percentile: float = 99.5, *, method: Literal["percentile", "zscale"] = "percentile"
) -> tuple[float, float]:
    """Choose which values are black and white in a picture.

    Parameters
    ----------
    data : array
        Pixels of any shape; what is not finite is left out.
    percentile : float
        Share of the pixels that lie between the limits, percent, with as many below as
        above; for method ``percentile``.
    method : {'percentile', 'zscale'}
        ``zscale`` is IRAF's, which shows the sky and what is just above it.

    Returns
    -------
    low, high : float
        In the units of the data, ``low < high`` always; (0, 1) where no pixel is finite.

    Raises
    ------
    UsageError
        If the percentile is not above 0 and at most 100, or the method is neither.
    """
    if not 0.0 < percentile <= 100.0:
        msg = f"percentile = {percentile}: expected a number above 0 and at most 100"
        raise UsageError(msg, percentile=percentile)
    if method not in ("percentile", "zscale"):
        msg = f"method {method!r}: expected 'percentile' or 'zscale'"
        raise UsageError(msg, method=method)
    values = np.asarray(data, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = _zscale(values) if method == "zscale" else _between(values, percentile)
    if not low < high:
        high = low + max(1.0, abs(low) * 1e-6)
    return low, high


def to_bytes(data: PixelArray, *, low: float, high: float, stretch: "str | Stretch" = "asinh") -> Bytes:
    """Turn pixels into grey levels.

    Parameters
    ----------
    data : array
        Pixels of any shape.
    low, high : float
        Values that become 0 and 255, in the units of the data; what lies beyond becomes
        the nearer of the two, NaN becomes 0.
    stretch : str or callable
        How grey grows with brightness between the limits; as :func:`find_stretch`.

    Returns
    -------
    array of uint8
        As the data's shape.

    Raises
    ------
    UsageError
        If the limits are not finite with ``low < high``, or there is no such stretch.
    """
    values = to_unit(data, low=low, high=high, stretch=stretch)
    return np.asarray(np.floor(values * 255.0 + 0.5), dtype=np.uint8)


def tile_stamps(stamps: Sequence[Bytes], columns: int, gap: int = 2) -> Bytes:
    """Lay stamps side by side as one picture, in reading order from its upper left.

    Parameters
    ----------
    stamps : sequence of arrays of uint8
        Grey levels ``[y, x]`` with y up; sizes may differ.
    columns : int
        Stamps a row.
    gap : int
        White pixels between neighbours and at the border.

    Returns
    -------
    array of uint8
        The picture with its *upper* row first, as picture files have it: each stamp is
        flipped, so that y points up in what is seen. A stamp smaller than the greatest
        sits at the upper left of its cell, white about it.

    Raises
    ------
    ShapeError
        If there is no stamp, one is not two-dimensional, or `columns` or `gap` is too small.
    """
    if not stamps or columns < 1 or gap < 0 or any(np.ndim(stamp) != 2 for stamp in stamps):
        msg = (
            f"{len(stamps)} stamps in {columns} columns, gap {gap}: expected at least one 2-D stamp "
            "in at least one column, and a gap that is not negative"
        )
        raise ShapeError(msg, columns=columns, gap=gap)
    height = max(stamp.shape[0] for stamp in stamps) + gap
    width = max(stamp.shape[1] for stamp in stamps) + gap
    rows = -(-len(stamps) // columns)
    sheet = np.full((gap + rows * height, gap + columns * width), 255, dtype=np.uint8)
    for index, stamp in enumerate(stamps):
        y, x = gap + index // columns * height, gap + index % columns * width
        sheet[y : y + stamp.shape[0], x : x + stamp.shape[1]] = stamp[::-1]
    return sheet


def _between(values: FloatArray, percentile: float) -> tuple[float, float]:
    """Give the limits of the central share of the values."""
    margin = (100.0 - percentile) / 2.0
    low, high = np.percentile(values, [margin, 100.0 - margin])
    return float(low), float(high)


def _zscale(values: FloatArray) -> tuple[float, float]:
    """Give IRAF's limits."""
    from astropy.visualization import ZScaleInterval

    limits: Any = ZScaleInterval().get_limits(values)
    return float(limits[0]), float(limits[1])
