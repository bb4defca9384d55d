"""Reading what files hold, in this process or in several."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.archive.expand import Location
from snapdb.errors import ConfigError, NotAnImageError, SnapdbError
from snapdb.model.url import Url
from snapdb.storage import FileFingerprint, fingerprint

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from snapdb.formats.describe import Described, FileGroup
    from snapdb.formats.remote_scan import RemoteGroup
    from snapdb.formats.source import FitsSource

_FEW = 24
"""Groups below which starting processes costs more than it saves (about a second)."""
_AT_ONCE = 16
"""Remote files whose headers are fetched at a time."""


@dataclass(slots=True, kw_only=True)
class GroupReading:
    """What one file and its companions hold."""

    group: "FileGroup | RemoteGroup"
    images: "list[Described]" = field(default_factory=list)
    fingerprints: dict[str, FileFingerprint] = field(default_factory=dict)
    """Path or address -> size, time and digest."""
    error: SnapdbError | None = None
    """Why nothing of it can be registered."""
    left_out: dict[Location, SnapdbError] = field(default_factory=dict)
    """Companions that go with no image, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTask:
    """One group of files to read, with what shall be read of it."""

    group: "FileGroup"
    instrument: str | None = None
    maps: tuple[str, ...] = ()
    """Paths of the user's own header maps."""


def read_group(task: ReadingTask) -> GroupReading:
    """Describe the images of a file and its companions; an error is an answer too."""
    from snapdb.formats.describe import describe

    group = task.group
    reading = GroupReading(group=group)
    try:
        for path in (group.primary, *group.companions):
            reading.fingerprints[str(path)] = fingerprint(path)
        reading.images = describe(group.primary, companions=group.companions, instrument=task.instrument)
        reading.left_out = _find_left_out(reading)
    except SnapdbError as err:
        reading.error = err
    return reading


def read_remote_groups(groups: "Sequence[RemoteGroup]", instrument: str | None) -> Iterator[GroupReading]:
    """Describe groups of remote files, in the order given; only headers are fetched.

    Parameters
    ----------
    groups : sequence of RemoteGroup
        What to read.
    instrument : str, optional
        Name of the header map; found from the header by default.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(groups), 8 * _AT_ONCE):  # headers of a whole survey are not held at once
            some = groups[start : start + 8 * _AT_ONCE]
            for group, scans in zip(some, pool.map(_scan_group, some), strict=True):
                yield _describe_scans(group, scans, instrument)


def _scan_group(group: "RemoteGroup") -> "list[tuple[FitsSource, FileFingerprint] | SnapdbError]":
    """Fetch the headers of a group's files."""
    return [_scan_remote(url) for url in (group.primary, *group.companions)]


def _scan_remote(url: Url) -> "tuple[FitsSource, FileFingerprint] | SnapdbError":
    """Fetch the headers of a file; an error is an answer too."""
    from snapdb.formats.remote_scan import open_ranges, scan_ranges
    from snapdb.storage.remote import RemoteFile

    file = RemoteFile(url)
    try:
        with open_ranges(file) as stream:
            stream.peek(1)  # says the size too
            return scan_ranges(url, stream, file.fingerprint().size), file.fingerprint()
    except ConfigError:  # of no file in particular
        raise
    except SnapdbError as err:
        return err


def describe_at(url: Url, *, instrument: str | None = None) -> "list[Described]":
    """Describe the images of a remote file, alone.

    Parameters
    ----------
    url : Url
        Where it is.
    instrument : str, optional
        Name of the header map; found from the header by default.

    Raises
    ------
    FormatError
        It holds no image that can be used.
    StorageError
        It cannot be read.
    """
    from snapdb.formats.remote_scan import RemoteGroup

    (reading,) = read_remote_groups([RemoteGroup(primary=url)], instrument)
    if reading.error is not None:
        raise reading.error
    return reading.images


def _describe_scans(
    group: "RemoteGroup",
    scans: "Sequence[tuple[FitsSource, FileFingerprint] | SnapdbError]",
    instrument: str | None,
) -> GroupReading:
    """Describe the images of scanned files; not in threads, which share what Python warns of."""
    from snapdb.formats.remote_scan import describe_remote

    reading = GroupReading(group=group)
    sound = []
    for url, scan in zip((group.primary, *group.companions), scans, strict=True):
        if isinstance(scan, SnapdbError):
            reading.left_out[url] = scan
        else:
            sound.append(scan[0])
            reading.fingerprints[str(url)] = scan[1]
    reading.error = reading.left_out.pop(group.primary, None)
    if reading.error is not None:
        return reading
    try:
        reading.images = describe_remote(sound[0], sound[1:], instrument=instrument)
    except SnapdbError as err:
        reading.error = err
        return reading
    taken = {plane.path for image in reading.images for plane in image.planes}
    for url in group.companions:
        if str(url) not in taken and url not in reading.left_out:
            msg = f"{url}: it holds no plane that goes with {group.primary.name}"
            reading.left_out[url] = NotAnImageError(msg, path=str(url))
    return reading


def _find_left_out(reading: GroupReading) -> dict[Location, SnapdbError]:
    """Find the companions that no image took a plane from."""
    from snapdb.formats.source import open_source

    taken = {plane.path for image in reading.images for plane in image.planes}
    left_out: dict[Location, SnapdbError] = {}
    for path in map(Path, reading.group.companions):
        if str(path) in taken:
            continue
        try:
            open_source(path)
            name = reading.group.primary.name
            left_out[path] = NotAnImageError(
                f"{path}: it holds no plane that goes with {name}", path=str(path)
            )
        except SnapdbError as err:
            left_out[path] = err
    return left_out


def read_groups(tasks: Sequence[ReadingTask], jobs: int) -> Iterator[GroupReading]:
    """Describe groups of files, in the order given.

    Parameters
    ----------
    tasks : sequence of ReadingTask
        What to read.
    jobs : int
        Processes; few tasks are read in this one.
    """
    if jobs <= 1 or len(tasks) < _FEW:
        yield from map(read_group, tasks)
        return
    with _processes(jobs) as pool:
        yield from _in_windows(pool, tasks, jobs)


def _in_windows(pool: "Executor", tasks: Sequence[ReadingTask], jobs: int) -> Iterable[GroupReading]:
    """Keep the processes busy without holding the readings of a whole survey in memory."""
    window = jobs * 32
    for start in range(0, len(tasks), window):
        yield from pool.map(read_group, tasks[start : start + window], chunksize=4)


@contextmanager
def _processes(jobs: int) -> "Iterator[Executor]":
    """Start worker processes that share no state with this one.

    loky's start anew without running the caller's script again, so that a script needs
    no ``if __name__ == "__main__"``; those of the standard library do not.
    """
    from loky import ProcessPoolExecutor

    with ProcessPoolExecutor(jobs) as pool:
        yield pool


def describe_error(path: Location | str, error: SnapdbError) -> str:
    """Say why a file was refused, without naming it twice."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
