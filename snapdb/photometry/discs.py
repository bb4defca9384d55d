"""How much of each pixel a disc covers."""

import numpy as np

from snapdb.types import FloatArray


def make_discs(dx: FloatArray, dy: FloatArray, radius: float, size: int) -> FloatArray:
    """Give the share of each pixel that lies within a circle, exactly.

    The area of a disc within a rectangle from its centre to (a, b) has a closed form,
    ``H(a, b) = int_0^a min(b, sqrt(r^2 - x^2)) dx``, odd in both; four of them make a pixel.

    Parameters
    ----------
    dx, dy : array, shape (N,)
        Centres, from the centre of the middle pixel of each stamp, pixels.
    radius : float
        Pixels, above 0.
    size : int
        Edge of the stamps, pixels, odd.

    Returns
    -------
    array, shape (N, size, size)
        From 0 to 1, ``[n, y, x]``.
    """
    edges = np.arange(size + 1, dtype=np.float64) - size / 2.0
    across = (edges - np.asarray(dx, dtype=np.float64)[:, None])[:, None, :]
    up = (edges - np.asarray(dy, dtype=np.float64)[:, None])[:, :, None]
    corner = _area_to(np.abs(across), np.abs(up), radius) * np.sign(across) * np.sign(up)
    shares = corner[:, 1:, 1:] - corner[:, :-1, 1:] - corner[:, 1:, :-1] + corner[:, :-1, :-1]
    return np.asarray(np.clip(shares, 0.0, 1.0))


def _area_to(a: FloatArray, b: FloatArray, radius: float) -> FloatArray:
    """Give the area of a disc about 0 within the rectangle from 0 to (a, b), both at least 0."""
    a, b = np.minimum(a, radius), np.minimum(b, radius)
    leaves = np.sqrt(np.maximum(radius * radius - b * b, 0.0))
    outside = b * leaves + _half_segment(a, radius) - _half_segment(leaves, radius)
    return np.where(a <= leaves, a * b, outside)


def _half_segment(x: FloatArray, radius: float) -> FloatArray:
    """Give the integral of ``sqrt(r^2 - x^2)`` from 0 to x."""
    root = np.sqrt(np.maximum(radius * radius - x * x, 0.0))
    return np.asarray(0.5 * (x * root + radius * radius * np.arcsin(x / radius)))
