"""Forced fluxes at positions on images: squares of pixels in, measurements out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.flagging import bad_flags_of, saturation_flags_of
from snapdb.archive.light_curves.batch import Batch, choose_room
from snapdb.archive.light_curves.recipe import Recipe
from snapdb.archive.light_curves.spots import Spots, read_spots
from snapdb.errors import SnapdbError, UsageError
from snapdb.photometry.background import Sky, measure_annulus
from snapdb.photometry.discs import make_discs
from snapdb.photometry.fitting.linear import fit_forced
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.photometry.quality import Quality
from snapdb.pixels.box import is_inside
from snapdb.pixels.flag_names import BadFlags
from snapdb.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord

Columns = dict[str, Any]
"""Column of a measurement -> its values, shape (N,)."""

_FEWEST_SKY_PX = 30
_POOR = 5.0
_LEAST_COVERAGE = 0.5
_WHOLE = 1.0 - 1e-9
_FLUXES = ("flux", "flux_err", "background", "background_err", "chi2", "coverage", "bad_fraction")


def measure_spots(archive: "Archive", spots: Spots, recipe: Recipe, ask: Ask) -> Columns:
    """Measure the flux at each position; only the squares about them are read.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    spots : Spots
        Positions on images. Why one could not be read is kept in its epoch.
    recipe : Recipe
        How to measure.
    ask : Ask
        Planes, threads, progress.

    Returns
    -------
    dict
        Columns of :class:`snapdb.model.measurement.MeasurementTable`, a row each. Rows of epochs
        with an error are NaN and marked as failed.

    Raises
    ------
    SnapdbError
        The first that comes up, where `ask.on_error` is ``raise``.
    """
    columns = _make_columns(spots)
    for batch in gather_batches(archive, spots, recipe, ask):
        measured = _measure(batch, archive, recipe)
        for name, values in measured.items():
            columns[name][batch.places] = values
    return columns


def _make_columns(spots: Spots) -> Columns:
    """Make the columns of rows that are not measured yet."""
    n = len(spots)
    columns: Columns = {name: np.full(n, np.nan) for name in _FLUXES}
    columns |= {name: np.zeros(n, dtype=np.int32) for name in ("ndof", "n_pixels", "quality")}
    columns["flags"] = np.zeros(n, dtype=np.int64)
    columns["x"] = np.array([epoch.x for epoch in spots.epochs], dtype=np.float64)
    columns["y"] = np.array([epoch.y for epoch in spots.epochs], dtype=np.float64)
    inside = [is_inside(epoch.x, epoch.y, epoch.record.width, epoch.record.height) for epoch in spots.epochs]
    columns["quality"][:] = np.where(inside, Quality.FAILED, Quality.FAILED | Quality.OFF_IMAGE)
    return columns


def gather_batches(archive: "Archive", spots: Spots, recipe: Recipe, ask: Ask) -> Iterator[Batch]:
    """Read the squares about positions into batches.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    spots : Spots
        Placed; why one could not be read is kept in its epoch.
    recipe : Recipe
        Says which flags are bad, and how large the squares are.
    ask : Ask
        Planes, threads, progress.

    Yields
    ------
    Batch
        In the order of reading.
    """
    size, inner = recipe.stamp_size, recipe.inner_size
    room = min(choose_room(size), max(1, len(spots)))
    batch = Batch(room, size, inner)
    chosen: dict[tuple[int, int, int], tuple[BadFlags, BadFlags]] = {}
    for place, parts in read_spots(spots, ask, archive.store):
        if parts is None or "data" not in parts:
            continue
        epoch = spots.epochs[place]
        record = epoch.record
        key = (id(record.flag_bits), record.bad_bits, id(record.properties.get("flag_codes")))
        if key not in chosen:
            chosen[key] = choose_bad(recipe, record)
        batch.add(place, epoch, parts, *chosen[key])
        if batch.is_full:
            yield batch
            batch = Batch(room, size, inner)
    if len(batch):
        yield batch


def choose_bad(recipe: Recipe, record: "ImageRecord") -> tuple[BadFlags, BadFlags]:
    """Give the flags of an image that make a pixel bad, and those that say that it is saturated.

    Parameters
    ----------
    recipe : Recipe
        Its choice wins; by default saturated pixels are bad too.
    record : ImageRecord
        What the image says of its flags.

    Raises
    ------
    UsageError
        If the recipe names a flag that the image does not have.
    """
    full = saturation_flags_of(record)
    bad = bad_flags_of(record, recipe.bad_bits)
    return (bad | full if recipe.bad_bits is None and full else bad), full


@dataclass(slots=True, kw_only=True, eq=False)
class Stamps:
    """The inner squares of a batch, ready to be measured; arrays of shape (N, S, S), or (N,)."""

    data: FloatArray
    """Above the background."""
    variance: FloatArray
    good: BoolArray
    sky: Sky
    level: FloatArray
    """Background that was taken off, a pixel."""
    level_err: FloatArray
    sky_variance: FloatArray
    """Of a pixel without a source, shape (N, 1, 1)."""
    groups: list[tuple[Any, list[int]]]
    """PSF, and the places that it holds for."""

    def psfs(self) -> Iterator[tuple[Any, list[int]]]:
        """Give each PSF with the places that it holds for."""
        yield from self.groups


def prepare(batch: Batch, archive: "Archive", recipe: Recipe) -> Stamps:
    """Take the background off a batch's inner squares, and find their PSFs.

    Parameters
    ----------
    batch : Batch
        What was read.
    archive : Archive
        Of the images, which a PSF may ask.
    recipe : Recipe
        How to measure.
    """
    n, good = len(batch), batch.good()
    sky = _measure_sky(batch, good, recipe)
    variance, silent = batch.variance[:n], ~batch.has_noise[:n]
    variance[silent] = (sky.scatter[silent] ** 2)[:, None, None]
    subtracts = recipe.annulus is not None
    level = np.nan_to_num(sky.level) if subtracts else np.zeros(n)
    inner = (slice(None), *batch.inner)
    return Stamps(
        data=batch.data[:n][inner] - level[:, None, None],
        variance=variance[inner],
        good=good[inner],
        sky=sky,
        level=level,
        level_err=np.nan_to_num(sky.level_err) if subtracts else np.zeros(n),
        sky_variance=(np.where(sky.scatter > 0, sky.scatter, np.inf) ** 2)[:, None, None],
        groups=_group_psfs(batch, archive, recipe),
    )


def _measure(batch: Batch, archive: "Archive", recipe: Recipe) -> Columns:
    """Measure all squares of a batch at once."""
    stamps = prepare(batch, archive, recipe)
    models = _render(batch, stamps, recipe)
    columns = _fit(stamps, models, recipe) if recipe.method == "psf" else _sum(stamps, models, batch, recipe)
    columns["flags"] = batch.flags[: len(batch)]
    columns["background"], columns["background_err"] = stamps.level, stamps.level_err
    return _judge(columns, batch, stamps, recipe)


def _measure_sky(batch: Batch, good: BoolArray, recipe: Recipe) -> Sky:
    """Measure level and scatter in the ring; without a ring, the scatter of the outer pixels."""
    size = batch.data.shape[1]
    dx, dy = batch.x - np.floor(batch.x + 0.5), batch.y - np.floor(batch.y + 0.5)
    ring = recipe.annulus or (0.35 * (size - 1), 0.5 * (size - 1))
    data = batch.data[: len(batch)]
    return measure_annulus(data, good, dx, dy, *ring, estimator=recipe.estimator)


def _group_psfs(batch: Batch, archive: "Archive", recipe: Recipe) -> list[tuple[Any, list[int]]]:
    """Find each image's PSF, once an image."""
    groups: dict[int, tuple[Any, list[int]]] = {}
    own: dict[int, Any] = {}
    for place, epoch in enumerate(batch.epochs if recipe.psf is not None else ()):
        key = id(epoch.record)
        if key not in own:
            own[key] = _psf_of(recipe.psf, epoch, archive)
        if isinstance(own[key], SnapdbError):
            epoch.error = own[key]
        else:
            groups.setdefault(id(own[key]), (own[key], []))[1].append(place)
    return list(groups.values())


def _render(batch: Batch, stamps: Stamps, recipe: Recipe) -> FloatArray | None:
    """Draw the PSF of each image at its position; None where there is none."""
    if recipe.psf is None:
        return None
    models = np.full(stamps.data.shape, np.nan)
    x, y = batch.x, batch.y
    for psf, places in stamps.psfs():
        models[places] = render_stamps(psf, x[places], y[places], recipe.inner_size)
    return models


def _psf_of(psf: Any, epoch: Epoch, archive: "Archive") -> Any:
    """Give the PSF of one image, or the error that says why it has none."""
    choose = getattr(psf, "at", None)
    if choose is None:
        return psf
    try:
        return choose(epoch.make_image(archive))
    except SnapdbError as err:
        return err


def _fit(stamps: Stamps, models: FloatArray | None, recipe: Recipe) -> Columns:
    """Fit the PSF."""
    if models is None:
        msg = "method 'psf' without a psf"
        raise UsageError(msg)
    fit = fit_forced(
        stamps.data,
        stamps.variance,
        stamps.good,
        models,
        weights=recipe.weights,
        sky_err=stamps.level_err,
    )
    names = ("flux", "flux_err", "chi2", "n_pixels", "coverage")
    return {name: getattr(fit, name) for name in names} | {"ndof": np.maximum(fit.ndof, 0)}


def _sum(stamps: Stamps, models: FloatArray | None, batch: Batch, recipe: Recipe) -> Columns:
    """Sum the pixels in a circle, each by the share of it that lies within.

    Where there is a PSF, its share on the good pixels makes up for bad ones, and for the light beyond
    the circle. Without one nothing tells what bad pixels hide, and such sums are taken back.
    """
    good = stamps.good
    dx, dy = batch.x - np.floor(batch.x + 0.5), batch.y - np.floor(batch.y + 0.5)
    discs = make_discs(dx, dy, recipe.radius_px, recipe.inner_size)
    use = discs * good
    profile = discs if models is None else discs * models
    whole = profile.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        coverage = np.where(whole > 0, (profile * good).sum(axis=(1, 2)) / whole, 0.0)
        scale = 1.0 if models is None else 1.0 / (coverage * whole)
        area = use.sum(axis=(1, 2))
        flux = (use * np.where(good, stamps.data, 0.0)).sum(axis=(1, 2)) * scale
        spread = (use * np.where(good, stamps.variance, 0.0)).sum(axis=(1, 2))
        flux_err = np.sqrt(spread + (area * stamps.level_err) ** 2) * scale
    n_pixels = (use > 0).sum(axis=(1, 2))
    nothing = n_pixels == 0
    return {
        "flux": np.where(nothing, np.nan, flux),
        "flux_err": np.where(nothing, np.nan, flux_err),
        "chi2": np.full(len(flux), np.nan),
        "ndof": np.zeros(len(flux), dtype=np.int32),
        "n_pixels": n_pixels,
        "coverage": coverage,
    }


def _judge(columns: Columns, batch: Batch, stamps: Stamps, recipe: Recipe) -> Columns:
    """Say what is wrong with each measurement, and take back those that mean nothing."""
    n, good, sky = len(batch), stamps.good, stamps.sky
    inner = (slice(None), *batch.inner)
    inside = batch.inside[:n][inner]
    lost = inside & ~good
    middle = slice(max(0, inside.shape[1] // 2 - 1), inside.shape[1] // 2 + 2)
    peak = lost[:, middle, middle].any(axis=(1, 2))
    columns["bad_fraction"] = 1.0 - good.mean(axis=(1, 2))
    no_sky = (sky.n_pixels < _FEWEST_SKY_PX) & (recipe.annulus is not None)
    no_scatter = ~batch.has_noise[:n] & ~(sky.scatter > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        poor = columns["chi2"] > _POOR * np.maximum(columns["ndof"], 1)
    hopeless = no_sky | no_scatter
    if recipe.psf is None:
        hopeless |= columns["coverage"] < _WHOLE
    failed = hopeless | ~np.isfinite(columns["flux"]) | ~(columns["flux_err"] > 0)
    bits: dict[Quality, Any] = {
        Quality.EDGE: ~inside.all(axis=(1, 2)),
        Quality.MASKED: lost.any(axis=(1, 2)),
        Quality.MASKED_PEAK: peak,
        Quality.LOW_COVERAGE: columns["coverage"] < _LEAST_COVERAGE,
        Quality.SATURATED: batch.saturated[:n][inner].any(axis=(1, 2)),
        Quality.NO_BACKGROUND: no_sky,
        Quality.POOR_FIT: poor & ~failed,
        Quality.FAILED: failed,
        Quality.NO_NOISE: ~batch.has_noise[:n],
    }
    quality = np.zeros(n, dtype=np.int32)
    for bit, holds in bits.items():
        quality |= np.where(holds, int(bit), 0).astype(np.int32)
    columns["quality"] = quality
    for name in ("flux", "flux_err", "chi2"):
        columns[name] = np.where(failed, np.nan, columns[name])
    for name in ("background", "background_err"):
        columns[name] = np.where(no_sky | (recipe.annulus is None), np.nan, columns[name])
    return columns
