"""Positions and fluxes fitted together, by Gauss-Newton steps, all sources of a group at once.

A free position makes faint fluxes too large, since it climbs the nearest peak of the noise (4 %
at a signal of 1 to 10 times the noise); light curves and limits want forced fits.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snapdb.photometry.fitting.blended import fit_blended, sky_columns, solve_scene, summarise, with_sky
from snapdb.photometry.fitting.components import Solution
from snapdb.photometry.fitting.linear import ForcedFit, Weights
from snapdb.photometry.fitting.scene import Scene, make_scene
from snapdb.photometry.fitting.stamps import centre_pixels
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.types import BoolArray, FloatArray, IntArray

STEPS = 40
"""Steps after which a source counts as not converged."""
CLOSE = 1e-5
"""Pixels that a converged position still moves by at most."""
_LARGEST_STEP = 0.5
_SIDE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeFit:
    """Fluxes and positions of N sources."""

    fit: ForcedFit
    """Fluxes; their errors include the positions'. NaN where a source did not converge."""
    x: FloatArray
    """Columns, pixels; NaN where it did not converge."""
    y: FloatArray
    """Rows, pixels."""
    x_err: FloatArray
    """One standard deviation."""
    y_err: FloatArray
    """One standard deviation."""
    converged: BoolArray
    """Whether the position came to rest within the bounds."""
    bounded: BoolArray
    """Whether the position ended at the bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What stays as it is while positions move."""

    stamps: tuple[FloatArray, FloatArray, BoolArray]
    psf: Any
    x: FloatArray
    y: FloatArray
    group: IntArray
    size: int
    weights: Weights
    sky: FloatArray
    sky_err: FloatArray
    fit_sky: bool
    max_shift: float

    def take(self, chosen: IntArray) -> "_Task":
        """Give the task of some sources."""
        picked = {n: getattr(self, n)[chosen] for n in ("x", "y", "sky", "sky_err")}
        stamps = (self.stamps[0][chosen], self.stamps[1][chosen], self.stamps[2][chosen])
        group = np.unique(self.group[chosen], return_inverse=True)[1].astype(np.int64)
        return replace(self, stamps=stamps, group=group, **picked)


def fit_free(
    stamps: tuple[FloatArray, FloatArray, BoolArray],
    psf: Any,
    x: FloatArray,
    y: FloatArray,
    group: IntArray,
    *,
    size: int,
    max_shift: float,
    weights: Weights = "sky",
    sky: FloatArray,
    sky_err: FloatArray,
    fit_sky: bool = False,
) -> tuple[FreeFit, FloatArray]:
    """Fit positions and fluxes of all sources of a group together.

    Parameters
    ----------
    stamps : tuple of array
        Data, variance and good pixels, (N, S, S), about the pixels that `x` and `y` are in.
    psf : PSF
        The model.
    x, y : array
        Where to start, pixels on the image, (N,).
    group : array of int
        Which group each source is of, from 0.
    size : int
        Side of the model's stamps, odd, at least S.
    max_shift : float
        Pixels along x and y that a source may move from where it started.
    weights, sky, sky_err, fit_sky
        As for :func:`~snapdb.photometry.fitting.blended.fit_blended`.

    Returns
    -------
    fit : FreeFit
        Of each source.
    residual : array
        Data less sky and all sources, (N, S, S).
    """
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    task = _Task(
        stamps=stamps,
        psf=psf,
        x=x,
        y=y,
        group=group,
        size=size,
        weights=weights,
        sky=sky,
        sky_err=sky_err,
        fit_sky=fit_sky,
        max_shift=max_shift,
    )
    wide = _render_at(task, x, y)
    first, _ = fit_blended(
        stamps,
        wide,
        centre_pixels(x, y),
        group,
        weights=weights,
        sky=sky,
        sky_err=None if fit_sky else sky_err,
    )
    now_x, now_y, flux, resting = _walk(task, first.flux)
    return _finish(task, now_x, now_y, flux, resting)


def _walk(task: _Task, flux: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Move all sources until they rest: positions, fluxes, and which rest."""
    x, y, flux = task.x.copy(), task.y.copy(), np.nan_to_num(flux)
    resting = np.zeros(len(x), dtype=bool)
    moving = np.arange(len(x))
    for _ in range(STEPS):
        if not len(moving):
            break
        part = task.take(moving)
        solution = _linearise(part, x[moving], y[moving], flux[moving])[2]
        number = len(moving)
        flux[moving] = np.nan_to_num(solution.value[:number])
        step = np.zeros(number)
        for now, start, move in (
            (x, part.x, solution.value[number : 2 * number]),
            (y, part.y, solution.value[2 * number : 3 * number]),
        ):
            bound = np.clip(np.nan_to_num(move), -_LARGEST_STEP, _LARGEST_STEP)
            now[moving] = np.clip(now[moving] + bound, start - task.max_shift, start + task.max_shift)
            step = np.fmax(step, np.where(np.isfinite(move), np.abs(move), np.inf))
        resting[moving] = step < CLOSE
        # A group rests when all its members do.
        busy = np.zeros(int(part.group.max()) + 1, dtype=bool)
        busy[part.group[step >= CLOSE]] = True
        moving = moving[busy[part.group]]
    return x, y, flux, resting


def _linearise(
    task: _Task, x: FloatArray, y: FloatArray, flux: FloatArray
) -> tuple[Scene, Any, Solution, FloatArray]:
    """Solve for fluxes and small moves about where the sources are now."""
    number = len(x)
    model = _render_at(task, x, y)
    slope_x = (_render_at(task, x + _SIDE, y) - _render_at(task, x - _SIDE, y)) / (2 * _SIDE)
    slope_y = (_render_at(task, x, y + _SIDE) - _render_at(task, x, y - _SIDE)) / (2 * _SIDE)
    centre = centre_pixels(task.x, task.y)
    scene = make_scene(
        task.stamps, model, centre, task.group, weights=task.weights, sky=task.sky, sky_err=task.sky_err
    )
    extra = int(task.group.max(initial=-1)) + 1 if task.fit_sky else 0
    total, each = 3 * number + extra, np.arange(number)
    design = scene.to_design(model, each, total)
    for place, slope in ((1, slope_x), (2, slope_y)):
        design = design + scene.to_design(flux[:, None, None] * slope, each + place * number, total)
    if task.fit_sky:
        design = design + sky_columns(scene, 3 * number, extra)
    component = np.concatenate((np.tile(task.group, 3), np.arange(extra)))
    return scene, design, solve_scene(scene, design, component, known_sky=not task.fit_sky), model


def _finish(
    task: _Task, x: FloatArray, y: FloatArray, flux: FloatArray, resting: BoolArray
) -> tuple[FreeFit, FloatArray]:
    """Take errors and residuals where the sources came to rest."""
    number = len(x)
    scene, design, solution, model = _linearise(task, x, y, flux)
    value = np.nan_to_num(solution.value)
    value[number : 3 * number] = 0.0
    left = scene.pixels - design @ value
    bounded = (np.abs(x - task.x) >= task.max_shift) | (np.abs(y - task.y) >= task.max_shift)
    fit = summarise(scene, solution, np.arange(number), model, left, task.sky, task.sky_err, parameters=3)
    if task.fit_sky:
        fit = with_sky(fit, solution, 3 * number, task.group)
    good = resting & ~bounded & np.isfinite(fit.flux)
    errors = np.sqrt(solution.variance)
    lost = {name: np.where(good, getattr(fit, name), np.nan) for name in ("flux", "flux_err", "chi2")}
    found = FreeFit(
        fit=replace(fit, **lost),
        x=np.where(good, x, np.nan),
        y=np.where(good, y, np.nan),
        x_err=np.where(good, errors[number : 2 * number], np.nan),
        y_err=np.where(good, errors[2 * number : 3 * number], np.nan),
        converged=good,
        bounded=bounded,
    )
    return found, scene.to_stamps(left).reshape(task.stamps[0].shape)


def _render_at(task: _Task, x: FloatArray, y: FloatArray) -> FloatArray:
    """Give stamps of sources that moved, still about the pixels that they started in."""
    column, row = centre_pixels(task.x, task.y)
    now_column, now_row = centre_pixels(x, y)
    right, up = now_column - column, now_row - row
    room = int(max(np.abs(right).max(initial=0), np.abs(up).max(initial=0)))
    stamps = render_stamps(task.psf, x, y, task.size + 2 * room)
    if room == 0:
        return stamps
    reach = np.arange(task.size)
    rows, columns = room - up[:, None] + reach, room - right[:, None] + reach
    return np.asarray(stamps[np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]])
