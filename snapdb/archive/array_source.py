"""Arrays of one whole image that cutouts are taken from, checked once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snapdb.archive import loading
from snapdb.archive.cutting import LARGEST_PX, as_fill_value
from snapdb.archive.image import Image
from snapdb.errors import ShapeError, UsageError
from snapdb.pixels.box import Box, Placement, place
from snapdb.pixels.crop import fill_plane
from snapdb.pixels.crops import as_whole, fill_flags
from snapdb.types import BoolArray, Header, PixelArray

MODES = {"strict": "strict", "fill": "partial", "partial": "partial", "trim": "trim"}
"""Mode of a cutout from arrays -> mode of :func:`snapdb.pixels.box.place`."""
_OUTSIDE = {"weight": 0.0, "mask": 1.0}
"""What planes other than data have outside the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySource:
    """An image as arrays.

    Made by :func:`make_source`.
    """

    parent: Image
    """Knows the size and the coordinates of the image and holds no pixels, so that a cutout keeps none."""
    planes: dict[str, Any]
    """Name -> array ``[y, x]``, all of the image's shape."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What every cutout of it knows."""
    wcs: Any = None
    """The coordinates as they were given."""

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape ``(height, width)`` of the image."""
        return self.parent.image_shape

    def place(self, box: Box, mode: str) -> Placement:
        """Find where a cutout lies.

        Raises
        ------
        NoOverlapError, PartialOverlapError
            As the mode has it.
        ShapeError
            If it would be almost all filling.
        UsageError
            If there is no such mode.
        """
        height, width = self.shape
        placement = place(box, width, height, MODES[check_mode(mode)])  # type: ignore[arg-type]  # of the table
        if placement.result.width * placement.result.height > max(LARGEST_PX, 4 * width * height):
            msg = (
                f"a cutout of {box.width} x {box.height} pixels from an image of {width} x {height} "
                "would be almost all filling; ask for a smaller box, or mode='trim'"
            )
            raise ShapeError(msg, width=box.width, height=box.height)
        return placement

    def cut(self, placement: Placement, fill: Any) -> tuple[dict[str, PixelArray], dict[str, int]]:
        """Take the pixels of a placed box.

        Parameters
        ----------
        placement : Placement
            Where.
        fill : float
            For data outside the image. Weights there are 0, a mask is True, flags carry the bit
            NO_DATA, other planes are NaN where they are of floating-point numbers, else 0.

        Returns
        -------
        planes : dict
            Arrays of their own, in native byte order.
        flag_bits : dict
            Names of the flags' bits.
        """
        parts = {name: array[placement.source.slices] for name, array in self.planes.items()}
        cut: dict[str, PixelArray] = {}
        flag_bits: dict[str, int] = dict(self.facts.get("flag_bits", {}))
        is_needed = not placement.is_whole or "data" not in self.planes
        value = as_fill_value(fill) if is_needed else 0.0
        for name, part in parts.items():
            if name == "flags":
                flags = part.astype(np.uint8) if part.dtype.kind == "b" else part
                cut[name], flag_bits = fill_flags(
                    loading.check_plane(name, flags, None), placement, flag_bits
                )
            elif name in ("data", "noise"):
                filling = value if name == "data" else np.nan
                cut[name] = fill_plane(loading.check_plane(name, part, None), placement, filling, name=name)
            else:
                cut[name] = fill_plane(part, placement, _outside(name, part), name=name)
        if "data" not in cut:
            cut["data"] = np.full(placement.result.shape, value, np.float32)
        return cut, flag_bits


def make_source(
    planes: Mapping[str, Any],
    wcs: Any,
    *,
    shape: tuple[int, int] | None = None,
    header: Header | None = None,
    facts: Mapping[str, Any] | None = None,
) -> ArraySource:
    """Check the arrays of an image.

    Parameters
    ----------
    planes : mapping
        Name -> array ``[y, x]`` or None; ``data`` may be absent where `shape` is given.
    wcs : astropy.wcs.WCS, BaseWCS or None
        Coordinates of the image.
    shape : tuple of int, optional
        ``(height, width)`` of an image without data.
    header : astropy.io.fits.Header, optional
        Of the image.
    facts : mapping, optional
        What every cutout of it knows.

    Raises
    ------
    ShapeError
        If the arrays have not two axes and one shape.
    UsageError
        If the coordinates are of no kind that snapdb knows.
    """
    arrays = {name: np.asanyarray(array) for name, array in planes.items() if array is not None}
    if "data" in arrays:
        shape = arrays["data"].shape
    if shape is None or len(shape) != 2 or min(shape) < 1:
        msg = f"data of shape {shape}: expected two axes, [y, x], and at least one pixel"
        raise ShapeError(msg, shape=shape)
    for name, array in arrays.items():
        if array.shape != shape:
            msg = f"{name} has shape {array.shape}, but the image has {shape}"
            raise ShapeError(msg, plane=name, shape=array.shape)
    for name in arrays.keys() & {"data", "noise"}:
        loading.check_plane(name, arrays[name][:1, :1], None)
    data = arrays.get("data")
    if isinstance(data, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(data)
        arrays |= {"data": data.data, "mask": masked | arrays["mask"] if "mask" in arrays else masked}
    parent = make_parent(wcs, shape[1], shape[0], header)
    return ArraySource(parent=parent, planes=arrays, facts=dict(facts or {}), wcs=wcs)


def make_parent(wcs: Any, width: int | None, height: int | None, header: Header | None = None) -> Image:
    """Make an image that knows its size and coordinates, and has no pixels."""
    parent = Image(wcs=wcs)
    parent._header = header  # noqa: SLF001  # of an image whose coordinates are given
    if width is not None and height is not None:
        parent._facts |= {"width": int(width), "height": int(height)}  # noqa: SLF001  # no pixels say so
    return parent


def box_of_corners(blc: Sequence[int], trc: Sequence[int], width: int, height: int) -> Box:
    """Give the box between two corners, the upper one included.

    Parameters
    ----------
    blc, trc : tuple of int
        Bottom-left and top-right pixel ``(x, y)``.
    width, height : int
        Size of the image.

    Raises
    ------
    NoOverlapError
        If it lies outside the image.
    ShapeError
        If a corner is not whole, or the upper one lies below the lower one.
    """
    x0, y0 = (as_whole(v, name="blc") for v in blc)
    x1, y1 = (as_whole(v, name="trc") for v in trc)
    if x0 >= width or y0 >= height or x1 < 0 or y1 < 0:
        from snapdb.errors import NoOverlapError

        msg = f"the box from {(x0, y0)} to {(x1, y1)} does not touch the image of {width} x {height} pixels"
        raise NoOverlapError(msg, blc=(x0, y0), trc=(x1, y1))
    if x1 < x0 or y1 < y0:
        msg = f"trc={(x1, y1)} lies below blc={(x0, y0)}; expected the top-right corner, included"
        raise ShapeError(msg, blc=(x0, y0), trc=(x1, y1))
    return Box(x0, y0, x1 - x0 + 1, y1 - y0 + 1)


def flagged(flags: PixelArray, dqbitmask: Any) -> BoolArray:
    """Say which pixels have a bad bit, as astropy's bit masks have it.

    Parameters
    ----------
    flags : array of int
        Flags of pixels.
    dqbitmask : int, str, list or None
        The bits that are good, as ``ignore_flags`` of
        :func:`astropy.nddata.bitmask.bitfield_to_boolean_mask`: 0 makes every bit bad, None no bit.

    Raises
    ------
    UsageError
        If it is no such mask.
    """
    if dqbitmask is None:
        return np.zeros(flags.shape, bool)
    if type(dqbitmask) is int and dqbitmask == 0:
        return np.asarray(flags != 0)
    from astropy.nddata.bitmask import bitfield_to_boolean_mask

    try:
        bad = bitfield_to_boolean_mask(flags, ignore_flags=dqbitmask, good_mask_value=False, dtype=bool)
    except (ValueError, TypeError, AttributeError, KeyError) as err:
        msg = f"dqbitmask={dqbitmask!r} is no mask of bits: {err}"
        raise UsageError(msg, dqbitmask=dqbitmask) from err
    return np.asarray(bad)


def check_mode(mode: str) -> str:
    """Refuse a mode that does not exist.

    Raises
    ------
    UsageError
        If it is none of strict, fill, partial and trim.
    """
    if mode not in MODES:
        msg = f"mode={mode!r}: expected 'strict', 'fill' (or 'partial', the same), or 'trim'"
        raise UsageError(msg, mode=mode)
    return mode


def _outside(name: str, part: PixelArray) -> float:
    """Choose what fills a plane outside the image."""
    return _OUTSIDE.get(name, np.nan if part.dtype.kind == "f" else 0.0)
