"""Choosing an image's stars that show its PSF."""

from typing import Any

import numpy as np

from snapdb.errors import ConfigError
from snapdb.types import BoolArray, FloatArray

NEIGHBOUR = 0.02
"""Flux of another source, relative to a star's, from which it disturbs the star's stamp."""
LOCUS = 0.15
"""How far from the usual half-light radius of point sources a star's may be, relatively."""


def import_sep() -> Any:
    """Load sep.

    Returns
    -------
    module
        The package.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import sep  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "finding stars needs sep: pip install 'snapdb[photometry]'"
        raise ConfigError(msg, package="sep") from err
    return sep


def subtract_background(data: FloatArray, bad: BoolArray) -> tuple[FloatArray, float]:
    """Subtract a smooth background in boxes of 64 pixels.

    Parameters
    ----------
    data : array
        Pixels ``[y, x]``, finite where they are not bad.
    bad : array of bool
        Pixels to leave out.

    Returns
    -------
    tuple
        The image less its background, 0 where bad; and the sky's standard deviation.

    Raises
    ------
    ConfigError
        If sep is not installed.
    """
    sep = import_sep()
    filled = np.ascontiguousarray(np.where(bad, 0.0, data), dtype=np.float64)
    background = sep.Background(filled, mask=np.ascontiguousarray(bad))
    return np.where(bad, 0.0, filled - background.back()), float(background.globalrms)


def find_stars(
    sky_free: FloatArray,
    sky_rms: float,
    bad: BoolArray,
    *,
    size: int,
    saturation: float | None = None,
    max_stars: int = 60,
    min_snr: float = 50.0,
) -> FloatArray:
    """Find isolated, unsaturated, unmasked point sources.

    A star's stamp lies on the image and has no bad pixel; its half-light radius is within 15 % of
    that which is the most frequent; no other source of 2 % of its flux is within 0.6 stamp sizes.

    Parameters
    ----------
    sky_free : array
        Pixels ``[y, x]`` without background.
    sky_rms : float
        Standard deviation of the sky.
    bad : array of bool
        Bad pixels.
    size : int
        Side of the stars' stamps, in pixels.
    saturation : float, optional
        Pixel value, above background, that a star stays below.
    max_stars : int
        How many to give at most; the brightest come first.
    min_snr : float
        Least signal-to-noise ratio against the sky alone.

    Returns
    -------
    array
        Positions (x, y), shape (N, 2); N may be 0.

    Raises
    ------
    ConfigError
        If sep is not installed.
    """
    sep = import_sep()
    found = sep.extract(np.ascontiguousarray(sky_free), 5.0 * sky_rms, mask=np.ascontiguousarray(bad))
    if len(found) == 0:
        return np.empty((0, 2))
    x, y, flux = found["x"], found["y"], found["flux"]
    usable = (found["flag"] == 0) & (flux > min_snr * sky_rms * np.sqrt(found["npix"]))
    if saturation is not None:
        usable &= found["peak"] < saturation
    usable &= _are_clean(x, y, bad, size)
    radius, _ = sep.flux_radius(
        sky_free, x, y, np.full(len(x), 6.0 * size / 10), 0.5, normflux=flux, subpix=5
    )
    usable &= np.isfinite(radius) & (radius > 0)
    if usable.any():
        usual = _mode(radius[usable])
        usable &= np.abs(radius - usual) < LOCUS * usual
    alone = [row for row in np.flatnonzero(usable).tolist() if _is_alone(row, x, y, flux, size)]
    stars = np.array(alone, dtype=np.int64)
    stars = stars[np.argsort(-flux[stars], kind="stable")][:max_stars]
    return np.stack([x[stars], y[stars]], axis=1)


def _are_clean(x: FloatArray, y: FloatArray, bad: BoolArray, size: int) -> BoolArray:
    """Say which stamps lie on the image and have no bad pixel, by sums of sums."""
    height, width = bad.shape
    total = np.zeros((height + 1, width + 1), dtype=np.int64)
    total[1:, 1:] = bad.cumsum(axis=0).cumsum(axis=1)
    left = np.floor(x + 0.5).astype(int) - size // 2
    low = np.floor(y + 0.5).astype(int) - size // 2
    inside = (left >= 0) & (low >= 0) & (left + size <= width) & (low + size <= height)
    x1, y1 = np.clip(left, 0, width), np.clip(low, 0, height)
    x2, y2 = np.clip(left + size, 0, width), np.clip(low + size, 0, height)
    count = total[y2, x2] - total[y1, x2] - total[y2, x1] + total[y1, x1]
    return np.asarray(inside & (count == 0))


def _is_alone(row: int, x: FloatArray, y: FloatArray, flux: FloatArray, size: int) -> bool:
    """Say whether no other source disturbs a star's stamp."""
    near = (np.abs(x - x[row]) < 0.6 * size) & (np.abs(y - y[row]) < 0.6 * size)
    near[row] = False
    return not bool((flux[near] > NEIGHBOUR * flux[row]).any())


def _mode(values: FloatArray) -> float:
    """Give the most frequent value, by halving to the densest half (Robertson & Cryer 1974)."""
    left = np.sort(values)
    while len(left) > 3:
        half = (len(left) + 1) // 2
        begin = int(np.argmin(left[half - 1 :] - left[: len(left) - half + 1]))
        left = left[begin : begin + half]
    return float(np.median(left))
