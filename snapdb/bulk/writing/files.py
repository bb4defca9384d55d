"""Files of a run: written whole, known by their checksums."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from snapdb.errors import ConfigError, SnapdbError, StorageError

_TOGETHER, _MOST_PIECES = 256 * 1024, 512
"""Bytes and pieces that are written in one call."""
_BEHIND = 2
"""Files that may be on their way to the disk while others are made."""
_sent: deque[Path] = deque()
"""Those files; none stays open, so that its folder may be moved, removed or unmounted when a run is over."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of a part."""

    path: str
    """Below the folder of the run's output."""
    size: int
    """Bytes."""
    checksum: int
    """CRC32C."""


def checksum(pieces: Iterable[bytes], before: int = 0) -> int:
    """Give the CRC32C of bytes that follow one another.

    Parameters
    ----------
    pieces : iterable of bytes
        In order.
    before : int
        That of what is before them.

    Raises
    ------
    ConfigError
        If zarr, which needs the same package, is not installed.
    """
    try:
        import google_crc32c  # type: ignore[import-not-found,import-untyped,unused-ignore]  # optional
    except ImportError as err:
        msg = "writing stamps needs zarr; install it with: pip install 'snapdb[bulk]'"
        raise ConfigError(msg, package="zarr") from err
    value = before
    for piece in pieces:
        value = google_crc32c.extend(value, piece)
    return int(value)


def write_file(path: Path, pieces: Iterable[bytes], *, large: bool = False) -> None:
    """Write a file that takes its name when it is complete; one of that name is replaced.

    It is not synced to the disk: what a power cut takes is found by its checksum when a run is resumed.

    Parameters
    ----------
    path : Path
        Its folder is made.
    pieces : iterable of bytes
        Its content; each is let go of when it is written.
    large : bool
        Whether it is one of many that need not stay in memory: see :func:`_send`.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb", buffering=0) as stream:
            _write_all(stream.fileno(), pieces)
        temporary.replace(path)
    except Exception as err:
        with suppress(OSError):  # it may not be there, nor its folder
            temporary.unlink()
        if isinstance(err, SnapdbError) or not isinstance(err, OSError):
            raise  # of what makes the pieces
        raise _refuse(path, err) from err
    if large:
        _send(path)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Have a name for what is written by others, which takes its own when the block ends.

    Parameters
    ----------
    path : Path
        Of the file; one that is there is replaced.

    Yields
    ------
    Path
        What to write to; if the block fails, it is removed.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as err:
        with suppress(OSError):  # it may not be there, nor its folder
            temporary.unlink()
        if isinstance(err, SnapdbError) or not isinstance(err, OSError):
            raise
        raise _refuse(path, err) from err


def _refuse(path: Path, err: OSError) -> StorageError:
    """Make the error for a file that cannot be written."""
    why = os.strerror(err.errno) if err.errno else str(err)
    msg = f"{path} cannot be written: {why}; make room, or choose another folder"
    return StorageError(msg, path=str(path))


def _send(path: Path) -> None:
    """Begin to bring a file to the disk, and let go of the memory of those that are there.

    So a long run takes no memory from the images that it reads, and uses the same pages again and
    again: fresh ones cost a virtual machine, which gets them from its host one by one, more time than
    all that is done with the stamps in them. Nothing waits for the disk: what is not there yet stays.
    """
    _let_go(path)
    _sent.append(path)
    while len(_sent) > _BEHIND:
        with suppress(IndexError):  # another thread was quicker
            _let_go(_sent.popleft())


def _let_go(path: Path) -> None:
    """Tell the system that a file is not looked at again soon."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):  # it was removed, or is on a file system without a cache of its own
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


class Summed:
    """Pieces of a file, counted and summed up as they are taken.

    Parameters
    ----------
    pieces : iterable of bytes
        In order.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.size = 0
        """Bytes of those that were taken."""
        self.checksum = 0
        """Their CRC32C."""

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            self.checksum = checksum([piece], self.checksum)
            yield piece


def _write_all(descriptor: int, pieces: Iterable[bytes]) -> None:
    """Write pieces as they come, small ones together; large ones are let go of at once."""
    group: list[memoryview] = []
    held = 0
    for piece in pieces:
        group.append(memoryview(piece))
        held += len(piece)
        if held >= _TOGETHER or len(group) == _MOST_PIECES:
            _write_group(descriptor, group)
            group, held = [], 0
    _write_group(descriptor, group)


def _write_group(descriptor: int, group: list[memoryview]) -> None:
    """Write pieces in one call, or as many as it takes."""
    while group:
        done = os.writev(descriptor, group)
        while group and done >= len(group[0]):
            done -= len(group[0])
            group.pop(0)
        if group:
            group[0] = group[0][done:]
