"""Whether files are what was registered."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from snapdb.errors import ObjectMissingError, StorageError
from snapdb.model.file import FileRecord
from snapdb.model.url import Url, is_url
from snapdb.storage import FileFingerprint, LocalStore, fingerprint

if TYPE_CHECKING:
    from snapdb.registry import Registry


class FileFault(StrEnum):
    """What is wrong with a registered file."""

    MISSING = "missing"
    """It is not there."""
    UNREADABLE = "unreadable"
    """It, or where it lies, cannot be looked at."""
    CHANGED = "changed"
    """Its size or time is another: images in it are refused until it is indexed again."""
    DAMAGED = "damaged"
    """Its bytes are others, under the same size and time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """One registered file, and what is wrong with it."""

    path: str
    """Or the address of a remote file."""
    fault: FileFault | None = None
    """None where it is what was registered."""
    text: str = ""
    """What is wrong, and what to do."""
    image_ids: tuple[UUID, ...] = ()
    """Images with planes in a file with a fault."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, under the names of an ingest's report."""
        ids = [str(id_) for id_ in self.image_ids]
        return {"path": self.path, "outcome": self.fault or "sound", "reason": self.text, "image_ids": ids}


def check_files(
    registry: "Registry", store: LocalStore, *, checksums: bool, jobs: int
) -> Iterator[CheckedFile]:
    """Compare registered files with what is known of them.

    Parameters
    ----------
    registry : Registry
        What is known.
    store : LocalStore
        Gives the path of a file's key.
    checksums : bool
        Whether all bytes of local files are read.
    jobs : int
        Files that are looked at at a time.

    Yields
    ------
    CheckedFile
        One a file, sound or not.
    """
    with ThreadPoolExecutor(jobs) as pool:
        for records in registry.iter_files():
            near = [record for record in records if not is_url(record.key)]
            found = dict(zip(near, pool.map(partial(_check_local, store, checksums), near), strict=True))
            found |= _check_remote([record for record in records if is_url(record.key)])
            bad = [record.key for record, checked in found.items() if checked.fault is not None]
            known = registry.find_files(bad)
            for record in records:
                checked = found[record]
                yield checked if record.key not in known else replace(checked, image_ids=known[record.key][1])


def _check_local(store: LocalStore, checksums: bool, record: FileRecord) -> CheckedFile:  # noqa: FBT001
    """Look at a file of this machine."""
    path = store.path_of(record.key)
    try:
        seen = store.stat(record.key)
        checked = _compare(str(path), record, seen)
        if checked.fault is None and checksums and fingerprint(path).sha256 != record.sha256:
            text = (
                f"{path} has other bytes than when it was registered, under the same size and time; "
                "restore it from a copy"
            )
            return replace(checked, fault=FileFault.DAMAGED, text=text)
    except StorageError as err:
        return _fail(str(path), err)
    return checked


def _check_remote(records: Sequence[FileRecord]) -> dict[FileRecord, CheckedFile]:
    """Look at remote files, all at once."""
    if not records:
        return {}
    from snapdb.storage.remote import look_at

    seen = look_at([Url(record.key) for record in records])
    checked = {}
    for record in records:
        found = seen[Url(record.key)]
        if isinstance(found, StorageError):
            checked[record] = _fail(record.key, found)
        else:
            checked[record] = _compare(record.key, record, found)
    return checked


def _compare(path: str, record: FileRecord, seen: FileFingerprint) -> CheckedFile:
    """Compare size and time."""
    if (seen.size, seen.mtime_ns) == (record.size, record.mtime_ns):
        return CheckedFile(path=path)
    now = f"{seen.size} now" if seen.size != record.size else "as many now, at another modification time"
    text = (
        f"{path} has changed since it was registered ({record.size} bytes then, {now}); "
        f"`snapdb ingest --update {path}` indexes it again"
    )
    return CheckedFile(path=path, fault=FileFault.CHANGED, text=text)


def _fail(path: str, err: StorageError) -> CheckedFile:
    """Say why a file cannot be looked at."""
    fault = FileFault.MISSING if isinstance(err, ObjectMissingError) else FileFault.UNREADABLE
    return CheckedFile(path=path, fault=fault, text=str(err))
