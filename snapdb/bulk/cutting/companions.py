"""Noise and flags stamps: the further planes of the images that stamps are cut from."""

from collections.abc import Iterator, Sequence

import numpy as np

from snapdb.bulk.cutting.part_stamps import FLAGS_TYPE, PartStamps, flags_bit
from snapdb.bulk.cutting.windows import iter_windows
from snapdb.bulk.planning.placing import place_windows, window_sizes
from snapdb.bulk.planning.plan import Part
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel, get_wcs
from snapdb.bulk.planning.weights import channel_weights
from snapdb.pixels.placing import Places
from snapdb.types import IntArray, PixelArray


def add_planes(
    part: Part, rows: IntArray, channels: Sequence[Channel], stamps: PartStamps, recipe: Recipe
) -> None:
    """Make the noise and flags stamps of sources that have the same images.

    Noise is that of the mixed channels before the stretch, as if pixels were independent. Flags are
    the bits of all pixels of all channels that take part; pixels beyond an image have its NO_DATA bit.
    Of raw stamps each channel has its own, as they were cut.

    Parameters
    ----------
    part : Part
        The sources.
    rows : array of int
        Places of these in the part.
    channels : sequence of Channel
        Their images.
    stamps : PartStamps
        Whose ``noise`` and ``flags``, or ``raw_noise`` and ``raw_flags``, are filled.
    recipe : Recipe
        How.
    """
    places = [_place(part, rows, channel, recipe) for channel in channels]
    if recipe.raw:
        for number, (channel, at) in enumerate(zip(channels, places, strict=True)):
            _keep_raw(number, channel, at, rows, stamps, recipe)
        return
    weights = channel_weights(recipe, channels)
    if stamps.noise is not None:
        stamps.noise[rows] = _mix_noise(channels, places, weights, recipe)
    if stamps.flags is not None:
        for channel, at, own in zip(channels, places, weights, strict=True):
            if np.any(own != 0.0) and "flags" in channel.planes:
                _add_flags(channel, at, rows, stamps, recipe)


def _place(part: Part, rows: IntArray, channel: Channel, recipe: Recipe) -> Places:
    """Place the windows of sources in an image, as for its data."""
    sources = part.sources
    x, y = (np.atleast_1d(a) for a in get_wcs(channel).world_to_pixel(sources.ra[rows], sources.dec[rows]))
    size = window_sizes(sources.pixels[rows], sources.arcsec[rows], channel.scale_arcsec, recipe.padding)
    return place_windows(x, y, size, channel.data.layout)


def _mix_noise(
    channels: Sequence[Channel], places: Sequence[Places], weights: PixelArray, recipe: Recipe
) -> PixelArray:
    """Add the channels' variances with the squares of their weights; NaN where one is not known."""
    from snapdb.bulk.shape.resample import resample_noise

    side = recipe.resolution
    variance = np.zeros((len(places[0].x0), side, side, weights.shape[1]), np.float32)
    for channel, at, own in zip(channels, places, weights, strict=True):
        layer = np.full(variance.shape[:3], np.nan, np.float32)
        for index, batch in _iter_noise(channel, at):
            layer[index] = resample_noise(batch, side, recipe.interpolation, conserve=recipe.conserve)
        layer *= np.float32(abs(channel.factor))
        for output in np.flatnonzero(own):
            variance[..., output] += np.square(layer * np.float32(own[output]))
    return np.sqrt(variance)


def _add_flags(channel: Channel, places: Places, rows: IntArray, stamps: PartStamps, recipe: Recipe) -> None:
    """Add the bits of one channel, and say how many of its pixels are bad."""
    from snapdb.bulk.shape.resample import resample_flags

    assert stamps.flags is not None  # noqa: S101  # the caller has looked
    for index, bits in _iter_flags(channel, places, rows, stamps):
        made = resample_flags(bits, recipe.resolution, recipe.interpolation, conserve=recipe.conserve)
        stamps.flags[rows[index]] |= made


def _keep_raw(
    number: int, channel: Channel, places: Places, rows: IntArray, stamps: PartStamps, recipe: Recipe
) -> None:
    """Keep the noise and the flags of one channel as they were cut, noise in the unit of the data."""
    if "noise" in recipe.planes:
        factor = np.float32(abs(channel.factor))
        for index, batch in _iter_noise(channel, places):
            for row, window in zip(rows[index].tolist(), batch * factor, strict=True):
                stamps.raw_noise[row][number] = window
    if "flags" in recipe.planes and "flags" in channel.planes:
        for index, bits in _iter_flags(channel, places, rows, stamps):
            for row, window in zip(rows[index].tolist(), bits, strict=True):
                stamps.raw_flags[row][number] = window


def _iter_noise(channel: Channel, places: Places) -> Iterator[tuple[IntArray, PixelArray]]:
    """Cut windows of a channel's noise, where it has one; NaN beyond the image."""
    if "noise" not in channel.planes:
        return
    for index, batch in iter_windows(channel.planes["noise"], places):
        _set_outside(batch, places, index, np.nan)
        yield index, batch


def _iter_flags(
    channel: Channel, places: Places, rows: IntArray, stamps: PartStamps
) -> Iterator[tuple[IntArray, PixelArray]]:
    """Cut windows of a channel's flags, with a bit beyond the image; note how many pixels are bad."""
    masked = stamps.columns["masked_fraction"]
    for index, batch in iter_windows(channel.planes["flags"], places, dtype=np.int64):
        share = channel.bad.mask(batch).mean(axis=(1, 2))
        masked[rows[index]] = np.maximum(masked[rows[index]], share)
        bits = batch.astype(FLAGS_TYPE)
        _set_outside(bits, places, index, flags_bit(channel))
        yield index, bits


def _set_outside(batch: PixelArray, places: Places, index: IntArray, value: float) -> None:
    """Set the pixels of windows that lie beyond their image."""
    for i in np.flatnonzero(~places.is_whole[index]).tolist():
        k = int(index[i])
        left, bottom = int(places.left[k] - places.x0[k]), int(places.bottom[k] - places.y0[k])
        right, top = int(places.right[k] - places.x0[k]), int(places.top[k] - places.y0[k])
        batch[i, :bottom] = batch[i, top:] = value
        batch[i, :, :left] = batch[i, :, right:] = value
