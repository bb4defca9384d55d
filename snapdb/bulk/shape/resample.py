"""Stamps of one size, many at once, brought to another number of pixels.

By compiled code (:mod:`~snapdb.bulk.shape.compiled`); where there is none, by two matrix products a stamp, of
bands of the weights (:mod:`~snapdb.bulk.shape.weights`).

Missing pixels (NaN or infinite) are left out, and the weights of the others made up for it; a
pixel that would be made of missing ones by half or more is NaN. So a hole keeps its size, and
one bad pixel spoils no more than itself.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from snapdb.bulk.shape.compiled import can_resample, resample_windows
from snapdb.bulk.shape.weights import Floats, check_method, make_bands, make_weights
from snapdb.errors import ShapeError
from snapdb.types import BoolArray, FloatArray, PixelArray

CHUNK_PIXELS = 1 << 18
"""Pixels in work at once: what is made stays in the processor's cache."""
_NONE: BoolArray = np.zeros(1, dtype=np.bool_)
ENOUGH = 0.5
"""Share of the weight that pixels must have which are not missing."""


def resample(
    batch: PixelArray,
    resolution: int,
    method: str = "bilinear",
    *,
    conserve: bool = False,
    factor: float = 1.0,
    complete: bool = False,
    out: Floats | None = None,
) -> Floats:
    """Bring stamps to ``resolution x resolution`` pixels on the same piece of sky.

    Parameters
    ----------
    batch : array, shape (N, ny, nx)
        Stamps ``[y, x]`` of any numeric type.
    resolution : int
        Pixels a side of what is made.
    method : {'nearest', 'bilinear', 'cubic', 'lanczos'}
        Along an axis that gains pixels; one that loses pixels is averaged by area.
    conserve : bool
        Share out each pixel's value instead, whatever the method, so that a stamp's sum
        stays: for pixels that hold flux, not surface brightness.
    factor : float
        What pixels are multiplied by.
    complete : bool
        Whether it is known that no pixel is missing, so that none is looked for.
    out : array of float32, shape (N, resolution, resolution), optional
        Where to write.

    Returns
    -------
    array of float32, shape (N, resolution, resolution)
        A copy where the size is right already.

    Raises
    ------
    ShapeError
        If the batch has not three axes, or `out` another shape.
    UsageError
        If there is no such method, or the resolution is below 1.
    """
    kernel = check_method(method)
    result = _prepare(batch, resolution, out)
    if batch.shape[1:] == (resolution, resolution):
        np.multiply(batch, np.float32(factor), out=result, casting="same_kind")
        return result
    for part in _chunks(batch.shape, resolution):
        stamps = np.ascontiguousarray(batch[part], dtype=np.float32)
        missing = _NONE if complete else find_missing(stamps)
        if missing.any():
            # All stamps go through the same products, so that none depends on its neighbours' holes.
            known = np.isfinite(stamps)
            stamps = np.where(known, stamps, np.float32(0.0))
        _weigh(stamps, result[part], kernel, conserve=conserve, factor=factor)
        if missing.any():
            weights = [make_weights(size, resolution, kernel, conserve=conserve) for size in stamps.shape[1:]]
            result[part][missing] /= _known_share(weights, known[missing].astype(np.float32))
    return result


def resample_noise(
    batch: PixelArray, resolution: int, method: str = "bilinear", *, conserve: bool = False
) -> Floats:
    """Bring the noise of stamps to another number of pixels: variances with the weights' squares.

    Pixels are taken as independent; those that are made are not, where they share some.

    Parameters
    ----------
    batch : array, shape (N, ny, nx)
        One standard deviation of each pixel. NaN is missing, as in :func:`resample`;
        infinite noise makes all infinite that it takes part in.
    resolution, method, conserve
        As :func:`resample`.

    Raises
    ------
    ShapeError, UsageError
        As :func:`resample`.
    """
    kernel = check_method(method)
    result = _prepare(batch, resolution, None)
    shape = batch.shape[1:]
    weights = [make_weights(size, resolution, kernel, conserve=conserve) for size in shape]
    squares = [np.square(w) for w in weights]
    for part in _chunks(batch.shape, resolution):
        noise = np.abs(np.asarray(batch[part], dtype=np.float32))
        infinite = np.isinf(noise)
        known = np.isfinite(noise)
        filled = np.where(known, noise, np.float32(0.0))
        # Unit-free, so that squares of small fluxes do not vanish.
        unit = filled.max(axis=(1, 2), initial=0.0, keepdims=True)
        unit[unit == 0.0] = 1.0
        variance = _sandwich(squares, np.square(filled / unit))
        made = np.sqrt(variance) * unit
        if not known.all():
            made /= _known_share(weights, (known | infinite).astype(np.float32))
            touched = _sandwich([(w != 0.0).astype(np.float32) for w in weights], infinite.astype(np.float32))
            made[touched > 0.5] = np.inf
        result[part] = made
    return result


def resample_flags(
    batch: PixelArray, resolution: int, method: str = "bilinear", *, conserve: bool = False
) -> PixelArray:
    """Bring flags to another number of pixels: the bits of all pixels that take part.

    Parameters
    ----------
    batch : array of int, shape (N, ny, nx)
        Bits of each pixel.
    resolution, method, conserve
        As :func:`resample`: the pixels that take part are those of its kernel.

    Returns
    -------
    array, shape (N, resolution, resolution)
        Of the batch's type.

    Raises
    ------
    ShapeError, UsageError
        As :func:`resample`; a ShapeError too if the flags are no integers.
    """
    kernel = check_method(method)
    _prepare(batch[:0], resolution, None)
    if batch.dtype.kind not in "iub":
        msg = f"flags of type {batch.dtype}: expected integers, whose bits can be combined"
        raise ShapeError(msg, dtype=str(batch.dtype))
    made = batch
    for axis in (1, 2):
        made = _join_bits(made, axis, make_weights(batch.shape[axis], resolution, kernel, conserve=conserve))
    return made


def scale_wcs(
    crpix: tuple[float, float], cd: FloatArray, scale: tuple[float, float]
) -> tuple[tuple[float, float], FloatArray]:
    """Give the linear world coordinates of a stamp that was brought to another number of pixels.

    Parameters
    ----------
    crpix : tuple of float
        Reference pixel ``(x, y)`` as FITS counts, from 1.
    cd : array, shape (2, 2)
        Degrees a pixel, row by world axis, column by pixel axis.
    scale : tuple of float
        New pixels for each old one along ``(x, y)``: ``resolution / size``.

    Returns
    -------
    crpix, cd
        Of the new pixels: the outer edges, at 0.5, stay where they are (FITS paper I,
        Greisen and Calabretta 2002, A&A 395, 1061, section 2.1.4).
    """
    moved = (0.5 + scale[0] * (crpix[0] - 0.5), 0.5 + scale[1] * (crpix[1] - 0.5))
    return moved, np.asarray(cd, dtype=np.float64) / np.asarray(scale, dtype=np.float64)


def find_missing(batch: PixelArray) -> BoolArray:
    """Find the stamps that hold pixels which are not finite.

    Parameters
    ----------
    batch : array, shape (N, ...)
        Stamps; contiguous ones are quickest.
    """
    if batch.size == 0:
        return np.zeros(len(batch), dtype=np.bool_)
    rows = batch.reshape(len(batch), -1)
    # NaN comes through min and max, and these two read at the speed of memory.
    return np.asarray(~(np.isfinite(rows.min(axis=1)) & np.isfinite(rows.max(axis=1))))


def _prepare(batch: PixelArray, resolution: int, out: Floats | None) -> Floats:
    """Check the shapes, and give the array to write to."""
    if batch.ndim != 3 or 0 in batch.shape[1:]:
        msg = f"stamps of shape {batch.shape}: expected (stamps, rows, columns), and at least one pixel each"
        raise ShapeError(msg, shape=batch.shape)
    shape = (len(batch), resolution, resolution)
    if resolution < 1 or (out is not None and out.shape != shape):
        found = "no place" if out is None else f"a place of shape {out.shape}"
        msg = f"{found} for stamps of shape {shape}: expected that shape, with a resolution of at least 1"
        raise ShapeError(msg, shape=shape)
    return np.empty(shape, dtype=np.float32) if out is None else out


def _chunks(shape: tuple[int, ...], resolution: int) -> Iterator[slice]:
    """Give slices of stamps that fit the cache together."""
    number, ny, nx = shape
    step = max(1, CHUNK_PIXELS // max(ny * nx, ny * resolution, resolution * resolution))
    for start in range(0, number, step):
        yield slice(start, min(start + step, number))


def _weigh(stamps: Floats, out: Floats, kernel: str, *, conserve: bool, factor: float) -> None:
    """Apply the weights of both axes.

    Stamp by stamp, so that what is made of one does not depend on its neighbours, not in the last bit.
    """
    number, ny, nx = stamps.shape
    fits = out.dtype == np.float32 and out.flags.c_contiguous
    if ny == nx and fits and can_resample(stamps, out.shape[1]):
        sizes = np.full(number, nx)
        resample_windows(
            np.ascontiguousarray(stamps),
            sizes,
            out.shape[1],
            kernel,
            conserve=conserve,
            factor=factor,
            out=out,
        )
        return
    smaller = stamps[0].size < out[0].size  # there are fewer pixels before than after
    if smaller and factor != 1.0:
        stamps = stamps * np.float32(factor)
    _multiply(stamps, out, kernel, conserve=conserve)
    if not smaller and factor != 1.0:
        out *= np.float32(factor)


def _multiply(stamps: Floats, out: Floats, kernel: str, *, conserve: bool) -> None:
    """Multiply by both matrices of weights, band by band, first along the axis that leaves less to do."""
    number, ny, nx = stamps.shape
    resolution = out.shape[1]
    if ny > resolution:
        middle = np.empty((number, resolution, nx), dtype=np.float32)
        for band in make_bands(ny, resolution, nx, kernel, conserve=conserve):
            np.matmul(band.weights, stamps[:, band.source], out=middle[:, band.out])
        for band in make_bands(nx, resolution, resolution, kernel, conserve=conserve):
            np.matmul(middle[:, :, band.source], band.weights.T, out=out[:, :, band.out])
    else:
        middle = np.empty((number, ny, resolution), dtype=np.float32)
        for band in make_bands(nx, resolution, ny, kernel, conserve=conserve):
            np.matmul(stamps[:, :, band.source], band.weights.T, out=middle[:, :, band.out])
        for band in make_bands(ny, resolution, resolution, kernel, conserve=conserve):
            np.matmul(band.weights, middle[:, band.source], out=out[:, band.out])


def _known_share(weights: list[Floats], known: Floats) -> Floats:
    """Give the share of the weight that is on known pixels; NaN where that is too little."""
    whole = np.outer(weights[0].sum(axis=1), weights[1].sum(axis=1))
    share = _sandwich(weights, known) / whole
    # Weights such as 0.1 + 0.4 may round to either side of one half.
    share[share < ENOUGH + 1e-6] = np.nan
    return np.asarray(share)


def _sandwich(weights: list[Floats], batch: Floats) -> Floats:
    """Apply whole matrices to both axes."""
    return np.asarray(weights[0] @ (batch @ weights[1].T))


def _join_bits(batch: PixelArray, axis: int, weights: Floats) -> PixelArray:
    """Combine the bits along one axis of the pixels with a weight."""
    used = weights != 0.0
    size = weights.shape[1]
    first, last = used.argmax(axis=1), size - used[:, ::-1].argmax(axis=1)
    # reduceat goes from one index to the next: every other result is a range of ours. One more
    # pixel without bits lets the last range end.
    pad: list[tuple[int, int]] = [(0, 0)] * 3
    pad[axis] = (0, 1)
    bounds: NDArray[np.intp] = np.stack((first, last), axis=1).ravel()
    joined = np.bitwise_or.reduceat(np.pad(batch, pad), bounds, axis=axis)
    return np.asarray(joined[:, ::2] if axis == 1 else joined[:, :, ::2])
