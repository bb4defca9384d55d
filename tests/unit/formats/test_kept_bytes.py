"""Unwrapped files are kept in bounded memory, and read anew when they change."""

import gzip
from pathlib import Path

from snapdb.formats.kept import KeptBytes


def write(path: Path, content: bytes) -> str:
    """Write a gzip file."""
    path.write_bytes(gzip.compress(content))
    return str(path)


def test_second_read_gives_the_same_object(tmp_path: Path) -> None:
    kept = KeptBytes()
    path = write(tmp_path / "a.gz", b"pixels")
    assert kept.read(path) == b"pixels"
    assert kept.read(path) is kept.read(path)


def test_changed_file_is_read_anew(tmp_path: Path) -> None:
    kept = KeptBytes()
    path = write(tmp_path / "a.gz", b"pixels")
    kept.read(path)
    write(tmp_path / "a.gz", b"other pixels")
    assert kept.read(path) == b"other pixels"


def test_oldest_goes_when_memory_is_full(tmp_path: Path) -> None:
    kept = KeptBytes(limit=25)
    paths = [write(tmp_path / f"{i}.gz", bytes([i]) * 10) for i in range(3)]
    first = kept.read(paths[0])
    for path in paths[1:]:
        kept.read(path)
    assert kept.size == 20
    assert kept.read(paths[0]) is not first
    assert KeptBytes(limit=5).read(paths[0]) == first
