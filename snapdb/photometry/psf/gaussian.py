"""A Gaussian PSF, integrated over pixels."""

from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.photometry.lengths import to_number
from snapdb.photometry.psf.base import PSFModel
from snapdb.types import FloatArray

FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))


class GaussianPSF(PSFModel):
    """A Gaussian, round or elliptical.

    Aligned with the pixels, its integrals are products of error functions. Rotated, they are
    error functions along y, and Gauss-Legendre sums of them along x (relative error < 1e-9).

    Parameters
    ----------
    sigma_x : float, optional
        Standard deviation along the major axis, in pixels. Either it or `fwhm` is given.
    sigma_y : float, optional
        Standard deviation across; `sigma_x` when not given.
    theta : float
        Angle from the x axis to the first axis, counterclockwise, in degrees.
    fwhm : float, optional
        Full width at half maximum of a round Gaussian, in pixels.
    x, y : float, optional
        Position that stamps are drawn at when none is asked for.
    stamp_size : int, optional
        Side of the stamps; by default ``2 floor(5 FWHM) + 1`` of the broader axis.

    Raises
    ------
    UsageError
        If a width is not positive and finite, or both or none of `sigma_x` and `fwhm` are given.

    Examples
    --------
    >>> psf = GaussianPSF(1.2)
    >>> psf.get_stamp(100.3, 200.0).shape
    (29, 29)
    >>> round(float(psf.get_stamp(100.3, 200.0, flux=50.0).sum()), 6)
    50.0
    """

    def __init__(
        self,
        sigma_x: float | None = None,
        sigma_y: float | None = None,
        theta: float = 0.0,
        *,
        fwhm: float | None = None,
        x: float | None = None,
        y: float | None = None,
        stamp_size: int | None = None,
    ) -> None:
        if (sigma_x is None) == (fwhm is None):
            raise UsageError("a Gaussian PSF: expected either sigma_x or fwhm, in pixels")
        name, given = ("fwhm", fwhm) if sigma_x is None else ("sigma_x", sigma_x)
        first = to_number(given, name, "a number of pixels") / (FWHM_PER_SIGMA if sigma_x is None else 1.0)
        second = first if sigma_y is None else to_number(sigma_y, "sigma_y", "a number of pixels")
        theta = to_number(theta, "theta", "degrees")
        if not all(np.isfinite(width) and width > 0 for width in (first, second)):
            msg = f"a Gaussian PSF of widths {first} and {second}: expected positive numbers of pixels"
            raise UsageError(msg, widths=(first, second))
        if not np.isfinite(theta):
            msg = f"a Gaussian PSF at an angle of {theta}: expected finite degrees"
            raise UsageError(msg, theta=theta)
        size = stamp_size or 2 * int(np.floor(5 * FWHM_PER_SIGMA * max(first, second))) + 1
        super().__init__(stamp_size=size, x=x, y=y)
        self.sigma_x, self.sigma_y, self.theta = first, second, float(theta)

    def parameters(self) -> dict[str, Any]:
        """Say what identifies the model, as JSON can hold it.

        Returns
        -------
        dict
            The class, both widths in pixels and the angle in degrees.
        """
        return {
            "class": "GaussianPSF",
            "sigma_x": self.sigma_x,
            "sigma_y": self.sigma_y,
            "theta": self.theta,
        }

    def _draw(self, x: FloatArray, y: FloatArray, dx: FloatArray, dy: FloatArray, size: int) -> FloatArray:
        del x, y  # the same everywhere
        if self.sigma_x == self.sigma_y or self.theta % 180.0 == 0.0:
            return _draw_aligned(dx, dy, size, self.sigma_x, self.sigma_y)
        if self.theta % 90.0 == 0.0:
            return _draw_aligned(dx, dy, size, self.sigma_y, self.sigma_x)
        return _draw_rotated(dx, dy, size, self.sigma_x, self.sigma_y, np.deg2rad(self.theta))


def _edges(offset: FloatArray, size: int) -> FloatArray:
    """Give the edges of a stamp's pixels from the sources, (N, size + 1)."""
    return np.arange(size + 1) - size / 2.0 - offset[:, None]


def _draw_aligned(dx: FloatArray, dy: FloatArray, size: int, sigma_x: float, sigma_y: float) -> FloatArray:
    """Multiply the integrals along both axes."""
    from scipy.special import ndtr

    across = np.diff(ndtr(_edges(dx, size) / sigma_x), axis=1)
    along = np.diff(ndtr(_edges(dy, size) / sigma_y), axis=1)
    return np.asarray(along[:, :, None] * across[:, None, :])


def _draw_rotated(
    dx: FloatArray, dy: FloatArray, size: int, sigma_x: float, sigma_y: float, theta: float
) -> FloatArray:
    """Integrate along y in closed form, at nodes along x.

    At a given x the Gaussian is one in y, of mean ``slope x`` and width `narrow`.
    """
    from scipy.special import ndtr

    cos, sin = np.cos(theta), np.sin(theta)
    var_x = (sigma_x * cos) ** 2 + (sigma_y * sin) ** 2
    slope = (sigma_x**2 - sigma_y**2) * sin * cos / var_x
    narrow = sigma_x * sigma_y / np.sqrt(var_x)
    # The integrand along x changes over the narrower axis of the two.
    nodes, weights = np.polynomial.legendre.leggauss(min(8 + int(np.ceil(4.0 / min(sigma_x, sigma_y))), 512))
    edges_y = _edges(dy, size)[:, :, None]
    centres = _edges(dx, size)[:, None, :-1] + 0.5
    stamps = np.zeros((len(dx), size, size))
    for node, weight in zip(nodes / 2.0, weights / 2.0, strict=True):
        at = centres + node
        density = np.exp(-0.5 * at**2 / var_x) / np.sqrt(2.0 * np.pi * var_x)
        stamps += weight * density * np.diff(ndtr((edges_y - slope * at) / narrow), axis=1)
    return stamps
