"""One image: what is known of it at once, its pixels when asked for."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from snapdb.archive import cutting, loading, saving
from snapdb.archive.paths import PathLike, resolve_paths
from snapdb.archive.photometric import PhotometricImage
from snapdb.archive.planar import PLANES
from snapdb.archive.values import check_name
from snapdb.errors import UsageError
from snapdb.sky.units import take_position
from snapdb.types import CutoutMode, Header, PixelArray

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.archive.cutout import Cutout
    from snapdb.archive.listing import ImageList
    from snapdb.model.provenance import Provenance


class Image(PhotometricImage):
    """One 2-D image of one detector.

    An image of an archive comes from :meth:`Archive.find_images` or
    :meth:`Archive.get_image`; a file outside one from ``Image(path)``; arrays from
    ``Image(data=..., wcs=...)``. What the registry or the header says is served as
    attributes, None when unknown; pixels are read when `data`, `noise` or `flags` is
    first asked for, and stay in memory until :meth:`free`.

    Pixels are 0-based, ``(x, y)`` in arguments and ``[y, x]`` in arrays; sky positions
    are ICRS degrees whatever frame the file uses.

    Parameters
    ----------
    full_filepath, path : path, optional
        Of the file. One that does not exist is written by :meth:`save`, once there is `data`.
    filepath : path, optional
        Of the file, below `base_path` unless `no_base_path`.
    base_path, base_dir : path, optional
        Folder that `filepath` starts from.
    no_base_path : bool
        Whether `filepath` is the whole path.
    id, provenance_id : UUID or str, optional
        Of the image in a registry.
    format, is_superclass : object, optional
        Taken so that calls written for snappl run; the format is found from the
        file's content.
    data, noise, flags : array, optional
        Planes in memory, all of one shape; they stand in place of a file's.
    wcs : AstropyWCS or astropy.wcs.WCS, optional
        World coordinates of an image in memory.
    header : astropy.io.fits.Header, optional
        Header of an image in memory; its WCS is used when `wcs` is not given.
    noisepath, flagspath : path, optional
        Files of the noise and the flags, when the image's file does not hold them.
    imagehdu : int, optional
        Which HDU of the file holds the data, when it holds several images.
    std_imagenames : bool
        Whether `full_filepath` is a stem: ``{stem}_image.fits``, ``_noise.fits``, ``_flags.fits``.
    instrument : str, optional
        Header map to read the file with; found from the header by default.
    **facts : object
        Any of the attributes below, which win over what the file says. `width` and `height` must be
        those of the pixels; before there are any, they say the size.

    Raises
    ------
    UsageError
        If parameters contradict each other, or a fact is unknown.

    Notes
    -----
    snappl's `Image` documents this interface. It differs where that is defective: sky
    positions are ICRS always, a position is inside up to the pixels' outer edges, an
    image without noise or flags has None there instead of its data again, and
    ``zeropoint`` can be read and set. From `width` on, parameters are given by keyword; paths
    are not set afterwards. docs/moving.md has the names side by side.
    """

    def __init__(
        self,
        full_filepath: PathLike | None = None,
        filepath: PathLike | None = None,
        base_path: PathLike | None = None,
        base_dir: PathLike | None = None,
        path: PathLike | None = None,
        no_base_path: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
        id: UUID | str | None = None,  # noqa: A002  # the seed's signature
        provenance_id: UUID | str | None = None,
        *,
        format: object = None,  # noqa: A002, ARG002  # the seed's signature
        is_superclass: bool = False,  # noqa: ARG002  # the seed's signature
        data: PixelArray | None = None,
        noise: PixelArray | None = None,
        flags: PixelArray | None = None,
        wcs: Any = None,
        header: Header | None = None,
        noisepath: PathLike | None = None,
        flagspath: PathLike | None = None,
        imagehdu: int | None = None,
        std_imagenames: bool = False,
        instrument: str | None = None,
        **facts: Any,
    ) -> None:
        paths = resolve_paths(
            full_filepath=full_filepath,
            filepath=filepath,
            base_path=base_path,
            base_dir=base_dir,
            path=path,
            no_base_path=no_base_path,
        )
        self._begin(paths)
        self.id = id
        self.provenance_id = provenance_id
        self._loader = loading.FileLoader.make(
            paths.full,
            hdu=imagehdu,
            noisepath=noisepath,
            flagspath=flagspath,
            stem=std_imagenames,
            instrument=instrument,
        )
        self._header = header
        self._wcs = loading.as_wcs(wcs, header)
        for name, array in zip(PLANES, (data, noise, flags), strict=True):
            if array is not None:
                self._set_plane(name, array)
        size = {name: facts.pop(name, None) for name in ("width", "height")}
        for name, value in facts.items():
            check_name(name)
            if value is not None:
                self.set_fact(name, value)
        self._check_size(**size)

    # Cutouts

    def get_cutout(
        self,
        x: float | None = None,
        y: float | None = None,
        xsize: int | None = None,
        ysize: int | None = None,
        mode: CutoutMode = "strict",
        fill_value: float = float("nan"),
        *,
        ra: Any = None,
        dec: Any = None,
    ) -> "Cutout":
        """Cut a box around a pixel, reading only the box.

        Parameters
        ----------
        x, y : float
            Centre, 0-based pixels, as in snappl's code (its page says ``ra``, ``dec``); need not be whole.
        xsize, ysize : int
            Size in pixels, odd or even; `ysize` is `xsize` when None. An odd box is
            centred on the nearest pixel, an even one as well as can be.
        mode : str
            ``strict`` refuses a box that reaches beyond the image, ``partial`` fills what
            lies outside, ``trim`` gives the part that exists.
        fill_value : float
            For data and noise outside the image. An integer plane comes back as float
            when it cannot hold the value. Flags outside carry the bit named NO_DATA.
        ra, dec : float, Quantity or str
            Centre on the sky, in place of `x` and `y`.

        Returns
        -------
        Cutout
            With all planes that exist, as arrays of its own.

        Raises
        ------
        NoOverlapError
            If the box does not touch the image, in every mode.
        PartialOverlapError
            If it reaches beyond the image in mode ``strict``.
        ShapeError
            If a size is not a whole number of at least 1.
        UsageError
            If there is no centre, or both of a pixel and of the sky.
        """
        if x is None or y is None or ra is not None or dec is not None:
            if x is not None or y is not None or ra is None:
                msg = f"get_cutout(x={x}, y={y}, ra={ra}, dec={dec}): expected x and y, or ra= and dec="
                raise UsageError(msg)
            return self.get_ra_dec_cutout(ra, dec, xsize, ysize, mode, fill_value)
        fill = cutting.as_fill_value(fill_value)
        placement = cutting.place_cutout(self, x, y, xsize, ysize, mode)  # type: ignore[arg-type]  # told there
        return _cutout_class().from_cut(self, cutting.cut(self, placement, fill))

    def get_ra_dec_cutout(
        self,
        ra: Any,
        dec: Any = None,
        xsize: int | None = None,
        ysize: int | None = None,
        mode: CutoutMode = "strict",
        fill_value: float = float("nan"),
    ) -> "Cutout":
        """Cut a box around a position on the sky, reading only the box.

        Parameters
        ----------
        ra, dec : float, Quantity or str
            Centre, ICRS; degrees where without unit. `ra` may be a SkyCoord, without `dec`.
        xsize, ysize, mode, fill_value
            As for :meth:`get_cutout`.

        Returns
        -------
        Cutout
            As for :meth:`get_cutout`.

        Raises
        ------
        NoOverlapError
            If the position does not project onto the image or the box does not touch it.
        PartialOverlapError, ShapeError
            As for :meth:`get_cutout`.
        UsageError
            If the declination lies beyond a pole, or positions are an array.
        """
        if xsize is None:
            msg = "get_ra_dec_cutout needs xsize, the size in pixels"
            raise UsageError(msg, name="xsize")
        is_plain = type(ra) is float and type(dec) is float
        ra_deg, dec_deg = (ra, dec) if is_plain else take_position(ra, dec)
        if abs(dec_deg) > 90.0:
            msg = f"dec={dec_deg}: expected a declination from -90 to 90 degrees"
            raise UsageError(msg, dec=dec_deg)
        x, y = self.get_wcs().world_to_pixel(ra_deg, dec_deg)
        if x != x:  # noqa: PLR0124  # NaN: it does not project
            from snapdb.errors import NoOverlapError

            msg = f"position ra={ra_deg}, dec={dec_deg} does not project onto {self.label}"
            raise NoOverlapError(msg, ra=ra_deg, dec=dec_deg)
        return self.get_cutout(float(x), float(y), xsize, ysize, mode, fill_value)

    # Files and registry

    def save(
        self,
        which: str = "all",
        path: PathLike | None = None,
        imagepath: PathLike | None = None,
        noisepath: PathLike | None = None,
        flagspath: PathLike | None = None,
        overwrite: bool = False,  # noqa: FBT001, FBT002  # the seed's signature
    ) -> tuple[Path, ...]:
        """Write planes to FITS files; each file appears whole or not at all.

        Parameters
        ----------
        which : str
            ``data``, ``noise``, ``flags`` or ``all``. One plane alone joins those that a
            file holds already (`overwrite` given).
        path, imagepath : path, optional
            Where; two names for one thing. By default the image's own path; with `overwrite` also
            over the file that it was read from. ``.gz`` or ``.bz2`` at the end compresses.
        noisepath, flagspath : path, optional
            Files of the noise and of the flags. Without them, these planes go into
            extensions of the image's file; saved to its own path, an image writes each plane to
            the file that it was read from or that was named when the image was made.
        overwrite : bool
            Whether files of those names are replaced. A file that is registered in an archive that
            is open, that a parent of this image is read from, or that holds more than what is
            written (other HDUs, a primary header of its own, a weight map), is never replaced.

        Returns
        -------
        tuple of Path
            The files written.

        Raises
        ------
        UsageError
            If there is no path, or no such plane.
        ObjectExistsError
            If a file exists and `overwrite` is False, or must not be replaced.
        """
        target = resolve_paths(full_filepath=imagepath, path=path).full or self.full_filepath
        return saving.save_image(self, which, target, noisepath, flagspath, overwrite=overwrite)

    save_data = save

    @classmethod
    def find_images(
        cls,
        provenance: "Provenance | UUID | str | None" = None,
        provenance_tag: str | None = None,
        process: str | None = None,
        dbclient: "Archive | None" = None,
        **criteria: Any,
    ) -> "ImageList[Self]":
        """Find images in an archive; see :meth:`Archive.find_images` for the criteria.

        Parameters
        ----------
        provenance, provenance_tag, process
            Which provenances are asked; all when none is given.
        dbclient : Archive, optional
            The archive; the one that the settings name by default.
        **criteria : object
            As for :meth:`Archive.find_images`.
        """
        archive = _archive(dbclient)
        asked = {"provenance": provenance, "provenance_tag": provenance_tag, "process": process}
        from snapdb.archive.listing import ImageList

        return ImageList(cls.from_record(r, archive) for r in archive.find_records(**asked, **criteria))

    @classmethod
    def get_image(cls, image_id: UUID | str, dbclient: "Archive | None" = None) -> Self:
        """Give the image of an id.

        Parameters
        ----------
        image_id : UUID or str
            The id.
        dbclient : Archive, optional
            The archive; the one that the settings name by default.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        archive = _archive(dbclient)
        return cls.from_record(archive.get_record(image_id), archive)

    def save_to_db(self, dbclient: "Archive | None" = None) -> "Image":
        """Register the image: its file must be complete and its `provenance_id` set.

        Parameters
        ----------
        dbclient : Archive, optional
            The archive; the image's own, else the one that the settings name.

        Returns
        -------
        Image
            As the registry has it now. Registering twice changes nothing.

        Raises
        ------
        UsageError
            If there is no file or no provenance.
        NotFoundError
            If the archive does not have the provenance.
        ConflictError
            If another image has the same id, or the same exposure, detector and band.
        """
        return self.bulk_save_to_db([self], dbclient or self._archive)[0]

    @classmethod
    def bulk_save_to_db(cls, images: "Iterable[Image]", dbclient: "Archive | None" = None) -> "list[Image]":
        """Register images, all or none; see :meth:`save_to_db`.

        Parameters
        ----------
        images : iterable of Image
            Each with file and provenance.
        dbclient : Archive, optional
            The archive; the one that the settings name by default.
        """
        return _archive(dbclient).register(images)

    # How it looks

    def __repr__(self) -> str:
        facts = [f"{self.width} x {self.height}"]
        facts += [f"{name} {value}" for name in ("band", "mjd") if (value := self.fact(name)) is not None]
        return f"<{type(self).__name__} {self.label}: {', '.join(facts)}>"


@cache
def _cutout_class() -> "type[Cutout]":
    """Give the class of cutouts, which is made of this one; an import takes microseconds each time."""
    from snapdb.archive.cutout import Cutout

    return Cutout


def _archive(given: Any) -> "Archive":
    """Give the archive that a call means."""
    from snapdb.archive.archive import Archive
    from snapdb.archive.connect import default_archive

    if given is None:
        return default_archive()
    if not isinstance(given, Archive):
        msg = f"dbclient is a {type(given).__name__}; expected an Archive from snapdb.connect()"
        raise UsageError(msg)
    return given
