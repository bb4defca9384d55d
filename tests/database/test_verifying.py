"""Whether registered files are what was registered: told of each file, on both databases."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.archive.archive import Archive
from snapdb.archive.verifying import CheckedFile
from snapdb.errors import ChangedFileError, UsageError
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.storage.remote import close_connections
from snapdb.testing.range_server import RangeServer

COUNT = 7


def write_image(path: Path, value: float = 1.0, hdus: int = 1) -> None:
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0})
    header.update({"CRPIX1": 50.0, "CRPIX2": 50.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    planes = [fits.ImageHDU(np.full((100, 100), value, np.float32), header) for _ in range(hdus)]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(path, overwrite=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    made.mkdir()
    for number in range(COUNT):
        write_image(made / f"{number}.fits", number, 1 + number % 2)
    return made


@pytest.fixture
def archive(registry: Registry, tmp_path: Path, folder: Path) -> Archive:
    made = Archive(registry, LocalStore(tmp_path / "store"))
    assert made.ingest([folder], jobs=1).counts["registered"] == COUNT
    return made


def faults(files: Iterator[CheckedFile]) -> dict[str, tuple[str, int]]:
    """Give the fault and the number of images of each file that has one, and see that none is left out."""
    found = list(files)
    assert len(found) == len({file.path for file in found}) == COUNT
    assert all(not file.text and not file.image_ids for file in found if file.fault is None)
    return {Path(f.path).name: (str(f.fault), len(f.image_ids)) for f in found if f.fault is not None}


def test_sound_files(archive: Archive) -> None:
    assert faults(archive.verify()) == faults(archive.verify(checksums=True, jobs=1)) == {}
    assert archive.registry.count_files() == COUNT


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_files_are_given_once_each(archive: Archive, folder: Path, batch: int) -> None:
    batches = list(archive.registry.iter_files(batch=batch))
    assert max(map(len, batches)) == min(batch, COUNT)
    names = sorted(Path(record.key).name for some in batches for record in some)
    assert names == sorted(path.name for path in folder.iterdir())
    known = archive.registry.find_files([record.key for some in batches for record in some])
    assert [record for some in batches for record in some] == [
        known[record.key][0] for some in batches for record in some
    ]


def test_each_fault(archive: Archive, folder: Path) -> None:
    (folder / "0.fits").unlink()
    write_image(folder / "1.fits", 5.0, hdus=3)
    times = (folder / "2.fits").stat()
    content = bytearray((folder / "2.fits").read_bytes())
    content[-1] ^= 1
    (folder / "2.fits").write_bytes(content)
    os.utime(folder / "2.fits", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(folder / "3.fits", ns=(1, 1))
    (folder / "4.fits").unlink()
    (folder / "4.fits").symlink_to(folder / "4.fits")  # a link to itself cannot be looked at
    expected = {
        "0.fits": ("missing", 1),
        "1.fits": ("changed", 2),
        "3.fits": ("changed", 2),
        "4.fits": ("unreadable", 1),
    }
    assert faults(archive.verify()) == expected
    assert faults(archive.verify(checksums=True)) == expected | {"2.fits": ("damaged", 1)}
    told = {Path(file.path).name: file.text for file in archive.verify(checksums=True)}
    assert "put it back" in told["0.fits"]
    assert "bytes then" in told["1.fits"]
    assert "snapdb ingest --update" in told["3.fits"]
    assert "restore it" in told["2.fits"]


def test_what_is_said_to_be_changed_is_refused_and_mended_as_it_says(archive: Archive, folder: Path) -> None:
    """Oracle: reading."""
    os.utime(folder / "0.fits", ns=(1, 1))
    (file,) = (f for f in archive.verify() if f.fault is not None)
    image = archive.get_image(file.image_ids[0])
    with pytest.raises(ChangedFileError):
        _ = image.data
    archive.ingest([folder / "0.fits"], update=True, jobs=1)
    assert faults(archive.verify(checksums=True)) == {}


def test_no_job(archive: Archive) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        archive.verify(jobs=0)


def test_remote_files(registry: Registry, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    served = tmp_path / "served"
    served.mkdir()
    with RangeServer(served) as server:
        for name in ("kept", "gone", "changed"):
            write_image(served / f"{name}.fits")
        archive = Archive(registry, LocalStore(tmp_path / "store"))
        archive.ingest([server.url_of(f"{name}.fits") for name in ("kept", "gone", "changed")])
        (served / "gone.fits").unlink()
        write_image(served / "changed.fits", hdus=2)
        found = {file.path: file for file in archive.verify(checksums=True)}
        assert found[server.url_of("kept.fits")].fault is None
        assert found[server.url_of("gone.fits")].fault == "missing"
        assert found[server.url_of("changed.fits")].fault == "changed"
        assert len(found[server.url_of("changed.fits")].image_ids) == 1
    close_connections()
    assert {file.fault for file in archive.verify()} == {"unreadable"}
    close_connections()
