"""Weights of one axis: how pixels of one grid are made of those of another.

Both grids cover the same sky: output pixel ``i`` of ``R`` is centred on ``(i + 0.5) * n / R - 0.5``
of the ``n`` input pixels. Beyond the edge, the pixel at the edge stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from snapdb.errors import UsageError
from snapdb.types import FloatArray

Floats: TypeAlias = NDArray[np.float32]

METHODS = ("nearest", "bilinear", "cubic", "lanczos")
"""How an image is made larger; when it is made smaller, pixels are averaged by area."""

CUBIC_SHARPNESS = -0.75
"""The free number of the cubic kernel (Keys 1981, IEEE Trans. ASSP 29, 1153), as OpenCV has it."""
LANCZOS_LOBES = 4
BANDS = (32, 16, 8, 4, 2, 1)
"""Output pixels that are computed together: they need few of the input's."""
FEW = 20
"""Input pixels that a band needs, at most: of more, most are multiplied by 0, of fewer, calls are many."""
MOST_PRODUCTS = 1 << 18
"""Up to here OpenBLAS multiplies in the calling thread: who has many threads has them for stamps,
and the sums do not depend on how many there are."""


@dataclass(frozen=True, slots=True)
class Band:
    """Neighbouring output pixels, and the input pixels of which they are made."""

    out: slice
    """Output pixels."""
    source: slice
    """Input pixels."""
    weights: Floats
    """Shape (outputs, inputs)."""


def check_method(method: str) -> str:
    """Give the name of a method of interpolation.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`; ``bicubic`` and ``linear`` are other names of two.

    Raises
    ------
    UsageError
        If there is no such method.
    """
    name = {"bicubic": "cubic", "linear": "bilinear"}.get(method, method)
    if name not in METHODS:
        msg = f"interpolation {method!r}: expected one of {', '.join(METHODS)}"
        raise UsageError(msg, interpolation=method)
    return name


@lru_cache(maxsize=32)
def make_weights(size: int, resolution: int, method: str = "bilinear", *, conserve: bool = False) -> Floats:
    """Make the matrix that takes one axis to another number of pixels.

    Parameters
    ----------
    size, resolution : int
        Pixels of the input and of the output.
    method : str
        One of :data:`METHODS`, for ``resolution > size``; averages by area else.
    conserve : bool
        Share each input pixel out among the output pixels that it overlaps, whatever the
        method: columns sum to 1.

    Returns
    -------
    array of float32, shape (resolution, size)
        Not to be written to. Rows sum to 1 unless `conserve`.

    Raises
    ------
    UsageError
        If there is no such method, or a size is below 1.
    """
    kernel = check_method(method)
    if size < 1 or resolution < 1:
        msg = f"{size} pixels to {resolution}: expected at least one of each"
        raise UsageError(msg, size=size, resolution=resolution)
    if size == resolution:
        weights = np.eye(size)
    elif conserve:
        weights = _overlap(size, resolution)
    elif resolution < size:
        weights = _overlap(size, resolution) * (resolution / size)
    else:
        weights = _interpolate(size, resolution, kernel)
    made = weights.astype(np.float32)
    made.flags.writeable = False
    return made


@lru_cache(maxsize=256)
def make_bands(
    size: int, resolution: int, across: int, method: str = "bilinear", *, conserve: bool = False
) -> tuple[Band, ...]:
    """Cut the matrix of :func:`make_weights` into blocks without most of its zeros.

    Parameters
    ----------
    size, resolution, method, conserve
        As :func:`make_weights`.
    across : int
        Pixels of the other axis, each of which is multiplied by the matrix.

    Raises
    ------
    UsageError
        As :func:`make_weights`.
    """
    weights = make_weights(size, resolution, method, conserve=conserve)
    reach = int(np.count_nonzero(weights, axis=1).max())
    needs = {band: band * size // resolution + reach for band in BANDS}
    fits = (b for b, need in needs.items() if need <= FEW and b * need * across <= MOST_PRODUCTS)
    height = next(fits, BANDS[-1])
    bands = []
    for start in range(0, resolution, height):
        block = weights[start : start + height]
        used = np.flatnonzero(block.any(axis=0))
        source = slice(int(used[0]), int(used[-1]) + 1)
        out = slice(start, start + len(block))
        bands.append(Band(out, source, np.ascontiguousarray(block[:, source])))
    return tuple(bands)


def _overlap(size: int, resolution: int) -> FloatArray:
    """Give the share of each input pixel that lies in each output pixel."""
    edges = np.arange(resolution + 1) * (size / resolution)
    pixels = np.arange(size)
    lower = np.maximum(edges[:-1, None], pixels)
    upper = np.minimum(edges[1:, None], pixels + 1.0)
    shares = np.clip(upper - lower, 0.0, None)
    shares[shares < 1e-9] = 0.0  # rounding of the edges
    return np.asarray(shares / shares.sum(axis=0), dtype=np.float64)


def _interpolate(size: int, resolution: int, method: str) -> FloatArray:
    """Give the kernel's values at each output pixel, those beyond the edge added to the edge's."""
    if method == "nearest":
        # In whole numbers: a centre on the border of two pixels belongs to the upper one.
        return np.asarray(
            np.eye(size)[(2 * np.arange(resolution) + 1) * size // (2 * resolution)], dtype=np.float64
        )
    kernel, reach = _KERNELS[method]
    center = (np.arange(resolution) + 0.5) * size / resolution - 0.5
    first = np.floor(center).astype(int) - reach + 1
    taps = first[:, None] + np.arange(2 * reach)
    values = kernel(taps - center[:, None])
    weights = np.zeros((resolution, size))
    rows = np.broadcast_to(np.arange(resolution)[:, None], taps.shape)
    np.add.at(weights, (rows, np.clip(taps, 0, size - 1)), values / values.sum(axis=1, keepdims=True))
    return weights


def _linear(x: FloatArray) -> FloatArray:
    """Give the triangle."""
    return np.clip(1.0 - np.abs(x), 0.0, None)


def _cubic(x: FloatArray) -> FloatArray:
    """Give Keys' kernel (1981, equation 8 with a free)."""
    a, d = CUBIC_SHARPNESS, np.abs(x)
    near = (a + 2.0) * d**3 - (a + 3.0) * d**2 + 1.0
    far = a * (d**3 - 5.0 * d**2 + 8.0 * d - 4.0)
    return np.asarray(np.where(d <= 1.0, near, np.where(d < 2.0, far, 0.0)), dtype=np.float64)


def _lanczos(x: FloatArray) -> FloatArray:
    """Give the sinc within a wider one (Duchon 1979, J. Appl. Meteor. 18, 1016)."""
    values = np.sinc(x) * np.sinc(x / LANCZOS_LOBES)
    return np.asarray(np.where(np.abs(x) < LANCZOS_LOBES, values, 0.0), dtype=np.float64)


_KERNELS: dict[str, tuple[Callable[[FloatArray], FloatArray], int]] = {
    "bilinear": (_linear, 1),
    "cubic": (_cubic, 2),
    "lanczos": (_lanczos, LANCZOS_LOBES),
}
