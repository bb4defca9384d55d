"""The smooth sky of a whole image, with its sources masked.

The image is averaged over cells of 4 x 4 pixels, in which faint sources and wings stand out of
the noise; cells that differ from the sky are masked on both sides, so that cutting the noise's
tails leaves no bias. A polynomial takes gradients, whatever the size of the boxes; what is left
is averaged in boxes and joined by cubic splines. The mean, not the mode: of Poisson noise the
mode is a sixth to a half of a count too low, which within an aperture is half an error bar.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.types import BoolArray, FloatArray

CELL = 4
"""Pixels a side that are averaged before sources are looked for."""
_DETECT_BOX = 16
_THRESHOLD = 3.0
_GROW = 2
_WIDTHS = (1, 2, 3)  # cells a side over which sources are looked for; 2 finds those that cells cut in four
_ROUNDS = 3
_STRIP = 512
# A normal distribution cut at 3 standard deviations, again and again, has this part of its width.
_WIDENING = 1.0 / 0.9852
_LEAST_CELLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothSky:
    """The sky of an image as a sum of products ``rows @ core @ columns.T``, and the noise around it."""

    rows: FloatArray
    """Functions of y at each row, shape ``(height, n)``."""
    core: FloatArray
    """Shape ``(n, m)``."""
    columns: FloatArray
    """Functions of x at each column, shape ``(width, m)``."""
    scatter: float
    """Standard deviation of a pixel about the sky; NaN where no cell tells it."""
    level_err: float
    """One standard deviation of the level in a box."""
    masked: float
    """Fraction of the image that sources or bad pixels cover."""

    def at(self, y: Any, x: Any) -> FloatArray:
        """Give the sky of stamps.

        Parameters
        ----------
        y, x : array of int, shape (N, S)
            Rows and columns of each stamp; clamped to the image.

        Returns
        -------
        array, shape (N, S, S)
            Sky of each pixel.
        """
        rows = self.rows[np.clip(y, 0, len(self.rows) - 1)]
        columns = self.columns[np.clip(x, 0, len(self.columns) - 1)]
        return np.asarray((rows @ self.core) @ columns.swapaxes(1, 2))

    def image(self) -> FloatArray:
        """Give the sky of every pixel, shape ``(height, width)``."""
        return np.asarray((self.rows @ self.core) @ self.columns.T)


def fit_smooth_sky(data: Any, good: BoolArray | None = None, box: int = 511) -> SmoothSky:
    """Fit the sky of an image.

    Parameters
    ----------
    data : array, shape (H, W)
        Pixels; those that are not finite do not count.
    good : array of bool, shape (H, W), optional
        Pixels to use.
    box : int
        Side of the boxes, pixels: structure smaller than that stays in the image.

    Returns
    -------
    SmoothSky
        Its level and scatter are NaN where no pixel is good.

    Raises
    ------
    ShapeError
        If it is no image.
    UsageError
        If `box` is no whole number above 0.
    """
    if isinstance(box, bool) or not isinstance(box, int | np.integer) or box < 1:
        msg = f"bgsize={box!r}: expected a whole number of pixels, or 0 for no background"
        raise UsageError(msg, bgsize=box)
    pixels = np.asarray(data)
    if pixels.ndim != 2 or pixels.size == 0:
        msg = f"data of shape {pixels.shape}: expected an image of two axes"
        raise ShapeError(msg, shape=pixels.shape)
    cells = _average_cells(pixels, good)
    use = _find_sky(cells, pixels.shape)
    grid = (max(1, round(pixels.shape[0] / box)), max(1, round(pixels.shape[1] / box)))
    number = int(np.count_nonzero(use))
    degree = 0 if number < _LEAST_CELLS * 6 else 1 if min(grid) == 1 else 2
    parts = _fit(cells, use, pixels.shape, grid, degree)
    rest = (cells - _evaluate(parts, *_centres(cells.shape)))[use]
    spread = float(np.std(rest)) if number > 1 else math.nan
    free = max(grid[0] * grid[1], (degree + 1) * (degree + 2) // 2)
    height, width = (np.arange(length, dtype=np.float64) for length in pixels.shape)
    return SmoothSky(
        rows=parts.basis(0, height),
        core=parts.core(),
        columns=parts.basis(1, width),
        scatter=spread * CELL * _WIDENING,
        level_err=spread * math.sqrt(free / number) if number else math.nan,
        masked=1.0 - number / use.size,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A polynomial and boxes of what it leaves, over an image."""

    shape: tuple[int, int]
    polynomial: FloatArray
    boxes: FloatArray

    def basis(self, axis: int, positions: FloatArray) -> FloatArray:
        """Give powers and splines along an axis at pixels, one a column."""
        length = self.shape[axis]
        powers = _powers(positions, length, len(self.polynomial))
        return np.hstack((powers, _splines(positions, length, self.boxes.shape[axis])))

    def core(self) -> FloatArray:
        """Give what the functions along both axes are multiplied with."""
        (n, m), k = self.boxes.shape, len(self.polynomial)
        core = np.zeros((k + n, k + m))
        core[:k, :k], core[k:, k:] = self.polynomial, self.boxes
        return core


def _evaluate(parts: _Parts, y: FloatArray, x: FloatArray) -> FloatArray:
    """Give the sky on a grid of rows and columns."""
    return np.asarray(parts.basis(0, y) @ parts.core() @ parts.basis(1, x).T)


def _centres(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Give the pixels at which the cells' centres lie."""
    y, x = ((np.arange(length, dtype=np.float64) + 0.5) * CELL - 0.5 for length in shape)
    return y, x


def _powers(positions: FloatArray, length: int, number: int) -> FloatArray:
    """Give powers of a coordinate that runs from -1 to 1 along an axis, one a column."""
    return np.vander((positions - (length - 1) / 2) / (length / 2), number, increasing=True)


def _splines(positions: FloatArray, length: int, number: int) -> FloatArray:
    """Give cubic splines that are 1 at the middle of one box and 0 at the others'; flat beyond the last."""
    if number == 1:
        return np.ones((len(positions), 1))
    from scipy.interpolate import make_interp_spline

    middles = (np.arange(number) + 0.5) * length / number - 0.5
    spline = make_interp_spline(middles, np.eye(number), k=min(3, number - 1))
    return np.asarray(spline(np.clip(positions, middles[0], middles[-1])))


def _average_cells(pixels: Any, good: BoolArray | None) -> FloatArray:
    """Average the good pixels of each cell; NaN where fewer than half are good. In strips, for memory."""
    height, width = pixels.shape
    wide = -(-width // CELL) * CELL
    rows = []
    for start in range(0, height, _STRIP):
        part = np.full((-(-min(_STRIP, height - start) // CELL) * CELL, wide), np.nan)
        strip = pixels[start : start + _STRIP]
        part[: len(strip), :width] = strip
        if good is not None:
            part[: len(strip), :width][~good[start : start + _STRIP]] = np.nan
        blocks = part.reshape(len(part) // CELL, CELL, wide // CELL, CELL)
        there = np.isfinite(blocks)
        count = there.sum(axis=(1, 3))
        total = np.where(there, blocks, 0.0).sum(axis=(1, 3))
        rows.append(np.where(2 * count >= CELL * CELL, total / np.maximum(count, 1), np.nan))
    return np.concatenate(rows)


def _find_sky(cells: FloatArray, shape: tuple[int, int]) -> BoolArray:
    """Say which cells show the sky: neither they nor their surroundings stand out on either side."""
    from scipy.ndimage import binary_dilation, uniform_filter

    there = np.isfinite(cells)
    use = there.copy()
    side = int(np.clip(min(cells.shape) // 4, 2, _DETECT_BOX))
    grid = (max(1, round(cells.shape[0] / side)), max(1, round(cells.shape[1] / side)))
    square = np.ones((2 * _GROW + 1, 2 * _GROW + 1), dtype=bool)
    for _ in range(_ROUNDS):
        if np.count_nonzero(use) < _LEAST_CELLS:
            return use
        medians = _box_medians(cells, use, grid)
        if not np.isfinite(medians).any():
            medians[:] = np.median(cells[use])
        rest = np.where(there, cells - _sky_of_medians(medians, shape, cells.shape), 0.0)
        out = np.zeros(cells.shape, dtype=bool)
        for width in _WIDTHS:
            wide = rest if width == 1 else uniform_filter(rest, width, mode="nearest")
            out |= _stands_out(wide, use)
        use = there & ~binary_dilation(out & there, square)
    return use


def _stands_out(values: FloatArray, use: BoolArray) -> BoolArray:
    """Say what differs by more than 3 standard deviations, these from the median deviation."""
    kept = values[use]
    middle = float(np.median(kept))
    spread = 1.4826 * float(np.median(np.abs(kept - middle)))
    return np.asarray(np.abs(values - middle) > _THRESHOLD * spread)


def _box_medians(cells: FloatArray, use: BoolArray, grid: tuple[int, int]) -> FloatArray:
    """Give the median of the cells of each box; NaN where there are too few."""
    edges = [np.linspace(0, length, n + 1).astype(int) for length, n in zip(cells.shape, grid, strict=True)]
    medians = np.full(grid, np.nan)
    for j, (y0, y1) in enumerate(itertools.pairwise(edges[0])):
        for i, (x0, x1) in enumerate(itertools.pairwise(edges[1])):
            kept = cells[y0:y1, x0:x1][use[y0:y1, x0:x1]]
            if len(kept) >= min(_LEAST_CELLS, (y1 - y0) * (x1 - x0)):
                # One of the two middle values will do, at half the cost of their mean.
                medians[j, i] = np.partition(kept, len(kept) // 2)[len(kept) // 2]
    return medians


def _sky_of_medians(medians: FloatArray, shape: tuple[int, int], at: tuple[int, ...]) -> FloatArray:
    """Join medians of boxes smoothly, at the cells."""
    y, x = ((np.arange(n) + 0.5) * length / n - 0.5 for n, length in zip(medians.shape, shape, strict=True))
    known = np.isfinite(medians)
    degree = max(0, min(2, min(medians.shape) - 1)) if np.count_nonzero(known) >= 12 else 0
    polynomial = _fit_polynomial(medians, known, (y, x), shape, degree)
    bare = _Parts(shape=shape, polynomial=polynomial, boxes=np.zeros((1, 1)))
    rest = np.where(known, medians - _evaluate(bare, y, x), 0.0)
    return _evaluate(_Parts(shape=shape, polynomial=polynomial, boxes=rest), *_centres(at))


def _fit(
    cells: FloatArray, use: BoolArray, shape: tuple[int, int], grid: tuple[int, int], degree: int
) -> _Parts:
    """Fit the sky to the cells that show it."""
    y, x = _centres(cells.shape)
    polynomial = _fit_polynomial(cells, use, (y, x), shape, degree)
    boxes = np.zeros(grid)
    line = np.minimum((y * grid[0] / shape[0]).astype(int), grid[0] - 1)
    column = np.minimum((x * grid[1] / shape[1]).astype(int), grid[1] - 1)
    index = (line[:, None] * grid[1] + column[None, :])[use]
    count = np.bincount(index, minlength=boxes.size).reshape(grid)
    for _ in range(2):  # the second takes out what the spline through averages misses
        parts = _Parts(shape=shape, polynomial=polynomial, boxes=boxes)
        rest = (cells - _evaluate(parts, y, x))[use]
        total = np.bincount(index, weights=rest, minlength=boxes.size).reshape(grid)
        boxes = boxes + np.where(count >= _LEAST_CELLS, total / np.maximum(count, 1), 0.0)
    return _Parts(shape=shape, polynomial=polynomial, boxes=boxes)


def _fit_polynomial(
    values: FloatArray,
    use: BoolArray,
    at: tuple[FloatArray, FloatArray],
    shape: tuple[int, int],
    degree: int,
) -> FloatArray:
    """Fit powers of y and x, together up to a degree, by least squares; NaN where nothing is used."""
    size = degree + 1
    fitted = np.zeros((size, size))
    if not use.any():
        fitted[0, 0] = np.nan
        return fitted
    powers = [_powers(p, length, size) for p, length in zip(at, shape, strict=True)]
    terms = [(j, i) for j in range(size) for i in range(size - j)]
    line, column = np.nonzero(use)
    design = np.stack([powers[0][line, j] * powers[1][column, i] for j, i in terms], axis=1)
    middle = float(np.mean(values[use]))
    solution = np.linalg.lstsq(design.T @ design, design.T @ (values[use] - middle), rcond=None)[0]
    for (j, i), value in zip(terms, solution, strict=True):
        fitted[j, i] = value
    fitted[0, 0] += middle
    return fitted
