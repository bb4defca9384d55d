"""PSF photometry of an image: which sources, which pixels, which fit."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from snapdb.archive.photometry.positions import Positions, read_positions
from snapdb.archive.photometry.psf_pixels import Background, StampRules, StampSet, make_rules, read_stamps
from snapdb.archive.photometry.psf_table import FittedRows, lose_doubles, make_table, mark_survivors
from snapdb.errors import UsageError
from snapdb.photometry.background import Estimator, check_ring
from snapdb.photometry.fitting.blended import fit_blended
from snapdb.photometry.fitting.free import fit_free
from snapdb.photometry.fitting.linear import Weights, check_weights, fit_forced
from snapdb.photometry.fitting.residual import subtract_sources
from snapdb.photometry.fitting.scene import find_reach, link_sources, link_within
from snapdb.photometry.fitting.stamps import centre_pixels
from snapdb.photometry.lengths import to_number, to_pixels
from snapdb.photometry.psf.protocol import check_psf, render_stamps
from snapdb.types import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from astropy.table import Table

    from snapdb.archive.planar import PlanarImage


def psf_phot(
    image: "PlanarImage",
    init_params: Any,
    psf: Any,
    forced_phot: bool = True,  # noqa: FBT001, FBT002  # the seed's signature
    fit_shape: int | tuple[int, int] = (5, 5),
    bginner: float = 15,
    bgouter: float = 25,
    return_resid_image: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
    *,
    group: bool | float = True,
    weights: Weights = "sky",
    background: Background = "annulus",
    estimator: Estimator = "clipped",
    bad_bits: Any = None,
    mask_neighbours: bool = True,
    max_shift: float | None = None,
) -> "Table | tuple[Table, FloatArray]":
    """Measure fluxes of sources with a PSF, at given positions or with free ones.

    Parameters
    ----------
    image : Image
        With data, and noise and flags where it has them.
    init_params : Table, DataFrame, mapping, structured array, array or SkyCoord
        Positions: columns ``x`` and ``y`` (also ``x_init``, ``xcentroid`` ...; 0-based pixels) or
        ``ra`` and ``dec`` (ICRS degrees), or an array (N, 2) of pixels. As photutils has it, a column
        ``local_bkg`` is the sky under each source, in the data's units, taken as exact (where it
        is NaN, and unless `background` is ``annulus``, it is not heeded), and ``group_id`` says which
        sources are fitted together (where `group` is True). ``flux_init`` is handed on; no fit
        needs it.
    psf : PSF
        Has ``stamp_size`` and ``get_stamp``; evaluated at each source's own position.
    forced_phot : bool
        Keep the positions. Free ones move by small steps, all of a group at once.
    fit_shape : int or tuple of int
        Rows and columns that are fitted, odd.
    bginner, bgouter : float
        Radii of the ring that tells the sky, pixels or Quantities of angles.
    return_resid_image : bool
        Give the image without its sources too; its sky stays.
    group : bool or float
        True fits sources together that have one ``group_id`` or, without that column, whose light
        reaches each other's stamps; False fits each alone; a number joins those within so
        many pixels.
    weights : str
        ``sky``, ``uniform`` or ``variance``; see :func:`~snapdb.photometry.fitting.linear.fit_forced`.
    background : str
        ``annulus`` subtracts the sky of a ring about each source, ``none`` nothing, ``fit``
        fits a constant with the fluxes of a group.
    estimator : str
        How the ring tells the sky: ``clipped``, ``median``, ``mode`` or ``mmm``. The first is 0.03
        to 0.06 counts too low where the sky has fewer than about 10 counts a pixel.
    bad_bits : int, str or list, optional
        Flags whose pixels are left out: numbers or names, as ``"SATURATED,HOT"`` or
        ``"~WARM"``; by default the image's own, and saturation.
    mask_neighbours : bool
        Leave pixels near the other positions out of the ring, unless less than 100 are left.
    max_shift : float, optional
        Pixels that a free position may move along x and y; half the fit's shape by default.

    Returns
    -------
    Table
        One row a position, in their order; each column says what it is. A position that
        cannot be measured has NaN, and bits of :class:`~snapdb.photometry.quality.Quality`.
    array
        The residual image, float64, when asked for.

    Raises
    ------
    UsageError
        If an option has no such value, the positions have no columns that are known, or
        the object is no PSF.
    ShapeError
        If the positions are no list, or a stamp of the PSF is no odd square.
    ProjectionError
        If sky positions are given and the image has no world coordinates.
    """
    ring = _as_ring(image, bginner, bgouter)
    shape = _check_options(fit_shape, background, ring, weights)
    _check_group(group)
    shift = _as_shift(max_shift, shape)
    positions = read_positions(image, init_params)
    _check_groups(positions)
    check_psf(psf)
    here = psf.at(image) if callable(getattr(psf, "at", None)) else psf
    check_psf(here)
    rules = make_rules(image, shape, background, ring, estimator, bad_bits)
    task = _Task(
        psf=here,
        rules=rules,
        weights=weights,
        group=group,
        forced=bool(forced_phot),
        shift=shift,
        apart=mask_neighbours,
    )
    rows = _measure(image, positions, task)
    about = {"fit_shape": shape, "background": background, "weights": weights, "forced_phot": task.forced}
    table = make_table(image, positions, rows, about)
    if not return_resid_image:
        return table
    return table, subtract_sources(image.data, here, rows.x, rows.y, rows.fit.flux)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What a call wants of each source."""

    psf: Any
    rules: StampRules
    weights: Weights
    group: bool | float
    forced: bool
    shift: float
    apart: bool

    @property
    def is_grouped(self) -> bool:
        """Whether the sources themselves say which are fitted together."""
        return isinstance(self.group, bool | np.bool_) and bool(self.group)

    @property
    def fit_sky(self) -> bool:
        """Whether the sky is fitted."""
        return self.rules.background == "fit"


def _check_options(
    fit_shape: Any, background: str, ring: tuple[float, float], weights: str
) -> tuple[int, int]:
    """Refuse options that mean nothing; give the fit's rows and columns."""
    check_weights(weights)
    if background not in get_args(Background):
        msg = f"background={background!r}: expected one of {', '.join(get_args(Background))}"
        raise UsageError(msg, background=background)
    if background == "annulus":
        check_ring(*ring)
    sides = tuple(np.atleast_1d(np.asarray(fit_shape)).tolist())
    sides = sides * 2 if len(sides) == 1 else sides
    if len(sides) != 2 or not all(isinstance(s, int) and s >= 1 and s % 2 for s in sides):
        msg = f"fit_shape={fit_shape!r}: expected odd numbers of rows and columns, such as (5, 5)"
        raise UsageError(msg, fit_shape=fit_shape)
    return sides[0], sides[1]


def _as_ring(image: "PlanarImage", inner: Any, outer: Any) -> tuple[float, float]:
    """Take the radii of the ring, pixels or angles."""
    radii = [
        to_number(to_pixels(value, image.pixel_scale, name), name, "a radius in pixels, or an angle")
        for name, value in (("bginner", inner), ("bgouter", outer))
    ]
    return radii[0], radii[1]


def _check_group(group: Any) -> None:
    """Refuse what neither is yes or no nor a separation."""
    if not isinstance(group, bool | np.bool_):
        to_number(group, "group", "True, False, or a separation in pixels")


def _check_groups(positions: Positions) -> None:
    """Refuse groups that are no whole numbers."""
    groups = positions.groups
    if groups is not None and not (np.isfinite(groups) & (groups == np.floor(groups))).all():
        msg = "column 'group_id' holds more than whole numbers; leave it out, or number each group"
        raise UsageError(msg, column="group_id")


def _as_shift(max_shift: Any, shape: tuple[int, int]) -> float:
    """Take how far a free position may move."""
    if max_shift is None:
        return max(shape) / 2
    shift = to_number(max_shift, "max_shift", "pixels above 0")
    if not 0.0 < shift < np.inf:
        msg = f"max_shift={max_shift!r}: expected pixels above 0, or None"
        raise UsageError(msg, max_shift=max_shift)
    return shift


def _measure(image: "PlanarImage", positions: Positions, task: _Task) -> FittedRows:
    """Fit the positions that lie on the image."""
    rows = FittedRows.make(len(positions))
    on = np.flatnonzero(positions.inside(image.width, image.height))
    rows.on_image[on] = True
    if len(on) == 0:
        return rows
    x, y = positions.x[on], positions.y[on]
    reach = find_reach(task.psf, float(np.median(x)), float(np.median(y)))
    stamps = read_stamps(image, x, y, task.rules, reach if task.apart else None)
    if positions.local_bkg is not None and task.rules.background == "annulus":
        stamps = stamps.with_sky(positions.local_bkg[on])
    wide = max(task.rules.size, 2 * reach + 1)
    column, row = centre_pixels(x, y)
    linked = task.rules.size // 2 + wide // 2
    near = link_sources(column, row, linked)
    groups = positions.groups[on] if positions.groups is not None and task.is_grouped else None
    labels = _label(task, near, x, y) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(labels)[labels]
    rows.take_stamps(on, stamps)
    rows.group[on], rows.group_size[on] = labels + 1 if groups is None else groups, sizes
    rows.near[on] = np.bincount(near)[near] > sizes
    crowd, lone = np.flatnonzero(sizes > 1), np.flatnonzero(sizes == 1)
    if not task.forced:
        _fit_free(rows, on, x, y, _pick(stamps, np.arange(len(on))), labels, wide, task)
        lose_doubles(rows, on, rows.x[on], rows.y[on], labels)
        lose_doubles(rows, on, x, y, labels)
        mark_survivors(rows, on, x, y, labels, linked)
        return rows
    rows.x[on], rows.y[on] = x, y
    if len(lone):
        _fit_lone(rows, on[lone], x[lone], y[lone], _pick(stamps, lone), task)
    if len(crowd):
        _fit_crowd(rows, on[crowd], x[crowd], y[crowd], _pick(stamps, crowd), labels[crowd], wide, task)
    lose_doubles(rows, on, x, y, labels)
    return rows


def _label(task: _Task, near: IntArray, x: FloatArray, y: FloatArray) -> IntArray:
    """Say which sources are fitted together."""
    if task.is_grouped:
        return near
    if isinstance(task.group, bool | np.bool_):
        return np.arange(len(x))
    return link_within(x, y, float(task.group))


_Picked = tuple[tuple[FloatArray, FloatArray, BoolArray], FloatArray, FloatArray]


def _pick(stamps: StampSet, some: IntArray) -> _Picked:
    """Give pixels and sky of some of the stamps."""
    pixels = (stamps.data[some], stamps.variance[some], stamps.good[some])
    return pixels, stamps.sky[some], stamps.sky_err[some]


def _fit_lone(
    rows: FittedRows, at: IntArray, x: FloatArray, y: FloatArray, picked: _Picked, task: _Task
) -> None:
    """Fit sources that stand alone, in closed form."""
    (data, variance, good), sky, sky_err = picked
    model = render_stamps(task.psf, x, y, task.rules.size)
    fit = fit_forced(
        data,
        variance,
        good,
        model,
        weights=task.weights,
        sky=sky,
        sky_err=None if task.fit_sky else sky_err,
        fit_sky=task.fit_sky,
    )
    left = data - fit.sky[:, None, None] - fit.flux[:, None, None] * model
    rows.take_fit(at, fit, np.where(good, left, 0.0))


def _fit_crowd(
    rows: FittedRows,
    at: IntArray,
    x: FloatArray,
    y: FloatArray,
    picked: _Picked,
    labels: IntArray,
    wide: int,
    task: _Task,
) -> None:
    """Fit groups of sources."""
    stamps, sky, sky_err = picked
    fit, left = fit_blended(
        stamps,
        render_stamps(task.psf, x, y, wide),
        centre_pixels(x, y),
        labels,
        weights=task.weights,
        sky=sky,
        sky_err=sky_err,
        fit_sky=task.fit_sky,
    )
    rows.take_fit(at, fit, left)


def _fit_free(
    rows: FittedRows,
    at: IntArray,
    x: FloatArray,
    y: FloatArray,
    picked: _Picked,
    labels: IntArray,
    wide: int,
    task: _Task,
) -> None:
    """Fit positions too."""
    stamps, sky, sky_err = picked
    found, left = fit_free(
        stamps,
        task.psf,
        x,
        y,
        labels,
        size=wide,
        max_shift=task.shift,
        weights=task.weights,
        sky=sky,
        sky_err=sky_err,
        fit_sky=task.fit_sky,
    )
    rows.take_fit(at, found.fit, left)
    for name in ("x", "y", "x_err", "y_err", "converged", "bounded"):
        getattr(rows, name)[at] = getattr(found, name)
