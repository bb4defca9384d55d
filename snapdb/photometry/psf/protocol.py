"""What a point-spread function is: stamps of a point source, integrated over pixels."""

import operator
from typing import Any, Protocol, runtime_checkable

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.types import FloatArray


@runtime_checkable
class PSF(Protocol):
    """Anything with the two names that photometry asks for.

    Pixel centres are at whole numbers. A stamp's values are integrals over pixels, and
    sum to the flux that falls on it.
    """

    @property
    def stamp_size(self) -> int:
        """Side of the square that :meth:`get_stamp` gives, in pixels; odd."""

    def get_stamp(
        self,
        x: float | None = None,
        y: float | None = None,
        x0: int | None = None,
        y0: int | None = None,
        flux: float = 1.0,
    ) -> FloatArray:
        """Give the image of a point source.

        Parameters
        ----------
        x, y : float, optional
            Position of the source on the image, in pixels, 0-based. The position that the
            object was made for when not given.
        x0, y0 : int, optional
            The pixel of the image at the centre of the stamp; ``floor(x + 0.5)`` when not given.
        flux : float
            Flux of the source.

        Returns
        -------
        array
            Shape (stamp_size, stamp_size), ``[y, x]``; the source is at
            ``(stamp_size // 2 + x - x0, stamp_size // 2 + y - y0)``.
        """


def check_psf(psf: Any) -> None:
    """Refuse an object that gives no stamps.

    Parameters
    ----------
    psf : object
        A PSF, or one whose ``at(image)`` gives the PSF of an image.

    Raises
    ------
    UsageError
        If it is anything else: a class, a number.
    """
    draws = hasattr(psf, "stamp_size") and (hasattr(psf, "get_stamp") or hasattr(psf, "render"))
    if isinstance(psf, type) or not (draws or callable(getattr(psf, "at", None))):
        what = (
            f"the class {psf.__name__}" if isinstance(psf, type) else f"{psf!r:.60}, a {type(psf).__name__}"
        )
        msg = f"psf is {what}, and no PSF: expected a PSF, an object with stamp_size and get_stamp"
        raise UsageError(msg, type=type(psf).__name__)


def centre_pixel(position: FloatArray) -> FloatArray:
    """Say which pixel a position is on, rounding halves up.

    Parameters
    ----------
    position : array
        Pixel coordinates, any shape.

    Returns
    -------
    array
        ``floor(position + 0.5)``, still as floats so that NaN passes.
    """
    return np.floor(position + 0.5)


def render_stamps(psf: Any, x: FloatArray, y: FloatArray, size: int) -> FloatArray:
    """Give unit-flux stamps at many positions of one image.

    Parameters
    ----------
    psf : PSF
        Its ``render(x, y, size)`` is used where it has one; else ``get_stamp`` is called for
        each position, and its stamps are cropped or filled with zeros.
    x, y : array
        Positions on the image, in pixels, 0-based, shape (N,).
    size : int
        Side of the stamps, in pixels; odd.

    Returns
    -------
    array
        float64, shape (N, size, size). The centre pixel of each stamp is the image's pixel
        ``floor(x + 0.5), floor(y + 0.5)``. NaN where the position is not finite.

    Raises
    ------
    ShapeError
        If `x` and `y` differ in shape or have another dimension than one, or the PSF's stamps are
        not square with an odd side.
    UsageError
        If `size` is not a positive odd whole number, or the object is no PSF.
    """
    x, y = check_positions(x, y)
    check_size(size)
    render = getattr(psf, "render", None)
    if render is not None:
        stamps = np.asarray(render(x, y, size), dtype=np.float64)
        if stamps.shape != (len(x), size, size):
            msg = f"{type(psf).__name__}.render gave shape {stamps.shape}: expected {(len(x), size, size)}"
            raise ShapeError(msg, shape=stamps.shape)
        return stamps
    if not callable(getattr(psf, "get_stamp", None)):
        msg = f"{type(psf).__name__} is no PSF: expected an object with get_stamp(x, y, x0, y0, flux)"
        raise UsageError(msg, type=type(psf).__name__)
    stamps = np.full((len(x), size, size), np.nan)
    for row in np.flatnonzero(np.isfinite(x) & np.isfinite(y)):
        stamp = np.asarray(psf.get_stamp(float(x[row]), float(y[row])), dtype=np.float64)
        stamps[row] = _resize(stamp, size)
    return stamps


def check_positions(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """See that positions are two arrays of one length.

    Parameters
    ----------
    x, y : array
        Pixel coordinates.

    Returns
    -------
    tuple of array
        Both as float64, shape (N,).

    Raises
    ------
    ShapeError
        If they differ in shape, or have another dimension than one.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        msg = f"positions of shapes {x.shape} and {y.shape}: expected two arrays of one length"
        raise ShapeError(msg, shapes=(x.shape, y.shape))
    return x, y


def check_size(size: int) -> int:
    """See that the side of a stamp is a positive odd whole number.

    Parameters
    ----------
    size : int
        Side of a stamp, in pixels.

    Returns
    -------
    int
        The side.

    Raises
    ------
    UsageError
        If it is anything else.
    """
    whole = to_whole(size, "stamp size")
    if whole < 1 or whole % 2 == 0:
        msg = f"stamp size {whole}: expected a positive odd number of pixels"
        raise UsageError(msg, size=whole)
    return whole


def to_whole(value: Any, name: str) -> int:
    """See that a value is a whole number by its type, as ``1.0`` is not.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        What it is, for the message.

    Returns
    -------
    int
        The number.

    Raises
    ------
    UsageError
        If it is of another type.
    """
    try:
        return operator.index(value)
    except TypeError as err:
        msg = f"{name} {value!r}: expected a whole number"
        raise UsageError(msg, value=value) from err


def _resize(stamp: FloatArray, size: int) -> FloatArray:
    """Crop a centred stamp, or fill it up with zeros."""
    if stamp.ndim != 2 or stamp.shape[0] != stamp.shape[1] or stamp.shape[0] % 2 == 0:
        msg = f"a PSF stamp of shape {stamp.shape}: expected a square with an odd side"
        raise ShapeError(msg, shape=stamp.shape)
    excess = (stamp.shape[0] - size) // 2
    if excess >= 0:
        return stamp[excess : excess + size, excess : excess + size]
    return np.pad(stamp, -excess)
