"""Pixels of the synthetic sky: sources integrated over each pixel, then noise, then defects."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snapdb.testing.detectors import (
    FLAG_BITS,
    HEIGHT,
    PIXEL_SCALE_ARCSEC,
    READ_NOISE,
    SATURATION,
    WIDTH,
    ImageTruth,
)
from snapdb.testing.sources import Source
from snapdb.types import FloatArray

_REACH_SIGMA = 6.0
"""How far a source is drawn; the 2e-9 of its light beyond this is far below one count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """The three planes of one image, ``[y, x]``."""

    data: NDArray[np.float32]
    """Counts, sky included."""
    noise: NDArray[np.float32]
    """One sigma, counts."""
    flags: NDArray[np.uint8]
    """Bits of :data:`snapdb.testing.detectors.FLAG_BITS`."""


def integrate_gaussian(
    x: float, y: float, sigma: float, *, width: int, height: int
) -> tuple[slice, slice, FloatArray]:
    """Integrate a round Gaussian of unit sum over every pixel that it reaches.

    The integral over a pixel factorises into differences of the error function.

    Parameters
    ----------
    x, y
        Centre, 0-based pixels; it may lie outside the image.
    sigma
        Pixels.
    width, height
        Size of the image.

    Returns
    -------
    tuple of (slice, slice, FloatArray)
        Rows, columns, and the share of the light in each of their pixels; empty
        slices where it does not reach the image.
    """
    reach = math.ceil(_REACH_SIGMA * sigma) + 1
    x0, x1 = max(0, math.floor(x) - reach), min(width, math.floor(x) + reach + 2)
    y0, y1 = max(0, math.floor(y) - reach), min(height, math.floor(y) + reach + 2)
    if x0 >= x1 or y0 >= y1:
        return slice(0, 0), slice(0, 0), np.zeros((0, 0))
    shares = np.outer(_edge_shares(y0, y1, y, sigma), _edge_shares(x0, x1, x, sigma))
    return slice(y0, y1), slice(x0, x1), shares


def render_sources(image: ImageTruth, sources: Iterable[Source]) -> FloatArray:
    """Draw what the sources give, without sky and noise.

    Parameters
    ----------
    image
        Says where, when, in which band and how sharply.
    sources
        Those that are far from the image, on the other side of the sky even, are passed over.

    Returns
    -------
    FloatArray
        Expected counts, shape ``(height, width)``.
    """
    expected = np.zeros((image.height, image.width))
    listed = [source for source in sources if image.is_near(source)]
    xs, ys = image.to_pixels(np.array([s.ra for s in listed]), np.array([s.dec for s in listed]))
    for source, x, y in zip(listed, xs, ys, strict=True):
        counts = image.counts_of(source)
        for share, sigma_arcsec in source.profile:
            sigma = math.hypot(image.exposure.psf_sigma_pix, sigma_arcsec / PIXEL_SCALE_ARCSEC)
            rows, columns, shares = integrate_gaussian(
                float(x), float(y), sigma, width=image.width, height=image.height
            )
            expected[rows, columns] += counts * share * shares
    return expected


def expose(expected: FloatArray, image: ImageTruth, *, seed: int) -> Planes:
    """Turn expected counts into what the detector gives: photon and read noise, full wells, defects.

    Parameters
    ----------
    expected
        Counts of the sources, shape ``(height, width)``.
    image
        Says the sky level and which detector it is.
    seed
        Of the survey; each image draws its own numbers from it.
    """
    rng = np.random.default_rng([seed, image.exposure.number, image.sca])
    light = expected + image.exposure.sky_level
    data = rng.poisson(light) + rng.normal(0.0, READ_NOISE, light.shape)
    noise = np.sqrt(light + READ_NOISE**2)
    flags = np.zeros(light.shape, np.uint8)
    _mark_detector_defects(data, flags, seed=seed, sca=image.sca)
    _strike_cosmic_rays(data, flags, rng)
    full = data >= SATURATION
    data[full] = SATURATION
    flags[full] |= FLAG_BITS["SATURATED"]
    # Whole counts, as a converter gives them; all formats of the survey then hold them exactly.
    whole = np.maximum(np.rint(data), 0.0)
    return Planes(data=whole.astype(np.float32), noise=noise.astype(np.float32), flags=flags)


def _edge_shares(first: int, last: int, centre: float, sigma: float) -> FloatArray:
    """Share of a 1-D Gaussian in each of the pixels first .. last-1."""
    scale = 1.0 / (sigma * math.sqrt(2.0))
    at_edges = [math.erf((edge - 0.5 - centre) * scale) for edge in range(first, last + 1)]
    return 0.5 * np.diff(np.array(at_edges))


def _mark_detector_defects(data: FloatArray, flags: NDArray[np.uint8], *, seed: int, sca: int) -> None:
    """Put the hot pixels and the dead column of a detector where they are in each of its images."""
    fixed = np.random.default_rng([seed, 0, sca])
    ys, xs = fixed.integers(0, HEIGHT, 60), fixed.integers(0, WIDTH, 60)
    data[ys, xs] += fixed.uniform(2_000.0, 30_000.0, 60)
    flags[ys, xs] |= FLAG_BITS["HOT"]
    column = int(fixed.integers(20, WIDTH - 20))
    data[:, column] = 0.0
    flags[:, column] |= FLAG_BITS["DEADCOL"]


def _strike_cosmic_rays(data: FloatArray, flags: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draw a few short straight tracks."""
    for _ in range(int(rng.poisson(6))):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(2, 14)
        steps = np.arange(0.0, length, 0.7)
        xs = np.rint(x + steps * math.cos(angle)).astype(int)
        ys = np.rint(y + steps * math.sin(angle)).astype(int)
        on = (xs >= 0) & (xs < WIDTH) & (ys >= 0) & (ys < HEIGHT)
        data[ys[on], xs[on]] += rng.uniform(500.0, 8_000.0)
        flags[ys[on], xs[on]] |= FLAG_BITS["COSMIC"]
