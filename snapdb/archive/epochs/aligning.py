"""Reading the cutouts of many images onto one grid."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.archive.epochs.plan import Ask, Epoch
from snapdb.archive.epochs.reading import Parts, note_error, read_epochs
from snapdb.archive.epochs.stack import CutoutStack
from snapdb.archive.epochs.stacking import choose_no_data, refuse_nothing
from snapdb.archive.epochs.table import join_flag_bits, make_epoch_table
from snapdb.errors import ConfigError, ProjectionError, UsageError
from snapdb.pixels.box import Box, place
from snapdb.pixels.flags import NO_DATA
from snapdb.sky.align import make_grid, map_grid, sample_nearest, source_size
from snapdb.sky.wcs import BaseWCS
from snapdb.types import BoolArray, FloatArray, PixelArray

if TYPE_CHECKING:
    from astropy.table import Table

    from snapdb.archive.archive import Archive

METHODS = ("interp", "adaptive", "exact")
"""How pixels are resampled: bilinear, anti-aliased, by the overlap of pixels."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What all layers are resampled to."""

    wcs: BaseWCS
    shape: tuple[int, int]
    pixel_scale: float
    """Arcseconds a pixel."""

    @cached_property
    def astropy_wcs(self) -> Any:
        """The coordinates as astropy has them."""
        return self.wcs.get_astropy_wcs()


Resample = Callable[[PixelArray, BaseWCS, Grid], tuple[FloatArray, FloatArray]]
"""Pixels, their coordinates and the grid -> pixels of the grid, and the share of each that is covered."""


def read_aligned(
    archive: "Archive", epochs: Sequence[Epoch], ask: Ask, method: str, pixel_scale: float | None
) -> CutoutStack:
    """Read cutouts and resample them to one grid: TAN about the position, north up, east to the left.

    Values are counts a pixel: where the grid's pixels are larger than an image's, its data and
    noise grow with their area, so that sums over the grid are sums over the image. Noise is resampled
    as the data are; what resampling makes of the correlation of neighbours is not in it.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    epochs : sequence of Epoch
        Planned.
    ask : Ask
        What is cut.
    method : str
        One of :data:`METHODS`.
    pixel_scale : float or None
        Arcseconds a pixel of the grid; the median of the images' when None.

    Raises
    ------
    UsageError
        If the method is unknown, or no scale is known.
    ConfigError
        If the package reproject is not installed.
    NotFoundError
        If no image gives a layer.
    """
    resample = _choose(method)
    sound = [epoch for epoch in epochs if epoch.error is None]
    refuse_nothing(epochs, sound)
    grid = _choose_grid(sound, ask, pixel_scale)
    wide = [_widen(epoch, grid) for epoch in sound]
    layers = _Layers(wide, grid, ask)
    for index, parts in read_epochs(wide, ask, archive.store):
        if parts is not None:
            try:
                layers.add(index, parts, resample)
            except ProjectionError as err:
                note_error(wide[index], err, ask)
    for own, other in zip(sound, wide, strict=True):
        own.error, own.is_read = other.error, other.error is None
    wide_of = {id(own): other for own, other in zip(sound, wide, strict=True)}
    return layers.finish([wide_of.get(id(epoch), epoch) for epoch in epochs])


class _Layers:
    """The arrays that layers are put into, one after the other."""

    def __init__(self, epochs: Sequence[Epoch], grid: Grid, ask: Ask) -> None:
        self.epochs, self.grid, self.ask = epochs, grid, ask
        size = (len(epochs), *grid.shape)
        self.footprint: FloatArray = np.zeros(size)
        self.outside: BoolArray = np.zeros(size, dtype=bool)
        self.planes: dict[str, PixelArray] = {}
        for name in ask.planes:
            kinds = {np.dtype(p.layout.dtype) for e in epochs for p in e.planes if p.layout.name == name}
            if kinds:
                self.planes[name] = self._make_plane(name, np.result_type(*kinds), size)

    def _make_plane(self, name: str, kind: "np.dtype[Any]", size: tuple[int, ...]) -> PixelArray:
        """Make the array of a plane: flags stay what they are, all else is averaged."""
        if name == "flags":
            return np.zeros(size, dtype=kind)
        return np.full(size, self.ask.fill_value, dtype=np.result_type(kind, np.float32))

    def add(self, index: int, parts: Parts, resample: Resample) -> None:
        """Put one image's planes on the grid."""
        epoch, grid = self.epochs[index], self.grid
        if epoch.wcs is None:
            msg = f"image {epoch.record.id} has no world coordinates"
            raise ProjectionError(msg, image_id=epoch.record.id)
        source = epoch.place.source
        wcs = epoch.wcs.shifted(source.x0, source.y0)
        own_scale = wcs.pixel_scale_arcsec(epoch.x - source.x0, epoch.y - source.y0)
        area = (grid.pixel_scale / own_scale) ** 2
        x, y = map_grid(grid.wcs, wcs, grid.shape)
        inside = sample_nearest(np.ones(source.shape, dtype=np.int8), x, y, 0)
        self.footprint[index] = inside
        for name, part in parts.items():
            if name == "flags":
                self.planes[name][index] = sample_nearest(part, x, y, 0)
                self.outside[index] = inside == 0
                continue
            pixels, covered = resample(part, wcs, grid)
            self.planes[name][index] = np.where(covered > 0, pixels * area, self.ask.fill_value)
            if name == "data":
                self.footprint[index] = covered

    def finish(self, everyone: Sequence[Epoch]) -> CutoutStack:
        """Make the stack of the layers that there are; all images that match are named."""
        done = np.array([epoch.error is None for epoch in self.epochs])
        read = [epoch for epoch in self.epochs if epoch.error is None]
        refuse_nothing(everyone, read)
        planes, outside = {name: plane[done] for name, plane in self.planes.items()}, self.outside[done]
        flag_bits = join_flag_bits(read)
        if outside.any():
            bit, kind = choose_no_data(planes["flags"], flag_bits)
            planes["flags"] = planes["flags"].astype(kind, copy=False)
            planes["flags"][outside] = bit
            flag_bits[NO_DATA] = bit
        return CutoutStack(
            planes=planes,
            table=_make_table(read, self.grid, self.footprint[done]),
            missing=make_epoch_table([epoch for epoch in everyone if epoch.error is not None]),
            wcs=[self.grid.wcs] * len(read),
            flag_bits=flag_bits,
            ra=self.ask.ra,
            dec=self.ask.dec,
            aligned=True,
            footprint=self.footprint[done],
        )


def _make_table(epochs: Sequence[Epoch], grid: Grid, footprint: FloatArray) -> "Table":
    """Give the rows of layers: the position and the size are the grid's."""
    table = make_epoch_table(epochs)
    height, width = grid.shape
    table["x"][:], table["y"][:] = (width - 1) / 2.0, (height - 1) / 2.0
    table["width"][:], table["height"][:] = width, height
    table["fraction_outside"][:] = 1.0 - footprint.mean(axis=(1, 2))
    for name in ("box_x0", "box_y0"):
        table[name].mask[:] = True
    return table


def _choose_grid(epochs: Sequence[Epoch], ask: Ask, pixel_scale: float | None) -> Grid:
    """Choose the grid's scale and size."""
    scales = [epoch.record.pixel_scale for epoch in epochs if epoch.record.pixel_scale]
    if pixel_scale is None:
        if not scales:
            msg = "the images have no known pixel scale; give pixel_scale, arcseconds a pixel"
            raise UsageError(msg)
        pixel_scale = float(np.median(scales))
    if not 0.0 < pixel_scale < math.inf:
        msg = f"pixel_scale={pixel_scale}: expected arcseconds above 0"
        raise UsageError(msg, pixel_scale=pixel_scale)
    width, height = (size.to_pixels(pixel_scale) or 1 for size in (ask.xsize, ask.ysize))
    wcs = make_grid(ask.ra, ask.dec, pixel_scale, width, height)
    return Grid(wcs=wcs, shape=(height, width), pixel_scale=pixel_scale)


def _widen(epoch: Epoch, grid: Grid) -> Epoch:
    """Place a box that holds all of the grid, however the image is turned."""
    scale = epoch.record.pixel_scale or grid.pixel_scale
    size = source_size(math.ceil(math.hypot(*grid.shape)), grid.pixel_scale, scale)
    box = Box.centered(epoch.x, epoch.y, size, size)
    return replace(epoch, placement=place(box, epoch.record.width, epoch.record.height, "trim"))


def _choose(method: str) -> Resample:
    """Give the function of a method.

    Raises
    ------
    UsageError
        If there is no such method.
    ConfigError
        If reproject is not installed.
    """
    if method not in METHODS:
        msg = f"method={method!r}: expected one of {', '.join(METHODS)}"
        raise UsageError(msg, method=method)
    try:
        import reproject  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "align needs the package reproject, which is not installed: pip install 'snapdb[align]'"
        raise ConfigError(msg, package="reproject") from err
    function: Any = getattr(reproject, f"reproject_{method}")
    options = {} if method == "exact" else {"roundtrip_coords": False}

    def resample(pixels: PixelArray, wcs: BaseWCS, grid: Grid) -> tuple[FloatArray, FloatArray]:
        source = (pixels.astype(np.float64), wcs.get_astropy_wcs())
        made, covered = function(source, grid.astropy_wcs, shape_out=grid.shape, **options)
        return np.asarray(made), np.asarray(covered)

    return resample
