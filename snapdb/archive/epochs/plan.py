"""Every image of one position: which they are, and where the cutout lies in each; no pixel is read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np

from snapdb.archive.cutting import LARGEST_PX, as_fill_value
from snapdb.archive.image import Image
from snapdb.archive.originals import find_originals
from snapdb.archive.planes import FilePlanes
from snapdb.errors import (
    NotFoundError,
    ProjectionError,
    ShapeError,
    SnapdbError,
    StorageError,
    UsageError,
)
from snapdb.pixels.box import Placement, check_mode
from snapdb.pixels.placing import Places, place_all
from snapdb.sky.extent import Extent
from snapdb.sky.fast.bank import WcsBank
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.units import split_coordinates
from snapdb.sky.wcs import BaseWCS
from snapdb.types import CutoutMode, FloatArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord, PlaneRecord

OnError = Literal["report", "raise"]
"""What to do with an image that gives no cutout."""
Status = Literal["unread", "ok", "failed"]
_NOT_OF_PLACE = ("order_by", "limit", "offset", "after", "ra", "dec", "radius")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is cut of each image, checked."""

    ra: float
    """Centre, ICRS degrees."""
    dec: float
    xsize: Extent
    ysize: Extent
    mode: CutoutMode = "partial"
    overlap: bool = False
    """Whether images that the square alone touches count."""
    planes: Sequence[str] = ("data", "noise", "flags")
    """Wanted; those that an image does not have are left out."""
    fill_value: float = math.nan
    """For data and noise outside the image."""
    threads: int | None = None
    """None decides by what there is to read."""
    on_error: OnError = "report"
    progress: Callable[[int, int], None] | None = None
    """Told after each image how many are read, and of how many."""

    @classmethod
    def make(cls, ra: Any, dec: Any, size: Any, ysize: Any, **rest: Any) -> Self:
        """Check what a caller asks for; see :meth:`snapdb.Archive.cutouts`.

        Raises
        ------
        UsageError
            If a value cannot be; ShapeError and UnitError are of that kind.
        """
        ra_deg, dec_deg = (np.asarray(v, dtype=np.float64) for v in split_coordinates(ra, dec))
        if ra_deg.size != 1 or not np.isfinite(ra_deg + dec_deg).all() or abs(float(dec_deg)) > 90.0:
            msg = f"ra={ra!r:.60}, dec={dec!r:.60}: expected one position, declination -90 to 90 degrees"
            raise UsageError(msg, ra=ra, dec=dec)
        xsize = Extent.of(size)
        asked = cls(
            ra=float(ra_deg) % 360.0,
            dec=float(dec_deg),
            xsize=xsize,
            ysize=xsize if ysize is None else Extent.of(ysize, name="ysize"),
            **rest,
        )
        asked.check()
        return replace(asked, fill_value=as_fill_value(asked.fill_value))

    def check(self) -> None:
        """Refuse choices that there are not.

        Raises
        ------
        UsageError
            If there is one.
        """
        check_mode(self.mode)
        if self.on_error not in get_args(OnError):
            msg = f"on_error={self.on_error!r}: expected 'report' or 'raise'"
            raise UsageError(msg, on_error=self.on_error)
        if isinstance(self.planes, str) or not self.planes:
            msg = f"planes={self.planes!r}: expected names such as ('data', 'noise', 'flags')"
            raise UsageError(msg, planes=self.planes)
        if self.threads is not None and self.threads < 1:
            msg = f"threads={self.threads}: expected at least 1"
            raise UsageError(msg, threads=self.threads)


@dataclass(slots=True, kw_only=True)
class Epoch:
    """One image of the position: what is known of it, and how its cutout ended."""

    record: "ImageRecord"
    wcs: BaseWCS | None = None
    """Of the image."""
    x: float = math.nan
    """Pixel of the position in the image."""
    y: float = math.nan
    placement: Placement | None = None
    planes: "tuple[PlaneRecord, ...]" = ()
    """Those of the image, all of them."""
    error: SnapdbError | None = None
    """Why there is no cutout."""
    is_read: bool = False

    @property
    def status(self) -> Status:
        """How far it is: ``unread``, ``ok``, or ``failed``."""
        if self.error is not None:
            return "failed"
        return "ok" if self.is_read else "unread"

    @property
    def place(self) -> Placement:
        """The placement of an epoch that has not failed."""
        if self.placement is None:
            raise self.error or NotFoundError()
        return self.placement

    def names(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Give those of the wanted planes that the image has."""
        have = {plane.layout.name for plane in self.planes}
        return tuple(name for name in wanted if name in have)

    def make_image(self, archive: "Archive") -> Image:
        """Make the image, with what is known of its planes and coordinates already.

        Parameters
        ----------
        archive : Archive
            Where it is from.
        """
        image = Image.from_record(self.record, archive)
        image._source = FilePlanes(self.planes, archive.store)  # noqa: SLF001  # spares a query an image
        image._wcs = self.wcs  # noqa: SLF001
        return image


def plan_epochs(archive: "Archive", ask: Ask, criteria: dict[str, Any]) -> list[Epoch]:
    """Find the images of a position and place the cutout in each: two queries, and no file is opened.

    Parameters
    ----------
    archive : Archive
        Where to look.
    ask : Ask
        What is cut.
    criteria : dict
        As :meth:`Archive.find_images` takes them.

    Returns
    -------
    list of Epoch
        In the order of the search, by time where it says none. An image in which there is no
        place for the cutout has its error.

    Raises
    ------
    SearchError
        If a criterion cannot be.
    SnapdbError
        The first image's that fails, where `ask.on_error` is ``raise``.
    """
    epochs = [Epoch(record=record) for record in _find_once(archive, ask, criteria)]
    _add_coordinates(archive, epochs, ask)
    places = _place(epochs, ask)
    epochs = [
        epoch
        for index, epoch in enumerate(epochs)
        if _settle_place(epoch, places, index, ask) or not ask.overlap
    ]
    sound = [epoch for epoch in epochs if epoch.error is None]
    found = archive.registry.get_planes([epoch.record.id for epoch in sound]) if sound else {}
    for epoch in sound:
        epoch.planes = found.get(epoch.record.id, ())
        if not epoch.names(ask.planes):
            have = ", ".join(plane.layout.name for plane in epoch.planes) or "no plane at all"
            msg = f"image {epoch.record.id} has {have}; asked for were {', '.join(ask.planes)}"
            epoch.error = NotFoundError(msg, image_id=epoch.record.id)
    if ask.on_error == "raise":
        for epoch in epochs:
            if epoch.error is not None:
                raise epoch.error
    return epochs


def _find_once(archive: "Archive", ask: Ask, criteria: dict[str, Any]) -> "list[ImageRecord]":
    """Find the images, without cutouts that are kept of them, which would count an epoch twice."""
    return find_originals(lambda rest: _find(archive, ask, rest), criteria)


def _find(archive: "Archive", ask: Ask, criteria: dict[str, Any]) -> "list[ImageRecord]":
    """Find the images: those that contain the position, or that a circle about the square touches."""
    if criteria.get("radius") is not None:
        msg = "radius: the cutouts' size says how far the square reaches; overlap=True takes what touches it"
        raise UsageError(msg, name="radius")
    asked = {"order_by": "mjd", **criteria, "ra": ask.ra, "dec": ask.dec}
    if not ask.overlap:
        return archive.find_records(**asked)
    coarsest = 0.0
    if ask.xsize.arcsec is None or ask.ysize.arcsec is None:
        rest = {name: value for name, value in criteria.items() if name not in _NOT_OF_PLACE}
        rest = {"pixel_scale_min": 0.0, **rest, "order_by": "-pixel_scale", "limit": 1}
        coarsest = max((r.pixel_scale or 0.0 for r in archive.find_records(**rest)), default=0.0)
    reach = math.hypot(ask.xsize.to_arcsec(coarsest), ask.ysize.to_arcsec(coarsest)) / 2.0
    # A little more: the square is flat and the circle is not. What it does not touch is left out later.
    radius = min(1.01 * reach / 3600.0, 90.0)
    return archive.find_records(**asked, **({"radius": radius} if radius > 0.0 else {}))


def _add_coordinates(archive: "Archive", epochs: Sequence[Epoch], ask: Ask) -> None:
    """Give each image its coordinates and the pixel of the position, most in one evaluation."""
    quick: list[tuple[Epoch, FastWCS]] = []
    for epoch in epochs:
        record = epoch.record
        if not record.properties.get("wcs_needs_file"):
            fast = FastWCS.from_text(record.wcs_header) if record.wcs_header else None
            if fast is not None:
                epoch.wcs = fast
                quick.append((epoch, fast))
                continue
        try:
            epoch.wcs = Image.from_record(record, archive).get_wcs()
            x, y = epoch.wcs.world_to_pixel(ask.ra, ask.dec)
            epoch.x, epoch.y = float(x), float(y)
        except (ProjectionError, StorageError) as err:
            epoch.error = err
    if quick:
        x, y = WcsBank([fast for _, fast in quick]).world_to_pixel(ask.ra, ask.dec)
        for (epoch, _), own_x, own_y in zip(quick, x.tolist(), y.tolist(), strict=True):
            epoch.x, epoch.y = own_x, own_y


def _place(epochs: Sequence[Epoch], ask: Ask) -> Places:
    """Place all boxes; a size that is not known is 1 here, and refused later."""
    scales = [epoch.record.pixel_scale for epoch in epochs]
    xsize, ysize = ([n or 1 for n in size.to_pixels_each(scales)] for size in (ask.xsize, ask.ysize))
    x: FloatArray = np.array([epoch.x for epoch in epochs], dtype=np.float64)
    y: FloatArray = np.array([epoch.y for epoch in epochs], dtype=np.float64)
    width, height = (
        np.array([getattr(epoch.record, name) for epoch in epochs], dtype=np.int64)
        for name in ("width", "height")
    )
    return place_all(x, y, xsize, ysize, width, height)


def _settle_place(epoch: Epoch, places: Places, index: int, ask: Ask) -> bool:
    """Give an epoch its placement or its error; False where its square does not touch the image."""
    if epoch.error is None:
        epoch.error = _find_error(epoch, places, index, ask)
    if epoch.error is None:
        epoch.placement = places.placement(index, ask.mode)
    return bool(places.touches[index]) or not bool(places.projects[index])


def _find_error(epoch: Epoch, places: Places, index: int, ask: Ask) -> SnapdbError | None:
    """Say why a box has no place in an image; None where it has one."""
    record = epoch.record
    width, height = int(places.width[index]), int(places.height[index])
    if record.pixel_scale is None and None not in (ask.xsize.arcsec, ask.ysize.arcsec):
        msg = f"image {record.id} has no known pixel scale; give the size in pixels"
        return UsageError(msg, image_id=record.id)
    if width * height > max(LARGEST_PX, 4 * record.width * record.height):
        msg = f"a cutout of {width} x {height} pixels of image {record.id} would be almost all filling"
        return ShapeError(f"{msg}; ask for a smaller size", width=width, height=height)
    if places.is_whole[index] or (places.touches[index] and ask.mode != "strict"):
        return None
    from snapdb.errors import NoOverlapError, PartialOverlapError

    if not places.projects[index]:
        msg = f"position ra={ask.ra}, dec={ask.dec} does not project onto image {record.id}"
        return NoOverlapError(msg, ra=ask.ra, dec=ask.dec)
    box = f"{width} x {height} pixels from ({int(places.x0[index])}, {int(places.y0[index])})"
    if not places.touches[index]:
        msg = f"the box of {box} does not touch image {record.id}"
        return NoOverlapError(msg, image_id=record.id)
    msg = f"the box of {box} reaches beyond image {record.id}; mode 'partial' fills what is missing"
    return PartialOverlapError(msg, image_id=record.id)
