"""Remote files in an archive: registered by their headers, cut by ranges.

The oracle is the same file on this machine, or the pixels that were written into it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from astropy.io import fits  # writes the files, and reads the oracle
from astropy.wcs import WCS

import snapdb
from snapdb.archive.archive import Archive
from snapdb.errors import (
    ChangedFileError,
    FormatError,
    ObjectMissingError,
    PartialOverlapError,
    StorageError,
    UsageError,
)
from snapdb.registry import Registry
from snapdb.storage import LocalStore
from snapdb.storage.remote import close_connections, traffic
from snapdb.testing.range_server import RangeServer

pytest.importorskip("aiohttp")
SIDE, SIZE, SEED = 1200, 64, 20261125
RA, DEC = 150.11, 2.19


def make_header() -> fits.Header:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.1, 2.2]
    wcs.wcs.crpix = [600.0, 600.0]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    return wcs.to_header()


def write_files(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Write three planes plain and in tiles, scaled integers, and noise in a file of its own."""
    rng = np.random.default_rng(SEED)
    data = rng.normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)
    planes: dict[str, np.ndarray[Any, Any]] = {
        "SCI": data,
        "ERR": np.sqrt(data),
        "DQ": (rng.random((SIDE, SIDE)) < 0.01).astype(np.int32),
    }
    primary = fits.PrimaryHDU(header=fits.Header({"DATE-OBS": "2026-01-01T00:00:00", "EXPTIME": 100.0}))
    header = make_header()
    hdus = [fits.ImageHDU(p, header, name=n) for n, p in planes.items()]
    fits.HDUList([primary, *hdus]).writeto(folder / "mef.fits")
    tiled = [
        fits.CompImageHDU(p, header, name=n, compression_type="RICE_1", tile_shape=(100, 100))
        for n, p in planes.items()
    ]
    fits.HDUList([primary, *tiled]).writeto(folder / "tiles.fits.fz")
    scaled = fits.PrimaryHDU(data.copy(), header)  # scaled in place
    scaled.scale("int16", bscale=0.01, bzero=100.0)
    scaled.writeto(folder / "scaled.fits")
    return planes


@pytest.fixture
def archive(registry: Registry, tmp_path: Path) -> Archive:
    return Archive(registry, LocalStore(tmp_path / "store"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RangeServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    with RangeServer(folder) as running:
        yield running
    close_connections()


def find(archive: Archive, name: str) -> snapdb.Image:
    (image,) = (i for i in archive.find_images() if i.record and i.record.filepath.endswith(f"/{name}"))
    return image


def local(folder: Path, name: str) -> snapdb.Image:
    return snapdb.Image(folder / name, imagehdu=0 if name == "scaled.fits" else 1)


def test_remote_files_give_what_the_files_give(archive: Archive, server: RangeServer) -> None:
    write_files(server.folder)
    names = ["mef.fits", "tiles.fits.fz", "scaled.fits"]
    report = archive.ingest([server.url_of(n) for n in names])
    assert report.counts["registered"] == 3, [o.reason for o in report.refused]
    assert server.bytes_sent < 1.5e6 < (server.folder / "mef.fits").stat().st_size / 10
    for name in names:
        image, here = find(archive, name), local(server.folder, name)
        assert image.plane_names == here.plane_names
        cut, other = (i.get_ra_dec_cutout(RA, DEC, SIZE) for i in (image, here))
        for plane, pixels in zip(image.plane_names, other.read_planes(image.plane_names), strict=True):
            np.testing.assert_array_equal(cut.read_planes([plane])[0], pixels)
            assert cut.read_planes([plane])[0].dtype == pixels.dtype
        assert cut.pixel_to_world(3.0, 4.0) == other.pixel_to_world(3.0, 4.0)
        np.testing.assert_array_equal(image.data, here.data)
        assert image.record is not None
        assert image.record.filepath == server.url_of(name)


def test_a_cutout_makes_a_request_a_plane_and_moves_little_more_than_its_rows(
    archive: Archive, server: RangeServer
) -> None:
    planes = write_files(server.folder)
    archive.ingest(server.url_of("mef.fits"))
    image = find(archive, "mef.fits")
    server.latency_s = 0.2
    before, sent = traffic(), server.bytes_sent
    cutout = image.get_ra_dec_cutout(RA, DEC, SIZE)
    used = traffic() - before
    assert used.requests == 3
    assert server.most_at_once >= 3  # together, not one after the other
    rows = sum(SIZE * SIDE * plane.dtype.itemsize for plane in planes.values())
    assert used.bytes_received == server.bytes_sent - sent <= 2 * rows
    np.testing.assert_array_equal(cutout.data, planes["SCI"][cutout.box.slices])


def test_registering_twice_changes_nothing(archive: Archive, server: RangeServer) -> None:
    write_files(server.folder)
    urls = [server.url_of(n) for n in ("mef.fits", "scaled.fits")]
    first = archive.ingest(urls)
    before, sent = archive.find_records(order_by="id"), server.bytes_sent
    again = archive.ingest(urls)
    assert again.counts == {"registered": 0, "unchanged": 2, "updated": 0, "refused": 0}
    assert archive.find_records(order_by="id") == before
    assert set(again.image_ids) == set(first.image_ids)
    assert server.bytes_sent - sent == 2  # a byte each tells that they are the same


def test_a_changed_object_is_refused_until_it_is_indexed_again(archive: Archive, server: RangeServer) -> None:
    write_files(server.folder)
    url = server.url_of("scaled.fits")
    archive.ingest(url)
    image = find(archive, "scaled.fits")
    path = server.folder / "scaled.fits"
    pixels = np.full((SIDE, SIDE), 7, np.int16)
    fits.PrimaryHDU(pixels, make_header()).writeto(path, overwrite=True)
    with pytest.raises(ChangedFileError, match="--update http"):
        image.get_ra_dec_cutout(RA, DEC, SIZE)
    report = archive.ingest(url)
    assert [o.code for o in report.refused] == ["changed_file"]
    assert archive.ingest(url, update=True).counts["updated"] == 1
    cutout = find(archive, "scaled.fits").get_ra_dec_cutout(RA, DEC, SIZE)
    np.testing.assert_array_equal(cutout.data, pixels[cutout.box.slices])
    path.unlink()
    with pytest.raises(ObjectMissingError):
        find(archive, "scaled.fits").get_ra_dec_cutout(RA, DEC, SIZE)
    assert [o.code for o in archive.ingest(url).refused] == ["object_missing"]


def test_what_cannot_be_registered_is_refused_by_name(
    archive: Archive, server: RangeServer, tmp_path: Path
) -> None:
    write_files(server.folder)
    import gzip

    (server.folder / "a.fits.gz").write_bytes(gzip.compress((server.folder / "scaled.fits").read_bytes(), 1))
    (server.folder / "page.fits").write_text("<html>gone</html>")
    (server.folder / "empty.fits").touch()
    cut_short = (server.folder / "mef.fits").read_bytes()[:2_000_000]
    (server.folder / "short.fits").write_bytes(cut_short)
    names = ["a.fits.gz", "page.fits", "empty.fits", "short.fits", "gone.fits", "scaled.fits"]
    report = archive.ingest([*(server.url_of(n) for n in names), tmp_path / "none.fits"])
    assert {Path(o.path).name: o.code for o in report.refused} == {
        "a.fits.gz": "unknown_format",
        "page.fits": "unknown_format",
        "empty.fits": "unknown_format",
        "short.fits": "corrupt_file",
        "gone.fits": "object_missing",
        "none.fits": "object_missing",
    }
    assert report.counts["registered"] == 1
    copied = archive.ingest(server.url_of("mef.fits"), placement="copy")
    assert [o.code for o in copied.refused] == ["usage"]


def test_files_that_need_tables_of_other_hdus_are_refused(archive: Archive, server: RangeServer) -> None:
    header = make_header()
    header["CPDIS1"], header["DP1.EXTVER"] = "LOOKUP", 1
    image = fits.ImageHDU(np.zeros((40, 50), np.float32), header)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(server.folder / "hst.fits")
    (refused,) = archive.ingest(server.url_of("hst.fits")).refused
    assert refused.code == "projection"
    assert "lookup tables" in (refused.reason or "")


def test_planes_in_files_of_their_own_are_read_in_one_batch(archive: Archive, server: RangeServer) -> None:
    planes = write_files(server.folder)
    for plane, part in (("SCI", "image"), ("ERR", "noise"), ("DQ", "flags")):
        fits.PrimaryHDU(planes[plane], make_header()).writeto(server.folder / f"x_{part}.fits")
    report = archive.ingest([server.url_of(f"x_{part}.fits") for part in ("noise", "flags", "image")])
    assert len(report.image_ids) == 1, report.outcomes
    image = find(archive, "x_image.fits")
    assert image.plane_names == ("data", "noise", "flags")
    server.latency_s = 0.2
    before = traffic()
    cutout = image.get_ra_dec_cutout(RA, DEC, SIZE)
    assert (traffic() - before).requests == 3
    assert server.most_at_once >= 3
    for name, plane in (("data", "SCI"), ("noise", "ERR"), ("flags", "DQ")):
        np.testing.assert_array_equal(cutout.read_planes([name])[0], planes[plane][cutout.box.slices])


def test_edges_of_remote_images(archive: Archive, server: RangeServer) -> None:
    planes = write_files(server.folder)
    archive.ingest(server.url_of("mef.fits"))
    image = find(archive, "mef.fits")
    corner = image.get_cutout(SIDE - 1, SIDE - 1, 5, mode="partial")
    np.testing.assert_array_equal(corner.data[:3, :3], planes["SCI"][-3:, -3:])
    assert np.isnan(corner.data[3:]).all()
    assert image.get_cutout(0, 0, 1).data == planes["SCI"][0, 0]
    before = traffic()
    with pytest.raises(PartialOverlapError):
        image.get_cutout(0, 0, 9)
    assert (traffic() - before).requests == 0


def test_a_server_without_ranges_is_refused(archive: Archive, server: RangeServer) -> None:
    write_files(server.folder)
    server.ranges = False
    (refused,) = archive.ingest(server.url_of("mef.fits")).refused
    assert refused.code == StorageError.code
    assert "ignores ranges" in (refused.reason or "")


def test_secrets_never_reach_the_registry(archive: Archive) -> None:
    with pytest.raises(UsageError) as caught:
        archive.ingest("https://me:hunter2@example.org/a.fits")
    assert "hunter2" not in str(caught.value)
    assert archive.count_images() == 0


def test_a_remote_image_says_where_it_is(archive: Archive, server: RangeServer) -> None:
    write_files(server.folder)
    archive.ingest([server.url_of("mef.fits"), server.url_of("tiles.fits.fz")])
    image = find(archive, "mef.fits")
    assert image.url == server.url_of("mef.fits")
    assert (image.full_filepath, image.filepath, image.filename) == (None, None, "mef.fits")
    assert image.all_source_paths() == set()
    with fits.open(server.folder / "mef.fits") as hdus:
        assert image.header["CRVAL1"] == hdus[1].header["CRVAL1"]
        assert list(image.header) == list(hdus[1].header)
    assert find(archive, "tiles.fits.fz").header["NAXIS1"] == SIDE
    with pytest.raises(UsageError):
        image.save()
    (row,) = archive.find_records(filepath=image.url)
    assert row.id == image.id
    assert image.get_ra_dec_cutout(RA, DEC, SIZE).header["NAXIS1"] == SIZE


REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real files")
def test_real_files_are_described_as_on_this_machine() -> None:
    from snapdb.archive.reading import describe_at
    from snapdb.formats.describe import describe
    from snapdb.model.url import Url

    seen = {"images": 0, "refused": 0}
    with RangeServer(REAL.resolve()) as running:
        for path in sorted(p for p in REAL.resolve().rglob("*.f*ts*") if p.suffix not in (".gz", ".bz2")):
            url = Url(running.url_of(quote(str(path.relative_to(REAL.resolve())))))
            try:
                expected = describe(path)
            except FormatError as err:
                with pytest.raises(type(err)):
                    describe_at(url)
                seen["refused"] += 1
                continue
            for ours, theirs in zip(describe_at(url), expected, strict=True):
                assert (ours.facts, ours.footprint) == (theirs.facts, theirs.footprint), path
                assert [p.layout for p in ours.planes] == [p.layout for p in theirs.planes], path
                assert {p.path for p in ours.planes} == {str(url)}
                seen["images"] += 1
    close_connections()
    assert seen["images"] > 100, seen


def test_explaining_a_remote_file_registers_nothing(archive: Archive, server: RangeServer) -> None:
    write_files(server.folder)
    (described,) = archive.explain(server.url_of("mef.fits"))
    assert [p.layout.name for p in described.planes] == ["data", "noise", "flags"]
    assert archive.count_images() == 0


@pytest.fixture
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    import boto3

    bucket = boto3.resource("s3").Bucket("survey")
    bucket.create()
    yield bucket
    close_connections()
    running.stop()


def test_objects_of_s3_are_images_too(archive: Archive, s3_bucket: Any, tmp_path: Path) -> None:
    planes = write_files(tmp_path)
    for name in ("mef.fits", "tiles.fits.fz"):
        s3_bucket.upload_file(os.fspath(tmp_path / name), f"night1/{name}")
    urls = [f"s3://survey/night1/{name}" for name in ("mef.fits", "tiles.fits.fz")]
    assert archive.ingest(urls).counts["registered"] == 2
    assert archive.ingest(urls).counts["unchanged"] == 2
    before = traffic()
    cutout = find(archive, "mef.fits").get_ra_dec_cutout(RA, DEC, SIZE)
    assert (traffic() - before).requests == 3
    np.testing.assert_array_equal(cutout.data, planes["SCI"][cutout.box.slices])
    s3_bucket.put_object(Key="night1/mef.fits", Body=b"x" * 10)
    with pytest.raises(ChangedFileError, match="--update s3://"):
        find(archive, "mef.fits").get_ra_dec_cutout(RA, DEC, SIZE)
