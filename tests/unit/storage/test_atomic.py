"""Files appear whole or not at all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdb.errors import ObjectExistsError, ReadOnlyStoreError, StorageError
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


def test_a_name_as_long_as_the_filesystem_allows(tmp_path: Path) -> None:
    target = tmp_path / ("a" * 255)
    with write_atomically(target) as out:
        out.write(b"whole")
    assert target.read_bytes() == b"whole"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("file/a.bin", "a part of its path is a file"),
        ("file/deep/a.bin", "a part of its path is a file"),
        ("b" * 300, "choose a shorter name"),
    ],
)
def test_what_cannot_be_written_is_named_with_advice(tmp_path: Path, target: str, words: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with (
        pytest.raises(StorageError, match=words) as caught,
        write_atomically(tmp_path / target, overwrite=True),
    ):
        pass
    assert str(tmp_path / target) in str(caught.value)
    assert ".part" not in str(caught.value)


def test_a_full_disk_while_writing_is_told_of_the_file_that_is_meant(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    with (
        pytest.raises(StorageError, match="make room") as caught,
        write_atomically(target) as out,
    ):
        os.dup2(os.open("/dev/full", os.O_WRONLY), out.fileno())  # whatever is written now finds no room
        out.write(b"x" * 10_000_000)
    assert str(caught.value).startswith(f"{target} cannot be written: No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_reading_in_the_block_are_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, write_atomically(tmp_path / "a.bin") as out:
        out.write((tmp_path / "source.bin").read_bytes())
    assert caught.value.filename == str(tmp_path / "source.bin")
