"""A cutout: an image cut from another, with its parent and its place in it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.image import Image
from snapdb.archive.paths import ImagePaths
from snapdb.pixels.box import Box
from snapdb.sky.wcs import BaseWCS
from snapdb.types import Header

if TYPE_CHECKING:
    from snapdb.archive.cutting import Cut

_INHERITED = (
    "observation_id",
    "sca",
    "band",
    "mjd",
    "exptime",
    "sky_level",
    "zeropoint",
    "data_units",
    "instrument",
    "bad_bits",
    "release_date",
    "properties",
)


class Cutout(Image):
    """An image in memory, cut from another image.

    It has its own pixels, WCS, header, corners, centre and position angle; band, time,
    exposure and zero point are its parent's. A cutout of a cutout is a cutout. It has
    no file until it is saved, so saving it can never write over its parent.

    Made by :meth:`snapdb.Image.get_cutout` and :meth:`snapdb.Image.get_ra_dec_cutout`.
    """

    parent: Image
    """The image that it was cut from."""
    box: Box
    """Where it lies in its parent's pixels; may reach beyond it in mode ``partial``."""
    source_box: Box
    """The part of `box` that exists in the parent."""

    @classmethod
    def from_cut(cls, parent: Image, cut: "Cut") -> "Cutout":
        """Make a cutout of what was cut.

        Parameters
        ----------
        parent : Image
            It was cut from.
        cut : Cut
            Planes and place.
        """
        cutout = cls.__new__(cls)
        cutout._begin(ImagePaths())
        cutout.parent = parent
        cutout.box = cut.placement.result
        cutout.source_box = cut.placement.source
        cutout._archive = parent.archive
        cutout._own = dict(cut.planes)
        inherited = {name: parent.fact(name) for name in _INHERITED}
        cutout._facts = {**inherited, "kind": "cutout", "flag_bits": cut.flag_bits}
        return cutout

    @property
    def parent_id(self) -> UUID | None:
        """Id of the nearest registered image that it was cut from; None where there is none."""
        return self.parent.parent_id if isinstance(self.parent, Cutout) else self.parent.id

    @property
    def origin(self) -> tuple[int, int]:
        """Pixel ``(x, y)`` of the outermost parent that is this cutout's pixel (0, 0)."""
        x0, y0 = self.box.x0, self.box.y0
        if isinstance(self.parent, Cutout):
            above = self.parent.origin
            return above[0] + x0, above[1] + y0
        return x0, y0

    @property
    def is_whole(self) -> bool:
        """Whether every pixel of it exists in the parent."""
        return self.box == self.source_box

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: FBT001  # numpy's protocol
        """Give the data, so that numpy and matplotlib take a cutout as it is."""
        return np.array(self.data, dtype=dtype, copy=copy)

    @property
    def has_wcs(self) -> bool:
        """Whether there are world coordinates: those of the parent, shifted."""
        return self.parent.has_wcs

    def _find_wcs(self) -> BaseWCS:
        """Shift the parent's WCS to this box."""
        return self.parent.get_wcs().shifted(self.box.x0, self.box.y0)

    def all_source_paths(self) -> set[Path]:
        """Give the files that the parents' pixels are read from."""
        return self.parent.all_source_paths()

    def _own_header(self) -> Header:
        """Give the parent's header with this cutout's size, WCS and origin."""
        from snapdb.formats.header import crop_header

        return crop_header(self.parent.header, self.wcs_header(), self.box)
