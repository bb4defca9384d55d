"""Boxes of pixels: where a cutout lies, and whether a position is inside an image.

Pixels are 0-based with their centres at integers; a pixel reaches half a pixel
either way. Boxes are half-open: ``x0 <= x < x1``.
"""

import math
import operator
from dataclasses import dataclass
from typing import SupportsIndex, get_args, overload

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.types import BoolArray, CutoutMode, Degrees, FloatArray

MODES: tuple[str, ...] = get_args(CutoutMode)
"""``strict``, ``partial``, ``trim``: what to do where a box reaches beyond its image."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels, half-open on both axes."""

    x0: int
    """First column."""
    y0: int
    """First row."""
    width: int
    """Columns, at least 1."""
    height: int
    """Rows, at least 1."""

    def __post_init__(self) -> None:
        """Refuse an empty box."""
        if self.width < 1 or self.height < 1:
            msg = f"a box of {self.width} x {self.height} pixels: expected at least 1 x 1"
            raise ShapeError(msg, width=self.width, height=self.height)

    @classmethod
    def centered(cls, x: float, y: float, xsize: int, ysize: int) -> "Box":
        """Place a box of a given size about a position, as near to its centre as whole pixels allow.

        An odd size puts the position in the middle pixel, ``floor(x + 0.5) - (n - 1) / 2``;
        an even size starts at ``ceil(x - n / 2)``. Either way the position lies within half a
        pixel of the middle of the box.

        Parameters
        ----------
        x, y : float
            Position, 0-based pixels.
        xsize, ysize : int
            Columns and rows; integers of any type, or floats that are whole.

        Returns
        -------
        Box
            It may lie outside the image, wholly or in part.

        Raises
        ------
        NoOverlapError
            If the position is not finite: it does not project onto the image.
        ShapeError
            If a size is not a whole number of at least 1.
        UsageError
            If a coordinate is no number of pixels, or an array of them.
        """
        width, height = check_size(xsize, name="xsize"), check_size(ysize, name="ysize")
        try:
            is_finite = math.isfinite(x) and math.isfinite(y)
        except (TypeError, OverflowError) as err:
            msg = f"x = {x!r:.80}, y = {y!r:.80}: expected one number of pixels each"
            raise UsageError(msg, x=x, y=y) from err
        if not is_finite:
            from snapdb.errors import NoOverlapError

            msg = f"position ({x}, {y}) is not finite: it does not project onto the image"
            raise NoOverlapError(msg, x=float(x), y=float(y))
        return cls(_lower_edge(float(x), width), _lower_edge(float(y), height), width, height)

    @property
    def x1(self) -> int:
        """Column after the last."""
        return self.x0 + self.width

    @property
    def y1(self) -> int:
        """Row after the last."""
        return self.y0 + self.height

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape ``(height, width)``."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices ``(y, x)`` that take the box from an array whose first pixel is (0, 0)."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def intersect(self, other: "Box") -> "Box | None":
        """Give the pixels common to both boxes, or None where there are none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        width, height = min(self.x1, other.x1) - x0, min(self.y1, other.y1) - y0
        if width < 1 or height < 1:
            return None
        return Box(x0, y0, width, height)

    def within(self, width: int, height: int) -> bool:
        """Say whether the whole box lies inside an image of this size."""
        return self.x0 >= 0 and self.y0 >= 0 and self.x1 <= width and self.y1 <= height

    def shifted(self, dx: int, dy: int) -> "Box":
        """Move the box by whole pixels."""
        return Box(self.x0 + dx, self.y0 + dy, self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How a cutout's pixels come from its parent."""

    source: Box
    """The part to be read, in the parent's pixels; it lies wholly inside the parent."""
    target: Box
    """Where that part goes, in the cutout's pixels."""
    result: Box
    """The cutout, in the parent's pixels; it may reach beyond the parent."""

    @property
    def is_whole(self) -> bool:
        """True where every pixel of the cutout comes from the parent."""
        return self.source == self.result


def place(box: Box, width: int, height: int, mode: CutoutMode) -> Placement:
    """Decide which pixels of an image make a cutout, and where in it they go.

    Parameters
    ----------
    box : Box
        What was asked for, in the image's pixels.
    width, height : int
        Size of the image.
    mode : {'strict', 'partial', 'trim'}
        ``strict`` refuses a box that is not wholly inside; ``partial`` gives the whole box,
        filled where there is no image; ``trim`` gives the part that exists.

    Returns
    -------
    Placement
        What to read, and where it goes.

    Raises
    ------
    NoOverlapError
        If no pixel of the box is in the image, in every mode.
    PartialOverlapError
        If the mode is strict and the box reaches beyond the image.
    UsageError
        If the mode is none of the three.
    """
    check_mode(mode)
    source = box if box.within(width, height) else box.intersect(Box(0, 0, width, height))
    if source is None:
        from snapdb.errors import NoOverlapError

        msg = f"{_describe(box)} does not touch the image of {width} x {height} pixels"
        raise NoOverlapError(msg, box=box, width=width, height=height)
    if mode == "strict" and source != box:
        from snapdb.errors import PartialOverlapError

        msg = (
            f"{_describe(box)} reaches beyond the image of {width} x {height} pixels; "
            "use mode 'partial' (of a Cutout of arrays also 'fill') to fill what is missing, "
            "or 'trim' for the part that exists"
        )
        raise PartialOverlapError(msg, box=box, width=width, height=height)
    result = source if mode == "trim" else box
    return Placement(source=source, target=source.shifted(-result.x0, -result.y0), result=result)


def check_mode(mode: str) -> None:
    """Refuse a cutout mode that does not exist.

    Raises
    ------
    UsageError
        If it is none of strict, partial and trim.
    """
    if mode not in MODES:
        msg = f"mode {mode!r}: expected 'strict', 'partial' or 'trim'"
        raise UsageError(msg, mode=mode)


def check_size(value: SupportsIndex | float, *, name: str) -> int:
    """Take the size of a cutout as an int.

    Parameters
    ----------
    value : int or float
        Pixels; a float must be whole.
    name : str
        What the caller calls it, for the message.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ShapeError
        If it is not a whole number of at least 1; a bool is none.
    """
    size = value if type(value) is int else _whole(value)
    if size is None or size < 1:
        msg = f"{name} = {value!r}: expected a whole number of pixels, at least 1"
        raise ShapeError(msg, name=name, value=value)
    return size


@overload
def is_inside(x: float, y: float, width: int, height: int) -> bool: ...
@overload
def is_inside(x: FloatArray, y: FloatArray, width: int, height: int) -> BoolArray: ...
@overload
def is_inside(x: Degrees, y: Degrees, width: int, height: int) -> bool | BoolArray: ...
def is_inside(x: float | FloatArray, y: float | FloatArray, width: int, height: int) -> bool | BoolArray:
    """Say whether a pixel position lies on the image: ``-0.5 <= x < width - 0.5``, and so in y.

    Parameters
    ----------
    x, y : float or array
        0-based pixels; NaN lies outside.
    width, height : int
        Size of the image.

    Returns
    -------
    bool or array of bool
        One for each position.
    """
    inside = (np.greater_equal(x, -0.5) & np.less(x, width - 0.5)) & (
        np.greater_equal(y, -0.5) & np.less(y, height - 0.5)
    )
    return inside if isinstance(inside, np.ndarray) else bool(inside)


def _lower_edge(center: float, size: int) -> int:
    """First pixel of `size` pixels about `center`."""
    if size % 2:
        return math.floor(center + 0.5) - (size - 1) // 2
    return math.ceil(center - size / 2)


def _whole(value: SupportsIndex | float) -> int | None:
    """Give a whole number as int, None for all else."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (float, np.floating)):
        return int(value) if math.isfinite(value) and float(value).is_integer() else None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _describe(box: Box) -> str:
    """Name a box in a message."""
    return f"the box x [{box.x0}, {box.x1}), y [{box.y0}, {box.y1})"
