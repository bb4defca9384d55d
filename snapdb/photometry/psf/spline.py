"""Cubic B-splines of images that are sampled on a grid finer than the pixels."""

from dataclasses import dataclass

import numpy as np

from snapdb.types import FloatArray, IntArray

MARGIN = 16
"""Samples around an image; the spline's ringing has fallen to 1e-9 of the edge's value beyond them."""


FAR = 1e9
"""Beyond it, in samples, there is no image; whole numbers hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplineStack:
    """Images of one shape as coefficients of cubic B-splines."""

    coefficients: FloatArray
    """Shape (G, H + 2 MARGIN, W + 2 MARGIN)."""
    origin: tuple[float, float]
    """The source's centre (x, y) on the grid of samples, from the first sample of the images."""
    step: tuple[float, float]
    """Samples to one pixel, along (x, y)."""
    cut: bool
    """Whether the images are zero beyond their first and last samples."""

    def draw(
        self, which: IntArray, weights: FloatArray, dx: FloatArray, dy: FloatArray, size: int
    ) -> FloatArray:
        """Evaluate weighted sums of the images at the pixels of stamps.

        Parameters
        ----------
        which : array
            The images that each stamp is made of, shape (N, K).
        weights : array
            Their weights, shape (N, K).
        dx, dy : array
            The sources' offsets from the centres of their stamps, in pixels, shape (N,).
        size : int
            Side of the stamps, in pixels.

        Returns
        -------
        array
            Shape (N, size, size).
        """
        _, height, width = self.coefficients.shape
        column, weight_x = self._taps(dx, size, 0, width)
        row, weight_y = self._taps(dy, size, 1, height)
        flat = self.coefficients.ravel()
        corner = row[:, :, None] * width + column[:, None, :]
        stamps = np.zeros(corner.shape)
        for term in range(which.shape[1]):
            begin = corner + (which[:, term] * (height * width))[:, None, None]
            stamps += weights[:, term, None, None] * _convolve(flat, begin, width, weight_x, weight_y)
        return stamps

    def _taps(
        self, offset: FloatArray, size: int, axis: int, length: int
    ) -> tuple[IntArray, tuple[FloatArray, ...]]:
        """Find the first of the four coefficients that a sample takes, and the four weights."""
        at = self.origin[axis] + (np.arange(size) - size // 2 - offset[:, None]) * self.step[axis]
        at = np.clip(at, -FAR, FAR)
        last = length - 2 * MARGIN - 1
        # Where the images end is the same for all positions, whatever the last bits of their sums.
        inside = (at >= -1e-9) & (at <= last + 1e-9) if self.cut else np.ones(at.shape, dtype=bool)
        whole = np.floor(at)
        first = whole.astype(np.int64) - 1 + MARGIN
        # Beyond the margin there is nothing; its outermost samples stand for that.
        inside &= (first >= 0) & (first <= length - 4)
        return np.clip(first, 0, length - 4), _weights(at - whole, inside)


def _weights(t: FloatArray, inside: np.ndarray) -> tuple[FloatArray, ...]:
    """Give the four values of the cubic B-spline around a sample (Unser 1999, eq. 3)."""
    s = 1.0 - t
    outer, last = s**3 / 6.0, t**3 / 6.0
    second = 2.0 / 3.0 - t**2 * (2.0 - t) / 2.0
    third = 2.0 / 3.0 - s**2 * (2.0 - s) / 2.0
    return tuple(np.where(inside, weight, 0.0) for weight in (outer, second, third, last))


def _convolve(
    flat: FloatArray,
    begin: IntArray,
    width: int,
    weight_x: tuple[FloatArray, ...],
    weight_y: tuple[FloatArray, ...],
) -> FloatArray:
    """Sum the 16 coefficients around each sample with their weights."""
    total = np.zeros(begin.shape)
    for row in range(4):
        line = np.zeros(begin.shape)
        for column in range(4):
            line += weight_x[column][:, None, :] * flat[row * width + column :].take(begin)
        total += weight_y[row][:, :, None] * line
    return total


def make_splines(
    images: FloatArray, origin: tuple[float, float], step: tuple[float, float], *, cut: bool
) -> SplineStack:
    """Find the splines that pass through the samples of images.

    Parameters
    ----------
    images : array
        Shape (G, H, W), finite.
    origin : tuple of float
        The source's centre (x, y), in samples from the first.
    step : tuple of float
        Samples to one pixel, along (x, y).
    cut : bool
        Whether the images end at their outermost samples, as at a frame through which they
        would go on. Else they fall to zero beyond, which conserves their sum: the samples
        of such a spline, one a step, sum to the images' sum over step squared.

    Returns
    -------
    SplineStack
        The coefficients, with a margin.
    """
    from scipy.ndimage import spline_filter1d

    if cut:
        coefficients = np.asarray(images, dtype=np.float64)
        for axis in (1, 2):
            coefficients = spline_filter1d(coefficients, order=3, axis=axis, mode="mirror")
        coefficients = _mirror(coefficients)
    else:
        coefficients = np.pad(np.asarray(images, dtype=np.float64), ((0, 0), (MARGIN,) * 2, (MARGIN,) * 2))
        for axis in (1, 2):
            coefficients = spline_filter1d(coefficients, order=3, axis=axis, mode="grid-wrap")
    return SplineStack(coefficients=np.ascontiguousarray(coefficients), origin=origin, step=step, cut=cut)


def _mirror(coefficients: FloatArray) -> FloatArray:
    """Go on beyond the edges as the filter took the images to go on; two samples are needed."""
    near = np.pad(coefficients, ((0, 0), (2, 2), (2, 2)), mode="reflect")
    return np.pad(near, ((0, 0), (MARGIN - 2,) * 2, (MARGIN - 2,) * 2))
