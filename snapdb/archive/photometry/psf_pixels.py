"""The pixels about positions on one image, with what is known of each: noise, flags, sky."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np

from snapdb.archive.flagging import bad_flags_of, saturation_flags_of
from snapdb.photometry.background import Estimator, Sky, annulus_stamp_size, measure_annulus
from snapdb.photometry.fitting.stamps import centre_pixels, crop_stamps, gather_stamps, inside_stamps
from snapdb.pixels.box import Box
from snapdb.pixels.flag_names import BadFlags
from snapdb.types import BoolArray, FloatArray, IntArray, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.planar import PlanarImage

Background: TypeAlias = Literal["annulus", "none", "fit"]

FEW = 64
"""Positions up to which only boxes about them are read; for more the planes are read whole, and kept."""
CROWDED_RING = 100
"""Pixels between the sources of a ring below which those on them are used too."""
LEAST_RING = 30
"""Good pixels without which a ring tells no sky."""
_AT_ONCE = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class StampRules:
    """Which pixels are wanted about each position."""

    shape: tuple[int, int]
    """Rows and columns of the stamps that are fitted, odd."""
    background: Background
    """Where the sky is from."""
    ring: tuple[float, float]
    """Inner and outer radius of the ring, pixels."""
    estimator: Estimator
    """How the ring tells the sky."""
    bad: BadFlags
    """Flags that make a pixel bad."""
    saturated: BadFlags
    """Flags of saturated pixels."""

    @property
    def size(self) -> int:
        """Side of the square that holds the stamps."""
        return max(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class StampSet:
    """Squares about N positions, (N, S, S), and what was found about them, (N,)."""

    data: FloatArray
    """Pixels in the data's units; NaN outside the image."""
    variance: FloatArray
    """Of each pixel."""
    good: BoolArray
    """Pixels to fit."""
    sky: FloatArray
    """Level of the sky, 0 where it is not measured."""
    sky_err: FloatArray
    """Its standard deviation."""
    edge: BoolArray
    """Whether the stamp reaches beyond the image."""
    masked: BoolArray
    """Whether a pixel on the image is bad."""
    masked_peak: BoolArray
    """Whether one of the middle 3 x 3 is."""
    saturated: BoolArray
    """Whether one is saturated."""
    no_background: BoolArray
    """Whether the ring told no sky."""
    no_sky: BoolArray
    """Whether the ring has no pixel at all, so that there is no flux."""
    no_scale: BoolArray
    """Whether nothing tells the noise, so that errors are not known."""

    def with_sky(self, level: FloatArray) -> Self:
        """Take skies that a caller gives, without errors, in place of what was measured.

        Parameters
        ----------
        level : array
            In the data's units, one a position; NaN keeps what was measured.
        """
        given = np.isfinite(level)
        return replace(
            self,
            sky=np.where(given, level, self.sky),
            sky_err=np.where(given, 0.0, self.sky_err),
            no_background=self.no_background & ~given,
            no_sky=self.no_sky & ~given,
        )


def make_rules(
    image: "PlanarImage",
    shape: tuple[int, int],
    background: Background,
    ring: tuple[float, float],
    estimator: Estimator,
    bad_bits: Any,
) -> StampRules:
    """Settle which pixels are wanted.

    Parameters
    ----------
    image : Image
        Names its flags.
    shape, background, ring, estimator
        As in :class:`StampRules`.
    bad_bits : int, str, list or None
        Flags that make a pixel bad; by default the image's own, and saturation.

    Returns
    -------
    StampRules
        For :func:`read_stamps`.
    """
    saturated = saturation_flags_of(image)
    bad = bad_flags_of(image, bad_bits)
    # A saturated pixel tells no flux; where a caller says which flags are bad, that holds.
    bad = bad | saturated if bad_bits is None and saturated else bad
    return StampRules(
        shape=shape,
        background=background,
        ring=ring,
        estimator=estimator,
        bad=bad,
        saturated=saturated,
    )


def read_stamps(
    image: "PlanarImage", x: FloatArray, y: FloatArray, rules: StampRules, reach: int | None = None
) -> StampSet:
    """Read what is needed about positions on an image.

    Parameters
    ----------
    image : Image
        Where from. Up to 64 positions only boxes are read; for more, the planes.
    x, y : array
        Positions on the image, pixels.
    rules : StampRules
        What is wanted.
    reach : int, optional
        Pixels about each position that tell no sky of its neighbours; all do by default.

    Returns
    -------
    StampSet
        One stamp a position.
    """
    column, row = centre_pixels(x, y)
    reader = _Reader(image, few=len(x) <= FEW)
    ring = rules.background == "annulus" or not reader.has_noise
    if ring and reach is not None:
        reader.sources = _mark_sources(reader.shape, column, row, reach)
    size = max(rules.size, annulus_stamp_size(rules.ring[1]) if ring else 1)
    step = max(1, _AT_ONCE // size**2)
    parts = [
        _make_part(reader, (column[s], row[s]), (x[s] - column[s], y[s] - row[s]), rules, size, ring=ring)
        for s in (slice(n, n + step) for n in range(0, max(len(x), 1), step))
    ]
    if len(parts) == 1:
        return parts[0]
    names = StampSet.__dataclass_fields__
    return StampSet(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


class _Reader:
    """Stamps of planes, from whole planes or from boxes."""

    def __init__(self, image: "PlanarImage", *, few: bool) -> None:
        names = image.plane_names
        self.image, self.few = image, few
        self.shape = image.image_shape
        self.sources: BoolArray | None = None
        self.has_noise, self.has_flags = "noise" in names, "flags" in names

    def read(self, name: str, column: IntArray, row: IntArray, size: int) -> PixelArray:
        """Give squares of a plane; what lies outside is NaN, or 0 in flags."""
        fill = 0 if name == "flags" else np.nan
        if not self.few:
            plane = getattr(self.image, name)
            if plane.dtype.kind in "iu" and name != "flags":
                # Integers hold no NaN; what lies outside is masked by its place.
                fill = 0
            return gather_stamps(plane, column, row, size, fill)
        stamps = np.full((len(column), size, size), fill, dtype=np.int64 if name == "flags" else np.float64)
        height, width = self.shape
        for n, (x0, y0) in enumerate(
            zip((column - size // 2).tolist(), (row - size // 2).tolist(), strict=True)
        ):
            left, low = max(x0, 0), max(y0, 0)
            right, high = min(x0 + size, width), min(y0 + size, height)
            part = self.image.read_box([name], Box(left, low, right - left, high - low))[name]
            stamps[n, low - y0 : high - y0, left - x0 : right - x0] = part
        return stamps


def _make_part(
    reader: _Reader,
    centre: tuple[IntArray, IntArray],
    offset: tuple[FloatArray, FloatArray],
    rules: StampRules,
    size: int,
    *,
    ring: bool,
) -> StampSet:
    """Make the stamps of some positions."""
    column, row = centre
    number = len(column)
    wide = reader.read("data", column, row, size)
    on_image = inside_stamps(reader.shape, column, row, size)
    bad, saturated = (np.zeros((number, s, s), dtype=bool) for s in (size, rules.size))
    if reader.has_flags:
        flags = reader.read("flags", column, row, size)
        bad = rules.bad.mask(flags)
        saturated = rules.saturated.mask(crop_stamps(flags, rules.size))
    sky = sky_err = scatter = np.zeros(number)
    no_background = no_sky = np.zeros(number, dtype=bool)
    if ring:
        found = _measure_sky(reader, centre, offset, rules, wide, ~bad & on_image)
        scatter = found.scatter
        if rules.background == "annulus":
            no_background, no_sky = found.n_pixels < LEAST_RING, found.n_pixels == 0
            sky, sky_err = (np.where(no_background, 0.0, v) for v in (found.level, found.level_err))
    data = crop_stamps(wide, rules.size).astype(np.float64)
    variance, no_scale = _variance_of(reader, centre, rules.size, scatter)
    inside, wanted = crop_stamps(on_image, rules.size), _rectangle(rules)
    with np.errstate(invalid="ignore"):
        bad = crop_stamps(bad, rules.size) | ~np.isfinite(data) | ~(np.isfinite(variance) & (variance > 0))
    marred = bad & inside & wanted
    return StampSet(
        data=data,
        variance=variance,
        good=~bad & inside & wanted,
        sky=sky,
        sky_err=sky_err,
        edge=_any(~inside & wanted),
        masked=_any(marred),
        masked_peak=_any(crop_stamps(marred, min(3, rules.size))),
        saturated=_any(saturated & wanted),
        no_background=no_background,
        no_sky=no_sky,
        no_scale=no_scale,
    )


def _mark_sources(shape: tuple[int, int], column: IntArray, row: IntArray, reach: int) -> BoolArray:
    """Mark the pixels of an image that sources shine on."""
    marked = np.zeros(shape, dtype=bool)
    low = np.maximum(np.stack((row, column), axis=1) - reach, 0).tolist()
    high = (np.stack((row, column), axis=1) + reach + 1).tolist()
    for (bottom, left), (top, right) in zip(low, high, strict=True):
        marked[bottom:top, left:right] = True
    return marked


def _measure_sky(
    reader: _Reader,
    centre: tuple[IntArray, IntArray],
    offset: tuple[FloatArray, FloatArray],
    rules: StampRules,
    wide: PixelArray,
    good: BoolArray,
) -> Sky:
    """Measure rings without the sources in them; with them where little else is left."""
    if reader.sources is None:
        return measure_annulus(wide, good, *offset, *rules.ring, estimator=rules.estimator)
    clean = good & ~gather_stamps(reader.sources, *centre, wide.shape[-1], fill=False)
    found = measure_annulus(wide, clean, *offset, *rules.ring, estimator=rules.estimator)
    again = np.flatnonzero(found.n_pixels < CROWDED_RING)
    if len(again):
        dx, dy = (v[again] for v in offset)
        other = measure_annulus(wide[again], good[again], dx, dy, *rules.ring, estimator=rules.estimator)
        for name in ("level", "level_err", "scatter", "n_pixels"):
            getattr(found, name)[again] = getattr(other, name)
    return found


def _variance_of(
    reader: _Reader, centre: tuple[IntArray, IntArray], size: int, scatter: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Give each pixel's variance, from the noise or the scatter of the sky, and where it is not known."""
    if reader.has_noise:
        noise = reader.read("noise", *centre, size).astype(np.float64)
        return np.where(noise > 0, noise, np.nan) ** 2, np.zeros(len(noise), dtype=bool)
    unknown = ~(scatter > 0)
    value = np.where(unknown, 1.0, scatter**2)
    return np.broadcast_to(value[:, None, None], (len(scatter), size, size)), unknown


def _any(stamps: BoolArray) -> BoolArray:
    """Say in which stamps there is one."""
    return np.asarray(stamps.any(axis=(1, 2)), dtype=np.bool_)


def _rectangle(rules: StampRules) -> BoolArray:
    """Say which pixels of a square the fit's own shape has."""
    half = rules.size // 2
    reach = np.abs(np.arange(-half, half + 1))
    return (reach <= rules.shape[0] // 2)[:, None] & (reach <= rules.shape[1] // 2)
