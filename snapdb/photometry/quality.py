"""Quality bits: why a measurement may not be what it seems."""

import enum
from typing import Any


class Quality(enum.IntFlag):
    """What befell a measurement; 0 says that nothing did.

    A row with `OFF_IMAGE` or `FAILED` has NaN for its flux, its error, or both. All other bits are warnings.
    """

    OFF_IMAGE = 1
    """The position is not on the image, or is not a number."""
    EDGE = 2
    """The aperture or the stamp reaches beyond the image."""
    MASKED = 4
    """A bad pixel lies within the aperture or the stamp."""
    MASKED_PEAK = 8
    """A bad pixel lies within the 3 x 3 pixels around the position."""
    LOW_COVERAGE = 16
    """Less than half of what tells the flux is left."""
    SATURATED = 32
    """A saturated pixel lies within."""
    NEIGHBOUR = 64
    """Another source that was measured lies near, and its light was not taken out, or its own fit failed."""
    NO_BACKGROUND = 128
    """Fewer than 30 good pixels tell the background; with none of them there is no flux."""
    POOR_FIT = 256
    """The model does not fit: chi2 a degree of freedom is above 5."""
    FAILED = 512
    """There is no good pixel or no solution, so no flux; or nothing tells the error of the flux."""
    NO_NOISE = 1024
    """There is no noise plane: the error comes from the scatter of the sky."""
    NO_ZEROPOINT = 2048
    """The zero point is not known: there is no calibrated flux."""
    AT_BOUND = 4096
    """A free position went as far as it was let: there is no flux, and more room may give one."""


def quality_names(bits: Any) -> list[str]:
    """Name the bits that are set.

    Parameters
    ----------
    bits : int
        Quality bits, or-ed.

    Returns
    -------
    list of str
        In the order of the bits; empty for 0.
    """
    value = int(bits)
    return [str(bit.name) for bit in Quality if value & bit]
