"""The sky around a source, from a ring of pixels."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.types import FloatArray, IntArray

Estimator: TypeAlias = Literal["clipped", "median", "mode", "mmm"]

CLIP = 3.0
"""Standard deviations from the median beyond which a pixel is left out."""
_ROUNDS = 10
_FAR = np.inf
# A normal distribution cut at 3 standard deviations has 0.9866 of its width, and cut again and again, 0.9852.
_WIDENING = 1.0 / 0.9852
# Standard deviation over that of the mean, for normal noise. var(median) = pi/2 var(mean), cov = var(mean).
_SPREADS = {
    "clipped": 1.0,
    "median": float(np.sqrt(np.pi / 2)),
    "mode": float(np.sqrt(2.5**2 * np.pi / 2 + 1.5**2 - 2 * 2.5 * 1.5)),
    "mmm": float(np.sqrt(3**2 * np.pi / 2 + 2**2 - 2 * 3 * 2)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The sky around N positions."""

    level: FloatArray
    """Counts a pixel; NaN where no good pixel is left."""
    level_err: FloatArray
    """One standard deviation of the level."""
    scatter: FloatArray
    """Standard deviation of a pixel."""
    n_pixels: IntArray
    """Pixels that were used."""


def annulus_stamp_size(outer: float) -> int:
    """Give the odd size of a stamp that holds a ring around any position in its centre pixel.

    Parameters
    ----------
    outer : float
        Outer radius, pixels.

    Returns
    -------
    int
        Pixels.
    """
    return 2 * int(np.ceil(outer + 0.5)) - 1


def annulus_background(
    stamps: Any,
    good: Any,
    dx: Any,
    dy: Any,
    inner: float,
    outer: float,
    *,
    estimator: Estimator = "clipped",
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Measure the sky in a ring around each source.

    Parameters
    ----------
    stamps : array, shape (N, S, S)
        Pixels around each source; S is odd.
    good : array of bool, shape (N, S, S) or None
        Pixels to use. Those that are not finite never count.
    dx, dy : array, shape (N,)
        Position of the source from the centre of the middle pixel, pixels.
    inner, outer : float
        Radii, pixels: those with ``inner <= r < outer`` count, by their centres.
    estimator : {'clipped', 'median', 'mode', 'mmm'}
        Mean after clipping at 3 standard deviations, the least noisy (of Poisson noise, whose
        tail is clipped on one side more, 0.03 to 0.06 counts too low where the sky has less than
        about 10 counts a pixel: take ``median`` or ``mmm`` there); median;
        ``2.5 median - 1.5 mean`` (SExtractor); ``3 median - 2 mean`` (DAOPHOT). The last
        two shun faint neighbours at 2.1 and 2.5 times the noise.

    Returns
    -------
    level : array, shape (N,)
        Sky a pixel; NaN where no pixel is left.
    level_err : array, shape (N,)
        One standard deviation of it, for normal noise.
    n_pixels : array of int, shape (N,)
        Pixels used.

    Raises
    ------
    ShapeError
        If the stamps do not hold the ring, or the arrays do not fit together.
    UsageError
        If the radii make no ring, or the estimator is not known.
    """
    sky = measure_annulus(stamps, good, dx, dy, inner, outer, estimator=estimator)
    return sky.level, sky.level_err, sky.n_pixels


def measure_annulus(
    stamps: Any,
    good: Any,
    dx: Any,
    dy: Any,
    inner: float,
    outer: float,
    *,
    estimator: Estimator = "clipped",
) -> Sky:
    """Measure the sky as :func:`annulus_background` does, and give the pixels' scatter too.

    Parameters
    ----------
    stamps, good, dx, dy, inner, outer, estimator
        As there.

    Returns
    -------
    Sky
        For each source.

    Raises
    ------
    ShapeError, UsageError
        As there.
    """
    check_ring(inner, outer)
    if estimator not in get_args(Estimator):
        msg = f"estimator={estimator!r}: expected one of {', '.join(get_args(Estimator))}"
        raise UsageError(msg, estimator=estimator)
    values = np.asarray(stamps)
    size = values.shape[-1] if values.ndim == 3 else 0
    if values.ndim != 3 or values.shape[1] != size or size % 2 == 0:
        msg = f"stamps of shape {values.shape}: expected (N, S, S) with S odd"
        raise ShapeError(msg, shape=values.shape)
    if size < annulus_stamp_size(outer):
        msg = (
            f"stamps of {size} pixels hold no ring of outer radius {outer}; "
            f"expected {annulus_stamp_size(outer)} pixels or more"
        )
        raise ShapeError(msg, size=size, outer=outer)
    pixels, counts = _sorted_ring(values, good, _offsets(dx, values), _offsets(dy, values), (inner, outer))
    return _estimate(pixels, counts, estimator)


def check_ring(inner: float, outer: float) -> None:
    """Refuse radii that make no ring.

    Parameters
    ----------
    inner, outer : float
        Radii, pixels.

    Raises
    ------
    UsageError
        Unless ``0 <= inner < outer``.
    """
    if not (0 <= inner < outer < np.inf):
        msg = f"annulus from {inner} to {outer} pixels: expected 0 <= inner < outer"
        raise UsageError(msg, inner=inner, outer=outer)


def _offsets(value: Any, stamps: Any) -> FloatArray:
    """Take one offset for each stamp."""
    try:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), stamps.shape[:1])
    except ValueError as err:
        msg = f"offsets of shape {np.shape(value)} for {len(stamps)} stamps: expected one a stamp"
        raise ShapeError(msg, shape=np.shape(value)) from err


def _sorted_ring(
    stamps: Any, good: Any, dx: FloatArray, dy: FloatArray, radii: tuple[float, float]
) -> tuple[FloatArray, IntArray]:
    """Give the pixels of each ring in order, those that do not count last, and how many count."""
    half = stamps.shape[1] // 2
    inner, outer = radii
    known = np.isfinite(dx) & np.isfinite(dy)
    reach = float(np.hypot(dx[known], dy[known]).max(initial=0.0))
    axis = np.arange(-half, half + 1, dtype=np.float64)
    distance = np.hypot(axis[:, None], axis[None, :])
    # The pixels that are in the ring of any source: the sort is what takes time.
    rows, columns = np.nonzero((distance >= inner - reach) & (distance < outer + reach))
    pixels = stamps[:, rows, columns].astype(np.float64)
    square = (axis[columns] - dx[:, None]) ** 2 + (axis[rows] - dy[:, None]) ** 2
    use = (square >= inner * inner) & (square < outer * outer) & np.isfinite(pixels)
    if good is not None:
        use &= np.asarray(good)[:, rows, columns].astype(bool)
    pixels[~use] = _FAR
    pixels.sort(axis=1)
    return pixels, np.count_nonzero(use, axis=1)


def _estimate(pixels: FloatArray, counts: IntArray, estimator: Estimator) -> Sky:
    """Clip sorted pixels, and estimate from what is left."""
    low, high, median, mean, std = _clip(pixels, counts)
    n_pixels = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        scatter = std * _WIDENING
        error = _SPREADS[estimator] * scatter / np.sqrt(n_pixels)
        skewed = np.abs(mean - median) >= 0.3 * std
    levels = {
        "clipped": mean,
        "median": median,
        "mode": np.where(skewed, median, 2.5 * median - 1.5 * mean),
        "mmm": 3.0 * median - 2.0 * mean,
    }
    return Sky(level=levels[estimator], level_err=error, scatter=scatter, n_pixels=n_pixels)


def _clip(
    pixels: FloatArray, counts: IntArray
) -> tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]:
    """Clip about the median until nothing changes: bounds in the sorted pixels, median, mean, deviation."""
    rows = np.arange(len(pixels))
    low, high = np.zeros_like(counts), counts.astype(np.int64)
    middle = _median(pixels, rows, low, high)
    # Sums from the median on, so that a large level takes no digits away.
    inside = np.where(np.isfinite(pixels), pixels - middle[:, None], 0.0)
    sums = _cumulate(inside)
    squares = _cumulate(inside * inside)
    for left in reversed(range(_ROUNDS + 1)):
        median = _median(pixels, rows, low, high)
        number = np.where(high > low, high - low, np.nan)
        mean = (sums[rows, high] - sums[rows, low]) / number
        variance = (squares[rows, high] - squares[rows, low]) / number - mean * mean
        std = np.sqrt(np.maximum(variance, 0.0))
        if left == 0:
            break
        below = np.count_nonzero(pixels < (median - CLIP * std)[:, None], axis=1)
        within = np.count_nonzero(pixels <= (median + CLIP * std)[:, None], axis=1)
        new_low, new_high = np.maximum(low, below), np.minimum(high, within)
        new_high = np.maximum(new_high, new_low)
        if np.array_equal(new_low, low) and np.array_equal(new_high, high):
            break
        low, high = new_low, new_high
    return low, high, median, mean + middle, std


def _cumulate(values: FloatArray) -> FloatArray:
    """Give running sums along rows, starting with 0."""
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _median(pixels: FloatArray, rows: IntArray, low: IntArray, high: IntArray) -> FloatArray:
    """Give the median of sorted pixels between two bounds; NaN where there are none."""
    if pixels.shape[1] == 0:
        return np.full(len(rows), np.nan)
    last = pixels.shape[1] - 1
    left = np.clip((low + high - 1) // 2, 0, last)
    right = np.clip((low + high) // 2, 0, last)
    median = 0.5 * (pixels[rows, left] + pixels[rows, right])
    return np.where(high > low, median, np.nan)
