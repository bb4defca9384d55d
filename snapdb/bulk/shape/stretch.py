"""Stretches of many stamps at once: brightness from 0 to 1, or grey levels.

What is not finite takes no part in the limits, and comes out as 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from snapdb.bulk.shape.brightness import SOFTENING, Limits, write_brightness, write_greys
from snapdb.bulk.shape.limits import (
    LARGE_ROW,
    Extremes,
    find_crop_maximum,
    find_extremes,
    find_order_statistics,
    find_ranks,
    find_zscale,
    thin_rows,
)
from snapdb.bulk.shape.weights import Floats
from snapdb.errors import ShapeError, UsageError
from snapdb.types import PixelArray

STRETCHES = ("linear", "log", "asinh", "zscale", "none")
"""Names of the stretches."""

CHUNK_PIXELS = 1 << 17
"""Pixels in work at once: a stretch goes over them ten times, in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """How pixels become brightness.

    Raises
    ------
    UsageError
        If a value is outside its range, or there is no such method.
    """

    method: str = "linear"
    """One of :data:`STRETCHES`; ``none`` leaves float32 as it is, and makes grey levels from
    the least to the greatest pixel."""
    percentile: float = 99.8
    """Central share of the pixels between black and white, percent, 0 to 100."""
    a: float | None = None
    """Where asinh turns from linear to logarithmic, as a share of white; scale of log.
    0.001 to 10,000; None is the method's own (:data:`SOFTENING`)."""
    n_samples: int = 1000
    """Pixels that zscale looks at."""
    contrast: float = 0.25
    """The contrast of zscale, 0.01 to 1."""
    crop: tuple[int, int] | None = None
    """Height and width of the central part that says how bright white may be; None is all."""
    asinh_n_samples: int | None = None
    """Pixels that the percentile of asinh looks at; None is all."""

    def __post_init__(self) -> None:
        if self.method not in STRETCHES:
            msg = f"normalisation {self.method!r}: expected one of {', '.join(STRETCHES)}"
            raise UsageError(msg, method=self.method)
        if not 0.0 <= self.percentile <= 100.0:
            self._refuse("percentile", "0 to 100")
        if self.a is not None and not 0.001 <= self.a <= 10_000.0:
            self._refuse("a", "0.001 to 10000")
        if not self.n_samples >= 1 or not 0.0 <= self.contrast <= 1.0:
            self._refuse("n_samples, contrast", "at least 1, and 0 to 1")
        if self.crop is not None and (len(self.crop) != 2 or min(self.crop) < 1):
            self._refuse("crop", "height and width of at least 1 pixel, or None")
        if self.asinh_n_samples is not None and self.asinh_n_samples < 1:
            self._refuse("asinh_n_samples", "at least 1, or None")

    @property
    def softening(self) -> float:
        """The number `a` in use."""
        return SOFTENING.get(self.method, 1.0) if self.a is None else float(self.a)

    @property
    def pixels_at_once(self) -> int:
        """How many pixels are best in work together."""
        # zscale looks at few of them, many times.
        return CHUNK_PIXELS * (16 if self.method == "zscale" else 1)

    def _refuse(self, names: str, expected: str) -> None:
        """Say which value is out of range."""
        found = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name in names.split(", ")
        }
        msg = f"normalisation: {found}, expected {expected}"
        raise UsageError(msg, **found)


def stretch(
    batch: PixelArray,
    method: "str | Stretch" = "linear",
    *,
    dtype: DTypeLike = np.float32,
    out: PixelArray | None = None,
    **settings: Any,
) -> PixelArray:
    """Turn stamps into brightness from 0 to 1, or grey levels from 0 to 255.

    Black and white are found for each stamp by itself: the values between which the central
    `percentile` of its pixels lie, white no brighter than the brightest pixel of the central
    `crop`. The channels of a stamp have them in common, save with asinh, where each has its
    own. With log, black is 0 where white is above it. With zscale, IRAF's limits are narrowed
    to these. A stamp that leaves nothing between the two is stretched from its least to its
    greatest pixel; one of a single value comes out as 0 (with log as 1, if it is above 0).

    With ``x`` from 0 to 1 between the limits, linear and zscale give ``x``, log gives
    ``log(a x + 1) / log(a + 1)``, asinh gives ``asinh(x / a) / asinh(1 / a)`` (Lupton et al.
    1999, AJ 118, 1406, in the form of astropy.visualization).

    Parameters
    ----------
    batch : array, shape (N, H, W) or (N, H, W, C)
        Stamps.
    method : str or Stretch
        One of :data:`STRETCHES`, or all settings as one value.
    dtype : {float32, uint8}
        Of what is made.
    out : array, optional
        Where to write, of the batch's shape and this type.
    **settings : object
        The fields of :class:`Stretch`, unless `method` is one.

    Returns
    -------
    array, of the batch's shape
        Brightness from 0 to 1, or grey levels; with ``none`` and float32, the pixels as they are.

    Raises
    ------
    UsageError
        If a setting is out of its range, or the type neither of the two.
    ShapeError
        If the batch has not three or four axes, or `out` another shape or type.
    """
    how = method if isinstance(method, Stretch) else Stretch(method=method, **settings)
    kind = check_dtype(dtype)
    if batch.ndim not in (3, 4):
        msg = f"stamps of shape {batch.shape}: expected (N, H, W) or (N, H, W, C)"
        raise ShapeError(msg, shape=batch.shape)
    result = np.empty(batch.shape, dtype=kind) if out is None else out
    if result.shape != batch.shape or result.dtype != kind:
        msg = (
            f"a place of {result.dtype} {result.shape} for stamps of {kind} {batch.shape}: expected the same"
        )
        raise ShapeError(msg, shape=result.shape, expected=batch.shape)
    if batch.size == 0:
        return result
    source, target = (part[..., None] if batch.ndim == 3 else part for part in (batch, result))
    for part in chunks(len(source), source[0].size, how.pixels_at_once):
        planes = np.array(np.moveaxis(source[part], 3, 1), dtype=np.float32, order="C")
        write_stretched(planes, how, target[part])
    return result


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Take the type of what is made.

    Parameters
    ----------
    dtype : {float32, uint8}
        The type or its name.

    Raises
    ------
    UsageError
        If it is neither.
    """
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.uint8)):
        msg = f"stamps of type {kind}: expected float32 or uint8"
        raise UsageError(msg, dtype=str(kind))
    return kind


def chunks(number: int, pixels: int, limit: int) -> Iterator[slice]:
    """Give slices of stamps that fit the cache together.

    Parameters
    ----------
    number : int
        Of stamps.
    pixels : int
        Of one stamp, all channels.
    limit : int
        Pixels at once.
    """
    step = max(1, limit // pixels)
    for start in range(0, number, step):
        yield slice(start, min(start + step, number))


def write_stretched(planes: Floats, how: Stretch, out: PixelArray, extremes: Extremes | None = None) -> None:
    """Stretch planes, and write them as stamps.

    Parameters
    ----------
    planes : array of float32, shape (N, C, H, W)
        Contiguous; used as working space.
    how : Stretch
        The settings.
    out : array of float32 or uint8, shape (N, H, W, C)
        Where to write.
    extremes : Extremes, optional
        As :func:`stretch_planes` takes them.
    """
    stretch_planes(planes, how, grey=out.dtype == np.uint8, extremes=extremes)
    for channel in range(planes.shape[1]):
        np.copyto(out[..., channel], planes[:, channel], casting="unsafe")


def stretch_planes(planes: Floats, how: Stretch, *, grey: bool, extremes: Extremes | None = None) -> None:
    """Stretch planes, in place.

    Parameters
    ----------
    planes : array of float32, shape (N, C, H, W)
        Contiguous.
    how : Stretch
        The settings.
    grey : bool
        Whether grey levels are made, whose fractions are to be cut off.
    extremes : Extremes, optional
        Of all pixels of each stamp, where they are known already.
    """
    if how.method != "none" or grey:
        groups = planes.shape[1] if how.method == "asinh" else 1
        limits = _find_limits(planes, how, groups, extremes)
        rows = planes.reshape(len(planes) * groups, -1)
        write = write_greys if grey else write_brightness
        write(rows, limits, how.method, how.softening)


def to_uint8(values: PixelArray) -> PixelArray:
    """Turn brightness into grey levels: the nearest of ``255 y``, the even one of two.

    Parameters
    ----------
    values : array
        Any shape; what lies outside 0 to 1 becomes the nearer of the two, NaN becomes 0.
    """
    levels = np.rint(
        np.clip(np.nan_to_num(np.asarray(values, dtype=np.float32), nan=0.0), 0.0, 1.0) * np.float32(255.0)
    )
    return np.asarray(levels.astype(np.uint8))


def _find_limits(planes: Floats, how: Stretch, groups: int, known: Extremes | None) -> Limits:
    """Find black and white of each image, or of each of its channels, shape (N, groups).

    Missing pixels become black on the way.
    """
    rows = planes.reshape(len(planes) * groups, -1)
    # Of long rows, those of groups of pixels are wanted too.
    extremes = find_extremes(rows) if known is None or rows.shape[1] >= LARGE_ROW else known
    sound = np.isfinite(extremes.least) & np.isfinite(extremes.most)
    if sound.all():
        return _find_whole(planes, how, groups, extremes)
    holed = ~sound.reshape(len(planes), groups).all(axis=1)
    low = np.zeros((len(planes), groups), dtype=np.float32)
    high = np.zeros_like(low)
    if not holed.all():
        found = _find_whole(planes[~holed], how, groups)
        low[~holed], high[~holed] = found.low, found.high
    for number in np.flatnonzero(holed):
        crop = None if how.crop is None else _crop_maximum_of_good(planes[number], how.crop)
        for group, channels in enumerate(np.split(planes[number], groups)):
            part = np.moveaxis(channels, 0, 2)
            good = np.isfinite(part)
            if good.any():
                black, white = _settle(part[good][None], how, part.shape[1], crop)
                low[number, group], high[number, group] = black[0], white[0]
            part[~good] = low[number, group]
    return Limits(low, high)


def _crop_maximum_of_good(image: Floats, crop: tuple[int, int]) -> Floats | None:
    """Give the greatest finite value of the central part, None where there is none."""
    filled = np.where(np.isfinite(image), image, np.float32(-np.inf))
    found = find_crop_maximum(np.moveaxis(filled, 0, 2)[None], crop)
    return found if np.isfinite(found).all() else None


def _find_whole(planes: Floats, how: Stretch, groups: int, extremes: Extremes | None = None) -> Limits:
    """Find black and white of images without missing pixels."""
    number, channels, _, width = planes.shape
    crop = None
    if how.crop is not None:
        crop = np.repeat(find_crop_maximum(np.moveaxis(planes, 1, 3), how.crop), groups)
    rows = planes.reshape(number * groups, -1)
    if how.method == "zscale" and channels > 1:  # which samples them pixel by pixel
        rows, extremes = np.ascontiguousarray(np.moveaxis(planes, 1, 3)).reshape(number, -1), None
    known = extremes or find_extremes(rows)
    low, high = _settle(rows, how, width, crop, known)
    outer = low is known.least and high is known.most
    return Limits(low.reshape(number, groups), high.reshape(number, groups), outer)


def _settle(
    rows: Floats, how: Stretch, width: int, crop: Floats | None, extremes: Extremes | None = None
) -> tuple[Floats, Floats]:
    """Find black and white of rows of finite pixels; `crop` is the most that white may be."""
    percentile = 100.0 if how.method == "none" else how.percentile
    sample = thin_rows(rows, how.asinh_n_samples, width) if how.method == "asinh" else rows
    ranks = find_ranks(sample.shape[1], percentile)
    below, above = find_order_statistics(sample, *ranks, extremes if sample is rows else None)
    low, high = below, above
    if how.method == "zscale":
        zscale = find_zscale(rows, how.n_samples, how.contrast)
        low = np.maximum(low, zscale[0].astype(np.float32))
        high = np.minimum(high, zscale[1].astype(np.float32))
    if crop is not None:
        low, high = np.minimum(low, crop), np.minimum(high, crop)
    if how.method == "log":
        dark = ~(high > 0.0)
        low, high = np.where(dark, below, np.float32(0.0)), np.where(dark, above, high)
    flat = ~(low < high)
    if flat.any():
        low, high = low.copy(), high.copy()
        low[flat], high[flat] = rows[flat].min(axis=1), rows[flat].max(axis=1)
    return low, high
