"""Cutting a box from an image: place it, read the part that exists, fill the rest."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.box import Box, Placement, place
from snapdb.pixels.crop import fill_plane
from snapdb.pixels.flags import NO_DATA, no_data_bit
from snapdb.types import CutoutMode, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.image import Image


LARGEST_PX = 2**26
"""Pixels above which a cutout may not be more than four times as large as its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a cut gives: planes, where they were, and the flag names that now hold."""

    planes: dict[str, PixelArray]
    placement: Placement
    flag_bits: dict[str, int]


def place_cutout(
    image: "Image", x: float, y: float, xsize: int, ysize: int | None, mode: CutoutMode
) -> Placement:
    """Find where a cutout lies, before anything is read.

    Parameters
    ----------
    image : Image
        To cut from.
    x, y : float
        Centre, 0-based pixels; need not be whole.
    xsize, ysize : int
        Pixels; `ysize` is `xsize` when None.
    mode : str
        ``strict``, ``partial`` or ``trim``.

    Raises
    ------
    NoOverlapError, PartialOverlapError
        As `mode` has it.
    ShapeError
        If a size is not a whole number of at least 1.
    """
    box = Box.centered(x, y, xsize, xsize if ysize is None else ysize)
    width, height = image.width, image.height
    try:
        placement = place(box, width, height, mode)
    except UsageError as err:
        msg = f"{err} [{image.label}]"
        raise type(err)(msg, **err.fields) from None
    result = placement.result
    if result.width * result.height > max(LARGEST_PX, 4 * width * height):
        msg = (
            f"a cutout of {result.width} x {result.height} pixels "
            f"from an image of {width} x {height} would be almost all filling; "
            "ask for a smaller size, or mode='trim'"
        )
        raise ShapeError(msg, width=result.width, height=result.height)
    return placement


def cut(image: "Image", placement: Placement, fill_value: float) -> Cut:
    """Read a placed box of every plane of an image.

    Parameters
    ----------
    image : Image
        To cut from.
    placement : Placement
        Where.
    fill_value : float
        For data and noise outside the image.

    Returns
    -------
    Cut
        Arrays of their own. Flags outside the image carry the bit named NO_DATA.
    """
    names = image.plane_names
    parts = image.read_box(names, placement.source)
    whole = placement.source.shape == placement.result.shape
    flag_bits = dict(image.flag_bits)
    if whole and all(part.base is None and part.dtype.isnative for part in parts.values()):
        return Cut(planes={name: parts[name] for name in names}, placement=placement, flag_bits=flag_bits)
    planes: dict[str, PixelArray] = {}
    for name in names:
        part = parts[name]
        if name == "flags" and not whole:
            bit, dtype = no_data_bit({**_unnamed_bits(part), **flag_bits}, part.dtype)
            flag_bits.setdefault(NO_DATA, bit)
            planes[name] = fill_plane(part.astype(dtype, copy=False), placement, bit, name=name)
        else:
            planes[name] = fill_plane(part, placement, fill_value, name=name)
    return Cut(planes=planes, placement=placement, flag_bits=flag_bits)


def _unnamed_bits(flags: PixelArray) -> dict[str, int]:
    """Name the bits that flags use, so that none of them is taken for another meaning."""
    used = int(np.bitwise_or.reduce(flags, axis=None))
    return {f"bit {i}": 1 << i for i in range(used.bit_length()) if used >> i & 1} if used > 0 else {}


def as_fill_value(value: Any) -> float:
    """Check a fill value.

    Raises
    ------
    UsageError
        If it is no real number.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        msg = f"fill_value={value!r} is no number; expected a real number or NaN"
        raise UsageError(msg, fill_value=value)
    return value.item() if isinstance(value, np.generic) else value


__all__ = ["Box", "Cut", "as_fill_value", "cut", "place_cutout"]
