"""A PSF from the stars of the image that it is for."""

import warnings
from typing import Any

import numpy as np

from snapdb.errors import ConfigError, ShapeError, UsageError
from snapdb.photometry.psf.image import ImagePSF, check_oversampling
from snapdb.photometry.psf.protocol import check_size, to_whole
from snapdb.photometry.psf.stars import find_stars, subtract_background
from snapdb.pixels.flags import bad_mask
from snapdb.types import BoolArray, FloatArray, PixelArray

SMOOTHINGS = ("quartic", "quadratic")
"""Of the PSF, as photutils names them."""
LEAST_STARS = 5
"""Fewer stars do not cover the places within a pixel."""


def build_psf(
    image: Any,
    positions: PixelArray | None = None,
    *,
    size: int = 25,
    oversampling: int = 2,
    mask: BoolArray | None = None,
    saturation: float | None = None,
    max_stars: int = 60,
    captured: float = 1.0,
    smoothing: str | None = "quartic",
    iterations: int = 10,
) -> ImagePSF:
    """Build an effective PSF from an image's own stars, by the method of Anderson & King (2000).

    Parameters
    ----------
    image : array or Image
        Pixels ``[y, x]``; or an object with ``data``, whose ``flags`` with ``bad_bits`` say what is bad.
    positions : array, optional
        Stars (x, y) in pixels, shape (N, 2), to within a pixel; found on the image when not given.
    size : int
        Side of the stars' stamps, in pixels; odd.
    oversampling : int
        Samples of the PSF along a pixel. Images that sample their PSF poorly need 4, and many
        stars.
    mask : array of bool, optional
        Bad pixels, besides those that are not finite or flagged.
    saturation : float, optional
        Pixel value, above background, that stars stay below. Without it, only flags tell.
    max_stars : int
        How many stars to use at most, the brightest first.
    captured : float
        The part of a source's flux that falls on a stamp of `size`.
    smoothing : {'quartic', 'quadratic'}, optional
        Smoothing of the PSF at each step, as photutils names it; none for None.
    iterations : int
        Steps at most.

    Returns
    -------
    ImagePSF
        With ``is_prf``, for positions as they were given or found.

    Raises
    ------
    ConfigError
        If photutils or sep is not installed.
    ShapeError
        If the image, the mask or the positions have the wrong shape.
    UsageError
        If fewer than five stars can be used, or the size is not odd.
    """
    size = check_size(size)
    check_oversampling(oversampling)
    _check_counts(max_stars, iterations, smoothing)
    stars = None if positions is None else _read_stars(positions)
    data, bad = _read_pixels(image, mask)
    sky_free, sky_rms = subtract_background(data, bad)
    if stars is None:
        found = find_stars(sky_free, sky_rms, bad, size=size, saturation=saturation, max_stars=max_stars)
    else:
        found = _usable(stars, bad, size)[:max_stars]
    if len(found) < LEAST_STARS:
        msg = (
            f"{len(found)} stars can be used for a PSF: expected at least {LEAST_STARS}, isolated, unmasked "
            f"and {size // 2} pixels from the edge; give positions=, or a smaller size"
        )
        raise UsageError(msg, stars=len(found))
    samples = _build(sky_free, bad, found, size, oversampling, smoothing, iterations)
    return ImagePSF(samples, oversampling, is_prf=True, captured=captured, stamp_size=size)


def _check_counts(max_stars: Any, iterations: Any, smoothing: Any) -> None:
    """Refuse numbers of stars and steps that give no PSF, and smoothings that there are not."""
    if to_whole(max_stars, "max_stars") < LEAST_STARS:
        msg = f"max_stars={max_stars}: expected at least {LEAST_STARS}"
        raise UsageError(msg, max_stars=max_stars)
    if to_whole(iterations, "iterations") < 1:
        msg = f"iterations={iterations}: expected at least 1"
        raise UsageError(msg, iterations=iterations)
    if not (smoothing is None or (isinstance(smoothing, str) and smoothing in SMOOTHINGS)):
        msg = f"smoothing={smoothing!r:.80}: expected one of {', '.join(SMOOTHINGS)}, or None"
        raise UsageError(msg, smoothing=smoothing)


def _read_stars(positions: Any) -> FloatArray:
    """Take the places of stars as numbers."""
    try:
        return np.asarray(positions, dtype=np.float64)
    except (TypeError, ValueError) as err:
        msg = f"positions={positions!r:.80}: expected an array (N, 2) of x and y, in pixels"
        raise UsageError(msg) from err


def _read_pixels(image: Any, mask: BoolArray | None) -> tuple[FloatArray, BoolArray]:
    """Take pixels from an array or an image, and say which are bad."""
    # An array has an attribute of that name as well, its memory.
    is_array = isinstance(image, np.ndarray)
    data = np.asarray(image if is_array else image.data, dtype=np.float64)
    if data.ndim != 2:
        msg = f"an image of shape {data.shape}: expected two dimensions"
        raise ShapeError(msg, shape=data.shape)
    bad = ~np.isfinite(data)
    flags = None if is_array else getattr(image, "flags", None)
    if flags is not None:
        bad |= bad_mask(np.asarray(flags), int(getattr(image, "bad_bits", 0)))
    if mask is not None:
        if np.shape(mask) != data.shape:
            msg = f"a mask of shape {np.shape(mask)} for an image of shape {data.shape}: expected the same"
            raise ShapeError(msg, shape=np.shape(mask))
        bad |= np.asarray(mask, dtype=bool)
    return data, bad


def _usable(positions: FloatArray, bad: BoolArray, size: int) -> FloatArray:
    """Leave out stars whose stamps stick out of the image, or whose middle is bad."""
    if positions.ndim != 2 or positions.shape[1] != 2:
        msg = f"stars of shape {positions.shape}: expected (N, 2), of x and y"
        raise ShapeError(msg, shape=positions.shape)
    height, width = bad.shape
    half = size // 2
    known = positions[np.isfinite(positions).all(axis=1)]
    pixel = np.floor(known + 0.5).astype(int)
    inside = ((pixel >= half) & (pixel < np.array([width, height]) - half)).all(axis=1)
    known, pixel = known[inside], pixel[inside]
    return np.asarray(known[~bad[pixel[:, 1], pixel[:, 0]]])


def _build(
    sky_free: FloatArray,
    bad: BoolArray,
    stars: FloatArray,
    size: int,
    oversampling: int,
    smoothing: str | None,
    iterations: int,
) -> FloatArray:
    """Let photutils build the PSF, and see that the stars took part."""
    from astropy.modeling.fitting import LMLSQFitter
    from astropy.nddata import NDData
    from astropy.table import Table
    from astropy.utils.exceptions import AstropyUserWarning

    psf = _import_photutils()
    table = Table({"x": stars[:, 0], "y": stars[:, 1]})
    # Levenberg-Marquardt gives the numbers of photutils' default fitter at a third of its time; the
    # places of single stars do not settle to much better than a hundredth of a pixel.
    builder = psf.EPSFBuilder(
        oversampling=oversampling,
        smoothing_kernel=smoothing,
        fitter=LMLSQFitter(),
        center_accuracy=0.01,
        maxiters=iterations,
        progress_bar=False,
    )
    with warnings.catch_warnings():
        # Stars that are left out are counted below.
        warnings.simplefilter("ignore", AstropyUserWarning)
        epsf, fitted = builder(psf.extract_stars(NDData(sky_free, mask=bad), table, size=size))
    used = len(fitted.all_good_stars)
    if used < LEAST_STARS:
        msg = f"{used} of {len(stars)} stars could be fitted: expected at least {LEAST_STARS}; give others"
        raise UsageError(msg, stars=used)
    return np.asarray(epsf.data, dtype=np.float64)


def _import_photutils() -> Any:
    """Load photutils' PSFs."""
    try:
        from photutils import psf  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "building a PSF needs photutils: pip install 'snapdb[photometry]'"
        raise ConfigError(msg, package="photutils") from err
    return psf
