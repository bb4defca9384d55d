"""Which images hold a target, and on which pixel of each it is; no pixel is read."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from snapdb.archive.epochs.plan import Epoch
from snapdb.archive.image import Image
from snapdb.archive.light_curves.ephemeris import Reach, Track
from snapdb.archive.light_curves.spots import Spots
from snapdb.errors import NotFoundError, ProjectionError, SnapdbError, StorageError, UsageError
from snapdb.pixels.box import is_inside
from snapdb.pixels.placing import place_all
from snapdb.sky.fast.bank import WcsBank
from snapdb.sky.fast.evaluator import FastWCS
from snapdb.sky.time import to_mjd
from snapdb.sky.wcs import BaseWCS
from snapdb.types import FloatArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.model.image import ImageRecord

PLANES = ("data", "noise", "flags")
_OF_PLACE = ("ra", "dec", "radius", "region", "relation", "after")
_OF_ORDER = ("order_by", "limit", "offset")
_DAY_S = 86_400.0
_LONGEST_EXPOSURE_DAYS = 1.0
_ANY_TIME_MJD = (44_000.0, 70_000.0)
"""1979 to 2050: when an image without a time may have been taken."""


def find_spots(archive: "Archive", track: Track, criteria: dict[str, Any]) -> Spots:
    """Find the images that hold a target, in the order of time where the search says none.

    Parameters
    ----------
    archive : Archive
        Where to look.
    track : Track
        Where the target is. One that moves has no position on an image without a time: such images
        near its way are given with that reason.
    criteria : dict
        As :meth:`Archive.find_images` takes them. Kept cutouts are left out unless ``kind`` asks
        for them, so that no epoch counts twice.

    Returns
    -------
    Spots
        Without the squares to be read; pixels are known already where the target moves.

    Raises
    ------
    SearchError
        If a criterion cannot be.
    UsageError
        If a criterion is of the place, which the target gives.
    """
    if wrong := [name for name in _OF_PLACE if criteria.get(name) is not None]:
        msg = f"{wrong[0]}: the target says where to look; leave it out"
        raise UsageError(msg, name=wrong[0])
    if not track.moves:
        return make_spots(_find(archive, {**criteria, **_place_of(track)}), track)
    asked = {name: value for name, value in criteria.items() if name not in _OF_ORDER}
    found: dict[Any, ImageRecord] = {}
    for reach in _reaches(archive, track, asked):
        span = {"mjd_min": reach.mjd_min, "mjd_max": reach.mjd_max}
        circle = {"ra": reach.ra, "dec": reach.dec, "radius": reach.radius}
        found |= {record.id: record for record in _find(archive, {**asked, **span, **circle})}
    found |= _find_undated(archive, track, asked)
    order = {name: criteria[name] for name in _OF_ORDER if criteria.get(name) is not None}
    if order and found:
        records = _find(archive, {"id": list(found), **order, "limit": None, "offset": None})
    else:
        records = sorted(found.values(), key=lambda record: (record.mjd or 0.0, str(record.id)))
    spots = make_spots(records, track)
    for epoch in spots.epochs:
        if epoch.record.mjd is None:
            msg = f"image {epoch.record.id}: no time is known, so no position"
            epoch.error = ProjectionError(msg, image_id=epoch.record.id)
    locate(archive, spots)
    undated = np.array([epoch.record.mjd is None for epoch in spots.epochs], dtype=bool)
    held = np.array([_may_hold(epoch) for epoch in spots.epochs], dtype=bool)
    held &= np.isfinite(spots.ra) | undated
    spots = spots.take(np.flatnonzero(held))
    first = criteria.get("offset") or 0
    last = None if criteria.get("limit") is None else first + criteria["limit"]
    return spots.take(np.arange(len(spots))[first:last])


def make_spots(records: "Sequence[ImageRecord]", track: Track) -> Spots:
    """Give the target's position at the middle of each exposure.

    Parameters
    ----------
    records : sequence of ImageRecord
        Images.
    track : Track
        Where the target is.
    """
    times = [
        np.nan if record.mjd is None else record.mjd + (record.exptime or 0.0) / 2.0 / _DAY_S
        for record in records
    ]
    ra, dec = track.at(np.array(times, dtype=np.float64))
    return Spots(epochs=[Epoch(record=record) for record in records], ra=ra, dec=dec)


def locate(archive: "Archive", spots: Spots) -> None:
    """Find the pixel of each position; why there is none is kept in its epoch.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    spots : Spots
        Epochs that have coordinates keep them.
    """
    groups: dict[int, list[int]] = {}
    for n, epoch in enumerate(spots.epochs):
        if epoch.error is None:
            groups.setdefault(id(epoch.record), []).append(n)
    singles: list[int] = []
    for mine in groups.values():
        wcs = _share_coordinates(archive, [spots.epochs[n] for n in mine])
        if wcs is None:
            continue
        if len(mine) == 1 and isinstance(wcs, FastWCS):
            singles.extend(mine)
        else:
            _locate_on_one(spots, mine, wcs)
    _locate_on_each(spots, singles)


def _share_coordinates(archive: "Archive", epochs: Sequence[Epoch]) -> BaseWCS | None:
    """Give all positions of one image its coordinates, or the reason why there are none."""
    wcs = epochs[0].wcs
    try:
        wcs = wcs or coordinates_of(archive, epochs[0].record)
    except (ProjectionError, StorageError) as err:
        for epoch in epochs:
            epoch.error = err
        return None
    for epoch in epochs:
        epoch.wcs = wcs
    return wcs


def _locate_on_one(spots: Spots, mine: Sequence[int], wcs: BaseWCS) -> None:
    """Find the pixels of several positions on one image."""
    try:
        x, y = wcs.world_to_pixel(spots.ra[mine], spots.dec[mine])
    except (ProjectionError, StorageError) as err:
        for n in mine:
            spots.epochs[n].error = err
        return
    for n, own_x, own_y in zip(mine, np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True):
        spots.epochs[n].x, spots.epochs[n].y = own_x, own_y


def _locate_on_each(spots: Spots, places: Sequence[int]) -> None:
    """Find the pixel of one position on each of many images: in one go where it is the same."""
    if not places:
        return
    if np.ptp(spots.ra[places]) > 0.0 or np.ptp(spots.dec[places]) > 0.0:
        for n in places:
            _locate_on_one(spots, [n], spots.epochs[n].wcs)  # type: ignore[arg-type]  # they have one
        return
    bank = WcsBank([spots.epochs[n].wcs for n in places])  # type: ignore[misc]  # and it is a quick one
    x, y = bank.world_to_pixel(spots.ra[places[0]], spots.dec[places[0]])
    for n, own_x, own_y in zip(places, x.tolist(), y.tolist(), strict=True):
        spots.epochs[n].x, spots.epochs[n].y = own_x, own_y


def coordinates_of(archive: "Archive", record: "ImageRecord") -> BaseWCS:
    """Give an image's world coordinates, without opening its file where the registry has all of them.

    Raises
    ------
    ProjectionError, StorageError
        If there are none.
    """
    if record.wcs_header and not record.properties.get("wcs_needs_file"):
        fast = FastWCS.from_text(record.wcs_header)
        if fast is not None:
            return fast
    return Image.from_record(record, archive).get_wcs()


def settle(archive: "Archive", spots: Spots, size: int) -> None:
    """Place the square about each position, and learn where the planes' bytes are.

    Parameters
    ----------
    archive : Archive
        Where the images are.
    spots : Spots
        With their pixels; why a square has no place is kept in its epoch.
    size : int
        Edge of the squares, pixels.
    """
    x: FloatArray = np.array([epoch.x for epoch in spots.epochs], dtype=np.float64)
    y: FloatArray = np.array([epoch.y for epoch in spots.epochs], dtype=np.float64)
    width, height = (
        np.array([getattr(epoch.record, name) for epoch in spots.epochs], dtype=np.int64)
        for name in ("width", "height")
    )
    places = place_all(x, y, size, size, width, height)
    inside = is_inside(x, y, width, height)  # type: ignore[call-overload]
    sound = [epoch for epoch in spots.epochs if epoch.error is None]
    planes = archive.registry.get_planes(list({e.record.id: None for e in sound})) if sound else {}
    for n, epoch in enumerate(spots.epochs):
        if epoch.error is not None:
            continue
        if not inside[n]:
            epoch.error = _say_outside(epoch, spots.ra[n], spots.dec[n])
            continue
        epoch.placement = places.placement(n, "partial")
        epoch.planes = planes.get(epoch.record.id, ())
        if not epoch.names(("data",)):
            msg = f"image {epoch.record.id} has no data plane"
            epoch.error = NotFoundError(msg, image_id=epoch.record.id)


def _find(archive: "Archive", criteria: dict[str, Any]) -> "list[ImageRecord]":
    """Find images, without cutouts that are kept of them."""
    asked = {"order_by": "mjd", **{name: value for name, value in criteria.items() if value is not None}}
    if asked.get("kind") is not None:
        return archive.find_records(**asked)
    skipped, limit = asked.pop("offset", 0), asked.pop("limit", None)
    found = [record for record in archive.find_records(**asked) if record.kind != "cutout"]
    return found[skipped:] if limit is None else found[skipped : skipped + limit]


def _place_of(track: Track) -> dict[str, float]:
    """Give the criteria of a target that stands still."""
    ra, dec = track.at(np.zeros(1))
    return {"ra": float(ra[0]), "dec": float(dec[0])}


def _reaches(archive: "Archive", track: Track, asked: dict[str, Any]) -> Iterator[Reach]:
    """Give circles in the sky, and spans of time, that hold all images of a target that moves."""
    ends = []
    for name, order in (("mjd_min", "mjd"), ("mjd_max", "-mjd")):
        if asked.get(name) is not None:
            ends.append(to_mjd(asked[name]))
            continue
        known = {"mjd_min": -1e6, **{n: v for n, v in asked.items() if v is not None}}
        found = archive.find_records(**{**known, "order_by": order, "limit": 1})
        if not found or found[0].mjd is None:
            return
        ends.append(found[0].mjd)
    last = ends[1] + _LONGEST_EXPOSURE_DAYS
    for reach in track.reaches(ends[0], last):
        starts = (reach.mjd_min, reach.mjd_max)
        begin = ends[0] if starts[0] is None else max(ends[0], starts[0] - _LONGEST_EXPOSURE_DAYS)
        end = ends[1] if starts[1] is None else min(ends[1], starts[1])
        if begin <= end:
            yield Reach(ra=reach.ra, dec=reach.dec, radius=reach.radius, mjd_min=begin, mjd_max=end)


def _find_undated(archive: "Archive", track: Track, asked: dict[str, Any]) -> "dict[UUID, ImageRecord]":
    """Find the images without a time that the target may be on: those near any part of its way."""
    if asked.get("mjd_min") is not None or asked.get("mjd_max") is not None:
        return {}
    found: dict[UUID, ImageRecord] = {}
    for reach in track.reaches(*_ANY_TIME_MJD):
        circle = {"ra": reach.ra, "dec": reach.dec, "radius": reach.radius}
        near = _find(archive, {**asked, **circle})
        found |= {record.id: record for record in near if record.mjd is None}
    return found


def _may_hold(epoch: Epoch) -> bool:
    """Tell whether a target is on an image, or cannot be told not to be."""
    record = epoch.record
    return epoch.error is not None or is_inside(epoch.x, epoch.y, record.width, record.height)


def _say_outside(epoch: Epoch, ra: float, dec: float) -> SnapdbError:
    """Make the error of a position that is on no pixel."""
    from snapdb.errors import NoOverlapError

    record = epoch.record
    msg = (
        f"position ra={ra}, dec={dec} is not on image {record.id}: it falls on pixel "
        f"({epoch.x:.1f}, {epoch.y:.1f}) of {record.width} x {record.height}"
    )
    return NoOverlapError(msg, image_id=record.id)
