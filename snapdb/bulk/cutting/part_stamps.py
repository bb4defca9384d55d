"""The stamps of one part as arrays and columns."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snapdb.bulk.planning.sources import Channel
from snapdb.pixels.flags import no_data_bit
from snapdb.types import PixelArray

WRITTEN, FAILED = "written", "failed"
FLAGS_TYPE = np.dtype(np.uint32)
"""Of flags stamps."""


@dataclass(slots=True, kw_only=True, eq=False)
class PartStamps:
    """The stamps of a part, in its order."""

    images: PixelArray
    """Shape (n, H, W, C), of the recipe's type; 0 where a source failed. Empty where stamps are raw."""
    noise: PixelArray | None = None
    """One standard deviation in the unit of the pixels before the stretch, NaN where it is not known."""
    flags: PixelArray | None = None
    """Bits of all pixels that take part."""
    raw: list[list[PixelArray]] = field(default_factory=list)
    """For each source the window of each channel, of its own size; only where stamps are raw."""
    raw_wcs: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Linear coordinates of the windows of the second and further channels; only where stamps are raw."""
    raw_noise: list[dict[int, PixelArray]] = field(default_factory=list)
    """For each source the noise of those channels that have one; only where stamps are raw."""
    raw_flags: list[dict[int, PixelArray]] = field(default_factory=list)
    """The same of flags."""
    columns: dict[str, Any] = field(default_factory=dict)
    """What the table says, column by column."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time of each stage."""

    @property
    def failures(self) -> list[tuple[int, str]]:
        """Places of the sources that failed, and why."""
        reasons = self.columns["reason"]
        return [(i, reasons[i]) for i in np.flatnonzero(self.columns["failed"]).tolist()]


def flags_bit(channel: Channel) -> int:
    """Give the bit of flags stamps that says "outside the image".

    Parameters
    ----------
    channel : Channel
        Whose flags.
    """
    return no_data_bit(channel.flag_bits, FLAGS_TYPE)[0]
