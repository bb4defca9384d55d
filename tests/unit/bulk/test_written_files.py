"""Files of a run: whole, under their name or not at all, and none that stays open."""

import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from snapdb.bulk.writing.files import Summed, checksum, write_file
from snapdb.bulk.writing.table import open_mapping, write_parquet
from snapdb.errors import NotFoundError, ObjectMissingError, SnapdbError, StorageError


def is_open(folder: Path) -> bool:
    """Say whether this process has a file of a folder open."""
    seen = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the list itself
            seen.append(str(one.readlink()))
    return any(name.startswith(str(folder)) for name in seen)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux says which files are open")
def test_large_files_are_whole_and_none_stays_open(tmp_path: Path) -> None:
    """Oracle: what was given. An open file keeps its disk from being unmounted, and the room that it took."""
    for number in range(20):
        pieces = [bytes([number]) * 300_000, b"", b"end"] * 3
        write_file(tmp_path / "c" / str(number), pieces, large=True)
        assert (tmp_path / "c" / str(number)).read_bytes() == b"".join(pieces)
    assert not is_open(tmp_path)
    assert {path.name for path in (tmp_path / "c").iterdir()} == {str(number) for number in range(20)}


def test_pieces_are_summed_as_they_are_written(tmp_path: Path) -> None:
    pieces = Summed(bytes([n]) * n for n in range(200))
    write_file(tmp_path / "f", pieces)
    content = (tmp_path / "f").read_bytes()
    assert (pieces.size, pieces.checksum) == (len(content), checksum([content]))


@pytest.mark.parametrize("kind", [NotFoundError, StorageError, ObjectMissingError])
def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path, kind: type[SnapdbError]) -> None:
    """What makes the pieces raises what it likes; what is there stays."""
    (tmp_path / "f").write_bytes(b"before")

    def pieces() -> Iterator[bytes]:
        yield bytes(1_000_000)
        msg = "no image"
        raise kind(msg)

    with pytest.raises(kind, match=r"^no image$"):
        write_file(tmp_path / "f", pieces(), large=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]
    assert (tmp_path / "f").read_bytes() == b"before"


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_file(tmp_path / "f" / "g", [b"x"])


FULL = "No space left on device"


def refuse_to_replace(_: Path, target: Path) -> Path:
    """Fail as a disk without room does."""
    raise OSError(errno.ENOSPC, FULL, str(target))


def test_tables_that_have_no_room_are_said_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Arrow and the system raise of a full disk is an error of the storage, with the file's name."""
    monkeypatch.setattr(Path, "replace", refuse_to_replace)
    table = pa.table({"a": np.arange(3)})
    with pytest.raises(StorageError, match=f"index.parquet cannot be written: {FULL}; make room"):
        write_parquet(tmp_path / "index.parquet", [table])
    with (
        pytest.raises(StorageError, match=f"mapping.csv cannot be written: {FULL}; make room"),
        open_mapping(tmp_path / "mapping.csv", 10, is_zarr=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_tables_are_written(tmp_path: Path) -> None:
    """Arrow says it in its own words, and does not name the file."""

    def tables() -> Iterator[pa.Table]:
        yield pa.table({"a": np.arange(3)})
        msg = "Error writing bytes to file"
        raise OSError(errno.ENOSPC, msg)

    with (
        pytest.raises(StorageError, match=f"^{tmp_path}/index.parquet cannot be written: {FULL}; make room"),
        open_mapping(tmp_path / "mapping.csv", 10, is_zarr=True),
    ):
        write_parquet(tmp_path / "index.parquet", tables())
    assert list(tmp_path.iterdir()) == []
