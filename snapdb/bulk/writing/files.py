"""Files of a run: written whole, known by their checksums."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snapdb.errors import ConfigError, StorageError


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of a part."""

    path: str
    """Below the folder of the run's output."""
    size: int
    """Bytes."""
    checksum: int
    """CRC32C."""


def checksum(pieces: Iterable[bytes]) -> int:
    """Give the CRC32C of bytes that follow one another.

    Parameters
    ----------
    pieces : iterable of bytes
        In order.

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
    value = 0
    for piece in pieces:
        value = google_crc32c.extend(value, piece)
    return int(value)


def write_file(path: Path, pieces: Sequence[bytes]) -> None:
    """Write a file that takes its name when it is complete; one of that name is replaced.

    It is not synced to the disk: what a power cut takes is found by its checksum when a run is resumed.

    Parameters
    ----------
    path : Path
        Its folder is made.
    pieces : sequence of bytes
        Its content.

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


def _write_all(descriptor: int, pieces: Sequence[bytes]) -> None:
    """Write pieces, many in one call."""
    for start in range(0, len(pieces), 512):
        group = [memoryview(p) for p in pieces[start : start + 512]]
        while group:
            done = os.writev(descriptor, group)
            while group and done >= len(group[0]):
                done -= len(group[0])
                group.pop(0)
            if group:
                group[0] = group[0][done:]
