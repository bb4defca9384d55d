"""Images as rows of the IVOA's ObsCore 1.1 (REC-ObsCore-v1.1-20170509): its mandatory columns.

What snapdb decides where the standard leaves it to the publisher:

- ``calib_level``: 3 for what was made of several images (coadd, difference, template, mosaic);
  of others 2 where the AB zero point is known, else 1; 1 for ``raw``, whatever is known.
- ``obs_collection``: what the caller names; else facility and instrument as the header names
  them, as the standard advises; else ``snapdb``.
- ``facility_name``, ``instrument_name``: as the header names them; null where it does not.
- ``obs_id``: the exposure's; the image's id where there is none.
- ``obs_publisher_did``: ``ivo://AUTHORITY?ID``. The default authority, ``snapdb.local/images``,
  is registered nowhere: it names images within one archive, and who publishes gives their own.
- ``t_max``: the start and the exposure time; null for what was made of several images.
- ``t_resolution`` is the exposure time of a single exposure, as the standard allows; ``t_xel`` and
  ``em_xel`` are 1, ``pol_xel`` is 0 (polarization was not observed).
- ``s_fov`` is the diameter of the circle about (``s_ra``, ``s_dec``) that holds the footprint;
  ``s_resolution``, the seeing, is not known and null.
- ``s_region``: ``POLYGON ICRS`` of STC-S, vertices counter-clockwise as seen from inside the
  sphere (DALI 1.1, section 3.3.6).
- Times are UTC.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import quote
from uuid import UUID

import numpy as np

from snapdb.archive.moving.wavelengths import find_wavelengths
from snapdb.errors import UsageError
from snapdb.model.image import ImageRecord
from snapdb.model.url import is_url
from snapdb.sky.vectors import to_vectors

Vertices = Sequence[tuple[float, float]]
Row = dict[str, Any]

AUTHORITY = "snapdb.local/images"
"""Begins the identifiers where the caller names no authority; registered nowhere."""

_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{2,}(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*")
_COMBINED = frozenset({"coadd", "difference", "template", "mosaic"})
_NO_COUNTS = frozenset({"noise", "weight", "mask"})
_FACILITY, _CAMERA = ("telescop", "telescope"), ("instrume", "instrument")
"""Properties that name them: of FITS's cards, of ASDF's trees."""
_FORMATS = {".gz": "image/x-fits-gzip", ".bz2": "image/x-fits-bzip2", ".asdf": "application/x-asdf"}
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """What ObsCore wants to know that is no matter of one image."""

    authority: str = AUTHORITY
    """Registered authority, and resource key if there is one: ``org.example/images``."""
    collection: str | None = None
    """Name of the collection; told by each image when None."""
    access_url: str | None = None
    """URL of an image, with ``{id}`` or ``{filepath}`` in it; that of the file when None."""

    def __post_init__(self) -> None:
        if not _AUTHORITY.fullmatch(self.authority):
            msg = (
                f"authority={self.authority!r} is none; expected letters, digits, '.', '_', '~' or '-' and "
                "perhaps a path, such as org.example/images, without ivo://"
            )
            raise UsageError(msg, authority=self.authority)
        url = self.access_url
        if url is not None and "{id}" not in url and "{filepath}" not in url:
            msg = f"access_url={url!r} is the same for every image; put {{id}} or {{filepath}} into it"
            raise UsageError(msg, access_url=url)

    def url_of(self, record: ImageRecord, path: PurePath) -> str:
        """Give the URL of an image whose file lies at a path."""
        if self.access_url is None:
            return _to_uri(record.filepath) if is_url(record.filepath) else path.as_uri()
        return self.access_url.replace("{id}", str(record.id)).replace("{filepath}", quote(record.filepath))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """Where an image's pixels lie."""

    path: PurePath
    """Absolute."""
    size: int
    """Bytes."""


def _to_uri(address: str) -> str:
    """Escape the address of a remote file; that of HTTP is kept escaped, an object's key as it is."""
    scheme, _, place = address.partition("://")
    return f"{scheme}://{quote(place)}" if scheme == "s3" else address


def make_rows(
    records: Iterable[ImageRecord],
    footprints: Mapping[UUID, Vertices],
    files: Mapping[UUID, HeldFile],
    publisher: Publisher | None = None,
) -> list[Row]:
    """Make the rows of images.

    Parameters
    ----------
    records : iterable of ImageRecord
        A row each.
    footprints : mapping of UUID to vertices
        Image -> outline (ra, dec), ICRS degrees, open.
    files : mapping of UUID to HeldFile
        Image -> the file of its data.
    publisher : Publisher, optional
        What all rows share.

    Returns
    -------
    list of dict
        Names of :data:`.fields.COLUMNS` -> values; None where they are not known.
    """
    known, listed = publisher or Publisher(), list(records)
    if not listed:
        return []
    regions = _describe_regions(listed, [footprints[r.id] for r in listed])
    return [_make_row(r, place, files[r.id], known) for r, place in zip(listed, regions, strict=True)]


def _make_row(record: ImageRecord, region: Row, file: HeldFile, publisher: Publisher) -> Row:
    """Make the row of one image."""
    facility, camera = (_find_name(record, names) for names in (_FACILITY, _CAMERA))
    return {
        "dataproduct_type": "image",
        "calib_level": _find_level(record),
        "obs_collection": publisher.collection or _name_collection(facility, camera),
        "obs_id": record.observation_id or str(record.id),
        "obs_publisher_did": f"ivo://{publisher.authority}?{record.id}",
        "access_url": publisher.url_of(record, file.path),
        "access_format": _name_format(record, file.path),
        "access_estsize": math.ceil(file.size / 1000),
        "target_name": _text(record.properties.get("object")),
        "s_ra": record.ra,
        "s_dec": record.dec,
        **region,
        "s_xel1": record.width,
        "s_xel2": record.height,
        "s_resolution": None,
        **_describe_time(record),
        **_describe_spectrum(record),
        "o_ucd": _name_observable(record),
        "pol_states": None,
        "pol_xel": 0,
        "facility_name": facility,
        "instrument_name": camera,
    }


def _find_name(record: ImageRecord, names: Sequence[str]) -> str | None:
    """Give the first of some properties that says something."""
    return next((text for name in names if (text := _text(record.properties.get(name))) is not None), None)


def _text(value: object) -> str | None:
    """Give a card's value as text; None where it says nothing."""
    return str(value).strip() or None if value is not None else None


def _find_level(record: ImageRecord) -> int:
    """Tell the calibration level; see the module's text."""
    if record.kind in _COMBINED:
        return 3
    return 2 if record.zeropoint is not None and record.kind != "raw" else 1


def _name_collection(facility: str | None, camera: str | None) -> str:
    """Name the collection of an image."""
    if facility is not None and camera is not None:
        return f"{facility}/{camera}"
    return facility or camera or "snapdb"


def _name_format(record: ImageRecord, path: PurePath) -> str:
    """Name the format of a file, by table 5 of the standard, which does not know ASDF."""
    known = _FORMATS.get(path.suffix.lower())
    if known is not None:
        return known
    return "application/x-fits-mef" if record.hdu else "image/fits"


def _name_observable(record: ImageRecord) -> str | None:
    """Name what the pixels are."""
    if record.kind in _NO_COUNTS:
        return None
    return "phot.count" if record.data_units == "counts" else "arith.rate;phot.count"


def _describe_regions(records: Sequence[ImageRecord], rings: Sequence[Vertices]) -> list[Row]:
    """Describe where images lie, all at once: arrays of four vertices cost more than what is in them."""
    counts = np.array([len(ring) for ring in rings], dtype=np.int64)
    starts = np.cumsum(counts) - counts
    points = np.array([point for ring in rings for point in ring], dtype=np.float64)
    vectors = to_vectors(points[:, 0], points[:, 1])
    centers = to_vectors(np.array([r.ra for r in records]), np.array([r.dec for r in records]))
    chords = np.linalg.norm(vectors - np.repeat(centers, counts, axis=0), axis=1)
    widest = np.maximum.reduceat(chords, starts)
    diameters = np.degrees(4.0 * np.arcsin(np.minimum(1.0, widest / 2.0))).tolist()
    following = np.arange(len(points)) + 1
    following[starts + counts - 1] = starts
    turns = np.add.reduceat(np.cross(vectors, vectors[following]), starts, axis=0)
    # Seen from outside, a ring with its normal outward runs counter-clockwise; from inside, clockwise.
    outward = np.sum(turns * np.add.reduceat(vectors, starts, axis=0), axis=1) > 0.0
    turned = (ring[::-1] if out else ring for ring, out in zip(rings, outward.tolist(), strict=True))
    return [
        {"s_fov": fov, "s_region": f"POLYGON ICRS {' '.join(repr(float(v)) for p in ring for v in p)}"}
        for fov, ring in zip(diameters, turned, strict=True)
    ]


def _describe_time(record: ImageRecord) -> Row:
    """Describe when an image was taken."""
    single = record.kind not in _COMBINED
    end = None
    if single and record.mjd is not None and record.exptime is not None:
        end = record.mjd + record.exptime / _DAY_S
    return {
        "t_min": record.mjd,
        "t_max": end,
        "t_exptime": record.exptime,
        "t_resolution": record.exptime if single else None,
        "t_xel": 1,
    }


def _describe_spectrum(record: ImageRecord) -> Row:
    """Describe the band of an image."""
    span = find_wavelengths(record.band, record.instrument)
    low, high = span if span is not None else (None, None)
    power = None if low is None or high is None else (low + high) / 2.0 / (high - low)
    return {"em_min": low, "em_max": high, "em_res_power": power, "em_xel": 1}
