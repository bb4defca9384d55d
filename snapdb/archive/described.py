"""What is known of an image, without its pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from snapdb.archive.fact import Fact
from snapdb.archive.loading import FileLoader, find_wcs
from snapdb.archive.paths import ImagePaths
from snapdb.archive.values import as_uuid, check_fact, check_name
from snapdb.errors import UsageError
from snapdb.model.image import ImageRecord
from snapdb.model.url import Url, is_url
from snapdb.sky.wcs import BaseWCS
from snapdb.types import BoolArray, Degrees, Header

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive

_UNKNOWN: dict[str, Any] = {
    "kind": "exposure",
    "data_units": "counts",
    "flag_bits": {},
    "bad_bits": 0,
    "properties": {},
    "wcs_header": "",
}


class DescribedImage:
    """An image as its row, its header or its maker describes it: facts, paths and sky, no pixels."""

    width = Fact[int]("Size along x, pixels.")
    height = Fact[int]("Size along y, pixels.")
    observation_id = Fact[str | None]("Identifier of the exposure, over all its detectors.")
    sca = Fact[int | None]("Number of the detector within its exposure.")
    band = Fact[str | None]("Filter.")
    ra = Fact[float]("Right ascension of the image's centre, ICRS degrees in [0, 360).")
    dec = Fact[float]("Declination of the image's centre, ICRS degrees.")
    ra_corner_00 = Fact[float]("Right ascension of the centre of pixel (0, 0), ICRS degrees.")
    ra_corner_01 = Fact[float]("Right ascension of the centre of pixel (0, height-1), ICRS degrees.")
    ra_corner_10 = Fact[float]("Right ascension of the centre of pixel (width-1, 0), ICRS degrees.")
    ra_corner_11 = Fact[float]("Right ascension of the centre of pixel (width-1, height-1), ICRS degrees.")
    dec_corner_00 = Fact[float]("Declination of the centre of pixel (0, 0), ICRS degrees.")
    dec_corner_01 = Fact[float]("Declination of the centre of pixel (0, height-1), ICRS degrees.")
    dec_corner_10 = Fact[float]("Declination of the centre of pixel (width-1, 0), ICRS degrees.")
    dec_corner_11 = Fact[float]("Declination of the centre of pixel (width-1, height-1), ICRS degrees.")
    mjd = Fact[float | None]("Start of the exposure, MJD, UTC.")
    exptime = Fact[float | None]("Exposure time, seconds.")
    position_angle = Fact[float | None]("Of the +y axis, degrees east of north in [0, 360).")
    pixel_scale = Fact[float | None]("Arcseconds a pixel at the centre.")
    sky_level = Fact[float | None]("Estimate of the sky in the data's units.")
    zeropoint = Fact[float | None]("AB magnitude of one count: m = -2.5 log10(counts) + zeropoint.")
    data_units = Fact[str]("What one unit of the data is: counts or rate.")
    kind = Fact[str]("exposure, coadd, difference, template, cutout, ...")
    instrument = Fact[str | None]("Header map that read the file.")
    flag_bits = Fact[Mapping[str, int]]("Name of a flag -> its bit value.")
    bad_bits = Fact[int]("Bits that make a pixel bad, or-ed; 0 counts every set bit.")
    properties = Fact[Mapping[str, Any]]("Whatever else the header map keeps.")

    def _begin(self, paths: ImagePaths) -> None:
        """Set the state of an image that knows nothing yet."""
        self._paths = paths
        self._facts: dict[str, Any] = {}
        self._record: ImageRecord | None = None
        self._archive: Archive | None = None
        self._loader: FileLoader | None = None
        self._planned: FileLoader | None = None
        self._header: Header | None = None
        self._wcs: BaseWCS | None = None
        self._id: UUID | None = None
        self._provenance_id: UUID | None = None

    @classmethod
    def from_record(cls, record: ImageRecord, archive: "Archive") -> Self:
        """Make the image of a registry row; no file is opened.

        Parameters
        ----------
        record : ImageRecord
            The row.
        archive : Archive
            Where it is from.
        """
        image = cls.__new__(cls)
        image._begin(archive.paths_of(record.filepath))
        image._record = record
        image._archive = archive
        image._id = record.id
        image._provenance_id = record.provenance_id
        return image

    # What is known

    def _get_id(self) -> UUID | None:
        return self._id

    def _set_id(self, value: UUID | str | None) -> None:
        self._id = as_uuid(value, "id")

    id = property(_get_id, _set_id, doc="Id in the registry (UUID); setting it changes memory only.")

    @property
    def provenance_id(self) -> UUID | None:
        """Id of the provenance; setting it changes memory only."""
        return self._provenance_id

    @provenance_id.setter
    def provenance_id(self, value: UUID | str | None) -> None:
        self._provenance_id = as_uuid(value, "provenance_id")

    @property
    def record(self) -> ImageRecord | None:
        """The registry's row, None for an image outside an archive."""
        return self._record

    @property
    def archive(self) -> "Archive | None":
        """The archive that the image is from."""
        return self._archive

    def fact(self, name: str) -> Any:
        """Give a fact by name: what was set, else what the row or the file says.

        Raises
        ------
        UsageError
            If no fact has that name.
        """
        if name in self._facts:
            return self._facts[name]
        if self._record is not None:
            return getattr(self._record, name)
        check_name(name)
        if self._loader is not None:
            return getattr(self._loader.facts, name)
        return self._fact_in_memory(name)

    def set_fact(self, name: str, value: Any) -> None:
        """Set a fact in memory; the registry and the file stay as they are."""
        check_name(name)
        if name in ("width", "height"):
            msg = f"{name} follows from the pixels and cannot be set; make a cutout or another Image"
            raise UsageError(msg, name=name)
        self._facts[name] = check_fact(name, value)

    def _fact_in_memory(self, name: str) -> Any:
        """Give what is known of an image that has neither row nor file."""
        return _UNKNOWN.get(name)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Array shape ``(height, width)``."""
        return self.height, self.width

    @property
    def coord_center(self) -> tuple[float, float]:
        """Sky position of pixel ((width-1)/2, (height-1)/2), ICRS degrees, from the WCS."""
        ra, dec = self.get_wcs().pixel_to_world((self.width - 1) / 2, (self.height - 1) / 2)
        return float(ra), float(dec)

    @property
    def loader(self) -> FileLoader | None:
        """What describes the file of an image outside an archive; None while that is not written yet."""
        return self._loader

    @property
    def facts_set(self) -> dict[str, Any]:
        """The facts that were set in memory, by name."""
        return dict(self._facts)

    @property
    def label(self) -> str:
        """Name the image in a message: its id, or its file, or what it is."""
        if self.id is not None:
            return f"image {self.id}"
        return str(self.full_filepath) if self.full_filepath is not None else f"{self.kind} in memory"

    # Where it is

    @property
    def full_filepath(self) -> Path | None:
        """Absolute path of the file; None for an image in memory, and for a remote one, which has a `url`."""
        return self._paths.full

    @property
    def url(self) -> str | None:
        """Address of the file; None where it is on this machine, and for an image in memory."""
        key = self._record.filepath if self._record is not None else ""
        return key if is_url(key) else None

    @property
    def filepath(self) -> Path | None:
        """Path of the file below the base."""
        return self._paths.relative

    @property
    def base_path(self) -> Path | None:
        """The base of `filepath`, None where there is none."""
        return self._paths.base

    @property
    def filename(self) -> str | None:
        """Last part of the path."""
        if self.url is not None:
            return Url(self.url).name
        return self._paths.full.name if self._paths.full is not None else None

    path = full_filepath
    base_dir = base_path
    name = filename

    # Sky

    def get_wcs(self, wcsclass: str | None = None) -> BaseWCS:
        """Give the world coordinates.

        Parameters
        ----------
        wcsclass : str, optional
            ``AstropyWCS`` for the kind that astropy evaluates. By default the quickest
            kind that gives the same positions: a :class:`~snapdb.sky.fast.evaluator.FastWCS`
            for TAN, TAN-SIP and TPV.

        Returns
        -------
        BaseWCS
            Its ``get_astropy_wcs()`` is an ``astropy.wcs.WCS`` of your own, in the header's own frame;
            it takes no arguments (snappl's ``readonly`` among them). There is no ``GalsimWCS``:
            ``galsim.AstropyWCS(wcs=...)`` makes one of it.

        Raises
        ------
        UsageError
            If another class is asked for.
        ProjectionError
            If the image has no WCS.
        """
        if wcsclass not in (None, "AstropyWCS", "BaseWCS"):
            msg = f"wcsclass={wcsclass!r} is not known; expected 'AstropyWCS'"
            raise UsageError(msg, wcsclass=wcsclass)
        if self._wcs is None:
            self._wcs = self._find_wcs()
        return self._wcs.to_general() if wcsclass == "AstropyWCS" else self._wcs

    def _find_wcs(self) -> BaseWCS:
        """Build the WCS from what the row or the file says."""
        return find_wcs(self.fact("wcs_header"), self.properties, self.full_filepath, self._data_hdu())

    def _data_hdu(self) -> int | None:
        """Tell which HDU of the file holds the data."""
        if self._record is not None:
            return self._record.hdu
        return self._loader.described.planes[0].layout.hdu if self._loader is not None else None

    def includes_radec(self, ra: Any, dec: Any = None) -> bool | BoolArray:
        """Tell whether positions lie inside the image, up to the outer edges of its pixels.

        Parameters
        ----------
        ra, dec : float, array, Quantity or str
            ICRS; degrees where without unit. `ra` may be a SkyCoord, without `dec`.

        Returns
        -------
        bool or array of bool
            As the input; False for positions that do not project.
        """
        from snapdb.sky.units import split_coordinates

        ra_deg, dec_deg = split_coordinates(ra, dec)
        return self.get_wcs().includes(ra_deg, dec_deg, self.width, self.height)

    def pixel_to_world(self, x: Degrees, y: Degrees) -> tuple[Degrees, Degrees]:
        """Give the ICRS position in degrees of 0-based pixels."""
        return self.get_wcs().pixel_to_world(x, y)

    def world_to_pixel(self, ra: Degrees, dec: Degrees) -> tuple[Degrees, Degrees]:
        """Give the 0-based pixel of ICRS positions in degrees; NaN where they do not project."""
        return self.get_wcs().world_to_pixel(ra, dec)
