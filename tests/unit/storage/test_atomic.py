"""Files appear whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdb.errors import ObjectExistsError, ReadOnlyStoreError
from snapdb.storage import write_atomically


def test_file_appears_with_its_content(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "a.bin"
    with write_atomically(target) as out:
        out.write(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_left_when_the_block_raises(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with pytest.raises(RuntimeError, match="half way"), write_atomically(target) as out:
        out.write(b"half")
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []


def test_existing_file_stays_unless_asked(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(ObjectExistsError, match="exists already"), write_atomically(target) as out:
        out.write(b"new")
    assert target.read_bytes() == b"old"
    with write_atomically(target, overwrite=True) as out:
        out.write(b"new")
    assert target.read_bytes() == b"new"


def test_name_taken_meanwhile_is_not_lost(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with pytest.raises(ObjectExistsError, match="meanwhile"), write_atomically(target) as out:
        out.write(b"mine")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Give up root's right to write anywhere, where tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_unwritable_folder_is_named(tmp_path: Path, unprivileged: None) -> None:
    with (
        pytest.raises(PermissionError, match="cannot be written to") as caught,
        write_atomically(Path("/usr/a.bin")),
    ):
        pass
    assert isinstance(caught.value, ReadOnlyStoreError)
