"""A Moffat PSF, integrated over pixels."""

from typing import Any

import numpy as np

from snapdb.errors import UsageError
from snapdb.photometry.lengths import to_number
from snapdb.photometry.psf.base import PSFModel
from snapdb.types import FloatArray

LEAST_FWHM_PX = 0.05
"""Width below which a profile cannot be integrated over pixels in good time."""
_MOST_NODES = 128


class MoffatPSF(PSFModel):
    """A round Moffat profile, ``(beta - 1) / (pi a**2) (1 + r**2 / a**2)**-beta``.

    Pixels are integrated over by Gauss-Legendre sums, with more nodes the narrower the profile
    (error below 2e-7 of the flux). The wings are wide: a stamp seldom holds all of the flux.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum of the profile, before pixels are integrated over, in pixels.
    beta : float
        Exponent of the wings, above 1.
    x, y : float, optional
        Position that stamps are drawn at when none is asked for.
    stamp_size : int, optional
        Side of the stamps; by default ``2 floor(5 FWHM) + 1``.

    Raises
    ------
    UsageError
        If the width is not finite or below 0.05 pixels, or beta is not above 1.

    Examples
    --------
    >>> psf = MoffatPSF(3.0, 2.5)
    >>> psf.stamp(10.2, 20.0).shape
    (31, 31)
    """

    def __init__(
        self,
        fwhm: float,
        beta: float,
        *,
        x: float | None = None,
        y: float | None = None,
        stamp_size: int | None = None,
    ) -> None:
        fwhm = to_number(fwhm, "fwhm", "a number of pixels")
        beta = to_number(beta, "beta", "a number above 1")
        if not (np.isfinite(fwhm) and fwhm >= LEAST_FWHM_PX and np.isfinite(beta) and beta > 1):
            msg = f"a Moffat PSF of {fwhm} pixels, beta {beta}: expected {LEAST_FWHM_PX} or more, and above 1"
            raise UsageError(msg, fwhm=fwhm, beta=beta)
        super().__init__(stamp_size=stamp_size or 2 * int(np.floor(5 * fwhm)) + 1, x=x, y=y)
        self.fwhm, self.beta = float(fwhm), float(beta)
        self.alpha = self.fwhm / (2.0 * float(np.sqrt(2.0 ** (1.0 / self.beta) - 1.0)))

    def parameters(self) -> dict[str, Any]:
        """Say what identifies the model, as JSON can hold it.

        Returns
        -------
        dict
            The class, the width in pixels and beta.
        """
        return {"class": "MoffatPSF", "fwhm": self.fwhm, "beta": self.beta}

    def _draw(self, x: FloatArray, y: FloatArray, dx: FloatArray, dy: FloatArray, size: int) -> FloatArray:
        del x, y  # the same everywhere
        pixels = np.arange(size) - size // 2
        # Near its middle the profile is as wide as a Gaussian of alpha / sqrt(2 beta): that sets the nodes.
        wanted = 2 + int(np.ceil(2.5 * np.sqrt(self.beta) / self.alpha))
        nodes, weights = np.polynomial.legendre.leggauss(min(wanted, _MOST_NODES))
        across = ((pixels - dx[:, None])[:, :, None] + nodes / 2.0) / self.alpha
        along = ((pixels - dy[:, None])[:, :, None] + nodes / 2.0) / self.alpha
        total = np.zeros((len(dx), size, size))
        for row, weight_y in enumerate(weights / 2.0):
            height = 1.0 + along[:, :, row, None] ** 2
            for column, weight_x in enumerate(weights / 2.0):
                profile = np.exp(-self.beta * np.log(height + across[:, None, :, column] ** 2))
                profile *= weight_x * weight_y
                total += profile
        return np.asarray(total * ((self.beta - 1.0) / (np.pi * self.alpha**2)))
