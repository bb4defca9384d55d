"""How a source's light grows with the aperture, and what an aperture misses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.errors import NotFoundError, ShapeError, UsageError
from snapdb.photometry.apertures import Circle, compute_weights, stamp_size
from snapdb.photometry.psf.protocol import render_stamps
from snapdb.types import FloatArray, IntArray

_CLIP = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthCurve:
    """The fraction of a point source's light within each radius."""

    radii: FloatArray
    """Radii, pixels, ascending."""
    fraction: FloatArray
    """Light within, of that within the last radius, or of all where a PSF tells it."""
    fraction_err: FloatArray
    """One standard deviation of the mean of the sources; 0 for a PSF."""
    n_sources: IntArray
    """Sources that tell each radius."""

    def fraction_at(self, radius: Any) -> FloatArray:
        """Give the fraction within a radius between those that were measured.

        Parameters
        ----------
        radius : float or array
            Pixels.

        Returns
        -------
        array
            By straight lines in area; NaN beyond the radii of the curve.
        """
        area = np.square(np.asarray(radius, dtype=np.float64))
        return np.asarray(
            np.interp(area, self.radii**2, self.fraction, left=np.nan, right=np.nan), dtype=np.float64
        )

    def correction(self, radius: Any) -> FloatArray:
        """Give the factor from the light within a radius to all of it, for ``apcor=``.

        Parameters
        ----------
        radius : float or array
            Pixels.

        Returns
        -------
        array
            1 over :meth:`fraction_at`.
        """
        return np.asarray(1.0 / self.fraction_at(radius))


def measure_growth(radii: Any, fluxes: Any, errors: Any) -> GrowthCurve:
    """Combine the fluxes of several sources within several radii.

    Parameters
    ----------
    radii : array, shape (R,)
        Pixels, ascending.
    fluxes, errors : array, shape (N, R)
        Of each source within each radius, the background subtracted. A source counts by the
        square of its ratio of flux to error; one whose fraction is more than 4 standard
        deviations from the median, a blend, does not count there.

    Returns
    -------
    GrowthCurve
        1 at the last radius.

    Raises
    ------
    ShapeError
        If the arrays do not fit together, or the radii do not ascend.
    NotFoundError
        If no source has a positive flux within the last radius.
    """
    sizes, values, sigmas = (np.asarray(v, dtype=np.float64) for v in (radii, fluxes, errors))
    if sizes.ndim != 1 or values.shape != (len(values), len(sizes)) or sigmas.shape != values.shape:
        msg = f"radii {sizes.shape}, fluxes {values.shape}, errors {sigmas.shape}: expected (R,) and (N, R)"
        raise ShapeError(msg, shapes=(sizes.shape, values.shape, sigmas.shape))
    _check_radii(sizes)
    usable = np.isfinite(values).all(axis=1) & (sigmas[:, -1] > 0) & (values[:, -1] > 0)
    if not usable.any():
        msg = f"none of {len(values)} sources has a positive flux within {sizes[-1]} pixels"
        raise NotFoundError(msg, n_sources=len(values))
    total = values[usable, -1]
    ratio = values[usable] / total[:, None]
    weight = np.broadcast_to(((total / sigmas[usable, -1]) ** 2)[:, None], ratio.shape)
    middle = np.median(ratio, axis=0)
    spread = 1.4826 * np.median(np.abs(ratio - middle), axis=0)
    weight = np.where(np.abs(ratio - middle) <= _CLIP * spread + 1e-12, weight, 0.0)
    fraction = np.sum(weight * ratio, axis=0) / np.sum(weight, axis=0)
    scatter = np.sum(weight**2 * (ratio - fraction) ** 2, axis=0) / np.sum(weight, axis=0) ** 2
    return GrowthCurve(
        radii=sizes,
        fraction=fraction,
        fraction_err=np.sqrt(scatter),
        n_sources=np.count_nonzero(weight, axis=0),
    )


def encircled_energy(
    psf: Any, radii: Sequence[float], x: float, y: float, *, method: str = "exact", subpixels: int = 5
) -> GrowthCurve:
    """Give the light of a PSF within radii, with the overlaps that apertures have.

    Parameters
    ----------
    psf : PSF
        The model.
    radii : sequence of float
        Pixels, ascending.
    x, y : float
        Position on the image, pixels: the PSF, and where pixels cut it, depend on it.
    method, subpixels
        As for :func:`~snapdb.photometry.apertures.compute_weights`.

    Returns
    -------
    GrowthCurve
        Fractions of all of the light.

    Raises
    ------
    ShapeError
        If the radii do not ascend.
    UsageError
        If it is no PSF, no such method, or the position is not finite.
    """
    sizes = np.asarray(radii, dtype=np.float64)
    _check_radii(sizes)
    at = np.array([x], dtype=np.float64), np.array([y], dtype=np.float64)
    if not np.isfinite(at).all():
        msg = f"position ({x}, {y}): expected finite pixels"
        raise UsageError(msg, x=x, y=y)
    shapes = [Circle(float(r)) for r in sizes]
    size = stamp_size(shapes)
    model = render_stamps(psf, *at, size)
    fraction = np.array(
        [float((compute_weights(s, *at, size, method, subpixels) * model).sum()) for s in shapes]
    )
    ones = np.ones(len(sizes), dtype=np.int64)
    return GrowthCurve(radii=sizes, fraction=fraction, fraction_err=np.zeros(len(sizes)), n_sources=ones)


def _check_radii(radii: FloatArray) -> None:
    """Refuse radii that do not ascend from above 0."""
    if radii.ndim != 1 or not len(radii) or not (radii[0] > 0 and (np.diff(radii) > 0).all()):
        msg = f"radii={radii.tolist()}: expected ascending numbers of pixels above 0"
        raise ShapeError(msg, radii=radii.tolist())
