"""Which pixels of an image are bad, by its flags and by its numbers."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from snapdb.pixels.flag_names import BadFlags, choose_flags, default_flags, saturation_flags
from snapdb.types import BoolArray, PixelArray


class Flagged(Protocol):
    """What an image says of its flags."""

    @property
    def flag_bits(self) -> Mapping[str, int]:
        """Name of a flag -> its bits."""

    @property
    def bad_bits(self) -> int:
        """Bits that make a pixel bad, or-ed; 0 counts every set bit."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """May hold ``flag_codes``, names of codes, and ``good_flag_codes``."""


def bad_flags_of(image: Flagged, bad_bits: Any = None) -> BadFlags:
    """Give the flags that make a pixel of an image bad.

    Parameters
    ----------
    image : Image
        Whose flags.
    bad_bits : int, str, list or BadFlags, optional
        As for :func:`~snapdb.pixels.flag_names.choose_flags`; by default what the image's
        instrument has for bad.

    Returns
    -------
    BadFlags
        The choice.

    Raises
    ------
    UsageError
        If it names a flag that the image does not have.
    """
    if isinstance(bad_bits, BadFlags):
        return bad_bits
    codes = image.properties.get("flag_codes")
    if bad_bits is None:
        good = image.properties.get("good_flag_codes", ())
        return default_flags(image.flag_bits, image.bad_bits, codes, good)
    return choose_flags(bad_bits, codes or image.flag_bits, coded=bool(codes))


def saturation_flags_of(image: Flagged) -> BadFlags:
    """Give the flags by which an image calls a pixel saturated.

    Parameters
    ----------
    image : Image
        Whose flags.

    Returns
    -------
    BadFlags
        None of them where no name says so.
    """
    codes = image.properties.get("flag_codes")
    return saturation_flags(codes or image.flag_bits, coded=bool(codes))


def find_good(
    image: Flagged,
    data: PixelArray,
    noise: PixelArray | None,
    flags: PixelArray | None,
    bad_bits: Any = None,
) -> tuple[BoolArray, BoolArray | None]:
    """Say which pixels may be measured, and which are saturated.

    Parameters
    ----------
    image : Image
        What it says of its flags.
    data, noise, flags : array
        Its planes, or the same box of each; None where there is none.
    bad_bits : int, str, list or BadFlags, optional
        As for :func:`bad_flags_of`; by default saturated pixels are bad too.

    Returns
    -------
    good : array of bool
        No bad flag, finite data, and noise above 0 that is finite.
    saturated : array of bool or None
        None where no flag says so.

    Raises
    ------
    UsageError
        If `bad_bits` names a flag that the image does not have.
    """
    chosen = bad_flags_of(image, bad_bits)
    good = np.isfinite(data)
    if noise is not None:
        with np.errstate(invalid="ignore"):
            good &= np.isfinite(noise) & (noise > 0)
    if flags is None:
        return good, None
    full = saturation_flags_of(image)
    saturated = full.mask(flags) if full else None
    good &= ~chosen.mask(flags)
    if bad_bits is None and saturated is not None:
        good &= ~saturated
    return good, saturated
