"""From the frame of one HDU to the layout of a plane, with the types that astropy delivers."""

import numpy as np

from snapdb.errors import CorruptFileError
from snapdb.formats.cards import Cards
from snapdb.formats.frame import HduFrame, StoredArray
from snapdb.formats.scaling import FLAGS_DTYPE
from snapdb.formats.tile_table import find_blank, make_table
from snapdb.model.layout import Codec, Container, Meaning, PackedBlock, PlaneLayout

STORED = {8: "|u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
"""BITPIX -> numpy type of the stored numbers (FITS Standard 4.0, table 8)."""
_SHIFTED = {
    (8, -128.0): "int8",
    (16, 2.0**15): "uint16",
    (32, 2.0**31): "uint32",
    (64, 2.0**63): "uint64",
}
"""(BITPIX, BZERO) of the convention for the other sign (FITS Standard 4.0, table 11)."""


def make_layout(
    frame: HduFrame,
    name: str,
    container: Container,
    meaning: Meaning = Meaning.DIRECT,
    *,
    asinh: bool = False,
) -> PlaneLayout:
    """Describe where the pixels of an HDU lie.

    Parameters
    ----------
    frame : HduFrame
        A two-dimensional image.
    name : str
        The plane's name.
    container : Container
        What wraps the file.
    meaning : Meaning
        How the numbers become the plane's.
    asinh : bool
        Whether BSOFTEN and BOFFSET, where the header has them, make the plane
        asinh-scaled.

    Returns
    -------
    PlaneLayout

    Raises
    ------
    CorruptFileError
        BITPIX is none of FITS's.
    """
    if frame.array is not None:
        return _make_array_layout(frame, frame.array, name, container, meaning)
    if frame.bitpix not in STORED:
        msg = f"HDU {frame.index}: BITPIX = {frame.bitpix}, expected one of {sorted(STORED)}"
        raise CorruptFileError(msg, hdu=frame.index)
    scale, zero, blank = _find_scaling(frame, name)
    whole = name == "flags" and holds_float_flags(frame)
    softening = _read_asinh(frame.cards) if asinh else None
    linear = meaning is Meaning.DIRECT and softening is None
    return PlaneLayout(
        name=name,
        hdu=frame.index,
        width=frame.axes[0],
        height=frame.axes[1],
        stored_dtype=STORED[frame.bitpix],
        dtype=FLAGS_DTYPE if whole else find_dtype(frame.bitpix, scale, zero, blank, linear=linear),
        offset=frame.header_offset if frame.compression else frame.data_offset,
        bscale=scale,
        bzero=zero,
        blank=blank,
        container=container,
        codec=Codec.FITS_TILES if frame.compression else Codec.RAW,
        compression=frame.compression,
        tile_shape=_tile_shape(frame),
        meaning=meaning,
        asinh=softening,
        tiles=make_table(frame) if frame.compression else None,
    )


def _find_scaling(frame: HduFrame, name: str) -> tuple[float, float, int | None]:
    """Give scale, zero and BLANK of a plane."""
    scale, zero, blank = _read_scaling(frame.cards, frame.bitpix)
    if frame.compression and blank is None and frame.bitpix > 0:
        blank = find_blank(frame)
    if name == "flags" and (scale, zero) == (1.0, 0.0):
        blank = None  # a bit is set or not, also where BLANK stands for "no value"; NaN has no bits
    return scale, zero, blank


def holds_float_flags(frame: HduFrame) -> bool:
    """Say whether an HDU of flags has floating-point numbers that are read as whole ones.

    Parameters
    ----------
    frame : HduFrame
        The HDU; numbers that are tile-compressed with loss are no flags any more, and stay as they are.
    """
    scaled = _read_scaling(frame.cards, frame.bitpix)[:2] != (1.0, 0.0)
    return frame.array is None and frame.bitpix < 0 and not frame.compression and not scaled


def _make_array_layout(
    frame: HduFrame, array: StoredArray, name: str, container: Container, meaning: Meaning
) -> PlaneLayout:
    """Describe where an array of an ASDF file lies."""
    packed = bool(array.block.compression)
    kind = array.kind[1:]
    if meaning is not Meaning.DIRECT:
        kind = "f8" if kind in ("f8", "i4", "i8", "u4", "u8") else "f4"
    return PlaneLayout(
        name=name,
        hdu=frame.index,
        width=array.shape[1],
        height=array.shape[0],
        stored_dtype=array.kind,
        dtype=np.dtype(kind).name,
        offset=array.block.offset + (0 if packed else array.begin),
        container=container,
        codec=Codec.ASDF_BLOCK if packed else Codec.RAW,
        compression=array.block.compression or None,
        meaning=meaning,
        block=PackedBlock(used=array.block.used, size=array.block.size, begin=array.begin)
        if packed
        else None,
    )


def find_dtype(bitpix: int, scale: float, zero: float, blank: int | None, *, linear: bool = True) -> str:
    """Name the type of the delivered numbers, as astropy's ``.data`` has it.

    Parameters
    ----------
    bitpix : int
        BITPIX.
    scale, zero : float
        BSCALE and BZERO.
    blank : int or None
        BLANK.
    linear : bool
        False where the numbers are computed further, and so are floats.

    Returns
    -------
    str
        A numpy type in native byte order.
    """
    floating = "float64" if bitpix > 16 or bitpix == -64 else "float32"
    if bitpix < 0 or not linear:
        return floating
    if scale == 1.0 and (bitpix, zero) in _SHIFTED:
        return _SHIFTED[bitpix, zero]
    if scale == 1.0 and zero == 0.0 and blank is None:
        return {8: "uint8", 16: "int16", 32: "int32", 64: "int64"}[bitpix]
    return floating


def _read_scaling(cards: Cards, bitpix: int) -> tuple[float, float, int | None]:
    scale = cards.get_number("BSCALE")
    zero = cards.get_number("BZERO")
    blank = cards.get("BLANK")
    if bitpix < 0 or isinstance(blank, bool) or not isinstance(blank, int):
        blank = None
    return 1.0 if scale is None else scale, zero or 0.0, blank


def _read_asinh(cards: Cards) -> tuple[float, float] | None:
    soften, offset = cards.get_number("BSOFTEN"), cards.get_number("BOFFSET")
    return (soften, offset) if soften is not None and offset is not None else None


def _tile_shape(frame: HduFrame) -> tuple[int, int] | None:
    if not frame.compression or not frame.tile_shape:
        return None
    return frame.tile_shape[1], frame.tile_shape[0]
