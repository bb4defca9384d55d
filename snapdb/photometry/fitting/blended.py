"""The fluxes of sources whose light overlaps, solved together.

All fluxes of a group are one linear problem (e.g. Stetson 1987, PASP 99, 191, section III.D), so
that crowding neither biases them nor needs a starting value, and their errors say how far the
neighbours can be told apart.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from snapdb.photometry.fitting.components import Solution, solve_components
from snapdb.photometry.fitting.linear import ForcedFit, Weights, check_weights
from snapdb.photometry.fitting.scene import Scene, make_scene
from snapdb.photometry.fitting.stamps import crop_stamps
from snapdb.types import BoolArray, FloatArray, IntArray


def fit_blended(
    stamps: tuple[FloatArray, FloatArray, BoolArray],
    wide: FloatArray,
    centre: tuple[IntArray, IntArray],
    group: IntArray,
    *,
    weights: Weights = "sky",
    sky: FloatArray | None = None,
    sky_err: FloatArray | None = None,
    fit_sky: bool = False,
) -> tuple[ForcedFit, FloatArray]:
    """Fit the fluxes of all sources of a group together, of many groups at once.

    Parameters
    ----------
    stamps : tuple of array
        Data, variance and good pixels about each source, (N, S, S), all of one image.
    wide : array
        PSF of unit flux of each source, (N, R, R), with R >= S odd: wide enough for the
        light that falls on the stamps of neighbours.
    centre : tuple of array of int
        Column and row of the middle of each stamp on the image.
    group : array of int
        Which group each source is of, from 0.
    weights, fit_sky
        As for :func:`~snapdb.photometry.fitting.linear.fit_forced`; one sky a group is fitted.
    sky, sky_err : array, optional
        Level about each source and its error; in a group the errors count as one and the
        same, since the rings about neighbours share most of their pixels.

    Returns
    -------
    fit : ForcedFit
        Of each source; `chi2`, `ndof`, `n_pixels` and `coverage` are those of its own stamp.
        NaN where pixels do not tell a source from its neighbours: two at one place.
    residual : array
        Data less sky and all sources, (N, S, S); 0 where a pixel is not good.

    Raises
    ------
    UsageError
        If `weights` is none of the three.
    """
    check_weights(weights)
    number = len(group)
    level, level_err = (
        np.broadcast_to(0.0 if v is None else v, (number,)).astype(float) for v in (sky, sky_err)
    )
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    scene = make_scene(stamps, wide, centre, group, weights=weights, sky=level, sky_err=level_err)
    fluxes = np.arange(number)
    extra = int(group.max(initial=-1)) + 1 if fit_sky else 0
    design = scene.to_design(wide, fluxes, number + extra)
    if fit_sky:
        design = design + sky_columns(scene, number, extra)
    component = np.concatenate((group, np.arange(extra)))
    solution = solve_scene(scene, design, component, known_sky=not fit_sky)
    left = scene.pixels - design @ np.nan_to_num(solution.value)
    fit = summarise(scene, solution, fluxes, wide, left, level, level_err)
    if fit_sky:
        fit = with_sky(fit, solution, number, group)
    return fit, scene.to_stamps(left).reshape(stamps[0].shape)


def solve_scene(scene: Scene, design: Any, component: IntArray, *, known_sky: bool = True) -> Solution:
    """Solve for the parameters of a scene.

    Parameters
    ----------
    scene : Scene
        Its pixels.
    design : scipy sparse array
        Of shape (pixels, parameters).
    component : array of int
        Group of each parameter.
    known_sky : bool
        Whether the error of the subtracted sky enters.

    Returns
    -------
    Solution
        The variance includes the sky's.
    """
    weighted = (design.multiply(scene.weight[:, None])).tocsr()
    spread = weighted.multiply(np.sqrt(scene.variance)[:, None]).tocsr()
    shift = scene.level_err if known_sky else np.zeros(scene.number)
    right = np.stack((weighted.T @ scene.pixels, weighted.T @ shift), axis=1)
    found = solve_components((weighted.T @ design).tocsr(), (spread.T @ spread).tocsr(), right, component)
    return Solution(value=found.value, variance=found.variance + found.shift**2, shift=found.shift)


def summarise(
    scene: Scene,
    solution: Solution,
    fluxes: IntArray,
    wide: FloatArray,
    left: FloatArray,
    level: FloatArray,
    level_err: FloatArray,
    parameters: int = 1,
) -> ForcedFit:
    """Say of each source what is said of a single one.

    Parameters
    ----------
    scene : Scene
        Its pixels.
    solution : Solution
        Of all parameters.
    fluxes : array of int
        Which parameters are the fluxes.
    wide : array
        Unit-flux PSFs, (N, R, R).
    left : array
        Residual of each pixel of the scene.
    level, level_err : array
        Sky of each source, and its error.
    parameters : int
        Fitted ones a source.

    Returns
    -------
    ForcedFit
        Of the N sources.
    """
    flux = solution.value[fluxes]
    use = scene.place >= 0
    n_pixels = use.sum(axis=1)
    side = round(use.shape[1] ** 0.5)
    psf = crop_stamps(wide, side).reshape(use.shape)
    total = np.einsum("ij,ij->i", psf, psf)
    seen = np.einsum("ij,ij->i", psf * use, psf)
    chi2 = scene.to_stamps(left**2 / scene.variance).sum(axis=1)
    return ForcedFit(
        flux=flux,
        flux_err=np.sqrt(solution.variance[fluxes]),
        sky=level,
        sky_err=level_err,
        chi2=np.where(np.isfinite(flux), chi2, np.nan),
        ndof=n_pixels - parameters,
        n_pixels=n_pixels,
        coverage=np.where(total > 0, seen / np.where(total > 0, total, 1.0), 0.0),
    )


def sky_columns(scene: Scene, number: int, extra: int) -> Any:
    """Give columns of ones, one for each group.

    Parameters
    ----------
    scene : Scene
        Its pixels.
    number : int
        Parameters before them.
    extra : int
        How many groups there are.

    Returns
    -------
    scipy sparse array
        Of shape (pixels, number + extra).
    """
    from scipy.sparse import csr_array

    owner = np.zeros(scene.number, dtype=np.int64)
    used = scene.place >= 0
    owner[scene.place[used]] = np.broadcast_to(scene.group[:, None], used.shape)[used]
    ones = np.ones(scene.number)
    return csr_array((ones, (np.arange(scene.number), number + owner)), (scene.number, number + extra))


def with_sky(fit: ForcedFit, solution: Solution, number: int, group: IntArray) -> ForcedFit:
    """Add the skies that were fitted.

    Parameters
    ----------
    fit : ForcedFit
        Without them.
    solution : Solution
        Whose parameters from `number` on are the skies.
    number : int
        Parameters before them.
    group : array of int
        Group of each source.

    Returns
    -------
    ForcedFit
        With the sky of each source's group.
    """
    sky, variance = solution.value[number:][group], solution.variance[number:][group]
    return replace(fit, sky=fit.sky + sky, sky_err=np.sqrt(variance), ndof=fit.ndof - 1)
