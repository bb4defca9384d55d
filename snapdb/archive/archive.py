"""The archive: one registry and one store, and what a user does with them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, get_args
from urllib.parse import unquote
from uuid import UUID

from snapdb.archive.expand import expand_paths
from snapdb.archive.finding import Finding
from snapdb.archive.guard import note_closed, note_open, open_archives
from snapdb.archive.image import Image
from snapdb.archive.ingest import Ingest, IngestPlan, OnError, Placement, default_jobs
from snapdb.archive.light_curves.measuring import Measuring
from snapdb.archive.lineage import Lineage
from snapdb.archive.measurements import Measurements
from snapdb.archive.paths import ImagePaths, PathLike
from snapdb.archive.planes import FilePlanes
from snapdb.archive.registering import register_images
from snapdb.archive.report import IngestReport
from snapdb.errors import UsageError
from snapdb.model.outcome import Outcome
from snapdb.model.provenance import Provenance
from snapdb.model.url import is_url, to_url
from snapdb.storage import LocalStore
from snapdb.types import CutoutMode

if TYPE_CHECKING:
    from snapdb.archive.epochs.cutout_set import CutoutSet
    from snapdb.archive.epochs.plan import OnError as EpochError
    from snapdb.archive.moving.obscore import Publisher
    from snapdb.archive.verifying import CheckedFile
    from snapdb.formats.describe import Described
    from snapdb.formats.repack import Packing
    from snapdb.registry import Registry

INGEST_PROVENANCE = Provenance("ingest", 1, 0)
"""Of images whose ingest names none; its version stays, so that ingesting again finds them."""


class Archive(Finding, Lineage, Measurements, Measuring):
    """An image archive, from :func:`snapdb.connect`.

    Use it in a ``with`` block, or call :meth:`close`.

    Parameters
    ----------
    registry : Registry
        The database: what there is.
    store : LocalStore
        Where files live.
    """

    def __init__(self, registry: "Registry", store: LocalStore) -> None:
        self.registry = registry
        self.store = store
        self.closed = False
        note_open(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed " if self.closed else ""
        return f"<{state}Archive {self.url}>"

    @property
    def url(self) -> str:
        """URL of the registry, without password."""
        return self.registry.url

    def close(self) -> None:
        """Let go of the database; every later call raises RegistryClosedError."""
        self.registry.close()
        self.closed = True
        note_closed(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the archive again in another process; a process opens each archive once."""
        return _reopen, (self.registry.address, str(self.store.base))

    def cutouts(
        self,
        ra: Any,
        dec: Any = None,
        size: Any = None,
        ysize: Any = None,
        *,
        mode: CutoutMode = "partial",
        overlap: bool = False,
        planes: Sequence[str] = ("data", "noise", "flags"),
        fill_value: float = math.nan,
        threads: int | None = None,
        on_error: "EpochError" = "report",
        progress: Callable[[int, int], None] | None = None,
        **criteria: Any,
    ) -> "CutoutSet":
        """Cut a square about a position out of every image that has it.

        Parameters
        ----------
        ra, dec : float, str, Quantity or SkyCoord
            The position, ICRS; None as `dec` beside a SkyCoord.
        size, ysize : int, str or Quantity
            Edge along x, and along y where it differs: pixels, or an angle (``"10arcsec"``), which is
            as many pixels as each image's scale makes it.
        mode : str
            ``partial`` fills what lies outside, ``strict`` reports such images as missing, ``trim``
            gives the part that exists.
        overlap : bool
            Whether images count that the square touches without having the position.
        planes : sequence of str
            Which planes; those that an image does not have are left out.
        fill_value : float
            For data and noise outside an image.
        threads : int, optional
            To read with; decided by what there is to read by default.
        on_error : str
            ``report`` keeps what cannot be cut, with its reason, in the table; ``raise`` raises it.
        progress : callable, optional
            Told after each image how many are read, and of how many.
        **criteria : object
            Which images; see :meth:`find_images`. Kept cutouts are left out unless ``kind`` asks
            for them, so that no epoch counts twice.

        Returns
        -------
        CutoutSet
            The cutouts in the order of time, read when asked for; ``table``, ``stack()``, ``write()``.

        Raises
        ------
        UsageError, SearchError
            If a value cannot be.
        """
        from snapdb.archive.epochs.cutout_set import find_cutouts

        asked: dict[str, Any] = {
            "mode": mode,
            "overlap": overlap,
            "planes": planes,
            "fill_value": fill_value,
            "threads": threads,
            "on_error": on_error,
            "progress": progress,
        }
        return find_cutouts(self, ra, dec, size, ysize, criteria, **asked)

    # Taking in

    def ingest(
        self,
        paths: Iterable[PathLike] | PathLike,
        *,
        provenance: Provenance | UUID | str | None = None,
        instrument: str | None = None,
        jobs: int | None = None,
        placement: Placement = "in-place",
        on_error: OnError = "skip",
        update: bool = False,
        dry_run: bool = False,
        repack: "Packing | None" = None,
        progress: Callable[[Outcome], None] | None = None,
    ) -> IngestReport:
        """Register the images in files; doing it twice changes nothing.

        Parameters
        ----------
        paths : path, or several
            Files, folders, globs, and addresses of remote files (``https://``, ``s3://``), which stay
            where they are: only their headers are read.
        provenance : Provenance, UUID or str, optional
            Of the images; a Provenance is registered too, an id must be. ``ingest 1.0`` by default.
        instrument : str, optional
            Header map to read with; found from each header by default.
        jobs : int, optional
            Processes that read headers; one a core by default.
        placement : str
            ``in-place`` leaves files where they are, ``copy`` and ``link`` bring them
            into the store.
        on_error : str
            ``skip`` refuses a bad file and goes on, ``stop`` ends at the first.
        update : bool
            Whether files that have changed since they were registered are read again.
        dry_run : bool
            Whether to look at the files only.
        repack : str, optional
            ``fits`` or ``rice``: a file in gzip or bzip2 is copied into the store, as plain FITS or in
            tiles without loss, and the copy is registered; the original is not touched.
        progress : callable, optional
            Told each file's outcome as it comes.

        Returns
        -------
        IngestReport
            How every file ended: registered, unchanged, updated, or refused with a reason.

        Raises
        ------
        UsageError
            If `placement`, `on_error` or `jobs` cannot be.
        NotFoundError
            If no provenance has the id.
        ConfigError
            If there is no header map of that name.
        """
        _check_choice("placement", placement, get_args(Placement))
        _check_choice("on_error", on_error, get_args(OnError))
        if repack is not None:
            _check_choice("repack", repack, ("fits", "rice"))
        if jobs is not None and jobs < 1:
            msg = f"jobs={jobs}: expected at least 1"
            raise UsageError(msg, jobs=jobs)
        if instrument is not None:
            from snapdb.formats.maps import get_map, load_maps

            get_map(instrument, load_maps())
        made_by = self._as_provenance(provenance)
        if not dry_run:
            self.registry.add_provenance(made_by)
        plan = IngestPlan(
            provenance_id=made_by.id,
            instrument=instrument,
            jobs=default_jobs() if jobs is None else jobs,
            placement=placement,
            on_error=on_error,
            update=update,
            dry_run=dry_run,
            repack=repack,
        )
        return Ingest(self.registry, self.store, plan, IngestReport(progress)).run(expand_paths(paths))

    def _as_provenance(self, value: Provenance | UUID | str | None) -> Provenance:
        """Give the provenance that a caller means."""
        if value is None:
            return INGEST_PROVENANCE
        return value if isinstance(value, Provenance) else self.get_provenance(value)

    def export(
        self,
        path: PathLike,
        format: str | None = None,  # noqa: A002  # what it is
        *,
        overwrite: bool = False,
        publisher: "Publisher | None" = None,
        **criteria: Any,
    ) -> int:
        """Write the images that a search finds as ObsCore 1.1; see :mod:`snapdb.archive.moving.exporting`."""
        from snapdb.archive.moving.exporting import export

        return export(self, path, format, overwrite=overwrite, publisher=publisher, **criteria)

    def explain(self, path: PathLike, *, instrument: str | None = None) -> "list[Described]":
        """Tell what ingesting a file would register, and where each value came from.

        Parameters
        ----------
        path : path
            One file, or the address of a remote one.
        instrument : str, optional
            Header map to read with; found from the header by default.

        Returns
        -------
        list of Described
            One an image, with its facts, planes, findings and warnings.
        """
        from snapdb.archive.reading import describe_at
        from snapdb.formats.describe import describe, find_companions

        url = to_url(str(path))
        if url is not None:
            return describe_at(url, instrument=instrument)
        return describe(Path(path), companions=find_companions(Path(path)), instrument=instrument)

    def verify(self, *, checksums: bool = False, jobs: int | None = None) -> "Iterator[CheckedFile]":
        """Compare the registered files with what is known of them.

        Parameters
        ----------
        checksums : bool
            Whether all bytes of local files are read, and their SHA-256 compared; sizes and times alone
            by default. Remote files are asked for one byte.
        jobs : int, optional
            Files that are looked at at a time; 8 by default.

        Yields
        ------
        CheckedFile
            One a file, sound or not; ``fault`` says what is wrong with it: ``missing``, ``unreadable``,
            ``changed`` or ``damaged``.

        Raises
        ------
        UsageError
            If `jobs` is less than 1.
        """
        from snapdb.archive.verifying import check_files

        number = 8 if jobs is None else jobs
        if number < 1:
            msg = f"jobs={jobs}: expected at least 1"
            raise UsageError(msg, jobs=jobs)
        return check_files(self.registry, self.store, checksums=checksums, jobs=number)

    def save(
        self,
        cutout: Image,
        provenance: Provenance | UUID | str | None = None,
        path: PathLike | None = None,
        *,
        tag: str | None = None,
    ) -> Image:
        """Keep a cutout as a registered product; see :func:`snapdb.archive.keeping.save_cutout`."""
        from snapdb.archive.keeping import save_cutout

        return save_cutout(self, cutout, provenance, path=path, tag=tag)

    def register(self, images: Iterable[Image]) -> list[Image]:
        """Register images that have a file and a provenance, all or none; see :meth:`Image.save_to_db`."""
        ids = register_images(self.registry, self.store, list(images))
        return [self.get_image(i) for i in ids]

    # What images ask

    def planes_of(self, image_id: UUID) -> FilePlanes:
        """Give the planes of a registered image."""
        return FilePlanes(self.registry.get_planes([image_id])[image_id], self.store)

    def paths_of(self, key: str) -> ImagePaths:
        """Give the path of a file's key, its base the store if it lies there; none for a remote one."""
        if is_url(key):
            return ImagePaths()
        full = self.store.path_of(key)
        return ImagePaths(full=full, base=self.store.base if not key.startswith("/") else None)

    def guards(self, path: Path) -> str | None:
        """Say why a file must stay as it is: it is registered here, or part of the archive itself."""
        keys = [self.store.key_of(path), self.store.key_of(path.resolve())]
        if self.registry.find_files(keys):
            return f"is registered in {self.url}"
        database = Path(unquote(self.url.removeprefix("sqlite:///"))).resolve()
        target = path.resolve()
        if target.parent == database.parent and target.name.startswith(database.name):
            return f"belongs to the registry {self.url}"
        return None


def _reopen(address: str, base: str) -> Archive:
    """Give an archive that another process had open: this process opens each once."""
    from snapdb.registry import Registry

    for archive in open_archives():
        if (archive.registry.address, str(archive.store.base)) == (address, base):
            return archive
    return Archive(Registry.open(address), LocalStore(Path(base)))


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not one of a few."""
    if value not in choices:
        msg = f"{name}={value!r} is unknown; expected one of {', '.join(choices)}"
        raise UsageError(msg, name=name)
