"""Meridians and parallels over a picture of the sky, with their degrees."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from snapdb.archive.coverage.projection import Mollweide, Projection
from snapdb.sky.vectors import wrap_ra
from snapdb.types import BoolArray, FloatArray

Extent = tuple[float, float, float, float]
"""Left, right, lower and upper end; the left is the greater."""

_NICE = tuple(a * 10.0**-n for n in range(8) for a in (5.0, 2.0, 1.0))
_STEPS = (45.0, 30.0, 15.0, 10.0, *_NICE)
"""Between lines, degrees."""
_LINES = 5
"""How many lines there shall be, about."""
_STYLE = {"color": "0.45", "linewidth": 0.6, "zorder": 2}
_TEXT = {"fontsize": 9, "color": "0.15", "zorder": 3}
_GAP = 0.012
"""Between frame and label, of the picture's size."""


def draw_graticule(axes: Any, projection: Projection, extent: Extent, *, whole: bool) -> None:
    """Draw lines of equal right ascension and declination, and label them.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to.
    projection : Projection
        From the sky to the axes' plane.
    extent : tuple
        Of the axes: left, right, lower, upper end.
    whole : bool
        Whether it is the whole sky, which has labels inside and an outline.
    """
    if whole:
        _draw_whole(axes, projection)
    else:
        _draw_part(axes, projection, extent)
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_aspect("equal")


def _draw_whole(axes: Any, projection: Projection) -> None:
    """Draw the lines of the whole sky: every 60 degrees of right ascension, every 30 of declination."""
    middle = projection.middle if isinstance(projection, Mollweide) else 0.0
    up = np.linspace(-90.0, 90.0, 181)
    across = middle + np.linspace(-180.0, 179.999999, 361)
    for offset in (-180.0, -120.0, -60.0, 0.0, 60.0, 120.0, 179.999999):
        edge = abs(offset) > 179.0
        style = _STYLE | ({"color": "0.15", "linewidth": 1.0, "clip_on": False} if edge else {})
        axes.plot(*projection.to_plane(np.full(181, middle + offset), up), **style)
        if not edge:
            x, y = projection.to_plane(np.array(middle + offset), np.array(0.0))
            label = f"{float(wrap_ra(middle + offset)):g}°"
            axes.text(float(x), float(y) - 0.012, label, ha="center", va="top", **_TEXT)
    for dec in (-60.0, -30.0, 0.0, 30.0, 60.0):
        x, y = projection.to_plane(across, np.full(361, dec))
        axes.plot(x, y, **_STYLE)
        # The axis runs to the left: the greatest x is the left end.
        axes.text(float(x.max()) + 0.05, float(y[0]), _signed(dec), ha="right", va="center", **_TEXT)
    axes.set_axis_off()


def _draw_part(axes: Any, projection: Projection, extent: Extent) -> None:
    """Draw the lines of a part of the sky; labels stand where lines leave the frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("right ascension (ICRS)", labelpad=22)
    axes.set_ylabel("declination (ICRS)", labelpad=44)
    ra, dec = _border(projection, extent)
    for value, right, up in _meridians(ra, dec):
        _draw_line(axes, projection.to_plane(right, up), extent, f"{float(wrap_ra(value)):.10g}°", "bottom")
    for value, right, up in _parallels(ra, dec):
        _draw_line(axes, projection.to_plane(right, up), extent, _signed(value), "left")


def _border(projection: Projection, extent: Extent) -> tuple[FloatArray, FloatArray]:
    """Give positions on a grid over the picture, its border included."""
    x, y = np.meshgrid(np.linspace(*extent[:2], 101), np.linspace(*extent[2:], 101))
    ra, dec = projection.to_sky(x, y)
    return ra.ravel(), dec.ravel()


def _meridians(ra: FloatArray, dec: FloatArray) -> Iterator[tuple[float, FloatArray, FloatArray]]:
    """Give right ascensions, and lines along them."""
    middle = float(ra[len(ra) // 2])
    offset = (ra - middle + 180.0) % 360.0 - 180.0
    span = float(np.ptp(offset))
    up = np.linspace(float(dec.min()), float(dec.max()), 1001)
    if span > 180.0:  # a pole is in it
        for value in np.arange(0.0, 360.0, 45.0).tolist():
            yield (
                value,
                np.full(1001, value),
                np.clip(np.linspace(dec.min(), dec.max() + 1.0, 1001), -90.0, 90.0),
            )
        return
    for value in _values(middle + float(offset.min()), middle + float(offset.max())):
        yield value, np.full(1001, value), up


def _parallels(ra: FloatArray, dec: FloatArray) -> Iterator[tuple[float, FloatArray, FloatArray]]:
    """Give declinations, and lines along them."""
    middle = float(ra[len(ra) // 2])
    offset = (ra - middle + 180.0) % 360.0 - 180.0
    low, high = (-180.0, 180.0) if np.ptp(offset) > 180.0 else (float(offset.min()), float(offset.max()))
    across = middle + np.linspace(low, high, 2001)
    for value in _values(float(dec.min()), float(dec.max())):
        yield value, across, np.full(2001, value)


def _signed(dec: float) -> str:
    """Write a declination."""
    return f"{dec:+.10g}°" if dec else "0°"


def _values(low: float, high: float) -> list[float]:
    """Give round values in a range."""
    wanted = (high - low) / _LINES
    step = min(_STEPS, key=lambda s: abs(np.log(s / wanted)))
    return [round(n * step, 9) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _draw_line(axes: Any, line: tuple[FloatArray, FloatArray], extent: Extent, label: str, side: str) -> None:
    """Draw a line, and write its label where it leaves the frame, at best on the side that is wanted."""
    axes.plot(*line, **_STYLE)
    ends = _find_ends(*line, extent)
    if side == "left":
        ends = [end for end in ends if end[0] in {"left", "right"}]
    if not ends:
        _label_within(axes, line, extent, label)
        return
    order = ("bottom", "left", "right", "top") if side == "bottom" else ("left", "right")
    where, x, y = min(ends, key=lambda end: order.index(end[0]))
    gap = _GAP * (extent[3] - extent[2])
    place: dict[str, tuple[float, float, str, str]] = {
        "bottom": (x, extent[2] - gap, "center", "top"),
        "top": (x, extent[3] + gap, "center", "bottom"),
        "left": (extent[0] + gap, y, "right", "center"),
        "right": (extent[1] - gap, y, "left", "center"),
    }
    x, y, across, up = place[where]
    axes.text(x, y, label, ha=across, va=up, clip_on=False, **_TEXT)


def _label_within(axes: Any, line: tuple[FloatArray, FloatArray], extent: Extent, label: str) -> None:
    """Label a line that leaves no side, as a parallel about a pole: in the picture, where it is lowest."""
    within = np.flatnonzero(_is_within(*line, extent))
    if len(within):
        n = within[np.argmin(line[1][within])]
        paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
        axes.text(line[0][n], line[1][n], label, ha="center", va="center", bbox=paper, **_TEXT)


def _is_within(x: FloatArray, y: FloatArray, extent: Extent) -> BoolArray:
    """Say which places lie in the frame."""
    with np.errstate(invalid="ignore"):
        return (x <= extent[0]) & (x >= extent[1]) & (y >= extent[2]) & (y <= extent[3])


def _find_ends(x: FloatArray, y: FloatArray, extent: Extent) -> list[tuple[str, float, float]]:
    """Find where a line leaves the frame: the side, and the place."""
    left, right, low, high = extent
    inside = _is_within(x, y, extent)
    found = []
    for n in np.flatnonzero(inside[1:] != inside[:-1]).tolist():
        out = n if inside[n + 1] else n + 1
        sides = {"left": x[out] - left, "right": right - x[out], "bottom": low - y[out], "top": y[out] - high}
        where = max(sides, key=lambda name: sides[name])
        found.append((where, float(x[out]), float(y[out])))
    return found
