"""From extracted stamps to finished ones in one go."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from snapdb.bulk.shape.mix import check_weights, is_identity, mix_planes
from snapdb.bulk.shape.resample import resample
from snapdb.bulk.shape.stretch import Stretch, check_dtype, chunks, write_stretched
from snapdb.bulk.shape.weights import Floats
from snapdb.errors import ShapeError
from snapdb.types import PixelArray

CHUNK_PIXELS = 1 << 18
"""Pixels in work at once, all channels: a few large stamps, many small ones."""


def shape_batch(
    channels: Sequence[PixelArray],
    resolution: int,
    *,
    interpolation: str = "bilinear",
    conserve: bool = False,
    factors: Sequence[float] | None = None,
    weights: ArrayLike | None = None,
    stretch: Stretch | None = None,
    dtype: DTypeLike = np.float32,
    out: PixelArray | None = None,
) -> PixelArray:
    """Resample, turn into flux, mix and stretch stamps, a few at a time.

    Gives what :func:`~snapdb.bulk.shape.resample.resample`, :func:`~snapdb.bulk.shape.mix.mix`
    and :func:`~snapdb.bulk.shape.stretch.stretch` give one after the other, without their
    arrays in between.

    Parameters
    ----------
    channels : sequence of C arrays, shape (N, ny, nx)
        Stamps of the same N sources; the channels' sizes may differ.
    resolution : int
        Pixels a side of what is made.
    interpolation, conserve
        As :func:`~snapdb.bulk.shape.resample.resample`.
    factors : sequence of C floats, optional
        What each channel is multiplied by, such as :func:`~snapdb.bulk.shape.flux.flux_factor`.
    weights : array, shape (C, O), optional
        As :func:`~snapdb.bulk.shape.mix.mix`; each channel as it is when not given.
    stretch : Stretch, optional
        None leaves float32 as it is.
    dtype : {float32, uint8}
        Of what is made.
    out : array, shape (N, resolution, resolution, O), optional
        Where to write.

    Raises
    ------
    ShapeError
        If the shapes do not fit together.
    UsageError
        If there is no such method, type, or a weight is not finite.
    """
    kind = check_dtype(dtype)
    matrix = _make_matrix(len(channels), weights, factors)
    number = len(channels[0])
    if any(len(channel) != number for channel in channels):
        msg = f"channels of {[len(channel) for channel in channels]} stamps: expected as many of each"
        raise ShapeError(msg, stamps=[len(channel) for channel in channels])
    shape = (number, resolution, resolution, matrix.shape[1])
    result = np.empty(shape, dtype=kind) if out is None else out
    if result.shape != shape or result.dtype != kind:
        msg = f"a place of {result.dtype} {result.shape} for stamps of {kind} {shape}: expected the same"
        raise ShapeError(msg, shape=result.shape, expected=shape)
    how = stretch or Stretch(method="none")
    for part in chunks(number, resolution**2 * max(matrix.shape), max(CHUNK_PIXELS, how.pixels_at_once)):
        made = [resample(channel[part], resolution, interpolation, conserve=conserve) for channel in channels]
        for few in chunks(len(made[0]), resolution**2 * matrix.shape[1], how.pixels_at_once):
            planes = _mix([channel[few] for channel in made], matrix)
            write_stretched(planes, how, result[part][few])
    return result


def _make_matrix(channels: int, weights: ArrayLike | None, factors: Sequence[float] | None) -> Floats:
    """Join weights and factors into one matrix."""
    if channels == 0:
        msg = "no channel: expected the stamps of at least one"
        raise ShapeError(msg, channels=0)
    matrix = np.eye(channels, dtype=np.float32) if weights is None else check_weights(weights)
    scales = np.ones(channels) if factors is None else np.asarray(factors, dtype=np.float64)
    if len(matrix) != channels or scales.shape != (channels,):
        msg = (
            f"{channels} channels, weights of {len(matrix)}, factors of {scales.shape}: expected one of each"
        )
        raise ShapeError(msg, channels=channels, weights=matrix.shape)
    return check_weights(matrix * scales[:, None])


def _mix(channels: list[Floats], matrix: Floats) -> Floats:
    """Give the planes of the output, shape (N, O, H, W), which may be written to."""
    if len(channels) == 1 and is_identity(matrix):
        return channels[0][:, None]
    planes = np.empty((len(channels[0]), matrix.shape[1], *channels[0].shape[1:]), dtype=np.float32)
    mix_planes(channels, matrix, np.moveaxis(planes, 1, 0))
    return planes
