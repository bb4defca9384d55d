"""What is known of one image: a row, in full."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import repeat
from typing import Any, Self
from uuid import UUID

from snapdb.model.layout import PlaneLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRecord:
    """One plane with the file that holds it."""

    layout: PlaneLayout
    file_key: str
    """Key of the file in the store, or its absolute path."""
    file_size: int
    file_mtime_ns: int
    file_sha256: str = ""
    """Hexadecimal digest of the file; empty where it is not registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What is known of an image whether or not it is registered.

    Sky positions are ICRS degrees with right ascension in [0, 360). None means
    that it is not known.
    """

    width: int
    height: int
    ra: float
    """Sky position of pixel ((width-1)/2, (height-1)/2)."""
    dec: float
    ra_corner_00: float
    """Of the centre of pixel (0, 0); the others likewise."""
    dec_corner_00: float
    ra_corner_01: float
    """Of the centre of pixel (0, height-1)."""
    dec_corner_01: float
    ra_corner_10: float
    """Of the centre of pixel (width-1, 0)."""
    dec_corner_10: float
    ra_corner_11: float
    dec_corner_11: float
    position_angle: float | None = None
    """Of the +y axis, degrees east of north in [0, 360)."""
    pixel_scale: float | None = None
    """Arcseconds a pixel at the centre (root of the pixel's area)."""
    kind: str = "exposure"
    """``exposure``, ``coadd``, ``difference``, ``template``, ``cutout``, ..."""
    observation_id: str | None = None
    sca: int | None = None
    """Number of the detector within its exposure."""
    band: str | None = None
    mjd: float | None = None
    """Start of the exposure, UTC, days."""
    exptime: float | None = None
    """Seconds."""
    sky_level: float | None = None
    zeropoint: float | None = None
    """AB magnitude of one count."""
    data_units: str = "counts"
    """``counts`` or ``rate``: what one unit of the data is."""
    instrument: str | None = None
    """Name of the header map that read it."""
    wcs_header: str = ""
    """The WCS cards, 80 characters each, newline between them."""
    flag_bits: Mapping[str, int] = field(default_factory=dict)
    """Name of a flag -> its bit value (1, 2, 4, ...)."""
    bad_bits: int = 0
    """Bits that make a pixel bad, or-ed together; 0 counts every set bit as bad."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else is worth keeping; JSON values."""
    release_date: float | None = None
    """MJD from which the image is public; None is public at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPlane:
    """A plane to be registered, with the path of its file as the caller knows it."""

    layout: PlaneLayout
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """One image to be registered: its facts, footprint and planes."""

    facts: ImageFacts
    footprint: tuple[tuple[float, float], ...]
    """Vertices (ra, dec) in ring order, open (the first is not repeated), from the outer pixel edges."""
    planes: tuple[NewPlane, ...]
    """The first is ``data``."""
    provenance_id: UUID
    id: UUID | None = None
    """Given by the caller, or by the registry when None."""
    inputs: tuple[UUID, ...] = ()
    """Ids of the images that it was made from."""


class _Row(ImageFacts):
    """Facts of which each stays in the registry's row until it is looked at: few of them ever are."""

    __slots__ = ("_row", "_take")

    _row: tuple[Any, ...]
    _take: Mapping[str, Callable[[tuple[Any, ...]], Any]]
    """Fact -> what takes it out of the row."""

    def __getattr__(self, name: str) -> Any:
        if name not in FACT_NAMES and name not in OWN_NAMES:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)
        value = self._take[name](self._row)
        object.__setattr__(self, name, value)
        return value

    @classmethod
    def of_rows(
        cls, rows: Sequence[tuple[Any, ...]], take: Mapping[str, Callable[[tuple[Any, ...]], Any]]
    ) -> list[Self]:
        """Make a record of each row.

        Parameters
        ----------
        rows : sequence of tuple
            What the registry knows of each image.
        take : mapping
            Name of every field -> what takes its value out of a row.

        Returns
        -------
        list of ImageRecord
            In the order of the rows.
        """
        made = list(map(object.__new__, repeat(cls, len(rows))))
        # Thousands at once, and so without a loop of Python's.
        deque(map(_set_row, made, rows), maxlen=0)
        deque(map(_set_take, made, repeat(take)), maxlen=0)
        return made


_slots: Any = _Row
_set_row, _set_take = _slots._row.__set__, _slots._take.__set__  # noqa: SLF001  # its own


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord(_Row):
    """One registered image as its row says, without opening a file."""

    id: UUID
    provenance_id: UUID
    filepath: str
    """Key of the file that holds the data plane."""
    hdu: int
    """HDU of the data plane."""


FACT_NAMES: tuple[str, ...] = tuple(f.name for f in fields(ImageFacts))
"""Names of what :class:`ImageFacts` holds, in order: the columns that a record is made of."""
OWN_NAMES: tuple[str, ...] = ("id", "provenance_id", "filepath", "hdu")
"""Names of what an :class:`ImageRecord` holds beside these."""
