"""Images of a snappl database: rows of its table ``l2image``, and the files that they name.

Ids and provenances stay. Where the pixels lie, and where they lie on the sky, is read from
the files: the corners in the table are of single precision (0.055 arcsec), and snappl's
position angle is another. What else the table knows of an image wins over the file's header.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from snapdb.archive.ingest import name_format
from snapdb.archive.moving.joining import CORNERS, FACTS, join, read_facts
from snapdb.archive.moving.lineages import LineageDump, import_lineage, open_lineage
from snapdb.archive.moving.tables import (
    Dump,
    DumpedRow,
    open_dump,
    read_list,
    read_number,
    read_object,
    read_uuid,
    read_whole,
)
from snapdb.archive.paths import PathLike
from snapdb.archive.reading import GroupReading, ReadingTask, read_groups
from snapdb.archive.report import IngestReport
from snapdb.errors import (
    ChangedFileError,
    ConflictError,
    NotFoundError,
    ObjectMissingError,
    SnapdbError,
    StorageError,
    UsageError,
)
from snapdb.model.file import FileRecord
from snapdb.model.image import NewImage
from snapdb.model.outcome import Outcome, OutcomeKind
from snapdb.model.search import make_search
from snapdb.storage import LocalStore, fingerprint

if TYPE_CHECKING:
    from snapdb.archive.archive import Archive
    from snapdb.formats.describe import Described, FileGroup
    from snapdb.registry import AddedImage, Registry

_KEPT: Mapping[str, Callable[[str], Any]] = {
    "format": read_whole,
    "extension": lambda text: list(read_list(text)),
    "position_angle": read_number,
}
"""What is kept in the property ``snappl``, so that nothing is lost."""
_NEEDED = ("id", "provenance_id", "filepath")
_COLUMNS = (*_NEEDED, *FACTS, "ra", "dec", *CORNERS, "width", "height", "properties", *_KEPT)

_BATCH = 200
"""Rows read and registered at once."""


@dataclass(slots=True, kw_only=True)
class _Entry:
    """One row on its way into the registry."""

    row: DumpedRow
    id: UUID
    provenance_id: UUID
    facts: dict[str, Any]
    properties: dict[str, Any]
    path: Path
    described: "Described | None" = None
    reading: GroupReading | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """What the report calls it."""
        return f"{self.row.place}: {self.row.values.get('filepath', '')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapplDump:
    """The tables of a snappl database, in files."""

    images: Dump
    lineage: LineageDump
    base: Path
    """What the file names of the table are relative to."""

    @property
    def unknown_columns(self) -> dict[str, tuple[str, ...]]:
        """File -> its columns that nothing is known of; they are left out."""
        return {d.path.name: d.unknown for d in (*self.lineage.dumps, self.images) if d.unknown}


def open_snappl(
    images: PathLike,
    base: PathLike,
    *,
    provenances: PathLike | None = None,
    upstreams: PathLike | None = None,
    tags: PathLike | None = None,
) -> SnapplDump:
    """Look at the tables of a snappl database.

    Parameters
    ----------
    images : path
        CSV of the table ``l2image``; ``id``, ``provenance_id`` and ``filepath`` must be there.
    base : path
        Folder that the file names are relative to.
    provenances, upstreams, tags : path, optional
        CSV of ``provenance``, ``provenance_upstream`` and ``provenance_tag``.

    Raises
    ------
    ObjectMissingError
        If a file or the folder is missing.
    UnknownFormatError
        If one is no such table.
    """
    folder = Path(os.path.abspath(Path(base).expanduser()))  # noqa: PTH100  # resolve() follows links
    if not folder.is_dir():
        msg = f"{folder} is no folder; expected the one that the table's file names are relative to"
        raise ObjectMissingError(msg, path=str(folder))
    return SnapplDump(
        images=open_dump(images, needed=_NEEDED, known=_COLUMNS),
        lineage=open_lineage(provenances, upstreams, tags),
        base=folder,
    )


def import_snappl(
    archive: "Archive",
    dump: SnapplDump,
    *,
    jobs: int = 1,
    dry_run: bool = False,
    progress: Callable[[Outcome], None] | None = None,
) -> IngestReport:
    """Register what a snappl database holds; doing it twice changes nothing.

    Parameters
    ----------
    archive : Archive
        Where.
    dump : SnapplDump
        From :func:`open_snappl`.
    jobs : int
        Processes that read headers.
    dry_run : bool
        Whether to look at rows and files only.
    progress : callable, optional
        Told how each row ended.

    Returns
    -------
    IngestReport
        An outcome for every row, named by file and line: registered, unchanged, or refused with
        a reason. A row of upstreams ends with its provenance, and is told of itself only when
        it is refused. Each batch of images is one transaction.

    Raises
    ------
    UnknownFormatError
        If a table turns out to be no CSV; what came before is registered.
    """
    report = IngestReport(progress)
    import_lineage(archive.registry, dump.lineage, report.add, dry_run=dry_run)
    rows = iter(dump.images)
    importer = _ImageImport(archive.registry, archive.store, dump, report, jobs=jobs, dry_run=dry_run)
    while some := list(islice(rows, _BATCH)):
        importer.take(some)
    return report


class _ImageImport:
    """The images of one dump, batch by batch."""

    def __init__(
        self,
        registry: "Registry",
        store: LocalStore,
        dump: SnapplDump,
        report: IngestReport,
        *,
        jobs: int,
        dry_run: bool,
    ) -> None:
        self.registry = registry
        self.store = store
        self.dump = dump
        self.report = report
        self.jobs = jobs
        self.dry_run = dry_run

    def take(self, rows: Sequence[DumpedRow]) -> None:
        """Register some rows, and say how each ended."""
        entries = [entry for row in rows if (entry := self._read(row)) is not None]
        news = self._leave_known(entries)
        for entry, reading in self._read_files(news):
            try:
                self._describe(entry, reading)
            except SnapdbError as err:
                self._refuse(entry.place, err)
        self._register([e for e in news if e.described is not None])

    def _read(self, row: DumpedRow) -> _Entry | None:
        """Read a row, and find its file; None where it is refused."""
        try:
            provenance_id = row.need("provenance_id", read_uuid)
            self._check_provenance(provenance_id)
            properties = row.get("properties", read_object) or {}
            kept = {n: v for n, read in _KEPT.items() if (v := row.get(n, read)) is not None}
            return _Entry(
                row=row,
                id=row.need("id", read_uuid),
                provenance_id=provenance_id,
                facts=read_facts(row),
                properties={**properties, "snappl": kept} if kept else properties,
                path=self._find_file(row.need("filepath", str), kept.get("extension", ())),
            )
        except SnapdbError as err:
            self._refuse(f"{row.place}: {row.values.get('filepath', '')}", err)
            return None

    def _check_provenance(self, provenance_id: UUID) -> None:
        """Refuse an image whose provenance is not there."""
        if provenance_id in self.dump.lineage.known:
            return
        why = "was refused" if provenance_id in self.dump.lineage.refused else "is not registered"
        msg = f"its provenance {provenance_id} {why}; import the table of provenances with it"
        raise NotFoundError(msg, provenance_id=provenance_id)

    def _find_file(self, name: str, extensions: Sequence[str]) -> Path:
        """Find the file of a row; its name may be a stem with endings of its own."""
        path = self.dump.base / name
        tried = (path, *(path.with_name(path.name + e) for e in (*extensions, "_image.fits")))
        for one in tried:
            if one.is_file():
                return one
        msg = f"{path} does not exist; see that the folder is the one that file names are relative to"
        raise ObjectMissingError(msg, path=str(path))

    # What the registry knows

    def _leave_known(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """Give the rows that are news; say of the others how they ended."""
        keys = {e.id: self.store.key_of(e.path) for e in entries}
        files = self.registry.find_files(list(set(keys.values())))
        ids = list(keys)
        there = {r.id: r for r in self.registry.find_images(make_search(id=ids))} if ids else {}
        news = []
        for entry in entries:
            record = there.get(entry.id)
            if record is None:
                news.append(entry)
                continue
            try:
                if record.filepath != keys[entry.id]:
                    msg = f"image {entry.id} is registered with the file {record.filepath}, not {entry.path}"
                    raise ConflictError(msg, image_id=entry.id)
                self._check_unchanged(entry.path, files[record.filepath][0])
                self._end(entry, OutcomeKind.UNCHANGED)
            except SnapdbError as err:
                self._refuse(entry.place, err)
        return news

    def _check_unchanged(self, path: Path, known: FileRecord) -> None:
        """Refuse a file that is not the one that was registered."""
        found = self.store.stat(known.key)
        if (found.size, found.mtime_ns) == (known.size, known.mtime_ns):
            return
        if fingerprint(path).sha256 != known.sha256:
            msg = f"{path} differs from what was registered; index it again with `snapdb ingest --update`"
            raise ChangedFileError(msg, path=str(path))

    # What the files hold

    def _read_files(self, entries: Sequence[_Entry]) -> Iterator[tuple[_Entry, GroupReading]]:
        """Read each file once, and pair it with its rows."""
        by_path: dict[Path, list[_Entry]] = {}
        for entry in entries:
            by_path.setdefault(entry.path, []).append(entry)
        tasks = [ReadingTask(group=_group_of(path)) for path in by_path]
        for reading, some in zip(read_groups(tasks, self.jobs), by_path.values(), strict=True):
            yield from ((entry, reading) for entry in some)

    def _describe(self, entry: _Entry, reading: GroupReading) -> None:
        """Join what the file says with what the row says."""
        if reading.error is not None:
            raise reading.error
        entry.reading = reading
        entry.described = join(entry.row, entry.facts, entry.properties, reading.images)
        entry.warnings = list(entry.described.warnings)

    # What goes into the registry

    def _register(self, entries: Sequence[_Entry]) -> None:
        """Register rows in one transaction, or, when that is refused, one by one."""
        if not entries:
            return
        if self.dry_run:
            for entry in entries:
                self._end(entry, OutcomeKind.REGISTERED)
            return
        files = {path: record for e in entries for path, record in self._file_records(e)}
        try:
            added = self.registry.add_images([_new_image(e) for e in entries], files)
        except (UsageError, ConflictError, NotFoundError, StorageError) as err:
            if len(entries) == 1:
                self._refuse(entries[0].place, err)
                return
            for entry in entries:
                self._register([entry])
            return
        for entry, result in zip(entries, added, strict=True):
            self._note(entry, result)

    def _note(self, entry: _Entry, result: "AddedImage") -> None:
        """Say how a row that went in ended."""
        if result.twin:
            entry.warnings.append(f"the same exposure, detector and band as {result.twin}")
        self._end(entry, OutcomeKind(str(result.outcome)))

    def _file_records(self, entry: _Entry) -> Iterable[tuple[str, FileRecord]]:
        """Give the rows of the files that an image lies in."""
        assert entry.described is not None and entry.reading is not None  # noqa: S101, PT018  # _describe filled them
        for path in {plane.path for plane in entry.described.planes}:
            found = entry.reading.fingerprints[path]
            yield (
                path,
                FileRecord(
                    key=self.store.key_of(path),
                    size=found.size,
                    mtime_ns=found.mtime_ns,
                    sha256=found.sha256,
                    format=name_format(path),
                ),
            )

    # How rows end

    def _end(self, entry: _Entry, kind: OutcomeKind) -> None:
        """Note how a row ended."""
        ids = () if self.dry_run and kind is OutcomeKind.REGISTERED else (entry.id,)
        warnings = tuple(dict.fromkeys(entry.warnings))
        self.report.add(Outcome(path=entry.place, outcome=kind, image_ids=ids, warnings=warnings))

    def _refuse(self, place: str, error: SnapdbError) -> None:
        """Note why a row was refused."""
        refused = Outcome(path=place, outcome=OutcomeKind.REFUSED, code=error.code, reason=str(error))
        self.report.add(refused)


def _group_of(path: Path) -> "FileGroup":
    """Give a file with its companions."""
    from snapdb.formats.describe import FileGroup, find_companions

    return FileGroup(primary=path, companions=find_companions(path))


def _new_image(entry: _Entry) -> NewImage:
    """Give what shall be registered."""
    assert entry.described is not None  # noqa: S101  # _describe filled it
    return NewImage(
        facts=entry.described.facts,
        footprint=entry.described.footprint,
        planes=entry.described.planes,
        provenance_id=entry.provenance_id,
        id=entry.id,
    )
