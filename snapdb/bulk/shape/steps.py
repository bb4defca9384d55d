"""From extracted stamps to finished ones in one go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from snapdb.bulk.shape.limits import Extremes
from snapdb.bulk.shape.mix import check_weights, mix_planes
from snapdb.bulk.shape.resample import resample
from snapdb.bulk.shape.stretch import Stretch, check_dtype, chunks, stretch_planes, write_stretched
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
    steps = Steps(
        resolution=resolution,
        interpolation=interpolation,
        conserve=conserve,
        matrix=make_matrix(len(channels), weights, factors),
        stretch=stretch or Stretch(method="none"),
        dtype=check_dtype(dtype),
    )
    return steps.apply(channels, out)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steps:
    """What is done with the stamps of sources that have the same images: checked once for all batches."""

    resolution: int
    """Pixels a side of what is made."""
    interpolation: str = "bilinear"
    conserve: bool = False
    matrix: Floats
    """From :func:`make_matrix`."""
    stretch: Stretch
    dtype: np.dtype[Any]
    """float32 or uint8."""

    def apply(self, channels: Sequence[PixelArray], out: PixelArray | None = None) -> PixelArray:
        """Do it with a batch.

        Parameters
        ----------
        channels : sequence of C arrays, shape (N, ny, nx)
            As :func:`shape_batch` takes them.
        out : array, shape (N, resolution, resolution, O), optional
            Where to write.

        Raises
        ------
        ShapeError
            If the shapes do not fit together.
        UsageError
            If there is no such interpolation.
        """
        number, side, how = len(channels[0]), self.resolution, self.stretch
        if any(len(channel) != number for channel in channels):
            msg = f"channels of {[len(channel) for channel in channels]} stamps: expected as many of each"
            raise ShapeError(msg, stamps=[len(channel) for channel in channels])
        result = self._prepare(number, out)
        most = max(CHUNK_PIXELS, how.pixels_at_once)
        for part in chunks(number, side**2 * max(self.matrix.shape), most):
            self.finish([self.resample(channel[part]) for channel in channels], out=result[part])
        return result

    def finish(
        self, layers: list[Floats], *, extremes: Extremes | None = None, out: PixelArray | None = None
    ) -> PixelArray:
        """Mix and stretch stamps that were resampled.

        Parameters
        ----------
        layers : list of C arrays of float32, shape (N, resolution, resolution)
            From :meth:`resample`, of the same N sources; used as working space.
        extremes : Extremes, optional
            Of the stamps of a single channel, where they are known.
        out : array, shape (N, resolution, resolution, O), optional
            Where to write; what is returned may lie in the layers otherwise.
        """
        number, size, how = len(layers[0]), self.resolution**2 * self.matrix.shape[1], self.stretch
        if not self._is_single:
            extremes = None
        if out is None and self.dtype == np.float32 and number * size <= how.pixels_at_once:
            planes = self._mix(layers)
            stretch_planes(planes, how, grey=False, extremes=extremes)
            return planes.transpose(0, 2, 3, 1)
        result = self._prepare(number, out)
        for few in chunks(number, size, how.pixels_at_once):
            some = None if extremes is None else extremes.take(few)
            write_stretched(self._mix([layer[few] for layer in layers]), how, result[few], some)
        return result

    def resample(self, batch: PixelArray, *, complete: bool = False) -> Floats:
        """Bring stamps to their size; those of a single channel are turned into flux too.

        Parameters
        ----------
        batch : array, shape (N, ny, nx)
            Stamps of one channel.
        complete : bool
            As :func:`~snapdb.bulk.shape.resample.resample`.
        """
        how, factor = self.interpolation, self.own_factor
        return resample(batch, self.resolution, how, conserve=self.conserve, factor=factor, complete=complete)

    def split(self, number: int) -> Iterator[slice]:
        """Give slices of stamps that fit the cache together when they are finished.

        Parameters
        ----------
        number : int
            Of stamps.
        """
        return chunks(number, self.resolution**2 * max(self.matrix.shape), self.stretch.pixels_at_once)

    @property
    def own_factor(self) -> float:
        """What the pixels of a single channel are multiplied by as they are resampled; 1 for several."""
        return float(self.matrix[0, 0]) if self._is_single else 1.0

    def _prepare(self, number: int, out: PixelArray | None) -> PixelArray:
        """Give the array to write to."""
        shape = (number, self.resolution, self.resolution, self.matrix.shape[1])
        if out is None:
            return np.empty(shape, dtype=self.dtype)
        if out.shape != shape or out.dtype != self.dtype:
            msg = f"a place of {out.dtype} {out.shape} for stamps of {self.dtype} {shape}: expected the same"
            raise ShapeError(msg, shape=out.shape, expected=shape)
        return out

    @property
    def _is_single(self) -> bool:
        # What has no weight takes no part, missing pixels included: that is for the mixing to see to.
        return self.matrix.shape == (1, 1) and bool(self.matrix[0, 0] != 0.0)

    def _mix(self, channels: list[Floats]) -> Floats:
        """Give the planes of the output, shape (N, O, H, W), which may be written to."""
        if self._is_single:
            return channels[0][:, None]
        matrix = self.matrix
        planes = np.empty((len(channels[0]), matrix.shape[1], *channels[0].shape[1:]), dtype=np.float32)
        mix_planes(channels, matrix, np.moveaxis(planes, 1, 0))
        return planes


def make_matrix(channels: int, weights: ArrayLike | None, factors: Sequence[float] | None) -> Floats:
    """Join weights and factors into one matrix.

    Parameters
    ----------
    channels : int
        How many there are.
    weights, factors
        As :func:`shape_batch` takes them.

    Returns
    -------
    array of float32, shape (C, O)
        What each channel is multiplied by for each channel of the output.

    Raises
    ------
    ShapeError
        If they are not as many as the channels.
    UsageError
        If one is not finite.
    """
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
