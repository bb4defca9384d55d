"""What apertures are measured on, and how."""

import math
from dataclasses import dataclass
from typing import Any

from snapdb.errors import UsageError
from snapdb.photometry.apertures import Shape, check_method, stamp_size
from snapdb.photometry.background import annulus_stamp_size, check_ring
from snapdb.photometry.fitting.stamps import gather_stamps
from snapdb.types import BoolArray, IntArray, PixelArray

BACKGROUNDS = ("global", "annulus", "none")
MASKED = ("scale", "psf", "sum", "exclude")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApertureSettings:
    """How apertures are measured; checked when it is made."""

    shapes: tuple[Shape, ...]
    several: bool
    method: str = "subpixel"
    subpixels: int = 5
    bgsize: int = 511
    background: str = "global"
    annulus: tuple[float, float] = (15.0, 25.0)
    estimator: Any = "clipped"
    masked: str = "scale"
    shuns_core: bool = False
    """Whether a bad pixel in the core leaves no flux: nobody chose what stands for it."""
    psf: Any = None
    apcor: float | None = None
    bad_bits: Any = None
    limit_sigma: float = 5.0

    def __post_init__(self) -> None:
        check_method(self.method, self.subpixels)
        if self.background not in BACKGROUNDS:
            msg = f"background={self.background!r}: expected one of {', '.join(BACKGROUNDS)}"
            raise UsageError(msg, background=self.background)
        if self.masked not in MASKED or (self.masked == "psf" and self.psf is None):
            msg = f"masked={self.masked!r}: expected one of {', '.join(MASKED)}; psf needs psf=..."
            raise UsageError(msg, masked=self.masked)
        if not (self.limit_sigma > 0 and (self.apcor is None or 0 < self.apcor < math.inf)):
            msg = f"limit_sigma={self.limit_sigma}, apcor={self.apcor}: expected numbers above 0"
            raise UsageError(msg, limit_sigma=self.limit_sigma, apcor=self.apcor)
        check_ring(*self.annulus)

    @property
    def stamp_sizes(self) -> tuple[int, int]:
        """Sides of the stamps of the apertures and of the ring, pixels; 0 without a ring."""
        ring = annulus_stamp_size(self.annulus[1]) if self.background == "annulus" else 0
        return stamp_size(self.shapes), ring


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlanes:
    """The arrays that are measured."""

    data: PixelArray
    noise: PixelArray | None
    flags: PixelArray | None
    mask: BoolArray | None
    """Further bad pixels; None where there are none."""
    is_own: bool = True
    """Whether they are the image's own, so that its background may be kept."""
    origin: tuple[int, int] = (0, 0)
    """Column and row of the image that their first pixel is; else than 0 where they are a box
    that holds all that is measured."""

    def take(self, plane: PixelArray | None, column: IntArray, row: IntArray, size: int) -> PixelArray | None:
        """Give stamps of a plane about pixels of the image; 0 where there is none."""
        if plane is None:
            return None
        return gather_stamps(plane, column - self.origin[0], row - self.origin[1], size, 0)
