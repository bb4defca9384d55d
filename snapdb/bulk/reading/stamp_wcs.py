"""World coordinates of a stamp that was brought to another number of pixels, distortions included."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from snapdb.sky.wcs import AstropyWCS, BaseWCS
from snapdb.types import Degrees

if TYPE_CHECKING:
    from snapdb.types import Header


@dataclass(frozen=True, slots=True)
class StampWCS(BaseWCS):
    """An image's coordinates, asked at the pixels that those of a stamp lie on.

    Pixel ``x`` of the stamp is ``x0 - 0.5 + (x + 0.5) / scale`` of the image.
    """

    parent: BaseWCS
    """Of the image."""
    x0: float
    """First column of the cut, in the image's pixels."""
    y0: float
    """First row of the cut."""
    scale: float
    """Pixels of the stamp for each of the image."""
    side: int
    """Of the stamp, pixels: over so many a fit holds."""

    def pixel_to_world(self, x: ArrayLike, y: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the ICRS positions of pixels."""
        return self.parent.pixel_to_world(self._back(x, self.x0), self._back(y, self.y0))

    def world_to_pixel(self, ra: ArrayLike, dec: ArrayLike) -> tuple[Degrees, Degrees]:
        """Give the pixels of ICRS positions, NaN where they do not project."""
        x, y = self.parent.world_to_pixel(ra, dec)
        return (x - self.x0 + 0.5) * self.scale - 0.5, (y - self.y0 + 0.5) * self.scale - 0.5

    def shifted(self, dx: int, dy: int) -> "StampWCS":
        """Give the coordinates of a cutout whose pixel (0, 0) is this stamp's (dx, dy)."""
        x0, y0 = self.x0 + dx / self.scale, self.y0 + dy / self.scale
        return StampWCS(self.parent, x0, y0, self.scale, self.side)

    def to_general(self) -> AstropyWCS:
        """Give the same coordinates as astropy evaluates them."""
        return AstropyWCS.from_header(self.to_fits_header())

    def to_fits_header(self) -> "Header":
        """Give the coordinates as FITS cards: a TAN-SIP that is fitted over the stamp."""
        from snapdb.sky.fit import fit_tan_sip

        return fit_tan_sip(self, self.side, self.side)[0]

    def get_astropy_wcs(self) -> Any:
        """Give them as an astropy WCS, in ICRS."""
        return self.to_general().get_astropy_wcs()

    def _back(self, at: ArrayLike, first: float) -> Any:
        """Map pixels of the stamp to the image's."""
        moved = first - 0.5 + (np.asarray(at, dtype=np.float64) + 0.5) / self.scale
        return moved if moved.ndim else float(moved)
