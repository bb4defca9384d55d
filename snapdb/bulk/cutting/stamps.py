"""The stamps of one part: cut, resampled, mixed, stretched, with all that the table says of them."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.bulk.cutting.layers import LayerMaker
from snapdb.bulk.cutting.local_wcs import make_linear
from snapdb.bulk.cutting.part_stamps import FLAGS_TYPE, PartStamps
from snapdb.bulk.cutting.windows import bad_fraction
from snapdb.bulk.planning.placing import outside_fraction, place_windows, window_sizes
from snapdb.bulk.planning.plan import Part
from snapdb.bulk.planning.recipe import Recipe
from snapdb.bulk.planning.sources import Channel, get_wcs
from snapdb.bulk.planning.weights import channel_weights
from snapdb.errors import SnapdbError, UsageError
from snapdb.pixels.placing import Places
from snapdb.types import FloatArray, IntArray, PixelArray

if TYPE_CHECKING:
    from snapdb.bulk.shape.steps import Steps


@dataclass(slots=True, eq=False)
class _Group:
    """Sources of a part that have the same images."""

    number: int
    """Of the set of images in the part."""
    rows: IntArray
    """Places of the sources in the part."""
    channels: tuple[Channel, ...]


class _Timer:
    """Adds the time of a block to its stage's."""

    __slots__ = ("_begin", "_seconds", "_stage")

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self._seconds, self._stage = seconds, stage

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._stage] += time.perf_counter() - self._begin


class StampMaker:
    """Makes the stamps of parts.

    Parameters
    ----------
    recipe : Recipe
        How stamps are made.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._seconds: dict[str, float] = defaultdict(float)
        self._layers = LayerMaker(recipe.convert, recipe.run_pixels, self._timed)

    def make(self, part: Part, *, attempts: int = 2) -> PartStamps:
        """Make the stamps of a part; what fails is tried once more, and then said in the table.

        Parameters
        ----------
        part : Part
            Sources and images.
        attempts : int
            How often what fails is tried.
        """
        recipe, count = self.recipe, len(part)
        shape = (count, recipe.resolution, recipe.resolution, recipe.outputs)
        stamps = PartStamps(images=np.zeros((0, 0, 0, 0) if recipe.raw else shape, recipe.dtype))
        stamps.columns = _empty_columns(count)
        if recipe.raw:
            stamps.raw = [[] for _ in range(count)]
            stamps.raw_noise = [{} for _ in range(count)]
            stamps.raw_flags = [{} for _ in range(count)]
        elif recipe.planes:
            stamps.noise = np.full(shape, np.nan, np.float32) if "noise" in recipe.planes else None
            stamps.flags = np.zeros(shape[:3], FLAGS_TYPE) if "flags" in recipe.planes else None
        for group in _groups(part, stamps):
            self._try(part, group, stamps, attempts)
        stamps.seconds = dict(self._seconds)
        return stamps

    def begin(self, part: Part) -> PartStamps:
        """Give what :meth:`follow` notes in: the columns of a part's stamps, without their pixels.

        Parameters
        ----------
        part : Part
            Sources and images, for which :func:`can_follow` holds.
        """
        stamps = PartStamps(images=np.zeros((0, 0, 0, 0), self.recipe.dtype))
        stamps.columns = _empty_columns(len(part))
        return stamps

    def follow(self, part: Part, stamps: PartStamps) -> Iterator[PixelArray]:
        """Make the stamps of a part in their order, some at a time, so that they need not be kept.

        Parameters
        ----------
        part : Part
            As :meth:`begin` took it.
        stamps : PartStamps
            From :meth:`begin`; complete when all stamps were taken.

        Yields
        ------
        array, shape (n, H, W, C)
            Of the recipe's type.

        Raises
        ------
        SnapdbError
            If an image cannot be read, or a window has no pixel of it: there would be a stamp too few.
        """
        for group in _groups(part, stamps):
            (places,) = self._place(part, group, stamps)
            if not places.touches.all():  # by a rounding: the plan has such sources refused
                msg = f"{group.channels[0].data.path}: a window lies off the image"
                raise UsageError(msg)
            for _, made in self._finish(group, places, stamps, in_order=True):
                yield made
        stamps.seconds = dict(self._seconds)

    def _try(self, part: Part, group: _Group, stamps: PartStamps, attempts: int) -> None:
        """Make the stamps of a group, again if need be."""
        for attempt in range(attempts):
            try:
                self._fill(part, group, stamps)
            except SnapdbError as err:
                if attempt == attempts - 1:
                    self._give_up(group, stamps, str(err))
            else:
                return

    def _give_up(self, group: _Group, stamps: PartStamps, reason: str) -> None:
        """Say that sources failed; nothing half-made of them is left."""
        stamps.columns["failed"][group.rows] = True
        for row in group.rows.tolist():
            stamps.columns["reason"][row] = reason
        if self.recipe.raw:
            for row in group.rows.tolist():
                stamps.raw[row], stamps.raw_noise[row], stamps.raw_flags[row] = [], {}, {}
            return
        for plane, nothing in ((stamps.images, 0), (stamps.noise, np.nan), (stamps.flags, 0)):
            if plane is not None:
                plane[group.rows] = nothing

    def _fill(self, part: Part, group: _Group, stamps: PartStamps) -> None:
        """Cut, shape and describe the stamps of sources that have the same images."""
        windows = self._place(part, group, stamps)
        if self.recipe.raw:
            for channel, places in zip(group.channels, windows, strict=True):
                self._keep_raw(channel, places, group, stamps)
        elif len(windows) == 1:
            for rows, made in self._finish(group, windows[0], stamps):
                stamps.images[rows] = made
        else:
            self._shape_many(windows, group, stamps)
        self._add_planes(part, group, stamps)

    def _place(self, part: Part, group: _Group, stamps: PartStamps) -> list[Places]:
        """Place the windows of a group on each of its images, and describe them."""
        recipe, sources = self.recipe, part.sources
        ra, dec = sources.ra[group.rows], sources.dec[group.rows]
        windows: list[Places] = []
        for number, channel in enumerate(group.channels):
            with self._timed("wcs"):
                x, y = (np.atleast_1d(a) for a in get_wcs(channel).world_to_pixel(ra, dec))
                size = window_sizes(
                    sources.pixels[group.rows],
                    sources.arcsec[group.rows],
                    channel.scale_arcsec,
                    recipe.padding,
                )
                places = place_windows(x, y, size, channel.data.layout)
            if number == 0:
                _describe(stamps.columns, group.rows, channel, places, (x, y), recipe)
            elif recipe.raw:
                more = stamps.raw_wcs.setdefault(number, _empty_columns(len(part)))
                _describe(more, group.rows, channel, places, (x, y), recipe)
            worst = stamps.columns["outside_fraction"]
            worst[group.rows] = np.maximum(worst[group.rows], outside_fraction(places))
            windows.append(places)
        return windows

    def _finish(
        self, group: _Group, places: Places, stamps: PartStamps, *, in_order: bool = False
    ) -> Iterator[tuple[IntArray, PixelArray]]:
        """Make the stamps of sources that have one image: each batch goes all the way in the cache."""
        steps = self._steps(group)
        for layer in self._layers.make(group.channels[0], places, steps, in_order=in_order):
            rows = group.rows[layer.index]
            _note_masked(rows, layer.masked, stamps)
            with self._timed("shape"):
                made = steps.finish([layer.stamps], extremes=layer.extremes)
            yield rows, made

    def _shape_many(self, places: Sequence[Places], group: _Group, stamps: PartStamps) -> None:
        """Make the stamps of sources that have several images, whose windows differ in size."""
        side, steps = self.recipe.resolution, self._steps(group)
        images = [np.zeros((len(group.rows), side, side), np.float32) for _ in places]
        for image, channel, at in zip(images, group.channels, places, strict=True):
            for layer in self._layers.make(channel, at, steps):
                _note_masked(group.rows[layer.index], layer.masked, stamps)
                image[layer.index] = layer.stamps
        with self._timed("shape"):
            stamps.images[group.rows] = steps.finish(images)

    def _steps(self, group: _Group) -> "Steps":
        """Say how the stamps of a group are resampled, converted, mixed and stretched."""
        from snapdb.bulk.shape.steps import Steps, make_matrix
        from snapdb.bulk.shape.stretch import Stretch

        recipe, channels = self.recipe, group.channels
        weights = channel_weights(recipe, channels)
        return Steps(
            resolution=recipe.resolution,
            interpolation=recipe.interpolation,
            conserve=recipe.conserve,
            matrix=make_matrix(len(channels), weights, [c.factor for c in channels]),
            stretch=Stretch(method=recipe.method, **recipe.stretch),
            dtype=np.dtype(recipe.dtype),
        )

    def _keep_raw(self, channel: Channel, places: Places, group: _Group, stamps: PartStamps) -> None:
        """Keep windows as they were cut, in the flux's unit where it is converted."""
        empty = np.flatnonzero(~places.touches).tolist()
        made: dict[int, PixelArray] = {i: np.zeros((int(places.width[i]),) * 2, np.float32) for i in empty}
        for index, batch in self._layers.cut(channel, places):
            rows = group.rows[index]
            with self._timed("extract"):
                _note_masked(rows, bad_fraction(batch), stamps)
            if channel.factor != 1.0:
                np.multiply(batch, np.float32(channel.factor), out=batch)
            made.update(zip(index.tolist(), batch, strict=True))
        for i, row in enumerate(group.rows.tolist()):
            stamps.raw[row].append(made[i])

    def _add_planes(self, part: Part, group: _Group, stamps: PartStamps) -> None:
        """Make the noise and flags stamps that are wanted."""
        if self.recipe.planes:
            from snapdb.bulk.cutting.companions import add_planes

            with self._timed("planes"):
                add_planes(part, group.rows, group.channels, stamps, self.recipe)

    def _timed(self, stage: str) -> _Timer:
        """Add the time of a block to its stage's."""
        return _Timer(self._seconds, stage)


def can_follow(part: Part, recipe: Recipe) -> bool:
    """Say whether the stamps of a part can be made one after another, each of one window alone.

    Parameters
    ----------
    part : Part
        Sources and images.
    recipe : Recipe
        How stamps are made.
    """
    single = all(len(channels) == 1 for channels in part.image_sets)
    grouped = bool((np.diff(part.sources.image_set) >= 0).all())
    return single and grouped and not recipe.raw and not recipe.planes


def _note_masked(rows: IntArray, masked: FloatArray | None, stamps: PartStamps) -> None:
    """Note the part of the pixels that are not finite, the worst of the channels."""
    if masked is not None:
        worst = stamps.columns["masked_fraction"]
        worst[rows] = np.maximum(worst[rows], masked)


def _groups(part: Part, stamps: PartStamps) -> Iterator[_Group]:
    """Give the sources of a part by their images, and note which they are."""
    for number, channels in enumerate(part.image_sets):
        group = _Group(number, np.flatnonzero(part.sources.image_set == number), channels)
        stamps.columns["images"][group.rows] = number
        yield group


_FLOATS = (
    "pixel_scale", "offset_x", "offset_y", "crval1", "crval2", "crpix1", "crpix2",
    "cd1_1", "cd1_2", "cd2_1", "cd2_2", "outside_fraction", "masked_fraction",
)  # fmt: skip
_INTEGERS = ("size", "x0", "y0", "images")


def _empty_columns(count: int) -> dict[str, Any]:
    """Make columns that say nothing yet."""
    columns: dict[str, Any] = {n: np.zeros(count, np.int64) for n in _INTEGERS}
    columns |= {n: np.full(count, np.nan) for n in _FLOATS}
    columns["outside_fraction"] = np.zeros(count)
    columns["masked_fraction"] = np.zeros(count)
    columns["failed"] = np.zeros(count, np.bool_)
    columns["reason"] = [""] * count
    columns["file"] = [""] * count
    return columns


def _describe(
    columns: dict[str, Any],
    rows: IntArray,
    channel: Channel,
    places: Places,
    at: tuple[FloatArray, FloatArray],
    recipe: Recipe,
) -> None:
    """Say where the windows of the first channel lie, and how their pixels lie on the sky."""
    size = places.width
    resolution = size if recipe.raw else np.full(size.shape, recipe.resolution)
    scale = resolution / size
    columns["size"][rows] = size
    columns["x0"][rows], columns["y0"][rows] = places.x0, places.y0
    columns["pixel_scale"][rows] = channel.scale_arcsec / scale
    for name, position, first in (("offset_x", at[0], places.x0), ("offset_y", at[1], places.y0)):
        columns[name][rows] = (position - first - (size - 1) / 2) * scale
    linear = make_linear(get_wcs(channel), channel.wcs_text, places.x0, places.y0, size, resolution)
    for one in fields(linear):
        columns[one.name][rows] = getattr(linear, one.name)
