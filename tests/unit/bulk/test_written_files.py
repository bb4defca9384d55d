"""Files of a run: whole, under their name or not at all, and no descriptor more than needed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdb.bulk.writing.files import Summed, checksum, write_file
from snapdb.errors import NotFoundError, StorageError


def count_open() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_large_files_are_whole_and_few_stay_open(tmp_path: Path) -> None:
    """Oracle: what was given."""
    before = count_open()
    for number in range(20):
        pieces = [bytes([number]) * 300_000, b"", b"end"] * 3
        write_file(tmp_path / "c" / str(number), pieces, large=True)
        assert (tmp_path / "c" / str(number)).read_bytes() == b"".join(pieces)
    assert count_open() - before <= 2
    assert {path.name for path in (tmp_path / "c").iterdir()} == {str(number) for number in range(20)}


def test_pieces_are_summed_as_they_are_written(tmp_path: Path) -> None:
    pieces = Summed(bytes([n]) * n for n in range(200))
    write_file(tmp_path / "f", pieces)
    content = (tmp_path / "f").read_bytes()
    assert (pieces.size, pieces.checksum) == (len(content), checksum([content]))


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    """What makes the pieces raises what it likes; what is there stays."""
    (tmp_path / "f").write_bytes(b"before")

    def pieces() -> Iterator[bytes]:
        yield bytes(1_000_000)
        msg = "no image"
        raise NotFoundError(msg)

    with pytest.raises(NotFoundError, match="no image"):
        write_file(tmp_path / "f", pieces(), large=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]
    assert (tmp_path / "f").read_bytes() == b"before"


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_file(tmp_path / "f" / "g", [b"x"])
