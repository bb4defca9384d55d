"""Which images there are: the searches of an archive."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from snapdb.archive.image import Image
from snapdb.archive.lineage import as_provenance_id, read_uuid
from snapdb.archive.listing import ImageList
from snapdb.archive.originals import find_nearest_originals, find_originals
from snapdb.archive.values import as_uuid
from snapdb.errors import NotFoundError, SearchError, UsageError
from snapdb.model.image import ImageRecord
from snapdb.model.provenance import Provenance
from snapdb.model.search import Search, make_search

if TYPE_CHECKING:
    from astropy.table import Table
    from mocpy import MOC  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional

    from snapdb.archive.archive import Archive
    from snapdb.archive.coverage.depth import DepthMap, Quantity
    from snapdb.archive.match import MatchResult, OnBadRow
    from snapdb.registry import Registry


class Finding:
    """Searches by position, region, time, band, file, properties and provenance."""

    registry: "Registry"

    def find_images(
        self,
        *,
        provenance: "Provenance | UUID | str | Iterable[Provenance | UUID | str] | None" = None,
        provenance_tag: str | None = None,
        process: str | None = None,
        **criteria: Any,
    ) -> ImageList[Image]:
        """Find images; none of their files is opened.

        Parameters
        ----------
        provenance : Provenance, UUID, str, or several of them, optional
            Only images with one of these provenances; text is an id, the first 4 or more digits
            of one, or ``TAG:PROCESS``. All are asked when neither this nor a tag is given.
        provenance_tag, process : str, optional
            Only images with the provenance that carries this tag: of one process when
            `process` is given, else of every process that has the tag. `process` alone
            takes all provenances of that process.
        **criteria : object
            What the images shall be; None means "not asked".

            - ``ra`` with ``dec``: the footprint contains this position. ICRS; degrees,
              sexagesimal text or Quantity; a SkyCoord as ``ra`` alone. With ``radius``
              (degrees or Quantity): the footprint touches the circle about it.
            - ``region``: ``"CIRCLE ra dec radius"``, ``"BOX ra dec width height"``,
              ``"POLYGON ra dec ra dec ..."``, ``"RANGE ra1 ra2 dec1 dec2"`` (along parallels),
              all in degrees, a Region of :mod:`snapdb.sky.region`, or a Footprint; and
              ``relation``: what the footprint does to the region. ``overlaps`` (by
              default): they share a point; ``covers``: it has all of the region, edges
              count; ``contains``: the same, and the region stays off its edges;
              ``within``: it lies in the region.
            - ``id``, ``observation_id``, ``sca``, ``band``, ``filepath``, ``kind``,
              ``instrument``, ``data_units`` and the other columns: equal to a value, or to
              one of a list (``band=["r", "i"]``).
            - ``<column>_min``, ``<column>_max``, both inclusive, for ``mjd`` (a number, an
              ISO date or a Time), ``exptime``, ``ra``, ``dec`` (of the centre; an ``ra_min``
              above ``ra_max`` goes through 0), the corners, ``width``, ``height``,
              ``position_angle``, ``zeropoint``, ``sky_level``, ``pixel_scale``.
            - ``properties``: name -> value, list of values, or ``{"min": ..., "max": ...}``;
              ``"weather.seeing"`` reaches into objects, None stands for missing.
            - ``filepath_glob``: a pattern such as ``"night1/*.fits"``; ``sha256`` of the file.
            - ``order_by``: a column or several, ``"-mjd"`` for the last first.
            - ``limit``, ``offset``; ``after``, an image or its id: those that come after it
              in the same order, which is how to page through many without counting past them.

        Returns
        -------
        list of Image
            In the order asked for.

        Raises
        ------
        SearchError
            If a name is unknown, or a value cannot be.
        NotFoundError
            If a tag does not exist.
        """
        search = self._search(provenance, provenance_tag, process, criteria)
        return self._list(self.registry.find_images(search))

    def find_records(self, **criteria: Any) -> list[ImageRecord]:
        """Find images as plain rows; see :meth:`find_images`."""
        return self.registry.find_images(self.make_search(**criteria))

    def iter_records(self, **criteria: Any) -> Iterator[ImageRecord]:
        """Find images as plain rows, one by one, in bounded memory; see :meth:`find_images`."""
        return self.registry.iter_images(self.make_search(**criteria))

    def iter_images(self, **criteria: Any) -> Iterator[Image]:
        """Find images one by one, in bounded memory; see :meth:`find_images`."""
        return (Image.from_record(record, self._archive) for record in self.iter_records(**criteria))

    def find_table(self, **criteria: Any) -> "Table":
        """Find images as an astropy table with units, a row each; see :meth:`find_images`."""
        from snapdb.archive.listing import to_table

        return to_table(self.iter_records(**criteria))

    def find_nearest_in_time(self, time: Any, *, limit: int = 1, **criteria: Any) -> ImageList[Image]:
        """Find the images that were begun nearest to a time.

        Parameters
        ----------
        time : float, str, Time or datetime
            MJD or date, UTC.
        limit : int
            How many.
        **criteria : object
            Which images; see :meth:`find_images`. Images without ``mjd`` are not found; kept cutouts
            are left out unless ``kind`` asks for them.

        Returns
        -------
        list of Image
            The nearest first; of two as near, the earlier.

        Raises
        ------
        SearchError
            If a criterion cannot be, or sets an order of its own.
        """
        for name in ("order_by", "offset", "after"):
            if criteria.get(name) is not None:
                msg = f"{name} was given; the nearest in time come in the order of their distance"
                raise SearchError(msg, parameter=name)
        search = self.make_search(**criteria, limit=limit)
        return self._list(
            find_nearest_originals(self._archive, search, make_search(mjd=time).equals["mjd"][0])
        )

    def find_epochs(self, ra: Any, dec: Any = None, **criteria: Any) -> dict[str | None, ImageList[Image]]:
        """Find every image that contains a position, by band.

        Parameters
        ----------
        ra, dec : float, str, Quantity or SkyCoord
            The position, ICRS.
        **criteria : object
            Which images; see :meth:`find_images`. Kept cutouts are left out unless ``kind`` asks
            for them: they would count an epoch twice.

        Returns
        -------
        dict
            Band -> its images, the first begun first, those of unknown time last. Bands are
            sorted; None, for images of unknown band, is the last.

        Raises
        ------
        SearchError
            If a criterion cannot be.
        """
        epochs: dict[str | None, ImageList[Image]] = {}
        asked = {"order_by": "mjd", **criteria, "ra": ra, "dec": dec}
        for image in self._list(find_originals(lambda rest: self.find_records(**rest), asked)):
            epochs.setdefault(image.band, ImageList()).append(image)
        return {band: epochs[band] for band in sorted(epochs, key=lambda name: (name is None, name or ""))}

    def count_images(self, **criteria: Any) -> int:
        """Count the images that :meth:`find_images` would give."""
        return self.registry.count_images(self.make_search(**criteria))

    def get_image(self, image_id: UUID | str) -> Image:
        """Give the image of an id.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        return Image.from_record(self.get_record(image_id), self._archive)

    def get_record(self, image_id: UUID | str) -> ImageRecord:
        """Give the row of an image; see :meth:`get_image`."""
        found = as_uuid(image_id, "image_id")
        if found is None:
            msg = "image_id is None; expected a UUID"
            raise UsageError(msg)
        return self.registry.get_image(found)

    def make_search(self, **criteria: Any) -> Search:
        """Check criteria as :meth:`find_images` takes them."""
        names = ("provenance", "provenance_tag", "process")
        given = {name: criteria.pop(name, None) for name in names}
        return self._search(given["provenance"], given["provenance_tag"], given["process"], criteria)

    def _search(
        self, provenance: Any, tag: str | None, process: str | None, criteria: dict[str, Any]
    ) -> Search:
        """Check criteria, and find the provenances that are meant."""
        ids = self._provenance_ids(provenance, tag, process)
        after = criteria.get("after")
        if isinstance(after, Image | ImageRecord):
            criteria = {**criteria, "after": after.id}
        return make_search(provenance_ids=ids, **criteria)

    @property
    def _archive(self) -> "Archive":
        """The archive whose searches these are."""
        return cast("Archive", self)

    def _list(self, records: Iterable[ImageRecord]) -> ImageList[Image]:
        """Make images of rows."""
        return ImageList(Image.from_record(record, self._archive) for record in records)

    def _provenance_ids(
        self, provenance: Any, tag: str | None, process: str | None
    ) -> tuple[UUID, ...] | None:
        """Give the ids of the provenances that a search names; None for all."""
        if provenance is not None:
            if tag is not None:
                msg = "provenance and provenance_tag were both given; give one of them"
                raise SearchError(msg)
            several = provenance if isinstance(provenance, list | tuple | set | frozenset) else [provenance]
            return tuple(self._provenance_id(p) for p in several)
        if tag is not None:
            tagged = [self.registry.get_tagged(tag, process)] if process else self.registry.find_tagged(tag)
            if not tagged:
                known = ", ".join(f"{t} ({p})" for t, p in self.registry.find_tags()[:20]) or "none"
                msg = f"no provenance carries the tag {tag!r}; there are: {known}"
                raise NotFoundError(msg, tag=tag)
            return tuple(p.id for p in tagged)
        if process is not None:
            return tuple(p.id for p in self.registry.find_provenances(process=process))
        return None

    def _provenance_id(self, given: Any) -> UUID:
        """Give the id of a provenance, of which text may be the first digits, or TAG:PROCESS."""
        if isinstance(given, str) and read_uuid(given) is None:
            return self._archive.find_provenance(given).id
        return as_provenance_id(given)

    def match(
        self, table: Any, *, ra: str = "ra", dec: str = "dec", on_error: "OnBadRow" = "raise", **criteria: Any
    ) -> "MatchResult":
        """Find which positions of a table lie in which images; see :func:`snapdb.archive.match.match`."""
        from snapdb.archive.match import match

        return match(self._archive, table, ra=ra, dec=dec, on_error=on_error, **criteria)

    def compute_moc(self, *, max_order: int = 12, **criteria: Any) -> "MOC":
        """Unite the footprints of images; see :func:`snapdb.archive.coverage.moc.compute_moc`."""
        from snapdb.archive.coverage.moc import compute_moc

        return compute_moc(self._archive, max_order=max_order, **criteria)

    def compute_depth(
        self, *, order: int | None = None, quantity: "Quantity" = "epochs", **criteria: Any
    ) -> "DepthMap":
        """Count epochs by cell and band; see :func:`snapdb.archive.coverage.counting.compute_depth`."""
        from snapdb.archive.coverage.counting import compute_depth

        return compute_depth(self._archive, order=order, quantity=quantity, **criteria)
