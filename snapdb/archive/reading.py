"""Reading what files hold, in this process or in several."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from snapdb.errors import NotAnImageError, SnapdbError
from snapdb.storage import FileFingerprint, fingerprint

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from snapdb.formats.describe import Described, FileGroup

_FEW = 24
"""Groups below which starting processes costs more than it saves (about a second)."""


@dataclass(slots=True, kw_only=True)
class GroupReading:
    """What one file and its companions hold."""

    group: "FileGroup"
    images: "list[Described]" = field(default_factory=list)
    fingerprints: dict[str, FileFingerprint] = field(default_factory=dict)
    """Path -> size, time and digest."""
    error: SnapdbError | None = None
    """Why nothing of it can be registered."""
    left_out: dict[Path, SnapdbError] = field(default_factory=dict)
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


def _find_left_out(reading: GroupReading) -> dict[Path, SnapdbError]:
    """Find the companions that no image took a plane from."""
    from snapdb.formats.source import open_source

    taken = {plane.path for image in reading.images for plane in image.planes}
    left_out: dict[Path, SnapdbError] = {}
    for path in reading.group.companions:
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


def describe_error(path: Path, error: SnapdbError) -> str:
    """Say why a file was refused, without naming it twice."""
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
