"""The rows of files: keys, and what is known of a file where it is or where it was put."""

from collections.abc import Iterable
from pathlib import Path

from snapdb.archive.expand import Location
from snapdb.errors import StorageError
from snapdb.model.file import FileRecord
from snapdb.model.url import Url, is_url
from snapdb.storage import FileFingerprint, LocalStore


def key_of(store: LocalStore, place: Location) -> str:
    """Give the key of a file: of a remote one its address, else as the store has it."""
    return str(place) if isinstance(place, Url) else store.key_of(place)


def look_at_remote(keys: Iterable[str]) -> dict[Url, FileFingerprint | StorageError]:
    """Ask what the remote files among some keys are now, all at once; a failure is an answer too."""
    urls = [Url(key) for key in keys if is_url(key)]
    if not urls:
        return {}
    from snapdb.storage.remote import look_at

    return look_at(urls)


def make_remote_record(url: str, found: FileFingerprint) -> FileRecord:
    """Give the row of a remote file, whose bytes nobody has read; see :mod:`snapdb.storage.ranges`."""
    return FileRecord(
        key=url, size=found.size, mtime_ns=found.mtime_ns, sha256=found.sha256, format=name_format(url)
    )


def name_format(path: str) -> str:
    """Name the format by the suffixes, for listings; reading goes by content."""
    name = Url(path).name if is_url(path) else path
    suffixes = [s.lower().lstrip(".") for s in Path(name).suffixes[-2:]]
    return "fits." + suffixes[-1] if suffixes and suffixes[-1] in ("gz", "bz2", "fz") else "fits"
