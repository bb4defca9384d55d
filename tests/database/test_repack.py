"""Copies of wrapped files in the store, compared with the originals by astropy."""

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from snapdb.archive.archive import Archive
from snapdb.archive.ingest import Ingest, IngestPlan
from snapdb.archive.report import IngestReport
from snapdb.errors import StorageError
from snapdb.formats import repack
from snapdb.model.provenance import Provenance
from snapdb.registry import Registry
from snapdb.storage import LocalStore, fingerprint

SEED = 20261125
MADE_BY = Provenance("ingest", 1, 0)


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    """An archive on either database."""
    registry.add_provenance(MADE_BY)
    return Archive(registry, LocalStore(tmp_path / "store"))


def ingest(archive: Archive, *files: Path, **options: Any) -> IngestReport:
    plan = IngestPlan(provenance_id=MADE_BY.id, **options)
    return Ingest(archive.registry, archive.store, plan, IngestReport()).run(files)


def make_hdus() -> fits.HDUList:
    """Images of every type, a scaled one with blanks, one without name, an empty HDU and a table."""
    rng = np.random.default_rng(SEED)
    cards = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -5.0})
    cards.update({"CRPIX1": 45.0, "CRPIX2": 35.0, "CDELT1": -1e-4, "CDELT2": 1e-4})
    cards["LONGCARD"] = "a text that goes on for longer than one card can hold, " * 2
    cards.add_history("made")
    cards.add_history("tried")
    data = rng.normal(100.0, 5.0, (70, 90)).astype(np.float32)
    data[3, 4], data[5, 6] = np.nan, -0.0
    data.view(np.uint32)[7, 8] = 0x7FC12345  # a NaN with a payload
    scaled = fits.ImageHDU(np.nan_to_num(data), cards, name="SCALED")
    scaled.scale("int16", bscale=0.01, bzero=100.0)
    scaled.header["BLANK"] = -32768
    others = (
        np.sqrt(np.abs(data)).astype(">f8"),
        rng.integers(0, 65535, data.shape).astype(np.uint16),
        rng.integers(0, 255, (9, 8)).astype(np.uint8),
        rng.integers(-(2**62), 2**62, (9, 8)),
        rng.integers(0, 9, (3, 9, 8)).astype(np.int32),
    )
    table = fits.BinTableHDU.from_columns([fits.Column("a", "PJ()", array=[[1], [2, 3]])], name="TABLE")
    primary = fits.PrimaryHDU(header=fits.Header({"INSTRUME": "none", "EXPTIME": 30.0}))
    images = [fits.ImageHDU(data, cards, name="SCI"), scaled, *(fits.ImageHDU(o) for o in others)]
    return fits.HDUList([primary, *images, fits.ImageHDU(), table])


def write_wrapped(path: Path, hdus: fits.HDUList, pack: Callable[[bytes], bytes] = gzip.compress) -> Path:
    path.parent.mkdir(exist_ok=True)
    plain = path.with_suffix("")
    hdus.writeto(plain)
    path.write_bytes(pack(plain.read_bytes()))
    plain.unlink()
    return path


@pytest.mark.parametrize("packing", ["fits", "rice"])
@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_copies_hold_what_the_originals_hold(
    archive: Archive, tmp_path: Path, packing: str, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    file = write_wrapped(tmp_path / "data" / f"a.fits{suffix}", make_hdus(), pack)
    before = file.read_bytes(), file.stat().st_mtime_ns
    report = ingest(archive, file, repack=packing)
    (outcome,) = report.outcomes
    assert (str(outcome.outcome), outcome.path) == ("registered", str(file))
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    for image in archive.find_images():
        assert image.full_filepath is not None
        assert image.full_filepath.is_relative_to(archive.store.base / "repacked")
        assert image.full_filepath.name == "a.fits"
        assert image.properties["repacked_from"] == str(file)
        assert image.properties["repacked_from_sha256"] == fingerprint(file).sha256
    copy = archive.find_images()[0].full_filepath
    assert copy is not None
    if packing == "fits":
        opener = gzip.decompress if suffix == ".gz" else bz2.decompress
        assert copy.read_bytes() == opener(before[0])
    check_same(file, copy)
    names = {p.name for p in copy.parent.iterdir()}
    assert names == {copy.name}


def check_same(file: Path, copy: Path) -> None:
    """Compare stored numbers, values and cards with astropy."""
    stored: dict[str, Any] = {"do_not_scale_image_data": True}
    for options in ({}, stored):
        with fits.open(file, **options) as one, fits.open(copy, checksum=True, **options) as other:
            assert len(one) == len(other)
            for a, b in zip(one, other, strict=True):
                if a.is_image and a.data is not None:
                    found, expected = np.asarray(b.data), np.asarray(a.data)
                    native = expected.dtype.newbyteorder("=")
                    assert found.dtype.newbyteorder("=") == native
                    assert found.astype(native).tobytes() == expected.astype(native).tobytes()
                kept = [c for c in a.header.cards if c.keyword not in ("XTENSION", "EXTEND")]
                there = {(c.keyword, c.value, c.comment) for c in b.header.cards}
                there.add(("EXTNAME", b.name, a.header.comments["EXTNAME"] if "EXTNAME" in a.header else ""))
                own = ("NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BITPIX", "PCOUNT", "GCOUNT")
                assert [c for c in kept if c.keyword not in own and tuple(c) not in there] == []
                assert b.name == a.name or (b.name, a.name) == ("COMPRESSED_IMAGE", "")  # as fpack names it


def test_an_image_in_the_primary_hdu_moves_to_an_extension(archive: Archive, tmp_path: Path) -> None:
    one = make_hdus()[1]
    file = write_wrapped(
        tmp_path / "data" / "p.fits.gz", fits.HDUList([fits.PrimaryHDU(one.data, one.header)])
    )
    ingest(archive, file, repack="rice")
    (image,) = archive.find_images()
    with fits.open(file) as hdus:
        assert image.data.tobytes() == hdus[0].data.astype(np.float32).tobytes()
        assert image.get_cutout(20, 30, 9).data.tobytes() == image.data[26:35, 16:25].tobytes()
        assert image.header["LONGCARD"] == hdus[0].header["LONGCARD"]


@pytest.mark.parametrize("packing", ["fits", "rice"])
def test_doing_it_twice_changes_nothing(archive: Archive, tmp_path: Path, packing: str) -> None:
    file = write_wrapped(tmp_path / "data" / "a.fits.gz", make_hdus())
    first = ingest(archive, file, repack=packing)
    records = archive.find_records(order_by="id")
    stamps = {p: p.stat().st_mtime_ns for p in archive.store.base.rglob("*") if p.is_file()}
    again = ingest(archive, file, repack=packing)
    assert again.counts == {"registered": 0, "unchanged": 1, "updated": 0, "refused": 0}
    assert set(again.image_ids) == set(first.image_ids)
    assert archive.find_records(order_by="id") == records
    assert {p: p.stat().st_mtime_ns for p in archive.store.base.rglob("*") if p.is_file()} == stamps


def test_plain_files_stay_where_they_are(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "plain.fits"
    make_hdus().writeto(file)
    assert ingest(archive, file, repack="rice").counts["registered"] == 1
    assert {i.full_filepath for i in archive.find_images()} == {file}
    assert not (archive.store.base / "repacked").exists()


def test_a_dry_run_writes_nothing(archive: Archive, tmp_path: Path) -> None:
    file = write_wrapped(tmp_path / "data" / "a.fits.gz", make_hdus())
    assert ingest(archive, file, repack="fits", dry_run=True).counts["registered"] == 1
    assert not archive.store.base.exists()


def test_damaged_files_are_refused_and_leave_nothing(archive: Archive, tmp_path: Path) -> None:
    file = write_wrapped(tmp_path / "data" / "a.fits.gz", make_hdus())
    sound = write_wrapped(tmp_path / "data" / "b.fits.gz", make_hdus())
    file.write_bytes(file.read_bytes()[:-2000])
    report = ingest(archive, file, sound, repack="rice")
    assert [(o.path, str(o.outcome), o.code) for o in report.outcomes] == [
        (str(file), "refused", "corrupt_file"),
        (str(sound), "registered", None),
    ]
    assert [p.name for p in (archive.store.base / "repacked").rglob("*") if p.is_file()] == ["b.fits"]


def test_a_copy_that_differs_is_not_kept(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = repack._to_tiles

    def spoil(hdu: Any) -> Any:
        tiles = sound(hdu)
        tiles.data[0, 0] += 1
        return tiles

    monkeypatch.setattr(repack, "_to_tiles", spoil)
    file = write_wrapped(tmp_path / "data" / "a.fits.gz", make_hdus())
    (refused,) = ingest(archive, file, repack="rice").refused
    assert refused.code == StorageError.code
    assert "would not be the same" in (refused.reason or "")
    assert [p for p in archive.store.base.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("packing", ["fits", "rice"])
def test_companions_are_repacked_with_their_image(archive: Archive, tmp_path: Path, packing: str) -> None:
    sci = make_hdus()[1]
    planes = {"image": sci.data, "noise": np.abs(sci.data), "flags": np.ones(sci.data.shape, np.int16)}
    files = []
    for name, plane in planes.items():
        hdus = fits.HDUList([fits.PrimaryHDU(plane, sci.header)])
        files.append(write_wrapped(tmp_path / "data" / f"a_{name}.fits.gz", hdus))
    plain = files[0].with_suffix("")  # as the generic map names them: only noise and flags are wrapped
    plain.write_bytes(gzip.decompress(files[0].read_bytes()))
    files[0].unlink()
    files[0] = plain
    report = ingest(archive, *files, repack=packing)
    assert {o.path for o in report.outcomes} == set(map(str, files))
    (image,) = archive.find_images()
    assert image.plane_names == ("data", "noise", "flags")
    for name, plane in (("data", planes["image"]), ("noise", planes["noise"]), ("flags", planes["flags"])):
        np.testing.assert_array_equal(getattr(image, name), plane)
    assert image.properties["repacked_noise_from"] == str(files[1])
    assert image.properties["repacked_flags_from_sha256"] == fingerprint(files[2]).sha256
    in_store = [p.is_relative_to(archive.store.base) for p in archive.planes_of(image.id).paths]
    assert sorted(in_store) == [False, True, True]
