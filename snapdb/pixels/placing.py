"""Placing boxes of one size in many images at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snapdb.pixels.box import Box, Placement
from snapdb.types import BoolArray, CutoutMode, FloatArray, IntArray

_FARTHEST_PX = 2.0**40
"""Beyond it no image reaches, and a float has no half pixels to place by."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where boxes lie in their images, one an image; arrays of shape (n,)."""

    x0: IntArray
    """First column of each box, in its image's pixels; 0 where there is none."""
    y0: IntArray
    """First row."""
    width: IntArray
    """Columns, as asked for."""
    height: IntArray
    """Rows."""
    projects: BoolArray
    """Whether there is a position to place a box about."""
    left: IntArray
    """First column that exists in the image."""
    bottom: IntArray
    """First row that exists."""
    right: IntArray
    """Column after the last that exists."""
    top: IntArray
    """Row after the last that exists."""
    touches: BoolArray
    """Whether any pixel of a box exists."""
    is_whole: BoolArray
    """Whether every pixel of a box exists."""

    def placement(self, index: int, mode: CutoutMode) -> Placement:
        """Give the placement of one box, which must touch its image.

        Parameters
        ----------
        index : int
            Which.
        mode : str
            ``partial`` and ``strict`` give the whole box, ``trim`` the part that exists.
        """
        left, bottom = int(self.left[index]), int(self.bottom[index])
        source = Box(left, bottom, int(self.right[index]) - left, int(self.top[index]) - bottom)
        result = source
        if mode != "trim":
            size = int(self.width[index]), int(self.height[index])
            result = Box(int(self.x0[index]), int(self.y0[index]), *size)
        return Placement(source=source, target=source.shifted(-result.x0, -result.y0), result=result)


def place_all(
    x: FloatArray, y: FloatArray, xsize: Any, ysize: Any, width: IntArray, height: IntArray
) -> Places:
    """Place a box about one pixel of each of many images, by the rule of :meth:`Box.centered`.

    Parameters
    ----------
    x, y : array, shape (n,)
        Positions, 0-based pixels; NaN where there is none.
    xsize, ysize : int or array of int
        Columns and rows of the boxes, at least 1.
    width, height : array of int
        Sizes of the images, pixels.
    """
    xsize, ysize = (np.broadcast_to(np.asarray(n, dtype=np.int64), x.shape) for n in (xsize, ysize))
    projects = (np.abs(x) < _FARTHEST_PX) & (np.abs(y) < _FARTHEST_PX)
    x0, y0 = lower_edges(np.where(projects, x, 0.0), xsize), lower_edges(np.where(projects, y, 0.0), ysize)
    left, right = np.maximum(x0, 0), np.minimum(x0 + xsize, width)
    bottom, top = np.maximum(y0, 0), np.minimum(y0 + ysize, height)
    return Places(
        x0=x0,
        y0=y0,
        width=xsize,
        height=ysize,
        projects=np.asarray(projects),
        left=left,
        bottom=bottom,
        right=right,
        top=top,
        touches=np.asarray(projects & (right > left) & (top > bottom)),
        is_whole=np.asarray(projects & (right - left == xsize) & (top - bottom == ysize)),
    )


def lower_edges(center: FloatArray, size: IntArray) -> IntArray:
    """Give the first pixel of boxes about positions: as near to the middle as whole pixels allow.

    Parameters
    ----------
    center : array
        0-based pixels, finite.
    size : array of int
        Pixels.
    """
    odd = np.floor(center + 0.5) - (size - 1) // 2
    even = np.ceil(center - size / 2)
    return np.asarray(np.where(size % 2 == 1, odd, even), dtype=np.int64)
