"""What a cutout of a remote file costs in time, requests and bytes, beside astropy through fsspec.

One server on the loopback that waits 30 ms before each answer; three planes of 4088 x 4088, plain
and in RICE tiles; 64 x 64 pixels of each plane. snapdb starts from the registered image, as a search
gives it; astropy from the address, as a user of files does, with the pixel already known.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits  # the peer reads with it

import snapdb
from snapdb.pixels.box import Box
from snapdb.storage.remote import close_connections
from snapdb.testing.range_server import RangeServer

pytest.importorskip("aiohttp")
pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]
SIDE, SIZE, SEED, LATENCY_S, EPOCHS = 4088, 64, 20261125, 0.03, 24
RA, DEC = 150.11, 2.19
CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 2044.5,
    "CRPIX2": 2044.5, "CD1_1": -3e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 3e-5,
}  # fmt: skip


def write_files(folder: Path) -> None:
    """Write three planes, plain and in tiles."""
    rng = np.random.default_rng(SEED)
    data = rng.normal(100.0, 5.0, (SIDE, SIDE)).astype(np.float32)
    planes = {"SCI": data, "ERR": np.sqrt(data), "DQ": (rng.random((SIDE, SIDE)) < 0.01).astype(np.int32)}
    header, primary = fits.Header(CARDS), fits.PrimaryHDU(header=fits.Header({"EXPTIME": 100.0}))
    plain = [fits.ImageHDU(p, header, name=n) for n, p in planes.items()]
    fits.HDUList([primary, *plain]).writeto(folder / "plain.fits")
    tiles = [fits.CompImageHDU(p, header, name=n, tile_shape=(100, 100)) for n, p in planes.items()]
    fits.HDUList([primary, *tiles]).writeto(folder / "rice.fits.fz")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RangeServer]:
    """The server of the files."""
    folder = tmp_path_factory.mktemp("served")
    write_files(folder)
    for number in range(EPOCHS):
        (folder / f"epoch{number:02}.fits").hardlink_to(folder / "plain.fits")
    with RangeServer(folder, latency_s=LATENCY_S) as running:
        yield running
    close_connections()


@pytest.fixture(scope="module")
def archive(server: RangeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapdb.Archive]:
    """An archive of the files."""
    names = ["plain.fits", "rice.fits.fz", *(f"epoch{n:02}.fits" for n in range(EPOCHS))]
    with snapdb.init(tmp_path_factory.mktemp("archive") / "a") as made:
        assert len(made.ingest([server.url_of(n) for n in names]).image_ids) == len(names)
        yield made


def find(archive: snapdb.Archive, name: str) -> snapdb.Image:
    """Give the image of a file."""
    (image,) = (i for i in archive.find_images() if i.record and i.record.filepath.endswith(f"/{name}"))
    return image


def cut(archive: snapdb.Archive, image: snapdb.Image) -> list[Any]:
    """Cut three planes with nothing known but the row."""
    assert image.record is not None
    fresh = snapdb.Image.from_record(image.record, archive)
    return fresh.get_ra_dec_cutout(RA, DEC, SIZE).read_planes(("data", "noise", "flags"))


def cut_with_astropy(url: str, box: Box, **options: Any) -> list[Any]:
    """Read three sections through fsspec."""
    with fits.open(url, use_fsspec=True, fsspec_kwargs=options) as hdus:
        return [np.asarray(hdus[n].section[box.slices]) for n in (1, 2, 3)]


def measure(server: RangeServer, call: Callable[[], Any], times: int = 5) -> tuple[float, int, float]:
    """Give the median time in ms, and the requests and megabytes of one call."""
    call()
    before, sent = len(server.requests), server.bytes_sent
    call()
    requests, megabytes = len(server.requests) - before, (server.bytes_sent - sent) / 1e6
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e3, requests, megabytes


@pytest.mark.parametrize("name", ["plain.fits", "rice.fits.fz"])
def test_one_remote_cutout(
    archive: snapdb.Archive, server: RangeServer, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image, url = find(archive, name), server.url_of(name)
    box = image.get_ra_dec_cutout(RA, DEC, SIZE).box
    ways: dict[str, Callable[[], list[Any]]] = {
        "snapdb": lambda: cut(archive, image),
        "astropy, fsspec's default": lambda: cut_with_astropy(url, box),
        "astropy, blocks of 1 MB": lambda: cut_with_astropy(url, box, block_size=2**20),
    }
    ours = ways["snapdb"]()
    found = {}
    for way, call in ways.items():
        for mine, theirs in zip(ours, call(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        found[way] = measure(server, call)
    if name == "plain.fits":
        rows_mb = 3 * SIZE * SIDE * 4 / 1e6
        assert found["snapdb"][1] == 3
        assert found["snapdb"][2] <= 2 * rows_mb
    with capsys.disabled():
        for way, (ms, requests, megabytes) in found.items():
            ratio = ms / found["snapdb"][0]
            text = f"{ms:.0f} ms = {ratio:.1f}x, {requests} requests, {megabytes:.2f} MB"
            print(f"\n{name}, {way}: {text}", end="")  # noqa: T201  # the benchmark's result


def test_many_remote_cutouts(
    archive: snapdb.Archive, server: RangeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [i for i in archive.find_images() if i.record and "/epoch" in i.record.filepath]
    assert len(images) == EPOCHS
    urls = [i.record.filepath for i in images if i.record]
    box = images[0].get_ra_dec_cutout(RA, DEC, SIZE).box

    def all_with(cut_one: Callable[[Any], Any], what: list[Any], threads: int) -> tuple[float, list[Any]]:
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(cut_one, what))
        return (time.perf_counter() - start) * 1e3, answers

    mine, answers = all_with(lambda i: cut(archive, i), images, 16)
    peer, others = all_with(lambda u: cut_with_astropy(u, box, block_size=2**20), urls, 16)
    np.testing.assert_array_equal(np.array([a[0] for a in answers]), np.array([o[0] for o in others]))
    with capsys.disabled():
        text = f"snapdb {mine:.0f} ms; astropy {peer:.0f} ms = {peer / mine:.1f}x"
        print(f"\n{EPOCHS} remote images, 16 threads: {text}", end="")  # noqa: T201  # the benchmark's result
