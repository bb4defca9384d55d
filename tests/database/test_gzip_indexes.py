"""Seek indexes of registered gzip files: made at ingest or at the first read, and never believed too far."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snapdb.archive.archive import Archive
from snapdb.archive.gzip_indexes import key_of_index
from snapdb.archive.image import Image
from snapdb.errors import ChangedFileError, CorruptFileError
from snapdb.formats import kept
from snapdb.registry import Registry
from snapdb.storage import LocalStore, fingerprint

SEED = 20261125


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    """An archive on either database."""
    return Archive(registry, LocalStore(tmp_path / "store"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three planes of 1000 x 900 pixels, gzipped: 10 MB of content."""
    rng = np.random.default_rng(SEED)
    cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -5.0})
    cards.update({"CRPIX1": 500.0, "CRPIX2": 450.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    data = rng.normal(100.0, 5.0, (900, 1000)).astype(np.float32)
    planes = {"SCI": data, "ERR": np.sqrt(data), "DQ": (data > 110).astype(np.int16)}
    path = tmp_path / "data" / "image.fits.gz"
    path.parent.mkdir()
    hdus = [fits.ImageHDU(plane, cards, name=name) for name, plane in planes.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def index_of(archive: Archive, file: Path) -> Path:
    return archive.store.path_of(key_of_index(fingerprint(file).sha256))


def forbid_unwrapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file that is unwrapped whole fail the test, and keep no block of another test."""

    def refuse(path: str) -> bytes:
        raise AssertionError(path)

    monkeypatch.setattr(kept.KEPT, "read", refuse)


@pytest.fixture(autouse=True)
def no_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no inflated blocks, and keep none."""
    monkeypatch.setattr(kept.BLOCKS, "_limit", 0)


def check_cutout(archive: Archive, file: Path) -> None:
    """Compare a cutout with astropy's planes."""
    (image,) = archive.find_images()
    cutout = image.get_cutout(700, 800, 64)
    with fits.open(file) as hdus:
        for name, hdu in (("data", 1), ("noise", 2), ("flags", 3)):
            np.testing.assert_array_equal(getattr(cutout, name), hdus[hdu].data[768:832, 668:732])


@pytest.mark.parametrize("placement", ["in-place", "copy", "link"])
def test_ingest_makes_the_index_that_cutouts_use(
    archive: Archive, file: Path, monkeypatch: pytest.MonkeyPatch, placement: str
) -> None:
    report = archive.ingest(file, placement=placement)  # type: ignore[arg-type]  # one of its words
    assert report.counts["registered"] == 1
    assert index_of(archive, file).is_file()
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208  # hidden names too
    forbid_unwrapping(monkeypatch)
    check_cutout(archive, file)


def test_a_dry_run_makes_no_index(archive: Archive, file: Path) -> None:
    archive.ingest(file, dry_run=True)
    assert not archive.store.base.exists()


@pytest.mark.parametrize("damage", ["missing", "cut", "garbage", "of another file"])
def test_a_first_read_makes_the_index_again(
    archive: Archive, file: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    archive.ingest(file)
    index = index_of(archive, file)
    sound = index.read_bytes()
    if damage == "missing":
        shutil.rmtree(archive.store.base / ".snapdb")
    elif damage == "of another file":
        other = file.with_name("other.fits.gz")
        other.write_bytes(file.read_bytes() + file.read_bytes())
        (where := archive.store.base / "elsewhere").mkdir()
        elsewhere = Archive(archive.registry, LocalStore(where))
        elsewhere.ingest(other)
        index.write_bytes(index_of(elsewhere, other).read_bytes())
        other.unlink()
    else:
        index.write_bytes(sound[: len(sound) // 2] if damage == "cut" else b"\0" * len(sound))
    forbid_unwrapping(monkeypatch)
    image = next(i for i in archive.find_images() if i.filename == file.name)
    assert image.get_cutout(500, 400, 8).data.shape == (8, 8)
    assert index.read_bytes() == sound


def test_a_store_that_cannot_be_written_to_is_no_obstacle(
    archive: Archive, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.ingest(file)
    shutil.rmtree(archive.store.base)
    archive.store.base.write_text("a file where the folder should be")
    check_cutout(archive, file)
    assert archive.store.base.is_file()


def test_a_changed_file_is_refused(archive: Archive, file: Path) -> None:
    archive.ingest(file)
    file.write_bytes(file.read_bytes()[:-100])
    (image,) = archive.find_images()
    with pytest.raises(ChangedFileError, match="has changed"):
        image.get_cutout(500, 400, 8)


def test_rot_behind_the_same_size_and_time_is_noticed(archive: Archive, file: Path) -> None:
    archive.ingest(file)
    stamp = file.stat()
    packed = bytearray(file.read_bytes())
    packed[len(packed) // 3] ^= 1
    file.write_bytes(packed)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (image,) = archive.find_images()
    with pytest.raises(CorruptFileError, match="damaged"):
        _ = image.read_planes(["data", "noise"])


def test_an_image_outside_an_archive_makes_no_index(file: Path, tmp_path: Path) -> None:
    with fits.open(file) as hdus:
        np.testing.assert_array_equal(Image(file).get_cutout(20, 30, 9).data, hdus[1].data[26:35, 16:25])
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and ".snapdb" in str(p)] == []
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208  # hidden names too
