"""Values that become black and white in each stamp of a batch.

All limits are found in rows: one row of pixels an image, or one an image and channel.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.shape.weights import Floats
from snapdb.types import BoolArray, FloatArray

LARGE_ROW = 16_384
"""From this many pixels on, the few extreme ones are sifted out before they are put in order."""
_GROUP = 16
"""Pixels of a group of a long row, whose extremes tell where the row's are."""

# IRAF's zscale with the numbers of astropy.visualization.ZScaleInterval.
ZSCALE_REJECT = 2.5
ZSCALE_ROUNDS = 5
ZSCALE_LEAST_SHARE, ZSCALE_LEAST = 0.5, 5
ZSCALE_GROW = 0.01


@dataclass(frozen=True, slots=True)
class Extremes:
    """The least and the greatest pixels of rows, not both finite where a pixel is missing."""

    least: Floats
    """Shape (N,)."""
    most: Floats
    """Shape (N,)."""
    groups: tuple[Floats, Floats] | None = None
    """The same of groups of pixels, shape (N, P // 16): group g holds every (P // 16)-th pixel from g on;
    only of long rows."""

    def take(self, some: slice) -> "Extremes":
        """Give those of some rows."""
        groups = None if self.groups is None else (self.groups[0][some], self.groups[1][some])
        return Extremes(self.least[some], self.most[some], groups)


def find_extremes(rows: Floats) -> Extremes:
    """Give the least and the greatest pixels of rows.

    Parameters
    ----------
    rows : array of float32, shape (N, P)
        Pixels.
    """
    number, size = rows.shape
    if size < LARGE_ROW:
        return Extremes(rows.min(axis=1), rows.max(axis=1))
    held = size - size % _GROUP
    grouped = rows[:, :held].reshape(number, _GROUP, -1)
    low, high = grouped.min(axis=1), grouped.max(axis=1)
    least, most = low.min(axis=1), high.max(axis=1)
    if held < size:
        least = np.minimum(least, rows[:, held:].min(axis=1))
        most = np.maximum(most, rows[:, held:].max(axis=1))
    return Extremes(least, most, (low, high))


@lru_cache(maxsize=64)
def find_ranks(size: int, percentile: float) -> tuple[int, int]:
    """Give the places, in order of value, of the limits of the central share of pixels.

    Parameters
    ----------
    size : int
        Number of pixels.
    percentile : float
        The central share, percent.

    Returns
    -------
    low, high : int
        From 0; truncated, in single precision, as fitsbolt does it.
    """
    tail = (np.float32(100.0) - np.float32(percentile)) / np.float32(2.0)
    last = np.float32(size - 1)
    ranks = (int(share / np.float32(100.0) * last) for share in (tail, np.float32(100.0) - tail))
    low, high = (min(max(rank, 0), size - 1) for rank in ranks)
    return low, high


def find_order_statistics(
    rows: Floats, low: int, high: int, extremes: Extremes | None = None
) -> tuple[Floats, Floats]:
    """Give two values of each row by their place in order of value.

    Parameters
    ----------
    rows : array of float32, shape (N, P)
        Finite pixels.
    low, high : int
        Places from 0.
    extremes : Extremes, optional
        Of the rows, where they are known.

    Returns
    -------
    low, high : array of float32, shape (N,)
        Exact: each is one of the row's pixels. Those of the extremes themselves where these are asked for.
    """
    size = rows.shape[1]
    known = extremes or find_extremes(rows)
    last = size - 1
    if known.groups is not None and max(low, last - high) < size // 256:
        lows, highs = known.groups
        below = known.least if low == 0 else _sift(rows, lows, low, _find_low)
        return below, known.most if high == last else _sift(rows, highs, last - high, _find_high)
    at_low, at_high, ordered = known.least, known.most, rows
    # One place at a time is several times faster than two together.
    if high < last:
        ordered = np.partition(rows, high, axis=1)
        at_high = ordered[:, high].copy()
    if low > 0:
        ordered = np.partition(rows, low, axis=1) if ordered is rows else ordered
        ordered.partition(low, axis=1)
        at_low = ordered[:, low].copy()
    return at_low, at_high


def find_crop_maximum(images: Floats, crop: tuple[int, int]) -> Floats:
    """Give the greatest value of the central part of each image.

    Parameters
    ----------
    images : array of float32, shape (N, H, W, ...)
        Finite pixels.
    crop : tuple of int
        Height and width of the part; the whole image along an axis that has fewer pixels.
    """
    height, width = images.shape[1:3]
    used_height, used_width = min(crop[0], height), min(crop[1], width)
    top, left = (height - used_height) // 2, (width - used_width) // 2
    part = images[:, top : top + used_height, left : left + used_width]
    return np.asarray(part.reshape(len(images), -1).max(axis=1))


def thin_rows(rows: Floats, samples: int | None, width: int) -> Floats:
    """Take about so many pixels of each row, spread over all columns of the image.

    Parameters
    ----------
    rows : array of float32, shape (N, P)
        Pixels of images, row after row.
    samples : int, optional
        How many are wanted; all when not given or when there are no more.
    width : int
        Pixels of an image's row. The step has no divisor in common with it: else only a few
        columns would be seen.
    """
    size = rows.shape[1]
    if samples is None or size <= samples:
        return rows
    step = max(1, size // samples)
    while width > 1 and math.gcd(step, width) != 1:
        step += 1
    return np.ascontiguousarray(rows[:, ::step])


def find_zscale(rows: Floats, samples: int = 1000, contrast: float = 0.25) -> tuple[FloatArray, FloatArray]:
    """Give IRAF's zscale limits of each row, all rows at once.

    Parameters
    ----------
    rows : array of float32, shape (N, P)
        Finite pixels.
    samples : int
        Pixels of a row that are looked at.
    contrast : float
        The smaller, the wider the limits.

    Returns
    -------
    low, high : array of float64, shape (N,)
        As :class:`astropy.visualization.ZScaleInterval` gives them.
    """
    step = int(max(1.0, rows.shape[1] / samples))
    values = np.sort(rows[:, ::step][:, :samples], axis=1).astype(np.float64)
    size = values.shape[1]
    slope, kept = _fit_line(values)
    enough = kept >= max(ZSCALE_LEAST, int(size * ZSCALE_LEAST_SHARE))
    if contrast > 0:
        slope = slope / contrast
    middle, median = (size - 1) // 2, np.median(values, axis=1)
    low = np.maximum(values[:, 0], median - (middle - 1) * slope)
    high = np.minimum(values[:, -1], median + (size - middle) * slope)
    return np.where(enough, low, values[:, 0]), np.where(enough, high, values[:, -1])


def _fit_line(values: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Fit a line to ordered values, again and again without what lies far from it.

    Gives the last slope, and how many values were kept.
    """
    number, size = values.shape
    least = max(ZSCALE_LEAST, int(size * ZSCALE_LEAST_SHARE))
    grow = max(1, int(size * ZSCALE_GROW))
    x = np.arange(size, dtype=np.float64) - (size - 1) / 2.0
    centred = values - values[:, size // 2, None]  # sums of large skies would lose digits
    slope, kept = np.zeros(number), np.full(number, size)
    good = np.ones(values.shape)
    active = np.full(number, size >= least)
    for _ in range(ZSCALE_ROUNDS):
        if not active.any():
            break
        y, weight = centred[active], good[active]
        count, sum_x, sum_y = weight.sum(axis=1), weight @ x, np.einsum("ij,ij->i", weight, y)
        spread = weight @ np.square(x) - np.square(sum_x) / count
        slope[active] = (np.einsum("ij,ij,j->i", weight, y, x) - sum_x * sum_y / count) / spread
        y -= slope[active][:, None] * x
        y -= ((sum_y - slope[active] * sum_x) / count)[:, None]
        np.square(y, out=y)
        limit = ZSCALE_REJECT**2 * np.einsum("ij,ij->i", weight, y) / count
        bad = _grow((weight == 0.0) | (y > limit[:, None]), grow)
        good[active] = ~bad
        before, kept[active] = kept[active], size - bad.sum(axis=1)
        active[active] = (kept[active] < before) & (kept[active] >= least)
    return slope, kept


def _grow(bad: BoolArray, width: int) -> BoolArray:
    """Widen runs as ``numpy.convolve(row, ones(width), mode="same")`` does."""
    size = bad.shape[1]
    total = np.zeros((len(bad), size + 1), dtype=np.intp)
    np.cumsum(bad, axis=1, out=total[:, 1:])
    last = np.arange(size) + (width - 1) // 2 + 1
    return np.asarray(total[:, np.minimum(last, size)] > total[:, np.maximum(last - width, 0)])


def _sift(
    rows: Floats, groups: Floats, rank: int, find: Callable[[Floats, Floats, int], np.float32]
) -> Floats:
    """Give the value at a place near one end of each long row."""
    found = [find(row, extremes, rank) for row, extremes in zip(rows, groups, strict=True)]
    return np.array(found, dtype=np.float32)


def _find_low(row: Floats, groups: Floats, rank: int) -> np.float32:
    """Give the value at a place from the lower end; as :func:`_find_high`."""
    ceiling = np.partition(groups, rank)[rank]
    few = _gather(row, np.flatnonzero(groups <= ceiling))
    few = few[few <= ceiling]
    few.partition(rank)
    return np.float32(few[rank])


def _find_high(row: Floats, groups: Floats, above: int) -> np.float32:
    """Give the value with so many places above it.

    The greatest values of groups of pixels: as many of them as there are places above are
    values of the row, so what is sought is not below the least of these. Few pixels are, and
    these are in the few groups whose greatest value is not.
    """
    floor = np.partition(groups, groups.size - 1 - above)[groups.size - 1 - above]
    few = _gather(row, np.flatnonzero(groups >= floor))
    few = few[few >= floor]
    few.partition(few.size - 1 - above)
    return np.float32(few[few.size - 1 - above])


def _gather(row: Floats, groups: NDArray[np.intp]) -> Floats:
    """Give the pixels of some groups, and those that are in no group."""
    held = row.size - row.size % _GROUP
    few = row[:held].reshape(_GROUP, -1).take(groups, axis=1).ravel()
    return few if held == row.size else np.concatenate((few, row[held:]))
