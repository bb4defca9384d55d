"""PSFs as PSFEx models them: images that are the terms of a polynomial of the position."""

from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.psf.base import PSFModel
from snapdb.photometry.psf.digest import digest
from snapdb.photometry.psf.image import check_image, middle, warn_if_coarse
from snapdb.photometry.psf.spline import make_splines
from snapdb.types import FloatArray, PixelArray


class PSFExPSF(PSFModel):
    """A PSF that is a polynomial of its position on the image, by E. Bertin's PSFEx.

    At a position the PSF is the sum of the images times ``u**i v**j`` with i + j up to the
    degree, in the order of i within j, where ``u = (x + 1 - zero_x) / scale_x``: PSFEx counts
    pixels from 1. The images are effective PSFs: pixels are integrated over.

    Parameters
    ----------
    terms : array
        The images ``[term, y, x]``: ``PSF_MASK``.
    sampling : float
        Pixels from one sample to the next: ``PSF_SAMP``.
    degree : int
        Degree of the polynomial: ``POLDEG1``; 0 for a PSF that is the same everywhere.
    zero, scale : pair of float
        Position, counted from 1, and length by which positions are scaled, along (x, y):
        ``POLZERO1``, ``POLZERO2`` and ``POLSCAL1``, ``POLSCAL2``.
    captured : float, optional
        The part of a source's flux that falls on the images, to which the PSF is scaled at
        each position. None takes the images as they are: their flux is that of the
        photometry that PSFEx was given.
    x, y : float, optional
        Position that stamps are drawn at when none is asked for.
    stamp_size : int, optional
        Side of the stamps; by default the least odd number of pixels that covers the images.

    Raises
    ------
    ShapeError
        If the images are not a stack, or their number is not that of the polynomial's terms.
    UsageError
        If an image is not finite, or a number cannot be.

    Warns
    -----
    UndersampledPSFWarning
        If the PSF is too narrow for its samples.
    """

    def __init__(
        self,
        terms: PixelArray,
        sampling: float,
        *,
        degree: int = 0,
        zero: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
        captured: float | None = 1.0,
        x: float | None = None,
        y: float | None = None,
        stamp_size: int | None = None,
    ) -> None:
        stack = np.asarray(terms)
        self.degree = int(degree)
        wanted = (self.degree + 1) * (self.degree + 2) // 2
        if stack.ndim != 3 or len(stack) != wanted:
            msg = f"PSFEx images of shape {stack.shape}: expected ({wanted}, y, x) for degree {degree}"
            raise ShapeError(msg, shape=stack.shape)
        self.sampling = float(sampling)
        _check_numbers(self.sampling, zero, scale, captured)
        self.terms = np.stack([check_image(image) for image in stack])
        self.zero, self.scale = (float(zero[0]), float(zero[1])), (float(scale[0]), float(scale[1]))
        self.captured = captured
        shape = self.terms.shape[1:]
        side = int(np.ceil(max(shape) * self.sampling))
        super().__init__(stamp_size=stamp_size or side + 1 - side % 2, x=x, y=y)
        step = 1.0 / self.sampling
        self._spline = make_splines(self.terms, middle(shape), (step, step), cut=True)
        self._sums = self.terms.sum(axis=(1, 2))
        warn_if_coarse(self.terms[0], (step, step), is_prf=True)

    def basis(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Give the polynomial's terms at positions.

        Parameters
        ----------
        x, y : array
            Pixel coordinates, 0-based, shape (N,).

        Returns
        -------
        array
            Shape (N, number of terms).
        """
        u = (np.asarray(x, dtype=np.float64) + 1.0 - self.zero[0]) / self.scale[0]
        v = (np.asarray(y, dtype=np.float64) + 1.0 - self.zero[1]) / self.scale[1]
        terms = [u**i * v**j for j in range(self.degree + 1) for i in range(self.degree + 1 - j)]
        return np.stack(terms, axis=-1)

    def parameters(self) -> dict[str, Any]:
        """Say what identifies the model, as JSON can hold it.

        Returns
        -------
        dict
            The class, the polynomial, the sampling, and the SHA-256 of the images.
        """
        return {
            "class": "PSFExPSF",
            "sampling": self.sampling,
            "degree": self.degree,
            "zero": list(self.zero),
            "scale": list(self.scale),
            "captured": self.captured,
            "shape": list(self.terms.shape),
            "sha256": digest(self.terms),
        }

    def _draw(self, x: FloatArray, y: FloatArray, dx: FloatArray, dy: FloatArray, size: int) -> FloatArray:
        weights = self.basis(x, y)
        if self.captured is None:
            weights = weights / self.sampling**2
        else:
            weights = weights * (self.captured / (weights @ self._sums) / self.sampling**2)[:, None]
        which = np.broadcast_to(np.arange(len(self.terms)), weights.shape)
        return self._spline.draw(which, weights, dx, dy, size)


def _check_numbers(
    sampling: float, zero: tuple[float, float], scale: tuple[float, float], captured: float | None
) -> None:
    """Refuse numbers of a PSFEx model that cannot be."""
    if not (np.isfinite(sampling) and sampling > 0):
        msg = f"PSFEx sampling {sampling}: expected a positive number of pixels"
        raise UsageError(msg, sampling=sampling)
    if not (np.isfinite([*zero, *scale]).all() and all(scale)):
        msg = f"PSFEx positions of zero {zero} and scale {scale}: expected finite numbers, and no scale of 0"
        raise UsageError(msg, zero=zero, scale=scale)
    if captured is not None and not 0 < captured <= 1:
        msg = f"captured={captured}: expected the part of the flux on the image, above 0 and up to 1"
        raise UsageError(msg, captured=captured)
