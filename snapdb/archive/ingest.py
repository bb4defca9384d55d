"""Ingest: from paths to registered images, file by file, nothing lost and nothing guessed.

1. The paths become a list of files; companions (noise, flags) join their image's file.
2. Files that the registry knows unchanged are done.
3. The others are read, in several processes.
4. What they hold is registered in batches; when a batch is refused, its groups go in
   one by one, so that the refusal names the file that caused it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from snapdb.archive.expand import Location, find_fault, show_location
from snapdb.archive.gzip_indexes import index_gzip_files
from snapdb.archive.known import Elsewhere, KnownFile, look_up_files
from snapdb.archive.placing import key_of, look_at_remote, make_remote_record, name_format
from snapdb.archive.reading import (
    GroupReading,
    ReadingTask,
    describe_error,
    read_groups,
    read_remote_groups,
)
from snapdb.archive.repack import FOLDER, is_wrapped, repack_reading
from snapdb.archive.report import IngestReport
from snapdb.errors import (
    ChangedFileError,
    ConflictError,
    SnapdbError,
    StorageError,
    UsageError,
)
from snapdb.model.file import FileRecord, FileState
from snapdb.model.image import NewImage
from snapdb.model.outcome import Outcome, OutcomeKind
from snapdb.model.url import Url, is_url
from snapdb.storage import FileFingerprint, LocalStore, fingerprint

if TYPE_CHECKING:
    from snapdb.formats.describe import FileGroup
    from snapdb.formats.remote_scan import RemoteGroup
    from snapdb.formats.repack import Packing
    from snapdb.registry import AddedImage, Registry

    Group = FileGroup | RemoteGroup

Placement = Literal["in-place", "copy", "link"]
OnError = Literal["skip", "stop"]

_BATCH = 100
"""Groups registered in one transaction."""

_LOOKUP = 2000
"""Groups looked up in the registry at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestPlan:
    """How files shall be registered."""

    provenance_id: UUID
    instrument: str | None = None
    jobs: int = 1
    placement: Placement = "in-place"
    on_error: OnError = "skip"
    update: bool = False
    dry_run: bool = False
    repack: "Packing | None" = None


class Ingest:
    """One run of an ingest.

    Parameters
    ----------
    registry : Registry
        Where images are registered.
    store : LocalStore
        Where copies go, and what keys are relative to.
    plan : IngestPlan
        How.
    report : IngestReport
        Told how each file ended.
    """

    def __init__(
        self, registry: "Registry", store: LocalStore, plan: IngestPlan, report: IngestReport
    ) -> None:
        self.registry = registry
        self.store = store
        self.plan = plan
        self.report = report
        self._fresh: dict[Location, set[Location]] = {}
        """Registered primary -> its files that changed or are not registered."""
        self._elsewhere: dict[Location, set[Elsewhere]] = {}
        """Primary -> images of other provenances in its changed files."""
        self._looked_at: dict[Url, FileFingerprint | StorageError] = {}
        """What registered remote files are now, or why that cannot be told."""

    def run(self, files: Sequence[Location]) -> IngestReport:
        """Look at every file.

        Parameters
        ----------
        files : sequence of Path or Url
            Absolute paths and addresses, each once.

        Returns
        -------
        IngestReport
            With an outcome for each file.
        """
        batch: list[GroupReading] = []
        try:
            for reading in self._readings([f for f in files if self._exists(f)]):
                if reading.error is not None:
                    self._refuse(reading.group, reading.error)
                else:
                    batch.append(reading)
                if len(batch) >= _BATCH:
                    self._register(batch)
                    batch = []
                if self._stop:
                    break
        finally:  # what was read is kept, also when the user interrupts
            if batch:
                self._register(batch)
        return self.report

    def _readings(self, files: Sequence[Location]) -> "Iterator[GroupReading]":
        """Read what the registry does not know: local files first, then remote ones."""
        from snapdb.formats.describe import FileGroup, group_files
        from snapdb.formats.remote_scan import RemoteGroup, group_remote

        groups: list[Group] = [*group_files(f for f in files if isinstance(f, Path))]
        groups += group_remote(f for f in files if isinstance(f, Url))
        news = self._find_news(groups)
        local = [g for g in news if isinstance(g, FileGroup)]
        tasks = [ReadingTask(group=g, instrument=self.plan.instrument) for g in local]
        yield from read_groups(tasks, self.plan.jobs)
        remote = [g for g in news if isinstance(g, RemoteGroup)]
        if remote:
            yield from read_remote_groups(remote, self.plan.instrument)

    @property
    def _stop(self) -> bool:
        """Whether a refusal ends the run."""
        if self.plan.on_error == "stop" and self.report.refused:
            self.report.stopped = True
        return self.report.stopped

    def _exists(self, file: Location) -> bool:
        """Refuse a name that no file has, or no row can hold; remote files are looked at later, together."""
        error = find_fault(file)
        if error is not None:
            self._end((file,), OutcomeKind.REFUSED, error=error)
            return False
        return self._stays(file) if isinstance(file, Url) else True

    def _stays(self, url: Url) -> bool:
        """Refuse to bring a remote file into the store."""
        if self.plan.placement == "in-place":
            return True
        msg = f"{url}: remote files are registered where they are; leave out --{self.plan.placement}"
        self._end((url,), OutcomeKind.REFUSED, error=UsageError(msg, url=str(url)))
        return False

    # What the registry knows

    def _find_news(self, groups: "Sequence[Group]") -> "list[Group]":
        """Give the groups that must be read; say of the others how they ended."""
        news: list[Group] = []
        for start in range(0, len(groups), _LOOKUP):
            some = groups[start : start + _LOOKUP]
            known = self._look_up(some)
            self._looked_at |= look_at_remote(known)
            news += [g for g in some if not self._stop and self._is_news(g, known)]
        return news

    def _look_up(self, groups: "Sequence[Group]") -> dict[str, KnownFile]:
        """Give what the registry knows of the files of groups."""
        keys = [key_of(self.store, p) for g in groups for p in (g.primary, *g.companions)]
        return look_up_files(self.registry, keys, self.plan.provenance_id)

    def _is_news(self, group: "Group", known: dict[str, KnownFile]) -> bool:
        """Tell whether a group must be read; if not, say how it ended."""
        paths: tuple[Location, ...] = (group.primary, *group.companions)
        keys = [key_of(self.store, p) for p in paths]
        there = {path: known[key] for path, key in zip(paths, keys, strict=True) if key in known}
        ours = known[keys[0]].ours if keys[0] in known else ()
        repacked = self.plan.repack is not None and any(is_wrapped(Path(str(p))) for p in paths)
        if repacked or not (ours or (there and self.plan.update)):
            return True
        try:
            changed = [path for path, file in there.items() if self._has_changed(path, file.record)]
        except StorageError as err:
            self._refuse(group, err)
            return False
        if changed and not self.plan.update:
            names = ", ".join(map(str, changed))
            msg = f"{names} differs from what was registered; index it again with --update (update=True)"
            self._refuse(group, ChangedFileError(msg, path=str(changed[0])))
            return False
        fresh = {*changed, *(path for path in paths if path not in there)}
        if fresh and (ours or changed):
            self._fresh[group.primary] = fresh
            self._elsewhere[group.primary] = {one for path in changed for one in there[path].elsewhere}
        if fresh or not ours:
            return True
        self._end(paths, OutcomeKind.UNCHANGED, ids=ours)
        return False

    def _has_changed(self, path: Location, known: FileRecord) -> bool:
        """Compare a file with its row; one that was only touched gets its new time."""
        if isinstance(path, Url):
            looked = self._looked_at[path]
            if isinstance(looked, StorageError):
                raise looked
            return (looked.size, looked.mtime_ns) != (known.size, known.mtime_ns)
        found = self.store.stat(known.key)
        if (found.size, found.mtime_ns) == (known.size, known.mtime_ns):
            return False
        now = fingerprint(path)
        if now.sha256 != known.sha256:
            return True
        if not self.plan.dry_run:
            self.registry.refresh_file(known.key, size=now.size, mtime_ns=now.mtime_ns, sha256=now.sha256)
        return False

    # What goes into the registry

    def _register(self, batch: list[GroupReading]) -> None:
        """Register a batch: what is new, and what replaces what was there."""
        if self.plan.repack is not None and not self.plan.dry_run:
            batch = list(self._repack(batch, self.plan.repack))
        for replaces in (False, True):
            some = [r for r in batch if self._replaces(r) is replaces]
            if some:
                self._register_some(some)

    def _repack(self, batch: list[GroupReading], packing: "Packing") -> "Iterator[GroupReading]":
        """Put copies in the store in place of wrapped files; refuse what cannot be copied."""
        for reading in batch:
            made = repack_reading(self.store, reading, packing, self.plan.instrument)
            if made.error is None:
                yield made
            else:
                self._refuse(reading.group, made.error)

    def _replaces(self, reading: GroupReading) -> bool:
        """Tell whether a reading says more of a registered image than the registry knows."""
        return bool(self._fresh.get(reading.group.primary, set()) - set(reading.left_out))

    def _register_some(self, batch: list[GroupReading]) -> None:
        """Register groups in one transaction, or, when that is refused, one by one."""
        try:
            self._register_together(batch)
        except (UsageError, ConflictError, StorageError) as err:
            if len(batch) == 1:
                self._refuse(batch[0].group, err)
                return
            for reading in batch:
                self._register_some([reading])
                if self._stop:
                    return

    def _register_together(self, batch: list[GroupReading]) -> None:
        """Register all images of a batch, all or none, and say how each file ended."""
        if self.plan.dry_run:
            for reading in batch:
                kind = OutcomeKind.UPDATED if self._replaces(reading) else OutcomeKind.REGISTERED
                self._end_group(reading, kind, ())
            return
        files: dict[str, FileRecord] = {}
        for reading in batch:
            files |= self._place(reading)
        images = [(reading, new) for reading in batch for new in self._new_images(reading, files)]
        added = self.registry.add_images([i for _, i in images], files, update=self._replaces(batch[0]))
        index_gzip_files(self.store, files.values())
        by_group: dict[int, list[AddedImage]] = {id(r): [] for r in batch}
        for (reading, new), result in zip(images, added, strict=True):
            if new.provenance_id == self.plan.provenance_id:
                by_group[id(reading)].append(result)
        for reading in batch:
            results = by_group[id(reading)]
            kind = _worst(str(r.outcome) for r in results)
            twins = [f"the same exposure, detector and band as {r.twin}" for r in results if r.twin]
            self._end_group(reading, kind, tuple(r.id for r in results), twins)

    def _place(self, reading: GroupReading) -> dict[str, FileRecord]:
        """Bring a group's files where the plan wants them, and give their rows."""
        records = {}
        for path, found in reading.fingerprints.items():
            if is_url(path):
                if Url(path) not in reading.left_out:
                    records[path] = make_remote_record(path, found)
                continue
            if Path(path) in reading.left_out:
                continue
            state = FileState.IN_PLACE
            key = self.store.key_of(path)
            if key.startswith(FOLDER):
                state = FileState.STORED
            elif self.plan.placement != "in-place":
                key = self.store.take_in(Path(path), found.sha256, link=self.plan.placement == "link")
                state = FileState.STORED
            stat = self.store.stat(key)
            records[path] = FileRecord(
                key=key,
                size=stat.size,
                mtime_ns=stat.mtime_ns,
                sha256=found.sha256,
                format=name_format(path),
                state=state,
            )
        return records

    def _new_images(self, reading: GroupReading, files: dict[str, FileRecord]) -> Iterator[NewImage]:
        """Give the rows of a group's images: ours, and those of other provenances in bytes that changed."""
        elsewhere = self._elsewhere.get(reading.group.primary, set())
        for described in reading.images:
            path, hdu = described.planes[0].path, described.planes[0].layout.hdu
            others = {p for p, *place in elsewhere if place == [files[path].key, hdu]}
            for provenance_id in (self.plan.provenance_id, *sorted(others)):
                yield NewImage(
                    facts=described.facts,
                    footprint=described.footprint,
                    planes=described.planes,
                    provenance_id=provenance_id,
                )

    # How files end

    def _end_group(
        self, reading: GroupReading, kind: OutcomeKind, ids: tuple[UUID, ...], notes: Sequence[str] = ()
    ) -> None:
        """Say how a group that was read ended."""
        warnings = tuple(dict.fromkeys((*(w for d in reading.images for w in d.warnings), *notes)))
        taken = [p for p in reading.group.companions if p not in reading.left_out]
        self._end((reading.group.primary, *taken), kind, ids=ids, warnings=warnings)
        for path, error in reading.left_out.items():
            self._end((path,), OutcomeKind.REFUSED, error=error)

    def _refuse(self, group: "Group", error: SnapdbError) -> None:
        """Refuse a group with one reason."""
        self._end((group.primary, *group.companions), OutcomeKind.REFUSED, error=error)

    def _end(
        self,
        paths: Iterable[Location],
        kind: OutcomeKind,
        *,
        error: SnapdbError | None = None,
        ids: tuple[UUID, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Note one outcome for each of some files."""
        for path in paths:
            shown = show_location(path)
            outcome = Outcome(
                path=shown,
                outcome=kind,
                code=error.code if error else None,
                reason=describe_error(shown, error) if error else None,
                image_ids=ids,
                warnings=warnings,
            )
            self.report.add(outcome)


def default_jobs() -> int:
    """Give the number of processes that read headers when the caller does not say."""
    return min(os.cpu_count() or 1, 16)


def _worst(outcomes: Iterable[str]) -> OutcomeKind:
    """Give the outcome of a file from those of its images: news before no news."""
    kinds = set(outcomes)
    for kind in (OutcomeKind.REGISTERED, OutcomeKind.UPDATED):
        if str(kind) in kinds:
            return kind
    return OutcomeKind.UNCHANGED


__all__ = ["Ingest", "IngestPlan", "OnError", "Placement", "default_jobs", "name_format"]
