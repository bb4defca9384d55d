"""Sums within apertures: how much of each pixel counts, and what the sums are worth.

The overlap of an aperture with a pixel is photutils', called for the grid that photutils would
call it for, so that sums are the same to rounding.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from snapdb.errors import ConfigError, UsageError
from snapdb.photometry.lengths import to_number, to_pixels
from snapdb.types import BoolArray, FloatArray

Method: TypeAlias = Literal["exact", "center", "subpixel"]
LARGEST_PX = 500
"""Pixels of an aperture's radius, or side, at most."""
METHODS: tuple[str, ...] = ("exact", "center", "subpixel")


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle about the position."""

    r: float
    """Radius, pixels."""

    @property
    def reach(self) -> float:
        """Largest distance from the position, pixels."""
        return self.r

    def at(self, xy: FloatArray) -> Any:
        """Give photutils' aperture at positions of shape (N, 2)."""
        return load_photutils().CircularAperture(xy, r=self.r)


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse about the position."""

    a: float
    """Semi-major axis, pixels."""
    b: float
    """Semi-minor axis, pixels."""
    angle_deg: float = 0.0
    """Of the major axis from +x towards +y."""

    @property
    def reach(self) -> float:
        """Largest distance from the position, pixels."""
        return max(self.a, self.b)

    def at(self, xy: FloatArray) -> Any:
        """Give photutils' aperture at positions of shape (N, 2)."""
        angle = math.radians(self.angle_deg)
        return load_photutils().EllipticalAperture(xy, a=self.a, b=self.b, theta=angle)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle about the position."""

    width: float
    """Full length along its first side, pixels."""
    height: float
    """Full length along its second side, pixels."""
    angle_deg: float = 0.0
    """Of the first side from +x towards +y."""

    @property
    def reach(self) -> float:
        """Largest distance from the position, pixels."""
        return math.hypot(self.width, self.height) / 2

    def at(self, xy: FloatArray) -> Any:
        """Give photutils' aperture at positions of shape (N, 2)."""
        angle = math.radians(self.angle_deg)
        return load_photutils().RectangularAperture(xy, w=self.width, h=self.height, theta=angle)


@dataclass(frozen=True, slots=True)
class Foreign:
    """The shape of a photutils aperture, wherever that lies."""

    aperture: Any
    """A photutils PixelAperture."""

    @property
    def reach(self) -> float:
        """Largest distance from the position, pixels."""
        box = np.atleast_1d(np.asarray(self.aperture.bbox, dtype=object)).ravel()[0]
        return math.hypot(*box.shape) / 2 + 1

    def at(self, xy: FloatArray) -> Any:
        """Give the aperture at positions of shape (N, 2)."""
        moved = copy.copy(self.aperture)
        moved.positions = xy
        return moved


Shape: TypeAlias = Circle | Ellipse | Rectangle | Foreign


def read_shapes(ap_r: Any, scale: float | None = None) -> tuple[list[Shape], bool]:
    """Give the apertures that a call means.

    Parameters
    ----------
    ap_r : float, shape, photutils PixelAperture, or a sequence of these
        A number is the radius of a circle, pixels; a Quantity of an angle is one too.
    scale : float, optional
        Arcseconds a pixel, for angles.

    Returns
    -------
    shapes : list
        One or more.
    several : bool
        Whether a sequence was given.

    Raises
    ------
    UsageError
        If there is none, one has no size or more than 500 pixels, or an angle has no scale.
    """
    ap_r = to_pixels(ap_r, scale, "ap_r")
    if isinstance(ap_r, Sequence) and not isinstance(ap_r, str):
        shapes = [_read_shape(item) for item in ap_r]
    elif isinstance(ap_r, np.ndarray) and ap_r.ndim == 1:
        shapes = [_read_shape(item) for item in ap_r.tolist()]
    else:
        return [_read_shape(ap_r)], False
    if not shapes:
        msg = "ap_r is empty: expected one radius in pixels or more"
        raise UsageError(msg, ap_r=ap_r)
    return shapes, True


def _read_shape(item: Any) -> Shape:
    """Take one aperture."""
    if hasattr(item, "to_mask") and hasattr(item, "bbox"):
        return Foreign(item)
    if isinstance(item, Ellipse | Rectangle | Circle | Foreign):
        shape: Shape = item
    else:
        try:
            shape = Circle(to_number(item, "ap_r", "a radius"))
        except UsageError as err:
            msg = f"ap_r={item!r:.60}: expected a radius in pixels or arcsec, an Ellipse, or an aperture"
            raise UsageError(msg, ap_r=item) from err
    sizes = [getattr(shape, name, 1.0) for name in ("r", "a", "b", "width", "height")]
    if not all(0 < size <= LARGEST_PX for size in sizes):
        msg = f"ap_r={item!r}: expected a size above 0 and up to {LARGEST_PX} pixels"
        raise UsageError(msg, ap_r=item)
    return shape


def stamp_size(shapes: Sequence[Shape]) -> int:
    """Give the odd size of a stamp about the nearest pixel that holds each of the apertures.

    Parameters
    ----------
    shapes : sequence
        The apertures.

    Returns
    -------
    int
        Pixels.
    """
    return 2 * (math.ceil(max(shape.reach for shape in shapes)) + 1) + 1


def compute_weights(
    shape: Shape, x: FloatArray, y: FloatArray, size: int, method: str = "exact", subpixels: int = 5
) -> FloatArray:
    """Give how much of each pixel lies within the aperture.

    Parameters
    ----------
    shape : Shape
        The aperture.
    x, y : array, shape (N,)
        Positions, 0-based pixels; finite.
    size : int
        Of the stamps, odd; their middle pixel is the nearest, ``floor(x + 0.5)``.
    method : {'exact', 'center', 'subpixel'}
        How: exactly; 0 or 1 by the pixel's centre; the fraction of ``subpixels**2``
        points. A rectangle has 32 for ``exact``, as in photutils.
    subpixels : int
        Points a side for ``subpixel``.

    Returns
    -------
    array, shape (N, size, size)
        From 0 to 1.

    Raises
    ------
    UsageError
        If the method is none of the three, or `subpixels` is no whole number above 0.
    ConfigError
        If photutils is not installed.
    """
    check_method(method, subpixels)
    weights = np.zeros((len(x), size, size))
    if not len(x):
        return weights
    left = np.floor(x + 0.5).astype(int) - size // 2
    low = np.floor(y + 0.5).astype(int) - size // 2
    if isinstance(shape, Circle):
        how = int(method == "exact"), subpixels if method == "subpixel" else 1
        _draw_circles(weights, shape.r, (x, y), (left, low), how)
        return weights
    masks = shape.at(np.stack((x, y), axis=1)).to_mask(method=method, subpixels=subpixels)
    for row, (mask, x0, y0) in enumerate(zip(masks, left, low, strict=True)):
        box = mask.bbox
        weights[row, box.iymin - y0 : box.iymax - y0, box.ixmin - x0 : box.ixmax - x0] = mask.data
    return weights


def check_method(method: str, subpixels: int) -> None:
    """Refuse a way to count that does not exist.

    Parameters
    ----------
    method, subpixels
        As for :func:`compute_weights`.

    Raises
    ------
    UsageError
        If it is none.
    """
    if method not in METHODS:
        msg = f"method={method!r}: expected one of {', '.join(METHODS)}"
        raise UsageError(msg, method=method)
    if isinstance(subpixels, bool) or not isinstance(subpixels, int | np.integer) or subpixels < 1:
        msg = f"subpixels={subpixels!r}: expected a whole number of at least 1"
        raise UsageError(msg, subpixels=subpixels)


def load_photutils() -> Any:
    """Load photutils' apertures, which are optional.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        from photutils import aperture
    except ImportError as err:
        msg = "this needs the package photutils, which is not installed: pip install 'snapdb[photometry]'"
        raise ConfigError(msg, package="photutils") from err
    return aperture


def _draw_circles(
    weights: FloatArray,
    radius: float,
    centres: tuple[FloatArray, FloatArray],
    origins: tuple[Any, Any],
    how: tuple[int, int],
) -> None:
    """Fill stamps with the overlaps of circles, on the grids that photutils takes."""
    load_photutils()
    from photutils.geometry import circular_overlap_grid

    starts, ends = [], []
    for centre in centres:
        starts.append(np.floor(centre - radius + 0.5).astype(int))
        ends.append(np.ceil(centre + radius + 0.5).astype(int))
    columns = (starts[0] - origins[0], ends[0] - origins[0], starts[1] - origins[1], ends[1] - origins[1])
    edges = [e[axis] - 0.5 - centres[axis] for axis in (0, 1) for e in (starts, ends)]
    boxes = zip(*(c.tolist() for c in columns), *(e.tolist() for e in edges), strict=True)
    for stamp, (i0, i1, j0, j1, x0, x1, y0, y1) in zip(weights, boxes, strict=True):
        stamp[j0:j1, i0:i1] = circular_overlap_grid(x0, x1, y0, y1, i1 - i0, j1 - j0, radius, *how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What N apertures hold."""

    flux: FloatArray
    """Sum of the pixels, bad ones made good for as was asked; NaN without a good pixel."""
    variance: FloatArray
    """Variance of it; NaN where the pixels' are not known."""
    area: FloatArray
    """Pixels of the image within the aperture."""
    overlap: FloatArray
    """Fraction of the aperture that lies on the image."""
    bad_fraction: FloatArray
    """Fraction of that part that is bad pixels."""
    captured: FloatArray
    """Fraction of the model's light within that part; NaN without a model."""


def sum_apertures(
    weights: FloatArray,
    pixels: FloatArray,
    variance: FloatArray | None,
    good: BoolArray,
    inside: BoolArray,
    *,
    masked: str = "scale",
    model: FloatArray | None = None,
) -> Sums:
    """Sum pixels within apertures.

    Parameters
    ----------
    weights : array, shape (N, S, S)
        How much of each pixel lies within.
    pixels : array, shape (N, S, S)
        Data, the sky subtracted.
    variance : array, shape (N, S, S), optional
        Of each pixel.
    good, inside : array of bool, shape (N, S, S)
        Pixels that are good, and those that are on the image.
    masked : {'scale', 'psf', 'sum', 'exclude'}
        What stands for bad pixels: the mean of the good ones within; the model, scaled to
        them; their own values; nothing.
    model : array, shape (N, S, S), optional
        Light of a source of flux 1; needed for ``psf``.

    Returns
    -------
    Sums
        For each aperture.
    """
    on = np.where(inside, weights, 0.0)
    use = on if masked == "sum" else np.where(good, on, 0.0)
    area, area_used = _total(on), _total(use)
    bad = _total(np.where(good, 0.0, on))
    captured = np.full(area.shape, np.nan) if model is None else _weigh(on, model)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.ones(area.shape)
        if masked == "scale":
            factor = area / area_used
        elif masked == "psf" and model is not None:
            factor = captured / _weigh(use, model)
        flux = _weigh(use, pixels) * factor
        total = np.full(area.shape, np.nan) if variance is None else _weigh(use, variance) * factor**2
        overlap, bad_fraction = area / _total(weights), bad / area
    empty = (area_used <= 0) | (bad_fraction >= 1.0) | ~np.isfinite(factor)
    flux[empty] = total[empty] = np.nan
    return Sums(
        flux=flux,
        variance=total,
        area=area,
        overlap=overlap,
        bad_fraction=np.where(area > 0, bad_fraction, np.nan),
        captured=captured,
    )


def find_peaks(weights: FloatArray, pixels: FloatArray, inside: BoolArray) -> FloatArray:
    """Give the largest finite pixel whose centre lies within each aperture.

    Parameters
    ----------
    weights : array, shape (N, S, S)
        From :func:`compute_weights` with ``center``.
    pixels : array, shape (N, S, S)
        Data.
    inside : array of bool, shape (N, S, S)
        Pixels on the image.

    Returns
    -------
    array, shape (N,)
        NaN where there is none.
    """
    count = (weights > 0) & inside & np.isfinite(pixels)
    peaks = np.where(count, pixels, -np.inf).max(axis=(1, 2), initial=-np.inf)
    return np.where(np.isfinite(peaks), peaks, np.nan)


def _total(weights: FloatArray) -> FloatArray:
    """Sum stamps."""
    return np.asarray(weights.sum(axis=(1, 2)))


def _weigh(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Sum values times weights; where the weight is 0 the value does not matter."""
    return np.asarray((weights * np.where(weights > 0, values, 0.0)).sum(axis=(1, 2)))
