"""PSFs given as images that are sampled more finely than the pixels."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.photometry.lengths import to_number
from snapdb.photometry.psf.base import PSFModel
from snapdb.photometry.psf.digest import digest
from snapdb.photometry.psf.new_file import write_array
from snapdb.photometry.psf.protocol import to_whole
from snapdb.photometry.psf.spline import SplineStack, make_splines
from snapdb.types import FloatArray, PixelArray

WIDTH_NEEDED = 1.3
"""Standard deviation, in samples, below which interpolation changes the flux by some 0.3 % or more."""


class UndersampledPSFWarning(UserWarning):
    """The image of a PSF is too coarse to be moved by parts of a pixel without a change of flux."""


class ImagePSF(PSFModel):
    """A PSF as an image, moved by cubic splines.

    The image of an optical PSF (``is_prf=False``) holds the flux on each of its samples; it is
    summed over the area of a pixel, wherever the source lies, before it is interpolated, so that
    the flux on a stamp is the same at every position within a pixel. The image of an effective
    PSF (``is_prf=True``, that of photutils and STPSF grids) holds at each sample what a whole pixel
    there would get, and is interpolated as it is.

    Parameters
    ----------
    data : array
        The image ``[y, x]``, at least 4 samples a side, finite.
    oversampling : int or pair of int
        Samples along one pixel; a pair is (y, x).
    is_prf : bool
        Whether pixels are already integrated over; it cannot be seen from the image.
    captured : float, optional
        The part of a source's flux that falls on the image, to which it is scaled. None takes
        what the image says: its sum, over ``oversampling`` squared where it `is_prf`.
    centre : pair of float, optional
        Where in the image the source is (x, y), in samples from the first; by default the middle.
    x, y : float, optional
        Position that stamps are drawn at when none is asked for.
    stamp_size : int, optional
        Side of the stamps; by default the least odd number of pixels that covers the image.

    Raises
    ------
    ShapeError
        If the image has another dimension than two, or fewer than 4 samples a side.
    UsageError
        If it is not finite, sums to nothing, or the oversampling is no positive whole number.

    Warns
    -----
    UndersampledPSFWarning
        If the PSF, after the integral over pixels, is narrower than 1.3 samples (standard deviation).
    """

    def __init__(
        self,
        data: PixelArray,
        oversampling: int | Sequence[int],
        *,
        is_prf: bool,
        captured: float | None = 1.0,
        centre: tuple[float, float] | None = None,
        x: float | None = None,
        y: float | None = None,
        stamp_size: int | None = None,
    ) -> None:
        image = check_image(data)
        self.oversampling = check_oversampling(oversampling)
        self.is_prf = bool(is_prf)
        self.centre = middle(image.shape) if centre is None else _read_centre(centre)
        self.data = scale(image, self.oversampling, captured, is_prf=self.is_prf)
        super().__init__(stamp_size=stamp_size or covering(image.shape, self.oversampling), x=x, y=y)
        self._spline = spline_of(self.data[None], self.oversampling, self.centre, is_prf=self.is_prf)
        warn_if_coarse(self.data, self.oversampling, is_prf=self.is_prf)

    @property
    def captured(self) -> float:
        """The part of a source's flux that falls on the image."""
        total = float(self.data.sum())
        return total / (self.oversampling[0] * self.oversampling[1]) if self.is_prf else total

    def parameters(self) -> dict[str, Any]:
        """Say what identifies the model, as JSON can hold it.

        Returns
        -------
        dict
            The class, the sampling, and the SHA-256 of the scaled image.
        """
        return {
            "class": "ImagePSF",
            "oversampling": list(self.oversampling),
            "is_prf": self.is_prf,
            "centre": list(self.centre),
            "shape": list(self.data.shape),
            "sha256": digest(self.data),
        }

    def write(self, path: Path | str) -> Path:
        """Write the model to a FITS file that ``read_psf`` reads back to the same stamps.

        Parameters
        ----------
        path : Path or str
            A new file.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ObjectExistsError
            If there is a file of that name.
        StorageError
            If it cannot be written.
        """
        cards: dict[str, tuple[str | bool | float, str]] = {
            "SNAPPSF": ("ImagePSF", "a point-spread function as an image"),
            "OVERSAMX": (self.oversampling[1], "samples to a pixel along x"),
            "OVERSAMY": (self.oversampling[0], "samples to a pixel along y"),
            "ISPRF": (self.is_prf, "whether pixels are integrated over already"),
            "CENTREX": (self.centre[0], "the source, in samples from the first (0)"),
            "CENTREY": (self.centre[1], "the source, in samples from the first (0)"),
            "STAMPSIZ": (self.stamp_size, "side of a stamp, in pixels"),
            "IMAGEX": (self.x, "position on the image that it is for (0-based)"),
            "IMAGEY": (self.y, "position on the image that it is for (0-based)"),
        }
        return write_array(self.data, cards, Path(path))

    def _draw(self, x: FloatArray, y: FloatArray, dx: FloatArray, dy: FloatArray, size: int) -> FloatArray:
        del y  # the same everywhere
        which = np.zeros((len(x), 1), dtype=np.int64)
        return self._spline.draw(which, np.ones((len(x), 1)), dx, dy, size)


def _read_centre(centre: Any) -> tuple[float, float]:
    """Take where the source is."""
    given = tuple(centre) if isinstance(centre, Iterable) and not isinstance(centre, str) else ()
    numbers = [to_number(value, "centre", "a pair of finite numbers (x, y)") for value in given]
    if len(numbers) != 2 or not np.isfinite(numbers).all():
        msg = f"centre={centre!r:.80}: expected a pair of finite numbers (x, y), samples from the first"
        raise UsageError(msg)
    return numbers[0], numbers[1]


def check_image(data: PixelArray) -> FloatArray:
    """See that the image of a PSF can be interpolated.

    Parameters
    ----------
    data : array
        The image ``[y, x]``.

    Returns
    -------
    array
        A copy as float64.

    Raises
    ------
    ShapeError
        If it has another dimension than two, or fewer than 4 samples a side.
    UsageError
        If a value is not finite.
    """
    image = np.array(data, dtype=np.float64)
    if image.ndim != 2 or min(image.shape) < 4:
        msg = f"the image of a PSF has shape {image.shape}: expected two dimensions of at least 4 samples"
        raise ShapeError(msg, shape=image.shape)
    if not np.isfinite(image).all():
        raise UsageError("the image of a PSF has values that are not finite: give them values, or crop it")
    return image


def check_oversampling(oversampling: int | Sequence[int]) -> tuple[int, int]:
    """Read how many samples there are to a pixel.

    Parameters
    ----------
    oversampling : int or pair of int
        One number for both axes, or (y, x).

    Returns
    -------
    tuple of int
        (y, x).

    Raises
    ------
    UsageError
        If they are not positive whole numbers.
    """
    given = np.atleast_1d(np.asarray(oversampling))
    whole = [to_whole(value, "oversampling") for value in given]
    if len(whole) not in {1, 2} or min(whole) < 1:
        msg = f"oversampling {oversampling!r}: expected a positive whole number, or two (y, x)"
        raise UsageError(msg, oversampling=oversampling)
    return whole[0], whole[-1]


def scale(
    image: FloatArray, oversampling: tuple[int, int], captured: float | None, *, is_prf: bool
) -> FloatArray:
    """Scale an image so that stamps of it hold the captured part of the flux.

    Parameters
    ----------
    image : array
        One image ``[y, x]``.
    oversampling : tuple of int
        Samples to a pixel, (y, x).
    captured : float, optional
        The part of a source's flux on the image; None leaves it.
    is_prf : bool
        Whether samples hold what a whole pixel would get.

    Returns
    -------
    array
        The scaled image.

    Raises
    ------
    UsageError
        If the image sums to nothing, or the part is not between 0 and 1.
    """
    total = float(image.sum())
    if not 0 < total < np.inf:
        msg = f"the image of a PSF sums to {total}: expected a positive, finite sum"
        raise UsageError(msg, total=total)
    if captured is None:
        return image
    if not 0 < captured <= 1:
        msg = f"captured={captured}: expected the part of the flux on the image, above 0 and up to 1"
        raise UsageError(msg, captured=captured)
    wanted = captured * (oversampling[0] * oversampling[1] if is_prf else 1)
    return np.asarray(image * (wanted / total))


def spline_of(
    images: FloatArray, oversampling: tuple[int, int], centre: tuple[float, float], *, is_prf: bool
) -> SplineStack:
    """Make splines whose samples, a pixel apart, are the pixels of stamps.

    Parameters
    ----------
    images : array
        Shape (G, H, W).
    oversampling : tuple of int
        Samples to a pixel, (y, x).
    centre : tuple of float
        Where the source is (x, y), in samples.
    is_prf : bool
        Whether the images are integrated over pixels already.

    Returns
    -------
    SplineStack
        Splines with samples of what a whole pixel gets.
    """
    step_y, step_x = oversampling
    step = (float(step_x), float(step_y))
    if is_prf:
        return make_splines(images, centre, step, cut=True)
    summed = _sum_over(_sum_over(images, step_y, axis=1), step_x, axis=2)
    # Sample k of a full sum over n samples is centred on k - (n - 1) / 2, for even n too.
    moved = (centre[0] + (step_x - 1) / 2, centre[1] + (step_y - 1) / 2)
    return make_splines(summed, moved, step, cut=False)


def _sum_over(images: FloatArray, count: int, axis: int) -> FloatArray:
    """Sum each run of neighbouring samples along an axis, also those that stick out."""
    pad = [(0, 0)] * images.ndim
    pad[axis] = (count - 1, count - 1)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, pad), count, axis=axis)
    return np.asarray(windows.sum(axis=-1))


def middle(shape: tuple[int, ...]) -> tuple[float, float]:
    """Give the middle (x, y) of an image, in samples.

    Parameters
    ----------
    shape : tuple of int
        The image's shape.

    Returns
    -------
    tuple of float
        (x, y).
    """
    return (shape[-1] - 1) / 2, (shape[-2] - 1) / 2


def covering(shape: tuple[int, ...], oversampling: tuple[int, int]) -> int:
    """Give the least odd number of pixels that covers an image.

    Parameters
    ----------
    shape : tuple of int
        The image's shape, in samples.
    oversampling : tuple of int
        Samples to a pixel, (y, x).

    Returns
    -------
    int
        An odd number.
    """
    pixels = max(-(-shape[-2] // oversampling[0]), -(-shape[-1] // oversampling[1]))
    return pixels if pixels % 2 else pixels + 1


def warn_if_coarse(image: FloatArray, oversampling: tuple[float, float], *, is_prf: bool) -> None:
    """Warn where splines cannot follow the PSF.

    What counts is the PSF after the integral over pixels, which the splines interpolate.

    Parameters
    ----------
    image : array
        One image ``[y, x]``.
    oversampling : tuple of float
        Samples to a pixel, (y, x); whole where pixels are not yet integrated over.
    is_prf : bool
        Whether pixels are already integrated over.

    Warns
    -----
    UndersampledPSFWarning
        If its width, that of the Gaussian with the same sum of squares, is below 1.3 samples.
    """
    # A Gaussian of width s has a sum of squares of 1 / (4 pi s**2).
    drawn = image if is_prf else _sum_over(_sum_over(image, int(oversampling[0]), 0), int(oversampling[1]), 1)
    drawn = drawn / np.abs(drawn).max()
    width = float(drawn.sum() / np.sqrt(4 * np.pi * (drawn**2).sum()))
    if width < WIDTH_NEEDED:
        step = max(oversampling)
        warnings.warn(
            f"the PSF is {width:.2f} samples wide (standard deviation) at {step:g} samples a pixel: "
            f"fluxes will depend on where in a pixel a source lies; give an image with more samples a pixel, "
            f"of at least {WIDTH_NEEDED} samples",
            UndersampledPSFWarning,
            stacklevel=4,
        )
