"""Files of a run: written whole, known by their checksums."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from snapdb.errors import ConfigError, StorageError

_TOGETHER, _MOST_PIECES = 256 * 1024, 512
"""Bytes and pieces that are written in one call."""


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


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that takes its name when it is complete; one of that name is replaced.

    It is not synced to the disk: what a power cut takes is found by its checksum when a run is resumed.

    Parameters
    ----------
    path : Path
        Its folder is made.
    pieces : iterable of bytes
        Its content; each is let go of when it is written.

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
    except OSError as err:
        temporary.unlink(missing_ok=True)
        msg = f"{path} cannot be written: {err.strerror or err}; make room, or choose another folder"
        raise StorageError(msg, path=str(path)) from err


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
