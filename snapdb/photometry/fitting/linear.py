"""The flux of one PSF at a known position, in closed form, for any number of stamps at once.

With a PSF ``P`` of unit flux, pixels ``D`` above the sky and weights ``w``, the flux is
``sum(w P D) / sum(w P P)`` (e.g. Naylor 1998, MNRAS 296, 339, eq. 5 and 12). There is no starting
value, and a flux may be zero or negative. Weights built from the data themselves lower faint
fluxes by several percent, since a pixel that fluctuates down gets more weight; so by default they
are those of the sky, while errors use the whole variance of every pixel.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.types import BoolArray, FloatArray, IntArray, PixelArray

Weights: TypeAlias = Literal["sky", "uniform", "variance"]

CHOICES: tuple[str, ...] = get_args(Weights)
WORSE = 10.0
"""How many times the variance that sky and source explain makes a pixel count less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedFit:
    """Fluxes of N stamps; every field is an array (N,). NaN where a stamp has too few good pixels."""

    flux: FloatArray
    """In the data's units, of either sign."""
    flux_err: FloatArray
    """One standard deviation: the pixels' variance, and that of the sky."""
    sky: FloatArray
    """Level that was subtracted or fitted, a pixel."""
    sky_err: FloatArray
    """Its standard deviation; 0 where the sky is taken as known."""
    chi2: FloatArray
    """Sum of squared residuals over the variance, good pixels."""
    ndof: IntArray
    """Good pixels less fitted parameters."""
    n_pixels: IntArray
    """Good pixels."""
    coverage: FloatArray
    """``sum(P^2)`` of the good pixels over that of all: the share of the information that is left."""


def fit_forced(
    data: FloatArray,
    variance: FloatArray,
    good: BoolArray,
    model: FloatArray,
    *,
    weights: Weights = "sky",
    sky: FloatArray | None = None,
    sky_err: FloatArray | None = None,
    fit_sky: bool = False,
) -> ForcedFit:
    """Fit the flux of a PSF that stands still to each stamp.

    Parameters
    ----------
    data : array
        Stamps, shape (N, S, S): N positions of one image, one position on N images, or both.
    variance : array
        Of each pixel, that of the source included; broadcasts against `data`.
    good : array of bool
        Pixels to use; those that are not finite or have no positive variance are left out.
    model : array
        PSF of unit flux on each stamp, integrated over pixels; broadcasts against `data`.
    weights : str
        ``sky``: one weight a stamp, less only for pixels whose variance is more than ten
        times what sky and source explain. ``uniform``: one weight. ``variance``: the inverse
        of `variance`, the best choice where that does not come from the data.
    sky : array, optional
        Level to subtract, shape (N,) or a number; 0 by default.
    sky_err : array, optional
        Its standard deviation, which enters the flux's error; 0 by default.
    fit_sky : bool
        Fit a constant sky with the flux, above `sky`, instead of taking it as known.

    Returns
    -------
    ForcedFit
        Arrays of shape (N,).

    Raises
    ------
    ShapeError
        If the arrays are not (N, S, S) or do not fit each other.
    UsageError
        If `weights` is none of the three, or both `fit_sky` and `sky_err` are given.
    """
    check_weights(weights)
    if fit_sky and sky_err is not None:
        msg = "fit_sky=True finds the sky's error itself: leave sky_err out, or fit_sky"
        raise UsageError(msg, name="sky_err")
    stamps = np.asarray(data, dtype=np.float64)
    if stamps.ndim != 3:
        msg = f"data has shape {stamps.shape}: expected stamps (N, S, S)"
        raise ShapeError(msg, shape=stamps.shape)
    level, level_err = (one_each(v, len(stamps)) for v in (sky, sky_err))
    whole, var = (np.asarray(_flat(v, stamps.shape), dtype=np.float64) for v in (model, variance))
    use = _flat(good, stamps.shape).astype(bool)
    pixels = _flat(stamps, stamps.shape) - level[:, None]
    with np.errstate(invalid="ignore"):
        use = use & np.isfinite(pixels) & np.isfinite(whole) & np.isfinite(var) & (var > 0)
    pixels, psf, var = np.where(use, pixels, 0.0), np.where(use, whole, 0.0), np.where(use, var, 1.0)
    weight = weigh(var, use, psf, weights)
    solve = _with_sky if fit_sky else _without_sky
    solution = solve(pixels, var, psf, weight, level_err)
    left = np.where(use, pixels - solution[2][:, None] - solution[0][:, None] * psf, 0.0)
    return _as_fit(solution, level, _dot(left, left / var), use, _share(psf, whole), 2 if fit_sky else 1)


def _as_fit(
    solution: "Solution",
    level: FloatArray,
    chi2: FloatArray,
    use: BoolArray,
    coverage: FloatArray,
    fitted: int,
) -> ForcedFit:
    """Put an answer together."""
    flux, flux_err, extra, sky_err = solution
    n_pixels = use.sum(axis=1)
    return ForcedFit(
        flux=flux,
        flux_err=flux_err,
        sky=level + extra,
        sky_err=sky_err,
        chi2=np.where(np.isfinite(flux), chi2, np.nan),
        ndof=n_pixels - fitted,
        n_pixels=n_pixels,
        coverage=coverage,
    )


def _share(psf: FloatArray, whole: FloatArray) -> FloatArray:
    """Give the share of the information that the used pixels hold; 0 where there is none."""
    total = _dot(whole, whole)
    return np.asarray(np.where(total > 0, _dot(psf, psf) / np.where(total > 0, total, 1.0), 0.0))


def check_weights(weights: str) -> None:
    """Refuse a way of weighting that there is not.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if weights not in CHOICES:
        msg = f"weights={weights!r}: expected one of {', '.join(CHOICES)}"
        raise UsageError(msg, weights=weights)


def weigh(variance: FloatArray, use: BoolArray, psf: FloatArray, weights: Weights) -> FloatArray:
    """Give the weight of each pixel, 0 where it is not used.

    Parameters
    ----------
    variance : array
        Of each pixel, positive; shape (N, S * S).
    use : array of bool
        Pixels to use.
    psf : array
        Unit flux, 0 where not used.
    weights : str
        As for :func:`fit_forced`.

    Returns
    -------
    array
        Of the shape of `variance`; 1 / variance in its units, save for ``uniform``.
    """
    if weights == "uniform":
        return use.astype(np.float64)
    if weights == "variance":
        return np.where(use, 1.0 / variance, 0.0)
    floor = _middle(variance, use)
    expected = floor[:, None] + _photon_variance(variance, use, psf, floor)[:, None] * psf
    worse = use & (variance > WORSE * expected)
    weight = np.where(use, 1.0 / floor[:, None], 0.0)
    return np.where(worse, 1.0 / variance, weight) if worse.any() else weight


def _photon_variance(variance: FloatArray, use: BoolArray, psf: FloatArray, floor: FloatArray) -> FloatArray:
    """Estimate what a source adds to the variance, per unit of its PSF, from the core: (N,), at least 0."""
    side = round(psf.shape[1] ** 0.5)
    if side < 3:
        return np.zeros(len(psf))
    rows = np.arange(side // 2 - 1, side // 2 + 2)
    core = (rows[:, None] * side + rows).ravel()
    inside, shape = use[:, core] & (psf[:, core] > 0), psf[:, core]
    ratio = (variance[:, core] - floor[:, None]) / np.where(inside, shape, 1.0)
    return np.asarray(np.maximum(np.where(inside.any(axis=1), _middle(ratio, inside), 0.0), 0.0))


def _middle(values: FloatArray, use: BoolArray) -> FloatArray:
    """Give the (lower) median of each row's used values; 1 where there is none."""
    ordered = np.sort(np.where(use, values, np.inf), axis=1)
    count = use.sum(axis=1)
    picked = ordered[np.arange(len(ordered)), np.maximum(count - 1, 0) // 2]
    return np.asarray(np.where(count > 0, picked, 1.0))


Solution: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _without_sky(
    pixels: FloatArray, var: FloatArray, psf: FloatArray, weight: FloatArray, level_err: FloatArray
) -> Solution:
    """Solve for the flux alone: flux, its error, no further sky, the error of the sky that was subtracted."""
    weighted = weight * psf
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = _dot(weighted, psf)
        norm = np.where(norm > 0, norm, np.nan)
        lever = weighted.sum(axis=1) / norm
        flux = _dot(weighted, pixels) / norm
        flux_var = _dot(weighted**2, var) / norm**2 + np.where(level_err > 0, (lever * level_err) ** 2, 0.0)
    return flux, np.sqrt(flux_var), np.zeros_like(flux), level_err


def _with_sky(
    pixels: FloatArray, var: FloatArray, psf: FloatArray, weight: FloatArray, level_err: FloatArray
) -> Solution:
    """Solve for flux and a constant sky: flux, its error, sky, its error."""
    del level_err  # found here
    spp, sp, s = _dot(weight * psf, psf), _dot(weight, psf), weight.sum(axis=1)
    spd, sd = _dot(weight * psf, pixels), _dot(weight, pixels)
    determinant = spp * s - sp**2
    # A PSF that is as good as flat over the good pixels cannot be told from sky.
    determinant = np.where(determinant > 1e-10 * spp * s, determinant, np.nan)
    to_flux = weight * (psf * s[:, None] - sp[:, None]) / determinant[:, None]
    to_sky = weight * (spp[:, None] - sp[:, None] * psf) / determinant[:, None]
    flux, sky = (spd * s - sp * sd) / determinant, (spp * sd - sp * spd) / determinant
    return flux, np.sqrt(_dot(to_flux**2, var)), sky, np.sqrt(_dot(to_sky**2, var))


def _dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Sum products along each row."""
    return np.asarray(np.einsum("ij,ij->i", first, second))


def one_each(value: FloatArray | None, number: int) -> FloatArray:
    """Give one number a stamp.

    Parameters
    ----------
    value : array, float or None
        One for all, or one for each; None is 0.
    number : int
        How many stamps.

    Returns
    -------
    array
        Shape (number,).

    Raises
    ------
    ShapeError
        If there are more or fewer.
    """
    given = np.asarray(0.0 if value is None else value, dtype=np.float64)
    if given.shape not in ((), (1,), (number,)):
        msg = (
            f"sky or sky_err has shape {given.shape}: expected one number, or one for each of {number} stamps"
        )
        raise ShapeError(msg, shape=given.shape)
    return np.broadcast_to(given, (number,))


def _flat(value: PixelArray, shape: tuple[int, ...]) -> PixelArray:
    """Give an array in the stamps' shape, one row a stamp."""
    given = np.asarray(value)
    try:
        return np.broadcast_to(given, shape).reshape(shape[0], shape[1] * shape[2])
    except ValueError as err:
        msg = f"stamps have shape {shape}, but model, variance or good has {given.shape}"
        raise ShapeError(msg, shape=given.shape) from err
