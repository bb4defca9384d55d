"""Fitting a cutout's template to its image: stdpipe's function."""

from collections.abc import Callable
from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.adjustment import Adjustment, TemplateFit
from snapdb.pixels.crops import as_whole
from snapdb.types import BoolArray, PixelArray


def adjust_cutout(
    cutout: Any,
    max_shift: float = 2,
    max_scale: float = 1.1,
    inner: int | None = None,
    normalize: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
    fit_bg: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
    verbose: bool | Callable[..., Any] = False,  # noqa: FBT001, FBT002  # the seed's signature
) -> bool:
    """Move and scale a cutout's template until it fits the image, and keep the difference.

    Parameters
    ----------
    cutout : Cutout or dict
        With the planes ``image``, ``convolved`` (the template, at the image's resolution) and ``err``
        (one standard deviation); ``mask``, True where a pixel of either is bad, is heeded.
    max_shift : float
        Greatest shift along each axis, pixels.
    max_scale : float
        The scale lies between ``1 / max_scale`` and it.
    inner : int, optional
        Side of the central box whose pixels are fitted; all pixels by default.
    normalize : bool
        Whether the difference is divided by ``err``.
    fit_bg : bool
        Whether the image's background is fitted; else it is estimated and held.
    verbose : bool or callable
        Whether to print what was found, or what to print with.

    Returns
    -------
    bool
        Whether there was a fit. If so, ``cutout["adjusted"]`` is the difference, and
        ``cutout["meta"]`` has ``adjust_chi2_0``, ``adjust_chi2``, ``adjust_df``, ``adjust_pval``,
        ``adjust_dx``, ``adjust_dy``, ``adjust_scale``, ``adjust_bg``, ``adjust_tbg``, for those that were
        fitted an error, such as ``adjust_dx_err``, and ``adjust_at_limit``.

    Raises
    ------
    UsageError
        If a plane is missing, or a bound cannot be.
    ShapeError
        If the planes differ in shape, or `inner` is no whole number of at least 1.

    Notes
    -----
    As stdpipe's, mended: ``dx`` is along x and ``dy`` along y, how far the template is moved;
    bad pixels stay out of the fit wherever the shift takes them, and so do pixels without a
    template; the difference is divided by ``err`` once; the degrees of freedom count the
    parameters; what is found lies within the bounds, ends included; the backgrounds are
    estimated from clipped pixels; of the two backgrounds, which cannot be told apart, one is
    fitted; ``inner`` is exact, also for stamps that are not square.
    """
    image, template, err, mask = _planes(cutout)
    if not (np.isfinite(max_shift) and max_shift >= 0 and np.isfinite(max_scale) and max_scale >= 1):
        what = "a shift of 0 or more, a scale of 1 or more"
        msg = f"max_shift={max_shift}, max_scale={max_scale}: expected {what}"
        raise UsageError(msg, max_shift=max_shift, max_scale=max_scale)
    if inner is not None and as_whole(inner, name="inner") < 1:
        msg = f"inner = {inner}: expected a side of 1 pixel or more, or None for all pixels"
        raise ShapeError(msg, inner=inner)
    found = TemplateFit(image, template, err, mask, inner).fit(max_shift, max_scale, fit_bg=bool(fit_bg))
    log: Callable[..., Any] | None = verbose if callable(verbose) else print if verbose else None
    if found is None:
        if log:
            log("The template cannot be fitted: there are too few good pixels")
        return False
    _keep(cutout, found, err if normalize else None)
    if log:
        values = ", ".join(f"{name} {value:.4g}" for name, value in found.values.items())
        log(f"Template adjusted: {values}; chi2 {found.chi2_0:.2f} -> {found.chi2:.2f}, df {found.df}")
    return True


def _planes(cutout: Any) -> tuple[PixelArray, PixelArray, PixelArray, BoolArray]:
    """Take image, template, errors and mask from a cutout."""
    planes = []
    for name in ("image", "convolved", "err"):
        if name not in cutout:
            msg = f"the cutout has no plane {name!r}; adjust_cutout needs image, convolved and err"
            raise UsageError(msg, plane=name)
        planes.append(np.asarray(cutout[name]))
    image, template, err = planes
    try:
        mask = np.asarray(cutout["mask"], dtype=bool)  # a Cutout has one even where it lists none
    except KeyError:
        mask = ~np.isfinite(image)
    if image.ndim != 2 or {template.shape, err.shape, mask.shape} != {image.shape}:
        shapes = [plane.shape for plane in (*planes, mask)]
        msg = f"image, convolved, err and mask have shapes {shapes}; expected one shape of two axes"
        raise ShapeError(msg, shapes=shapes)
    return image, template, err, mask


def _keep(cutout: Any, found: Adjustment, err: PixelArray | None) -> None:
    """Write what was found into the cutout."""
    from scipy.stats import chi2  # type: ignore[import-untyped,unused-ignore]

    meta = cutout.get("meta")
    meta = {} if meta is None else meta
    meta |= {
        "adjust_chi2_0": found.chi2_0,
        "adjust_chi2": found.chi2,
        "adjust_df": found.df,
        "adjust_pval": float(chi2.sf(found.chi2, found.df)),
        **{f"adjust_{name}": value for name, value in found.values.items()},
        **{f"adjust_{name}_err": value for name, value in found.errors.items()},
        "adjust_at_limit": found.at_limit,
    }
    cutout["meta"] = meta
    difference = found.difference
    if err is not None:
        with np.errstate(invalid="ignore"):
            known = np.isfinite(err) & (err > 0)
        difference = np.divide(difference, err, out=np.full(difference.shape, np.nan), where=known)
    cutout["adjusted"] = difference
