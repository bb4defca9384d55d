"""Unwrapped files are kept in bounded memory, and read anew when they change."""

import bz2
import gzip
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snapdb.formats.kept import KeptBytes
from snapdb.formats.unwrap import BoundedReader


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


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_threads_unwrap_a_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    content = random.Random(20261125).randbytes(2**21)
    path = tmp_path / "a"
    path.write_bytes(pack(content))
    passes = []
    read = BoundedReader.read

    def count(self: BoundedReader, size: int = -1) -> bytes:
        passes.append(1)
        return read(self, size)

    monkeypatch.setattr(BoundedReader, "read", count)
    kept = KeptBytes()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: kept.read(str(path)), range(24)))
    assert found[0] == content
    assert all(one is found[0] for one in found)
    assert len(passes) == 1
