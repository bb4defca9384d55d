"""Fluxes within apertures at many positions of one image: gathers stamps, and measures them."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.flagging import find_good
from snapdb.archive.photometry.aperture_settings import ApertureSettings, ImagePlanes
from snapdb.archive.photometry.positions import Positions
from snapdb.photometry.apertures import (
    Shape,
    Sums,
    compute_weights,
    find_peaks,
    sum_apertures,
)
from snapdb.photometry.background import annulus_stamp_size, measure_annulus
from snapdb.photometry.cores import find_hollow
from snapdb.photometry.fitting.stamps import centre_pixels, inside_stamps
from snapdb.photometry.image_background import SmoothSky, fit_smooth_sky
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.photometry.quality import Quality
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from snapdb.archive.planar import PlanarImage

LEAST_PIXELS = 30
"""Pixels of a ring below which the background is not trusted."""
_CHUNK_BYTES = 16 * 1024 * 1024
_WHOLE = 1.0 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyValues:
    """The background at N positions."""

    level: FloatArray
    """Counts a pixel; NaN where nothing tells it."""
    level_err: FloatArray
    """One standard deviation of it."""
    scatter: FloatArray
    """Standard deviation of a pixel; NaN where nothing tells it."""
    n_pixels: IntArray
    """Pixels that tell it; `LEAST_PIXELS` where the whole image does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApertureFluxes:
    """What one aperture gives at N positions, in the data's units."""

    flux: FloatArray
    """Sum, the background subtracted."""
    flux_err: FloatArray
    """One standard deviation, the background's included."""
    area: FloatArray
    """Pixels of the image within."""
    overlap: FloatArray
    """Fraction of the aperture on the image."""
    bad_fraction: FloatArray
    """Fraction of that which is bad pixels."""
    correction: FloatArray
    """All of the source's light over that within."""
    peak: FloatArray
    """Largest pixel within, nothing subtracted."""
    quality: IntArray
    """Quality bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What all apertures give."""

    apertures: tuple[ApertureFluxes, ...]
    sky: SkyValues


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamps:
    """Pixels around N positions on the image."""

    x: FloatArray
    y: FloatArray
    column: IntArray
    row: IntArray
    data: FloatArray
    noise: FloatArray | None
    good: BoolArray
    saturated: BoolArray | None
    inside: BoolArray


def measure(
    image: "PlanarImage", planes: ImagePlanes, positions: Positions, settings: ApertureSettings
) -> Measured:
    """Measure apertures at positions.

    Parameters
    ----------
    image : Image
        Says which flags are bad; keeps its background.
    planes : ImagePlanes
        What is measured.
    positions : Positions
        Where.
    settings : ApertureSettings
        How.

    Returns
    -------
    Measured
        In the order of the positions; NaN for those off the image.

    Raises
    ------
    UsageError
        If a flag is named that the image does not have.
    """
    rows = np.flatnonzero(positions.inside(image.width, image.height))
    size, ring = settings.stamp_sizes
    step = max(1, _CHUNK_BYTES // (8 * max(size, ring) ** 2))
    smooth = _smooth_sky(image, planes, settings) if settings.background == "global" else None
    others = _draw_sources(planes, positions, rows, settings) if ring else None
    found: list[dict[str, Any]] = [_blank(len(positions)) for _ in settings.shapes]
    sky = _blank_sky(len(positions))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        stamps = _gather(image, planes, positions.x[part], positions.y[part], size, settings)
        levels, values = _subtract(image, planes, stamps, settings, smooth, others)
        for name, column in values.items():
            sky[name][part] = column
        for columns, shape in zip(found, settings.shapes, strict=True):
            for name, column in _measure_shape(stamps, levels, values, shape, settings).items():
                columns[name][part] = column
    _mark_neighbours(found, positions, rows, settings)
    return Measured(apertures=tuple(ApertureFluxes(**f) for f in found), sky=SkyValues(**sky))


def _blank(number: int) -> dict[str, Any]:
    """Make the columns of positions that are off the image."""
    names = ("flux", "flux_err", "area", "overlap", "bad_fraction", "correction", "peak")
    columns: dict[str, Any] = {name: np.full(number, np.nan) for name in names}
    columns["quality"] = np.full(number, int(Quality.OFF_IMAGE | Quality.FAILED), dtype=np.int64)
    return columns


def _blank_sky(number: int) -> dict[str, Any]:
    """Make the columns of a background that nothing tells."""
    columns: dict[str, Any] = {name: np.full(number, np.nan) for name in ("level", "level_err", "scatter")}
    columns["n_pixels"] = np.zeros(number, dtype=np.int64)
    return columns


def _gather(
    image: "PlanarImage",
    planes: ImagePlanes,
    x: FloatArray,
    y: FloatArray,
    size: int,
    settings: ApertureSettings,
) -> _Stamps:
    """Copy the pixels around positions, and say which are good."""
    column, row = centre_pixels(x, y)
    inside = inside_stamps(image.image_shape, column, row, size)
    every = planes.data, planes.noise, planes.flags, planes.mask
    data, noise, flags, mask = (planes.take(plane, column, row, size) for plane in every)
    assert data is not None  # noqa: S101  # an image that is measured has data
    good, saturated = find_good(image, data, noise, flags, settings.bad_bits)
    good &= inside
    if mask is not None:
        good &= ~mask
    return _Stamps(
        x=x,
        y=y,
        column=column,
        row=row,
        data=np.asarray(data, dtype=np.float64),
        noise=None if noise is None else np.asarray(noise, dtype=np.float64),
        good=good,
        saturated=None if saturated is None else saturated & inside,
        inside=inside,
    )


def _smooth_sky(image: "PlanarImage", planes: ImagePlanes, settings: ApertureSettings) -> SmoothSky:
    """Give the image's background; its own is found once."""

    def fit() -> SmoothSky:
        good, _ = find_good(image, planes.data, planes.noise, planes.flags, settings.bad_bits)
        if planes.mask is not None:
            good &= ~planes.mask
        return fit_smooth_sky(planes.data, good, settings.bgsize)

    if not planes.is_own:
        return fit()
    sky: SmoothSky = image.derive(("smooth sky", int(settings.bgsize), repr(settings.bad_bits)), fit)
    return sky


def _subtract(
    image: "PlanarImage",
    planes: ImagePlanes,
    stamps: _Stamps,
    settings: ApertureSettings,
    smooth: SmoothSky | None,
    others: BoolArray | None,
) -> tuple[FloatArray, dict[str, Any]]:
    """Give the background of each pixel of stamps, and its values at the positions."""
    number, size = len(stamps.x), stamps.data.shape[-1]
    if smooth is not None:
        reach = np.arange(size) - size // 2
        levels = smooth.at(stamps.row[:, None] + reach, stamps.column[:, None] + reach)
        values: dict[str, Any] = {
            "level": levels[:, size // 2, size // 2],
            "level_err": np.full(number, smooth.level_err),
            "scatter": np.full(number, smooth.scatter),
            "n_pixels": np.full(number, LEAST_PIXELS),
        }
        return levels, values
    if settings.background == "none":
        values = _blank_sky(number) | {"level": np.zeros(number), "level_err": np.zeros(number)}
        values["n_pixels"] = np.full(number, LEAST_PIXELS)
        return np.zeros((number, 1, 1)), values
    wide = _gather(image, planes, stamps.x, stamps.y, annulus_stamp_size(settings.annulus[1]), settings)
    good = wide.good
    if others is not None:
        good = good & ~np.asarray(planes.take(others, wide.column, wide.row, good.shape[-1]))
    dx, dy = stamps.x - stamps.column, stamps.y - stamps.row
    ring = settings.annulus
    sky = measure_annulus(wide.data, good, dx, dy, ring[0], ring[1], estimator=settings.estimator)
    values = {name: getattr(sky, name) for name in ("level", "level_err", "scatter", "n_pixels")}
    return sky.level[:, None, None], values


def _draw_sources(
    planes: ImagePlanes, positions: Positions, rows: IntArray, settings: ApertureSettings
) -> BoolArray | None:
    """Mark the pixels of all sources, so that no ring counts its neighbours; None for a single one."""
    if len(rows) < 2:
        return None
    radius = min(max(shape.reach for shape in settings.shapes), settings.annulus[0])
    drawn = np.zeros(planes.data.shape, dtype=np.bool_)
    column, row = centre_pixels(positions.x[rows], positions.y[rows])
    column, row = column - planes.origin[0], row - planes.origin[1]
    height, width = planes.data.shape
    reach = math.floor(radius)
    for dy in range(-reach, reach + 1):
        half = math.floor(math.sqrt(radius * radius - dy * dy))
        for dx in range(-half, half + 1):
            on = (row + dy >= 0) & (row + dy < height) & (column + dx >= 0) & (column + dx < width)
            drawn[row[on] + dy, column[on] + dx] = True
    return drawn


def _measure_shape(
    stamps: _Stamps, levels: FloatArray, sky: dict[str, Any], shape: Shape, settings: ApertureSettings
) -> dict[str, Any]:
    """Measure one aperture at the positions of stamps."""
    size = stamps.data.shape[-1]
    weights = compute_weights(shape, stamps.x, stamps.y, size, settings.method, settings.subpixels)
    centres = compute_weights(shape, stamps.x, stamps.y, size, "center")
    model = None if settings.psf is None else render_stamps(settings.psf, stamps.x, stamps.y, size)
    if stamps.noise is not None:
        variance = stamps.noise**2
    else:
        variance = np.broadcast_to(sky["scatter"][:, None, None] ** 2, stamps.data.shape)
    sums = sum_apertures(
        weights,
        stamps.data - levels,
        variance,
        stamps.good,
        stamps.inside,
        masked=settings.masked,
        model=model,
    )
    error = np.sqrt(sums.variance + (sums.area * sky["level_err"]) ** 2)
    # Without noise and without scatter nothing tells an error: 0 would be a lie.
    error[~(error > 0)] = np.nan
    hollow: BoolArray = np.zeros(len(stamps.x), dtype=np.bool_)
    if settings.shuns_core:
        hollow = find_hollow(shape, stamps.x, stamps.y, stamps.inside & ~stamps.good)
    flux = np.where(hollow, np.nan, sums.flux)
    return {
        "flux": flux,
        "flux_err": np.where(np.isfinite(flux), error, np.nan),
        "area": sums.area,
        "overlap": sums.overlap,
        "bad_fraction": sums.bad_fraction,
        "correction": _correct(sums, settings),
        "peak": find_peaks(centres, stamps.data, stamps.inside),
        "quality": _judge(stamps, sums, sky, weights) | _judge_flux(flux, error, hollow),
    }


def _correct(sums: Sums, settings: ApertureSettings) -> FloatArray:
    """Give the correction to all of the light."""
    if settings.apcor is not None:
        return np.full(sums.flux.shape, float(settings.apcor))
    if settings.psf is None:
        return np.ones(sums.flux.shape)
    correction = np.full(sums.flux.shape, np.nan)
    np.divide(1.0, sums.captured, out=correction, where=sums.captured > 0)
    return correction


def _judge(stamps: _Stamps, sums: Sums, sky: dict[str, Any], weights: FloatArray) -> IntArray:
    """Give the quality bits."""
    middle = stamps.data.shape[-1] // 2
    near = np.s_[:, middle - 1 : middle + 2, middle - 1 : middle + 2]
    full = np.zeros(weights.shape, dtype=np.bool_)
    if stamps.saturated is not None:
        full = (weights > 0) & stamps.saturated
    bad = stamps.inside & ~stamps.good
    reasons = {
        Quality.EDGE: sums.overlap < _WHOLE,
        Quality.MASKED: sums.bad_fraction > 0,
        Quality.MASKED_PEAK: bad[near].any(axis=(1, 2)),
        Quality.LOW_COVERAGE: sums.overlap * (1.0 - sums.bad_fraction) < 0.5,
        Quality.SATURATED: full.any(axis=(1, 2)),
        Quality.NO_BACKGROUND: (sky["n_pixels"] < LEAST_PIXELS) | ~np.isfinite(sky["level"]),
        Quality.NO_NOISE: np.full(len(stamps.x), stamps.noise is None),
    }
    quality = np.zeros(len(stamps.x), dtype=np.int64)
    for bit, holds in reasons.items():
        quality |= np.where(holds, int(bit), 0)
    return quality


def _judge_flux(flux: FloatArray, error: FloatArray, hollow: BoolArray) -> IntArray:
    """Give the bits of what has no flux, no error, or a bad pixel in its core."""
    failed = ~np.isfinite(flux) | ~np.isfinite(error)
    core = int(Quality.MASKED | Quality.MASKED_PEAK)
    return np.asarray(np.where(failed, int(Quality.FAILED), 0) | np.where(hollow, core, 0))


def _mark_neighbours(
    found: list[dict[str, Any]], positions: Positions, rows: IntArray, settings: ApertureSettings
) -> None:
    """Say which apertures overlap that of another source; the same place given twice is one source."""
    if len(rows) < 2:
        return
    from scipy.spatial import cKDTree

    places = np.stack((positions.x[rows], positions.y[rows]), axis=1)
    tree = cKDTree(places)
    for columns, shape in zip(found, settings.shapes, strict=True):
        pairs = tree.query_pairs(2 * shape.reach, output_type="ndarray")
        between = places[pairs[:, 0]] - places[pairs[:, 1]]
        apart = np.hypot(between[:, 0], between[:, 1]) > 1e-6
        columns["quality"][rows[np.unique(pairs[apart])]] |= int(Quality.NEIGHBOUR)
